//! The change for llmsim in `scripts/llmsim`, applied to an invented checkout. Its scripts are run
//! with the built binary.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::{Bench, tool};

/// Runs a program without the variables that configure the tool.
fn run(program: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    for (name, value) in tool().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(args).envs(env.iter().copied()).stdin(Stdio::null()).output().expect("a program")
}

fn apply(dir: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/llmsim/apply.sh");
    run(script.to_str().expect("a plain path"), &[dir], &[])
}

/// Creates a checkout with a k6 suite, and applies the change to it.
fn changed(of_06: bool) -> (Bench, String) {
    let bench = Bench::new();
    let dir = bench.path("llmsim");
    let folders = ["benchmarks/k6", "benchmarks/config", if of_06 { "knowledge/performance" } else { "specs" }];
    for folder in folders {
        std::fs::create_dir_all(format!("{dir}/{folder}")).expect("a folder");
    }
    for (file, text) in [
        ("Cargo.toml", "[package]\nname = \"llmsim\"\n"),
        ("justfile", "smoke-all:\n    true\n\nbench:\n    true\n"),
        ("AGENTS.md", "- load tests using k6\n"),
        ("benchmarks/k6/config.js", "export const PROFILES = {};\n"),
        ("benchmarks/config/benchmark.toml", "[latency]\nprofile = \"instant\"\n"),
        ("benchmarks/config/chaos.toml", "[errors]\nrate_limit_rate = 1.0\n"),
    ] {
        std::fs::write(format!("{dir}/{file}"), text).expect("a file");
    }
    let output = apply(&dir);
    assert!(output.status.success(), "{output:?}");
    (bench, dir)
}

fn read(dir: &str, file: &str) -> String {
    std::fs::read_to_string(format!("{dir}/{file}")).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn k6_is_gone_and_a_second_call_changes_nothing() {
    for (of_06, page) in [(true, "knowledge/performance/load-testing.md"), (false, "specs/load-testing.md")] {
        let (_bench, dir) = changed(of_06);
        assert!(!Path::new(&dir).join("benchmarks/k6").exists());
        for requirement in ["R1", "R2", "R3", "R4", "R5", "R6"] {
            assert!(read(&dir, page).contains(&format!("### {requirement}: ")), "{requirement}");
        }
        let justfile = read(&dir, "justfile");
        for (recipe, times) in
            [("\nsmoke *ARGS:", 1), ("\nthroughput *ARGS:", 1), ("\nbench *ARGS:", 0), ("\nbench:", 1)]
        {
            assert_eq!(justfile.matches(recipe).count(), times, "{recipe}: {justfile}");
        }
        assert_eq!(read(&dir, "AGENTS.md"), "- load tests with llmsim-blast\n");
        for file in ["benchmarks/README.md", ".claude/skills/load-test/SKILL.md"] {
            assert!(read(&dir, file).contains(page), "{file}");
        }
        for script in ["run-benchmark.sh", "smoke-test.sh", "throughput.sh", "compare-baseline.sh", "lib/install.sh"] {
            let file = Path::new(&dir).join("benchmarks").join(script);
            assert_eq!(file.metadata().expect(script).permissions().mode() & 0o111, 0o111, "{script}");
        }
        assert!(apply(&dir).status.success());
        assert_eq!(read(&dir, "justfile"), justfile);
    }
    let bench = Bench::new();
    assert_eq!(apply(&bench.path("none")).status.code(), Some(104));
}

/// Writes a stand-in for llmsim-blast that prints its arguments.
fn printing(bench: &Bench) -> String {
    bench.script("blast", r#"printf '%s\n' "$*""#)
}

#[test]
fn the_old_options_mean_the_same() {
    let (bench, dir) = changed(true);
    let bin = printing(&bench);
    let said = |script: &str, args: &[&str], env: &[(&str, &str)]| {
        let output =
            run(&format!("{dir}/benchmarks/{script}"), args, &[&[("LLMSIM_BLAST_BIN", bin.as_str())], env].concat());
        let text = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), text.trim().replace(&dir, "CHECKOUT"))
    };
    let started = "--server-src CHECKOUT --server-config CHECKOUT/benchmarks/config";
    let (remote, own) = ([("K6_TARGET_URL", "http://127.0.0.1:1")], [("LLMSIM_BLAST_SERVER_BIN", "llmsim")]);
    for (script, args, env, wanted) in [
        ("run-benchmark.sh", &[][..], &[][..], format!("smoke --port 8888 {started}/benchmark.toml")),
        ("run-benchmark.sh", &["load", "--port", "9"], &[], format!("load --port 9 {started}/benchmark.toml")),
        (
            "run-benchmark.sh",
            &["load", "--port", "9", "--chaos", "--vus", "5"],
            &own,
            "load --vus 5 --port 9 --server-config CHECKOUT/benchmarks/config/chaos.toml".to_owned(),
        ),
        (
            "run-benchmark.sh",
            &["--config", "my.toml", "--output", "o p.json", "spike", "--", "--quiet"],
            &own,
            "spike --output o p.json --port 8888 --server-config my.toml --quiet".to_owned(),
        ),
        (
            "run-benchmark.sh",
            &["stress", "--no-server", "--port", "9"],
            &[],
            "stress --target-url http://127.0.0.1:9 --no-server".to_owned(),
        ),
        ("run-benchmark.sh", &["stress"], &remote, "stress --no-server".to_owned()),
        (
            "run-benchmark.sh",
            &["throughput", "--workers", "1,2", "--concurrency", "16"],
            &own,
            "throughput --server-workers 1,2 --concurrency 16 --port 8899".to_owned(),
        ),
        ("throughput.sh", &["--duration", "1s"], &own, "throughput --duration 1s --port 8899".to_owned()),
        (
            "smoke-test.sh",
            &["--quick"],
            &own,
            "quick-smoke --port 8889 --server-config CHECKOUT/benchmarks/config/benchmark.toml".to_owned(),
        ),
        (
            "smoke-test.sh",
            &["--no-server", "--port", "7"],
            &[],
            "smoke --target-url http://127.0.0.1:7 --no-server".to_owned(),
        ),
        ("smoke-test.sh", &[], &remote, "smoke --no-server".to_owned()),
    ] {
        assert_eq!(said(script, args, env), (Some(0), wanted), "{script} {args:?}");
    }
    for (args, env) in [
        (&["lode"][..], &[][..]),
        (&["--port"], &[]),
        (&["--chaos", "--no-server"], &[]),
        (&["throughput", "--chaos"], &[]),
        (&["--port", "9"], &remote),
        (&[], &[("LLMSIM_BLAST_BIN", "/nonexistent")]),
    ] {
        assert_eq!(said("run-benchmark.sh", args, env).0, Some(104), "{args:?}");
    }
}

