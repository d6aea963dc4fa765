//! A line for each request: all lines together agree with the result, count by count and bucket by
//! bucket.
#![cfg(feature = "embedded")]

mod support;

use flate2::read::GzDecoder;
use llmsim_blast::metrics::Distribution;
use llmsim_blast::units::Nanos;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use support::{Bench, Embedded, Output, blast, document};

const SERVER: &str = "[latency]\nttft_mean_ms = 3\nttft_stddev_ms = 1\ntbt_mean_ms = 1\ntbt_stddev_ms = 0\n\
                      [response]\ngenerator = \"lorem\"\ntarget_tokens = 12\n";

/// Returns a profile with streams, plain responses, and requests for a missing path.
fn profile(executor: &str) -> String {
    format!(
        "{executor}\n[[requests]]\nname = \"stream\"\nweight = 5\napi = \"openai-chat\"\nmodel = [\"gpt-4o\", \"gpt-5\"]\n\
         stream = true\ninclude_usage = true\nmax_tokens = 9\nprompt = {{ tokens = 30 }}\n\
         prefix = {{ tokens = 20, groups = 2, zipf = 0.0 }}\n\
         [[requests]]\nname = \"plain\"\nweight = 3\napi = \"openai-chat\"\nmodel = \"gpt-4o\"\nprompt = [\"Hello\"]\n\
         [[requests]]\nname = \"missing\"\nweight = 1\napi = \"openai-chat\"\nmodel = \"gpt-4o\"\npath = \"/nowhere\"\n\
         prompt = [\"Hello\"]\n"
    )
}

