//! Counts the tokens of responses that were kept, after the run and on all cores.

use crate::document::{TokenEstimate, TokenSample};
use crate::engine::AnswerText;
use crate::plan::Tokenizer;
use std::thread;

/// Counts the tokens of all responses. Responses that are not text are left out.
pub(super) fn counted(tokenizer: &Tokenizer, answers: &[AnswerText]) -> TokenEstimate {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = answers.len().div_ceil(threads).max(1);
    let mut sample = TokenSample::default();
    thread::scope(|scope| {
        let parts: Vec<_> = answers
            .chunks(part)
            .map(|part| scope.spawn(|| part.iter().map(|one| of(tokenizer, one)).collect()))
            .collect();
        for part in parts {
            // A panic is a defect of the tokenizer. The responses of that thread are not counted.
            let counted: Vec<Option<TokenSample>> = part.join().unwrap_or_default();
            counted.iter().flatten().for_each(|one| sample.add(one));
        }
    });
    TokenEstimate::new(tokenizer.name(), sample)
}

fn of(tokenizer: &Tokenizer, answer: &AnswerText) -> Option<TokenSample> {
    let [visible, thought] = answer.texts()?;
    let tokens = (tokenizer.tokens(&visible)? + tokenizer.tokens(&thought)?) as u64;
    let is_billed = answer.billed.is_some();
    Some(TokenSample {
        answers: 1,
        events: answer.events.into(),
        tokens,
        billed_answers: is_billed.into(),
        billed_tokens: answer.billed.unwrap_or_default().into(),
        tokens_of_billed: if is_billed { tokens } else { 0 },
    })
}
