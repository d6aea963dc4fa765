//! Before a test: where its targets are, and whether this machine can reach them often enough.

use super::error::TrialError;
use crate::host::limits;
use crate::net::{drop_dead_family, look_up};
use crate::plan::{Access, Plan, Target};
use std::net::UdpSocket;

/// The plan with the addresses of its targets, less a family of addresses that does not answer.
pub(super) fn with_addresses(plan: Plan, say: &mut dyn FnMut(&str)) -> Result<Plan, TrialError> {
    let (found, access) = (located(plan.target, &plan.access, say)?, &plan.access);
    let more =
        access.more_targets.iter().map(|target| located(target.clone(), access, say)).collect::<Result<_, _>>()?;
    Ok(Plan { target: found, access: Access { more_targets: more, ..plan.access }, ..plan })
}

fn located(target: Target, access: &Access, say: &mut dyn FnMut(&str)) -> Result<Target, TrialError> {
    let found = look_up(&target, access);
    let mut addrs = found.map_err(|source| TrialError::Resolve { url: target.url.clone(), source })?;
    if let Some(family) = drop_dead_family(&mut addrs) {
        say(&format!("{}: left out its {family} addresses, which do not answer", target.url));
    }
    Ok(Target { addrs, ..target })
}

/// Whether connections can leave from the addresses that were asked for, and whether there are ports for all of them.
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
