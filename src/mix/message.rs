//! Prompts that are written into something else: into a text, a conversation, or a WebSocket
//! message.

use super::body::framed;
use super::conversation::Talk;
use super::prompt::DrawnPrompt;
use super::{Draw, Prepared};
use crate::api::Piece;
use crate::metrics::Asked;
use crate::wire::websocket;
use fastrand::Rng;

impl Prepared {
    /// Appends the prompt inside a JSON string that has already begun.
    pub(super) fn write_inside(&self, prompt: DrawnPrompt<'_>, out: &mut Vec<u8>) -> Asked {
        let before = out.pop();
        let at = out.len();
        let asked = self.prompt.write(prompt, out);
        // The byte that stood before takes the place of the opening quote.
        if let (Some(before), Some(quote)) = (before, out.get_mut(at)) {
            *quote = before;
            out.pop();
        }
        asked
    }

    /// Appends the user's message as it appears in the body.
    pub(super) fn write_user_message(&self, prompt: DrawnPrompt<'_>, out: &mut Vec<u8>) {
        let mut prompt = Some(prompt);
        for piece in &self.body {
            match piece {
                Piece::OfUser(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Prompt => {
                    if let Some(prompt) = prompt.take() {
                        self.prompt.write(prompt, out);
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes the body as one WebSocket message.
    pub(super) fn write_message(
        &self,
        draw: Draw,
        prompt: DrawnPrompt<'_>,
        talk: Option<&Talk>,
        mut rng: Rng,
        out: &mut Vec<u8>,
    ) -> Asked {
        let mask = rng.u32(..).to_be_bytes();
        let estimate = self.estimate(draw, &prompt, talk);
        let mut asked = Asked::default();
        let begin = |length: usize, out: &mut Vec<u8>| websocket::begin_text(length, mask, out);
        framed(estimate, out, begin, |out| {
            let start = out.len();
            asked = self.write_body(draw, prompt, talk, out);
            websocket::mask(&mut out[start..], mask);
        });
        asked
    }
}
