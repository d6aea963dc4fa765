//! Documents → the runs that are compared; noise → a file and back.

use crate::compare::{Measure, Noise, Run, Second, Spread};
use crate::metrics::Buckets;
use crate::report::read::{FieldError, three, wrong};
use crate::report::{ClientVerdict, Conclusion, Document, json as document_json, rounded, summary};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Name and version of the format.
const NOISE_SCHEMA: &str = "llmsim-blast.noise/1";
/// Characters of a commit that people read.
const SHORT_COMMIT: usize = 12;

/// A document as a run to compare.
pub fn run(file: &str, document: &Document) -> Result<Run, FieldError> {
    let window = document.run.window_s as u64;
    let seconds = document.series.iter().filter(|s| u64::from(s.t_s) < window);
    let mut remarks = Vec::new();
    if document.client.verdict >= ClientVerdict::Strained {
        remarks.push(format!("the client was {}: the numbers are partly its own", document.client.verdict.name()));
    }
    Ok(Run {
        file: file.to_owned(),
        id: document.run.id.clone(),
        workload: text(document.plan.get("hash")),
        tool: document.build.version.clone(),
        shards: document.run.merged_from.len(),
        incomplete: incomplete(document),
        fingerprint: document.environment.fingerprint.clone(),
        remarks,
        server: server(document),
        summary: summary(document)?,
        seconds: seconds.map(second).collect::<Result<_, _>>()?,
    })
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Why a document is not of a whole run.
fn incomplete(document: &Document) -> Option<String> {
    match document.conclusion() {
        _ if document.is_partial() => Some("run.shard: shares are missing in it".to_owned()),
        _ if document.is_shard() => Some("run.shard: it is a share of a test, not merged yet".to_owned()),
        Conclusion::Interrupted => Some("run.interrupted: it was stopped by a signal".to_owned()),
        Conclusion::ServerDied => Some("target.server.died: the server ended by itself".to_owned()),
        Conclusion::NoData => Some("metrics.http_req_failed: not one request succeeded".to_owned()),
        Conclusion::Pass | Conclusion::Fail => {
            document.run.stop_reason.as_ref().map(|reason| format!("run.stop_reason: it ended early ({reason})"))
        }
    }
}

/// Which server: kind, version, commit, and the user's own marks.
fn server(document: &Document) -> String {
    let server = &document.target.server;
    let commit = server.git_commit.as_ref().map(|commit| {
        let dirty = if server.git_dirty == Some(true) { " and changes" } else { "" };
        format!("{}{dirty}", commit.chars().take(SHORT_COMMIT).collect::<String>())
    });
    let tags = document.run.tags.iter().map(|(key, value)| format!("{key}={value}"));
    let parts = [server.kind.clone(), server.version.clone(), commit].into_iter().flatten().chain(tags);
    parts.collect::<Vec<_>>().join(" ")
}

fn second(second: &crate::report::Second) -> Result<Second, FieldError> {
    let mut times = BTreeMap::new();
    for (kind, numbers) in &second.requests {
        for (name, histogram, _) in three(numbers) {
            let Some(histogram) = histogram else { continue };
            let field = || format!("series: second {}: requests.{kind}.histograms.{name}", second.t_s);
            let buckets = Buckets::decode(histogram).map_err(|error| wrong(field(), error.to_string()))?;
            times.insert((kind.clone(), name), buckets);
        }
    }
    let (http_reqs, failed, tokens_output) = (second.http_reqs, second.failed, second.tokens_output);
    Ok(Second { http_reqs, failed, tokens_output, times })
}

/// Noise as JSON for files.
pub fn noise_json(noise: &Noise) -> String {
    let spread = |(measure, s): &(Measure, Spread)| {
        let [median, min, max, spread] = [s.median, s.min, s.max, s.spread].map(rounded);
        (measure.to_string(), json!({ "median": median, "min": min, "max": max, "spread": spread }))
    };
    document_json::pretty(&json!({
        "schema": NOISE_SCHEMA,
        "workload": noise.workload,
        "fingerprint": noise.fingerprint,
        "runs": noise.runs,
        "measures": noise.spreads.iter().map(spread).collect::<Map<_, _>>(),
    }))
}

/// Why a text is not noise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// Not JSON, or not this sort of it.
    #[error("it is not a noise file: expected what `llmsim-blast noise` writes ({NOISE_SCHEMA}), found {0}")]
    Foreign(String),
    /// A field that cannot be.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Reads what [`noise_json`] wrote: the workload, and the spread by measure.
pub fn noise_from_json(text: &str) -> Result<(String, BTreeMap<String, f64>), NoiseError> {
    let value: Value = serde_json::from_str(text).map_err(|error| NoiseError::Foreign(error.to_string()))?;
    let schema = value.get("schema").and_then(Value::as_str);
    if schema != Some(NOISE_SCHEMA) {
        return Err(NoiseError::Foreign(schema.map_or_else(|| "no schema".to_owned(), |s| format!("{s:?}"))));
    }
    let missing = |field: &str| wrong(field, "it is missing, or of another type");
    let workload = value.get("workload").and_then(Value::as_str).ok_or_else(|| missing("workload"))?;
    let measures = value.get("measures").and_then(Value::as_object).ok_or_else(|| missing("measures"))?;
    let mut spreads = BTreeMap::new();
    for (name, measure) in measures {
        let field = format!("measures.{name}");
        Measure::parse(name).map_err(|problem| wrong(&field, problem))?;
        let number = |key: &str| measure.get(key).and_then(Value::as_f64).filter(|n| *n >= 0.0);
        let spread = number("spread").ok_or_else(|| missing(&format!("{field}.spread")))?;
        let (min, max) = (number("min").unwrap_or(0.0), number("max").unwrap_or(0.0));
        // Of shares the difference, of everything else the ratio.
        let derived = [max - min, if min > 0.0 { max / min - 1.0 } else { max - min }];
        if !derived.iter().any(|d| (d - spread).abs() <= 1e-3 + 1e-3 * spread) {
            let problem = format!("it says {spread}, and min {min} and max {max} stand beside it");
            return Err(wrong(format!("{field}.spread"), problem).into());
        }
        spreads.insert(name.clone(), spread);
    }
    Ok((workload.to_owned(), spreads))
}
