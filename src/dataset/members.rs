//! The members of valid JSON: finds where each begins and ends without parsing it.
//!
//! On invalid JSON the results are meaningless, but nothing fails.

/// Returns the elements of a list.
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list.trim_ascii().strip_prefix('[').unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start().trim_start_matches(',').trim_ascii_start();
        if rest.is_empty() || rest.starts_with(']') {
            return None;
        }
        let (value, after) = rest.split_at(value_end(rest.as_bytes()));
        rest = after;
        // An empty value would be returned forever.
        (!value.is_empty()).then_some(value)
    })
}

/// Returns the names of an object's members, quoted and still escaped, with their values.
pub(super) fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = object.trim_ascii().strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start().trim_start_matches(',').trim_ascii_start();
        if !rest.starts_with('"') {
            return None;
        }
        let (name, after) = rest.split_at(string_end(rest.as_bytes()));
        let after = after.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        let (value, after) = after.split_at(value_end(after.as_bytes()));
        rest = after;
        (!value.is_empty()).then_some((name, value))
    })
}

/// Returns the value of the member with that name. If there are several, the last one counts, as on
/// servers.
pub(super) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object).filter(|(quoted, _)| is_named(quoted, name)).last().map(|(_, value)| value)
}

/// Returns true if a quoted name equals `name`.
pub(super) fn is_named(quoted: &str, name: &str) -> bool {
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    inside == name || (inside.contains('\\') && serde_json::from_str::<String>(quoted).is_ok_and(|said| said == name))
}

/// Returns true if a value is an object, judged by its first character.
pub(super) fn is_object(value: &str) -> bool {
    value.trim_ascii_start().starts_with('{')
}

/// Returns where the value at the start of `bytes` ends.
fn value_end(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'"') => string_end(bytes),
        Some(b'{' | b'[') => container_end(bytes),
        _ => bytes
            .iter()
            .position(|b| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'))
            .unwrap_or(bytes.len()),
    }
}

/// Returns where the string at the start of `bytes` ends, including its quotes.
fn string_end(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

fn container_end(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += string_end(&bytes[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_and_elements_are_found_as_they_are_written() {
        let object = r#" { "a" : [1, {"b":"]}\""}] ,"\u0062":"x\\","a":null,"n":-1.5e3 }"#;
        let found: Vec<_> = members(object).collect();
        assert_eq!(
            found,
            [("\"a\"", r#"[1, {"b":"]}\""}]"#), (r#""\u0062""#, r#""x\\""#), ("\"a\"", "null"), ("\"n\"", "-1.5e3")]
        );
        assert_eq!(
            (member(object, "a"), member(object, "b"), member(object, "c")),
            (Some("null"), Some(r#""x\\""#), None)
        );
        assert_eq!(elements(r#"[ {"a":1} ,"x", [] , 5]"#).collect::<Vec<_>>(), [r#"{"a":1}"#, "\"x\"", "[]", "5"]);
        assert_eq!(elements("[ ]").count() + members("{}").count() + elements("{}").count(), 0);
    }

    proptest! {
        #[test]
        fn nothing_breaks_on_what_is_no_json(text in "[\\[\\]{}\",:\\\\ a1é]{0,40}") {
            let _ = elements(&text).chain(members(&text).map(|(name, _)| name)).count();
        }

        #[test]
        fn elements_are_those_of_a_parser(all in prop::collection::vec("[a\"\\\\\\[\\]{},\n]{0,6}", 0..5)) {
            let text = serde_json::to_string(&all).expect("JSON");
            let found: Vec<String> = elements(&text).map(|e| serde_json::from_str(e).expect("a string")).collect();
            prop_assert_eq!(found, all);
        }
    }
}
