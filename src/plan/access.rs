//! How targets are reached: flags and the environment → [`Access`].

use super::credentials;
use super::noted::noted;
use super::overrides::either;
use super::source::Changed;
use super::{Given, Overrides, PlanError, Read, limits};
use crate::net::access::{Detour, Identity, Pem, Pin, Proxy, Roots, Tls};
use crate::net::{Access, Target, TargetError};
use crate::units::Nanos;
use std::net::IpAddr;

/// Resolves how the target and the other targets are reached.
pub(super) fn access(
    overrides: &Overrides,
    target: &Target,
    more_targets: Vec<Target>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Access, PlanError> {
    // Trusted certificates apply to all servers that a run connects to.
    let elsewhere = ["prometheus_write", "server_metrics"].map(|id| overrides.one(id));
    let is_tls = |given: &Given| Target::parse(&given.value).is_ok_and(|target| target.tls);
    let has_tls = target.tls || more_targets.iter().any(|t| t.tls) || elsewhere.into_iter().flatten().any(is_tls);
    let sources = overrides.many("source_ip");
    if sources.len() > limits::MAX_SOURCES {
        let problem = format!("names {} addresses: expected at most {}", sources.len(), limits::MAX_SOURCES);
        return Err(sources[0].misplaced(problem));
    }
    let detours = overrides.many("connect_to");
    let access = Access {
        more_targets,
        pins: pins(overrides.many("resolve"), changed)?,
        detours: detours.iter().map(|given| detour(given, changed)).collect::<Result<_, _>>()?,
        dns_ttl: noted("dns_ttl", overrides.one("dns_ttl"), changed).map(ttl).transpose()?,
        unix_socket: noted("unix_socket", overrides.one("unix_socket"), changed).map(Given::path).transpose()?,
        sources: sources.iter().map(|given| source(given, changed)).collect::<Result<_, _>>()?,
        connect_rate: noted("connect_rate", overrides.one("connect_rate"), changed).map(rate).transpose()?,
        max_requests: max_requests(overrides, changed)?,
        proxy: noted("http_proxy", overrides.one("http_proxy"), changed).map(proxy).transpose()?,
        tls: tls(overrides, has_tls, read, changed)?,
    };
    refuse_beside_a_socket(overrides)?;
    Ok(access)
}

/// Refuses settings about names and addresses beside a Unix socket, which has neither.
fn refuse_beside_a_socket(overrides: &Overrides) -> Result<(), PlanError> {
    let Some(socket) = overrides.one("unix_socket") else { return Ok(()) };
    let rivals = ["http_proxy", "dns_ttl", "source_ip", "resolve", "connect_to"].map(|id| overrides.one(id));
    match rivals.into_iter().flatten().next() {
        Some(rival) => {
            let problem = format!("cannot be used together with {}: a socket has no address", socket.origin);
            Err(rival.misplaced(problem))
        }
        None => Ok(()),
    }
}

fn ttl(given: &Given) -> Result<Nanos, PlanError> {
    let ttl = given.some_time()?;
    if ttl < limits::SHORTEST_DNS_TTL {
        return Err(given.bad(format!("a duration of at least {}", limits::SHORTEST_DNS_TTL)));
    }
    Ok(ttl)
}

fn rate(given: &Given) -> Result<u32, PlanError> {
    given.whole(&(1..=u64::from(limits::MAX_CONNECT_RATE))).map(|n| n as u32)
}

fn source(given: &Given, changed: &mut Changed) -> Result<IpAddr, PlanError> {
    noted("source_ip", Some(given), changed);
    bare(given.value.trim()).parse().map_err(|_| given.bad("local addresses such as 127.0.0.2,127.0.0.3"))
}

fn max_requests(overrides: &Overrides, changed: &mut Changed) -> Result<Option<u32>, PlanError> {
    let once = overrides.yes("disable_keepalive")?;
    let why = "a connection without keep-alive carries one request";
    let (once, most) = either(once, overrides.one("max_requests_per_connection"), why)?;
    noted("max_requests_per_connection", once.or(most), changed);
    match most {
        _ if once.is_some() => Ok(Some(1)),
        None => Ok(None),
        Some(given) => given.whole(&(1..=u64::from(u32::MAX))).map(|n| Some(n as u32)),
    }
}

/// Strips the brackets that an IPv6 address has before a port.
fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

fn pins(given: &[Given], changed: &mut Changed) -> Result<Vec<Pin>, PlanError> {
    let mut pins = Vec::new();
    for given in given {
        noted("resolve", Some(given), changed);
        let bad = || given.bad("HOST:PORT:ADDR, such as localhost:8080:127.0.0.1");
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
    noted("connect_to", Some(given), changed);
    let bad = || given.bad("HOST:PORT:OTHER_HOST:OTHER_PORT, where each part may be empty");
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

/// Splits at colons, but not inside the brackets of an IPv6 address.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut inside = false;
    let colon = |c: char| {
        inside = (inside || c == '[') && c != ']';
        c == ':' && !inside
    };
    text.split(colon).collect()
}

fn proxy(given: &Given) -> Result<Proxy, PlanError> {
    // The URL may contain a password. The parser's message only repeats safe parts.
    let url = if given.value.contains("://") { given.value.clone() } else { format!("http://{}", given.value) };
    let target = Target::parse(&url).map_err(|error| match error {
        TargetError::Credentials => {
            given.unusable("the URL contains credentials, which are not sent: expected a proxy without authentication")
        }
        error => given.unusable(error),
    })?;
    if target.tls || !target.path_prefix.is_empty() || !target.query.is_empty() {
        return Err(given.unusable("expected an HTTP proxy without TLS or a path, such as http://127.0.0.1:3128"));
    }
    Ok(Proxy { host: target.host, port: target.port, addrs: Vec::new() })
}

fn tls(overrides: &Overrides, has_tls: bool, read: &mut Read<'_>, changed: &mut Changed) -> Result<Tls, PlanError> {
    let (insecure, native) = (overrides.yes("insecure")?, overrides.yes("native_roots")?);
    let [cacert, cert, key, resume] = ["cacert", "cert", "key", "tls_resume"].map(|id| overrides.one(id));
    let all = [insecure, native, cacert, cert, key, resume];
    if !has_tls && let Some(without_effect) = all.into_iter().flatten().find(|given| given.is_flag()) {
        let problem =
            "has no effect without TLS: expected https:// in --target-url, --server-metrics or --prometheus-write";
        return Err(without_effect.misplaced(problem));
    }
    let (cacert, native) = either(cacert, native, "trusted certificates come either from a file or from the system")?;
    let (insecure, roots) = either(insecure, cacert.or(native), "--insecure verifies nothing")?;
    let (cacert, native) = if roots.is_some() { (cacert, native) } else { (None, None) };
    let roots = match (cacert, native) {
        (Some(given), _) => Roots::File(pem("tls.roots", given, read, changed)?),
        (None, Some(given)) => {
            noted("tls.roots", Some(given), changed);
            Roots::Native
        }
        (None, None) => Roots::BuiltIn,
    };
    noted("tls.verify", insecure, changed);
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => {
            Some(Identity { cert: pem("tls.cert", cert, read, changed)?, key: pem("tls.key", key, read, changed)? })
        }
        (None, None) => None,
        (Some(only), None) => return Err(only.misplaced("needs its private key: add --key")),
        (None, Some(only)) => return Err(only.misplaced("needs its certificate: add --cert")),
    };
    let resume = noted("tls.resume", resume, changed).map_or(Ok(true), Given::switch)?;
    Ok(Tls { roots, verify: insecure.is_none(), identity, resume })
}

fn pem(key: &str, given: &Given, read: &mut Read<'_>, changed: &mut Changed) -> Result<Pem, PlanError> {
    noted(key, Some(given), changed);
    Ok(Pem { path: given.path()?, text: credentials::text(given, read)? })
}

/// Returns the reason why no server may be started for a target that is reached in this way.
pub(super) fn forbids_a_server(target: &Target, access: &Access) -> Option<&'static str> {
    if target.tls {
        return Some("no server is started for an https target, because the simulator only speaks HTTP");
    }
    if !access.more_targets.is_empty() {
        return Some("no server is started for several targets");
    }
    let elsewhere =
        access.unix_socket.is_some() || access.proxy.is_some() || !access.pins.is_empty() || !access.detours.is_empty();
    elsewhere.then_some("no server is started when connections are redirected away from the URL's host")
}

/// Returns every value with its key, for `--show-config`.
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
        ("dns_ttl", or(access.dns_ttl.map(|ttl| ttl.to_string()), "resolved once")),
        ("unix_socket", or(access.unix_socket.as_ref().map(|path| path.display().to_string()), "none")),
        ("source_ip", join(access.sources.iter().map(ToString::to_string).collect())),
        ("connect_rate", or(access.connect_rate.map(|rate| format!("{rate}/s")), "unlimited")),
        ("max_requests_per_connection", or(access.max_requests.map(|n| n.to_string()), "unlimited")),
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
