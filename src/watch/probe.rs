//! One blocking request with a time limit: whether a server is healthy, and what it has counted.
//!
//! Used before, between and after measurements, never during one.

use crate::net::{Call, Endpoint};
use crate::units::Nanos;
use crate::wire::{Event, WireError, http1};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Longest response, head and body: llmsim's statistics are a few KiB.
const MAX_REPLY_BYTES: usize = 1024 * 1024;
/// The beginning of every response.
const HTTP: &[u8] = b"HTTP/";
/// The beginning of an alert: its type, and the version that all records name.
const TLS_ALERT: [u8; 2] = [21, 3];
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// A response. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The body, framing removed.
    pub body: Vec<u8>,
}

impl Reply {
    /// Returns true if the response names llmsim as the server, as its `/health` does.
    pub fn says_llmsim(&self) -> bool {
        serde_json::from_slice::<serde_json::Value>(&self.body).is_ok_and(|json| json["service"] == "llmsim")
    }
}

/// A reason why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("connection refused")]
    Refused,
    /// The time limit was exceeded.
    #[error("no response within {0}")]
    Timeout(Nanos),
    /// There was no address to connect to.
    #[error("the target has no address")]
    NoAddress,
    /// The connection failed in another way.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The response is a TLS alert (RFC 8446, section 6).
    #[error("the server speaks TLS there: expected https:// in --target-url, or another port")]
    SpeaksTls,
    /// The response is not HTTP.
    #[error("the response is not HTTP/1.1")]
    NotHttp,
    #[error("the connection was closed without a response; does the server expect https:// there?")]
    Unanswered,
    /// The response ended before it was complete.
    #[error("the connection was closed in the middle of the response")]
    CutShort,
    /// The response began but did not continue.
    #[error("the response stopped before it was complete, and did not continue within {0}")]
    Stalled(Nanos),
    /// The response is longer than the limit.
    #[error("the response is longer than {MAX_REPLY_BYTES} bytes")]
    TooLarge,
    /// The response violates another rule of HTTP.
    #[error("invalid response: {0}")]
    Wire(WireError),
    /// The proxy or socket on the way to the server cannot be used.
    #[error("{via}: {error}; is it the right one?")]
    Via {
        /// The proxy or the socket in the file system.
        via: String,
        /// The problem with it.
        error: io::Error,
    },
}

/// The health of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// 200 and `{"status": "ok"}`.
    Healthy,
    /// 200 with an empty body, as of vLLM: just as healthy, but not llmsim.
    Silent,
    /// A response with another status or body.
    Unwell(u16),
    Refused,
    /// No response in time.
    Timeout,
    /// Another failure, in words.
    Failed(String),
}

impl Health {
    /// Returns the health of a server, given its response to `GET /health`.
    pub fn of(answer: Result<Reply, ProbeError>) -> Self {
        match answer {
            Ok(reply) if reply.status == 200 && says_ok(&reply.body) => Self::Healthy,
            Ok(reply) if reply.status == 200 && reply.body.is_empty() => Self::Silent,
            Ok(reply) => Self::Unwell(reply.status),
            Err(ProbeError::Refused) => Self::Refused,
            Err(ProbeError::Timeout(_)) => Self::Timeout,
            Err(other) => Self::Failed(other.to_string()),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy | Self::Silent => write!(f, "healthy"),
            Self::Unwell(200) => write!(f, "status 200, but not {{\"status\": \"ok\"}}"),
            Self::Unwell(status) => write!(f, "status {status}"),
            Self::Refused => write!(f, "connection refused"),
            Self::Timeout => write!(f, "no response in time"),
            Self::Failed(reason) => write!(f, "{reason}"),
        }
    }
}

/// Sends `GET path` to the first of `addrs` that accepts the connection. `timeout` covers
/// everything.
pub fn get(addrs: &[SocketAddr], host_header: &str, path: &str, timeout: Nanos) -> Result<Reply, ProbeError> {
    get_at(&Endpoint::plain(addrs), host_header, path, timeout)
}

