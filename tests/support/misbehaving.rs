//! A server that misbehaves on purpose.

use socket2::SockRef;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The response to a POST. A GET is answered properly: `/health`, `/openai/v1/models` and one
/// model; 404 for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// The requested response: a stream of `tokens` tokens, or a plain response that counts them.
    Good {
        /// Tokens of the response.
        tokens: u32,
    },
    /// The same for chat completions. Every other path gets 404.
    OnlyChat {
        /// Tokens of the response.
        tokens: u32,
    },
    /// The requested response, but 400 for a request that asks for the usage of its stream.
    RefusesStreamOptions {
        /// Tokens of the response.
        tokens: u32,
    },
    /// The requested response. A stream reports its usage only on request.
    BillsOnRequest {
        /// Tokens of the response.
        tokens: u32,
    },
    /// A stream of `tokens` tokens without usage.
    Unbilled {
        /// Tokens of the response.
        tokens: u32,
    },
    /// A stream of `tokens` tokens, even if the request does not ask for a stream.
    GoodStream {
        /// Tokens of the response.
        tokens: u32,
    },
    /// A plain response, even if the request asks for a stream.
    GoodPlain,
    /// The requested response, one byte a segment.
    OneByteAtATime,
    /// The requested response. Then the connection is closed although keep-alive was promised.
    CloseAfterEach,
    /// Like [`Behaviour::Good`], but `GET /health` returns 503.
    NeverHealthy,

    /// Bytes that are not HTTP.
    Garbage,
    /// Closes without sending a byte.
    CloseUnanswered,
    /// Closes in the middle of a body with a length.
    CloseEarly,
    /// Resets the connection without sending a byte.
    Reset,
    /// Reads the request, but never responds.
    Stall,
    /// A head and two tokens, then silence.
    StallMidStream,
    /// Closes in the middle of a chunk.
    HalfChunk,
    /// An invalid chunk size.
    BadChunk,
    /// A header of a megabyte.
    HugeHead,
    /// A compressed body that the client did not ask for.
    Gzip,

    /// This status, with a JSON error and keep-alive.
    Status(u16),
    /// 302 to another address.
    Redirect,
    /// 200 with an HTML page.
    WrongContentType,
    /// 200 with broken JSON: in the body, or in the second event of a stream.
    BadJson,
    /// Two tokens, then an error inside the 200.
    ErrorEventIn200,
    /// Two tokens, a properly ended body, no terminal event.
    TruncatedStream,
    /// Role, finish and terminal event, no token.
    EmptyStream,

    /// These bytes and keep-alive.
    Raw(&'static [u8]),
    /// These bytes, and then the connection is closed.
    RawThenClose(&'static [u8]),
    /// These bytes, and then the connection is reset.
    RawThenReset(&'static [u8]),
    /// The first bytes, then a pause, then the second bytes, with keep-alive.
    RawInTwo(&'static [u8], Duration, &'static [u8]),
    /// Works on the request for a while, and then closes without a byte.
    WorkThenClose(Duration),
    /// The same with a reset.
    WorkThenReset(Duration),
    /// A response without an end: up to a gigabyte, or until the client closes the connection.
    Endless(Endless),
}

impl Behaviour {
    /// Returns a plain response with this JSON body. The bytes are leaked: behaviours are
    /// constants.
    pub fn answer(body: &str) -> Self {
        Self::answer_with("", body)
    }

    /// The same with these header lines. Each line includes its line end.
    pub fn answer_with(lines: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\n{lines}content-length: {length}\r\n\r\n");
        Self::Raw(Vec::leak((head + body).into_bytes()))
    }
}

/// The element that has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endless {
    /// A line of an event stream.
    Line,
    /// Lines of an event stream, all of them comments.
    Comments,
    /// The `data` lines of one event.
    Event,
    /// The extension of a chunk.
    ChunkExtension,
    /// The header lines.
    Head,
    /// A plain body without a length.
    Body,
    /// Interim responses.
    Interim,
}

impl Endless {
    /// Returns the start of the response, and the piece that repeats after it.
    fn parts(self) -> (Vec<u8>, Vec<u8>) {
        let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let (start, piece) = match self {
            Self::Line => (format!("{stream}data: "), "x".to_owned()),
            Self::Comments => (stream.to_owned(), ": still thinking\n\n".to_owned()),
            Self::Event => (stream.to_owned(), "data: {}\n".to_owned()),
            Self::ChunkExtension => (format!("{STREAM_HEAD}5;x="), "x".to_owned()),
            Self::Head => ("HTTP/1.1 200 OK\r\n".to_owned(), "x-again: and again\r\n".to_owned()),
            Self::Body => ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned(), "[1],".to_owned()),
            Self::Interim => (String::new(), "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned()),
        };
        (start.into_bytes(), piece.repeat((1 << 18) / piece.len()).into_bytes())
    }
}

/// Most bytes of an endless response.
const ENDLESS_BYTES: usize = 1 << 30;

/// The connection's fate after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    KeepAlive,
    Close,
    Reset,
    /// Send nothing more until the peer closes the connection.
    Silence,
}

