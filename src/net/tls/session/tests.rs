//! Sessions against rustls' own server, in memory: no sockets, no time.

use super::*;
use crate::net::access::{Identity, Pem, Roots, Tls};
use crate::net::tls::{Client, Name, TlsFailure, failure, tls_failure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ServerConfig, ServerConnection, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion, version};
use std::io::{Read, Write};
use std::sync::Arc;

const BUFFER_BYTES: usize = 64 * 1024;

/// An authority, for which tests issue server certificates.
struct Lab {
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
    ca_der: rustls::pki_types::CertificateDer<'static>,
}

impl Lab {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).expect("a certificate");
        Self { ca_pem: cert.pem(), ca_der: cert.der().clone(), ca: Issuer::new(params, key) }
    }

    /// Returns a certificate for a name, and its key. `change` edits it before it is signed.
    fn cert(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        change(&mut params);
        (params.signed_by(&key, &self.ca).expect("a certificate"), key)
    }

    fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let (cert, key) = self.cert("localhost", |_| ());
        let mut config = builder(versions).with_single_cert(vec![cert.der().clone()], der(&key)).expect("a server");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // As on servers with a ticket key: as many tickets as are asked for.
        config.ticketer = ring::Ticketer::new().expect("a ticketer");
        Arc::new(config)
    }

    fn tls(&self) -> Tls {
        Tls { roots: Roots::File(pem(&self.ca_pem)), ..Tls::default() }
    }
}

fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    versioned(versions).with_no_client_auth()
}

fn versioned(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).expect("a key")
}

fn pem(text: &str) -> Pem {
    Pem { path: "test.pem".into(), text: text.to_owned() }
}

fn client(tls: &Tls) -> Client {
    Client::new(tls, 100).expect("a client")
}

fn session(client: &Client, name: &str) -> Session {
    client.session(&Name::new(name).expect("a name")).expect("a session")
}

/// The two ends of a connection in memory.
struct Pair {
    session: Session,
    server: ServerConnection,
    buffer: Vec<u8>,
}

impl Pair {
    fn new(session: Session, config: &Arc<ServerConfig>) -> Self {
        let server = ServerConnection::new(Arc::clone(config)).expect("a server");
        Self { session, server, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Gives all unsent bytes of the client to the server.
    fn tell_server(&mut self) -> Result<(), Error> {
        while !self.session.unsent().is_empty() {
            let mut unsent = self.session.unsent();
            let n = self.server.read_tls(&mut unsent).expect("memory");
            self.session.was_sent(n);
            self.server.process_new_packets()?;
        }
        Ok(())
    }

    /// Returns all unsent bytes of the server.
    fn hear_server(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).expect("memory");
        }
        bytes
    }

    /// Lets the client read these bytes at once, and returns the plaintext.
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let from = self.session.load(&mut self.buffer);
        self.buffer[from..from + bytes.len()].copy_from_slice(bytes);
        let n = self.session.received(&mut self.buffer, from + bytes.len())?;
        Ok(self.buffer[..n].to_vec())
    }

    fn shake_hands(&mut self) -> Result<(), Error> {
        for _ in 0..10 {
            // A server that refuses sends an alert before it gives up.
            let refused = self.tell_server();
            let bytes = self.hear_server();
            assert_eq!(self.feed(&bytes)?, b"", "nothing is said before a request");
            refused?;
            if self.session.is_open() && self.session.unsent().is_empty() && !self.server.is_handshaking() {
                return Ok(());
            }
        }
        panic!("the handshake does not end");
    }

    fn open(lab: &Lab, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut pair = Self::new(session(&client(&lab.tls()), "localhost"), &lab.server(versions));
        pair.shake_hands().expect("a handshake");
        pair
    }

    fn answer(&mut self, plain: &[u8]) -> Vec<u8> {
        // A server's buffer is bounded, so it is emptied in between.
        let mut bytes = Vec::new();
        for piece in plain.chunks(16 * 1024) {
            self.server.writer().write_all(piece).expect("memory");
            bytes.extend(self.hear_server());
        }
        bytes
    }
}

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

