//! Whatever ends the tool, measurements are kept if possible, and no child survives.

#![cfg(feature = "embedded")]

mod support;

use llmsim_blast::units::Nanos;
use llmsim_blast::watch::probe;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{Receiver, channel};
use support::{
    Bench, Misbehaving, Output, Running, SOON, alive, children, document, eventually, free_port, start, start_after,
};

/// Every signal that asks a run to end.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Two VUs without end.
const PROFILE: &str = "executor = \"constant-vus\"\nvus = 2\nduration = \"10m\"\ngraceful_stop = \"10m\"\n\
                       [[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = true\nmax_tokens = 20\n\
                       [thresholds]\nhttp_req_failed = \"rate<0.01\"\n";
/// The simulator answers at once.
const QUICK: &str = "[latency]\nprofile = \"instant\"\n";
/// The simulator does not answer during any test.
const SLOW: &str = "[latency]\nttft_mean_ms = 600000\nttft_stddev_ms = 0\ntbt_mean_ms = 0\ntbt_stddev_ms = 0\n";

/// The tool during a test against a simulator that it has started.
struct Started {
    bench: Bench,
    running: Running,
    child: u32,
}

/// Starts a run and waits until the simulator has `counted` at least two requests under this name.
fn under_way(settings: &str, counted: &str) -> Started {
    let (bench, port) = (Bench::new(), free_port());
    let (profile, config) = (bench.write("endless.toml", PROFILE), bench.write("server.toml", settings));
    let result = bench.path("r.json");
    let running = start(
        &[&profile, "--no-probe", "--port", &port.to_string(), "--server-config", &config, "--output", &result],
        &[],
    );
    eventually("requests are under way", || counts(port).is_some_and(|stats| stats[counted].as_u64() >= Some(2)));
    let [child] = children(running.pid())[..] else { panic!("{:?}", children(running.pid())) };
    assert!(alive(child));
    Started { bench, running, child }
}

fn counts(port: u16) -> Option<Value> {
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    probe::stats(&[addr], "x", "/llmsim/stats", Nanos::from_secs(5))
}

/// A run stops gracefully on a signal and keeps its measurements.
fn stops_gracefully(signal: Signal) {
    let Started { bench, running, child } = under_way(QUICK, "completion_tokens");
    // The terminal sends Ctrl-C to its whole process group. The server must not end before the
    // requests in flight.
    let group = |pid: u32| getpgid(Some(Pid::from_raw(pid.cast_signed()))).unwrap();
    assert_ne!(group(child), group(running.pid()));
    running.signal(signal);
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    assert!(output.stdout.starts_with("INTERRUPTED  endless: "), "{output:?}");
    assert!(output.stdout.contains("✓ 'rate<0.01' rate=0.00%"), "{output:?}");
    let result = document(&bench.path("r.json"));
    assert_eq!(result["run"]["interrupted"], true);
    assert_eq!(result["run"]["stop_reason"], "signal");
    assert_eq!(result["target"]["server"]["died"], Value::Null);
    // Requests in flight were completed, and the rates are those of the part that ran.
    assert_eq!(result["metrics"]["interrupted"]["count"], 0);
    assert_eq!(result["failures"].as_object().unwrap().len(), 2, "{}", result["failures"]);
    assert_eq!(result["agreement"]["ours"], result["agreement"]["server"]);
    assert!(result["agreement"]["ours"].as_u64() >= Some(2));
    let (window, duration) = (result["run"]["window_s"].as_f64(), result["run"]["duration_s"].as_f64());
    assert!(window > Some(0.0) && window <= duration && duration < Some(600.0), "{window:?} {duration:?}");
    assert!(!alive(child));
}

#[test]
fn ctrl_c_stops_gracefully_and_keeps_what_was_measured() {
    stops_gracefully(Signal::SIGINT);
}

#[test]
fn sigterm_stops_gracefully_and_keeps_what_was_measured() {
    stops_gracefully(Signal::SIGTERM);
}

#[test]
fn a_hang_up_stops_gracefully_and_keeps_what_was_measured() {
    stops_gracefully(Signal::SIGHUP);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let Started { bench, mut running, child } = under_way(SLOW, "total_requests");
    // The kernel merges pending signals of the same kind, so repeat the signal until the second one
    // has arrived.
    eventually("it ends", || {
        running.has_ended() || {
            running.signal(Signal::SIGINT);
            false
        }
    });
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    assert!(output.stdout.is_empty() && !bench.names().contains(&"r.json".to_owned()), "{output:?}");
    eventually("the simulator is gone", || !alive(child));
}

