//! Checks that the documentation is true: commands, flags, metrics, failures, exit codes, examples,
//! links and addresses.
//!
//! `docs/cli.md` and the marked tables of `docs/metrics.md`, `docs/failures.md` and
//! `docs/validity.md` are generated. After a change, run `UPDATE_DOCS=1 cargo test --test docs` and
//! look at the difference.

use llmsim_blast::metrics::hints::{HINTS, HintKind};
use llmsim_blast::metrics::validity::{SIGNALS, SignalKind, SignalUnit};
use llmsim_blast::metrics::{Failure, Metric};
use llmsim_blast::plan::{Overrides, profile, resolve};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WIDEST_LINE: usize = 120;
const LONGEST_README: usize = 150;

/// Public commands, in the order of the page.
const COMMANDS: [&str; 10] =
    ["profiles", "capacity", "throughput", "compare", "merge", "noise", "report", "serve", "self-test", "generate"];
const HIDDEN_COMMANDS: [&str; 1] = ["origin"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns every file below a folder whose name ends in one of `endings`.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns the pages for users and contributors.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", &[".md"]);
    for other in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benches/README.md", "fuzz/README.md"]
    {
        pages.push(root().join(other));
    }
    pages.push(root().join(INDEX));
    pages
}

/// The index for agents.
const INDEX: &str = "docs/llms.txt";

#[test]
fn the_index_names_every_page_and_every_command() {
    let index = text(INDEX);
    for page in pages().into_iter().filter(|page| !page.ends_with("llms.txt")) {
        let page = name(&page);
        let link = page.strip_prefix("docs/").map_or_else(|| format!("](../{page})"), |page| format!("]({page})"));
        assert!(index.contains(&link), "{INDEX} does not name {page}: expected a line with {link}");
    }
    for command in COMMANDS {
        assert!(index.contains(&format!("\n- [{command}](")), "{INDEX} does not name the command {command}");
    }
}

/// Returns the text of a page without its statements about other tools: the page for users of other
/// tools loses its first column.
fn ours(page: &Path) -> String {
    let text = fs::read_to_string(page).expect("a page");
    if !page.ends_with("docs/coming-from.md") {
        return text;
    }
    text.lines().map(|line| line.splitn(3, '|').last().unwrap_or(line).to_owned() + "\n").collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmsim-blast"));
    // The width of the terminal in which the tests run must not change the page.
    let output = command.args(arguments).env("COLUMNS", "80").output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("text")
}

fn every_help() -> impl Iterator<Item = (String, String)> {
    let test = ("llmsim-blast".to_owned(), help(&["--help"]));
    let commands = COMMANDS.into_iter().chain(HIDDEN_COMMANDS);
    std::iter::once(test).chain(commands.map(|name| (format!("llmsim-blast {name}"), help(&[name, "--help"]))))
}

/// Returns every `--flag` in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let is_flag = |c: char| c.is_ascii_lowercase() || c == '-';
    text.match_indices("--")
        .filter(|(at, _)| *at == 0 || !text[..*at].ends_with(|c: char| is_flag(c) || c.is_alphanumeric()))
        .map(|(at, _)| text[at..].chars().take_while(|c| is_flag(*c)).collect::<String>())
        .map(|flag| flag.trim_end_matches('-').to_owned())
        .filter(|flag| flag.len() > 2)
        .collect()
}

/// Returns the part of a page below a heading, up to the next heading of the same level.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let start = page.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no section `{title}`"));
    let rest = &page[start + 1..];
    &rest[..rest[3..].find("\n## ").map_or(rest.len(), |end| end + 3)]
}

/// Compares a generated text with a file, or writes it to the file if `UPDATE_DOCS` is set.
fn hold(path: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(path), expected).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let page = text(path);
    let differing = page.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(page == expected, "{path} is out of date at {differing:?}: run UPDATE_DOCS=1 cargo test --test docs");
}

const BEGIN: &str = "<!-- generated by tests/docs.rs: begin -->\n";
const END: &str = "<!-- generated by tests/docs.rs: end -->\n";

