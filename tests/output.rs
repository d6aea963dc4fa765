//! The printed and written output: the Document, the summary and the offline commands. None of them
//! contains a secret.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Misbehaving, SOON, blast, blast_with, check, document};

fn server() -> Misbehaving {
    Misbehaving::start(Behaviour::Good { tokens: 3 })
}

#[test]
fn the_result_on_standard_output_stands_there_alone() {
    let server = server();
    let output = blast(&["quick-smoke", "--target-url", &server.url(), "--output", "-"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result: Value = serde_json::from_str(&output.stdout).expect("only JSON");
    check(&result);
    assert_eq!(result["metrics"]["http_reqs"]["count"], 3);
    assert!(output.stderr.contains("PASS ✓") && output.stderr.contains("THRESHOLDS"), "{output:?}");
    let quiet = blast(&["quick-smoke", "--target-url", &server.url(), "--output", "-", "--quiet"]);
    assert!(serde_json::from_str::<Value>(&quiet.stdout).is_ok(), "{quiet:?}");
}

#[test]
fn an_earlier_result_is_replaced() {
    let (bench, server) = (Bench::new(), server());
    let file = bench.write("r.json", &"the earlier result, which was longer ".repeat(10_000));
    let output = blast(&["quick-smoke", "--target-url", &server.url(), "--output", &file, "--tag", "a=1", "--tag=b=2"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(document(&file)["run"]["tags"], json!({ "a": "1", "b": "2" }));
    assert_eq!(bench.names(), ["r.json"]);
    // A name without a folder is in the current folder.
    let mut tool = support::tool();
    tool.args(["quick-smoke", "--target-url", &server.url(), "--output", "here.json"]).current_dir(bench.path(""));
    assert!(tool.output().unwrap().status.success());
    document(&bench.path("here.json"));
}

#[test]
fn what_is_not_for_eyes_has_no_colour_and_fits_eighty_columns() {
    let server = server();
    let url = server.url();
    for (args, env) in [
        (&["load", "--duration", "1s", "--vus", "3"][..], &[][..]),
        (&["quick-smoke"], &[("NO_COLOR", "1")]),
        (&["quick-smoke", "--no-color", "--output", "-"], &[]),
        (&["quick-smoke"], &[("CLICOLOR_FORCE", "1"), ("FORCE_COLOR", "1")]),
    ] {
        let output = blast_with(&[args, &["--target-url", &url]].concat(), env, SOON);
        for text in [&output.stdout, &output.stderr] {
            assert!(!text.contains('\x1b') && !text.contains('\r'), "{args:?}: {text:?}");
            let wide = text.lines().find(|line| !line.starts_with(['{', ' ', '}']) && line.chars().count() > 80);
            assert_eq!(wide, None, "{args:?}");
        }
        if !args.contains(&"-") {
            assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
        }
    }
}

/// Runs the tool on a terminal with `columns` columns, and returns what it paints.
fn on_a_terminal(columns: u16, args: &[&str], env: &[(&str, &str)]) -> String {
    use nix::pty::{Winsize, openpty};
    use std::io::Read;
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).expect("a terminal");
    let mut tool = support::tool();
    tool.args(args).env("TERM", "xterm").envs(env.iter().copied()).stdin(std::process::Stdio::null());
    tool.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    let mut child = tool.spawn().unwrap();
    drop(tool);
    let mut text = Vec::new();
    // Reading from a terminal whose other side is closed ends with an error (EIO).
    let _ = std::fs::File::from(pty.master).read_to_end(&mut text);
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&text));
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_terminal_gets_colour_unless_told_otherwise() {
    let server = server();
    let url = server.url();
    let bench = Bench::new();
    let result = bench.path("r.json");
    // `report` prints the result that the first command has written.
    for args in [&["quick-smoke", "--target-url", &url, "--output", &result][..], &["report", &result]] {
        let coloured = on_a_terminal(80, args, &[]);
        assert!(coloured.contains("\x1b[32mPASS ✓\x1b[0m"), "{coloured:?}");
        for (more, env) in [(&["--no-color"][..], &[][..]), (&[], &[("NO_COLOR", "1")]), (&[], &[("TERM", "dumb")])] {
            let plain = on_a_terminal(80, &[args, more].concat(), env);
            // Repainting lines moves the cursor, which is not a colour (ECMA-48, "select graphic
            // rendition").
            assert!(plain.contains("PASS ✓") && !plain.contains("\x1b[32m") && !plain.contains("\x1b[1m"), "{plain:?}");
        }
    }
}

#[test]
fn a_terminal_sees_progress_that_is_gone_at_the_end() {
    let server = server();
    let url = server.url();
    let args = ["load", "--duration", "2s", "--vus", "2", "--target-url", &url, "--no-color"];
    let painted = on_a_terminal(80, &args, &[]);
    let (progress, summary) = painted.split_once("PASS ✓").unwrap_or_default();
    assert!(progress.contains("req/s"), "{painted:?}");
    assert!(!summary.contains("req/s") && !summary.contains('\x1b'), "{summary:?}");
    let quiet = on_a_terminal(80, &["quick-smoke", "--target-url", &url, "--quiet", "--no-color"], &[]);
    assert!(quiet.starts_with("PASS ✓") && !quiet.contains('\x1b'), "{quiet:?}");
}

#[test]
fn show_config_sends_nothing() {
    let server = server();
    let env = [("LLMSIM_BLAST_SEED", "77")];
    let args = ["load", "--target-url", &server.url(), "--vus", "9", "--show-config"];
    let output = blast_with(&args, &env, SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    let line = |key: &str| {
        let line = output.stdout.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key}: {}", output.stdout)).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("seed"), "seed 77 LLMSIM_BLAST_SEED (environment)");
    assert!(line("stages[3]").ends_with("→ 9 --vus (flag)"), "{}", line("stages[3]"));
    assert!(line("executor").ends_with("built-in profile load"));
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_printed_profile_runs_as_a_file() {
    let (bench, server) = (Bench::new(), server());
    let listed = blast(&["profiles"]);
    let names: Vec<&str> = listed.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let known =
        ["quick-smoke", "smoke", "load", "stress", "spike", "soak", "high-concurrency", "all-apis", "scenarios"];
    assert_eq!(names, known);
    for name in names {
        let file = bench.write(&format!("{name}.toml"), &blast(&["profiles", name]).stdout);
        let shown = |profile: &str| {
            let output = blast(&[profile, "--show-config"]);
            assert_eq!(output.code, Some(0), "{output:?}");
            // The source differs, but the values do not.
            let value = |line: &str| line.replace(&file, "").replace(&format!("built-in profile {name}"), "");
            output.stdout.lines().map(|line| value(line).trim_end().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(shown(&file), shown(name));
    }
    // The same requests are sent, too.
    let result = |profile: &str, output: &str| {
        let output = bench.path(output);
        assert_eq!(blast(&[profile, "--target-url", &server.url(), "--output", &output]).code, Some(0));
        document(&output)
    };
    let (built_in, file) = (result("quick-smoke", "a.json"), result(&bench.path("quick-smoke.toml"), "b.json"));
    assert_eq!(built_in["plan"]["hash"], file["plan"]["hash"]);
    let posts = server.posts();
    assert!(posts.len() >= 6 && posts.len().is_multiple_of(2), "{posts:?}");
    assert_eq!(posts[..posts.len() / 2], posts[posts.len() / 2..]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (args, words) in [
        (&["--help"][..], "Exit codes:"),
        (&["-h"], "--target-url"),
        (&["profiles", "--help"], "Usage: llmsim-blast profiles"),
        (&["serve", "--help"], "--chaos"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = blast(args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
        assert!(output.stdout.contains(words), "{args:?}: {output:?}");
        assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
    }
}

#[test]
fn a_newcomer_sees_five_lines_whose_commands_are_right() {
    let output = blast(&[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "an empty variable must not pass: {output:?}");
    let first = output.stderr;
    assert!(first.lines().all(|line| line.chars().count() <= 80), "{first}");
    let shown: Vec<&str> = first.lines().filter_map(|line| line.strip_prefix("  llmsim-blast ")).collect();
    assert_eq!((first.lines().count(), shown.len()), (5, 3), "{first}");
    for line in shown {
        let command = line.split("   ").next().expect("a command").trim();
        let command = command.split("  ").next().expect("a command").replace("URL", "http://127.0.0.1:9");
        let args: Vec<&str> = command.split(' ').chain(["--show-config"]).collect();
        let output = blast(&args);
        assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
    }
}

// ---- secrets ----------------------------------------------------------------------------------

const KEY: &str = "sk-planted-1f3a";
const TOKEN: &str = "planted-2b4c";
const COOKIE: &str = "planted-3d5e";

#[test]
fn secrets_reach_the_server_and_nobody_else() {
    let (bench, server) = (Bench::new(), server());
    let key_file = bench.write("key", &format!("{KEY}\n"));
    let profile = bench.write(
        "secret.toml",
        &format!(
            "executor = \"per-vu-iterations\"\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
             headers = {{ Cookie = \"{COOKIE}\" }}\n[thresholds]\nhttp_req_failed = \"rate<0.01\"\n"
        ),
    );
    let (url, result) = (server.url(), bench.path("r.json"));
    let base = [profile.as_str(), "--target-url", &url, "--output", &result];
    let (header, joined) = (format!("X-Token: {TOKEN}"), format!("--header=X-Token: {TOKEN}"));
    for (more, env) in [
        (&["--header", &header][..], &[("LLMSIM_BLAST_API_KEY", KEY)][..]),
        (&[&joined, "--api-key-file", &key_file], &[]),
        (&["--api-key-file", &key_file], &[("LLMSIM_BLAST_HEADER", header.as_str())]),
    ] {
        let args = [&base[..], more].concat();
        let before = server.requests();
        let output = blast_with(&args, env, SOON);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(server.requests(), before + 1);
        let post = server.posts().pop().unwrap();
        for sent in [
            format!("Authorization: Bearer {KEY}\r\n"),
            format!("X-Token: {TOKEN}\r\n"),
            format!("Cookie: {COOKIE}\r\n"),
        ] {
            assert!(post.contains(&sent), "{post}");
        }
        let text = document(&result).to_string();
        let shown = blast_with(&[&args[..], &["--show-config"]].concat(), env, SOON);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        // A refusal for another reason must not repeat a secret, either.
        let refused = blast_with(&[&args[..], &["--vus", "0"]].concat(), env, SOON);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        for said in
            [&text, &output.stdout, &output.stderr, &shown.stdout, &shown.stderr, &refused.stdout, &refused.stderr]
        {
            for secret in [KEY, TOKEN, COOKIE] {
                assert!(!said.contains(secret), "{secret} is in {said}");
            }
        }
    }
}

#[test]
fn a_secret_that_is_refused_is_not_repeated() {
    let bench = Bench::new();
    let two = bench.write("key", &format!("{KEY}\n{KEY}\n"));
    for (args, env) in [
        (&["load", "--api-key-file", &two][..], &[][..]),
        (&["load"], &[("LLMSIM_BLAST_API_KEY", "sk-planted-1f3a and more")]),
        (&["load", "--header", "sk-planted-1f3a"], &[]),
        (&["load", "--header", "Bad Name: sk-planted-1f3a"], &[]),
        (&["load", "--target-url", "http://user:sk-planted-1f3a@localhost:1"], &[]),
    ] {
        let output = blast_with(args, env, SOON);
        assert_eq!(output.code, Some(104), "{output:?}");
        assert!(!output.stderr.contains(KEY) && !output.stdout.contains(KEY), "{output:?}");
    }
}

// ---- the Document -----------------------------------------------------------------------------

#[cfg(feature = "embedded")]
mod whole {
    use super::*;
    use std::collections::BTreeSet;

    fn keys(value: &Value) -> BTreeSet<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// Checks that all of these keys exist and are not null.
    fn has(value: &Value, names: &str) {
        let missing: Vec<_> = names.split(' ').filter(|name| value.get(name).is_none_or(Value::is_null)).collect();
        assert!(missing.is_empty(), "{missing:?} not in {:?}", keys(value));
    }

    #[test]
    fn the_document_holds_everything_that_was_measured() {
        let (bench, port) = (Bench::new(), support::free_port().to_string());
        let result = bench.path("r.json");
        let args =
            ["load", "--duration", "2s", "--vus", "5", "--think-time", "0", "--port", &port, "--output", &result];
        let output = blast(&args);
        // The thresholds may fail if this machine is busy.
        assert!(matches!(output.code, Some(0 | 99)), "{output:?}");
        let result = document(&result);
        assert_eq!(result["schema"], "llmsim-blast.run/1");
        has(
            &result,
            "run build target environment plan client metrics requests failures thresholds series server agreement",
        );
        has(&result["run"], "id started_at duration_s window_s profile interrupted tags seed argv");
        has(&result["build"], "version rustc");
        has(&result["target"], "url server before after");
        has(&result["target"]["server"], "started kind version");
        has(&result["environment"], "cpu_model cores memory_bytes kernel os arch clocksource workers nofile");
        has(&result["plan"], "executor stages requests thresholds seed hash");
        has(&result["client"], "verdict signals");
        has(&result["server"], "cpu_s rss_start_bytes rss_end_bytes rss_max_bytes");
        assert_eq!(keys(&result["requests"]), BTreeSet::from(["chat-plain", "chat-stream"]));
        has(&result["requests"]["chat-stream"], "http_reqs http_req_failed http_req_duration ttft tbt");
        assert_eq!(result["failures"]["statuses"]["200"], result["metrics"]["http_reqs"]["count"]);
        has_all_metrics(&result["metrics"]);
        has_a_series(&result);
    }

    fn has_all_metrics(metrics: &Value) {
        for name in "http_req_duration http_req_waiting http_req_connecting ttfe ttft ttfo tbt tpot stall".split(' ') {
            let trend = &metrics[name];
            has(trend, "count avg min max p50 p75 p90 p95 p99 p99_9 p99_99 stddev sum overflow histogram");
            assert_eq!((&trend["type"], &trend["unit"]), (&json!("trend"), &json!("ms")));
            let order = ["min", "p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max"];
            let order = order.map(|number| trend[number].as_f64().unwrap());
            assert!(order.is_sorted(), "{name}: {order:?}");
        }
        let requests = "http_reqs iterations interrupted timeouts connection_failures";
        let tokens = "tokens_output tokens_input tokens_reasoning token_events";
        let wires = "data_sent data_received connections_opened connections_reused stale_retries";
        for name in [requests, tokens, wires].iter().flat_map(|names| names.split(' ')) {
            has(&metrics[name], "type count rate");
        }
        assert_eq!(metrics["tokens_output"]["token_source"], "usage");
        for name in ["vus", "in_flight", "connections"] {
            has(&metrics[name], "type value min max");
        }
        for name in ["http_req_failed", "checks"] {
            has(&metrics[name], "type rate matches total");
        }
    }

    fn has_a_series(result: &Value) {
        let seconds = result["series"].as_array().unwrap();
        for second in seconds {
            has(second, "t_s vus in_flight connections http_reqs failed tokens_output client_cpu requests");
        }
        assert!(seconds.is_sorted_by(|a, b| a["t_s"].as_u64() < b["t_s"].as_u64()), "{seconds:?}");
        for name in "ttft tbt http_req_duration server_cpu server_rss_bytes".split(' ') {
            assert!(seconds.iter().any(|second| !second[name].is_null()), "{name}: {seconds:?}");
        }
        let finished: u64 = seconds.iter().map(|second| second["http_reqs"].as_u64().unwrap()).sum();
        assert_eq!(json!(finished), result["metrics"]["http_reqs"]["count"]);
    }
}