#[test]
fn a_request_goes_there_and_its_answer_comes_back() {
    for version in BOTH {
        let mut pair = Pair::open(&Lab::new(), &[version]);
        assert_eq!(pair.session.resumed(), Some(false));
        assert_eq!(pair.session.encrypt(b"GET / HTTP/1.1\r\n\r\n"), Ok(18));
        pair.tell_server().expect("records");
        let mut request = [0; 64];
        let n = pair.server.reader().read(&mut request).expect("plaintext");
        assert_eq!(&request[..n], b"GET / HTTP/1.1\r\n\r\n");
        let answer = pair.answer(b"HTTP/1.1 204 No\r\n\r\n");
        assert_eq!(pair.feed(&answer).as_deref(), Ok(&b"HTTP/1.1 204 No\r\n\r\n"[..]));
    }
}

#[test]
fn records_survive_every_cut() {
    for version in BOTH {
        let lab = Lab::new();
        let mut pair = Pair::open(&lab, &[version]);
        for cut in 0..120 {
            let mut bytes = pair.answer(b"data: one\n\n");
            bytes.extend(pair.answer(b"data: two\n\n"));
            let cut = cut.min(bytes.len());
            let mut plain = pair.feed(&bytes[..cut]).expect("a part");
            plain.extend(pair.feed(&bytes[cut..]).expect("the rest"));
            assert_eq!(plain, b"data: one\n\ndata: two\n\n", "cut at {cut}");
        }
        // And a handshake that comes byte by byte.
        let mut slow = Pair::new(session(&client(&lab.tls()), "localhost"), &lab.server(&[version]));
        for _ in 0..4 {
            slow.tell_server().expect("records");
            for byte in slow.hear_server() {
                assert_eq!(slow.feed(&[byte]).as_deref(), Ok(&b""[..]));
            }
        }
        assert!(slow.session.is_open());
    }
}

#[test]
fn a_full_buffer_of_records_of_any_size_comes_out_whole() {
    let mut pair = Pair::open(&Lab::new(), &[&version::TLS13]);
    let whole: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    for record in [1, 100, 5_000, 16 * 1024] {
        let mut bytes = Vec::new();
        for piece in whole.chunks(record).take(40_000 / record.min(40_000) + 20) {
            bytes.extend(pair.answer(piece));
        }
        let expected = &whole[..(record * (40_000 / record + 20)).min(whole.len())];
        let mut plain = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let room = BUFFER_BYTES - pair.session.load(&mut pair.buffer);
            let n = rest.len().min(room);
            plain.extend(pair.feed(&rest[..n]).expect("records"));
            rest = &rest[n..];
        }
        assert!(plain == expected, "records of {record}: {} of {} bytes", plain.len(), expected.len());
        assert!(pair.session.tail.is_empty() && pair.session.tail.capacity() <= KEPT_BYTES);
    }
}

#[test]
fn a_large_request_is_sent_in_pieces_and_nothing_stays_behind() {
    let mut pair = Pair::open(&Lab::new(), &[&version::TLS13]);
    pair.server.set_buffer_limit(None);
    let request = vec![b'x'; 100_000];
    let (mut from, mut got) = (0, Vec::new());
    while from < request.len() {
        from += pair.session.encrypt(&request[from..]).expect("records");
        // The socket takes a part, then nothing, then the rest.
        let half = pair.session.unsent().len() / 2;
        let first = pair.session.unsent()[..half].to_vec();
        pair.session.was_sent(half);
        pair.session.park();
        let mut wire: &[u8] = &[&first, pair.session.unsent()].concat();
        while !wire.is_empty() {
            pair.server.read_tls(&mut wire).expect("memory");
            pair.server.process_new_packets().expect("records");
            let mut piece = vec![0; 64 * 1024];
            let n = pair.server.reader().read(&mut piece).unwrap_or(0);
            got.extend_from_slice(&piece[..n]);
        }
        let n = pair.session.unsent().len();
        pair.session.was_sent(n);
        assert_eq!(pair.session.unsent.capacity(), 0, "a session keeps no buffer for sending");
    }
    let mut rest = vec![0; 128 * 1024];
    while let Ok(n @ 1..) = pair.server.reader().read(&mut rest) {
        got.extend_from_slice(&rest[..n]);
    }
    assert!(got == request, "{} of {}", got.len(), request.len());
}

