//! What flags and the environment say, as typed, with where each value came from.

use super::{AccessOverrides, PlanError, limits};
use crate::mix::Secret;
use crate::units::Nanos;
use std::fmt;
use std::ops::RangeInclusive;

/// Where a value came from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A profile: its file's name, or which built-in one.
    Profile(String),
    /// An environment name.
    Environment(String),
    /// A flag, without its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(file) => f.write_str(file),
            Self::Environment(name) => write!(f, "{name} (environment)"),
            Self::Flag(name) => write!(f, "--{name} (flag)"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// A value as typed.
pub type Given = Sourced<String>;

impl Given {
    /// The value of the flag `--name`.
    pub fn flag(name: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), origin: Origin::Flag(name.to_owned()) }
    }

    /// The value of the environment name.
    pub fn environment(name: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), origin: Origin::Environment(name.to_owned()) }
    }

    /// Whether it was typed for this run.
    pub const fn is_flag(&self) -> bool {
        matches!(self.origin, Origin::Flag(_))
    }

    /// This value is no good.
    pub fn bad(&self, problem: impl Into<String>) -> PlanError {
        PlanError::Value { origin: self.origin.clone(), text: self.value.clone(), problem: problem.into() }
    }

    /// This value does not go with the rest.
    pub fn misplaced(&self, problem: impl Into<String>) -> PlanError {
        PlanError::Override { origin: self.origin.clone(), problem: problem.into() }
    }

    /// As a whole number within `limits`.
    pub fn whole(&self, limits: &RangeInclusive<u64>) -> Result<u64, PlanError> {
        self.value.trim().parse().ok().filter(|n| limits.contains(n)).ok_or_else(|| {
            self.bad(format!("is not possible: expected a whole number from {} to {}", limits.start(), limits.end()))
        })
    }

    /// As a length of time, zero included.
    pub fn time(&self) -> Result<Nanos, PlanError> {
        let time: Nanos =
            self.value.parse().map_err(|_| self.bad("is not a duration: expected one like 30s, 1m30s, 500ms"))?;
        if time > limits::LONGEST {
            return Err(self.bad(format!("is too long: expected at most {}", limits::LONGEST)));
        }
        Ok(time)
    }

    /// As a length of time above zero.
    pub fn some_time(&self) -> Result<Nanos, PlanError> {
        let time = self.time()?;
        if time == Nanos::ZERO { Err(self.bad("is no time at all: expected more than zero")) } else { Ok(time) }
    }

    /// As a yes or no. The environment has no flags without a value, so the usual words are read.
    fn truth(&self) -> Result<bool, PlanError> {
        match self.value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(self.bad("is neither yes nor no: expected 1, true, yes, on, or 0, false, no, off")),
        }
    }
}

/// The given yes, if it is one; a no is as good as nothing.
pub(super) fn yes(given: Option<&Given>) -> Result<Option<&Given>, PlanError> {
    match given {
        Some(given) if given.truth()? => Ok(Some(given)),
        _ => Ok(None),
    }
}

/// Of two values that exclude each other a flag beats the environment; two of the same strength are refused.
pub(super) fn either<'a>(
    one: Option<&'a Given>,
    other: Option<&'a Given>,
    why: &str,
) -> Result<(Option<&'a Given>, Option<&'a Given>), PlanError> {
    let (Some(a), Some(b)) = (one, other) else { return Ok((one, other)) };
    match (a.is_flag(), b.is_flag()) {
        (true, false) => Ok((one, None)),
        (false, true) => Ok((None, other)),
        _ => Err(a.misplaced(format!("cannot stand together with {}: {why}", b.origin))),
    }
}

