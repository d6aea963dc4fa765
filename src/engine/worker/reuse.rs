//! Learns whether connections are worth keeping. Some servers close a connection after every stream
//! without announcing it in the head. A request that is sent on it then meets the close, and has to
//! be sent again.

use crate::engine::exchange::Kept;
use crate::units::Nanos;

/// This many closings in a row, without a connection that lasted, make a habit.
const HABIT: u8 = 3;
/// One in this many connections is kept all the same, to see whether the habit has ended. This is
/// too rare to matter among the requests.
const LOOK_AGAIN: u16 = 256;
/// A connection that was idle for longer may have met a keep-alive timeout.
const AT_ONCE: Nanos = Nanos::from_millis(100);

/// The server's habits as a worker knows them.
#[derive(Debug, Default)]
pub(super) struct Reuse {
    plain: Habit,
    stream: Habit,
}

#[derive(Debug, Default)]
struct Habit {
    closings: u8,
    not_kept: u16,
}

impl Reuse {
    const fn of(&mut self, kept: Kept) -> Option<&mut Habit> {
        match kept {
            Kept::Other => None,
            Kept::Plain => Some(&mut self.plain),
            Kept::Stream => Some(&mut self.stream),
        }
    }

    /// Notes that the server closed a kept connection after it had been idle for `idle`.
    pub(super) fn closed(&mut self, kept: Kept, idle: Nanos) {
        if idle > AT_ONCE {
            return;
        }
        if let Some(habit) = self.of(kept) {
            habit.closings = habit.closings.saturating_add(1).min(HABIT);
        }
    }

    /// Notes that a kept connection has served another request.
    pub(super) fn lasted(&mut self, kept: Kept) {
        if let Some(habit) = self.of(kept) {
            *habit = Habit::default();
        }
    }

    /// Returns true if a connection should be kept after such a response.
    pub(super) fn keeps(&mut self, kept: Kept) -> bool {
        let Some(habit) = self.of(kept).filter(|habit| habit.closings >= HABIT) else { return true };
        habit.not_kept = (habit.not_kept + 1) % LOOK_AGAIN;
        habit.not_kept == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_is_learned_per_sort_of_response_and_unlearned() {
        let mut reuse = Reuse::default();
        for _ in 0..HABIT {
            assert!(reuse.keeps(Kept::Stream));
            reuse.closed(Kept::Stream, Nanos::ZERO);
        }
        assert!(!reuse.keeps(Kept::Stream) && reuse.keeps(Kept::Plain) && reuse.keeps(Kept::Other));
        let kept = (0..1_000).filter(|_| reuse.keeps(Kept::Stream)).count();
        assert_eq!(kept, 3, "it looks again now and then");
        reuse.lasted(Kept::Stream);
        assert!((0..1_000).all(|_| reuse.keeps(Kept::Stream)));
    }

    #[test]
    fn keep_alive_timeouts_and_slips_are_no_habit() {
        let mut reuse = Reuse::default();
        for _ in 0..100 {
            reuse.closed(Kept::Plain, Nanos::from_secs(5));
            reuse.closed(Kept::Stream, Nanos::ZERO);
            reuse.closed(Kept::Stream, Nanos::ZERO);
            reuse.lasted(Kept::Stream);
        }
        assert!(reuse.keeps(Kept::Plain) && reuse.keeps(Kept::Stream));
    }
}
