//! How servers behind TLS are trusted.

use clap::Args;

/// How servers behind TLS are trusted.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Trust the CA certificates in FILE instead of the built-in roots.
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,
    /// Trust the system's CA certificates instead of the built-in roots.
    #[arg(long)]
    native_roots: bool,
    /// Do not verify certificates.
    #[arg(long)]
    insecure: bool,
    /// Present the certificate in FILE to servers that ask for one.
    #[arg(long, value_name = "FILE")]
    cert: Option<String>,
    /// Read the private key of --cert from FILE.
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// Resume TLS sessions when reconnecting: on, off [default: on].
    #[arg(long, value_name = "WHEN")]
    tls_resume: Option<String>,
}
