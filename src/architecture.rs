//! The test that keeps the invariants of `lib.rs`: it reads the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and what it may name. The table of `lib.rs`.
const LAYERS: [(&str, &[&str]); 15] = [
    ("report", &["compare", "plan", "metrics", "threshold", "units"]),
    ("live", &["plan", "metrics", "threshold", "units"]),
    ("engine", &["plan", "scenario", "api", "wire", "net", "load", "metrics", "units"]),
    ("plan", &["scenario", "api", "threshold", "load", "net", "server", "metrics", "units"]),
    ("scenario", &["api", "wire", "units"]),
    ("api", &["wire", "metrics", "units"]),
    ("threshold", &["metrics", "units"]),
    ("compare", &["metrics", "units"]),
    ("server", &["wire", "net", "units"]),
    ("origin", &["wire", "metrics", "units"]),
    ("wire", &["units"]),
    ("load", &["units"]),
    ("net", &["units"]),
    ("metrics", &["units"]),
    ("units", &[]),
];

/// Modules that do no I/O and read no clock.
const PURE: [&str; 9] = ["wire", "api", "load", "scenario", "plan", "metrics", "threshold", "compare", "report"];

/// What pure modules may not name.
const WORLD: [&str; 9] = [
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
    "std::io::std",
    "println!",
];

/// A word, and the only places that may use it.
const RESERVED: [(&str, &[&str]); 10] = [
    ("rustls", &["net/tls"]),
    ("httparse", &["wire/http1"]),
    ("tungstenite", &["wire/websocket"]),
    ("clap", &["cli/mod.rs", "cli/args.rs", "cli/access.rs", "cli/sweep_args.rs", "cli/error.rs"]),
    ("mio", &["net/", "engine/", "origin/"]),
    ("hdrhistogram", &["metrics/"]),
    ("Serialize", &["report/", "plan/profile"]),
    ("Deserialize", &["report/", "plan/profile", "api/"]),
    ("SystemTime", &["cli/", "engine/clock.rs"]),
    ("core_affinity", &["engine/"]),
];

/// Beyond this a file has more than one noun in it. Tests do not count.
const MAX_LINES: usize = 620;

struct Source {
    /// Below `src`, with `/`.
    path: String,
    /// First folder or file stem.
    module: String,
    /// Code without comments and string contents.
    code: String,
    /// Lines before the first test module.
    lines: usize,
    /// Whether it is a test.
    is_test: bool,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found in {}", root.display());
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source file can be read");
            let path = file.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
            let module = path.split(['/', '.']).next().unwrap_or_default().to_owned();
            let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let is_test = path.ends_with("tests.rs") || path.contains("/tests/") || path == "architecture.rs";
            Source { module, lines: before_tests.lines().count(), code: strip(&text), is_test, path }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Removes line comments and the contents of strings, which may say anything.
fn strip(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut previous = ' ';
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '/' && chars.peek() == Some(&'/') && !in_string {
                break;
            }
            let quote = c == '"' && previous != '\\' && previous != '\'';
            in_string ^= quote;
            if !in_string && !quote {
                out.push(c);
            }
            previous = if previous == '\\' && c == '\\' { ' ' } else { c };
        }
        out.push('\n');
    }
    out
}

/// Modules named by `crate::x` and `crate::{x, y::…}`.
fn named(code: &str) -> BTreeSet<String> {
    let ident = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            modules.insert(ident(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (i, c) in group.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && c.is_alphabetic() => {
                    modules.insert(ident(&group[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    modules
}

/// Whether `word` stands in `code` as a word of its own.
fn uses(code: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .any(|(at, _)| boundary(code[..at].chars().next_back()) && boundary(code[at + word.len()..].chars().next()))
}

#[test]
fn imports_point_downward() {
    for source in sources() {
        let Some((_, allowed)) = LAYERS.iter().find(|(module, _)| *module == source.module) else { continue };
        for name in named(&source.code) {
            let is_module = LAYERS.iter().any(|(m, _)| *m == name) || name == "cli";
            assert!(
                !is_module || name == source.module || allowed.contains(&name.as_str()),
                "src/{} names crate::{name}; `{}` may name {allowed:?} (see the layers in src/lib.rs)",
                source.path,
                source.module
            );
        }
    }
}

#[test]
fn pure_modules_do_not_touch_the_world() {
    for source in sources().iter().filter(|s| PURE.contains(&s.module.as_str()) && !s.is_test) {
        let code = source.code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in WORLD {
            assert!(!code.contains(word), "src/{} uses {word}; `{}` is pure", source.path, source.module);
        }
    }
}

#[test]
fn the_clock_is_read_in_one_place() {
    let allowed = ["engine/clock.rs", "server/", "live/", "cli/"];
    for source in sources().iter().filter(|s| !s.is_test) {
        let reads = source.code.contains("Instant::now");
        assert!(!reads || allowed.iter().any(|a| source.path.starts_with(a)), "src/{} reads the clock", source.path);
    }
}

#[test]
fn words_stay_in_their_rooms() {
    for source in sources().iter().filter(|s| !s.is_test) {
        for (word, rooms) in RESERVED {
            let at_home = rooms.iter().any(|room| source.path.starts_with(room));
            assert!(at_home || !uses(&source.code, word), "src/{} names {word}; only {rooms:?} may", source.path);
        }
    }
}

#[test]
fn habits_that_are_not_ours() {
    for source in sources().iter().filter(|s| s.path != "architecture.rs") {
        for habit in ["use crate::*", "super::super", "static mut", "lazy_static", "unsafe {"] {
            assert!(!source.code.contains(habit), "src/{}: {habit}", source.path);
        }
        let exits = source.code.contains("process::exit");
        assert!(!exits || source.path == "main.rs", "src/{} exits; only main.rs may", source.path);
    }
}

#[test]
fn files_stay_small() {
    for source in sources().iter().filter(|s| !s.is_test) {
        assert!(
            source.lines <= MAX_LINES,
            "src/{}: {} lines; which noun wants its own file?",
            source.path,
            source.lines
        );
    }
}

#[test]
fn every_module_has_its_row() {
    for source in sources() {
        let known = ["cli", "lib", "main", "architecture"].contains(&source.module.as_str())
            || LAYERS.iter().any(|(m, _)| *m == source.module);
        assert!(known, "src/{}: module `{}` has no layer; add it to the table", source.path, source.module);
    }
}

#[test]
fn the_test_itself_sees_what_it_should() {
    assert_eq!(
        named("use crate::{load::{Schedule, Start}, units::Nanos};\ncrate::wire::x()"),
        ["load", "units", "wire"].into_iter().map(str::to_owned).collect()
    );
    assert_eq!(strip("let a = \"crate::cli\"; // crate::cli").trim(), "let a = ;");
    assert!(uses("use mio::Poll", "mio") && !uses("let famio = 1", "mio"));
}
