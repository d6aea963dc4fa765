//! The TOML form of a profile as written, before its values are interpreted.
//!
//! Durations and ranges stay text and signed numbers here, so that [`super::resolve()`] can refuse
//! them by key. Unknown keys and wrong types are refused at once. A new profile needs a file in
//! `profiles/` and a line in [`BUILT_IN`].

mod files;
mod prompt;
mod response;

pub use files::{Dataset, Trace, TraceColumns};
pub use prompt::{
    TokenRange, WrittenBell, WrittenDistribution, WrittenModel, WrittenOutput, WrittenPrefix, WrittenPrompt,
    WrittenTokens,
};
pub use response::{WrittenEnd, WrittenResponse};

use super::source::Origin;
use super::{PlanError, limits};
use crate::units::{BadDuration, Nanos};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The built-in profiles, gentlest first.
pub const BUILT_IN: [(&str, &str); 9] = [
    ("quick-smoke", include_str!("../../profiles/quick-smoke.toml")),
    ("smoke", include_str!("../../profiles/smoke.toml")),
    ("load", include_str!("../../profiles/load.toml")),
    ("stress", include_str!("../../profiles/stress.toml")),
    ("spike", include_str!("../../profiles/spike.toml")),
    ("soak", include_str!("../../profiles/soak.toml")),
    ("high-concurrency", include_str!("../../profiles/high-concurrency.toml")),
    ("all-apis", include_str!("../../profiles/all-apis.toml")),
    ("scenarios", include_str!("../../profiles/scenarios.toml")),
];

/// Returns the TOML text of a built-in profile.
pub fn built_in(name: &str) -> Result<&'static str, PlanError> {
    /// Below this similarity, a suggestion would confuse.
    const ALIKE: f64 = 0.7;
    if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return Ok(text);
    }
    let nearest = BUILT_IN
        .iter()
        .map(|(known, _)| (strsim::jaro_winkler(name, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, known)| known.to_owned());
    let known = BUILT_IN.map(|(known, _)| known).join(", ");
    Err(PlanError::UnknownProfile { asked: name.to_owned(), nearest, known })
}

/// A profile as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a profile")]
pub struct Profile {
    /// One line on the question that it answers.
    pub description: Option<String>,
    pub executor: String,
    pub vus: Option<i64>,
    /// How long new requests are started.
    pub duration: Option<String>,
    /// Requests of each user, or of all.
    pub iterations: Option<i64>,
    /// How long an executor of iterations runs at most.
    pub max_duration: Option<String>,
    /// Users at the start.
    pub start_vus: Option<i64>,
    pub stages: Option<Vec<Stage>>,
    /// Arrivals per time unit.
    pub rate: Option<i64>,
    /// Arrivals per time unit at the start.
    pub start_rate: Option<i64>,
    /// The time that rates are given per.
    pub time_unit: Option<String>,
    /// Users that exist from the start.
    pub pre_allocated_vus: Option<i64>,
    /// The most users.
    pub max_vus: Option<i64>,
    /// The spacing of arrivals.
    pub arrival: Option<String>,
    /// The shape of gamma arrivals.
    pub burstiness: Option<f64>,
    /// The fate of an arrival that finds all users busy.
    pub on_full: Option<String>,
    /// Rows with their own instants.
    pub trace: Option<Trace>,
    /// How long requests may finish after the end.
    pub graceful_stop: Option<String>,
    /// How long a user that was ramped away may finish its request.
    pub graceful_ramp_down: Option<String>,
    /// How much of the beginning is not measured.
    pub warmup: Option<String>,
    /// How much of the end is not measured.
    pub cooldown: Option<String>,
    pub think_time: Option<ThinkTime>,
    /// Timeouts of every request.
    pub timeout: Option<Timeout>,
    /// The retries of failed requests.
    pub retries: Option<WrittenRetries>,
    /// True if every endpoint is probed once before the load begins.
    #[serde(default)]
    pub endpoint_check: bool,
    #[serde(default)]
    pub requests: Vec<Request>,
    /// The conditions that must hold, by metric.
    #[serde(default)]
    pub thresholds: BTreeMap<String, Thresholds>,
    /// Latency goals of a single request, by metric.
    #[serde(default)]
    pub slo: BTreeMap<String, OneOrMore>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a stage like { duration = \"30s\", target = 10 }")]
