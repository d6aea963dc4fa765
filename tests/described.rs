//! APIs that a profile describes: `api = "template"`.

mod support;

use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use support::{Bench, Embedded, Output, Request, blast, count, document};

/// A server that answers each POST with the same bytes.
struct Canned {
    addr: SocketAddr,
    posts: Arc<Mutex<Vec<Request>>>,
}

impl Canned {
    /// Starts a server. The body consists of these pieces, each in a chunk of its own.
    fn start(content_type: &str, pieces: &[&str]) -> Self {
        let chunk = |piece: &&str| format!("{:x}\r\n{piece}\r\n", piece.len());
        let chunks: String = pieces.iter().map(chunk).collect();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
        let answer = format!("{head}{chunks}0\r\n\r\n");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let posts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&posts);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), answer.clone());
                std::thread::spawn(move || {
                    let mut buffer = Vec::new();
                    while let Ok(Some(request)) = Request::read(&stream, &mut buffer) {
                        let is_health = request.path.contains("/health");
                        if !is_health {
                            seen.lock().unwrap().push(request);
                        }
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { addr, posts }
    }

    /// Runs five requests of the API.
    fn run(&self, request: &str) -> (Value, Output) {
        let bench = Bench::new();
        let text = format!("executor = \"per-vu-iterations\"\nvus = 1\niterations = 5\n[[requests]]\n{request}");
        let (profile, result) = (bench.write("p.toml", &text), bench.path("r.json"));
        let url = format!("http://{}", self.addr);
        let args = [&profile, "--target-url", &url, "--no-probe", "--verify-parse", "--output", &result];
        let output = blast(&args);
        (document(&result), output)
    }
}

const OLLAMA: &str = r#"
name = "generate"
api = "template"
path = "/api/generate"
model = "tiny"
max_tokens = 7
prompt = "Say \"hi\"\n"
body = { model = "{{model}}", prompt = "<s>{{prompt}}</s>", stream = true, options = { num_predict = "{{max_tokens}}", seed = "{{number}}" } }
[requests.response]
framing = "ndjson"
text = "/response"
reasoning = "/thinking"
input_tokens = "/prompt_eval_count"
output_tokens = "/eval_count"
error = "/error"
end = { at = "/done", is = true }
"#;

const LINES: [&str; 5] = [
    "{\"model\":\"tiny\",\"response\":\"\",\"thinking\":\"hm\",\"done\":false}\n",
    "{\"model\":\"tiny\",\"response\":\"Hi\",\"done\":false}\n{\"model\":\"tiny\",\"respon",
    "se\":\" there\",\"done\":false}\n",
    "{\"model\":\"tiny\",\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":26,\"eval_count\":3}",
    "\n",
];

#[test]
fn ollamas_own_api_is_described_in_a_profile() {
    for content_type in ["application/x-ndjson", "application/json"] {
        let server = Canned::start(content_type, &LINES);
        let (result, output) = server.run(OLLAMA);
        assert_eq!(output.code, Some(0), "{output:?}");
        for (metric, expected) in [("tokens_input", 5 * 26), ("tokens_output", 5 * 3), ("token_events", 5 * 3)] {
            assert_eq!(count(&result, metric), expected, "{metric}");
        }
        assert_eq!(result["plan"]["requests"][0]["response.end"], "/done is true");
        let posts = server.posts.lock().unwrap();
        let mut seeds = Vec::new();
        for post in posts.iter() {
            assert_eq!((post.path.as_str(), post.post), ("/api/generate", true));
            let mut body = support::body(&post.text);
            seeds.push(body["options"]["seed"].take().as_u64().expect("a number"));
            let options = json!({ "num_predict": 7, "seed": null });
            let prompt = "<s>Say \"hi\"\n</s>";
            assert_eq!(body, json!({ "model": "tiny", "prompt": prompt, "stream": true, "options": options }));
        }
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 5, "each request has a number of its own");
    }
}

#[test]
fn a_stream_without_its_end_and_an_error_have_failed() {
    let failures = |result: &Value, class: &str| result["failures"][class].as_u64().unwrap_or(0);
    for (content_type, pieces, class) in [
        ("application/x-ndjson", &LINES[..3], "truncated"),
        ("application/x-ndjson", &["{\"response\":\"a\"}\n{\"error\":\"gone\"}\n"], "stream_error"),
        ("application/x-ndjson", &["{\"response\":\"a\"}\n{\"resp"], "bad_sse"),
        ("application/x-ndjson", &["{\"done\":true}\n"], "empty"),
        ("text/html", &["<html>"], "bad_content_type"),
        ("text/event-stream", &["data: {}\n\n"], "bad_content_type"),
    ] {
        let (result, output) = Canned::start(content_type, pieces).run(OLLAMA);
        assert_eq!(failures(&result, class), 5, "{class}: {} {output:?}", result["failures"]);
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], 5);
    }
}

