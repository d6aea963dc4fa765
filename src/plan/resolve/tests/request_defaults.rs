//! Which APIs the requests use, and which endpoints are probed before the load.

use super::*;

fn refused(profile: &str, overrides: &Overrides) -> String {
    run(profile, overrides).map(|resolved| panic!("read as {resolved:?}")).expect_err("refused").to_string()
}

fn names(kinds: &[crate::mix::Kind]) -> Vec<&str> {
    kinds.iter().map(|kind| kind.name.as_str()).collect()
}

#[test]
fn auto_is_every_api_that_generates() {
    let plan = fine(&format!("{FLAT}[[requests]]\nname = \"any\"\nweight = 7\napi = \"auto\"\nstream = true\n"));
    let expected = ["any-openai-chat", "any-openai-responses", "any-openresponses", "any-anthropic-messages"];
    assert_eq!(names(&plan.mix.kinds), expected);
    assert!(plan.mix.kinds.iter().all(|kind| kind.optional && kind.weight == 7 && kind.stream));
    assert_eq!(names(&plan.endpoints), expected, "what may be missing is asked for");
    let anthropic = &plan.mix.kinds[3];
    assert_eq!((anthropic.path.as_str(), anthropic.models.len()), ("/anthropic/v1/messages", 3));
}

#[test]
fn apis_that_llmsim_lacks_are_for_other_servers() {
    let row = |api: &str| format!("{FLAT}[[requests]]\nname = \"{api}\"\napi = \"{api}\"\n");
    let target = || {
        overrides! {
            target_url: flag("target-url", "http://h"),
            server: flag("server", "vllm"),
            model: flag("model", "mine"),
            input_tokens: flag("input-tokens", "9"),
        }
    };
    for (api, path) in
        [("openai-completions", "/v1/completions"), ("openai-embeddings", "/v1/embeddings"), ("rerank", "/v1/rerank")]
    {
        let plan = file(&row(api), &target()).unwrap_or_else(|error| panic!("{api}: {error}"));
        let kind = &plan.mix.kinds[0];
        assert_eq!((kind.path.as_str(), kind.models.as_slice()), (path, &["mine".to_owned()][..]), "{api}");
        assert_eq!(kind.prompt, Prompt::of(PromptSource::Words(Tokens::fixed(9))), "{api}");
    }
    let plan = fine(&format!("{}stream = true\noutput = {{ tokens = 5, exact = true }}\n", row("openai-completions")));
    assert!(plan.mix.kinds[0].exact && plan.mix.kinds[0].stream);
    assert!(refusal(&format!("{}stream = true\n", row("rerank"))).contains("cannot be streamed"));
    assert!(refusal(&format!("{}max_tokens = 5\n", row("openai-embeddings"))).contains("expected no `max_tokens`"));
}

#[test]
fn auto_takes_one_of_two_apis_at_one_path() {
    let target = overrides! { target_url: flag("target-url", "http://h"), server: flag("server", "vllm") };
    let plan = run("all-apis", &target).expect("fine").plan;
    let mut paths: Vec<_> =
        plan.mix.kinds.iter().map(|kind| (kind.stream, kind.websocket, kind.path.as_str())).collect();
    let all = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!((paths.len(), all), (7, 7), "each endpoint once: {paths:?}");
    assert!(plan.mix.kinds.iter().all(|kind| kind.api != Api::Openresponses));
}

#[test]
fn a_websocket_is_of_the_responses_api_and_streams() {
    let row = |api: &str| format!("{FLAT}[[requests]]\nname = \"ws\"\napi = \"{api}\"\nwebsocket = true\n");
    let plan = fine(&row("openai-responses"));
    let kind = &plan.mix.kinds[0];
    assert!(kind.websocket && kind.stream && !kind.optional);
    let plan = fine(&row("auto"));
    assert_eq!(names(&plan.mix.kinds), ["ws-openai-responses"], "no other has one");
    assert!(plan.mix.kinds[0].websocket && plan.mix.kinds[0].optional);
    let problem = refusal(&row("openresponses"));
    assert!(problem.contains("requests[0].websocket") && problem.contains("openai-responses"), "{problem}");
    // A flag that chooses an API without WebSockets leaves the request out, so that no other
    // request has its name.
    let api = |name: &str| overrides! { api: flag("api", name) };
    let error = file(&row("auto"), &api("openai-chat")).expect_err("nothing is left").to_string();
    assert!(error.contains("applies to no request"), "{error}");
    let both = format!("{}[[requests]]\nname = \"plain\"\napi = \"auto\"\n", row("auto"));
    let plan = file(&both, &api("openai-chat")).expect("fine");
    assert_eq!(names(&plan.mix.kinds), ["plain"]);
    // The server with this API may not have WebSockets.
    let plan = file(&both, &api("openai-responses")).expect("fine");
    let optional: Vec<_> = plan.mix.kinds.iter().map(|kind| (kind.name.as_str(), kind.optional)).collect();
    assert_eq!(optional, [("ws", true), ("plain", false)]);
    assert_eq!(names(&plan.endpoints), ["ws"], "so it is asked once");
}

