//! `profiles`: lists all profiles with their descriptions, or prints one as TOML.

use super::error::CommandError;
use crate::exit::ExitClass;
use crate::plan::profile::{BUILT_IN, ProfileFile, built_in};
use std::io::Write;

/// Lists the built-in profiles, or prints the one called `name`.
pub(super) fn run(name: Option<&str>, out: &mut dyn Write) -> Result<ExitClass, CommandError> {
    if let Some(name) = name {
        out.write_all(built_in(name)?.as_bytes())?;
        return Ok(ExitClass::Success);
    }
    let width = BUILT_IN.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, text) in BUILT_IN {
        let description = ProfileFile::parse(name, text)?.profile.description.unwrap_or_default();
        writeln!(out, "{name:width$}  {description}")?;
    }
    Ok(ExitClass::Success)
}