/// Compares the marked parts of a page with `tables`.
fn hold_tables(path: &str, tables: &[String]) {
    let page = text(path);
    let mut parts = page.split(BEGIN);
    let mut expected = parts.next().unwrap_or_default().to_owned();
    let marked: Vec<&str> = parts.collect();
    assert_eq!(marked.len(), tables.len(), "{path}: the marks of its tables");
    for (part, table) in marked.into_iter().zip(tables) {
        let (_, after) = part.split_once(END).unwrap_or_else(|| panic!("{path} has no end mark"));
        expected.push_str(&[BEGIN, "\n", table, "\n", END, after].concat());
    }
    hold(path, &expected);
}

fn hold_table(path: &str, table: &str) {
    hold_tables(path, &[table.to_owned()]);
}

#[test]
fn the_two_commands_stand_where_ci_looks_for_them() {
    let readme = text("README.md");
    let commands: Vec<&str> =
        section(&readme, "Two commands").lines().filter_map(|line| line.strip_prefix("    cargo ")).collect();
    assert_eq!(commands, ["run --release -- quick-smoke", "test"]);
}

#[test]
fn the_readme_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines <= LONGEST_README, "README.md has {lines} lines: move the rest to docs/");
}

#[test]
fn the_page_of_the_command_line_is_what_help_prints() {
    let mut page = "# Command line\n\nGenerated from `--help` by `UPDATE_DOCS=1 cargo test --test docs`.\n".to_owned();
    for (command, help) in
        every_help().filter(|(command, _)| !HIDDEN_COMMANDS.iter().any(|name| command.ends_with(name)))
    {
        page = [&page, "\n## ", &command, "\n\n```text\n"].concat();
        page.extend(help.lines().flat_map(|line| [line.trim_end(), "\n"]));
        page.push_str("```\n");
    }
    hold("docs/cli.md", &page);
}

#[test]
fn every_flag_is_explained_in_a_page_and_no_page_invents_one() {
    let mut known: BTreeSet<String> = every_help().flat_map(|(_, help)| flags(&help)).collect();
    let mut explained = BTreeSet::new();
    for page in files("docs", &[".md"]).iter().filter(|page| !page.ends_with("docs/cli.md")) {
        explained.extend(flags(&ours(page)));
    }
    let obvious = ["--version", "--help", "--config", "--base", "--head", "--spin"];
    for flag in known.iter().filter(|flag| !obvious.contains(&flag.as_str())) {
        assert!(explained.contains(flag), "{flag} is in no page of docs/ but cli.md");
    }
    // Flags of cargo, git and pip, of the scripts, and of other programs.
    known.extend(flags(
        &files("scripts", &[".sh", ".py"]).iter().map(|f| fs::read_to_string(f).expect("text")).collect::<String>(),
    ));
    let others = [
        "--release",
        "--no-default-features",
        "--path",
        "--test",
        "--locked",
        "--lib",
        "--all-targets",
        "--bench",
        "--features",
        "--manifest-path",
        "--save-baseline",
        "--baseline",
        "--check",
        "--all",
        "--most",
        "--h1",
        "--bin",
        "--workspace",
        "--enable-feature",
        // Of podman and gh.
        "--network",
        "--read-only",
        "--repo",
        "--rm",
        "--tmpfs",
        "--user",
        // Of kubectl and Slurm.
        "--array",
        "--for",
        "--from-literal",
        "--kill-on-bad-exit",
        "--no-requeue",
        "--signal",
        "--tail",
        "--wait",
    ];
    known.extend(others.map(str::to_owned));
    for page in pages() {
        for flag in flags(&ours(&page)) {
            assert!(known.contains(&flag), "{}: {flag} does not exist", name(&page));
        }
    }
}

#[test]
fn the_table_of_metrics_is_made_of_the_catalogue() {
    let row = |metric: Metric| {
        let names: Vec<_> = std::iter::once(metric.name()).chain(metric.aliases().iter().copied()).collect();
        let (names, unit, kind, help) = (names.join("`, `"), metric.unit().name(), metric.kind().name(), metric.help());
        format!("| `{names}` | {unit} | {kind} | {help} |\n")
    };
    let rows = Metric::all().map(row).collect::<Vec<_>>().concat();
    hold_table("docs/metrics.md", &format!("| Name | Unit | Kind | Meaning |\n|---|---|---|---|\n{rows}"));
}

