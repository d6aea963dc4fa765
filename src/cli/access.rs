//! The flags about how targets are reached, as typed.

use super::{Environment, Sources, environment_name};
use crate::mix::Secret;
use crate::plan::{AccessOverrides, Sourced};
use clap::Args;

/// How targets are reached, as typed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AccessArgs {
    /// File of the certificates to believe, instead of the built-in ones.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    cacert: Option<String>,
    /// Believe the system's certificates instead of the built-in ones.
    #[arg(long, help_heading = "TLS")]
    native_roots: bool,
    /// Do not check certificates.
    #[arg(long, help_heading = "TLS")]
    insecure: bool,
    /// File of our own certificate, for servers that ask for one.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    cert: Option<String>,
    /// File of its private key.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    key: Option<String>,
    /// Resume earlier sessions when reconnecting: on, off [on].
    #[arg(long, value_name = "WHEN", help_heading = "TLS")]
    tls_resume: Option<String>,

    /// Address of a host (repeatable), instead of asking the resolver.
    #[arg(long, value_name = "HOST:PORT:ADDR", help_heading = "Connections")]
    resolve: Vec<String>,
    /// Connect elsewhere (repeatable): host and port, then the other's.
    #[arg(long, value_name = "H:P:H:P", help_heading = "Connections")]
    connect_to: Vec<String>,
    /// Look names up again that often [once, before the test].
    #[arg(long, value_name = "D", help_heading = "Connections", allow_hyphen_values = true)]
    dns_ttl: Option<String>,
    /// Connect to a socket in the file system.
    #[arg(long, value_name = "PATH", help_heading = "Connections")]
    unix_socket: Option<String>,
    /// Addresses of this machine to connect from, in turn.
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', help_heading = "Connections")]
    source_ip: Vec<String>,
    /// Begin at most N connections per second.
    #[arg(long, value_name = "N", help_heading = "Connections", allow_negative_numbers = true)]
    connect_rate: Option<String>,
    /// Close connections after N requests.
    #[arg(long, value_name = "N", help_heading = "Connections", allow_negative_numbers = true)]
    max_requests_per_connection: Option<String>,
    /// A new connection for every request.
    #[arg(long, help_heading = "Connections")]
    disable_keepalive: bool,
    /// Proxy for all connections; never taken from the usual environment names.
    #[arg(long, value_name = "URL", help_heading = "Connections")]
    http_proxy: Option<String>,
    /// File with USER:PASSWORD for basic authorisation, never shown.
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    basic_auth_file: Option<String>,

    /// Print a request of each kind, keys hidden, and send nothing.
    #[arg(long, help_heading = "Output")]
    dump_request: bool,
    /// Send N requests before the test and print their answers, keys hidden.
    #[arg(long, value_name = "N", help_heading = "Output", allow_negative_numbers = true)]
    debug_response: Option<String>,
}

impl AccessArgs {
    /// As typed → as the plan wants it. `target_urls` are those beside the first.
    pub(crate) fn overrides(&self, environment: &Environment<'_>) -> AccessOverrides {
        let from = Sources { environment };
        let basic_auth = from.environment(&environment_name("basic-auth"));
        AccessOverrides {
            more_target_urls: Vec::new(),
            cacert: from.one("cacert", self.cacert.as_ref()),
            native_roots: from.yes("native-roots", self.native_roots),
            insecure: from.yes("insecure", self.insecure),
            cert: from.one("cert", self.cert.as_ref()),
            key: from.one("key", self.key.as_ref()),
            tls_resume: from.one("tls-resume", self.tls_resume.as_ref()),
            resolve: from.many("resolve", &self.resolve, ' '),
            connect_to: from.many("connect-to", &self.connect_to, ' '),
            unix_socket: from.one("unix-socket", self.unix_socket.as_ref()),
            dns_ttl: from.one("dns-ttl", self.dns_ttl.as_ref()),
            source_ips: from.many("source-ip", &self.source_ip, ','),
            connect_rate: from.one("connect-rate", self.connect_rate.as_ref()),
            max_requests_per_connection: from
                .one("max-requests-per-connection", self.max_requests_per_connection.as_ref()),
            disable_keepalive: from.yes("disable-keepalive", self.disable_keepalive),
            http_proxy: from.one("http-proxy", self.http_proxy.as_ref()),
            basic_auth_file: from.one("basic-auth-file", self.basic_auth_file.as_ref()),
            basic_auth: basic_auth.map(|given| Sourced { value: Secret::new(given.value), origin: given.origin }),
            dump_request: from.yes("dump-request", self.dump_request),
            debug_response: from.one("debug-response", self.debug_response.as_ref()),
        }
    }
}