pub struct Stage {
    /// How long it takes.
    pub duration: String,
    /// Users, or arrivals per time unit, at its end.
    pub target: i64,
}

/// A pause: always the same, or drawn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a duration like \"100ms\", or { min = \"100ms\", max = \"300ms\" }")]
pub enum ThinkTime {
    Fixed(String),
    Drawn(TimeRange),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    pub min: String,
    pub max: String,
}

/// Timeouts: the total, or each by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a duration like \"60s\", or durations by name: { connect, first_byte, stall, total }"
)]
pub enum Timeout {
    Total(String),
    Named(NamedTimeouts),
}

/// Timeouts by name. Missing ones follow from the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedTimeouts {
    pub connect: Option<String>,
    /// Sent → first byte.
    pub first_byte: Option<String>,
    pub stall: Option<String>,
    pub total: Option<String>,
}

/// How often failed requests are sent again, or also by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a number such as 2, or { policy = \"openai\", max = 2 }")]
pub enum WrittenRetries {
    Max(i64),
    Named(NamedRetries),
}

/// Retries by the rules of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRetries {
    pub policy: Option<String>,
    /// Attempts after the first.
    pub max: Option<i64>,
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a request, under [[requests]]")]
pub struct Request {
    /// Its name in the report.
    pub name: String,
    /// Its share of the mix.
    pub weight: Option<i64>,
    /// The API that it uses.
    pub api: String,
    /// True if the response is streamed.
    #[serde(default)]
    pub stream: bool,
    /// True if it goes over a WebSocket.
    #[serde(default)]
    pub websocket: bool,
    /// True if the server may lack its endpoint.
    #[serde(default)]
    pub optional: bool,
    /// Replaces the API's own path.
    pub path: Option<String>,
    /// Models to draw from.
    pub model: Option<WrittenModel>,
    /// Prompts to draw from, or their lengths.
    pub prompt: Option<WrittenPrompt>,
    /// A picture beside the prompt.
    pub image: Option<String>,
    /// A file of prompts or bodies, instead of `prompt`.
    pub dataset: Option<Dataset>,
    /// A shared prefix of prompts.
    pub prefix: Option<WrittenPrefix>,
    /// The setting whether the server's prompt cache can find the beginnings of prompts.
    pub prompt_cache: Option<String>,
    pub max_tokens: Option<MaxTokens>,
    /// The field of chat completions that carries the limit.
    pub token_limit_field: Option<String>,
    /// The length of the response.
    pub output: Option<WrittenOutput>,
    pub timeout: Option<Timeout>,
    /// Its retries after a failure.
    pub retries: Option<WrittenRetries>,
    /// The conversations of its users.
    pub conversation: Option<Conversation>,
    /// The scenario that llmsim is asked to play.
    pub scenario: Option<WrittenScenario>,
    /// Users who give up.
    pub cancel: Option<Leave>,
    pub drop: Option<Leave>,
    /// Users who read slowly.
    pub slow_reader: Option<SlowReader>,
    /// Extra fields of the JSON body. For an API that the profile describes, the whole body.
    pub body: Option<toml::Table>,
    /// The HTTP method of such an API.
    pub method: Option<String>,
    /// The places of the values in its responses.
    pub response: Option<WrittenResponse>,
    /// True if a stream of chat completions is asked for its usage.
    pub include_usage: Option<bool>,
    /// True if a response without usage is a failure, unless it is streamed.
    pub check_usage: Option<bool>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// A scenario of llmsim: its name, or also its speed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a name such as \"chat-short\", or { name = \"chat-short\", speed = 0.1 }")]
pub enum WrittenScenario {
    Name(String),
    Timed(TimedScenario),
}

/// A scenario that is played faster or slower than written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedScenario {
    pub name: String,
    /// Factor of its pauses.
    pub speed: Option<f64>,
}

/// How users converse.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a conversation, like { turns = { min = 2, max = 8 } }")]
pub struct Conversation {
    /// Required, unless a data set has turns.
    pub turns: Option<Turns>,
    /// Pause before each further message of the user.
    pub think_time: Option<ThinkTime>,
    /// How a request carries earlier messages.
    pub history: Option<String>,
    /// A header that names the conversation.
    pub affinity_header: Option<String>,
    /// The result of every tool call.
    pub tool_result: Option<String>,
    pub max_tool_rounds: Option<i64>,
}

