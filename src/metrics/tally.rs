//! A tally: the sum of samples. It has a zero and `+=`, and the order of additions does not matter.
//!
//! Two sums are needed, because levels add differently from everything else. `a += &b` is for
//! tallies of the *same time* (the workers of one second): levels add up. [`Tally::append`] is for
//! tallies *one after the other* (the seconds of a run): the later level is the value, the extremes
//! are the extremes of both. Everything that is not a level is added in the same, exact way by
//! both.
//!
//! Each kind of request has numbers of its own. "All kinds" is never recorded: it is their sum,
//! made when a summary is.

use super::part::Part;
use super::{Attempts, Counter, Example, Failure, Gauge, Incidents, Outcome, Paths, Remaining, Sample, Trend};
use crate::units::Nanos;
use std::net::SocketAddr;
use std::ops::AddAssign;

/// Sums of one worker's second, or of a whole run. Memory does not grow with the number of
/// requests.
#[derive(Debug, Clone)]
pub struct Tally {
    /// CPU time that the workers used, user and system.
    pub cpu_time: Nanos,
    /// The same of the busiest worker in any one second.
    pub busiest: Nanos,
    /// How long workers that could run had to wait for a core, the longest in any one second.
    pub run_wait: Nanos,
    /// One for each kind of request, in the order of the mix.
    pub(super) kinds: Vec<Part>,
    /// One for each of [`TURNS`], or none if there are no conversations.
    pub(super) turns: Vec<Part>,
    /// What belongs to connections, and so to no kind.
    pub(super) shared: Part,
    /// Failed requests by class.
    pub(super) failures: [Incidents; Failure::ALL.len()],
    /// Attempts that failed and were followed by another, by class.
    pub(super) retried: [u64; Failure::ALL.len()],
    /// Answers by status, ascending. At most as long as there are statuses.
    pub(super) statuses: Vec<(u16, u64)>,
    /// Failed checks by name, ascending. At most as long as there are checks in the program.
    pub(super) failed_checks: Vec<(&'static str, u64)>,
    /// What happened on the way to the servers.
    pub(super) paths: Paths,
    pub(super) levels: [Level; Gauge::ALL.len()],
    /// The lowest that responses say is left of rate limits.
    pub(super) remaining: Remaining,
}

/// Requests that were started, and those that ended: as a success or a failure, cancelled or
/// interrupted. Once a run is over both are equal, in the measurement window and outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub started: u64,
    pub ended: u64,
}

/// A level, with its extremes since the last `clear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Level {
    pub(super) value: u64,
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) is_set: bool,
}

impl Tally {
    /// Zero, for a mix of `kinds` kinds of request.
    pub fn new(kinds: usize) -> Self {
        Self {
            cpu_time: Nanos::ZERO,
            busiest: Nanos::ZERO,
            run_wait: Nanos::ZERO,
            kinds: vec![Part::default(); kinds],
            turns: Vec::new(),
            shared: Part::default(),
            failures: std::array::from_fn(|_| Incidents::default()),
            retried: [0; Failure::ALL.len()],
            statuses: Vec::new(),
            failed_checks: Vec::new(),
            paths: Paths::default(),
            levels: [Level::default(); Gauge::ALL.len()],
            remaining: Remaining::default(),
        }
    }

    /// Zero again, keeping memory. Levels keep their present value.
    pub fn clear(&mut self) {
        (self.cpu_time, self.busiest, self.run_wait) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
        self.kinds.iter_mut().chain(&mut self.turns).for_each(Part::clear);
        self.shared.clear();
        self.failures.iter_mut().for_each(Incidents::clear);
        self.retried = [0; Failure::ALL.len()];
        // Entries stay, at zero, so that a warm tally does not allocate again.
        self.statuses.iter_mut().for_each(|(_, n)| *n = 0);
        self.failed_checks.iter_mut().for_each(|(_, n)| *n = 0);
        self.paths.clear();
        self.remaining = Remaining::default();
        for level in &mut self.levels {
            (level.min, level.max) = (level.value, level.value);
        }
    }

    /// A finished (or interrupted) request. Allocates nothing once the kind is warm.
    ///
    /// A kind that the mix does not have is a defect of the caller; in release builds the sample is
    /// dropped.
    pub fn record(&mut self, sample: &Sample) {
        if usize::from(sample.kind) >= self.kinds.len() {
            debug_assert!(false, "kind {} of {}", sample.kind, self.kinds.len());
            return;
        }
        self.in_parts(sample.kind, sample.turn, |part| part.record(sample));
        if let Some(name) = sample.check_failed {
            add_sorted(&mut self.failed_checks, name, 1);
        }
        self.answered(sample);
        if let Outcome::Failed(failure) = sample.outcome {
            self.failures[failure as usize].add_one(sample.end, sample.retry_after_ms);
        }
    }

