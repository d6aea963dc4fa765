//! Conversations: earlier messages are sent again, tool calls are answered, and each conversation
//! ends once.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Misbehaving, Output, blast, count, document};

/// A response of chat completions, streamed in events with these deltas.
macro_rules! stream {
    ($($delta:literal),+) => {
        concat!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ",
            "LENGTH\r\n\r\n",
            $("data: {\"choices\":[{\"index\":0,\"delta\":", $delta, "}]}\n\n",)+
            "data: [DONE]\n\n"
        )
    };
}

/// Returns the bytes of a stream, with its length filled in. Behaviours are static.
fn raw(text: &str) -> Behaviour {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let head = head.replace("LENGTH", &body.len().to_string());
    Behaviour::Raw(Box::leak(format!("{head}\r\n\r\n{body}").into_boxed_str().into()))
}

fn profile(lines: &str) -> String {
    format!(
        "executor = \"per-vu-iterations\"\nvus = 1\niterations = 1\n[[requests]]\nname = \"talk\"\n\
         api = \"openai-chat\"\nstream = true\nprompt = [\"Hello \\\"you\\\"\"]\n{lines}\n"
    )
}

fn run(server: &str, text: &str, more: &[&str]) -> (Value, Output) {
    let bench = Bench::new();
    let (profile, result) = (bench.write("talk.toml", text), bench.path("r.json"));
    let output = blast(&[&[profile.as_str(), "--target-url", server, "--output", &result], more].concat());
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output)
}

