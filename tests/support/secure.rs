//! A TLS proxy in front of a server that speaks plain text, with faults on request: bad
//! certificates and misdeeds.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A certificate authority.
pub struct Lab {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    /// The certificate of the authority, for `--cacert`.
    pub ca_pem: String,
}

/// A certificate and its key, in PEM and in DER.
pub struct Identity {
    pub cert_pem: String,
    pub key_pem: String,
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// The fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// No fault. When the server behind the proxy closes, the proxy sends `close_notify`.
    None,
    /// When the server behind the proxy closes, the proxy sends no `close_notify`: the connection
    /// looks as if it had been cut.
    Cut,
    /// The handshake is never answered.
    Stall,
    /// The connection is closed during the handshake.
    CloseInHandshake,
    /// The response ends in the middle of a record.
    MidRecord,
    /// A record of the response is changed on the way.
    Garble,
}

/// The settings of a proxy.
pub struct Front {
    pub identity: Identity,
    /// True if clients must show a certificate of the same authority.
    pub wants_certificate: bool,
    /// Connections served properly before the misdeed begins, such as those of health checks before
    /// the test.
    pub good: u64,
    pub misdeed: Misdeed,
    pub versions: &'static [&'static rustls::SupportedProtocolVersion],
}

/// A TLS proxy. Stopped when dropped.
pub struct Secure {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
}

impl Lab {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).expect("a certificate");
        Self { ca_pem: cert.pem(), root: cert.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// Returns a certificate for these names, valid until the start of the year `until`.
    pub fn identity(&self, names: &[&str], until: i32) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = params(names, until);
        Identity::new(&params.signed_by(&key, &self.issuer).expect("a certificate"), &key)
    }

    /// Returns a self-signed certificate.
    pub fn self_signed(names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        Identity::new(&params(names, 2090).self_signed(&key).expect("a certificate"), &key)
    }

    /// Returns a certificate as the usual `openssl req -x509` makes it: self-signed, and marked as
    /// an authority.
    pub fn as_openssl_makes_it(names: &[&str], until: i32) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(names, until);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Identity::new(&params.self_signed(&key).expect("a certificate"), &key)
    }

    /// Returns the settings of a proxy without faults.
    pub fn front(&self) -> Front {
        Front {
            identity: self.identity(&["localhost", "127.0.0.1"], 2090),
            wants_certificate: false,
            good: 0,
            misdeed: Misdeed::None,
            versions: rustls::ALL_VERSIONS,
        }
    }

    /// Starts a proxy in front of `behind`.
    pub fn secure(&self, behind: SocketAddr, front: Front) -> Secure {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(front.versions)
            .expect("versions");
        let builder = if front.wants_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.root.clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let Identity { cert, key, .. } = front.identity;
        let mut config = builder.with_single_cert(vec![cert], key).expect("a certificate of its key");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new().expect("a ticketer");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let secure = Secure {
            addr: listener.local_addr().expect("its address"),
            stopping: Arc::default(),
            connections: Arc::default(),
        };
        let (stopping, connections) = (Arc::clone(&secure.stopping), Arc::clone(&secure.connections));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let nth = connections.fetch_add(1, Ordering::SeqCst);
                let misdeed = if nth < front.good { Misdeed::None } else { front.misdeed };
                let config = Arc::clone(&config);
                // Errors here are either intended by the test or caused by its end.
                std::thread::spawn(move || drop(serve(&client, behind, config, misdeed)));
            }
        });
        secure
    }
}

impl Identity {
    fn new(cert: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            cert: cert.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        }
    }
}

fn params(names: &[&str], until: i32) -> CertificateParams {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).expect("parameters");
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

impl Secure {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// Returns how many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve(client: &TcpStream, behind: SocketAddr, config: Arc<ServerConfig>, misdeed: Misdeed) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut piece = [0; 16 * 1024];
    match misdeed {
        Misdeed::Stall => {
            while (&*client).read(&mut piece)? > 0 {}
            return Ok(());
        }
        Misdeed::CloseInHandshake => {
            return (&*client).read(&mut piece).map(drop);
        }
        _ => {}
    }
    let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut &*client)?;
    }
    let server = TcpStream::connect(behind)?;
    server.set_nodelay(true)?;
    // A request may have arrived together with the end of the handshake.
    while let Ok(n @ 1..) = session.reader().read(&mut piece) {
        (&server).write_all(&piece[..n])?;
    }
    let session = Arc::new(Mutex::new(session));
    let back = {
        let (client, server, session) = (client.try_clone()?, server.try_clone()?, Arc::clone(&session));
        std::thread::spawn(move || drop(send_back(&client, &server, &session, misdeed)))
    };
    let result = send_on(client, &server, &session);
    let _ = server.shutdown(Shutdown::Write);
    back.join().expect("the way back");
    result
}

/// Carries bytes from the client to the server.
fn send_on(client: &TcpStream, server: &TcpStream, session: &Mutex<ServerConnection>) -> io::Result<()> {
    let mut piece = [0; 16 * 1024];
    loop {
        let n = (&*client).read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        let mut bytes = &piece[..n];
        let mut plain = Vec::new();
        let mut session = session.lock().unwrap();
        while !bytes.is_empty() {
            session.read_tls(&mut bytes)?;
            let state = session.process_new_packets().map_err(io::Error::other)?;
            let from = plain.len();
            plain.resize(from + state.plaintext_bytes_to_read(), 0);
            session.reader().read_exact(&mut plain[from..])?;
            if state.peer_has_closed() {
                return Ok(());
            }
        }
        while session.wants_write() {
            session.write_tls(&mut &*client)?;
        }
        drop(session);
        (&*server).write_all(&plain)?;
    }
}

/// Carries bytes from the server to the client, and then the end of the connection.
fn send_back(
    client: &TcpStream,
    server: &TcpStream,
    session: &Mutex<ServerConnection>,
    misdeed: Misdeed,
) -> io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        let n = match (&*server).read(&mut piece) {
            Ok(n) => n,
            Err(error) => {
                // Pass on a reset as a reset.
                SockRef::from(client).set_linger(Some(Duration::ZERO))?;
                client.shutdown(Shutdown::Read)?;
                return Err(error);
            }
        };
        let mut session = session.lock().unwrap();
        if n == 0 && misdeed == Misdeed::None {
            session.send_close_notify();
        }
        session.writer().write_all(&piece[..n])?;
        let mut record = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut record)?;
        }
        match misdeed {
            Misdeed::MidRecord if n > 0 => {
                (&*client).write_all(&record[..record.len() / 2])?;
                return client.shutdown(Shutdown::Both);
            }
            Misdeed::Garble if n > 0 => {
                let middle = record.len() / 2;
                record[middle] ^= 0x55;
            }
            _ => {}
        }
        (&*client).write_all(&record)?;
        if n == 0 {
            return client.shutdown(Shutdown::Write);
        }
    }
}
