//! Files of rows, as a profile names them.

use serde::Deserialize;

/// A file of prompts or bodies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a data set, like { file = \"chat.jsonl\", order = \"shuffled\" }")]
pub struct Dataset {
    pub file: String,
    /// The format of the file.
    pub format: Option<String>,
    /// The column of the prompt.
    pub column: Option<String>,
    /// The column of the length of the response.
    pub output_column: Option<String>,
    pub order: Option<String>,
    /// The fields that are set in whole bodies.
    #[serde(default)]
    pub patch: Vec<String>,
}

/// A file of rows with their own instants.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a trace, like { file = \"trace.jsonl\", speed = 2.0 }")]
pub struct Trace {
    pub file: String,
    /// The format of the file.
    pub format: Option<String>,
    /// The unit of its timestamps.
    pub time_unit: Option<String>,
    pub columns: Option<TraceColumns>,
    /// Speed relative to the recording.
    pub speed: Option<f64>,
    /// Rows before this instant are left out.
    pub from: Option<String>,
    /// Rows after this length of time are left out.
    #[serde(rename = "for")]
    pub length: Option<String>,
    /// How often the whole trace is sent.
    #[serde(rename = "loop")]
    pub passes: Option<i64>,
    /// The fields that are set in whole bodies.
    #[serde(default)]
    pub patch: Vec<String>,
}

/// Names of a trace's columns that differ from the usual ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "names of columns, like { timestamp = \"when\", input = \"in\" }")]
pub struct TraceColumns {
    pub timestamp: Option<String>,
    pub input: Option<String>,
    pub output: Option<String>,
    pub prompt: Option<String>,
}
