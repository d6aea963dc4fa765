//! `OpenResponses`: the Responses API as an open specification. Requests and responses are the
//! same, except that streams end with `[DONE]`.

use super::openai_responses::{self, End, read_event};
use super::spec::Spec;

/// The `OpenResponses` API.
pub(super) const SPEC: Spec = Spec {
    name: "openresponses",
    path: "/openresponses/v1/responses",
    standard_path: "/v1/responses",
    websocket: false,
    read_event: |event, notes| read_event(event, End::Done, notes),
    ..openai_responses::SPEC
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Delta;
    use crate::wire::sse;

    #[test]
    fn the_end_is_done_and_not_completed() {
        let read = |data: &[u8]| (SPEC.read_event)(&sse::Event { name: b"", data }, None);
        let completed =
            read(br#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":2}}}"#);
        let completed = completed.expect("an event");
        assert!(!completed.done);
        assert_eq!(completed.usage.map(|usage| (usage.input, usage.output)), Some((3, 2)));
        assert_eq!(read(b"[DONE]"), Ok(Delta { done: true, ..Delta::default() }));
    }
}