impl Conversation {
    /// Creates one with `n` turns, and nothing else set.
    pub const fn of_turns(n: i64) -> Self {
        Self {
            turns: Some(Turns::Always(n)),
            think_time: None,
            history: None,
            affinity_header: None,
            tool_result: None,
            max_tool_rounds: None,
        }
    }
}

/// The number of turns of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a number such as 4, or { min = 2, max = 8 }")]
pub enum Turns {
    Always(i64),
    /// Each number is equally likely.
    Range {
        min: i64,
        max: i64,
    },
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    /// Returns the texts, in whichever way they were written.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        }
    }
}

/// A token limit: always the same, or drawn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected an integer, or { min = 50, max = 200 }")]
pub enum MaxTokens {
    Fixed(i64),
    Drawn(TokenRange),
}

/// When users leave before the end, and what share of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "when users abandon a request, such as { after_tokens = 10, share = 0.3 } or { after = \"500ms\" }"
)]
pub struct Leave {
    /// After this many token events.
    pub after_tokens: Option<i64>,
    /// Or at this time after the request was sent.
    pub after: Option<String>,
    /// Share of the requests.
    pub share: Option<f64>,
}

/// How slowly users read, and what share of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a slow reader, like { bytes_per_second = 2000, share = 0.3 }")]
pub struct SlowReader {
    /// The most bytes in a second.
    pub bytes_per_second: i64,
    /// Share of the requests.
    pub share: Option<f64>,
}

/// The thresholds of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a threshold like \"p(95)<2s\", or a list of them, or of { threshold, abort_on_fail, delay_abort_eval }"
)]
pub enum Thresholds {
    One(Threshold),
    More(Vec<Threshold>),
}

impl Thresholds {
    /// Returns the thresholds, in whichever way they were written.
    pub fn all(&self) -> &[Threshold] {
        match self {
            Self::One(threshold) => std::slice::from_ref(threshold),
            Self::More(thresholds) => thresholds,
        }
    }
}

/// A threshold: the expression alone, or with its consequences.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    Short(String),
    /// With its consequences.
    Long(LongThreshold),
}

/// A threshold in its long form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongThreshold {
    pub threshold: String,
    /// True to stop the run as soon as it fails.
    #[serde(default)]
    pub abort_on_fail: bool,
    /// The part of the run that must be over before it may stop the run.
    pub delay_abort_eval: Option<String>,
}

/// A profile and the places of its keys, so that the message on a later mistake can name the line.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileFile {
    /// The file, or the built-in profile, as messages name it.
    pub file: String,
    pub profile: Profile,
    /// True for a built-in profile, false for a file.
    pub is_built_in: bool,
    /// The line of every key, such as `stages[1].target`.
    lines: HashMap<String, usize>,
}

impl ProfileFile {
    /// Parses the built-in profile of that name.
    pub fn built_in(name: &str) -> Result<Self, PlanError> {
        let written = Self::parse(&format!("built-in profile {name}"), built_in(name)?)?;
        Ok(Self { is_built_in: true, ..written })
    }

