//! Requested values beside the measured ones: rate, tokens of prompts and of responses, prefixes.
//!
//! All rows are computed from the document's own metrics, so they are exact for a merged run, too.

use super::measured::{Numbers, counter, rate, trend};
use super::{Document, Rate, Trend};
use crate::metrics;
use crate::units::{plural, rounded, short};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row is marked when more than this share of its requests differs. One arrival in flight at the
/// end of the test does not count as a lost rate.
const FEW: f64 = 0.01;
/// An unrequested cache is reported from this share of the prompt tokens on.
const UNASKED: f64 = 0.05;

/// One requested value, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedGot {
    /// The kind of request. `None` for the whole run.
    #[serde(default)]
    pub request: Option<String>,
    /// `request_rate`, `input_tokens`, `output_tokens` or `prefix_tokens`.
    pub what: String,
    /// `tokens` of one request, or `requests/s`.
    pub unit: String,
    #[serde(default)]
    pub asked: Option<Spread>,
    /// The number that the server billed, or that was started.
    #[serde(default)]
    pub got: Option<Spread>,
    /// Requests that got something else. `None` if it is unknown.
    #[serde(default)]
    pub off: Option<Rate>,
    /// True if the two differ by more than is allowed.
    pub differs: bool,
    /// One explanation for each difference.
    #[serde(default)]
    pub why: Vec<String>,
}

/// A number, and how it is spread over the requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub avg: f64,
    /// `None` for a number of the whole run.
    #[serde(default)]
    pub p50: Option<f64>,
    #[serde(default)]
    pub p99: Option<f64>,
}

/// Returns all rows that the document's metrics allow.
pub(super) fn rows(doc: &Document) -> Vec<AskedGot> {
    let kinds = doc.requests.iter().flat_map(|(name, numbers)| {
        let kind = Kind { name, numbers, doc };
        [kind.input(), kind.output(), kind.prefix()]
    });
    std::iter::once(request_rate(doc)).chain(kinds).flatten().collect()
}

/// Compares the arrival rate of an open loop.
fn request_rate(doc: &Document) -> Option<AskedGot> {
    use metrics::Counter as C;
    let (offered, started) = (counter(&doc.metrics, C::ArrivalsOffered)?, counter(&doc.metrics, C::ArrivalsStarted)?);
    if offered.count == 0 {
        return None;
    }
    let spread = |rate: f64| Some(Spread { avg: rate, p50: None, p99: None });
    let off = share(offered.count.saturating_sub(started.count), offered.count);
    let differs = off.matches > 1 && is_much(&off);
    let mut why = Vec::new();
    let dropped = count(&doc.metrics, C::DroppedIterations);
    if dropped > 0 {
        why.push(format!("{} dropped, because no user was free: raise max_vus", plural(dropped, "arrival")));
    }
    if let Some(lag) = trend(&doc.metrics, metrics::Trend::ScheduleLag) {
        why.push(format!("sent {} ms after their instants at p50, {} ms at p99", short(lag.p50), short(lag.p99)));
    }
    Some(AskedGot {
        request: None,
        what: "request_rate".to_owned(),
        unit: "requests/s".to_owned(),
        asked: spread(offered.rate),
        got: spread(started.rate),
        off: Some(off),
        differs,
        why,
    })
}

/// A kind of request and its numbers.
struct Kind<'a> {
    name: &'a str,
    numbers: &'a Numbers,
    doc: &'a Document,
}