#[test]
fn a_baseline_of_each_kind_has_runs_and_gates_of_its_own() {
    let (bench, dir) = changed(true);
    // A stand-in that writes a result for --output and reports a failed gate.
    let bin = bench.script(
        "blast",
        r#"printf '%s\n' "$*" >> "$CALLS"
[ "$1" != compare ] || exit 99
while [ "$1" != --output ]; do shift; done
echo "{}" > "$2""#,
    );
    let (calls, work) = (bench.path("calls"), bench.path("work"));
    let env = [("LLMSIM_BLAST_BIN", bin.as_str()), ("LLMSIM_BLAST_SERVER_BIN", "llmsim"), ("CALLS", &calls)];
    let call = |args: &[&str]| {
        let _ = std::fs::remove_file(&calls);
        let script = format!("{dir}/benchmarks/compare-baseline.sh");
        let output = run(&script, &[args, &["--work", &work]].concat(), &env);
        let said = std::fs::read_to_string(&calls).unwrap_or_default();
        (output.status.code(), said.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    for (kind, port, options, runs, gates) in [
        ("load", "8888", "--duration 60s", 5, ["throughput<-30%", "ttft.p95>30%"]),
        ("throughput", "8899", "--duration 10s", 3, ["requests_per_s<-30%", "tokens_per_s<-30%"]),
    ] {
        // A baseline of the other kind does not count.
        let (code, said) = call(&[kind]);
        assert_eq!((code, said.len()), (Some(0), runs), "{kind}: {said:?}");
        assert!(said[0].starts_with(&format!("{kind} --output {work}/{kind}-1.json --port {port} ")), "{said:?}");
        assert!(said[0].ends_with(&format!(" --quiet {options}")), "{said:?}");
        assert_eq!(call(&[kind, "--update"]).0, Some(0));
        let (code, said) = call(&[kind, "--runs", "4"]);
        assert_eq!((code, said.len()), (Some(99), 5), "{kind}: {said:?}");
        let compared = said.last().expect("a call");
        for gate in gates {
            assert!(compared.contains(&format!("--fail-on {gate}")), "{compared}");
        }
        let (base, head) =
            compared.split_once(" --base ").and_then(|(_, sides)| sides.split_once(" --head ")).expect("sides");
        let of = format!("-cores/{kind}-");
        assert!(base.split(' ').count() == runs && base.split(' ').all(|file| file.contains(&of)), "{compared}");
        assert_eq!(head.split(' ').count(), 4, "{compared}");
    }
    for args in [&["soak"][..], &["throughput", "--runs", "2"], &["--port"]] {
        let script = format!("{dir}/benchmarks/compare-baseline.sh");
        assert_eq!(run(&script, args, &env).status.code(), Some(104), "{args:?}");
    }
}

/// The tool is built from a folder of sources by a stand-in for cargo.
#[test]
fn the_tool_is_built_from_sources_that_are_named() {
    let (bench, dir) = changed(true);
    std::fs::create_dir_all(bench.path("src/built/release")).expect("a folder");
    bench.write("src/Cargo.toml", "");
    bench.script(
        "cargo",
        r#"printf '#!/bin/sh\necho built "$@"\n' > built/release/llmsim-blast && chmod +x built/release/llmsim-blast"#,
    );
    let path = format!("{}:{}", bench.path(""), std::env::var("PATH").expect("a PATH"));
    let env = [("PATH", path.as_str()), ("LLMSIM_BLAST_SRC", &bench.path("src")), ("CARGO_TARGET_DIR", "built")];
    let output = run(&format!("{dir}/benchmarks/smoke-test.sh"), &["--no-server"], &env);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("built smoke --target-url"), "{output:?}");
    let output = run(&format!("{dir}/benchmarks/smoke-test.sh"), &[], &[("LLMSIM_BLAST_SRC", "/nonexistent")]);
    assert_eq!(output.status.code(), Some(104), "{output:?}");
}

#[cfg(feature = "embedded")]
mod real {
    use super::*;
    use support::{document, free_port};

    /// The binary can serve, too, so it stands in for a build of llmsim.
    const BIN: &str = env!("CARGO_BIN_EXE_llmsim-blast");

    #[test]
    fn the_smoke_test_checks_every_endpoint() {
        let (bench, dir) = changed(true);
        let (result, port) = (bench.path("r.json"), free_port().to_string());
        let env = [("LLMSIM_BLAST_BIN", BIN), ("LLMSIM_BLAST_SERVER_BIN", BIN)];
        let args = ["--port", &port, "--output", &result, "--", "--duration", "1s", "--quiet"];
        let output = run(&format!("{dir}/benchmarks/smoke-test.sh"), &args, &env);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let result = document(&result);
        let endpoints = result["endpoints"].as_array().expect("a list");
        assert!(endpoints.len() == 20 && endpoints.iter().all(|endpoint| endpoint["verdict"] == "ok"), "{endpoints:?}");
        // If every response is an injected error, there is nothing to judge.
        let args = ["quick-smoke", "--port", &port, "--chaos", "--", "--quiet"];
        assert_eq!(run(&format!("{dir}/benchmarks/run-benchmark.sh"), &args, &env).status.code(), Some(107));
    }

    #[test]
    fn a_baseline_is_stored_and_compared_with() {
        let (bench, dir) = changed(true);
        let (work, port) = (bench.path("work"), free_port().to_string());
        let env = [("LLMSIM_BLAST_BIN", BIN), ("LLMSIM_BLAST_SERVER_BIN", BIN)];
        let script = format!("{dir}/benchmarks/compare-baseline.sh");
        let call = |more: &[&str]| {
            let args =
                [&["--runs", "3", "--work", &work, "--port", &port], more, &["--", "--duration", "1s", "--vus", "2"]]
                    .concat();
            run(&script, &args, &env)
        };
        let none = call(&[]);
        assert!(none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no baseline"), "{none:?}");
        assert!(call(&["--update"]).status.success());
        // The verdict on such short runs is random, but there is one.
        let output = call(&[]);
        assert!(matches!(output.status.code(), Some(0 | 99 | 110)), "{output:?}");
        assert!(std::fs::read_to_string(bench.path("work/compare-load.md")).expect("a page").contains("3 + 3 runs"));
    }

    #[test]
    fn peaks_are_stored_and_compared_with() {
        let (bench, dir) = changed(true);
        let (work, port) = (bench.path("work"), free_port().to_string());
        let env = [("LLMSIM_BLAST_BIN", BIN), ("LLMSIM_BLAST_SERVER_BIN", BIN)];
        let script = format!("{dir}/benchmarks/compare-baseline.sh");
        let steps = ["--server-workers", "1", "--concurrency", "2", "--duration", "1s", "--warmup", "0s"];
        let call = |more: &[&str]| {
            let args = [&["throughput", "--work", &work, "--port", &port], more, &["--", "--max-p99", "off"], &steps];
            run(&script, &args.concat(), &env)
        };
        let stored = call(&["--update"]);
        assert!(stored.status.success(), "{stored:?}");
        // The verdict on such short steps is random, but there is one.
        let output = call(&[]);
        assert!(matches!(output.status.code(), Some(0 | 99 | 110)), "{output:?}");
        let page = std::fs::read_to_string(bench.path("work/compare-throughput.md")).expect("a page");
        assert!(page.contains("3 + 3 throughput results") && page.contains("requests_per_s"), "{page}");
    }
}
