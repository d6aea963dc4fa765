//! When bytes were received: by the kernel's receive stamp where there is one, else by our clock.
//! Also how long a worker may leave received bytes in the kernel.
//!
//! A kernel stamp says when the last segment of a read was received, however late the read was. So
//! a worker that is slow, or that pauses on purpose, falsifies no instant. A late read can only
//! hide the instants of the tokens *before* its last. For these [`ReceiveTime::not_before`] tells
//! how early they can have been received, and the exchange censors what is not known.

use crate::net::Stamp;
use crate::units::Nanos;

/// A poll that took longer than this has waited, and so every socket was empty while it did.
const POLL_WAITED: Nanos = Nanos::from_micros(20);
/// A kernel stamp that is older than this when its bytes are read tells that the worker was late. The
/// last bytes of a heap may have come within it by chance; if no other socket tells, the heap is
/// taken for one that came at once.
const LATE: Nanos = Nanos::from_millis(1);
/// A real-time clock that moves against the monotonic one by more than this between two seconds was
/// set, not slewed.
const CLOCK_STEP: Nanos = Nanos::from_millis(1);
/// Bytes that are stamped so long before a request was sent cannot answer it. Below that, the two
/// clocks may differ.
const EARLY: Nanos = Nanos::from_millis(1);
/// Longest pause between two polls. Several tokens of one read share an instant when they came
/// within a millisecond; the rest of it is for the pass itself.
const LONGEST_PAUSE: Nanos = Nanos::from_micros(900);
/// A shorter pause would not batch anything.
const SHORTEST_PAUSE: Nanos = Nanos::from_micros(100);
/// Below so many requests in flight each wake serves few sockets anyway.
const PAUSE_FROM: u32 = 200;

/// When bytes were received: at `at`. If several events came together, none of them came before
/// `not_before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceiveTime {
    pub(super) at: Nanos,
    pub(super) not_before: Nanos,
}

/// The time of a read, or none, in the space of the time alone: a connection has to fit into eight
/// cache lines.
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
    /// The kernel received them before the request was sent that they should answer.
    pub(super) early: bool,
}

/// Dates reads, and chooses the pause between two polls.
#[derive(Debug)]
pub(super) struct ReceiveClock {
    /// Whether the kernel stamps what it receives.
    pub(super) stamps: bool,
    /// Reading of the kernel's clock at our instant zero, as of now and as of a second ago.
    zero_at: u64,
    zero_at_second: u64,
    /// When the last poll returned.
    pub(super) polled: Nanos,
    /// Whether the poll had to wait, so that the first bytes of this pass woke us.
    waited: bool,
    /// A read of this pass was late: the worker was not woken in time.
    late: bool,
    /// When the last poll began, and when the one before it returned.
    entered: Nanos,
    previous: Nanos,
    /// The pause between two polls (zero for none), and whether the user has fixed it.
    pause: Nanos,
    pause_is_fixed: bool,
}

impl ReceiveClock {
    /// `zero_at` is what the kernel's clock reads at our instant zero; `pause` is none to be
    /// chosen.
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

    /// A poll that began at `entered` has come back at `returned`.
    pub(super) fn poll_returned(&mut self, entered: Nanos, returned: Nanos) {
        self.waited = returned.since(entered) > POLL_WAITED;
        self.late = false;
        (self.previous, self.entered, self.polled) = (self.polled, entered, returned);
    }

    /// What the kernel's clock reads at our instant zero, as of this pass: it may be slewed while a
    /// test runs.
    pub(super) fn set_zero(&mut self, zero_at: u64) {
        self.zero_at = zero_at;
    }

    /// Dates what was read at `now`, of a response to a request of `sent`.
    pub(super) fn date(&mut self, stamp: Option<Stamp>, sent: Nanos, now: Nanos) -> Receipt {
        if !self.stamps {
            // A poll that has waited was woken by the first of these bytes.
            let not_before = if self.waited { self.polled } else { self.previous };
            return Receipt { time: ReceiveTime { at: now, not_before }, lag: None, early: false };
        }
        let Some(stamp) = stamp else {
            let time = ReceiveTime { at: now, not_before: self.previous };
            return Receipt { time, lag: None, early: false };
        };
        // Never before its request, nor in the future: the two clocks are read one after the other,
        // and the kernel's may be set.
        let stamped = Nanos(stamp.0.saturating_sub(self.zero_at));
        let at = stamped.min(now).max(sent);
        let early = sent.since(stamped) > EARLY && !self.clock_was_set();
        let lag = now.since(at);
        // Woken by the first bytes and here within a millisecond of the last: none of them can be
        // much older. But the last bytes of a heap may have come just now by chance; sockets come
        // in the order in which they became readable, so a worker that was not woken in time finds
        // out with the first of them, or the second.
        self.late |= lag > LATE;
        // What the kernel had before the poll began was not waited for, however long the poll took.
        let woke_us = self.waited && at >= self.entered;
        let not_before = match (woke_us, self.late) {
            (true, false) => at,
            (true, true) => self.entered,
            (false, _) => self.previous,
        };
        Receipt { time: ReceiveTime { at, not_before }, lag: Some(lag), early }
    }

    /// How long to leave the sockets alone from `now` on. With many streams in flight one poll a
    /// millisecond serves as many tokens as fifty would, for half the CPU. Only with the kernel's
    /// stamps, which date what comes meanwhile; and never past `deadline`.
    pub(super) fn pause(&self, now: Nanos, deadline: Nanos, in_flight: u32) -> Nanos {
        let few = in_flight < PAUSE_FROM && !self.pause_is_fixed;
        if self.pause == Nanos::ZERO || !self.stamps || few {
            return Nanos::ZERO;
        }
        (self.polled + self.pause).min(deadline).since(now)
    }

    /// Once a second: the pause becomes a tenth of the time between tokens, so that a token is
    /// never kept waiting for long in comparison. Zero for none.
    pub(super) fn choose_pause(&mut self, mean_gap: Nanos) {
        if !self.pause_is_fixed {
            let tenth = Nanos(mean_gap.0 / 10);
            self.pause = if tenth < SHORTEST_PAUSE { Nanos::ZERO } else { tenth.min(LONGEST_PAUSE) };
        }
    }

    /// Once a second: whether the kernel's clock was set meanwhile, which spoils the stamps of that
    /// second.
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
        // Stopped until 160; then a poll that took its time, although everything was there already.
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
