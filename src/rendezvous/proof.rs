//! Proves that the other side has the key, without sending the key: HMAC-SHA-256 (RFC 2104) over
//! nonces that both sides have chosen for this connection alone. Messages of another connection
//! prove nothing.

use super::message::Who;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes chosen at random for one connection.
pub(super) type Nonce = [u8; 32];

/// The side that proves. A proof of one side is not valid for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Host,
    Guest,
}

/// The key of all shards. Empty if no key is needed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(super) fn proof(&self, side: Side, nonces: (&str, &str), who: &Who) -> String {
        STANDARD.encode(self.mac(side, nonces, who).finalize().into_bytes())
    }

    /// Returns true if the proof is right. Takes the same time for every wrong proof.
    pub(super) fn proves(&self, proof: &str, side: Side, nonces: (&str, &str), who: &Who) -> bool {
        STANDARD.decode(proof).is_ok_and(|proof| self.mac(side, nonces, who).verify_slice(&proof).is_ok())
    }

    fn mac(&self, side: Side, (host, guest): (&str, &str), who: &Who) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "RFC 2104: a key of any length is one")]
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.0).expect("any length");
        let side = match side {
            Side::Host => "host",
            Side::Guest => "guest",
        };
        let Who { protocol, shard, count, plan, version } = who;
        let numbers = format!("{protocol} {shard} {count}");
        // Each part is preceded by its length, so that no two lists give the same bytes.
        for part in ["llmsim-blast rendezvous", side, host, guest, &numbers, plan, version] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

pub(super) fn text(nonce: &Nonce) -> String {
    STANDARD.encode(nonce)
}
