//! Keeps the texts of a few responses, so that their tokens can be counted after the run. Without
//! `--tokenizer` nothing is kept.
//!
//! The choice of responses depends on seeded numbers alone: those with the smallest numbers are
//! kept. They are a sample of all responses, whose count is unknown before the end. A text is
//! gathered from the start of its response, and only while its number is small enough: of `n`
//! responses about `KEPT × ln(n / KEPT)` are gathered.

use super::slot::Slot;
use crate::metrics::{Outcome, Sample};
use crate::plan::Plan;
use crate::units::mix64;
use std::collections::BinaryHeap;

/// Separates the choice of responses from all other draws.
const CHOICE_DRAWS: u64 = 0x416e_7377_6572_000b;
/// Responses that a worker keeps, and that are kept of all workers together.
const KEPT: usize = 256;
/// Maximum number of responses whose text is gathered at the same time.
const GATHERED: usize = 256;
/// Longest text of a response, still escaped. A longer response is not kept.
const MAX_TEXT_BYTES: usize = 128 * 1024;

/// The text of one streamed response, and its token counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerText {
    /// Its seeded number. The responses with the smallest numbers are kept.
    number: u64,
    /// Events with generated content.
    pub events: u32,
    /// Tokens that the server billed for it; `None` if the server did not say.
    pub billed: Option<u32>,
    /// The visible text: the inside of a JSON string, as received.
    visible: Vec<u8>,
    /// The reasoning text, in the same form.
    thought: Vec<u8>,
}

impl AnswerText {
    /// Returns the visible text and the reasoning text; `None` if either is not a valid JSON
    /// string.
    pub fn texts(&self) -> Option<[String; 2]> {
        let text = |escaped: &[u8]| {
            let quoted = [b"\"", escaped, b"\""].concat();
            serde_json::from_slice::<String>(&quoted).ok()
        };
        Some([text(&self.visible)?, text(&self.thought)?])
    }

    fn is_too_long(&self) -> bool {
        self.visible.len() + self.thought.len() > MAX_TEXT_BYTES
    }

    /// Adds a piece of the reasoning text if `thought`, else of the visible text.
    pub(super) fn push(&mut self, thought: bool, escaped: &[u8]) {
        if !self.is_too_long() {
            let text = if thought { &mut self.thought } else { &mut self.visible };
            text.extend_from_slice(escaped);
        }
    }
}

/// The responses that a worker keeps.
#[derive(Debug)]
pub(super) struct Answers {
    seed: u64,
    /// By the number of the phase: true if the phase is part of the measurement.
    measured: Vec<bool>,
    /// By slot: the response that is being gathered.
    gathering: Vec<Option<Box<AnswerText>>>,
    gathered: usize,
    /// The response with the largest number is at the top.
    kept: BinaryHeap<AnswerText>,
}

impl Answers {
    /// Returns `None` unless the plan has a tokenizer.
    pub(super) fn new(shard: &Plan, slots: usize) -> Option<Box<Self>> {
        shard.tuning.tokenizer.as_ref()?;
        Some(Box::new(Self {
            seed: shard.seed ^ CHOICE_DRAWS,
            measured: shard.phases().iter().map(|phase| phase.measured).collect(),
            gathering: vec![None; slots],
            gathered: 0,
            kept: BinaryHeap::new(),
        }))
    }

    /// Begins to gather the response to a streamed request that is sent in `phase`, if its number
    /// is small enough. `turn` tells the requests of one iteration apart.
    pub(super) fn begin(&mut self, slot: Slot, phase: u16, user: u32, iteration: u64, turn: u16) {
        self.forget(slot);
        let number = mix64(self.seed ^ u64::from(turn), user.into(), iteration);
        let is_small = self.kept.len() < KEPT || self.kept.peek().is_some_and(|largest| number < largest.number);
        let is_measured = self.measured.get(usize::from(phase)).copied().unwrap_or_default();
        if is_small && is_measured && self.gathered < GATHERED {
            let (visible, thought) = (Vec::new(), Vec::new());
            self.gathering[slot.index()] =
                Some(Box::new(AnswerText { number, events: 0, billed: None, visible, thought }));
            self.gathered += 1;
        }
    }

    /// Returns the text of the slot's response, if it is being gathered.
    pub(super) fn text(&mut self, slot: Slot) -> Option<&mut AnswerText> {
        self.gathering[slot.index()].as_deref_mut()
    }

    /// Ends the slot's response, and keeps it if it is complete and its number is small enough.
    pub(super) fn end(&mut self, slot: Slot, sample: &Sample) {
        let Some(answer) = self.forget(slot) else { return };
        if sample.outcome != Outcome::Success || sample.token_events == 0 || answer.is_too_long() {
            return;
        }
        let (events, billed) = (sample.token_events, sample.billed_output());
        self.kept.push(AnswerText { events, billed, ..*answer });
        if self.kept.len() > KEPT {
            self.kept.pop();
        }
    }

    fn forget(&mut self, slot: Slot) -> Option<Box<AnswerText>> {
        let answer = self.gathering[slot.index()].take()?;
        self.gathered -= 1;
        Some(answer)
    }

