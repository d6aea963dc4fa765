//! What to send: a weighted mix of kinds of request, with seeded draws of kind, model, prompt and
//! token limit.
//!
//! The draws of a request depend on the seed, its stream of draws and its iteration only, never on
//! which worker or machine sends it or when: the same run sends the same requests, however many
//! share it.

mod behavior;
mod prompts;

use std::fmt;

use crate::api::{Api, Ask, KeyHeader, Method, Piece};
use crate::units::{Nanos, mix64};
use crate::wire::http1::HeadSpec;
use crate::wire::websocket::{self, Key};

pub use crate::wire::http1::check_header;
pub use behavior::{After, BehaviorMix, ClientBehavior, Leave, SlowReader};
pub use prompts::builtin_prompts;

/// Keeps these draws apart from everything else that is drawn for the same user and iteration.
const REQUEST_DRAWS: u64 = 0x5265_7175_6573_0001;
/// Keeps apart from them what a WebSocket's handshake and its masks are made of.
const WEBSOCKET_DRAWS: u64 = 0x5765_6253_6f63_0002;
/// Stands for the model's name in a path.
const MODEL_HOLE: &str = "{model}";

/// A weighted mix. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// The kinds of request; at least one, at least one weight above zero, names unique.
    pub kinds: Vec<Kind>,
}

/// One kind of request, as it appears in the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    pub name: String,
    /// Its share of the mix, relative to the other weights.
    pub weight: u32,
    /// Which API it speaks.
    pub api: Api,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether it goes over a WebSocket; then it is streamed.
    pub websocket: bool,
    /// Path below the target's prefix; may contain `{model}`.
    pub path: String,
    /// Models to draw from; not empty for APIs that need one.
    pub models: Vec<String>,
    /// Prompts to draw from; not empty for APIs that need one.
    pub prompts: Vec<String>,
    /// Range of the token limit, inclusive; none leaves the field out.
    pub max_tokens: Option<(u32, u32)>,
    /// Extra fields of the JSON body.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Extra headers, as given.
    pub headers: Vec<(String, String)>,
    pub timeouts: Timeouts,
    /// Whether it is left out of the test when the server has no such endpoint.
    pub optional: bool,
    /// What its users do beside waiting for the whole answer.
    pub behaviors: BehaviorMix,
}

/// How long things may take. Every limit really ends the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Nanos,
    /// Sent → first byte of the response.
    pub first_byte: Nanos,
    pub stall: Nanos,
    /// Sent → end of response.
    pub total: Nanos,
}

/// What every request to a target has in common. Headers often carry keys, so that only their names
/// are ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Value of the `Host` header.
    pub host: String,
    /// Scheme, host and port before the path, for a proxy that is told in each request where to go;
    /// usually empty.
    pub origin: String,
    /// Prefix of every path, without a trailing slash; usually empty.
    pub path_prefix: String,
    /// Query of every request; usually empty. Never printed: it may hold a key.
    pub query: String,
    /// Sent as `Authorization: Bearer …`, or as `x-api-key: …` where the API wants that. Never
    /// printed.
    pub api_key: Option<Secret>,
    /// User and password, sent as `Authorization: Basic …` (RFC 7617). Never printed.
    pub basic_auth: Option<Secret>,
    /// Extra headers of every request; one with a name of ours replaces ours.
    pub headers: Vec<(String, String)>,
}

/// A text that is sent and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Envelope")
            .field("host", &self.host)
            .field("origin", &self.origin)
            .field("path_prefix", &self.path_prefix)
            .field("api_key", &self.api_key)
            .field("basic_auth", &self.basic_auth)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Bytes ready to send, and which kind they are. Reused from request to request.
#[derive(Default)]
pub struct Request {
    pub bytes: Vec<u8>,
    /// Index of its kind in the mix.
    pub kind: u16,
    /// What its user does with the answer.
    pub behavior: ClientBehavior,
}

impl fmt::Debug for Request {
    /// Without the bytes, which carry the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("kind", &self.kind).field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// The mix with everything precomputed that does not change from request to request.
pub struct RequestWriter {
    seed: u64,
    kinds: Vec<Prepared>,
    /// Whether any kind has users who read slowly.
    slow_readers: bool,
}

impl fmt::Debug for RequestWriter {
    /// Without the heads, which carry the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestWriter")
            .field("seed", &self.seed)
            .field("kinds", &self.kinds.len())
            .finish_non_exhaustive()
    }
}

/// One kind, ready to be put together.
struct Prepared {
    /// The sum of the weights up to and with this kind.
    weight_below: u64,
    /// Everything before the value of `Content-Length`, or the whole request if there is no body.
    /// For each target, one for each model if the path names the model, else one.
    heads: Vec<Vec<Vec<u8>>>,
    method: Method,
    /// The heads are handshakes up to the key, and the body is a message.
    websocket: bool,
    body: Vec<Piece>,
    /// As JSON strings, with their quotes.
    models: Vec<String>,
    /// As JSON strings, with their quotes.
    prompts: Vec<String>,
    max_tokens: Option<(u32, u32)>,
    behaviors: BehaviorMix,
}

