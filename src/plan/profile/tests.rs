use super::*;

/// A valid profile, for tests to break in one place.
const FINE: &str = r#"
executor = "constant-vus"
vus = 2
duration = "10s"
[[requests]]
name = "chat"
api = "openai-chat"
"#;

fn refusal(text: &str) -> String {
    ProfileFile::parse("my.toml", text).expect_err(text).to_string()
}

#[test]
fn every_form_of_every_key_is_read() {
    let text = r#"
        description = "all of it"
        executor = "ramping-vus"
        start_vus = 0
        stages = [{ duration = "1s", target = 2 }]
        graceful_stop = "1s"
        graceful_ramp_down = "2s"
        think_time = { min = "1ms", max = "2ms" }
        timeout = { connect = "1s", first_byte = "2s", stall = "3s", total = "4s" }
        [[requests]]
        name = "a"
        weight = 3
        api = "openai-chat"
        stream = true
        path = "/x"
        model = ["m", "n"]
        prompt = "@short"
        max_tokens = { min = 1, max = 2 }
        timeout = "9s"
        body = { temperature = 0.5, stop = ["x"] }
        headers = { X-Team = "blue" }
        [thresholds]
        http_reqs = "count>1"
        ttft = ["p(95)<2s", { threshold = "avg<1s", abort_on_fail = true, delay_abort_eval = "10s" }]
        [slo]
        ttft = "<2s"
        tpot = ["<50ms"]
    "#;
    let profile = ProfileFile::parse("my.toml", text).expect("all keys").profile;
    assert_eq!(profile.thresholds["ttft"].all().len(), 2);
    assert_eq!(profile.thresholds["http_reqs"].all(), [Threshold::Short("count>1".to_owned())]);
    assert_eq!(profile.slo["ttft"].texts(), ["<2s"]);
    let request = &profile.requests[0];
    assert_eq!(request.max_tokens, Some(MaxTokens::Drawn(TokenRange { min: 1, max: 2 })));
    assert_eq!(request.timeout, Some(Timeout::Total("9s".to_owned())));
    assert_eq!(request.model, Some(WrittenModel::More(vec!["m".to_owned(), "n".to_owned()])));
    assert!(matches!(profile.timeout, Some(Timeout::Named(_))));
}

#[test]
fn every_mistake_is_named_with_file_line_and_key() {
    let with = |line: &str| format!("{}{line}", FINE.trim_start());
    let above = |line: &str| format!("{line}\n{}", FINE.trim_start());
    for (text, expected) in [
        ("executor = ".to_owned(), "my.toml:1: executor: "),
        ("executor = \"x\"\n[[requests".to_owned(), "my.toml:2: "),
        (above("executor = \"x\""), "my.toml:2: executor: duplicate key"),
        (above("colour = 1"), "my.toml:1: colour: unknown field `colour`, expected one of `description`"),
        (above("start_vus = \"x\""), "my.toml:1: start_vus: invalid type: string \"x\", expected an integer"),
        (above("start_vus = 1.5"), "my.toml:1: start_vus: invalid type: floating point `1.5`, expected an integer"),
        (above("description = 3"), "my.toml:1: description: invalid type: integer `3`, expected a string"),
        (above("think_time = 5"), "my.toml:1: think_time: expected a duration like \"100ms\""),
        (above("think_time = { min = \"1s\" }"), "my.toml:1: think_time: expected a duration like \"100ms\""),
        (above("timeout = { whole = \"1s\" }"), "my.toml:1: timeout: expected a duration like \"60s\""),
        (above("stages = [{ duration = \"1s\" }]"), "my.toml:1: stages[0]: missing field `target`"),
        (above("stages = [{ duration = \"1s\", target = 1, x = 1 }]"), "my.toml:1: stages[0].x: unknown field `x`"),
        (
            above("stages = [\n  { duration = \"1s\", target = 1 },\n  { duration = \"1s\", target = \"x\" },\n]"),
            "my.toml:3: stages[1].target: invalid type: string \"x\", expected an integer",
        ),
        (above("stages = 5"), "my.toml:1: stages: invalid type: integer `5`, expected a list"),
        (with("stream = \"yes\""), "my.toml:7: requests[0].stream: invalid type: string \"yes\", expected a boolean"),
        (with("wieght = 1"), "my.toml:7: requests[0].wieght: unknown field `wieght`, expected one of `name`, `weight`"),
        (with("max_tokens = \"many\""), "my.toml:7: requests[0].max_tokens: expected an integer, or { min"),
        (with("model = 5"), "my.toml:7: requests[0].model: expected a string, a list of strings, a list of {"),
        (with("headers = { A = 5 }"), "my.toml:7: requests[0].headers.A: invalid type: integer `5`, expected a string"),
        (with("body = 5"), "my.toml:7: requests[0].body: invalid type: integer `5`, expected a table"),
        (with("[thresholds]\nttft = 5"), "my.toml:8: thresholds.ttft: expected a threshold like"),
        (
            with("[thresholds]\nttft = [{ abort_on_fail = true }]"),
            "my.toml:8: thresholds.ttft: expected a threshold like",
        ),
        (with("[slo]\nttft = 5"), "my.toml:8: slo.ttft: expected a string or a list of strings"),
        ("vus = 1".to_owned(), "my.toml: missing field `executor`"),
        (String::new(), "my.toml: missing field `executor`"),
    ] {
        let why = refusal(&text);
        assert!(why.starts_with(expected), "{text}\n{why}\n{expected}");
    }
}

#[test]
fn a_request_without_a_name_is_named_by_its_place() {
    let why =
        refusal("executor = \"x\"\n[[requests]]\nname = \"a\"\napi = \"health\"\n[[requests]]\napi = \"health\"\n");
    assert!(why.contains("missing field `name`") && why.contains("requests[1]"), "{why}");
}

#[test]
fn a_profile_that_is_too_large_is_refused() {
    let why = refusal(&format!("# {}", "x".repeat(limits::MAX_PROFILE_BYTES)));
    assert!(why.starts_with("my.toml: is larger than a profile may be"), "{why}");
}

#[test]
fn a_later_mistake_has_its_line_too() {
    let written = ProfileFile::parse("my.toml", FINE.trim_start()).expect("fine");
    let error = written.error("requests[0].api", "is no good: expected better");
    assert_eq!(error.to_string(), "my.toml:6: requests[0].api: is no good: expected better");
    assert!(!error.is_usage());
    assert_eq!(written.origin("vus"), Origin::Profile("my.toml".to_owned()));
    assert_eq!(written.origin("stages"), Origin::Default);
}

#[test]
fn unknown_profiles_name_the_nearest() {
    for (asked, nearest) in
        [("laod", "load"), ("smok", "smoke"), ("quicksmoke", "quick-smoke"), ("high", "high-concurrency")]
    {
        let why = built_in(asked).expect_err(asked).to_string();
        assert!(why.contains(&format!("'{asked}' (did you mean {nearest}?)")) && why.contains("spike"), "{why}");
    }
    let why = built_in("zzz").expect_err("zzz").to_string();
    assert!(!why.contains("did you mean") && why.contains("my.toml"), "{why}");
}
