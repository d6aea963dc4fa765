//! Mistakes of users: each is refused with one clear message before a connection is opened.

mod support;

use std::time::Duration;
use support::{Behaviour, Bench, Misbehaving, blast_with};

/// No request is sent, so no run takes long.
const LIMIT: Duration = Duration::from_secs(30);

/// A valid executor and request, for profiles with a mistake elsewhere.
const FINE: &str =
    "executor = \"constant-vus\"\nduration = \"1s\"\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n";

/// Runs the tool with a target that must not receive a request, and expects this exit code and
/// these words.
fn refused(args: &[&str], env: &[(&str, &str)], code: i32, expected: &[&str]) {
    let server = Misbehaving::start(Behaviour::GoodPlain);
    let url = server.url();
    let target = ("LLMSIM_BLAST_TARGET_URL", url.as_str());
    let env: Vec<_> = std::iter::once(target).chain(env.iter().copied()).collect();
    let output = blast_with(args, &env, LIMIT);
    assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
    assert!(output.stderr.starts_with("error: ") && output.stdout.is_empty(), "{args:?}: {output:?}");
    for words in expected {
        assert!(output.stderr.contains(words), "{args:?} does not say `{words}`: {}", output.stderr);
    }
    // For unknown arguments, the command-line parser adds the usage. The TOML parser adds the line
    // and marks the position.
    let explained =
        ["For more information, try '--help'", "TOML parse error"].iter().any(|w| output.stderr.contains(w));
    assert!(output.stderr.lines().count() == 1 || explained, "{}", output.stderr);
    assert_eq!(output.stderr.matches("error: ").count(), 1, "{}", output.stderr);
    assert_eq!(server.connections(), 0, "{args:?}");
}

#[test]
fn an_unknown_profile_names_the_nearest() {
    refused(&["hihg-concurrency"], &[], 104, &["'hihg-concurrency'", "did you mean high-concurrency?", "quick-smoke"]);
    refused(&["profiles", "smok"], &[], 104, &["did you mean smoke?"]);
    refused(&["xyzzy"], &[], 104, &["no profile is named 'xyzzy'", "my.toml"]);
}

#[test]
fn a_profile_that_cannot_be_read_is_named() {
    let bench = Bench::new();
    let missing = bench.path("missing.toml");
    refused(&[&missing], &[], 104, &[&missing, "No such file"]);
    let folder = bench.path("");
    refused(&[&folder], &[], 104, &["cannot read", "directory"]);
}

/// The text of a profile, and the words of its refusal besides the name of the file.
type Mistake = (String, &'static [&'static str]);

