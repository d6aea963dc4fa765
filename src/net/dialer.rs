//! Opens one connection after the other: to all targets and all their addresses in turn, from all
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

/// Where the next connection goes. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub target: u16,
    /// Which address, by number, see [`Dialer::addr`]; the last number is that of none.
    pub addr: u16,
}

/// Stands for no address: a socket in the file system, or a target without addresses.
const NOWHERE: u16 = u16::MAX;

/// Opens connections. Each worker has its own.
#[derive(Debug)]
pub struct Dialer {
    to_targets: Vec<TargetRoute>,
    turn: usize,
    /// All addresses that were ever used, by number: connections remember the number only.
    known: Vec<SocketAddr>,
    sources: Vec<IpAddr>,
    source_turn: usize,
    unix_socket: Option<PathBuf>,
    /// Host and port of the proxy, for messages.
    proxy: Option<String>,
    /// Only when a target needs it.
    tls: Option<Client>,
}

/// What is the same for all connections to one target.
#[derive(Debug)]
struct TargetRoute {
    /// Numbers of its addresses.
    addrs: Vec<u16>,
    turn: usize,
    /// The name its certificate must be for; none in the clear.
    name: Option<Name>,
    /// What a proxy is asked for.
    tunnel_to: Option<String>,
}

impl Dialer {
    /// A dialer whose first connection is the `nth` of all in the order of targets and addresses:
    /// workers begin at different ones. `connections` is how many it will have at once.
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

    /// Where the next connection goes.
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

    /// The address of a route; none for a socket in the file system.
    pub fn addr(&self, route: Route) -> Option<SocketAddr> {
        self.known.get(usize::from(route.addr)).copied()
    }

    /// Begins to connect, and registers the socket once and for all. One that is read `slowly` has
    /// a small receive buffer.
    pub fn dial(&mut self, route: Route, registry: &Registry, token: Token, slowly: bool) -> io::Result<Stream> {
        let socket = match (&self.unix_socket, self.addr(route)) {
            (Some(path), _) => Socket::unix(path, registry, token)?,
            (None, Some(addr)) => Socket::tcp(addr, self.next_source(addr), slowly, registry, token)?,
            (None, None) => return Err(io::Error::new(io::ErrorKind::NotFound, "the target has no address")),
        };
        let Some(to_target) = self.to_targets.get(usize::from(route.target)) else { return Ok(Stream::Plain(socket)) };
        to_target.stream(socket, self.tls.as_ref())
    }

    /// What stands between us and the targets, for messages: its failures are not theirs.
    pub fn via(&self) -> Option<String> {
        super::call::via(self.unix_socket.as_deref(), self.proxy.as_deref())
    }

    /// New addresses of the targets, in their order; a target whose name could not be looked up
    /// keeps its old ones.
    pub fn readdress(&mut self, addrs: Vec<Option<Vec<SocketAddr>>>) {
        for (to_target, addrs) in self.to_targets.iter_mut().zip(addrs) {
            let found = addrs.map(|addrs| numbers(&addrs, &mut self.known)).filter(|found| !found.is_empty());
            to_target.addrs = found.unwrap_or_else(|| std::mem::take(&mut to_target.addrs));
        }
    }

    /// The endpoint of a target, for questions before and after a test.
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

    /// The next source of the same family.
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

/// An IPv6 address in brackets, anything else as it is.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// The numbers of `addrs`. New ones are added, as long as there are numbers: a name whose addresses
/// change every second for half a day keeps the last ones after that.
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
