//! Flags about bodies and responses: `--stream`, `--body`, `--include-usage`, `--check-usage`.

use super::*;
use serde_json::json;

fn kinds(text: &str, overrides: &Overrides) -> Vec<crate::mix::Kind> {
    file(text, overrides).unwrap_or_else(|e| panic!("{e}\n{text}")).mix.kinds.clone()
}

fn why(profile: &str, overrides: &Overrides) -> String {
    run(profile, overrides).map(|r| panic!("read as {r:?}")).expect_err("refused").to_string()
}

fn body(fields: &[&str]) -> Overrides {
    Overrides::default().with("body", fields.iter().map(|text| Given::flag("body", *text)))
}

fn with(id: &str, value: &str) -> Overrides {
    Overrides::default().with(id, [Given::flag(&id.replace('_', "-"), value)])
}

fn sorts(profile: &str, overrides: &Overrides) -> Vec<(String, bool)> {
    let plan = run(profile, overrides).unwrap_or_else(|e| panic!("{e}")).plan;
    plan.mix.kinds.iter().map(|kind| (kind.name.clone(), kind.stream)).collect()
}

#[test]
fn a_profile_with_both_sorts_keeps_the_one_that_is_wanted() {
    let kept = |name: &str, stream| vec![(name.to_owned(), stream)];
    assert_eq!(sorts("load", &with("stream", "true")), kept("chat-stream", true));
    assert_eq!(sorts("load", &with("no_stream", "true")), kept("chat-plain", false));
    let smoke = sorts("smoke", &with("no_stream", "true"));
    let names: Vec<_> = smoke.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["chat-plain", "health", "models", "stats", "model"], "what does not generate stays");
    let all = sorts("all-apis", &with("stream", "true"));
    assert!(all.iter().all(|(name, stream)| *stream != (name == "systemone")), "it does not generate, so it stays");
    assert!(all.iter().any(|(name, _)| name.starts_with("websocket")));
}

#[test]
fn a_profile_with_one_sort_becomes_the_other() {
    let text = format!("{FLAT}{CHAT}max_tokens = 5\n");
    assert!(kinds(&text, &with("stream", "true"))[0].stream);
    let streamed = format!("{FLAT}{CHAT}stream = true\ninclude_usage = true\n");
    let plain = &kinds(&streamed, &with("no_stream", "true"))[0];
    assert!(!plain.stream && plain.body.is_empty(), "{:?}", plain.body);
    let weightless = format!("{streamed}[[requests]]\nname = \"p\"\napi = \"openai-chat\"\nweight = 0\n");
    assert!(kinds(&weightless, &with("no_stream", "true")).iter().all(|kind| !kind.stream), "nobody sends that one");
    let leaves = format!("{streamed}cancel = {{ after_tokens = 3 }}\n");
    let error = file(&leaves, &with("no_stream", "true")).expect_err("no token").to_string();
    assert_eq!(error, "--no-stream cannot be used with requests[0].cancel.after_tokens, which needs a stream");
    let websocket = format!("{FLAT}[[requests]]\nname = \"ws\"\napi = \"openai-responses\"\nwebsocket = true\n");
    let error = file(&websocket, &with("no_stream", "true")).expect_err("always streamed").to_string();
    assert!(error.starts_with("--no-stream leaves no generation request to send"), "{error}");
}

#[test]
fn fields_of_flags_win_over_those_of_the_profile() {
    let text = format!("{FLAT}{CHAT}body = {{ temperature = 1, top_k = 4 }}\n");
    let given = body(&["temperature=0", "stop=[\"a\", \"b\"]", "user=you and me", "a=b=c", "seed=\"7\""]);
    let expected = json!({
        "temperature": 0, "top_k": 4, "stop": ["a", "b"], "user": "you and me", "a": "b=c", "seed": "7",
    });
    assert_eq!(json!(kinds(&text, &given)[0].body), expected);
    let smoke = run("smoke", &given).expect("fine").plan;
    assert!(smoke.mix.kinds.iter().all(|kind| kind.api.takes_prompt() || kind.body.is_empty()), "a GET has no body");
    for (fields, expected) in [
        (&["temperature"][..], "expected NAME=VALUE, such as temperature=0"),
        (&["=5"], "it names no field"),
        (&["stream=true"], "`stream` has a flag of its own: expected --stream or --no-stream"),
        (&["model=x"], "expected --model"),
        (&["a=1", " a =2"], "`a` is given twice"),
        (&["stream_options=1"], "`stream_options` is not an object"),
    ] {
        let error = why("load", &body(fields));
        assert!(error.starts_with("invalid value for --body: ") && error.contains(expected), "{error}");
    }
    let talk = format!("{FLAT}{CHAT}conversation = {{ turns = 2 }}\n");
    for field in ["messages=[]", "n=2"] {
        let error = file(&talk, &body(&[field])).expect_err("conversation").to_string();
        assert!(error.contains("requests[0].conversation"), "{error}");
    }
    let hidden = run("load", &body(&["user=hunter2"])).expect("fine");
    assert!(!format!("{:?}", show::lines(&hidden.settings)).contains("hunter2"));
    let setting = hidden.settings.iter().find(|setting| setting.key == "requests[0].body").expect("a body");
    assert_eq!(setting.origin.to_string(), "--body");
}

