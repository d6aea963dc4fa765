//! Where a value came from.

use std::collections::BTreeMap;
use std::fmt;

/// Where a value came from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// A profile: its file's name, or which built-in one.
    Profile(String),
    /// What the server under test has said of itself.
    Target,
    Environment(String),
    /// A flag, without its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(file) => f.write_str(file),
            Self::Target => f.write_str("the server"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

impl Origin {
    /// With its kind, for a column of sources.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Default | Self::Profile(_) | Self::Target => self.to_string(),
            Self::Environment(_) => format!("{self} (environment)"),
            Self::Flag(_) => format!("{self} (flag)"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

/// A value as typed.
pub type Given = Sourced<String>;

/// Which values of a profile were changed, and by whom.
pub(super) type Changed = BTreeMap<String, Origin>;
