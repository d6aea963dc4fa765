//! Files of rows that a plan names: opened, hashed while they are read, and read only once.

use super::error::shown;
use super::{PlanError, Read, limits};
use crate::api::{Api, STREAM_OPTIONS};
use crate::dataset::{self, Columns, Facts, Form, Format, Links, Loaded, Options, ReadError, Rows};
use crate::mix::{Kind, Replies};
use crate::units::{Nanos, plural};
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The fields that may be set in whole bodies.
const PATCHES: [&str; 2] = ["model", "stream"];

/// The facts about a file of rows that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct RowSource {
    /// The kind of request that sends them.
    pub kind: String,
    pub path: PathBuf,
    /// Hash of the file's bytes, in hex.
    pub sha256: String,
    pub bytes: u64,
    pub facts: Facts,
    pub order: Order,
    /// Names of the fields that are set in whole bodies.
    pub patch: Vec<String>,
    /// True if it is a trace, whose rows have instants.
    pub is_trace: bool,
    pub rows: Arc<Rows>,
}

impl RowSource {
    /// Describes the file in one line.
    pub(super) fn told(&self) -> String {
        let Facts { format, rows, unused, .. } = &self.facts;
        let (path, sent, all) = (self.path.display(), self.rows.len(), plural(*rows, "row"));
        let repeated = match sent - self.rows.distinct() {
            _ if sent == 1 => ", so that all requests are the same and a prompt cache serves them".to_owned(),
            0 => String::new(),
            repeats => format!(", {repeats} of them repeat others"),
        };
        let unused =
            unused.iter().map(|u| format!("; {} left out: {} (first on line {})", u.rows, u.reason, u.first_line));
        let unused: String = unused.collect::<Vec<_>>().concat();
        let spooled = told_spooled(&self.rows);
        format!("{}: {path}, {}, {sent} of {all} can be sent{repeated}{spooled}{unused}", self.kind, format.name())
    }
}

/// Describes where rows are stored that do not fit into memory. Empty if all fit.
pub(super) fn told_spooled(rows: &Rows) -> String {
    rows.spooled_bytes().map_or(String::new(), |bytes| {
        format!("; they do not fit into --dataset-memory, so {} MB of them lie in a temporary file", bytes / 1_000_000)
    })
}

/// The order in which rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order of the file, again and again.
    Sequential,
    /// In an order that is drawn from the seed, again and again.
    Shuffled,
    /// In the order of the file, until the last row was sent.
    Once,
}

impl Order {
    pub(super) const ALL: [(&'static str, Self); 3] =
        [("sequential", Self::Sequential), ("shuffled", Self::Shuffled), ("once", Self::Once)];

    /// Returns its name in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Shuffled => "shuffled",
            Self::Once => "once",
        }
    }
}

