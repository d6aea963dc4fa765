//! The other overrides: target, server, keys, headers, output.

use super::*;

fn plan(overrides: &Overrides) -> Plan {
    run("load", overrides).unwrap_or_else(|e| panic!("{e}")).plan
}

fn why(overrides: &Overrides) -> String {
    run("load", overrides).map(|r| panic!("read as {r:?}")).expect_err("refused").to_string()
}

#[test]
fn the_default_target_is_a_server_of_our_own() {
    let plan = plan(&Overrides::default());
    assert_eq!(plan.target.url, "http://127.0.0.1:8080");
    let server = plan.server.expect("a local target");
    assert_eq!((server.source, server.config, server.chaos), (Source::Embedded, None, false));
    assert_eq!((server.host.as_str(), server.port, server.any_port), ("127.0.0.1", 8080, true));
}

#[test]
fn a_port_that_was_asked_for_is_the_only_one() {
    for (overrides, url, any_port) in [
        (overrides! { host: flag("host", "localhost") }, "http://localhost:8080", true),
        (overrides! { port: flag("port", "9000") }, "http://127.0.0.1:9000", false),
        (overrides! { host: flag("host", "::1"), port: flag("port", "1") }, "http://[::1]:1", false),
        (
            overrides! { target_url: flag("target-url", "http://localhost:9000/"), chaos: flag("chaos", "true") },
            "http://localhost:9000",
            false,
        ),
    ] {
        let plan = plan(&overrides);
        assert_eq!((plan.target.url.as_str(), plan.server.map(|s| s.any_port)), (url, Some(any_port)));
    }
}

#[test]
fn no_server_is_started_elsewhere_or_against_the_user() {
    for overrides in [
        overrides! { target_url: flag("target-url", "http://example.com") },
        overrides! { host: flag("host", "192.0.2.7") },
        overrides! { target_url: flag("target-url", "http://localhost:1/proxy") },
        overrides! { no_server: flag("no-server", "true") },
        overrides! { no_server: env("LLMSIM_BLAST_NO_SERVER", "1") },
        overrides! { host: flag("host", "192.0.2.7"), server_bin: env("LLMSIM_BLAST_SERVER_BIN", "llmsim") },
    ] {
        assert_eq!(plan(&overrides).server, None, "{overrides:?}");
    }
    let no = overrides! { no_server: env("LLMSIM_BLAST_NO_SERVER", "0") };
    assert!(plan(&no).server.is_some());
}

#[test]
fn a_named_target_is_not_replaced_when_it_does_not_answer() {
    for overrides in [
        overrides! { target_url: flag("target-url", "http://localhost:9000") },
        overrides! { target_url: env("K6_TARGET_URL", "http://localhost:9000") },
        overrides! {
            target_url: flag("target-url", "http://localhost:1"),
            chaos: env("LLMSIM_BLAST_CHAOS", "1"),
        },
    ] {
        assert_eq!(plan(&overrides).server, None, "{overrides:?}");
    }
}

#[test]
fn the_servers_source_and_configuration() {
    let server = |overrides: &Overrides| plan(overrides).server.expect("local");
    let spec = server(&overrides! { server_bin: flag("server-bin", "b"), server_config: flag("server-config", "c") });
    assert_eq!((spec.source, spec.config), (Source::Binary("b".into()), Some("c".into())));
    let spec = server(&overrides! { server_src: flag("server-src", "s"), chaos: flag("chaos", "true") });
    assert_eq!((spec.source, spec.chaos), (Source::Checkout("s".into()), true));
    let spec = server(&overrides! { server_src: flag("server-src", "s"), server_bin: env("E", "b") });
    assert_eq!(spec.source, Source::Checkout("s".into()), "a flag beats the environment");
}

