//! Data sets: `dataset` of a kind of request, or `--dataset`, → the rows that are its prompts.

use super::error::shown;
use super::profile::{Dataset, ProfileFile};
use super::rows::{Order, RowFiles, RowSource, format, options, patch, refuse_misfits};
use super::source::{Changed, Given};
use super::trace::{TraceFile, trace};
use super::{Overrides, PlanError, Read, limits};
use crate::dataset::{Columns, Format, Options};
use crate::mix::{Kind, Mix};
use std::path::{Path, PathBuf};

/// The place where a value of a data set was written.
#[derive(Debug, Clone)]
enum Place<'a> {
    Key(&'a ProfileFile, String),
    Flag(&'a Given),
}

impl Place<'_> {
    fn error(&self, problem: impl Into<String>) -> PlanError {
        match self {
            Self::Key(written, key) => written.error(key, problem),
            Self::Flag(given) => given.misplaced(problem),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Key(written, key) => format!("{}: {key}", written.file),
            Self::Flag(given) => given.origin.to_string(),
        }
    }
}

/// A data set that a profile or flags ask for.
struct Asked<'a> {
    place: Place<'a>,
    path: PathBuf,
    format: Option<Format>,
    columns: Columns,
    order: Order,
    patch: Vec<String>,
}

/// Finds the data set of each kind of request: that of the flags, or the kind's own.
pub(super) struct Datasets<'a> {
    written: &'a ProfileFile,
    folder: &'a Path,
    seed: u64,
    most_memory: u64,
    flag: Option<Asked<'a>>,
    files: RowFiles,
}

impl<'a> Datasets<'a> {
    pub(super) fn new(
        written: &'a ProfileFile,
        overrides: &'a Overrides,
        folder: &'a Path,
        seed: u64,
        changed: &mut Changed,
    ) -> Result<Self, PlanError> {
        let flag = overrides.one("dataset").map(|given| of_flags(given, overrides)).transpose()?;
        if let (Some(_), Some(tokens)) = (&flag, overrides.one("input_tokens")) {
            return Err(tokens.misplaced(
                "cannot be used together with --dataset, whose rows are the prompts: leave one of them out",
            ));
        }
        let alone = ["dataset_format", "dataset_column", "dataset_order", "dataset_patch"];
        if let (None, Some(given)) = (&flag, alone.iter().find_map(|id| overrides.one(id))) {
            return Err(given.misplaced("cannot be used without a data set: add --dataset"));
        }
        let most_memory = match overrides.one("dataset_memory") {
            None => limits::DEFAULT_DATASET_MEMORY,
            Some(given) => {
                changed.insert("dataset_memory".to_owned(), given.origin.clone());
                given.size()?
            }
        };
        Ok(Self { written, folder, seed, most_memory, flag, files: RowFiles::default() })
    }

