//! Resolves names to addresses.

use super::access::Access;
use super::target::Target;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

/// How long a family of addresses that responds waits for the other (the "Connection Attempt Delay"
/// of RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Longest wait for the first of the two families. If neither has responded by then, both are kept:
/// the family is not the cause.
const FAMILY_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the addresses to connect to for a target: those of its pins, of its detour, of the
/// proxy, or of its own name. Asks the resolver, which may be slow: no worker ever waits for this
/// function.
pub fn look_up(target: &Target, access: &Access) -> io::Result<Vec<SocketAddr>> {
    if access.unix_socket.is_some() {
        return Ok(Vec::new());
    }
    if let Some(proxy) = &access.proxy {
        return pinned_or_resolved(&proxy.host, proxy.port, access);
    }
    let (host, port) = redirected(&target.host, target.port, access);
    pinned_or_resolved(host, port, access)
}

/// Returns the host and port to connect to: the first matching detour decides.
fn redirected<'a>(host: &'a str, port: u16, access: &'a Access) -> (&'a str, u16) {
    let fits = |from: &str, from_port: Option<u16>| {
        (from.is_empty() || from.eq_ignore_ascii_case(host)) && from_port.is_none_or(|from| from == port)
    };
    match access.detours.iter().find(|detour| fits(&detour.from_host, detour.from_port)) {
        Some(detour) => {
            let host = if detour.to_host.is_empty() { host } else { &detour.to_host };
            (host, detour.to_port.unwrap_or(port))
        }
        None => (host, port),
    }
}

fn pinned_or_resolved(host: &str, port: u16, access: &Access) -> io::Result<Vec<SocketAddr>> {
    let fits = |pinned: &str| pinned == "*" || pinned.eq_ignore_ascii_case(host);
    let pins = access.pins.iter().filter(|pin| pin.port == port && fits(&pin.host));
    let pinned: Vec<SocketAddr> = pins.map(|pin| SocketAddr::new(pin.addr, port)).collect();
    if !pinned.is_empty() {
        return Ok(pinned);
    }
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for addr in (host, port).to_socket_addrs()? {
        // Resolvers return an address twice if their files list it twice.
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addrs)
}

/// Drops the addresses of a family that does not respond while the other does, and returns the name
/// of that family. A machine without IPv6, or a name with a stale record, would otherwise lose
/// every second connection.
pub fn drop_dead_family(addrs: &mut Vec<SocketAddr>) -> Option<&'static str> {
    let (v6, v4): (Vec<SocketAddr>, Vec<SocketAddr>) = addrs.iter().partition(|addr| addr.is_ipv6());
    if v6.is_empty() || v4.is_empty() {
        return None;
    }
    let (answer, answers) = mpsc::channel();
    for (is_v6, family) in [(true, v6), (false, v4)] {
        let answer = answer.clone();
        // The thread is not joined: its own time limit ends it, and nothing waits for it.
        std::thread::spawn(move || {
            let alive = family.iter().any(|addr| TcpStream::connect_timeout(addr, FAMILY_TIMEOUT).is_ok());
            // The receiver may have stopped waiting.
            let _ = answer.send((is_v6, alive));
        });
    }
    drop(answer);
    let (is_v6, alive) = answers.recv_timeout(FAMILY_TIMEOUT).ok()?;
    let other_is_alive = if alive {
        answers.recv_timeout(HEAD_START).is_ok_and(|(_, alive)| alive)
    } else {
        // The first family refused the connection. The other decides, within its own time limit.
        answers.recv_timeout(FAMILY_TIMEOUT).is_ok_and(|(_, alive)| alive)
    };
    let dead_is_v6 = match (alive, other_is_alive) {
        (true, true) | (false, false) => return None,
        (true, false) => !is_v6,
        (false, true) => is_v6,
    };
    addrs.retain(|addr| addr.is_ipv6() != dead_is_v6);
    Some(if dead_is_v6 { "IPv6" } else { "IPv4" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::access::{Detour, Pin};
    use std::net::TcpListener;

    fn target(url: &str) -> Target {
        Target::parse(url).expect("a URL")
    }

    fn detour(from_host: &str, from_port: Option<u16>, to_host: &str, to_port: Option<u16>) -> Detour {
        Detour { from_host: from_host.to_owned(), from_port, to_host: to_host.to_owned(), to_port }
    }

    #[test]
    fn pins_stand_for_what_the_resolver_says() {
        let pin =
            |host: &str, port, addr: &str| Pin { host: host.to_owned(), port, addr: addr.parse().expect("an address") };
        let pins =
            vec![pin("API.example", 443, "127.0.0.7"), pin("api.example", 443, "::1"), pin("*", 80, "127.0.0.9")];
        let access = Access { pins, ..Access::default() };
        let found =
            |url| look_up(&target(url), &access).map(|addrs| addrs.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found("https://api.example").expect("pinned"), ["127.0.0.7:443", "[::1]:443"]);
        assert_eq!(found("http://anything.invalid").expect("pinned"), ["127.0.0.9:80"]);
        assert!(found("http://anything.invalid:81").is_err());
    }

    #[test]
    fn a_detour_changes_where_connections_go() {
        let detours = vec![
            detour("a.invalid", Some(443), "127.0.0.1", Some(8443)),
            detour("b.invalid", None, "127.0.0.2", None),
            detour("", Some(99), "", Some(100)),
        ];
        let access = Access { detours, ..Access::default() };
        let found = |url| look_up(&target(url), &access).ok().map(|addrs| addrs[0].to_string());
        assert_eq!(found("https://a.invalid").as_deref(), Some("127.0.0.1:8443"));
        assert_eq!(found("http://b.invalid:81").as_deref(), Some("127.0.0.2:81"));
        assert_eq!(found("http://127.0.0.3:99").as_deref(), Some("127.0.0.3:100"));
        assert_eq!(found("http://127.0.0.3:98").as_deref(), Some("127.0.0.3:98"));
        assert_eq!(found("https://a.invalid:444"), None);
    }

    #[test]
    fn a_family_that_does_not_answer_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let here = SocketAddr::from(([127, 0, 0, 1], port));
        // 100::/64 is for discarding (RFC 6666): refused or swallowed, and never connected.
        let nowhere: SocketAddr = format!("[100::1]:{port}").parse().expect("an address");
        let mut addrs = vec![nowhere, here];
        assert_eq!(drop_dead_family(&mut addrs), Some("IPv6"));
        assert_eq!(addrs, [here]);
        let mut one_family = vec![here];
        assert_eq!(drop_dead_family(&mut one_family), None);
        assert_eq!(one_family, [here]);
    }
}
