//! The shell scripts of the GitHub Action in `scripts/action`, with an invented event and
//! environment. `gh` and `curl` are scripts that respond from files and record their arguments.

mod support;

use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Bench, document, tool};

/// The outcome of a script.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a script of the action in the bench's folder. `gh` and `curl` are found there first.
fn action(bench: &Bench, script: &str, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/action").join(script);
    let mut command = Command::new("bash");
    for (name, value) in tool().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let path = format!("{}:{}", bench.path(""), std::env::var("PATH").expect("a PATH"));
    command.arg(script).args(args).current_dir(bench.path("")).env("PATH", path).env("FAKE", bench.path(""));
    command.env("GITHUB_REPOSITORY", "o/r").envs(env.iter().copied()).stdin(Stdio::null());
    for name in ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH"] {
        if !env.iter().any(|(given, _)| *given == name) {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("bash");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn asked(bench: &Bench) -> String {
    std::fs::read_to_string(bench.path("asked")).unwrap_or_default()
}

/// Returns a bench with a release archive that contains a `llmsim-blast`, and the archive's
/// SHA-256.
fn release() -> (Bench, String) {
    let bench = Bench::new();
    bench.script(
        "curl",
        r#"while [ $# -gt 1 ]; do [ "$1" != --output ] || to=$2; shift; done
echo "curl $1" >> "$FAKE/asked"
cp "$FAKE/served/${1##*/}" "$to""#,
    );
    let sum = sh(
        &bench,
        r#"name=llmsim-blast-1.2.3-$(uname -m)-unknown-linux-gnu
mkdir -p served "$name" && printf '#!/bin/sh\necho it runs\n' > "$name/llmsim-blast"
tar -czf "served/$name.tar.gz" "$name" && rm -r "$name"
cd served && sha256sum "$name.tar.gz" | tee SHA256SUMS | cut -d ' ' -f 1"#,
    );
    (bench, sum.trim().to_owned())
}

fn sh(bench: &Bench, script: &str) -> String {
    let output = Command::new("bash").args(["-ec", script]).current_dir(bench.path("")).output().expect("bash");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

const RELEASE: [&str; 4] = ["--releases", "http://127.0.0.1:1/dl", "--version", "v1.2.3"];

fn install(bench: &Bench, more: &[&str]) -> Ended {
    let dir = bench.path("installed");
    action(bench, "install.sh", &[&RELEASE[..], &["--dir", &dir], more].concat(), &[])
}

#[test]
fn a_release_is_installed_once_if_its_sum_is_right() {
    let (bench, sum) = release();
    let first = install(&bench, &["--sha256", &sum]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(sh(&bench, first.stdout.trim()), "it runs\n");
    assert!(asked(&bench).starts_with("curl http://127.0.0.1:1/dl/v1.2.3/llmsim-blast-1.2.3-"), "{}", asked(&bench));
    let again = install(&bench, &["--sha256", &sum.to_uppercase()]);
    assert_eq!((again.code, &again.stdout), (Some(0), &first.stdout), "{again:?}");
    assert_eq!(asked(&bench).lines().count(), 1, "nothing was downloaded again");
}

#[test]
fn without_a_sum_that_of_the_release_holds() {
    let (bench, _) = release();
    let output = install(&bench, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(asked(&bench).ends_with("/v1.2.3/SHA256SUMS\n"), "{}", asked(&bench));
}

#[test]
fn another_sum_installs_nothing() {
    let (bench, sum) = release();
    let other = "0".repeat(64);
    let output = install(&bench, &["--sha256", &other]);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stderr.contains(&sum) && output.stderr.contains(&other), "{output:?}");
    assert_eq!(sh(&bench, "ls -A installed"), "");
    // An installation without a checksum does not satisfy a request with a checksum.
    assert_eq!(install(&bench, &[]).code, Some(0));
    assert_eq!(install(&bench, &["--sha256", &other]).code, Some(107));
    sh(&bench, "rm served/*.tar.gz && rm -r installed");
    let output = install(&bench, &[]);
    assert!(output.code == Some(107) && output.stderr.contains("could not be downloaded"), "{output:?}");
    for bad in [&["--version", "../x"][..], &["--sha256", "12"], &["--releases", ""], &["--dir"], &["x"]] {
        let output = install(&bench, bad);
        assert_eq!(output.code, Some(104), "{bad:?}: {output:?}");
    }
}

#[cfg(feature = "embedded")]
#[test]
fn a_run_is_kept_summarised_and_compared() {
    let bench = Bench::new();
    let (out, base, summary) = (bench.path("out"), bench.path("base"), bench.path("summary"));
    let bin = env!("CARGO_BIN_EXE_llmsim-blast");
    let port = support::free_port().to_string();
    let options = format!("--port\n  {port}\n\n--iterations\n3");
    let env = [
        ("LLMSIM_BLAST_BIN", bin),
        ("INPUT_PROFILE", "quick-smoke"),
        ("INPUT_OPTIONS", &options),
        ("INPUT_THRESHOLDS", "http_req_failed rate<0.5\n\n  http_reqs count>=3"),
        ("INPUT_GATES", "throughput<-99%"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_STEP_SUMMARY", summary.as_str()),
    ];
    let run = |more: &[(&str, &str)]| action(&bench, "run.sh", &[], &[&env[..], more].concat());
    let first = run(&[("INPUT_OUT", base.as_str()), ("INPUT_BASELINE", bench.path("none").as_str())]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout.contains("there is no baseline"), "{first:?}");
    let second = run(&[("INPUT_OUT", out.as_str()), ("INPUT_BASELINE", base.as_str())]);
    assert_eq!(second.code, Some(0), "{second:?}");
    let result = document(&format!("{out}/run-1.json"));
    let thresholds: Vec<_> = result["thresholds"].as_array().expect("a list").iter().collect();
    assert_eq!(thresholds.len(), 2, "in place of the profile's: {thresholds:?}");
    assert_eq!(document(&format!("{out}/compare.json"))["schema"], "llmsim-blast.compare/1");
    let written = std::fs::read_to_string(&summary).expect("a summary");
    assert!(written.contains("llmsim-blast compare"), "{written}");
    assert!(std::fs::read_to_string(format!("{out}/run-1.html")).expect("a page").starts_with("<!"));
    let failing = [("INPUT_OUT", out.as_str()), ("INPUT_THRESHOLDS", "http_reqs count>=1000")];
    assert_eq!(run(&failing).code, Some(99));
    assert_eq!(run(&[("INPUT_RUNS", "0")]).code, Some(104));
}

/// Writes a `gh` script that prints the file `answer`, except for calls that write or download.
fn with_gh(answer: &str) -> Bench {
    let bench = Bench::new();
    bench.script(
        "gh",
        r#"echo "gh $*" >> "$FAKE/asked"
case "$*" in *PATCH*|*POST*|*download*) ;; *) cat "$FAKE/answer" ;; esac"#,
    );
    bench.write("answer", answer);
    bench
}

#[test]
fn the_baseline_is_the_newest_of_the_branch() {
    let artifact = |run: u32, branch: &str, created: &str, fork: bool, expired: bool| {
        json!({ "expired": expired, "created_at": created, "workflow_run": { "id": run, "head_branch": branch,
            "repository_id": 1, "head_repository_id": if fork { 2 } else { 1 } } })
    };
    let list = json!({ "artifacts": [
        artifact(11, "main", "2026-11-01T00:00:00Z", false, false),
        artifact(12, "main", "2026-11-03T00:00:00Z", false, false),
        artifact(13, "main", "2026-11-04T00:00:00Z", true, false),
        artifact(14, "main", "2026-11-05T00:00:00Z", false, true),
        artifact(15, "other", "2026-11-06T00:00:00Z", false, false),
    ] });
    let bench = with_gh(&list.to_string());
    let args = ["--artifact", "a b", "--branch", "main", "--dir", "base"];
    let output = action(&bench, "baseline.sh", &args, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(asked(&bench).contains("gh run download 12 --repo o/r --name a b --dir base\n"), "{}", asked(&bench));
    let none = with_gh(r#"{"artifacts":[]}"#);
    let output = action(&none, "baseline.sh", &args, &[]);
    assert!(output.code == Some(0) && output.stderr.contains("no run on main"), "{output:?}");
    assert!(!asked(&none).contains("download"));
    assert_eq!(action(&with_gh("<html>"), "baseline.sh", &args, &[]).code, Some(107));
    assert_eq!(action(&none, "baseline.sh", &args[..2], &[]).code, Some(104));
}

#[test]
fn one_comment_is_written_and_then_updated() {
    const MARKED: &str = "<!-- llmsim-blast:compare -->\n### passed\n";
    let comment = |id: u32, who: &str, body: &str| json!({ "id": id, "user": { "login": who }, "body": body });
    let bot = "github-actions[bot]";
    let event = |bench: &Bench, from: &str| {
        let head = json!({ "repo": { "full_name": from } });
        bench.write("event", &json!({ "pull_request": { "number": 7, "head": head } }).to_string())
    };
    let others = json!([comment(1, "someone", MARKED), comment(2, bot, "hello")]);
    let pages = format!("{others}{}", json!([comment(3, bot, MARKED)]));
    for (answer, wanted) in [
        (others.to_string(), "gh api --method POST repos/o/r/issues/7/comments --field body=@c.md"),
        (pages, "gh api --method PATCH repos/o/r/issues/comments/3 --field body=@c.md"),
    ] {
        let bench = with_gh(&answer);
        bench.write("c.md", MARKED);
        let output = action(&bench, "comment.sh", &["c.md"], &[("GITHUB_EVENT_PATH", &event(&bench, "o/r"))]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(asked(&bench).lines().last(), Some(wanted));
    }
    // If the script cannot write a comment, it does not call `gh`.
    let bench = with_gh("[]");
    bench.write("c.md", MARKED);
    let forked = event(&bench, "fork/r");
    let push = bench.write("push", r#"{"ref":"refs/heads/main"}"#);
    for (file, event) in [("c.md", forked.as_str()), ("c.md", &push), ("c.md", "none"), ("missing.md", &forked)] {
        let output = action(&bench, "comment.sh", &[file], &[("GITHUB_EVENT_PATH", event)]);
        assert!(output.code == Some(0) && !output.stderr.is_empty(), "{file}, {event}: {output:?}");
    }
    assert_eq!(asked(&bench), "");
    bench.write("c.md", "no marker\n");
    assert_eq!(action(&bench, "comment.sh", &["c.md"], &[("GITHUB_EVENT_PATH", &forked)]).code, Some(104));
}

#[test]
fn the_action_names_scripts_and_inputs_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/action");
    let text = std::fs::read_to_string(folder.join("action.yml")).expect("the action");
    let run = std::fs::read_to_string(folder.join("run.sh")).expect("its script");
    for script in text.split("$GITHUB_ACTION_PATH/").skip(1).map(|rest| rest.split('"').next().expect("a name")) {
        assert!(folder.join(script).is_file(), "{script}");
    }
    let declared: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':')).collect();
    for used in text.split("${{ ").skip(1).filter_map(|rest| rest.strip_prefix("inputs.")?.split([' ', '}']).next()) {
        assert!(declared.contains(&used), "{used} in {declared:?}");
    }
    for name in run.split("INPUT_").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_uppercase()).next()) {
        assert!(text.contains(&format!("INPUT_{name}: ")), "INPUT_{name} is not set");
    }
}
