//! How targets are reached: flags and the environment → [`Access`].

use super::overrides::{either, yes};
use super::shape::Changed;
use super::{Given, Overrides, PlanError, Sourced, limits};
use crate::mix::Secret;
use crate::net::access::{Detour, Identity, Pem, Pin, Proxy, Roots, Tls};
use crate::net::{Access, Target};
use crate::units::Nanos;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What flags and the environment say about how targets are reached, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessOverrides {
    /// Targets beside the first.
    pub more_target_urls: Vec<Given>,
    /// File of the certificates that are believed.
    pub cacert: Option<Given>,
    /// Believe the system's certificates.
    pub native_roots: Option<Given>,
    /// Believe everything.
    pub insecure: Option<Given>,
    /// File of our own certificate.
    pub cert: Option<Given>,
    /// File of its key.
    pub key: Option<Given>,
    /// Whether sessions are resumed: on, off.
    pub tls_resume: Option<Given>,
    /// Addresses, each `HOST:PORT:ADDR`.
    pub resolve: Vec<Given>,
    /// Detours, each `HOST:PORT:HOST:PORT`.
    pub connect_to: Vec<Given>,
    /// A socket in the file system.
    pub unix_socket: Option<Given>,
    /// How often names are looked up again.
    pub dns_ttl: Option<Given>,
    /// Addresses to connect from.
    pub source_ips: Vec<Given>,
    /// Connections begun per second.
    pub connect_rate: Option<Given>,
    /// Requests after which a connection is closed.
    pub max_requests_per_connection: Option<Given>,
    /// One request a connection.
    pub disable_keepalive: Option<Given>,
    /// The proxy.
    pub http_proxy: Option<Given>,
    /// File of user and password.
    pub basic_auth_file: Option<Given>,
    /// User and password themselves, from the environment only.
    pub basic_auth: Option<Sourced<Secret>>,
    /// Show the requests instead of sending them.
    pub dump_request: Option<Given>,
    /// Show so many answers before the test.
    pub debug_response: Option<Given>,
}

/// How the resolver reads a file.
type Read<'a> = dyn FnMut(&Path) -> io::Result<String> + 'a;

