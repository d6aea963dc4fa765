//! AWS Signature Version 4: the parts of a request that are signed, and the key.
//!
//! After AWS, "Signature Version 4 for API requests". The canonical request is the method, the
//! path, the query, the signed header fields, their names, and the hash of the body. Its hash is
//! signed with a key that is derived from the secret and is valid for one day, region and service.
//! The path is encoded once more than in the request line, as for every service but S3.

use super::escape::percent_encoded;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Names the algorithm, at the start of the signed text and of the header field.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Ends every scope.
const END_OF_SCOPE: &str = "aws4_request";

/// An access key: `ID:SECRET`, or `ID:SECRET:TOKEN` for a session.
#[derive(Clone, Copy)]
pub struct AwsKey<'a> {
    /// Sent with each request; not a secret.
    pub id: &'a str,
    pub secret: &'a str,
    /// Sent with each request; a secret.
    pub token: Option<&'a str>,
}

impl<'a> AwsKey<'a> {
    /// Splits a key into its parts. `None` if one is missing, or if the ID contains a character
    /// that ends it in a request.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, rest) = text.split_once(':')?;
        let (secret, token) = rest.split_once(':').map_or((rest, None), |(secret, token)| (secret, Some(token)));
        let is_whole = [Some(id), Some(secret), token].into_iter().flatten().all(|part| !part.is_empty());
        (is_whole && !id.contains(['/', ',', '='])).then_some(Self { id, secret, token })
    }
}

impl std::fmt::Debug for AwsKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Returns the scope of a key, without the day: `/us-east-1/bedrock/aws4_request`.
pub(super) fn scope(service: &str, region: &str) -> String {
    format!("/{region}/{service}/{END_OF_SCOPE}")
}

/// Derives the key of a day, `YYYYMMDD`.
pub(super) fn key_of_day(secret: &str, day: &[u8], service: &str, region: &str) -> Hmac<Sha256> {
    let first = format!("AWS4{secret}");
    let parts = [day, region.as_bytes(), service.as_bytes(), END_OF_SCOPE.as_bytes()];
    parts
        .into_iter()
        .fold(keyed(first.as_bytes()), |key, part| keyed(key.chain_update(part).finalize().into_bytes().as_slice()))
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "RFC 2104: a key of any length is one")]
    <Hmac<Sha256>>::new_from_slice(key).expect("any length")
}

/// Signs a canonical request with this hash, at `date`.
pub(super) fn signature(key: &Hmac<Sha256>, date: &[u8; 16], scope: &str, hash: &[u8; 64]) -> [u8; 64] {
    let mut mac = key.clone();
    for part in [ALGORITHM.as_bytes(), b"\n", date, b"\n", &date[..8], scope.as_bytes(), b"\n", hash] {
        mac.update(part);
    }
    hex(&mac.finalize().into_bytes().into())
}

/// Returns the hash of a text, in the form that is signed.
pub(super) fn hash(text: &[u8]) -> [u8; 64] {
    hex(&Sha256::digest(text).into())
}

/// Formats bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    out
}

