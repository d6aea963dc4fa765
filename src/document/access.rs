//! The part of the document on how the targets were reached.

use crate::metrics::{Counter, Summary};
use crate::plan::{Plan, Roots};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One address of the targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub address: String,
    /// Connections that were opened to it.
    pub opened: u64,
    pub failed: u64,
}

/// Facts about the TLS connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// True if certificates were checked.
    pub verified: bool,
    /// The trusted root certificates: `built-in`, `native`, `file`.
    pub roots: String,
    pub full: u64,
    /// Handshakes that resumed an earlier session.
    pub resumed: u64,
    /// The TLS errors that failed requests, with counts.
    #[serde(default)]
    pub troubles: BTreeMap<String, u64>,
}

/// Adds the addresses and the TLS facts of another shard of the same test.
pub(crate) fn add(ours: &mut super::Target, addresses: Vec<Address>, tls: Option<Tls>) {
    for theirs in addresses {
        match ours.addresses.iter_mut().find(|known| known.address == theirs.address) {
            Some(known) => {
                known.opened += theirs.opened;
                known.failed += theirs.failed;
            }
            None => ours.addresses.push(theirs),
        }
    }
    let Some(theirs) = tls else { return };
    let Some(ours) = &mut ours.tls else {
        ours.tls = Some(theirs);
        return;
    };
    // The certificates count as checked only if all shards checked them.
    ours.verified &= theirs.verified;
    ours.full += theirs.full;
    ours.resumed += theirs.resumed;
    for (name, n) in theirs.troubles {
        *ours.troubles.entry(name).or_insert(0) += n;
    }
}

pub(crate) fn addresses(summary: &Summary) -> Vec<Address> {
    let address = |(addr, n): (std::net::SocketAddr, crate::metrics::Attempts)| Address {
        address: addr.to_string(),
        opened: n.opened,
        failed: n.failed,
    };
    summary.paths.addresses().map(address).collect()
}

/// Returns the TLS facts. `None` if no target was reached through TLS.
pub(crate) fn tls(plan: &Plan, summary: &Summary) -> Option<Tls> {
    if !plan.targets().any(|target| target.tls) {
        return None;
    }
    let count = |counter| summary.counter(counter, None).map_or(0, |value| value.count);
    let roots = match plan.access.tls.roots {
        Roots::BuiltIn => "built-in",
        Roots::Native => "native",
        Roots::File(_) => "file",
    };
    Some(Tls {
        verified: plan.access.tls.verify,
        roots: roots.to_owned(),
        full: count(Counter::TlsHandshakesFull),
        resumed: count(Counter::TlsHandshakesResumed),
        troubles: summary.paths.troubles().map(|(name, n)| (name.to_owned(), n)).collect(),
    })
}