/// How the target, and those beside it, are reached.
pub(super) fn access(
    overrides: &Overrides,
    target: &Target,
    more_targets: Vec<Target>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Access, PlanError> {
    let given = &overrides.access;
    let has_tls = target.tls || more_targets.iter().any(|target| target.tls);
    let access = Access {
        more_targets,
        pins: pins(&given.resolve, changed)?,
        detours: given.connect_to.iter().map(|given| detour(given, changed)).collect::<Result<_, _>>()?,
        dns_ttl: given.dns_ttl.as_ref().map(|given| ttl(given, changed)).transpose()?,
        unix_socket: given.unix_socket.as_ref().map(|given| path("unix_socket", given, changed)).transpose()?,
        sources: given.source_ips.iter().map(|given| source(given, changed)).collect::<Result<_, _>>()?,
        connect_rate: given.connect_rate.as_ref().map(|given| rate(given, changed)).transpose()?,
        max_requests: max_requests(given, changed)?,
        proxy: given.http_proxy.as_ref().map(|given| proxy(given, changed)).transpose()?,
        tls: tls(given, has_tls, read, changed)?,
    };
    if given.source_ips.len() > limits::MAX_SOURCES {
        return Err(given.source_ips[0].misplaced(format!("too many: expected at most {}", limits::MAX_SOURCES)));
    }
    refuse_beside_a_socket(given)?;
    Ok(access)
}

/// A socket in the file system has neither names nor addresses.
fn refuse_beside_a_socket(given: &AccessOverrides) -> Result<(), PlanError> {
    let Some(socket) = &given.unix_socket else { return Ok(()) };
    let rivals = [given.http_proxy.as_ref(), given.dns_ttl.as_ref(), given.source_ips.first(), given.resolve.first()];
    match rivals.into_iter().flatten().chain(given.connect_to.first()).next() {
        Some(rival) => {
            Err(rival.misplaced(format!("cannot stand together with {}: a socket is no address", socket.origin)))
        }
        None => Ok(()),
    }
}

fn note(key: &str, given: &Given, changed: &mut Changed) {
    changed.insert(key.to_owned(), given.origin.clone());
}

fn path(key: &str, given: &Given, changed: &mut Changed) -> Result<PathBuf, PlanError> {
    note(key, given, changed);
    if given.value.is_empty() { Err(given.bad("is empty: expected a path")) } else { Ok(PathBuf::from(&given.value)) }
}

fn ttl(given: &Given, changed: &mut Changed) -> Result<Nanos, PlanError> {
    note("dns_ttl", given, changed);
    let ttl = given.some_time()?;
    if ttl < limits::SHORTEST_DNS_TTL {
        return Err(given.bad(format!("is too short: expected at least {}", limits::SHORTEST_DNS_TTL)));
    }
    Ok(ttl)
}

fn rate(given: &Given, changed: &mut Changed) -> Result<u32, PlanError> {
    note("connect_rate", given, changed);
    given.whole(&(1..=u64::from(limits::MAX_CONNECT_RATE))).map(|n| n as u32)
}

fn source(given: &Given, changed: &mut Changed) -> Result<IpAddr, PlanError> {
    note("source_ip", given, changed);
    bare(given.value.trim()).parse().map_err(|_| given.bad("is not an address: expected some like 127.0.0.2,127.0.0.3"))
}

fn max_requests(given: &AccessOverrides, changed: &mut Changed) -> Result<Option<u32>, PlanError> {
    let once = yes(given.disable_keepalive.as_ref())?;
    let why = "a connection without keep-alive carries one request";
    match either(once, given.max_requests_per_connection.as_ref(), why)? {
        (Some(given), _) => {
            note("max_requests_per_connection", given, changed);
            Ok(Some(1))
        }
        (None, Some(given)) => {
            note("max_requests_per_connection", given, changed);
            given.whole(&(1..=u64::from(u32::MAX))).map(|n| Some(n as u32))
        }
        (None, None) => Ok(None),
    }
}

/// An address without the brackets that IPv6 ones have beside a port.
fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

fn pins(given: &[Given], changed: &mut Changed) -> Result<Vec<Pin>, PlanError> {
    let mut pins = Vec::new();
    for given in given {
        note("resolve", given, changed);
        let bad =
            || given.bad("is not an address of a host: expected HOST:PORT:ADDR, such as api.example.com:443:10.0.0.7");
        let mut parts = given.value.trim().splitn(3, ':');
        let (Some(host), Some(port), Some(addrs)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let port: u16 = port.parse().ok().filter(|&port| port > 0).ok_or_else(bad)?;
        if host.is_empty() {
            return Err(bad());
        }
        for addr in addrs.split(',') {
            let addr = bare(addr.trim()).parse().map_err(|_| bad())?;
            pins.push(Pin { host: host.to_owned(), port, addr });
        }
    }
    Ok(pins)
}

fn detour(given: &Given, changed: &mut Changed) -> Result<Detour, PlanError> {
    note("connect_to", given, changed);
    let bad = || given.bad("is not a detour: expected HOST:PORT:OTHER_HOST:OTHER_PORT, where each may be empty");
    let parts = split_outside_brackets(given.value.trim());
    let [from_host, from_port, to_host, to_port] = parts.as_slice() else { return Err(bad()) };
    let port = |text: &str| match text {
        "" => Ok(None),
        text => text.parse().ok().filter(|&port: &u16| port > 0).map(Some).ok_or_else(bad),
    };
    Ok(Detour {
        from_host: bare(from_host).to_owned(),
        from_port: port(from_port)?,
        to_host: bare(to_host).to_owned(),
        to_port: port(to_port)?,
    })
}

/// The parts between colons, of which an IPv6 address in brackets has none.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut inside = false;
    let colon = |c: char| {
        inside = (inside || c == '[') && c != ']';
        c == ':' && !inside
    };
    text.split(colon).collect()
}

fn proxy(given: &Given, changed: &mut Changed) -> Result<Proxy, PlanError> {
    note("http_proxy", given, changed);
    // The URL may hold a password: the parser's message knows what may be repeated.
    let url = if given.value.contains("://") { given.value.clone() } else { format!("http://{}", given.value) };
    let target = Target::parse(&url).map_err(|error| given.misplaced(error.to_string()))?;
    if target.tls || !target.path_prefix.is_empty() {
        return Err(given.misplaced("is no such proxy: expected one like http://10.0.0.7:3128"));
    }
    Ok(Proxy { host: target.host, port: target.port, addrs: Vec::new() })
}

fn tls(given: &AccessOverrides, has_tls: bool, read: &mut Read<'_>, changed: &mut Changed) -> Result<Tls, PlanError> {
    let insecure = yes(given.insecure.as_ref())?;
    let native = yes(given.native_roots.as_ref())?;
    let all =
        [insecure, native, given.cacert.as_ref(), given.cert.as_ref(), given.key.as_ref(), given.tls_resume.as_ref()];
    if !has_tls && let Some(without_effect) = all.into_iter().flatten().find(|given| given.is_flag()) {
        let problem = "is about TLS, and no target is reached through it: expected https:// in --target-url";
        return Err(without_effect.misplaced(problem));
    }
    let (cacert, native) =
        either(given.cacert.as_ref(), native, "certificates are believed either from a file or from the system")?;
    let (insecure, roots) = either(insecure, cacert.or(native), "nothing is checked without verification")?;
    let (cacert, native) = if roots.is_some() { (cacert, native) } else { (None, None) };
    let roots = match (cacert, native) {
        (Some(given), _) => Roots::File(pem("tls.roots", given, read, changed)?),
        (None, Some(given)) => {
            note("tls.roots", given, changed);
            Roots::Native
        }
        (None, None) => Roots::BuiltIn,
    };
    if let Some(given) = insecure {
        note("tls.verify", given, changed);
    }
    let identity = match (&given.cert, &given.key) {
        (Some(cert), Some(key)) => {
            Some(Identity { cert: pem("tls.cert", cert, read, changed)?, key: pem("tls.key", key, read, changed)? })
        }
        (None, None) => None,
        (Some(only), None) => return Err(only.misplaced("needs its private key: expected --key beside it")),
        (None, Some(only)) => return Err(only.misplaced("needs its certificate: expected --cert beside it")),
    };
    let resume = match &given.tls_resume {
        None => true,
        Some(given) => {
            note("tls.resume", given, changed);
            match given.value.trim() {
                "on" => true,
                "off" => false,
                _ => return Err(given.bad("is not possible: expected on or off")),
            }
        }
    };
    Ok(Tls { roots, verify: insecure.is_none(), identity, resume })
}

fn pem(key: &str, given: &Given, read: &mut Read<'_>, changed: &mut Changed) -> Result<Pem, PlanError> {
    let path = path(key, given, changed)?;
    let text = read(&path).map_err(|error| PlanError::Unreadable {
        place: given.origin.to_string(),
        path: given.value.clone(),
        reason: error.to_string(),
    })?;
    Ok(Pem { path, text })
}

/// User and password: out of a file, or the environment's. They are never repeated in a message.
pub(super) fn basic_auth(
    overrides: &Overrides,
    api_key: bool,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Option<Secret>, PlanError> {
    let (text, origin) = match (&overrides.access.basic_auth_file, &overrides.access.basic_auth) {
        (Some(file), _) => (pem("basic_auth", file, read, changed)?.text, file.origin.clone()),
        (None, Some(pair)) => (pair.value.reveal().to_owned(), pair.origin.clone()),
        (None, None) => return Ok(None),
    };
    let refused = |problem: String| Err(PlanError::Override { origin: origin.clone(), problem });
    if api_key {
        return refused("cannot stand together with an API key: both are sent as Authorization".to_owned());
    }
    let pair = text.trim_end_matches(['\r', '\n']);
    let plain = pair.contains(':') && !pair.starts_with(':') && !pair.chars().any(char::is_control);
    if !plain || pair.len() > limits::MAX_KEY_BYTES {
        let most = limits::MAX_KEY_BYTES;
        return refused(format!("holds no user and password: expected one line USER:PASSWORD of at most {most} bytes"));
    }
    changed.insert("basic_auth".to_owned(), origin.clone());
    Ok(Some(Secret::new(pair.to_owned())))
}

/// Why no server may be started for a target that is reached in this way.
pub(super) fn forbids_a_server(target: &Target, access: &Access) -> Option<&'static str> {
    if target.tls {
        return Some("no server is started for https: the simulator speaks http only");
    }
    if !access.more_targets.is_empty() {
        return Some("no server is started for several targets");
    }
    let elsewhere =
        access.unix_socket.is_some() || access.proxy.is_some() || !access.pins.is_empty() || !access.detours.is_empty();
    elsewhere.then_some("no server is started where connections go to another place than the URL says")
}

/// Every value with its key, for `--show-config`.
pub(super) fn settings(access: &Access) -> Vec<(&'static str, String)> {
    let join = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let or = |text: Option<String>, none: &str| text.unwrap_or_else(|| none.to_owned());
    let tls = &access.tls;
    let roots = match &tls.roots {
        Roots::BuiltIn => "built in".to_owned(),
        Roots::Native => "the system's".to_owned(),
        Roots::File(pem) => pem.path.display().to_string(),
    };
    let host = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = |port: Option<u16>| port.map_or_else(String::new, |port| port.to_string());
    let detour =
        |d: &Detour| format!("{}:{}:{}:{}", host(&d.from_host), port(d.from_port), host(&d.to_host), port(d.to_port));
    let pin = |p: &Pin| format!("{}:{}:{}", p.host, p.port, host(&p.addr.to_string()));
    vec![
        ("more_targets", join(access.more_targets.iter().map(|target| target.url.clone()).collect())),
        ("resolve", join(access.pins.iter().map(pin).collect())),
        ("connect_to", join(access.detours.iter().map(detour).collect())),
        ("dns_ttl", or(access.dns_ttl.map(|ttl| ttl.to_string()), "looked up once")),
        ("unix_socket", or(access.unix_socket.as_ref().map(|path| path.display().to_string()), "none")),
        ("source_ip", join(access.sources.iter().map(ToString::to_string).collect())),
        ("connect_rate", or(access.connect_rate.map(|rate| format!("{rate}/s")), "as fast as it goes")),
        ("max_requests_per_connection", or(access.max_requests.map(|n| n.to_string()), "any number")),
        ("http_proxy", or(access.proxy.as_ref().map(|p| format!("{}:{}", host(&p.host), p.port)), "none")),
        ("tls.verify", if tls.verify { "true".to_owned() } else { "false: certificates are NOT CHECKED".to_owned() }),
        ("tls.roots", roots),
        ("tls.cert", or(tls.identity.as_ref().map(|id| id.cert.path.display().to_string()), "none")),
        ("tls.key", or(tls.identity.as_ref().map(|id| id.key.path.display().to_string()), "none")),
        ("tls.resume", tls.resume.to_string()),
    ]
}

#[cfg(test)]
mod tests;
