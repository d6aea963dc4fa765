//! A run as one shard of several: shards that have met begin together, end together, and hand their
//! results to shard 0.

mod steps;

pub(crate) use steps::Cut;

use super::desk::{Desk, Seen, Show};
use super::ended::Ended;
use super::error::TrialError;
use super::provenance::build;
use super::setup::Setup;
use super::signals;
use super::viewers::{Viewers, WholeMoment};
use super::whole::Whole;
use crate::document::live::ShardSecond;
use crate::document::merge::{Merge, MergeError};
use crate::document::plan::hash_of;
use crate::document::{Document, FieldError, MAX_DOCUMENT_BYTES, Start, Strictness};
use crate::plan::{Plan, Presentation, Rendezvous, Shard};
use crate::rendezvous::{Cause, Command, Event, Key, Line, Listener, Part, Stop};
use crate::units::{Nanos, rounded};
use jiff::SignedDuration;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two checks of the flag that a signal raises.
const LOOK: Duration = Duration::from_millis(50);
/// Time before the start at which the thread stops sleeping and spins on the clock, since a sleep
/// ends late by about as much. It must not be longer: the kernel prefers threads that have slept to
/// threads that were awake.
const AWAKE: Duration = Duration::from_micros(100);
/// Characters of an error that are sent to the other shards.
const MOST_OF_AN_ERROR: usize = 300;

/// The reason that is given once the rendezvous thread has ended.
const NO_THREAD: &str = "the thread of the rendezvous has ended";

/// A message from the rendezvous thread to the run.
enum News {
    Event(Event),
    /// A second of all shards.
    Second(WholeMoment),
}

/// State shared by the run and the rendezvous thread.
struct Shared {
    stop: signals::Stop,
    reason: Mutex<Option<Stop>>,
    /// Shards that will not send anything any more.
    gone: Mutex<Vec<u32>>,
    /// At shard 0, once its plan is prepared.
    desk: Mutex<Option<Desk>>,
    /// True once the load has begun or is about to begin.
    has_start: Mutex<bool>,
    /// True if a viewer at shard 0 wants this shard's result so far.
    is_looked_at: AtomicBool,
    news: Sender<News>,
}

/// The shards of a test that have met, as seen by one of them.
pub(crate) struct Meeting {
    line: Line,
    shard: Shard,
    place: String,
    news: Receiver<News>,
    /// News that came during a step and belongs to the time after it.
    later: RefCell<VecDeque<News>>,
    shared: Arc<Shared>,
    /// Start of the load on the rendezvous clock, and the error of that clock.
    at: Cell<(Nanos, Nanos)>,
    late: Cell<Nanos>,
    /// True if shard 0 shows everything that is recorded in each second.
    is_watched: Cell<bool>,
    /// The options by which this shard's results are made.
    presentation: Presentation,
    /// At shard 0: the results so far of all shards.
    whole: RefCell<Whole>,
}

/// The results of all shards, as collected by shard 0.
pub(crate) struct Collected {
    pub(crate) whole: Document,
    /// Shards whose results are missing, each with the reason.
    pub(crate) missing: Vec<String>,
}

impl Meeting {
    /// Listens at the rendezvous at shard 0. Connects to it at any other shard.
    pub(crate) fn open(
        rendezvous: &Rendezvous,
        plan: &Plan,
        presentation: &Presentation,
        setup: &Setup,
    ) -> Result<Self, TrialError> {
        let place = rendezvous.place.clone();
        let (news, incoming) = channel();
        let shared = Arc::new(Shared::new(setup.stop.clone(), news));
        let part = Part {
            shard: plan.shard.index,
            count: plan.shard.count,
            plan: hash_of(plan),
            version: build().version,
            key: Key::new(rendezvous.key.as_ref().map_or(String::new(), |key| key.reveal().to_owned())),
            timeout: rendezvous.timeout,
            most_of_a_result: MAX_DOCUMENT_BYTES,
            is_watched: presentation.web.is_some(),
        };
        let on_event = {
            let shared = Arc::clone(&shared);
            Box::new(move |event| shared.on_event(event))
        };
        let line = if plan.shard.index == 0 {
            let listen = |source| TrialError::Listen { place: place.clone(), source };
            Listener::bind(&addresses(rendezvous).map_err(listen)?).map_err(listen)?.open(&part, on_event)?
        } else {
            Line::connect(&place, &part, on_event)?
        };
        Ok(Self::new(line, (plan.shard, place), presentation.clone(), (shared, incoming)))
    }

