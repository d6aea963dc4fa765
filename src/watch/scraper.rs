//! Reads a server's metrics while it is tested, on a separate thread.
//!
//! The thread sends a request when it is told to, once a second. While it waits for a response, it
//! is not told again: a slow server has fewer readings, and nothing waits for it.

use super::probe::{ProbeError, Reply};
use super::self_report::Report;
use crate::units::Nanos;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

/// Useless responses in a row after which the thread stops asking.
const MOST_FAILURES: u32 = 5;
/// Capacity of the channel of readings, which is read at the end only. A day has fewer seconds.
const MOST_READINGS: usize = 100_000;

/// The metrics of a server at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Time since the beginning of the test.
    pub at: Nanos,
    pub report: Report,
}

/// All readings, and the failures.
#[derive(Debug, Default)]
pub struct Readings {
    /// The readings in order.
    pub readings: Vec<Reading>,
    /// Requests without a usable response.
    pub failed: u32,
    /// The reason of the last failure.
    pub problem: Option<String>,
}

/// Sends one request. It stays on the thread that made it.
pub type Question = Box<dyn FnMut() -> Result<Reply, ProbeError>>;

/// The thread that sends the requests.
#[derive(Debug)]
pub struct Scraper {
    ask: SyncSender<Nanos>,
    answers: Receiver<Result<Reading, String>>,
}

impl Scraper {
    /// Starts the thread. `make` makes the question there. `own` lists names to look for beside the
    /// known ones. `None` if the thread cannot be started.
    pub fn start(make: impl FnOnce() -> Option<Question> + Send + 'static, own: Vec<String>) -> Option<Self> {
        let (ask, asked) = sync_channel::<Nanos>(1);
        let (answer, answers) = sync_channel(MOST_READINGS);
        let work = move || {
            let Some(mut question) = make() else { return };
            let mut failures = 0;
            for at in asked {
                let reading = read(question(), &own).map(|report| Reading { at, report });
                failures = if reading.is_ok() { 0 } else { failures + 1 };
                if answer.try_send(reading).is_err() || failures >= MOST_FAILURES {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("server-metrics".to_owned()).spawn(work).ok()?;
        Some(Self { ask, answers })
    }

    /// Requests a reading. Never blocks.
    pub fn tick(&self, elapsed: Nanos) {
        // If the channel is full, a response is still awaited. If it is disconnected, the thread
        // has given up.
        let _ = self.ask.try_send(elapsed);
    }

    /// Returns the readings. Waits at most `patience` for a response under way.
    pub fn finish(self, patience: Nanos) -> Readings {
        let Self { ask, answers } = self;
        drop(ask);
        let mut all = Readings::default();
        loop {
            match answers.recv_timeout(patience.to_duration()) {
                Ok(Ok(reading)) => all.readings.push(reading),
                Ok(Err(problem)) => {
                    all.failed += 1;
                    all.problem = Some(problem);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return all,
            }
        }
    }
}

/// Reads the metrics of a response.
pub fn read(answer: Result<Reply, ProbeError>, own: &[String]) -> Result<Report, String> {
    let reply = answer.map_err(|error| error.to_string())?;
    if reply.status != 200 {
        return Err(format!("status {}", reply.status));
    }
    let report = Report::read(&reply.body, own);
    if report.says_anything() { Ok(report) } else { Err("it contains no known metric".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as it stands among answers that failed")]
    fn reply(status: u16, body: &str) -> Result<Reply, ProbeError> {
        Ok(Reply { status, body: body.as_bytes().to_vec() })
    }

    /// Returns the readings for these responses, each to a tick of its own.
    fn learned(answers: Vec<Result<Reply, ProbeError>>) -> Readings {
        let (asked, was_asked) = sync_channel::<()>(0);
        let n = answers.len();
        let mut answers = answers.into_iter();
        let make = move || {
            let question = move || {
                let answer = answers.next().unwrap_or(Err(ProbeError::Refused));
                let _ = asked.send(());
                answer
            };
            Some(Box::new(question) as Question)
        };
        let scraper = Scraper::start(make, Vec::new()).expect("a thread");
        for second in 0..n as u64 {
            scraper.tick(Nanos::from_secs(second));
            if was_asked.recv().is_err() {
                break;
            }
        }
        scraper.finish(Nanos::from_secs(60))
    }

    #[test]
    fn readings_come_in_order_and_bad_answers_are_counted() {
        let good = || reply(200, "vllm:num_requests_running 2\n");
        let all = learned(vec![good(), reply(503, ""), reply(200, "x 1\n"), Err(ProbeError::Refused), good()]);
        let at: Vec<u64> = all.readings.iter().map(|reading| reading.at.0 / 1_000_000_000).collect();
        assert_eq!((at.as_slice(), all.failed), (&[0, 4][..], 3));
        assert_eq!(all.problem.as_deref(), Some("connection refused"));
    }

    #[test]
    fn a_server_that_says_nothing_is_left_alone() {
        let all = learned((0..20).map(|_| reply(404, "")).collect());
        assert_eq!((all.failed, all.problem.as_deref()), (MOST_FAILURES, Some("status 404")));
    }

    #[test]
    fn nobody_waits_for_a_server_that_hangs() {
        let (release, hold) = sync_channel::<()>(0);
        let make = move || {
            Some(Box::new(move || {
                let _ = hold.recv();
                Err(ProbeError::Refused)
            }) as Question)
        };
        let scraper = Scraper::start(make, Vec::new()).expect("a thread");
        (0..5).for_each(|second| scraper.tick(Nanos::from_secs(second)));
        let all = scraper.finish(Nanos::from_millis(10));
        assert_eq!((all.readings.len(), all.failed), (0, 0));
        drop(release);
    }
}