/// A file that was read, with its hash.
#[derive(Debug, Clone)]
pub(super) struct RowData {
    pub(super) rows: Arc<Rows>,
    pub(super) instants: Arc<[Nanos]>,
    pub(super) links: Option<Arc<Links>>,
    pub(super) facts: Facts,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl RowData {
    /// Returns true if another kind of request of the same form might send other rows or other
    /// bytes: whole bodies have to agree with their kind.
    fn depends_on_kind(&self) -> bool {
        let Facts { format, unused, .. } = &self.facts;
        match format {
            Format::Batch | Format::Body => true,
            // Rows that were left out may have been whole bodies.
            Format::Mooncake | Format::Bailian | Format::Jsonl => self.rows.has_whole_bodies() || !unused.is_empty(),
            Format::Sharegpt | Format::Chat | Format::Prompt | Format::Csv | Format::Azure | Format::Burstgpt => false,
        }
    }
}

/// Returns the options that matter to rows that are not whole bodies.
fn shared(options: &Options) -> Options {
    Options { stream: false, patch_stream: false, patch_model: None, url_end: "", ..options.clone() }
}

/// The reason why a file of rows cannot be used.
#[derive(Debug)]
pub(super) enum RowProblem {
    Unreadable(io::Error),
    Bad(ReadError),
}

impl RowProblem {
    /// Converts it into the error for a file that `place` names: a flag, or a key of a profile.
    pub(super) fn into_error(self, place: String, path: &Path) -> PlanError {
        match self {
            Self::Unreadable(error) => {
                PlanError::Unreadable { place, path: path.display().to_string(), reason: error.to_string() }
            }
            Self::Bad(ReadError { line, problem }) => PlanError::Profile {
                file: shown(&path.display().to_string()),
                line: line.map(|line| line as usize),
                key: String::new(),
                problem,
            },
        }
    }
}

/// Reads files of rows. A file that several requests name in the same way is read once.
#[derive(Debug, Default)]
pub(super) struct RowFiles {
    read: Vec<(PathBuf, Options, RowData)>,
}

impl RowFiles {
    pub(super) fn load(
        &mut self,
        path: &Path,
        mut options: Options,
        read: &mut Read<'_>,
    ) -> Result<RowData, RowProblem> {
        let is_same = |(known, with, data): &&(PathBuf, Options, RowData)| {
            known == path && (*with == options || (!data.depends_on_kind() && shared(with) == shared(&options)))
        };
        if let Some((.., data)) = self.read.iter().find(is_same) {
            return Ok(data.clone());
        }
        let key = options.clone();
        // All files of a test share the memory.
        let taken: u64 = self.read.iter().map(|(.., data)| data.rows.memory() as u64).sum();
        options.most_memory = options.most_memory.saturating_sub(taken);
        let file = read.open(path).map_err(RowProblem::Unreadable)?;
        options.size = Some(file.size);
        let mut input = BufReader::with_capacity(limits::ROW_READ_BYTES, Hashed::new(file.input));
        let loaded = dataset::load(&mut input, &options, &mut || read.spool()).map_err(RowProblem::Bad)?;
        // Reads the bytes after the last row, such as the end of a compressed file.
        io::copy(&mut input, &mut io::sink()).map_err(RowProblem::Unreadable)?;
        let Hashed { hash, bytes, .. } = input.into_inner();
        if bytes != file.size {
            let problem = format!(
                "was changed while it was read: expected its {} bytes, and {bytes} came; copy it first",
                file.size
            );
            return Err(RowProblem::Bad(ReadError { line: None, problem }));
        }
        let Loaded { rows, instants, links, facts } = loaded;
        let sha256 = hash.finalize().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"));
        let data = RowData {
            rows: Arc::new(rows),
            instants: instants.into(),
            links: links.map(Arc::new),
            facts,
            sha256,
            bytes,
        };
        self.read.push((path.to_owned(), key, data.clone()));
        Ok(data)
    }
}

/// Hashes and counts the bytes that are read.
struct Hashed {
    input: Box<dyn BufRead>,
    hash: Sha256,
    bytes: u64,
}

impl Hashed {
    fn new(input: Box<dyn BufRead>) -> Self {
        Self { input, hash: Sha256::new(), bytes: 0 }
    }
}

impl io::Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

/// Returns how rows are read for a kind of request.
pub(super) fn options(kind: &Kind, patch: &[String], most_memory: u64) -> Result<Options, String> {
    let patches = |name: &str| patch.iter().any(|patch| patch == name);
    let patch_model = match (patches("model"), kind.models.as_slice()) {
        (false, _) => None,
        (true, [model]) => Some(model.clone()),
        (true, models) => {
            let n = models.len();
            return Err(format!("sets the model of whole bodies, and the request has {n} models: expected one"));
        }
    };
    Ok(Options {
        format: None,
        columns: Columns::default(),
        form: form(kind.api),
        stream: kind.stream,
        patch_stream: patches("stream"),
        patch_model,
        url_end: url_end(kind.api),
        most_memory,
        talk: kind.conversation.is_some(),
        trace: None,
        sessions: false,
        shuffle: None,
        size: None,
    })
}

/// Refuses rows that a kind of request cannot send. A body that is sent unchanged is not a message
/// of a WebSocket. And a kind of request has a token limit in all its requests, or in none.
pub(super) fn refuse_misfits(kind: &Kind, rows: &Rows) -> Result<(), String> {
    if let (None, Some(row)) = (kind.max_tokens, rows.without_output_tokens()) {
        let row = row + 1;
        return Err(format!(
            "has rows that set the length of the response, and others, such as row {row}, that do not: set max_tokens \
             for those"
        ));
    }
    let is_own = |name: &&String| *name != STREAM_OPTIONS;
    if rows.has_whole_bodies()
        && let Some(name) = kind.body.keys().find(is_own)
    {
        return Err(format!("has whole bodies, which are sent unchanged: expected no `{name}` for the body"));
    }
    if kind.conversation.as_ref().is_some_and(|how| how.replies != Replies::Recorded) && rows.has_whole_bodies() {
        return Err(
            "has whole bodies, which cannot carry other replies: set conversation.history to \"recorded\"".to_owned()
        );
    }
    if kind.websocket && rows.has_whole_bodies() {
        return Err("has whole bodies, which cannot be sent over a WebSocket: expected prompts or messages".to_owned());
    }
    Ok(())
}

/// Returns the form of an API's prompts.
pub(super) const fn form(api: Api) -> Form {
    match api {
        Api::AnthropicMessages | Api::AnthropicCountTokens => Form::SystemApart,
        Api::OpenaiResponses | Api::Openresponses => Form::Items,
        Api::OpenaiImages | Api::OpenaiCompletions | Api::OpenaiEmbeddings | Api::Rerank | Api::Template => Form::Text,
        _ => Form::Messages,
    }
}

/// Returns how the paths of an API end, whatever their prefix.
const fn url_end(api: Api) -> &'static str {
    match api {
        Api::OpenaiResponses | Api::Openresponses => "/responses",
        Api::AnthropicMessages => "/messages",
        Api::AnthropicCountTokens => "/messages/count_tokens",
        Api::OpenaiImages => "/images/generations",
        Api::OpenaiCompletions => "/v1/completions",
        Api::OpenaiEmbeddings => "/embeddings",
        Api::Rerank => "/rerank",
        _ => "/chat/completions",
    }
}

