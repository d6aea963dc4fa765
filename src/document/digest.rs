//! The digest of a result: SHA-256 over its canonical JSON, so that an edit or damage is detected.
//!
//! The canonical form is RFC 8785 (JCS): no blanks, keys sorted by their UTF-16 units, numbers as
//! the IEEE doubles that they stand for. A result that went through `jq .`, a formatter or a
//! database therefore keeps its digest: `10.0` and `10` are one number, and the order of keys does
//! not matter. Any other value changes the digest. `docs/decisions/0002-digest.md` says why.

use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

/// The field that holds the digest. It is not hashed itself.
pub(crate) const FIELD: &str = "digest";
/// A field that is only written by builds that also write a digest.
const WRITTEN_WITH_IT: &str = "exit_code";

/// Above this a double no longer tells neighbouring integers apart.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;
/// Bytes of canonical text that are collected before they are hashed.
const PIECE: usize = 64 << 10;

/// The result of checking a digest against the values beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seal {
    /// No value was changed since the result was written.
    Fits,
    /// An earlier build wrote the result, so changes cannot be detected.
    None,
    /// A build that writes digests wrote the result, and the digest was removed.
    Removed,
    /// A value was changed.
    Broken,
}

/// Inserts the digest of all other fields into a result, replacing an old one.
pub fn seal(result: &mut Value) {
    let digest = digest(result);
    if let Value::Object(fields) = result {
        fields.insert(FIELD.to_owned(), Value::String(digest));
    }
}

/// Checks the digest of a result against its values.
pub(crate) fn check(result: &Value) -> Seal {
    match result.get(FIELD) {
        None if result.get(WRITTEN_WITH_IT).is_some() => Seal::Removed,
        None => Seal::None,
        Some(written) if *written == digest(result) => Seal::Fits,
        Some(_) => Seal::Broken,
    }
}

