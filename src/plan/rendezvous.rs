//! The rendezvous of the shards of a test, and its key.

use super::source::Changed;
use super::{Given, Overrides, PlanError, Read, Shard, credentials};
use crate::mix::Secret;
use crate::units::Nanos;
use std::net::IpAddr;

/// The rendezvous of the shards of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendezvous {
    /// `HOST:PORT` of shard 0, to which the other shards connect.
    pub place: String,
    pub port: u16,
    /// True if the host is a loopback address: shard 0 listens nowhere else, and no key is needed.
    pub is_loopback: bool,
    /// A secret that all shards must know.
    pub key: Option<Secret>,
    /// The time within which all shards must connect and be ready.
    pub timeout: Nanos,
}

/// How long shards wait for each other by default: pods may have to wait for nodes.
const DEFAULT_TIMEOUT: Nanos = Nanos::from_secs(5 * 60);
/// A shorter key can be guessed.
const SHORTEST_KEY: usize = 16;

/// Resolves the rendezvous, if it was asked for.
pub(super) fn rendezvous(
    overrides: &Overrides,
    shard: Option<Shard>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Option<Rendezvous>, PlanError> {
    let timeout = overrides.one("rendezvous_timeout");
    let limit = timeout.map_or(Ok(DEFAULT_TIMEOUT), Given::some_time)?;
    let key = key(overrides, read)?;
    let Some(given) = overrides.one("rendezvous") else {
        if let Some(alone) = timeout.or(overrides.one("rendezvous_key_file")).filter(|given| given.is_flag()) {
            return Err(alone.misplaced("cannot be used without --rendezvous HOST:PORT"));
        }
        return Ok(None);
    };
    let place = given.value.trim();
    let parts = place.rsplit_once(':').filter(|(host, _)| is_host(host));
    let Some((host, port)) = parts.and_then(|(host, port)| Some((host, port_of(port)?))) else {
        return Err(given.bad("HOST:PORT of shard 0, such as blast-0.blast:7946 or [::1]:7946"));
    };
    if shard.is_none() {
        return Err(given.misplaced("cannot be used without --shard I/N or --shard auto"));
    }
    let is_loopback = is_loopback(host);
    if !is_loopback && key.is_none() {
        let problem = "needs a key off the loopback, where anybody could connect: give all shards the same \
                       --rendezvous-key-file, or set LLMSIM_BLAST_RENDEZVOUS_KEY";
        return Err(given.misplaced(problem));
    }
    if let Some(start_at) = overrides.one("start_at") {
        return Err(start_at.misplaced(format!("cannot be used together with {}, which sets the start", given.origin)));
    }
    changed.insert("rendezvous".to_owned(), given.origin.clone());
    Ok(Some(Rendezvous { place: place.to_owned(), port, is_loopback, key, timeout: limit }))
}

/// Returns true for a name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    }
}

fn port_of(text: &str) -> Option<u16> {
    let is_digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| is_digits && *port > 0)
}

/// Decides by the text alone: a name may mean another address on each machine.
fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    ip.map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

/// Reads the key of all shards from a file, or from the environment.
fn key(overrides: &Overrides, read: &mut Read<'_>) -> Result<Option<Secret>, PlanError> {
    const HINT: &str = ", such as the output of `head -c 32 /dev/urandom | base64`";
    let ids = ("rendezvous_key_file", "rendezvous_key");
    let found = credentials::of_file_or_environment(overrides, ids, read)?;
    found.map(|found| found.key("the key of the shards", SHORTEST_KEY, HINT)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::overrides::overrides;
    use crate::plan::{Sourced, resolve};
    use std::path::Path;

    const KEY: &str = "0a1b2c3d4e5f6g7h8i9j";

    fn resolved(overrides: &Overrides) -> Result<Option<Rendezvous>, String> {
        let mut files = |path: &Path| match path.to_str() {
            Some("/key") => Ok(format!("{KEY}\n")),
            Some("/short") => Ok("0123456789".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let resolved = resolve("load", overrides, &mut files).map_err(|error| error.to_string());
        resolved.map(|resolved| resolved.plan.rendezvous)
    }

    fn at(place: &str) -> Overrides {
        overrides! { shard: Some(Given::flag("shard", "0/2")), rendezvous: Some(Given::flag("rendezvous", place)) }
    }

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for (place, port, is_loopback) in
            [("127.0.0.1:7946", 7946, true), ("[::1]:1", 1, true), ("LOCALHOST:65535", 65535, true)]
        {
            let found = resolved(&at(place)).expect(place).expect("a place");
            assert_eq!((found.port, found.is_loopback, found.key), (port, is_loopback, None), "{place}");
        }
        for place in ["", "x", ":1", "x:", "x:0", "x:65536", "x:+1", "::1:80", "[x]:1", "a b:1", "http://x:1", "x/y:1"]
        {
            let error = resolved(&at(place)).expect_err(place);
            assert!(error.contains("--rendezvous: expected HOST:PORT"), "{place}: {error}");
        }
    }

    #[test]
    fn a_key_is_needed_off_the_loopback() {
        for place in ["blast-0.blast:7946", "192.0.2.1:7946", "localhost.example:1", "[fe80::1]:7946"] {
            assert!(resolved(&at(place)).expect_err(place).contains("needs a key"), "{place}");
            let file =
                overrides! { rendezvous_key_file: Some(Given::flag("rendezvous-key-file", "/key")); ..at(place) };
            let found = resolved(&file).expect(place).expect("a place");
            assert_eq!(found.key.as_ref().map(Secret::reveal), Some(KEY));
            let mut set = at(place);
            let origin = Given::environment("LLMSIM_BLAST_RENDEZVOUS_KEY", "").origin;
            set.insert_secret("rendezvous_key", Sourced { value: Secret::new(KEY.to_owned()), origin });
            assert_eq!(resolved(&set).expect(place), Some(found));
        }
        let short = overrides! { rendezvous_key_file: Some(Given::flag("rendezvous-key-file", "/short")); ..at("x:1") };
        let error = resolved(&short).expect_err("short");
        assert!(error.contains("16 to") && !error.contains("0123456789"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_without_it_is_refused() {
        let given = |flag: &str, value: &str| Some(Given::flag(flag, value));
        for (overrides, words) in [
            (overrides! { rendezvous: given("rendezvous", "x:1") }, "--shard I/N or --shard auto"),
            (overrides! { rendezvous_timeout: given("rendezvous-timeout", "1m") }, "without --rendezvous"),
            (overrides! { rendezvous_key_file: given("rendezvous-key-file", "/key") }, "without --rendezvous"),
            (overrides! { rendezvous_timeout: given("rendezvous-timeout", "0s"); ..at("[::1]:1") }, "above zero"),
            (overrides! { start_at: given("start-at", "2026-11-24T18:00:00Z"); ..at("[::1]:1") }, "sets the start"),
            (overrides! { abort_scope: given("abort-scope", "shard"); ..at("[::1]:1") }, "ends all shards"),
        ] {
            let error = resolved(&overrides).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
        let junit = overrides! { junit: given("junit", "x.xml"); ..at("[::1]:1") };
        assert!(resolved(&junit).is_ok(), "the whole is judged");
    }
}
