//! Saved results: merging shards, comparing builds and printing old runs. Invalid results are
//! refused.

mod support;

use llmsim_blast::commands;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{self, Write};
use support::{Behaviour, Bench, Misbehaving, SOON, blast, blast_with, check, document, start};

/// Six VUs share 60 streamed requests, which a good server answers quickly.
const PROFILE: &str = "executor = \"shared-iterations\"\nvus = 6\niterations = 60\n[[requests]]\nname = \"chat\"\n\
     api = \"openai-chat\"\nstream = true\n[thresholds]\nhttp_req_failed = [\"rate<0.01\"]\nhttp_req_duration = [\"p(95)<20s\"]\n";

fn ran(bench: &Bench, url: &str, name: &str, more: &[&str]) -> String {
    let profile = bench.write("p.toml", PROFILE);
    let file = bench.path(name);
    let output = blast(&[&[profile.as_str(), "--target-url", url, "--output", &file, "--quiet"][..], more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    document(&file);
    file
}

/// A pipe whose reader has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes an altered JSON result with a valid digest, as if it had been measured like this.
fn altered(bench: &Bench, file: &str, name: &str, change: impl Fn(&mut Value)) -> String {
    let mut value = document(file);
    change(&mut value);
    llmsim_blast::document::seal(&mut value);
    bench.write(name, &value.to_string())
}

/// Writes an altered JSON result without updating its digest.
fn edited(bench: &Bench, file: &str, name: &str, change: impl Fn(&mut Value)) -> String {
    let mut value = document(file);
    change(&mut value);
    bench.write(name, &value.to_string())
}

/// Returns the counts that do not depend on the speed of the machine.
fn counts(result: &Value) -> Value {
    let metrics = &result["metrics"];
    let count = |name: &str| metrics[name]["count"].clone();
    json!({
        "http_reqs": count("http_reqs"),
        "tokens_output": count("tokens_output"),
        "token_events": count("token_events"),
        "data_sent": count("data_sent"),
        // First tokens whose time is unknown are counted separately.
        "ttft": count("ttft").as_u64().unwrap_or(0) + count("ttft_censored").as_u64().unwrap_or(0),
        "durations": count("http_req_duration"),
        "failed": metrics["http_req_failed"]["matches"],
        "failures": result["failures"],
    })
}

#[test]
fn two_shards_merged_are_the_run_of_one() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let url = server.url();
    let one = ran(&bench, &url, "one.json", &[]);
    let whole = server.posts();
    let (a, b) = (ran(&bench, &url, "a.json", &["--shard", "0/2"]), ran(&bench, &url, "b.json", &["--shard", "1/2"]));
    // The same requests were sent, by one process or by two shards.
    let mut shards = server.posts().split_off(whole.len());
    let mut whole = whole;
    whole.sort();
    shards.sort();
    assert_eq!(whole, shards);

    let (merged, xml) = (bench.path("m.json"), bench.path("m.xml"));
    let output = blast(&["merge", &b, &a, "--output", &merged, "--junit", &xml]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("PASS ✓  p: 2 of 2 thresholds held"), "{output:?}");
    let merged = document(&merged);
    assert_eq!(counts(&merged), counts(&document(&one)));
    assert_eq!((&merged["thresholds"][1]["samples"], &document(&a)["thresholds"]), (&json!(60), &json!([])));
    assert_eq!(merged["run"]["merged_from"].as_array().map(Vec::len), Some(2));
    assert!(std::fs::read_to_string(xml).unwrap().contains("tests=\"2\" failures=\"0\""));

    // A part of a test can be merged only with --allow-missing, and cannot be compared.
    let refused = blast(&["merge", &a]);
    assert_eq!(refused.code, Some(110), "{refused:?}");
    assert!(refused.stderr.contains("missing shards: 1 (of 0 to 1)"), "{refused:?}");
    let doubled = blast(&["merge", &a, &a]);
    assert!(doubled.code == Some(110) && doubled.stderr.contains("shard 0 is in"), "{doubled:?}");
    let whole = blast(&["merge", &one, &a]);
    assert!(whole.code == Some(110) && whole.stderr.contains("it is not a shard of a test"), "{whole:?}");
    let part = bench.path("part.json");
    let partial = blast(&["merge", &a, "--allow-missing", "--output", &part]);
    assert!(partial.code == Some(0) && partial.stdout.starts_with("PARTIAL"), "{partial:?}");
    let refused = blast(&["compare", &one, &part]);
    assert!(refused.code == Some(110) && refused.stderr.contains("shards are missing"), "{refused:?}");
    // A changed plan is not the plan that was run.
    let strict = |value: &mut Value| {
        value["plan"]["thresholds"]["http_req_duration"][0]["threshold"] = json!("p(95)<0.001");
    };
    let changed = blast(&["merge", &edited(&bench, &a, "sa.json", strict), &b]);
    assert!(changed.code == Some(110) && changed.stderr.contains("digest: it does not fit"), "{changed:?}");
    // If thresholds fail for the whole test, the exit code is 99.
    let profile = bench.write("strict.toml", &PROFILE.replace("p(95)<20s", "p(95)<0.001"));
    let shards = ["0/2", "1/2"].map(|shard| {
        let file = bench.path(&format!("strict-{}.json", &shard[..1]));
        let output = blast(&[&profile, "--target-url", &url, "--shard", shard, "--output", &file, "--quiet"]);
        assert_eq!(output.code, Some(0), "a shard is not judged: {output:?}");
        file
    });
    assert_eq!(blast(&["merge", &shards[0], &shards[1]]).code, Some(99));
}

#[test]
fn all_shards_begin_at_one_instant_or_not_at_all() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let (profile, url) = (bench.write("p.toml", PROFILE), server.url());
    let at = |at: &str| start(&[&profile, "--target-url", &url, "--shard", "0/2", "--start-at", at], &[]);
    let late = at("2020-02-02T20:20:20Z").finish(SOON);
    assert_eq!(late.code, Some(110), "{late:?}");
    assert!(late.stderr.contains("--start-at 2020-02-02T20:20:20Z: that was "), "{late:?}");
    let early = at("2100-01-01T00:00:00Z");
    early.wait_for_stderr("starting at 2100-01-01T00:00:00Z", SOON);
    early.signal(Signal::SIGINT);
    let early = early.finish(SOON);
    assert_eq!(early.code, Some(105), "{early:?}");
    assert!(server.posts().is_empty(), "nothing was sent");
}

