//! Header fields that a user adds.

use super::limits;
use crate::mix::check_header;

/// Parts of the names of fields whose values are secrets.
const SECRET: [&str; 6] = ["auth", "key", "token", "secret", "cookie", "password"];

/// Returns true if the value of this field must never be shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// Returns name and trimmed value, or the problem with them. The value is not repeated: it may be a
/// secret.
pub(super) fn header(name: &str, value: &str) -> Result<(String, String), String> {
    let (name, value) = (name.trim(), value.trim_matches([' ', '\t']));
    check_header(name, value)?;
    if name.len() + value.len() > limits::MAX_HEADER_BYTES {
        return Err(format!("`{name}` is longer than {} bytes", limits::MAX_HEADER_BYTES));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Parses `Name: value`.
pub(super) fn line(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) => header(name, value),
        None => Err("has no colon: expected a header such as 'X-Team: blue'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_split_and_trimmed() {
        for (text, name, value) in [
            ("X-Team: blue", "X-Team", "blue"),
            ("X-Team:blue", "X-Team", "blue"),
            ("X-Url: http://a:1 ", "X-Url", "http://a:1"),
            ("X-Empty:", "X-Empty", ""),
        ] {
            assert_eq!(line(text), Ok((name.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn nothing_can_be_smuggled_and_no_value_is_repeated() {
        let long = format!("X: hunter2{}", "a".repeat(limits::MAX_HEADER_BYTES));
        for (text, expected) in [
            ("no colon", "no colon"),
            (": hunter2", "not the name"),
            ("X Y: hunter2", "not the name"),
            ("X\r\nY: hunter2", "not the name"),
            ("Ä: hunter2", "not the name"),
            ("X: hunter2\r\nEvil: 1", "control character"),
            ("X: hunter2\nEvil: 1", "control character"),
            ("X: hunter2\0", "control character"),
            ("Content-Length: hunter2", "frames the request"),
            ("transfer-encoding: hunter2", "frames the request"),
            (long.as_str(), "longer than"),
        ] {
            let why = line(text).expect_err(text);
            assert!(why.contains(expected) && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn fields_that_carry_secrets_are_known() {
        for name in ["Authorization", "api-key", "X-API-Key", "Cookie", "Proxy-Authorization", "x-amz-security-token"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["Accept", "X-Team", "User-Agent"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
