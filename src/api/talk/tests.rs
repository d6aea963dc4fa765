use super::*;
use crate::api::{Api, Reader};
use crate::wire::sse;
use serde_json::json;

/// Reads a stream's events with a reader that has already seen `before` such streams.
fn streamed(api: Api, events: &[Value], before: usize) -> Reply {
    let mut reader = Reader::new(api, true);
    let mut reply = Reply::default();
    for _ in 0..=before {
        reply.clear();
        for event in events {
            let data = event.to_string();
            reader.read_reply(&sse::Event { name: b"", data: data.as_bytes() }, &mut reply).expect("an event");
        }
    }
    reply
}

fn whole(api: Api, body: &Value) -> Reply {
    let mut reply = Reply::default();
    Reader::new(api, true).read_whole_reply(body.to_string().as_bytes(), &mut reply).expect("an answer");
    reply
}

/// Returns the messages that the next request carries.
fn messages(api: Api, reply: &Reply, history: History) -> Value {
    let mut out = Vec::new();
    let result = |_: usize, out: &mut Vec<u8>| out.extend_from_slice(br#""canned \"result\"""#);
    api.write_reply(reply, history, &result, &mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    serde_json::from_str(&format!("[{}]", text.trim_end_matches(','))).expect("JSON")
}

fn chat_delta(delta: &Value) -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn chat_text() -> Vec<Value> {
    ["Say \"hi\"\n", "", " \u{fffd}\u{1f600}", "\\"]
        .iter()
        .map(|text| chat_delta(&json!({ "content": text })))
        .chain([chat_delta(&json!({ "reasoning_content": "hidden" }))])
        .collect()
}

#[test]
fn a_streamed_text_is_sent_back_as_it_came() {
    for before in [0, 1, 20] {
        let reply = streamed(Api::OpenaiChat, &chat_text(), before);
        let expected = json!([{ "role": "assistant", "content": "Say \"hi\"\n \u{fffd}\u{1f600}\\" }]);
        assert_eq!(messages(Api::OpenaiChat, &reply, History::Messages), expected, "after {before} streams");
        assert!(!reply.calls_tools());
    }
}

#[test]
fn calls_that_come_in_pieces_are_put_together_and_answered() {
    let part = |index: u64, call: Value| {
        let mut call = call;
        call["index"] = json!(index);
        chat_delta(&json!({ "tool_calls": [call] }))
    };
    let events = [
        chat_delta(&json!({ "content": "Let me see." })),
        part(0, json!({ "id": "call_a", "type": "function", "function": { "name": "read", "arguments": "" } })),
        part(0, json!({ "function": { "arguments": "{\"path\":" } })),
        part(0, json!({ "function": { "arguments": "\"a\"}" } })),
        part(1, json!({ "id": "call_b", "type": "function", "function": { "name": "list", "arguments": "{}" } })),
    ];
    for before in [0, 3] {
        let reply = streamed(Api::OpenaiChat, &events, before);
        assert!(reply.calls_tools());
        let call = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        let calls = [call("call_a", "read", "{\"path\":\"a\"}"), call("call_b", "list", "{}")];
        let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "canned \"result\"" });
        let expected = json!([
            { "role": "assistant", "content": "Let me see.", "tool_calls": calls },
            result("call_a"),
            result("call_b"),
        ]);
        assert_eq!(messages(Api::OpenaiChat, &reply, History::Messages), expected, "after {before} streams");
    }
}

#[test]
fn a_plain_answer_is_read_like_a_stream() {
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 });
    let call = json!({ "id": "x", "type": "function", "function": { "name": "read", "arguments": "{}" } });
    let body = json!({ "choices": [{ "message": { "role": "assistant", "content": "Hi", "tool_calls": [call] } }], "usage": usage });
    let sent = messages(Api::OpenaiChat, &whole(Api::OpenaiChat, &body), History::Messages);
    assert_eq!((&sent[0]["content"], &sent[0]["tool_calls"][0]), (&json!("Hi"), &call));
    assert_eq!(sent[1]["tool_call_id"], "x");
}

#[test]
fn a_response_is_sent_back_as_items_or_named() {
    let call = json!({ "type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}" });
    let said = json!({ "type": "message", "content": [{ "type": "output_text", "text": "Hi" }] });
    let response = json!({ "id": "resp_1", "object": "response", "status": "completed", "output": [said, call],
        "usage": { "input_tokens": 1, "output_tokens": 2 } });
    let events = [
        json!({ "type": "response.output_text.delta", "delta": "Hi" }),
        json!({ "type": "response.completed", "response": response }),
    ];
    for reply in [streamed(Api::OpenaiResponses, &events, 4), whole(Api::OpenaiResponses, &response)] {
        assert_eq!(reply.id(), "resp_1");
        let output = json!({ "type": "function_call_output", "call_id": "c1", "output": "canned \"result\"" });
        assert_eq!(
            messages(Api::OpenaiResponses, &reply, History::Messages),
            json!([{ "role": "assistant", "content": "Hi" }, call, output])
        );
        assert_eq!(messages(Api::OpenaiResponses, &reply, History::PreviousResponse), json!([output]));
    }
}

#[test]
fn anthropic_puts_calls_and_results_into_blocks() {
    let events = [
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Hm\t" } }),
        json!({ "type": "content_block_start", "index": 1,
            "content_block": { "type": "tool_use", "id": "t1", "name": "read", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 1,
            "delta": { "type": "input_json_delta", "partial_json": "{\"a\":1" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "}" } }),
    ];
    let reply = streamed(Api::AnthropicMessages, &events, 2);
    let expected = json!([
        { "role": "assistant", "content": [
            { "type": "text", "text": "Hm\t" },
            { "type": "tool_use", "id": "t1", "name": "read", "input": { "a": 1 } },
        ] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "t1", "content": "canned \"result\"" },
        ] },
    ]);
    assert_eq!(messages(Api::AnthropicMessages, &reply, History::Messages), expected);
    let body = json!({ "type": "message", "usage": { "input_tokens": 1, "output_tokens": 1 }, "content": [
        { "type": "text", "text": "Hm\t" }, { "type": "tool_use", "id": "t1", "name": "read", "input": { "a": 1 } } ] });
    let reply = whole(Api::AnthropicMessages, &body);
    assert_eq!(messages(Api::AnthropicMessages, &reply, History::Messages), expected);
}

#[test]
fn a_reply_without_end_is_cut_off_and_says_so() {
    let mut reply = Reply::default();
    let piece = vec![b'x'; MAX_REPLY_BYTES / 4];
    for _ in 0..5 {
        reply.push_text(&piece);
    }
    assert!(reply.is_too_long() && reply.text_len() <= MAX_REPLY_BYTES);
    reply.clear();
    assert!(!reply.is_too_long());
}
