//! The kernel's limits on open file descriptors and on local ports. A connection takes one of each.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The error for a process that needs more file descriptors than it may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} file descriptors are needed, but the limit is {limit}: raise it with `ulimit -n {needed}` (the hard limit is raised by \
     root, in /etc/security/limits.conf or with LimitNOFILE= of systemd), or use fewer users"
)]
pub struct TooFewFiles {
    /// Number of descriptors that would be enough.
    pub needed: u64,
    /// The most that this process may have.
    pub limit: u64,
}

/// The error for a load that needs more connections than there are local ports for them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} connections at once need as many local ports, but there are only {available} ({ports} for each pair of an address here \
     and one there): {} are missing; add addresses of this machine with --source-ip (each has {ports}), test more addresses or \
     ports with --target-url, widen net.ipv4.ip_local_port_range, or use fewer users",
    needed - available
)]
pub struct TooFewPorts {
    /// Number of ports that would be enough.
    pub needed: u64,
    /// Number of ports in all.
    pub available: u64,
    /// Number of ports of each way.
    pub ports: u64,
}

/// Checks that `needed` connections can be open at once over this many `ways`: pairs of a local
/// address and a remote address and port.
pub fn check_ports(needed: u64, ways: u64) -> Result<(), TooFewPorts> {
    // If the kernel does not tell its range, nothing is checked here. A connection that fails
    // because no port is left is counted as such.
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    range.and_then(|range| ports_in(&range)).map_or(Ok(()), |ports| enough_ports(needed, ports, ways))
}

/// Returns the number of ports in a range, as the kernel writes it.
fn ports_in(range: &str) -> Option<u64> {
    let mut bounds = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

fn enough_ports(needed: u64, ports: u64, ways: u64) -> Result<(), TooFewPorts> {
    let available = ports.saturating_mul(ways);
    if available >= needed { Ok(()) } else { Err(TooFewPorts { needed, available, ports }) }
}

/// File descriptors besides those of connections: the polls, the terminal, the server's pipe.
pub const BESIDE_CONNECTIONS: u64 = 64;

/// Raises the soft limit to the hard one and returns the new limit. Fails if it is below `needed`.
pub fn raise_nofile(needed: u64) -> Result<u64, TooFewFiles> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        // If the kernel does not tell its limit, nothing is checked here. A connection that fails
        // because no descriptor is left is counted as such.
        return Ok(needed);
    };
    // The hard limit may exceed what the kernel grants to any process (fs.nr_open). The needed
    // number is tried next.
    for wanted in wishes(soft, hard, needed) {
        if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
            return enough(wanted, needed);
        }
    }
    enough(soft, needed)
}

/// Returns the soft limits to try, best first.
fn wishes(soft: u64, hard: u64, needed: u64) -> impl Iterator<Item = u64> {
    [hard, needed.min(hard)].into_iter().filter(move |&wanted| wanted > soft)
}

fn enough(limit: u64, needed: u64) -> Result<u64, TooFewFiles> {
    if limit >= needed { Ok(limit) } else { Err(TooFewFiles { needed, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_only_ever_raised() {
        assert_eq!(wishes(1024, 4096, 2000).collect::<Vec<_>>(), [4096, 2000]);
        assert_eq!(wishes(1024, 4096, 5000).collect::<Vec<_>>(), [4096, 4096]);
        assert_eq!(wishes(4096, 4096, 5000).count(), 0);
        assert_eq!(wishes(1024, u64::MAX, 100).collect::<Vec<_>>(), [u64::MAX]);
    }

    #[test]
    fn too_few_is_said_with_the_number_needed() {
        let error = enough(1024, 5064).unwrap_err();
        assert_eq!(error, TooFewFiles { needed: 5064, limit: 1024 });
        assert!(error.to_string().contains("`ulimit -n 5064`"), "{error}");
        assert_eq!(enough(5064, 5064), Ok(5064));
    }

    #[test]
    fn ports_are_counted_for_every_way() {
        assert_eq!(ports_in("32768\t60999\n"), Some(28_232));
        assert_eq!((ports_in("9 1"), ports_in("x"), ports_in("1")), (None, None, None));
        assert_eq!(enough_ports(28_232, 28_232, 1), Ok(()));
        assert_eq!(enough_ports(56_000, 28_232, 2), Ok(()));
        let error = enough_ports(30_000, 28_232, 1).unwrap_err();
        assert!(
            error.to_string().contains(": 1768 are missing; add addresses of this machine with --source-ip"),
            "{error}"
        );
    }

    #[test]
    fn the_real_limit_is_raised_to_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let now = raise_nofile(1).unwrap();
        assert!(now <= hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, now);
        assert!(raise_nofile(u64::MAX).is_err() || hard == u64::MAX);
    }
}