#[test]
fn every_built_in_profile_is_described() {
    let page = text("docs/profiles.md");
    let readme = text("README.md");
    for (profile, _) in profile::BUILT_IN {
        assert!(
            section(&page, "Built-in profiles").contains(&format!("| `{profile}` |")),
            "{profile} is not described"
        );
        assert!(section(&readme, "Profiles").contains(&format!("| `{profile}` |")), "{profile} is not in the README");
    }
}

#[test]
fn the_table_of_failures_is_made_of_the_list_in_the_code() {
    let row = |failure: Failure| {
        let (class, category, when) = (failure.name(), failure.category().name(), failure.when());
        format!("| `{class}` | {category} | {when} |\n")
    };
    hold_table(
        "docs/failures.md",
        &format!("| Class | Category | When |\n|---|---|---|\n{}", Failure::ALL.map(row).concat()),
    );
}

#[test]
fn the_tables_of_signals_and_hints_are_made_of_those_in_the_code() {
    let limit = |unit: SignalUnit, value: f64| match unit {
        SignalUnit::Share => format!("{} %", (value * 1e4).round() / 1e2),
        SignalUnit::Millis if value >= 1e3 => format!("{} s", value / 1e3),
        SignalUnit::Millis => format!("{value} ms"),
        SignalUnit::Count => value.to_string(),
    };
    let signal = |kind: &SignalKind| {
        let (strained, bottleneck) = (limit(kind.unit, kind.strained_above), limit(kind.unit, kind.limit));
        format!("| `{}` | {} | {strained} | {bottleneck} |\n", kind.name, kind.measures)
    };
    let hint = |kind: HintKind| format!("| `{}` | {} | {} |\n", kind.name, kind.pattern, kind.likely_cause);
    let signals = "| Signal | Measures | Strained above | Bottleneck above |\n|---|---|---:|---:|\n".to_owned();
    let hints = "| Hint | Pattern | Likely cause |\n|---|---|---|\n".to_owned();
    hold_tables("docs/validity.md", &[signals + &SIGNALS.map(signal).concat(), hints + &HINTS.map(hint).concat()]);
}

#[test]
fn every_exit_code_is_described() {
    let page = text("docs/thresholds.md");
    let table = section(&page, "Exit codes");
    for code in [0, 2, 99, 104, 105, 107, 109, 110, 111] {
        assert!(table.contains(&format!("\n| {code} |")), "{code} is not described");
    }
}

/// Every TOML block is a profile, or a part of a profile that is completed here.
#[test]
fn the_examples_are_profiles_that_can_be_run() {
    let mut examples = 0;
    for page in files("docs", &[".md"]) {
        let page_text = fs::read_to_string(&page).expect("a page");
        for block in page_text.split("```toml\n").skip(1) {
            let mut example = block[..block.find("```").expect("its end")].to_owned();
            examples += 1;
            if !example.contains("executor =") {
                example = format!("executor = \"constant-vus\"\nduration = \"30s\"\n{example}");
            }
            for (kind, stream) in [("chat-stream", true), ("chat-plain", false)] {
                if !example.contains(&format!("name = \"{kind}\"")) {
                    let request =
                        [("name", kind), ("api", "openai-chat")].map(|(key, text)| format!("{key} = \"{text}\"\n"));
                    example =
                        [&example, "\n[[requests]]\n", &request.concat(), &format!("stream = {stream}\n")].concat();
                }
            }
            let whole = page.ends_with("docs/profiles.md");
            let resolved = resolve("my.toml", &Overrides::default(), &mut |path: &Path| {
                if path == Path::new("my.toml") {
                    return Ok(example.clone());
                }
                // The other files in examples are samples.
                fs::read_to_string(root().join("tests/samples").join(path))
            })
            .unwrap_or_else(|error| panic!("{}: {error}\n{example}", name(&page)));
            if whole {
                assert_eq!((resolved.plan.shape.peak_vus(), resolved.plan.thresholds.len()), (20, 4));
            }
        }
    }
    assert!(examples >= 4, "{examples} examples");
}

