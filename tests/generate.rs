//! Man pages and completions, checked by the programs that read them.

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use support::blast;

fn generated(args: &[&str]) -> String {
    let output = blast(&[&["generate"], args].concat());
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    output.stdout
}

/// Checks that a program accepts `text` without a message. A program that is not installed is
/// skipped, except bash; `.ci/run` reports that.
fn check(program: &str, args: &[&str], text: &str) {
    let mut child = Command::new(program);
    let child = child.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let is_needed = program == "bash" || std::env::var_os("LLMSIM_BLAST_CI_NEEDS_SHELLS").is_some();
    let mut child = match child.spawn() {
        Ok(child) => child,
        Err(error) if is_needed => panic!("{program}: {error}"),
        Err(_) => return,
    };
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
}

#[test]
fn every_command_has_a_page() {
    let whole = generated(&["man"]);
    for part in [".TH llmsim-blast 1", "\\-\\-target\\-url", "capacity"] {
        assert!(whole.contains(part), "{part:?} in {whole}");
    }
    check("mandoc", &["-T", "lint", "-W", "error"], &whole);
    for command in ["profiles", "capacity", "throughput", "compare", "merge", "noise", "report", "serve", "self-test"] {
        let page = generated(&["man", command]);
        assert!(page.contains(&format!(".TH llmsim-blast-{command} 1")), "{page}");
        check("mandoc", &["-T", "lint", "-W", "error"], &page);
    }
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for (shell, program) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = generated(&[shell]);
        assert!(script.contains("target-url") && script.contains("self-test"), "{shell}: {script}");
        assert!(!script.contains("supervise"), "hidden commands are not for people: {shell}");
        check(program, &["-n"], &script);
    }
    for shell in ["powershell", "elvish"] {
        assert!(generated(&[shell]).contains("target-url"), "{shell}");
    }
}

/// bash itself completes a flag.
#[test]
fn bash_completes_a_flag() {
    let script = generated(&["bash"]);
    let ask = format!(
        "{script}\nCOMP_WORDS=(llmsim-blast load --target-u) COMP_CWORD=2 COMP_LINE='llmsim-blast load --target-u'\n\
         _llmsim__blast llmsim-blast --target-u load\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--target-url", "{output:?}");
}

#[test]
fn nonsense_is_refused_with_what_there_is() {
    let output = blast(&["generate", "man", "nothing"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains("unknown command 'nothing': expected one of profiles, capacity"), "{output:?}");
    let output = blast(&["generate", "tcsh"]);
    assert!(output.code == Some(2) && output.stderr.contains("possible values: man, bash"), "{output:?}");
    let output = blast(&["generate", "bash", "load"]);
    assert!(output.code == Some(2) && output.stderr.contains("expected no COMMAND"), "{output:?}");
}
