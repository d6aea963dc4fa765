//! The test that keeps the map of `lib.rs`. It parses the sources, so that it sees what the
//! compiler sees.

use proc_macro2::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, UseTree};

/// A room, and every room that it names: the table of `lib.rs`. A grant that is not used fails the
/// test, too.
const LAYERS: [(&str, &[&str]); 28] = [
    (
        "commands",
        &[
            "api",
            "cli",
            "compare",
            "document",
            "engine",
            "exit",
            "host",
            "live",
            "load",
            "metrics",
            "origin",
            "plan",
            "prometheus",
            "redact",
            "report",
            "server",
            "threshold",
            "trial",
            "units",
            "watch",
            "web",
        ],
    ),
    ("cli", &["mix", "plan"]),
    ("web", &["document", "host", "live", "metrics", "prometheus", "report", "units"]),
    ("report", &["compare", "document", "metrics", "redact", "units"]),
    (
        "trial",
        &[
            "api",
            "document",
            "engine",
            "exit",
            "host",
            "live",
            "load",
            "metrics",
            "mix",
            "net",
            "plan",
            "redact",
            "rendezvous",
            "server",
            "threshold",
            "units",
            "watch",
        ],
    ),
    ("prometheus", &["host", "live", "metrics", "net", "redact", "units", "watch"]),
    ("live", &["metrics", "units"]),
    ("document", &["compare", "exit", "metrics", "plan", "redact", "threshold", "units"]),
    ("engine", &["api", "load", "metrics", "mix", "net", "plan", "redact", "units", "wire"]),
    (
        "plan",
        &["api", "dataset", "load", "metrics", "mix", "net", "redact", "server", "threshold", "tokenizer", "units"],
    ),
    ("mix", &["api", "dataset", "metrics", "units", "wire"]),
    ("api", &["metrics", "wire"]),
    ("server", &["host", "units", "watch"]),
    ("watch", &["host", "metrics", "net", "units", "wire"]),
    ("host", &["units"]),
    ("origin", &["metrics", "units"]),
    ("threshold", &["metrics", "units"]),
    ("compare", &["metrics", "units"]),
    ("metrics", &["units"]),
    ("dataset", &["units"]),
    ("load", &["units"]),
    ("net", &["units"]),
    ("rendezvous", &["units"]),
    ("wire", &[]),
    ("units", &[]),
    ("exit", &[]),
    ("tokenizer", &[]),
    ("redact", &[]),
];

/// Rooms that do no I/O and read no clock.
const PURE: [&str; 14] = [
    "wire",
    "api",
    "dataset",
    "load",
    "mix",
    "plan",
    "metrics",
    "threshold",
    "compare",
    "document",
    "report",
    "units",
    "redact",
    "tokenizer",
];

/// Names that pure rooms must not contain.
const WORLD: [&str; 8] = [
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
    "std::io::std",
];

/// A word, and the only places that may use it.
const RESERVED: [(&str, &[&str]); 11] = [
    ("prometheus_client", &["prometheus/text"]),
    ("axum", &["web/"]),
    ("rustls", &["net/tls"]),
    ("httparse", &["wire/http1"]),
    ("tungstenite", &["wire/websocket"]),
    ("clap", &["cli/", "commands/mod.rs", "commands/error.rs"]),
    ("mio", &["net/", "engine/", "origin/"]),
    ("hdrhistogram", &["metrics/"]),
    ("Serialize", &["document/", "report/", "metrics/", "plan/profile", "rendezvous/", "server/", "threshold"]),
    (
        "Deserialize",
        &[
            "document/",
            "report/",
            "metrics/",
            "plan/profile",
            "rendezvous/",
            "api/",
            "dataset/",
            "server/",
            "threshold",
        ],
    ),
    ("core_affinity", &["engine/", "host/"]),
];

/// Longer files hold more than one noun. Tests do not count.
const MAX_FILE_LINES: usize = 560;

/// Longer functions have a part that deserves its own name.
const MAX_FUNCTION_LINES: usize = 75;

