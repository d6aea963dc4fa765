//! The inputs and outputs of an exchange.

use crate::api::{Answer, Api, Delta, Flaw, Framing, Reader, Reply, Token};
use crate::engine::answers::AnswerText;
use crate::engine::budget::Budget;
use crate::engine::rx_time::ReceiveTime;
use crate::metrics::{Failure, Outcome, Tally};
use crate::mix::Kind;
use crate::wire::http1::KnownHead;
use crate::wire::sse;

/// The expected response: fixed per kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Expect {
    pub(in crate::engine) kind: u16,
    pub(in crate::engine) api: Api,
    pub(in crate::engine) stream: bool,
    /// The request goes over a WebSocket.
    pub(in crate::engine) websocket: bool,
    /// Each line of the stream is an event.
    pub(in crate::engine) by_line: bool,
}

impl Expect {
    /// Returns the expectations of a mix, in its order.
    pub(in crate::engine) fn all(kinds: &[Kind]) -> Vec<Self> {
        let kinds = kinds.iter().enumerate();
        let by_line = |kind: &Kind| kind.custom.as_ref().is_some_and(|custom| custom.framing == Framing::Ndjson);
        let of = |(i, kind): (usize, &Kind)| Self {
            kind: i as u16,
            api: kind.api,
            stream: kind.stream,
            websocket: kind.websocket,
            by_line: by_line(kind),
        };
        kinds.map(of).collect()
    }
}

/// Received bytes, and the state that decodes them.
#[derive(Debug)]
pub(in crate::engine) struct Incoming<'a> {
    pub(in crate::engine) time: ReceiveTime,
    /// The source of the memory for kept bytes.
    pub(in crate::engine) budget: &'a Budget,
    /// The bytes were received before the request was sent.
    pub(in crate::engine) early: bool,
    /// The usual head of a response to this kind of request.
    pub(in crate::engine) known: &'a mut KnownHead,
    /// Reads the responses to this kind of request.
    pub(in crate::engine) reader: &'a mut Reader,
    /// Collects the reply, if the request is a turn of a conversation.
    pub(in crate::engine) reply: Option<&'a mut Reply>,
    /// Takes the gaps between tokens at once. Everything else waits for the end of the request.
    pub(in crate::engine) tally: &'a mut Tally,
    /// Takes the gaps once more, if each request is recorded with its own gaps.
    pub(in crate::engine) gaps: Option<&'a mut Vec<u64>>,
    /// Collects the text, if its tokens are to be counted.
    pub(in crate::engine) text: Option<&'a mut AnswerText>,
}

impl Incoming<'_> {
    /// Reads an event. The reply collects the generated content.
    #[inline]
    pub(in crate::engine) fn read_event(&mut self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        if self.text.is_some() {
            self.read_text(event);
        }
        match &mut self.reply {
            None => self.reader.read_event(event),
            Some(reply) => self.reader.read_reply(event, reply),
        }
    }

    /// Copies the generated text of an event. Few responses need this, so the event is read twice.
    #[cold]
    fn read_text(&mut self, event: &sse::Event<'_>) {
        if let Some(text) = &mut self.text {
            let mut push = |token, escaped: &[u8]| text.push(token == Token::Reasoning, escaped);
            // The second reading reports what is wrong with the event.
            let _ = self.reader.read_text(event, &mut push);
        }
    }

    /// Reads the body of a plain response. The reply collects its content.
    pub(in crate::engine) fn read_body(&mut self, body: &[u8]) -> Result<Answer, Flaw> {
        match &mut self.reply {
            None => self.reader.read_body(body),
            Some(reply) => self.reader.read_whole_reply(body, reply),
        }
    }
}

/// The kind of the response after which a connection was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Kept {
    /// Not a success, or no response yet.
    Other,
    /// A success that was not streamed, or came over a WebSocket.
    Plain,
    Stream,
}

/// The part that a response still lacks. Each has a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Awaiting {
    FirstByte,
    /// More of a response that has begun.
    MoreData,
    /// The terminal event has come. Only the end of the framing is missing.
    FramingEnd,
}

/// The state of a response after a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Progress {
    /// More bytes are expected.
    More,
    /// The peer has announced that nothing more will come. Only over a WebSocket: elsewhere the end
    /// of the connection says so.
    Closed,
    Over {
        outcome: Outcome,
        /// True if the connection may carry another request.
        reusable: bool,
    },
}

/// Returns true for flaws of the head: the body is not the stream that was asked for.
pub(super) fn is_before_body(flaw: Failure) -> bool {
    matches!(
        flaw,
        Failure::Http3xx
            | Failure::Http4xx
            | Failure::Http429
            | Failure::Http5xx
            | Failure::BadContentType
            | Failure::BadEncoding
    )
}
