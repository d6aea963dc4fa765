//! `executor = "trace"`: rows with the instants of their recording → arrivals, and their prompts.

use super::profile::{ProfileFile, Trace as Written};
use super::rows::{Order, RowData, RowFiles, RowSource, form, format, options, patch, refuse_misfits, told_spooled};
use super::{PlanError, Read, limits};
use crate::dataset::{Columns, Form, Options, Rows, Sessions, Unit};
use crate::load::{OnFull, Trace};
use crate::mix::{Kind, Replies};
use crate::units::{Nanos, plural};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of rows from which on an average rate is meaningful.
const MANY: usize = 50;
/// The highest plausible average rate of a recording, per second. It is not checked if the unit was
/// given. A trace of milliseconds that is read as seconds, or the other way round, is a thousand
/// times off.
const MOST_PER_SECOND: f64 = 1_000.0;
/// The lowest plausible rate: one in ten minutes.
const LEAST_PER_SECOND: f64 = 1.0 / 600.0;

/// A trace that was read.
#[derive(Debug, Clone)]
pub(super) struct TraceFile<'a> {
    written: &'a ProfileFile,
    asked: &'a Written,
    path: PathBuf,
    columns: Columns,
    data: RowData,
    /// The rows that are sent.
    rows: std::ops::Range<usize>,
    /// From the first to the last of these rows, as recorded.
    span: Nanos,
    /// True if all rows are words, which any API can send.
    only_words: bool,
    /// The rows that are turns of one conversation. `None` if the rows are independent.
    sessions: Option<Arc<Sessions>>,
}

/// Reads the trace of a profile.
pub(super) fn trace<'a>(
    written: &'a ProfileFile,
    folder: &Path,
    most_memory: u64,
    files: &mut RowFiles,
    read: &mut Read<'_>,
) -> Result<TraceFile<'a>, PlanError> {
    let missing = || written.error("trace", "is missing: expected one such as { file = \"trace.jsonl\" }");
    let asked = written.profile.trace.as_ref().ok_or_else(missing)?;
    if asked.file.is_empty() {
        return Err(written.error("trace.file", "is empty: expected a file such as \"trace.jsonl\""));
    }
    let path = folder.join(&asked.file);
    let named = asked.columns.clone().unwrap_or_default();
    let columns = Columns { prompt: named.prompt, at: named.timestamp, input: named.input, output: named.output };
    let every_row = Options {
        format: told_format(written, asked)?,
        columns: columns.clone(),
        form: Form::Messages,
        stream: true,
        // The whole bodies of each kind of request are checked later.
        patch_stream: true,
        patch_model: None,
        url_end: "",
        most_memory,
        talk: false,
        trace: Some(unit(written, asked)?),
        sessions: written.profile.requests.iter().any(|request| request.conversation.is_some()),
        shuffle: None,
        size: None,
    };
    let data = files.load(&path, every_row, read);
    let data = data.map_err(|problem| problem.into_error(format!("{}: trace.file", written.file), &path))?;
    let rows = window(written, asked, &data.instants)?;
    let only_words = (0..data.rows.len()).all(|row| data.rows.words(row).is_some());
    let span = data.instants[rows.end - 1].since(data.instants[rows.start]);
    let mut trace = TraceFile { written, asked, path, columns, data, rows, span, only_words, sessions: None };
    trace.refuse_wrong_unit()?;
    trace.sessions = trace.find_sessions()?;
    Ok(trace)
}

