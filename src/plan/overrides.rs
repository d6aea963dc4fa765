//! Flags and the environment as typed, each value with its origin.

use super::error::shown;
use super::source::{Given, Origin, Sourced};
use super::{FoundServer, PlanError, limits};
use crate::mix::Secret;
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

impl Given {
    /// Creates the value of the flag `--name`.
    pub fn flag(name: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), origin: Origin::Flag(name.to_owned()) }
    }

    /// Creates the value of the environment variable `name`.
    pub fn environment(name: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), origin: Origin::Environment(name.to_owned()) }
    }

    /// Returns true if it was typed for this run.
    pub const fn is_flag(&self) -> bool {
        matches!(self.origin, Origin::Flag(_))
    }

    /// Returns the error for a value that is invalid by itself.
    pub fn bad(&self, expected: impl Into<String>) -> PlanError {
        PlanError::Value { origin: self.origin.clone(), text: self.value.clone(), expected: expected.into() }
    }

    /// Returns the error for a value that cannot be used together with other settings.
    pub fn misplaced(&self, problem: impl Into<String>) -> PlanError {
        PlanError::Override { origin: self.origin.clone(), problem: problem.into() }
    }

    /// Returns the error for an invalid value. `problem` says what is wrong.
    pub fn wrong(&self, problem: impl fmt::Display) -> PlanError {
        PlanError::Wrong { origin: self.origin.clone(), text: self.value.clone(), problem: problem.to_string() }
    }

    /// Returns the error for an invalid value that is not repeated, since it may be a secret.
    /// `problem` says what is wrong.
    pub fn unusable(&self, problem: impl fmt::Display) -> PlanError {
        PlanError::Unusable { origin: self.origin.clone(), problem: problem.to_string() }
    }

    /// Reads it as an integer within `limits`.
    pub fn whole(&self, limits: &RangeInclusive<u64>) -> Result<u64, PlanError> {
        let text = self.value.trim();
        // Rust accepts `+5`, but that is not how people type a count.
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number
            .filter(|n| limits.contains(n))
            .ok_or_else(|| self.bad(format!("an integer from {} to {}", limits.start(), limits.end())))
    }

    /// Reads it as a duration, zero included.
    pub fn time(&self) -> Result<Nanos, PlanError> {
        let time: Nanos = self.value.parse().map_err(|_| self.bad("a duration such as 30s, 1m30s or 500ms"))?;
        if time > limits::LONGEST {
            return Err(self.bad(format!("a duration of at most {}", limits::LONGEST)));
        }
        Ok(time)
    }

    /// Reads it as a duration above zero.
    pub fn some_time(&self) -> Result<Nanos, PlanError> {
        let time = self.time()?;
        if time == Nanos::ZERO { Err(self.bad("a duration above zero")) } else { Ok(time) }
    }

    /// Reads it as a size in bytes: `512MiB`, `4GiB`, or bytes.
    pub fn size(&self) -> Result<u64, PlanError> {
        let bad = || self.bad("a size from 1MiB to 1024GiB, such as 512MiB or 4GiB");
        let text = self.value.trim();
        let mut unit = [("GiB", 30), ("MiB", 20), ("B", 0)].into_iter();
        let (number, shift) =
            unit.find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift))).unwrap_or((text, 0));
        let number = number.trim_end();
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = number.parse().ok().filter(|_| digits).ok_or_else(bad)?;
        let bytes = number.checked_mul(1 << shift).ok_or_else(bad)?;
        if (1 << 20..=1 << 40).contains(&bytes) { Ok(bytes) } else { Err(bad()) }
    }

    /// Reads a part of this value with `as_what`. The error shows the whole value, and what was
    /// expected of the part.
    pub fn part<T>(&self, text: &str, as_what: impl FnOnce(&Self) -> Result<T, PlanError>) -> Result<T, PlanError> {
        as_what(&Self { value: text.to_owned(), origin: self.origin.clone() }).map_err(|error| match error {
            PlanError::Value { expected, .. } if text.is_empty() => {
                self.bad(format!("{expected} where a part is empty"))
            }
            PlanError::Value { text, expected, .. } => self.bad(format!("{expected} instead of '{}'", shown(&text))),
            other => other,
        })
    }

    /// Reads it as the path of a file.
    pub fn path(&self) -> Result<PathBuf, PlanError> {
        if self.value.is_empty() { Err(self.bad("a path")) } else { Ok(PathBuf::from(&self.value)) }
    }

    /// Reads it as `on` or `off`.
    pub fn switch(&self) -> Result<bool, PlanError> {
        self.word(&[("on", true), ("off", false)])
    }

    /// Reads it as one of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, PlanError> {
        let known = words.iter().find(|(word, _)| *word == self.value.trim());
        known.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let (last, others) = words.split_last().unwrap_or((&"", &[]));
            self.bad(if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) })
        })
    }

    /// Reads it as yes or no. The environment cannot set a flag without a value, so the usual words
    /// are accepted.
    fn truth(&self) -> Result<bool, PlanError> {
        match self.value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(self.bad("1, true, yes, on, or 0, false, no, off")),
        }
    }
}

