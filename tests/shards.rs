//! Shards that meet: started together, ended together, one result. Real processes on the loopback,
//! against a server with constant responses.

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;
use support::{Behaviour, Bench, Misbehaving, Output, Running, SOON, blast, blast_with, document, free_port, start};

const REQUESTS: &str = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = true\n";
/// Ends by itself.
const SHORT: &str = "executor = \"per-vu-iterations\"\nvus = 8\niterations = 3\n";
/// Ends only when it is stopped.
const LONG: &str =
    "executor = \"constant-vus\"\nvus = 8\nduration = \"60s\"\nthink_time = \"20ms\"\ngraceful_stop = \"1s\"\n";

/// Shards of one test on one machine.
struct Test {
    bench: Bench,
    server: Misbehaving,
    profile: String,
    place: String,
}

impl Test {
    fn new(load: &str, rules: &str) -> Self {
        let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
        let profile = bench.write("p.toml", &format!("{load}{REQUESTS}{rules}"));
        let place = format!("127.0.0.1:{}", free_port());
        Self { bench, server, profile, place }
    }

    fn shard(&self, shard: u32, of: u32, more: &[&str]) -> Running {
        self.shard_by(|args| start(args, &[]), shard, of, more)
    }

    fn shard_by(&self, start: impl Fn(&[&str]) -> Running, shard: u32, of: u32, more: &[&str]) -> Running {
        let (which, url, file) = (format!("{shard}/{of}"), self.server.url(), self.bench.path("run.json"));
        let args = [&self.profile, "--target-url", &url, "--seed", "9", "--no-probe", "--shard", &which, "--output"];
        let meet = [file.as_str(), "--rendezvous", &self.place];
        start(&[&args[..], &meet, more].concat())
    }

    fn shards(&self, of: u32, more: &[&str]) -> Vec<Running> {
        (0..of).map(|shard| self.shard(shard, of, more)).collect()
    }