impl TraceFile<'_> {
    /// Returns the speed relative to the recording.
    fn speed(&self) -> Result<f64, PlanError> {
        let speed = self.asked.speed.unwrap_or(1.0);
        if !(limits::LEAST_SPEED..=limits::MOST_SPEED).contains(&speed) {
            let (least, most) = (limits::LEAST_SPEED, limits::MOST_SPEED);
            let problem = format!("invalid value {speed}: expected a number from {least} to {most}");
            return Err(self.written.error("trace.speed", problem));
        }
        Ok(speed)
    }

    /// Returns the rows as turns of conversations, if requests converse.
    fn find_sessions(&self) -> Result<Option<Arc<Sessions>>, PlanError> {
        let Some(links) = &self.data.links else { return Ok(None) };
        if self.data.rows.spooled_bytes().is_some() {
            let problem = "holds conversations, whose rows have to fit into memory: raise --dataset-memory";
            return Err(self.written.error("trace", problem));
        }
        let speed = self.speed()?;
        let sessions = Sessions::new(links, self.rows.clone(), &self.data.instants, |time| scaled(time, speed));
        let longest = (0..sessions.len() as u64).map(|number| sessions.turns(number).len()).max().unwrap_or_default();
        if longest > usize::from(limits::MAX_TURNS) {
            let most = limits::MAX_TURNS;
            let problem = format!("has a conversation of {}: expected at most {most}", plural(longest, "turn"));
            return Err(self.written.error("trace", problem));
        }
        Ok(Some(Arc::new(sessions)))
    }

    /// Gives the conversations of the trace to a kind of request whose users converse.
    pub(super) fn converse(&self, kind: &mut Kind) -> Result<(), &'static str> {
        match (&mut kind.conversation, &self.sessions) {
            (Some(how), Some(sessions)) if how.think_time == (Nanos::ZERO, Nanos::ZERO) => {
                how.sessions = Some(Arc::clone(sessions));
                Ok(())
            }
            (Some(_), Some(_)) => Err("has a think_time, and a trace has instants of its own: leave it out"),
            (None, Some(_)) => Err("is missing: with a trace, all requests hold conversations, or none does"),
            (_, None) => Ok(()),
        }
    }

    /// Returns the arrivals.
    pub(super) fn shape(&self, users: (u32, u32), on_full: OnFull) -> Result<Trace, PlanError> {
        let speed = self.speed()?;
        let passes = self.written.whole("trace.loop", self.asked.passes, 1..=u64::from(limits::MAX_PASSES))?;
        let scaled = |time: Nanos| scaled(time, speed);
        let all = &self.data.instants[self.rows.clone()];
        let at = |row: usize| scaled(all[row].since(all[0]));
        // A conversation arrives with its first turn.
        let (instants, waits): (Arc<[Nanos]>, _) = match &self.sessions {
            None => ((0..all.len()).map(at).collect(), Nanos::ZERO),
            Some(sessions) => (sessions.firsts().map(at).collect(), sessions.longest_pauses()),
        };
        // The pause after the last row is the mean distance between rows, so that the next pass
        // keeps the rate.
        let rows = self.rows.len() as u64;
        let gap = Nanos(self.span.0 / (rows - 1).max(1));
        let period = scaled(self.span.saturating_add(gap)).max(scaled(self.span).saturating_add(Nanos(1)));
        let period = period.saturating_add(waits);
        let (pre_allocated_vus, max_vus) = users;
        let trace = Trace { instants, passes: passes.unwrap_or(1) as u32, period, pre_allocated_vus, max_vus, on_full };
        if trace.end() > limits::LONGEST {
            let problem = format!(
                "takes {}: expected at most {}; take a part with `from` and `for`, or set `speed`",
                trace.end(),
                limits::LONGEST
            );
            return Err(self.written.error("trace", problem));
        }
        Ok(trace)
    }

    /// Returns the rows as a kind of request sends them.
    pub(super) fn rows_of(
        &self,
        kind: &Kind,
        most_memory: u64,
        files: &mut RowFiles,
        read: &mut Read<'_>,
    ) -> Result<RowSource, PlanError> {
        let refuse = |problem: String| self.written.error("trace", problem);
        if !kind.api.takes_prompt() {
            let problem = format!("sends prompts, and {} takes none: expected other requests", kind.api.name());
            return Err(refuse(problem));
        }
        let patch = patch(self.asked.patch.clone()).map_err(|problem| self.written.error("trace.patch", problem))?;
        let data = if self.only_words {
            self.data.clone()
        } else {
            let options = Options {
                format: Some(self.data.facts.format),
                columns: self.columns.clone(),
                trace: Some(Some(self.data.facts.unit)),
                talk: false,
                sessions: self.sessions.is_some(),
                // With live or generated replies, a row is the user's next message.
                form: if sends_messages(kind) { Form::Text } else { form(kind.api) },
                ..options(kind, &patch, most_memory).map_err(refuse)?
            };
            let data = files.load(&self.path, options, read);
            data.map_err(|problem| problem.into_error(format!("{}: trace.file", self.written.file), &self.path))?
        };
        refuse_misfits(kind, &data.rows).map_err(refuse)?;
        if data.rows.len() != self.data.rows.len() {
            let known = |reason: &String| self.data.facts.unused.iter().any(|unused| unused.reason == *reason);
            let unused = data.facts.unused.iter().filter(|unused| !known(&unused.reason));
            let unused: Vec<String> =
                unused.map(|u| format!("{} (first on line {})", u.reason, u.first_line)).collect();
            let problem = format!(
                "has rows that {} cannot send: {}; expected rows that fit, or others left out of the file",
                kind.name,
                unused.join("; ")
            );
            return Err(refuse(problem));
        }
        let rows = if self.rows == (0..data.rows.len()) {
            data.rows
        } else {
            let mut part = Rows::clone(&data.rows);
            part.keep(self.rows.start, self.rows.end);
            Arc::new(part)
        };
        Ok(RowSource {
            kind: kind.name.clone(),
            path: self.path.clone(),
            sha256: data.sha256,
            bytes: data.bytes,
            facts: data.facts,
            order: Order::Sequential,
            patch,
            is_trace: true,
            rows,
        })
    }

    /// Describes the trace in one line.
    pub(super) fn told(&self) -> String {
        let n = self.rows.len();
        let rate = n as f64 / self.span.as_secs_f64().max(1e-9);
        let input =
            self.median_input().map_or(String::new(), |tokens| format!(", input p50 {}", plural(tokens, "token")));
        let part = match self.data.rows.len() {
            all if n < all => format!(", of {all} in the file"),
            _ => String::new(),
        };
        let unused = self.data.facts.unused.iter();
        let unused = unused.map(|u| format!("; {} left out: {} (first on line {})", u.rows, u.reason, u.first_line));
        let unused = told_spooled(&self.data.rows) + &unused.collect::<Vec<_>>().concat();
        let speed = self.asked.speed.map_or(String::new(), |speed| format!(", sent {speed} times as fast"));
        let (format, unit) = (self.data.facts.format.name(), self.data.facts.unit.name());
        let sessions = self.sessions.as_ref();
        let sessions =
            sessions.map_or(String::new(), |sessions| format!(" in {}", plural(sessions.len(), "conversation")));
        format!(
            "trace: {}{sessions} over {}, {rate:.1}/s on average{input}{part}{unused}: {format}, timestamps taken as {unit}{speed}",
            plural(n, "request"),
            coarse(self.span)
        )
    }

    fn median_input(&self) -> Option<u32> {
        let tokens = |row| self.data.rows.words(row).map(|(tokens, _)| tokens);
        let mut all: Vec<u32> = self.rows.clone().filter_map(tokens).collect();
        all.sort_unstable();
        all.get(all.len().saturating_sub(1) / 2).copied()
    }

    /// Refuses a trace whose rate shows that its timestamps have another unit.
    fn refuse_wrong_unit(&self) -> Result<(), PlanError> {
        let n = self.data.rows.len();
        let span = self.data.instants.last().copied().unwrap_or_default();
        let rate = n as f64 / span.as_secs_f64().max(1e-9);
        if self.asked.time_unit.is_some() || n < MANY || (LEAST_PER_SECOND..=MOST_PER_SECOND).contains(&rate) {
            return Ok(());
        }
        let unit = self.data.facts.unit.name();
        let problem = format!(
            "has {} over {}, {rate:.1}/s on average, if its timestamps are {unit}, which cannot be right: set time_unit to \"s\", \"ms\", \"us\" or \"ns\"",
            plural(n, "request"),
            coarse(span)
        );
        Err(self.written.error("trace", problem))
    }
}

