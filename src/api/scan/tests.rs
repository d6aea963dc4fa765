use super::*;
use proptest::prelude::*;
use serde::de::IgnoredAny;

/// Returns the value of a key in an object, as a reader asks for it.
fn value<'a>(json: &'a [u8], wanted: &str) -> Option<Value<'a>> {
    let mut found = Value::Null;
    let is_json = scan(json, None, |json| {
        json.object(|json, key| {
            if key == wanted.as_bytes() {
                found = json.value()?;
            } else {
                json.skip()?;
            }
            Some(())
        })?;
        Some(())
    });
    is_json.then_some(found)
}

#[test]
fn a_value_is_lent_as_it_stands() {
    for (json, wanted) in [
        (r#"{"a":null}"#, Value::Null),
        ("{}", Value::Null),
        (r#"{"a":true}"#, Value::True),
        (r#"{"a":false}"#, Value::False),
        (r#"{"a":"x"}"#, Value::Text(b"x")),
        (r#"{"a":"\n\u00e9"}"#, Value::Escaped(br"\n\u00e9")),
        (r#"{"a":"é"}"#, Value::Text("é".as_bytes())),
        (r#"{"a":-1.5e3}"#, Value::Number(b"-1.5e3")),
        (r#" { "b" : [ 1 , { } ] , "a" : [ "]" , {"}":[]} ] } "#, Value::Nested(br#"[ "]" , {"}":[]} ]"#)),
        (r#"{"\u0061":1}"#, Value::Number(b"1")),
        (r#"{"a":1,"a":2}"#, Value::Number(b"2")),
        (r#"{"A":1,"b":{"a":2},"\ud83d":3}"#, Value::Null),
        (r#"["a",1]"#, Value::Null),
        (r#""a""#, Value::Null),
    ] {
        assert_eq!(value(json.as_bytes(), "a"), Some(wanted), "{json}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    assert_eq!(value(nested("[", "]").as_bytes(), "a"), Some(Value::Null), "no depth is too much");
    assert_eq!(value(nested("{\"a\":[", "]}").as_bytes(), "b"), Some(Value::Null));
    for json in [
        "",
        " ",
        "{",
        "}",
        "{]",
        "[}",
        "[1",
        "[1,]",
        "[,1]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1"b":2}"#,
        r#"{"a":1}}"#,
        "1 2",
        "nul",
        "nulll",
        "truefalse",
        "01",
        "+1",
        "1.",
        "'a'",
        r#""a"#,
        r#""\x""#,
        "{1:2}",
        "{a:1}",
        "\u{feff}1",
        "[1 2]",
        r#"{"a":[}]"#,
        r#"{"a":[{]}}"#,
        "\u{a0}1",
    ] {
        assert_eq!(value(json.as_bytes(), "a"), None, "{json}");
    }
    assert_eq!(value(&nested("[", "]").as_bytes()[1..], "a"), None);
    for json in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\":1}", b"[\"\xe2\x82\"]", b"{\"b\":[\"\xed\xa0\x80\"]}"] {
        assert_eq!(value(json, "a"), None, "{}", String::from_utf8_lossy(json));
    }
}

#[test]
fn a_value_is_filled_or_not() {
    for (json, wanted) in [
        ("null", false),
        ("false", false),
        (r#""""#, false),
        ("[]", false),
        ("{ }", false),
        ("true", true),
        ("0", true),
        (r#""\n""#, true),
        ("[0]", true),
        (r#"{"a":null}"#, true),
    ] {
        let mut filled = Seen::default();
        assert!(scan(json.as_bytes(), None, |json| json.filled().map(|value| filled = value)));
        assert_eq!(filled.is_filled, wanted, "{json}");
    }
}

proptest! {
    #[test]
    fn it_refuses_what_serde_json_refuses(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"a\"", "\"\"", "\"\\n\"", "\"é\"", "1", "-0.5e1", "0", "null", "true", "false", " ", "\n", "{\"a\":", "\"",
        ]), 0..12),
    ) {
        let json = parts.concat();
        let is_json = serde_json::from_str::<IgnoredAny>(&json).is_ok();
        prop_assert_eq!(value(json.as_bytes(), "a").is_some(), is_json, "{}", json);
    }

    #[test]
    fn brackets_are_remembered_at_any_depth(brackets in prop::collection::vec(any::<bool>(), 0..200)) {
        let mut open = Nesting::default();
        for is_object in &brackets {
                open.push(*is_object);
            }
        for is_object in brackets.iter().rev() {
            prop_assert_eq!(open.last(), Some(*is_object));
            open.pop();
        }
        prop_assert_eq!(open.last(), None);
    }
}