#[test]
fn what_was_said_is_sent_again_with_the_reply_that_came() {
    let first = raw(stream!("{\"content\":\"Say \\\"hi\\\"\"}", "{\"content\":\"\\n\\u00fc \\ud83d\\ude00\"}"));
    let server =
        Misbehaving::script(vec![first, raw(stream!("{\"content\":\"Two\"}")), raw(stream!("{\"content\":\"3\"}"))]);
    let text = profile("conversation = { turns = 3, affinity_header = \"X-Session-ID\" }");
    let (result, output) = run(&server.url(), &text, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let user = json!({ "role": "user", "content": "Hello \"you\"" });
    let said = |text: &str| json!({ "role": "assistant", "content": text });
    let (one, two) = (said("Say \"hi\"\n\u{fc} \u{1f600}"), said("Two"));
    let messages: Vec<Value> = server.bodies().iter().map(|body| body["messages"].clone()).collect();
    let expected = [json!([user]), json!([user, one, user]), json!([user, one, user, two, user])];
    assert_eq!(messages, expected);
    let sessions: std::collections::BTreeSet<String> = server
        .posts()
        .iter()
        .map(|post| post.lines().find(|line| line.starts_with("X-Session-ID: ")).expect("a session").to_owned())
        .collect();
    assert_eq!(sessions.len(), 1, "one conversation has one name");
    assert_eq!((count(&result, "conversations_completed"), count(&result, "iterations")), (1, 1));
    assert_eq!((count(&result, "http_reqs"), count(&result, "turn_duration")), (3, 3));
    let sum = |metric: &str| result["metrics"][metric]["sum"].clone();
    assert_eq!(sum("turn_duration"), sum("http_req_duration"), "a turn begins when its message is sent");
    let of_turn = |turn: &str| result["turns"][turn]["http_reqs"]["count"].as_u64();
    assert_eq!((of_turn("1"), of_turn("2"), of_turn("3-4"), of_turn("5-8")), (Some(1), Some(1), Some(1), None));
}

#[test]
fn calls_of_tools_are_answered_before_the_user_says_more() {
    let call = raw(stream!(
        "{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}]}",
        "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":1}\"}}]}"
    ));
    let server = Misbehaving::script(vec![call, raw(stream!("{\"content\":\"Done\"}"))]);
    let text = profile("conversation = { turns = 2, tool_result = \"42\" }");
    let (result, output) = run(&server.url(), &text, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let messages = server.bodies()[1]["messages"].clone();
    assert_eq!(messages.as_array().map(Vec::len), Some(3), "{messages}");
    assert_eq!(messages[1]["tool_calls"][0]["function"], json!({ "name": "read", "arguments": "{\"a\":1}" }));
    assert_eq!(messages[2], json!({ "role": "tool", "tool_call_id": "c1", "content": "42" }));
    // The reply of the second turn is text again, or the server's script would never end.
    assert_eq!((count(&result, "http_reqs"), count(&result, "turn_duration")), (3, 2));
    assert_eq!(count(&result, "conversations_completed"), 1);
}

#[test]
fn a_model_that_never_stops_calling_tools_fails_the_conversation() {
    let call = raw(stream!(
        "{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{}\"}}]}"
    ));
    let server = Misbehaving::start(call);
    let text = profile("conversation = { turns = 2, max_tool_rounds = 3 }");
    let text = format!("{text}[thresholds]\nhttp_req_failed = \"rate<0.01\"\n");
    let (result, output) = run(&server.url(), &text, &[]);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert_eq!((count(&result, "http_reqs"), count(&result, "conversations_aborted")), (4, 1));
    assert!(output.stdout.contains("tool rounds within max_tool_rounds"), "{output:?}");
}

#[test]
fn a_failure_aborts_the_conversation_and_the_next_one_begins_afresh() {
    let server = Misbehaving::script(vec![Behaviour::Good { tokens: 3 }, Behaviour::Status(500)]);
    let text = profile("conversation = { turns = 5 }").replace("iterations = 1", "iterations = 2");
    let (result, output) = run(&server.url(), &text, &[]);
    assert_eq!(output.code, Some(0), "no thresholds were set: {output:?}");
    let lengths: Vec<usize> =
        server.bodies().iter().map(|body| body["messages"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(lengths[..2], [1, 3]);
    assert_eq!(lengths[2], 1, "nothing of the aborted conversation is sent again");
    assert_eq!(count(&result, "conversations_aborted") + count(&result, "conversations_completed"), 2);
    assert_eq!(count(&result, "iterations"), 2);
}

#[test]
fn conversations_under_way_at_the_end_are_interrupted() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let text = "executor = \"constant-vus\"\nvus = 5\nduration = \"1s\"\n[[requests]]\nname = \"talk\"\n\
                api = \"openai-chat\"\nstream = true\nconversation = { turns = 1000, think_time = \"300ms\" }\n";
    let (result, output) = run(&server.url(), text, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let ended = ["completed", "aborted", "interrupted"].map(|how| count(&result, &format!("conversations_{how}")));
    assert!(ended[2] > 0 && ended[1] == 0, "{ended:?}");
    // A VU that thinks for 300 ms after each message sends four in a second. A slow machine sends
    // fewer.
    assert!((1..=20).contains(&count(&result, "http_reqs")), "users think between their messages");
}

/// A VU that is ramped down while it thinks is started again later, and begins a new conversation.
#[test]
fn a_ramp_down_interrupts_those_who_think() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let text = "executor = \"ramping-vus\"\nstart_vus = 4\n\
                stages = [{ duration = \"1s\", target = 1 }, { duration = \"1s\", target = 4 }]\n\
                [[requests]]\nname = \"talk\"\napi = \"openai-chat\"\nstream = true\n\
                conversation = { turns = 1000, think_time = \"20ms\" }\n";
    let (result, output) = run(&server.url(), text, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    // Count the first requests of the VUs at the start and of those started again. The first
    // conversations may have been short.
    let is_first = |body: &&Value| body["messages"].as_array().map(Vec::len) == Some(1);
    let begun = server.bodies().iter().filter(is_first).count() as u64;
    let ended = count(&result, "conversations_interrupted") + count(&result, "conversations_completed");
    assert!(ended >= 6 && ended == begun, "{ended} of {begun}: {output:?}");
    let [started, finished, interrupted] =
        ["http_reqs_started", "http_reqs", "interrupted"].map(|name| count(&result, name));
    assert_eq!(started, finished + interrupted);
}

/// In open-loop load, each arrival is a conversation. Its later turns do not count as arrivals.
#[test]
fn arrivals_begin_conversations() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let text = "executor = \"constant-arrival-rate\"\nrate = 10\nduration = \"1s\"\nmax_vus = 20\n\
                [[requests]]\nname = \"talk\"\napi = \"openai-chat\"\nstream = true\n\
                conversation = { turns = 3, think_time = \"1ms\" }\n";
    let (result, output) = run(&server.url(), text, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let ended = count(&result, "conversations_completed") + count(&result, "conversations_interrupted");
    assert_eq!((count(&result, "arrivals_started"), ended), (10, 10), "{output:?}");
    assert_eq!(count(&result, "conversations_completed"), count(&result, "iterations"));
    assert_eq!(count(&result, "http_reqs"), server.posts().len() as u64);
}

#[test]
fn what_cannot_be_a_conversation_is_refused() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let bench = Bench::new();
    for (lines, key, words) in [
        ("conversation = { turns = 0 }", "requests[0].conversation.turns", "from 1 to"),
        ("conversation = { turns = { min = 3, max = 2 } }", "requests[0].conversation.turns", "min ≤ max"),
        ("conversation = { turns = 2, history = \"server\" }", "requests[0].conversation.history", "Responses API"),
        ("conversation = { turns = 2, history = \"none\" }", "requests[0].conversation.history", "`none`"),
        ("conversation = { turns = 2, think_time = \"soon\" }", "requests[0].conversation.think_time", "soon"),
        ("conversation = { turns = 2, affinity_header = \"a b\" }", "conversation.affinity_header", "a b"),
        ("conversation = { turns = 2 }\nbody = { n = 3 }", "requests[0].conversation", "n = 3"),
        ("conversation = { turns = 2 }\nbody = { messages = [] }", "requests[0].conversation", "`messages`"),
        ("conversation = { turn = 2 }", "conversation", "turn"),
    ] {
        let file = bench.write("bad.toml", &profile(lines));
        let output = blast(&[&file, "--target-url", &server.url()]);
        assert_eq!(output.code, Some(104), "{lines}: {output:?}");
        assert!(output.stderr.contains(key) && output.stderr.contains(words), "{lines}: {}", output.stderr);
    }
    assert_eq!(server.posts().len(), 0);
}

#[test]
fn thresholds_can_speak_of_turns() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let text = |rules: &str| format!("{}[thresholds]\n{rules}\n", profile("conversation = { turns = 4 }"));
    let rules = "\"http_reqs{turn:3-4}\" = \"count==2\"\n\"http_reqs{turn:1}\" = \"count==2\"";
    let (result, output) = run(&server.url(), &text(rules), &[]);
    assert_eq!(output.code, Some(99), "{output:?}");
    let judged = result["thresholds"].as_array().expect("thresholds");
    let verdict = |metric: &str| judged.iter().find(|j| j["metric"] == metric).map(|j| j["verdict"].clone());
    assert_eq!(verdict("http_reqs{turn:3-4}"), Some(json!("pass")), "{judged:?}");
    assert_eq!(verdict("http_reqs{turn:1}"), Some(json!("fail")), "{judged:?}");
    let bench = Bench::new();
    let file = bench.write("talk.toml", &text("\"ttft{turn:7}\" = \"p(50)<1s\""));
    let output = blast(&[&file, "--target-url", &server.url()]);
    assert!(output.code == Some(104) && output.stderr.contains("5-8"), "{output:?}");
}

/// The real server and every API with conversations, with the full history and with the server's
/// history.
#[cfg(feature = "embedded")]
#[test]
fn every_api_of_the_simulator_converses() {
    let server = support::Embedded::start("[latency]\nprofile = \"instant\"\n");
    let kind = |name: &str, api: &str, more: &str| {
        format!(
            "[[requests]]\nname = \"{name}\"\napi = \"{api}\"\nprompt = {{ tokens = 20 }}\nmax_tokens = 16\n\
             conversation = {{ turns = {{ min = 2, max = 6 }}{more} }}\n"
        )
    };
    let mut text = "executor = \"per-vu-iterations\"\nvus = 20\niterations = 4\n".to_owned();
    for stream in [true, false] {
        for api in ["openai-chat", "openai-responses", "openresponses", "anthropic-messages"] {
            text += &kind(&format!("{api}-{stream}"), api, "");
            text += if stream { "stream = true\n" } else { "stream = false\n" };
        }
    }
    text += &kind("named", "openai-responses", ", history = \"server\"");
    for (name, history) in [("socket", ""), ("socket-named", ", history = \"server\"")] {
        text += &kind(name, "openai-responses", history);
        text += "websocket = true\n";
    }
    let (result, output) = run(&server.url(), &text, &["--no-probe"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!((count(&result, "conversations_completed"), count(&result, "iterations")), (80, 80));
    assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0, "{}", result["failures"]);
    let input = |turn: &str| {
        let turn = &result["turns"][turn];
        turn["tokens_input"]["count"].as_f64().unwrap() / turn["http_reqs"]["count"].as_f64().unwrap()
    };
    assert!(input("2") > input("1") * 1.5 && input("3-4") > input("2"), "prompts grow with what was said");
    assert_eq!(server.stats()["total_requests"], count(&result, "http_reqs"));
}

/// Recorded tool rounds, sent to the real server in the format of each API whose tool calls llmsim
/// 0.6 reads. It refuses a `function_call` among the items of a Responses request.
#[cfg(feature = "embedded")]
#[test]
fn recorded_tool_rounds_are_sent_as_each_api_has_them() {
    let server = support::Embedded::start("[latency]\nprofile = \"instant\"\n");
    let bench = Bench::new();
    let call =
        json!({ "id": "c1", "type": "function", "function": { "name": "read", "arguments": "{\"path\":\"a\"}" } });
    let row = json!({ "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "What is in the file?" },
        { "role": "assistant", "content": null, "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "c1", "content": "It is empty." },
        { "role": "assistant", "content": "Nothing." },
        { "role": "user", "content": "Thank you." },
        { "role": "assistant", "content": "You are welcome." },
    ] });
    let file = bench.write("tools.jsonl", &format!("{row}\n{row}\n"));
    for api in ["openai-chat", "anthropic-messages"] {
        let text = format!(
            "executor = \"per-vu-iterations\"\nvus = 2\niterations = 2\n[[requests]]\nname = \"talk\"\napi = \"{api}\"\n\
             stream = true\nmax_tokens = 16\ndataset = {{ file = \"{file}\", order = \"once\" }}\n\
             conversation = {{ history = \"recorded\" }}\n"
        );
        let (result, output) = run(&server.url(), &text, &["--no-probe"]);
        assert_eq!(output.code, Some(0), "{api}: {output:?}");
        // Two turns each, one of them with a tool round.
        assert_eq!((count(&result, "http_reqs"), count(&result, "conversations_completed")), (6, 2), "{api}");
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0, "{api}: {}", result["failures"]);
        assert_eq!(result["turns"]["1"]["http_reqs"]["count"], 4, "{api}: the round is a part of its turn");
    }
}

/// The VUs of all shards have the same conversations as those of one process.
#[test]
fn shards_hold_the_conversations_of_the_whole() {
    let text = "executor = \"per-vu-iterations\"\nvus = 6\niterations = 2\n[[requests]]\nname = \"talk\"\n\
                api = \"openai-chat\"\nstream = true\nprompt = { tokens = 5 }\n\
                conversation = { turns = { min = 1, max = 5 } }\n";
    let bench = Bench::new();
    let profile = bench.write("talk.toml", text);
    let sent = |shards: &[&str]| {
        let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
        let ran = |shard: &&str| {
            let file = bench.path(&format!("{}.json", shard.replace('/', "-of-")));
            let args = [&profile, "--target-url", &server.url(), "--seed", "7", "--shard", shard, "--output", &file];
            let output = blast(&[&args[..], &["--no-probe"]].concat());
            assert_eq!(output.code, Some(0), "{output:?}");
            file
        };
        let results: Vec<String> = shards.iter().map(ran).collect();
        let mut bodies: Vec<String> = server.bodies().iter().map(Value::to_string).collect();
        bodies.sort();
        (bodies, results)
    };
    let (whole, result) = sent(&["0/1"]);
    assert!(whole.len() > 12);
    let (halves, results) = sent(&["0/2", "1/2"]);
    assert_eq!(halves, whole);
    assert_eq!(sent(&["0/5", "1/5", "2/5", "3/5", "4/5"]).0, whole);
    let merged = bench.path("merged.json");
    let output = blast(&["merge", &results[0], &results[1], "--output", &merged]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let turns = |file: &str| -> Vec<(String, Value)> {
        let turns = document(file)["turns"].as_object().expect("turns").clone();
        turns.into_iter().map(|(turn, numbers)| (turn, numbers["http_reqs"]["count"].clone())).collect()
    };
    assert_eq!(turns(&merged), turns(&result[0]));
}
