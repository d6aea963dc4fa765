//! Dependencies obey the rules of `deny.toml`, and do not need a newer Rust than this project.
//!
//! cargo-deny checks the first part more thoroughly (`.ci/run`, if it is installed). This test
//! needs neither cargo-deny nor the network.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Returns the packages that are built on Linux, including those of tests and build scripts.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    packages
}

fn id(package: &Value) -> String {
    format!("{} {}", package["name"].as_str().expect("a name"), package["version"].as_str().expect("a version"))
}

fn rules() -> toml::Table {
    include_str!("../deny.toml").parse().expect("deny.toml is TOML")
}

fn texts(list: &toml::Value) -> BTreeSet<String> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// Returns the major and minor version of a `rust-version`.
fn minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
    (parts.next().expect("major"), parts.next().unwrap_or(0))
}

#[test]
fn no_dependency_needs_a_newer_rust_than_we_promise() {
    let ours = minor(env!("CARGO_PKG_RUST_VERSION"));
    for package in packages() {
        if let Some(needed) = package["rust_version"].as_str() {
            assert!(minor(needed) <= ours, "{} needs Rust {needed}; we promise {ours:?}", id(&package));
        }
    }
}

#[test]
fn every_dependency_comes_from_a_registry_that_is_allowed() {
    let allowed = texts(&rules()["sources"]["allow-registry"]);
    for package in packages() {
        let Some(source) = package["source"].as_str() else {
            assert_eq!(package["name"], env!("CARGO_PKG_NAME"), "{} comes from a folder", id(&package));
            continue;
        };
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        assert!(allowed.contains(registry), "{} comes from {source}", id(&package));
    }
}

#[test]
fn no_dependency_is_banned() {
    let rules = rules();
    let banned = rules["bans"]["deny"].as_array().expect("a list");
    let banned: BTreeSet<&str> = banned.iter().map(|ban| ban["crate"].as_str().expect("a name")).collect();
    assert!(!banned.is_empty());
    for package in packages() {
        assert!(!banned.contains(package["name"].as_str().expect("a name")), "{} is banned", id(&package));
    }
}

#[test]
fn every_licence_is_allowed() {
    let allowed = texts(&rules()["licenses"]["allow"]);
    for package in packages() {
        let expression = package["license"].as_str().unwrap_or_else(|| panic!("{} names no licence", id(&package)));
        assert!(satisfied(expression, &allowed), "{}: `{expression}` is not allowed by deny.toml", id(&package));
    }
}

/// Returns true if these licences satisfy an SPDX expression. `/` is the old form of OR.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let result = any(&mut words, allowed);
    assert_eq!(words.next(), None, "`{expression}` is not a licence expression");
    result
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        result |= all(words, allowed);
    }
    result
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let result = any(words, allowed);
        assert_eq!(words.next(), Some(")"), "a parenthesis is not closed");
        return result;
    }
    let mut licence = words.next().expect("a licence").to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().expect("an exception"));
    }
    allowed.contains(&licence)
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
        ("GPL-3.0 OR (MIT AND ISC)", true),
        ("MIT WITH GPL-exception", false),
    ] {
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}
