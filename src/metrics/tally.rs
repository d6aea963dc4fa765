//! A tally: the sum of samples. It has a zero and `+=`, and the order of additions does not matter.
//!
//! There are two kinds of sum, because levels add differently from everything else. `a += &b` is
//! for tallies of the *same time* (the workers of one second), whose levels add up.
//! [`Tally::append`] is for *consecutive* tallies (the seconds of a run): the later level is the
//! value, and the extremes are those of both. Both add everything else in the same exact way.
//!
//! Each kind of request has its own numbers. Numbers of all kinds are never recorded. They are
//! summed when a summary is made.

use super::part::Part;
use super::{Attempts, Counter, Example, Failure, Gauge, Incidents, Outcome, Paths, Remaining, Sample, Trend};
use crate::units::Nanos;
use std::net::SocketAddr;
use std::ops::AddAssign;

/// Sums over one worker's second, or over a whole run. Memory does not grow with the number of
/// requests.
#[derive(Debug, Clone)]
pub struct Tally {
    /// CPU time of the workers, user and system.
    pub cpu_time: Nanos,
    /// CPU time of the busiest worker in any one second.
    pub busiest: Nanos,
    /// Longest time in any one second that a runnable worker had to wait for a core.
    pub run_wait: Nanos,
    /// The part of each kind of request, in the order of the mix.
    pub(super) kinds: Vec<Part>,
    /// The part of each of [`TURNS`]. Empty if there are no conversations.
    pub(super) turns: Vec<Part>,
    /// Numbers of connections, arrivals and this client, which belong to no kind of request.
    pub(super) shared: Part,
    /// Failed requests by class.
    pub(super) failures: [Incidents; Failure::ALL.len()],
    /// Attempts that failed and were retried, by class.
    pub(super) retried: [u64; Failure::ALL.len()],
    /// Responses by status, ascending. Bounded by the number of statuses.
    pub(super) statuses: Vec<(u16, u64)>,
    /// Failed checks by name, ascending. Bounded by the number of checks in the program.
    pub(super) failed_checks: Vec<(&'static str, u64)>,
    /// Connection attempts by address, and TLS failures.
    pub(super) paths: Paths,
    pub(super) levels: [Level; Gauge::ALL.len()],
    /// Lowest remaining quotas of rate limits, according to responses.
    pub(super) remaining: Remaining,
}

/// Requests that were started, and requests that ended as a success or failure, cancelled or
/// interrupted. After a run both are equal, inside the measurement window as well as outside.
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
    /// Returns an empty tally for a mix of `kinds` kinds of request.
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

    /// Resets the tally and keeps its memory. Levels keep their current value.
    pub fn clear(&mut self) {
        (self.cpu_time, self.busiest, self.run_wait) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
        self.kinds.iter_mut().chain(&mut self.turns).for_each(Part::clear);
        self.shared.clear();
        self.failures.iter_mut().for_each(Incidents::clear);
        self.retried = [0; Failure::ALL.len()];
        // Entries are kept at zero, so that a warm tally does not allocate again.
        self.statuses.iter_mut().for_each(|(_, n)| *n = 0);
        self.failed_checks.iter_mut().for_each(|(_, n)| *n = 0);
        self.paths.clear();
        self.remaining = Remaining::default();
        for level in &mut self.levels {
            (level.min, level.max) = (level.value, level.value);
        }
    }

    /// Adds a finished or interrupted request. Allocates nothing once the kind is warm.
    ///
    /// A kind that is not in the mix is a bug of the caller. Release builds then drop the sample.
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

    /// Adds an attempt of a request that failed with `failure` and will be retried. Its traffic is
    /// counted, but the request is not over.
    pub fn attempt_failed(&mut self, sample: &Sample, failure: Failure) {
        self.in_parts(sample.kind, sample.turn, |part| part.count_traffic(sample));
        self.retried[failure as usize] += 1;
        self.answered(sample);
    }

