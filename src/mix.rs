//! Decides what to send: a weighted mix of kinds of request, with seeded draws of kind, model,
//! prompt and token limit.
//!
//! The draws of a request depend only on the seed, its stream of draws and its iteration. They do
//! not depend on the worker or machine that sends it, or on the time. A run sends the same
//! requests, however many workers and machines share it.

mod behavior;
mod body;
mod builtin;
mod conversation;
mod envelope;
mod escape;
mod fixed;
mod head;
mod held;
mod message;
mod prompt;
mod prose;
mod request;
mod retries;
mod scenario;
mod signing;
mod sigv4;
mod tokens;
mod weighted;
mod words;

use std::fmt;
use std::sync::Arc;

use crate::api::{Api, Ask, Custom, History, LimitName, Method, Picture, Piece};
use crate::dataset::Sessions;
use crate::metrics::{Asked, TemplateTokens};
use crate::units::{Nanos, mix64};
use body::{decimal, framed};
use escape::json_string;
use fastrand::Rng;
use prompt::{DrawnPrompt, PreparedPrompt};
use signing::Signer;
use weighted::Weighted;

pub use crate::wire::http1::check_header;
pub use behavior::{After, BehaviorMix, ClientBehavior, Leave, SlowReader};
pub use builtin::builtin_prompts;
pub use conversation::{Conversation, Next, Replies, Talk};
pub use envelope::{Envelope, KeyAs, Secret};
pub use escape::percent_encoded;
pub use head::Heads;
pub use prompt::{Prefix, Prompt, PromptSource};
pub use request::Request;
pub use retries::{Retries, RetryPolicy};
pub use scenario::Scenario;
pub use signing::OF_SIGNATURE;
pub use sigv4::AwsKey;
pub use tokens::{Bell, Tokens};
pub use weighted::zipf;

/// Keeps these draws apart from everything else that is drawn for the same user and iteration.
const REQUEST_DRAWS: u64 = 0x5265_7175_6573_0001;
/// Keeps the draws of WebSocket handshakes and masks apart from them.
const WEBSOCKET_DRAWS: u64 = 0x5765_6253_6f63_0002;
/// Keeps the draws of prompts' words apart from them.
const PROMPT_DRAWS: u64 = 0x5072_6f6d_7074_0003;
/// Keeps the draws of later turns of a conversation apart from them.
const TURN_DRAWS: u64 = 0x5475_726e_7300_0004;
/// Keeps the draws of numbers in the bodies of described APIs apart from them.
const NUMBER_DRAWS: u64 = 0x4e75_6d62_6572_0006;

/// A weighted mix. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// The kinds of request: at least one kind, at least one weight above zero, unique names.
    pub kinds: Vec<Kind>,
}

impl Mix {
    /// Returns the names of the kinds of request, in order.
    pub fn names(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| kind.name.clone()).collect()
    }
}

/// One kind of request, as it appears in the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    pub name: String,
    /// Its share of the mix, relative to the other weights.
    pub weight: u32,
    /// The API that it uses.
    pub api: Api,
    /// True if the response is streamed.
    pub stream: bool,
    /// True if it goes over a WebSocket. Then it is streamed.
    pub websocket: bool,
    /// Path below the target's prefix; may contain `{model}`.
    pub path: String,
    /// Models to draw from. Not empty for APIs that need one.
    pub models: Vec<String>,
    /// The weight of each model. Empty if all are equally likely.
    pub model_weights: Vec<u64>,
    /// Its prompts. Not used by APIs without a prompt.
    pub prompt: Prompt,
    /// The picture that it shows beside the prompt.
    pub picture: Option<Arc<Picture>>,
    /// The token limit. `None` leaves the field out.
    pub max_tokens: Option<Tokens>,
    /// True if the response must have exactly as many tokens as the limit. Only servers that know
    /// `min_tokens` and `ignore_eos` can be asked for that.
    pub exact: bool,
    /// The field of chat completions that carries the token limit. `None` means the usual name, as
    /// long as the server accepts it.
    pub limit_name: Option<LimitName>,
    /// True if a response that is not streamed must report its usage.
    pub check_usage: bool,
    /// Extra fields of the JSON body.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Extra headers, as given.
    pub headers: Vec<(String, String)>,
    /// Limits of each attempt.
    pub timeouts: Timeouts,
    /// The retries of requests that failed.
    pub retries: Option<Retries>,
    /// True if it is left out of the test when the server does not have the endpoint.
    pub optional: bool,
    /// Users who do not wait for the whole response.
    pub behaviors: BehaviorMix,
    /// Conversations, if its requests are turns of them.
    pub conversation: Option<Conversation>,
    /// Tokens that the server's chat template adds to its prompts, if that was learned.
    pub template_tokens: TemplateTokens,
    /// The scenario that llmsim is asked to play in its requests.
    pub scenario: Option<Scenario>,
    /// The description of its API, if the profile describes it.
    pub custom: Option<Arc<Custom>>,
}