/// Returns the list after "expected one of" in the refusal of a profile.
fn expected(profile: &str) -> Vec<String> {
    let refused = resolve("my.toml", &Overrides::default(), &mut |_: &Path| Ok(profile.to_owned()));
    let refusal = refused.expect_err("a mistake").to_string();
    let (_, list) = refusal.split_once("expected one of ").unwrap_or_else(|| panic!("{refusal}"));
    list.split(", ").map(|word| word.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_key_of_a_profile_and_every_api_is_described() {
    let request = "executor = \"constant-vus\"\nvus = 1\nduration = \"1s\"\n[[requests]]\nname = \"a\"\n";
    let keys = section(&text("docs/profiles.md"), "Keys").to_owned();
    let both = [expected("nothing = 1"), expected(&format!("{request}api = \"openai-chat\"\nnothing = 1"))];
    for key in both.concat() {
        assert!(
            keys.contains(&format!("`{key}`"))
                || keys.contains(&format!("`[{key}]`"))
                || keys.contains(&format!("`[[{key}]]`")),
            "{key}"
        );
    }
    let apis = text("docs/apis.md");
    for api in expected(&format!("{request}api = \"nothing\"")) {
        assert!(apis.contains(&format!("`{api}`")), "{api} is not described");
    }
}

/// Returns the anchor that GitHub makes from a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let here = fs::read_to_string(&page).expect("a page");
        for (at, _) in here.match_indices("](") {
            let rest = &here[at + 2..];
            let link = &rest[..rest.find(')').expect("the end of a link")];
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            assert!(to.exists(), "{}: nothing at {link}", name(&page));
            if !heading.is_empty() {
                let there = fs::read_to_string(&to).expect("a page");
                let found =
                    there.lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading);
                assert!(found, "{}: no heading for {link}", name(&page));
            }
        }
    }
    assert!(links > 40, "{links} links");
}

/// Sites that a page may link to. No example sends load to them.
const SITES: [&str; 4] = ["github.com", "keepachangelog.com", "rustup.rs", "semver.org"];

/// Returns every host of a URL, and every literal address, in a text.
fn hosts(text: &str) -> Vec<String> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let mut hosts = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let scheme = text[..at].rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let authority: String =
            text[at + mark.len()..].chars().take_while(|c| is_host(*c) || ":@[]".contains(*c)).collect();
        let host = authority.rsplit('@').next().unwrap_or_default();
        // A bracket begins an IPv6 address, or a pattern in a script.
        let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) if address.contains("::") => format!("[{address}]"),
            Some(_) => continue,
            None => host.split([':', '[']).next().unwrap_or_default().to_owned(),
        };
        if ["http", "https", "ws", "wss"].contains(&scheme) && !host.is_empty() {
            hosts.push(host.trim_end_matches('.').to_owned());
        }
    }
    let text = text.replace("section-", "section.");
    let is_ip = |word: &&str| word.split('.').count() == 4 && word.split('.').all(|part| part.parse::<u8>().is_ok());
    hosts.extend(text.split(|c: char| !c.is_ascii_digit() && c != '.').filter(is_ip).map(str::to_owned));
    hosts
}

/// A reader may paste any example. None may send load to an address that may belong to someone.
#[test]
fn no_example_names_an_address_that_may_belong_to_someone() {
    let mut texts: Vec<(String, String)> = every_help().collect();
    let scripts = files("scripts", &[".sh", ".py", ".yml"]);
    texts.extend(pages().iter().chain(&scripts).map(|path| (name(path), fs::read_to_string(path).expect("text"))));
    let profiles = files("profiles", &[".toml"]);
    texts.extend(profiles.iter().map(|path| (name(path), fs::read_to_string(path).expect("text"))));
    let mut seen = 0;
    for (place, text) in texts {
        for host in hosts(&text) {
            let ours = host.starts_with("127.") || ["localhost", "HOST", "0.0.0.0", "[::1]"].contains(&host.as_str());
            seen += 1;
            assert!(
                ours || SITES.contains(&host.as_str()),
                "{place}: {host} may belong to someone: use 127.0.0.1, localhost or HOST"
            );
        }
    }
    assert!(seen > 20, "only {seen} hosts found");
}

