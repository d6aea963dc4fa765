//! Dates received bytes: by the kernel's receive stamp if there is one, else by our clock. Also
//! chooses how long a worker may leave received bytes in the kernel.
//!
//! A kernel stamp says when the last segment of a read was received, however late the read was. So
//! a worker that is slow, or that pauses on purpose, falsifies no instant. A late read can only
//! hide the instants of the tokens *before* its last. For these tokens [`ReceiveTime::not_before`]
//! is the earliest instant at which they can have come, and the exchange censors unknown times.

use crate::net::Stamp;
use crate::units::Nanos;

/// A poll that took longer than this has waited, so every socket was empty during that time.
const POLL_WAITED: Nanos = Nanos::from_micros(20);
/// If a kernel stamp is older than this when its bytes are read, the worker was late. The last
/// bytes of a heap of events may have come within it by chance. If no other socket shows the
/// lateness, the heap counts as one that came at once.
const LATE: Nanos = Nanos::from_millis(1);
/// A real-time clock that moves against the monotonic one by more than this within a second was
/// set, not slewed.
const CLOCK_STEP: Nanos = Nanos::from_millis(1);
/// Bytes whose stamp is earlier than their request by more than this cannot answer it. Smaller
/// differences may come from the two clocks.
const EARLY: Nanos = Nanos::from_millis(1);
/// Longest pause between two polls. Several tokens of one read share an instant if they came within
/// a millisecond. The rest of the millisecond is for the pass itself.
const LONGEST_PAUSE: Nanos = Nanos::from_micros(900);
/// A shorter pause would not batch anything.
const SHORTEST_PAUSE: Nanos = Nanos::from_micros(100);
/// With fewer requests in flight each wake serves few sockets anyway.
const PAUSE_FROM: u32 = 200;

/// The instant `at` of received bytes. If several events came together, none of them came before
/// `not_before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceiveTime {
    pub(super) at: Nanos,
    pub(super) not_before: Nanos,
}

/// An optional [`ReceiveTime`] that takes no more space than the time: a connection has to fit into
/// eight cache lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaybeTime(ReceiveTime);

impl MaybeTime {
    pub(super) const NONE: Self = Self(ReceiveTime { at: Nanos::MAX, not_before: Nanos::MAX });

    pub(super) const fn some(time: ReceiveTime) -> Self {
        Self(time)
    }

    pub(super) fn get(self) -> Option<ReceiveTime> {
        (self != Self::NONE).then_some(self.0)
    }

    pub(super) fn take(&mut self) -> Option<ReceiveTime> {
        std::mem::replace(self, Self::NONE).get()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) time: ReceiveTime,
    /// From the kernel's stamp to our read; `None` without a stamp.
    pub(super) lag: Option<Nanos>,
    /// The kernel received the bytes before their request was sent.
    pub(super) early: bool,
}

/// Dates reads, and chooses the pause between two polls.
#[derive(Debug)]
pub(super) struct ReceiveClock {
    /// True if the kernel stamps the data that it receives.
    pub(super) stamps: bool,
    /// Readings of the kernel's clock at our instant zero, as of now and as of a second ago.
    zero_at: u64,
    zero_at_second: u64,
    /// When the last poll returned.
    pub(super) polled: Nanos,
    /// True if the poll had to wait, so that the first bytes of this pass woke us.
    waited: bool,
    /// True if a read of this pass was late: the worker was not woken in time.
    late: bool,
    /// When the last poll began, and when the poll before it returned.
    entered: Nanos,
    previous: Nanos,
    /// The pause between two polls (zero for no pause), and whether the user has fixed it.
    pause: Nanos,
    pause_is_fixed: bool,
}

impl ReceiveClock {
    /// Creates a clock. `zero_at` is the reading of the kernel's clock at our instant zero. Without
    /// a fixed `pause` the clock chooses one.
    pub(super) fn new(stamps: bool, zero_at: u64, pause: Option<Nanos>) -> Self {
        Self {
            stamps,
            zero_at,
            zero_at_second: zero_at,
            polled: Nanos::ZERO,
            waited: false,
            late: false,
            entered: Nanos::ZERO,
            previous: Nanos::ZERO,
            pause: pause.unwrap_or_default(),
            pause_is_fixed: pause.is_some(),
        }
    }

