//! Before a test: where its targets are, and whether this machine can reach them often enough.

use crate::host::limits;
use crate::net::{drop_dead_family, look_up};
use crate::plan::Plan;
use crate::trial::error::CliError;
use std::net::UdpSocket;

/// Looks the targets' names up, and leaves out a family of addresses that does not answer.
pub(crate) fn find_addresses(plan: &mut Plan, say: &mut dyn FnMut(&str)) -> Result<(), CliError> {
    let access = plan.access.clone();
    let all = std::iter::once(&mut plan.target).chain(&mut plan.access.more_targets);
    for target in all {
        let found = look_up(target, &access);
        target.addrs = found.map_err(|source| CliError::Resolve { url: target.url.clone(), source })?;
        if let Some(family) = drop_dead_family(&mut target.addrs) {
            say(&format!("{}: left out its {family} addresses, which do not answer", target.url));
        }
    }
    Ok(())
}

/// Whether connections can leave from the addresses that were asked for, and whether there are ports for all of them.
pub(crate) fn check_ways(plan: &Plan) -> Result<(), CliError> {
    let access = &plan.access;
    let refused = |source_ip, problem| Err(CliError::Source { source_ip, problem });
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
    let mut places: Vec<_> = addrs().collect();
    places.sort_unstable();
    places.dedup();
    let ways = places.len().max(1) as u64 * access.sources.len().max(1) as u64;
    Ok(limits::check_ports(u64::from(plan.shape.peak_vus()), ways)?)
}