/// Messages, help and comments of the sources. `host` is a placeholder in `http://host:port`, and
/// names under `.invalid` never belong to anyone (RFC 2606).
#[test]
fn no_source_names_an_address_that_may_belong_to_someone() {
    const OTHERS: [&str; 4] = ["host", "json-schema.org", "no-color.org", "prometheus.io"];
    /// Reserved for documentation (RFC 5737, RFC 3849, RFC 2606). Tests may name them.
    const RESERVED: [&str; 2] = ["192.0.2.", "[2001:db8:"];
    let mut seen = 0;
    for path in
        ["src", "tests", "benches", "fuzz/fuzz_targets"].iter().flat_map(|folder| files(folder, &[".rs", ".json"]))
    {
        if path.ends_with("tests/docs.rs") {
            continue;
        }
        let (place, text) = (name(&path), fs::read_to_string(&path).expect("text"));
        let only_tests = !place.starts_with("src") || place.ends_with("tests.rs") || place.contains("/tests/");
        let split = text.find("#[cfg(test)]\nmod tests {").filter(|_| !only_tests).unwrap_or(text.len());
        // Section numbers look like addresses.
        let (code, tests) = (text[..split].replace("section ", "section-"), &text[split..]);
        let mut check = |text: &str, is_test: bool| {
            for host in hosts(text) {
                seen += 1;
                let ours =
                    host.starts_with("127.") || ["localhost", "HOST", "0.0.0.0", "[::1]"].contains(&host.as_str());
                let nobody =
                    host.ends_with(".invalid") || OTHERS.contains(&host.as_str()) || SITES.contains(&host.as_str());
                let reserved = RESERVED.iter().any(|prefix| host.starts_with(prefix))
                    || [".example", "example.com"].iter().any(|end| host.ends_with(end))
                    || !host.contains('.');
                assert!(ours || nobody || is_test && reserved, "{place}: {host} may belong to someone");
            }
        };
        check(&code, only_tests);
        check(tests, true);
    }
    assert!(seen > 100, "only {seen} hosts found");
}

#[test]
fn hosts_are_found_in_every_form() {
    let text = "curl http://10.0.0.7:8080/x https://user:secret@example.com, ws://[2001:db8::1]:80/ and 'http://[0-9.:]*' and 192.168.0.1; 1.2.3";
    assert_eq!(hosts(text), ["10.0.0.7", "example.com", "[2001:db8::1]", "10.0.0.7", "192.168.0.1"]);
}

/// Table rows cannot be wrapped, and samples of output are shown as they were printed.
#[test]
fn no_line_is_too_wide() {
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        // The output of a script is shown as it was printed.
        let written = text.split("\n## A run\n").next().unwrap_or_default();
        for (number, line) in written.lines().enumerate() {
            let exempt = line.starts_with('|') && page != root().join("README.md");
            let width = line.chars().count();
            assert!(exempt || width <= WIDEST_LINE, "{}:{}: {width} columns", name(&page), number + 1);
        }
    }
}

/// The usage of a script fits an ordinary terminal.
#[test]
fn the_usage_of_every_script_fits_eighty_columns() {
    let mut seen = 0;
    for path in files("scripts", &[".sh", ".py"]) {
        let text = fs::read_to_string(&path).expect("text");
        // A shell script prints a here-document. Python prints the docstring of the module.
        let usage = if text.contains("__doc__") {
            text.split("\"\"\"").nth(1)
        } else {
            let begun = text.split_once("usage() {\n").and_then(|(_, rest)| rest.split_once('\n'));
            begun.and_then(|(_, rest)| rest.split("\nEND\n").next()?.split("\nEOF\n").next())
        };
        for line in usage.into_iter().flat_map(str::lines) {
            assert!(line.chars().count() <= 80, "{}: {line}", name(&path));
        }
        seen += usize::from(usage.is_some());
    }
    assert!(seen > 12, "only {seen} scripts have a usage");
}