    fn new(
        line: Line,
        (part, place): (Shard, String),
        presentation: Presentation,
        (shared, news): (Arc<Shared>, Receiver<News>),
    ) -> Self {
        let (later, at, late, is_watched, whole) = Default::default();
        Self { line, shard: part, place, news, later, shared, at, late, is_watched, presentation, whole }
    }

    /// Tells the other shards why this one cannot go on.
    pub(crate) fn failing(&self, error: TrialError) -> TrialError {
        let text: String = error.to_string().chars().take(MOST_OF_AN_ERROR).collect();
        let cause = if matches!(error, TrialError::Interrupted) { Cause::Signal } else { Cause::Lost };
        self.line.send(Command::Stop { cause, text });
        // Before the load, the end of another shard interrupts this one as a signal does.
        match (error, self.stopped()) {
            (TrialError::Interrupted, Some(elsewhere)) => TrialError::Elsewhere(elsewhere),
            (error, _) => error,
        }
    }

    /// Waits until all shards are ready and a common start is set.
    pub(super) fn gather(&self, plan: &Plan, show: Option<Show>, say: &mut dyn FnMut(&str)) -> Result<(), TrialError> {
        if self.is_host() {
            *lock(&self.shared.desk) = show.map(|show| Desk::new(plan, show));
        }
        self.line.send(Command::Ready { plan: hash_of(plan) });
        say(&format!("ready; waiting for the other shards at {}", self.place));
        let place = || self.place.clone();
        loop {
            match self.recv() {
                Ok(News::Event(Event::Said(line))) => say(&line),
                Ok(News::Event(Event::Start { at, error, watched, .. })) => {
                    self.at.set((at, error));
                    self.is_watched.set(watched);
                    return Ok(());
                }
                Ok(News::Event(Event::Refused(why))) => return Err(TrialError::Refused { place: place(), why }),
                Ok(News::Event(Event::Unmet(why))) => return Err(TrialError::Unmet { place: place(), why }),
                Ok(_) => {}
                Err(silence) => match (self.reason(), silence) {
                    (Some(Stop { cause: Cause::Signal, shard, .. }), _) if shard == self.shard.index => {
                        return Err(TrialError::Interrupted);
                    }
                    (Some(stop), _) => return Err(TrialError::Elsewhere(stop)),
                    (None, _) if self.shared.stop.is_signalled() => return Err(TrialError::Interrupted),
                    (None, RecvTimeoutError::Timeout) => {}
                    (None, RecvTimeoutError::Disconnected) => {
                        return Err(TrialError::Unmet { place: place(), why: NO_THREAD.to_owned() });
                    }
                },
            }
        }
    }

    /// Returns true at shard 0.
    pub(crate) const fn is_host(&self) -> bool {
        self.shard.index == 0
    }

    /// Returns the time left until the start that was set.
    pub(super) fn until_start(&self) -> SignedDuration {
        let left = self.line.until(self.at.get().0);
        SignedDuration::try_from(left).unwrap_or_default()
    }

    /// Waits for the start that was set. Returns it on this machine's monotonic clock.
    pub(super) fn begin(&self) -> Instant {
        let at = self.line.instant(self.at.get().0);
        // With the default slack, the kernel may wake us 50 µs late (prctl(2),
        // `PR_SET_TIMERSLACK`).
        let _ = nix::sys::prctl::set_timerslack(1);
        #[expect(clippy::disallowed_methods, reason = "waits for the instant that was set for all shards")]
        let now = loop {
            let now = Instant::now();
            let left = at.saturating_duration_since(now);
            if left.is_zero() || self.shared.stop.is_set() {
                break now;
            }
            if left > AWAKE {
                std::thread::sleep(left.saturating_sub(AWAKE).min(LOOK));
            } else {
                std::hint::spin_loop();
            }
        };
        self.late.set(now.saturating_duration_since(at).into());
        self.line.send(Command::Started { late: self.late.get() });
        now
    }

