//! Retries: a failed request is sent again as SDKs do it, and is reported as one request.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Misbehaving, Output, blast, count, document};

const LIMITED: Behaviour = Behaviour::Raw(
    "HTTP/1.1 429 No\r\nretry-after: 9\r\nretry-after-ms: 40\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        .as_bytes(),
);
const REFUSED: Behaviour = Behaviour::Raw(
    "HTTP/1.1 503 No\r\nx-should-retry: false\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        .as_bytes(),
);
const GOOD: Behaviour = Behaviour::Good { tokens: 3 };

fn profile(top: &str, request: &str) -> String {
    format!(
        "executor = \"per-vu-iterations\"\nvus = 1\niterations = 2\n{top}\n[[requests]]\nname = \"chat\"\n\
         api = \"openai-chat\"\nstream = true\n{request}\n"
    )
}

fn run(script: Vec<Behaviour>, text: &str, more: &[&str]) -> (Value, Output, usize) {
    let (bench, server) = (Bench::new(), Misbehaving::script(script));
    let (profile, result) = (bench.write("p.toml", text), bench.path("r.json"));
    let url = server.url();
    let output = blast(&[&[profile.as_str(), "--target-url", &url, "--no-probe", "--output", &result], more].concat());
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output, server.posts().len())
}

#[test]
fn a_request_that_is_sent_again_is_one_request() {
    let text = profile("retries = { policy = \"openai\", max = 2 }", "[thresholds]\namplification = \"rate<1.9\"");
    let (result, output, posts) = run(vec![LIMITED, LIMITED, GOOD, GOOD], &text, &[]);
    assert_eq!((output.code, posts), (Some(99), 4), "{output:?}");
    let of = |name| count(&result, name);
    assert_eq!((of("http_reqs"), of("attempts"), of("retries"), of("http_reqs_sent")), (2, 4, 2, 4));
    assert_eq!(result["metrics"]["http_req_failed"]["rate"], 0.0);
    let amplification = &result["metrics"]["amplification"];
    assert_eq!(*amplification, json!({ "type": "rate", "rate": 2.0, "matches": 4, "total": 2 }));
    assert_eq!(result["failures"]["retried"], json!({ "http_429": 2 }));
    assert_eq!(result["failures"]["statuses"], json!({ "200": 2, "429": 2 }));
    let max = |name: &str| result["metrics"][name]["max"].as_f64().expect("a time");
    assert!(max("http_req_duration") >= 80.0, "with both pauses");
    // Compare sums, because an attempt of another request may have taken as long as a pause.
    let sum = |name: &str| result["metrics"][name]["sum"].as_f64().expect("a sum");
    assert!(sum("attempt_duration") <= sum("http_req_duration") - 80.0, "without them");
    // A late read does not date the first token.
    if of("ttft_censored") == 0 {
        assert!(max("ttft") >= 80.0 && sum("attempt_ttft") <= sum("ttft") - 80.0);
    }
    assert_eq!(result["requests"]["chat"]["retries"]["count"], 2);
    assert_eq!(result["plan"]["requests"][0]["retries"], json!({ "policy": "openai", "max": 2 }));
    assert_eq!(result["thresholds"][0]["value"], 2.0);
    for line in ["retries           2: 4 attempts for 2 requests, 2.00 each", "retried after     http_429: 2"] {
        assert!(output.stdout.contains(line), "{line}: {}", output.stdout);
    }
}

#[test]
fn without_retries_nothing_is_said_of_them() {
    let (result, output, posts) = run(vec![LIMITED, GOOD], &profile("", ""), &[]);
    assert_eq!((posts, count(&result, "attempts")), (2, 0));
    assert_eq!(result["failures"]["http_429"], 1);
    assert_eq!(result["metrics"]["amplification"]["rate"], Value::Null);
    assert!(!output.stdout.contains("retries           ") && !output.stdout.contains("attempt_"), "{}", output.stdout);
}

#[test]
fn the_flag_and_the_kind_decide_before_the_profile() {
    // The kind's own number of retries, and a server that forbids a retry.
    let text = profile("retries = 5", "retries = { max = 1 }");
    let (result, _, posts) = run(vec![LIMITED, LIMITED, REFUSED], &text, &[]);
    assert_eq!((posts, count(&result, "retries")), (3, 1));
    assert_eq!(result["failures"]["http_5xx"], 1, "x-should-retry: false");
    let (result, _, posts) = run(vec![LIMITED, LIMITED], &text, &["--retries", "0"]);
    assert_eq!((posts, count(&result, "attempts")), (2, 0));
    let (result, _, posts) = run(vec![LIMITED, LIMITED, GOOD, GOOD], &profile("", ""), &["--retries", "2"]);
    assert_eq!((posts, count(&result, "retries")), (4, 2));
    assert_eq!(result["plan"]["requests"][0]["retries"]["policy"], "openai");
    let shown = blast(&["load", "--retries", "3", "--show-config"]);
    assert!(shown.stdout.contains("3 at most, as openai") && shown.stdout.contains("--retries"), "{}", shown.stdout);
}

