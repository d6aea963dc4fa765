//! Tests of the content that a file may have, and of the content that is refused.

use super::*;
use proptest::prelude::*;

#[test]
fn a_file_is_resolved_the_same_way() {
    let plan = fine(&format!("{FLAT}{CHAT}"));
    assert_eq!(plan.name, "my");
    assert_eq!(plan.shape, Shape::ConstantVus { vus: 2, duration: secs(10) });
    assert_eq!((plan.seed, plan.tuning.workers, plan.tuning.pin), (limits::DEFAULT_SEED, None, true));
    assert_eq!(plan.mix.kinds[0].weight, 1);
    assert_eq!((plan.think_time, plan.graceful_stop), (ThinkTime::default(), secs(30)));
}

#[test]
fn a_missing_file_is_named() {
    let error = run("other.toml", &Overrides::default()).expect_err("missing").to_string();
    assert_eq!(error, "the profile: cannot read other.toml: no such file");
    let error = run("./load", &Overrides::default()).expect_err("a slash makes a file").to_string();
    assert!(error.contains("cannot read ./load"), "{error}");
}

#[test]
fn prompts_come_from_sets_and_files() {
    let prompts = |line: &str| match fine(&format!("{FLAT}{CHAT}{line}\n")).mix.kinds[0].prompt.source.clone() {
        PromptSource::Texts(texts) => texts,
        other @ (PromptSource::Words(_) | PromptSource::Pairs(_) | PromptSource::Prose(_) | PromptSource::Rows(_)) => {
            panic!("{other:?}")
        }
    };
    assert_eq!(prompts("prompt = \"Hi\""), ["Hi"]);
    assert_eq!(prompts("prompt = [\"a\", \"b\"]"), ["a", "b"]);
    assert_eq!(prompts("prompt = \"@prompts.txt\""), ["first", "second", "third"]);
    assert_eq!(Some(prompts("prompt = \"@long\"")), mix::builtin_prompts("long"));
    assert_eq!(prompts("prompt = [\"Hi\", \"@prompts.txt\"]").len(), 4);
}

#[test]
fn prompts_are_so_many_tokens_with_a_prefix_and_answers_too() {
    let kind = |lines: &str| fine(&format!("{FLAT}{CHAT}{lines}\n")).mix.kinds[0].clone();
    let source = |written: &str| kind(&format!("prompt = {{ tokens = {written} }}")).prompt.source;
    let bell = |mean, stddev, min, max| Bell { mean, stddev, min, max };
    assert_eq!(source("512"), PromptSource::Words(Tokens::fixed(512)));
    assert_eq!(source("{ min = 2, max = 9 }"), PromptSource::Words(Tokens::Uniform { min: 2, max: 9 }));
    assert_eq!(
        source("{ uniform = { min = 2, max = 9 }, min = 4 }"),
        PromptSource::Words(Tokens::Uniform { min: 4, max: 9 })
    );
    assert_eq!(
        source("{ normal = { mean = 512, stddev = 128.5 }, min = 16, max = 4096 }"),
        PromptSource::Words(Tokens::Normal(bell(512.0, 128.5, 16, 4096)))
    );
    assert_eq!(
        source("{ lognormal = { mean = 512, stddev = 128 } }"),
        PromptSource::Words(Tokens::Lognormal(bell(512.0, 128.0, 1, limits::MAX_PROMPT_TOKENS)))
    );
    assert_eq!(source("{ file = \"pairs.csv\" }"), PromptSource::Pairs([(10, 20), (30, 40)].into()));
    assert_eq!(kind("prompt = \"@text:99\"").prompt.source, PromptSource::Prose(Tokens::fixed(99)));
    let all = kind(
        "prefix = { tokens = 1024, groups = 8, zipf = 1.0 }\noutput = { tokens = { uniform = { min = 64, max = 256 } }, exact = true }\n\
         model = [{ name = \"base\", weight = 9 }, { name = \"lora-a\" }]",
    );
    assert_eq!(all.prompt.prefix, Some(Prefix { tokens: 1024, groups: 8, zipf: 1.0 }));
    assert_eq!((all.max_tokens, all.exact), (Some(Tokens::Uniform { min: 64, max: 256 }), true));
    assert_eq!((all.models.join(" "), all.model_weights), ("base lora-a".to_owned(), vec![9, 1]));
    let ranked = kind("model = { names = [\"a\", \"b\"], zipf = 1.0 }");
    assert_eq!(ranked.model_weights, mix::zipf(2, 1.0));
}

