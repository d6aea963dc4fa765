//! Requested and received sizes compared: in the result, in reports, and in thresholds.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Misbehaving, Output, blast, document};

fn profile(lines: &str) -> String {
    format!(
        "executor = \"shared-iterations\"\nvus = 1\niterations = 4\n[[requests]]\nname = \"chat\"\n\
         api = \"openai-chat\"\nmodel = \"gpt-4o\"\n{lines}\n"
    )
}

fn run(server: &str, text: &str, more: &[&str]) -> (Value, Output) {
    let bench = Bench::new();
    let (profile, result) = (bench.write("asked.toml", text), bench.path("r.json"));
    let output = blast(&[&[profile.as_str(), "--target-url", server, "--output", &result], more].concat());
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output)
}

/// Returns the row about `what`.
fn row<'a>(result: &'a Value, what: &str) -> &'a Value {
    let rows = result["asked"].as_array().expect("rows");
    rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("no {what}: {rows:?}"))
}

/// Returns a plain response with this finish reason and usage.
fn billed(finish: &str, usage: &str) -> Behaviour {
    let body =
        format!(r#"{{"choices":[{{"message":{{"content":"a"}},"finish_reason":"{finish}"}}],"usage":{{{usage}}}}}"#);
    Behaviour::answer(&body)
}

#[cfg(feature = "embedded")]
#[test]
fn the_template_is_learned_and_taken_off() {
    use support::Embedded;
    let server =
        Embedded::start("[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 9\n");
    let text = profile("prompt = { tokens = { uniform = { min = 1, max = 300 } } }\nmax_tokens = 5")
        + "[thresholds]\ninput_off = [\"rate==0\"]\nasked_input_tokens = [\"max<=300\", \"count==4\"]\n\
           billed_output_tokens = [\"p(99)<=20\"]\n";
    let (result, output) = run(&server.url(), &text, &["--debug-response", "1"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let template = &result["templates"][0];
    assert_eq!((&template["request"], &template["tokens_per_word"]), (&json!("chat"), &json!(1.0)), "{template}");
    let added = template["tokens"].as_u64().expect("a constant");
    let metrics = &result["metrics"];
    let sum = |name: &str| metrics[name]["sum"].as_f64().expect("a sum") as u64;
    assert_eq!(sum("asked_input_tokens") + 4 * added, sum("billed_input_tokens"));
    assert_eq!(sum("billed_input_tokens"), metrics["tokens_input"]["count"].as_u64().expect("a count"));
    let input = row(&result, "input_tokens");
    assert_eq!(
        (&input["differs"], &input["off"]["matches"], &input["off"]["total"]),
        (&json!(false), &json!(0), &json!(4))
    );
    assert!(output.stdout.contains("ASKED AND GOT") && output.stdout.contains("a word is one token"), "{output:?}");
    assert!(output.stderr.contains("sending 2 requests for one token each"), "{output:?}");
}

#[test]
fn a_bill_that_parts_from_what_was_asked_is_marked() {
    let server = Misbehaving::start(billed(
        "stop",
        r#""prompt_tokens":90,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":60}"#,
    ));
    let lines = "prompt = { tokens = 64 }\noutput = { tokens = 8, exact = true }\n\
                 prefix = { tokens = 32, groups = 2, zipf = 0.0 }";
    let (result, output) = run(&server.url(), &profile(lines), &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(result["templates"][0]["reason"], "it bills 90 for a prompt of 1 word, and 90 for one of 11");
    let input = row(&result, "input_tokens");
    assert_eq!(
        (&input["asked"]["p50"], &input["got"]["p99"], &input["off"]),
        (&json!(96.0), &json!(90.0), &Value::Null)
    );
    assert!(input["why"][0].as_str().unwrap().contains("not compared"), "{input}");
    let answer = row(&result, "output_tokens");
    assert_eq!((&answer["differs"], &answer["off"]["rate"]), (&json!(true), &json!(1.0)));
    assert_eq!(answer["why"], json!(["100 % stopped early: finish_reason stop"]));
    assert!(output.stdout.contains("results differ from the requested load: chat: output tokens"), "{output:?}");
    let prefix = row(&result, "prefix_tokens");
    assert_eq!((&prefix["asked"]["p50"], &prefix["got"]["p50"]), (&json!(32.0), &json!(60.0)));
    assert_eq!(prefix["why"], json!(["33.3 % of the prompt tokens shared, 66.7 % from the server's cache"]));
}

#[test]
fn no_probe_sends_what_the_load_sends_and_nothing_else() {
    let server = Misbehaving::start(billed("length", r#""prompt_tokens":9,"completion_tokens":8"#));
    let text = profile("prompt = { tokens = 8 }\nmax_tokens = 8");
    let (result, output) = run(&server.url(), &text, &["--no-probe"]);
    assert_eq!((output.code, server.requests(), result.get("templates")), (Some(0), 4, None), "{output:?}");
    assert_eq!(row(&result, "output_tokens")["off"]["matches"], 0);
    let before = server.requests();
    run(&server.url(), &text, &[]);
    assert_eq!(server.requests(), before + 2 + 4);
    // The template is not learned for prompts whose length is unknown.
    let before = server.requests();
    let (result, _) = run(&server.url(), &profile("prompt = [\"Hello\"]"), &[]);
    assert_eq!((server.requests(), result.get("asked")), (before + 4, None));
}

#[test]
fn tokens_have_thresholds_of_their_own() {
    let server = Misbehaving::start(billed("length", r#""prompt_tokens":9,"completion_tokens":8"#));
    let rules = |rules: &str| profile("prompt = { tokens = 8 }\nmax_tokens = 9") + "[thresholds]\n" + rules + "\n";
    let (_, output) = run(&server.url(), &rules("output_off = [\"rate<1%\"]\noutput_cut = [\"count==4\"]"), &[]);
    assert_eq!(output.code, Some(99), "{output:?}");
    let bench = Bench::new();
    let file = bench.write("bad.toml", &rules("billed_input_tokens = [\"p(95)<2s\"]"));
    let output = blast(&[&file, "--target-url", &server.url()]);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("a number of tokens, such as 512"), "{output:?}");
}