    /// The same, but shard 0 cannot write its own result until the returned pipe is read.
    fn held_up(self) -> (Self, std::fs::File) {
        let pipe = self.bench.path("run-0of2.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut held = std::fs::OpenOptions::new();
        let mut held = held.read(true).write(true).custom_flags(nonblocking).open(&pipe).expect("a pipe");
        while held.write(&[b'.'; 4096]).is_ok() {}
        (self, held)
    }

    /// Returns the result of one shard.
    fn of(&self, shard: u32, of: u32) -> Value {
        document(&self.bench.path(&format!("run-{shard}of{of}.json")))
    }

    fn whole(&self) -> Value {
        document(&self.bench.path("run.json"))
    }
}

fn codes(outputs: &[Output]) -> Vec<Option<i32>> {
    outputs.iter().map(|output| output.code).collect()
}

fn finish(shards: Vec<Running>, limit: Duration) -> Vec<Output> {
    shards.into_iter().map(|shard| shard.finish(limit)).collect()
}

/// Returns the counts that do not depend on the speed of the machine.
fn counts(result: &Value) -> Value {
    let metrics = &result["metrics"];
    json!({
        "requests": metrics["http_reqs"]["count"],
        "tokens": metrics["tokens_output"]["count"],
        "received": metrics["data_received"]["count"],
        "sent": metrics["data_sent"]["count"],
        "durations": metrics["http_req_duration"]["count"],
        "statuses": result["failures"]["statuses"],
        "verdict": result["verdict"],
        "thresholds": result["thresholds"].as_array().expect("a list").iter().map(|t| t["samples"].clone()).collect::<Vec<_>>(),
    })
}

#[test]
fn shards_that_meet_are_the_run_of_one() {
    let test = Test::new(SHORT, "[thresholds]\nhttp_req_failed = [\"rate<0.01\"]\n");
    let file = test.bench.path("one.json");
    let url = test.server.url();
    let args = [&test.profile, "--target-url", &url, "--seed", "9", "--no-probe", "--quiet", "--output", &file];
    assert_eq!(blast(&args).code, Some(0));
    let (one, mut bodies) = (document(&file), test.server.posts());
    bodies.sort();
    for of in [2, 3, 8] {
        let before = test.server.posts().len();
        let outputs = finish(test.shards(of, &["--quiet"]), SOON);
        assert!(outputs.iter().all(|output| output.code == Some(0)), "{outputs:?}");
        assert!(outputs[0].stdout.starts_with("PASS ✓  p: 1 of 1 threshold held"), "{outputs:?}");
        let mut sent = test.server.posts().split_off(before);
        sent.sort();
        assert_eq!(sent, bodies, "{of} shards send what one process sends");
        let whole = test.whole();
        assert_eq!(counts(&whole), counts(&one), "{of} shards");
        assert!(whole["run"]["merged_from"].as_array().is_some_and(|runs| runs.iter().all(|r| r["start"].is_object())));
        // A merge by hand gives the same bytes.
        let files: Vec<String> = (0..of).map(|i| test.bench.path(&format!("run-{i}of{of}.json"))).collect();
        let hand = test.bench.path("hand.json");
        let mut args = vec!["merge", "--output", &hand];
        args.extend(files.iter().map(String::as_str));
        assert_eq!(blast(&args).code, Some(0));
        let read = |path: &str| std::fs::read_to_string(path).expect("a result");
        assert_eq!(read(&hand), read(&test.bench.path("run.json")), "{of} shards");
    }
}

#[test]
fn a_threshold_of_the_whole_ends_all() {
    // Each shard has at most three of the eight VUs, so the sum reaches the bound before any shard.
    let rules = "[thresholds]\nhttp_reqs = [{ threshold = \"count<300\", abort_on_fail = true }]\n";
    let test = Test::new(LONG, rules);
    let outputs = finish(test.shards(3, &[]), SOON);
    assert_eq!(codes(&outputs), [Some(99); 3], "{outputs:?}");
    let whole = test.whole();
    assert_eq!(
        (&whole["run"]["stop_reason"], &whole["exit_code"]),
        (&json!("threshold http_reqs count<300"), &json!(99))
    );
    assert_eq!(whole["run"].get("shard"), None, "nothing is missing: {}", whole["run"]);
    for shard in 0..3 {
        assert_eq!(test.of(shard, 3)["run"]["stop_reason"], "threshold http_reqs count<300");
    }
    assert!(outputs[0].stderr.contains("3 shards started within"), "{outputs:?}");
}

/// Returns the shard and the value of a metric without kinds from a scraped page.
#[cfg(feature = "web")]
fn scraped(addr: &str, metric: &str) -> Option<(String, f64)> {
    let scrape = support::get(addr, "/metrics", &[]).body;
    let line = scrape.lines().find(|line| line.starts_with(&format!("{metric}{{")))?;
    let shard = line.split_once("shard=\"")?.1.split_once('"')?.0;
    Some((shard.to_owned(), line.rsplit_once(' ')?.1.parse().ok()?))
}

/// Each of the two shards has half of the eight VUs.
#[cfg(feature = "web")]
#[test]
fn the_page_of_shard_0_shows_all_shards() {
    let test = Test::new(LONG, "[thresholds]\nhttp_req_failed = [\"rate<0.01\"]\n");
    let pages = [free_port(), free_port()].map(|port| port.to_string());
    let shards: Vec<Running> = (0..2).map(|i| test.shard(i, 2, &["--web", &pages[i as usize]])).collect();
    running(&test, 2, &shards);
    let [zero, one] = pages.map(|port| format!("127.0.0.1:{port}"));
    support::eventually("all users are seen", || scraped(&zero, "llmsim_blast_vus") == Some(("all".to_owned(), 8.0)));
    support::eventually("its own are seen", || scraped(&one, "llmsim_blast_vus") == Some(("1".to_owned(), 4.0)));
    let ask = |addr: &str| serde_json::from_str::<Value>(&support::get(addr, "/api/v1/run", &[]).body).expect("JSON");
    // Ask twice: the second response must be newer than the first.
    let counts = [ask(&zero), ask(&zero)].map(|so_far| {
        let run = &so_far["run"];
        assert_eq!((&run["stop_reason"], run.get("shard")), (&json!("the run has not ended"), None), "{run}");
        assert_eq!(run["merged_from"].as_array().map(Vec::len), Some(2), "{run}");
        assert_eq!(so_far["metrics"]["vus"]["value"], 8);
        assert_eq!(so_far["thresholds"][0]["verdict"], "pass", "the whole is judged: {}", so_far["thresholds"]);
        assert!(so_far["series"].as_array().expect("seconds").iter().any(|second| second["vus"] == 8));
        so_far["metrics"]["http_reqs"]["count"].as_u64().expect("a count")
    });
    assert!(counts[0] > 0 && counts[0] < counts[1] && counts[1] <= test.server.posts().len() as u64, "{counts:?}");
    let own = ask(&one);
    assert_eq!((&own["run"]["shard"]["index"], &own["metrics"]["vus"]["value"]), (&json!(1), &json!(4)));
    shards[0].signal(Signal::SIGINT);
    assert_eq!(codes(&finish(shards, SOON)), [Some(105); 2]);
}

/// Waits until the load runs on all shards.
fn running(test: &Test, of: u32, shards: &[Running]) {
    shards[0].wait_for_stderr("shards started within", SOON);
    support::eventually("requests of all", || test.server.posts().len() > of as usize * 8);
}

#[test]
fn a_signal_to_one_ends_all_with_what_they_have() {
    for to in [0, 2] {
        let test = Test::new(LONG, "");
        let shards = test.shards(3, &[]);
        running(&test, 3, &shards);
        shards[to].signal(if to == 0 { Signal::SIGINT } else { Signal::SIGTERM });
        let outputs = finish(shards, SOON);
        assert_eq!(codes(&outputs), [Some(105); 3], "{outputs:?}");
        let whole = test.whole();
        let expected = (json!(format!("signal to shard {to}")), json!(true), json!("interrupted"));
        let run = &whole["run"];
        assert_eq!((run["stop_reason"].clone(), run["interrupted"].clone(), whole["verdict"].clone()), expected);
        let parts: u64 =
            (0..3).map(|i| test.of(i, 3)["metrics"]["http_reqs"]["count"].as_u64().expect("a count")).sum();
        assert_eq!(whole["metrics"]["http_reqs"]["count"].as_u64(), Some(parts), "partial, and whole");
    }
}

#[test]
fn a_shard_that_is_lost_ends_all() {
    for (signal, lost, words) in [
        (Signal::SIGKILL, 1, "its connection was closed"),
        (Signal::SIGSTOP, 1, "it was silent for 5s"),
        (Signal::SIGKILL, 0, "its connection was closed"),
        (Signal::SIGSTOP, 0, "it was silent for 5s"),
    ] {
        let test = Test::new(LONG, "");
        let mut shards = test.shards(3, &[]);
        running(&test, 3, &shards);
        shards[lost].signal(signal);
        let gone = shards.remove(lost);
        let outputs = finish(shards, SOON);
        assert!(outputs.iter().all(|output| output.code == Some(110)), "{signal} to {lost}: {outputs:?}");
        let reason = json!(format!("shard {lost} was lost: {words}"));
        for left in (0..3).filter(|shard| *shard != lost as u32) {
            let own = test.of(left, 3);
            assert_eq!((&own["run"]["stop_reason"], &own["verdict"]), (&reason, &json!("incomplete")));
            assert!(own["metrics"]["http_reqs"]["count"].as_u64().is_some_and(|n| n > 0));
        }
        if lost == 0 {
            assert!(outputs[0].stderr.contains("shard 0 was lost before the merged result was written"), "{outputs:?}");
        } else {
            let whole = test.whole();
            assert_eq!((&whole["run"]["stop_reason"], &whole["exit_code"]), (&reason, &json!(110)));
            assert_eq!(whole["run"]["shard"]["held"], json!([0, 2]));
            assert!(outputs[0].stderr.contains(&format!("missing: shard 1: {words}")), "{outputs:?}");
        }
        drop(gone);
    }
}

/// Messages about a lost shard have no effect on the run, least of all on its result.
#[test]
fn a_shard_that_nobody_listens_to_keeps_its_result() {
    for (unheard, lost) in [(0, 1), (1, 0)] {
        let test = Test::new(LONG, "");
        let shard = |i| {
            let start = |args: &[&str]| if i == unheard { support::start_unheard(args) } else { start(args, &[]) };
            test.shard_by(start, i, 2, &[])
        };
        let mut shards: Vec<Running> = (0..2).map(shard).collect();
        support::eventually("requests of both", || test.server.posts().len() > 40);
        let lost = shards.remove(lost);
        lost.signal(Signal::SIGKILL);
        let output = shards.remove(0).finish(SOON);
        assert_eq!(output.code, Some(110), "shard {unheard}: {output:?}");
        assert_eq!(test.of(unheard, 2)["verdict"], "incomplete");
        if unheard == 0 {
            assert_eq!(test.whole()["verdict"], "incomplete");
        }
        drop(lost);
    }
}

/// Shard 0 cannot write the merged result yet, and shard 1 waits for it.
#[test]
fn a_signal_after_the_load_is_no_success() {
    let test = Test::new(SHORT, "");
    let pipe = test.bench.path("run.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut held = std::fs::OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(&pipe).unwrap();
    while held.write(&[b'.'; 4096]).is_ok() {}
    let mut shards = test.shards(2, &["--quiet"]);
    shards[1].wait_for_stdout("THROUGHPUT", SOON);
    shards[1].signal(Signal::SIGTERM);
    support::eventually("shard 0 has written its result", || {
        while held.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
        shards[0].has_ended()
    });
    let outputs = finish(shards, SOON);
    assert_eq!(codes(&outputs), [Some(0), Some(105)], "{outputs:?}");
}

/// Before the load there is no result to keep. Every shard says why the test did not begin.
#[test]
fn a_shard_that_is_lost_before_the_start_ends_all() {
    for (signal, code) in [(Signal::SIGKILL, 110), (Signal::SIGTERM, 105), (Signal::SIGSTOP, 110)] {
        let test = Test::new(LONG, "");
        // The third shard does not come.
        let shards = [test.shard(0, 3, &[]), test.shard(1, 3, &[])];
        shards[0].wait_for_stderr("shard 1 is here", SOON);
        shards[1].signal(signal);
        let [zero, one] = shards;
        let output = zero.finish(SOON);
        assert_eq!(output.code, Some(code), "{signal}: {output:?}");
        for part in ["error: shard 1: ", "all shards have ended before the test began"] {
            assert!(output.stderr.contains(part), "{output:?}");
        }
        if signal == Signal::SIGTERM {
            assert_eq!(one.finish(SOON).code, Some(105));
        }
        assert_eq!(test.server.posts().len(), 0, "nothing was sent");
    }
}

/// While shard 1 waits, before the load and after it.
#[test]
fn shard_0_that_is_lost_ends_all_at_each_stage() {
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let test = Test::new(LONG, "");
        let (zero, one) = (test.shard(0, 3, &[]), test.shard(1, 3, &[]));
        zero.wait_for_stderr("shard 1 is here", SOON);
        zero.signal(signal);
        let output = one.finish(SOON);
        assert_eq!(output.code, Some(110), "{signal}: {output:?}");
        assert!(output.stderr.contains("error: shard 0: "), "{output:?}");
        drop(zero);

        let (test, _pipe) = Test::new(SHORT, "").held_up();
        let (zero, one) = (test.shard(0, 2, &["--quiet"]), test.shard(1, 2, &["--quiet"]));
        one.wait_for_stdout("THROUGHPUT", SOON);
        zero.signal(signal);
        let output = one.finish(SOON);
        assert_eq!(output.code, Some(110), "{signal}: {output:?}");
        assert!(output.stderr.contains("shard 0 was lost before the merged result was written"), "{output:?}");
        assert_eq!(test.of(1, 2)["verdict"], "shard", "its own result is whole");
        drop(zero);
    }
}

/// The load of shard 1 is over, but shard 0 has not yet asked for its result.
#[test]
fn a_shard_that_is_lost_with_its_result_is_missing() {
    for (signal, words) in [(Signal::SIGKILL, "its connection was closed"), (Signal::SIGSTOP, "it was silent for 5s")] {
        let (test, mut pipe) = Test::new(SHORT, "").held_up();
        let (mut zero, one) = (test.shard(0, 2, &[]), test.shard(1, 2, &[]));
        one.wait_for_stdout("THROUGHPUT", SOON);
        one.signal(signal);
        support::eventually("shard 0 has written its own result", || {
            while pipe.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
            zero.has_ended()
        });
        let output = zero.finish(SOON);
        assert_eq!(output.code, Some(110), "{signal}: {output:?}");
        assert!(output.stderr.contains(&format!("missing: shard 1: {words}")), "{output:?}");
        assert_eq!(test.whole()["run"]["shard"]["held"], json!([0]));
        drop(one);
    }
}

/// Replays the hello of a shard to a host that has sent another challenge.
#[test]
fn a_hello_that_was_overheard_opens_nothing() {
    let test = Test::new(SHORT, "");
    let key = test.bench.write("key", "0a1b2c3d4e5f6g7h8i9j");
    let keyed: &[&str] = &["--rendezvous-key-file", &key];
    let between = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = between.local_addr().expect("its address").to_string();
    let zero = test.shard(0, 2, keyed);
    zero.wait_for_stderr("waiting for the other shards", SOON);
    let elsewhere = |args: &[&str]| {
        let other = |arg: &&str| if *arg == test.place { place.clone() } else { (*arg).to_owned() };
        let args: Vec<String> = args.iter().map(other).collect();
        start(&args.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    };
    let one = test.shard_by(elsewhere, 1, 2, keyed);
    let (mut guest, _) = between.accept().expect("shard 1 comes");
    let mut host = TcpStream::connect(&test.place).expect("it listens");
    let message = |from: &mut TcpStream| {
        let mut head = [0; 5];
        from.read_exact(&mut head).expect("a head");
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut bytes = [&head[..], &vec![0; length]].concat();
        from.read_exact(&mut bytes[5..]).expect("a body");
        bytes
    };
    let challenge = message(&mut host);
    guest.write_all(&challenge).expect("sent");
    let hello = message(&mut guest);
    let mut other = TcpStream::connect(&test.place).expect("it listens");
    message(&mut other);
    other.write_all(&hello).expect("sent");
    let said = String::from_utf8(message(&mut other)[5..].to_vec()).expect("text");
    assert!(said.contains("refused") && said.contains("the key is not that of shard 0"), "{said}");
    drop((guest, host));
    // Shard 1 connects to the right address.
    drop(one);
    let outputs = [zero.finish_after(test.shard(1, 2, keyed))];
    assert_eq!(codes(&outputs), [Some(0)], "{outputs:?}");
}

#[test]
fn who_does_not_come_is_named() {
    let test = Test::new(SHORT, "");
    let output = test.shard(0, 3, &["--rendezvous-timeout", "1s"]).finish(SOON);
    assert_eq!(output.code, Some(110), "{output:?}");
    assert!(output.stderr.contains("not here within 1s: shards 1, 2 of 3; nothing was sent"), "{output:?}");
    let output = test.shard(1, 3, &["--rendezvous-timeout", "1s"]).finish(SOON);
    assert_eq!(output.code, Some(110), "{output:?}");
    assert!(output.stderr.contains(&format!("shard 0 could not be reached at {} within 1s", test.place)), "{output:?}");
}

/// Silence, garbage, a gigabyte, another key, another plan, a duplicate: the run goes on.
#[test]
fn strangers_are_refused_and_the_run_goes_on() {
    let test = Test::new(SHORT, "");
    let key = test.bench.write("key", "0a1b2c3d4e5f6g7h8i9j");
    let other = test.bench.write("other", "9z8y7x6w5v4u3t2s1r0q");
    let keyed: &[&str] = &["--rendezvous-key-file", &key];
    let zero = test.shard(0, 3, keyed);
    let one = test.shard(1, 3, keyed);
    zero.wait_for_stderr("shard 1 is here", SOON);
    let silent = TcpStream::connect(&test.place).expect("it listens");
    let mut garbage = TcpStream::connect(&test.place).expect("it listens");
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut said = Vec::new();
    let _ = garbage.read_to_end(&mut said);
    assert!(String::from_utf8_lossy(&said).contains("expected the hello of a shard"));
    let mut endless = TcpStream::connect(&test.place).expect("it listens");
    let (mut sent, garbage_of_64_kib) = (0_usize, vec![7; 1 << 16]);
    while sent < 1 << 30 && endless.write_all(&garbage_of_64_kib).is_ok() {
        sent += 1 << 16;
    }
    assert!(sent < 64 << 20, "it is cut off, after {sent} bytes");

    let refused = |running: Running, why: &str| {
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(104), "{output:?}");
        assert!(output.stderr.contains("shard 0 has refused this shard") && output.stderr.contains(why), "{output:?}");
    };
    refused(test.shard(2, 3, &["--rendezvous-key-file", &other]), "the key is not that of shard 0");
    refused(test.shard(2, 3, &[]), "the key is not that of shard 0");
    refused(test.shard(2, 3, &[keyed, &["--vus", "9"]].concat()), "its plan is");
    refused(test.shard(2, 4, keyed), "it is one of 4, and shard 0 one of 3");
    refused(test.shard(1, 3, keyed), "this shard is already connected, from 127.0.0.1:");
    let outputs = [zero.finish_after(test.shard(2, 3, keyed)), one.finish(SOON)];
    assert_eq!(codes(&outputs), [Some(0), Some(0)], "{outputs:?}");
    for (words, times) in [("it is not a shard", 1), ("its key does not belong to this test", 1), ("its plan is", 1)] {
        assert_eq!(outputs[0].stderr.matches(words).count(), times, "{words}: {}", outputs[0].stderr);
    }
    assert_eq!(test.whole()["metrics"]["http_reqs"]["count"], 24);
    drop((silent, endless));
}

trait FinishAfter {
    fn finish_after(self, other: Running) -> Output;
}

impl FinishAfter for Running {
    /// Waits for another process, which must exit with 0, and then for this one.
    fn finish_after(self, other: Running) -> Output {
        let output = other.finish(SOON);
        assert_eq!(output.code, Some(0), "{output:?}");
        self.finish(SOON)
    }
}

#[test]
fn a_port_that_is_taken_is_said_before_anything() {
    let test = Test::new(SHORT, "");
    let taken = std::net::TcpListener::bind(&test.place).expect("free");
    let output = test.shard(0, 2, &[]).finish(SOON);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("shard 0 cannot listen there"), "{output:?}");
    drop(taken);
}

