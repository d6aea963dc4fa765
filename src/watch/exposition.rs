//! The text format in which servers publish their metrics for Prometheus: one sample per line.
//!
//! `name{label="value",…} number [timestamp]`; a line that begins with `#` is a comment, and
//! `# TYPE name counter` declares a type (Prometheus, "Exposition formats", text-based format,
//! version 0.0.4). Anything else that a server sends is skipped.

/// One meaningful line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Line<'a> {
    /// The type of a name, such as `counter`.
    Type { name: &'a str, kind: &'a str },
    /// The sample of one set of labels. Its value is finite.
    Sample { name: &'a str, value: f64 },
}

/// Returns the meaningful lines of a text.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).filter_map(line)
}

fn line(line: &str) -> Option<Line<'_>> {
    let line = line.trim();
    if let Some(comment) = line.strip_prefix('#') {
        let mut words = comment.split_whitespace();
        let (Some("TYPE"), Some(name), Some(kind)) = (words.next(), words.next(), words.next()) else { return None };
        return Some(Line::Type { name, kind });
    }
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let rest = if rest.starts_with('{') { after_labels(rest)? } else { rest };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty() && value.is_finite()).then_some(Line::Sample { name, value })
}

/// Returns the text after the labels. A brace inside a label's value does not end the labels.
fn after_labels(text: &str) -> Option<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_types_are_read_and_the_rest_is_skipped() {
        let text = b"# HELP a What it is.\n# TYPE a counter\na 3\n\na{b=\"}\\\"{\",c=\"d\"} 4.5e3 1700000000\r\n  x:y_total 0\n\
            nan NaN\ninf +Inf\nhalf{a=\"b\" 3\nword word\n{} 3\nlone\n# TYPE\n\xff\xfe 3\n";
        let read: Vec<Line<'_>> = lines(text).collect();
        assert_eq!(
            read,
            [
                Line::Type { name: "a", kind: "counter" },
                Line::Sample { name: "a", value: 3.0 },
                Line::Sample { name: "a", value: 4500.0 },
                Line::Sample { name: "x:y_total", value: 0.0 },
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let is_finite = |line| !matches!(line, Line::Sample { value, .. } if !f64::is_finite(value));
            prop_assert!(lines(&bytes).all(is_finite), "{:?}", bytes);
        }
    }
}
