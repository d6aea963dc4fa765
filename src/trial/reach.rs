//! Before a test: resolves its targets, and checks that this machine can open all connections.

use super::error::TrialError;
use super::provenance::unix_seconds;
use super::signals::Stop;
use crate::api::Api;
use crate::host::limits;
use crate::mix::{Envelope, Request, RequestWriter};
use crate::net::tls::TlsConfigError;
use crate::net::{Dialer, drop_dead_family, look_up};
use crate::plan::{Access, Kind, Mix, Plan, Target};
use crate::units::Nanos;
use crate::watch::probe::{self, ProbeError, Reply};
use std::net::UdpSocket;

/// The targets of a plan, for requests that are made on a separate thread.
#[derive(Debug)]
pub(super) struct Targets {
    targets: Vec<Target>,
    access: Access,
}

impl Targets {
    pub(super) const fn new(targets: Vec<Target>, access: Access) -> Self {
        Self { targets, access }
    }

    pub(super) fn of(plan: &Plan) -> Self {
        Self { targets: plan.targets().cloned().collect(), access: plan.access.clone() }
    }

    /// Sends a request to one target, on a new connection, and reads the whole response.
    pub(super) fn ask(
        &self,
        target: u16,
        request: &[u8],
        within: Nanos,
    ) -> Result<Result<Reply, ProbeError>, TlsConfigError> {
        Ok(probe::ask_at(&self.dialer(1)?.endpoint(usize::from(target)), request, within))
    }

    /// Returns a dialer for this many connections. It must stay on the thread that made it.
    pub(super) fn dialer(&self, connections: usize) -> Result<Dialer, TlsConfigError> {
        Dialer::new(&self.targets, &self.access, 0, connections)
    }
}

/// Returns the bytes of a request to a target. The kind must not need any random draws or rows.
pub(super) fn bytes_of(kind: Kind, envelopes: &[Envelope], target: u16) -> Vec<u8> {
    let mut request = Request::default();
    let writer = RequestWriter::new(&Mix { kinds: vec![kind] }, envelopes, 0).at_time(unix_seconds());
    writer.write(target, 0, 0, None, &[], &mut request);
    request.bytes
}

/// Returns `GET path` with everything that the envelope of the target adds: key, headers, query.
pub(super) fn get(path: &str, envelopes: &[Envelope], target: u16) -> Vec<u8> {
    /// Not used: the request is sent on a separate connection, with the limits of the caller.
    const UNUSED: Nanos = Nanos::from_secs(1);
    bytes_of(Kind { path: path.to_owned(), ..Kind::bare(Api::Models, UNUSED) }, envelopes, target)
}

/// Returns the plan with the addresses of its targets, without an address family that does not
/// respond.
pub(super) fn with_addresses(plan: Plan, stop: &Stop, say: &mut dyn FnMut(&str)) -> Result<Plan, TrialError> {
    let access = plan.access.clone();
    let mut targets = Vec::new();
    for target in plan.targets() {
        targets.push(located(target.clone(), access.clone(), stop, say)?);
    }
    let mut targets = targets.into_iter();
    let target = targets.next().unwrap_or(plan.target);
    Ok(Plan { target, access: Access { more_targets: targets.collect(), ..access }, ..plan })
}

/// Returns a target with its addresses. This may take a while if the resolver is slow, or if an
/// address family drops packets.
pub(super) fn located(
    target: Target,
    access: Access,
    stop: &Stop,
    say: &mut dyn FnMut(&str),
) -> Result<Target, TrialError> {
    let url = target.url.clone();
    let found = stop.wait_for(move || {
        look_up(&target, &access).map(|mut addrs| {
            let left_out = drop_dead_family(&mut addrs);
            (Target { addrs, ..target }, left_out)
        })
    })?;
    let (target, left_out) = found.map_err(|source| TrialError::Resolve { url, source })?;
    if let Some(family) = left_out {
        say(&format!("{}: left out its {family} addresses, which do not respond", target.url));
    }
    Ok(target)
}

/// Checks that connections can leave from the requested addresses, and that there are enough ports.
pub(super) fn check_routes(plan: &Plan) -> Result<(), TrialError> {
    let access = &plan.access;
    let refused = |source_ip, problem| Err(TrialError::Source { source_ip, problem });
    for &source_ip in &access.sources {
        if let Err(error) = UdpSocket::bind((source_ip, 0)) {
            let problem = format!("connections cannot leave from there: {error}; expected an address of this machine");
            return refused(source_ip, problem);
        }
    }
    let addrs = || plan.targets().flat_map(|target| &target.addrs);
    for addr in addrs() {
        let fits = access.sources.iter().any(|source| source.is_ipv4() == addr.is_ipv4());
        if let Some(&source_ip) = access.sources.first().filter(|_| !fits) {
            return refused(source_ip, format!("no address of that family was given for {addr}: expected one of each"));
        }
    }
    if access.unix_socket.is_some() {
        return Ok(());
    }
    let mut endpoints: Vec<_> = addrs().collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    let routes = endpoints.len().max(1) as u64 * access.sources.len().max(1) as u64;
    Ok(limits::check_ports(u64::from(plan.shape.peak_vus()), routes)?)
}