#[test]
fn the_scheduler_says_which_shard_it_is() {
    let test = Test::new(SHORT, "");
    let file = test.bench.path("auto.json");
    let url = test.server.url();
    let args = [&test.profile, "--target-url", &url, "--no-probe", "--shard", "auto", "--output", &file];
    let pod = [("JOB_COMPLETION_INDEX", "1"), ("LLMSIM_BLAST_SHARD_COUNT", "4")];
    assert_eq!(blast_with(&args, &pod, SOON).code, Some(0));
    let shard = &document(&file)["run"]["shard"];
    assert_eq!(
        (&shard["index"], &shard["count"], &shard["source"]),
        (&json!(1), &json!(4), &json!("JOB_COMPLETION_INDEX"))
    );
    let output = blast_with(&args, &pod[..1], SOON);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("LLMSIM_BLAST_SHARD_COUNT is not"), "{output:?}");
    let alone = blast_with(&args[..4], &pod, SOON);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert!(alone.stderr.contains("use --shard auto to run its part"), "{alone:?}");
}

/// Starts a search by VUs whose steps last a second. `more` may make it a shard.
fn search(test: &Test, file: &str, more: &[&str]) -> Running {
    search_by_steps_of("1s", test, file, more)
}

fn search_by_steps_of(duration: &str, test: &Test, file: &str, more: &[&str]) -> Running {
    let (url, file) = (test.server.url(), test.bench.path(file));
    let args = ["capacity", &test.profile, "--target-url", &url, "--no-probe", "--by", "vus", "--min", "4"];
    let steps = ["--duration", duration, "--warmup", "0s", "--seed", "9", "--output", &file];
    start(&[&args[..], &steps, more].concat(), &[])
}