fn mistakes() -> Vec<Mistake> {
    let head = |lines: &str| format!("{lines}\n{FINE}");
    let tail = |lines: &str| format!("{FINE}\n{lines}");
    let only = |lines: &str| format!("{lines}\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n");
    vec![
        (head("description = \"open"), &[":1: ", "description"]),
        (head("[[["), &[":1: "]),
        (head("durations = \"5s\""), &[":1: ", "unknown field `durations`", "duration"]),
        (tail("weihgt = 3"), &["requests[0]", "unknown field `weihgt`"]),
        (head("vus = \"many\""), &[":1: ", "vus", "expected an integer"]),
        (head("vus = -5"), &[":1: ", "vus", "from 1 to"]),
        (head("vus = 99999999999"), &["vus", "from 1 to 1000000"]),
        (head("vus = 0"), &["vus", "from 1 to"]),
        (head("think_time = { min = \"2s\", max = \"1s\" }"), &["think_time", "min 2s is above max 1s"]),
        (head("graceful_stop = \"-1s\""), &["graceful_stop", "duration"]),
        (head("timeout = \"0s\""), &["timeout"]),
        (head("stages = []"), &[":1: ", "stages", "constant-vus"]),
        (only("executor = \"constant-vus\"\nduration = \"0s\""), &[":2: ", "duration"]),
        (only("executor = \"constant-vus\"\nduration = \"9999h\""), &[":2: ", "duration", "at most"]),
        (only("executor = \"ramping\""), &["executor", "'ramping'", "ramping-vus"]),
        (only("executor = \"ramping-vus\"\nstages = [{ duration = \"1s\", target = -1 }]"), &["stages[0].target"]),
        (only("executor = \"ramping-vus\"\nstages = []"), &["stages", "at least one"]),
        ("executor = \"constant-vus\"\nduration = \"1s\"\n".to_owned(), &["requests", "nothing would be sent"]),
        (tail("weight = 0"), &["weight", "above zero"]),
        (tail("max_tokens = -1"), &["requests[0].max_tokens"]),
        (tail("prompt = { tokens = 0 }"), &["requests[0].prompt.tokens", "from 1 to"]),
        (tail("prompt = { tokens = -512 }"), &["requests[0].prompt.tokens", "'-512'", "from 1 to"]),
        (tail("prompt = { tokens = 99999999999 }"), &["requests[0].prompt.tokens", "from 1 to"]),
        (
            tail("prompt = { tokens = { uniform = { min = 9, max = 3 } } }"),
            &["prompt.tokens.uniform", "min 9 is above max 3"],
        ),
        (tail("prompt = { tokens = { min = 9, max = 3 } }"), &["prompt.tokens", "min 9 is above max 3"]),
        (
            tail("prompt = { tokens = { uniform = { min = 1, max = 3 }, min = 5 } }"),
            &["prompt.tokens.uniform", "min 5 is above max 3"],
        ),
        (
            tail("prompt = { tokens = { normal = { mean = 10, stddev = 2 }, min = 500 } }"),
            &["prompt.tokens.normal.mean", "'10'", "between min 500 and max"],
        ),
        (
            tail("prompt = { tokens = { normal = { mean = 10, stddev = -2 } } }"),
            &["prompt.tokens.normal.stddev", "'-2'", "from 0 to"],
        ),
        (tail("prompt = { tokens = {} }"), &["prompt.tokens", "has no distribution"]),
        (tail("max_tokens = { min = 9, max = 3 }"), &["requests[0].max_tokens", "min 9 is above max 3"]),
        (tail("prompt = \"@missing.txt\""), &["requests[0].prompt", "missing.txt"]),
        (tail("headers = { \"x\" = \"a\\nb\" }"), &["requests[0].headers", "line break"]),
        (tail("cancel = { after_tokens = 3 }"), &["requests[0].cancel.after_tokens", "stream = true"]),
        (tail("stream = true\ncancel = { after_tokens = 0 }"), &["requests[0].cancel.after_tokens", "from 1 to"]),
        (tail("cancel = { after = \"0s\" }"), &["requests[0].cancel.after", "above zero"]),
        (tail("drop = { share = 0.5 }"), &["requests[0].drop", "exactly one of `after_tokens` and `after`"]),
        (tail("drop = { after = \"1s\", share = 1.5 }"), &["requests[0].drop.share", "at most 1"]),
        (tail("drop = { after = \"1s\", share = 0 }"), &["requests[0].drop.share", "above 0"]),
        (tail("cancel = { after = \"1s\" }\ndrop = { after = \"1s\" }"), &["requests[0].drop", "add up to 2"]),
        (tail("cancel = { later = 3 }"), &["requests[0].cancel", "unknown field `later`"]),
        (tail("slow_reader = { bytes_per_second = 0 }"), &["requests[0].slow_reader.bytes_per_second", "from 1 to"]),
        (tail("slow_reader = {}"), &["requests[0].slow_reader", "bytes_per_second"]),
        (FINE.replace("openai-chat", "openai"), &["requests[0].api", "`openai`", "openai-chat"]),
        (tail("[thresholds]\nhttp_req_durations = \"p(95)<1\""), &["http_req_durations", "http_req_duration"]),
        (tail("[thresholds]\nhttp_req_duration = \"p(101)<1\""), &["thresholds.http_req_duration", "100"]),
        (tail("[thresholds]\nhttp_req_failed = \"p(95)<1\""), &["thresholds.http_req_failed", "rate"]),
        (tail("[thresholds]\nhttp_reqs = \"count=5\""), &["thresholds.http_reqs"]),
        (tail("[thresholds]\n\"ttft{request:nobody}\" = \"p(95)<1\""), &["nobody", "chat"]),
    ]
}

#[test]
fn mistakes_in_a_profile_are_named_by_file_and_key() {
    let bench = Bench::new();
    for (number, (text, expected)) in mistakes().into_iter().enumerate() {
        let file = bench.write(&format!("wrong-{number}.toml"), &text);
        let expected: Vec<&str> = std::iter::once(file.as_str()).chain(expected.iter().copied()).collect();
        refused(&[&file], &[], 104, &expected);
    }
}

