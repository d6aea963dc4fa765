//! The origins of values.

use std::collections::BTreeMap;
use std::fmt;

/// The origin of a value, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// A profile: the name of its file, or of the built-in one.
    Profile(String),
    /// The server under test, which described itself.
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
    /// Returns it with its kind, for a column of origins.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Default | Self::Profile(_) | Self::Target => self.to_string(),
            Self::Environment(_) => format!("{self} (environment)"),
            Self::Flag(_) => format!("{self} (flag)"),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

/// A value as typed.
pub type Given = Sourced<String>;

/// The values of a profile that were changed, with the origin of each change.
pub(super) type Changed = BTreeMap<String, Origin>;