/// The server. Dropping it stops it and closes its connections.
pub struct Misbehaving {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    script: Vec<Behaviour>,
    /// True if the script is played once, over the requests of all connections.
    over_all: bool,
    /// True if the sockets hold next to nothing that is not acknowledged.
    narrow: bool,
    /// Connections reset by the client.
    resets: AtomicU64,
    /// Longest time that writing one response took.
    longest_write: Mutex<Duration>,
    connections: AtomicU64,
    requests: AtomicU64,
    stopping: AtomicBool,
    /// True while the responses to all but the first request wait.
    held: (Mutex<bool>, Condvar),
    /// POST requests as received, head and body.
    posts: Mutex<Vec<String>>,
    /// Second handles of the open connections, to wake their threads at the end.
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Shared {
    fn release(&self) {
        *self.held.0.lock().unwrap() = false;
        self.held.1.notify_all();
    }

    fn wait_until_released(&self) {
        drop(self.held.1.wait_while(self.held.0.lock().unwrap(), |held| *held).unwrap());
    }
}

impl Misbehaving {
    /// Starts a server on a free port of 127.0.0.1 that treats every request like this.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::script(vec![behaviour])
    }

    /// Starts a server that plays `script` on each connection. The last behaviour is repeated.
    pub fn script(script: Vec<Behaviour>) -> Self {
        assert!(!script.is_empty(), "a script has at least one behaviour");
        Self::with(Shared { script, ..Shared::default() })
    }

    /// Starts a server that plays `script` once over all connections. The last behaviour is
    /// repeated.
    pub fn sequence(script: Vec<Behaviour>) -> Self {
        assert!(!script.is_empty(), "a script has at least one behaviour");
        Self::with(Shared { script, over_all: true, ..Shared::default() })
    }

    /// Starts a server that does this to the first request of all, and serves the rest properly.
    pub fn once(behaviour: Behaviour) -> Self {
        Self::sequence(vec![behaviour, Behaviour::Good { tokens: 3 }])
    }

    /// The same, but all other responses wait until [`Misbehaving::release`].
    pub fn once_and_hold(behaviour: Behaviour) -> Self {
        let script = vec![behaviour, Behaviour::Good { tokens: 3 }];
        let held = (Mutex::new(true), Condvar::new());
        Self::with(Shared { script, over_all: true, held, ..Shared::default() })
    }

    /// Starts a server that cannot write ahead of its client: its sockets hold next to nothing.
    pub fn narrow(behaviour: Behaviour) -> Self {
        Self::with(Shared { script: vec![behaviour], narrow: true, ..Shared::default() })
    }

