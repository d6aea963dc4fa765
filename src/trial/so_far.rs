//! The document of a run that has not ended: its results if it were cut off now.

use super::provenance::{argv, build, environment, rfc3339, run_id};
use super::server_under_test::ServerUnderTest;
use crate::document::verdict::NOT_ENDED;
use crate::document::{Document, Endpoint, RunFacts, Steady, Strictness, Template};
use crate::engine::Tick;
use crate::metrics::hints::hints;
use crate::metrics::soak::{Soak, Times, soak};
use crate::metrics::validity::{Evidence, signals};
use crate::metrics::{Second, StageTally, Summary, Tally};
use crate::plan::{Plan, Presentation};
use crate::threshold;
use crate::units::Nanos;
use jiff::Timestamp;

/// A run under way.
#[derive(Clone, Copy)]
pub(super) struct SoFar<'a> {
    pub(super) plan: &'a Plan,
    pub(super) endpoints: &'a [Endpoint],
    pub(super) templates: &'a [Template],
    pub(super) nofile: u64,
    pub(super) started_at: Timestamp,
    /// Names of the kinds of request, in the order of the mix.
    pub(super) names: &'a [String],
}

/// The measurements so far.
struct Progress<'a> {
    elapsed: Nanos,
    window: Nanos,
    summary: Summary,
    outside: Option<Summary>,
    stages: Vec<(StageTally, Nanos)>,
    series: &'a [Second],
}

impl SoFar<'_> {
    /// Returns the document before the first second: the plan, and no measurements. Its times are
    /// the planned ones.
    pub(super) fn opening(&self, server: &ServerUnderTest, presentation: &Presentation) -> Document {
        let (begin, end) = self.plan.window();
        let planned = self.plan.runs_by_time();
        let spans = self.plan.shape.spans();
        let window = if planned { end.since(begin) } else { Nanos::ZERO };
        self.document(
            server,
            presentation,
            &Progress {
                elapsed: if planned { self.plan.shape.end() } else { Nanos::ZERO },
                window,
                summary: Summary::new(&Tally::new(self.names.len()), self.names, window),
                outside: None,
                stages: spans.iter().map(|span| (StageTally::default(), span.end.since(span.begin))).collect(),
                series: &[],
            },
        )
    }

    /// Returns the document at the end of a second. It is as expensive as the one at the end of the
    /// run.
    pub(super) fn at(&self, tick: &Tick<'_>, server: &ServerUnderTest, presentation: &Presentation) -> Document {
        let (begin, end) = self.plan.window();
        let window = tick.elapsed.min(end).since(begin);
        let series: Vec<Second> = tick.series.iter().chain([&*tick.second]).cloned().collect();
        let spans = self.plan.shape.spans();
        let open_for = spans.into_iter().map(|span| span.end.min(tick.elapsed).since(span.begin));
        self.document(
            server,
            presentation,
            &Progress {
                elapsed: tick.elapsed,
                window,
                summary: Summary::new(tick.total, self.names, window),
                outside: tick.outside.map(|outside| Summary::new(outside, self.names, window)),
                stages: tick.stages.iter().cloned().zip(open_for).collect(),
                series: &series,
            },
        )
    }

    fn document(&self, server: &ServerUnderTest, presentation: &Presentation, progress: &Progress<'_>) -> Document {
        let plan = self.plan;
        let Progress { elapsed, window, summary, outside, stages, series } = progress;
        let times = Times {
            window: (plan.warmup, plan.warmup + *window),
            level: plan.level_stretch(),
            warm: plan.warmup > Nanos::ZERO,
        };
        let soak = if series.is_empty() { Soak::default() } else { soak(series, times) };
        let summary = summary.clone().with_server(&soak);
        let pinned: Vec<usize> = if plan.tuning.pin { server.client_cores.clone() } else { Vec::new() };
        let pinned_beside_server = server.shares_cores && !pinned.is_empty();
        let evidence =
            Evidence { summary: &summary, series, kernel: None, nofile: Some(self.nofile), pinned_beside_server };
        Document::new(&RunFacts {
            id: run_id(self.started_at, plan),
            started_at: rfc3339(self.started_at),
            duration: *elapsed,
            interrupted: true,
            incomplete: false,
            start: None,
            stop_reason: Some(NOT_ENDED.to_owned()),
            tags: presentation.tags.iter().cloned().collect(),
            argv: argv(),
            shard_source: presentation.shard.clone(),
            build: build(),
            server: server.target(plan.found.as_ref()),
            before: None,
            after: None,
            environment: environment(server.client_cores.len(), &pinned, server.cores(), self.nofile),
            plan,
            verdicts: &threshold::judge(plan.judged_rules(), &summary),
            endpoints: self.endpoints,
            templates: self.templates,
            series,
            signals: &signals(&evidence),
            hints: &hints(&summary, plan.access.max_requests),
            server_use: None,
            agreement: None,
            server_metrics: None,
            network: None,
            steady: Steady { stages, outside: outside.as_ref(), soak: &soak, client_use: None, agreements: Vec::new() },
            datasets: Vec::new(),
            token_estimate: None,
            strictness: Strictness { fail_on_invalid: presentation.fail_on_invalid, defects: &[] },
            summary: &summary,
        })
    }
}
