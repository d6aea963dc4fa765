//! A folder to work in, checks of result files, and information about processes.

use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for something that is sure to happen soon, on a machine that is busy with other
/// tests.
pub const SOON: Duration = Duration::from_secs(30);

/// Ports below those that the kernel gives to outgoing connections (from 32768 on). Only other
/// tests can take one of these.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 18_000;
/// Distance between the first ports of consecutive process numbers.
const PORT_STRIDE: u32 = 7_919;

/// A temporary folder, deleted at the end of the test.
pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// Creates an empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// Returns the path of a file of this name, for a command line. The file need not exist.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a plain path").to_owned()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Writes an executable shell script. Another process (`cp`) writes the final file: a child
    /// that another test starts at that moment could inherit a descriptor that we have open for
    /// writing, and the kernel refuses to execute a file that is open for writing.
    pub fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let written = self.write(&format!("{name}.written"), &format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(&written, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let file = self.path(name);
        assert!(std::process::Command::new("cp").args([&written, &file]).status().expect("cp").success());
        file
    }

    /// Returns the names of all entries.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Reads the document in a file. It must be valid by the schema of its kind.
pub fn document(path: &str) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    check(&document);
    document
}

/// Panics unless the checked-in schema of its kind describes this document and our own reader
/// accepts it.
pub fn check(document: &Value) {
    static SCHEMAS: LazyLock<Vec<(&str, jsonschema::Validator)>> = LazyLock::new(|| {
        ["run", "compare", "noise", "capacity", "throughput"].map(|kind| (kind, schema(&format!("{kind}-1")))).into()
    });
    let said = document["schema"].as_str().unwrap_or_default();
    let kind = said.strip_prefix("llmsim-blast.").and_then(|rest| rest.strip_suffix("/1"));
    let (_, schema) =
        SCHEMAS.iter().find(|(name, _)| Some(*name) == kind).unwrap_or_else(|| panic!("no schema is named {said:?}"));
    let errors: Vec<String> = schema.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // Other commands read a run's result again, so every result must be consistent.
    if kind == Some("run")
        && let Err(error) = llmsim_blast::document::Document::from_json(&document.to_string())
    {
        panic!("its own reader refuses it: {error}");
    }
}

fn schema(name: &str) -> jsonschema::Validator {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/document/schema/{name}.schema.json"));
    let schema = serde_json::from_str(&std::fs::read_to_string(file).expect("the schema")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

/// Returns a port of 127.0.0.1 that is not in use.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs of other checkouts may run at the same time. Each starts far from those with
    // nearby process numbers. The stride and the number of ports have no common factor.
    let start = std::process::id().wrapping_mul(PORT_STRIDE) % u32::from(PORTS);
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST_PORT + ((start + next) % u32::from(PORTS)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Polls until `done` returns true, or panics.
#[expect(clippy::disallowed_methods, reason = "waits for another process")]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns true if a process lives. A zombie does not: its parent may be slow to reap it.
pub fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

/// Returns the living processes that `parent` has started.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| stat(pid).is_some_and(|(state, of)| of == parent && state != "Z")).collect()
}

/// Returns the state and the parent of a process.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name of the program, in parentheses, may contain any character.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

/// Returns the peak resident memory of a process, in bytes. `None` once it has ended.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Returns how many sockets a process has open. `None` once it has ended.
pub fn sockets(pid: u32) -> Option<usize> {
    let files = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).ok()?;
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    Some(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
}

/// Returns a profile with one VU and two requests of one kind.
pub fn two_requests(stream: bool, more: &str) -> String {
    format!(
        "executor = \"per-vu-iterations\"\niterations = 2\n{more}\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
         stream = {stream}\n[thresholds]\nhttp_req_failed = \"rate<0.01\"\n"
    )
}

/// Returns the count of a metric of any kind in a result.
pub fn count(result: &Value, metric: &str) -> u64 {
    let counted = result["metrics"][metric]["count"].as_u64();
    counted.unwrap_or_else(|| panic!("{metric}: {}", result["metrics"]))
}