    /// Reads the trace that the profile names.
    pub(super) fn trace(&mut self, read: &mut Read<'_>) -> Result<TraceFile<'a>, PlanError> {
        trace(self.written, self.folder, self.most_memory, &mut self.files, read)
    }

    /// Returns the rows of a kind, or `None` if it has no data set. `own` is its data set in the
    /// profile, and `key` is the place of the kind.
    fn apply(
        &mut self,
        kind: &Kind,
        own: Option<&Dataset>,
        key: &str,
        read: &mut Read<'_>,
        changed: &mut Changed,
    ) -> Result<Option<RowSource>, PlanError> {
        let flag = self.flag.as_ref().filter(|_| kind.api.generates());
        let of_key;
        let asked = match (flag, own) {
            (Some(asked), _) => {
                if let Place::Flag(given) = &asked.place {
                    changed.insert(format!("{key}.dataset"), given.origin.clone());
                }
                asked
            }
            (None, Some(own)) => {
                of_key = of_key_at(self.written, own, &format!("{key}.dataset"), self.folder)?;
                &of_key
            }
            (None, None) => return Ok(None),
        };
        let place = &asked.place;
        if !kind.api.takes_prompt() {
            return Err(place.error(format!("{} takes no prompt: expected no data set", kind.api.name())));
        }
        let options = Options {
            format: asked.format,
            columns: asked.columns.clone(),
            shuffle: (asked.order == Order::Shuffled).then_some(self.seed),
            ..options(kind, &asked.patch, self.most_memory).map_err(|problem| place.error(problem))?
        };
        let data = self.files.load(&asked.path, options, read);
        let data = data.map_err(|problem| problem.into_error(place.name(), &asked.path))?;
        refuse_misfits(kind, &data.rows).map_err(|problem| place.error(problem))?;
        Ok(Some(RowSource {
            kind: kind.name.clone(),
            path: asked.path.clone(),
            sha256: data.sha256,
            bytes: data.bytes,
            facts: data.facts,
            order: asked.order,
            patch: asked.patch.clone(),
            is_trace: false,
            rows: data.rows,
        }))
    }
}

/// The sources of rows: data sets, or the trace.
pub(super) struct RowsOf<'a, 't> {
    pub(super) datasets: Datasets<'a>,
    pub(super) trace: Option<&'t TraceFile<'a>>,
}

impl RowsOf<'_, '_> {
    /// Returns the rows of a kind, or `None` if it has prompts of its own. `own` is its data set in
    /// the profile, and `key` is the place of the kind.
    pub(super) fn kind(
        &mut self,
        kind: &Kind,
        own: Option<&Dataset>,
        key: &str,
        read: &mut Read<'_>,
        changed: &mut Changed,
    ) -> Result<Option<RowSource>, PlanError> {
        let Self { datasets, trace } = self;
        let Some(trace) = trace else { return datasets.apply(kind, own, key, read, changed) };
        let refused = match (own, &datasets.flag) {
            (Some(_), _) => Place::Key(datasets.written, format!("{key}.dataset")),
            (None, Some(asked)) => asked.place.clone(),
            (None, None) => return trace.rows_of(kind, datasets.most_memory, &mut datasets.files, read).map(Some),
        };
        Err(refused.error("cannot be used with a trace, whose rows are the prompts: leave it out"))
    }
}

/// Returns the number of requests if a data set is sent once: as many as it has rows.
pub(super) fn requests(
    written: &ProfileFile,
    is_single_run: bool,
    mix: &Mix,
    sources: &[RowSource],
) -> Result<Option<u64>, PlanError> {
    let Some(once) = sources.iter().find(|source| source.order == Order::Once) else { return Ok(None) };
    let refuse = |problem: &str| Err(written.error("requests", problem));
    if !is_single_run {
        return refuse("send a data set once, and every step needs all of it: expected order sequential or shuffled");
    }
    if mix.kinds.iter().filter(|kind| kind.weight > 0).count() > 1 {
        return refuse("are several kinds, and a data set that is sent once is for one: expected one kind of request");
    }
    Ok(Some(once.rows.len() as u64))
}

fn order(name: &str) -> Result<Order, String> {
    let known = || format!("invalid value '{}': expected sequential, shuffled or once", shown(name));
    Order::ALL.into_iter().find(|(word, _)| *word == name).map(|(_, order)| order).ok_or_else(known)
}

/// Resolves a data set that a profile names.
fn of_key_at<'a>(written: &'a ProfileFile, own: &Dataset, key: &str, folder: &Path) -> Result<Asked<'a>, PlanError> {
    let at = |name: &str, problem: String| written.error(&format!("{key}.{name}"), problem);
    let text = |name: &str, text: &Option<String>| match text.as_deref() {
        Some("") => Err(at(name, "is empty: expected the name of a column".to_owned())),
        other => Ok(other.map(str::to_owned)),
    };
    if own.file.is_empty() {
        return Err(at("file", "is empty: expected a file such as \"chat.jsonl\"".to_owned()));
    }
    Ok(Asked {
        path: folder.join(&own.file),
        format: own.format.as_deref().map_or(Ok(None), format).map_err(|problem| at("format", problem))?,
        columns: Columns {
            prompt: text("column", &own.column)?,
            output: text("output_column", &own.output_column)?,
            ..Columns::default()
        },
        order: own.order.as_deref().map_or(Ok(Order::Sequential), order).map_err(|problem| at("order", problem))?,
        patch: patch(own.patch.clone()).map_err(|problem| at("patch", problem))?,
        place: Place::Key(written, key.to_owned()),
    })
}

/// Resolves a data set that flags or the environment name.
fn of_flags<'a>(given: &'a Given, overrides: &Overrides) -> Result<Asked<'a>, PlanError> {
    let typed = |id: &'static str| overrides.one(id);
    let patches: Vec<String> =
        overrides.many("dataset_patch").iter().map(|given| given.value.trim().to_owned()).collect();
    let refused = |id: &'static str, problem: String| typed(id).unwrap_or(given).unusable(problem);
    Ok(Asked {
        place: Place::Flag(given),
        path: given.path()?,
        format: typed("dataset_format")
            .map_or(Ok(None), |given| format(given.value.trim()))
            .map_err(|p| refused("dataset_format", p))?,
        columns: Columns { prompt: typed("dataset_column").map(|given| given.value.clone()), ..Columns::default() },
        order: typed("dataset_order").map_or(Ok(Order::Sequential), |given| given.word(&Order::ALL))?,
        patch: patch(patches).map_err(|problem| {
            let first = overrides.many("dataset_patch").first().unwrap_or(given);
            first.unusable(problem)
        })?,
    })
}
