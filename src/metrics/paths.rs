//! Connections to the servers: which addresses accepted connections, and which TLS errors occurred.

use std::net::SocketAddr;

/// Counts of connection attempts and of TLS errors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    addresses: Vec<(SocketAddr, Attempts)>,
    troubles: Vec<(&'static str, u64)>,
}

/// Attempts to open a connection to one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Attempts that succeeded, including the TLS handshake.
    pub opened: u64,
    /// Attempts that failed.
    pub failed: u64,
}

impl Paths {
    /// Returns the addresses to which connections were attempted, ascending.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketAddr, Attempts)> {
        self.addresses.iter().copied().filter(|(_, n)| n.opened + n.failed > 0)
    }

    /// Returns the causes of TLS failures with their counts, in alphabetical order.
    pub fn troubles(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.troubles.iter().copied().filter(|(_, n)| *n > 0)
    }

    /// Adds attempts. It only allocates for a new address.
    pub(super) fn attempt(&mut self, addr: SocketAddr, made: Attempts) {
        match self.addresses.binary_search_by(|(known, _)| known.cmp(&addr)) {
            Ok(i) => {
                self.addresses[i].1.opened += made.opened;
                self.addresses[i].1.failed += made.failed;
            }
            Err(i) => self.addresses.insert(i, (addr, made)),
        }
    }

    pub(super) fn trouble(&mut self, name: &'static str, n: u64) {
        match self.troubles.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(i) => self.troubles[i].1 += n,
            Err(i) => self.troubles.insert(i, (name, n)),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (addr, made) in other.addresses() {
            self.attempt(addr, made);
        }
        for (name, n) in other.troubles() {
            self.trouble(name, n);
        }
    }

    /// Resets the counts. Entries are kept, so that a warm tally does not allocate.
    pub(super) fn clear(&mut self) {
        self.addresses.iter_mut().for_each(|(_, n)| *n = Attempts::default());
        self.troubles.iter_mut().for_each(|(_, n)| *n = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_a_cleared_one_is_as_good_as_new() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (opened, failed) = (Attempts { opened: 1, failed: 0 }, Attempts { opened: 0, failed: 1 });
        let mut one = Paths::default();
        one.attempt(addr(2), opened);
        one.attempt(addr(1), failed);
        one.trouble("not TLS", 1);
        let mut sum = one.clone();
        sum.add(&one);
        sum.attempt(addr(2), failed);
        let expected = [(addr(1), Attempts { opened: 0, failed: 2 }), (addr(2), Attempts { opened: 2, failed: 1 })];
        assert_eq!(sum.addresses().collect::<Vec<_>>(), expected);
        assert_eq!(sum.troubles().collect::<Vec<_>>(), [("not TLS", 2)]);
        sum.clear();
        assert_eq!((sum.addresses().count(), sum.troubles().count()), (0, 0));
    }
}
