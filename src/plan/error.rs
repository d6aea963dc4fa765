//! Reasons why a test cannot be planned. Every message names the place, the problem and what was
//! expected.

use super::source::Origin;

/// The reason why a test cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No built-in profile has this name.
    #[error(
        "no profile is named '{}'{}: expected one of {known}, or a file like my.toml",
        shown(asked), did_you_mean(.nearest.as_deref())
    )]
    UnknownProfile { asked: String, nearest: Option<String>, known: String },
    /// A file that cannot be read. `place` names it: a flag, an environment variable, or a key of a
    /// profile.
    #[error("{place}: cannot read {}: {reason}", path.escape_debug())]
    Unreadable { place: String, path: String, reason: String },
    /// A mistake in a profile.
    #[error("{file}{}: {}{problem}", .line.map_or(String::new(), |line| format!(":{line}")), key_prefix(.key))]
    Profile {
        file: String,
        /// Counted from 1. `None` if it is not known.
        line: Option<usize>,
        /// For example `stages[1].target`. Empty if the mistake does not belong to a key.
        key: String,
        problem: String,
    },
    /// A value of a flag or of the environment that is invalid by itself. It is never a secret.
    #[error("invalid value '{}' for {origin}: expected {expected}", shown(text))]
    Value { origin: Origin, text: String, expected: String },
    /// The same, with the message of the parser that refused it.
    #[error("invalid value '{}' for {origin}: {problem}", shown(text))]
    Wrong { origin: Origin, text: String, problem: String },
    /// A value that is not repeated, since it may be a secret.
    #[error("invalid value for {origin}: {problem}")]
    Unusable { origin: Origin, problem: String },
    /// A flag or an environment variable that cannot be used with the profile, the target or
    /// another flag.
    #[error("{origin} {problem}")]
    Override { origin: Origin, problem: String },
}

impl PlanError {
    /// Returns true if the command line itself cannot be understood. A configuration that is
    /// understood but refused is not a usage error.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Value { origin: Origin::Flag(_), .. } | Self::Wrong { origin: Origin::Flag(_), .. })
    }
}

/// Returns the beginning of a value for a message. Control characters are escaped, because they
/// could drive a terminal or break a line.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let clean = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut shown: String = text.chars().take(MOST).map(clean).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Formats a suggestion, if there is one.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!(" (did you mean {name}?)"))
}

/// Formats a key and its colon, if there is one.
fn key_prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}
