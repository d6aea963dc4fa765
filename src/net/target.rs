//! The URL of a target, as users write it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Port of a URL that does not name one.
const HTTP_PORT: u16 = 80;
/// The same for https.
const HTTPS_PORT: u16 = 443;

/// Longest URL that is read: beyond the longest request target that any server accepts.
const MAX_URL: usize = 2048;

/// Longest name of a network interface on Linux (`IFNAMSIZ` less the terminating zero).
const MAX_ZONE: usize = 15;

/// Longest name of a host (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// The target of a test: where to connect, and how the URL spelled it. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as given, without credentials or a trailing slash.
    pub url: String,
    /// True if it is reached through TLS: the scheme is https.
    pub tls: bool,
    /// Name or address, without brackets. A link-local IPv6 address may have a zone:
    /// `fe80::1%eth0`.
    pub host: String,
    pub port: u16,
    /// Prefix of every path, without a trailing slash; usually empty.
    pub path_prefix: String,
    /// Query of every request, without its question mark; usually empty. It may hold a key, and is
    /// not part of `url`.
    pub query: String,
    /// Resolved addresses, used in turn; empty until they are looked up.
    pub addrs: Vec<SocketAddr>,
}

/// The error in a text that is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No scheme, or an unsupported one.
    #[error("`{0}` is not a URL: expected one like http://127.0.0.1:8080 or https://HOST")]
    Scheme(String),
    /// A socket's path where a URL belongs.
    #[error("a socket is not a URL: name it with --unix-socket PATH, beside a URL like http://localhost")]
    UnixSocket,
    /// A user or password in the URL. It is not repeated in the message.
    #[error("the URL contains credentials, which are not sent: send a key with --api-key-file or a header")]
    Credentials,
    /// No host, or one that cannot be a name or an address.
    #[error("`{0}` is not a host: expected a name, an IPv4 address, or an IPv6 address (in brackets within a URL)")]
    Host(String),
    #[error("`{0}` is not a port: expected a number from 1 to 65535")]
    Port(String),
    /// A path that cannot be a prefix. It is not repeated in the message: it may hold a key.
    #[error("the URL's path cannot be a prefix: expected a path without a fragment or spaces, such as /proxy")]
    Path,
    #[error("the URL is longer than {MAX_URL} bytes")]
    TooLong,
}

impl Target {
    /// Reads `http://host[:port][/prefix]`, or the same with https. A trailing slash is dropped.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let url = url.trim();
        if url.len() > MAX_URL {
            return Err(TargetError::TooLong);
        }
        // This check comes first: no message may repeat a password.
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = &after_scheme[..after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len())];
        if authority.contains('@') {
            return Err(TargetError::Credentials);
        }
        // A path and a query may hold a key, and the text before an `@` is a password anywhere.
        let scheme_error = || {
            let shown = &url[..url.len() - after_scheme.len() + authority.len()];
            if url.contains('@') { TargetError::Credentials } else { TargetError::Scheme(harmless(shown)) }
        };
        if ["unix:", "http+unix:", "/"].iter().any(|start| url.starts_with(start)) {
            return Err(TargetError::UnixSocket);
        }
        let (scheme, _) = url.split_once("://").ok_or_else(scheme_error)?;
        let (scheme, tls) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", false),
            "https" => ("https", true),
            _ => return Err(scheme_error()),
        };
        // A password may contain a slash, and the `@` follows it. An apparent port is then part of
        // the password.
        let hidden = |error| if after_scheme.contains('@') { TargetError::Credentials } else { error };
        let (host, port) = split_authority(authority).map_err(hidden)?;
        let port = match port {
            Some(port) => parse_port(port).map_err(hidden)?,
            None if tls => HTTPS_PORT,
            None => HTTP_PORT,
        };
        let (path_prefix, query) = parse_path(&after_scheme[authority.len()..]).map_err(hidden)?;
        Ok(Self {
            url: format!("{scheme}://{authority}{path_prefix}"),
            tls,
            host,
            port,
            path_prefix,
            query,
            addrs: Vec::new(),
        })
    }

    /// Returns host and port in the form of a `Host` header: brackets around an IPv6 address, and
    /// the port unless it is the scheme's own (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let host = self.bare_host();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if self.port == self.usual_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns the host without its zone, which is valid on this machine only (RFC 6874, section
    /// 1).
    pub fn bare_host(&self) -> &str {
        self.host.split_once('%').map_or(&self.host, |(host, _)| host)
    }

    /// Returns scheme, host and port in the form of a request line to a proxy (RFC 9112, section
    /// 3.2.2).
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// Returns the default port of its scheme.
    const fn usual_port(&self) -> u16 {
        if self.tls { HTTPS_PORT } else { HTTP_PORT }
    }

    /// Creates a target from a port and a host: a name or an address, an IPv6 address with or
    /// without brackets.
    pub fn from_parts(host: &str, port: u16) -> Result<Self, TargetError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match with_zone(bare) {
            Some(_) => Self::parse(&format!("http://[{bare}]:{port}")),
            None if host.contains('@') => Err(TargetError::Credentials),
            None if host.contains([':', '/', '?', '#']) => {
                Err(TargetError::Host(harmless(host.split(['/', '?', '#']).next().unwrap_or_default())))
            }
            None => Self::parse(&format!("http://{host}:{port}")),
        }
    }

    /// Returns true if the host is literally this machine: a server is started only there.
    pub fn is_this_machine(&self) -> bool {
        match self.bare_host().parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_unspecified(),
            Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unspecified(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Splits an authority into the host without brackets, and the text of the port if there is one.
fn split_authority(authority: &str) -> Result<(String, Option<&str>), TargetError> {
    let bad = || TargetError::Host(harmless(authority));
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(bad)?;
        let host = with_zone(address).ok_or_else(bad)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad()),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let plausible = (1..=MAX_HOST).contains(&host.len())
        && !host.starts_with(['.', '-'])
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if plausible { Ok((host.to_owned(), port)) } else { Err(TargetError::Host(harmless(host))) }
}

/// Reads an IPv6 address with an optional zone: `fe80::1%25eth0` as in RFC 6874, or `fe80::1%eth0`
/// as users write it.
fn with_zone(address: &str) -> Option<String> {
    let (ip, zone) = match address.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone))),
        None => (address, None),
    };
    ip.parse::<Ipv6Addr>().ok()?;
    match zone {
        None => Some(ip.to_owned()),
        Some(zone) => {
            let plausible = (1..=MAX_ZONE).contains(&zone.len())
                && zone.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            plausible.then(|| format!("{ip}%{zone}"))
        }
    }
}

