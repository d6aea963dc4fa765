//! Scenarios of llmsim: the simulator reports its current step, which proves that no turn was lost.

mod support;

use serde_json::Value;
use support::{Behaviour, Bench, Misbehaving, Output, blast, document};

const STARTERS: [&str; 9] = [
    "chat-short",
    "research-3-tools",
    "long-answer",
    "slow-first-token",
    "parallel-tools",
    "flaky-429",
    "stream-stall",
    "broken-stream",
    "thinking",
];

fn run(args: &[&str]) -> (Value, Output) {
    let bench = Bench::new();
    let result = bench.path("r.json");
    let output = blast(&[args, &["--output", &result]].concat());
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output)
}

fn count(result: &Value, kind: &str, counter: &str) -> u64 {
    result["requests"][kind][counter]["count"].as_u64().unwrap_or_default()
}

#[test]
fn all_starters_are_played_step_by_step() {
    let (result, output) = run(&["scenarios"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    for name in STARTERS {
        let of = |counter| count(&result, name, counter);
        let played = of("conversations_completed");
        // Tool rounds are separate requests.
        let requests = match name {
            "research-3-tools" | "flaky-429" => 4,
            "parallel-tools" => 2,
            _ => 1,
        };
        let retries = u64::from(["flaky-429", "broken-stream"].contains(&name));
        assert!(played > 0, "{name}");
        assert_eq!((of("http_reqs"), of("retries")), (played * requests, played * retries), "{name}");
        assert_eq!(of("conversations_aborted"), 0, "{name}");
        let checks = &result["requests"][name]["checks"];
        assert_eq!((&checks["rate"], checks["matches"].as_u64()), (&1.0.into(), Some(3 * played * requests)), "{name}");
    }
    let retried = result["failures"]["retried"].as_object().expect("two of them fail first");
    assert_eq!(retried["http_429"], count(&result, "flaky-429", "retries"));
    assert!(retried.keys().any(|class| class != "http_429"), "{retried:?}");
}

#[test]
fn the_step_begins_anew_with_each_message_of_the_user() {
    let bench = Bench::new();
    let profile = bench.write(
        "talk.toml",
        "executor = \"per-vu-iterations\"\nvus = 3\niterations = 2\n[[requests]]\nname = \"talk\"\napi = \"openai-chat\"\n\
         scenario = { name = \"parallel-tools\", speed = 0.01 }\nprompt = \"What is new?\"\n\
         conversation = { turns = 3 }\n\
         body = { tools = [{ type = \"function\", function = { name = \"read\", parameters = {} } }] }\n",
    );
    let (result, output) = run(&[&profile]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!((count(&result, "talk", "http_reqs"), count(&result, "talk", "conversations_completed")), (36, 6));
    assert_eq!(result["requests"]["talk"]["checks"]["rate"], 1.0);
}

/// Returns a response with headers that give its step and attempt.
fn answer(fields: &str) -> Behaviour {
    const BODY: &str =
        r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    Behaviour::answer_with(fields, BODY)
}

#[test]
fn a_turn_that_was_lost_or_doubled_fails_with_its_words() {
    for (fields, words) in [
        ("x-llmsim-step: 1\r\nx-llmsim-attempt: 0\r\n", "x-llmsim-step: 1, expected 0: a turn was lost or doubled"),
        ("x-llmsim-step: 0\r\nx-llmsim-attempt: 1\r\n", "x-llmsim-attempt: 1, expected 0: a request was lost, doubled"),
        ("", "check failed: llmsim plays a scenario: no x-llmsim-step: does the server know the scenario"),
    ] {
        let (bench, server) = (Bench::new(), Misbehaving::script(vec![answer(fields)]));
        let profile = bench.write(
            "one.toml",
            "executor = \"per-vu-iterations\"\nvus = 1\niterations = 1\n[[requests]]\nname = \"one\"\n\
             api = \"openai-chat\"\nscenario = \"chat-short\"\nprompt = \"Hello\"\n",
        );
        let (result, output) = run(&[&profile, "--no-probe", "--target-url", &server.url()]);
        assert_eq!((output.code, &result["failures"]["check"]), (Some(107), &1.into()), "{output:?}");
        let sample = result["failures"]["details"]["check"]["sample"].as_str().unwrap_or_default();
        assert!(sample.contains(words), "{sample}");
        assert_eq!(result["metrics"]["conversations_aborted"]["count"], 1);
        let posts = server.posts();
        assert!(posts[0].contains("Hello [[llmsim:chat-short speed=1]]\""), "{}", posts[0]);
        assert!(!posts[0].contains("\"content\":\"Hello"), "an opening tells conversations apart: {}", posts[0]);
    }
}

#[test]
fn an_attempt_without_an_answer_may_have_been_seen_or_not() {
    const SEEN: &str = "x-llmsim-step: 0\r\nx-llmsim-attempt: 0\r\n";
    let limited = |fields| {
        let head = format!("HTTP/1.1 429 No\r\n{fields}retry-after-ms: 1\r\ncontent-length: 0\r\n\r\n");
        Behaviour::Raw(Box::leak(head.into_boxed_str().into()))
    };
    for (first, attempt, words) in [
        (Behaviour::CloseUnanswered, 0, ""),
        (Behaviour::CloseUnanswered, 1, ""),
        (Behaviour::CloseUnanswered, 2, "x-llmsim-attempt: 2, expected 0 to 1: a request was lost, doubled"),
        // Either a gateway or the simulator may have refused the request.
        (limited(""), 0, ""),
        (limited(SEEN), 0, "x-llmsim-attempt: 0, expected 1: a request was lost, doubled"),
        (limited(SEEN), 1, ""),
    ] {
        let second = answer(&format!("x-llmsim-step: 0\r\nx-llmsim-attempt: {attempt}\r\n"));
        let (bench, server) = (Bench::new(), Misbehaving::sequence(vec![first, second]));
        let profile = bench.write(
            "one.toml",
            "executor = \"per-vu-iterations\"\nvus = 1\niterations = 1\n[[requests]]\nname = \"one\"\n\
             api = \"openai-chat\"\nscenario = \"chat-short\"\nprompt = \"Hello\"\n\
             retries = { policy = \"every-failure\" }\n",
        );
        let (result, output) = run(&[&profile, "--no-probe", "--target-url", &server.url()]);
        let sample = result["failures"]["details"]["check"]["sample"].as_str().unwrap_or_default();
        assert_eq!(output.code, Some(if words.is_empty() { 0 } else { 107 }), "{attempt}: {sample} {output:?}");
        assert!(sample.contains(words), "{attempt}: {sample}");
        assert_eq!(count(&result, "one", "retries"), 1);
    }
}

#[test]
fn nonsense_is_refused() {
    for (lines, expected) in [
        ("scenario = \"Chat Short\"", "`Chat Short` is not a name: expected lower-case letters, digits and dashes"),
        ("scenario = { name = \"x\", speed = 0 }", "scenario.speed: invalid value '0': expected a number above 0"),
        ("scenario = { speed = 1 }", "expected a name such as \"chat-short\""),
        ("scenario = \"x\"\ndataset = { file = \"x\" }", "is chosen by a mark in the prompt: expected no data set"),
    ] {
        let bench = Bench::new();
        let text = format!(
            "executor = \"constant-vus\"\nduration = \"1s\"\n[[requests]]\nname = \"a\"\napi = \"openai-chat\"\n{lines}\n"
        );
        let output = blast(&[&bench.write("p.toml", &text)]);
        assert_eq!(output.code, Some(104), "{lines}: {output:?}");
        assert!(output.stderr.contains(expected), "{lines}: {}", output.stderr);
    }
}