#[test]
fn a_shard_is_refused_what_only_the_whole_can_do() {
    let bench = Bench::new();
    let profile = bench
        .write("p.toml", &PROFILE.replace("[\"rate<0.01\"]", "[{ threshold = \"rate<0.01\", abort_on_fail = true }]"));
    for (args, words) in [
        (&["--shard", "0/2"][..], "--abort-scope shard"),
        (&["--shard", "0/7", "--abort-scope", "shard"], "at most 6"),
        (&["--shard", "0/2", "--abort-scope", "shard", "--junit", "x.xml"], "merge"),
        (&["--shard", "0/2", "--abort-scope", "shard", "--chaos"], "--chaos"),
    ] {
        let output = blast(&[&[profile.as_str()], args].concat());
        assert_eq!(output.code, Some(104), "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
    }
    assert_eq!(blast(&[&profile, "--shard", "2/2"]).code, Some(2));
}

#[test]
fn an_old_run_is_printed_again() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let profile = bench.write("p.toml", PROFILE);
    let file = bench.path("r.json");
    let then = blast(&[&profile, "--target-url", &server.url(), "--output", &file]);
    let now = blast(&["report", &file, "--details"]);
    assert_eq!((now.code, &now.stdout), (Some(0), &then.stdout));
    let brief = blast(&["report", &file]);
    assert!(brief.stdout.contains("more: --details") && !then.stdout.contains("more: --details"), "{brief:?}");
    assert!(brief.stdout.lines().count() < then.stdout.lines().count(), "{brief:?}");

    let csv = blast(&["report", &file, "--csv"]).stdout;
    assert_eq!(csv.lines().count(), document(&file)["series"].as_array().unwrap().len() + 1, "{csv}");
    let log = blast(&["report", &file, "--hgrm"]).stdout;
    assert!(log.starts_with("#[llmsim-blast") && log.contains("\nTag=ttft,0.000,1.000,"), "{log}");
    let flat: Value = serde_json::from_str(&blast(&["report", &file, "--compat", "vllm"]).stdout).unwrap();
    assert_eq!((&flat["completed"], flat["p99_ttft_ms"].is_number()), (&json!(60), true));
    assert_eq!(blast(&["report", &file, "--csv", "--hgrm"]).code, Some(2));
}