/// Returns true if a kind's rows are messages of a conversation whose replies are not recorded.
fn sends_messages(kind: &Kind) -> bool {
    kind.conversation.as_ref().is_some_and(|how| how.sessions.is_some() && how.replies != Replies::Recorded)
}

/// Scales a recorded length of time to `speed`.
fn scaled(time: Nanos, speed: f64) -> Nanos {
    Nanos((time.0 as f64 / speed).round() as u64)
}

/// Formats a length of time with one unit.
fn coarse(time: Nanos) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0..10.0 => format!("{seconds:.2} s"),
        10.0..120.0 => format!("{seconds:.0} s"),
        120.0..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

fn told_format(written: &ProfileFile, asked: &Written) -> Result<Option<crate::dataset::Format>, PlanError> {
    let told = asked.format.as_deref().map_or(Ok(None), format);
    let told = told.map_err(|problem| written.error("trace.format", problem))?;
    match told.filter(|format| !format.has_instants()) {
        None => Ok(told),
        Some(other) => {
            let problem =
                format!("{} has no instants: expected mooncake, bailian, azure, burstgpt, csv or jsonl", other.name());
            Err(written.error("trace.format", problem))
        }
    }
}

fn unit(written: &ProfileFile, asked: &Written) -> Result<Option<Unit>, PlanError> {
    let Some(name) = asked.time_unit.as_deref() else { return Ok(None) };
    let known = Unit::ALL.into_iter().find(|(known, _)| *known == name);
    let bad = || written.error("trace.time_unit", "is not a unit: expected \"s\", \"ms\", \"us\" or \"ns\"");
    known.map(|(_, unit)| Some(unit)).ok_or_else(bad)
}

/// Returns the rows from `from` until `from` + `for`, counted from the first row.
fn window(written: &ProfileFile, asked: &Written, instants: &[Nanos]) -> Result<std::ops::Range<usize>, PlanError> {
    let from = asked.from.as_deref().map_or(Ok(Nanos::ZERO), |text| written.time("trace.from", text))?;
    let length = written.some_time("trace.for", asked.length.as_deref())?;
    let until = length.map_or(Nanos::MAX, |length| from.saturating_add(length));
    let range = instants.partition_point(|at| *at < from)..instants.partition_point(|at| *at < until);
    if range.len() < 2 {
        let span = instants.last().copied().unwrap_or_default();
        let problem = format!(
            "leaves {} of {}, which span {}: expected at least two, whose instants make a load",
            range.len(),
            plural(instants.len(), "row"),
            coarse(span)
        );
        let key = if asked.from.is_some() {
            "trace.from"
        } else if asked.length.is_some() {
            "trace.for"
        } else {
            "trace"
        };
        return Err(written.error(key, problem));
    }
    Ok(range)
}