/// Reads a port from 1 on, in digits only.
fn parse_port(text: &str) -> Result<u16, TargetError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().unwrap_or(0) } else { 0 };
    if port == 0 { Err(TargetError::Port(harmless(text))) } else { Ok(port) }
}

/// Splits a path into the prefix of every path, without its trailing slash, and the query of every
/// path.
fn parse_path(path: &str) -> Result<(String, String), TargetError> {
    let (before, query) = path.split_once('?').unwrap_or((path, ""));
    if path.bytes().any(|b| !b.is_ascii_graphic() || b == b'#') {
        return Err(TargetError::Path);
    }
    Ok((before.trim_end_matches('/').to_owned(), query.to_owned()))
}

/// Returns a part of a URL in a form that messages may repeat.
fn harmless(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    #[test]
    fn urls_as_people_write_them() {
        for (text, url, host, port, prefix) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1", 8080, ""),
            ("http://localhost", "http://localhost", "localhost", 80, ""),
            (" HTTP://example.com/ ", "http://example.com", "example.com", 80, ""),
            ("http://[::1]:9000/proxy/", "http://[::1]:9000/proxy", "::1", 9000, "/proxy"),
            ("http://[2001:db8::1]", "http://[2001:db8::1]", "2001:db8::1", 80, ""),
            ("http://my_host-1.example:1/a/b", "http://my_host-1.example:1/a/b", "my_host-1.example", 1, "/a/b"),
            ("http://host:65535/a@b", "http://host:65535/a@b", "host", 65535, "/a@b"),
            ("https://host", "https://host", "host", 443, ""),
            ("http://[fe80::1%25eth0]:80", "http://[fe80::1%25eth0]:80", "fe80::1%eth0", 80, ""),
            ("http://[fe80::1%eth0]", "http://[fe80::1%eth0]", "fe80::1%eth0", 80, ""),
            ("http://[fe80::1%2]", "http://[fe80::1%2]", "fe80::1%2", 80, ""),
            ("http://[fe80::1%25]", "http://[fe80::1%25]", "fe80::1%25", 80, ""),
            ("HTTPS://host:80/v1/", "https://host:80/v1", "host", 80, "/v1"),
        ] {
            let target = target(text);
            assert_eq!((target.url.as_str(), target.host.as_str()), (url, host), "{text}");
            assert_eq!((target.port, target.path_prefix.as_str()), (port, prefix), "{text}");
            assert!(target.addrs.is_empty());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let long = format!("http://h/{}", "a".repeat(MAX_URL));
        let long_host = format!("http://{}", "a".repeat(MAX_HOST + 1));
        for (text, expected) in [
            ("", "expected one like http://"),
            ("localhost:8080", "expected one like http://"),
            ("ftp://host", "expected one like http://"),
            ("https://", "is not a host"),
            ("httpss://host", "expected one like http://"),
            ("unix:/run/vllm.sock", "--unix-socket PATH"),
            ("http+unix://%2Frun%2Fvllm.sock", "--unix-socket PATH"),
            ("/run/vllm.sock", "--unix-socket PATH"),
            ("http://", "is not a host"),
            ("http://:8080", "is not a host"),
            ("http://a b", "is not a host"),
            ("http://höst", "is not a host"),
            ("http://-a", "is not a host"),
            ("http://::1", "is not a host"),
            ("http://[::1", "is not a host"),
            ("http://[::1]x", "is not a host"),
            ("http://[nonsense]:1", "is not a host"),
            ("http://[fe80::1%]", "is not a host"),
            ("http://[fe80::1%25a b]", "is not a host"),
            ("http://[fe80::1%aaaaaaaaaaaaaaaa]", "is not a host"),
            ("http://host%eth0", "is not a host"),
            ("http://a\r\nb", "is not a host"),
            ("http://h:", "is not a port"),
            ("http://h:0", "is not a port"),
            ("http://h:65536", "is not a port"),
            ("http://h:+80", "is not a port"),
            ("http://h:8x", "is not a port"),
            ("http://h:1:2", "is not a port"),
            ("http://h/#f", "without a fragment"),
            ("http://h/a?b#f", "without a fragment"),
            ("http://h/a b", "without a fragment"),
            ("http://h/a?b c", "without a fragment"),
            ("http://h/a\r\nb", "without a fragment"),
            (long.as_str(), "longer than"),
            (long_host.as_str(), "is not a host"),
        ] {
            let error = Target::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_refused_and_never_repeated() {
        for text in [
            "http://user:hunter2@host/",
            "https://user:hunter2@host",
            "user:hunter2@host:8080",
            "http://user:hunter2/x@host",
            "ftp:user:hunter2/x@host",
            "ftp://user:hunter2/x@host",
            "http://h/ user:hunter2@host",
        ] {
            let error = Target::parse(text).expect_err(text);
            assert_eq!(error, TargetError::Credentials);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_query_is_kept_apart_and_never_repeated() {
        for (url, shown, prefix, query) in [
            ("http://h/a?b=c", "http://h/a", "/a", "b=c"),
            ("http://h/a/?b=c&d=e?f", "http://h/a", "/a", "b=c&d=e?f"),
            ("http://h?b", "http://h", "", "b"),
            ("http://h/?", "http://h", "", ""),
        ] {
            let target = target(url);
            let parts = (target.url.as_str(), target.path_prefix.as_str(), target.query.as_str());
            assert_eq!(parts, (shown, prefix, query), "{url}");
        }
        for url in [
            "http://h/a?key=hunter2 b",
            "ftp://h/a?key=hunter2",
            "h/a?key=hunter2",
            "http://h:x?hunter2",
            "http://h/hunter2/a b",
            "htp://h/hunter2/v1",
            "h:80/hunter2/v1",
        ] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = Target::from_parts("h/hunter2", 80).expect_err("no host").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_schemes_own_port_is_not_repeated() {
        for (url, authority) in [
            ("http://h", "h"),
            ("http://h:443", "h:443"),
            ("https://h", "h"),
            ("https://h:443", "h"),
            ("https://h:80", "h:80"),
            ("https://[::1]", "[::1]"),
            ("http://[fe80::1%25eth0]:81", "[fe80::1]:81"),
        ] {
            assert_eq!(target(url).authority(), authority, "{url}");
        }
        assert_eq!(target("https://h:8443/x").origin(), "https://h:8443");
        assert!(target("https://h").tls && !target("http://h").tls);
    }

    #[test]
    fn a_host_and_a_port_make_a_target() {
        for (host, url) in [
            ("localhost", "http://localhost:8080"),
            ("192.0.2.7", "http://192.0.2.7:8080"),
            ("::1", "http://[::1]:8080"),
            ("[::1]", "http://[::1]:8080"),
        ] {
            assert_eq!(Target::from_parts(host, 8080).map(|t| t.url), Ok(url.to_owned()), "{host}");
        }
        assert_eq!(Target::from_parts("user:hunter2@h", 80), Err(TargetError::Credentials));
        for host in ["", "http://h", "h:80", "h/x", "a b"] {
            assert!(matches!(Target::from_parts(host, 8080), Err(TargetError::Host(_))), "{host}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_this_machine() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "[::1]", "0.0.0.0", "[::]"] {
            assert!(target(&format!("http://{host}:1")).is_this_machine(), "{host}");
        }
        for host in [
            "example.com",
            "192.0.2.1",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "[2001:db8::1]",
            "192.0.2.128",
        ] {
            assert!(!target(&format!("http://{host}:1")).is_this_machine(), "{host}");
        }
    }
}
