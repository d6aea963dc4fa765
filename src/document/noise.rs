//! Noise files: writing and reading.

use super::json::{self as document_json, DocumentError};
use super::read::{FieldError, wrong};
use crate::compare::{LEAST_RUNS, Measure, Noise, Spread};
use crate::units::rounded;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Name and version of the format.
const NOISE_SCHEMA: &str = "llmsim-blast.noise/1";

/// Returns noise as JSON for files.
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

/// The reason why a text is not a noise file.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// Not JSON, or JSON of another sort.
    #[error("it is not a noise file: expected what `llmsim-blast noise` writes ({NOISE_SCHEMA}), found {0}")]
    Foreign(String),
    /// A value was changed since it was written.
    #[error(transparent)]
    Edited(#[from] DocumentError),
    /// A field has an impossible value.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// The contents of a noise file.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseFile {
    pub workload: String,
    /// The machine, if all runs were on one.
    pub fingerprint: Option<String>,
    /// The spread by measure.
    pub spreads: BTreeMap<String, f64>,
}

/// Reads the output of [`noise_json`].
pub fn noise_from_json(text: &str) -> Result<NoiseFile, NoiseError> {
    let value: Value = serde_json::from_str(text).map_err(|error| NoiseError::Foreign(error.to_string()))?;
    let schema = value.get("schema").and_then(Value::as_str);
    if schema != Some(NOISE_SCHEMA) {
        return Err(NoiseError::Foreign(
            schema.map_or_else(|| "no schema".to_owned(), |s| format!("'{}'", s.escape_debug())),
        ));
    }
    document_json::unchanged(&value)?;
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
        Measure::parse(name).map_err(|problem| wrong(&field, problem))?;
        let number = |key: &str| {
            let number = fields.get(key).and_then(Value::as_f64).filter(|n| *n >= 0.0);
            number.ok_or_else(|| missing(&format!("{field}.{key}")))
        };
        let spread = number("spread")?;
        spreads.insert(name.clone(), spread);
    }
    let fingerprint = value.get("fingerprint").and_then(Value::as_str).map(str::to_owned);
    Ok(NoiseFile { workload: workload.to_owned(), fingerprint, spreads })
}