/// One file of the crate, without its tests.
struct Source {
    /// Path below `src`, with `/`.
    path: String,
    /// Path of the file's module: `["engine", "worker"]`.
    module: Vec<String>,
    /// Lines that are not inside an inline test module.
    lines: usize,
    /// Every path that the code names, as written: `["crate", "wire", "Head"]`. Re-exports are kept
    /// apart.
    names: Vec<Vec<String>>,
    /// Names that this file re-exports, with their paths.
    reexports: BTreeMap<String, Vec<String>>,
    /// Names and lengths of functions.
    functions: Vec<(String, usize)>,
    /// The code without comments, contents of strings and inline test modules.
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

/// Returns true if an item exists in tests only.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        _ => &[],
    }
}

/// Collects the names that a file uses and the lengths of its functions. Skips items that exist in
/// tests only.
#[derive(Default)]
struct Reader {
    names: Vec<Vec<String>>,
    reexports: BTreeMap<String, Vec<String>>,
    functions: Vec<(String, usize)>,
    /// Lines of inline test modules.
    test_lines: Vec<(usize, usize)>,
}

/// Returns the lines from an opening token to a closing one, both included.
fn lines(from: Span, to: Span) -> (usize, usize) {
    (from.start().line, to.end().line)
}

/// Returns the number of lines of a function's body, from brace to brace.
fn length(block: &syn::Block) -> usize {
    let (first, last) = lines(block.brace_token.span.open(), block.brace_token.span.close());
    last - first + 1
}

impl Reader {
    fn use_tree(&mut self, tree: &UseTree, mut before: Vec<String>, is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before, is_public);
            }
            UseTree::Name(name) => self.used(before, &name.ident.to_string(), None, is_public),
            UseTree::Rename(name) => {
                self.used(before, &name.ident.to_string(), Some(name.rename.to_string()), is_public);
            }
            UseTree::Glob(_) => self.names.push(before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, before.clone(), is_public);
                }
            }
        }
    }

    fn used(&mut self, mut path: Vec<String>, name: &str, renamed: Option<String>, is_public: bool) {
        if name != "self" {
            path.push(name.to_owned());
        }
        if is_public {
            let known_as = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
            self.reexports.insert(known_as, path);
        } else {
            self.names.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test_only(attributes(item)) {
            if let Item::Mod(module) = item
                && let Some((braces, _)) = &module.content
            {
                let from = module.attrs.first().map_or(module.mod_token.span, |attribute| attribute.pound_token.span);
                self.test_lines.push(lines(from, braces.span.close()));
            }
            return;
        }
        match item {
            // A re-export is a door, not a need. The file that uses the door needs the module
            // behind it.
            Item::Use(item) => self.use_tree(&item.tree, Vec::new(), !matches!(item.vis, syn::Visibility::Inherited)),
            Item::Fn(function) => {
                self.functions.push((function.sig.ident.to_string(), length(&function.block)));
                visit::visit_item(self, item);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(function) = item {
            if is_test_only(&function.attrs) {
                return;
            }
            self.functions.push((function.sig.ident.to_string(), length(&function.block)));
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.names.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

/// Returns all sources, parsed once for all tests.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found in {}", root.display());
    let path_of = |file: &Path| file.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    let is_test = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/") || path == "architecture.rs";
    let files = files.iter().map(|file| (path_of(file), file)).filter(|(path, _)| !is_test(path));
    files.map(|(path, file)| source(path, &fs::read_to_string(file).expect("a source file can be read"))).collect()
}

fn source(path: String, text: &str) -> Source {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{path}: {error}"));
    let mut reader = Reader::default();
    reader.visit_file(&file);
    let is_in_tests = |line: usize| reader.test_lines.iter().any(|(first, last)| (*first..=*last).contains(&line));
    let kept: Vec<&str> = text.lines().enumerate().filter(|(i, _)| !is_in_tests(i + 1)).map(|(_, line)| line).collect();
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let module =
        if ["lib", "main"].contains(&stem) { Vec::new() } else { stem.split('/').map(str::to_owned).collect() };
    Source {
        module,
        lines: kept.len(),
        code: strip(&kept.join("\n")),
        names: reader.names,
        reexports: reader.reexports,
        functions: reader.functions,
        path,
    }
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

/// Removes line comments and the contents of strings, which may contain any name.
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

/// Returns true if `code` contains `word` as a word of its own.
fn uses(code: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .any(|(at, _)| boundary(code[..at].chars().next_back()) && boundary(code[at + word.len()..].chars().next()))
}

/// All files, by module path.
struct Modules<'a>(BTreeMap<&'a [String], &'a Source>);

impl<'a> Modules<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self(sources.iter().filter(|s| s.path != "main.rs").map(|source| (&source.module[..], source)).collect())
    }

    /// Returns the file that defines the item at `path`, as named in `from`. `None` for other
    /// crates and for local names.
    fn defining(&self, from: &Source, path: &[String]) -> Option<&'a Source> {
        let mut at = from.module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
            }
            // A child module that the file declares, named without `self::`.
            child => {
                at.push(child.to_owned());
                self.0.get(&at[..])?;
            }
        }
        rest = &rest[1..];
        while let Some((name, beyond)) = rest.split_first() {
            let here = *self.0.get(&at[..])?;
            at.push(name.clone());
            if self.0.contains_key(&at[..]) {
                rest = beyond;
                continue;
            }
            at.pop();
            let Some(door) = here.reexports.get(name).filter(|door| *door != path) else { return Some(here) };
            let mut full = door.clone();
            full.extend(beyond.iter().cloned());
            return self.defining(here, &full);
        }
        self.0.get(&at[..]).copied()
    }
}

