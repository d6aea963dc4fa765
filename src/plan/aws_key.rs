//! Keys of AWS, in the forms that people and programs write.

use super::{Given, Plan, PlanError, limits};
use crate::mix::{AwsKey, KeyAs, OF_SIGNATURE, Secret};
use jiff::Timestamp;
use serde_json::Value;

/// Prefix of the service in the value of `--auth`.
const SCHEME: &str = "sigv4:";

/// Returns true if the value of `--auth` asks for signatures.
pub(super) fn is_asked_for(auth: Option<&Given>) -> bool {
    auth.is_some_and(|given| given.value.trim().starts_with(SCHEME))
}

/// Parses `SERVICE:REGION`.
pub(super) fn scope(text: &str) -> Result<KeyAs, &'static str> {
    const EXPECTED: &str = "expected sigv4:SERVICE:REGION, such as sigv4:bedrock:us-east-1";
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let (service, region) = text.split_once(':').unwrap_or_default();
    if !is_name(service) || !is_name(region) {
        return Err(EXPECTED);
    }
    if service == "s3" {
        return Err("expected another service than s3, which signs paths in a way of its own");
    }
    Ok(KeyAs::SigV4 { service: service.to_owned(), region: region.to_owned() })
}

/// Reads a key as `ID:SECRET` or `ID:SECRET:TOKEN`, or from the JSON that AWS's programs print. The
/// error does not repeat the key.
pub(super) fn key(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    let key = if text.starts_with('{') { of_json(text) } else { Some(text.to_owned()) };
    let is_good = |key: &String| {
        key.len() <= limits::MAX_KEY_BYTES && key.bytes().all(|b| b.is_ascii_graphic()) && AwsKey::parse(key).is_some()
    };
    key.filter(is_good).map(Secret::new).ok_or_else(|| {
        "does not hold a key of AWS: expected ID:SECRET or ID:SECRET:TOKEN on one line, or JSON with AccessKeyId, \
         SecretAccessKey and SessionToken"
            .to_owned()
    })
}

/// Returns when a key expires, in seconds since the UNIX epoch, if its JSON says so.
pub(super) fn expires(text: &str) -> Option<i64> {
    let all: Value = serde_json::from_str(text).ok()?;
    let held = all.get("Credentials").unwrap_or(&all);
    let instant: Timestamp = held["Expiration"].as_str()?.parse().ok()?;
    Some(instant.as_second())
}

/// Returns the key in the output of a `credential_process`, or in the `Credentials` of `aws sts`.
fn of_json(text: &str) -> Option<String> {
    let all: Value = serde_json::from_str(text).ok()?;
    let held = all.get("Credentials").unwrap_or(&all);
    let part = |name: &str| held[name].as_str().filter(|part| !part.contains(':'));
    let (id, secret) = (part("AccessKeyId")?, part("SecretAccessKey")?);
    let token = match &held["SessionToken"] {
        Value::Null => String::new(),
        token => format!(":{}", token.as_str()?),
    };
    Some(format!("{id}:{secret}{token}"))
}

/// Refuses header fields that a signature sets itself: AWS would refuse a request with another
/// value.
pub(super) fn check_headers(plan: &Plan, auth: Option<&Given>) -> Result<(), PlanError> {
    let (KeyAs::SigV4 { .. }, Some(auth)) = (&plan.credentials.key_as, auth) else { return Ok(()) };
    let of_kinds = plan.mix.kinds.iter().chain(&plan.endpoints).flat_map(|kind| &kind.headers);
    let mut names = plan.headers.iter().chain(of_kinds).map(|(name, _)| name);
    let is_own = |name: &&String| OF_SIGNATURE.iter().any(|own| own.eq_ignore_ascii_case(name));
    names.find(is_own).map_or(Ok(()), |name| {
        Err(auth.misplaced(format!("sets the header `{name}` itself: leave it out of --header and of the profile")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_people_and_programs_write_it() {
        let read = |text: &str| {
            key(text).map(|key| key.reveal().to_owned()).map_err(|problem| {
                assert!(!problem.contains("hunter2"), "{problem}");
            })
        };
        for (text, expected) in [
            (" AKID:sec/ret+\n", Ok("AKID:sec/ret+")),
            ("AKID:secret:to/ken==", Ok("AKID:secret:to/ken==")),
            (r#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "secret"}"#, Ok("AKID:secret")),
            (
                "{\n  \"AccessKeyId\": \"A\",\n  \"SecretAccessKey\": \"s\",\n  \"SessionToken\": \"t\",\n  \"Expiration\": \"x\"\n}\n",
                Ok("A:s:t"),
            ),
            (r#"{"Credentials": {"AccessKeyId": "A", "SecretAccessKey": "s", "SessionToken": "t"}}"#, Ok("A:s:t")),
            (r#"{"AccessKeyId": "A", "SecretAccessKey": "hunter2", "SessionToken": 1}"#, Err(())),
            (r#"{"AccessKeyId": "A:hunter2", "SecretAccessKey": "s"}"#, Err(())),
            (r#"{"AccessKeyId": "A"}"#, Err(())),
            (r#"{"hunter2"#, Err(())),
            ("hunter2", Err(())),
            ("A:hunter2\nmore", Err(())),
            ("A:hunter2:", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(read(text), expected.map(str::to_owned), "{text}");
        }
        assert!(key(&format!("A:{}", "s".repeat(limits::MAX_KEY_BYTES))).is_err());
    }

    #[test]
    fn a_key_may_say_until_when_it_holds() {
        let noon = 1_440_938_160;
        assert_eq!(expires(r#"{"Expiration": "2015-08-30T12:36:00Z"}"#), Some(noon));
        assert_eq!(expires(r#"{"Credentials": {"Expiration": "2015-08-30T14:36:00+02:00"}}"#), Some(noon));
        for text in ["A:s", "{}", r#"{"Expiration": "soon"}"#, r#"{"Expiration": 3}"#] {
            assert_eq!(expires(text), None, "{text}");
        }
    }

    #[test]
    fn a_scope_has_two_names() {
        let scope = |text| scope(text).ok();
        let expected = KeyAs::SigV4 { service: "bedrock".to_owned(), region: "eu-west-1".to_owned() };
        assert_eq!(scope("bedrock:eu-west-1"), Some(expected));
        for text in ["", "bedrock", "bedrock:", ":eu", "bedrock:eu:x", "bed rock:eu", "s3:eu-west-1"] {
            assert_eq!(scope(text), None, "{text}");
        }
    }
}