    /// Counts the status of a response, if a head arrived.
    fn answered(&mut self, sample: &Sample) {
        if sample.status != 0 {
            add_sorted(&mut self.statuses, sample.status, 1);
        }
    }

    /// Keeps the lowest quotas reported so far. Called as soon as a response head arrives.
    pub fn remains(&mut self, remaining: Remaining) {
        self.remaining = self.remaining.lowest(remaining);
    }

    /// Adds the number of attempts of a request that has been recorded. `attempt` is its sample
    /// with `sent` of the last attempt.
    pub fn attempts(&mut self, attempt: &Sample, n: u64) {
        self.in_parts(attempt.kind, attempt.turn, |part| part.attempts(attempt, n));
    }

    /// Withdraws the times of the last attempt of a condemned request.
    pub fn condemn_attempt(&mut self, attempt: &Sample) {
        self.in_parts(attempt.kind, attempt.turn, |part| part.condemn_attempt(attempt));
    }

    /// Calls `what` with the part of the request's kind and, for a turn of a conversation, of its
    /// turn.
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

    /// Allocated on first use, because most mixes have no conversations.
    #[cold]
    fn make_turns(&mut self) {
        self.turns.resize(TURNS.len(), Part::default());
    }

    /// Adds the duration of a user's turn: the time from sending the message until the last
    /// response to it arrived.
    pub fn turn_over(&mut self, kind: u16, turn: u16, took: Nanos) {
        self.in_parts(kind, turn, |part| part.time(Trend::TurnDuration, took));
    }

