//! Results are never lost: they are written where the user asked, or to a path that is reported.

mod support;

use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::{Behaviour, Bench, Misbehaving, SOON, blast, blast_with, document, start, start_after};

/// Runs against a good server, with these output flags.
fn run(server: &Misbehaving, places: &[&str]) -> support::Output {
    blast(&[&["quick-smoke", "--target-url", &server.url(), "--quiet"], places].concat())
}

/// Makes a named pipe.
fn make_pipe(path: &str) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Returns the path at which, by its message, the tool has saved the results.
fn rescued(output: &support::Output) -> String {
    let (_, path) = output.stderr.split_once("they are in ").unwrap_or_else(|| panic!("{output:?}"));
    path.lines().next().unwrap().to_owned()
}

#[test]
fn places_that_cannot_be_are_refused_before_the_run() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let (same, folder) = (bench.path("same"), bench.path("new/"));
    std::os::unix::fs::symlink("same", bench.path("link")).unwrap();
    for (places, words) in [
        (&["--output", &folder][..], "new/: it names a folder"),
        (&["--output", bench.path(".").as_str()], "is a directory"),
        (&["--output", &same, "--junit", &same], "two results"),
        (&["--output", &same, "--junit", &bench.path("link")], "two results"),
        (&["--output", "-", "--junit", "/dev/stdout"], "two results"),
    ] {
        let output = run(&server, places);
        assert_eq!(output.code, Some(104), "{places:?}: {output:?}");
        assert!(output.stderr.contains(words) && output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(server.posts().len(), 0, "nothing was sent");
}

#[test]
fn links_are_followed_and_modes_kept() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let real = bench.write("real", "old");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real", bench.path("link")).unwrap();
    assert_eq!(run(&server, &["--output", &bench.path("link")]).code, Some(0));
    document(&real);
    assert!(Path::new(&bench.path("link")).is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn standard_output_takes_any_of_the_results() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    for place in ["-", "/dev/stdout", "/dev/fd/1"] {
        let json = run(&server, &["--output", place]);
        assert_eq!(json.code, Some(0), "{json:?}");
        support::check(&serde_json::from_str(&json.stdout).unwrap());
        let xml = run(&server, &["--junit", place]);
        assert!(xml.code == Some(0) && xml.stdout.starts_with("<?xml"), "{xml:?}");
        assert!(xml.stderr.contains("PASS"), "the summary stands beside it: {xml:?}");
    }
}

#[test]
fn a_pipe_is_written_to_once_there_is_something_to_read() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let pipe = bench.path("pipe");
    make_pipe(&pipe);
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap())
    };
    let output = run(&server, &["--output", &pipe]);
    assert_eq!(output.code, Some(0), "{output:?}");
    support::check(&serde_json::from_str(&reader.join().unwrap()).unwrap());
}

#[test]
fn a_pipe_that_nobody_reads_loses_nothing_and_does_not_hold_a_signal_up() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let pipe = bench.path("pipe");
    make_pipe(&pipe);
    let output = run(&server, &["--output", &pipe]);
    assert_eq!(output.code, Some(109), "{output:?}");
    let file = rescued(&output);
    document(&file);
    std::fs::remove_file(file).unwrap();

    // A reader that does not read: the pipe is full before all results are written.
    let held = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let prompts = "x".repeat(1 << 17);
    let profile = bench.write(
        "p.toml",
        &format!(
            "executor = \"per-vu-iterations\"\nvus = 1\niterations = 1\n[[requests]]\nname = \"chat\"\n\
             api = \"openai-chat\"\nprompt = \"{prompts}\"\n"
        ),
    );
    let running = start(&[&profile, "--target-url", &server.url(), "--output", &pipe], &[]);
    running.wait_for_stdout("PASS", SOON);
    running.signal(Signal::SIGTERM);
    let output = running.finish(SOON);
    assert!(matches!(output.code, Some(105 | 109)), "{output:?}");
    let file = rescued(&output);
    document(&file);
    std::fs::remove_file(file).unwrap();
    drop(held);
}

#[test]
fn what_cannot_be_written_is_an_error_and_somewhere_else() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let output = run(&server, &["--junit", "/dev/full"]);
    assert_eq!(output.code, Some(109), "{output:?}");
    let file = rescued(&output);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("<?xml"));
    std::fs::remove_file(file).unwrap();
    // CI is told in this case, too.
    let bench = Bench::new();
    let summary = bench.path("summary");
    let url = server.url();
    let args = ["quick-smoke", "--target-url", &url, "--quiet", "--github", "auto", "--junit", "/dev/full"];
    let output = blast_with(&args, &[("GITHUB_STEP_SUMMARY", &summary)], SOON);
    assert_eq!(output.code, Some(109), "{output:?}");
    std::fs::remove_file(rescued(&output)).unwrap();
    assert!(std::fs::read_to_string(&summary).unwrap().starts_with("### llmsim-blast quick-smoke"));

    let output = start_after("exec 1>&-", &["quick-smoke", "--target-url", &url, "--output", "-"]).finish(SOON);
    assert_eq!(output.code, Some(109), "{output:?}");
    let file = rescued(&output);
    document(&file);
    std::fs::remove_file(file).unwrap();
}