/// Requests of warm-up and cooldown appear in the seconds, but in no metric. The reader must accept
/// both.
#[test]
fn results_with_a_warm_up_are_read_compared_and_merged() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let timed =
        PROFILE.replace("\"shared-iterations\"", "\"constant-vus\"").replace("iterations = 60", "duration = \"1s\"");
    let (profile, url) = (bench.write("timed.toml", &timed), server.url());
    let ran = |name: &str, more: &[&str]| {
        let file = bench.path(name);
        let fixed =
            [&profile, "--target-url", &url, "--warmup", "400ms", "--cooldown", "200ms", "--quiet", "--output", &file];
        let output = blast(&[&fixed[..], more].concat());
        assert_eq!(output.code, Some(0), "{output:?}");
        file
    };
    let runs = ["a", "b", "c", "d", "e", "f"].map(|name| ran(name, &[]));
    let outside = &document(&runs[0])["outside"];
    assert!(outside["http_reqs"].as_u64() > Some(0), "{outside}");
    assert_eq!(blast(&["report", &runs[0]]).code, Some(0));
    let files = runs.each_ref().map(String::as_str);
    let (base, head) = files.split_at(3);
    let compared = blast(&[&["compare", "--base"], base, &["--head"], head].concat());
    assert_eq!(compared.code, Some(0), "{compared:?}");
    assert_eq!(blast(&[&["noise"], base].concat()).code, Some(0));
    let shards = ["0/2", "1/2"].map(|shard| ran(&shard[..1], &["--shard", shard]));
    let merged = bench.path("merged.json");
    let output = blast(&["merge", &shards[0], &shards[1], "--output", &merged]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(blast(&["report", &merged]).code, Some(0));
}

#[test]
fn what_is_no_result_is_refused_with_file_and_field() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let good = ran(&bench, &server.url(), "good.json", &[]);
    let text = std::fs::read_to_string(&good).unwrap();
    let cases = [
        (bench.write("empty", ""), "it is empty"),
        (bench.write("cut", &text[..text.len() / 2]), "ends in the middle"),
        (bench.write("html", "<html>"), "not JSON"),
        (bench.write("nan", &text.replacen("\"avg\": ", "\"avg\": NaN, \"x\": ", 1)), "not JSON"),
        (bench.write("k6", "{\"metrics\": {}}"), "not a result of this tool"),
        (bench.write("newer", "{\"schema\": \"llmsim-blast.run/7\"}"), "newer version"),
        (edited(&bench, &good, "p99", |v| v["metrics"]["ttft"]["p99"] = json!(0.5)), "digest: it does not fit"),
        (edited(&bench, &good, "tag", |v| v["run"]["tags"]["night"] = json!("7")), "digest: it does not fit"),
        (altered(&bench, &good, "type", |v| v["run"]["seed"] = json!("one")), "run.seed"),
        (
            altered(&bench, &good, "histogram", |v| v["metrics"]["ttft"]["histogram"] = json!("HISTFAAAAB")),
            "metrics.ttft.histogram",
        ),
        (bench.path("missing"), "cannot read it"),
        (bench.path(""), "cannot read it"),
    ];
    for (file, words) in &cases {
        for args in [&["report", file][..], &["merge", file], &["compare", &good, file], &["noise", &good, file, &good]]
        {
            let output = blast(args);
            assert_eq!(output.code, Some(110), "{args:?}: {output:?}");
            assert!(output.stderr.contains(words) && output.stderr.contains(file.as_str()), "{args:?}: {output:?}");
            assert!(!output.stderr.contains("panicked"), "{output:?}");
        }
    }
}

