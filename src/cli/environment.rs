//! The environment as a user sees it: a name and a value for every flag.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What the names that stand for flags start with.
pub(crate) const PREFIX: &str = "LLMSIM_BLAST_";

/// The variables of a process.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Variables with empty values count as unset.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let all = variables.into_iter().map(|(name, value)| (text(name), text(value)));
        Self(all.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of a variable that is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// `target-url` → `LLMSIM_BLAST_TARGET_URL`
pub(crate) fn name_of(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_ascii_uppercase())
}
