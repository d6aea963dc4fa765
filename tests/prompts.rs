//! Prompts of a given length: the real simulator bills the length that was asked for.
#![cfg(feature = "embedded")]

mod support;

use support::{Bench, Embedded, blast, document};

const REQUESTS: u64 = 6;
/// Responds at once.
const INSTANT: &str = "[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 20\n";

/// The built-in picture.
const SMALL_PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/small.png");
/// Tokens that llmsim bills for a picture if the request does not set its level of detail.
const PICTURE_TOKENS: u64 = 765;

/// Returns the tokens that the server billed for the prompts of a few requests of this kind.
fn billed(server: &Embedded, lines: &str) -> u64 {
    billed_by("openai-chat", server, lines)
}

fn billed_by(api: &str, server: &Embedded, lines: &str) -> u64 {
    let bench = Bench::new();
    std::fs::copy(SMALL_PICTURE, bench.path("cat.png")).expect("a copy");
    let profile = format!(
        "executor = \"shared-iterations\"\nvus = 2\niterations = {REQUESTS}\n[[requests]]\nname = \"chat\"\n\
         api = \"{api}\"\nmodel = \"gpt-4o\"\nmax_tokens = 2\n{lines}\n"
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
    // Tokens that the chat template adds to a request.
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

#[test]
fn a_picture_is_sent_beside_the_prompt() {
    let server = Embedded::start(INSTANT);
    for (api, tokens) in [
        ("openai-chat", PICTURE_TOKENS),
        ("openai-responses", PICTURE_TOKENS),
        ("openresponses", PICTURE_TOKENS),
        // llmsim accepts pictures there, but does not bill them.
        ("anthropic-messages", 0),
    ] {
        let prompt = "prompt = { tokens = 20 }\n";
        let alone = billed_by(api, &server, prompt);
        for lines in ["image = \"@small\"", "image = \"cat.png\"", "image = \"@small\"\nstream = true"] {
            let more = billed_by(api, &server, &format!("{prompt}{lines}")) - alone;
            // With a picture, the Responses API gets a message instead of a bare text, which costs
            // a few more tokens.
            let wanted = tokens * REQUESTS..=(tokens + 4) * REQUESTS;
            assert!(wanted.contains(&more), "{api}: {lines}: {more}");
        }
    }
}

#[test]
fn what_is_no_picture_is_refused_before_anything_is_sent() {
    let bench = Bench::new();
    let head = "executor = \"constant-vus\"\nvus = 1\nduration = \"1s\"\n[[requests]]\nname = \"a\"\n";
    bench.write("prompts.txt", "no picture\n");
    std::fs::write(bench.path("large.png"), [b"\x89PNG\r\n\x1a\n".to_vec(), vec![0; 20 << 20]].concat())
        .expect("a file");
    for (lines, expected) in [
        ("api = \"openai-chat\"\nimage = \"missing.png\"", "requests[0].image: cannot read "),
        ("api = \"openai-chat\"\nimage = \"\"", "requests[0].image: cannot read "),
        ("api = \"openai-chat\"\nimage = \"@huge\"", "expected @small or a file beside the profile"),
        ("api = \"openai-chat\"\nimage = \"prompts.txt\"", "is not a picture: expected a PNG, JPEG, GIF or WebP file"),
        ("api = \"openai-chat\"\nimage = \"large.png\"", "is too large: expected at most 20 MiB"),
        ("api = \"openai-embeddings\"\nimage = \"@small\"", "openai-embeddings takes no picture"),
        ("api = \"openai-chat\"\nimage = \"@small\"\nconversation = {}", "cannot be used together with `conversation`"),
        (
            "api = \"openai-chat\"\nimage = \"@small\"\ndataset = { file = \"prompts.txt\" }",
            "cannot be used together with `dataset`",
        ),
    ] {
        let profile = bench.write("bad.toml", &format!("{head}{lines}\n"));
        // No server runs at the default target, and none is needed.
        let output = blast(&[&profile, "--no-server"]);
        assert!(output.code == Some(104) && output.stderr.contains(expected), "{lines}: {output:?}");
    }
}