#[test]
fn numbers_that_make_no_sense_are_named_by_their_flag() {
    for (flag, value, expected) in [
        ("--vus", "-5", "from 1 to"),
        ("--think-time", "-5ms", "duration"),
        ("--timeout", "-1", "duration"),
        ("--vus", "0", "from 1 to"),
        ("--vus", "1e3", "an integer"),
        ("--vus", "99999999999999999999", "an integer"),
        ("--duration", "-1s", "duration"),
        ("--duration", "0s", "above zero"),
        ("--duration", "10", "such as 30s"),
        ("--duration", "9999h", "at most"),
        ("--think-time", "2s..1s", "MIN at most MAX"),
        ("--timeout", "soon", "duration"),
        ("--stage", "10s", "DURATION:TARGET"),
        ("--workers", "0", "from 1 to"),
        ("--workers", "100000", "from 1 to"),
        ("--seed", "-1", "an integer"),
        ("--tag", "novalue", "KEY=VALUE"),
    ] {
        refused(&["load", flag, value], &[], 2, &[flag, &format!("'{value}'"), expected]);
    }
    refused(&["load", "--stage", "-1s:5"], &[], 2, &["--stage", "'-1s'", "duration"]);
    refused(&["load", "--stage", "10s:-1"], &[], 2, &["--stage", "'-1'", "from 0 to"]);
    refused(&["quick-smoke", "--iterations", "0"], &[], 2, &["--iterations", "from 1 to"]);
    refused(&["load", "--port", "70000"], &[], 2, &["--port", "'70000'", "65535"]);
}

#[test]
fn a_tag_that_is_set_twice_is_refused_by_its_key() {
    let twice = ["load", "--tag", "commit=1", "--tag", "night=7", "--tag", "commit = 2"];
    refused(&twice, &[], 104, &["--tag sets 'commit' twice"]);
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    for (args, expected) in [
        (&["quick-smoke", "--duration", "5s"][..], &["--duration", "use --iterations"][..]),
        (&["load", "--iterations", "5"], &["--iterations", "use --duration"]),
        (&["smoke", "--stage", "1s:1"], &["--stage", "has no stages"]),
        (&["load", "--stage", "1s:1", "--vus", "5"], &["--vus", "--stage"]),
        (&["load", "--stage", "1s:1", "--duration", "5s"], &["--duration", "--stage"]),
        (&["load", "--stage", "0s:5"], &["--stage", "a total duration of zero"]),
        (&["load", "--no-server", "--chaos"], &["--chaos", "--no-server"]),
        (&["load", "--server-bin", "a", "--server-src", "b"], &["--server-bin", "--server-src"]),
        (&["load", "--server-config", "a", "--chaos"], &["--chaos", "--server-config"]),
        (&["load", "--target-url", "http://h", "--port", "1"], &["--target-url", "--port"]),
        (&["load", "--target-url", "http://example.invalid", "--chaos"], &["--chaos", "not this machine"]),
        (&["load", "--target-url", "ftp://h"], &["--target-url", "ftp://h", "expected one like http://"]),
        (&["load", "--header", "no colon"], &["--header"]),
        (&["load", "--header", "Content-Length: 5"], &["--header", "Content-Length"]),
    ] {
        refused(args, &[], 104, expected);
    }
}

#[test]
fn the_environment_is_blamed_for_its_own_mistakes() {
    for (name, value, expected) in [
        ("LLMSIM_BLAST_VUS", "lots", "'lots'"),
        ("LLMSIM_BLAST_DURATION", "-3s", "duration"),
        ("LLMSIM_BLAST_QUIET", "perhaps", "1, true, yes, on, or 0"),
        ("LLMSIM_BLAST_ITERATIONS", "5", "use --duration"),
        ("LLMSIM_BLAST_API_KEY", "two words", "does not hold an API key"),
    ] {
        refused(&["load"], &[(name, value)], 104, &[name, expected]);
    }
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    for (args, expected) in [
        (&["load", "--duraton", "5s"][..], "--duration"),
        (&["load", "spike"], "spike"),
        (&["load", "--vus"], "--vus"),
        (&["load", "--api-key", "sesame"], "--api-key"),
    ] {
        refused(args, &[], 2, &[expected]);
    }
}

#[test]
fn files_that_flags_name_are_looked_at_before_the_test() {
    let bench = Bench::new();
    let missing = bench.path("missing");
    refused(&["load", "--api-key-file", &missing], &[], 104, &["--api-key-file", &missing, "No such file"]);
    let empty = bench.write("empty", "\n");
    refused(&["load", "--api-key-file", &empty], &[], 104, &["--api-key-file", "does not hold an API key"]);
    let place = bench.path("no/such/folder/r.json");
    refused(&["load", "--output", &place], &[], 104, &["--output", &place, "No such file", "in a folder that exists"]);
    refused(&["load", "--output", &bench.path("")], &[], 104, &["--output", "directory"]);
    assert_eq!(bench.names(), ["empty"]);
}

#[test]
fn a_wrong_configuration_of_the_server_is_refused_by_name() {
    let bench = Bench::new();
    let missing = bench.path("server.toml");
    refused(&["load", "--port", "1", "--server-config", &missing], &[], 104, &["--server-config", &missing]);
    let broken = bench.write("broken.toml", "[latency\n");
    refused(&["load", "--port", "1", "--server-config", &broken], &[], 104, &["--server-config", "not valid TOML"]);
}