    fn with(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let shared = Arc::new(shared);
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &accepting));
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// Returns the address that the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the URL for `--target-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns how many connections were accepted so far, including those of health checks.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns how many POST requests were read completely so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Releases the responses that were held.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Returns how many connections the client has reset so far.
    pub fn resets(&self) -> u64 {
        self.shared.resets.load(Ordering::SeqCst)
    }

    /// Returns how long the slowest response took to write.
    pub fn longest_write(&self) -> Duration {
        *self.shared.longest_write.lock().unwrap()
    }

    /// Returns the POST requests as received, head and body, in the order in which they arrived.
    pub fn posts(&self) -> Vec<String> {
        self.shared.posts.lock().unwrap().clone()
    }

    /// Returns the bodies of the POST requests, in the same order.
    pub fn bodies(&self) -> Vec<serde_json::Value> {
        self.posts().iter().map(|post| body(post)).collect()
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.release();
        // Wake the acceptor, which then waits for its connections.
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for (id, stream) in (0..).zip(listener.incoming()) {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(second) = stream.try_clone() {
            shared.open.lock().unwrap().insert(id, second);
        }
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            let after = converse(&stream, &shared);
            if after.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
                shared.resets.fetch_add(1, Ordering::SeqCst);
            }
            let second = shared.open.lock().unwrap().remove(&id);
            if matches!(after, Ok(After::Reset)) {
                // Closing with a linger time of zero sends RST. The second handle must be closed by
                // then.
                let _ = SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
            }
            drop(second);
        }));
    }
    for stream in shared.open.lock().unwrap().values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Serves one connection from its first request to its end.
fn converse(mut stream: &TcpStream, shared: &Shared) -> io::Result<After> {
    stream.set_nodelay(true)?;
    if shared.narrow {
        SockRef::from(stream).set_send_buffer_size(NARROW_BYTES)?;
    }
    let mut buffer = Vec::new();
    let mut posts = 0;
    loop {
        let Some(request) = Request::read(stream, &mut buffer)? else { return Ok(After::Close) };
        if !request.post {
            stream.write_all(&get_answer(&request.path, shared.script.contains(&Behaviour::NeverHealthy)))?;
            continue;
        }
        let asks_for_usage = request.text.contains("\"include_usage\":true");
        shared.posts.lock().unwrap().push(request.text);
        let earlier = shared.requests.fetch_add(1, Ordering::SeqCst) as usize;
        let nth = if shared.over_all { earlier } else { posts };
        if earlier > 0 {
            shared.wait_until_released();
        }
        posts += 1;
        let behaviour = shared.script[nth.min(shared.script.len() - 1)];
        let lacks = matches!(behaviour, Behaviour::OnlyChat { .. }) && !request.path.ends_with("/chat/completions");
        let behaviour = match behaviour {
            _ if lacks => Behaviour::Status(404),
            Behaviour::RefusesStreamOptions { .. } if asks_for_usage => Behaviour::Status(400),
            Behaviour::BillsOnRequest { tokens } if request.stream && !asks_for_usage => Behaviour::Unbilled { tokens },
            Behaviour::RefusesStreamOptions { tokens } | Behaviour::BillsOnRequest { tokens } => {
                Behaviour::Good { tokens }
            }
            behaviour => behaviour,
        };
        let started = now();
        if let Behaviour::Endless(endless) = behaviour {
            let (start, piece) = endless.parts();
            stream.write_all(&start)?;
            for _ in 0..ENDLESS_BYTES / piece.len() {
                stream.write_all(&piece)?;
            }
            return Ok(After::Close);
        }
        let (answer, after) = answer(behaviour, request.stream);
        if let Behaviour::WorkThenClose(work) | Behaviour::WorkThenReset(work) = behaviour {
            pause(work);
        }
        if let Behaviour::RawInTwo(first, while_later, _) = behaviour {
            stream.write_all(first)?;
            pause(while_later);
        }
        if behaviour == Behaviour::OneByteAtATime {
            for byte in answer {
                stream.write_all(&[byte])?;
            }
        } else {
            stream.write_all(&answer)?;
        }
        let mut longest = shared.longest_write.lock().unwrap();
        *longest = longest.max(started.elapsed());
        drop(longest);
        match after {
            After::KeepAlive => {}
            After::Close | After::Reset => return Ok(after),
            After::Silence => {
                while stream.read(&mut [0; 1024])? > 0 {}
                return Ok(after);
            }
        }
    }
}

/// Returns the JSON body of a request.
pub fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").expect("a head").1).expect("JSON")
}

