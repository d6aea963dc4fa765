//! `--start-at`: the machines of a test begin at one instant, synchronised by wall clock only.

use super::error::TrialError;
use super::prepare::Ready;
use super::provenance::wall_clock;
use crate::units::Nanos;
use jiff::{SignedDuration, Timestamp};

/// A shard that begins later than this does not take part in the same load: the others have had
/// their VUs for that long.
const LATEST: SignedDuration = SignedDuration::from_secs(1);
/// Pause between two checks of the flag.
const NAP: SignedDuration = SignedDuration::from_millis(50);

impl Ready {
    /// Asks the server for its numbers before the load. Returns at the planned instant, at once if
    /// that passed by no more than a second ago, or when a signal arrives.
    pub(crate) fn wait_for_start(&mut self, say: &mut dyn FnMut(&str)) -> Result<(), TrialError> {
        self.server.ask_for_numbers(&self.plan, &self.stop);
        let Some(at) = self.plan().start_at else { return Ok(()) };
        if self.stop().is_signalled() {
            return Ok(());
        }
        if let Some(left) = left(at, wall_clock())? {
            say(&format!(
                "everything is ready: starting at {at}, in {}",
                Nanos::from_secs(left.as_secs().unsigned_abs())
            ));
        }
        while let Some(left) = left(at, wall_clock())? {
            if self.stop().is_signalled() {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "waits for an instant of the wall clock, before the test")]
            std::thread::sleep(left.min(NAP).unsigned_abs());
        }
        Ok(())
    }
}

/// Returns the time left until `at`. `None` once it has come.
fn left(at: Timestamp, now: Timestamp) -> Result<Option<SignedDuration>, TrialError> {
    let left = at.duration_since(now);
    if left < -LATEST {
        return Err(TrialError::Late {
            at,
            by: Nanos::from_millis(left.as_millis().unsigned_abs() as u64 / 100 * 100),
        });
    }
    Ok((left > SignedDuration::ZERO).then_some(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_from_then_on_for_a_second() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("an instant");
        let at = |ms: i64| left(now + SignedDuration::from_millis(ms), now);
        assert_eq!(at(1_500).expect("not yet"), Some(SignedDuration::from_millis(1_500)));
        assert_eq!(at(0).expect("now"), None);
        assert_eq!(at(-1_000).expect("just in time"), None);
        let late = at(-1_001).expect_err("too late").to_string();
        assert!(late.starts_with("--start-at 2026-11-24T11:59:58.999Z: that was 1s ago"), "{late}");
    }
}