#[test]
fn contradictions_about_target_and_server_are_refused() {
    let url = |text| flag("target-url", text);
    let chaos = || flag("chaos", "true");
    for (overrides, expected) in vec![
        (
            overrides! { target_url: url("http://h"), host: flag("host", "h") },
            "--target-url cannot be used together with --host",
        ),
        (overrides! { target_url: url("http://h"), port: flag("port", "1") }, "with --port"),
        (overrides! { target_url: env("U", "http://h"), port: env("P", "1") }, "U cannot be used together with P"),
        (
            overrides! { target_url: url("https://localhost"), chaos: chaos() },
            "--chaos has no effect: no server is started for an https target",
        ),
        (overrides! { target_url: url("h:80") }, "expected one like http://127.0.0.1:8080"),
        (overrides! { target_url: env("K6_TARGET_URL", "x") }, "invalid value for K6_TARGET_URL: `x` is not a URL"),
        (overrides! { host: flag("host", "a b") }, "invalid value for --host: `a b` is not a host"),
        (
            overrides! { server_bin: flag("server-bin", "b"), server_src: flag("server-src", "s") },
            "either a binary or built",
        ),
        (
            overrides! { chaos: chaos(), server_config: flag("server-config", "c") },
            "--chaos cannot be used together with --server-config",
        ),
        (
            overrides! { chaos: chaos(), no_server: flag("no-server", "true") },
            "--chaos has no effect: no server is started with --no-server",
        ),
        (
            overrides! { chaos: chaos(), host: flag("host", "h") },
            "--chaos has no effect: no server is started for h, which is not this machine",
        ),
        (
            overrides! { server_bin: flag("server-bin", "b"), target_url: url("http://localhost/x") },
            "no server is started for a target with a path, which is /x here",
        ),
        (overrides! { no_server: env("N", "perhaps") }, "invalid value 'perhaps' for N: expected 1"),
    ] {
        let why = why(&overrides);
        assert!(why.contains(expected), "{why}\n{expected}");
    }
}

#[test]
fn a_flag_beats_a_url_of_the_environment() {
    let target_url = env("LLMSIM_BLAST_TARGET_URL", "http://example.com");
    let overrides = overrides! { target_url: target_url.clone(), port: flag("port", "9") };
    assert_eq!(plan(&overrides).target.url, "http://127.0.0.1:9");
    let host = env("LLMSIM_BLAST_HOST", "other");
    let overrides = overrides! { host: host.clone(); ..overrides };
    assert_eq!(plan(&overrides).target.url, "http://127.0.0.1:9", "what lost against the flag loses whole");
    let overrides = overrides! { target_url: flag("target-url", "http://h"), host: host };
    assert_eq!(plan(&overrides).target.url, "http://h");
}

#[test]
fn the_rest_of_the_flags() {
    let overrides = overrides! { think_time: flag("think-time", "10ms..20ms"),
    warmup: flag("warmup", "3s"),
    cooldown: flag("cooldown", "4s"),
    server_pid: flag("server-pid", "77"),
    workers: flag("workers", "2"),
    no_pin: flag("no-pin", "true"),
    rx_timestamps: flag("rx-timestamps", "on"),
    poll_interval: flag("poll-interval", "500us"),
    body_budget: flag("body-budget", "3MiB"),
    verify_parse: flag("verify-parse", "true"),
    seed: flag("seed", "18446744073709551615"),
    header: vec![Given::flag("header", "X-Team: blue"), Given::flag("header", "X-Url: http://h:1")],
    output: flag("output", "r.json"),
    quiet: flag("quiet", "true"),
    no_color: env("NO_COLOR", "true"),
    tag: vec![Given::flag("tag", "a=1"), Given::flag("tag", "b=x=y")] };
    let Resolved { plan, presentation, settings } = run("load", &overrides).expect("fine");
    assert!(plan.tuning.verify_parse && settings.iter().any(|s| s.key == "verify_parse" && s.value == "true"));
    assert_eq!(plan.think_time, ThinkTime { min: Nanos::from_millis(10), max: Nanos::from_millis(20) });
    assert_eq!((plan.warmup, plan.cooldown), (Nanos::from_secs(3), Nanos::from_secs(4)));
    assert_eq!((plan.server_pid, plan.server), (Some(77), None), "what is watched is not started");
    assert_eq!((plan.tuning.workers, plan.tuning.pin, plan.seed), (Some(2), false, u64::MAX));
    assert_eq!(plan.tuning.body_budget, 3 << 20);
    assert_eq!((plan.tuning.rx_timestamps, plan.tuning.poll_interval), (Some(true), Some(Nanos::from_micros(500))));
    assert_eq!(plan.headers[1], ("X-Url".to_owned(), "http://h:1".to_owned()));
    assert_eq!(presentation.output, Some(Output::File("r.json".into())));
    assert!(presentation.quiet && presentation.no_color && !presentation.show_config);
    assert_eq!(presentation.tags, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())]);
    let overrides = overrides! { think_time: flag("think-time", "0"), output: flag("output", "-") };
    let Resolved { plan, presentation, .. } = run("load", &overrides).expect("fine");
    assert_eq!((plan.think_time, presentation.output), (ThinkTime::default(), Some(Output::Stdout)));
}

