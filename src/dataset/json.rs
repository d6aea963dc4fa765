//! Single fields of a JSON record.

use super::error::ReadError;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Maximum characters of a value that a message quotes.
const SHOWN: usize = 40;

/// Returns the raw values of these names in a record. If a name occurs twice, the last one counts.
/// The whole record is checked to be valid JSON.
pub(super) fn pick<'a, const N: usize>(
    line: u64,
    record: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], ReadError> {
    let mut parser = serde_json::Deserializer::from_str(record);
    let found = parser.deserialize_any(Pick { names }).and_then(|found| parser.end().map(|()| found));
    found.map_err(|error| {
        let text = error.to_string();
        let problem = text.split(" at line ").next().unwrap_or(&text);
        // Line numbers count within the record, which may span several lines.
        let line = line + (error.line() as u64).saturating_sub(1);
        ReadError::at(
            line,
            format!("is not a JSON object ({problem}): expected one JSON object a line, or one array of them"),
        )
    })
}

struct Pick<'n, const N: usize> {
    names: [&'n str; N],
}

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            match self.names.iter().position(|wanted| *wanted == name) {
                Some(index) => found[index] = Some(map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// The name of a member. It is only copied if it contains escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }

            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
                Err(E::custom("a name that is not text"))
            }
        }
        deserializer.deserialize_str(Text).map_err(D::Error::custom)
    }
}

/// Returns true if a value is a string, possibly empty.
pub(super) fn is_text(value: &str) -> bool {
    value.starts_with('"')
}

/// Returns true if a value is an empty string.
pub(super) fn is_empty_text(value: &str) -> bool {
    value.len() == 2 && is_text(value)
}

/// Returns the value unless it is `null`.
pub(super) fn some(value: Option<&str>) -> Option<&str> {
    value.filter(|value| *value != "null")
}

/// Returns a value in the form in which messages quote it.
pub(super) fn shown(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
