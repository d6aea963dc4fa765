//! Conversations from a data set, and conversations with generated replies: the messages of each
//! request, byte for byte.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Misbehaving, Output, blast, document};

/// Returns a plain response of chat completions with this message.
fn answer(message: &str) -> Behaviour {
    let body =
        format!(r#"{{"choices":[{{"message":{message}}}],"usage":{{"prompt_tokens":1,"completion_tokens":1}}}}"#);
    Behaviour::answer(&body)
}

fn says(text: &str) -> Behaviour {
    answer(&json!({ "role": "assistant", "content": text }).to_string())
}

/// Runs one conversation against a server with this script. Returns the result, the output and the
/// messages of each request.
fn talk(script: Vec<Behaviour>, data: &str, lines: &str) -> (Value, Output, Vec<Value>) {
    let (bench, server) = (Bench::new(), Misbehaving::script(script));
    bench.write("data.json", data);
    let text = format!(
        "executor = \"per-vu-iterations\"\nvus = 1\niterations = 1\n[[requests]]\nname = \"talk\"\n\
         api = \"openai-chat\"\n{lines}\n"
    );
    let (profile, result) = (bench.write("talk.toml", &text), bench.path("r.json"));
    let output = blast(&[&profile, "--target-url", &server.url(), "--no-probe", "--output", &result]);
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output, server.bodies().iter().map(|body| body["messages"].clone()).collect())
}

const DATA: &str = "dataset = { file = \"data.json\" }";

/// Returns a question, two tool rounds, a reply, and a second question with its reply.
fn with_tools() -> Vec<Value> {
    let call = |id: &str| {
        json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "read", "arguments": "{}" } }] })
    };
    vec![
        json!({ "role": "system", "content": "Be \"brief\"." }),
        json!({ "role": "user", "content": "One?" }),
        call("a"),
        json!({ "role": "tool", "tool_call_id": "a", "content": "first \"result\"" }),
        call("b"),
        json!({ "role": "tool", "tool_call_id": "b", "content": "second" }),
        json!({ "role": "assistant", "content": "Recorded one." }),
        json!({ "role": "user", "content": "Two?" }),
        json!({ "role": "assistant", "content": "Recorded two." }),
    ]
}

#[test]
fn recorded_turns_carry_the_replies_of_the_data_set() {
    let messages = with_tools();
    let row = json!({ "messages": messages }).to_string();
    let script = ["w", "x", "y", "z"].map(says).to_vec();
    let (result, output, sent) = talk(script, &row, &format!("{DATA}\nconversation = {{ history = \"recorded\" }}"));
    assert_eq!(output.code, Some(0), "{output:?}");
    let until = |n: usize| Value::from(messages[..n].to_vec());
    assert_eq!(sent, [until(2), until(4), until(6), until(8)], "up to each reply, whatever the server says");
    let of = |turn: &str| result["turns"][turn]["http_reqs"]["count"].as_u64();
    assert_eq!((of("1"), of("2")), (Some(3), Some(1)), "rounds of tools belong to their turn");
    assert_eq!(result["metrics"]["turn_duration"]["count"], 2);
    assert_eq!(result["metrics"]["conversations_completed"]["count"], 1);
    assert_eq!(result["plan"]["requests"][0]["conversation"]["history"], "recorded");
    assert_eq!(
        (&result["datasets"][0]["rows"], &result["datasets"][0]["sent"]),
        (&json!(1), &json!(1)),
        "one conversation"
    );
}

#[test]
fn live_turns_carry_the_replies_that_came_and_the_tools_results_of_the_data_set() {
    let row = json!({ "messages": with_tools() }).to_string();
    let call = r#"{"content":"","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"y","type":"function","function":{"name":"g","arguments":"{}"}}]}"#;
    let more = r#"{"content":"","tool_calls":[{"id":"z","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let script = vec![answer(call), answer(more), says("Live one."), says("Live two.")];
    let (result, output, sent) = talk(script, &row, &format!("{DATA}\nconversation = {{ tool_result = \"usual\" }}"));
    assert_eq!(output.code, Some(0), "{output:?}");
    let messages = with_tools();
    assert_eq!(sent[0], Value::from(messages[..2].to_vec()));
    let contents: Vec<&Value> = sent[3].as_array().expect("a list").iter().map(|message| &message["content"]).collect();
    let expected = ["Be \"brief\".", "One?", "", "first \"result\"", "second", "", "usual", "Live one.", "Two?"];
    assert_eq!(contents, expected, "the data set's results in their order, and then the usual one");
    assert_eq!(sent[3][3]["tool_call_id"], "x");
    assert_eq!(result["metrics"]["conversations_completed"]["count"], 1);
}

#[test]
fn sharegpt_is_read_turn_by_turn_and_rows_that_cannot_be_sent_are_counted() {
    let data = r#"[
{"conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello"},{"from":"human","value":"Bye"}]},
{"conversations":[{"from":"gpt","value":"I begin"},{"from":"human","value":"Hi"}]},
{"conversations":[{"from":"human","value":""},{"from":"gpt","value":"x"}]},
{"conversations":[{"from":"human","value":"Run it"},{"from":"function_call","value":"x"}]},
{"conversations":[{"from":"system","value":"S"}]}
]"#;
    let lines = format!("{DATA}\nconversation = {{ turns = {{ min = 2, max = 9 }}, history = \"recorded\" }}");
    let (result, output, sent) = talk(vec![says("a"), says("b")], data, &lines);
    assert_eq!(output.code, Some(0), "{output:?}");
    let (user, model) = (|text: &str| json!({ "role": "user", "content": text }), "assistant");
    // The seed draws the maximum number of turns. The row has two.
    let second = json!([user("Hi"), { "role": model, "content": "Hello" }, user("Bye")]);
    assert_eq!(sent, [json!([user("Hi")]), second]);
    let unused: Vec<(u64, &str)> = result["datasets"][0]["unused"]
        .as_array()
        .expect("rows that were left out")
        .iter()
        .map(|unused| {
            (unused["first_line"].as_u64().unwrap_or_default(), unused["reason"].as_str().unwrap_or_default())
        })
        .collect();
    for expected in [
        (3, "the conversation does not begin with a user"),
        (4, "a turn is empty"),
        (5, "a turn comes from neither a user, a model nor a system"),
        (6, "it has no user message"),
    ] {
        assert!(unused.contains(&expected), "{expected:?}: {unused:?}");
    }
}

