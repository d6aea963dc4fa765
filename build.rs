//! Records the commit and the compiler. The Document names both, so that two results can be told
//! apart.

use std::process::Command;

fn main() {
    // The names do not begin with LLMSIM_BLAST_: cargo passes them to the programs that it runs,
    // and the tool refuses variables with that prefix that are not flags. `.git/HEAD` changes with
    // the branch, `.git/logs/HEAD` with every commit. Outside a checkout neither exists. The
    // sources are watched because they may differ from the commit.
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
