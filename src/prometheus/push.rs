//! Writes a run to a Prometheus while it lasts.
//!
//! A separate thread sends a sample of everything every `EVERY` seconds. Samples that cannot be
//! sent wait in a short queue and are sent again after a pause that doubles. Samples are sums, so a
//! lost one costs resolution but no counts. The last one is retried a few times, within
//! `FINISH_WAIT`. The load does not know about this, and the result of the run does not depend on
//! it.

use super::batch::Sent;
use super::counts::Counts;
use super::pause::Pause;
use crate::live::Snapshot;
use crate::metrics::Tally;
use crate::net::tls::{Client, Name, TlsConfigError};
use crate::net::{Access, Endpoint, Target, look_up};
use crate::redact::Redactor;
use crate::units::{Nanos, plural};
use crate::watch::probe;
use base64::Engine as _;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread::JoinHandle;

/// Seconds between samples.
const EVERY: u64 = 2;
/// Longest time for one attempt, connecting included.
const TIMEOUT: Nanos = Nanos::from_secs(3);
/// Longest time for one attempt at the end.
const LAST_TIMEOUT: Nanos = Nanos::from_secs(2);
/// Most samples that wait: those of two minutes. The oldest are dropped first.
const MAX_WAITING: usize = 60;
/// Attempts at the end, and the pause after the first of them, which doubles.
const LAST_ATTEMPTS: u32 = 3;
const LAST_PAUSE: Nanos = Nanos::from_millis(400);
/// Longest time for the end if nothing responds: an attempt that is under way, the last ones with
/// their pauses, and the end of the series.
const SILENT_END: u64 =
    TIMEOUT.0 + LAST_ATTEMPTS as u64 * LAST_TIMEOUT.0 + (LAST_PAUSE.0 << (LAST_ATTEMPTS - 1)) + LAST_TIMEOUT.0;
/// Longest wait for the thread at the end.
const FINISH_WAIT: Nanos = Nanos::from_secs(20);
const _: () = assert!(FINISH_WAIT.0 > SILENT_END + SILENT_END / 2, "a busy machine takes longer");
/// Bytes of a response that are quoted.
const MOST_OF_AN_ANSWER: usize = 200;

/// The receiver of the samples, with credentials.
#[derive(Debug, Clone)]
pub struct Receiving {
    pub target: Target,
    /// The TLS settings for the receiver.
    pub tls: crate::net::access::Tls,
    /// The value of `Authorization`.
    pub authorization: Option<Authorization>,
    /// Hides the secrets of the run, including those of this URL.
    pub redactor: Redactor,
}

/// Credentials. Their text is never shown.
#[derive(Clone)]
pub enum Authorization {
    Bearer(String),
    /// User and password, separated by a colon.
    Basic(String),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(crate::redact::HIDDEN)
    }
}

impl Authorization {
    fn value(&self) -> String {
        match self {
            Self::Bearer(token) => format!("Bearer {token}"),
            Self::Basic(pair) => format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)),
        }
    }
}

enum Item {
    Begin { first: Box<Snapshot>, worker_cores: Vec<usize> },
    Second { snapshot: Arc<Snapshot>, interval: Arc<Tally> },
}

/// The connection to a Prometheus.
#[derive(Debug)]
pub struct Push {
    items: Sender<Item>,
    /// The outcome. The thread closes the channel when it ends.
    outcome: Receiver<Outcome>,
    thread: JoinHandle<()>,
    /// The URL as messages show it.
    url: String,
}

/// The outcome of all attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Outcome {
    arrived: u64,
    lost: u64,
    /// True if the last sample arrived.
    is_complete: bool,
    /// The reason of the last failure.
    problem: String,
}