/// The same values in another format are not an edit.
#[test]
fn a_result_that_went_through_a_formatter_is_read() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let file = ran(&bench, &server.url(), "r.json", &[]);
    // As jq writes it: whole numbers without a fraction, and other white space.
    let text = std::fs::read_to_string(&file).unwrap().replace(".0,", ",").replace(".0\n", "\n").replace("  ", "\t");
    assert_ne!(text, std::fs::read_to_string(&file).unwrap());
    let (then, now) = (blast(&["report", &file]), blast(&["report", &bench.write("j.json", &text)]));
    assert_eq!((now.code, now.stdout), (Some(0), then.stdout), "{}", now.stderr);
    // Results of earlier builds have no digest, so the fields that it protects may be missing.
    let old = |v: &mut Value| {
        for field in ["digest", "verdict", "exit_code", "reasons"] {
            v.as_object_mut().unwrap().remove(field);
        }
    };
    let old = blast(&["report", &edited(&bench, &file, "old.json", old)]);
    assert_eq!(old.code, Some(0), "{old:?}");
}

#[test]
fn builds_are_compared_and_gates_decide_the_exit_code() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let url = server.url();
    let run = |name: &str| ran(&bench, &url, name, &[]);
    let (base, head) = (["b1", "b2", "b3"].map(run), ["h1", "h2", "h3"].map(run));
    let sides: Vec<&str> = ["compare", "--base"]
        .into_iter()
        .chain(base.iter().map(String::as_str))
        .chain(["--head"])
        .chain(head.iter().map(String::as_str))
        .collect();
    let with = |more: &[&str]| blast(&[&sides[..], more].concat());

    let (json, md, xml, summary) =
        (bench.path("c.json"), bench.path("c.md"), bench.path("c.xml"), bench.path("summary"));
    let args = ["--fail-on", "error_rate>0.5pp", "--output", &json, "--md", &md, "--junit", &xml, "--github", "auto"];
    let output = blast_with(&[&sides[..], &args].concat(), &[("GITHUB_STEP_SUMMARY", &summary)], SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("PASSED  compare: 1 of 1 gate held (3 + 3 runs)"), "{output:?}");
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{output:?}");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    check(&json);
    assert_eq!((&json["verdict"], &json["method"]), (&json!("passed"), &json!("full-separation")));
    for file in [&md, &summary] {
        assert!(std::fs::read_to_string(file).unwrap().starts_with("<!-- llmsim-blast:compare -->"));
    }
    assert!(std::fs::read_to_string(xml).unwrap().contains("error_rate&gt;0.5pp"));

    // Runs that became a hundred times slower, whatever this machine does at the same time.
    let slow = head.each_ref().map(|file| {
        altered(&bench, file, &format!("slow-{}", file.rsplit('/').next().unwrap()), |v| {
            for rate in ["/metrics/http_reqs", "/requests/chat/http_reqs"] {
                let counter = v.pointer_mut(rate).unwrap();
                counter["in_window"] = json!(1);
                counter["rate"] = json!(1.0 / 1e9);
            }
            v["run"]["window_s"] = json!(1e9);
            for kind in ["metrics", "requests"] {
                let groups = if kind == "metrics" { vec!["/metrics"] } else { vec!["/requests/chat"] };
                for group in groups {
                    for (_, counter) in v.pointer_mut(group).unwrap().as_object_mut().unwrap() {
                        if let Some(in_window) = counter.get("in_window").and_then(Value::as_u64) {
                            counter["rate"] = json!(in_window as f64 / 1e9);
                        }
                    }
                }
            }
        })
    });
    let slow: Vec<&str> = sides[..5].iter().copied().chain(["--head"]).chain(slow.iter().map(String::as_str)).collect();
    let output = blast(&[&slow[..], &["--fail-on", "throughput<-50%"]].concat());
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.starts_with("REGRESSED  compare: 1 of 1 gate failed"), "{output:?}");
    // A reader of the first line only has closed the pipe. The gate still fails, and the files are
    // written.
    let kept = bench.path("kept.json");
    let arguments = [&["llmsim-blast"], &slow[..], &["--fail-on", "throughput<-50%", "--output", &kept]].concat();
    let class = commands::main(
        arguments.iter().map(OsString::from),
        &commands::Environment::default(),
        &mut Closed,
        &mut Vec::new(),
    );
    assert_eq!(class, llmsim_blast::exit::ExitClass::ThresholdFailed);
    assert!(std::fs::read_to_string(kept).unwrap().contains("regressed"));

    // One run per side is indicative. Runs that cannot be compared, and unknown flags, are refused.
    let pair = blast(&["compare", &base[0], &head[0], "--fail-on", "throughput<-1%"]);
    assert!(pair.code == Some(0) && pair.stdout.starts_with("INDICATIVE"), "{pair:?}");
    // If there is nothing to compare, the result is not indicative, either.
    let few = blast(&["compare", &base[0], &head[0], "--fail-on", "ttft.p99>5%"]);
    assert!(few.code == Some(110) && few.stdout.starts_with("INCOMPLETE"), "{few:?}");
    let same = blast(&["compare", &base[0], &base[0]]);
    assert!(same.code == Some(110) && same.stderr.contains("the same run"), "{same:?}");
    let other = altered(&bench, &head[0], "other", |v| v["plan"]["hash"] = json!("x"));
    let refused = blast(&["compare", &base[0], &other]);
    assert!(refused.code == Some(110) && refused.stderr.contains("plan.hash"), "{refused:?}");
    let few = with(&["--fail-on", "ttft.p99>5%"]);
    assert!(few.code == Some(110) && few.stdout.contains(" samples, and 1000 are needed"), "{few:?}");
    for args in [&["--fail-on", "ttft.p99>5"][..], &["--alpha", "2"], &["--noise-floor", "2"], &["--github", "maybe"]] {
        let output = with(args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
    }
    assert_eq!(blast(&["compare", &base[0]]).code, Some(2));
}

