//! Files of rows as a profile names them.

use serde::Deserialize;

/// A file of prompts or bodies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a data set, like { file = \"chat.jsonl\", order = \"shuffled\" }")]
pub struct Dataset {
    pub file: String,
    /// How the file is written.
    pub format: Option<String>,
    /// The column of the prompt.
    pub column: Option<String>,
    /// The column that says how long the answer shall be.
    pub output_column: Option<String>,
    pub order: Option<String>,
    /// What is set in whole bodies.
    #[serde(default)]
    pub patch: Vec<String>,
}

/// A file of rows with their own instants.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a trace, like { file = \"trace.jsonl\", speed = 2.0 }")]
pub struct Trace {
    pub file: String,
    /// How the file is written.
    pub format: Option<String>,
    /// What its timestamps count.
    pub time_unit: Option<String>,
    pub columns: Option<TraceColumns>,
    /// How many times as fast as it was recorded.
    pub speed: Option<f64>,
    /// Leave out rows before this.
    pub from: Option<String>,
    /// Leave out rows after that long.
    #[serde(rename = "for")]
    pub length: Option<String>,
    /// How often all of it is sent.
    #[serde(rename = "loop")]
    pub passes: Option<i64>,
    /// What is set in whole bodies.
    #[serde(default)]
    pub patch: Vec<String>,
}

/// Names of a trace's columns, where they are not as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "names of columns, like { timestamp = \"when\", input = \"in\" }")]
pub struct TraceColumns {
    pub timestamp: Option<String>,
    pub input: Option<String>,
    pub output: Option<String>,
    pub prompt: Option<String>,
}