#[test]
fn nothing_behind_a_wrapper_survives_when_we_are_killed() {
    let (bench, port) = (Bench::new(), free_port());
    let profile = bench.write("endless.toml", PROFILE);
    let own = env!("CARGO_BIN_EXE_llmsim-blast");
    let wrapper = bench.script("llmsim", &format!("setsid {own} \"$@\" &\nwait"));
    let running = start(&[&profile, "--port", &port.to_string(), "--server-bin", &wrapper], &[]);
    eventually("requests are under way", || counts(port).is_some_and(|s| s["total_requests"].as_u64() >= Some(2)));
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish(SOON).code, None);
    eventually("nobody listens any more", || TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[test]
fn no_child_survives_when_we_are_killed() {
    let Started { running, child, .. } = under_way(SLOW, "total_requests");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish(SOON).code, None);
    eventually("the simulator is gone", || !alive(child));
}

#[test]
fn requests_that_outlive_the_grace_are_cut_off_and_counted_apart() {
    let (bench, port) = (Bench::new(), free_port().to_string());
    let short = PROFILE.replace("\"10m\"\ngraceful", "\"2s\"\ngraceful").replace("\"10m\"", "\"100ms\"");
    let (profile, config) = (bench.write("short.toml", &short), bench.write("server.toml", SLOW));
    let result = bench.path("r.json");
    let args = [&profile, "--no-probe", "--port", &port, "--server-config", &config, "--output", &result, "--vus", "6"];
    let output = start(&args, &[]).finish(SOON);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stdout.contains("6 cut off by the end of the test, the oldest after"), "{output:?}");
    let result = document(&result);
    assert_eq!(result["metrics"]["interrupted"]["count"], 6);
    assert_eq!(result["metrics"]["http_reqs"]["count"], 0);
    assert_eq!(result["metrics"]["http_req_failed"]["total"], 0);
    assert_eq!(result["thresholds"][0]["verdict"], "no_data");
    // Interrupted requests were sent, too, and the server has counted them.
    assert_eq!(result["agreement"], serde_json::json!({ "ours": 6, "server": 6 }));
}

#[test]
fn every_signal_is_heeded_while_the_server_starts() {
    let bench = Bench::new();
    let file = bench.script("llmsim", "exec sleep 600");
    for signal in SIGNALS {
        let running = start(&["quick-smoke", "--server-bin", &file, "--output", &bench.path("r.json")], &[]);
        running.wait_for_stderr("starting ", SOON);
        eventually("the server was started", || !children(running.pid()).is_empty());
        let started = children(running.pid());
        running.signal(signal);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(105), "{signal}: {output:?}");
        assert!(output.stderr.contains("interrupted before the test began"), "{signal}: {output:?}");
        assert!(started.iter().all(|&pid| !alive(pid)), "{signal}: {output:?}");
        says_that_nothing_was_measured(&output, &bench.path("r.json"));
    }
}

/// The load is over, and two requests are still in flight: a signal ends the wait.
#[test]
fn every_signal_is_heeded_while_a_run_drains() {
    let bench = Bench::new();
    let drains = PROFILE
        .replace("\"10m\"\ngraceful", "\"1s\"\ngraceful")
        .replace("[[requests]]", "timeout = \"10m\"\n[[requests]]");
    let profile = bench.write("drains.toml", &drains);
    for signal in SIGNALS {
        let (url, mutes) = mute(1, NOT_FOUND);
        let result = bench.path("r.json");
        let running = start(&[&profile, "--target-url", &url, "--output", &result], &[]);
        let asked = [mutes.recv().expect("one request"), mutes.recv().expect("the other")];
        running.wait_for_stderr("finishing ", SOON);
        running.signal(signal);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(105), "{signal}: {output:?}");
        assert!(output.stdout.starts_with("INTERRUPTED  "), "{signal}: {output:?}");
        let result = document(&result);
        assert_eq!((&result["run"]["interrupted"], &result["run"]["stop_reason"]), (&true.into(), &"signal".into()));
        assert_eq!(result["metrics"]["interrupted"]["count"], 2, "{signal}");
        drop(asked);
    }
}