/// The goal is about the total number of VUs, so two shards must decide like one process.
#[test]
fn shards_that_meet_find_the_capacity_that_one_process_finds() {
    let test = Test::new(LONG, "");
    let goals = ["--max", "6", "--slo", "vus max<6", "--slo", "http_req_failed rate<1%"];
    let one = search(&test, "one.json", &goals);
    let shard =
        |which| search(&test, "whole.json", &[&goals[..], &["--shard", which, "--rendezvous", &test.place]].concat());
    let shards = vec![shard("0/2"), shard("1/2")];
    let outputs = finish(shards, SOON);
    let alone = one.finish(SOON);
    assert_eq!((codes(&outputs), alone.code), (vec![Some(0); 2], Some(0)), "{outputs:?} {alone:?}");
    let decided = |file: &str| {
        let found = document(&test.bench.path(file));
        let steps: Vec<Value> =
            found["curve"].as_array().expect("steps").iter().map(|step| json!([step["load"], step["held"]])).collect();
        assert!(
            found["curve"].as_array().expect("steps").iter().all(|step| step["requests_per_s"].as_f64() > Some(0.0))
        );
        (json!([found["holds"], found["fails"], found["settled"], found["verdict"]]), steps, found["shards"].clone())
    };
    let (alone, whole) = (decided("one.json"), decided("whole.json"));
    assert_eq!((&whole.0, &whole.1), (&alone.0, &alone.1));
    assert_eq!(whole.0[0], json!({ "load": 5.0, "held": 3, "failed": 0 }));
    assert_eq!((alone.2, whole.2), (Value::Null, json!(2)));
    assert!(outputs[0].stdout.contains("shards     2") && outputs[1].stdout.is_empty(), "{outputs:?}");
}