    /// Adds how long a turn of a trace starts after its due time, because it waited for the
    /// previous response.
    pub fn turn_lag(&mut self, kind: u16, lag: Nanos) {
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.time(Trend::TurnLag, lag);
        }
    }

    /// Counts a conversation of `kind` that is over. `end` is one of its three counters.
    pub fn conversation_over(&mut self, kind: u16, end: Counter, in_window: bool) {
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.count(end, 1, u64::from(in_window));
            if end != Counter::ConversationsInterrupted {
                part.count(Counter::Iterations, 1, u64::from(in_window));
            }
        }
    }

    /// Counts a request that was started in this phase.
    pub fn started(&mut self) {
        self.shared.count(Counter::HttpReqsStarted, 1, 1);
    }

    /// Counts a failure of a request that was first recorded as a success. Its times are removed
    /// from those of successes when [`Tally::settle`] is called on the sum of all seconds.
    pub fn condemn(&mut self, sample: &Sample, failure: Failure, at: Nanos) {
        self.in_parts(sample.kind, sample.turn, |part| part.condemn(failure, sample));
        self.failures[failure as usize].add_one(at, None);
    }

    /// Subtracts the withdrawn times. Only the sum over all seconds so far is certain to contain
    /// them.
    pub fn settle(&mut self) {
        self.kinds.iter_mut().chain(&mut self.turns).for_each(Part::settle);
    }

    /// Returns how many requests were started and how many ended.
    pub fn balance(&self) -> Balance {
        let ends = [Counter::HttpReqs, Counter::Cancelled, Counter::Interrupted];
        let ended = self.kinds.iter().flat_map(|part| ends.map(|counter| part.counter(counter))).sum();
        Balance { started: self.shared.counter(Counter::HttpReqsStarted), ended }
    }

    /// Returns true if an example of a failure of that class that ended at `at` would be kept.
    /// Callers ask before they create an example, so that thousands of failures do not create
    /// thousands of examples.
    pub fn wants_example(&self, failure: Failure, at: Nanos) -> bool {
        self.failures[failure as usize].wants(at)
    }

    /// Adds an example of a failure. The text is printable, bounded and without secrets.
    pub fn example(&mut self, failure: Failure, at: Nanos, text: String) {
        self.failures[failure as usize].offer(Example { at, text });
    }

    /// Adds a gap between two token events of a stream of `kind`, in that turn of a conversation.
    pub fn gap(&mut self, kind: u16, turn: u16, gap: Nanos) {
        self.in_parts(kind, turn, |part| part.time(Trend::Tbt, gap));
    }

    /// Adds `n` gaps of equal length. The gaps between the tokens of one read are all zero.
    pub fn gaps(&mut self, kind: u16, turn: u16, gap: Nanos, n: u32) {
        self.in_parts(kind, turn, |part| part.times(Trend::Tbt, gap, n));
    }

    /// Counts an established connection and adds the time that it took.
    pub fn connection_opened(&mut self, took: Nanos) {
        self.shared.count(Counter::ConnectionsOpened, 1, 1);
        self.shared.time(Trend::HttpReqConnecting, took);
    }

    /// Adds the time that the upgrade of a connection to a WebSocket took.
    pub fn websocket_opened(&mut self, took: Nanos) {
        self.shared.time(Trend::WsConnecting, took);
    }

    /// Counts a TLS handshake and adds the time that it took.
    pub fn connection_secured(&mut self, took: Nanos, resumed: bool) {
        let kind = if resumed { Counter::TlsHandshakesResumed } else { Counter::TlsHandshakesFull };
        self.shared.count(kind, 1, 1);
        self.shared.time(Trend::HttpReqTlsHandshaking, took);
    }

    /// Counts a finished attempt to connect to that address.
    pub fn attempted(&mut self, addr: Option<SocketAddr>, succeeded: bool) {
        if let Some(addr) = addr {
            self.paths.attempt(addr, Attempts { opened: u64::from(succeeded), failed: u64::from(!succeeded) });
        }
    }

    /// Counts a request that failed because of TLS, by the reason.
    pub fn tls_failure(&mut self, name: &'static str) {
        self.paths.trouble(name, 1);
    }

    /// Counts arrivals of an open-loop load that became due, and those of them that were dropped.
    pub fn arrivals(&mut self, offered: u64, dropped: u64) {
        self.shared.count(Counter::ArrivalsOffered, offered, offered);
        self.shared.count(Counter::DroppedIterations, dropped, dropped);
    }

    /// Counts an arrival that a user started, inside the measurement window or after it.
    pub fn arrival_started(&mut self, in_window: bool) {
        self.shared.count(Counter::ArrivalsStarted, 1, u64::from(in_window));
    }

    /// Counts a request that had to wait for its row.
    pub fn row_late(&mut self) {
        self.shared.count(Counter::RowsLate, 1, 1);
    }

    /// Adds the time from the kernel's receipt of bytes until they were read.
    pub fn client_lag(&mut self, lag: Nanos) {
        self.shared.time(Trend::ClientLag, lag);
    }

    /// Adds the duration of one pass of a worker's event loop, without waiting.
    pub fn pass(&mut self, length: Nanos) {
        self.shared.time(Trend::PassLength, length);
    }

    /// Counts a read without a kernel timestamp, although timestamps were enabled.
    pub fn stamp_missing(&mut self) {
        self.shared.count(Counter::StampsMissing, 1, 1);
    }

    /// Counts a step of the clock that makes the timestamps.
    pub fn clock_stepped(&mut self) {
        self.shared.count(Counter::ClockSteps, 1, 1);
    }

    /// Returns the mean time between tokens so far; zero if there are none.
    pub fn mean_gap(&self) -> Nanos {
        let gaps = self.kinds.iter().filter_map(|part| part.trend(Trend::Tbt));
        let (sum, count) = gaps.fold((0.0, 0), |(sum, count), d| (sum + d.sum_ms(), count + d.count));
        if count == 0 { Nanos::ZERO } else { Nanos::from_secs_f64(sum / count as f64 / 1e3) }
    }

    /// Counts a request of `kind` that is sent again because the server closed a reused connection
    /// before responding.
    pub fn stale_retry(&mut self, kind: u16, in_window: bool) {
        debug_assert!(usize::from(kind) < self.kinds.len(), "kind {kind} of {}", self.kinds.len());
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.count(Counter::StaleRetries, 1, u64::from(in_window));
            part.count(Counter::HttpReqsSent, 1, u64::from(in_window));
        }
    }

    /// Counts a pause of a user after a failed request of `kind`.
    pub fn backs_off(&mut self, kind: u16, in_window: bool) {
        self.count_one(kind, Counter::BackOffs, in_window);
    }

    /// Counts a connection that is not reused after a request of `kind`, because the server would
    /// close it.
    pub fn not_kept(&mut self, kind: u16, in_window: bool) {
        self.count_one(kind, Counter::ConnectionsNotKept, in_window);
    }

    fn count_one(&mut self, kind: u16, counter: Counter, in_window: bool) {
        debug_assert!(usize::from(kind) < self.kinds.len(), "kind {kind} of {}", self.kinds.len());
        if let Some(part) = self.kinds.get_mut(usize::from(kind)) {
            part.count(counter, 1, u64::from(in_window));
        }
    }

    /// Counts a stream of `kind` that was complete, but whose response the server did not end.
    pub fn unfinished_stream(&mut self, kind: u16, in_window: bool) {
        self.count_one(kind, Counter::UnfinishedStreams, in_window);
    }

    /// Sets a level.
    pub fn level(&mut self, gauge: Gauge, value: u64) {
        let level = &mut self.levels[gauge as usize];
        *level = if level.is_set {
            Level { value, min: level.min.min(value), max: level.max.max(value), is_set: true }
        } else {
            Level { value, min: value, max: value, is_set: true }
        };
    }

    /// Takes over the current levels of `earlier`, the tally of the time right before. A level
    /// lasts until it changes.
    pub fn continue_levels(&mut self, earlier: &Self) {
        self.levels = earlier.levels;
        for level in &mut self.levels {
            (level.min, level.max) = (level.value, level.value);
        }
    }

    /// Clears all levels, because another tally of the same time has them.
    pub fn forget_levels(&mut self) {
        self.levels = [Level::default(); Gauge::ALL.len()];
    }

    /// Adds what arrived inside the measurement window from the requests of `outside`, which were
    /// sent outside it. Rates cover everything that arrives in the window. Nothing else of
    /// `outside` is added.
    pub fn add_arrivals(&mut self, outside: &Self) {
        for (part, more) in self.parts_with(outside) {
            for (n, more) in part.in_window.iter_mut().zip(&more.in_window) {
                *n += more;
            }
        }
    }

    /// Adds the tally of the time right after this one: the next second of the same run. Levels do
    /// not add up. The later value is the value, and the extremes are those of both. Everything
    /// else is added as by `+=`.
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

    /// Returns the sum over all kinds, including connections.
    pub(super) fn all_kinds(&self) -> Part {
        let mut all = self.shared.clone();
        self.kinds.iter().for_each(|part| all.add(part));
        all
    }

    /// Pairs each kind's and each turn's part with the other tally's. Missing parts are created.
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
    /// Adds a tally of the same time, from another worker. Levels add up. Their summed extremes are
    /// bounds of the true ones, because the workers may reach their extremes at different times.
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

/// Names of the groups of turns. The first turns differ most, because each turn sends more than the
/// last.
pub const TURNS: [&str; 5] = ["1", "2", "3-4", "5-8", "9+"];

/// Returns the index of a turn in [`TURNS`]. `None` for a request that is not a turn.
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

/// Adds `n` to the count of `key` in a short ascending list. Allocates only for a new key.
fn add_sorted<K: Ord>(list: &mut Vec<(K, u64)>, key: K, n: u64) {
    match list.binary_search_by(|(k, _)| k.cmp(&key)) {
        Ok(i) => list[i].1 += n,
        Err(i) if n > 0 => list.insert(i, (key, n)),
        Err(_) => {}
    }
}

#[cfg(test)]
pub(in crate::metrics) mod tests;