/// Everything that flags and the environment may say, as typed. Flags of yes and no hold a word like `true`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// What to test.
    pub target_url: Option<Given>,
    /// Host of the target, and where a started server listens.
    pub host: Option<Given>,
    /// Port of the target, and where a started server listens.
    pub port: Option<Given>,
    /// Never start a server.
    pub no_server: Option<Given>,
    /// The llmsim binary to start.
    pub server_bin: Option<Given>,
    /// The checkout of llmsim to build and start.
    pub server_src: Option<Given>,
    /// The configuration of a started server.
    pub server_config: Option<Given>,
    /// A process to watch as the server.
    pub server_pid: Option<Given>,
    /// Start the server with errors injected.
    pub chaos: Option<Given>,
    /// The API of what generates.
    pub api: Option<Given>,
    /// The path of what generates.
    pub path: Option<Given>,
    /// The model.
    pub model: Option<Given>,
    /// Users, or the peak of them.
    pub vus: Option<Given>,
    /// Length of the test.
    pub duration: Option<Given>,
    /// Requests.
    pub iterations: Option<Given>,
    /// Arrivals per second: `N`, `N/m`, `N/h`.
    pub rate: Option<Given>,
    /// Stages, each `DURATION:TARGET`.
    pub stages: Vec<Given>,
    /// How much of the beginning is not measured.
    pub warmup: Option<Given>,
    /// How much of the end is not measured.
    pub cooldown: Option<Given>,
    /// Pause between requests: `D` or `MIN..MAX`.
    pub think_time: Option<Given>,
    /// Total timeout of every request.
    pub timeout: Option<Given>,
    /// Threads.
    pub workers: Option<Given>,
    /// Leave threads unpinned.
    pub no_pin: Option<Given>,
    /// Kernel receive stamps: auto, on, off.
    pub rx_timestamps: Option<Given>,
    /// Pause between two polls: auto, or a duration.
    pub poll_interval: Option<Given>,
    /// Acknowledge what was read at once.
    pub quickack: Option<Given>,
    /// Make a run whose client was the bottleneck an error.
    pub fail_on_invalid: Option<Given>,
    /// Parse everything both ways.
    pub verify_parse: Option<Given>,
    /// Which share of the test to run: `I/N`.
    pub shard: Option<Given>,
    /// When the load begins.
    pub start_at: Option<Given>,
    /// What a threshold with `abort_on_fail` may end: `run` or `shard`.
    pub abort_scope: Option<Given>,
    /// Where the Document goes.
    pub output: Option<Given>,
    /// Where the thresholds go as JUnit XML.
    pub junit: Option<Given>,
    /// Whether GitHub Actions is told: auto, off.
    pub github: Option<Given>,
    /// Extra headers, each `Name: value`.
    pub headers: Vec<Given>,
    /// The file that holds the API key.
    pub api_key_file: Option<Given>,
    /// The API key itself, from the environment only.
    pub api_key: Option<Sourced<Secret>>,
    /// Seed of everything random.
    pub seed: Option<Given>,
    /// No progress.
    pub quiet: Option<Given>,
    /// No colour.
    pub no_color: Option<Given>,
    /// Show the configuration instead of running.
    pub show_config: Option<Given>,
    /// Tags of the run, each `KEY=VALUE`.
    pub tags: Vec<Given>,
    /// How targets are reached: as much as all the rest, so it lives on the heap.
    pub access: Box<AccessOverrides>,
}

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
        assert_eq!(error.to_string(), "--host (flag): cannot stand together with --port (flag): because");
        assert!(either(Some(&b), Some(&env("HOST")), "why").is_err());
    }

    #[test]
    fn yes_and_no_as_people_write_them() {
        for (word, expected) in [("1", true), ("TRUE", true), ("yes", true), ("on", true), ("0", false), ("no", false)]
        {
            let given = Given::environment("X", word);
            assert_eq!(yes(Some(&given)).map(|g| g.is_some()), Ok(expected), "{word}");
        }
        let error = yes(Some(&Given::environment("LLMSIM_BLAST_QUIET", "maybe"))).expect_err("maybe");
        assert!(error.to_string().starts_with("LLMSIM_BLAST_QUIET (environment): `maybe` is neither"), "{error}");
        assert!(!error.is_usage());
    }

    #[test]
    fn numbers_and_times_are_read_within_limits() {
        assert_eq!(Given::flag("vus", " 5 ").whole(&(1..=10)), Ok(5));
        for text in ["0", "11", "-1", "x", "", "1.5", "99999999999999999999999"] {
            let error = Given::flag("vus", text).whole(&(1..=10)).expect_err(text);
            assert!(
                error.to_string().contains("--vus (flag)") && error.to_string().contains("from 1 to 10"),
                "{error}"
            );
            assert!(error.is_usage());
        }
        assert_eq!(Given::flag("duration", "2s").some_time(), Ok(Nanos::from_secs(2)));
        for text in ["0", "0s", "-1s", "5", "721h", "x"] {
            assert!(Given::flag("duration", text).some_time().is_err(), "{text}");
        }
    }
}