    /// An attempt of a request that failed with `failure`, and that will be followed by another:
    /// what went over the wire counts, and the request goes on.
    pub fn attempt_failed(&mut self, sample: &Sample, failure: Failure) {
        self.in_parts(sample.kind, sample.turn, |part| part.count_traffic(sample));
        self.retried[failure as usize] += 1;
        self.answered(sample);
    }

    /// What the head of a response says of its status, if one came.
    fn answered(&mut self, sample: &Sample) {
        if sample.status != 0 {
            add_sorted(&mut self.statuses, sample.status, 1);
        }
    }

    /// What the head of a response says is left of rate limits, as soon as it comes.
    pub fn remains(&mut self, remaining: Remaining) {
        self.remaining = self.remaining.lowest(remaining);
    }

    /// A request that may be retried was recorded, and was made in so many attempts. `attempt` is
    /// its sample with `sent` of the last attempt.
    pub fn attempts(&mut self, attempt: &Sample, n: u64) {
        self.in_parts(attempt.kind, attempt.turn, |part| part.attempts(attempt, n));
    }

    /// The same request was condemned.
    pub fn condemn_attempt(&mut self, attempt: &Sample) {
        self.in_parts(attempt.kind, attempt.turn, |part| part.condemn_attempt(attempt));
    }