/// Returns the canonical form of a request with this head, whose body has this hash, and the names
/// of the signed fields.
pub(super) fn canonical(head: &str, payload: &str) -> (String, String) {
    let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let (method, rest) = line.split_once(' ').unwrap_or((line, "/"));
    let target = rest.rsplit_once(' ').map_or(rest, |(target, _)| target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut signed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields.split("\r\n").filter_map(|field| field.split_once(':')) {
        let name = name.to_ascii_lowercase();
        if is_signed(&name) {
            // Proxies may strip blanks around a value, or merge blanks inside it.
            let words: Vec<&str> = value.split_whitespace().collect();
            signed.entry(name).or_default().push(words.join(" "));
        }
    }
    let names = signed.keys().map(String::as_str).collect::<Vec<_>>().join(";");
    let field = |(name, values): (&String, &Vec<String>)| format!("{name}:{}\n", values.join(","));
    let fields = signed.iter().map(field).collect::<Vec<_>>().concat();
    let (path, query) = (canonical_path(path), canonical_query(query));
    (format!("{method}\n{path}\n{query}\n{fields}\n{names}\n{payload}"), names)
}

/// Returns true for the fields that AWS asks for: the host, the type if there is one, and AWS's
/// own. Proxies may change other fields.
fn is_signed(name: &str) -> bool {
    matches!(name, "host" | "content-type") || name.starts_with("x-amz-")
}

/// Returns a path without empty and dotted segments, encoded once more. Requests to a proxy contain
/// the whole URL.
fn canonical_path(path: &str) -> String {
    let beyond_host = |(_, rest): (&str, &str)| rest.find('/').map(|at| rest[at..].to_owned());
    let whole = if path.starts_with('/') { None } else { path.split_once("://").and_then(beyond_host) };
    let path = whole.as_deref().unwrap_or(path);
    let mut kept: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(percent_encoded(segment)),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// Returns the parameters in order, with uniform encoding.
fn canonical_query(query: &str) -> String {
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (encoded_once(name), encoded_once(value)))
        .collect();
    parameters.sort_unstable();
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parameters.join("&")
}

/// Percent-encodes everything that may be encoded in a part of a query. Existing escapes are kept,
/// in their normal form.
fn encoded_once(text: &str) -> String {
    let mut parts = text.split('%');
    let first = percent_encoded(parts.next().unwrap_or_default());
    let rest = parts.map(|part| match part.get(..2) {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            let byte = u8::from_str_radix(digits, 16).unwrap_or_default();
            let plain = char::from(byte);
            let code = if byte.is_ascii() { percent_encoded(&plain.to_string()) } else { format!("%{byte:02X}") };
            code + &percent_encoded(&part[2..])
        }
        _ => format!("%25{}", percent_encoded(part)),
    });
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    /// Returns the signed names and the signature of a request of AWS's test suite: of 2015-08-30,
    /// 12:36 UTC, in us-east-1, by AKIDEXAMPLE.
    fn signed(line: &str, fields: &str, body: &str, service: &str) -> (String, String) {
        let date = b"20150830T123600Z";
        let payload = hash(body.as_bytes());
        let head = format!("{line} HTTP/1.1\r\n{fields}X-Amz-Date:20150830T123600Z\r\n");
        let (text, names) = canonical(&head, std::str::from_utf8(&payload).expect("digits"));
        let key = key_of_day(SECRET, &date[..8], service, "us-east-1");
        let signature = signature(&key, date, &scope(service, "us-east-1"), &hash(text.as_bytes()));
        (names, String::from_utf8(signature.to_vec()).expect("digits"))
    }

    /// Requests of the suite without fields and bodies of their own: the name, the line, and the
    /// signature.
    const PLAIN: [(&str, &str, &str); 10] = [
        ("get-vanilla", "GET /", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "get-vanilla-query-order-key-case",
            "GET /?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-query-order-encoded",
            "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "get-vanilla-query-unreserved",
            "GET /?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        ("get-utf8", "GET /ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        ("get-space", "GET /example space/", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
        ("get-slashes", "GET //example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
        ("get-slash-dot-slash", "GET /./", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("get-relative", "GET /example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("post-vanilla", "POST /", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ];

    #[test]
    fn requests_of_aws_own_test_suite_are_signed_as_published() {
        let host = "Host:example.amazonaws.com\r\n";
        let pair = |names: &str, signature: &str| (names.to_owned(), signature.to_owned());
        for (name, line, signature) in PLAIN {
            assert_eq!(signed(line, host, "", "service"), pair("host;x-amz-date", signature), "{name}");
        }
        // post-x-www-form-urlencoded
        let form = format!("Content-Type:application/x-www-form-urlencoded\r\n{host}");
        let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        let expected = pair("content-type;host;x-amz-date", signature);
        assert_eq!(signed("POST /", &form, "Param1=value1", "service"), expected);
        // post-sts-header-before
        let session = format!("{host}X-Amz-Security-Token:{TOKEN}\r\n");
        let signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead";
        let expected = pair("host;x-amz-date;x-amz-security-token", signature);
        assert_eq!(signed("POST /", &session, "", "service"), expected);
        // The example of AWS's documentation.
        let fields = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nHost: iam.amazonaws.com\r\n";
        let (_, signature) = signed("GET /?Action=ListUsers&Version=2010-05-08", fields, "", "iam");
        assert_eq!(signature, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    }

    #[test]
    fn a_path_and_a_query_are_signed_as_the_server_reads_them() {
        assert_eq!(canonical_path("/model/a%3A0/invoke"), "/model/a%253A0/invoke");
        assert_eq!(canonical_path("http://h:1/v1/chat"), "/v1/chat");
        assert_eq!(canonical_path("http://h:1"), "/http%3A/h%3A1", "nobody sends it");
        assert_eq!(canonical_query("b=%7e%3a/&a&a=%zz&c=1+1&%41=b"), "A=b&a=&a=%25zz&b=~%3A%2F&c=1%2B1");
        let (text, _) =
            canonical("GET / HTTP/1.1\r\nX-Amz-B:  two   words \r\nX-Amz-A: 1\r\nx-amz-a: 2\r\nX-Amzn-C: 3\r\n", "p");
        assert_eq!(text, "GET\n/\n\nx-amz-a:1,2\nx-amz-b:two words\n\nx-amz-a;x-amz-b\np");
    }

    #[test]
    fn a_key_has_two_or_three_parts() {
        let parts = |text| AwsKey::parse(text).map(|key| (key.id, key.secret, key.token));
        assert_eq!(parts("AKID:se/c+r"), Some(("AKID", "se/c+r", None)));
        assert_eq!(parts("AKID:s:to:ken="), Some(("AKID", "s", Some("to:ken="))));
        for text in ["", "AKID", "AKID:", ":s", "AKID:s:", "AK/ID:s", "AK,ID:s"] {
            assert_eq!(parts(text), None, "{text}");
        }
        assert!(!format!("{:?}", AwsKey::parse("AKID:hunter2:hunter2")).contains("hunter2"));
    }
}