/// Turns floats back into integers where they are integers beyond what a double keeps exactly.
/// Tools that hold every number as a double write a seed of 20 digits as `1.2e19`, which cannot be
/// read as an integer.
pub(crate) fn restore_integers(value: &mut Value) {
    match value {
        Value::Number(n) if n.is_f64() => {
            let float = n.as_f64().filter(|f| f.fract() == 0.0 && *f >= MAX_SAFE_INTEGER && *f <= u64::MAX as f64);
            if let Some(float) = float {
                *value = Value::from(float as u64);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(restore_integers),
        Value::Object(all) => all.values_mut().for_each(restore_integers),
        _ => {}
    }
}

/// Returns the SHA-256 in hex of a result without its digest.
fn digest(result: &Value) -> String {
    let mut hash = Hash { sha: Sha256::new(), text: String::with_capacity(2 * PIECE) };
    match result {
        Value::Object(fields) => hash.object(fields.iter().filter(|(key, _)| *key != FIELD)),
        other => hash.value(other),
    }
    hash.flush();
    hash.sha.finalize().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
}

struct Hash {
    sha: Sha256,
    text: String,
}

impl Hash {
    fn flush(&mut self) {
        self.sha.update(self.text.as_bytes());
        self.text.clear();
    }

    fn value(&mut self, value: &Value) {
        if self.text.len() > PIECE {
            self.flush();
        }
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(true) => self.text.push_str("true"),
            Value::Bool(false) => self.text.push_str("false"),
            Value::Number(number) => self.text.push_str(&canonical(number)),
            Value::String(text) => self.string(text),
            Value::Array(all) => {
                self.text.push('[');
                for (i, element) in all.iter().enumerate() {
                    if i > 0 {
                        self.text.push(',');
                    }
                    self.value(element);
                }
                self.text.push(']');
            }
            Value::Object(fields) => self.object(fields.iter()),
        }
    }

    fn object<'a>(&mut self, fields: impl Iterator<Item = (&'a String, &'a Value)>) {
        let mut fields: Vec<_> = fields.collect();
        fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        self.text.push('{');
        for (i, (key, value)) in fields.into_iter().enumerate() {
            if i > 0 {
                self.text.push(',');
            }
            self.string(key);
            self.text.push(':');
            self.value(value);
        }
        self.text.push('}');
    }

    /// Appends a string. `serde_json` escapes the same characters as RFC 8785, in the same way.
    fn string(&mut self, text: &str) {
        self.text.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Formats a number as ECMAScript prints it (RFC 8785 section 3.2.2.3).
fn canonical(number: &Number) -> String {
    let Some(float) = number.as_f64() else { return number.to_string() };
    if float == 0.0 {
        return "0".to_owned();
    }
    // Rust writes as few digits as ECMAScript, in another notation (`-1.234e-7`). Of two equally
    // near candidates Rust takes the upper one and ECMAScript the even one. Rust takes the even
    // one, too, when it is told how many digits to write.
    let shortest = format!("{:e}", float.abs());
    let places = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count() - 1;
    let even = format!("{:.places$e}", float.abs());
    let text = if even.parse() == Ok(float.abs()) { even } else { shortest };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The number of digits before the decimal point.
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or_default());
    let text = match point {
        22.. | ..=-6 => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{:+}", point - 1)
        }
        ..=0 => format!("0.{}{digits}", zeros(-point)),
        _ if point >= count => format!("{digits}{}", zeros(point - count)),
        _ => {
            let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
            format!("{whole}.{fraction}")
        }
    };
    if float < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(text: &str) -> String {
        digest(&serde_json::from_str(text).expect("JSON"))
    }

    #[test]
    fn numbers_are_printed_as_rfc_8785_asks() {
        // Appendix B of the RFC, and the limits of each notation.
        for (bits, text) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let number = Number::from_f64(f64::from_bits(bits)).expect("finite");
            assert_eq!(canonical(&number), text, "{bits:x}");
        }
        assert_eq!(canonical(&Number::from(10)), "10");
        assert_eq!(canonical(&Number::from(u64::MAX)), "18446744073709552000");
    }

    #[test]
    fn keys_are_sorted_by_their_utf_16_units() {
        // The RFC's own example: a surrogate pair comes before U+FB33.
        let mut hash = Hash { sha: Sha256::new(), text: String::new() };
        hash.value(&json!({ "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7 }));
        let values: String =
            hash.text.split(',').filter_map(|field| field.chars().rev().find(char::is_ascii_digit)).collect();
        assert_eq!(values, "2467153");
    }

    #[test]
    fn another_writing_of_the_same_values_has_the_same_digest() {
        let one = of(r#"{"b": 10.0, "a": [1e2, 0.1, "é\n", null], "seed": 12345678901234567890, "digest": "x"}"#);
        let other =
            of(r#"{"a":[100,0.10000000000000000001,"\u00e9\u000a",null],"seed":1.2345678901234567e19,"b":1e1}"#);
        assert_eq!(one, other);
        for edited in [
            r#"{"a":[100,0.1,"é\n",null],"seed":12345678901234567890,"b":10.000001}"#,
            r#"{"a":[100,0.1,"é\n"],"seed":12345678901234567890,"b":10}"#,
            r#"{"a":[100,0.1,"é\n",false],"seed":12345678901234567890,"b":10}"#,
            r#"{"a":["100",0.1,"é\n",null],"seed":12345678901234567890,"b":10}"#,
            r#"{"a":[0.1,100,"é\n",null],"seed":12345678901234567890,"b":10}"#,
            r#"{"a":[100,0.1,"é\n",null],"seed":12345678901234567890,"b":10,"tag":1}"#,
        ] {
            assert_ne!(of(edited), one, "{edited}");
        }
    }

    #[test]
    fn a_seal_is_kept_broken_or_missed() {
        let mut result = json!({ "schema": "x/1", "exit_code": 0, "n": 1.0 });
        assert_eq!(check(&result), Seal::Removed);
        seal(&mut result);
        assert_eq!(check(&result), Seal::Fits);
        result["n"] = json!(1);
        assert_eq!(check(&result), Seal::Fits);
        result["n"] = json!(2);
        assert_eq!(check(&result), Seal::Broken);
        assert_eq!(check(&json!({ "schema": "x/1" })), Seal::None);
    }

    #[test]
    fn integers_that_were_written_as_floats_come_back() {
        let mut value =
            json!({ "seed": 1.844_674_407_370_955_2e19, "few": 10.0, "list": [9_007_199_254_740_992.0, 0.5] });
        restore_integers(&mut value);
        assert_eq!(value, json!({ "seed": u64::MAX, "few": 10.0, "list": [9_007_199_254_740_992_u64, 0.5] }));
    }

    proptest! {
        #[test]
        fn a_canonical_number_is_the_same_number(bits: u64) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let text = canonical(&Number::from_f64(float).expect("finite"));
            prop_assert!(text.parse::<f64>().expect("a number").total_cmp(&(float + 0.0)).is_eq(), "{}", text);
        }
    }
}