impl Kind {
    /// Creates a plain request of an API, on its own path, without models and prompt. No part of it
    /// may take longer than `limit`.
    pub fn bare(api: Api, limit: Nanos) -> Self {
        Self {
            name: api.name().to_owned(),
            weight: 1,
            api,
            stream: false,
            websocket: false,
            path: api.path().to_owned(),
            models: Vec::new(),
            prompt: Prompt::texts(Vec::new()),
            max_tokens: None,
            check_usage: true,
            body: serde_json::Map::new(),
            headers: Vec::new(),
            timeouts: Timeouts { connect: limit, first_byte: limit, stall: limit, total: limit },
            retries: None,
            optional: false,
            behaviors: BehaviorMix::default(),
            model_weights: Vec::new(),
            exact: false,
            limit_name: None,
            conversation: None,
            template_tokens: TemplateTokens::UNKNOWN,
            scenario: None,
            picture: None,
            custom: None,
        }
    }

    /// Returns the HTTP method.
    pub fn method(&self) -> Method {
        self.custom.as_ref().map_or_else(|| self.api.method(), |custom| custom.method)
    }
}

/// Limits of time. Each of them really ends the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Nanos,
    /// Sent → first byte of the response.
    pub first_byte: Nanos,
    pub stall: Nanos,
    /// Sent → end of response.
    pub total: Nanos,
}

/// The mix, with all parts precomputed that do not change from request to request. Clones share
/// these parts.
#[derive(Clone)]
pub struct RequestWriter {
    seed: u64,
    /// Step between the numbers of one user's requests.
    stride: u64,
    kinds: Arc<[Prepared]>,
    heads: Arc<Heads>,
    /// `None` if requests are not signed.
    signer: Option<Box<Signer>>,
    /// True if any kind has users who read slowly.
    slow_readers: bool,
}

impl fmt::Debug for RequestWriter {
    /// Leaves out the heads, which carry the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestWriter")
            .field("seed", &self.seed)
            .field("kinds", &self.kinds.len())
            .finish_non_exhaustive()
    }
}

/// One kind, with its parts precomputed.
struct Prepared {
    /// The sum of the weights of all kinds up to this one, inclusive.
    weight_below: u64,
    method: Method,
    /// True if the heads are handshakes up to the key, and the body is a message.
    websocket: bool,
    api: Api,
    body: Vec<Piece>,
    /// Everything after the head, if it is the same in all requests.
    rest: Option<String>,
    /// True if the body contains a number that differs in each request.
    is_numbered: bool,
    /// As JSON strings, with their quotes.
    models: Vec<String>,
    /// `None` if all models are equally likely.
    model_weights: Option<Weighted>,
    prompt: PreparedPrompt,
    max_tokens: Option<Tokens>,
    behaviors: BehaviorMix,
    conversation: Option<Conversation>,
}

/// The random choices of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Draw {
    kind: usize,
    model: usize,
    prompt: usize,
    max_tokens: u32,
    behavior: ClientBehavior,
    /// A random number. Zero if the body does not contain it.
    number: u32,
}

impl RequestWriter {
    /// Precomputes bodies, and heads for each of the targets.
    pub fn new(mix: &Mix, envelopes: &[Envelope], seed: u64) -> Self {
        Self::with_bodies(mix, envelopes, seed, |kind| {
            let rows = match &kind.prompt.source {
                PromptSource::Rows(rows) => Some(rows),
                PromptSource::Texts(_) | PromptSource::Words(_) | PromptSource::Pairs(_) | PromptSource::Prose(_) => {
                    None
                }
            };
            let ask = Ask {
                stream: kind.stream,
                websocket: kind.websocket,
                max_tokens: kind.max_tokens.is_some()
                    || kind.prompt.limits_output()
                    || rows.is_some_and(|rows| rows.has_output_tokens()),
                exact: kind.exact,
                limit_name: kind.limit_name.unwrap_or_default(),
                history: match (rows, &kind.conversation) {
                    (Some(_), conversation) if !conversation.as_ref().is_some_and(Conversation::adds_rows) => {
                        Some(History::Given)
                    }
                    (_, conversation) => conversation.as_ref().map(|conversation| conversation.history),
                },
                picture: kind.picture.as_deref(),
                extra: &kind.body,
            };
            kind.api.body(&ask)
        })
    }

