//! Plain requests to the servers of tests.

use super::bench::SOON;
use std::io::{Read, Write};
use std::net::TcpStream;

/// A response. Status 0 means that there was no response.
pub struct Reply {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

/// Sends one `GET` on a connection of its own. `Host` is `addr` unless `headers` contains a `Host`.
pub fn get(addr: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(addr) {
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let _ = stream.write_all(request(addr, path, headers).as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Reply { status, head, body }
}

/// Returns the request that [`get`] sends.
pub fn request(addr: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let ours = [("Host", addr)].into_iter().filter(|_| !headers.iter().any(|(name, _)| *name == "Host"));
    let lines = ours.chain(headers.iter().copied()).map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{}\r\n", lines.collect::<String>())
}

/// Returns a body without its chunk sizes.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        whole += chunk;
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
