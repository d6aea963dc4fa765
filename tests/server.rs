//! The simulator as a real child process: started, watched, stopped, and gone however the parent
//! ends.

mod support;

use llmsim_blast::server::{Server, ServerError, Source, Spec, Starter};
use llmsim_blast::units::Nanos;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use support::{alive, eventually};

/// The program that runs the subcommands `supervise` and `serve`.
const OWN: &str = env!("CARGO_BIN_EXE_llmsim-blast");
fn spec(source: Source) -> Spec {
    Spec::on_any_port(source, Nanos::from_secs(30))
}

fn launch(spec: &Spec) -> Result<Server, ServerError> {
    starter(spec).start(&mut |_| {}, &AtomicBool::new(false))
}

fn starter(spec: &Spec) -> Starter<'_> {
    Starter { own: Path::new(OWN), spec, cores: None }
}

/// Returns the error of a server that must not start.
fn refused(spec: &Spec) -> String {
    launch(spec).expect_err("a server that must not start").to_string()
}

/// Writes an executable shell script into a folder of its own. Another process (`cp`) writes the
/// final file: a child that another test starts at that moment could inherit a descriptor that we
/// have open for writing, and the kernel refuses to execute a file that is open for writing.
fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (written, file) = (dir.path().join("written"), dir.path().join("llmsim"));
    std::fs::write(&written, text).unwrap();
    std::fs::set_permissions(&written, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").args([&written, &file]).status().unwrap().success());
    (dir, file)
}

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;
    use llmsim_blast::server::Exit;
    use llmsim_blast::watch::probe::{self, Health};
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    const LONG: Nanos = Nanos::from_secs(10);

    fn health(server: &Server) -> Health {
        probe::health(&[server.addr()], &server.addr().to_string(), "/health", LONG)
    }

    #[test]
    fn it_starts_answers_counts_and_stops() {
        let mut lines = Vec::new();
        let stop = AtomicBool::new(false);
        let mut server = Starter { cores: Some(&[0]), ..starter(&spec(Source::Embedded)) }
            .start(&mut |line| lines.push(line.to_owned()), &stop)
            .unwrap();
        assert_eq!(lines, [format!("starting embedded llmsim 0.6.0 on {}", server.addr())]);
        assert_eq!(health(&server), Health::Healthy);
        let host = server.addr().to_string();
        let counted = probe::stats(&[server.addr()], &host, "/llmsim/stats", LONG).unwrap();
        assert_eq!(counted["total_requests"], 0, "{counted}");
        let usage = server.sample().unwrap();
        assert!(usage.rss_bytes > 1 << 20 && usage.threads >= 2, "{usage:?}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        assert_eq!(server.has_exited(), None);
        assert_eq!(server.url(), format!("http://127.0.0.1:{}", server.port()));
        let pid = server.pid();
        server.stop();
        assert!(!alive(pid));
        assert_eq!(health(&server), Health::Refused);
        assert_eq!(server.sample(), None);
        server.stop();
    }

    #[test]
    fn an_open_request_does_not_keep_it_alive() {
        use std::io::Write;
        let mut server = launch(&spec(Source::Embedded)).unwrap();
        let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
        stream
            .write_all(b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            .unwrap();
        let pid = server.pid();
        server.stop();
        assert!(!alive(pid));
    }

    #[test]
    fn its_death_is_noticed() {
        let server = launch(&spec(Source::Embedded)).unwrap();
        let pid = nix::unistd::Pid::from_raw(server.pid().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        eventually("the death is noticed", || server.has_exited().is_some());
        let Exit { status, last_lines } = server.has_exited().unwrap();
        assert_eq!(status, "killed by SIGKILL");
        assert!(last_lines[0].contains("http://127.0.0.1:"), "{last_lines:?}");
    }

    #[test]
    fn a_users_configuration_is_used_and_a_wrong_one_explained() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.toml");
        let mut spec = spec(Source::Embedded);
        spec.config = Some(file.clone());
        std::fs::write(&file, "[response]\ntarget_tokens = \"many\"\n").unwrap();
        let error = refused(&spec);
        assert!(error.contains("exit status") && error.contains("target_tokens"), "{error}");
        // The tool chooses the listening address, whatever the file says.
        std::fs::write(&file, "[server]\nhost = \"0.0.0.0\"\nport = 1\n[response]\ntarget_tokens = 7\n").unwrap();
        assert_eq!(health(&launch(&spec).unwrap()), Health::Healthy);
    }

    #[test]
    fn a_taken_port_leads_to_another_when_none_was_asked_for() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut spec = spec(Source::Embedded);
        spec.port = holder.local_addr().unwrap().port();
        let server = launch(&spec).unwrap();
        assert_ne!(server.port(), spec.port);
        assert_eq!(health(&server), Health::Healthy);
    }

    #[test]
    fn serve_refuses_a_taken_port_and_a_host_that_is_none() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port().to_string();
        for (host, port, expected) in [("localhost", port.as_str(), "is in use"), ("no such host", "0", "--host")] {
            let output = Command::new(OWN).args(["serve", "--host", host, "--port", port]).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && error.contains(expected) && !error.contains("panicked"), "{error}");
        }
    }

    /// Not a test of its own: the parent that [`no_child_survives_a_killed_parent`] kills. It runs
    /// in a copy of this test program.
    #[test]
    #[ignore = "run by no_child_survives_a_killed_parent"]
    fn parent_to_be_killed() {
        if std::env::var_os("LLMSIM_BLAST_TEST_PARENT").is_none() {
            return;
        }
        let server = launch(&spec(Source::Embedded)).unwrap();
        #[expect(clippy::print_stdout, reason = "read by the test that started this process")]
        {
            println!("child {}", server.pid());
        }
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn no_child_survives_a_killed_parent() {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::parent_to_be_killed", "--ignored", "--nocapture"])
            .env("LLMSIM_BLAST_TEST_PARENT", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let child: u32 = BufReader::new(parent.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("child ").and_then(|(_, pid)| pid.trim().parse().ok()))
            .expect("the parent names its child");
        assert!(alive(child));
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually("the child is gone", || !alive(child));
    }

    #[test]
    fn a_child_whose_parent_is_gone_already_does_not_start() {
        let output =
            Command::new(OWN).args(["supervise", "--parent", "1", "--", "/bin/echo", "alive"]).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("process 1, is gone"));
    }
}

