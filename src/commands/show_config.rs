//! `--show-config`: prints every value with its source.

use super::error::CommandError;
use crate::plan::{Resolved, show};
use std::io::Write;

/// Widest column of values behind which the sources are aligned. Longer values push their source to
/// the right.
const WIDEST_VALUE: usize = 48;

/// Prints every value of a plan with its source.
pub(super) fn print(resolved: &Resolved, out: &mut dyn Write) -> Result<(), CommandError> {
    let redactor = resolved.plan.redactor_for_owner();
    let lines: Vec<_> = show::lines(&resolved.settings)
        .into_iter()
        .map(|(key, value, source)| (key, redactor.own(&value), source))
        .collect();
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or_default();
    let keys = widest(&mut lines.iter().map(|(key, _, _)| key.chars().count()));
    let values = widest(&mut lines.iter().map(|(_, value, _)| value.chars().count()).filter(|n| *n <= WIDEST_VALUE));
    for (key, value, source) in lines {
        writeln!(out, "{key:keys$}  {value:values$}  {source}")?;
    }
    Ok(())
}