    /// Parses a profile's text. `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, PlanError> {
        let refuse = |line, key: String, problem| PlanError::Profile { file: file.to_owned(), line, key, problem };
        if text.len() > limits::MAX_PROFILE_BYTES {
            let problem =
                format!("is larger than a profile may be: expected at most {} bytes", limits::MAX_PROFILE_BYTES);
            return Err(refuse(None, String::new(), problem));
        }
        let broken = |error: toml::de::Error| {
            // A missing key has no place of its own: toml then marks the whole text.
            let span = error.span().filter(|span| *span != (0..text.len()) && *span != (0..0));
            let line = span.as_ref().map(|span| line_of(text, span.start));
            let key = span.and_then(|span| key_at(text, &span).or_else(|| key_before(text, span.start)));
            let key = key.unwrap_or_default();
            refuse(line, key, plain(error.message()))
        };
        let profile = toml::from_str(text).map_err(broken)?;
        let table = DeTable::parse(text).map_err(broken)?;
        let mut lines = HashMap::new();
        visit(table.get_ref(), "", &mut |path, span| {
            lines.insert(path.to_owned(), line_of(text, span.start));
        });
        Ok(Self { file: file.to_owned(), profile, is_built_in: false, lines })
    }

    /// Returns the error for a mistake at `key`, with its line.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> PlanError {
        let line = self.lines.get(key).copied();
        PlanError::Profile { file: self.file.clone(), line, key: key.to_owned(), problem: problem.into() }
    }

    /// Checks the integer at `key` against `limits`.
    pub(super) fn whole(
        &self,
        key: &str,
        number: Option<i64>,
        limits: RangeInclusive<u64>,
    ) -> Result<Option<u64>, PlanError> {
        let Some(number) = number else { return Ok(None) };
        match u64::try_from(number) {
            Ok(fine) if limits.contains(&fine) => Ok(Some(fine)),
            _ => {
                let (low, high) = limits.into_inner();
                Err(self.error(key, format!("invalid value '{number}': expected an integer from {low} to {high}")))
            }
        }
    }

    /// Parses the duration at `key`, zero included.
    pub(super) fn time(&self, key: &str, text: &str) -> Result<Nanos, PlanError> {
        let time: Nanos = text.parse().map_err(|error: BadDuration| self.error(key, error.to_string()))?;
        if time > limits::LONGEST {
            let problem = format!("invalid value '{text}': expected a duration of at most {}", limits::LONGEST);
            return Err(self.error(key, problem));
        }
        Ok(time)
    }

    /// Parses the duration at `key`, which must be above zero.
    pub(super) fn some_time(&self, key: &str, text: Option<&str>) -> Result<Option<Nanos>, PlanError> {
        let Some(text) = text else { return Ok(None) };
        match self.time(key, text)? {
            Nanos::ZERO => Err(self.error(key, format!("invalid value '{text}': expected a duration above zero"))),
            time => Ok(Some(time)),
        }
    }

    /// Returns the origin of the value of `key`: this profile, if it is written there.
    pub fn origin(&self, key: &str) -> Origin {
        if self.lines.contains_key(key) { Origin::Profile(self.file.clone()) } else { Origin::Default }
    }
}

/// Returns the line of a place in the text, from 1.
fn line_of(text: &str, at: usize) -> usize {
    memchr::memchr_iter(b'\n', &text.as_bytes()[..at.min(text.len())]).count() + 1
}

/// Returns the key at a place in the text: that of the narrowest key or value around it.
fn key_at(text: &str, at: &Range<usize>) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let mut narrowest: Option<(usize, String)> = None;
    visit(table.get_ref(), "", &mut |path, span| {
        let wider = narrowest.as_ref().is_none_or(|(width, _)| span.len() < *width);
        if span.start <= at.start && at.end <= span.end && wider {
            narrowest = Some((span.len(), path.to_owned()));
        }
    });
    narrowest.map(|(_, path)| path)
}

/// Returns the key on the line of a place, in a text that is not TOML. The rest of the line may be
/// a secret and is not repeated.
fn key_before(text: &str, at: usize) -> Option<String> {
    let line = text.lines().nth(line_of(text, at) - 1)?;
    let key = line.split_once('=')?.0.trim();
    (!key.is_empty() && key.chars().all(|c| c.is_ascii_graphic())).then(|| key.to_owned())
}

/// Visits every key with its path: once with the place of the key, once with that of its value.
fn visit(table: &DeTable<'_>, path: &str, see: &mut dyn FnMut(&str, &Range<usize>)) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        visit_value(value, &path, see);
        see(&path, &key.span());
    }
}

/// Visits a value and the values inside it.
fn visit_value(value: &Spanned<DeValue<'_>>, path: &str, see: &mut dyn FnMut(&str, &Range<usize>)) {
    see(path, &value.span());
    match value.get_ref() {
        DeValue::Table(inner) => visit(inner, path, see),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit_value(item, &format!("{path}[{index}]"), see);
            }
        }
        _ => {}
    }
}

/// Replaces serde's names of types by plain ones.
fn plain(message: &str) -> String {
    message
        .replace("expected i64", "expected an integer")
        .replace("expected a map", "expected a table")
        .replace("expected a sequence", "expected a list")
        .replace("invalid type: sequence", "invalid type: list")
        .replace("invalid type: map", "invalid type: table")
        .trim_end()
        .replace('\n', "; ")
}

#[cfg(test)]
mod tests;