impl Push {
    /// Starts the thread, which waits for the run.
    ///
    /// # Errors
    ///
    /// Fails if TLS cannot be set up as requested, or if the thread cannot be started.
    pub fn open(receiving: Receiving) -> Result<Self, PushError> {
        let url = receiving.redactor.own(&receiving.target.url);
        let (items, incoming) = channel();
        let (telling, outcome) = sync_channel(1);
        let (ready, begun) = sync_channel(1);
        let thread = std::thread::Builder::new().name("prometheus".to_owned()).spawn(move || {
            crate::host::give_way();
            // The maker of TLS sessions stays on its thread.
            let (writer, is_ready) = match Writer::new(receiving) {
                Ok(writer) => (Some(writer), Ok(())),
                Err(error) => (None, Err(error)),
            };
            let _ = ready.send(is_ready);
            // The receiver may no longer be waiting.
            let _ = writer.map(|writer| telling.send(writer.run(&incoming)));
        })?;
        // A thread that ended without a message is noticed at the end.
        begun.recv().unwrap_or(Ok(()))?;
        Ok(Self { items, outcome, thread, url })
    }

    /// Notes that the load begins.
    pub fn begin(&self, first: Snapshot, worker_cores: &[usize]) {
        self.tell(Item::Begin { first: Box::new(first), worker_cores: worker_cores.to_vec() });
    }

    /// Notes that a second is over. Never waits.
    pub fn second(&self, snapshot: &Arc<Snapshot>, interval: &Arc<Tally>) {
        self.tell(Item::Second { snapshot: Arc::clone(snapshot), interval: Arc::clone(interval) });
    }

    fn tell(&self, item: Item) {
        // A thread that has ended has reported the reason.
        let _ = self.items.send(item);
    }

    /// Waits until the last sample has arrived, but not forever. Returns a message if samples were
    /// lost, else `None`.
    pub fn finish(self) -> Option<String> {
        let Self { items, outcome, thread, url } = self;
        drop(items);
        let outcome = match outcome.recv_timeout(FINISH_WAIT.to_duration()) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => {
                return Some(format!(
                    "--prometheus-write {url}: it did not finish within {FINISH_WAIT}; the last sample may be missing"
                ));
            }
            // A panic of the thread was already printed.
            Err(RecvTimeoutError::Disconnected) => return Some(format!("--prometheus-write {url}: it ended early")),
        };
        let _ = thread.join();
        outcome.told(&url)
    }
}

impl Outcome {
    fn told(&self, url: &str) -> Option<String> {
        let Self { arrived, lost, is_complete, problem } = self;
        if *lost == 0 && *is_complete {
            return None;
        }
        let all = plural(arrived + lost, "sample");
        let end =
            if *is_complete { "the last one, which counts everything, arrived" } else { "the last one is missing" };
        Some(format!("--prometheus-write {url}: {lost} of {all} were lost, and {end} ({problem})"))
    }
}

/// The reason why samples cannot be sent at all. It is reported before the run.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    #[error("no thread can be started: {0}")]
    Thread(#[from] io::Error),
}

/// The reason why an attempt failed.
enum Failed {
    /// Another attempt may succeed.
    Now(String),
    /// No other attempt can succeed.
    ForGood(String),
}

/// The state of the thread.
struct Writer {
    receiving: Receiving,
    redactor: Redactor,
    /// Makes sessions, and holds the expected name of the server. `None` without TLS.
    tls: Option<(Client, Name)>,
    counts: Option<Counts>,
    sent: Sent,
    /// Start of the run, in ms since 1970.
    began: i64,
    /// Seconds since the last sample.
    seconds: u64,
    /// Time since the start at the last second that arrived. `None` before the first.
    last: Option<Nanos>,
    waiting: VecDeque<Vec<u8>>,
    pause: Pause,
    outcome: Outcome,
}

impl Writer {
    fn new(receiving: Receiving) -> Result<Self, TlsConfigError> {
        let Target { tls: is_secure, .. } = receiving.target;
        let tls = is_secure
            .then(|| {
                Ok::<_, TlsConfigError>((Client::new(&receiving.tls, 1)?, Name::new(receiving.target.bare_host())?))
            })
            .transpose()?;
        // A query may hold a key, and no message needs its values.
        let values = receiving.target.query.split('&').map(|one| one.split_once('=').map_or(one, |(_, value)| value));
        let of_query = values.map(str::to_owned);
        Ok(Self {
            redactor: receiving.redactor.and(of_query.collect::<Vec<_>>()),
            receiving,
            tls,
            counts: None,
            sent: Sent::default(),
            began: 0,
            seconds: 0,
            last: None,
            waiting: VecDeque::new(),
            pause: Pause::default(),
            outcome: Outcome { is_complete: true, ..Outcome::default() },
        })
    }

