//! Data sets and traces with the real binary: against the simulator, and with files that must be
//! refused.

mod support;

use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use support::{Behaviour, Bench, Embedded, Misbehaving, SOON, blast, blast_with, count, document};

const CHAT: &str = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = true\n";
const ONCE: &str = "executor = \"per-vu-iterations\"\nvus = 3\niterations = 1000\n";

const OPEN: &str = "executor = \"constant-arrival-rate\"\nrate = 500\nduration = \"60s\"\nmax_vus = 20\n";

/// Returns the path of a sample.
fn sample(name: &str) -> String {
    format!("{}/tests/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a profile against the simulator.
fn run(text: &str, more: &[&str]) -> (support::Output, Value) {
    let server = Embedded::start("[latency]\nprofile = \"instant\"\n");
    let bench = Bench::new();
    let (profile, result) = (bench.write("my.toml", text), bench.path("r.json"));
    let args = [&profile, "--target-url", &server.url(), "--no-server", "--output", &result];
    let output = blast(&[&args[..], more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    support::check(&result);
    (output, result)
}

#[test]
fn every_row_is_sent_once_and_said() {
    let dataset = format!("dataset = {{ file = \"{}\", order = \"once\" }}\n", sample("chat.jsonl"));
    let (output, result) = run(&format!("{ONCE}{CHAT}{dataset}"), &[]);
    assert_eq!(count(&result, "http_reqs"), 19);
    let told = &result["datasets"][0];
    let unused = serde_json::json!([{ "reason": "it has no user message", "rows": 1, "first_line": 20 }]);
    assert_eq!((&told["rows"], &told["usable"], &told["unused"]), (&20.into(), &19.into(), &unused));
    assert_eq!((&told["sent"], &told["distinct_sent"], &told["repeats_sent"]), (&19.into(), &19.into(), &0.into()));
    assert_eq!((&told["used_up"], &told["format"], &told["order"]), (&true.into(), &"chat".into(), &"once".into()));
    assert!(!result.to_string().contains("paper clip"), "the texts are not kept");
    assert!(output.stderr.contains("19 of 20 rows can be sent; 1 left out: it has no user message"), "{output:?}");
    for words in
        ["19 sent: 19 different, 0 repeats", "all rows are used up, which ended the test", "1 row of 20 left out"]
    {
        let text = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{words}: {}", output.stdout);
    }
}

#[test]
fn a_test_by_time_ends_when_its_rows_do() {
    let dataset = format!("dataset = {{ file = \"{}\", order = \"once\" }}\n", sample("chat.jsonl"));
    let text = format!("executor = \"constant-vus\"\nvus = 2\nduration = \"300s\"\n{CHAT}{dataset}");
    let (_, result) = run(&text, &[]);
    assert_eq!(count(&result, "http_reqs"), 19);
    assert!(result["run"]["window_s"].as_f64().expect("a window") < 100.0, "rates are those of the time it took");
}

#[test]
fn the_flag_sends_rows_of_any_format_with_a_built_in_profile() {
    for (file, format, more) in [
        ("sharegpt.json", "sharegpt", &[][..]),
        ("prompts.csv", "csv", &["--dataset-column", "question"]),
        ("batch.jsonl", "batch", &["--dataset-patch", "stream", "--dataset-patch", "model", "--model", "gpt-5"]),
    ] {
        let args = ["--dataset", &sample(file), "--iterations", "40", "--vus", "2"];
        let text = format!("executor = \"shared-iterations\"\n{CHAT}");
        let (_, result) = run(&text, &[&args[..], more].concat());
        let told = &result["datasets"][0];
        assert_eq!((&told["format"], &told["sent"]), (&format.into(), &40.into()), "{file}");
        let (distinct, repeats) = (told["distinct_sent"].as_u64(), told["repeats_sent"].as_u64());
        assert_eq!(
            (distinct, repeats.zip(distinct).map(|(r, d)| r + d)),
            (told["usable"].as_u64(), Some(40)),
            "{file}"
        );
    }
}

#[test]
fn a_trace_is_sent_on_its_own_clock() {
    let trace = |name: &str, more: &str| {
        format!("executor = \"trace\"\nmax_vus = 100\ntrace = {{ file = \"{}\"{more} }}\n{CHAT}", sample(name))
    };
    let (output, result) = run(&trace("mooncake.jsonl", ", speed = 4.0, loop = 2"), &[]);
    assert_eq!(
        (count(&result, "arrivals_offered"), count(&result, "http_reqs"), count(&result, "schedule_lag")),
        (40, 40, 40)
    );
    assert_eq!((&result["plan"]["executor"], &result["datasets"][0]["order"]), (&"trace".into(), &"trace".into()));
    assert!(
        output.stderr.contains("20 requests over 1.80 s, 11.1/s on average, input p50 1491 tokens"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("timestamps taken as milliseconds, sent 4 times as fast"), "{}", output.stderr);
    for name in ["azure.csv", "burstgpt.csv", "bailian.jsonl"] {
        let (_, result) = run(&trace(name, ", speed = 10.0"), &[]);
        assert_eq!(result["datasets"][0]["usable"], result["datasets"][0]["sent"], "{name}");
    }
}

#[test]
fn shards_of_a_data_set_are_merged() {
    let server = Embedded::start("[latency]\nprofile = \"instant\"\n");
    let bench = Bench::new();
    let dataset = format!("dataset = {{ file = \"{}\", order = \"once\" }}\n", sample("chat.jsonl"));
    let profile = bench.write("my.toml", &format!("{ONCE}{CHAT}{dataset}"));
    let results = ["a.json", "b.json"].map(|name| bench.path(name));
    for (shard, result) in ["0/2", "1/2"].iter().zip(&results) {
        let args = [&profile, "--target-url", &server.url(), "--no-server", "--shard", shard, "--output", result];
        assert_eq!(blast(&args).code, Some(0));
    }
    let merged = bench.path("m.json");
    assert_eq!(blast(&["merge", &results[0], &results[1], "--output", &merged]).code, Some(0));
    let told = &document(&merged)["datasets"][0];
    assert_eq!((&told["sent"], &told["used_up"], &told["distinct_sent"]), (&19.into(), &true.into(), &Value::Null));
}

#[test]
fn rows_beyond_the_memory_are_sent_from_a_temporary_file() {
    let bench = Bench::new();
    let file = bench.path("large.jsonl.gz");
    let mut out = flate2::write::GzEncoder::new(File::create(&file).expect("created"), flate2::Compression::fast());
    for row in 0..300 {
        let text = format!("row {row} {}", "x".repeat(10_000));
        writeln!(out, "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}").expect("written");
    }
    out.finish().expect("written");
    let dataset = format!("dataset = {{ file = \"{file}\", order = \"once\" }}\n");
    for (head, conversation) in [(ONCE, ""), (ONCE, "conversation = {}\n"), (OPEN, "")] {
        let (output, result) = run(&format!("{head}{CHAT}{conversation}{dataset}"), &["--dataset-memory", "1MiB"]);
        let told = &result["datasets"][0];
        assert_eq!((&told["sent"], &told["distinct_sent"], &told["used_up"]), (&300.into(), &300.into(), &true.into()));
        assert_eq!(result["plan"]["dataset_memory"], Value::Null, "where rows lie is no part of the plan");
        assert!(output.stderr.contains("so 3 MB of them lie in a temporary file"), "{output:?}");
    }
    let no_room = [("TMPDIR", "/proc/none")];
    let args = ["load", "--no-server", "--target-url", "http://127.0.0.1:9", "--dataset", &file];
    let output = blast_with(&[&args[..], &["--dataset-memory", "1MiB"]].concat(), &no_room, SOON);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("cannot be put into a file: /proc/none: "), "{output:?}");
}

/// Two conversations and a row of its own. The responses take longer than the trace allows for.
#[test]
fn sessions_of_a_trace_hold_conversations() {
    let server =
        Embedded::start("[latency]\nttft_mean_ms = 60\nttft_stddev_ms = 0\ntbt_mean_ms = 0\ntbt_stddev_ms = 0\n");
    let bench = Bench::new();
    let row =
        |at: &str, session: &str| format!("{{{at},{session}\"text_input\":\"Tell me more.\",\"output_length\":20}}\n");
    let (one, two) = ("\"session_id\":\"a\",", "\"session_id\":\"b\",");
    let rows = [
        row("\"timestamp\":0", one),
        row("\"timestamp\":1", two),
        row("\"timestamp\":2", one),
        row("\"delay\":5", two),
        row("\"timestamp\":3", one),
        row("\"timestamp\":1500", ""),
    ];
    let file = bench.write("sessions.jsonl", &rows.concat());
    let result = bench.path("r.json");
    for history in ["live", "recorded"] {
        let text = format!(
            "executor = \"trace\"\nmax_vus = 10\ntrace = {{ file = \"{file}\" }}\n{CHAT}conversation = {{ history = \"{history}\" }}\n"
        );
        let profile = bench.write("my.toml", &text);
        let args = [&profile, "--target-url", &server.url(), "--no-server", "--no-probe", "--output", &result];
        let output = blast(&args);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains("trace: 6 requests in 3 conversations"), "{output:?}");
        let result = document(&result);
        support::check(&result);
        let of_turn = |turn: &str| result["turns"][turn]["http_reqs"]["count"].as_u64();
        assert_eq!((of_turn("1"), of_turn("2"), of_turn("3-4")), (Some(3), Some(2), Some(1)), "{history}");
        assert_eq!((count(&result, "arrivals_offered"), count(&result, "conversations_completed")), (3, 3));
        assert_eq!((count(&result, "turn_lag"), count(&result, "http_reqs")), (2, 6), "two turns had an instant");
        assert!(result["metrics"]["turn_lag"]["min"].as_f64() > Some(0.0), "their answers were not there yet");
        assert_eq!((&result["datasets"][0]["sent"], &result["datasets"][0]["usable"]), (&6.into(), &6.into()));
    }
}

/// Runs a data set against a server that must not receive a request, and expects these words.
fn refused(file: &str, expected: &str) {
    let server = Misbehaving::start(Behaviour::GoodPlain);
    let args = ["load", "--no-server", "--target-url", &server.url(), "--dataset", file];
    let output = blast_with(&args, &[], SOON);
    assert_eq!(output.code, Some(104), "{file}: {output:?}");
    assert!(output.stderr.contains(expected) && output.stdout.is_empty(), "{file}: {output:?}\nexpected {expected}");
    assert!(output.stderr.lines().count() == 1, "{}", output.stderr);
    assert_eq!(server.connections(), 0, "{file}");
}

#[test]
fn files_that_are_no_data_sets_are_refused_before_anything_is_sent() {
    let bench = Bench::new();
    refused(&bench.path("none.jsonl"), "error: --dataset: cannot read");
    refused("/dev/zero", "it is a device: expected a regular file");
    let pipe = bench.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    refused(&pipe, "it is a pipe: expected a regular file");
    refused(&bench.write("empty.jsonl", ""), "empty.jsonl: is empty: expected at least one row");
    refused(&bench.write("bad.jsonl", "{\"prompt\":\"x\"}\nnone\n"), "bad.jsonl:2: is not a JSON object");
    refused(&bench.write("nul.jsonl", "{\"prompt\":\"x\"}\n\0\0\n"), "nul.jsonl:2: has a NUL byte at byte 1");
    refused(&bench.write("column.csv", "a,b\n1,2\n"), "column.csv:1: has no column `prompt`");
    let wrong = bench.path("wrong.jsonl");
    std::fs::write(&wrong, b"{\"prompt\":\"\xff\"}\n").expect("written");
    refused(&wrong, "wrong.jsonl:1: is not UTF-8 at byte 12");
    // A hundred megabytes without a line end.
    let large = bench.path("large.jsonl");
    let mut file = File::create(&large).expect("created");
    file.write_all(b"{\"prompt\":\"").expect("written");
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&megabyte).expect("written");
    }
    refused(&large, "large.jsonl:1: is larger than 32 MiB");
    refused(&sample("body.jsonl"), "20 rows: its body asks for a stream");
}

/// Files that cannot be sent: true for a trace and false for a data set, the content of the file,
/// and the message after the name of the file.
const BAD: [(bool, &[u8], &str); 22] = [
    (false, b"", ": is empty: expected at least one row"),
    (false, b"\n\n  \n", ": is empty: expected at least one row"),
    (false, b"[]", ": is empty: expected at least one row"),
    (false, b"{\"prompt\":\"x\"}\nnone\n", ":2: is not a JSON object"),
    (false, b"{\"prompt\":\"x\"}\n{\"prompt\":\"y\"", ":2: is not a JSON object"),
    (false, b"[{\"prompt\":\"x\"},\n", ":2: the array ends early: expected ] at its end"),
    (false, b"{\"prompt\":\"x\"}\n{\"text\":\"y\"}\n", ":2: has no column `prompt`: expected one of its columns: text"),
    (false, b"a,b\n1,2\n", ":1: has no column `prompt`"),
    (false, b"prompt,n\nx,1\ny\n", ":3: has 1 field: expected 2, as many as the header"),
    (false, b"{\"prompt\":\"x\"}\n\0\0\n", ":2: has a NUL byte at byte 1: expected text"),
    (false, b"{\"prompt\":\"\xff\"}\n", ":1: is not UTF-8 at byte 12: expected text in UTF-8"),
    (false, b"\x1f\x8b\x08\0", "the compressed data ends early: expected a whole .gz file"),
    (false, b"{\"prompt\":\"\"}\n", ": has no row that can be sent among 1: 1 row: the prompt is empty (first on line 1)"),
    (true, b"{\"prompt\":\"x\"}\n", ":1: has the format prompt, whose rows have no instants: expected a trace"),
    (true, b"{\"timestamp\":5,\"input_length\":1,\"output_length\":1}\n{\"timestamp\":4,\"input_length\":1,\"output_length\":1}\n",
        ":2: goes back in time by 1ms: expected rows in the order of their instants"),
    (true, b"{\"timestamp\":-5,\"input_length\":1,\"output_length\":1}\n", ":1: `timestamp` is -5: expected an instant at or after zero"),
    (true, b"{\"timestamp\":5,\"input_length\":-1,\"output_length\":1}\n", ":1: `input_length` is -1: expected a number of tokens from 0 to"),
    (true, b"{\"timestamp\":5,\"input_length\":1,\"output_length\":99999999999}\n", ":1: `output_length` is 99999999999: expected a number of tokens"),
    (true, b"{\"timestamp\":5,\"input_length\":1}\n", ":1: has no column `output_length`"),
    (true, b"{\"timestamp\":5,\"input_length\":600,\"output_length\":1,\"hash_ids\":[1]}\n", ":1: has 1 hash_id for 600 tokens: expected 2 at 512 tokens a block"),
    (true, b"TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", ":2: `TIMESTAMP` is yesterday: expected an instant"),
    (true, b"{\"timestamp\":5,\"input_length\":1,\"output_length\":1}\n", "leaves 1 of 1 row, which span 0.00 s: expected at least two"),
];

#[test]
fn bad_rows_are_named_by_file_and_line_before_anything_is_sent() {
    let (server, bench) = (Misbehaving::start(Behaviour::GoodPlain), Bench::new());
    for (number, (is_trace, bytes, expected)) in BAD.iter().enumerate() {
        let file = bench.path(&format!("bad-{number}"));
        std::fs::write(&file, bytes).expect("written");
        let (head, of_request) = if *is_trace {
            (format!("executor = \"trace\"\nmax_vus = 5\ntrace = {{ file = \"{file}\" }}\n"), String::new())
        } else {
            (ONCE.to_owned(), format!("dataset = {{ file = \"{file}\" }}\n"))
        };
        let profile = bench.write("bad.toml", &format!("{head}{CHAT}{of_request}"));
        let output = blast_with(&[&profile, "--target-url", &server.url(), "--no-server"], &[], SOON);
        assert_eq!(output.code, Some(104), "{number}: {output:?}");
        let text = &output.stderr;
        assert!(text.contains(expected) && text.lines().count() == 1, "{number}: {text}\nexpected {expected}");
        let place = if expected.starts_with("leaves") { "bad.toml" } else { &file };
        assert!(text.contains(place) && output.stdout.is_empty(), "{number}: {output:?}");
    }
    assert_eq!(server.connections(), 0);
}
