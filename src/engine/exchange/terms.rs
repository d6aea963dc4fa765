//! What an exchange is told, and what it answers.

use crate::api::{Answer, Api, Delta, Flaw, Framing, Reader, Reply, Token};
use crate::engine::answers::AnswerText;
use crate::engine::budget::Budget;
use crate::engine::rx_time::ReceiveTime;
use crate::metrics::{Failure, Outcome, Tally};
use crate::mix::Kind;
use crate::wire::http1::KnownHead;
use crate::wire::sse;

/// What is asked for: fixed per kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Expect {
    pub(in crate::engine) kind: u16,
    pub(in crate::engine) api: Api,
    pub(in crate::engine) stream: bool,
    /// It goes over a WebSocket.
    pub(in crate::engine) websocket: bool,
    /// Each line of the stream is an event.
    pub(in crate::engine) by_line: bool,
}

impl Expect {
    /// Those of a mix, in its order.
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

/// Bytes that are received, and what they are decoded with.
#[derive(Debug)]
pub(in crate::engine) struct Incoming<'a> {
    pub(in crate::engine) time: ReceiveTime,
    /// Where the memory comes from for what has to be kept.
    pub(in crate::engine) budget: &'a Budget,
    /// They were received before the request was sent.
    pub(in crate::engine) early: bool,
    /// The heads of the answers to this kind of request look like it.
    pub(in crate::engine) known: &'a mut KnownHead,
    /// Understands the answers to this kind of request.
    pub(in crate::engine) reader: &'a mut Reader,
    /// Takes the reply, if the request is a turn of a conversation.
    pub(in crate::engine) reply: Option<&'a mut Reply>,
    /// Takes the gaps between tokens at once. Everything else waits for the end of the request.
    pub(in crate::engine) tally: &'a mut Tally,
    /// Takes the gaps once more, if each request is to be recorded with its own.
    pub(in crate::engine) gaps: Option<&'a mut Vec<u64>>,
    /// Takes the text, if its tokens are to be counted.
    pub(in crate::engine) text: Option<&'a mut AnswerText>,
}

impl Incoming<'_> {
    /// What an event means. The reply takes what it adds.
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

    /// Copies what an event has generated. It is one answer of many, so the event is read twice.
    #[cold]
    fn read_text(&mut self, event: &sse::Event<'_>) {
        if let Some(text) = &mut self.text {
            let mut push = |token, escaped: &[u8]| text.push(token == Token::Reasoning, escaped);
            // What is wrong with it is told by the second reading.
            let _ = self.reader.read_text(event, &mut push);
        }
    }

    /// What a plain answer means. The reply takes what it says.
    pub(in crate::engine) fn read_body(&mut self, body: &[u8]) -> Result<Answer, Flaw> {
        match &mut self.reply {
            None => self.reader.read_body(body),
            Some(reply) => self.reader.read_whole_reply(body, reply),
        }
    }
}

/// What a response was that a connection was kept after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Kept {
    /// No success, or none at all.
    Other,
    /// A success that was not streamed, or came over a WebSocket.
    Plain,
    Stream,
}

/// What a response waits for. Each has a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Awaiting {
    FirstByte,
    /// More of a response that has begun.
    MoreData,
    /// The terminal event has come; only the framing is still open.
    FramingEnd,
}

/// Whether the response goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Progress {
    /// More bytes are expected.
    More,
    /// The peer has said that nothing more will come. Only over a WebSocket; else the end of the
    /// connection says that.
    Closed,
    Over {
        outcome: Outcome,
        /// Whether the connection may carry another request.
        reusable: bool,
    },
}

/// Flaws of the head: what follows it is not the stream that was asked for.
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
