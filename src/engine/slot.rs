//! The number of a virtual user within its worker.

use mio::Token;

/// A virtual user of this worker, and its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(pub(super) u32);

impl Slot {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns a token for events of this slot's socket. The generation tells these events from
    /// late events of an earlier socket of the same slot.
    pub(super) const fn token(self, generation: u32) -> Token {
        Token((generation as usize) << 32 | self.0 as usize)
    }

    /// Returns the slot and the generation in a token.
    pub(super) const fn from_token(token: Token) -> (Self, u32) {
        (Self(token.0 as u32), (token.0 >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_and_generation_survive_the_token() {
        for (slot, generation) in [(0, 0), (7, u32::MAX), (u32::MAX, 1)] {
            assert_eq!(Slot::from_token(Slot(slot).token(generation)), (Slot(slot), generation));
        }
    }
}