/// What a request was drawn to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Draw {
    kind: usize,
    model: usize,
    prompt: usize,
    max_tokens: u32,
    behavior: ClientBehavior,
}

impl RequestWriter {
    /// Precomputes heads, for each of the targets, and bodies.
    pub fn new(mix: &Mix, envelopes: &[Envelope], seed: u64) -> Self {
        Self::with_bodies(mix, envelopes, seed, |kind| {
            let ask = Ask {
                stream: kind.stream,
                websocket: kind.websocket,
                max_tokens: kind.max_tokens.is_some(),
                history: None,
                extra: &kind.body,
            };
            kind.api.body(&ask)
        })
    }

    /// With the pieces of each kind's body given.
    fn with_bodies(mix: &Mix, envelopes: &[Envelope], seed: u64, body: impl Fn(&Kind) -> Vec<Piece>) -> Self {
        let mut weight_below = 0;
        let kinds = mix
            .kinds
            .iter()
            .map(|kind| {
                weight_below += u64::from(kind.weight);
                Prepared {
                    weight_below,
                    heads: envelopes.iter().map(|envelope| heads(kind, envelope)).collect(),
                    method: kind.api.method(),
                    websocket: kind.websocket,
                    body: body(kind),
                    models: kind.models.iter().map(|model| json_string(model)).collect(),
                    prompts: kind.prompts.iter().map(|prompt| json_string(prompt)).collect(),
                    max_tokens: kind.max_tokens,
                    behaviors: kind.behaviors,
                }
            })
            .collect();
        Self { seed, kinds, slow_readers: mix.kinds.iter().any(|kind| kind.behaviors.slow_reader.is_some()) }
    }

    /// Writes the request of that stream of draws and iteration, as that target wants it, into
    /// `request`. Allocates nothing once `request` is warm.
    pub fn write(&self, target: u16, draw_vu: u32, iteration: u64, request: &mut Request) {
        let draw = self.draw(draw_vu, iteration);
        request.kind = draw.kind as u16;
        request.behavior = draw.behavior;
        let out = &mut request.bytes;
        out.clear();
        let Some(kind) = self.kinds.get(draw.kind) else { return };
        if kind.websocket {
            return kind.write_message(draw, self.websocket_draws(draw_vu, iteration), out);
        }
        let Some(heads) = kind.heads.get(usize::from(target)) else { return };
        out.extend_from_slice(heads.get(draw.model).unwrap_or(&heads[0]));
        if kind.method == Method::Post {
            let digits = &mut [0; 20];
            let length = kind.body_length(draw);
            out.extend_from_slice(decimal(length as u64, digits));
            out.extend_from_slice(b"\r\n\r\n");
            for piece in &kind.body {
                out.extend_from_slice(kind.fill(piece, draw, digits));
            }
        }
    }

    /// Writes the handshake of the WebSocket that this request goes over, and says its key.
    pub fn write_upgrade(&self, target: u16, draw_vu: u32, iteration: u64, request: &mut Request) -> Key {
        let draw = self.draw(draw_vu, iteration);
        let key = Key::new(self.websocket_draws(draw_vu, iteration).u128(..));
        let out = &mut request.bytes;
        out.clear();
        if let Some(heads) = self.kinds.get(draw.kind).and_then(|kind| kind.heads.get(usize::from(target))) {
            out.extend_from_slice(heads.get(draw.model).unwrap_or(&heads[0]));
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
        }
        key
    }

    fn websocket_draws(&self, draw_vu: u32, iteration: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(mix64(self.seed ^ WEBSOCKET_DRAWS, draw_vu.into(), iteration))
    }

    /// Whether the user of that stream of draws and iteration reads slowly: it is asked for before
    /// there is a connection.
    pub fn reads_slowly(&self, draw_vu: u32, iteration: u64) -> bool {
        // Almost no mix has such users, and then nothing needs to be drawn.
        self.slow_readers && self.draw(draw_vu, iteration).behavior.bytes_per_second.is_some()
    }

    /// Everything that is random about a request, from one generator of its own: kind, model,
    /// prompt, token limit, behavior, in this order.
    fn draw(&self, draw_vu: u32, iteration: u64) -> Draw {
        let mut rng = fastrand::Rng::with_seed(mix64(self.seed ^ REQUEST_DRAWS, draw_vu.into(), iteration));
        let weights = self.kinds.last().map_or(0, |last| last.weight_below);
        let point = rng.u64(0..weights.max(1));
        let index = self.kinds.partition_point(|kind| kind.weight_below <= point);
        let Some(kind) = self.kinds.get(index) else { return Draw::default() };
        let mut below = |n: usize| rng.u64(0..n.max(1) as u64) as usize;
        let (model, prompt) = (below(kind.models.len()), below(kind.prompts.len()));
        let max_tokens = kind.max_tokens.map_or(0, |(min, max)| rng.u32(min..=max.max(min)));
        let behavior = kind.behaviors.draw(&mut rng);
        Draw { kind: index, model, prompt, max_tokens, behavior }
    }
}

