//! The parts that all requests to a target have in common, and secrets that are never shown.

use std::fmt;

/// The parts that all requests to a target have in common. Headers often carry keys, so only their
/// names are ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Value of the `Host` header.
    pub host: String,
    /// Scheme, host and port before the path, for a proxy that learns the destination from each
    /// request. Usually empty.
    pub origin: String,
    /// Prefix of every path, without a trailing slash. Usually empty.
    pub path_prefix: String,
    /// Query of every request. Usually empty. Never printed: it may contain a key.
    pub query: String,
    /// Never printed.
    pub api_key: Option<Secret>,
    /// How the key is sent.
    pub key_as: KeyAs,
    /// User and password, sent as `Authorization: Basic …` (RFC 7617). Never printed.
    pub basic_auth: Option<Secret>,
    /// Extra headers of every request. A header of the same name that we would send is replaced.
    pub headers: Vec<(String, String)>,
}

/// How a request carries its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyAs {
    /// In the way that the API expects.
    #[default]
    OfApi,
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// As `Authorization: Basic …` (RFC 7617). The key is user and password.
    Basic,
    /// As the value of this header.
    Header(String),
    /// As this parameter of the query.
    Query(String),
    /// The key is not sent. It signs each request, as AWS expects (Signature Version 4). The key is
    /// `ID:SECRET` or `ID:SECRET:TOKEN`.
    SigV4 {
        /// For example `bedrock`.
        service: String,
        /// For example `us-east-1`.
        region: String,
    },
}

/// A text that is sent but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, so that it is not printed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Envelope")
            .field("host", &self.host)
            .field("origin", &self.origin)
            .field("path_prefix", &self.path_prefix)
            .field("api_key", &self.api_key)
            .field("basic_auth", &self.basic_auth)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
