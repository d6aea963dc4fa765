//! The back-off after a failed attempt. Time is an argument.

use crate::units::Nanos;

/// The first pause, and the longest.
const FIRST: Nanos = Nanos::from_secs(1);
const LONGEST: Nanos = Nanos::from_secs(32);

/// The pause between attempts. It doubles while they fail.
#[derive(Debug)]
pub(super) struct Pause {
    /// Length of the next pause.
    next: Nanos,
    wait: Wait,
}

#[derive(Debug)]
enum Wait {
    None,
    /// An attempt has just failed. Its duration is unknown until the next call passes the time.
    Begins(Nanos),
    Until(Nanos),
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST, wait: Wait::None }
    }
}

impl Pause {
    /// Notes that an attempt failed.
    pub(super) fn failed(&mut self) {
        self.wait = Wait::Begins(self.next);
        self.next = Nanos(self.next.0.saturating_mul(2)).min(LONGEST);
    }

    /// Notes that an attempt succeeded.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Returns whether the pause goes on at `now`.
    pub(super) fn lasts(&mut self, now: Nanos) -> bool {
        if let Wait::Begins(length) = self.wait {
            self.wait = Wait::Until(now + length);
        }
        matches!(self.wait, Wait::Until(end) if now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_counted_from_the_end_of_the_attempt() {
        let mut pause = Pause::default();
        let at = Nanos::from_secs;
        assert!(!pause.lasts(at(1)));
        pause.failed();
        // The attempt took three seconds, and their snapshots came together.
        assert!(pause.lasts(at(4)) && !pause.lasts(at(5)));
        pause.failed();
        assert!(pause.lasts(at(5)) && pause.lasts(at(6)) && !pause.lasts(at(7)));
        pause.succeeded();
        assert!(!pause.lasts(at(7)));
    }

    #[test]
    fn it_doubles_to_half_a_minute_and_begins_anew_after_a_success() {
        let length = |pause: &mut Pause| {
            pause.failed();
            (0..99).find(|&second| !pause.lasts(Nanos::from_secs(second)))
        };
        let mut pause = Pause::default();
        let lengths: Vec<_> = (0..8).filter_map(|_| length(&mut pause)).collect();
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 32, 32]);
        pause.succeeded();
        assert_eq!(length(&mut pause), Some(1));
    }
}
