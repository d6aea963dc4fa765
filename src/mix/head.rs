//! The bytes before a body: request lines and headers, the same for all requests of a kind.

use super::escape::{encoded, percent_encoded};
use super::signing::{Signer, Signing, signed};
use super::{Envelope, KeyAs, Kind, Mix, Request, RequestWriter, Secret, WEBSOCKET_DRAWS, check_header};
use crate::api::{KeyHeader, Method};
use crate::wire::http1::HeadSpec;
use crate::wire::websocket::{self, Key};
use std::sync::Arc;

/// Stands for the model's name in a path.
const MODEL_HOLE: &str = "{model}";

/// The heads of all requests of a mix. They are made once, and again when the key changes.
pub struct Heads {
    /// By kind, by target, and by model if the path names the model. Otherwise there is one for all
    /// models.
    all: Vec<Vec<Vec<Head>>>,
    signer: Option<Signer>,
}

/// The bytes before a body.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// The places of the signature. `None` if requests are not signed.
    signing: Option<Box<Signing>>,
}

impl Head {
    /// Signs a request that begins with this head.
    pub(super) fn sign(&self, signer: &Signer, request: &mut [u8]) {
        if let Some(signing) = &self.signing {
            signing.sign(signer, self.bytes.len(), request);
        }
    }
}

impl std::fmt::Debug for Heads {
    /// Leaves out the heads, which carry the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heads").field("kinds", &self.all.len()).finish_non_exhaustive()
    }
}

impl Heads {
    /// Creates the heads of all kinds for each of the targets.
    pub fn new(mix: &Mix, envelopes: &[Envelope]) -> Self {
        let signer = Signer::of(envelopes);
        let of = |kind: &Kind| envelopes.iter().map(|envelope| heads(kind, envelope, signer.as_ref())).collect();
        Self { all: mix.kinds.iter().map(of).collect(), signer }
    }

    /// Returns the signer of the requests, if they are signed.
    pub(super) const fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Returns everything before the value of `Content-Length`, or the whole request if it has no
    /// body.
    pub(super) fn of(&self, kind: usize, target: u16, model: usize) -> Option<&Head> {
        let heads = self.all.get(kind)?.get(usize::from(target))?;
        heads.get(model).or_else(|| heads.first())
    }
}

impl RequestWriter {
    /// Writes the handshake of the WebSocket that this request goes over, and returns its key.
    pub fn write_upgrade(&self, target: u16, draw_vu: u32, iteration: u64, request: &mut Request) -> Key {
        let draw = self.draw(draw_vu, iteration);
        let key = Key::new(self.draws(WEBSOCKET_DRAWS, draw_vu, iteration).u128(..));
        let out = &mut request.bytes;
        out.clear();
        if let Some(head) = self.heads.of(draw.kind, target, draw.model) {
            out.extend_from_slice(&head.bytes);
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
            if let Some(signer) = &self.signer {
                head.sign(signer, out);
            }
        }
        key
    }

    /// Uses these heads from now on: the key has changed.
    pub fn change_heads(&mut self, heads: Arc<Heads>) {
        self.signer = heads.signer().cloned().map(Box::new);
        self.heads = heads;
    }

    /// Returns true if requests are signed. They contain a date, which [`set_time`](Self::set_time)
    /// sets.
    pub const fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// Sets the date of the requests that are written from now on, in seconds since the UNIX epoch.
    /// Only signed requests contain a date. A server accepts it for some minutes.
    pub fn set_time(&mut self, seconds: u64) {
        if let Some(signer) = &mut self.signer {
            signer.set_time(seconds);
        }
    }

    /// Sets the date, and returns the writer.
    #[must_use]
    pub fn at_time(mut self, seconds: u64) -> Self {
        self.set_time(seconds);
        self
    }
}

/// Returns the heads of a kind: one for each model if its path names the model, or else a single
/// one.
fn heads(kind: &Kind, envelope: &Envelope, signer: Option<&Signer>) -> Vec<Head> {
    let slash = if kind.path.starts_with('/') { "" } else { "/" };
    let path = format!("{}{}{slash}{}", envelope.origin, envelope.path_prefix, kind.path);
    let path = match query(envelope).as_str() {
        "" => path,
        query if path.contains('?') => format!("{path}&{query}"),
        query => format!("{path}?{query}"),
    };
    let headers = headers(kind, envelope);
    let made = |path: &str| {
        let write = |headers: &[(String, String)]| head(kind, &envelope.host, path, headers);
        let Some(signer) = signer else { return Head { bytes: write(&headers), signing: None } };
        let (bytes, signing) = signed(headers.clone(), signer, write);
        Head { bytes, signing: Some(Box::new(signing)) }
    };
    if path.contains(MODEL_HOLE) && !kind.models.is_empty() {
        let named = kind.models.iter().map(|model| path.replace(MODEL_HOLE, &percent_encoded(model)));
        named.map(|path| made(&path)).collect()
    } else {
        vec![made(&path.replace(MODEL_HOLE, ""))]
    }
}