impl Kind<'_> {
    fn row(&self, what: &str, asked: Option<&Trend>, got: Option<&Trend>) -> AskedGot {
        AskedGot {
            request: Some(self.name.to_owned()),
            what: what.to_owned(),
            unit: "tokens".to_owned(),
            asked: asked.map(spread),
            got: got.map(spread),
            off: None,
            differs: false,
            why: Vec::new(),
        }
    }

    /// Returns the kind's part of the plan.
    fn plan(&self) -> Option<&Value> {
        let all = self.doc.plan.get("requests")?.as_array()?;
        all.iter().find(|kind| kind.get("name").and_then(Value::as_str) == Some(self.name))
    }

    fn input(&self) -> Option<AskedGot> {
        let asked = trend(self.numbers, metrics::Trend::AskedInputTokens)?;
        let got = trend(self.numbers, metrics::Trend::BilledInputTokens);
        let mut row = self.row("input_tokens", Some(asked), got);
        row.off = rate(self.numbers, metrics::Rate::InputOff).cloned();
        let learned: Vec<_> = self.doc.templates.iter().filter(|template| template.request == self.name).collect();
        let other = learned.iter().filter_map(|t| t.tokens_per_word).find(|per_word| (per_word - 1.0).abs() > 1e-9);
        if let Some(per_word) = other {
            row.differs = true;
            row.why.push(format!(
                "tokens per word on this server: {}. Its vocabulary does not hold each of our words as one token",
                short(per_word)
            ));
        }
        match (&row.off, got) {
            (_, None) => row.why.push("the server billed nothing (no usage)".to_owned()),
            (None, _) if other.is_some() => {}
            (None, _) => row.why.push(self.unknown_template()),
            (Some(off), _) if off.matches > 0 => {
                row.differs = is_much(off);
                let less = count(self.numbers, metrics::Counter::InputShort);
                row.why.extend(parts(
                    off.total,
                    &[
                        (less, "billed for fewer: the server cut the prompt, or its words are other tokens"),
                        (off.matches.saturating_sub(less), "billed for more: the server adds to the prompt"),
                    ],
                ));
            }
            _ => {}
        }
        Some(row)
    }

    fn unknown_template(&self) -> String {
        let is_prose = self.plan().is_some_and(|kind| kind["prompt"].get("text").is_some());
        if is_prose {
            return "not compared, because the token count of prose is approximate".to_owned();
        }
        let reason = self.doc.templates.iter().filter(|t| t.request == self.name).find_map(|t| t.reason.as_deref());
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        format!("not compared, because the tokens that the chat template adds are unknown{reason}")
    }

    fn output(&self) -> Option<AskedGot> {
        use metrics::Counter as C;
        let asked = trend(self.numbers, metrics::Trend::AskedOutputTokens)?;
        let got = trend(self.numbers, metrics::Trend::BilledOutputTokens);
        let mut row = self.row("output_tokens", Some(asked), got);
        if got.is_none() {
            row.why.push("the server billed nothing (no usage)".to_owned());
            return Some(row);
        }
        row.off = rate(self.numbers, metrics::Rate::OutputOff).cloned();
        let Some(off) = row.off.as_ref().filter(|off| off.matches > 0) else { return Some(row) };
        let is_exact = self.plan().is_some_and(|kind| kind["exact"] == Value::Bool(true));
        let n = |c| count(self.numbers, c);
        // `max_tokens` is a limit, not a length, so a response that ends earlier is as requested.
        let unasked = if is_exact { off.matches } else { n(C::OutputLong) + n(C::OutputCut) };
        row.differs = is_much(&share(unasked, off.total));
        row.why.extend(parts(
            off.total,
            &[
                (n(C::OutputStopped), "stopped early: finish_reason stop"),
                (n(C::OutputCalledTools), "ended early with a tool call"),
                (n(C::OutputCut), "cut short: finish_reason length"),
                (n(C::OutputShort), "shorter for an unknown reason"),
                (n(C::OutputLong), "longer than their limit"),
            ],
        ));
        Some(row)
    }

    /// Compares the shared prefixes with the tokens from the server's cache.
    fn prefix(&self) -> Option<AskedGot> {
        let asked = trend(self.numbers, metrics::Trend::AskedPrefixTokens);
        let got = trend(self.numbers, metrics::Trend::CachedInputTokens);
        let is_cached = got.is_some_and(|got| got.max > 0.0);
        let mut row = self.row("prefix_tokens", asked, got);
        let billed = trend(self.numbers, metrics::Trend::BilledInputTokens).map_or(0.0, |billed| billed.sum);
        let cached = got.map_or(0.0, |got| got.sum) / billed.max(1.0);
        match asked {
            None if cached < UNASKED => return None,
            None => row.why.push("cached although no shared prefix was requested: prompts repeat".to_owned()),
            Some(_) if got.is_none() => row.why.push("the server billed nothing (no usage)".to_owned()),
            Some(_) if !is_cached => {
                row.why.push("no token came from a cache: the server has none, or does not report it".to_owned());
            }
            Some(_) => {
                let asked = rate(self.numbers, metrics::Rate::AskedPrefixShare).and_then(|rate| rate.rate);
                let text = format!("{} of the prompt tokens shared", percent(asked.unwrap_or_default()));
                row.why.push(format!("{text}, {} from the server's cache", percent(cached)));
            }
        }
        let written = count(self.numbers, metrics::Counter::TokensCacheWritten);
        if written > 0 {
            row.why.push(format!("{} written to the server's cache", plural(written, "token")));
        }
        Some(row)
    }
}

/// Describes each part as a share of the requests.
fn parts(total: u64, parts: &[(u64, &str)]) -> Vec<String> {
    let told = |&(n, word): &(u64, &str)| format!("{} {word}", percent(n as f64 / total.max(1) as f64));
    parts.iter().filter(|(n, _)| *n > 0).map(told).collect()
}

fn spread(trend: &Trend) -> Spread {
    Spread { avg: trend.avg, p50: Some(trend.p50), p99: Some(trend.p99) }
}

fn share(matches: u64, total: u64) -> Rate {
    Rate { rate: (total > 0).then(|| rounded(matches as f64 / total as f64)), matches, total }
}

fn is_much(off: &Rate) -> bool {
    off.matches as f64 > off.total as f64 * FEW
}

fn count(numbers: &Numbers, of: metrics::Counter) -> u64 {
    counter(numbers, of).map_or(0, |counter| counter.count)
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 0.1 => "<0.1 %".to_owned(),
        p => format!("{} %", short((p * 10.0).round() / 10.0)),
    }
}
