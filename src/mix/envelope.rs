//! What every request to a target has in common, and texts that are never shown.

use std::fmt;

/// What every request to a target has in common. Headers often carry keys, so that only their names
/// are ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Value of the `Host` header.
    pub host: String,
    /// Scheme, host and port before the path, for a proxy that is told in each request where to go;
    /// usually empty.
    pub origin: String,
    /// Prefix of every path, without a trailing slash; usually empty.
    pub path_prefix: String,
    /// Query of every request; usually empty. Never printed: it may hold a key.
    pub query: String,
    /// Never printed.
    pub api_key: Option<Secret>,
    /// How that key is sent.
    pub key_as: KeyAs,
    /// User and password, sent as `Authorization: Basic …` (RFC 7617). Never printed.
    pub basic_auth: Option<Secret>,
    /// Extra headers of every request; one with a name of ours replaces ours.
    pub headers: Vec<(String, String)>,
}

/// How a request carries its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyAs {
    /// As the API expects it.
    #[default]
    OfApi,
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617): the key is user and password.
    Basic,
    /// As the value of this header.
    Header(String),
    /// As this parameter of the query.
    Query(String),
    /// It is not sent: each request is signed with it, as AWS expects (Signature Version 4). The key
    /// is `ID:SECRET` or `ID:SECRET:TOKEN`.
    SigV4 {
        /// Such as `bedrock`.
        service: String,
        /// Such as `us-east-1`.
        region: String,
    },
}

/// A text that is sent and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
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
