//! Why a test cannot be planned. Every message names the place, what is wrong there and what was expected.

use super::Origin;

/// Why a test cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No built-in profile has that name.
    #[error("no profile is named `{asked}`{}: expected one of {known}, or a file like my.toml", did_you_mean(.nearest.as_deref()))]
    UnknownProfile {
        /// What was asked for.
        asked: String,
        /// The name that is most like it, if one is.
        nearest: Option<String>,
        /// All names.
        known: String,
    },
    /// A file that cannot be read.
    #[error("{place}: cannot read {path}: {reason}")]
    Unreadable {
        /// What asked for the file: a flag, an environment name, a key of a profile.
        place: String,
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A mistake in a profile.
    #[error("{file}{}: {}{problem}", .line.map_or(String::new(), |line| format!(":{line}")), key_prefix(.key))]
    Profile {
        /// The file, or the built-in profile.
        file: String,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// The key, like `stages[1].target`; empty when the mistake is in no key.
        key: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A flag's or environment name's value that makes no sense by itself.
    #[error("{origin}: `{text}` {problem}")]
    Value {
        /// Where the value came from.
        origin: Origin,
        /// The value. Never a secret.
        text: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A flag or environment name that does not go with the profile, the target or another flag.
    #[error("{origin}: {problem}")]
    Override {
        /// Where the value came from.
        origin: Origin,
        /// What is wrong and what was expected.
        problem: String,
    },
}

impl PlanError {
    /// Whether the command line itself cannot be understood, as opposed to a configuration that is understood and refused.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Value { origin: Origin::Flag(_), .. })
    }
}

/// A suggestion, if there is one.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!(" (did you mean {name}?)"))
}

/// A key and its colon, if there is one.
fn key_prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}