/// Returns every room with the rooms that its files name.
fn edges(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        let named = source.names.iter().chain(source.reexports.values());
        let named = named.filter(|path| path.first().is_some_and(|first| first == "crate"));
        let rooms = named.filter_map(|path| path.get(1)).filter(|room| *room != source.room());
        edges.entry(source.room().to_owned()).or_default().extend(rooms.cloned());
    }
    edges
}

#[test]
fn the_table_of_layers_is_what_the_sources_name() {
    let sources = sources();
    let real = edges(sources);
    let rows: Vec<String> = real.iter().map(|(room, named)| format!("({room:?}, &{named:?}),")).collect();
    let rows = rows.join("\n");
    let table = LAYERS.iter().map(|(room, named)| {
        ((*room).to_owned(), named.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
    });
    assert_eq!(table.collect::<BTreeMap<_, _>>(), real, "the sources say:\n{rows}");
}

#[test]
fn imports_point_downward() {
    // Rows are in order: a room names only rooms of the rows below its own.
    for (row, (room, named)) in LAYERS.iter().enumerate() {
        for name in *named {
            let below = LAYERS.iter().skip(row + 1).any(|(lower, _)| lower == name);
            assert!(below, "`{room}` names `{name}`, which does not stand below it in the table of layers");
        }
    }
}

/// Returns true if one file lies in the folder of the other. They count as one: `mod.rs` holds the
/// contract that its files keep, and calls them.
fn is_family(one: &Source, other: &Source) -> bool {
    one.module.starts_with(&other.module) || other.module.starts_with(&one.module)
}

#[test]
fn files_of_a_room_form_no_circle() {
    let sources = sources();
    let modules = Modules::new(sources);
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|s| !s.module.is_empty()) {
        let inside = source.names.iter().filter_map(|path| modules.defining(source, path));
        let inside = inside.filter(|needed| needed.room() == source.room() && !is_family(source, needed));
        needs.insert(&source.path, inside.map(|needed| needed.path.as_str()).collect());
    }
    // Files without needs are taken away again and again. Circles remain.
    loop {
        let free: Vec<&str> = needs.iter().filter(|(_, needed)| needed.is_empty()).map(|(path, _)| *path).collect();
        if free.is_empty() {
            break;
        }
        needs.retain(|path, _| !free.contains(path));
        for needed in needs.values_mut() {
            needed.retain(|path| !free.contains(path));
        }
    }
    // Files that only lead into a circle are not part of one.
    loop {
        let needed: BTreeSet<&str> = needs.values().flatten().copied().collect();
        let before = needs.len();
        needs.retain(|path, _| needed.contains(path));
        if needs.len() == before {
            break;
        }
    }
    let circles: Vec<String> = needs.iter().map(|(path, needed)| format!("{path} needs {needed:?}")).collect();
    let circles = circles.join("\n");
    assert!(needs.is_empty(), "files that need each other; which type wants a file of its own?\n{circles}");
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    for source in sources().iter().filter(|s| PURE.contains(&s.room())) {
        for word in WORLD {
            assert!(!source.code.contains(word), "src/{} uses {word}; `{}` is pure", source.path, source.room());
        }
    }
}

