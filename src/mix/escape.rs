//! Escapes text for JSON and for URLs.

/// Returns a text as it stands between the quotes of a JSON string.
pub(super) fn json_content(text: &str) -> String {
    let quoted = json_string(text);
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// Returns a text as a JSON string, with its quotes.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Encodes a text as one segment of a path (RFC 3986, section 2.3: all but the unreserved
/// characters).
pub fn percent_encoded(text: &str) -> String {
    encoded(text, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// Percent-encodes all bytes of a text but those to `keep`.
pub(super) fn encoded(text: &str, keep: impl Fn(u8) -> bool) -> String {
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