#[expect(clippy::disallowed_methods, reason = "a server that takes its time is the point")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

#[expect(clippy::disallowed_methods, reason = "a server has a clock of its own")]
fn now() -> Instant {
    Instant::now()
}

/// Send buffer of a server that cannot write ahead. The kernel doubles it.
const NARROW_BYTES: usize = 4096;

/// The parts of a request that matter here.
pub struct Request {
    pub post: bool,
    pub path: String,
    pub stream: bool,
    /// The request as received, head and body.
    pub text: String,
}

impl Request {
    /// Reads one request; `None` at the end of the connection. Later bytes stay in `buffer`.
    pub fn read(mut from: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let mut piece = [0; 4096];
        loop {
            if let Some((request, length)) = Self::parse(buffer) {
                buffer.drain(..length);
                return Ok(Some(request));
            }
            let n = from.read(&mut piece)?;
            if n == 0 {
                return Ok(None);
            }
            buffer.extend_from_slice(&piece[..n]);
        }
    }

    /// Returns the request at the front of `bytes` and its length, if it is complete.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let at = memchr::memmem::find(bytes, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..at]);
        let mut words = head.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
        let body = bytes.get(at + 4..at + 4 + length)?;
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..at + 4 + length]).into_owned();
        let request = Self { post: method == "POST", path: path.to_owned(), stream: json["stream"] == true, text };
        Some((request, at + 4 + length))
    }
}