#[test]
fn a_plain_answer_and_a_get_are_described_too() {
    let plain = "name = \"plain\"\napi = \"template\"\npath = \"/generate\"\nbody = { inputs = \"{{prompt}}\" }\n\
                 response = { framing = \"json\", text = \"/0/generated_text\" }\n";
    let server = Canned::start("application/json", &["[{\"generated_text\":\"Hi\"}]"]);
    let (result, output) = server.run(plain);
    assert_eq!((output.code, count(&result, "http_reqs")), (Some(0), 5), "{output:?}");
    let (result, _) = Canned::start("application/json", &["[]"]).run(plain);
    assert_eq!(result["metrics"]["http_req_failed"]["matches"], 5, "no text");
    let get = "name = \"get\"\napi = \"template\"\nmethod = \"GET\"\npath = \"/of/{model}\"\nmodel = \"a b\"\n\
               response = { framing = \"json\", text = \"/0/generated_text\" }\n";
    let (_, output) = server.run(get);
    assert_eq!(output.code, Some(0), "{output:?}");
    let last = server.posts.lock().unwrap().pop().expect("a request");
    assert_eq!((last.post, last.path.as_str()), (false, "/of/a%20b"));
}

/// Chat completions of the simulator, read as a profile describes them, have the token counts that
/// the simulator has billed and that the built-in reader finds.
#[test]
fn chat_completions_that_are_described_are_those_that_are_built_in() {
    const DESCRIBED: &str = r#"
api = "template"
path = "/openai/v1/chat/completions"
model = "gpt-4o"
body = { model = "{{model}}", stream = true, stream_options = { include_usage = true }, messages = [{ role = "user", content = "{{prompt}}" }] }
[requests.response]
framing = "sse"
text = "/choices/0/delta/content"
input_tokens = "/usage/prompt_tokens"
output_tokens = "/usage/completion_tokens"
error = "/error"
end = "[DONE]"
"#;
    const BUILT_IN: &str = "api = \"openai-chat\"\nstream = true\nmodel = \"gpt-4o\"\ninclude_usage = true\n";
    let server = Embedded::start("[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"echo\"\n");
    let bench = Bench::new();
    let runs = [DESCRIBED, BUILT_IN].map(|request| {
        let text = format!(
            "executor = \"per-vu-iterations\"\nvus = 2\niterations = 10\n[[requests]]\nname = \"chat\"\n\
             prompt = [\"one\", \"two words\", \"and \\\"three\\\" more\"]\n{request}"
        );
        let (profile, result) = (bench.write("p.toml", &text), bench.path("r.json"));
        let before = server.stats();
        let url = server.url();
        let output = blast(&[&profile, "--target-url", &url, "--no-probe", "--verify-parse", "--output", &result]);
        assert_eq!(output.code, Some(0), "{output:?}");
        let after = server.stats();
        let result = document(&result);
        for (ours, theirs) in [("tokens_input", "prompt_tokens"), ("tokens_output", "completion_tokens")] {
            let billed = after[theirs].as_u64().unwrap() - before[theirs].as_u64().unwrap();
            assert_eq!(count(&result, ours), billed, "{ours}");
            assert!(billed > 0);
        }
        ["tokens_input", "tokens_output", "token_events", "http_reqs"].map(|metric| count(&result, metric))
    });
    assert_eq!(runs[0], runs[1]);
}

const BODY: &str = "body = { prompt = \"{{prompt}}\" }\n";
const PATH: &str = "path = \"/x\"\n";

/// Expects that a profile with this request is refused.
fn refused(text: &str, expected: &str) {
    let bench = Bench::new();
    let profile = format!("executor = \"per-vu-iterations\"\n[[requests]]\nname = \"x\"\napi = \"template\"\n{text}");
    let output = blast(&[&bench.write("p.toml", &profile), "--show-config"]);
    assert_eq!(output.code, Some(104), "{text}: {output:?}");
    assert!(output.stderr.contains(expected), "{text}: {output:?}");
}

fn response(rest: &str) -> String {
    format!("response = {{ framing = \"sse\", text = \"/t\", {rest} }}\n")
}

