//! The story of a run: plan → server → engine → summary → verdict → report.

use super::{CliError, ExitClass, ServeArgs};
use crate::plan::Resolved;
use std::ffi::OsString;
use std::io::Write;

/// STUB of the lead's room.
pub(super) fn run(_resolved: &Resolved, _out: &mut dyn Write, _err: &mut dyn Write) -> Result<ExitClass, CliError> {
    todo!()
}

/// STUB of the lead's room.
pub(super) fn serve(_args: &ServeArgs, _out: &mut dyn Write, _err: &mut dyn Write) -> Result<ExitClass, CliError> {
    todo!()
}

/// STUB of the lead's room.
pub(super) fn supervise(_command: &[OsString], _err: &mut dyn Write) -> Result<ExitClass, CliError> {
    todo!()
}
