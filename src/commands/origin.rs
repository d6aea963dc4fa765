//! `origin`: the server of known instants in the foreground.

use super::error::CommandError;
use crate::cli::args::OriginArgs;
use crate::exit::ExitClass;
use crate::host::limits;
use crate::{origin, server};
use std::io::Write;

/// Serves until it is ended.
pub(super) fn run(args: &OriginArgs, out: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let addr = server::listen::listen_address(&args.host, args.port)?;
    // One connection takes one descriptor; an origin that cannot have more is still worth running.
    let _ = limits::raise_nofile(0);
    match origin::serve(addr, args.spin, &mut |line| {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    })? {}
}