    /// Reports a second of this shard.
    pub(super) fn second(&self, second: &ShardSecond) {
        let text = second.to_json();
        if self.is_host() {
            if let Some(command) = self.shared.at_desk(0, |desk| desk.second(0, &text)) {
                self.line.send(command);
            }
        } else {
            self.line.send(Command::Second(text));
        }
    }

    /// Returns true if seconds must hold everything that was recorded in them.
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.get()
    }

    /// Returns how to make this shard's result so far, if it is wanted now. It is also made with
    /// the `last` second of a watched run: nothing is added after that.
    pub(super) fn wants_so_far(&self, last: bool) -> Option<&Presentation> {
        let is_wanted = self.shared.is_looked_at.swap(false, Ordering::Relaxed) || (last && self.is_watched());
        is_wanted.then_some(&self.presentation)
    }

    /// Sends this shard's result so far, without its seconds, which shard 0 already knows.
    pub(super) fn so_far(&self, document: Document) {
        let text = Document { series: Vec::new(), ..document }.to_json().into_bytes();
        if self.is_host() {
            // The run itself holds the receiver.
            let _ = self.shared.news.send(News::Event(Event::SoFar { shard: 0, text }));
        } else {
            self.line.send(Command::SoFar(text));
        }
    }

    /// Passes news on to the viewers.
    pub(super) fn pass_on(&self, viewers: &mut dyn Viewers) {
        for news in self.news.try_iter() {
            self.show(news, viewers);
        }
        self.look(viewers);
    }

    /// Asks all shards for their results so far if a viewer wants them.
    fn look(&self, viewers: &mut dyn Viewers) {
        if self.is_host() && self.is_watched() && viewers.asks() {
            self.whole.borrow_mut().ask();
            self.shared.is_looked_at.store(true, Ordering::Relaxed);
            self.line.send(Command::Look);
        }
    }

    /// Shows one piece of news. A lost shard is reported again when its result is asked for.
    fn show(&self, news: News, viewers: &mut dyn Viewers) {
        let mut whole = self.whole.borrow_mut();
        match news {
            News::Second(moment) => {
                if self.is_watched() {
                    whole.second(&moment.snapshot.second);
                }
                viewers.whole(moment);
            }
            News::Event(Event::Said(line)) => viewers.said(&line),
            News::Event(Event::Ended { shard }) => whole.end(shard),
            News::Event(Event::SoFar { shard, text }) => {
                match whole.take(shard, &text, (self.shard.count, self.presentation.fail_on_invalid)) {
                    Ok(document) => document.into_iter().for_each(|document| viewers.so_far(document)),
                    Err(problem) => viewers.said(&problem),
                }
            }
            News::Event(_) => {}
        }
    }

    /// Returns why all shards end, if they do. A shard without its rendezvous thread is lost.
    pub(super) fn stopped(&self) -> Option<Stop> {
        // This is read first: a reason that the thread gave last takes precedence.
        let is_over = self.line.is_over();
        let lost = Stop { cause: Cause::Lost, shard: self.shard.index, text: NO_THREAD.to_owned() };
        self.reason().or_else(|| is_over.then_some(lost))
    }

    /// Returns the reason that the rendezvous thread has given for the end.
    fn reason(&self) -> Option<Stop> {
        lock(&self.shared.reason).clone()
    }

    /// Returns the next news, if it comes soon. The error is `Disconnected` when the thread has
    /// ended and all its news was taken. The channel cannot tell: `shared` keeps a sender of its
    /// own.
    fn recv(&self) -> Result<News, RecvTimeoutError> {
        let is_over = self.line.is_over();
        let news = self.news.recv_timeout(if is_over { Duration::ZERO } else { LOOK });
        news.map_err(|silence| if is_over { RecvTimeoutError::Disconnected } else { silence })
    }

    /// Tells the other shards that this one ends early, which ends all of them.
    fn tell(&self, ended: &Ended) {
        let (cause, text) = match ended {
            Ended::Signal => (Cause::Signal, "a signal".to_owned()),
            Ended::Threshold(text) => (Cause::Threshold, text.clone()),
            Ended::ServerDied => (Cause::Lost, "its server has ended".to_owned()),
            Ended::Elsewhere(_) => return,
        };
        self.line.send(Command::Stop { cause, text });
    }

    /// Reports that the load of this shard is over; it was cut short if it `stopped`. Returns when
    /// it began.
    pub(super) fn ended(&self, ended: &mut Option<Ended>, stopped: bool) -> Start {
        if ended.is_none() && stopped {
            // The load stopped before a tick noticed why.
            *ended = Some(self.stopped().map_or(Ended::Signal, Ended::Elsewhere));
        }
        if let Some(ended) = ended {
            self.tell(ended);
        }
        self.line.send(Command::Ended);
        if let Some(command) = self.shared.at_desk(0, |desk| desk.end(0)) {
            self.line.send(command);
        }
        self.whole.borrow_mut().end(0);
        let ms = |time: Nanos| rounded(time.as_millis_f64());
        Start { late_ms: ms(self.late.get()), clock_error_ms: ms(self.at.get().1) }
    }

    /// Hands this shard's result to shard 0. The error says why that failed.
    pub(crate) fn hand_over(self, document: &Document) -> Result<(), String> {
        self.line.send(Command::Result(document.to_json().into_bytes()));
        loop {
            let is_gone = lock(&self.shared.gone).contains(&0);
            match if is_gone { Err(RecvTimeoutError::Disconnected) } else { self.next() } {
                Ok(News::Event(Event::Thanked)) => return Ok(()),
                Err(_) => {
                    let why = self.stopped().map_or_else(|| "it has disappeared".to_owned(), |stop| stop.text);
                    return Err(format!("shard 0 was lost before the merged result was written: {why}"));
                }
                Ok(_) => {}
            }
        }
    }

    /// Returns the next news after the load of this shard. A signal still ends the other shards.
    fn next(&self) -> Result<News, RecvTimeoutError> {
        loop {
            match self.recv() {
                Err(RecvTimeoutError::Timeout) if self.shared.stop.is_signalled() && self.reason().is_none() => {
                    self.tell(&Ended::Signal);
                }
                Err(RecvTimeoutError::Timeout) => {}
                news => return news,
            }
        }
    }

    /// At shard 0: takes the results of all shards, one by one, and merges them with its own.
    pub(crate) fn collect(
        &self,
        own: Document,
        fail_on_invalid: bool,
        viewers: &mut dyn Viewers,
    ) -> Result<Collected, MergeError> {
        let mut merge = Merge::default();
        let mut missing = Vec::new();
        merge.add("shard 0", own)?;
        for shard in 1..self.shard.count {
            let name = format!("shard {shard}");
            let taken = self.result_of(shard, viewers).and_then(|text| {
                let document = Document::from_json(&text).map_err(|error| error.to_string())?;
                merge.add(&name, document).map_err(|error| error.to_string())
            });
            if let Err(why) = taken {
                missing.push(format!("{name}: {why}"));
            }
        }
        let mut whole = merge.finish(!missing.is_empty(), fail_on_invalid)?;
        if let Some(first) = missing.first() {
            whole.run.incomplete = true;
            whole.run.stop_reason.get_or_insert_with(|| first.clone());
            let defects: Vec<String> = whole.verdict.defects().map(str::to_owned).collect();
            whole.judge(Strictness { fail_on_invalid, defects: &defects });
        }
        Ok(Collected { whole, missing })
    }

    /// At shard 0: tells the others that the whole result is written. They may not leave earlier: a
    /// scheduler that sees one shard end may end the others.
    pub(crate) fn dismiss(self) {
        (1..self.shard.count).for_each(|shard| self.line.send(Command::Thank { shard }));
    }

    fn result_of(&self, of: u32, viewers: &mut dyn Viewers) -> Result<String, String> {
        self.line.send(Command::Ask { shard: of });
        loop {
            match self.next() {
                Ok(News::Event(Event::Result { shard, text })) if shard == of => {
                    return String::from_utf8(text).map_err(|_| "its result is not text".to_owned());
                }
                Ok(News::Event(Event::Gone { shard })) if shard == of => {
                    let stop = self.stopped().filter(|stop| stop.shard == of && stop.cause == Cause::Lost);
                    return Err(stop.map_or_else(|| "it was lost".to_owned(), |stop| stop.text));
                }
                Ok(news) => {
                    self.show(news, viewers);
                    self.look(viewers);
                }
                Err(_) => return Err(NO_THREAD.to_owned()),
            }
        }
    }
}

