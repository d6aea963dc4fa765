//! `origin`: runs the reference server, whose send times are recorded, in the foreground.

use super::error::CommandError;
use crate::cli::args::OriginArgs;
use crate::exit::ExitClass;
use crate::host::limits;
use crate::{origin, server};
use std::io::Write;

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &OriginArgs, out: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let addr = server::listen::listen_address(&args.host, args.port)?;
    // One connection takes one descriptor. An origin with a low limit is still useful.
    let _ = limits::raise_nofile(0);
    origin::serve(addr, args.spin, &mut |line| {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    })?;
    Ok(ExitClass::Success)
}
