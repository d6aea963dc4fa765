//! WebSocket (RFC 6455), the client's side: the key of the handshake, text messages out, messages
//! in. The response to the handshake is read by [`super::http1`] like any HTTP response.
//!
//! Frames are read by `tungstenite`, whose context takes the stream as an argument of each call:
//! here that is a slice to read from and a vector to write to. Unlike the decoder of event streams
//! it allocates, about once a message.

use super::{MAX_EVENT_BYTES, WireError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use std::io;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// Longest message: it is an event of a stream.
pub const MAX_MESSAGE_BYTES: usize = MAX_EVENT_BYTES;
/// What a connection's context reads at once, and the memory that it keeps. A message has a few
/// hundred bytes.
const READ_BYTES: usize = 4 * 1024;
/// What proves that the server has understood the handshake (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The fields of a handshake beside the key (RFC 6455, section 4.1).
pub const HEADERS: [(&str, &str); 3] =
    [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
/// The name of the field with the key.
pub const KEY_HEADER: &str = "Sec-WebSocket-Key";

/// The value of `Sec-WebSocket-Accept`.
pub type Accept = [u8; 28];

/// The value of `Sec-WebSocket-Key`: a nonce in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// The key of that nonce.
    pub fn new(nonce: u128) -> Self {
        let mut key = [0; 24];
        // 16 bytes are 24 characters.
        let written = STANDARD.encode_slice(nonce.to_be_bytes(), &mut key);
        debug_assert!(written == Ok(key.len()));
        Self(key)
    }

    /// As it is sent.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What a server has to answer (RFC 6455, section 4.2.2).
    pub fn accept(&self) -> Accept {
        let mut accept = [0; 28];
        let hash = Sha1::new().chain_update(self.0).chain_update(GUID).finalize();
        // 20 bytes are 28 characters.
        let written = STANDARD.encode_slice(hash, &mut accept);
        debug_assert!(written == Ok(accept.len()));
        accept
    }
}

/// Writes the head of a text message of `length` bytes, which the caller appends and then masks
/// with [`mask`].
pub fn begin_text(length: usize, mask: [u8; 4], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), mask: Some(mask), ..FrameHeader::default() };
    // Writing to a vector cannot fail.
    let written = header.format(length as u64, out);
    debug_assert!(written.is_ok());
}

/// Masks what a client sends (RFC 6455, section 5.3). It protects proxies from scripts in browsers,
/// so for us any key does.
pub fn mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message.
    Text(&'b [u8]),
    /// The server has said that it closes; nothing follows.
    Closed,
}

/// Turns the bytes of an open WebSocket into messages, and answers pings and the end of the
/// connection.
#[derive(Debug)]
pub struct Decoder {
    context: WebSocketContext,
    /// The message that was lent last.
    lent: Utf8Bytes,
    answers: Vec<u8>,
    /// Bytes that were read since the last whole message.
    held: usize,
}

impl Decoder {
    /// Begins after the handshake; `read` has come together with its end.
    pub fn new(read: &[u8]) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let context = WebSocketContext::from_partially_read(read.to_vec(), Role::Client, Some(config));
        Self { context, lent: Utf8Bytes::default(), answers: Vec::new(), held: read.len() }
    }

    /// Bytes of a message that is not complete, with their framing.
    pub fn held(&self) -> usize {
        self.held
    }

    /// The next event; see the contract in [`super`].
    pub fn next<'b>(&'b mut self, input: &mut &[u8]) -> Option<Result<Event<'b>, WireError>> {
        self.lent = Utf8Bytes::default();
        self.held += input.len();
        loop {
            let mut ends = Ends { input, answers: &mut self.answers };
            match self.context.read(&mut ends) {
                Ok(Message::Text(text)) => {
                    self.lent = text;
                    // What follows in the input is counted by the next call.
                    self.held = 0;
                    return Some(Ok(Event::Text(self.lent.as_bytes())));
                }
                Ok(Message::Binary(_)) => return Some(Err(WireError::BadWebsocket("a binary message"))),
                // A ping's answer is written by the next read.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => {
                    // If it cannot be written, the peer is not waiting for it either.
                    let _ = self.context.flush(&mut ends);
                    return Some(Ok(Event::Closed));
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Some(Ok(Event::Closed)),
                Err(Error::Capacity(_)) => return Some(Err(WireError::TooLarge("message"))),
                Err(Error::Utf8(_)) => return Some(Err(WireError::BadWebsocket("a text that is not UTF-8"))),
                Err(_) => return Some(Err(WireError::BadWebsocket("a broken frame"))),
            }
        }
    }

    /// What has to be sent to the server: answers to its pings and to its closing.
    pub fn answers(&mut self) -> &mut Vec<u8> {
        &mut self.answers
    }
}

/// Stands in for the socket that the context expects.
struct Ends<'a, 'b> {
    input: &'a mut &'b [u8],
    answers: &'a mut Vec<u8>,
}

impl io::Read for Ends<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        io::Read::read(self.input, buffer)
    }
}

impl io::Write for Ends<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