#[test]
fn an_api_key_is_read_and_never_repeated() {
    let key = |overrides: &Overrides, text: &'static str| {
        let mut read = |_: &Path| Ok(text.to_owned());
        resolve("load", overrides, &mut read).map(|r| r.plan.credentials.api_key.map(|key| key.reveal().to_owned()))
    };
    let file = overrides! { api_key_file: flag("api-key-file", "key.txt") };
    assert_eq!(key(&file, " sk-hunter2\n"), Ok(Some("sk-hunter2".to_owned())));
    for text in ["", " \n", "sk-hunter2\nsecond", "sk-hunter2\u{e9}", "sk hunter2"] {
        let why = key(&file, text).expect_err(text).to_string();
        assert!(why.starts_with("--api-key-file does not hold an API key") && !why.contains("hunter2"), "{why}");
    }
    let with_key = |mut overrides: Overrides| {
        let origin = Given::environment("LLMSIM_BLAST_API_KEY", "").origin;
        overrides.insert_secret("api_key", crate::plan::Sourced { value: Secret::new("sk-env".to_owned()), origin });
        overrides
    };
    let both = with_key(file);
    assert_eq!(key(&both, "sk-file"), Ok(Some("sk-file".to_owned())), "a flag beats the environment");
    let env_only = with_key(Overrides::default());
    assert_eq!(key(&env_only, ""), Ok(Some("sk-env".to_owned())));
    let two = with_key(overrides! { api_key_file: env("LLMSIM_BLAST_API_KEY_FILE", "f") });
    assert!(key(&two, "x").expect_err("two").to_string().contains("cannot be used together"));
    let missing = overrides! { api_key_file: flag("api-key-file", "key.txt") };
    assert_eq!(why(&missing), "--api-key-file: cannot read key.txt: no such file");
    for typed in
        ["sk-0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "wJalr/bPxRfiCYEXAMPLEKEY"]
    {
        let why = why(&overrides! { api_key_file: flag("api-key-file", typed) });
        assert!(why.contains("cannot be read as a file: no such file (its value is hidden"), "{why}");
    }
}

#[test]
fn a_key_is_sent_as_the_user_says() {
    let plan = |how: &str, key: &'static str| {
        let given = overrides! { api_key_file: flag("api-key-file", "key.txt"), auth: flag("auth", how) };
        resolve("load", &given, &mut |_: &Path| Ok(key.to_owned())).map(|resolved| resolved.plan)
    };
    let head = |how: &str, key: &'static str| {
        let plan = plan(how, key).expect(how);
        let mut request = crate::mix::Request::default();
        crate::mix::RequestWriter::new(&plan.mix, &plan.envelopes(), 1).write(0, 0, 0, None, &[], &mut request);
        String::from_utf8_lossy(&request.bytes).into_owned()
    };
    for (how, line) in [
        ("bearer", "Authorization: Bearer u:p/w\r\n"),
        ("basic", "Authorization: Basic dTpwL3c=\r\n"),
        ("header:api-key", "api-key: u:p/w\r\n"),
        ("query:key", "POST /openai/v1/chat/completions?key=u%3Ap%2Fw HTTP/1.1\r\n"),
    ] {
        let head = head(how, "u:p/w");
        assert!(head.contains(line), "{how}: {head}");
        assert_eq!(head.contains("Authorization"), how.starts_with('b'), "{how}: in one place only: {head}");
    }
    for (how, key, expected) in [
        ("digest", "k", "expected bearer, basic, header:NAME, query:NAME or sigv4:SERVICE:REGION"),
        ("sigv4:bedrock", "A:hunter2", "expected sigv4:SERVICE:REGION, such as sigv4:bedrock:us-east-1"),
        ("sigv4:hunter2 x:us-east-1", "A:s", "expected sigv4:SERVICE:REGION"),
        ("sigv4:s3:us-east-1", "A:hunter2", "expected another service than s3"),
        ("sigv4:bedrock:us-east-1", "hunter2", "--api-key-file does not hold a key of AWS: expected ID:SECRET"),
        ("sigv4:bedrock:us-east-1", "{\"SecretAccessKey\":\"hunter2\"}", "or JSON with AccessKeyId"),
        ("header:", "k", "expected a name after the colon"),
        ("header:hunter2:k", "k", "expected nothing behind the name"),
        ("query:k=hunter2", "k", "expected nothing behind the name"),
        ("bearer hunter2", "k", "expected bearer, basic"),
        ("header:a hunter2", "k", "expected the name of a header"),
        ("header:Content-Length", "k", "--auth"),
        ("basic", "hunter2", "--auth needs USER:PASSWORD as the key"),
    ] {
        let error = plan(how, key).expect_err(how).to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
    assert!(why(&overrides! { auth: flag("auth", "bearer") }).contains("--auth needs a key"));
}

