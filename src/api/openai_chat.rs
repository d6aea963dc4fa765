//! `OpenAI` chat completions, plain and streamed; also vLLM, llama.cpp, Azure and everything else that is compatible.

use super::{Answer, Ask, Delta, Flaw, Piece};
use crate::wire::sse;

/// Where llmsim serves it.
pub(super) const PATH: &str = "/openai/v1/chat/completions";

pub(super) fn body(_ask: &Ask<'_>) -> Vec<Piece> {
    todo!()
}

pub(super) fn read_event(_event: &sse::Event<'_>) -> Result<Delta, Flaw> {
    todo!()
}

pub(super) fn read_body(_body: &[u8]) -> Result<Answer, Flaw> {
    todo!()
}
