//! What a command prints that gives something to this program, such as a key. It is run as a server
//! is: with whatever it has started, it ends when we do.

use super::child::{Child, Launch};
use super::error::quoted;
use super::{STOP_GRACE, ServerError};
use crate::units::Nanos;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;

/// What a command line is given to.
const SHELL: &str = "/bin/sh";
/// How long the text of a command that has ended may be on its way through the pipe.
const LAST_BYTES: Nanos = Nanos::from_millis(500);

/// Why there is no text. What the command has printed is in none of it: that may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum NotPrinted {
    /// It cannot be run.
    #[error("it cannot be run: {0}")]
    NotRun(#[from] ServerError),
    /// It has failed.
    #[error("it ended with {status}{}", quoted(last_lines))]
    Failed {
        status: String,
        /// The last lines that it said as errors.
        last_lines: Vec<String>,
    },
    /// It has not ended in time.
    #[error("it has not ended within {within}{}", quoted(last_lines))]
    Slow {
        within: Nanos,
        /// The last lines that it said as errors.
        last_lines: Vec<String>,
    },
    /// It printed too much, or no text.
    #[error("it prints more than {most} bytes, or bytes that are not text")]
    Unusable { most: usize },
}

/// Runs a command line in a shell, and returns what it has printed: text of at most `most` bytes,
/// `within` that time. The thread that calls has to live for as long.
pub fn printed(line: &str, most: usize, within: Nanos) -> Result<String, NotPrinted> {
    let failed = |source| ServerError::Io { doing: "run a command".to_owned(), source };
    let own = std::env::current_exe().map_err(failed)?;
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let args = ["-c".into(), line.into()];
    let launch = Launch { own: &own, cores: None, program: Path::new(SHELL), args: &args, env: &[], dir: None };
    let mut child = Child::spawn_with(&launch, Some(Stdio::from(writer)))?;
    let (sender, text) = channel();
    let reading = std::thread::Builder::new().name("command-output".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        // One byte more than there may be tells that there are too many.
        let read = reader.take(most as u64 + 1).read_to_end(&mut bytes);
        let text = read.ok().filter(|_| bytes.len() <= most).and_then(|_| String::from_utf8(bytes).ok());
        // Nobody may be waiting any more.
        let _ = sender.send(text);
    });
    reading.map_err(failed)?;
    let status = child.wait_for_exit(within);
    let last_lines = child.last_lines();
    child.stop(STOP_GRACE);
    let Some(status) = status else { return Err(NotPrinted::Slow { within, last_lines }) };
    // One that prints too much is cut off, and fails for that.
    match text.recv_timeout(LAST_BYTES.to_duration()) {
        Ok(None) => Err(NotPrinted::Unusable { most }),
        _ if status != "exit status 0" => Err(NotPrinted::Failed { status, last_lines }),
        Ok(Some(text)) => Ok(text),
        Err(_) => Err(NotPrinted::Unusable { most }),
    }
}
