//! The instants of the events of a read, as far as they are known.

use super::{Exchange, Incoming};
use crate::engine::rx_time::ReceiveTime;
use crate::units::Nanos;

/// The widest interval in which several token events of one read may have come and still share its
/// instant. A worker that polls in time stays below it. Above it only the sum of the gaps is known,
/// and the single gaps must not be invented.
const SHARED_INSTANT: Nanos = Nanos::from_millis(1);

/// Facts about the events of the present read, which have no instants yet. One byte, because a
/// connection has to fit into eight cache lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks(u8);

impl Marks {
    /// The read has an event.
    const ANY: u8 = 1;
    /// The read has more than one event.
    const SEVERAL: u8 = 2;
    /// The first event of the response is in this read.
    const BEGINS: u8 = 4;
    /// At least one of the tokens is not reasoning.
    const VISIBLE: u8 = 8;
    /// The latest event is a token.
    const TOKEN_IS_LATEST: u8 = 16;
    /// From an earlier read: the last token may have come well before its recorded instant.
    const LAST_IS_LATE: u8 = 32;

    const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    fn set(&mut self, mark: u8, to: bool) {
        self.0 = if to { self.0 | mark } else { self.0 & !mark };
    }

    /// Notes one more event, which may be the first of the response.
    pub(super) fn event(&mut self, is_first: bool) {
        let any = self.has(Self::ANY);
        self.set(Self::SEVERAL, any);
        self.0 |= Self::ANY | if is_first { Self::BEGINS } else { 0 };
        self.set(Self::TOKEN_IS_LATEST, false);
    }

    /// Notes that the latest event is a token.
    pub(super) fn token(&mut self, visible: bool) {
        self.0 |= Self::TOKEN_IS_LATEST | if visible { Self::VISIBLE } else { 0 };
    }
}

impl Exchange {
    /// Gives the events of one read their instants.
    ///
    /// The last bytes of a read came at the instant `at`. The bytes before them came somewhere in
    /// (`not_before`, `at`]. If that interval is narrow, they share `at`. Otherwise single gaps,
    /// and the first event or token, are *censored*: counted, not guessed. A time between two
    /// instants is left out as well if its first instant may be dated too late, because the time
    /// would be too short.
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
        // Bytes kept for the next read came after the last event.
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
            // The gap would be too short.
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