#[test]
fn a_request_that_is_described_badly_is_refused_with_its_key() {
    let good = response("end = \"[DONE]\"");
    for (text, expected) in [
        (format!("{PATH}{BODY}"), "requests[0].response: is missing"),
        (format!("{BODY}{good}"), "requests[0].path: is missing"),
        (format!("{PATH}{good}"), "requests[0].body: has no {{prompt}}"),
        (format!("{PATH}{BODY}stream = true\n{good}"), "requests[0].stream: follows from `response.framing`"),
        (
            format!("{PATH}{BODY}method = \"PUT\"\n{good}"),
            "requests[0].method: invalid value 'PUT': expected POST or GET",
        ),
        (format!("{PATH}{BODY}method = \"GET\"\n{good}"), "requests[0].body: cannot be sent with GET"),
        (
            format!("{PATH}{BODY}model = \"m\"\n{good}"),
            "requests[0].model: is not sent: expected {{model}} in the body",
        ),
        (format!("{PATH}{BODY}max_tokens = 5\n{good}"), "requests[0].max_tokens: is not sent: expected {{max_tokens}}"),
        (
            format!("{PATH}body = {{ a = \"{{{{prompt}}}}\", m = \"{{{{model}}}}\" }}\n{good}"),
            "requests[0].model: is missing, and the request has {{model}}",
        ),
        (
            format!("{PATH}body = {{ a = \"{{{{prompt}}}}\", n = \"{{{{max_tokens}}}}\" }}\n{good}"),
            "requests[0].max_tokens: is missing, and the body has {{max_tokens}}",
        ),
        (
            format!("{PATH}body = {{ a = [\"{{{{promt}}}}\"] }}\n{good}"),
            "requests[0].body.a: has `{{promt}}`: expected one of {{prompt}}, {{model}}, {{max_tokens}}, {{number}}",
        ),
        (format!("{PATH}{BODY}{good}conversation = {{ turns = 2 }}\n"), "requests[0].conversation"),
    ] {
        refused(&text, expected);
    }
    for (key, value) in [("method", "\"GET\""), ("response", "{ framing = \"json\", text = \"/t\" }")] {
        let bench = Bench::new();
        let text = format!(
            "executor = \"per-vu-iterations\"\n[[requests]]\nname = \"x\"\napi = \"openai-chat\"\n{key} = {value}\n"
        );
        let output = blast(&[&bench.write("p.toml", &text), "--show-config"]);
        assert_eq!(output.code, Some(104), "{output:?}");
        assert!(output.stderr.contains(&format!("requests[0].{key}: is for api = \"template\"")), "{output:?}");
    }
    let output = blast(&["load", "--api", "template", "--show-config"]);
    assert_eq!(output.code, Some(2), "{output:?}");
}

#[test]
fn a_response_that_is_described_badly_is_refused_with_its_key() {
    for (text, expected) in [
        (
            format!("{PATH}{BODY}response = {{ framing = \"xml\", text = \"/t\" }}\n"),
            "requests[0].response.framing: invalid value 'xml': expected one of sse, ndjson, json",
        ),
        (
            format!("{PATH}{BODY}response = {{ framing = \"json\", text = \"$.t\" }}\n"),
            "requests[0].response.text: invalid value '$.t': expected a JSON pointer (RFC 6901)",
        ),
        (
            format!("{PATH}{BODY}response = {{ framing = \"json\", text = \"/t~2\" }}\n"),
            "requests[0].response.text: invalid value '/t~2': `~` stands for nothing but",
        ),
        (
            format!("{PATH}{BODY}response = {{ framing = \"json\", text = \"/t\", error = \"/t/e\" }}\n"),
            "requests[0].response.error: invalid value '/t/e': it overlaps the place of another key",
        ),
        (
            format!("{PATH}{BODY}response = {{ framing = \"json\", text = \"/t\", end = \"x\" }}\n"),
            "requests[0].response.end: is for streams",
        ),
        (
            format!("{PATH}{BODY}response = {{ framing = \"sse\", text = \"/t\" }}\n"),
            "requests[0].response.end: is missing, so a stream that breaks off would pass",
        ),
        (format!("{PATH}{BODY}{}", response("end = \" \"")), "requests[0].response.end: is empty"),
        (
            format!("{PATH}{BODY}{}", response("end = { at = \"/t\" }")),
            "requests[0].response.end.at: invalid value '/t': it overlaps the place of another key",
        ),
        (
            format!("{PATH}{BODY}{}", response("end = { at = \"/d\", is = [1] }")),
            "requests[0].response.end.is: expected a text, a number, true or false",
        ),
        (format!("{PATH}{BODY}{}", response("txt = \"/t\"")), "unknown field `txt`"),
    ] {
        refused(&text, expected);
    }
}
