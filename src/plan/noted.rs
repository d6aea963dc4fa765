//! Reads values, and notes that they were given.

use super::source::{Changed, Given};
use super::{Overrides, PlanError};

/// Notes that a value was given, if it was, and returns it.
pub(super) fn noted<'a>(key: &str, given: Option<&'a Given>, changed: &mut Changed) -> Option<&'a Given> {
    if let Some(given) = given {
        changed.insert(key.to_owned(), given.origin.clone());
    }
    given
}

/// Reads a flag without a value that has the same name as its setting.
pub(super) fn flag(id: &'static str, given: &Overrides, changed: &mut Changed) -> Result<bool, PlanError> {
    noted(id, given.one(id), changed);
    given.yes(id).map(|yes| yes.is_some())
}
