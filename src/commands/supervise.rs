//! `supervise`: the process between this program and a child that it starts.

use super::error::CommandError;
use crate::cli::args::SuperviseArgs;
use crate::server;

/// Supervises another program, or becomes it. Returns only if that failed.
pub(super) fn run(args: &SuperviseArgs) -> CommandError {
    let (program, arguments) =
        args.command.split_first().map_or_else(Default::default, |(p, a)| (p.clone(), a.to_vec()));
    server::supervise(&server::SupervisorArgs {
        cores: args.cores.clone(),
        parent: args.parent,
        exec: args.exec,
        program,
        args: arguments,
    })
    .into()
}