#[test]
fn headers_that_break_a_request_are_refused_without_their_value() {
    for text in ["hunter2", "X: hunter2\r\nY: z", "Content-Length: hunter2"] {
        let overrides = overrides! { header: vec![Given::flag("header", text)] };
        let why = why(&overrides);
        assert!(why.starts_with("invalid value for --header: ") && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn every_value_is_shown_with_its_source_and_no_secret() {
    let overrides = overrides! { vus: flag("vus", "100"),
    think_time: env("LLMSIM_BLAST_THINK_TIME", "5ms"),
    timeout: flag("timeout", "7s"),
    threshold: flag("threshold", "ttft p(95)<1s"),
    header: vec![Given::flag("header", "Authorization: Bearer hunter2"), Given::flag("header", "X-Team: blue")],
    api_key_file: flag("api-key-file", "key.txt") };
    let mut read = |_: &Path| Ok("sk-hunter2".to_owned());
    let lines = show::lines(&resolve("load", &overrides, &mut read).expect("fine").settings);
    let find = |key: &str| {
        let line = lines.iter().find(|(k, _, _)| k == key).unwrap_or_else(|| panic!("no {key}"));
        (line.1.as_str(), line.2.as_str())
    };
    assert_eq!(find("start_vus"), ("2", "--vus (flag)"));
    assert_eq!(find("stages[2]"), ("30s → 100", "--vus (flag)"));
    assert_eq!(find("think_time"), ("5ms", "LLMSIM_BLAST_THINK_TIME (environment)"));
    assert_eq!(find("graceful_stop"), ("30s", "built-in profile load"));
    assert_eq!(find("requests[0].timeout.total"), ("7s", "--timeout (flag)"));
    assert_eq!(find("requests[0].timeout.connect"), ("7s", "default"));
    assert_eq!(find("thresholds.http_req_failed"), ("rate<0.05", "built-in profile load"));
    assert_eq!(find("thresholds.ttft"), ("p(95)<1s", "--threshold (flag)"));
    assert_eq!(find("headers"), ("Authorization: [hidden], X-Team: blue", "--header (flag)"));
    assert_eq!(find("api_key"), ("[hidden]", "--api-key-file (flag)"));
    assert_eq!(find("seed"), ("1", "default"));
    assert!(!format!("{lines:?}").contains("hunter2"));
    let lines = show::lines(&run("high-concurrency", &Overrides::default()).expect("fine").settings);
    let total = |index: u8| lines.iter().find(|(k, _, _)| *k == format!("requests[{index}].timeout.total"));
    assert_eq!(total(0).map(|l| (l.1.as_str(), l.2.as_str())), Some(("30s", "built-in profile high-concurrency")));
    assert_eq!(total(1).map(|l| (l.1.as_str(), l.2.as_str())), Some(("1m", "default")));
}

#[test]
fn stamps_and_pauses_are_left_to_the_run_unless_said() {
    let with = |stamps: &str, pause: &str| {
        overrides! { rx_timestamps: flag("rx-timestamps", stamps),
        poll_interval: flag("poll-interval", pause) }
    };
    let plan = run("load", &with("auto", "auto")).expect("fine").plan;
    assert_eq!((plan.tuning.rx_timestamps, plan.tuning.poll_interval), (None, None));
    let plan = run("load", &with("off", "0")).expect("fine").plan;
    assert_eq!((plan.tuning.rx_timestamps, plan.tuning.poll_interval), (Some(false), Some(Nanos::ZERO)));
    for (stamps, pause, expected) in [
        ("maybe", "auto", "auto, on or off"),
        ("on", "1s", "at most 10ms"),
        ("off", "1ms", "receive timestamps"),
        ("on", "x", "duration"),
    ] {
        let error = run("load", &with(stamps, pause)).expect_err(pause).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