#[test]
fn what_a_profile_names_is_not_asked_for_unless_it_wants_that() {
    assert!(fine(&format!("{FLAT}{CHAT}")).endpoints.is_empty());
    let plan = fine(&format!("{FLAT}endpoint_check = true\n{CHAT}"));
    assert_eq!(names(&plan.mix.kinds), ["chat"]);
    assert!(!plan.mix.kinds[0].optional && !plan.endpoints[0].optional, "what is named has to be there");
    assert_eq!(plan.endpoints.len(), 20, "the README says so");
    assert!(plan.endpoints[1..].iter().all(|kind| kind.optional), "what is not need not");
    assert!(plan.endpoints.iter().all(|kind| kind.timeouts.total == limits::ENDPOINT_TIMEOUT));
}

#[test]
fn a_profile_may_say_what_a_server_need_not_have() {
    let plan =
        fine(&format!("{FLAT}{CHAT}[[requests]]\nname = \"one\"\napi = \"typesafe-systemone\"\noptional = true\n"));
    let optional: Vec<_> = plan.mix.kinds.iter().map(|kind| (kind.name.as_str(), kind.optional)).collect();
    assert_eq!(optional, [("chat", false), ("one", true)]);
    assert_eq!(names(&plan.endpoints), ["one"], "what may be missing is asked for, and nothing else");
}

/// A built-in profile asks them of the simulator only, since another server need not have them.
#[test]
fn endpoints_that_a_file_names_are_asked_of_any_server() {
    let api = overrides! { api: flag("api", "openai-chat") };
    let models = "[[requests]]\nname = \"models\"\napi = \"models\"\n";
    let plan = file(&format!("{FLAT}{CHAT}{models}"), &api).expect("fine");
    assert_eq!(names(&plan.mix.kinds), ["chat", "models"]);
    let path = overrides! { path: flag("path", "/x/chat") };
    let plan = file(&format!("{FLAT}{CHAT}{models}"), &path).expect("a path is of requests that generate");
    let paths: Vec<_> = plan.mix.kinds.iter().map(|kind| kind.path.as_str()).collect();
    assert_eq!(paths, ["/x/chat", "/openai/v1/models"]);
    let plan = run("smoke", &api).expect("fine").plan;
    assert!(plan.mix.kinds.iter().all(|kind| kind.api == Api::OpenaiChat), "{:?}", names(&plan.mix.kinds));
}

#[test]
fn a_flag_chooses_api_path_and_model() {
    let overrides = overrides! { api: flag("api", "openresponses"),
    path: flag("path", "/v1/responses"),
    model: env("LLMSIM_BLAST_MODEL", "mine") };
    let Resolved { plan, settings, .. } = run("smoke", &overrides).expect("fine");
    assert_eq!(names(&plan.mix.kinds), ["chat-stream", "chat-plain"], "the simulator's own endpoints are left out");
    assert_eq!(names(&plan.endpoints), ["chat-stream", "chat-plain"], "here, too");
    for kind in &plan.mix.kinds {
        assert_eq!(
            (kind.api, kind.path.as_str(), kind.models.as_slice()),
            (Api::Openresponses, "/v1/responses", &["mine".to_owned()][..])
        );
    }
    for (key, value, origin) in [
        ("requests[1].api", "openresponses", "--api"),
        ("requests[1].path", "/v1/responses", "--path"),
        ("requests[1].model", "mine", "LLMSIM_BLAST_MODEL"),
        ("requests[1].weight", "40", "built-in profile smoke"),
        ("endpoint_check", "true", "built-in profile smoke"),
        ("endpoints", "chat-stream, chat-plain", "default"),
    ] {
        let setting = settings.iter().find(|setting| setting.key == key).expect(key);
        assert_eq!((setting.value.as_str(), setting.origin.to_string().as_str()), (value, origin), "{key}");
    }
}

