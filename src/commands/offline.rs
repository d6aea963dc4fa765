//! Commands that open no connection.

use crate::exit::ExitClass;
use crate::plan::profile::{BUILT_IN, ProfileFile, built_in};
use crate::plan::{Resolved, show};
use crate::trial::error::CliError;
use std::io::Write;

/// Widest column of values that the sources are aligned behind; longer values push theirs.
const WIDEST_VALUE: usize = 48;

/// `profiles`: all with what they answer, or one as TOML.
pub(super) fn profiles(name: Option<&str>, out: &mut dyn Write) -> Result<ExitClass, CliError> {
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

/// `--show-config`: every value with its source.
pub(super) fn show_config(resolved: &Resolved, out: &mut dyn Write) -> Result<ExitClass, CliError> {
    let lines = show::lines(&resolved.settings);
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or_default();
    let keys = widest(&mut lines.iter().map(|(key, _, _)| key.chars().count()));
    let values = widest(&mut lines.iter().map(|(_, value, _)| value.chars().count()).filter(|n| *n <= WIDEST_VALUE));
    for (key, value, source) in lines {
        writeln!(out, "{key:keys$}  {value:values$}  {source}")?;
    }
    Ok(ExitClass::Success)
}
