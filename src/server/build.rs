//! Builds a checkout of llmsim with `cargo build --release`.

use super::child::{Child, Launch};
use super::{ServerError, program};
use crate::units::Nanos;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Pause between two checks of cargo's output, which is only shown to the user.
const BUILD_POLL: Duration = Duration::from_millis(50);
/// Time between SIGTERM and SIGKILL when the user stops a build.
const BUILD_GRACE: Nanos = Nanos::from_millis(500);
/// Name of the binary to find.
const BINARY: &str = "llmsim";

/// A binary that cargo has built.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    name: String,
    file: PathBuf,
}

/// Builds the checkout in `dir`, showing cargo's lines. Returns the path of the binary as reported
/// by cargo: both `CARGO_TARGET_DIR` and the checkout's own configuration may change it.
pub(super) fn build(
    own: &Path,
    dir: &Path,
    progress: &mut dyn FnMut(&str),
    stop: &AtomicBool,
) -> Result<PathBuf, ServerError> {
    if !dir.join("Cargo.toml").is_file() {
        let reason = if dir.is_dir() { "it has no Cargo.toml" } else { "no such folder" };
        return Err(ServerError::NotACheckout { path: dir.to_path_buf(), reason: reason.to_owned() });
    }
    let cargo = program::find_on_path("cargo", "--server-src needs")?;
    let failed = |source| ServerError::Io { doing: "start cargo".to_owned(), source };
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    progress(&format!("building llmsim in {}", dir.display()));
    // Cargo writes messages for programs to standard output, and lines for people to standard
    // error.
    let args = ["build", "--release", "--message-format", "json-render-diagnostics"].map(Into::into);
    let launch = Launch { own, cores: None, program: &cargo, args: &args, env: &[], dir: Some(dir) };
    let mut child = Child::spawn_with(&launch, Some(Stdio::from(writer)))?;
    let messages = std::thread::Builder::new()
        .name("cargo-messages".to_owned())
        .spawn(move || BufReader::new(reader).lines().map_while(Result::ok).filter_map(|l| built(&l)).collect())
        .map_err(failed)?;
    let status = wait(&mut child, progress, stop)?;
    if status != "exit status 0" {
        return Err(ServerError::BuildFailed { path: dir.to_path_buf(), status, last_lines: child.last_lines() });
    }
    // Processes left running by cargo hold the pipe open. They are ended here.
    child.stop(BUILD_GRACE);
    choose(dir, messages.join().unwrap_or_default())
}

/// Returns the commit of the checkout, if git knows it.
pub(super) fn commit(dir: &Path) -> Option<String> {
    let output = git(dir, &["rev-parse", "HEAD"])?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}

/// Returns true if files of the checkout differ from its commit. `None` if git does not know.
pub(super) fn dirty(dir: &Path) -> Option<bool> {
    let output = git(dir, &["status", "--porcelain", "--untracked-files=no"])?;
    output.status.success().then_some(!output.stdout.is_empty())
}

fn git(dir: &Path, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(arguments).stdin(Stdio::null());
    super::keep_secrets(&mut command);
    command.output().ok()
}

/// Shows cargo's lines until cargo ends. Returns how it ended.
#[expect(clippy::disallowed_methods, reason = "waits for another process; no test is running yet")]
fn wait(child: &mut Child, progress: &mut dyn FnMut(&str), stop: &AtomicBool) -> Result<String, ServerError> {
    let mut seen = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            child.stop(BUILD_GRACE);
            return Err(ServerError::Interrupted);
        }
        let exited = child.exited();
        let (lines, now) = child.lines_since(seen);
        seen = now;
        for line in lines {
            progress(line.trim());
        }
        if let Some(status) = exited {
            return Ok(status);
        }
        std::thread::sleep(BUILD_POLL);
    }
}

/// Returns the binary that one of cargo's messages announces, if any (cargo's manual, "External
/// tools", `compiler-artifact`).
fn built(message: &str) -> Option<Built> {
    let json: serde_json::Value = serde_json::from_str(message).ok()?;
    if json["reason"] != "compiler-artifact" {
        return None;
    }
    Some(Built { name: json["target"]["name"].as_str()?.to_owned(), file: json["executable"].as_str()?.into() })
}

/// Returns the binary called llmsim among those built.
fn choose(dir: &Path, built: Vec<Built>) -> Result<PathBuf, ServerError> {
    let names: Vec<String> = built.iter().map(|b| b.name.clone()).collect();
    built.into_iter().find(|b| b.name == BINARY).map(|b| b.file).ok_or_else(|| ServerError::NoBinary {
        path: dir.to_path_buf(),
        found: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_are_read_from_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"llmsim"},"executable":"/t/release/llmsim","fresh":true}"#;
        assert_eq!(built(message), Some(Built { name: "llmsim".to_owned(), file: "/t/release/llmsim".into() }));
        for other in [
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"llmsim"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
            "",
        ] {
            assert_eq!(built(other), None, "{other}");
        }
    }

    #[test]
    fn only_llmsim_will_do() {
        let other = Built { name: "other".to_owned(), file: "/o".into() };
        let error = choose(Path::new("d"), vec![other]).unwrap_err().to_string();
        assert!(error.contains("--server-src d") && error.contains("other"), "{error}");
        let right = Built { name: "llmsim".to_owned(), file: "/l".into() };
        assert_eq!(choose(Path::new("d"), vec![right]).unwrap(), Path::new("/l"));
    }

    #[test]
    fn a_folder_without_a_project_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let error = build(Path::new("x"), dir.path(), &mut |_| {}, &stop).unwrap_err().to_string();
        assert!(error.contains("--server-src") && error.contains("no Cargo.toml"), "{error}");
        let error = build(Path::new("x"), Path::new("/nonexistent"), &mut |_| {}, &stop).unwrap_err().to_string();
        assert!(error.contains("no such folder"), "{error}");
    }
}
