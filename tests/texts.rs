//! Texts that the sources show to users: no count with a wrong plural, and no debug output of Rust.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fs;
use std::path::{Path, PathBuf};

/// Nouns that are counted for users, in the plural.
const NOUNS: [&str; 52] = [
    "VUs",
    "addresses",
    "arrivals",
    "attempts",
    "bytes",
    "characters",
    "columns",
    "connections",
    "conns",
    "conversations",
    "cores",
    "endpoints",
    "entries",
    "errors",
    "events",
    "failures",
    "fields",
    "files",
    "gaps",
    "gates",
    "groups",
    "handshakes",
    "headers",
    "hints",
    "images",
    "iterations",
    "kinds",
    "lines",
    "messages",
    "metrics",
    "models",
    "pairs",
    "prompts",
    "reads",
    "requests",
    "responses",
    "rows",
    "rules",
    "runs",
    "samples",
    "seconds",
    "shards",
    "stages",
    "steps",
    "streams",
    "tags",
    "targets",
    "threads",
    "times",
    "tokens",
    "turns",
    "users",
];

/// Texts whose count is always above one: limits, values above a limit, and sums of two sides.
const ALWAYS_SEVERAL: [&str; 37] = [
    "users paused {pauses} times",
    ", {} models",
    "{not_kept} connections were not reused",
    "{opened} connections were opened",
    "{retries} of {requests} requests met",
    "{load} users",
    "{} seconds; at most",
    "names {} addresses: expected at most",
    "is longer than {} bytes",
    "it is larger than {} bytes",
    "is larger than a profile may be",
    "was given {} times: expected at most",
    "was given too often: expected at most",
    "has {} rules: expected at most",
    "leaves some of {count} shards",
    "leaves {vus} users to share",
    "{} + {} runs",
    "{base} + {head} runs",
    "--paired with {base} + {head} runs",
    "--alpha {alpha} cannot be reached",
    "smallest change detectable",
    "{gates} gates on {}+{} runs",
    "{} of {all} runs: ",
    "{} runs of one build differ by",
    "# {} to {url}, {} bytes",
    "are {} kinds: expected at most",
    "other programs or machines used {share} of these cores",
    "{needed} connections at once",
    "{} of {count} are not shards",
    "expected its {} bytes",
    "the request has {n} models",
    "sent {speed} times as fast",
    "at {size} tokens a block",
    "is too long: expected at most {} pairs",
    "and 1 to {most_out} tokens",
    "of up to {n} seconds",
    "{} times: half of them within",
];
/// Texts without a number before the noun.
const NO_COUNTS: [&str; 4] =
    ["{} generates no tokens", "left out its {family} addresses", "{kind} responses", "{arrival} arrivals"];
/// A noun behind one of these words is not counted by the number.
const ENDS: [&str; 12] = ["and", "are", "for", "from", "has", "have", "is", "of", "or", "takes", "to", "with"];
/// Names of limits, which are above one.
const LIMITS: [&str; 3] = ["most", "each", "bytes"];

/// Files in which this program reads Rust's debug output, but does not show it.
const NOT_SHOWN: [&str; 2] = ["src/net/tls/failure.rs", "src/host/machine.rs"];

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let of_tests = ["tests", "tests.rs", "script.rs", "script", "architecture.rs"];
            if path.file_name().is_some_and(|name| of_tests.iter().any(|other| name == *other)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Collects the string literals that can reach a user, without those of comments, lints, tests and
/// panics.
fn texts(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Punct(sign) if sign.as_char() == '#' => {
                let inner = usize::from(matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == '!'));
                let Some(TokenTree::Group(attribute)) = tokens.get(at + inner) else { continue };
                at += inner + 1;
                let written = attribute.stream().to_string();
                if written == "cfg (test)" || written == "cfg(test)" {
                    // Skip to the end of the item.
                    while let Some(token) = tokens.get(at) {
                        at += 1;
                        let is_end = match token {
                            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                            TokenTree::Punct(sign) => sign.as_char() == ';',
                            _ => false,
                        };
                        if is_end {
                            break;
                        }
                    }
                } else if written.starts_with("error") || written.starts_with("arg") || written.starts_with("command") {
                    texts(attribute.stream(), found);
                }
            }
            TokenTree::Ident(name) => {
                let name = name.to_string();
                let panics =
                    ["assert", "assert_eq", "assert_ne", "debug_assert", "debug_assert_eq", "panic", "unreachable"];
                let is_macro = matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == '!');
                if is_macro && panics.contains(&name.as_str()) {
                    at += 2;
                } else if ["expect", "expect_err"].contains(&name.as_str()) {
                    at += usize::from(matches!(tokens.get(at), Some(TokenTree::Group(_))));
                }
            }
            TokenTree::Group(group) => texts(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

fn every_text() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in sources() {
        let source = fs::read_to_string(&path).expect("text").parse().expect("Rust");
        let mut found = Vec::new();
        texts(source, &mut found);
        let place = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("ours").display().to_string();
        all.extend(found.into_iter().map(|text| (place.clone(), text)));
    }
    assert!(all.len() > 1_000, "only {} texts found", all.len());
    all
}

/// Finds each number in a text with a plural up to three words behind it: `{n}` and `requests` of
/// `{n} failed requests`.
fn counts(text: &str) -> Vec<(&str, &str)> {
    let mut counts = Vec::new();
    for (open, _) in text.match_indices('{') {
        let Some(close) = text[open..].find('}').map(|length| open + length) else { continue };
        let Some(after) = text[close + 1..].strip_prefix(' ') else { continue };
        for word in after.split(' ').take(3) {
            let bare = word.trim_end_matches([',', '.', ':', ';', ')', '!']);
            if NOUNS.contains(&bare) {
                counts.push((&text[open + 1..close], bare));
            }
            if bare != word || word.contains('{') || ENDS.contains(&word) {
                break;
            }
        }
    }
    counts
}

#[test]
fn counts_are_found() {
    assert_eq!(counts("took {n} requests of {} plain runs, {x:.1} s"), [("n", "requests"), ("", "runs")]);
    assert_eq!(counts("{a}: requests, {b} requests/s and {c}"), []);
}

#[test]
fn no_text_has_a_wrong_plural() {
    for (place, text) in every_text() {
        for (number, noun) in counts(&text) {
            let is_limit = LIMITS.contains(&number) || number.starts_with(|c: char| c.is_ascii_uppercase());
            let is_fraction = number.contains(":.");
            let is_known = ALWAYS_SEVERAL.iter().chain(&NO_COUNTS).any(|known| text.contains(known));
            assert!(is_limit || is_fraction || is_known, "{place}: `{text}` says `1 {noun}`: use units::plural");
        }
    }
}

#[test]
fn no_text_shows_the_debug_output_of_rust() {
    for (place, text) in every_text() {
        let debugs = text.contains(":?}") || text.contains(":#?}");
        assert!(!debugs || NOT_SHOWN.contains(&place.as_str()), "{place}: `{text}` shows Rust's debug output");
    }
}