    /// Returns the responses that were kept.
    pub(super) fn into_kept(self) -> Vec<AnswerText> {
        self.kept.into_vec()
    }
}

/// Chooses the responses with the smallest numbers out of those of all workers.
pub(super) fn choose(mut answers: Vec<AnswerText>) -> Vec<AnswerText> {
    answers.sort_unstable();
    answers.truncate(KEPT);
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TokenUsage;
    use crate::plan::{Overrides, resolve};
    use crate::units::Nanos;

    fn answers(slots: usize) -> Answers {
        let (seed, measured) = (7, vec![false, true]);
        Answers { seed, measured, gathering: vec![None; slots], gathered: 0, kept: BinaryHeap::new() }
    }

    fn sample(outcome: Outcome, events: u32) -> Sample {
        Sample { outcome, token_events: events, ..Sample::begun(0, Nanos::ZERO) }
    }

    /// Simulates one request per user, with its response.
    fn answer(answers: &mut Answers, users: impl Iterator<Item = u32>) {
        for user in users {
            answers.begin(Slot(0), 1, user, 0, 0);
            if let Some(text) = answers.text(Slot(0)) {
                text.push(false, b"a");
            }
            answers.end(Slot(0), &sample(Outcome::Success, 1));
        }
    }

    #[test]
    fn without_a_tokenizer_nothing_is_kept() {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        assert!(Answers::new(&plan, 4).is_none());
    }

    #[test]
    fn texts_are_gathered_as_they_come() {
        let mut answers = answers(2);
        answers.begin(Slot(1), 1, 3, 0, 0);
        assert!(answers.text(Slot(0)).is_none(), "nobody has asked there");
        for (thought, part) in [(true, "hm"), (false, "\\ud83d"), (false, "\\ude00 \\\""), (false, "b\u{e9}")] {
            answers.text(Slot(1)).expect("gathered").push(thought, part.as_bytes());
        }
        let usage = Some(TokenUsage { output: 9, ..TokenUsage::default() });
        answers.end(Slot(1), &Sample { usage, ..sample(Outcome::Success, 4) });
        let kept = answers.into_kept();
        assert_eq!((kept.len(), kept[0].events, kept[0].billed), (1, 4, Some(9)));
        assert_eq!(kept[0].texts(), Some(["\u{1f600} \"b\u{e9}".to_owned(), "hm".to_owned()]));
    }

    #[test]
    fn what_is_no_whole_answer_of_the_measurement_is_not_kept() {
        let mut answers = answers(1);
        answers.begin(Slot(0), 0, 1, 0, 0);
        assert!(answers.text(Slot(0)).is_none(), "the warm-up");
        for (outcome, events) in [(Outcome::Interrupted, 3), (Outcome::Cancelled, 3), (Outcome::Success, 0)] {
            answers.begin(Slot(0), 1, 1, 0, 0);
            answers.end(Slot(0), &sample(outcome, events));
        }
        answers.begin(Slot(0), 1, 1, 0, 0);
        answers.text(Slot(0)).expect("gathered").push(false, &vec![b'a'; MAX_TEXT_BYTES + 1]);
        answers.end(Slot(0), &sample(Outcome::Success, 1));
        // A new attempt leaves nothing of the one before.
        answers.begin(Slot(0), 1, 1, 0, 0);
        answers.text(Slot(0)).expect("gathered").push(false, b"a");
        answers.begin(Slot(0), 1, 1, 0, 0);
        answers.end(Slot(0), &sample(Outcome::Success, 1));
        assert_eq!(answers.gathered, 0);
        let kept = answers.into_kept();
        assert_eq!((kept.len(), kept[0].texts()), (1, Some([String::new(), String::new()])));
    }

    #[test]
    fn those_with_the_smallest_numbers_are_kept_whoever_answers_them() {
        let (mut one, mut odd, mut even) = (answers(1), answers(1), answers(1));
        answer(&mut one, 0..5_000);
        answer(&mut odd, (0..5_000).filter(|n| n % 2 == 1));
        answer(&mut even, (0..5_000).filter(|n| n % 2 == 0));
        let numbers = |kept: Vec<AnswerText>| kept.iter().map(|one| one.number).collect::<Vec<_>>();
        let whole = numbers(choose(one.into_kept()));
        assert_eq!(whole.len(), KEPT);
        assert_eq!(numbers(choose([odd.into_kept(), even.into_kept()].concat())), whole);
        assert!(whole.iter().max() < Some(&(u64::MAX / 10)), "of 5,000 about the first twentieth");
    }

    #[test]
    fn only_so_many_are_gathered_at_once() {
        let mut answers = answers(GATHERED + 10);
        for slot in 0..GATHERED as u32 + 10 {
            answers.begin(Slot(slot), 1, slot, 0, 0);
        }
        assert_eq!(answers.gathering.iter().flatten().count(), GATHERED);
        answers.end(Slot(0), &sample(Outcome::Success, 1));
        answers.begin(Slot(0), 1, 999, 0, 0);
        assert!(answers.text(Slot(0)).is_some());
    }
}