#[test]
fn nonsense_is_refused() {
    for (top, expected) in [
        ("retries = -1", "retries: invalid value '-1': expected an integer from 0 to 1000"),
        ("retries = { policy = \"google\" }", "no policy is named `google`: expected one of `openai`, `anthropic`"),
        ("retries = { max = 1001 }", "retries.max: invalid value '1001'"),
        ("retries = \"often\"", "expected a number such as 2, or { policy = \"openai\", max = 2 }"),
        ("retries = { maximum = 2 }", "expected a number such as 2, or { policy = \"openai\", max = 2 }"),
    ] {
        let bench = Bench::new();
        let output = blast(&[&bench.write("p.toml", &profile(top, "")), "--target-url", "http://127.0.0.1:9"]);
        assert_eq!(output.code, Some(104), "{top}: {output:?}");
        assert!(output.stderr.contains(expected), "{top}: {}", output.stderr);
    }
    let output = blast(&["load", "--retries", "-1"]);
    assert_eq!(output.code, Some(2), "{output:?}");
}

/// Returns a plain response with headers about rate limits.
fn with_limits(status: &str, limits: &str) -> Behaviour {
    let body = r#"{"object":"chat.completion","choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let body = if status.starts_with('2') { body } else { "{}" };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    Behaviour::Raw(Box::leak(format!("{head}\r\n{limits}\r\n\r\n{body}").into_boxed_str()).as_bytes())
}

#[test]
fn what_is_left_of_rate_limits_is_told() {
    let openai = |requests: u32, tokens: u32| {
        format!(
            "x-ratelimit-remaining-requests: {requests}\r\nx-ratelimit-remaining-tokens: {tokens}\r\n\
             x-ratelimit-limit-requests: 60\r\nx-ratelimit-limit-tokens: 150000"
        )
    };
    let script = vec![
        with_limits("200 OK", &openai(59, 149_984)),
        with_limits("429 No", &openai(0, 149_970)),
        with_limits("200 OK", &openai(60, 149_990)),
    ];
    let text = profile("retries = { policy = \"openai\", max = 1 }", "").replace("stream = true", "stream = false");
    let page = Bench::new();
    let html = page.path("r.html");
    let (result, output, _) = run(script, &text, &["--details", "--html", &html]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let lowest = |name: &str| {
        let seconds = result["series"].as_array().expect("seconds").iter();
        seconds.filter_map(|second| second.get(name)?.as_u64()).min()
    };
    // The refused attempt counts, too.
    assert_eq!(lowest("ratelimit_remaining_requests"), Some(0), "{}", result["series"]);
    assert_eq!(lowest("ratelimit_remaining_tokens"), Some(149_970), "{}", result["series"]);
    for told in ["RATE LIMITS", "requests", "0 of 60 after ", "149970 of 150000 after "] {
        assert!(output.stdout.contains(told), "{told}: {output:?}");
    }
    assert_eq!(lowest("ratelimit_limit_requests"), Some(60), "{}", result["series"]);
    assert_eq!(lowest("ratelimit_limit_tokens"), Some(150_000), "{}", result["series"]);
    assert!(std::fs::read_to_string(html).expect("a page").contains("Left of the rate limits"));

    // A threshold compares the remaining limit with a bound. It fails if the server reports no
    // limit.
    let judged = |script: Vec<Behaviour>, bound: &str| {
        let thresholds = format!("[thresholds]\nratelimit_remaining_requests = \"{bound}\"\n");
        run(script, &(profile("", "").replace("stream = true", "stream = false") + &thresholds), &[]).1.code
    };
    let named = || vec![with_limits("200 OK", &openai(59, 1)), with_limits("200 OK", &openai(40, 1))];
    assert_eq!(judged(named(), "value>=40"), Some(0));
    assert_eq!(judged(named(), "value>40"), Some(99));
    assert_eq!(judged(vec![with_limits("200 OK", "x-a: b")], "value>=0"), Some(99));

    // Without rate-limit headers nothing is reported.
    let (result, output, _) = run(vec![GOOD, GOOD], &profile("", ""), &["--details"]);
    assert!(result["series"][0].get("ratelimit_remaining_requests").is_none(), "{}", result["series"]);
    assert!(!output.stdout.contains("RATE LIMITS"), "{output:?}");
}
