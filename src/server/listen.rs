//! Addresses that a server listens on, and addresses to reach it.

use super::ServerError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// Resolves `host` and `port` for a server that will listen there. `localhost` is the IPv4
/// loopback, which exists everywhere.
pub(crate) fn listen_address(host: &str, port: u16) -> Result<SocketAddr, ServerError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::from((ip, port)));
    }
    let bad = |reason: String| ServerError::BadHost { host: host.to_owned(), reason };
    let mut found = (bare, port).to_socket_addrs().map_err(|e| bad(e.to_string()))?;
    found.next().ok_or_else(|| bad("it has no address".to_owned()))
}

/// Returns the address to reach a server that listens on `listen`. The unspecified address includes
/// the loopback.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Returns an address whose port is free now: the requested one, or one with another port if that
/// is allowed.
pub(crate) fn free_address(wished: SocketAddr, any_port: bool) -> Result<SocketAddr, ServerError> {
    let error = match TcpListener::bind(wished).and_then(|l| l.local_addr()) {
        Ok(addr) => return Ok(addr),
        Err(error) => error,
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse if any_port => TcpListener::bind(SocketAddr::new(wished.ip(), 0))
            .and_then(|l| l.local_addr())
            .map_err(|source| ServerError::CannotListen { addr: wished, source }),
        std::io::ErrorKind::AddrInUse => Err(ServerError::PortTaken { addr: wished }),
        _ => Err(ServerError::CannotListen { addr: wished, source: error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_addresses() {
        for (host, address) in [
            ("localhost", "127.0.0.1:80"),
            ("LOCALHOST", "127.0.0.1:80"),
            ("0.0.0.0", "0.0.0.0:80"),
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
        ] {
            assert_eq!(listen_address(host, 80).unwrap().to_string(), address, "{host}");
        }
        let error = listen_address("no such host", 80).unwrap_err().to_string();
        assert!(error.contains("--host") && error.contains("no such host"), "{error}");
    }

    #[test]
    fn every_address_is_reached_by_the_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("127.0.0.2:3", "127.0.0.2:3"),
            ("[::1]:4", "[::1]:4"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }

    #[test]
    fn a_taken_port_is_an_error_or_leads_to_another() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        let error = free_address(taken, false).unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("--port"), "{error}");
        let other = free_address(taken, true).unwrap();
        assert_ne!(other.port(), taken.port());
        assert_eq!(other.ip(), taken.ip());
        drop(holder);
        assert_eq!(free_address(taken, false).unwrap(), taken);
    }

    #[test]
    fn an_address_of_another_machine_cannot_be_listened_on() {
        // TEST-NET-1 (RFC 5737) belongs to nobody.
        let error = free_address("192.0.2.1:80".parse().unwrap(), true).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1") && error.contains("--host"), "{error}");
    }
}
