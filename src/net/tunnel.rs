//! A tunnel through an HTTP proxy: `CONNECT` (RFC 9110, section 9.3.6), and no other part of HTTP.

use super::tls::TlsFailure;
use super::tls::failure::failed;
use std::io;

/// Longest response of a proxy to `CONNECT`.
const MAX_REPLY_BYTES: usize = 16 * 1024;

/// A tunnel that is requested and not open yet.
#[derive(Debug)]
pub(super) struct Tunnel {
    request: Vec<u8>,
    sent: usize,
    reply: Vec<u8>,
}

impl Tunnel {
    /// Requests a tunnel to `authority`, which names host and port.
    pub(super) fn to(authority: &str) -> Self {
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        Self { request: request.into_bytes(), sent: 0, reply: Vec::new() }
    }

    /// Returns the part of the request that was not sent yet.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.request[self.sent..]
    }

    pub(super) fn was_sent(&mut self, n: usize) {
        self.sent += n;
    }

    /// Reads bytes of the response. Returns true if the tunnel is open. The target cannot have sent
    /// bytes yet, because the client speaks first.
    pub(super) fn received(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.reply.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.reply, b"\r\n\r\n") else {
            return if self.reply.len() > MAX_REPLY_BYTES { Err(self.refused()) } else { Ok(false) };
        };
        // "HTTP/1.1 200": any 2xx status opens the tunnel.
        let opened = self.reply.starts_with(b"HTTP/1.") && self.reply.get(8..10) == Some(b" 2".as_slice());
        if opened && end + 4 == self.reply.len() { Ok(true) } else { Err(self.refused()) }
    }

    fn refused(&self) -> io::Error {
        let line = self.reply.split(|&b| b == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(&line[..line.len().min(80)]);
        failed(TlsFailure::Proxy, &line.replace(char::is_control, "?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_open_with_the_whole_head_of_a_success() {
        let whole = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        for cut in 0..whole.len() {
            let mut tunnel = Tunnel::to("h:443");
            assert!(!tunnel.received(&whole[..cut]).expect("not over"), "cut at {cut}");
            assert!(tunnel.received(&whole[cut..]).expect("open"), "cut at {cut}");
        }
        assert_eq!(Tunnel::to("[::1]:443").unsent(), b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n");
    }

    #[test]
    fn anything_else_is_a_refusal() {
        for reply in [
            &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nx",
            b"\r\n\r\n",
        ] {
            let error = Tunnel::to("h:443").received(reply).expect_err("refused");
            assert!(error.to_string().contains("refused by the proxy"), "{error}");
        }
        assert!(Tunnel::to("h:443").received(&vec![b'a'; MAX_REPLY_BYTES + 1]).is_err());
    }
}
