//! Conversations: how the reply of one turn becomes messages of the next request. Each dialect has
//! its own form:
//!
//! - `Chat`: the reply is `{"role":"assistant","content":…,"tool_calls":[…]}`. The result of a tool
//!   is `{"role":"tool","tool_call_id":…,"content":…}`.
//! - `Responses`: the reply is an assistant message, and an item of type `function_call` for each
//!   call. The result of a tool is an item of type `function_call_output`.
//! - `Anthropic`: the reply is an assistant message whose content is a list if it calls tools. The
//!   result of a tool is a block of type `tool_result` in a user message.
//!
//! Reasoning is not sent back: servers that need it keep it themselves.

use super::History;
use serde_json::Value;

/// Appends the result of the call with that number, as JSON.
pub type Results<'a> = &'a dyn Fn(usize, &mut Vec<u8>);

/// Maximum bytes of text, and of call arguments, in one reply. A longer reply is truncated and its
/// request fails.
const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// The form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Chat completions.
    Chat,
    Responses,
    /// Anthropic's messages.
    Anthropic,
}

/// The model's reply in one turn. It is reused for the next turn.
#[derive(Debug, Default)]
pub struct Reply {
    /// The inside of a JSON string, as received.
    text: Vec<u8>,
    calls: Vec<Call>,
    /// The id of the response, if the next request refers to it.
    id: String,
    is_too_long: bool,
}

/// A tool call.
#[derive(Debug, Default)]
struct Call {
    /// The server's number for the call, if it sends one.
    index: Option<u64>,
    id: String,
    name: String,
    /// JSON as text.
    arguments: String,
}

impl Reply {
    /// Clears the reply of the previous turn and keeps the allocated memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.calls.clear();
        self.id.clear();
        self.is_too_long = false;
    }

    /// Returns true if the model called any tools.
    pub fn calls_tools(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Returns the number of tool calls.
    pub const fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Adds text that needs no escapes.
    pub fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
    }

    /// Returns the id of the response. It is empty if the server sent none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns true if part of the reply was dropped because it exceeded the size limit.
    pub const fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Returns the length of the text in bytes, with escapes.
    pub const fn text_len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn truncate_text(&mut self, len: usize) {
        self.text.truncate(len);
    }

    pub(super) fn push_text(&mut self, escaped: &[u8]) {
        if self.text.len() + escaped.len() > MAX_REPLY_BYTES {
            self.is_too_long = true;
        } else {
            self.text.extend_from_slice(escaped);
        }
    }

    /// Adds text that is not escaped yet.
    fn push_plain(&mut self, text: &str) {
        let quoted = Value::from(text).to_string();
        self.push_text(&quoted.as_bytes()[1..quoted.len() - 1]);
    }

    /// Returns the call with that number, or the last call if no number is given. Adds a call if
    /// none matches.
    fn call(&mut self, index: Option<u64>) -> &mut Call {
        let known = self.calls.iter().rposition(|call| index.is_none() || call.index == index);
        let at = known.unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        &mut self.calls[at]
    }

    fn push_arguments(&mut self, index: Option<u64>, part: &str) {
        let len = self.calls.iter().map(|call| call.arguments.len()).sum::<usize>();
        if len + part.len() > MAX_REPLY_BYTES {
            self.is_too_long = true;
        } else {
            self.call(index).arguments.push_str(part);
        }
    }
}

impl Dialect {
    /// Returns true if a stream repeats the whole reply in its last event.
    pub(super) const fn comes_whole(self) -> bool {
        matches!(self, Self::Responses)
    }

    /// Reads an event of a stream that is more than text.
    pub(super) fn read_event(self, data: &[u8], reply: &mut Reply) {
        let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
        match self {
            Self::Chat => read_chat(&event["choices"][0]["delta"], reply),
            Self::Responses => read_response(&event["response"], reply),
            Self::Anthropic => read_anthropic_event(&event, reply),
        }
    }

    /// Reads a plain response.
    pub(super) fn read_body(self, body: &[u8], reply: &mut Reply) {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return };
        match self {
            Self::Chat => read_chat(&answer["choices"][0]["message"], reply),
            Self::Responses => read_response(&answer, reply),
            Self::Anthropic => {
                for block in list(&answer["content"]) {
                    read_block(block, None, reply);
                }
            }
        }
    }

    /// See [`Api::write_reply`](super::Api::write_reply).
    pub(super) fn write_reply(self, reply: &Reply, history: History, result: Results<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Chat => write_chat(reply, result, out),
            Self::Responses => write_items(reply, history, result, out),
            Self::Anthropic => write_anthropic(reply, result, out),
        }
    }
}

// ---- reading ------------------------------------------------------------------------------------

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Reads a message, or a delta to one.
fn read_chat(message: &Value, reply: &mut Reply) {
    match &message["content"] {
        Value::String(content) => reply.push_plain(content),
        parts => list(parts).for_each(|part| reply.push_plain(text(&part["text"]))),
    }
    for (place, delta) in list(&message["tool_calls"]).enumerate() {
        // Plain responses do not number their calls.
        let index = delta["index"].as_u64().unwrap_or(place as u64);
        let call = reply.call(Some(index));
        if let Some(id) = delta["id"].as_str().filter(|id| !id.is_empty()) {
            id.clone_into(&mut call.id);
        }
        call.name.push_str(text(&delta["function"]["name"]));
        reply.push_arguments(Some(index), text(&delta["function"]["arguments"]));
    }
}