    /// Notes that a poll began at `entered` and returned at `returned`.
    pub(super) fn poll_returned(&mut self, entered: Nanos, returned: Nanos) {
        self.waited = returned.since(entered) > POLL_WAITED;
        self.late = false;
        (self.previous, self.entered, self.polled) = (self.polled, entered, returned);
    }

    /// Sets the reading of the kernel's clock at our instant zero, as of this pass: the clock may
    /// be slewed during a test.
    pub(super) fn set_zero(&mut self, zero_at: u64) {
        self.zero_at = zero_at;
    }

    /// Dates bytes that were read at `now`. The request was sent at `sent`.
    pub(super) fn date(&mut self, stamp: Option<Stamp>, sent: Nanos, now: Nanos) -> Receipt {
        if !self.stamps {
            // The first of these bytes woke a poll that has waited.
            let not_before = if self.waited { self.polled } else { self.previous };
            return Receipt { time: ReceiveTime { at: now, not_before }, lag: None, early: false };
        }
        let Some(stamp) = stamp else {
            let time = ReceiveTime { at: now, not_before: self.previous };
            return Receipt { time, lag: None, early: false };
        };
        // The instant is never before the request nor in the future: the two clocks are read one
        // after the other, and the kernel's clock may be set.
        let stamped = Nanos(stamp.0.saturating_sub(self.zero_at));
        let at = stamped.min(now).max(sent);
        let early = sent.since(stamped) > EARLY && !self.clock_was_set();
        let lag = now.since(at);
        // A worker that is woken by the first bytes, and reads within a millisecond of the last,
        // finds no bytes that are much older. But the last bytes of a heap may have come just now
        // by chance. Sockets come in the order in which they became readable, so a worker that was
        // not woken in time notices it at the first or the second of them.
        self.late |= lag > LATE;
        // The kernel had earlier bytes before the poll began: they did not wake it.
        let woke_us = self.waited && at >= self.entered;
        let not_before = match (woke_us, self.late) {
            (true, false) => at,
            (true, true) => self.entered,
            (false, _) => self.previous,
        };
        Receipt { time: ReceiveTime { at, not_before }, lag: Some(lag), early }
    }

    /// Returns how long to leave the sockets alone from `now` on. With many streams in flight one
    /// poll per millisecond serves as many tokens as fifty would, for half the CPU. A pause needs
    /// the kernel's stamps, which date the bytes that come meanwhile, and never passes `deadline`.
    pub(super) fn pause(&self, now: Nanos, deadline: Nanos, in_flight: u32) -> Nanos {
        let few = in_flight < PAUSE_FROM && !self.pause_is_fixed;
        if self.pause == Nanos::ZERO || !self.stamps || few {
            return Nanos::ZERO;
        }
        (self.polled + self.pause).min(deadline).since(now)
    }

    /// Sets the pause to a tenth of the mean time between tokens, once a second, so that a token
    /// waits only a small part of its gap. Zero means no pause.
    pub(super) fn choose_pause(&mut self, mean_gap: Nanos) {
        if !self.pause_is_fixed {
            let tenth = Nanos(mean_gap.0 / 10);
            self.pause = if tenth < SHORTEST_PAUSE { Nanos::ZERO } else { tenth.min(LONGEST_PAUSE) };
        }
    }

    /// Returns true if the kernel's clock was set in the last second, which spoils the stamps of
    /// that second. Called once a second.
    pub(super) fn clock_stepped(&mut self) -> bool {
        let was_set = self.clock_was_set();
        self.zero_at_second = self.zero_at;
        self.stamps && was_set
    }

    fn clock_was_set(&self) -> bool {
        Nanos(self.zero_at.abs_diff(self.zero_at_second)) > CLOCK_STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO_AT: u64 = 1_790_000_000_000_000_000;

    fn at(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    fn stamp(millis: u64) -> Stamp {
        Stamp(ZERO_AT + at(millis).0)
    }

    #[test]
    fn the_kernel_dates_and_our_lateness_is_known() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.poll_returned(at(10), at(20));
        let dated = clock.date(Some(stamp(15)), at(1), at(22));
        assert_eq!(dated.lag, Some(at(7)));
        assert_eq!(
            dated.time,
            ReceiveTime { at: at(15), not_before: at(10) },
            "late: they may have come since the poll began"
        );
        clock.poll_returned(at(22), at(30));
        let dated = clock.date(Some(stamp(30)), at(1), at(30));
        assert_eq!(dated.time, ReceiveTime { at: at(30), not_before: at(30) }, "in time");
    }

    #[test]
    fn a_pass_that_began_late_is_late_for_all() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.poll_returned(at(10), at(160));
        assert_eq!(clock.date(Some(stamp(150)), at(1), at(160)).time.not_before, at(10));
        let lucky = clock.date(Some(stamp(160)), at(1), at(160)).time;
        assert_eq!(
            lucky,
            ReceiveTime { at: at(160), not_before: at(10) },
            "its last bytes came just now, the others did not"
        );
        clock.poll_returned(at(160), at(170));
        assert_eq!(
            clock.date(Some(stamp(170)), at(1), at(170)).time.not_before,
            at(170),
            "the next pass is judged anew"
        );
    }