fn run(bench: &Bench, server: &Embedded, executor: &str, file: &str, more: &[&str]) -> (Value, Output) {
    let (profile, result) = (bench.write("lines.toml", &profile(executor)), bench.path("r.json"));
    let arguments = [&profile, "--target-url", &server.url(), "--output", &result, "--requests", file];
    let output = blast(&[&arguments, more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    (document(&result), output)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Reads an instant or a gap, to the nanosecond.
fn nanos(value: &Value) -> Option<Nanos> {
    value.as_f64().map(|micros| Nanos((micros * 1e3).round() as u64))
}

/// Returns the distribution of `of` over the rows.
fn distribution(rows: &[&Value], of: impl Fn(&Value) -> Option<Nanos>) -> Distribution {
    let mut distribution = Distribution::new();
    rows.iter().filter_map(|row| of(row)).for_each(|time| distribution.record(time));
    distribution
}

fn is(row: &Value, outcome: &str) -> bool {
    row["outcome"] == outcome
}

/// Compares the rows with the numbers of a result, or of a kind of request.
fn hold(rows: &[&Value], numbers: &Value) {
    let count = |name: &str| numbers[name]["count"].as_u64().unwrap_or_default();
    let sum = |of: &dyn Fn(&Value) -> u64| rows.iter().map(|row| of(row)).sum::<u64>();
    let finished = |row: &Value| !is(row, "interrupted") && !is(row, "cancelled");
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_default();
    assert_eq!(sum(&|row| u64::from(finished(row))), count("http_reqs"));
    assert_eq!(sum(&|row| u64::from(is(row, "interrupted"))), count("interrupted"));
    for (name, column) in [
        ("tokens_input", "input_tokens"),
        ("tokens_cached", "cached_tokens"),
        ("token_events", "token_events"),
        ("data_sent", "bytes_sent"),
        ("data_received", "bytes_received"),
        ("tbt_censored", "gaps_unknown"),
    ] {
        assert_eq!(sum(&|row| number(row, column)), count(name), "{name}");
    }
    assert_eq!(sum(&|row| u64::from(row["reused"] == true)), count("connections_reused"));
    let failed = sum(&|row| u64::from(finished(row) && !is(row, "ok")));
    assert_eq!(failed, numbers["http_req_failed"]["matches"].as_u64().expect("failures"));

    let succeeded: Vec<&Value> = rows.iter().copied().filter(|row| is(row, "ok")).collect();
    let since = |row: &Value, from: &str, to: &str| Some(nanos(&row[to])?.since(nanos(&row[from])?));
    let known = |row: &Value, word: &str| !row["censored"].as_str().expect("words").contains(word);
    let tokens = |value: &Value| value.as_u64().map(Nanos::from_micros);
    let asked = |row: &Value| row["asked_input_tokens"].is_u64();
    let trends = [
        ("http_req_duration", distribution(&succeeded, |row| since(row, "sent_us", "end_us"))),
        ("http_req_waiting", distribution(&succeeded, |row| since(row, "sent_us", "first_byte_us"))),
        (
            "ttfe",
            distribution(&succeeded, |row| {
                since(row, "sent_us", "first_event_us").filter(|_| known(row, "first_event"))
            }),
        ),
        (
            "ttft",
            distribution(&succeeded, |row| {
                since(row, "sent_us", "first_token_us").filter(|_| known(row, "first_token"))
            }),
        ),
        ("stall", distribution(&succeeded, |row| nanos(&row["longest_gap_us"]))),
        ("schedule_lag", distribution(rows, |row| since(row, "intended_us", "sent_us"))),
        ("asked_input_tokens", distribution(&succeeded, |row| tokens(&row["asked_input_tokens"]))),
        ("asked_prefix_tokens", distribution(&succeeded, |row| tokens(&row["asked_prefix_tokens"]))),
        ("billed_input_tokens", distribution(&succeeded, |row| tokens(&row["input_tokens"]).filter(|_| asked(row)))),
    ];
    for (name, distribution) in trends {
        let measured = &numbers[name];
        assert_eq!(measured["count"].as_u64().unwrap_or_default(), distribution.count, "{name}");
        if distribution.count > 0 {
            assert_eq!(measured["histogram"], distribution.encoded(), "{name}");
            assert_eq!(measured["exact"]["sum_ns"], distribution.exact().sum.to_string(), "{name}");
        }
    }
}

/// The same for every gap between tokens.
fn hold_gaps(rows: &[&Value], numbers: &Value) {
    let mut gaps = Distribution::new();
    let all = rows.iter().flat_map(|row| row["gaps_us"].as_array().expect("gaps"));
    all.filter_map(nanos).for_each(|gap| gaps.record(gap));
    assert!(gaps.count > 100, "{}", gaps.count);
    assert_eq!(
        (&numbers["tbt"]["histogram"], numbers["tbt"]["count"].as_u64()),
        (&gaps.encoded().into(), Some(gaps.count))
    );
}

#[test]
fn all_lines_together_are_the_result() {
    let (bench, server) = (Bench::new(), Embedded::start(SERVER));
    for (executor, more) in [
        ("executor = \"constant-vus\"\nvus = 8\nduration = \"1500ms\"\nwarmup = \"200ms\"", &["--requests-tokens"][..]),
        ("executor = \"constant-arrival-rate\"\nrate = 300\nduration = \"1200ms\"\npre_allocated_vus = 40", &[]),
    ] {
        let file = bench.path("lines.jsonl");
        let (result, _) = run(&bench, &server, executor, &file, more);
        let all = lines(&std::fs::read_to_string(&file).expect("lines"));
        assert_eq!(all[0]["started_at"], result["run"]["started_at"]);
        let measured: Vec<&Value> = all.iter().filter(|row| row["measured"] == true).collect();
        assert!(measured.len() > 50 && all.iter().all(|row| row["amends"] == false), "{}", measured.len());
        hold(&measured, &result["metrics"]);
        for kind in ["stream", "plain", "missing"] {
            let of_kind: Vec<&Value> = measured.iter().copied().filter(|row| row["kind"] == kind).collect();
            hold(&of_kind, &result["requests"][kind]);
        }
        if !more.is_empty() {
            hold_gaps(&measured, &result["metrics"]);
        }
        let ids: BTreeSet<String> = all.iter().map(|row| row["id"].to_string()).collect();
        assert_eq!(ids.len(), all.len());
        let models: BTreeSet<String> = all.iter().map(|row| row["model"].to_string()).collect();
        assert_eq!(models.len(), 2, "{models:?}");
        assert!(all.iter().all(|row| row["local_port"].as_u64().is_some_and(|port| port > 0)), "{:?}", all[0]);
    }
}

/// Returns the VU, iteration, kind and model of each row.
fn identities(text: &str) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|column| column == name).expect(name);
    let columns = ["user", "iteration", "kind", "model"].map(column);
    reader.records().map(|row| row.expect("a row")).map(|row| columns.map(|at| row[at].to_owned()).join(" ")).collect()
}

#[test]
fn a_sample_is_the_same_in_every_run_and_every_shard() {
    let (bench, server) = (Bench::new(), Embedded::start("[latency]\nprofile = \"instant\"\n"));
    let executor = "executor = \"per-vu-iterations\"\nvus = 4\niterations = 60";
    let text = |file: &str, more: &[&str]| {
        let file = bench.path(file);
        run(&bench, &server, executor, &file, &[more, &["--requests-sample", "1/4"]].concat());
        let mut text = String::new();
        let bytes = std::fs::read(&file).expect("lines");
        if bytes.starts_with(&[0x1f, 0x8b]) {
            GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
        } else {
            text = String::from_utf8(bytes).expect("text");
        }
        text
    };
    let whole = identities(&text("whole.csv", &[]));
    assert!((30..90).contains(&whole.len()), "{} of 240", whole.len());
    assert_eq!(identities(&text("again.csv.gz", &["--workers", "1"])), whole);
    let shards = ["0/2", "1/2"].map(|shard| identities(&text("shard.csv", &["--shard", shard])));
    assert!(shards[0].is_disjoint(&shards[1]));
    assert_eq!(shards[0].union(&shards[1]).cloned().collect::<BTreeSet<_>>(), whole);
}

#[test]
fn lines_may_go_to_standard_output_and_the_summary_makes_way() {
    let (bench, server) = (Bench::new(), Embedded::start("[latency]\nprofile = \"instant\"\n"));
    let executor = "executor = \"shared-iterations\"\nvus = 1\niterations = 30";
    let (_, output) = run(&bench, &server, executor, "-", &[]);
    assert_eq!(lines(&output.stdout).len(), 30);
    assert!(output.stderr.contains("THROUGHPUT"), "{output:?}");
}

#[test]
fn a_disk_that_is_full_costs_the_lines_and_not_the_run() {
    let (bench, server) = (Bench::new(), Embedded::start("[latency]\nprofile = \"instant\"\n"));
    let link = bench.path("full.csv");
    std::os::unix::fs::symlink("/dev/full", &link).expect("a link");
    let (profile, result) = (
        bench.write("full.toml", &profile("executor = \"shared-iterations\"\nvus = 1\niterations = 30")),
        bench.path("r.json"),
    );
    let output = blast(&[&profile, "--target-url", &server.url(), "--output", &result, "--requests", &link]);
    assert_eq!(output.code, Some(109), "{output:?}");
    assert!(output.stderr.contains("not all requests were written: No space left on device"), "{output:?}");
    let result = document(&result);
    assert_eq!(result["metrics"]["http_reqs"]["count"], 30);
    let hints: Vec<_> = result["hints"].as_array().expect("hints").iter().map(|hint| hint["name"].as_str()).collect();
    assert!(hints.contains(&Some("requests_not_written")) && !hints.contains(&Some("requests_dropped")), "{hints:?}");
}

#[test]
fn nonsense_is_refused_before_anything_is_sent() {
    let bench = Bench::new();
    let rows = bench.write("rows.jsonl", "{\"prompt\":\"a\"}\n");
    for (arguments, why) in [
        (&["--requests", "lines.txt"][..], "a file that ends in .jsonl, .csv"),
        (&["--requests", "/nowhere/lines.csv"], "--requests /nowhere/lines.csv"),
        (&["--requests-tokens"], "cannot be used without a file of requests: add --requests"),
        (&["--requests-sample", "1/9"], "add --requests"),
        (&["--requests", "x.csv", "--requests-sample", "2/9"], "1/N with N from 1"),
        (&["--requests", "x.csv", "--requests-sample", "1/0"], "1/N with N from 1"),
        (&["--requests", "-", "--output", "-"], "two results cannot go to the same place"),
        (&["--dataset", &rows, "--input-tokens", "9"], "cannot be used together with --dataset"),
    ] {
        let output = blast(&[&["load", "--target-url", "http://127.0.0.1:9"], arguments].concat());
        assert!(matches!(output.code, Some(2 | 104)), "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(why), "{arguments:?}: {output:?}");
    }
}
