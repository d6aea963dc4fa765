//! The README says what is true: its commands, flags, metrics, failures, exit codes and its example.

use llmsim_blast::metrics::{Failure, Metric};
use llmsim_blast::plan::{Overrides, profile, resolve};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

/// Commands whose flags are kept, too.
const COMMANDS: [&str; 6] = ["capacity", "compare", "merge", "noise", "report", "throughput"];

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_llmsim-blast")).args(arguments).output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("text")
}

/// Every `--flag` in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let is_flag = |c: char| c.is_ascii_lowercase() || c == '-';
    text.match_indices("--")
        .filter(|(at, _)| *at == 0 || !text[..*at].ends_with(|c: char| is_flag(c) || c.is_alphanumeric()))
        .map(|(at, _)| text[at..].chars().take_while(|c| is_flag(*c)).collect::<String>())
        .map(|flag| flag.trim_end_matches('-').to_owned())
        .filter(|flag| flag.len() > 2)
        .collect()
}

fn section(title: &str) -> &'static str {
    let start = README.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no section `{title}`"));
    let rest = &README[start + 1..];
    &rest[..rest[3..].find("\n## ").map_or(rest.len(), |end| end + 3)]
}

#[test]
fn the_two_commands_stand_where_ci_looks_for_them() {
    let commands: Vec<&str> =
        section("Two commands").lines().filter_map(|line| line.strip_prefix("    cargo ")).collect();
    assert_eq!(commands, ["run --release -- quick-smoke", "test"]);
}

#[test]
fn every_flag_is_described_and_none_is_invented() {
    let mut known = flags(&help(&["--help"]));
    for command in COMMANDS {
        known.extend(flags(&help(&[command, "--help"])));
    }
    known.extend(["--version", "--help"].map(str::to_owned));
    let described = flags(README);
    for flag in &known {
        let obvious = ["--version", "--help"].contains(&flag.as_str());
        assert!(obvious || described.contains(flag), "{flag} is not in the README");
    }
    // Cargo's, the scripts', and the self-test's own.
    let scripts = ["--runs", "--profile", "--work", "--again", "--base-src", "--head-src"];
    for other in ["--release", "--no-default-features", "--quick"].into_iter().chain(scripts) {
        known.insert(other.to_owned());
    }
    for flag in &described {
        assert!(known.contains(flag), "{flag} is in the README, but not in --help");
    }
}

#[test]
fn every_metric_and_profile_is_described() {
    for metric in Metric::all() {
        assert!(section("Metrics").contains(&format!("`{}`", metric.name())), "{} is not described", metric.name());
    }
    for name in profile::BUILT_IN {
        assert!(section("Profiles").contains(&format!("| `{}` |", name.0)), "{} is not described", name.0);
    }
}

/// The table of failures as the list in the code has it.
fn failures() -> String {
    let row = |failure: Failure| {
        let (class, category, when) = (failure.name(), failure.category().name(), failure.when());
        format!("| `{class}` | {category} | {when} |\n")
    };
    format!("| Class | Category | When |\n|---|---|---|\n{}", Failure::ALL.map(row).concat())
}

#[test]
fn the_table_of_failures_is_made_of_the_list_in_the_code() {
    let table = failures();
    assert!(section("Failures").contains(&format!("\n\n{table}\n")), "the README should say:\n\n{table}");
}

#[test]
fn every_exit_code_is_described() {
    let table = section("Thresholds and exit codes");
    for code in [0, 2, 99, 104, 105, 107, 109, 110, 111] {
        assert!(table.contains(&format!("\n| {code} |")), "{code} is not described");
    }
}

#[test]
fn the_example_is_a_profile_that_can_be_run() {
    let start = README.find("```toml\n").expect("an example") + "```toml\n".len();
    let example = &README[start..start + README[start..].find("```").expect("its end")];
    let resolved = resolve("my.toml", &Overrides::default(), &mut |path: &Path| {
        assert_eq!(path, Path::new("my.toml"));
        Ok(example.to_owned())
    })
    .expect("the example is valid");
    assert_eq!(resolved.plan.shape.peak_vus(), 20);
    assert_eq!(resolved.plan.thresholds.len(), 4);
}
