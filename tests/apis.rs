//! Every API, and the check of every endpoint, against the real simulator and against servers that
//! implement only some of them.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::{Behaviour, Bench, Misbehaving, Output, blast, document};

/// Returns a profile with one VU that sends a few requests of the given kinds, after the endpoint
/// check.
fn profile(kinds: &str) -> String {
    format!(
        "executor = \"shared-iterations\"\niterations = 6\n{kinds}\n[thresholds]\nhttp_req_failed = \"rate<0.01\"\n"
    )
}

const CHAT: &str = "endpoint_check = true\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = true\n";

/// Runs a profile against a server, and returns its result and its output.
fn against(server: &Misbehaving, profile: &str, more: &[&str]) -> (Value, Output) {
    let bench = Bench::new();
    let (file, result, url) = (bench.write("p.toml", profile), bench.path("r.json"), server.url());
    let output = blast(&[&[file.as_str(), "--target-url", &url, "--output", &result], more].concat());
    (document(&result), output)
}

/// Returns the verdict of each endpoint, as `name: verdict`.
fn verdicts(result: &Value) -> BTreeSet<String> {
    let endpoints = result["endpoints"].as_array().expect("a list").iter();
    endpoints.map(|e| format!("{}: {}", e["name"].as_str().unwrap(), e["verdict"].as_str().unwrap())).collect()
}

fn names(verdicts: &[&str]) -> BTreeSet<String> {
    verdicts.iter().map(|&verdict| verdict.to_owned()).collect()
}