#[test]
fn a_model_alone_changes_nothing_else() {
    let plan = run("smoke", &overrides! { model: flag("model", "mine") }).expect("fine").plan;
    assert_eq!(plan.mix.kinds.len(), 6);
    for kind in plan.mix.kinds.iter().chain(&plan.endpoints).filter(|kind| !kind.models.is_empty()) {
        let mine = kind.api.generates() || kind.api == Api::Model;
        assert_eq!(kind.models == ["mine"], mine, "{}", kind.name);
    }
}

#[test]
fn a_flag_may_say_auto() {
    let plan = run("quick-smoke", &overrides! { api: flag("api", "auto") }).expect("fine").plan;
    assert_eq!(plan.mix.kinds.len(), 8);
    assert_eq!(names(&plan.endpoints), names(&plan.mix.kinds));
    let plan = run("smoke", &overrides! { api: flag("api", "auto") }).expect("fine").plan;
    assert_eq!((plan.mix.kinds.len(), plan.endpoints.len()), (12, 20));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (profile, overrides, words) in [
        ("load", overrides! { api: flag("api", "openai") }, &["--api", "'openai'", "openai-chat", "auto"][..]),
        ("load", overrides! { api: flag("api", "health") }, &["'health'", "generation API"]),
        ("load", overrides! { path: flag("path", "v1") }, &["--path", "starts with /"]),
        ("load", overrides! { path: flag("path", "/a b") }, &["no spaces"]),
        ("load", overrides! { model: flag("model", "") }, &["--model", "name of a model"]),
        ("all-apis", overrides! { path: flag("path", "/v1") }, &["--path", "several APIs", "--api"]),
        ("load", overrides! { api: flag("api", "auto"), path: flag("path", "/v1") }, &["--path", "auto"]),
    ] {
        let error = refused(profile, &overrides);
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    let health = format!("{FLAT}[[requests]]\nname = \"h\"\napi = \"health\"\n");
    let error = file(&health, &overrides! { api: flag("api", "openai-chat") }).expect_err("nothing is left");
    assert!(error.to_string().contains("applies to no request"), "{error}");
    for (lines, words) in [
        ("api = \"auto\"\npath = \"/x\"", "requests[0].path"),
        ("api = \"openai-chat\"\ninclude_usage = true", "streams of openai-chat"),
        ("api = \"anthropic-messages\"\nstream = true\ninclude_usage = true", "include_usage"),
        ("api = \"openai-chat\"\nstream = true\ninclude_usage = true\nbody = { stream_options = 1 }", "stream_options"),
        ("api = \"anthropic-count-tokens\"\nstream = true", "cannot be streamed"),
        ("api = \"openai-images\"\nmax_tokens = 5", "generates no tokens"),
        ("api = \"nonsense\"", "auto"),
    ] {
        let error = refusal(&format!("{FLAT}[[requests]]\nname = \"r\"\n{lines}\n"));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn usage_is_asked_for_beside_other_options() {
    let body = |lines: &str| fine(&format!("{FLAT}{CHAT}stream = true\n{lines}\n")).mix.kinds[0].body.clone();
    assert_eq!(body("include_usage = false").get("stream_options"), None);
    let asked = body("include_usage = true\nbody = { temperature = 0, stream_options = { x = 1 } }");
    assert_eq!(asked["stream_options"], serde_json::json!({ "x": 1, "include_usage": true }));
    assert_eq!(asked["temperature"], 0);
}

#[test]
fn a_path_of_the_profile_is_not_taken_for_another_api() {
    let text = format!("{FLAT}{CHAT}path = \"/v1/chat/completions\"\n");
    let path = |overrides: &Overrides| file(&text, overrides).expect("fine").mix.kinds[0].path.clone();
    assert_eq!(path(&Overrides::default()), "/v1/chat/completions");
    let other = overrides! { api: flag("api", "anthropic-messages") };
    assert_eq!(path(&other), "/anthropic/v1/messages");
}

#[test]
fn a_whole_endpoint_as_the_target_is_taken_as_one_and_said() {
    for (url, shown, api, path) in [
        ("http://h:1/v1/chat/completions", "http://h:1", Api::OpenaiChat, "/v1/chat/completions"),
        ("http://h/proxy/v1/responses/", "http://h", Api::OpenaiResponses, "/proxy/v1/responses"),
        ("https://h/anthropic/v1/messages?v=1", "https://h", Api::AnthropicMessages, "/anthropic/v1/messages"),
    ] {
        let resolved = run("load", &overrides! { target_url: flag("target-url", url) }).expect(url);
        let plan = &resolved.plan;
        assert_eq!((plan.target.url.as_str(), plan.target.path_prefix.as_str()), (shown, ""), "{url}");
        assert!(plan.mix.kinds.iter().all(|kind| kind.api == api && kind.path == path), "{url}");
        let note = format!("--target-url is the URL of an endpoint: only {} is tested, at {path}", api.name());
        assert_eq!(resolved.presentation.notes, [note]);
        let setting = resolved.settings.iter().find(|s| s.key == "requests[0].path").expect("a path");
        assert_eq!((setting.value.as_str(), setting.origin.to_string().as_str()), (path, "--target-url"));
    }
    let prefixed = run("load", &overrides! { target_url: flag("target-url", "http://h/v1") }).expect("a prefix");
    assert_eq!((prefixed.plan.target.path_prefix.as_str(), prefixed.presentation.notes.len()), ("/v1", 0));
    // An API may be named beside it, if it has the same path. Another path may not be.
    let url = || flag("target-url", "http://h/v1/responses");
    let plan = run("load", &overrides! { target_url: url(), api: flag("api", "openresponses") }).expect("fine").plan;
    assert!(plan.mix.kinds.iter().all(|kind| kind.api == Api::Openresponses && kind.path == "/v1/responses"));
    let error = refused("load", &overrides! { target_url: url(), path: flag("path", "/x") });
    assert!(error.contains("--path cannot be used together with --target-url"), "{error}");
    let error = refused("load", &overrides! { target_url: url(), api: flag("api", "auto") });
    assert!(error.contains("--api auto"), "{error}");
    let two = |other: &str| {
        let urls = ["http://h/v1/responses", other].map(|url| Given::flag("target-url", url));
        run("load", &overrides! { target_url: urls })
    };
    assert_eq!(two("http://g/v1/responses").expect("the same").plan.access.more_targets[0].url, "http://g");
    assert!(two("http://g/v2/responses").expect_err("another").to_string().contains("the first target does not name"));
    assert!(two("http://g").expect_err("none").to_string().contains("the first target does not name"));
}

#[test]
fn flags_say_how_many_tokens_prompts_and_answers_have() {
    let with = |id: &str, value: &str| {
        let name = id.replace('_', "-");
        Overrides::default().with(id, [Given::flag(&name, value)])
    };
    let kinds = |overrides: &Overrides| run("smoke", overrides).map(|resolved| resolved.plan.mix.kinds.clone());
    let input = kinds(&with("input_tokens", "512")).expect("fine");
    let source = PromptSource::Words(Tokens::fixed(512));
    assert!(input.iter().all(|kind| !kind.api.generates() || kind.prompt == Prompt::of(source.clone())));
    assert_eq!(input.last().map(|kind| &kind.prompt), Some(&Prompt::texts(Vec::new())), "a model is asked for nothing");
    let output = kinds(&with("output_tokens", "16..32")).expect("fine");
    assert_eq!(output[0].max_tokens, Some(Tokens::Uniform { min: 16, max: 32 }));
    let cache = |word| kinds(&with("prompt_cache", word)).expect("fine")[0].prompt.distinct;
    assert!(cache("miss") && !cache("hit"));
    for (id, value, expected) in [
        ("input_tokens", "0", "--input-tokens: expected an integer from 1 to 1000000"),
        ("input_tokens", "9..2", "--input-tokens: expected MIN..MAX with MIN at most MAX"),
        ("output_tokens", "5..", "--output-tokens: expected an integer from 1 to 10000000 where a part is empty"),
        ("prompt_cache", "on", "--prompt-cache: expected hit or miss"),
    ] {
        let error = kinds(&with(id, value)).expect_err(value).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