    /// Sets the step between the numbers of one user's requests.
    #[must_use]
    pub fn with_stride(self, stride: u64) -> Self {
        Self { stride, ..self }
    }

    /// Creates a writer from the pieces of each kind's body.
    fn with_bodies(mix: &Mix, envelopes: &[Envelope], seed: u64, body: impl Fn(&Kind) -> Vec<Piece>) -> Self {
        let mut weight_below = 0;
        let kinds = mix
            .kinds
            .iter()
            .map(|kind| {
                weight_below += u64::from(kind.weight);
                let prompt = PreparedPrompt::new(&kind.prompt, seed).ending_in(kind.scenario.as_ref());
                let body = fixed::folded(kind, &prompt, body(kind));
                Prepared {
                    weight_below,
                    method: kind.method(),
                    websocket: kind.websocket,
                    api: kind.api,
                    is_numbered: body.contains(&Piece::Number),
                    rest: fixed::rest(kind, &prompt, &body),
                    body,
                    models: kind.models.iter().map(|model| json_string(model)).collect(),
                    model_weights: (!kind.model_weights.is_empty())
                        .then(|| Weighted::new(kind.model_weights.iter().copied())),
                    prompt,
                    max_tokens: kind.max_tokens,
                    behaviors: kind.behaviors,
                    conversation: kind.conversation.clone(),
                }
            })
            .collect();
        let slow_readers = mix.kinds.iter().any(|kind| kind.behaviors.slow_reader.is_some());
        let heads = Heads::new(mix, envelopes);
        let signer = heads.signer().cloned().map(Box::new);
        Self { seed, stride: 1, kinds, heads: heads.into(), signer, slow_readers }
    }

    /// Writes the request with this stream of draws and iteration, for this target, into `request`.
    /// Does not allocate once `request` is warm. `held` is the request's row, as read by
    /// [`fetch`](Self::fetch). It is empty if the row need not be fetched.
    pub fn write(
        &self,
        target: u16,
        draw_vu: u32,
        iteration: u64,
        talk: Option<&Talk>,
        held: &[u8],
        request: &mut Request,
    ) {
        let mut draw = self.draw_turn(draw_vu, iteration, talk.map_or(0, Talk::turn));
        request.kind = draw.kind as u16;
        request.behavior = draw.behavior;
        request.asked = Asked::default();
        request.row = None;
        let out = &mut request.bytes;
        out.clear();
        let Some(kind) = self.kinds.get(draw.kind) else { return };
        if let Some(rest) = &kind.rest {
            let Some(begun) = self.heads.of(draw.kind, target, draw.model) else { return };
            out.extend_from_slice(&begun.bytes);
            out.extend_from_slice(rest.as_bytes());
            request.asked = Asked { output: draw.max_tokens, ..Asked::default() };
            if let Some(signer) = &self.signer {
                begun.sign(signer, out);
            }
            return;
        }
        // A conversation is sent once, in many requests, unless each turn is a row.
        let is_new = talk.is_none_or(Talk::is_fresh) || kind.sessions().is_some();
        let rows = kind.prompt.rows().filter(|_| is_new && talk.is_none_or(|talk| !talk.is_tool_round()));
        request.row = rows.map(|rows| rows.first(draw.prompt) as u32);
        let is_first = talk.is_none_or(|talk| talk.turn() < 2);
        let row = kind.prompt.row(draw.prompt, held);
        let prompt = kind.prompt.draw(draw.prompt, row, self.prompt_draws(draw_vu, iteration, talk), is_first);
        if let (None, Some(output)) = (kind.max_tokens, prompt.output) {
            draw.max_tokens = output;
        }
        if kind.is_numbered {
            draw.number = self.draws(NUMBER_DRAWS, draw_vu, iteration).u32(..);
        }
        if kind.websocket {
            let rng = self.draws(WEBSOCKET_DRAWS, draw_vu, iteration);
            request.asked = kind.write_message(draw, prompt, talk, rng, out);
            return;
        }
        let Some(begun) = self.heads.of(draw.kind, target, draw.model) else { return };
        out.extend_from_slice(&begun.bytes);
        if kind.method == Method::Post {
            let length = |length: usize, out: &mut Vec<u8>| {
                out.extend_from_slice(decimal(length as u64, &mut [0; 20]));
                self.write_affinity(kind, draw_vu, iteration, out);
                out.extend_from_slice(b"\r\n\r\n");
            };
            let estimate = kind.estimate(draw, &prompt, talk);
            framed(estimate, out, length, |out| request.asked = kind.write_body(draw, prompt, talk, out));
        }
        if let Some(signer) = &self.signer {
            begun.sign(signer, out);
        }
    }