impl Shared {
    fn new(stop: signals::Stop, news: Sender<News>) -> Self {
        let (reason, gone, desk, has_start, is_looked_at) = Default::default();
        Self { stop, reason, gone, desk, has_start, is_looked_at, news }
    }

    /// Handles an event on the rendezvous thread. May return a command in reply.
    fn on_event(&self, event: Event) -> Option<Command> {
        match event {
            Event::Second { shard, ref text } if lock(&self.desk).is_some() => {
                return self.at_desk(shard, |desk| desk.second(shard, text));
            }
            Event::Ended { shard } | Event::StepOver { shard, .. } => {
                let command = self.at_desk(shard, |desk| desk.end(shard));
                let _ = self.news.send(News::Event(event));
                return command;
            }
            Event::Look => {
                self.is_looked_at.store(true, Ordering::Relaxed);
                return None;
            }
            Event::Stop(stop) => {
                lock(&self.reason).get_or_insert(stop);
                // Before the load, this ends whatever blocks, as a signal does.
                if *lock(&self.has_start) {
                    self.stop.set();
                } else {
                    self.stop.signal();
                }
                return None;
            }
            Event::Start { .. } => *lock(&self.has_start) = true,
            Event::Gone { shard } => lock(&self.gone).push(shard),
            _ => {}
        }
        // The run may have dropped the receiver.
        let _ = self.news.send(News::Event(event));
        None
    }

