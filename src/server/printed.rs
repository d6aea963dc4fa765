//! Reads the output of a command that provides a value, such as a key. The command runs like a
//! server: it and all processes it has started end with this program.

use super::child::{Child, Launch};
use super::error::quoted;
use super::{STOP_GRACE, ServerError};
use crate::units::Nanos;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;

/// The program that runs a command line.
const SHELL: &str = "/bin/sh";
/// Longest wait for the text of an ended command to arrive through the pipe.
const LAST_BYTES: Nanos = Nanos::from_millis(500);

/// A reason why there is no text. It never contains standard output, which may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum NotPrinted {
    /// The command cannot be run.
    #[error("it cannot be run: {0}")]
    NotRun(#[from] ServerError),
    /// The command has failed.
    #[error("it ended: {status}{}", quoted(last_lines))]
    Failed {
        status: String,
        /// The last lines on standard error.
        last_lines: Vec<String>,
    },
    /// The command has not ended in time.
    #[error("it has not ended within {within}{}", quoted(last_lines))]
    Slow {
        within: Nanos,
        /// The last lines on standard error.
        last_lines: Vec<String>,
    },
    /// The command printed too much, or bytes that are not text.
    #[error("it prints more than {most} bytes, or bytes that are not text")]
    Unusable { most: usize },
}

/// Runs a command line in a shell, and returns its output: text of at most `most` bytes, printed
/// `within` that time. The calling thread must live as long as the command.
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
        // One more byte than allowed shows that there are too many.
        let read = reader.take(most as u64 + 1).read_to_end(&mut bytes);
        let text = read.ok().filter(|_| bytes.len() <= most).and_then(|_| String::from_utf8(bytes).ok());
        // The receiver may be gone.
        let _ = sender.send(text);
    });
    reading.map_err(failed)?;
    let status = child.wait_for_exit(within);
    let last_lines = child.last_lines();
    child.stop(STOP_GRACE);
    let Some(status) = status else { return Err(NotPrinted::Slow { within, last_lines }) };
    // A command that prints too much is cut off, and its failure is reported as that.
    match text.recv_timeout(LAST_BYTES.to_duration()) {
        Ok(None) => Err(NotPrinted::Unusable { most }),
        _ if status != "exit status 0" => Err(NotPrinted::Failed { status, last_lines }),
        Ok(Some(text)) => Ok(text),
        Err(_) => Err(NotPrinted::Unusable { most }),
    }
}