#[test]
fn a_program_that_ends_at_once_is_reported_with_its_last_words() {
    let error = refused(&spec(Source::Binary("/bin/false".into())));
    assert!(error.contains("exit status 1") && error.contains("printed nothing"), "{error}");
    let (_dir, file) = script("#!/bin/sh\necho on stdout\necho on stderr >&2\nexit 3\n");
    let error = refused(&spec(Source::Binary(file)));
    assert!(error.contains("exit status 3") && error.contains("| on stdout\n  | on stderr"), "{error}");
}

#[test]
fn a_program_that_is_none_is_refused() {
    let error = refused(&spec(Source::Binary("/nonexistent/llmsim".into())));
    assert!(error.contains("--server-bin /nonexistent/llmsim"), "{error}");
    let (_dir, file) = script("#!/nonexistent/interpreter\n");
    let error = refused(&spec(Source::Binary(file)));
    assert!(error.contains("cannot run") && error.contains("No such file"), "{error}");
}

#[test]
fn a_program_that_never_answers_is_stopped_with_everything_it_started() {
    let (dir, file) = script("#!/bin/sh\nsleep 60 &\necho $! >\"$0.pid\"\necho waiting for nothing\nwait\n");
    let mut spec = spec(Source::Binary(file));
    spec.ready_within = Nanos::from_millis(500);
    let error = refused(&spec);
    assert!(error.contains("not ready after 500ms") && error.contains("refused"), "{error}");
    assert!(error.contains("| waiting for nothing"), "{error}");
    let grandchild = std::fs::read_to_string(dir.path().join("llmsim.pid")).unwrap().trim().parse().unwrap();
    eventually("the grandchild is gone", || !alive(grandchild));
}

#[cfg(feature = "embedded")]
#[test]
fn a_server_behind_wrappers_is_watched_itself_and_leaves_nothing() {
    for wrapper in [
        "#!/bin/sh\nOWN \"$@\"\n",
        "#!/bin/sh\nsetsid OWN \"$@\" &\nwait\n",
        "#!/bin/sh\n(setsid sleep 600 &)\nexec OWN \"$@\"\n",
    ] {
        let (_dir, file) = script(&wrapper.replace("OWN", OWN));
        let mut server = launch(&spec(Source::Binary(file))).unwrap();
        let name = std::fs::read_to_string(format!("/proc/{}/comm", server.pid())).unwrap();
        assert_eq!(name.trim(), "llmsim-blast", "the process that owns the port, not the shell");
        assert!(server.sample().unwrap().rss_bytes > 1 << 20);
        let ours = relatives(server.pid());
        assert!(ours.len() > 2 && ours.contains(&server.pid()), "{ours:?}");
        server.stop();
        eventually("everything is gone", || ours.iter().all(|&pid| !alive(pid)));
    }
}