    /// The parts that a request belongs to: that of its kind, and that of its turn if it is one.
    #[inline]
    fn in_parts(&mut self, kind: u16, turn: u16, mut what: impl FnMut(&mut Part)) {
        debug_assert!(usize::from(kind) < self.kinds.len(), "kind {kind} of {}", self.kinds.len());
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            what(part);
        }
        if let Some(place) = turn_place(turn) {
            if self.turns.is_empty() {
                self.make_turns();
            }
            self.turns.get_mut(place).into_iter().for_each(what);
        }
    }

    /// Most mixes have no conversations.
    #[cold]
    fn make_turns(&mut self) {
        self.turns.resize(TURNS.len(), Part::default());
    }

    /// A user's turn is over: the last answer to its message has come, which it had sent `took`
    /// ago.
    pub fn turn_over(&mut self, kind: u16, turn: u16, took: Nanos) {
        self.in_parts(kind, turn, |part| part.time(Trend::TurnDuration, took));
    }

    /// A turn of a trace waits for the answer before it, so long after its own instant.
    pub fn turn_lag(&mut self, kind: u16, lag: Nanos) {
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.time(Trend::TurnLag, lag);
        }
    }

    /// A conversation of `kind` is over; `end` is one of its three counters.
    pub fn conversation_over(&mut self, kind: u16, end: Counter, in_window: bool) {
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.count(end, 1, u64::from(in_window));
            if end != Counter::ConversationsInterrupted {
                part.count(Counter::Iterations, 1, u64::from(in_window));
            }
        }
    }

    /// A request was started in this phase.
    pub fn started(&mut self) {
        self.shared.count(Counter::HttpReqsStarted, 1, 1);
    }

    /// A request that was recorded as a success has failed after all. Its times are withdrawn from
    /// those of successes once [`Tally::settle`] is called on the sum of all seconds.
    pub fn condemn(&mut self, sample: &Sample, failure: Failure, at: Nanos) {
        self.in_parts(sample.kind, sample.turn, |part| part.condemn(failure, sample));
        self.failures[failure as usize].add_one(at, None);
    }

    /// Takes back the times that were withdrawn. For a sum over all seconds so far: only there they
    /// are sure to be.
    pub fn settle(&mut self) {
        self.kinds.iter_mut().chain(&mut self.turns).for_each(Part::settle);
    }

    /// Requests that were started, and those that ended.
    pub fn balance(&self) -> Balance {
        let ends = [Counter::HttpReqs, Counter::Cancelled, Counter::Interrupted];
        let ended = self.kinds.iter().flat_map(|part| ends.map(|counter| part.counter(counter))).sum();
        Balance { started: self.shared.counter(Counter::HttpReqsStarted), ended }
    }

    /// Whether an example of a failure of that class, which ended `at`, would be kept. It is asked
    /// for before one is made, so that a storm of failures makes one example and not thousands.
    pub fn wants_example(&self, failure: Failure, at: Nanos) -> bool {
        self.failures[failure as usize].wants(at)
    }

    /// What a failure looked like: printable, bounded, without secrets.
    pub fn example(&mut self, failure: Failure, at: Nanos, text: String) {
        self.failures[failure as usize].offer(Example { at, text });
    }

    /// A gap between two token events of a stream of `kind`, in that turn of a conversation.
    pub fn gap(&mut self, kind: u16, turn: u16, gap: Nanos) {
        self.in_parts(kind, turn, |part| part.time(Trend::Tbt, gap));
    }

    /// `n` gaps of one length: those between the tokens of one read are all zero.
    pub fn gaps(&mut self, kind: u16, turn: u16, gap: Nanos, n: u32) {
        self.in_parts(kind, turn, |part| part.times(Trend::Tbt, gap, n));
    }

    /// A connection was established, and how long that took.
    pub fn connection_opened(&mut self, took: Nanos) {
        self.shared.count(Counter::ConnectionsOpened, 1, 1);
        self.shared.time(Trend::HttpReqConnecting, took);
    }

    /// A connection became a WebSocket, and how long that took.
    pub fn websocket_opened(&mut self, took: Nanos) {
        self.shared.time(Trend::WsConnecting, took);
    }

    /// A session was opened on a connection, and how long that took.
    pub fn connection_secured(&mut self, took: Nanos, resumed: bool) {
        let kind = if resumed { Counter::TlsHandshakesResumed } else { Counter::TlsHandshakesFull };
        self.shared.count(kind, 1, 1);
        self.shared.time(Trend::HttpReqTlsHandshaking, took);
    }

    /// An attempt to open a connection to that address is over.
    pub fn attempted(&mut self, addr: Option<SocketAddr>, succeeded: bool) {
        if let Some(addr) = addr {
            self.paths.attempt(addr, Attempts { opened: u64::from(succeeded), failed: u64::from(!succeeded) });
        }
    }

    /// A request failed by TLS, for that reason.
    pub fn tls_failure(&mut self, name: &'static str) {
        self.paths.trouble(name, 1);
    }

    /// Arrivals of an open load came due, and some of them were never started.
    pub fn arrivals(&mut self, offered: u64, dropped: u64) {
        self.shared.count(Counter::ArrivalsOffered, offered, offered);
        self.shared.count(Counter::DroppedIterations, dropped, dropped);
    }

    /// A user took up an arrival, inside the measurement window or after it.
    pub fn arrival_started(&mut self, in_window: bool) {
        self.shared.count(Counter::ArrivalsStarted, 1, u64::from(in_window));
    }

    /// A request had to wait for its row.
    pub fn row_late(&mut self) {
        self.shared.count(Counter::RowsLate, 1, 1);
    }

    /// Bytes were read that long after the kernel had received them.
    pub fn client_lag(&mut self, lag: Nanos) {
        self.shared.time(Trend::ClientLag, lag);
    }

    /// A pass of a worker's loop took that long, waiting not included.
    pub fn pass(&mut self, length: Nanos) {
        self.shared.time(Trend::PassLength, length);
    }

    /// Bytes were read without the kernel's stamp, although it was asked for.
    pub fn stamp_missing(&mut self) {
        self.shared.count(Counter::StampsMissing, 1, 1);
    }

    /// The clock that stamps are made with was set.
    pub fn clock_stepped(&mut self) {
        self.shared.count(Counter::ClockSteps, 1, 1);
    }

    /// The mean time between tokens so far; zero when there is none.
    pub fn mean_gap(&self) -> Nanos {
        let gaps = self.kinds.iter().filter_map(|part| part.trend(Trend::Tbt));
        let (sum, count) = gaps.fold((0.0, 0), |(sum, count), d| (sum + d.sum_ms(), count + d.count));
        if count == 0 { Nanos::ZERO } else { Nanos::from_secs_f64(sum / count as f64 / 1e3) }
    }

    /// A request of `kind` is sent again: the server had closed a reused connection before it
    /// answered.
    pub fn stale_retry(&mut self, kind: u16, in_window: bool) {
        debug_assert!(usize::from(kind) < self.kinds.len(), "kind {kind} of {}", self.kinds.len());
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.count(Counter::StaleRetries, 1, u64::from(in_window));
            part.count(Counter::HttpReqsSent, 1, u64::from(in_window));
        }
    }

    /// A user pauses after a failure of a request of `kind`.
    pub fn backs_off(&mut self, kind: u16, in_window: bool) {
        self.count_one(kind, Counter::BackOffs, in_window);
    }

    /// A connection that has served a request of `kind` is not kept, because the server would close
    /// it.
    pub fn not_kept(&mut self, kind: u16, in_window: bool) {
        self.count_one(kind, Counter::ConnectionsNotKept, in_window);
    }

    fn count_one(&mut self, kind: u16, counter: Counter, in_window: bool) {
        debug_assert!(usize::from(kind) < self.kinds.len(), "kind {kind} of {}", self.kinds.len());
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.count(counter, 1, u64::from(in_window));
        }
    }

    /// A stream of `kind` was whole, but the server did not end its response.
    pub fn unfinished_stream(&mut self, kind: u16, in_window: bool) {
        self.count_one(kind, Counter::UnfinishedStreams, in_window);
    }

    /// A level is `value` from now on.
    pub fn level(&mut self, gauge: Gauge, value: u64) {
        let level = &mut self.levels[gauge as usize];
        *level = if level.is_set {
            Level { value, min: level.min.min(value), max: level.max.max(value), is_set: true }
        } else {
            Level { value, min: value, max: value, is_set: true }
        };
    }

    /// Takes over the present levels of `earlier`, the tally of the time right before: a level
    /// lasts until it changes.
    pub fn continue_levels(&mut self, earlier: &Self) {
        self.levels = earlier.levels;
        for level in &mut self.levels {
            (level.min, level.max) = (level.value, level.value);
        }
    }

    /// No level is known: they stand in another tally of the same time.
    pub fn forget_levels(&mut self) {
        self.levels = [Level::default(); Gauge::ALL.len()];
    }

    /// Adds what of `outside`, requests that were sent outside the measurement window, arrived
    /// inside it: rates are of what arrived, whoever sent it. Nothing else of it is added.
    pub fn add_arrivals(&mut self, outside: &Self) {
        for (part, more) in self.parts_with(outside) {
            for (n, more) in part.in_window.iter_mut().zip(&more.in_window) {
                *n += more;
            }
        }
    }

    /// Adds a tally of the time right after this one: the next second of the same run. Levels do
    /// not add up here; the later value is the value, and the extremes are those of both.
    /// Everything else is added as by `+=`.
    pub fn append(&mut self, later: &Self) {
        self.add_sums(later);
        for (level, then) in self.levels.iter_mut().zip(&later.levels) {
            *level = match (level.is_set, then.is_set) {
                (_, false) => *level,
                (false, true) => *then,
                (true, true) => Level { min: level.min.min(then.min), max: level.max.max(then.max), ..*then },
            };
        }
    }

    /// The sum over all kinds, connections included.
    pub(super) fn all_kinds(&self) -> Part {
        let mut all = self.shared.clone();
        self.kinds.iter().for_each(|part| all.add(part));
        all
    }

    /// Each kind's and each turn's part, beside the other's. What only the other has is made here.
    fn parts_with<'a>(&'a mut self, other: &'a Self) -> impl Iterator<Item = (&'a mut Part, &'a Part)> {
        for (ours, theirs) in [(&mut self.kinds, &other.kinds), (&mut self.turns, &other.turns)] {
            if ours.len() < theirs.len() {
                ours.resize(theirs.len(), Part::default());
            }
        }
        self.kinds.iter_mut().zip(&other.kinds).chain(self.turns.iter_mut().zip(&other.turns))
    }

    fn add_sums(&mut self, other: &Self) {
        self.cpu_time += other.cpu_time;
        self.busiest = self.busiest.max(other.busiest);
        self.run_wait = self.run_wait.max(other.run_wait);
        for (part, more) in self.parts_with(other) {
            part.add(more);
        }
        self.shared.add(&other.shared);
        self.paths.add(&other.paths);
        self.remaining = self.remaining.lowest(other.remaining);
        for (class, more) in self.failures.iter_mut().zip(&other.failures) {
            class.add(more);
        }
        for (n, more) in self.retried.iter_mut().zip(&other.retried) {
            *n += more;
        }
        for &(status, n) in &other.statuses {
            add_sorted(&mut self.statuses, status, n);
        }
        for &(name, n) in &other.failed_checks {
            add_sorted(&mut self.failed_checks, name, n);
        }
    }
}