/// Each of two shards has half of the VUs of a step.
#[cfg(feature = "web")]
#[test]
fn the_page_of_shard_0_shows_the_steps_of_all_shards() {
    let test = Test::new(LONG, "");
    let goals = ["--max", "6", "--slo", "http_req_failed rate<1%"];
    let pages = [free_port(), free_port()].map(|port| port.to_string());
    let shard = |i: usize| {
        let place = ["--shard", ["0/2", "1/2"][i], "--rendezvous", &test.place, "--web", &pages[i]];
        search_by_steps_of("3s", &test, "whole.json", &[&goals[..], &place].concat())
    };
    let shards = vec![shard(0), shard(1)];
    let [zero, one] = pages.clone().map(|port| format!("127.0.0.1:{port}"));
    let seen = |addr: &str| scraped(addr, "llmsim_blast_vus");
    for (all, own) in [(4.0, 2.0), (6.0, 3.0)] {
        support::eventually("all users of the step are seen", || seen(&zero) == Some(("all".to_owned(), all)));
        support::eventually("its own are seen", || seen(&one) == Some(("1".to_owned(), own)));
    }
    let steps: Value = serde_json::from_str(&support::get(&zero, "/api/v1/run", &[]).body).expect("JSON");
    let of_first = steps["curve"][0]["requests_per_s"].as_f64();
    assert!(steps["shards"] == 2 && of_first > Some(0.0), "{steps}");
    assert_eq!(codes(&finish(shards, SOON)), [Some(0); 2]);
}

