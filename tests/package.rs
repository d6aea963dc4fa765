//! The packed crate, as `cargo install` and packagers get it, is complete and small.

mod support;

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use support::Bench;

/// Largest size of the packed crate, in bytes. The registry's limit is five times as large.
const LARGEST: u64 = 2_000_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `cargo package` and returns its output. It uses a target folder of its own, because cargo
/// locks the usual folder while tests run.
fn package(args: &[&str], target: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--offline", "--locked", "--allow-dirty", "--target-dir", target])
        .args(args)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo package: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the files that a source includes when it is compiled, relative to the crate's root.
fn included(source: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(source).expect("a source");
    let by_macro = ["include_str!(\"", "include_bytes!(\"", "include!(\""].into_iter().flat_map(|begin| {
        text.match_indices(begin).map(move |(at, _)| (at + begin.len(), source.parent().expect("a folder").to_owned()))
    });
    // askama reads templates from one folder.
    let by_template =
        text.match_indices("#[template(path = \"").map(|(at, begin)| (at + begin.len(), root().join("templates")));
    by_macro
        .chain(by_template)
        .map(|(at, folder)| {
            let path = folder.join(text[at..].split('"').next().expect("a path"));
            let mut plain = PathBuf::new();
            for part in path.components() {
                if part == Component::ParentDir {
                    plain.pop();
                } else {
                    plain.push(part);
                }
            }
            plain.strip_prefix(root()).expect("a file of the crate").to_owned()
        })
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_that_is_compiled_in_is_packed() {
    let bench = Bench::new();
    let list = package(&["--list"], &bench.path("target"));
    let packed: BTreeSet<&Path> = list.lines().map(Path::new).collect();
    let mut all = Vec::new();
    sources(&root().join("src"), &mut all);
    let mut needed: Vec<PathBuf> = all.iter().flat_map(|source| included(source)).collect();
    assert!(needed.len() > 30, "only {} files are included", needed.len());
    needed.extend(all.iter().map(|source| source.strip_prefix(root()).expect("a source").to_owned()));
    needed.extend(["Cargo.lock", "LICENSE", "README.md", "CHANGELOG.md", "build.rs"].map(PathBuf::from));
    for file in needed {
        assert!(packed.contains(file.as_path()), "{} is not packed", file.display());
    }
    for folder in [".ci", ".github", "fuzz", "target"] {
        assert!(!packed.iter().any(|file| file.starts_with(folder)), "{folder} is packed");
    }
}

#[test]
fn the_packed_crate_is_small() {
    let bench = Bench::new();
    package(&["--no-verify"], &bench.path("target"));
    let name = format!("target/package/llmsim-blast-{}.crate", env!("CARGO_PKG_VERSION"));
    let size = std::fs::metadata(bench.path(&name)).expect("a crate").len();
    assert!(size < LARGEST, "the packed crate has {size} bytes, expected at most {LARGEST}");
}
