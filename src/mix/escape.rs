//! Text as JSON has it.

/// What stands between the quotes of a JSON string.
pub(super) fn json_content(text: &str) -> String {
    let quoted = json_string(text);
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// A JSON string, with its quotes.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