#[test]
fn sessions_are_resumed_by_the_hundred() {
    for version in BOTH {
        let lab = Lab::new();
        let (client, server) = (client(&lab.tls()), lab.server(&[version]));
        let kinds = |resumed: bool| {
            let mut all: Vec<Pair> = (0..50).map(|_| Pair::new(session(&client, "localhost"), &server)).collect();
            for pair in &mut all {
                pair.shake_hands().expect("a handshake");
            }
            // Tickets came with the end of the handshake, before any request.
            all.iter().filter(|pair| pair.session.resumed() == Some(resumed)).count()
        };
        assert_eq!(kinds(false), 50);
        assert_eq!(kinds(true), 50);
    }
}

#[test]
fn sessions_are_not_resumed_when_that_is_not_wanted() {
    let lab = Lab::new();
    let (client, server) = (client(&Tls { resume: false, ..lab.tls() }), lab.server(&[&version::TLS13]));
    for _ in 0..3 {
        let mut pair = Pair::new(session(&client, "localhost"), &server);
        pair.shake_hands().expect("a handshake");
        assert_eq!(pair.session.resumed(), Some(false));
    }
}

#[test]
fn new_keys_between_requests_are_taken_and_answered() {
    let mut pair = Pair::open(&Lab::new(), &[&version::TLS13]);
    for round in 0..3 {
        pair.server.refresh_traffic_keys().expect("new keys");
        let bytes = pair.hear_server();
        assert_eq!(pair.feed(&bytes).as_deref(), Ok(&b""[..]), "round {round}");
        pair.tell_server().expect("the answer");
        pair.session.encrypt(b"ping").expect("records");
        pair.tell_server().expect("records");
        let mut got = [0; 4];
        pair.server.reader().read_exact(&mut got).expect("plaintext");
        assert_eq!(&got, b"ping");
        let answer = pair.answer(b"pong");
        assert_eq!(pair.feed(&answer).as_deref(), Ok(&b"pong"[..]));
    }
}

#[test]
fn the_end_is_told_from_a_cut() {
    for version in BOTH {
        let mut pair = Pair::open(&Lab::new(), &[version]);
        let mut bytes = pair.answer(b"the end");
        pair.server.send_close_notify();
        bytes.extend(pair.hear_server());
        assert!(!pair.session.is_closed_by_peer());
        assert_eq!(pair.feed(&bytes).as_deref(), Ok(&b"the end"[..]));
        assert!(pair.session.is_closed_by_peer());
        pair.session.say_goodbye();
        pair.tell_server().expect("an alert");
        assert_eq!(pair.server.reader().read(&mut [0; 1]).expect("the end"), 0);
    }
}

/// A change to a certificate before it is signed.
type Change<'a> = &'a dyn Fn(&mut CertificateParams);

#[test]
fn what_is_wrong_with_a_certificate_is_named() {
    let lab = Lab::new();
    let now = rcgen::date_time_ymd(2020, 1, 1);
    let cases: [(&str, TlsFailure, Change<'_>); 4] = [
        ("localhost", TlsFailure::Expired, &|params| {
            (params.not_before, params.not_after) = (rcgen::date_time_ymd(2019, 1, 1), now);
        }),
        ("localhost", TlsFailure::NotYetValid, &|params| {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2090, 1, 1), rcgen::date_time_ymd(2091, 1, 1));
        }),
        ("other.example", TlsFailure::WrongName, &|_| ()),
        ("127.0.0.9", TlsFailure::WrongName, &|_| ()),
    ];
    for (name, failure, change) in cases {
        let (cert, key) = lab.cert(name, change);
        let config = builder(&BOTH).with_single_cert(vec![cert.der().clone()], der(&key)).expect("a server");
        let config = Arc::new(config);
        let refused = Pair::new(session(&client(&lab.tls()), "localhost"), &config).shake_hands().expect_err("refused");
        assert_eq!(tls_failure(&failure::failed_by(&refused)), Some(failure), "{refused}");
        // Without checks all of them are accepted.
        let unchecked = client(&Tls { verify: false, ..Tls::default() });
        Pair::new(session(&unchecked, "localhost"), &config).shake_hands().expect("nothing is checked");
    }
}

