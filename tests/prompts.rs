//! Prompts of a length: what is asked for is what the real simulator bills.
#![cfg(feature = "embedded")]

mod support;

use support::{Bench, Embedded, blast, document};

const REQUESTS: u64 = 6;
/// Answers at once.
const INSTANT: &str = "[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 20\n";

/// Tokens that the server billed for the prompts of a few requests of that kind.
fn billed(server: &Embedded, lines: &str) -> u64 {
    let bench = Bench::new();
    let profile = format!(
        "executor = \"shared-iterations\"\nvus = 2\niterations = {REQUESTS}\n[[requests]]\nname = \"chat\"\n\
         api = \"openai-chat\"\nmodel = \"gpt-4o\"\nmax_tokens = 2\n{lines}\n"
    );
    let (file, result) = (bench.write("p.toml", &profile), bench.path("r.json"));
    bench.write("lengths.csv", "input,output\n700,1\n700,2\n");
    let output = blast(&[&file, "--target-url", &server.url(), "--output", &result]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    assert_eq!(result["metrics"]["http_reqs"]["count"], REQUESTS);
    result["metrics"]["tokens_input"]["count"].as_u64().expect("a count")
}

#[test]
fn so_many_tokens_are_billed_as_were_asked_for() {
    let server = Embedded::start(INSTANT);
    // What the chat template adds to a request.
    let added = billed(&server, "prompt = { tokens = 1 }") / REQUESTS - 1;
    for (lines, tokens) in [
        ("prompt = { tokens = 2 }", 2),
        ("prompt = { tokens = 512 }", 512),
        ("prompt = { tokens = 4000 }\nstream = true\ninclude_usage = true", 4000),
        ("prompt = { tokens = 100 }\nprefix = { tokens = 400, groups = 3, zipf = 1.0 }", 500),
        ("prompt = { tokens = { file = \"lengths.csv\" } }", 700),
    ] {
        assert_eq!(billed(&server, lines), (tokens + added) * REQUESTS, "{lines}");
    }
}