    /// Returns the generator for the draws of one purpose.
    fn draws(&self, purpose: u64, draw_vu: u32, iteration: u64) -> Rng {
        Rng::with_seed(mix64(self.seed ^ purpose, draw_vu.into(), iteration))
    }

    /// Returns true if the user of this stream of draws and iteration reads slowly. The caller must
    /// know before it opens a connection.
    pub fn reads_slowly(&self, draw_vu: u32, iteration: u64, talk: Option<&Talk>) -> bool {
        // Most mixes do not have such users, and then nothing needs to be drawn.
        let draw = || self.draw_turn(draw_vu, iteration, talk.map_or(0, Talk::turn));
        self.slow_readers && draw().behavior.bytes_per_second.is_some()
    }

    /// Returns the index of the model that this request asks for, among those of its kind.
    pub fn model(&self, kind: u16, draw_vu: u32, iteration: u64) -> u16 {
        match self.kinds.get(usize::from(kind)) {
            Some(kind) if kind.models.len() > 1 => self.draw(draw_vu, iteration).model as u16,
            _ => 0,
        }
    }

    /// Draws a turn. Kind and model are those of the conversation's first turn.
    fn draw_turn(&self, draw_vu: u32, iteration: u64, turn: u16) -> Draw {
        let first = self.draw(draw_vu, iteration);
        if turn < 2 {
            return first;
        }
        let Some(kind) = self.kinds.get(first.kind) else { return first };
        let mut rng = self.turn_draws(TURN_DRAWS, draw_vu, iteration, turn);
        let (_, prompt, max_tokens, behavior) = kind.draw(&mut rng);
        // A conversation keeps its row, unless each turn is a row.
        let (prompt, max_tokens) = match (kind.prompt.rows(), kind.sessions()) {
            (None, _) => (prompt, max_tokens),
            (Some(_), None) => (first.prompt, max_tokens),
            (Some(rows), Some(sessions)) => {
                let row = sessions.row(self.number(draw_vu, iteration), usize::from(turn) - 1);
                (row, rows.output_tokens(row).unwrap_or(max_tokens))
            }
        };
        Draw { prompt, max_tokens, behavior, ..first }
    }

    /// Returns the generator for a prompt's words.
    fn prompt_draws(&self, draw_vu: u32, iteration: u64, talk: Option<&Talk>) -> Rng {
        match talk.map_or(0, Talk::turn) {
            0 | 1 => self.draws(PROMPT_DRAWS, draw_vu, iteration),
            turn => self.turn_draws(PROMPT_DRAWS, draw_vu, iteration, turn),
        }
    }

    /// Returns the number of a request over all users.
    fn number(&self, draw_vu: u32, iteration: u64) -> u64 {
        iteration.wrapping_mul(self.stride).wrapping_add(draw_vu.into())
    }

    /// Makes all random choices of a request with one generator of its own: kind, model, prompt,
    /// token limit, behavior, in this order.
    fn draw(&self, draw_vu: u32, iteration: u64) -> Draw {
        let mut rng = self.draws(REQUEST_DRAWS, draw_vu, iteration);
        let weights = self.kinds.last().map_or(0, |last| last.weight_below);
        let point = rng.u64(0..weights.max(1));
        let index = self.kinds.partition_point(|kind| kind.weight_below <= point);
        let Some(kind) = self.kinds.get(index) else { return Draw::default() };
        let (model, mut prompt, mut max_tokens, behavior) = kind.draw(&mut rng);
        if let Some(rows) = kind.prompt.rows() {
            // Rows are taken one after the other, regardless of the user.
            let number = self.number(draw_vu, iteration);
            prompt = match kind.sessions() {
                None => number.checked_rem(rows.len() as u64).unwrap_or_default() as usize,
                Some(sessions) => sessions.row(number, 0),
            };
            max_tokens = rows.output_tokens(prompt).unwrap_or(max_tokens);
        }
        Draw { kind: index, model, prompt, max_tokens, behavior, number: 0 }
    }
}

impl Prepared {
    /// Returns the conversations of a trace.
    fn sessions(&self) -> Option<&Sessions> {
        self.conversation.as_ref()?.sessions.as_deref()
    }