#[test]
fn a_server_is_told_why_it_is_refused() {
    for version in BOTH {
        let lab = Lab::new();
        let mut pair = Pair::new(session(&client(&Tls::default()), "localhost"), &lab.server(&[version]));
        pair.shake_hands().expect_err("its issuer is unknown");
        let told = pair.tell_server().expect_err("an alert");
        assert!(matches!(told, Error::AlertReceived(rustls::AlertDescription::UnknownCA)), "{told}");
    }
}

#[test]
fn an_unknown_issuer_is_named_self_signed_or_not() {
    let lab = Lab::new();
    let server = lab.server(&BOTH);
    let refused =
        Pair::new(session(&client(&Tls::default()), "localhost"), &server).shake_hands().expect_err("unknown");
    assert_eq!(tls_failure(&failure::failed_by(&refused)), Some(TlsFailure::UnknownIssuer), "{refused}");
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.is_ca = is_ca;
        let cert = params.self_signed(&key).expect("a certificate");
        let config = builder(&BOTH).with_single_cert(vec![cert.der().clone()], der(&key)).expect("a server");
        let refused = Pair::new(session(&client(&Tls::default()), "localhost"), &Arc::new(config)).shake_hands();
        let refused = refused.expect_err("self-signed");
        assert_eq!(tls_failure(&failure::failed_by(&refused)), Some(TlsFailure::UnknownIssuer), "{refused}");
    }
}

#[test]
fn a_server_that_wants_a_certificate_gets_ours() {
    let lab = Lab::new();
    let mut roots = RootCertStore::empty();
    roots.add(lab.ca_der.clone()).expect("a root");
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
    let (cert, key) = lab.cert("localhost", |_| ());
    let config = versioned(&[&version::TLS12])
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cert.der().clone()], der(&key))
        .expect("a server");
    let config = Arc::new(config);
    let (ours, our_key) = lab.cert("client", |_| ());
    let identity = Some(Identity { cert: pem(&ours.pem()), key: pem(&our_key.serialize_pem()) });
    let known = client(&Tls { identity, ..lab.tls() });
    Pair::new(session(&known, "localhost"), &config).shake_hands().expect("we are known");
    let refused = Pair::new(session(&client(&lab.tls()), "localhost"), &config).shake_hands().expect_err("unknown");
    let failure = tls_failure(&failure::failed_by(&refused));
    assert!(matches!(failure, Some(TlsFailure::WantsCertificate | TlsFailure::Incompatible)), "{refused}");
}

#[test]
fn files_that_are_none_are_refused_without_what_stands_in_them() {
    let (cert, key) = Lab::new().cert("client", |_| ());
    let (_, other_key) = Lab::new().cert("client", |_| ());
    let identity =
        |cert: &str, key: &str| Tls { identity: Some(Identity { cert: pem(cert), key: pem(key) }), ..Tls::default() };
    for (tls, expected) in [
        (Tls { roots: Roots::File(pem("hunter2")), ..Tls::default() }, "--cacert"),
        (Tls { roots: Roots::File(pem(&key.serialize_pem())), ..Tls::default() }, "--cacert"),
        (identity("hunter2", &key.serialize_pem()), "--cert"),
        (identity(&cert.pem(), "hunter2"), "--key"),
        (identity(&cert.pem(), &cert.pem()), "--key"),
        (identity(&cert.pem(), &other_key.serialize_pem()), "cannot be used"),
    ] {
        let error = Client::new(&tls, 1).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("test.pem"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("BEGIN EC"), "{error}");
    }
}

#[test]
fn what_is_not_tls_is_called_so() {
    let lab = Lab::new();
    for nonsense in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n"] {
        let mut pair = Pair::new(session(&client(&lab.tls()), "localhost"), &lab.server(&BOTH));
        let error = pair.feed(nonsense).expect_err("not TLS");
        assert_eq!(tls_failure(&failure::failed_by(&error)), Some(TlsFailure::NotTls), "{error}");
    }
    let mut pair = Pair::open(&lab, &[&version::TLS13]);
    let mut record = pair.answer(b"some plaintext");
    record[10] ^= 1;
    let error = pair.feed(&record).expect_err("broken");
    assert_eq!(tls_failure(&failure::failed_by(&error)), Some(TlsFailure::BrokenRecord), "{error}");
}