/// Sends `GET path` to an endpoint.
pub fn get_at(endpoint: &Endpoint<'_>, host_header: &str, path: &str, timeout: Nanos) -> Result<Reply, ProbeError> {
    look_at(endpoint, host_header, path, timeout)?
}

/// Sends `GET path` and separates two kinds of failure. The outer error is that of the connection,
/// including TLS. The inner one is that of a running server that does not respond properly.
pub fn look_at(
    endpoint: &Endpoint<'_>,
    host_header: &str,
    path: &str,
    timeout: Nanos,
) -> Result<Result<Reply, ProbeError>, ProbeError> {
    let clock = Countdown::start(timeout);
    let call = connect(endpoint, &clock)?;
    Ok(reply_to(call, &clock, &http1::simple_get(host_header, path)))
}

/// Sends a request as given, and reads the whole response.
pub fn ask_at(endpoint: &Endpoint<'_>, request: &[u8], timeout: Nanos) -> Result<Reply, ProbeError> {
    let clock = Countdown::start(timeout);
    reply_to(connect(endpoint, &clock)?, &clock, request)
}

fn reply_to(call: Call, clock: &Countdown, request: &[u8]) -> Result<Reply, ProbeError> {
    let mut reply = None;
    converse(call, clock, request, &mut |bytes, eof| {
        reply = parse(bytes, eof)?;
        if reply.is_none() && bytes.len() > MAX_REPLY_BYTES {
            return Err(ProbeError::TooLarge);
        }
        Ok(reply.is_some())
    })?;
    reply.ok_or(ProbeError::CutShort)
}

/// Sends a request and returns the raw response, up to its end or to `most` bytes.
pub fn raw(endpoint: &Endpoint<'_>, request: &[u8], most: usize, timeout: Nanos) -> Result<Vec<u8>, ProbeError> {
    let mut answer = Vec::new();
    let clock = Countdown::start(timeout);
    let result = converse(connect(endpoint, &clock)?, &clock, request, &mut |bytes, eof| {
        answer.clear();
        answer.extend_from_slice(&bytes[..bytes.len().min(most)]);
        // Even an invalid response is shown.
        Ok(eof || bytes.len() >= most || parse(bytes, eof).map_or(true, |reply| reply.is_some()))
    });
    match result {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

/// Decides whether the bytes so far are enough. The flag is true if no more will arrive.
type IsEnough<'a> = dyn FnMut(&[u8], bool) -> Result<bool, ProbeError> + 'a;

/// Sends a request, and reads until `is_enough` accepts the bytes so far.
fn converse(mut call: Call, clock: &Countdown, request: &[u8], is_enough: &mut IsEnough<'_>) -> Result<(), ProbeError> {
    call.set_timeout(clock.left()?)?;
    call.write_all(request).map_err(|e| clock.explain(e))?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        call.set_timeout(clock.left()?)?;
        let n = match call.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                return Err(match clock.explain(e) {
                    ProbeError::Timeout(timeout) if !bytes.is_empty() => ProbeError::Stalled(timeout),
                    error => error,
                });
            }
        };
        bytes.extend_from_slice(&buffer[..n]);
        if is_enough(&bytes, n == 0)? || n == 0 {
            return Ok(());
        }
    }
}

/// Returns the health of a server by its response to `GET path`.
pub fn health(addrs: &[SocketAddr], host_header: &str, path: &str, timeout: Nanos) -> Health {
    health_at(&Endpoint::plain(addrs), host_header, path, timeout)
}

/// Returns the health of the server at an endpoint.
pub fn health_at(endpoint: &Endpoint<'_>, host_header: &str, path: &str, timeout: Nanos) -> Health {
    Health::of(get_at(endpoint, host_header, path, timeout))
}

/// Returns the statistics that the server publishes at `path`, or `None`.
pub fn stats(addrs: &[SocketAddr], host_header: &str, path: &str, timeout: Nanos) -> Option<serde_json::Value> {
    stats_at(&Endpoint::plain(addrs), host_header, path, timeout)
}