/// A full pipe blocks the results. A signal ends the wait, and the results are saved elsewhere.
#[test]
fn every_signal_is_heeded_while_results_are_written() {
    let (bench, server) = (Bench::new(), Misbehaving::start(support::Behaviour::Good { tokens: 3 }));
    let pipe = bench.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut held = std::fs::OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(&pipe).unwrap();
    while held.write(&[b'.'; 4096]).is_ok() {}
    for signal in SIGNALS {
        let folder = bench.path("");
        let running = start(&["quick-smoke", "--target-url", &server.url(), "--output", &pipe], &[("TMPDIR", &folder)]);
        running.wait_for_stdout("PASS", SOON);
        running.signal(signal);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(109), "{signal}: {output:?}");
        let (_, kept) = output.stderr.split_once("they are in ").unwrap_or_else(|| panic!("{output:?}"));
        let kept = kept.lines().next().unwrap();
        assert!(kept.starts_with(&folder), "{kept}");
        document(kept);
        std::fs::remove_file(kept).unwrap();
    }
    let names = bench.names();
    assert_eq!(names, ["pipe"], "nothing else is left");
}

/// A kill while a result is written leaves neither a partial result nor a temporary file.
#[test]
fn a_kill_while_results_are_written_leaves_nothing_beside_them() {
    let (bench, server) = (Bench::new(), Misbehaving::start(support::Behaviour::Good { tokens: 3 }));
    let file = bench.path("r.json");
    let nameless = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::WRONLY;
    if rustix::fs::open(bench.path(""), nameless, rustix::fs::Mode::RUSR).is_err() {
        // This file system does not support unnamed files. docs/results.md says what a kill leaves.
        return;
    }
    for _ in 0..20 {
        let running = start(&["quick-smoke", "--target-url", &server.url(), "--output", &file], &[]);
        running.wait_for_stdout("PASS", SOON);
        running.signal(Signal::SIGKILL);
        running.finish(SOON);
        assert!(bench.names().iter().all(|name| name == "r.json"), "{:?}", bench.names());
        if std::path::Path::new(&file).exists() {
            document(&file);
            std::fs::remove_file(&file).unwrap();
        }
    }
}

/// Checks that a run that was interrupted before its first request reports that in the output and
/// in its result.
fn says_that_nothing_was_measured(output: &Output, result: &str) {
    assert_eq!(output.code, Some(105), "{output:?}");
    assert!(output.stdout.starts_with("INTERRUPTED  "), "{output:?}");
    let result = document(result);
    assert_eq!((&result["run"]["interrupted"], &result["run"]["stop_reason"]), (&true.into(), &"signal".into()));
    assert_eq!(result["metrics"]["http_reqs_started"]["count"], 0, "{result}");
}

/// Starts a server that answers the first `answers` connections with `answer`. The others wait
/// forever.
fn mute(answers: usize, answer: &'static str) -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, mutes) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut stream = stream;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            if number < answers {
                let _ = stream.write_all(answer.as_bytes());
            } else if asked.send(stream).is_err() {
                break;
            }
        }
    });
    (url, mutes)
}

/// A response that says nothing about the server's health.
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn every_signal_is_heeded_in_every_phase_before_the_load() {
    let bench = Bench::new();
    let profile = bench.write("endless.toml", PROFILE);
    for signal in SIGNALS {
        // Probing, the endpoint check, and shown responses. The server is silent in each of them.
        for (first, answers, more) in
            [("endless", 0, &[][..]), ("all-apis", 1, &[]), ("endless", 1, &["--debug-response", "3"])]
        {
            let (url, mutes) = mute(answers, NOT_FOUND);
            let (first, result) = (if first == "endless" { profile.as_str() } else { first }, bench.path("r.json"));
            let running = start(&[&[first, "--target-url", &url, "--output", &result], more].concat(), &[]);
            let asked = mutes.recv().expect("it was asked");
            running.signal(signal);
            let output = running.finish(SOON);
            assert!(output.took < SOON / 2, "{signal} {more:?}: {output:?}");
            says_that_nothing_was_measured(&output, &result);
            drop(asked);
        }
        let server = Misbehaving::start(support::Behaviour::Good { tokens: 3 });
        let result = bench.path("waiting.json");
        let args = [&profile, "--target-url", &server.url(), "--start-at", "2100-01-01T00:00:00Z", "--output", &result];
        let running = start(&args, &[]);
        running.wait_for_stderr("starting at", SOON);
        running.signal(signal);
        says_that_nothing_was_measured(&running.finish(SOON), &result);
        assert!(server.posts().is_empty(), "nothing was sent");
    }
}

