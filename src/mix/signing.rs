//! Signed heads, for requests to AWS. A head is written once, with holes for the parts that differ
//! from request to request. All holes have a fixed width, so that a request is signed in place,
//! without allocation.

use super::envelope::{Envelope, KeyAs, Secret};
use super::sigv4::{ALGORITHM, AwsKey, canonical, hash, hex, key_of_day, scope, signature};
use hmac::Hmac;
use sha2::{Digest as _, Sha256};

/// The fields that a signature needs. Users must not set them.
pub const OF_SIGNATURE: [&str; 4] = ["Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"];

/// A part that differs from request to request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    /// `YYYYMMDDTHHMMSSZ`
    Date,
    /// `YYYYMMDD`
    Day,
    /// The body's hash.
    Payload,
    Signature,
}

impl Hole {
    const ALL: [Self; 4] = [Self::Date, Self::Day, Self::Payload, Self::Signature];

    const fn width(self) -> usize {
        match self {
            Self::Date => 16,
            Self::Day => 8,
            Self::Payload | Self::Signature => 64,
        }
    }

    /// Returns the byte that fills the hole at first: a control character, which paths and fields
    /// never contain.
    const fn mark(self) -> u8 {
        match self {
            Self::Date => 1,
            Self::Day => 2,
            Self::Payload => 3,
            Self::Signature => 4,
        }
    }

    fn text(self) -> String {
        char::from(self.mark()).to_string().repeat(self.width())
    }

    /// Finds the holes of a text, in order.
    fn find(text: &[u8]) -> Vec<(usize, Self)> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let hole = Self::ALL.into_iter().find(|hole| hole.mark() == *byte);
            found.extend(hole.map(|hole| (at, hole)));
            at += hole.map_or(1, Self::width);
        }
        found
    }
}

/// The places to fill when a request with this head is signed.
#[derive(Debug)]
pub(super) struct Signing {
    canonical: Vec<u8>,
    in_canonical: Vec<(usize, Hole)>,
    in_head: Vec<(usize, Hole)>,
}

/// Returns a signed head in which the signature itself is still missing, and its holes. `head`
/// writes a head with the given fields.
pub(super) fn signed(
    fields: Vec<(String, String)>,
    signer: &Signer,
    head: impl Fn(&[(String, String)]) -> Vec<u8>,
) -> (Vec<u8>, Signing) {
    let is_own = |name: &str| OF_SIGNATURE.iter().any(|own| own.eq_ignore_ascii_case(name));
    let mut fields: Vec<_> = fields.into_iter().filter(|(name, _)| !is_own(name)).collect();
    let [authorization, date, payload, token] = OF_SIGNATURE;
    fields.push((date.to_owned(), Hole::Date.text()));
    fields.push((payload.to_owned(), Hole::Payload.text()));
    fields.extend(signer.token.as_ref().map(|secret| (token.to_owned(), secret.reveal().to_owned())));
    let (text, names) = canonical(&String::from_utf8_lossy(&head(&fields)), &Hole::Payload.text());
    let (day, signature) = (Hole::Day.text(), Hole::Signature.text());
    let credential = format!("{}/{day}{}", signer.id, signer.scope);
    let value = format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}");
    fields.push((authorization.to_owned(), value));
    let head = head(&fields);
    let canonical = text.into_bytes();
    let (in_canonical, in_head) = (Hole::find(&canonical), Hole::find(&head));
    (head, Signing { canonical, in_canonical, in_head })
}

impl Signing {
    /// Signs a request in place. The body begins after the first empty line from `head_end` on. If
    /// there is none, the body is empty.
    pub(super) fn sign(&self, signer: &Signer, head_end: usize, request: &mut [u8]) {
        const EMPTY_LINE: &[u8] = b"\r\n\r\n";
        let rest = request.get(head_end..).unwrap_or_default();
        let body = memchr::memmem::find(rest, EMPTY_LINE).map_or(&[][..], |at| &rest[at + EMPTY_LINE.len()..]);
        let payload = hash(body);
        let (mut canonical, mut done) = (Sha256::new(), 0);
        for &(at, hole) in &self.in_canonical {
            canonical.update(&self.canonical[done..at]);
            canonical.update(signer.filling(hole, &payload, &[]));
            done = at + hole.width();
        }
        canonical.update(&self.canonical[done..]);
        let signature = signature(&signer.key, &signer.date, &signer.scope, &hex(&canonical.finalize().into()));
        for &(at, hole) in &self.in_head {
            request[at..at + hole.width()].copy_from_slice(signer.filling(hole, &payload, &signature));
        }
    }
}

