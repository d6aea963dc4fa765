//! What users do beside waiting for the whole answer: they give up, vanish, or read slowly.

use crate::units::Nanos;

/// What the users of a kind of request do. The usual ones do nothing of all this.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Conduct {
    /// They give up: the connection is closed in the usual way.
    pub cancel: Option<Leave>,
    /// They vanish: the connection is reset.
    pub drop: Option<Leave>,
    /// They read slowly.
    pub slow_reader: Option<SlowReader>,
}

/// When a user leaves, and how many do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leave {
    /// When.
    pub after: After,
    /// Which share of the requests, above 0 and at most 1.
    pub share: f64,
}

/// When a user leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// As soon as so many token events have come.
    Tokens(u32),
    /// So long after the request was sent.
    Time(Nanos),
}

/// How slowly a user reads, and how many do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowReader {
    /// Most bytes read in a second, on average.
    pub bytes_per_second: u32,
    /// Which share of the requests, above 0 and at most 1.
    pub share: f64,
}

/// What one user does with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manners {
    /// It leaves before the end.
    pub leave: Option<Departure>,
    /// It reads no faster than this.
    pub bytes_per_second: Option<u32>,
}

/// How one user leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// When.
    pub after: After,
    /// The connection is reset instead of closed.
    pub by_reset: bool,
}

impl Conduct {
    /// What one of the users does. Whoever gives up does not vanish: one draw decides between the two.
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Manners {
        let mut manners = Manners::default();
        if self.cancel.is_some() || self.drop.is_some() {
            let point = rng.f64();
            let cancels = self.cancel.map_or(0.0, |leave| leave.share);
            let leave = match (self.cancel, self.drop) {
                (Some(cancel), _) if point < cancels => Some((cancel, false)),
                (_, Some(drop)) if point >= cancels && point < cancels + drop.share => Some((drop, true)),
                _ => None,
            };
            manners.leave = leave.map(|(leave, by_reset)| Departure { after: leave.after, by_reset });
        }
        if let Some(slow) = self.slow_reader
            && rng.f64() < slow.share
        {
            manners.bytes_per_second = Some(slow.bytes_per_second);
        }
        manners
    }
}