#[test]
fn what_a_server_lacks_is_skipped_and_the_run_passes() {
    let server = Misbehaving::start(Behaviour::OnlyChat { tokens: 4 });
    let (result, output) = against(&server, &profile(CHAT), &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(
        verdicts(&result),
        names(&[
            "chat: ok",
            "openai-chat: ok",
            "openai-responses: skipped",
            "openai-responses-stream: skipped",
            "openai-responses-websocket: skipped",
            "openresponses: skipped",
            "openresponses-stream: skipped",
            "anthropic-messages: skipped",
            "anthropic-messages-stream: skipped",
            "openai-images: skipped",
            "openai-images-stream: skipped",
            "anthropic-count-tokens: skipped",
            "health: ok",
            "models: ok",
            "model: ok",
            "anthropic-models: skipped",
            "anthropic-model: skipped",
            "stats: skipped",
            "typesafe-systemone: skipped",
            "typesafe-models: skipped",
        ])
    );
    assert!(output.stdout.contains("  ✓ chat  ") && output.stdout.contains("  - openresponses  "), "{output:?}");
    assert!(output.stdout.contains("skipped: status 404"), "{output:?}");
    assert_eq!(result["metrics"]["http_reqs"]["count"], 6, "the check is no part of what is measured");
}

#[test]
fn an_endpoint_that_fails_fails_the_run_whatever_the_thresholds_say() {
    // The server responds to everything with chat completions, which are not Anthropic messages.
    let server = Misbehaving::start(Behaviour::Good { tokens: 4 });
    let (result, output) = against(&server, &profile(CHAT), &[]);
    assert_eq!(output.code, Some(99), "{output:?}");
    let verdicts = verdicts(&result);
    for verdict in
        ["chat: ok", "openai-chat: ok", "anthropic-messages: failed", "openai-images: failed", "stats: skipped"]
    {
        assert!(verdicts.contains(verdict), "{verdict} in {verdicts:?}");
    }
    assert!(output.stdout.contains("  ✗ anthropic-messages  "), "{output:?}");
    assert!(output.stdout.contains("check: type is message (status 200)"), "{output:?}");
    assert!(output.stdout.starts_with("FAIL ✗  p: "), "{output:?}");
    assert!(result["thresholds"].as_array().unwrap().iter().all(|verdict| verdict["verdict"] == "pass"), "{result}");
}

#[test]
fn what_a_profile_names_must_be_there() {
    let server = Misbehaving::start(Behaviour::OnlyChat { tokens: 4 });
    let mix = format!("{CHAT}[[requests]]\nname = \"rare\"\nweight = 0\napi = \"openresponses\"\n");
    let (result, output) = against(&server, &profile(&mix), &[]);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(verdicts(&result).contains("rare: failed"), "{output:?}");
}

#[test]
fn auto_takes_what_is_there() {
    let server = Misbehaving::start(Behaviour::OnlyChat { tokens: 4 });
    let auto = "[[requests]]\nname = \"any\"\napi = \"auto\"\nstream = true\ninclude_usage = true\n";
    let (result, output) = against(&server, &profile(auto), &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let kinds: Vec<_> = result["requests"].as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["any-openai-chat"]);
    let expected = [
        "any-openai-chat: ok",
        "any-openai-responses: skipped",
        "any-openresponses: skipped",
        "any-anthropic-messages: skipped",
    ];
    assert_eq!(verdicts(&result), names(&expected));
    let posts = server.posts();
    assert!(
        posts
            .iter()
            .filter(|post| post.contains("/chat/completions"))
            .all(|post| { post.contains(r#""stream_options":{"include_usage":true}"#) })
    );
    assert!(
        posts.iter().all(|post| post.contains("/chat/completions") || !post.contains("stream_options")),
        "{posts:?}"
    );
}

#[test]
fn auto_does_not_judge_what_is_there() {
    // The first request of every connection fails. The load stays on its connection and gets
    // further.
    let server = Misbehaving::script(vec![Behaviour::Status(500), Behaviour::GoodPlain]);
    let auto = "[[requests]]\nname = \"any\"\napi = \"auto\"\n";
    let lenient = profile(auto).replace("rate<0.01", "rate<0.99").replace("iterations = 6", "iterations = 60");
    let (result, output) = against(&server, &lenient, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(result["endpoints"], serde_json::json!([]), "{output:?}");
    assert_eq!(result["requests"].as_object().unwrap().len(), 4, "all are loaded");
}

#[test]
fn nothing_that_is_there_is_no_data() {
    let (server, bench) = (Misbehaving::start(Behaviour::Status(404)), Bench::new());
    let auto = "[[requests]]\nname = \"any\"\napi = \"auto\"\n";
    let output = blast(&[&bench.write("p.toml", &profile(auto)), "--target-url", &server.url()]);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stderr.contains("any-anthropic-messages") && output.stderr.contains("--path"), "{output:?}");
}

#[test]
fn any_compatible_server_is_asked_as_it_wants() {
    let server = Misbehaving::start(Behaviour::OnlyChat { tokens: 4 });
    let url = server.url();
    let flags = ["--api", "openai-chat", "--path", "/v1/chat/completions", "--model", "my/model"];
    let output =
        blast(&[&["smoke", "--duration", "1s", "--think-time", "1ms", "--target-url", &url], &flags[..]].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("each requested once before the load: 2 ok\n"), "nothing else is asked: {output:?}");
    let posts = server.posts();
    assert!(posts.len() > 4, "{posts:?}");
    for post in posts {
        assert!(post.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{post}");
        assert!(post.contains(r#""model":"my/model""#), "{post}");
    }
}

#[test]
fn anthropic_gets_its_headers_and_the_others_theirs() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 4 });
    let (bench, url) = (Bench::new(), server.url());
    let key = bench.write("key.txt", "sesame\n");
    let kinds = ["openai-chat", "openai-responses", "openresponses", "anthropic-messages"]
        .map(|api| format!("[[requests]]\nname = \"{api}\"\napi = \"{api}\"\n"))
        .concat();
    let file = bench.write("p.toml", &profile(&kinds).replace("iterations = 6", "iterations = 60"));
    let output = blast(&[&file, "--target-url", &url, "--api-key-file", &key]);
    assert!(!output.stdout.contains("sesame") && !output.stderr.contains("sesame"), "{output:?}");
    let posts = server.posts();
    let (anthropic, others): (Vec<_>, Vec<_>) = posts.iter().partition(|post| post.starts_with("POST /anthropic/"));
    assert!(!anthropic.is_empty() && !others.is_empty(), "{posts:?}");
    for post in anthropic {
        assert!(
            post.contains("\r\nx-api-key: sesame\r\n") && post.contains("\r\nanthropic-version: 2023-06-01\r\n"),
            "{post}"
        );
        assert!(post.contains("\r\nAuthorization: Bearer sesame\r\n"), "as vLLM wants it: {post}");
    }
    for post in others {
        assert!(post.contains("\r\nAuthorization: Bearer sesame\r\n") && !post.contains("anthropic-version"), "{post}");
    }
}

#[test]
fn a_server_that_refuses_to_tell_usage_is_not_asked_for_it() {
    // Every request with the field is refused, as by servers that do not know the field.
    let (server, bench) = (Misbehaving::start(Behaviour::RefusesStreamOptions { tokens: 4 }), Bench::new());
    let (result, url) = (bench.path("r.json"), server.url());
    let output = blast(&["quick-smoke", "--target-url", &url, "--output", &result]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("refuses requests that ask for usage"), "{output:?}");
    let result = document(&result);
    assert!(result["hints"].as_array().unwrap().iter().any(|hint| hint["name"] == "usage_refused"), "{result}");
    assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0);
    let asking = server.posts().iter().filter(|post| post.contains("include_usage")).count();
    assert_eq!(asking, 1, "once, before the load");
    let asked: Vec<_> = server.posts().into_iter().filter(|post| post.contains("\"max_tokens\":1,")).collect();
    assert!(!asked.is_empty(), "for one token");
}

#[test]
fn tokens_say_of_how_many_requests_they_are() {
    // The server counts the tokens of plain responses. It counts those of streams only on request.
    let server = Misbehaving::start(Behaviour::BillsOnRequest { tokens: 4 });
    let mix = |ask: &str| {
        let row = |name: &str, more: &str| format!("[[requests]]\nname = \"{name}\"\napi = \"openai-chat\"\n{more}");
        format!(
            "executor = \"per-vu-iterations\"\niterations = 40\n{}{}",
            row("s", &format!("stream = true\n{ask}")),
            row("p", "")
        )
    };
    let (result, output) = against(&server, &mix("include_usage = false\n"), &[]);
    let input = &result["metrics"]["tokens_input"];
    let (billed, all) = (input["requests_billed"].as_u64().unwrap(), input["requests_with_tokens"].as_u64().unwrap());
    assert!(all == 40 && billed > 0 && billed < all, "{input}");
    assert!(output.stdout.contains(&format!("of {billed} of {all} requests")), "{output:?}");
    let (result, output) = against(&server, &mix("include_usage = true\n"), &[]);
    assert_eq!(result["metrics"]["tokens_input"]["requests_billed"], 40);
    assert!(!output.stdout.contains("of 40 of 40"), "{output:?}");
}

#[cfg(feature = "embedded")]
mod real {
    use super::*;
    use support::Embedded;

    const INSTANT: &str = "[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 20\n";

    #[test]
    fn every_api_is_driven_in_one_run_and_its_numbers_agree() {
        let (server, bench) = (Embedded::start(INSTANT), Bench::new());
        let kinds = "[[requests]]\nname = \"stream\"\napi = \"auto\"\nstream = true\n[[requests]]\nname = \"plain\"\napi = \"auto\"\n";
        let text = profile(kinds).replace("iterations = 6", "iterations = 160\nvus = 4");
        let (file, result) = (bench.write("p.toml", &text), bench.path("r.json"));
        let url = server.url();
        let output = blast(&[&file, "--target-url", &url, "--verify-parse", "--output", &result]);
        assert_eq!(output.code, Some(0), "{output:?}");
        let result = document(&result);
        assert_eq!(result["endpoints"].as_array().map(Vec::len), Some(8));
        assert_eq!(result["agreement"]["ours"], 160);
        assert_eq!(result["agreement"]["server"], 160, "what the check asked is not counted");
        let apis = ["openai-chat", "openai-responses", "openresponses", "anthropic-messages"];
        for kind in apis.iter().flat_map(|api| [format!("stream-{api}"), format!("plain-{api}")]) {
            let numbers = &result["requests"][&kind];
            let count = |metric: &str| numbers[metric]["count"].as_u64().unwrap_or(0);
            let requests = count("http_reqs");
            assert!(requests > 0 && numbers["http_req_failed"]["matches"] == 0, "{kind}: {output:?}");
            assert!(count("tokens_input") > 0 && count("tokens_output") > 0, "{kind}: {numbers}");
            assert_eq!(numbers["tokens_output"]["token_source"], "usage", "{kind}");
            if kind.starts_with("plain") {
                assert!(numbers["checks"]["matches"].as_u64() >= Some(2 * requests), "{kind}: {numbers}");
                assert_eq!(count("token_events"), 0, "{kind}");
                continue;
            }
            // Every stream has a first token, and every later token event has a gap. Times that
            // were read too late to be dated are counted as censored.
            assert_eq!(count("ttft") + count("ttft_censored"), requests, "{kind}: {numbers}");
            assert_eq!(count("tbt") + count("tbt_censored"), count("token_events") - requests, "{kind}: {numbers}");
            assert_eq!(count("ttfe") + count("ttfe_censored"), requests, "{kind}");
            // Words and spaces are separate events.
            assert!(count("token_events") >= 10 * requests, "{kind}: {numbers}");
        }
        assert_eq!(result["metrics"]["bad_events"]["count"], 0);
        assert!(output.stdout.contains("\nSTREAMS  "), "{output:?}");
    }

    #[test]
    fn smoke_checks_every_endpoint_of_the_simulator() {
        let (server, bench) = (Embedded::start(INSTANT), Bench::new());
        let (result, url) = (bench.path("r.json"), server.url());
        let output = blast(&["smoke", "--duration", "1s", "--target-url", &url, "--output", &result]);
        let result = document(&result);
        let endpoints = result["endpoints"].as_array().unwrap();
        let ok = endpoints.iter().filter(|endpoint| endpoint["verdict"] == "ok").count();
        assert_eq!((ok, endpoints.len()), (20, 20), "{output:?}");
        // A response over a WebSocket has no status.
        assert_eq!(endpoints.iter().filter(|endpoint| endpoint["status"] == 200).count(), 19, "{output:?}");
        let ways: BTreeSet<_> = endpoints
            .iter()
            .map(|e| (e["path"].to_string(), e["method"].to_string(), e["stream"].to_string()))
            .collect();
        assert_eq!(ways.len(), 20, "each once");
        assert!(endpoints.iter().all(|endpoint| endpoint["duration_ms"].as_f64() > Some(0.0)), "{endpoints:?}");
    }
}
