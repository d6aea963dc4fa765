//! The API key of a test, if it may change. A command is asked for the key before anything is sent.
//! While the test runs, a separate thread reads the key again.

use super::error::TrialError;
use super::provenance::wall_clock;
use super::signals::Stop;
use crate::metrics::hints::Hint;
use crate::plan::{Credentials, KeySource, Plan, limits};
use crate::redact::Redactor;
use crate::server::printed;
use crate::units::{Nanos, plural};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

/// Longest wait for a command: it may have to ask another service.
const COMMAND_WITHIN: Nanos = Nanos::from_secs(30);
/// Pause between two checks of a file, or of whether a command is due.
const LOOK_EVERY: Nanos = Nanos::from_secs(1);
/// Pause before a failed command is run again, unless it is due earlier.
const TRY_AGAIN: Nanos = Nanos::from_secs(10);
/// Seconds before a key expires at which a command is asked for another one, as AWS's own programs
/// do.
const BEFORE_IT_EXPIRES: i64 = 5 * 60;
/// Failed reads after which a problem is reported. A file that is written in place may be read half
/// written, so the first failure is not reported.
const LOOKS_IN_VAIN: u32 = 2;

/// Gets the key if a command provides it, and keeps it fresh until the last copy of the plan is
/// dropped.
pub(crate) fn begin(plan: &Plan, stop: &Stop) -> Result<(), TrialError> {
    let credentials = &plan.credentials;
    let Some(source) = credentials.source.clone() else { return Ok(()) };
    if let KeySource::Command { line, .. } = &source {
        let line = line.clone();
        let text = stop.wait_for(move || run(line.reveal()))?;
        let renewed = text.and_then(|text| credentials.renew(&text).map_err(|problem| format!("it {problem}")));
        if let Err(problem) = renewed {
            let place = source.place().to_owned();
            return Err(TrialError::NoKey { place, problem }.redacted(&plan.redactor()));
        }
    }
    let (credentials, redactor) = (credentials.clone(), plan.redactor());
    if !matches!(source, KeySource::Command { refresh: None, .. }) || credentials.keys.expires().is_some() {
        std::thread::Builder::new()
            .name("key".to_owned())
            .spawn(move || keep_fresh(&source, &credentials, &redactor))?;
    }
    Ok(())
}

fn run(line: &str) -> Result<String, String> {
    printed(line, limits::MAX_KEY_BYTES, COMMAND_WITHIN).map_err(|error| error.to_string())
}

/// The state of a file that was read. Another file, or another modification time, is another state.
type State = (u64, u64, i64, i64, u64);

fn state(path: &Path) -> io::Result<State> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limits::MAX_KEY_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// The state of the repeated reads: the file state that was read last, and the failures since.
#[derive(Debug, Default)]
struct Course {
    read: Option<State>,
    in_vain: u32,
}

impl Course {
    /// Reads the key from a file that has changed. Returns true if the key is new.
    fn look(&mut self, path: &Path, credentials: &Credentials) -> Result<bool, String> {
        let read = || -> io::Result<Option<(State, String)>> {
            let now = state(path)?;
            if self.read == Some(now) { Ok(None) } else { Ok(Some((now, text(path)?))) }
        };
        match read().map_err(|error| format!("cannot be read: {error}"))? {
            None => Ok(false),
            Some((now, text)) => {
                let is_new = credentials.renew(&text)?;
                self.read = Some(now);
                Ok(is_new)
            }
        }
    }

    /// Returns the message to show about a read, if there is one.
    fn outcome(&mut self, source: &KeySource, read: Result<bool, String>) -> Option<Result<String, String>> {
        let place = source.place();
        match read {
            Ok(is_new) => {
                self.in_vain = 0;
                is_new.then(|| Ok(format!("{place}: the API key has changed, and the new key is now in use")))
            }
            Err(problem) => {
                self.in_vain = self.in_vain.saturating_add(1);
                let enough = if matches!(source, KeySource::File { .. }) { LOOKS_IN_VAIN } else { 1 };
                (self.in_vain >= enough).then(|| Err(format!("{place} {problem}")))
            }
        }
    }
}