    #[test]
    fn what_was_there_before_a_slow_poll_was_not_waited_for() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.poll_returned(at(5), at(10));
        // Stopped until 160. Then a poll took its time, although all bytes were there already.
        clock.poll_returned(at(160), at(161));
        assert_eq!(clock.date(Some(stamp(155)), at(1), at(161)).time, ReceiveTime { at: at(155), not_before: at(10) });
    }

    #[test]
    fn after_a_busy_pass_bytes_may_be_as_old_as_the_last_poll() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.poll_returned(at(0), at(10));
        clock.poll_returned(at(18), at(18));
        assert_eq!(clock.date(Some(stamp(17)), at(1), at(18)).time, ReceiveTime { at: at(17), not_before: at(10) });
        let mut ours = ReceiveClock::new(false, ZERO_AT, None);
        ours.poll_returned(at(0), at(10));
        assert_eq!(ours.date(None, at(1), at(11)).time, ReceiveTime { at: at(11), not_before: at(10) });
        ours.poll_returned(at(18), at(18));
        assert_eq!(ours.date(None, at(1), at(19)).time, ReceiveTime { at: at(19), not_before: at(10) });
    }

    #[test]
    fn impossible_stamps_are_clamped() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.poll_returned(at(0), at(30));
        assert_eq!(clock.date(Some(Stamp(0)), at(5), at(30)).time.at, at(5), "not before its request");
        assert_eq!(clock.date(Some(stamp(99)), at(5), at(30)).time.at, at(30), "not in the future");
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_is_slewed_is_followed() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.set_zero(ZERO_AT + 400_000);
        assert!(!clock.clock_stepped());
        clock.poll_returned(at(0), at(30));
        assert_eq!(clock.date(Some(stamp(20)), at(5), at(30)).time.at, Nanos(20_000_000 - 400_000));
        clock.set_zero(ZERO_AT + 5_000_000);
        assert!(clock.clock_stepped());
        assert!(!clock.clock_stepped(), "once");
    }

    #[test]
    fn the_pause_is_a_tenth_of_the_gap_and_ends_with_a_deadline() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, None);
        clock.poll_returned(at(0), at(100));
        assert_eq!(clock.pause(at(100), Nanos::MAX, 5_000), Nanos::ZERO, "nothing is known of the gaps yet");
        clock.choose_pause(at(5));
        assert_eq!(clock.pause(at(100), Nanos::MAX, 5_000), Nanos::from_micros(500));
        assert_eq!(clock.pause(at(100), Nanos(100_200_000), 5_000), Nanos::from_micros(200));
        assert_eq!(clock.pause(at(100), Nanos::MAX, PAUSE_FROM - 1), Nanos::ZERO);
        assert_eq!(clock.pause(at(101), Nanos::MAX, 5_000), Nanos::ZERO, "a long pass needs none");
        clock.choose_pause(at(500));
        assert_eq!(clock.pause(at(100), Nanos::MAX, 5_000), LONGEST_PAUSE);
        clock.choose_pause(Nanos::from_micros(300));
        assert_eq!(clock.pause(at(100), Nanos::MAX, 5_000), Nanos::ZERO);
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept_but_never_without_stamps() {
        let mut clock = ReceiveClock::new(true, ZERO_AT, Some(at(2)));
        clock.choose_pause(at(5));
        assert_eq!(clock.pause(at(0), Nanos::MAX, 1), at(2));
        assert_eq!(ReceiveClock::new(false, ZERO_AT, Some(at(2))).pause(at(0), Nanos::MAX, 5_000), Nanos::ZERO);
        assert_eq!(ReceiveClock::new(true, ZERO_AT, Some(Nanos::ZERO)).pause(at(0), Nanos::MAX, 5_000), Nanos::ZERO);
    }
}