/// Returns the statistics of the server at an endpoint.
pub fn stats_at(endpoint: &Endpoint<'_>, host_header: &str, path: &str, timeout: Nanos) -> Option<serde_json::Value> {
    let reply = get_at(endpoint, host_header, path, timeout).ok()?;
    if reply.status != 200 {
        return None;
    }
    serde_json::from_slice(&reply.body).ok()
}

fn says_ok(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|json| json["status"] == "ok")
}

fn connect(endpoint: &Endpoint<'_>, clock: &Countdown) -> Result<Call, ProbeError> {
    let mut last = ProbeError::NoAddress;
    let places = endpoint.places();
    for place in 0..places {
        // An address that drops packets only gets its share of the time, so that some is left for
        // the next one.
        let share = clock.left()? / u32::try_from(places - place).unwrap_or(u32::MAX);
        match endpoint.call(place, share.max(Duration::from_millis(1))) {
            Ok(call) => return Ok(call),
            // Errors of TLS and of the proxy protocol already name their origin.
            Err(error) if error.raw_os_error().is_some() && endpoint.via().is_some() => {
                let via = endpoint.via().unwrap_or_default();
                last = ProbeError::Via { via, error };
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => last = ProbeError::Refused,
            Err(e) => last = clock.explain(e),
        }
    }
    Err(last)
}

/// The time limit of a request.
struct Countdown {
    started: Instant,
    timeout: Nanos,
}

#[expect(clippy::disallowed_methods, reason = "waits for another process; not part of a measurement")]
impl Countdown {
    fn start(timeout: Nanos) -> Self {
        Self { started: Instant::now(), timeout }
    }

    /// Returns the time left. It is never zero, which sockets take as no limit at all.
    fn left(&self) -> Result<Duration, ProbeError> {
        match self.timeout.to_duration().checked_sub(self.started.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(ProbeError::Timeout(self.timeout)),
        }
    }

    /// Explains an error. A socket's own timeout appears as `WouldBlock` or `TimedOut`, depending
    /// on the call.
    fn explain(&self, error: io::Error) -> ProbeError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ProbeError::Timeout(self.timeout),
            _ => ProbeError::Io(error),
        }
    }
}