/// Reads a whole response.
fn read_response(response: &Value, reply: &mut Reply) {
    text(&response["id"]).clone_into(&mut reply.id);
    for (place, item) in list(&response["output"]).enumerate() {
        match text(&item["type"]) {
            "message" => list(&item["content"]).for_each(|part| reply.push_plain(text(&part["text"]))),
            "function_call" => {
                let call = reply.call(Some(place as u64));
                text(&item["call_id"]).clone_into(&mut call.id);
                text(&item["name"]).clone_into(&mut call.name);
                reply.push_arguments(Some(place as u64), text(&item["arguments"]));
            }
            _ => {}
        }
    }
}

fn read_anthropic_event(event: &Value, reply: &mut Reply) {
    let index = event["index"].as_u64();
    match text(&event["type"]) {
        "content_block_start" => read_block(&event["content_block"], index, reply),
        "content_block_delta" => reply.push_arguments(index, text(&event["delta"]["partial_json"])),
        _ => {}
    }
}

/// Reads a content block. The block that starts a call in a stream has no input yet.
fn read_block(block: &Value, index: Option<u64>, reply: &mut Reply) {
    match text(&block["type"]) {
        "text" => reply.push_plain(text(&block["text"])),
        "tool_use" => {
            let index = index.or(Some(reply.calls.len() as u64));
            let call = reply.call(index);
            text(&block["id"]).clone_into(&mut call.id);
            text(&block["name"]).clone_into(&mut call.name);
            if let Some(input) = block["input"].as_object().filter(|input| !input.is_empty()) {
                reply.push_arguments(index, &Value::Object(input.clone()).to_string());
            }
        }
        _ => {}
    }
}

// ---- writing ------------------------------------------------------------------------------------

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Writes escaped text as a JSON string.
fn push_escaped(out: &mut Vec<u8>, escaped: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(escaped);
    out.push(b'"');
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    push(out, &Value::from(text).to_string());
}

fn write_chat(reply: &Reply, result: Results<'_>, out: &mut Vec<u8>) {
    push(out, r#"{"role":"assistant","content":"#);
    push_escaped(out, &reply.text);
    for (i, call) in reply.calls.iter().enumerate() {
        push(out, if i == 0 { r#","tool_calls":["# } else { "," });
        push(out, r#"{"id":"#);
        push_string(out, &call.id);
        push(out, r#","type":"function","function":{"name":"#);
        push_string(out, &call.name);
        push(out, r#","arguments":"#);
        push_string(out, &call.arguments);
        push(out, "}}");
    }
    push(out, if reply.calls_tools() { "]}," } else { "}," });
    for (i, call) in reply.calls.iter().enumerate() {
        push(out, r#"{"role":"tool","tool_call_id":"#);
        push_string(out, &call.id);
        push(out, r#","content":"#);
        result(i, out);
        push(out, "},");
    }
}

fn write_items(reply: &Reply, history: History, result: Results<'_>, out: &mut Vec<u8>) {
    let is_new = history == History::Messages;
    if is_new && !reply.text.is_empty() {
        push(out, r#"{"role":"assistant","content":"#);
        push_escaped(out, &reply.text);
        push(out, "},");
    }
    for (i, call) in reply.calls.iter().enumerate() {
        if is_new {
            push(out, r#"{"type":"function_call","call_id":"#);
            push_string(out, &call.id);
            push(out, r#","name":"#);
            push_string(out, &call.name);
            push(out, r#","arguments":"#);
            push_string(out, &call.arguments);
            push(out, "},");
        }
        push(out, r#"{"type":"function_call_output","call_id":"#);
        push_string(out, &call.id);
        push(out, r#","output":"#);
        result(i, out);
        push(out, "},");
    }
}

fn write_anthropic(reply: &Reply, result: Results<'_>, out: &mut Vec<u8>) {
    push(out, r#"{"role":"assistant","content":"#);
    if !reply.calls_tools() {
        push_escaped(out, &reply.text);
        return push(out, "},");
    }
    out.push(b'[');
    // The API rejects a text block with empty text.
    if !reply.text.is_empty() {
        push(out, r#"{"type":"text","text":"#);
        push_escaped(out, &reply.text);
        push(out, "},");
    }
    for (i, call) in reply.calls.iter().enumerate() {
        push(out, if i == 0 { r#"{"type":"tool_use","id":"# } else { r#",{"type":"tool_use","id":"# });
        push_string(out, &call.id);
        push(out, r#","name":"#);
        push_string(out, &call.name);
        push(out, r#","input":"#);
        // The API only takes an object. Arguments that are not a JSON object are replaced by an
        // empty one.
        let is_object = serde_json::from_str::<serde_json::Map<String, Value>>(&call.arguments).is_ok();
        push(out, if is_object { &call.arguments } else { "{}" });
        push(out, "}");
    }
    push(out, r#"]},{"role":"user","content":["#);
    for (i, call) in reply.calls.iter().enumerate() {
        push(
            out,
            if i == 0 { r#"{"type":"tool_result","tool_use_id":"# } else { r#",{"type":"tool_result","tool_use_id":"# },
        );
        push_string(out, &call.id);
        push(out, r#","content":"#);
        result(i, out);
        push(out, "}");
    }
    push(out, "]},");
}

#[cfg(test)]
mod tests;