#[test]
fn noise_is_measured_once_and_used_as_a_floor() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let url = server.url();
    let runs = ["a1", "a2", "a3", "a4"].map(|name| ran(&bench, &url, name, &[]));
    let file = bench.path("noise.json");
    let output = blast(&["noise", &runs[0], &runs[1], &runs[2], "--output", &file]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("3 runs of one build differ by"), "{output:?}");
    assert_eq!(document(&file)["runs"], 3);
    let used = blast(&["compare", &runs[0], &runs[3], "--noise", &file]);
    assert_eq!(used.code, Some(0), "{used:?}");
    // Runs of two builds differ by more than noise.
    let newer = altered(&bench, &runs[1], "newer.json", |run| run["target"]["server"]["version"] = json!("9.9.9"));
    let two = blast(&["noise", &runs[0], &newer, &runs[2]]);
    assert!(
        two.code == Some(110) && two.stderr.contains("noise is the difference between runs of one build"),
        "{two:?}"
    );
    let other = altered(&bench, &file, "other.json", |noise| noise["workload"] = json!("x"));
    let louder = edited(&bench, &file, "louder.json", |noise| noise["fingerprint"] = json!("x"));
    for (noise, words) in [
        (&other, "workload: it is x"),
        (&louder, "digest: it does not fit"),
        (&runs[0], "not a noise file"),
        (&bench.path("none"), "cannot read"),
    ] {
        let refused = blast(&["compare", &runs[0], &runs[3], "--noise", noise]);
        assert!(refused.code == Some(110) && refused.stderr.contains(words), "{refused:?}");
    }
    let few = blast(&["noise", &runs[0], &runs[1]]);
    assert!(few.code == Some(110) && few.stderr.contains("2 runs: expected at least 3"), "{few:?}");
}

