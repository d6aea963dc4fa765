//! Values that are read, and noted as changed.

use super::source::{Changed, Given};
use super::{Overrides, PlanError};

/// Notes that a value was given, if it was.
pub(super) fn noted<'a>(key: &str, given: Option<&'a Given>, changed: &mut Changed) -> Option<&'a Given> {
    if let Some(given) = given {
        changed.insert(key.to_owned(), given.origin.clone());
    }
    given
}

/// A flag without a value that has the name of what it changes.
pub(super) fn flag(id: &'static str, given: &Overrides, changed: &mut Changed) -> Result<bool, PlanError> {
    noted(id, given.one(id), changed);
    given.yes(id).map(|yes| yes.is_some())
}
