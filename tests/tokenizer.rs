//! `--tokenizer`: tokens of responses that the server does not bill.
#![cfg(feature = "tokenizer")]

mod support;

use serde_json::Value;
use support::{Behaviour, Bench, Misbehaving, Output, blast, document};

/// A vocabulary in which each `word` has two tokens.
const WORDS: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
    "normalizer":{"type":"Replace","pattern":{"String":"word"},"content":"word word"},
    "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
    "model":{"type":"WordLevel","vocab":{"?":0,"word":1},"unk_token":"?"}}"#;

fn run(bench: &Bench, url: &str, tokenizer: &str, more: &[&str]) -> (Output, Value) {
    let (file, profile) = (bench.path("r.json"), bench.path("p.toml"));
    std::fs::write(
        &profile,
        "executor = \"per-vu-iterations\"\nvus = 2\niterations = 10\n[[requests]]\nname = \"s\"\napi = \"openai-chat\"\n\
         model = \"m\"\nstream = true\n",
    )
    .expect("written");
    let args = [&profile, "--target-url", url, "--no-probe", "--output", &file, "--tokenizer", tokenizer];
    let output = blast(&[args.as_slice(), more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    (output, document(&file))
}

#[test]
fn tokens_that_are_not_billed_are_estimated_from_a_sample() {
    let (server, bench) = (Misbehaving::start(Behaviour::Unbilled { tokens: 5 }), Bench::new());
    let words = bench.write("words.json", WORDS);
    let (output, result) = run(&bench, &server.url(), &words, &[]);
    let estimate = &result["token_estimate"];
    assert_eq!(
        (&estimate["answers"], &estimate["events"], &estimate["tokens"], &estimate["billed_answers"]),
        (&20.into(), &100.into(), &200.into(), &0.into()),
        "{estimate}"
    );
    assert_eq!(
        (&estimate["tokens_per_event"], &estimate["tokens_output"]["count"], &estimate["tokenizer"]),
        (&2.0.into(), &200.into(), &Value::from(words.as_str()))
    );
    let metrics = &result["metrics"];
    assert_eq!(
        (&metrics["tokens_output"]["count"], &metrics["token_events_unbilled"]["count"]),
        (&100.into(), &100.into())
    );
    assert!(output.stdout.contains("2.00 tokens per event in 20 responses by"), "{}", output.stdout);

    let (_, result) = run(&bench, &server.url(), "o200k_base", &[]);
    let tokens = result["token_estimate"]["tokens"].as_u64().expect("counted");
    assert!((100..=120).contains(&tokens), "five words and a blank: {tokens}");
}

#[test]
fn what_is_billed_stays_and_is_held_against_the_tokenizer() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let words = bench.write("words.json", WORDS);
    let (output, result) = run(&bench, &server.url(), &words, &[]);
    let estimate = &result["token_estimate"];
    assert_eq!(
        (&estimate["billed_answers"], &estimate["billed_tokens"], &estimate["tokens_of_billed"]),
        (&20.into(), &100.into(), &200.into()),
        "{estimate}"
    );
    assert_eq!(
        (&estimate["tokens_output"]["count"], &result["metrics"]["tokens_output"]["count"]),
        (&100.into(), &100.into())
    );
    assert_eq!(result["metrics"]["token_events_unbilled"]["count"], 0);
    assert!(output.stdout.contains("the server bills 0.50 per token"), "{}", output.stdout);
}

#[test]
fn shards_add_their_samples() {
    let (server, bench) = (Misbehaving::start(Behaviour::Unbilled { tokens: 5 }), Bench::new());
    let words = bench.write("words.json", WORDS);
    let files = ["0/2", "1/2"].map(|shard| {
        let (_, result) = run(&bench, &server.url(), &words, &["--shard", shard]);
        bench.write(&format!("{}.json", shard.replace('/', "-")), &result.to_string())
    });
    let whole = bench.path("whole.json");
    let output = blast(&["merge", &files[0], &files[1], "--output", &whole]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let estimate = &document(&whole)["token_estimate"];
    assert_eq!((&estimate["answers"], &estimate["tokens"]), (&20.into(), &200.into()), "{estimate}");
    assert_eq!((&estimate["tokens_per_event"], &estimate["tokens_output"]["count"]), (&2.0.into(), &200.into()));
}

#[cfg(feature = "embedded")]
#[test]
fn the_simulator_bills_what_its_own_vocabulary_counts() {
    let bench = Bench::new();
    let file = bench.path("r.json");
    let port = support::free_port().to_string();
    let args = [
        "smoke",
        "--tokenizer",
        "cl100k_base",
        "--model",
        "gpt-4",
        "--duration",
        "2s",
        "--output",
        &file,
        "--port",
        &port,
    ];
    let output = blast(&args);
    assert_eq!(output.code, Some(0), "{output:?}");
    let estimate = &document(&file)["token_estimate"];
    let of = |name: &str| estimate[name].as_u64().expect(name);
    assert!(of("billed_answers") > 0, "{estimate}");
    assert_eq!(of("billed_tokens"), of("tokens_of_billed"), "{estimate}");
}

#[test]
fn what_is_no_tokenizer_is_refused_before_anything_is_sent() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let with = |text: &str| bench.write("t.json", text);
    let fifo = bench.path("pipe.json");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    for (tokenizer, code, expected) in [
        ("o300k".to_owned(), 2, "expected o200k_base, cl100k_base, or the path of a tokenizer.json"),
        (bench.path("missing.json"), 104, "cannot read"),
        (bench.path("."), 104, "cannot read"),
        (fifo, 104, "it is a pipe: expected a regular file"),
        (with(""), 104, "it is not a tokenizer.json"),
        (with("{}"), 104, "it is not a tokenizer.json"),
        (with("\u{0}\u{0}"), 104, "it is not a tokenizer.json"),
    ] {
        let output = blast(&["smoke", "--target-url", &server.url(), "--tokenizer", &tokenizer]);
        assert_eq!(output.code, Some(code), "{tokenizer}: {output:?}");
        assert!(output.stderr.contains(expected), "{tokenizer}: {}", output.stderr);
    }
    assert_eq!(server.requests(), 0);
}