impl AddAssign<&Self> for Tally {
    /// Adds a tally of the same time: another worker's. Levels add up; their summed extremes bound
    /// the true ones, since not all workers need have been at theirs at once.
    fn add_assign(&mut self, other: &Self) {
        self.add_sums(other);
        for (level, more) in self.levels.iter_mut().zip(&other.levels) {
            level.value += more.value;
            level.min += more.min;
            level.max += more.max;
            level.is_set |= more.is_set;
        }
    }
}

/// Names of the groups of turns: the first turns differ most, since what they send grows.
pub const TURNS: [&str; 5] = ["1", "2", "3-4", "5-8", "9+"];

/// The place of a turn in [`TURNS`]; none for a request that is no turn.
const fn turn_place(turn: u16) -> Option<usize> {
    match turn {
        0 => None,
        1 => Some(0),
        2 => Some(1),
        3 | 4 => Some(2),
        5..=8 => Some(3),
        _ => Some(4),
    }
}

/// Adds `n` to the count of `key` in a short ascending list; allocates only for a key that is new.
fn add_sorted<K: Ord>(list: &mut Vec<(K, u64)>, key: K, n: u64) {
    match list.binary_search_by(|(k, _)| k.cmp(&key)) {
        Ok(i) => list[i].1 += n,
        Err(i) if n > 0 => list.insert(i, (key, n)),
        Err(_) => {}
    }
}

#[cfg(test)]
pub(in crate::metrics) mod tests;