/// Returns every process that descends from the same child of ours as `pid`.
#[cfg(feature = "embedded")]
fn relatives(pid: u32) -> Vec<u32> {
    let parent = |pid: &u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let line = |pid: u32| std::iter::successors(Some(pid), parent);
    let child = line(pid).take_while(|&pid| pid != std::process::id()).last().unwrap();
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| line(pid).any(|ancestor| ancestor == child)).collect()
}

#[cfg(feature = "embedded")]
#[test]
fn a_server_does_not_inherit_our_secrets() {
    let (dir, file) = script(&format!("#!/bin/sh\nenv >\"$0.env\"\nexec {OWN} \"$@\"\n"));
    let mut command = std::process::Command::new(OWN);
    command.args(["quick-smoke", "--quiet", "--server-bin"]).arg(file).env("LLMSIM_BLAST_API_KEY", "sk-PLANTED-123456");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = std::fs::read_to_string(dir.path().join("llmsim.env")).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("PLANTED"), "{seen}");
}

#[test]
fn a_program_that_ignores_sigterm_is_killed() {
    let (_dir, file) = script("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n");
    let mut spec = spec(Source::Binary(file));
    spec.ready_within = Nanos::from_millis(300);
    let error = refused(&spec);
    assert!(error.contains("not ready after 300ms"), "{error}");
}

#[test]
fn ctrl_c_ends_the_wait() {
    let (_dir, file) = script("#!/bin/sh\nexec sleep 60\n");
    let stop = AtomicBool::new(true);
    let result = starter(&spec(Source::Binary(file))).start(&mut |_| {}, &stop);
    assert!(matches!(result, Err(ServerError::Interrupted)), "{result:?}");
}

#[test]
fn a_taken_port_that_was_asked_for_is_an_error() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = spec(Source::Binary("/bin/false".into()));
    (spec.port, spec.any_port) = (holder.local_addr().unwrap().port(), false);
    let error = refused(&spec);
    assert!(error.contains("is in use") && error.contains("--port"), "{error}");
}

/// Creates a cargo project without dependencies whose binary has this source.
fn checkout(name: &str, source: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[profile.release]\nopt-level = 0\n"
    );
    std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(dir.path().join("src")).unwrap();
    std::fs::write(dir.path().join("src/main.rs"), source).unwrap();
    dir
}

#[test]
fn a_checkout_that_does_not_build_is_reported_with_the_compilers_words() {
    let dir = checkout("llmsim", "fn main() { this is not rust }\n");
    let mut lines = Vec::new();
    let result = starter(&spec(Source::Checkout(dir.path().into())))
        .start(&mut |line| lines.push(line.to_owned()), &AtomicBool::new(false));
    let error = result.expect_err("it cannot build").to_string();
    assert!(error.contains("`cargo build --release` failed (exit status 101)"), "{error}");
    assert!(error.contains("this is not rust"), "{error}");
    assert!(lines.iter().any(|l| l.starts_with("Compiling llmsim")), "{lines:?}");
}

#[test]
fn a_checkout_is_built_and_its_binary_started() {
    // It listens on the given address and passes llmsim's health check.
    let dir = checkout(
        "llmsim",
        r#"use std::io::{Read, Write};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "--version" { println!("llmsim 9.9.9"); return; }
    assert!(args[1] == "serve" && args[2] == "--host" && args[4] == "--port" && args[6] == "--config");
    assert!(std::fs::read_to_string(&args[7]).unwrap().contains("rate_limit_rate = 0.10"));
    for stream in std::net::TcpListener::bind(format!("{}:{}", args[3], args[5])).unwrap().incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}");
    }
}
"#,
    );
    let mut spec = spec(Source::Checkout(dir.path().into()));
    spec.chaos = true;
    let server = launch(&spec).unwrap();
    assert_eq!((server.identity().kind, server.identity().version.as_deref()), ("checkout", Some("9.9.9")));
}

#[test]
fn a_checkout_of_something_else_is_refused() {
    let dir = checkout("other", "fn main() {}\n");
    let error = refused(&spec(Source::Checkout(dir.path().into())));
    assert!(error.contains("no binary called llmsim (found: other)"), "{error}");
}
