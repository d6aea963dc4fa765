//! Tests of the built-in profiles.

use super::*;

fn range(tokens: Tokens) -> (u32, u32) {
    match tokens {
        Tokens::Uniform { min, max } => (min, max),
        Tokens::Normal(bell) | Tokens::Lognormal(bell) => panic!("{bell:?}"),
    }
}

/// Returns a built-in set, each of whose prompts opens with words of its own.
fn distinct(name: &str) -> Prompt {
    Prompt { distinct: true, ..Prompt::texts(mix::builtin_prompts(name).expect(name)) }
}

fn plan(name: &str) -> Plan {
    run(name, &Overrides::default()).unwrap_or_else(|e| panic!("{name}: {e}")).plan
}

#[test]
fn every_profile_has_the_shape_and_thresholds_of_its_question() {
    let failed = |bound: &str| format!("http_req_failed: rate<{bound}");
    let p = |n: u8, bound: u32| format!("http_req_duration: p({n})<{bound}");
    let (iterations, max_duration) = (3, limits::DEFAULT_MAX_DURATION);
    let cases = [
        ("quick-smoke", Shape::PerVuIterations { vus: 1, iterations, max_duration }, vec![failed("0.01")]),
        ("smoke", Shape::ConstantVus { vus: 1, duration: secs(10) }, vec![p(95, 2000), failed("0.01")]),
        (
            "load",
            ramps(1, &[(30, 10), (60, 10), (30, 50), (120, 50), (30, 0)]),
            vec![p(95, 3000), p(99, 5000), failed("0.05")],
        ),
        (
            "stress",
            ramps(1, &[(30, 50), (60, 100), (60, 200), (120, 200), (30, 500), (60, 500), (60, 0)]),
            vec![p(95, 10_000), failed("0.15")],
        ),
        ("spike", ramps(1, &[(10, 10), (5, 500), (30, 500), (10, 10), (30, 10), (10, 0)]), vec![failed("0.20")]),
        ("soak", ramps(1, &[(60, 50), (1800, 50), (60, 0)]), vec![p(95, 3000), failed("0.01")]),
        (
            "high-concurrency",
            ramps(100, &[(60, 500), (120, 500), (30, 0)]),
            vec!["connection_failures: count<100".into(), p(95, 15_000), failed("0.10"), "timeouts: count<50".into()],
        ),
        ("all-apis", Shape::ConstantVus { vus: 5, duration: secs(30) }, vec![p(95, 3000), failed("0.01")]),
    ];
    // The profile `scenarios` is left out: it has a rule for each scenario.
    assert_eq!(cases.len() + 1, BUILT_IN.len());
    for (name, shape, thresholds) in cases {
        let plan = plan(name);
        assert_eq!(plan.shape, shape, "{name}");
        assert_eq!(rules(&plan.thresholds), thresholds, "{name}");
        assert_eq!((plan.name.as_str(), plan.graceful_stop), (name, secs(30)));
        assert!(plan.description.contains('?') && plan.slo.is_empty(), "{name}");
    }
}

#[test]
fn every_profile_has_its_mix_and_think_time() {
    let chat = vec![("chat-stream", 70, true, Some((50, 200))), ("chat-plain", 30, false, Some((50, 150)))];
    let endpoints = vec![
        ("chat-stream", 40, true, Some((50, 200))),
        ("chat-plain", 40, false, Some((50, 150))),
        ("health", 5, false, None),
        ("models", 5, false, None),
        ("stats", 5, false, None),
        ("model", 5, false, None),
    ];
    let fast = vec![
        ("chat-plain", 70, false, Some((20, 20))),
        ("chat-stream", 20, true, Some((50, 50))),
        ("health", 5, false, None),
        ("stats", 5, false, None),
    ];
    let apis = ["openai-chat", "openai-responses", "openresponses", "anthropic-messages"];
    let names: Vec<(String, u32, bool, _)> = [("stream", 70, true, 200), ("plain", 30, false, 150)]
        .iter()
        .flat_map(|&(way, weight, stream, most)| {
            apis.map(|api| (format!("{way}-{api}"), weight, stream, Some((50, most))))
        })
        .collect();
    let beside = [
        ("websocket-openai-responses".to_owned(), 20, true, Some((50, 200))),
        ("systemone".to_owned(), 20, false, None),
    ];
    let names: Vec<_> = names.into_iter().chain(beside).collect();
    let every = names.iter().map(|(name, weight, stream, tokens)| (name.as_str(), *weight, *stream, *tokens)).collect();
    for (name, mix, min, max) in [
        ("all-apis", &every, 100, 300),
        ("quick-smoke", &chat, 0, 0),
        ("smoke", &endpoints, 50, 150),
        ("load", &chat, 100, 300),
        ("stress", &chat, 100, 300),
        ("spike", &chat, 100, 300),
        ("soak", &chat, 100, 300),
        ("high-concurrency", &fast, 10, 60),
    ] {
        let plan = plan(name);
        let kinds: Vec<_> =
            plan.mix.kinds.iter().map(|k| (k.name.as_str(), k.weight, k.stream, k.max_tokens.map(range))).collect();
        assert_eq!(&kinds, mix, "{name}");
        assert_eq!((plan.think_time.min, plan.think_time.max), (Nanos::from_millis(min), Nanos::from_millis(max)));
    }
}

#[test]
fn every_starter_scenario_is_played_and_has_a_threshold() {
    let plan = plan("scenarios");
    let starters: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../../assets/scenarios.json")).expect("JSON");
    assert_eq!(plan.mix.kinds.len(), starters.len());
    for starter in &starters {
        let name = starter["name"].as_str().expect("a name");
        let kind = plan.mix.kinds.iter().find(|kind| kind.name == name).expect(name);
        let scenario = kind.scenario.as_ref().expect("a scenario");
        assert_eq!((scenario.name.as_str(), kind.stream, kind.prompt.distinct), (name, true, true));
        let fails = starter["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .any(|step| step.get("fail_first").is_some() || step.pointer("/timing/cut_after_tokens").is_some());
        assert_eq!(kind.retries.is_some(), fails, "{name}");
        let counted =
            format!("{}{{request:{name}}}: count>0", if fails { "retries" } else { "conversations_completed" });
        assert!(rules(&plan.thresholds).contains(&counted), "{counted}: {:?}", rules(&plan.thresholds));
    }
    assert!(plan.server.is_some_and(|spec| spec.scenarios));
    assert!(run("smoke", &Overrides::default()).expect("built in").plan.server.is_some_and(|spec| !spec.scenarios));
}

#[test]
fn models_prompts_and_timeouts_of_the_mixes() {
    let load = plan("load");
    let chat = &load.mix.kinds[0];
    assert_eq!(chat.models, Api::OpenaiChat.models());
    assert_eq!(chat.prompt, distinct("medium"));
    assert_eq!((chat.timeouts.total, chat.timeouts.connect), (secs(60), secs(10)));
    let fast = plan("high-concurrency");
    let [plain, stream, health, _] = &fast.mix.kinds[..] else { panic!("four kinds") };
    assert_eq!((plain.prompt.clone(), plain.timeouts.total), (distinct("short"), secs(30)));
    assert_eq!((stream.timeouts.total, health.timeouts.total), (secs(60), secs(60)));
    assert!(health.prompt == Prompt::texts(Vec::new()) && health.models.is_empty());
    let model = plan("smoke").mix.kinds.last().cloned().expect("six kinds");
    assert_eq!((model.api, model.models.len(), &model.prompt), (Api::Model, 7, &Prompt::texts(Vec::new())));
}