    /// Applies `work` to shard 0's desk. All shards end if a threshold fails there, or if the
    /// seconds of a shard are invalid.
    fn at_desk(&self, shard: u32, work: impl FnOnce(&mut Desk) -> Result<Seen, FieldError>) -> Option<Command> {
        let seen = work(lock(&self.desk).as_mut()?);
        match seen {
            Ok(Seen { seconds, failed }) => {
                for second in seconds {
                    let _ = self.news.send(News::Second(second));
                }
                failed.map(|text| Command::Stop { cause: Cause::Threshold, text })
            }
            Err(error) => {
                let text = format!("shard {shard} sent an invalid second: {error}");
                Some(Command::Stop { cause: Cause::Lost, text })
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the addresses at which shard 0 listens: all, unless the rendezvous is on the loopback,
/// since a machine's own name may resolve to an address that other machines cannot reach.
fn addresses(rendezvous: &Rendezvous) -> std::io::Result<Vec<SocketAddr>> {
    let Rendezvous { place, port, is_loopback, .. } = rendezvous;
    if *is_loopback {
        return Ok(place.to_socket_addrs()?.collect());
    }
    Ok(vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::{busy_tally, document};
    use crate::plan::{Overrides, resolve};

    /// A shard whose thread has ended, perhaps after one last event.
    fn without_a_thread(said: Option<Event>) -> Meeting {
        let (news, incoming) = channel();
        if let Some(event) = said {
            news.send(News::Event(event)).unwrap_or_else(|_| unreachable!("we listen"));
        }
        let shared = Arc::new(Shared::new(signals::Stop::default(), news));
        let part = Shard::of_process(1, 2);
        Meeting::new(Line::dead(), (part, "x:1".to_owned()), Presentation::default(), (shared, incoming))
    }

    #[test]
    fn a_thread_that_dies_is_an_error_at_once() {
        let none = &mut |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), none).expect("built in").plan;
        let gather = |meeting: &Meeting| meeting.gather(&plan, None, &mut |_| {}).map_err(|e| e.to_string());
        let expected = "--rendezvous x:1: the thread of the rendezvous has ended; nothing was sent";
        assert_eq!(gather(&without_a_thread(None)), Err(expected.to_owned()));
        // The last event takes precedence.
        let refused = gather(&without_a_thread(Some(Event::Refused("no".to_owned())))).unwrap_err();
        assert!(refused.contains("shard 0 has refused this shard: no"), "{refused}");

        let meeting = without_a_thread(None);
        let stop = meeting.stopped().expect("a reason");
        assert_eq!((stop.cause, stop.shard, stop.text.as_str()), (Cause::Lost, 1, NO_THREAD));
        assert!(meeting.next().is_err());
        let why = meeting.hand_over(&document(&busy_tally(), &[], false)).unwrap_err();
        assert!(why.ends_with(NO_THREAD), "{why}");
        assert_eq!(without_a_thread(Some(Event::Thanked)).hand_over(&document(&busy_tally(), &[], false)), Ok(()));
    }
}
