//! Document ↔ JSON text.

use super::Document;
use serde::Serialize;
use serde_json::Value;

/// Name and version of the format.
pub const SCHEMA: &str = "llmsim-blast.run/1";

/// What every version's name starts with.
const SCHEMA_FAMILY: &str = "llmsim-blast.run/";

/// The version of [`SCHEMA`].
const SCHEMA_VERSION: u32 = 1;

/// Why a text is not a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Nothing there.
    #[error("it is empty: expected the JSON that a run writes with --output")]
    Empty,
    /// It stops in the middle.
    #[error("it ends in the middle (line {line}): was it cut off while it was written or copied?")]
    Truncated {
        /// Where.
        line: usize,
    },
    /// Not JSON at all.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON of another program.
    #[error("it is not a result of this tool: expected \"schema\": \"{SCHEMA}\", found {found}")]
    Foreign {
        /// What stands there instead.
        found: String,
    },
    /// Written by a later version.
    #[error("it was written by a newer version of this tool ({found}; this one reads {SCHEMA}): update it")]
    Newer {
        /// Its schema.
        found: String,
    },
    /// The right schema with wrong fields.
    #[error("it is not a valid {SCHEMA}: {0}")]
    Invalid(serde_json::Error),
}

/// JSON for files: keys sorted, indented, with a newline at the end.
pub(super) fn pretty(document: &impl Serialize) -> String {
    // By way of a value, whose maps are sorted; a struct would print its fields as they are declared.
    let value = serde_json::to_value(document).map(|mut value| {
        value.sort_all_objects();
        format!("{value:#}\n")
    });
    debug_assert!(value.is_ok(), "all keys are text: {value:?}");
    value.unwrap_or_default()
}

impl Document {
    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        pretty(self)
    }

    /// Reads what [`Document::to_json`] wrote, in this version or an earlier build of it.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        if text.trim().is_empty() {
            return Err(DocumentError::Empty);
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            if error.is_eof() { DocumentError::Truncated { line: error.line() } } else { DocumentError::NotJson(error) }
        })?;
        let found = value.get("schema").and_then(Value::as_str);
        let version = found.and_then(|s| s.strip_prefix(SCHEMA_FAMILY)).and_then(|v| v.parse::<u32>().ok());
        match version {
            Some(SCHEMA_VERSION) => serde_json::from_value(value).map_err(DocumentError::Invalid),
            Some(v) if v > SCHEMA_VERSION => Err(DocumentError::Newer { found: format!("{SCHEMA_FAMILY}{v}") }),
            _ => Err(DocumentError::Foreign { found: found.map_or_else(|| "none".to_owned(), |s| format!("{s:?}")) }),
        }
    }
}