fn get_answer(path: &str, unwell: bool) -> Vec<u8> {
    match path.split('?').next().unwrap_or_default() {
        "/health" if unwell => plain(503, JSON, r#"{"status":"starting"}"#),
        "/health" => plain(200, JSON, r#"{"status":"ok","service":"misbehaving"}"#),
        "/openai/v1/models" => plain(200, JSON, r#"{"object":"list","data":[{"id":"gpt-4o","object":"model"}]}"#),
        path if path.starts_with("/openai/v1/models/") => plain(200, JSON, r#"{"id":"gpt-4o","object":"model"}"#),
        _ => plain(404, JSON, ERROR),
    }
}

const JSON: &str = "application/json";
const ERROR: &str = r#"{"error":{"message":"on purpose","type":"server_error","code":null}}"#;
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Returns the bytes of a response, and what happens to the connection after them.
fn answer(behaviour: Behaviour, streamed: bool) -> (Vec<u8>, After) {
    let good = |tokens: u32, streamed: bool| if streamed { good_stream(tokens) } else { good_plain(tokens) };
    match behaviour {
        Behaviour::Good { tokens } | Behaviour::OnlyChat { tokens } => (good(tokens, streamed), After::KeepAlive),
        Behaviour::RefusesStreamOptions { tokens } | Behaviour::BillsOnRequest { tokens } => {
            (good(tokens, streamed), After::KeepAlive)
        }
        Behaviour::GoodStream { tokens } => (good_stream(tokens), After::KeepAlive),
        Behaviour::Unbilled { tokens } => (stream_ending(tokens, event("{}", r#""stop""#, "")), After::KeepAlive),
        Behaviour::GoodPlain => (good_plain(3), After::KeepAlive),
        Behaviour::OneByteAtATime | Behaviour::NeverHealthy => (good(3, streamed), After::KeepAlive),
        Behaviour::CloseAfterEach => (good(3, streamed), After::Close),
        Behaviour::Garbage => (b"\x00\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec(), After::Close),
        // An endless response is written piece by piece in `converse`.
        Behaviour::CloseUnanswered | Behaviour::Endless(_) | Behaviour::WorkThenClose(_) => (Vec::new(), After::Close),
        Behaviour::CloseEarly => {
            let whole = good_plain(3);
            (whole[..whole.len() - 10].to_vec(), After::Close)
        }
        Behaviour::Reset | Behaviour::WorkThenReset(_) => (Vec::new(), After::Reset),
        Behaviour::Stall => (Vec::new(), After::Silence),
        Behaviour::StallMidStream => (stream(&[&role(), &token(), &token()], ""), After::Silence),
        Behaviour::HalfChunk => (stream(&[&role(), &token()], "40\r\ndata: {\"choi"), After::Close),
        Behaviour::BadChunk => (stream(&[&role(), &token()], "zz\r\nno size\r\n"), After::Close),
        Behaviour::HugeHead => {
            let head = format!("HTTP/1.1 200 OK\r\nx-huge: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(1 << 20));
            (head.into_bytes(), After::Close)
        }
        Behaviour::Gzip => {
            // The header of a gzip file (RFC 1952), without usable content.
            let mut bytes = plain(200, "application/json\r\ncontent-encoding: gzip", "0123456789");
            let body = bytes.len() - 10;
            bytes[body..].copy_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
            (bytes, After::KeepAlive)
        }
        Behaviour::Status(status) => (plain(status, JSON, ERROR), After::KeepAlive),
        Behaviour::Redirect => {
            (plain(302, "text/plain\r\nlocation: http://127.0.0.1:1/", "elsewhere"), After::KeepAlive)
        }
        Behaviour::WrongContentType => (plain(200, "text/html", "<h1>It works!</h1>"), After::KeepAlive),
        Behaviour::BadJson if streamed => {
            (stream(&[&role(), "data: {\"choices\": [\n\n"], "0\r\n\r\n"), After::KeepAlive)
        }
        Behaviour::BadJson => (plain(200, JSON, r#"{"choices": ["#), After::KeepAlive),
        Behaviour::ErrorEventIn200 => {
            let error = format!("data: {ERROR}\n\n");
            (stream(&[&role(), &token(), &token(), &error], "0\r\n\r\n"), After::KeepAlive)
        }
        Behaviour::TruncatedStream => (stream(&[&role(), &token(), &token()], "0\r\n\r\n"), After::KeepAlive),
        Behaviour::Raw(bytes) => (bytes.to_vec(), After::KeepAlive),
        Behaviour::RawThenClose(bytes) => (bytes.to_vec(), After::Close),
        Behaviour::RawThenReset(bytes) => (bytes.to_vec(), After::Reset),
        Behaviour::RawInTwo(_, _, second) => (second.to_vec(), After::KeepAlive),
        Behaviour::EmptyStream => (stream(&[&role(), &finish(0), DONE], "0\r\n\r\n"), After::KeepAlive),
    }
}

/// Returns a complete response with a length. `content_type` may carry further header lines.
fn plain(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} On Purpose\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn good_plain(tokens: u32) -> Vec<u8> {
    let body = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"on purpose"}},"finish_reason":"stop"}}],"usage":{}}}"#,
        usage(tokens)
    );
    plain(200, JSON, &body)
}

fn good_stream(tokens: u32) -> Vec<u8> {
    stream_ending(tokens, finish(tokens))
}

fn stream_ending(tokens: u32, finish: String) -> Vec<u8> {
    let mut events = vec![role()];
    events.extend((0..tokens).map(|_| token()));
    events.extend([finish, DONE.to_owned()]);
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    stream(&events, "0\r\n\r\n")
}

/// Returns a stream of these events, one a chunk, and then `rest` unchanged.
fn stream(events: &[&str], rest: &str) -> Vec<u8> {
    let mut bytes = STREAM_HEAD.as_bytes().to_vec();
    for event in events {
        bytes.extend(format!("{:x}\r\n{event}\r\n", event.len()).bytes());
    }
    bytes.extend(rest.bytes());
    bytes
}

const DONE: &str = "data: [DONE]\n\n";

fn event(delta: &str, finish_reason: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish_reason}}}]{more}}}\n\n"
    )
}

fn role() -> String {
    event(r#"{"role":"assistant"}"#, "null", "")
}

fn token() -> String {
    event(r#"{"content":"word "}"#, "null", "")
}

fn finish(tokens: u32) -> String {
    event("{}", r#""stop""#, &format!(",\"usage\":{}", usage(tokens)))
}

fn usage(tokens: u32) -> String {
    format!(r#"{{"prompt_tokens":1,"completion_tokens":{tokens},"total_tokens":{}}}"#, tokens + 1)
}
