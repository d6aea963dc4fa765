//! Documents → the runs that are compared; noise → a file and back.

use crate::compare::{LEAST_RUNS, Measure, Noise, Run, Second, Spread, Unit};
use crate::document::read::{FieldError, three, wrong};
use crate::document::{ClientVerdict, Conclusion, Document, json as document_json, rounded, steady, summary};
use crate::metrics::Buckets;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Name and version of the format.
const NOISE_SCHEMA: &str = "llmsim-blast.noise/1";
/// Characters of a commit that people read.
const SHORT_COMMIT: usize = 12;

/// A document as a run to compare.
pub fn run(file: &str, document: &Document) -> Result<Run, FieldError> {
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
        build: build(document),
        server: server(document),
        summary: summary(document)?,
        seconds: steady::in_window(document).map(second).collect::<Result<_, _>>()?,
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

/// Which build of the server: kind, version and commit, as far as they are known.
fn build(document: &Document) -> String {
    let server = &document.target.server;
    let commit = server.git_commit.as_ref().map(|commit| {
        let dirty = if server.git_dirty == Some(true) { " and changes" } else { "" };
        format!("{}{dirty}", commit.chars().take(SHORT_COMMIT).collect::<String>())
    });
    [server.kind.clone(), server.version.clone(), commit].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The build, and the user's own marks.
fn server(document: &Document) -> String {
    let tags = document.run.tags.iter().map(|(key, value)| format!("{key}={value}"));
    let parts = std::iter::once(build(document)).filter(|build| !build.is_empty()).chain(tags);
    parts.collect::<Vec<_>>().join(" ")
}

fn second(second: &crate::document::Second) -> Result<Second, FieldError> {
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

/// What a noise file says.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseFile {
    /// The test.
    pub workload: String,
    /// The machine, if all runs were on one.
    pub fingerprint: Option<String>,
    /// The spread by measure.
    pub spreads: BTreeMap<String, f64>,
}

/// Reads what [`noise_json`] wrote.
pub fn noise_from_json(text: &str) -> Result<NoiseFile, NoiseError> {
    let value: Value = serde_json::from_str(text).map_err(|error| NoiseError::Foreign(error.to_string()))?;
    let schema = value.get("schema").and_then(Value::as_str);
    if schema != Some(NOISE_SCHEMA) {
        return Err(NoiseError::Foreign(schema.map_or_else(|| "no schema".to_owned(), |s| format!("{s:?}"))));
    }
    let missing = |field: &str| wrong(field, "it is missing, or of another type");
    let workload = value.get("workload").and_then(Value::as_str).ok_or_else(|| missing("workload"))?;
    let runs = value.get("runs").and_then(Value::as_u64).ok_or_else(|| missing("runs"))?;
    if runs < LEAST_RUNS as u64 {
        return Err(wrong("runs", format!("{runs}: expected at least {LEAST_RUNS}")).into());
    }
    let measures = value.get("measures").and_then(Value::as_object).ok_or_else(|| missing("measures"))?;
    let mut spreads = BTreeMap::new();
    for (name, fields) in measures {
        let field = format!("measures.{name}");
        let measure = Measure::parse(name).map_err(|problem| wrong(&field, problem))?;
        let number = |key: &str| {
            let number = fields.get(key).and_then(Value::as_f64).filter(|n| *n >= 0.0);
            number.ok_or_else(|| missing(&format!("{field}.{key}")))
        };
        let (spread, min, max) = (number("spread")?, number("min")?, number("max")?);
        let derived = if measure.unit() == Unit::Share { max - min } else { max / min - 1.0 };
        // A ratio to nothing is no number.
        let agrees = derived.is_finite() && (derived - spread).abs() <= 1e-3 + 1e-3 * spread;
        if !agrees {
            let problem = format!("it says {spread}, and min {min} and max {max} stand beside it");
            return Err(wrong(format!("{field}.spread"), problem).into());
        }
        spreads.insert(name.clone(), spread);
    }
    let fingerprint = value.get("fingerprint").and_then(Value::as_str).map(str::to_owned);
    Ok(NoiseFile { workload: workload.to_owned(), fingerprint, spreads })
}
