//! `OpenResponses`: the Responses API as an open specification. It asks and answers alike, and ends its streams with `[DONE]`.

use super::openai_responses::{self, End};
use super::{Delta, Flaw};
use crate::wire::sse;

pub(super) use super::openai_responses::{body, read_body};

/// Where llmsim serves it.
pub(super) const PATH: &str = "/openresponses/v1/responses";

/// What one event of a stream means.
pub(super) fn read_event(event: &sse::Event<'_>) -> Result<Delta, Flaw> {
    openai_responses::read_event(event, End::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_done_and_not_completed() {
        let read = |data: &[u8]| read_event(&sse::Event { name: b"", data });
        let completed =
            read(br#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":2}}}"#);
        let completed = completed.expect("an event");
        assert!(completed.finish && !completed.done);
        assert_eq!(completed.usage.map(|usage| (usage.input, usage.output)), Some((3, 2)));
        assert_eq!(read(b"[DONE]"), Ok(Delta { done: true, ..Delta::default() }));
    }
}
