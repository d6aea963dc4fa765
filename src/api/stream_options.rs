//! The option with which a request asks for the usage of a chat completions stream.

use serde_json::{Map, Value};

/// The field of the body that holds the option.
pub const STREAM_OPTIONS: &str = "stream_options";
/// The option itself. The field may hold others.
pub const INCLUDE_USAGE: &str = "include_usage";

/// Returns whether a body asks for usage. `None` if it does not say.
pub fn asks_for_usage(body: &Map<String, Value>) -> Option<bool> {
    body.get(STREAM_OPTIONS)?.get(INCLUDE_USAGE)?.as_bool()
}

/// Removes the option from a body and leaves other stream options in place.
pub fn remove_usage(body: &mut Map<String, Value>) {
    if let Some(Value::Object(options)) = body.get_mut(STREAM_OPTIONS) {
        options.remove(INCLUDE_USAGE);
        if options.is_empty() {
            body.remove(STREAM_OPTIONS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_asks_or_does_not() {
        for (body, asks, left) in [
            (json!({"x": 1}), None, json!({"x": 1})),
            (json!({"stream_options": 1}), None, json!({"stream_options": 1})),
            (json!({"stream_options": {"include_usage": true}}), Some(true), json!({})),
            (
                json!({"stream_options": {"include_usage": false, "x": 1}}),
                Some(false),
                json!({"stream_options": {"x": 1}}),
            ),
        ] {
            let Value::Object(mut body) = body else { panic!("an object") };
            assert_eq!(asks_for_usage(&body), asks, "{body:?}");
            remove_usage(&mut body);
            assert_eq!(Value::Object(body), left);
        }
    }
}