    /// Draws model, prompt, token limit and behavior.
    fn draw(&self, rng: &mut Rng) -> (usize, usize, u32, ClientBehavior) {
        let below = |n: usize, rng: &mut Rng| rng.u64(0..n.max(1) as u64) as usize;
        let model = match &self.model_weights {
            None => below(self.models.len(), rng),
            Some(weights) => weights.draw(rng),
        };
        let prompt = below(self.prompt.texts(), rng);
        let max_tokens = self.max_tokens.map_or(0, |tokens| tokens.draw(rng));
        (model, prompt, max_tokens, self.behaviors.draw(rng))
    }

    /// Estimates the length of the body.
    fn estimate(&self, draw: Draw, prompt: &DrawnPrompt<'_>, talk: Option<&Talk>) -> usize {
        if let Some(body) = prompt.whole() {
            return body.len();
        }
        let digits = &mut [0; 20];
        let script = prompt.script();
        let length = |piece: &Piece| match (piece, script) {
            (Piece::Messages, Some(script)) => self.parts(script, talk).map(<[u8]>::len).sum(),
            (Piece::History, _) => talk.into_iter().flat_map(Talk::history).map(<[u8]>::len).sum(),
            (Piece::Prompt | Piece::Messages, _) => self.prompt.estimate(prompt),
            (Piece::PromptInside, _) => self.prompt.estimate(prompt) - "\"\"".len(),
            (piece, _) => self.fill(piece, draw, talk, digits).len(),
        };
        self.body.iter().map(length).sum()
    }

    /// Appends the body, and returns the tokens that it asks for.
    fn write_body(&self, draw: Draw, prompt: DrawnPrompt<'_>, talk: Option<&Talk>, out: &mut Vec<u8>) -> Asked {
        if let Some(body) = prompt.whole() {
            out.extend_from_slice(body);
            return Asked::default();
        }
        let digits = &mut [0; 20];
        let script = prompt.script();
        // A request that returns the results of tool calls has no new prompt.
        let mut prompt = Some(prompt).filter(|_| talk.is_none_or(|talk| !talk.is_tool_round()));
        let mut asked = Asked::default();
        for piece in &self.body {
            match (piece, script) {
                (Piece::History, _) => {
                    talk.into_iter().flat_map(Talk::history).for_each(|part| out.extend_from_slice(part));
                }
                (Piece::Messages, Some(script)) => {
                    self.parts(script, talk).for_each(|part| out.extend_from_slice(part));
                }
                (Piece::Messages, None) => {
                    asked = prompt.take().map_or(asked, |prompt| self.prompt.write_messages(prompt, out));
                }
                (Piece::Prompt, _) => asked = prompt.take().map_or(asked, |prompt| self.prompt.write(prompt, out)),
                (Piece::PromptInside, _) => {
                    asked = prompt.take().map_or(asked, |prompt| self.write_inside(prompt, out));
                }
                (piece, _) => out.extend_from_slice(self.fill(piece, draw, talk, digits)),
            }
        }
        // Earlier messages are sent again, and their number of tokens is not known.
        if talk.is_some_and(|talk| talk.turn() > 1) {
            return Asked { output: draw.max_tokens, ..Asked::default() };
        }
        Asked { output: draw.max_tokens, ..asked }
    }

    /// Returns the text of a piece. A prompt is written elsewhere.
    fn fill<'a>(&'a self, piece: &'a Piece, draw: Draw, talk: Option<&'a Talk>, digits: &'a mut [u8; 20]) -> &'a [u8] {
        match piece {
            Piece::Text(fixed) => fixed.as_bytes(),
            Piece::Model => self.models.get(draw.model).map_or("\"\"", String::as_str).as_bytes(),
            Piece::ModelInside => {
                let quoted = self.models.get(draw.model).map_or("\"\"", String::as_str).as_bytes();
                &quoted[1..quoted.len() - 1]
            }
            Piece::Number => decimal(draw.number.into(), digits),
            Piece::Prompt | Piece::PromptInside | Piece::Messages | Piece::History => &[],
            Piece::OfUser(_) if talk.is_some_and(Talk::is_tool_round) => &[],
            Piece::OfUser(fixed) => fixed.as_bytes(),
            Piece::PreviousResponse => talk.map_or(b"null", Talk::previous),
            Piece::MaxTokens => decimal(draw.max_tokens.into(), digits),
        }
    }
}

#[cfg(test)]
mod tests;
