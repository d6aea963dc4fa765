//! `serve`: runs the embedded simulator in the foreground.

use super::error::CommandError;
use crate::cli::args::ServeArgs;
use crate::exit::ExitClass;
use crate::server::{self, Settings};
use std::io::Write;

/// Runs the embedded simulator in the foreground.
pub(super) fn run(args: &ServeArgs, out: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let settings = match &args.config {
        _ if args.chaos => Settings::Chaos,
        Some(file) => Settings::File(file.clone()),
        None => Settings::Benchmark,
    };
    server::serve(&args.host, args.port, &settings, &mut |line| {
        // The server does not need a reader of its output.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    })?;
    Ok(ExitClass::Success)
}