/// Returns the format with this name.
pub(super) fn format(name: &str) -> Result<Option<Format>, String> {
    if name == "auto" {
        return Ok(None);
    }
    Format::ALL.into_iter().find(|format| format.name() == name).map(Some).ok_or_else(|| {
        let known = Format::ALL.map(Format::name).join(", ");
        format!("no format is named '{}': expected auto or one of {known}", shown(name))
    })
}

/// Checks the fields to set in whole bodies.
pub(super) fn patch(names: Vec<String>) -> Result<Vec<String>, String> {
    match names.iter().find(|name| !PATCHES.contains(&name.as_str())) {
        Some(other) => Err(format!("cannot set '{}': expected model, stream or both", shown(other))),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Files, RowFile};

    /// A file that is reported with another size than it has.
    struct Changing {
        text: &'static str,
        size: u64,
    }

    impl Files for Changing {
        fn text(&mut self, _: &Path) -> io::Result<String> {
            Ok(self.text.to_owned())
        }

        fn open(&mut self, _: &Path) -> io::Result<RowFile> {
            Ok(RowFile { input: Box::new(self.text.as_bytes()), size: self.size })
        }
    }

    fn options() -> Options {
        Options {
            format: None,
            columns: Columns::default(),
            form: Form::Messages,
            stream: false,
            patch_stream: false,
            patch_model: None,
            url_end: "",
            most_memory: 1 << 20,
            talk: false,
            trace: None,
            sessions: false,
            shuffle: None,
            size: None,
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused() {
        const TEXT: &str = "{\"prompt\":\"x\"}\n\n";
        let load = |size| {
            let data = RowFiles::default().load(Path::new("f"), options(), &mut Changing { text: TEXT, size });
            data.map_err(|problem| problem.into_error("place".to_owned(), Path::new("f")).to_string())
        };
        let shrunk = load(100).expect_err("shorter than it was");
        assert_eq!(shrunk, "f: was changed while it was read: expected its 100 bytes, and 16 came; copy it first");
        assert!(load(3).expect_err("longer").contains("expected its 3 bytes, and 16 came"));
        let data = load(TEXT.len() as u64).expect("as it was");
        // The output of `sha256sum`.
        let sha256 = "14dcaf3131e03e7f848b4f9562fc4a3ceb6c590594585a52aecfaeb5e406adec";
        assert_eq!((data.bytes, data.sha256.as_str(), data.rows.len()), (16, sha256, 1));
    }
}