    fn run(mut self, incoming: &Receiver<Item>) -> Outcome {
        while let Ok(item) = incoming.recv() {
            self.take(item);
            // Seconds that came during the last attempt are counted first, because they tell how
            // late it is.
            for item in incoming.try_iter() {
                self.take(item);
            }
            self.attempt();
        }
        self.end();
        self.outcome
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Begin { first, worker_cores } => {
                crate::host::keep_off(&worker_cores);
                self.began = first.outline.started_at_ms;
                let counts = Counts::new(Arc::clone(&first.outline));
                self.queue_sample(&counts, Nanos::ZERO);
                self.counts = Some(counts);
            }
            Item::Second { snapshot, interval } => self.second(&snapshot, &interval),
        }
    }

    fn second(&mut self, snapshot: &Snapshot, interval: &Tally) {
        let Some(mut counts) = self.counts.take() else { return };
        counts.add(snapshot, interval);
        self.last = Some(snapshot.elapsed);
        self.seconds += 1;
        if self.seconds >= EVERY {
            self.queue_sample(&counts, snapshot.elapsed);
        }
        self.counts = Some(counts);
    }

    fn queue_sample(&mut self, counts: &Counts, elapsed: Nanos) {
        self.seconds = 0;
        let at = self.began + (elapsed.as_micros() / 1_000).cast_signed();
        let batch = self.sent.batch(counts, at);
        self.waiting.push_back(batch);
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
            self.outcome.lost += 1;
        }
    }

    /// Sends the waiting samples, unless it is too early after a failure.
    fn attempt(&mut self) {
        let now = self.last.unwrap_or(Nanos::ZERO);
        while !self.pause.lasts(now)
            && let Some(batch) = self.waiting.front()
        {
            match self.send(batch, TIMEOUT) {
                Ok(()) => self.arrived(),
                Err(Failed::ForGood(problem)) => self.dropped(problem),
                Err(Failed::Now(problem)) => {
                    self.outcome.problem = problem;
                    self.pause.failed();
                    return;
                }
            }
        }
    }

    fn arrived(&mut self) {
        self.waiting.pop_front();
        self.outcome.arrived += 1;
        self.pause.succeeded();
    }

    fn dropped(&mut self, problem: String) {
        self.waiting.pop_front();
        self.outcome.lost += 1;
        self.outcome.problem = problem;
    }

    /// Sends the last sample and the end of every series.
    fn end(&mut self) {
        let (Some(counts), Some(last)) = (self.counts.take(), self.last) else { return };
        self.queue_sample(&counts, last);
        let mut failures = 0;
        while let Some(batch) = self.waiting.front() {
            // The last sample counts everything, so after a failure only that one is worth an
            // attempt.
            let is_last = self.waiting.len() == 1;
            match self.send(batch, LAST_TIMEOUT) {
                Ok(()) => self.arrived(),
                Err(Failed::ForGood(problem)) => {
                    self.outcome.is_complete &= !is_last;
                    self.dropped(problem);
                }
                Err(Failed::Now(problem)) => {
                    failures += 1;
                    while self.waiting.len() > 1 {
                        self.dropped(problem.clone());
                    }
                    if failures >= LAST_ATTEMPTS {
                        self.outcome.is_complete = false;
                        self.dropped(problem);
                        return;
                    }
                    pause(LAST_PAUSE.to_duration() * (1 << (failures - 1)));
                }
            }
        }
        // Without it, series end by themselves after five minutes.
        let _ = self.sent.end().map(|end| self.send(&end, LAST_TIMEOUT));
    }

    fn send(&self, batch: &[u8], timeout: Nanos) -> Result<(), Failed> {
        let text = |problem: &str| self.redactor.foreign_line(problem.as_bytes());
        let now = |problem: String| Failed::Now(text(&problem));
        let Receiving { target, authorization, .. } = &self.receiving;
        let addrs = look_up(target, &Access::default()).map_err(|error| now(error.to_string()))?;
        let tls = self.tls.as_ref().map(|(client, name)| (client, name));
        let endpoint = Endpoint { addrs, tls, ..Endpoint::default() };
        let request = request(target, authorization.as_ref(), batch);
        let reply = probe::ask_at(&endpoint, &request, timeout).map_err(|error| now(error.to_string()))?;
        if (200..300).contains(&reply.status) {
            return Ok(());
        }
        let said = text(&String::from_utf8_lossy(&reply.body[..reply.body.len().min(MOST_OF_AN_ANSWER)]));
        let problem = format!("HTTP {}: {}", reply.status, said.trim());
        let problem = problem.trim_end_matches([':', ' ']).to_owned();
        Err(if reply.status == 429 || reply.status >= 500 { Failed::Now(problem) } else { Failed::ForGood(problem) })
    }
}