#[test]
fn every_signal_ends_every_executor_as_interrupted() {
    let executors = [
        "executor = \"constant-vus\"\nvus = 2\nduration = \"10m\"",
        "executor = \"ramping-vus\"\nstart_vus = 2\nstages = [{ duration = \"10m\", target = 3 }]",
        "executor = \"per-vu-iterations\"\nvus = 2\niterations = 1000000\nmax_duration = \"10m\"",
        "executor = \"shared-iterations\"\nvus = 2\niterations = 1000000\nmax_duration = \"10m\"",
        "executor = \"constant-arrival-rate\"\nrate = 100\nduration = \"10m\"\nmax_vus = 5",
        "executor = \"ramping-arrival-rate\"\nstart_rate = 100\nmax_vus = 5\nstages = [{ duration = \"10m\", target = 101 }]",
    ];
    let (bench, server) = (Bench::new(), Misbehaving::start(support::Behaviour::Good { tokens: 3 }));
    for (executor, signal) in executors.into_iter().zip(SIGNALS.into_iter().cycle()) {
        let requests = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nprompt = \"hi\"\n\
                        [thresholds]\nhttp_req_failed = \"rate<0.01\"\n";
        let pause = if executor.contains("arrival") { "" } else { "think_time = \"20ms\"\n" };
        let profile = bench.write("executor.toml", &format!("{executor}\n{pause}{requests}"));
        let result = bench.path("r.json");
        let before = server.posts().len();
        let running = start(&[&profile, "--target-url", &server.url(), "--output", &result], &[]);
        eventually("requests are under way", || server.posts().len() > before + 5);
        running.signal(signal);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(105), "{executor}: {output:?}");
        assert!(output.stdout.starts_with("INTERRUPTED  "), "{executor}: {output:?}");
        let result = document(&result);
        assert_eq!((&result["run"]["interrupted"], &result["run"]["stop_reason"]), (&true.into(), &"signal".into()));
    }
}

#[test]
fn a_hang_up_that_was_to_be_ignored_is_ignored() {
    let server = Misbehaving::start(support::Behaviour::Good { tokens: 3 });
    let url = server.url();
    let running =
        start_after("trap '' HUP", &["quick-smoke", "--target-url", &url, "--start-at", "2100-01-01T00:00:00Z"]);
    running.wait_for_stderr("starting at", SOON);
    running.signal(Signal::SIGHUP);
    running.signal(Signal::SIGTERM);
    let output = running.finish(SOON);
    // Two signals would have ended the run at once, without output.
    assert!(output.stdout.starts_with("INTERRUPTED  "), "{output:?}");
}

#[test]
fn sweeps_are_interrupted_before_and_in_their_first_step() {
    let bench = Bench::new();
    for command in [&["capacity", "--slo", "http_req_failed rate<1%"][..], &["throughput", "--warmup", "0s"]] {
        let (url, mutes) = mute(0, NOT_FOUND);
        let result = bench.path("r.json");
        let running = start(&[command, &["--target-url", &url, "--output", &result]].concat(), &[]);
        let asked = mutes.recv().expect("it was asked");
        running.signal(Signal::SIGHUP);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(105), "{output:?}");
        assert_eq!(document(&result)["interrupted"], true);
        drop(asked);

        let server = Misbehaving::start(support::Behaviour::Good { tokens: 3 });
        let running = start(&[command, &["--target-url", &server.url(), "--output", &result]].concat(), &[]);
        eventually("requests are under way", || server.posts().len() > 10);
        running.signal(Signal::SIGTERM);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(105), "{output:?}");
        assert_eq!(document(&result)["interrupted"], true);
    }
}

#[test]
fn a_self_test_is_interrupted_while_it_starts() {
    let running = start(&["self-test", "--output", "-"], &[]);
    running.wait_for_stderr("starting ", SOON);
    running.signal(Signal::SIGHUP);
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["interrupted"], true);
}

#[test]
fn ctrl_c_while_a_checkout_is_built_stops_cargo() {
    let bench = Bench::new();
    bench.write("Cargo.toml", "");
    // Not the real cargo, which would finish too quickly.
    bench.script("cargo", "echo Compiling everything >&2\nexec sleep 600");
    let path = format!("{}:{}", bench.path(""), std::env::var("PATH").unwrap());
    let running = start(&["quick-smoke", "--server-src", &bench.path("")], &[("PATH", &path)]);
    running.wait_for_stderr("Compiling everything", SOON);
    let started = children(running.pid());
    assert_eq!(started.len(), 1);
    running.signal(Signal::SIGTERM);
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    assert!(started.iter().all(|&pid| !alive(pid)), "{output:?}");
}

#[test]
fn ctrl_c_against_a_server_of_someone_elses_leaves_it_alone() {
    let (bench, server) = (Bench::new(), Misbehaving::start(support::Behaviour::Good { tokens: 3 }));
    let profile = bench.write("endless.toml", PROFILE);
    let running = start(&[&profile, "--target-url", &server.url()], &[]);
    eventually("requests are under way", || server.requests() > 10);
    running.signal(Signal::SIGINT);
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    assert!(output.stdout.contains("no failures in"), "{output:?}");
}