/// Returns true if a command that last ran `asked` ago is to run again: its pause has passed, or
/// its key, which is valid for `left` seconds, is about to expire.
fn is_due(asked: Nanos, pause: Option<Nanos>, left: Option<i64>) -> bool {
    let expires = left.is_some_and(|left| left < BEFORE_IT_EXPIRES);
    pause.is_some_and(|pause| asked >= pause) || (expires && asked >= TRY_AGAIN)
}

#[expect(clippy::disallowed_methods, reason = "waits for files and other processes, on a thread of its own")]
fn keep_fresh(source: &KeySource, credentials: &Credentials, redactor: &Redactor) {
    let mut course = Course::default();
    let (mut asked, mut pause) = (Instant::now(), None);
    if let KeySource::Command { refresh, .. } = source {
        pause = *refresh;
    }
    let left = || credentials.keys.expires().map(|at| at.saturating_sub(wall_clock().as_second()));
    while !credentials.keys.is_abandoned() {
        std::thread::sleep(LOOK_EVERY.to_duration());
        let read = match source {
            KeySource::File { path, .. } => course.look(path, credentials),
            KeySource::Command { .. } if !is_due(asked.elapsed().into(), pause, left()) => continue,
            KeySource::Command { line, refresh, .. } => {
                asked = Instant::now();
                let read = run(line.reveal()).map_err(|problem| format!("gave no key: {problem}"));
                let read = read.and_then(|text| credentials.renew(&text));
                let sooner = refresh.map_or(TRY_AGAIN, |refresh| refresh.min(TRY_AGAIN));
                pause = if read.is_ok() { *refresh } else { Some(sooner) };
                read
            }
        };
        match course.outcome(source, read) {
            None => {}
            Some(Ok(line)) => credentials.keys.tell(redactor.foreign_line(line.as_bytes())),
            Some(Err(problem)) => {
                let problem = redactor.foreign_line(problem.as_bytes());
                if course.in_vain <= LOOKS_IN_VAIN {
                    credentials.keys.tell(format!("warning: {problem}; the previous key stays in use"));
                }
                credentials.keys.failed(problem);
            }
        }
    }
}

/// Returns a hint if the key could not be read again.
pub(super) fn hint(plan: &Plan) -> Option<Hint> {
    let (times, last) = plan.credentials.keys.failures()?;
    let text = format!(
        "the API key could not be read again ({}; the last time: {last}): the previous key stayed in use and may have \
         expired",
        plural(times, "time")
    );
    Some(Hint { name: "api_key".to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_asked_again_when_it_is_time_or_its_key_expires() {
        let (minute, hour) = (Nanos::from_secs(60), Nanos::from_secs(3600));
        for (asked, pause, left, due) in [
            (hour, None, None, false),
            (hour, Some(minute), None, true),
            (minute, Some(hour), None, false),
            (minute, None, Some(300), false),
            (minute, None, Some(299), true),
            (minute, Some(hour), Some(-1), true),
            // A command that returns the same key again is not run all the time.
            (Nanos::from_secs(9), None, Some(10), false),
        ] {
            assert_eq!(is_due(asked, pause, left), due, "{asked} {pause:?} {left:?}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_a_bad_one_is_told_at_the_second_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let source = KeySource::File { place: "--api-key-file".to_owned(), path: path.clone() };
        let (credentials, mut course) = (Credentials::default(), Course::default());
        let mut look = |text: Option<&str>| {
            if let Some(text) = text {
                // Replaces the file by another of that name, as schedulers do.
                fs::write(folder.path().join("new"), text).expect("written");
                fs::rename(folder.path().join("new"), &path).expect("renamed");
            }
            let read = course.look(&path, &credentials);
            course.outcome(&source, read)
        };
        assert!(look(None).is_none(), "the first failure may be a file that is being replaced");
        assert!(look(None).expect("told").expect_err("missing").contains("--api-key-file cannot be read: No such"));
        assert!(look(Some("first\n")).expect("told").expect("fine").contains("has changed"));
        assert!(look(None).is_none() && look(Some("first")).is_none(), "the same key");
        assert!(look(Some("")).is_none());
        let problem = look(None).expect("told").expect_err("no key");
        assert!(problem.contains("does not hold an API key: expected one line"), "{problem}");
        assert_eq!(credentials.key().expect("the key before").reveal(), "first");
        assert!(look(Some("second")).is_some());
        assert_eq!((credentials.key().expect("a key").reveal(), credentials.keys.changes()), ("second", 2));
    }
}
