//! How connections are made and kept.

use clap::Args;

/// How connections are made and kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections")]
pub(crate) struct ConnectionArgs {
    /// Connect to ADDR for HOST:PORT instead of resolving HOST (repeatable).
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    resolve: Vec<String>,
    /// Connect to the second host and port instead of the first (repeatable).
    #[arg(long, value_name = "H:P:H:P")]
    connect_to: Vec<String>,
    /// Re-resolve host names every D [default: once, before the test].
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    dns_ttl: Option<String>,
    /// Connect to the Unix domain socket at PATH.
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<String>,
    /// Connect from these local addresses, in turn.
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    source_ip: Vec<String>,
    /// Open at most N connections per second.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    connect_rate: Option<String>,
    /// Close each connection after N requests.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_requests_per_connection: Option<String>,
    /// Open a new connection for every request.
    #[arg(long)]
    disable_keepalive: bool,
    /// Connect through this HTTP proxy. Proxy variables of the environment, such
    /// as `HTTP_PROXY`, are ignored.
    #[arg(long, value_name = "URL")]
    http_proxy: Option<String>,
}