#[test]
fn built_in_prompts_are_distinct_and_the_users_own_are_sent_as_they_are() {
    let distinct = |lines: &str| fine(&format!("{FLAT}{CHAT}{lines}\n")).mix.kinds[0].prompt.distinct;
    assert!(distinct("") && distinct("prompt = \"@long\"") && distinct("prompt = \"@text\""));
    assert!(!distinct("prompt = \"Hi\"") && !distinct("prompt = [\"@long\", \"Hi\"]"));
    assert!(!distinct("prompt_cache = \"hit\"") && distinct("prompt = \"Hi\"\nprompt_cache = \"miss\""));
    assert!(!distinct("prompt = { tokens = 5 }"), "words are distinct as they are");
}

#[test]
fn timeouts_inherit_field_by_field_and_stay_within_the_total() {
    let timeouts = |top: &str, own: &str| fine(&format!("{top}\n{FLAT}{CHAT}{own}\n")).mix.kinds[0].timeouts;
    let times = |connect, first_byte, stall, total| Timeouts {
        connect: secs(connect),
        first_byte: secs(first_byte),
        stall: secs(stall),
        total: secs(total),
    };
    assert_eq!(timeouts("", ""), times(10, 60, 60, 60));
    assert_eq!(timeouts("timeout = \"90s\"", ""), times(10, 90, 90, 90));
    assert_eq!(timeouts("timeout = \"90s\"", "timeout = \"5s\""), times(5, 5, 5, 5));
    assert_eq!(timeouts("timeout = { stall = \"3s\" }", "timeout = \"20s\""), times(10, 20, 3, 20));
    assert_eq!(timeouts("timeout = { connect = \"2s\" }", "timeout = { first_byte = \"4s\" }"), times(2, 4, 60, 60));
    // If no timeout is set, each token that is asked for may take 100 ms.
    assert_eq!(timeouts("", "max_tokens = 600"), times(10, 60, 60, 60));
    assert_eq!(timeouts("", "max_tokens = 5000"), times(10, 500, 500, 500));
    assert_eq!(timeouts("timeout = \"90s\"", "max_tokens = 5000"), times(10, 90, 90, 90));
    let overrides = overrides! { timeout: flag("timeout", "8s") };
    let text = format!("{FLAT}{CHAT}timeout = {{ first_byte = \"4s\", total = \"5s\" }}\n");
    assert_eq!(super::file(&text, &overrides).expect("fine").mix.kinds[0].timeouts, times(8, 4, 8, 8));
}

#[test]
fn users_may_leave_early_or_read_slowly() {
    use crate::mix::{After, BehaviorMix, Leave, SlowReader};
    let behavior = |lines: &str| fine(&format!("{FLAT}{CHAT}{lines}\n")).mix.kinds[0].behaviors;
    assert_eq!(behavior(""), BehaviorMix::default());
    let all = behavior(
        "stream = true\ncancel = { after_tokens = 10, share = 0.3 }\ndrop = { after = \"500ms\", share = 0.7 }\n\
         slow_reader = { bytes_per_second = 2000 }",
    );
    assert_eq!(all.cancel, Some(Leave { after: After::Tokens(10), share: 0.3 }));
    assert_eq!(all.drop, Some(Leave { after: After::Time(Nanos::from_millis(500)), share: 0.7 }));
    assert_eq!(all.slow_reader, Some(SlowReader { bytes_per_second: 2000, share: 1.0 }));
    let text =
        format!("{FLAT}{CHAT}drop = {{ after = \"500ms\", share = 0.7 }}\nslow_reader = {{ bytes_per_second = 9 }}\n");
    let shown =
        resolve("my.toml", &Overrides::default(), &mut |_: &std::path::Path| Ok(text.clone())).expect("fine").settings;
    let value = |key: &str| shown.iter().find(|s| s.key == key).map(|s| s.value.as_str());
    assert_eq!(value("requests[0].drop"), Some("after 500ms, share 0.7"));
    assert_eq!(value("requests[0].slow_reader"), Some("9 bytes per second, share 1"));
    assert_eq!(value("requests[0].cancel"), None);
}

