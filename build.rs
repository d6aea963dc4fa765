//! Which commit and which compiler: the Document names them, so that two results can be told apart.

use std::process::Command;

fn main() {
    // Not LLMSIM_BLAST_…: cargo hands these names to what it runs, and a name of that kind which is
    // no flag is refused. `.git/HEAD` changes with the branch, `.git/logs/HEAD` with every commit.
    // Outside a checkout neither exists. The sources, for whether they differ from that commit.
    for file in ["build.rs", ".git/HEAD", ".git/logs/HEAD", "src", "profiles", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    for (name, program, arguments) in
        [("BUILD_GIT_COMMIT", "git", &["rev-parse", "HEAD"][..]), ("BUILD_RUSTC", rustc.as_str(), &["--version"][..])]
    {
        let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
        if let Some(text) = output.and_then(|output| String::from_utf8(output.stdout).ok()) {
            println!("cargo::rustc-env={name}={}", text.trim());
        }
    }
    let status = Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]).output();
    if let Some(changed) = status.ok().filter(|output| output.status.success()) {
        println!("cargo::rustc-env=BUILD_GIT_DIRTY={}", !changed.stdout.is_empty());
    }
}