#[test]
fn generated_replies_are_words_of_the_seed_and_as_long_as_the_limit() {
    let lines = "prompt = [\"Go on\"]\nmax_tokens = 12\nconversation = { turns = 3, history = \"generated\" }";
    let run = || talk(["x", "y", "z"].map(says).to_vec(), "", lines);
    let (result, output, sent) = run();
    assert_eq!(output.code, Some(0), "{output:?}");
    let roles = |messages: &Value| -> Vec<String> {
        let list = messages.as_array().expect("a list").iter();
        list.map(|message| message["role"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(roles(&sent[2]), ["user", "assistant", "user", "assistant", "user"]);
    let reply = sent[2][1]["content"].as_str().expect("text");
    assert_eq!(reply.split(' ').count(), 12, "{reply}");
    assert_ne!(sent[2][1], sent[2][3]);
    assert_eq!(sent[2].as_array().map(|all| &all[..3]), sent[1].as_array().map(|all| &all[..3]), "a stable prefix");
    assert_eq!(run().2, sent, "whatever the server says");
    assert_eq!(result["metrics"]["conversations_completed"]["count"], 1);
}

#[test]
fn users_of_a_steady_test_are_found_at_any_turn() {
    let turns: Vec<Value> = (1..=8)
        .flat_map(|n| {
            [("user", format!("Question {n}")), ("assistant", format!("Reply {n}"))]
                .map(|(role, content)| json!({ "role": role, "content": content }))
        })
        .collect();
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 2 }));
    bench.write("data.jsonl", &json!({ "messages": turns }).to_string());
    for (name, lines) in [
        (
            "recorded",
            "dataset = { file = \"data.jsonl\" }\nconversation = { history = \"recorded\", think_time = \"1h\" }",
        ),
        ("generated", "max_tokens = 3\nconversation = { turns = 8, history = \"generated\", think_time = \"1h\" }"),
        ("live", "dataset = { file = \"data.jsonl\" }\nconversation = { think_time = \"1h\" }"),
    ] {
        let before = server.posts().len();
        let text = format!(
            "executor = \"constant-vus\"\nvus = 40\nduration = \"1500ms\"\n[[requests]]\nname = \"talk\"\n\
             api = \"openai-chat\"\n{lines}\n"
        );
        let profile = bench.write(&format!("{name}.toml"), &text);
        let output = blast(&[&profile, "--target-url", &server.url(), "--no-probe"]);
        assert_eq!(output.code, Some(0), "{name}: {output:?}");
        let mut lengths: Vec<usize> = server.bodies()[before..]
            .iter()
            .map(|body| {
                let messages = body["messages"].as_array().expect("a list");
                if name == "recorded" {
                    assert_eq!(messages[..], turns[..messages.len()], "what was said before stands there");
                }
                messages.len()
            })
            .collect();
        lengths.sort_unstable();
        lengths.dedup();
        if name == "live" {
            assert_eq!(lengths, [1], "replies that never came cannot be sent");
        } else {
            assert!(lengths.len() > 4 && lengths.iter().all(|n| n % 2 == 1), "{name}: {lengths:?}");
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let chat = json!({ "messages": with_tools() }).to_string();
    for (data, lines, expected) in [
        (&*chat, "conversation = { turns = 2, history = \"recorded\" }", "`recorded` sends the replies of a data set"),
        (
            &chat,
            "conversation = { turns = 2, history = \"generated\" }",
            "`generated` makes replies as long as the token",
        ),
        (&chat, "conversation = { }", "conversation.turns: is missing: expected a number such as 4"),
        (&chat, "conversation = { turns = 2, history = \"none\" }", "`none` is unknown: expected `live`"),
        (
            "{\"prompt\":\"x\"}",
            &format!("{DATA}\nconversation = {{ }}"),
            "line 1: has the format prompt, whose rows are not",
        ),
        (
            "a,b\n1,2\n",
            &format!("{DATA}\nconversation = {{ }}"),
            "is not JSON: expected conversations in the format sharegpt",
        ),
        ("{\"messages\":[]}", &format!("{DATA}\nconversation = {{ }}"), "has no row that can be sent among 1"),
    ] {
        let bench = Bench::new();
        bench.write("data.json", data);
        let text = format!(
            "executor = \"constant-vus\"\nduration = \"1s\"\n[[requests]]\nname = \"a\"\napi = \"openai-chat\"\n{lines}\n"
        );
        let output = blast(&[&bench.write("p.toml", &text), "--target-url", "http://127.0.0.1:9"]);
        assert_eq!(output.code, Some(104), "{lines}: {output:?}");
        let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ").replace("data.json:1: ", "line 1: ");
        assert!(said.contains(expected), "{lines}: {said}");
    }
}