#[test]
fn body_and_headers_are_kept() {
    let plan = fine(&format!(
        "{FLAT}{CHAT}body = {{ temperature = 0.5, stop = [\"x\"], since = 1979-05-27 }}\nheaders = {{ X-Team = \" blue \" }}\n"
    ));
    let kind = &plan.mix.kinds[0];
    let body = serde_json::json!({ "temperature": 0.5, "stop": ["x"], "since": "1979-05-27" });
    assert_eq!(serde_json::Value::Object(kind.body.clone()), body);
    assert_eq!(kind.headers, [("X-Team".to_owned(), "blue".to_owned())]);
}

#[test]
fn thresholds_and_goals_are_read_in_every_form() {
    let plan = fine(&format!(
        "{FLAT}{CHAT}[thresholds]\nhttp_reqs = \"count>1\"\n\"ttft{{request:chat}}\" = [\"avg<1s\", \
         {{ threshold = \"p(95)<2s\", abort_on_fail = true, delay_abort_eval = \"10s\" }}]\n[slo]\nttft = \"<2s\"\n"
    ));
    assert_eq!(
        rules(&plan.thresholds),
        ["http_reqs: count>1", "ttft{request:chat}: avg<1s", "ttft{request:chat}: p(95)<2s"]
    );
    let last = &plan.thresholds[2];
    assert_eq!((last.abort_on_fail, last.delay_abort_eval), (true, secs(10)));
    assert!(!plan.thresholds[1].abort_on_fail);
    assert_eq!(rules(&plan.slo), ["ttft: <2s"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of mistakes, a line each")]
fn what_cannot_be_run_is_refused_with_file_line_key_and_expectation() {
    let shape = |text: &str| format!("{text}{CHAT}");
    let chat = |line: &str| format!("{FLAT}{CHAT}{line}\n");
    let kind = |line: &str| format!("{FLAT}[[requests]]\n{line}\n");
    for (text, place, expected) in [
        (shape("executor = \"ramp\"\n"), "my.toml:1: executor", "expected one of constant-vus, ramping-vus"),
        (shape("executor = \"constant-vus\"\n"), "my.toml: duration", "is missing"),
        (shape("executor = \"constant-vus\"\nduration = \"0s\"\n"), "my.toml:2: duration", "above zero"),
        (shape("executor = \"constant-vus\"\nduration = \"-5s\"\n"), "my.toml:2: duration", "like 30s"),
        (shape("executor = \"constant-vus\"\nduration = \"5\"\n"), "my.toml:2: duration", "like 30s"),
        (shape("executor = \"constant-vus\"\nduration = \"721h\"\n"), "my.toml:2: duration", "at most 720h"),
        (shape("executor = \"constant-vus\"\nduration = \"5s\"\nvus = 0\n"), "my.toml:3: vus", "from 1 to 1000000"),
        (shape("executor = \"constant-vus\"\nduration = \"5s\"\nvus = -1\n"), "my.toml:3: vus", "from 1 to 1000000"),
        (shape("executor = \"constant-vus\"\nduration = \"5s\"\nvus = 1000001\n"), "my.toml:3: vus", "to 1000000"),
        (shape(&format!("{FLAT}stages = []\n")), "my.toml:4: stages", "expected only vus, duration"),
        (shape(&format!("{FLAT}iterations = 1\n")), "my.toml:4: iterations", "expected only vus, duration"),
        (shape(&format!("{RAMPS}vus = 1\n")), "my.toml:3: vus", "expected only start_vus, stages"),
        (shape(&format!("{COUNTING}duration = \"1s\"\n")), "my.toml:4: duration", "only vus, iterations, max_duration"),
        (shape("executor = \"per-vu-iterations\"\niterations = 0\n"), "my.toml:2: iterations", "from 1 to"),
        (shape("executor = \"per-vu-iterations\"\nmax_duration = \"0\"\n"), "my.toml:2: max_duration", "above zero"),
        (
            shape("executor = \"shared-iterations\"\nvus = 2\n"),
            "my.toml:2: vus",
            "leaves 2 users to share 1 iteration:",
        ),
        (shape("executor = \"ramping-vus\"\n"), "my.toml: stages", "at least one, such as"),
        (shape("executor = \"ramping-vus\"\nstages = []\n"), "my.toml:2: stages", "at least one, such as"),
        (
            shape("executor = \"ramping-vus\"\nstages = [{ duration = \"0s\", target = 1 }]\n"),
            "my.toml:2: stages",
            "a total above zero",
        ),
        (
            shape("executor = \"ramping-vus\"\nstart_vus = 0\nstages = [{ duration = \"1s\", target = 0 }]\n"),
            "my.toml:3: stages",
            "at least one target above zero",
        ),
        (
            shape(
                "executor = \"ramping-vus\"\nstages = [{ duration = \"1s\", target = 1 }, { duration = \"1s\", target = -1 }]\n",
            ),
            "my.toml:2: stages[1].target",
            "from 0 to 1000000",
        ),
        (
            shape("executor = \"ramping-vus\"\nstages = [{ duration = \"1 s\", target = 1 }]\n"),
            "my.toml:2: stages[0].duration",
            "like 30s",
        ),
        (
            shape(
                "executor = \"ramping-vus\"\nstages = [{ duration = \"719h\", target = 1 }, { duration = \"2h\", target = 1 }]\n",
            ),
            "my.toml:2: stages",
            "at most 720h",
        ),
        (shape(&format!("{RAMPS}graceful_ramp_down = \"x\"\n")), "my.toml:3: graceful_ramp_down", "like 30s"),
        (shape(&format!("{FLAT}graceful_stop = \"x\"\n")), "my.toml:4: graceful_stop", "like 30s"),
        (shape(&format!("{FLAT}think_time = \"x\"\n")), "my.toml:4: think_time", "like 30s"),
        (
            shape(&format!("{FLAT}think_time = {{ min = \"2s\", max = \"1s\" }}\n")),
            "my.toml:4: think_time",
            "expected min ≤ max",
        ),
        (
            shape(&format!("{FLAT}think_time = {{ min = \"2s\", max = \"x\" }}\n")),
            "my.toml:4: think_time.max",
            "like 30s",
        ),
        (shape(&format!("{FLAT}timeout = \"0s\"\n")), "my.toml:4: timeout", "above zero"),
        (shape(&format!("{FLAT}timeout = {{ stall = \"x\" }}\n")), "my.toml:4: timeout.stall", "like 30s"),
        (FLAT.to_owned(), "my.toml: requests", "at least one kind of request"),
        (kind("name = \"\"\napi = \"health\""), "my.toml:5: requests[0].name", "letters, digits"),
        (kind("name = \"a}b\"\napi = \"health\""), "my.toml:5: requests[0].name", "letters, digits"),
        (
            kind("name = \"a\"\napi = \"grpc\""),
            "my.toml:6: requests[0].api",
            "expected one of openai-chat, openai-responses",
        ),
        (kind("name = \"a\"\napi = \"health\"\nstream = true"), "my.toml:7: requests[0].stream", "cannot be streamed"),
        (kind("name = \"a\"\napi = \"health\"\nprompt = \"x\""), "my.toml:7: requests[0].prompt", "takes no prompt"),
        (kind("name = \"a\"\napi = \"health\"\nmodel = \"x\""), "my.toml:7: requests[0].model", "takes no model"),
        (kind("name = \"a\"\napi = \"health\"\nmax_tokens = 5"), "my.toml:7: requests[0].max_tokens", "no tokens"),
        (kind("name = \"a\"\napi = \"health\"\nbody = { a = 1 }"), "my.toml:7: requests[0].body", "without a body"),
        (chat("path = \"v1/chat\""), "my.toml:7: requests[0].path", "starts with /"),
        (chat("path = \"/a b\""), "my.toml:7: requests[0].path", "no spaces"),
        (chat("path = \"/a\\r\\nX: y\""), "my.toml:7: requests[0].path", "no spaces"),
        (chat("weight = 0"), "my.toml:7: requests[0].weight", "at least one above zero"),
        (chat("weight = -1"), "my.toml:7: requests[0].weight", "from 0 to 1000000"),
        (chat("model = []"), "my.toml:7: requests[0].model", "names of models"),
        (chat("model = [\"a\", \"\"]"), "my.toml:7: requests[0].model", "names of models"),
        (chat("prompt = []"), "my.toml:7: requests[0].prompt", "is empty"),
        (chat("prompt = \"\""), "my.toml:7: requests[0].prompt", "is empty"),
        (chat("prompt = \"@\""), "my.toml:7: requests[0].prompt", "names no file"),
        (chat("prompt = \"@none.txt\""), "my.toml:7: requests[0].prompt", "cannot read dir/none.txt: no such file"),
        (chat("prompt = \"@blank.txt\""), "my.toml:7: requests[0].prompt", "has no prompts"),
        (chat("prompt = { tokens = 0 }"), "my.toml:7: requests[0].prompt.tokens", "from 1 to 1000000"),
        (chat("prompt = { tokens = -5 }"), "my.toml:7: requests[0].prompt.tokens", "from 1 to 1000000"),
        (chat("prompt = { words = 5 }"), "my.toml:7: requests[0].prompt", "{ tokens = 512 }"),
        (chat("prompt = { tokens = {} }"), "my.toml:7: requests[0].prompt.tokens", "uniform, normal and lognormal"),
        (chat("prompt = { tokens = { min = 9, max = 2 } }"), "my.toml:7: requests[0].prompt.tokens", "min ≤ max"),
        (
            chat("prompt = { tokens = { uniform = { min = 10, max = 20 }, max = 5 } }"),
            "my.toml:7: requests[0].prompt.tokens.uniform",
            "min ≤ max",
        ),
        (
            chat("prompt = { tokens = { normal = { mean = 512, stddev = 1 }, max = 100 } }"),
            "my.toml:7: requests[0].prompt.tokens.normal.mean",
            "between min 1 and max 100",
        ),
        (
            chat("prompt = { tokens = { lognormal = { mean = 512, stddev = -1 } } }"),
            "my.toml:7: requests[0].prompt.tokens.lognormal.stddev",
            "from 0",
        ),
        (
            chat("prompt = { tokens = { normal = { mean = nan, stddev = 1 } } }"),
            "my.toml:7: requests[0].prompt.tokens.normal.mean",
            "expected a mean",
        ),
        (
            chat("prompt = { tokens = { file = \"none.csv\" } }"),
            "my.toml:7: requests[0].prompt.tokens.file",
            "cannot read dir/none.csv: no such file",
        ),
        (
            chat("prompt = { tokens = { file = \"bad.csv\" } }"),
            "my.toml:7: requests[0].prompt.tokens.file",
            "dir/bad.csv, line 3: `7;9` is not a pair: expected input,output",
        ),
        (
            chat("prompt = { tokens = { file = \"blank.txt\" } }"),
            "my.toml:7: requests[0].prompt.tokens.file",
            "has no pairs",
        ),
        (chat("prompt = \"@text:0\""), "my.toml:7: requests[0].prompt", "@text:N with N from 1"),
        (chat("prompt_cache = \"maybe\""), "my.toml:7: requests[0].prompt_cache", "\"hit\" or \"miss\""),
        (chat("prefix = { tokens = 0 }"), "my.toml:7: requests[0].prefix.tokens", "from 1 to"),
        (chat("prefix = { tokens = 5, groups = 0 }"), "my.toml:7: requests[0].prefix.groups", "from 1 to"),
        (chat("prefix = { tokens = 5, zipf = -1.0 }"), "my.toml:7: requests[0].prefix.zipf", "from 0 to 10"),
        (chat("output = { tokens = 5 }\nmax_tokens = 5"), "my.toml:7: requests[0].output", "expected one of them"),
        (chat("output = { tokens = 0 }"), "my.toml:7: requests[0].output.tokens", "from 1 to"),
        (
            chat("output = { tokens = { file = \"pairs.csv\" } }"),
            "my.toml:7: requests[0].output.tokens.file",
            "belongs to `prompt.tokens`",
        ),
        (
            kind("name = \"a\"\napi = \"anthropic-messages\"\noutput = { tokens = 5, exact = true }"),
            "my.toml:7: requests[0].output.exact",
            "needs the API openai-chat",
        ),
        (chat("model = [{ name = \"a\", weight = 0 }]"), "my.toml:7: requests[0].model", "above zero"),
        (chat("model = [{ name = \"a\", weight = -1 }]"), "my.toml:7: requests[0].model[0].weight", "from 0 to"),
        (chat("model = { names = [\"a\"], zipf = 99.0 }"), "my.toml:7: requests[0].model.zipf", "from 0 to 10"),
        (chat("model = { names = [], zipf = 1.0 }"), "my.toml:7: requests[0].model", "names of models"),
        (chat("max_tokens = 0"), "my.toml:7: requests[0].max_tokens", "from 1 to"),
        (chat("max_tokens = { min = 2, max = 1 }"), "my.toml:7: requests[0].max_tokens", "min ≤ max"),
        (chat("max_tokens = { min = -2, max = 1 }"), "my.toml:7: requests[0].max_tokens.min", "from 1 to"),
        (chat("timeout = { total = \"0s\" }"), "my.toml:7: requests[0].timeout.total", "above zero"),
        (chat("body = { stream = true }"), "my.toml:7: requests[0].body.stream", "beside `api`"),
        (chat("body = { a = nan }"), "my.toml:7: requests[0].body.a", "finite"),
        (chat("headers = { \"X Y\" = \"z\" }"), "my.toml:7: requests[0].headers.X Y", "not the name"),
        (chat("headers = { X = \"a\\r\\nY: b\" }"), "my.toml:7: requests[0].headers.X", "line break"),
        (chat("headers = { Content-Length = \"5\" }"), "my.toml:7: requests[0].headers.Content-Length", "frames"),
        (chat(CHAT), "my.toml:8: requests[1].name", "`chat` is already used"),
        (chat("[thresholds]\nhttp_req_faild = \"rate<1\""), "my.toml:8: thresholds.http_req_faild", "did you mean"),
        (
            chat("[thresholds]\nhttp_req_failed = \"p(95)<1\""),
            "my.toml:8: thresholds.http_req_failed",
            "expected one of rate",
        ),
        (chat("[thresholds]\nttft = [\"avg<1\", \"p(101)<1\"]"), "my.toml:8: thresholds.ttft[1]", "from 0 to 100"),
        (
            chat("[thresholds]\n\"ttft{request:x}\" = \"avg<1\""),
            "my.toml:8: thresholds.ttft{request:x}",
            "expected one of chat",
        ),
        (
            chat("[thresholds]\nttft = [{ threshold = \"avg<1\", abort_on_fail = true, delay_abort_eval = \"x\" }]"),
            "my.toml:8: thresholds.ttft[0].delay_abort_eval",
            "like 30s",
        ),
        (
            chat("[thresholds]\nttft = [{ threshold = \"avg<1\", delay_abort_eval = \"1s\" }]"),
            "my.toml:8: thresholds.ttft[0].delay_abort_eval",
            "abort_on_fail = true",
        ),
        (chat("[thresholds]\ngoodput = \"rate>0.9\""), "my.toml:8: thresholds.goodput", "add a table [slo]"),
        (chat("[slo]\nttft = \"p(95)<1\""), "my.toml:8: slo.ttft", "expected < or <="),
        (chat("[slo]\nhttp_reqs = \"<1\""), "my.toml:8: slo.http_reqs", "not a latency of a single request"),
    ] {
        let why = refusal(&text);
        assert!(why.starts_with(&format!("dir/{place}: ")), "{text}\n{why}\n{place}");
        assert!(why.contains(expected), "{text}\n{why}\n{expected}");
    }
}

/// Places for a value in a profile: a line, with `@` for the value, and the key that a message
/// names.
const PLACES: [(&str, &str); 24] = [
    ("executor = \"constant-vus\"\nduration = @\n", "duration"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\nvus = @\n", "vus"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\nwarmup = @\n", "warmup"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\ncooldown = @\n", "cooldown"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\ngraceful_stop = @\n", "graceful_stop"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\nthink_time = @\n", "think_time"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\nthink_time = { min = @, max = \"1s\" }\n", "think_time"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\ntimeout = @\n", "timeout"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\ntimeout = { stall = @ }\n", "timeout"),
    ("executor = @\nduration = \"1s\"\n", "executor"),
    ("executor = \"ramping-vus\"\nstages = [{ duration = @, target = 1 }]\n", "stages"),
    ("executor = \"ramping-vus\"\nstages = [{ duration = \"1s\", target = @ }]\n", "stages"),
    ("executor = \"ramping-vus\"\nstart_vus = @\nstages = [{ duration = \"1s\", target = 1 }]\n", "start_vus"),
    ("executor = \"shared-iterations\"\niterations = @\n", "iterations"),
    ("executor = \"per-vu-iterations\"\nmax_duration = @\n", "max_duration"),
    ("executor = \"constant-arrival-rate\"\nduration = \"1s\"\nmax_vus = 9\nrate = @\n", "rate"),
    ("executor = \"constant-arrival-rate\"\nduration = \"1s\"\nrate = 9\nmax_vus = @\n", "max_vus"),
    ("executor = \"constant-arrival-rate\"\nduration = \"1s\"\nrate = 9\nmax_vus = 9\ntime_unit = @\n", "time_unit"),
    ("executor = \"constant-arrival-rate\"\nduration = \"1s\"\nrate = 9\nmax_vus = 9\nburstiness = @\n", "burstiness"),
    ("executor = \"constant-arrival-rate\"\nduration = \"1s\"\nrate = 9\nmax_vus = 9\narrival = @\n", "arrival"),
    ("executor = \"constant-arrival-rate\"\nduration = \"1s\"\nrate = 9\nmax_vus = 9\non_full = @\n", "on_full"),
    (
        "executor = \"ramping-arrival-rate\"\nmax_vus = 9\nstart_rate = @\nstages = [{ duration = \"1s\", target = 1 }]\n",
        "start_rate",
    ),
    ("executor = \"constant-vus\"\nduration = \"1s\"\n[slo]\nttft = @\n", "slo.ttft"),
    ("executor = \"constant-vus\"\nduration = \"1s\"\n[thresholds]\nttft = @\n", "thresholds.ttft"),
];

/// The same for keys of a request.
const OF_REQUESTS: [(&str, &str); 12] = [
    ("weight = @", "weight"),
    ("max_tokens = @", "max_tokens"),
    ("max_tokens = { min = @, max = 5 }", "max_tokens"),
    ("path = @", "path"),
    ("model = @", "model"),
    ("prompt = @", "prompt"),
    ("timeout = @", "timeout"),
    ("headers = { X = @ }", "headers"),
    ("cancel = { after = @ }", "cancel"),
    ("cancel = { after = \"1s\", share = @ }", "cancel"),
    ("slow_reader = { bytes_per_second = @ }", "slow_reader"),
    ("slow_reader = { bytes_per_second = 9, share = @ }", "slow_reader"),
];

proptest! {
    #[test]
    fn any_value_of_any_key_is_used_or_refused_by_name(
        pick in any::<proptest::sample::Index>(),
        number in prop_oneof![any::<i64>().prop_map(|n| n.to_string()), any::<f64>().prop_map(|n| format!("{n:?}")),
            proptest::sample::select(&["0", "-1", "nan", "inf", "-inf", "0.0", "-0.0", "1e308", "5e-324", "true"][..]).prop_map(str::to_owned)],
        text in "[ -!#-\\[\\]-~]{0,20}",
        is_text in any::<bool>(),
    ) {
        let value = if is_text { format!("\"{text}\"") } else { number.replace("NaN", "nan") };
        let at = pick.index(PLACES.len() + OF_REQUESTS.len());
        let (profile, key) = match PLACES.get(at) {
            Some((line, key)) if line.contains("\n[") => {
                let (head, table) = line.split_once("\n[").expect("a table");
                (format!("{head}\n{CHAT}stream = true\n[{}", table.replace('@', &value)), *key)
            }
            Some((line, key)) => (format!("{}{CHAT}", line.replace('@', &value)), *key),
            None => {
                let (line, key) = OF_REQUESTS[at - PLACES.len()];
                (format!("{FLAT}{CHAT}{}\n", line.replace('@', &value)), key)
            }
        };
        if let Err(error) = file(&profile, &Overrides::default()) {
            let why = error.to_string();
            prop_assert!(why.starts_with("dir/my.toml") && why.contains(key), "{}\n{}", profile, why);
        }
    }
}
