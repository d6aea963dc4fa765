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
    let none = Overrides::default;
    for (overrides, url, any_port) in [
        (Overrides { host: flag("host", "localhost"), ..none() }, "http://localhost:8080", true),
        (Overrides { port: flag("port", "9000"), ..none() }, "http://127.0.0.1:9000", false),
        (Overrides { host: flag("host", "::1"), port: flag("port", "1"), ..none() }, "http://[::1]:1", false),
        (
            Overrides {
                target_url: flag("target-url", "http://localhost:9000/"),
                chaos: flag("chaos", "true"),
                ..none()
            },
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
    let none = Overrides::default;
    for overrides in [
        Overrides { target_url: flag("target-url", "http://example.com"), ..none() },
        Overrides { host: flag("host", "10.0.0.7"), ..none() },
        Overrides { target_url: flag("target-url", "http://localhost:1/proxy"), ..none() },
        Overrides { no_server: flag("no-server", "true"), ..none() },
        Overrides { no_server: env("LLMSIM_BLAST_NO_SERVER", "1"), ..none() },
        Overrides { host: flag("host", "10.0.0.7"), server_bin: env("LLMSIM_BLAST_SERVER_BIN", "llmsim"), ..none() },
    ] {
        assert_eq!(plan(&overrides).server, None, "{overrides:?}");
    }
    let no = Overrides { no_server: env("LLMSIM_BLAST_NO_SERVER", "0"), ..none() };
    assert!(plan(&no).server.is_some());
}

#[test]
fn a_named_target_is_not_replaced_when_it_does_not_answer() {
    let none = Overrides::default;
    for overrides in [
        Overrides { target_url: flag("target-url", "http://localhost:9000"), ..none() },
        Overrides { target_url: env("K6_TARGET_URL", "http://localhost:9000"), ..none() },
        Overrides {
            target_url: flag("target-url", "http://localhost:1"),
            chaos: env("LLMSIM_BLAST_CHAOS", "1"),
            ..none()
        },
    ] {
        assert_eq!(plan(&overrides).server, None, "{overrides:?}");
    }
}

#[test]
fn the_servers_source_and_configuration() {
    let none = Overrides::default;
    let server = |overrides: &Overrides| plan(overrides).server.expect("local");
    let spec =
        server(&Overrides { server_bin: flag("server-bin", "b"), server_config: flag("server-config", "c"), ..none() });
    assert_eq!((spec.source, spec.config), (Source::Binary("b".into()), Some("c".into())));
    let spec = server(&Overrides { server_src: flag("server-src", "s"), chaos: flag("chaos", "true"), ..none() });
    assert_eq!((spec.source, spec.chaos), (Source::Checkout("s".into()), true));
    let spec = server(&Overrides { server_src: flag("server-src", "s"), server_bin: env("E", "b"), ..none() });
    assert_eq!(spec.source, Source::Checkout("s".into()), "a flag beats the environment");
}

#[test]
fn contradictions_about_target_and_server_are_refused() {
    let none = Overrides::default;
    let url = |text| flag("target-url", text);
    let chaos = || flag("chaos", "true");
    for (overrides, expected) in vec![
        (
            Overrides { target_url: url("http://h"), host: flag("host", "h"), ..none() },
            "--target-url (flag): cannot stand together with --host (flag)",
        ),
        (Overrides { target_url: url("http://h"), port: flag("port", "1"), ..none() }, "with --port (flag)"),
        (
            Overrides { target_url: env("U", "http://h"), port: env("P", "1"), ..none() },
            "U (environment): cannot stand together with P (environment)",
        ),
        (
            Overrides { target_url: url("https://localhost"), chaos: chaos(), ..none() },
            "--chaos (flag): no server is started for https",
        ),
        (Overrides { target_url: url("h:80"), ..none() }, "expected one like http://127.0.0.1:8080"),
        (
            Overrides { target_url: env("K6_TARGET_URL", "x"), ..none() },
            "K6_TARGET_URL (environment): `x` is not a URL",
        ),
        (Overrides { host: flag("host", "a b"), ..none() }, "--host (flag): `a b` is not a host"),
        (
            Overrides { server_bin: flag("server-bin", "b"), server_src: flag("server-src", "s"), ..none() },
            "either a binary or built",
        ),
        (
            Overrides { chaos: chaos(), server_config: flag("server-config", "c"), ..none() },
            "--chaos (flag): cannot stand together with --server-config (flag)",
        ),
        (
            Overrides { chaos: chaos(), no_server: flag("no-server", "true"), ..none() },
            "--chaos (flag): no server is started with --no-server (flag)",
        ),
        (
            Overrides { chaos: chaos(), host: flag("host", "h"), ..none() },
            "--chaos (flag): no server is ever started for h, which is not this machine",
        ),
        (
            Overrides { server_bin: flag("server-bin", "b"), target_url: url("http://localhost/x"), ..none() },
            "no server is started below a path",
        ),
        (Overrides { no_server: env("N", "perhaps"), ..none() }, "N (environment): `perhaps` is neither yes nor no"),
    ] {
        let why = why(&overrides);
        assert!(why.contains(expected), "{why}\n{expected}");
    }
}

#[test]
fn a_flag_beats_a_url_of_the_environment() {
    let target_url = env("LLMSIM_BLAST_TARGET_URL", "http://example.com");
    let overrides = Overrides { target_url: target_url.clone(), port: flag("port", "9"), ..Overrides::default() };
    assert_eq!(plan(&overrides).target.url, "http://127.0.0.1:9");
    let host = env("LLMSIM_BLAST_HOST", "other");
    let overrides = Overrides { host, ..overrides };
    assert_eq!(plan(&overrides).target.url, "http://127.0.0.1:9", "what lost against the flag loses whole");
    let overrides =
        Overrides { target_url: flag("target-url", "http://h"), host: overrides.host, ..Overrides::default() };
    assert_eq!(plan(&overrides).target.url, "http://h");
}

#[test]
fn the_rest_of_the_flags() {
    let overrides = Overrides {
        think_time: flag("think-time", "10ms..20ms"),
        warmup: flag("warmup", "3s"),
        cooldown: flag("cooldown", "4s"),
        server_pid: flag("server-pid", "77"),
        workers: flag("workers", "2"),
        no_pin: flag("no-pin", "true"),
        rx_timestamps: flag("rx-timestamps", "on"),
        poll_interval: flag("poll-interval", "500us"),
        verify_parse: flag("verify-parse", "true"),
        seed: flag("seed", "18446744073709551615"),
        headers: vec![Given::flag("header", "X-Team: blue"), Given::flag("header", "X-Url: http://h:1")],
        output: flag("output", "r.json"),
        quiet: flag("quiet", "true"),
        no_color: env("NO_COLOR", "true"),
        tags: vec![Given::flag("tag", "a=1"), Given::flag("tag", "b=x=y"), Given::flag("tag", "a=2")],
        ..Overrides::default()
    };
    let Resolved { plan, presentation, settings } = run("load", &overrides).expect("fine");
    assert!(plan.verify_parse && settings.iter().any(|s| s.key == "verify_parse" && s.value == "true"));
    assert_eq!(plan.think_time, ThinkTime { min: Nanos::from_millis(10), max: Nanos::from_millis(20) });
    assert_eq!((plan.warmup, plan.cooldown), (Nanos::from_secs(3), Nanos::from_secs(4)));
    assert_eq!((plan.server_pid, plan.server), (Some(77), None), "what is watched is not started");
    assert_eq!((plan.workers, plan.pin, plan.seed), (Some(2), false, u64::MAX));
    assert_eq!((plan.rx_timestamps, plan.poll_interval), (Some(true), Some(Nanos::from_micros(500))));
    assert_eq!(plan.headers[1], ("X-Url".to_owned(), "http://h:1".to_owned()));
    assert_eq!(presentation.output, Some(Output::File("r.json".into())));
    assert!(presentation.quiet && presentation.no_color && !presentation.show_config);
    assert_eq!(presentation.tags, [("b".to_owned(), "x=y".to_owned()), ("a".to_owned(), "2".to_owned())]);
    let overrides =
        Overrides { think_time: flag("think-time", "0"), output: flag("output", "-"), ..Overrides::default() };
    let Resolved { plan, presentation, .. } = run("load", &overrides).expect("fine");
    assert_eq!((plan.think_time, presentation.output), (ThinkTime::default(), Some(Output::Stdout)));
}

#[test]
fn an_api_key_is_read_and_never_repeated() {
    let key = |overrides: &Overrides, text: &'static str| {
        let mut read = |_: &Path| Ok(text.to_owned());
        resolve("load", overrides, &mut read).map(|r| r.plan.api_key.map(|key| key.reveal().to_owned()))
    };
    let file = Overrides { api_key_file: flag("api-key-file", "key.txt"), ..Overrides::default() };
    assert_eq!(key(&file, " sk-hunter2\n"), Ok(Some("sk-hunter2".to_owned())));
    for text in ["", " \n", "sk-hunter2\nsecond", "sk-hunter2\u{e9}", "sk hunter2"] {
        let why = key(&file, text).expect_err(text).to_string();
        assert!(why.starts_with("--api-key-file (flag): holds no API key") && !why.contains("hunter2"), "{why}");
    }
    let api_key = Some(crate::plan::Sourced {
        value: Secret::new("sk-env".to_owned()),
        origin: Given::environment("LLMSIM_BLAST_API_KEY", "").origin,
    });
    let both = Overrides { api_key: api_key.clone(), ..file };
    assert_eq!(key(&both, "sk-file"), Ok(Some("sk-file".to_owned())), "a flag beats the environment");
    let env_only = Overrides { api_key: api_key.clone(), ..Overrides::default() };
    assert_eq!(key(&env_only, ""), Ok(Some("sk-env".to_owned())));
    let two = Overrides { api_key, api_key_file: env("LLMSIM_BLAST_API_KEY_FILE", "f"), ..Overrides::default() };
    assert!(key(&two, "x").expect_err("two").to_string().contains("cannot stand together"));
    let missing = Overrides { api_key_file: flag("api-key-file", "key.txt"), ..Overrides::default() };
    assert_eq!(why(&missing), "--api-key-file (flag): cannot read key.txt: no such file");
}

