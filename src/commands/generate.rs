//! `generate`: the man page, and completions for shells.

use super::error::CommandError;
use crate::cli::args::GenerateArgs;
use crate::cli::generated;
use crate::exit::ExitClass;
use std::io::Write;

/// Prints the requested text.
pub(super) fn run(args: &GenerateArgs, out: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let text = generated(&args.what, args.command.as_deref())
        .map_err(|problem| CommandError::Argument { flag: "generate", problem })?;
    out.write_all(&text)?;
    out.flush()?;
    Ok(ExitClass::Success)
}