#[test]
fn the_clock_is_read_in_few_places() {
    let allowed =
        ["engine/clock.rs", "rendezvous/shell.rs", "server/", "watch/", "live/", "trial/", "commands/", "host/"];
    for source in sources() {
        let reads = source.code.contains("Instant::now");
        assert!(!reads || allowed.iter().any(|a| source.path.starts_with(a)), "src/{} reads the clock", source.path);
    }
}

#[test]
fn words_stay_in_their_rooms() {
    for source in sources() {
        for (word, rooms) in RESERVED {
            let at_home = rooms.iter().any(|room| source.path.starts_with(room));
            assert!(at_home || !uses(&source.code, word), "src/{} names {word}; only {rooms:?} may", source.path);
        }
    }
}

#[test]
fn habits_that_are_not_ours() {
    for source in sources() {
        for habit in ["use crate::*", "super::super", "static mut", "lazy_static", "unsafe {"] {
            assert!(!source.code.contains(habit), "src/{}: {habit}", source.path);
        }
        let exits = source.code.contains("process::exit");
        assert!(!exits || source.path == "main.rs", "src/{} exits; only main.rs may", source.path);
    }
}

#[test]
fn files_and_functions_stay_small() {
    for Source { path, lines, functions, .. } in sources() {
        assert!(*lines <= MAX_FILE_LINES, "src/{path}: {lines} lines; which noun wants its own file?");
        for (name, lines) in functions {
            assert!(*lines <= MAX_FUNCTION_LINES, "src/{path}: `{name}` has {lines} lines; which part has a name?");
        }
    }
}

#[test]
fn the_test_itself_sees_what_it_should() {
    let text = "mod tests;\nuse crate::{load::{Schedule, Start as S}, units::Nanos};\npub use self::x::Door;\n\
                fn f() { crate::wire::x(); \"crate::cli\"; }\n#[cfg(test)]\nmod inline {\n  use crate::cli::A;\n}\n";
    let seen = source("engine/worker.rs".to_owned(), text);
    let named: BTreeSet<String> = seen.names.iter().map(|path| path.join("::")).collect();
    let expected = ["crate::load::Schedule", "crate::load::Start", "crate::units::Nanos", "crate::wire::x"];
    assert_eq!(named, expected.into_iter().map(str::to_owned).collect());
    // `mod tests;` at the top does not hide anything. Lines of inline test modules do not count.
    assert_eq!((seen.lines, seen.functions), (4, vec![("f".to_owned(), 1)]));
    assert_eq!(strip("let a = \"crate::cli\"; // crate::cli").trim(), "let a = ;");
    assert!(uses("use mio::Poll", "mio") && !uses("let famio = 1", "mio"));
}

#[test]
fn a_circle_through_a_door_is_seen() {
    let files = [
        ("a/mod.rs", "mod b;\nmod c;\npub use c::Deep;\n"),
        ("a/b.rs", "use super::Deep;\n"),
        ("a/c.rs", "use super::b::X;\npub struct Deep;\n"),
    ];
    let sources: Vec<Source> = files.iter().map(|(path, text)| source((*path).to_owned(), text)).collect();
    let modules = Modules::new(&sources);
    let needs = |i: usize| modules.defining(&sources[i], &sources[i].names[0]).map(|needed| needed.path.as_str());
    assert_eq!((needs(1), needs(2)), (Some("a/c.rs"), Some("a/b.rs")));
}