#[test]
fn headers_that_break_a_request_are_refused_without_their_value() {
    for text in ["hunter2", "X: hunter2\r\nY: z", "Content-Length: hunter2"] {
        let overrides = Overrides { headers: vec![Given::flag("header", text)], ..Overrides::default() };
        let why = why(&overrides);
        assert!(why.starts_with("--header (flag): ") && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn every_value_is_shown_with_its_source_and_no_secret() {
    let overrides = Overrides {
        vus: flag("vus", "100"),
        think_time: env("LLMSIM_BLAST_THINK_TIME", "5ms"),
        timeout: flag("timeout", "7s"),
        headers: vec![Given::flag("header", "Authorization: Bearer hunter2"), Given::flag("header", "X-Team: blue")],
        api_key_file: flag("api-key-file", "key.txt"),
        ..Overrides::default()
    };
    let mut read = |_: &Path| Ok("sk-hunter2".to_owned());
    let lines = show::lines(&resolve("load", &overrides, &mut read).expect("fine"));
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
    assert_eq!(find("headers"), ("Authorization: [hidden], X-Team: blue", "--header (flag)"));
    assert_eq!(find("api_key"), ("[hidden]", "--api-key-file (flag)"));
    assert_eq!(find("seed"), ("1", "default"));
    assert!(!format!("{lines:?}").contains("hunter2"));
    let lines = show::lines(&run("high-concurrency", &Overrides::default()).expect("fine"));
    let total = |index: u8| lines.iter().find(|(k, _, _)| *k == format!("requests[{index}].timeout.total"));
    assert_eq!(total(0).map(|l| (l.1.as_str(), l.2.as_str())), Some(("30s", "built-in profile high-concurrency")));
    assert_eq!(total(1).map(|l| (l.1.as_str(), l.2.as_str())), Some(("1m", "default")));
}

#[test]
fn stamps_and_pauses_are_left_to_the_run_unless_said() {
    let with = |stamps: &str, pause: &str| Overrides {
        rx_timestamps: flag("rx-timestamps", stamps),
        poll_interval: flag("poll-interval", pause),
        ..Overrides::default()
    };
    let plan = run("load", &with("auto", "auto")).expect("fine").plan;
    assert_eq!((plan.rx_timestamps, plan.poll_interval), (None, None));
    let plan = run("load", &with("off", "0")).expect("fine").plan;
    assert_eq!((plan.rx_timestamps, plan.poll_interval), (Some(false), Some(Nanos::ZERO)));
    for (stamps, pause, expected) in [
        ("maybe", "auto", "auto, on or off"),
        ("on", "1s", "at most 10ms"),
        ("off", "1ms", "receive stamps"),
        ("on", "x", "duration"),
    ] {
        let error = run("load", &with(stamps, pause)).expect_err(pause).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
