//! Opens connections one after another: to all targets and all their addresses in turn, from all
//! sources in turn.

use super::access::Access;
use super::call::Endpoint;
use super::socket::Socket;
use super::stream::{Secured, Stream};
use super::target::Target;
use super::tls::{Client, Name, TlsConfigError};
use super::tunnel::Tunnel;
use mio::{Registry, Token};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The target and address of a connection. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub target: u16,
    /// The number of the address, see [`Dialer::addr`]. The largest number means no address.
    pub addr: u16,
}

/// Means no address: a socket in the file system, or a target without addresses.
const NOWHERE: u16 = u16::MAX;

/// Opens connections. Each worker has its own.
#[derive(Debug)]
pub struct Dialer {
    to_targets: Vec<TargetRoute>,
    turn: usize,
    /// All addresses that were ever used. Connections remember only the index.
    known: Vec<SocketAddr>,
    sources: Vec<IpAddr>,
    source_turn: usize,
    unix_socket: Option<PathBuf>,
    /// Host and port of the proxy, for messages.
    proxy: Option<String>,
    /// Only if a target needs it.
    tls: Option<Client>,
}

/// The settings that all connections to one target share.
#[derive(Debug)]
struct TargetRoute {
    /// The numbers of its addresses.
    addrs: Vec<u16>,
    turn: usize,
    /// The name that its certificate must be for; `None` without TLS.
    name: Option<Name>,
    /// The authority of the tunnel that a proxy is asked for.
    tunnel_to: Option<String>,
}

impl Dialer {
    /// Creates a dialer that begins with the `nth` connection in the order of targets and
    /// addresses, so that workers begin at different ones. `connections` is how many it will have
    /// at once.
    pub fn new<'a>(
        targets: impl IntoIterator<Item = &'a Target>,
        access: &Access,
        nth: usize,
        connections: usize,
    ) -> Result<Self, TlsConfigError> {
        let mut known = Vec::new();
        let to_target = |target: &Target| {
            let name = if target.tls { Some(Name::new(target.bare_host())?) } else { None };
            // A proxy needs the port spelled out (RFC 9110, section 9.3.6).
            let port = target.port;
            let host = bracketed(target.bare_host());
            let tunnel_to = (target.tls && access.proxy.is_some()).then(|| format!("{host}:{port}"));
            Ok::<_, TlsConfigError>(TargetRoute { addrs: numbers(&target.addrs, &mut known), turn: 0, name, tunnel_to })
        };
        let mut to_targets = targets.into_iter().map(to_target).collect::<Result<Vec<_>, _>>()?;
        let of = to_targets.len().max(1);
        for (k, to_target) in to_targets.iter_mut().enumerate() {
            // As if `nth` connections had been opened already.
            to_target.turn = nth / of + usize::from(k < nth % of);
        }
        let tls = if to_targets.iter().any(|to_target| to_target.name.is_some()) {
            Some(Client::new(&access.tls, connections)?)
        } else {
            None
        };
        let unix_socket = access.unix_socket.clone();
        let proxy = access.proxy.as_ref().map(|proxy| format!("{}:{}", bracketed(&proxy.host), proxy.port));
        Ok(Self {
            to_targets,
            turn: nth,
            known,
            sources: access.sources.clone(),
            source_turn: nth,
            unix_socket,
            proxy,
            tls,
        })
    }

    /// Returns the route of the next connection.
    pub fn next_route(&mut self) -> Route {
        let target = self.turn % self.to_targets.len().max(1);
        self.turn = self.turn.wrapping_add(1);
        let addr = self.to_targets.get_mut(target).and_then(|to_target| {
            let addr = to_target.addrs.get(to_target.turn % to_target.addrs.len().max(1)).copied();
            to_target.turn = to_target.turn.wrapping_add(1);
            addr
        });
        Route { target: target as u16, addr: addr.filter(|_| self.unix_socket.is_none()).unwrap_or(NOWHERE) }
    }

    /// Returns the address of a route; `None` for a socket in the file system.
    pub fn addr(&self, route: Route) -> Option<SocketAddr> {
        self.known.get(usize::from(route.addr)).copied()
    }

    /// Begins to connect, and registers the socket once for its whole life. A socket that is read
    /// `slowly` has a small receive buffer.
    pub fn dial(&mut self, route: Route, registry: &Registry, token: Token, slowly: bool) -> io::Result<Stream> {
        let socket = match (&self.unix_socket, self.addr(route)) {
            (Some(path), _) => Socket::unix(path, registry, token)?,
            (None, Some(addr)) => Socket::tcp(addr, self.next_source(addr), slowly, registry, token)?,
            (None, None) => return Err(io::Error::new(io::ErrorKind::NotFound, "the target has no address")),
        };
        let Some(to_target) = self.to_targets.get(usize::from(route.target)) else { return Ok(Stream::Plain(socket)) };
        to_target.stream(socket, self.tls.as_ref())
    }

    /// Names the intermediary between us and the targets, for messages: its failures are not
    /// theirs.
    pub fn via(&self) -> Option<String> {
        super::call::via(self.unix_socket.as_deref(), self.proxy.as_deref())
    }

    /// Sets new addresses of the targets, in the order of the targets. A target whose name could
    /// not be looked up keeps its old ones.
    pub fn readdress(&mut self, addrs: Vec<Option<Vec<SocketAddr>>>) {
        for (to_target, addrs) in self.to_targets.iter_mut().zip(addrs) {
            let found = addrs.map(|addrs| numbers(&addrs, &mut self.known)).filter(|found| !found.is_empty());
            to_target.addrs = found.unwrap_or_else(|| std::mem::take(&mut to_target.addrs));
        }
    }

    /// Returns the endpoint of a target, for requests before and after a test.
    pub fn endpoint(&self, target: usize) -> Endpoint<'_> {
        let to_target = self.to_targets.get(target);
        Endpoint {
            addrs: to_target
                .map(|to_target| to_target.addrs.iter().map(|&n| self.known[usize::from(n)]).collect())
                .unwrap_or_default(),
            unix_socket: self.unix_socket.clone(),
            source: self.sources.clone(),
            tls: to_target.and_then(|to_target| self.tls.as_ref().zip(to_target.name.as_ref())),
            tunnel_to: to_target.and_then(|to_target| to_target.tunnel_to.clone()),
            proxy: self.proxy.clone(),
        }
    }

    /// Returns the next source of the address's family.
    fn next_source(&mut self, addr: SocketAddr) -> Option<IpAddr> {
        for _ in 0..self.sources.len() {
            let source = self.sources[self.source_turn % self.sources.len()];
            self.source_turn = self.source_turn.wrapping_add(1);
            if source.is_ipv4() == addr.is_ipv4() {
                return Some(source);
            }
        }
        None
    }
}