impl Prepared {
    fn body_length(&self, draw: Draw) -> usize {
        let digits = &mut [0; 20];
        self.body.iter().map(|piece| self.fill(piece, draw, digits).len()).sum()
    }

    /// Writes the body as one message.
    fn write_message(&self, draw: Draw, mut rng: fastrand::Rng, out: &mut Vec<u8>) {
        let digits = &mut [0; 20];
        let mask = rng.u32(..).to_be_bytes();
        websocket::begin_text(self.body_length(draw), mask, out);
        let head = out.len();
        for piece in &self.body {
            out.extend_from_slice(self.fill(piece, draw, digits));
        }
        websocket::mask(&mut out[head..], mask);
    }

    /// What stands in a piece's place.
    fn fill<'a>(&'a self, piece: &'a Piece, draw: Draw, digits: &'a mut [u8; 20]) -> &'a [u8] {
        let text = |all: &'a [String], index: usize| all.get(index).map_or("\"\"", String::as_str).as_bytes();
        match piece {
            Piece::Text(fixed) => fixed.as_bytes(),
            Piece::Model => text(&self.models, draw.model),
            Piece::Prompt => text(&self.prompts, draw.prompt),
            Piece::MaxTokens => decimal(draw.max_tokens.into(), digits),
            Piece::OfUser(fixed) => fixed.as_bytes(),
            Piece::History => b"",
            Piece::PreviousResponse => b"null",
        }
    }
}

/// The heads of a kind: one for each model if its path names the model, else one.
fn heads(kind: &Kind, envelope: &Envelope) -> Vec<Vec<u8>> {
    let slash = if kind.path.starts_with('/') { "" } else { "/" };
    let path = format!("{}{}{slash}{}", envelope.origin, envelope.path_prefix, kind.path);
    let path = match envelope.query.as_str() {
        "" => path,
        query if path.contains('?') => format!("{path}&{query}"),
        query => format!("{path}?{query}"),
    };
    let headers = headers(kind, envelope);
    if path.contains(MODEL_HOLE) && !kind.models.is_empty() {
        let named = kind.models.iter().map(|model| path.replace(MODEL_HOLE, &percent_encoded(model)));
        named.map(|path| head(kind, &envelope.host, &path, &headers)).collect()
    } else {
        vec![head(kind, &envelope.host, &path.replace(MODEL_HOLE, ""), &headers)]
    }
}

/// The API's fields, the target's and the kind's own; one of a later level takes the place of an
/// earlier one's with the same name. A name that is given twice in one level is sent twice.
fn headers(kind: &Kind, envelope: &Envelope) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    fields.extend(kind.api.headers().iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(key) = &envelope.api_key {
        fields.push(match kind.api.key_header() {
            KeyHeader::Bearer => ("Authorization".to_owned(), format!("Bearer {}", key.reveal())),
            KeyHeader::XApiKey => ("x-api-key".to_owned(), key.reveal().to_owned()),
        });
    }
    if let Some(pair) = &envelope.basic_auth {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair.reveal());
        fields.push(("Authorization".to_owned(), format!("Basic {encoded}")));
    }
    for level in [&envelope.headers, &kind.headers] {
        fields.retain(|(name, _)| !level.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        fields.extend(level.iter().cloned());
    }
    fields.retain(|(name, value)| check_header(name, value).is_ok());
    fields
}

/// A request's head: all of it without a body, up to the value of `Content-Length` with one.
fn head(kind: &Kind, host: &str, path: &str, headers: &[(String, String)]) -> Vec<u8> {
    if kind.websocket {
        return handshake(host, path, headers);
    }
    let method = match kind.api.method() {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let mut out = Vec::new();
    HeadSpec { method, path: &target(path), host, stream: kind.stream, headers }.write(&mut out);
    out
}

/// A WebSocket's handshake, up to the key. Fields of the user's that are the protocol's own are
/// left out.
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

/// A path as it may stand in a request line: what would break the line is percent-encoded.
fn target(path: &str) -> String {
    encoded(path, |b| b.is_ascii_graphic())
}

/// A text as one segment of a path (RFC 3986, section 2.3: all but the unreserved characters).
fn percent_encoded(text: &str) -> String {
    encoded(text, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

fn encoded(text: &str, keep: impl Fn(u8) -> bool) -> String {
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The digits of `n`, written to the end of `digits`.
fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests;