#[test]
fn a_file_that_is_lost_takes_no_summary_of_a_comparison_away() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let [base, head] = ["b", "h"].map(|name| ran(&bench, &server.url(), name, &[]));
    let summary = bench.path("s.md");
    let args = ["compare", &base, &head, "--junit", "/dev/full", "--github", "auto"];
    let output = blast_with(&args, &[("GITHUB_STEP_SUMMARY", &summary)], SOON);
    assert_eq!(output.code, Some(109), "{output:?}");
    assert!(std::fs::read_to_string(&summary).unwrap().starts_with("<!-- llmsim-blast:compare -->"));
}

#[test]
fn ci_is_told_of_a_run() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let (profile, xml, summary) =
        (bench.write("p.toml", &PROFILE.replace("<20s", "<0.001")), bench.path("r.xml"), bench.path("s.md"));
    let args = [&profile, "--target-url", &server.url(), "--junit", &xml, "--github", "auto"];
    let output = blast_with(&args, &[("GITHUB_STEP_SUMMARY", &summary)], SOON);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.contains("\n::error title=http_req_duration%3A p(95)<0.001::measured "), "{output:?}");
    assert!(std::fs::read_to_string(&xml).unwrap().contains("tests=\"2\" failures=\"1\""));
    assert!(std::fs::read_to_string(&summary).unwrap().starts_with("### llmsim-blast p: ❌ failed"));
    // A summary that cannot be written does not change the outcome.
    let output = blast_with(&args, &[("GITHUB_STEP_SUMMARY", &bench.path(""))], SOON);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.contains("\n::error title=") && output.stderr.contains("GITHUB_STEP_SUMMARY "), "{output:?}");
    // Outside GitHub Actions nothing is printed.
    let output = blast(&[&profile, "--target-url", &server.url(), "--github", "auto"]);
    assert!(!output.stdout.contains("::error"), "{output:?}");
    assert_eq!(blast(&[&profile, "--github", "always"]).code, Some(2));
}

/// The embedded simulator and two shards at the same time.
#[cfg(feature = "embedded")]
#[test]
fn shards_that_run_side_by_side_add_up_to_the_plan() {
    let (bench, server) = (Bench::new(), support::Embedded::start("[latency]\nprofile = \"instant\"\n"));
    let url = server.url();
    let profile = bench.write("p.toml", PROFILE);
    let shards = ["0/2", "1/2"].map(|shard| {
        let file = bench.path(&format!("{}.json", &shard[..1]));
        let mut tool = support::tool();
        tool.args([profile.as_str(), "--target-url", &url, "--shard", shard, "--output", &file, "--quiet"]);
        (tool.stdout(std::process::Stdio::null()).spawn().expect("the tool"), file)
    });
    let files = shards.map(|(mut child, file)| {
        assert!(child.wait().expect("it ends").success());
        file
    });
    let merged = bench.path("m.json");
    let output = blast(&["merge", &files[0], &files[1], "--output", &merged]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let merged = document(&merged);
    let counts = counts(&merged);
    assert_eq!((&counts["http_reqs"], &counts["ttft"]), (&json!(60), &json!(60)));
    assert_eq!(merged["failures"]["statuses"]["200"], 60);
}