/// Puts an IPv6 address in brackets. Any other host is unchanged.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Returns the numbers of `addrs`. New addresses are added while there are numbers: a name whose
/// address changes every second runs out of them after 18 hours, and then keeps its last addresses.
fn numbers(addrs: &[SocketAddr], known: &mut Vec<SocketAddr>) -> Vec<u16> {
    let mut number = |addr: &SocketAddr| match known.iter().position(|other| other == addr) {
        Some(n) => Some(n as u16),
        None if known.len() < usize::from(NOWHERE) => {
            known.push(*addr);
            Some((known.len() - 1) as u16)
        }
        None => None,
    };
    addrs.iter().filter_map(&mut number).collect()
}

impl TargetRoute {
    fn stream(&self, socket: Socket, tls: Option<&Client>) -> io::Result<Stream> {
        let (Some(name), Some(tls)) = (&self.name, tls) else { return Ok(Stream::Plain(socket)) };
        let tunnel = self.tunnel_to.as_deref().map(|authority| Box::new(Tunnel::to(authority)));
        Ok(Stream::Tls(Box::new(Secured { socket, session: tls.session(name)?, tunnel })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, ports: &[u16]) -> Target {
        let addrs = ports.iter().map(|&port| ([127, 0, 0, 1], port).into()).collect();
        Target { addrs, ..Target::parse(url).expect("a URL") }
    }

    fn routes(dialer: &mut Dialer, n: usize) -> Vec<(u16, u16)> {
        let routes: Vec<Route> = (0..n).map(|_| dialer.next_route()).collect();
        routes.into_iter().map(|route| (route.target, dialer.addr(route).map_or(0, |a| a.port()))).collect()
    }

    #[test]
    fn targets_and_their_addresses_are_used_in_turn() {
        let targets = [target("http://a", &[1, 2]), target("http://b", &[7, 8, 9])];
        let mut dialer = Dialer::new(&targets, &Access::default(), 0, 8).expect("a dialer");
        let all = routes(&mut dialer, 8);
        assert_eq!(all, [(0, 1), (1, 7), (0, 2), (1, 8), (0, 1), (1, 9), (0, 2), (1, 7)]);
        // Another worker begins elsewhere in the same order.
        let mut third = Dialer::new(&targets, &Access::default(), 3, 8).expect("a dialer");
        assert_eq!(routes(&mut third, 5), all[3..]);
    }

    #[test]
    fn sources_are_used_in_turn_where_they_fit() {
        let sources = vec!["127.0.0.2".parse().unwrap(), "::1".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        let access = Access { sources, ..Access::default() };
        let mut dialer = Dialer::new(&[target("http://a", &[1])], &access, 0, 8).expect("a dialer");
        let mut from = |addr: &str| dialer.next_source(addr.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(from("127.0.0.1:1").as_deref(), Some("127.0.0.2"));
        assert_eq!(from("127.0.0.1:1").as_deref(), Some("127.0.0.3"));
        assert_eq!(from("[::1]:1").as_deref(), Some("::1"));
        assert_eq!(from("[::1]:1").as_deref(), Some("::1"));
    }

    #[test]
    fn new_addresses_replace_the_old_ones_unless_there_are_none() {
        let targets = [target("http://a", &[1]), target("http://b", &[2])];
        let mut dialer = Dialer::new(&targets, &Access::default(), 0, 8).expect("a dialer");
        dialer.readdress(vec![Some(vec![([127, 0, 0, 1], 5).into()]), None]);
        assert_eq!(routes(&mut dialer, 2), [(0, 5), (1, 2)]);
    }

    #[test]
    fn a_host_that_no_certificate_can_be_for_is_refused() {
        let error = Dialer::new(&[target("https://my_host-", &[1])], &Access::default(), 0, 8).expect_err("refused");
        assert!(error.to_string().contains("my_host-"), "{error}");
    }
}