#[test]
fn streams_are_asked_for_their_usage_unless_somebody_says_not_to() {
    let asks = |lines: &str, overrides: &Overrides| {
        let text = format!("{FLAT}{CHAT}stream = true\n{lines}\n");
        let body = json!(kinds(&text, overrides)[0].body);
        body["stream_options"]["include_usage"].as_bool()
    };
    let nothing = Overrides::default();
    assert_eq!(asks("", &nothing), Some(true));
    assert_eq!(asks("include_usage = false", &nothing), None);
    assert_eq!(asks("body = { stream_options = { include_usage = false } }", &nothing), Some(false));
    assert_eq!(asks("", &with("no_include_usage", "true")), None);
    assert_eq!(asks("include_usage = true", &with("no_include_usage", "true")), None);
    assert_eq!(asks("include_usage = false", &with("include_usage", "true")), Some(true));
    assert_eq!(asks("", &body(&["stream_options={\"x\":1}"])), Some(true));
    // Typed flags beat the profile, and contradictions in one place are refused.
    let no = "body = { stream_options = { include_usage = false, x = 1 } }";
    let yes = no.replace("false", "true");
    assert_eq!(asks(no, &with("include_usage", "true")), Some(true));
    assert_eq!(asks(&yes, &with("no_include_usage", "true")), None);
    let (no_flag, yes_flag) = (r#"stream_options={"include_usage":false}"#, r#"stream_options={"include_usage":true}"#);
    assert_eq!(asks("include_usage = true", &body(&[no_flag])), Some(false));
    assert_eq!(asks("include_usage = false", &body(&[yes_flag])), Some(true));
    let stream = |lines: &str| format!("{FLAT}{CHAT}stream = true\n{lines}\n");
    let both = body(&[no_flag]).with("include_usage", flag("include-usage", "true"));
    let error = file(&stream(""), &both).expect_err("both are typed").to_string();
    assert_eq!(error, "--include-usage contradicts `stream_options` in --body: remove one of them");
    let both =
        body(&[yes_flag]).with("no_include_usage", [Given::environment("LLMSIM_BLAST_NO_INCLUDE_USAGE", "true")]);
    assert_eq!(json!(kinds(&stream(""), &both)[0].body)["stream_options"]["include_usage"], true, "a flag wins");
    let error = refusal(&stream(&format!("include_usage = true\n{no}")));
    assert!(error.contains("include_usage: contradicts `body.stream_options`"), "{error}");
    let unknown = Overrides::default().with("target_url", flag("target-url", "http://h"));
    assert_eq!(asks("", &unknown), None, "nobody knows what it accepts");
    assert_eq!(asks("", &unknown.with("server", flag("server", "vllm"))), Some(true));
    let plain = format!("{FLAT}{CHAT}");
    assert!(kinds(&plain, &nothing)[0].body.is_empty());
    let error = file(&plain, &with("include_usage", "true")).expect_err("no stream").to_string();
    assert_eq!(error, "--include-usage has no effect: no request is a stream of chat completions");
}

#[test]
fn usage_is_checked_unless_somebody_says_not_to() {
    let checks =
        |lines: &str, overrides: &Overrides| kinds(&format!("{FLAT}{CHAT}{lines}\n"), overrides)[0].check_usage;
    assert!(checks("", &Overrides::default()));
    assert!(!checks("check_usage = false", &Overrides::default()));
    assert!(checks("check_usage = false", &with("check_usage", "on")));
    assert!(!checks("", &with("check_usage", "off")));
    assert!(why("load", &with("check_usage", "no")).contains("expected on or off"));
    let error = refusal(&format!("{FLAT}[[requests]]\nname = \"h\"\napi = \"health\"\ncheck_usage = false\n"));
    assert!(error.contains("applies to responses that report usage"), "{error}");
    let of = |api: &str| format!("{FLAT}[[requests]]\nname = \"h\"\napi = \"{api}\"\n");
    let off = with("check_usage", "off");
    assert!(kinds(&of("health"), &off)[0].check_usage, "it has nothing to bill");
    assert!(!kinds(&of("openai-embeddings"), &off)[0].check_usage);
}

#[test]
fn contradictions_are_refused() {
    for (overrides, expected) in [
        (
            with("stream", "true").with("no_stream", [Given::flag("no-stream", "true")]),
            "--stream cannot be used together with --no-stream",
        ),
        (
            with("include_usage", "true").with("no_include_usage", [Given::flag("no-include-usage", "true")]),
            "--include-usage cannot be used together with --no-include-usage",
        ),
        (
            with("output_tokens", "5").with("max_tokens", [Given::flag("max-tokens", "5")]),
            "--output-tokens cannot be used together with --max-tokens: they say the same",
        ),
    ] {
        let error = why("load", &overrides);
        assert!(error.contains(expected), "{error}");
    }
    let typed = with("no_stream", "true").with("stream", env("LLMSIM_BLAST_STREAM", "1"));
    assert_eq!(sorts("load", &typed).len(), 1, "a flag beats the environment");
    let limit = run("load", &with("max_tokens", "7")).expect("fine");
    assert!(limit.plan.mix.kinds.iter().all(|kind| kind.max_tokens == Some(Tokens::fixed(7))));
    let setting = limit.settings.iter().find(|setting| setting.key == "requests[0].max_tokens").expect("a limit");
    assert_eq!(setting.origin.to_string(), "--max-tokens");
}
