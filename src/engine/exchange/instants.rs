//! When the events of a read came, as far as that is known.

use super::{Exchange, Incoming};
use crate::engine::rx_time::ReceiveTime;
use crate::units::Nanos;

/// The widest interval in which several token events of one read may have come and still share its
/// instant. A worker that polls in time is below it; above it the single gaps are not known (only
/// their sum is) and must not be invented.
const SHARED_INSTANT: Nanos = Nanos::from_millis(1);

/// What is known of the events of the present read, which have no instants yet. One byte: a
/// connection has to fit into eight cache lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks(u8);

impl Marks {
    /// There is an event.
    const ANY: u8 = 1;
    /// There is more than one.
    const SEVERAL: u8 = 2;
    /// The first event of the response is one of them.
    const BEGINS: u8 = 4;
    /// One of the tokens is no reasoning.
    const VISIBLE: u8 = 8;
    /// The latest event is a token.
    const TOKEN_IS_LATEST: u8 = 16;
    /// Of an earlier read: the last token may have come well before it is dated.
    const LAST_IS_LATE: u8 = 32;

    const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    fn set(&mut self, mark: u8, to: bool) {
        self.0 = if to { self.0 | mark } else { self.0 & !mark };
    }

    /// One more event, which may be the first of the response.
    pub(super) fn event(&mut self, is_first: bool) {
        let any = self.has(Self::ANY);
        self.set(Self::SEVERAL, any);
        self.0 |= Self::ANY | if is_first { Self::BEGINS } else { 0 };
        self.set(Self::TOKEN_IS_LATEST, false);
    }

    /// The latest event is a token.
    pub(super) fn token(&mut self, visible: bool) {
        self.0 |= Self::TOKEN_IS_LATEST | if visible { Self::VISIBLE } else { 0 };
    }
}

impl Exchange {
    /// The events of one read get their instants.
    ///
    /// The last bytes of a read came when it says. What stands before them came somewhere in
    /// (`not_before`, `at`]: if that is narrow they share `at`, else single gaps, and the first event
    /// or token, are *censored*: counted, not guessed. A time that is made of two instants is left
    /// out as well if it may begin earlier than it is dated, because it would be too short.
    pub(super) fn settle(&mut self, time: ReceiveTime, incoming: &mut Incoming<'_>) {
        let tokens = u32::from(std::mem::take(&mut self.tokens_in_read));
        let marks = self.marks;
        if !marks.has(Marks::ANY) {
            return;
        }
        let last_is_late = marks.has(Marks::LAST_IS_LATE);
        self.marks = Marks(marks.0 & Marks::LAST_IS_LATE);
        let at = time.at;
        let is_wide = time.at.since(time.not_before) > SHARED_INSTANT;
        // What is kept for the next read came after the last event.
        let is_last = self.held() == 0;
        let sample = &mut self.sample;
        sample.ttfe_censored |= marks.has(Marks::BEGINS) && is_wide && (marks.has(Marks::SEVERAL) || !is_last);
        if tokens == 0 {
            return;
        }
        let token_is_last = is_last && marks.has(Marks::TOKEN_IS_LATEST);
        let visible = marks.has(Marks::VISIBLE);
        let known = !is_wide || (tokens == 1 && token_is_last);
        match (known, sample.last_token) {
            (true, Some(last)) if !last_is_late => {
                let gap = at.since(last);
                incoming.tally.gap(sample.kind, sample.turn, gap);
                if let Some(gaps) = &mut incoming.gaps {
                    gaps.push(gap.0);
                }
                sample.longest_gap = sample.longest_gap.max(Some(gap));
            }
            // It would be too short.
            (true, Some(_)) => sample.unknown_gaps(1, Nanos::MAX),
            (true, None) => {}
            (false, last) => {
                let within = if last_is_late { Nanos::MAX } else { at.since(last.unwrap_or(time.not_before)) };
                sample.unknown_gaps(tokens - u32::from(last.is_none()), within);
                sample.ttft_censored |= sample.first_token.is_none();
                sample.ttfo_censored |= visible && sample.first_visible.is_none();
            }
        }
        if known && tokens > 1 {
            incoming.tally.gaps(sample.kind, sample.turn, Nanos::ZERO, tokens - 1);
            if let Some(gaps) = &mut incoming.gaps {
                gaps.extend(std::iter::repeat_n(0, tokens as usize - 1));
            }
            sample.longest_gap = sample.longest_gap.max(Some(Nanos::ZERO));
        }
        if sample.first_token.is_none() {
            sample.first_token = Some(at);
            sample.tpot_censored = !known;
        }
        if visible {
            sample.first_visible.get_or_insert(at);
        }
        sample.last_token = Some(at);
        self.marks.set(Marks::LAST_IS_LATE, is_wide && !token_is_last);
    }
}
