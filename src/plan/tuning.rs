//! How the client works: threads, clocks, polls.

use super::noted::{flag, noted};
use super::requests::{self, Records};
use super::source::{Changed, Given};
use super::{Overrides, PlanError, Read, limits};
use crate::tokenizer::{BUILT_IN, Tokenizer};
use crate::units::Nanos;
use std::io::Read as _;
use std::path::Path;

/// How the client works. It does not change the test.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Worker threads. `None` means as many as the cores allow.
    pub workers: Option<u32>,
    /// True if workers are pinned to cores.
    pub pin: bool,
    /// True if reads are timed by the kernel's receive timestamps. `None` means true only if tokens
    /// are streamed, and not over a Unix socket.
    pub rx_timestamps: Option<bool>,
    /// The pause between two polls of a worker, or zero for none. `None` means that it depends on
    /// the streams in flight.
    pub poll_interval: Option<Nanos>,
    /// True to acknowledge received data at once, instead of within 40 ms. This shows whether a
    /// server waits for the acknowledgement.
    pub quickack: bool,
    /// The most bytes of incomplete responses, for all users of this process together. Responses
    /// that arrive in one read are not kept.
    pub body_budget: u64,
    /// True if every response is parsed twice, by template and by parser. A difference is a
    /// failure.
    pub verify_parse: bool,
    /// The records for a file of requests. `None` if requests are not recorded.
    pub records: Option<Records>,
    /// The tokenizer that counts the tokens of a sample of the responses, if any.
    pub tokenizer: Option<Tokenizer>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            workers: None,
            pin: true,
            rx_timestamps: None,
            poll_interval: None,
            quickack: false,
            body_budget: limits::DEFAULT_BODY_BUDGET,
            verify_parse: false,
            records: None,
            tokenizer: None,
        }
    }
}

/// Resolves the tuning. `single` holds the flags that only a single run has.
pub(super) fn tuning(
    overrides: &Overrides,
    single: &Overrides,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Tuning, PlanError> {
    let threads = 1..=u64::from(limits::MAX_WORKERS);
    let workers = noted("workers", overrides.one("workers"), changed).map(|given| given.whole(&threads)).transpose()?;
    noted("pin", overrides.one("no_pin"), changed);
    let auto = [("auto", None), ("on", Some(true)), ("off", Some(false))];
    let rx_timestamps = noted("rx_timestamps", overrides.one("rx_timestamps"), changed);
    let rx_timestamps = rx_timestamps.map_or(Ok(None), |given| given.word(&auto))?;
    let poll_interval = noted("poll_interval", overrides.one("poll_interval"), changed);
    let budget = noted("body_budget", overrides.one("body_budget"), changed);
    Ok(Tuning {
        workers: workers.map(|n| n as u32),
        pin: overrides.yes("no_pin")?.is_none(),
        rx_timestamps,
        poll_interval: poll_interval.map_or(Ok(None), |given| pause(given, rx_timestamps))?,
        body_budget: budget.map_or(Ok(limits::DEFAULT_BODY_BUDGET), Given::size)?,
        quickack: flag("quickack", overrides, changed)?,
        verify_parse: flag("verify_parse", overrides, changed)?,
        records: requests::records(overrides, changed)?,
        tokenizer: tokenizer(single, read, changed)?,
    })
}

/// Loads the tokenizer: a vocabulary by its name, or a file.
fn tokenizer(given: &Overrides, read: &mut Read<'_>, changed: &mut Changed) -> Result<Option<Tokenizer>, PlanError> {
    let Some(given) = noted("tokenizer", given.one("tokenizer"), changed) else { return Ok(None) };
    let name = given.value.as_str();
    let is_file = name.contains(['/', '.']);
    if BUILT_IN.contains(&name) || !is_file {
        return Tokenizer::built_in(name).map(Some).map_err(|problem| given.wrong(problem));
    }
    let unreadable =
        |reason: String| PlanError::Unreadable { place: given.origin.to_string(), path: given.value.clone(), reason };
    let mut bytes = Vec::new();
    let file = read.open(Path::new(name)).map_err(|error| unreadable(error.to_string()))?;
    let most = limits::MAX_TOKENIZER_BYTES;
    file.input.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(unreadable(format!("it is larger than {most} bytes, the maximum")));
    }
    let read = Tokenizer::from_json(name, &bytes);
    read.map(Some).map_err(|problem| unreadable(format!("it is not a tokenizer.json: {problem}")))
}

/// Parses the pause between two polls. `None` leaves it to the run.
fn pause(given: &Given, rx_timestamps: Option<bool>) -> Result<Option<Nanos>, PlanError> {
    if given.value.trim() == "auto" {
        return Ok(None);
    }
    let expected = || format!("auto, or a duration of at most {}", limits::LONGEST_POLL_INTERVAL);
    let pause: Nanos = given.value.parse().map_err(|_| given.bad(expected()))?;
    if pause > limits::LONGEST_POLL_INTERVAL {
        return Err(given.bad(expected()));
    }
    if pause > Nanos::ZERO && rx_timestamps == Some(false) {
        // Our own clock would time everything that arrives during the pause by its end.
        return Err(given.misplaced(
            "cannot be used together with --rx-timestamps off: a pause needs the kernel's receive timestamps",
        ));
    }
    Ok(Some(pause))
}