/// A key that signs requests, for one region and service, at a date.
#[derive(Clone)]
pub(super) struct Signer {
    id: String,
    secret: Secret,
    token: Option<Secret>,
    service: String,
    region: String,
    scope: String,
    /// The instant of `date`, in seconds since the UNIX epoch.
    seconds: u64,
    date: [u8; 16],
    /// The key of that day.
    key: Hmac<Sha256>,
}

impl Signer {
    /// Creates a signer from the settings that all targets share. `None` if requests are not
    /// signed.
    pub(super) fn of(envelopes: &[Envelope]) -> Option<Self> {
        let envelope = envelopes.first()?;
        let KeyAs::SigV4 { service, region } = &envelope.key_as else { return None };
        let AwsKey { id, secret, token } = AwsKey::parse(envelope.api_key.as_ref()?.reveal())?;
        let date = date(0);
        Some(Self {
            id: id.to_owned(),
            token: token.map(|token| Secret::new(token.to_owned())),
            scope: scope(service, region),
            seconds: 0,
            key: key_of_day(secret, &date[..8], service, region),
            date,
            secret: Secret::new(secret.to_owned()),
            service: service.clone(),
            region: region.clone(),
        })
    }

    /// Signs with this time from now on. A new key is derived when the day changes.
    pub(super) fn set_time(&mut self, seconds: u64) {
        if seconds == self.seconds {
            return;
        }
        let date = date(seconds);
        if date[..8] != self.date[..8] {
            self.key = key_of_day(self.secret.reveal(), &date[..8], &self.service, &self.region);
        }
        (self.seconds, self.date) = (seconds, date);
    }

    fn filling<'a>(&'a self, hole: Hole, payload: &'a [u8; 64], signature: &'a [u8]) -> &'a [u8] {
        match hole {
            Hole::Date => &self.date,
            Hole::Day => &self.date[..8],
            Hole::Payload => payload,
            Hole::Signature => signature,
        }
    }
}

