//! TOML as JSON.

use serde_json::Value;

/// Converts TOML to JSON. Dates become text. Returns `None` if a number is not finite.
pub(super) fn json(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(n) => (*n).into(),
        toml::Value::Float(n) => serde_json::Number::from_f64(*n)?.into(),
        toml::Value::Boolean(yes) => (*yes).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => Value::Array(items.iter().map(json).collect::<Option<_>>()?),
        toml::Value::Table(table) => {
            let fields = table.iter().map(|(key, value)| Some((key.clone(), json(value)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
    })
}
