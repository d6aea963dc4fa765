//! WebSocket (RFC 6455), the client's side: the key of the handshake, text messages out, messages
//! in. The response to the handshake is read by [`super::http1`] like any HTTP response.
//!
//! `tungstenite` reads the frames. Its context takes the stream as an argument of each call: here a
//! slice to read from and a vector to write to. Unlike the decoder of event streams it allocates,
//! about once per message.

use super::{MAX_EVENT_BYTES, WireError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use std::io;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// Longest message. A message is an event of a stream.
pub const MAX_MESSAGE_BYTES: usize = MAX_EVENT_BYTES;
/// Bytes that a connection's context reads at once, and the memory that it keeps. A message has a
/// few hundred bytes.
const READ_BYTES: usize = 4 * 1024;
/// Proves that the server has understood the handshake (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The fields of a handshake other than the key (RFC 6455, section 4.1).
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
    /// Creates the key of a nonce.
    pub fn new(nonce: u128) -> Self {
        let mut key = [0; 24];
        // 16 bytes are 24 characters.
        let written = STANDARD.encode_slice(nonce.to_be_bytes(), &mut key);
        debug_assert!(written == Ok(key.len()));
        Self(key)
    }

    /// Returns the key as it is sent.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the value that the server has to respond with (RFC 6455, section 4.2.2).
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

/// Masks the payload of a client's message (RFC 6455, section 5.3). Masking protects proxies from
/// scripts in browsers, so any key will do here.
pub fn mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message.
    Text(&'b [u8]),
    /// The server has announced that it closes. Nothing follows.
    Closed,
}

/// Turns the bytes of an open WebSocket into messages, and replies to pings and to the end of the
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
    /// Begins after the handshake. `read` holds the bytes that came together with its end.
    pub fn new(read: &[u8]) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let context = WebSocketContext::from_partially_read(read.to_vec(), Role::Client, Some(config));
        Self { context, lent: Utf8Bytes::default(), answers: Vec::new(), held: read.len() }
    }

    /// Returns the number of bytes of an incomplete message, with their framing.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Returns the next event; see the contract in [`super`].
    pub fn next<'b>(&'b mut self, input: &mut &[u8]) -> Option<Result<Event<'b>, WireError>> {
        self.lent = Utf8Bytes::default();
        self.held += input.len();
        loop {
            let mut ends = Ends { input, answers: &mut self.answers };
            match self.context.read(&mut ends) {
                Ok(Message::Text(text)) => {
                    self.lent = text;
                    // The next call counts the bytes that follow in the input.
                    self.held = 0;
                    return Some(Ok(Event::Text(self.lent.as_bytes())));
                }
                Ok(Message::Binary(_)) => return Some(Err(WireError::BadWebsocket("a binary message"))),
                // The next read writes the reply to a ping.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => {
                    // If the reply cannot be written, the peer is not waiting for it either.
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

    /// Returns the bytes to send to the server: replies to its pings and to its close frame.
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
