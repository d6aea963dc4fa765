//! Decides whether a step had the intended load, and whose fault it was if not. Pure: takes the
//! numbers of the step and returns the verdict.

use crate::metrics::validity::FEW_LATE;
use crate::units::plural;

/// Share of the arrivals in the window that must have been started in it. With less, the step did
/// not have the intended load.
const KEPT_UP: f64 = 0.99;

/// The arrivals of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    /// Arrivals that came due in the window.
    pub(super) offered: u64,
    /// Requests that were started in the window for an arrival.
    pub(super) started: u64,
    /// Highest number of VUs that were busy at once.
    pub(super) busy: u64,
    /// VUs that may be busy at once.
    pub(super) users: u64,
    /// True if signals other than the arrivals show that this machine was late.
    pub(super) client_was_late: bool,
}

/// The reason why a step did not have the intended load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Late {
    /// Requests were under way for so long that no VU was free.
    Server(String),
    /// This machine did not start them. That says nothing about the server.
    Client(String),
}

impl Late {
    /// Returns the text for the user.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Server(text) | Self::Client(text) => text,
        }
    }
}

impl Arrived {
    /// Returns why the step did not have the intended load, if so.
    pub(super) fn late(&self) -> Option<Late> {
        let Self { offered, started, .. } = *self;
        let late = offered.saturating_sub(started);
        if late <= FEW_LATE || started as f64 >= offered as f64 * KEPT_UP {
            return None;
        }
        let text = format!("{started} of {} started in time", plural(offered, "arrival"));
        // While a VU is free, an arrival waits only for this process.
        Some(if self.client_was_late || self.busy < self.users {
            Late::Client(format!("{text}: this machine was late"))
        } else {
            Late::Server(format!("{text}: all users were busy"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of 960 VUs are busy.
    fn of(offered: u64, started: u64) -> Arrived {
        Arrived { offered, started, busy: 960, users: 960, client_was_late: false }
    }

    #[test]
    fn a_rate_that_was_not_kept_up_does_not_hold() {
        assert_eq!(of(10_000, 9_950).late(), None);
        let Some(Late::Server(text)) = of(10_000, 9_800).late() else { panic!("users were busy") };
        assert_eq!(text, "9800 of 10000 arrivals started in time: all users were busy");
        // Arrivals of the warm-up may be started in the window.
        assert_eq!(of(10_000, 10_100).late(), None);
    }

    #[test]
    fn a_handful_of_late_arrivals_decides_nothing() {
        // A hiccup of 33 ms at the end of a short window.
        assert_eq!(of(45, 40).late(), None);
        assert_eq!(of(45, 35).late(), None);
        assert!(matches!(of(45, 34).late(), Some(Late::Server(_))));
        assert_eq!(of(0, 0).late(), None);
    }

    #[test]
    fn what_our_own_machine_missed_is_not_the_servers_fault() {
        let free = Arrived { busy: 41, ..of(10_000, 9_000) };
        let Some(Late::Client(text)) = free.late() else { panic!("users were free") };
        assert_eq!(text, "9000 of 10000 arrivals started in time: this machine was late");
        // After a stall of the client, all waiting arrivals are started at once.
        let stalled = Arrived { client_was_late: true, ..of(10_000, 9_000) };
        assert!(matches!(stalled.late(), Some(Late::Client(_))));
        let kept_up = Arrived { client_was_late: true, ..of(10_000, 10_000) };
        assert_eq!(kept_up.late(), None);
    }
}