/// Chooses between two values that exclude each other. A flag beats the environment. Two values of
/// the same rank are refused.
pub(super) fn either<'a>(
    one: Option<&'a Given>,
    other: Option<&'a Given>,
    why: &str,
) -> Result<(Option<&'a Given>, Option<&'a Given>), PlanError> {
    let (Some(a), Some(b)) = (one, other) else { return Ok((one, other)) };
    match (a.is_flag(), b.is_flag()) {
        (true, false) => Ok((one, None)),
        (false, true) => Ok((None, other)),
        _ => Err(a.misplaced(format!("cannot be used together with {}: {why}", b.origin))),
    }
}

/// All values of flags and the environment, as typed, by the names of the fields that hold the
/// flags in `cli`. Flags without a value hold a word like `true`.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    given: BTreeMap<String, Vec<Given>>,
    secrets: BTreeMap<&'static str, Sourced<Secret>>,
    /// The target's description of itself.
    found: Option<FoundServer>,
    /// Notes for the user on how flags and the environment were understood.
    notes: Vec<String>,
    /// The flags that were read. A flag that is offered but never read would have no effect.
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl Overrides {
    /// Adds the values of a flag.
    pub(crate) fn insert(&mut self, id: &str, given: Vec<Given>) {
        if !given.is_empty() {
            self.given.insert(id.to_owned(), given);
        }
    }

    /// Adds a secret from the environment.
    pub(crate) fn insert_secret(&mut self, id: &'static str, secret: Sourced<Secret>) {
        self.secrets.insert(id, secret);
    }

    /// Returns a copy with the target's description of itself.
    #[must_use]
    pub fn at(&self, found: FoundServer) -> Self {
        Self { found: Some(found), ..self.clone() }
    }

    /// Returns a copy with another value of one flag.
    #[must_use]
    pub fn instead(&self, id: &str, given: Given) -> Self {
        let mut changed = self.clone();
        changed.insert(id, vec![given]);
        changed
    }

    /// Returns the target's description of itself.
    pub const fn found(&self) -> Option<&FoundServer> {
        self.found.as_ref()
    }

    /// Returns true if a flag has a value.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.given.contains_key(id)
    }

    /// Returns the value of a flag as it was typed or set, before it is interpreted.
    pub(crate) fn typed(&self, id: &str) -> Option<&Given> {
        self.given.get(id).and_then(|given| given.first())
    }

    /// Adds a note for the user.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Returns the notes for the user on how flags and the environment were understood.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns all values of a flag that may be repeated.
    pub fn many(&self, id: &'static str) -> &[Given] {
        #[cfg(test)]
        self.asked.borrow_mut().insert(id);
        self.given.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns the value of a flag.
    pub fn one(&self, id: &'static str) -> Option<&Given> {
        self.many(id).first()
    }

    /// Returns the value of a switch, if it is on. `false` is treated as unset.
    pub fn yes(&self, id: &'static str) -> Result<Option<&Given>, PlanError> {
        match self.one(id) {
            Some(given) if given.truth()? => Ok(Some(given)),
            _ => Ok(None),
        }
    }

    /// Returns a secret that the environment itself holds.
    pub fn secret(&self, id: &'static str) -> Option<&Sourced<Secret>> {
        self.secrets.get(id)
    }

    /// Returns the flags that were read until now.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> std::collections::BTreeSet<&'static str> {
        self.asked.borrow().clone()
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, id: &str, given: impl IntoIterator<Item = Given>) -> Self {
        self.insert(id, given.into_iter().collect());
        self
    }
}

