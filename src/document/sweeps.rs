//! Conversion of sweeps into the results that are compared.

use super::capacity::{By, CAPACITY_SCHEMA, Capacity};
use super::comparison::{build, server_name};
use super::digest;
use super::json::{DocumentError, unchanged};
use super::read::{FieldError, wrong};
use super::throughput::{Mode, THROUGHPUT_SCHEMA, Throughput};
use super::{Conclusion, Environment, TargetServer, Validity, Verdict};
use crate::compare::{Numbers, Peak, PeakOf, Run, Sort};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The reason why a text is not a sweep that can be compared.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The text is not JSON, or it was edited since it was written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("it was written by a newer version of this tool ({found}; this one reads {known}): update it")]
    Newer { found: String, known: &'static str },
    /// The schema is right, but a field is wrong.
    #[error("{field}: it is not a valid {schema}: {problem}")]
    Invalid { field: String, schema: &'static str, problem: serde_json::Error },
    /// A value cannot have been measured.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// The one field that tells what a text is.
#[derive(Deserialize)]
struct Named {
    schema: Option<String>,
}

/// Reads the output of `throughput` or `capacity`. `None` if the text is something else, such as a
/// run.
pub fn sweep(file: &str, text: &str) -> Option<Result<Run, SweepError>> {
    let found = serde_json::from_str::<Named>(text).ok()?.schema?;
    let is_of = |schema: &str| found.split('/').next() == schema.split('/').next();
    let known = [THROUGHPUT_SCHEMA, CAPACITY_SCHEMA].into_iter().find(|schema| is_of(schema))?;
    Some(match known {
        _ if found != known => Err(SweepError::Newer { found: found.escape_debug().to_string(), known }),
        THROUGHPUT_SCHEMA => read(text, known).and_then(|(found, id)| of_throughput(file, id, &found)),
        _ => read(text, known).and_then(|(found, id)| of_capacity(file, id, &found)),
    })
}

/// Returns the result and its digest, which identifies it.
fn read<T: DeserializeOwned>(text: &str, schema: &'static str) -> Result<(T, String), SweepError> {
    let value: Value = serde_json::from_str(text).map_err(DocumentError::NotJson)?;
    unchanged(&value)?;
    let id = value.get(digest::FIELD).and_then(Value::as_str).unwrap_or_default().to_owned();
    let read = serde_path_to_error::deserialize(value);
    let found = read.map_err(|error| {
        let field = error.path().to_string();
        SweepError::Invalid { field, schema, problem: error.into_inner() }
    })?;
    Ok((found, id))
}

/// The facts that both sorts have.
struct Facts<'a> {
    environment: &'a Environment,
    server: &'a TargetServer,
    verdict: &'a Verdict,
    tool: &'a str,
    workload: Option<&'a String>,
}

fn result(file: &str, id: String, sort: Sort, facts: &Facts<'_>) -> Run {
    let Facts { environment, server, verdict, tool, workload } = *facts;
    let unknown = || "unknown".to_owned();
    Run {
        file: file.to_owned(),
        sort,
        id,
        workload: workload.cloned().unwrap_or_default(),
        tool: tool.to_owned(),
        shards: 0,
        steps: Vec::new(),
        machine: vec![
            ("the processor (environment.cpu_model)", environment.cpu_model.clone().unwrap_or_else(unknown)),
            ("the number of cores (environment.cores)", environment.cores.map_or_else(unknown, |n| n.to_string())),
        ],
        incomplete: incomplete(verdict),
        fingerprint: environment.fingerprint.clone(),
        remarks: Vec::new(),
        build: build(server),
        server: server_name(server, &std::collections::BTreeMap::new()),
        numbers: Numbers::Peaks(Vec::new()),
    }
}

/// Returns the reason why a sweep is incomplete.
fn incomplete(verdict: &Verdict) -> Option<String> {
    let why = verdict.reasons.first().map_or("no reason given", |reason| reason.text.as_str());
    match verdict.conclusion {
        Conclusion::Pass => None,
        Conclusion::Interrupted => Some("interrupted: it was stopped by a signal".to_owned()),
        _ => Some(format!("verdict: it failed ({why})")),
    }
}

fn of_throughput(file: &str, id: String, found: &Throughput) -> Result<Run, SweepError> {
    for (name, steps) in [("plain", &found.plain), ("streamed", &found.streamed)] {
        let is_possible = |n: f64| n.is_finite() && n >= 0.0;
        if let Some(i) = steps.iter().position(|s| !is_possible(s.requests_per_s) || !is_possible(s.tokens_per_s)) {
            return Err(wrong(format!("{name}[{i}].requests_per_s"), "a rate below zero").into());
        }
    }
    let (build, server) = (&found.build, &found.server);
    let facts = Facts {
        environment: &found.environment,
        server,
        verdict: &found.verdict,
        tool: &build.version,
        workload: found.plan_hash.as_ref(),
    };
    let mut run = result(file, id, Sort::Throughput, &facts);
    let mut peaks = Vec::new();
    let mut is_bound = false;
    for (mode, of) in [(Mode::Plain, PeakOf::Requests), (Mode::Streamed, PeakOf::Tokens)] {
        for row in found.rows(mode) {
            is_bound |= row.best.is_some_and(|step| step.client_bound);
            let api = row.api.filter(|_| found.has_several_apis()).map(str::to_owned);
            peaks.push((Peak { of, api, workers: row.workers }, row.best.map(|step| step.rate(mode))));
        }
    }
    if is_bound {
        run.remarks.push("the client was the bottleneck at a peak: the number is partly its own".to_owned());
    }
    let steps = |mode| {
        let each = found.steps(mode).iter().map(|step| {
            let api = step.api.as_deref().unwrap_or("an API");
            let workers = step.workers.map_or_else(running, |n| n.to_string());
            format!("{api} {workers}x{}", step.concurrency)
        });
        let each: Vec<String> = each.collect();
        if each.is_empty() { "not measured".to_owned() } else { each.join(", ") }
    };
    run.steps = vec![
        ("the way the server was started", if server.started { "by this tool" } else { "by others" }.to_owned()),
        ("the list of plain steps (API, workers x concurrency)", steps(Mode::Plain)),
        ("the list of streamed steps (API, workers x concurrency)", steps(Mode::Streamed)),
        ("the length of a step (step_s)", found.step_s.to_string()),
        ("the warm-up (warmup_s)", found.warmup_s.to_string()),
        ("the limit of p99 (max_p99_ms)", found.max_p99_ms.map_or_else(|| "off".to_owned(), |ms| ms.to_string())),
    ];
    run.numbers = Numbers::Peaks(peaks);
    Ok(run)
}

/// The word in place of the number of worker threads, for a server that was not started here.
fn running() -> String {
    "running".to_owned()
}

fn of_capacity(file: &str, id: String, found: &Capacity) -> Result<Run, SweepError> {
    let facts = Facts {
        environment: &found.environment,
        server: &found.server,
        verdict: &found.verdict,
        tool: &found.build.version,
        workload: found.plan_hash.as_ref(),
    };
    let mut run = result(file, id, Sort::Capacity, &facts);
    run.shards = found.shards.map_or(run.shards, |n| n as usize);
    let load = found.holds.map(|holds| holds.load);
    if load.is_some_and(|load| !load.is_finite() || load <= 0.0) {
        return Err(wrong("holds.load", "it is not above zero").into());
    }
    if run.incomplete.is_none() {
        run.incomplete = match (found.fails, found.settled) {
            // Two servers that both carry every load may differ by any factor.
            (None, _) => Some("fails: the goals held at every load, so the limit is unknown (raise --max)".to_owned()),
            (Some(_), false) => Some("settled: the search is incomplete".to_owned()),
            (Some(_), true) => None,
        };
    }
    let is_bound = |load: f64| {
        found.curve.iter().any(|step| step.load.total_cmp(&load).is_eq() && step.client == Validity::Bottleneck)
    };
    if load.is_some_and(is_bound) {
        run.remarks.push("the client was the bottleneck at the peak: the number is partly its own".to_owned());
    }
    let of = match found.by {
        By::Rate => PeakOf::Rate,
        By::Vus => PeakOf::Users,
    };
    run.steps = vec![
        ("the kind of load (by)", if found.by == By::Rate { "rate" } else { "vus" }.to_owned()),
        ("the list of goals (goals)", found.goals.join(", ")),
        ("the length of a step (window_s)", found.window_s.to_string()),
        ("the warm-up (warmup_s)", found.warmup_s.to_string()),
    ];
    run.numbers = Numbers::Peaks(vec![(Peak { of, api: None, workers: None }, load)]);
    Ok(run)
}

#[cfg(test)]
mod tests;
