//! The failures of TLS: a closed list of names that can be counted, with advice for each.

use rustls::{AlertDescription, CertificateError, Error};
use std::fmt;
use std::io;

/// The reason why a session failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsFailure {
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate is not signed by a trusted authority. It may be self-signed.
    UnknownIssuer,
    /// The server's certificate is for another name.
    WrongName,
    /// The server's certificate is invalid for another reason.
    BadCertificate,
    /// The received bytes are not TLS.
    NotTls,
    /// The two sides share no version or cipher.
    Incompatible,
    /// The server requires a client certificate, or another one.
    WantsCertificate,
    Refused,
    /// The server closed the connection before the handshake was over.
    ClosedInHandshake,
    /// No bytes came until the time for connecting was over.
    Stalled,
    /// A record cannot be decrypted, or breaks the protocol.
    BrokenRecord,
    /// The proxy refused the tunnel.
    Proxy,
    Other,
}

impl TlsFailure {
    /// All failures, in the order of the report.
    pub const ALL: [Self; 14] = [
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownIssuer,
        Self::WrongName,
        Self::BadCertificate,
        Self::NotTls,
        Self::Incompatible,
        Self::WantsCertificate,
        Self::Refused,
        Self::ClosedInHandshake,
        Self::Stalled,
        Self::BrokenRecord,
        Self::Proxy,
        Self::Other,
    ];

    /// Returns its name in JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "certificate expired",
            Self::NotYetValid => "certificate not yet valid",
            Self::UnknownIssuer => "certificate of an unknown issuer",
            Self::WrongName => "certificate for another name",
            Self::BadCertificate => "certificate invalid",
            Self::NotTls => "not TLS",
            Self::Incompatible => "no common version or cipher",
            Self::WantsCertificate => "client certificate wanted",
            Self::Refused => "refused by the server",
            Self::ClosedInHandshake => "closed in the handshake",
            Self::Stalled => "handshake stalled",
            Self::BrokenRecord => "broken record",
            Self::Proxy => "refused by the proxy",
            Self::Other => "other",
        }
    }

    /// Returns advice for the user.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Expired => "renew the server's certificate, or test without checking it with --insecure",
            Self::NotYetValid => "check both clocks, or test without checking the certificate with --insecure",
            Self::UnknownIssuer => {
                "name the file of the authority that signed it, or of the certificate itself, with --cacert, trust \
                 the system's with --native-roots, or test without checking it with --insecure"
            }
            Self::WrongName => {
                "use the name that the certificate is for in --target-url (with --resolve or --connect-to if it leads elsewhere), \
                 or test without checking it with --insecure"
            }
            Self::BadCertificate => "test without checking it with --insecure, or replace it",
            Self::NotTls => "expected http:// in --target-url, or another port",
            Self::Incompatible => "the server must speak TLS 1.2 or 1.3 with a modern cipher, and HTTP/1.1",
            Self::WantsCertificate => "provide a client certificate that it trusts with --cert and --key",
            Self::ClosedInHandshake => "check the server's log; does it expect TLS there?",
            Self::Stalled => "check the server's load; does it expect TLS there?",
            Self::BrokenRecord => "the server, or something in between, corrupts the data",
            Self::Proxy => "ask its administrator, or remove --http-proxy",
            Self::Refused | Self::Other => "check the server's log",
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(why) => Self::of_certificate(why),
            Error::InvalidMessage(_) => Self::NotTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied => Self::WantsCertificate,
                AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity
                | AlertDescription::HandshakeFailure
                | AlertDescription::NoApplicationProtocol => Self::Incompatible,
                _ => Self::Refused,
            },
            Error::DecryptError
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. } => Self::BrokenRecord,
            _ => Self::Other,
        }
    }

    fn of_certificate(why: &CertificateError) -> Self {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            // The signature is wrong if the issuer has the name of a known authority, but another
            // key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::Other(other) if other.0.is::<NotInFile>() => Self::UnknownIssuer,
            // A self-signed authority that is itself the server's certificate: `openssl req -x509`
            // makes such certificates.
            CertificateError::Other(_) if format!("{why:?}").contains("CaUsedAsEndEntity") => Self::UnknownIssuer,
            _ => Self::BadCertificate,
        }
    }
}

/// Returns true if a certificate was refused because it leads to no trusted authority.
pub(super) fn lacks_authority(why: &CertificateError) -> bool {
    TlsFailure::of_certificate(why) == TlsFailure::UnknownIssuer
}

/// The certificate is not in the trust store that the user has chosen.
#[derive(Debug)]
pub(super) struct NotInFile;

impl fmt::Display for NotInFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither it nor the authority that signed it is in the file of --cacert")
    }
}

impl std::error::Error for NotInFile {}

/// A failed session, as an error of the socket.
#[derive(Debug)]
struct Failed {
    failure: TlsFailure,
    detail: String,
    advice: &'static str,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS: {}", self.failure.name())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        write!(f, "; {}", self.advice)
    }
}

impl std::error::Error for Failed {}

/// Returns the TLS failure behind an error; `None` if the error is not from TLS.
pub fn tls_failure(error: &io::Error) -> Option<TlsFailure> {
    error.get_ref()?.downcast_ref::<Failed>().map(|failed| failed.failure)
}

pub(in crate::net) fn failed(failure: TlsFailure, detail: &str) -> io::Error {
    io::Error::other(Failed { failure, detail: detail.to_owned(), advice: failure.advice() })
}

pub(in crate::net) fn failed_by(error: &Error) -> io::Error {
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error
        && let Some(not_in_file) = other.0.downcast_ref::<NotInFile>()
    {
        // `--cacert` is not advised: the user has already given it.
        let advice = "add one of them to that file, or test without checking it with --insecure";
        return io::Error::other(Failed {
            failure: TlsFailure::UnknownIssuer,
            detail: not_in_file.to_string(),
            advice,
        });
    }
    failed(TlsFailure::of(error), &error.to_string())
}