fn request(target: &Target, authorization: Option<&Authorization>, batch: &[u8]) -> Vec<u8> {
    let query = if target.query.is_empty() { String::new() } else { format!("?{}", target.query) };
    let authorization = authorization.map_or_else(String::new, |it| format!("Authorization: {}\r\n", it.value()));
    let head = format!(
        "POST {}{query} HTTP/1.1\r\nHost: {}\r\nUser-Agent: llmsim-blast/{}\r\n{authorization}\
         Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        target.path_prefix,
        target.authority(),
        env!("CARGO_PKG_VERSION"),
        batch.len(),
    );
    [head.as_bytes(), batch].concat()
}

#[expect(clippy::disallowed_methods, reason = "the test is over: this waits between attempts to tell another server")]
fn pause(length: std::time::Duration) {
    std::thread::sleep(length);
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::unpacked;
    use super::*;

    #[test]
    fn a_request_says_who_it_is_and_what_it_holds() {
        let target = Target::parse("http://127.0.0.1:9090/api/v1/write?tenant=1").expect("a URL");
        let basic = Authorization::Basic("user:pa55".to_owned());
        let text = String::from_utf8(request(&target, Some(&basic), b"xyz")).expect("text");
        assert!(text.starts_with("POST /api/v1/write?tenant=1 HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n"), "{text}");
        for line in ["Authorization: Basic dXNlcjpwYTU1", "Content-Encoding: snappy", "Content-Length: 3"] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
        assert!(text.ends_with("\r\n\r\nxyz") && !format!("{basic:?}").contains("pa55"));
    }

    #[test]
    fn a_key_in_the_url_is_not_repeated() {
        let receiving = Receiving {
            target: Target::parse("http://127.0.0.1:1/key-in-a-path-01/write").expect("a URL"),
            tls: crate::net::access::Tls::default(),
            authorization: None,
            redactor: Redactor::new(["key-in-a-path-01".to_owned()]),
        };
        let push = Push::open(receiving).expect("no TLS");
        assert_eq!(push.url, "http://127.0.0.1:1/[hidden]/write");
        assert_eq!(push.finish(), None, "nothing was to be sent");
    }

    #[test]
    fn what_was_lost_is_said() {
        let outcome = |arrived, lost, is_complete| {
            Outcome { arrived, lost, is_complete, problem: "HTTP 500".to_owned() }.told("http://p/")
        };
        assert_eq!(outcome(3, 0, true), None);
        let said = outcome(3, 1, true).expect("a loss");
        assert!(
            said.contains("1 of 4 samples were lost, and the last one, which counts everything, arrived"),
            "{said}"
        );
        assert!(outcome(0, 1, false).expect("a loss").contains("the last one is missing (HTTP 500)"));
    }

    #[test]
    fn the_oldest_samples_give_way() {
        let receiving = Receiving {
            target: Target::parse("http://127.0.0.1:1/").expect("a URL"),
            tls: crate::net::access::Tls::default(),
            authorization: None,
            redactor: Redactor::default(),
        };
        let mut writer = Writer::new(receiving).expect("no TLS");
        let counts = super::super::counts::tests::counts();
        for second in 0..MAX_WAITING as u64 + 3 {
            writer.queue_sample(&counts, Nanos::from_secs(second));
        }
        assert_eq!((writer.waiting.len(), writer.outcome.lost), (MAX_WAITING, 3));
        let oldest = unpacked(&writer.waiting[0]);
        assert_eq!(oldest.timeseries[0].samples[0].timestamp, 3_000);
    }
}