/// Returns the header fields of the API, of the target and of the kind. A field replaces those of
/// an earlier level with the same name. A name that occurs twice in one level is sent twice.
fn headers(kind: &Kind, envelope: &Envelope) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    fields.extend(kind.api.headers().iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(key) = &envelope.api_key {
        match &envelope.key_as {
            KeyAs::OfApi => {
                let is_x_api_key = kind.api.key_header() == KeyHeader::XApiKey;
                if is_x_api_key {
                    fields.push(("x-api-key".to_owned(), key.reveal().to_owned()));
                }
                // Other servers with Anthropic's API (vLLM, proxies) take the key as in all their
                // APIs. For Anthropic itself, a bearer token is not a key.
                let is_anthropic = envelope.host.split(':').next().is_some_and(|host| host.ends_with("anthropic.com"));
                if !is_x_api_key || (!is_anthropic && envelope.basic_auth.is_none()) {
                    fields.push(bearer(key));
                }
            }
            // The key is part of the path, or signs these fields.
            KeyAs::Query(_) | KeyAs::SigV4 { .. } => {}
            KeyAs::Bearer => fields.push(bearer(key)),
            KeyAs::Basic => fields.push(basic(key)),
            KeyAs::Header(name) => fields.push((name.clone(), key.reveal().to_owned())),
        }
    }
    if let Some(pair) = &envelope.basic_auth {
        fields.push(basic(pair));
    }
    for level in [&envelope.headers, &kind.headers] {
        fields.retain(|(name, _)| !level.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        fields.extend(level.iter().cloned());
    }
    fields.retain(|(name, value)| check_header(name, value).is_ok());
    fields
}

/// Returns the field with a bearer token (RFC 6750).
fn bearer(key: &Secret) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer {}", key.reveal()))
}

/// Returns the field with user and password (RFC 7617).
fn basic(pair: &Secret) -> (String, String) {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair.reveal());
    ("Authorization".to_owned(), format!("Basic {encoded}"))
}

/// Returns the query of every request: the target's own, and the key if it is sent there.
fn query(envelope: &Envelope) -> String {
    let (Some(key), KeyAs::Query(name)) = (&envelope.api_key, &envelope.key_as) else { return envelope.query.clone() };
    let own = if envelope.query.is_empty() { String::new() } else { format!("{}&", envelope.query) };
    format!("{own}{}={}", percent_encoded(name), percent_encoded(key.reveal()))
}

/// Returns the head of a request: up to the value of `Content-Length`, or the whole request if it
/// has no body.
fn head(kind: &Kind, host: &str, path: &str, headers: &[(String, String)]) -> Vec<u8> {
    if kind.websocket {
        return handshake(host, path, headers);
    }
    let method = match kind.method() {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let mut out = Vec::new();
    HeadSpec { method, path: &target(path), host, stream: kind.stream, headers }.write(&mut out);
    out
}

/// Returns a WebSocket's handshake, up to the key. The user's fields are left out if the protocol
/// itself sets them.
fn handshake(host: &str, path: &str, headers: &[(String, String)]) -> Vec<u8> {
    let is_own = |name: &str| {
        let own = websocket::HEADERS.iter().map(|(own, _)| *own).chain([websocket::KEY_HEADER]);
        own.into_iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let mut headers: Vec<_> = headers.iter().filter(|(name, _)| !is_own(name)).cloned().collect();
    headers.extend(websocket::HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut out = Vec::new();
    HeadSpec { method: "GET", path: &target(path), host, stream: false, headers: &headers }.write(&mut out);
    // The key takes the place of the empty line that ends the head.
    out.truncate(out.len() - b"\r\n".len());
    out.extend_from_slice(websocket::KEY_HEADER.as_bytes());
    out.extend_from_slice(b": ");
    out
}

/// Returns a path for a request line. Bytes that would break the line are percent-encoded.
fn target(path: &str) -> String {
    encoded(path, |b| b.is_ascii_graphic())
}