/// When one shard ends, all end, and shard 0 keeps the measured steps.
#[test]
fn a_search_of_shards_ends_everywhere() {
    for (signal, to, codes) in [
        (Signal::SIGINT, 0, [Some(105), Some(105)]),
        (Signal::SIGTERM, 1, [Some(105), Some(105)]),
        (Signal::SIGKILL, 1, [Some(110), None]),
        (Signal::SIGSTOP, 1, [Some(110), None]),
        (Signal::SIGKILL, 0, [None, Some(110)]),
    ] {
        let test = Test::new(LONG, "");
        let goals = ["--max", "4000", "--slo", "http_req_failed rate<1%"];
        let shard =
            |which| search(&test, "c.json", &[&goals[..], &["--shard", which, "--rendezvous", &test.place]].concat());
        let mut shards = vec![shard("0/2"), shard("1/2")];
        shards[0].wait_for_stderr("4 users: holds", SOON);
        shards[to].signal(signal);
        let gone = (codes[to].is_none()).then(|| shards.remove(to));
        for (output, code) in finish(shards, SOON).iter().zip(codes.iter().filter(|code| code.is_some())) {
            assert_eq!(output.code, *code, "{signal} to {to}: {output:?}");
        }
        if codes[0].is_some() {
            let found = document(&test.bench.path("c.json"));
            assert!(found["curve"].as_array().is_some_and(|steps| !steps.is_empty()), "{found}");
            assert_eq!((&found["exit_code"], &found["settled"]), (&json!(codes[0]), &json!(false)), "{signal} to {to}");
            let lost = found["reasons"][0]["text"].as_str().expect("a reason").starts_with("shard 1 was lost: ");
            assert_eq!(lost, codes[1].is_none(), "{}", found["reasons"]);
        }
        drop(gone);
    }
}

#[test]
fn a_search_of_shards_needs_a_place_to_meet_and_one_goal_for_all() {
    let test = Test::new(LONG, "");
    let goal = ["--slo", "http_req_failed rate<1%"];
    let alone = search(&test, "c.json", &[&goal[..], &["--shard", "0/2"]].concat()).finish(SOON);
    assert_eq!(alone.code, Some(104), "{alone:?}");
    assert!(alone.stderr.contains("cannot be used without --rendezvous"), "{alone:?}");
    let meet = |which| ["--shard", which, "--rendezvous", &test.place];
    let zero = search(&test, "c.json", &[&goal[..], &meet("0/2")].concat());
    for other in [["--slo", "http_req_failed rate<2%"], ["--max", "7"]] {
        let output = search(&test, "c.json", &[&goal[..], &meet("1/2"), &other].concat()).finish(SOON);
        assert_eq!(output.code, Some(104), "{output:?}");
        assert!(output.stderr.contains("its plan is"), "{output:?}");
    }
    zero.signal(Signal::SIGINT);
    assert_eq!(zero.finish(SOON).code, Some(105));
}