/// Returns the response in `bytes`, if it is complete. Responses are a few KiB and arrive in one or
/// two reads, so starting over is cheap.
fn parse(bytes: &[u8], eof: bool) -> Result<Option<Reply>, ProbeError> {
    let mut decoder = http1::Decoder::default();
    let mut input = bytes;
    let mut reply = Reply { status: 0, body: Vec::new() };
    loop {
        let event = match decoder.next(&mut input) {
            Some(event) => event,
            None if eof => decoder.eof(),
            None => return Ok(None),
        };
        let event = event.map_err(|error| match error {
            WireError::ClosedEarly if bytes.is_empty() => ProbeError::Unanswered,
            WireError::ClosedEarly => ProbeError::CutShort,
            WireError::TooLarge(_) => ProbeError::Wire(error),
            _ if bytes.starts_with(&TLS_ALERT) => ProbeError::SpeaksTls,
            error if bytes.starts_with(HTTP) => ProbeError::Wire(error),
            _ => ProbeError::NotHttp,
        });
        match event? {
            Event::Head(head) => reply.status = head.status,
            Event::Data(piece) => reply.body.extend_from_slice(piece),
            Event::End { .. } => return Ok(Some(reply)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// Answers one connection with `answer` and closes it, or holds it open until the client closes
    /// it.
    fn server(answer: &'static [u8], hold: bool) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET /health HTTP/1.1\r\nHost: h\r\n"));
            stream.write_all(answer).unwrap();
            if hold {
                // Returns when the client closes.
                let _ = stream.read(&mut request);
            }
        });
        (addr, thread)
    }

    fn health_of(answer: &'static [u8], hold: bool, timeout: Nanos) -> Health {
        let (addr, thread) = server(answer, hold);
        let health = health(&[addr], "h", "/health", timeout);
        thread.join().unwrap();
        health
    }

    const LONG: Nanos = Nanos::from_secs(20);
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";

    #[test]
    fn a_healthy_server_is_recognised_in_every_framing() {
        assert_eq!(health_of(OK, true, LONG), Health::Healthy);
        assert_eq!(health_of(b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"ok\"}", false, LONG), Health::Healthy);
        assert_eq!(
            health_of(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\na;x=1\r\ntus\":\"ok\"}\r\n0\r\n\r\n",
                true,
                LONG
            ),
            Health::Healthy
        );
    }

    #[test]
    fn an_unwell_server_is_told_from_one_that_is_not_there() {
        assert_eq!(health_of(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", true, LONG), Health::Unwell(503));
        assert_eq!(health_of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true, LONG), Health::Unwell(200));
        assert_eq!(health_of(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true, LONG), Health::Silent);
        assert_eq!(health_of(b"", true, Nanos::from_millis(50)), Health::Timeout);
        assert!(matches!(health_of(b"SSH-2.0-OpenSSH\r\n", true, LONG), Health::Failed(_)));
        assert!(matches!(health_of(b"", false, LONG), Health::Failed(_)));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(health(&[free], "h", "/health", LONG), Health::Refused);
        assert!(matches!(health(&[], "h", "/health", LONG), Health::Failed(_)));
    }

    #[test]
    fn a_bad_answer_is_called_what_it_is() {
        let many = [b"HTTP/1.1 200 OK\r\n", b"x: y\r\n".repeat(300).as_slice(), b"\r\n"].concat().leak();
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc";
        for (answer, hold, expected) in [
            (&b""[..], false, "closed without a response"),
            (cut, false, "closed in the middle of the response"),
            (b"HTTP/1.1 200", false, "closed in the middle of the response"),
            (cut, true, "did not continue within"),
            (many, true, "too large: number of headers"),
            (b"\x15\x03\x01\x00\x02\x02\x46", true, "expected https://"),
            (b"SSH-2.0-OpenSSH\r\n", true, "not HTTP/1.1"),
        ] {
            let timeout = if hold && answer == cut { Nanos::from_millis(50) } else { LONG };
            let Health::Failed(reason) = health_of(answer, hold, timeout) else { panic!("{expected}") };
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn a_proxy_or_socket_that_is_not_there_is_named() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let through = Endpoint { proxy: Some("gate:3128".to_owned()), ..Endpoint::plain(&[free]) };
        let Health::Failed(reason) = health_at(&through, "h", "/health", LONG) else { panic!("no proxy is there") };
        assert!(reason.starts_with("the proxy gate:3128: Connection refused"), "{reason}");
        let socket = Endpoint { unix_socket: Some("/nonexistent/s".into()), ..Endpoint::default() };
        let Health::Failed(reason) = health_at(&socket, "h", "/health", LONG) else { panic!("no socket is there") };
        assert!(reason.starts_with("the socket /nonexistent/s: No such file"), "{reason}");
    }

    #[test]
    fn the_next_address_is_tried() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (addr, thread) = server(OK, true);
        assert_eq!(health(&[free, addr], "h", "/health", LONG), Health::Healthy);
        thread.join().unwrap();
    }

    #[test]
    fn an_endless_answer_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Writes until the client has read enough and closes.
            while stream
                .write_all(b"HTTP/1.1 200 OK\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")
                .is_ok()
            {}
        });
        assert!(matches!(get(&[addr], "h", "/health", LONG), Err(ProbeError::Wire(WireError::TooLarge(_)))));
        thread.join().unwrap();
    }

    #[test]
    fn replies_survive_every_cut() {
        let whole: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for cut in 0..whole.len() - 4 {
            assert!(matches!(parse(&whole[..cut], false), Ok(None)), "cut at {cut}");
            assert!(parse(&whole[..cut], true).is_err(), "end at {cut}");
        }
        assert_eq!(parse(whole, false).unwrap(), Some(Reply { status: 200, body: b"abcde".to_vec() }));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(parse(b"garbage", false), Err(ProbeError::NotHttp)));
        for nonsense in [
            &b"HTTP/1.1 abc\r\n\r\n"[..],
            b"HTTP/1.1 200\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            assert!(matches!(parse(nonsense, false), Err(ProbeError::Wire(_))), "{nonsense:?}");
        }
    }
}
