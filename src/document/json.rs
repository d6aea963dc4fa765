//! Conversion between documents and JSON text.

use super::digest::{self, Seal};
use super::{Document, FieldError, Strictness, read};
use serde::Serialize;
use serde_json::Value;

/// Name and version of the format.
pub const SCHEMA: &str = "llmsim-blast.run/1";

/// The prefix of every version's name.
const SCHEMA_FAMILY: &str = "llmsim-blast.run/";

/// The version of [`SCHEMA`].
const SCHEMA_VERSION: u32 = 1;

/// Most bytes of a document that are read. A day of seconds with all their histograms fits.
pub(crate) const MAX_BYTES: usize = 512 << 20;

/// The reason why a text is not a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("it is empty: expected the JSON that a run writes with --output")]
    Empty,
    /// The text ends in the middle.
    #[error("it ends in the middle (line {line}): was it cut off while it was written or copied?")]
    Truncated { line: usize },
    /// The text is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// The JSON comes from another program.
    #[error("it is not a result of this tool: expected \"schema\": \"{SCHEMA}\", found {found}")]
    Foreign {
        /// The schema that was found instead.
        found: String,
    },
    /// A later version wrote the document.
    #[error("it was written by a newer version of this tool ({found}; this one reads {SCHEMA}): update it")]
    Newer { found: String },
    /// The schema is right, but a field is wrong.
    #[error("{field}: it is not a valid {SCHEMA}: {problem}")]
    Invalid {
        /// The field, as a path.
        field: String,
        /// The problem with it.
        problem: serde_json::Error,
    },
    /// The text is larger than any sensible result.
    #[error("it is larger than {} MB, the maximum", MAX_BYTES >> 20)]
    TooLarge,
    /// A value was changed since it was written.
    #[error(
        "{DIGEST}: it does not fit the values beside it: the result was edited or damaged since it was written \
         (reformatting it, for example with `jq .`, is allowed)"
    )]
    Edited,
    /// A value may have been changed, and the digest that would show it was removed.
    #[error("{DIGEST}: it is missing: this build writes one, and without it, an edited result cannot be detected")]
    Unsealed,
    /// The fields are right, but some numbers are impossible.
    #[error(transparent)]
    Field(#[from] FieldError),
}

const DIGEST: &str = digest::FIELD;

/// Returns the JSON for files: with its digest, keys sorted, indented, with a newline at the end.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    // Goes through a value, whose maps are sorted. A struct would print its fields in the order of
    // their declaration.
    let value = serde_json::to_value(document).map(|mut value| {
        digest::seal(&mut value);
        value.sort_all_objects();
        format!("{value:#}\n")
    });
    debug_assert!(value.is_ok(), "all keys are text: {value:?}");
    value.unwrap_or_default()
}

impl Document {
    /// Returns the JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        pretty(self)
    }

    /// Reads the output of [`Document::to_json`] of this version or an earlier build of it. Values
    /// that were changed since then are refused. Earlier builds wrote no digest. From their results
    /// only impossible values are refused, so an edit may go unnoticed.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        if text.len() > MAX_BYTES {
            return Err(DocumentError::TooLarge);
        }
        if text.trim().is_empty() {
            return Err(DocumentError::Empty);
        }
        let mut value: Value = serde_json::from_str(text).map_err(|error| {
            if error.is_eof() { DocumentError::Truncated { line: error.line() } } else { DocumentError::NotJson(error) }
        })?;
        let found = value.get("schema").and_then(Value::as_str);
        let version = found.and_then(|s| s.strip_prefix(SCHEMA_FAMILY)).and_then(|v| v.parse::<u32>().ok());
        match version {
            Some(SCHEMA_VERSION) => {
                unchanged(&value)?;
                let is_judged = value.get("exit_code").is_some();
                digest::restore_integers(&mut value);
                read::counts_are_possible(&value)?;
                let document: Self = serde_path_to_error::deserialize(value).map_err(|error| {
                    DocumentError::Invalid { field: error.path().to_string(), problem: error.into_inner() }
                })?;
                read::check(&document)?;
                Ok(judged(document, is_judged))
            }
            Some(v) if v > SCHEMA_VERSION => Err(DocumentError::Newer { found: format!("{SCHEMA_FAMILY}{v}") }),
            _ => Err(DocumentError::Foreign {
                found: found.map_or_else(|| "none".to_owned(), |s| format!("'{}'", s.escape_debug())),
            }),
        }
    }
}

/// Judges a document of an earlier build, which left the verdict to its exit code. That build knew
/// whether a strained client was to fail the run. This one does not.
fn judged(mut document: Document, is_judged: bool) -> Document {
    if !is_judged {
        document.judge(Strictness::default());
    }
    document
}

/// Refuses a result of this build that was changed after it was written.
pub(crate) fn unchanged(result: &Value) -> Result<(), DocumentError> {
    match digest::check(result) {
        Seal::Fits | Seal::None => Ok(()),
        Seal::Broken => Err(DocumentError::Edited),
        Seal::Removed => Err(DocumentError::Unsealed),
    }
}
