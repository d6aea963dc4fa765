//! Builds a TLS configuration from the files of trust store and client certificate.

use super::failure::{NotInFile, failed_by, lacks_authority};
use super::session::Session;
use super::tickets::Tickets;
use crate::net::access::{Identity, Pem, Roots, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    Resumption, UnbufferedClientConnection, WantsClientCert, WebPkiServerVerifier, verify_server_name,
};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// ALPN: HTTP/1.1 is the only version that this tool supports.
const ALPN: &[u8] = b"http/1.1";

/// The reason why a configuration cannot be built. Messages never repeat keys.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// A file without the expected certificates.
    #[error("{}: {flag} expects certificates in PEM (-----BEGIN CERTIFICATE-----): {problem}", path.display())]
    BadCertificates {
        /// The flag that names the file.
        flag: &'static str,
        path: PathBuf,
        problem: String,
    },
    /// A file without the expected private key.
    #[error("{}: --key expects one unencrypted private key in PEM (-----BEGIN PRIVATE KEY-----): {problem}", path.display())]
    BadKey { path: PathBuf, problem: String },
    /// Certificate and key do not belong together, or are of an unknown kind.
    #[error("{}: --cert and --key cannot be used: {problem}; expected a certificate and its own private key", path.display())]
    BadIdentity { path: PathBuf, problem: String },
    /// The system has no trusted certificates.
    #[error(
        "--native-roots: the system's certificates cannot be used: {0}; install them (ca-certificates), or leave the flag out"
    )]
    NoNativeRoots(String),
    /// A host that cannot be the name in a certificate.
    #[error(
        "`{0}` cannot be the name in a certificate: expected a name of letters, digits, dashes and dots, or an address"
    )]
    BadName(String),
    #[error("TLS cannot be set up: {0}")]
    Other(#[from] Error),
}

/// Creates sessions. Each worker has its own client, with its own tickets and buffers.
pub struct Client {
    config: Arc<ClientConfig>,
    scratch: Rc<RefCell<Vec<u8>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The name that a server's certificate must be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(ServerName<'static>);

impl Name {
    /// Creates a name from a host name or an address.
    pub fn new(host: &str) -> Result<Self, TlsConfigError> {
        ServerName::try_from(host.to_owned()).map(Self).map_err(|_| TlsConfigError::BadName(host.to_owned()))
    }
}

impl Client {
    /// Creates a client. `tickets` is the largest number of session tickets to keep per name.
    pub fn new(tls: &Tls, tickets: usize) -> Result<Self, TlsConfigError> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = if tls.verify {
            let roots = Arc::new(roots(&tls.roots)?);
            let chains = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let chains = chains.map_err(|error| Error::General(error.to_string()))?;
            let trusted = Trusted { chains, in_person: in_person(&tls.roots)? };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(trusted))
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        };
        let mut config = identified(builder, tls.identity.as_ref())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption =
            if tls.resume { Resumption::store(Arc::new(Tickets::new(tickets))) } else { Resumption::disabled() };
        Ok(Self { config: Arc::new(config), scratch: Rc::default() })
    }

    pub(in crate::net) fn session(&self, name: &Name) -> io::Result<Session> {
        let conn = UnbufferedClientConnection::new(Arc::clone(&self.config), name.0.clone());
        let session = conn.and_then(|conn| Session::new(conn, Rc::clone(&self.scratch)));
        session.map_err(|error| failed_by(&error))
    }
}

fn roots(roots: &Roots) -> Result<RootCertStore, TlsConfigError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::BuiltIn => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Native => {
            let found = rustls_native_certs::load_native_certs();
            // Systems carry old certificates that cannot be read. The readable ones are enough.
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
                return Err(TlsConfigError::NoNativeRoots(why));
            }
        }
        Roots::File(pem) => {
            for cert in certificates("--cacert", pem)? {
                store.add(cert).map_err(|error| bad_certificates("--cacert", pem, &error))?;
            }
        }
    }
    Ok(store)
}

fn identified(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsConfigError> {
    let Some(Identity { cert, key }) = identity else { return Ok(builder.with_no_client_auth()) };
    let certs = certificates("--cert", cert)?;
    let key_der = PrivateKeyDer::from_pem_slice(key.text.as_bytes())
        .map_err(|_| TlsConfigError::BadKey { path: key.path.clone(), problem: "it contains none".to_owned() })?;
    builder
        .with_client_auth_cert(certs, key_der)
        .map_err(|error| TlsConfigError::BadIdentity { path: cert.path.clone(), problem: error.to_string() })
}

fn certificates(flag: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.as_bytes()).collect();
    let certs = certs.map_err(|error| bad_certificates(flag, pem, &error))?;
    if certs.is_empty() { Err(bad_certificates(flag, pem, &"it contains none")) } else { Ok(certs) }
}

fn bad_certificates(flag: &'static str, pem: &Pem, problem: &dyn fmt::Display) -> TlsConfigError {
    TlsConfigError::BadCertificates { flag, path: pem.path.clone(), problem: problem.to_string() }
}

/// Returns the certificates that are also trusted as a server's own, and not only as authorities:
/// those of the user's own file.
fn in_person(roots: &Roots) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    match roots {
        Roots::File(pem) => certificates("--cacert", pem),
        Roots::BuiltIn | Roots::Native => Ok(Vec::new()),
    }
}

/// Checks chains as usual, and also accepts a server's certificate that is itself in the file of
/// `--cacert`. The usual `openssl req -x509` makes a self-signed certificate, and curl accepts it
/// there, too.
#[derive(Debug)]
struct Trusted {
    chains: Arc<WebPkiServerVerifier>,
    in_person: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // These errors mean that the chain leads to no trusted authority. The dates were
            // checked before that, but the name was not.
            Err(Error::InvalidCertificate(why)) if lacks_authority(&why) && self.in_person.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(Error::InvalidCertificate(why)) if lacks_authority(&why) && !self.in_person.is_empty() => {
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NotInFile)))))
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Accepts every certificate, but still checks that the peer holds its private key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