/// Formats seconds since the UNIX epoch as AWS writes dates: `20150830T123600Z`.
fn date(seconds: u64) -> [u8; 16] {
    let instant = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let text = instant.unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    text.as_bytes().try_into().unwrap_or(*b"19700101T000000Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Api;
    use crate::mix::{Heads, Kind, Mix, Prompt, Request, RequestWriter};
    use crate::units::Nanos;
    use std::sync::Arc;

    const NOON: u64 = 1_440_938_160;

    fn envelope(key: &str) -> Envelope {
        Envelope {
            host: "bedrock.local".to_owned(),
            origin: String::new(),
            path_prefix: String::new(),
            query: "b=2&a=1".to_owned(),
            api_key: Some(Secret::new(key.to_owned())),
            basic_auth: None,
            key_as: KeyAs::SigV4 { service: "bedrock".to_owned(), region: "eu-west-1".to_owned() },
            headers: vec![("X-Amz-Team".to_owned(), "blue".to_owned())],
        }
    }

    fn writer(api: Api, websocket: bool, key: &str) -> RequestWriter {
        let kind = Kind {
            websocket,
            stream: websocket,
            models: vec!["m".to_owned()],
            prompt: Prompt::texts(vec!["Hi".to_owned()]),
            ..Kind::bare(api, Nanos::from_secs(1))
        };
        RequestWriter::new(&Mix { kinds: vec![kind] }, &[envelope(key)], 1)
    }

    /// Returns the signature that a request should have by its own bytes, the one that it has, and
    /// its date.
    fn signatures(request: &[u8], day: &str) -> (String, String, String) {
        let text = std::str::from_utf8(request).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("{name}: {head}")).to_owned()
        };
        let payload = field("X-Amz-Content-Sha256");
        assert_eq!(payload.as_bytes(), hash(body.as_bytes()));
        let authorization = field("Authorization");
        assert!(authorization.starts_with(&format!(
            "AWS4-HMAC-SHA256 Credential=AKID/{day}/eu-west-1/bedrock/aws4_request, SignedHeaders="
        )));
        let date = field("X-Amz-Date");
        let (canonical, names) = canonical(head, &payload);
        assert!(authorization.contains(&format!("SignedHeaders={names}, ")), "{authorization}");
        let key = key_of_day("secret", &date.as_bytes()[..8], "bedrock", "eu-west-1");
        let date_bytes = date.as_bytes().try_into().expect("16 bytes");
        let expected = signature(&key, date_bytes, "/eu-west-1/bedrock/aws4_request", &hash(canonical.as_bytes()));
        let has = authorization.rsplit_once("Signature=").expect("one").1.to_owned();
        (String::from_utf8(expected.to_vec()).expect("digits"), has, date)
    }

    #[test]
    fn every_request_is_signed_as_its_bytes_are() {
        for (api, key) in
            [(Api::OpenaiChat, "AKID:secret"), (Api::Models, "AKID:secret"), (Api::OpenaiChat, "AKID:secret:to/ken")]
        {
            let mut writer = writer(api, false, key).at_time(NOON);
            assert!(writer.signs());
            let mut request = Request::default();
            let mut before = String::new();
            for (seconds, expected) in
                [(NOON, "20150830T123600Z"), (NOON, "20150830T123600Z"), (NOON + 2, "20150830T123602Z")]
            {
                writer.set_time(seconds);
                writer.write(0, 0, 0, None, &[], &mut request);
                let (signature, has, date) = signatures(&request.bytes, "20150830");
                assert_eq!((signature, date.as_str()), (has.clone(), expected));
                assert_eq!(has == before, seconds == NOON && !before.is_empty(), "of the same second");
                before = has;
            }
            let text = String::from_utf8_lossy(&request.bytes);
            assert_eq!(text.contains("\r\nX-Amz-Security-Token: to/ken\r\n"), key.ends_with("ken"));
            assert!(text.contains("SignedHeaders=") && text.contains(";x-amz-team,"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_handshake_is_signed_too() {
        let writer = writer(Api::OpenaiResponses, true, "AKID:secret").at_time(NOON);
        let mut request = Request::default();
        writer.write_upgrade(0, 0, 0, &mut request);
        let (expected, has, _) = signatures(&request.bytes, "20150830");
        assert_eq!(expected, has);
    }

    #[test]
    fn the_key_is_derived_anew_at_midnight_and_with_another_secret() {
        let midnight = NOON - NOON % 86_400 + 86_400;
        let mut writer = writer(Api::OpenaiChat, false, "AKID:secret");
        let mut request = Request::default();
        for (seconds, day) in [(midnight - 1, "20150830"), (midnight, "20150831"), (midnight - 1, "20150830")] {
            writer.set_time(seconds);
            writer.write(0, 0, 0, None, &[], &mut request);
            let (expected, has, date) = signatures(&request.bytes, day);
            assert_eq!((expected, &date[..8]), (has, day));
        }
        let mix = Mix { kinds: vec![Kind::bare(Api::Models, Nanos::from_secs(1))] };
        writer.change_heads(Arc::new(Heads::new(&mix, &[envelope("OTHER:secret")])));
        writer.set_time(midnight);
        writer.write(0, 0, 0, None, &[], &mut request);
        assert!(String::from_utf8_lossy(&request.bytes).contains("Credential=OTHER/20150831/"));
    }

    #[test]
    fn requests_of_other_kinds_have_no_date() {
        let plain = Envelope { key_as: KeyAs::Bearer, ..envelope("k") };
        let mix = Mix { kinds: vec![Kind::bare(Api::Models, Nanos::from_secs(1))] };
        let writer = RequestWriter::new(&mix, &[plain], 1).at_time(NOON);
        let mut request = Request::default();
        writer.write(0, 0, 0, None, &[], &mut request);
        assert!(!writer.signs() && !String::from_utf8_lossy(&request.bytes).contains("X-Amz-Date"));
    }
}