/// Creates overrides: `overrides! { vus: flag("vus", "5") }`. `; ..base` at the end adds to `base`.
#[cfg(test)]
macro_rules! overrides {
    ($($id:ident: $given:expr),* $(,)?) => { overrides!($($id: $given),*; ..$crate::plan::Overrides::default()) };
    ($($id:ident: $given:expr),*; ..$base:expr) => { $base$(.with(stringify!($id), $given))* };
}
#[cfg(test)]
pub(crate) use overrides;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_environment_and_equals_are_refused() {
        let flag = |name| Given::flag(name, "x");
        let env = |name| Given::environment(name, "x");
        let (a, b) = (flag("host"), env("URL"));
        assert_eq!(either(Some(&a), Some(&b), "why"), Ok((Some(&a), None)));
        assert_eq!(either(Some(&b), Some(&a), "why"), Ok((None, Some(&a))));
        assert_eq!(either(Some(&a), None, "why"), Ok((Some(&a), None)));
        let error = either(Some(&a), Some(&flag("port")), "because").expect_err("two flags");
        assert_eq!(error.to_string(), "--host cannot be used together with --port: because");
        assert!(either(Some(&b), Some(&env("HOST")), "why").is_err());
    }

    #[test]
    fn yes_and_no_as_people_write_them() {
        for (word, expected) in [("1", true), ("TRUE", true), ("yes", true), ("on", true), ("0", false), ("no", false)]
        {
            let given = overrides! { quiet: Some(Given::environment("X", word)) };
            assert_eq!(given.yes("quiet").map(|g| g.is_some()), Ok(expected), "{word}");
        }
        let given = overrides! { quiet: Some(Given::environment("LLMSIM_BLAST_QUIET", "maybe")) };
        let error = given.yes("quiet").expect_err("maybe");
        assert!(error.to_string().starts_with("invalid value 'maybe' for LLMSIM_BLAST_QUIET: expected 1"), "{error}");
        assert!(!error.is_usage());
    }

    #[test]
    fn numbers_and_times_are_read_within_limits() {
        assert_eq!(Given::flag("vus", " 5 ").whole(&(1..=10)), Ok(5));
        for text in ["0", "11", "-1", "+5", "x", "", "1.5", "1e1", "٥", "99999999999999999999999"] {
            let error = Given::flag("vus", text).whole(&(1..=10)).expect_err(text);
            let expected = format!("invalid value '{text}' for --vus: expected an integer from 1 to 10");
            assert_eq!(error.to_string(), expected);
            assert!(error.is_usage());
        }
        assert_eq!(Given::flag("duration", "2s").some_time(), Ok(Nanos::from_secs(2)));
        for text in ["0", "0s", "-1s", "5", "721h", "x"] {
            assert!(Given::flag("duration", text).some_time().is_err(), "{text}");
        }
    }

    #[test]
    fn one_of_a_few_words_is_refused_with_all_of_them() {
        let words = [("auto", 1), ("on", 2), ("off", 3)];
        assert_eq!(Given::flag("x", " on ").word(&words), Ok(2));
        let error = Given::flag("x", "On").word(&words).expect_err("case counts");
        assert_eq!(error.to_string(), "invalid value 'On' for --x: expected auto, on or off");
    }
}
