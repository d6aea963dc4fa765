//! The end of a run: the server has been left, and everything that the results report is known.

use super::ended::Ended;
use super::measure::Measured;
use super::prepare::Ready;
use super::provenance::{argv, build, environment, rfc3339, run_id};
use super::server_under_test::ServerRecord;
use super::{agreement, keys, tokens};

use crate::document::datasets::datasets;
use crate::document::{
    Document, Endpoint, Network, RunFacts, ServerMetrics, ServerUse, Start, Steady, Strictness, Template, TokenEstimate,
};
use crate::engine::{EngineError, RunResult};
use crate::metrics::Summary;
use crate::metrics::hints::{Hint, hints};
use crate::metrics::soak::Soak;
use crate::metrics::validity::{Evidence, KernelCounts, Signal, signals};
use crate::plan::{Plan, Presentation};
use crate::rendezvous::{Cause, Stop};
use crate::threshold::Judged;
use crate::watch::Used;
use jiff::Timestamp;

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Concluded {
    plan: Plan,
    started_at: Timestamp,
    run: RunResult,
    summary: Summary,
    outside: Option<Summary>,
    soak: Soak,
    server_metrics: Option<ServerMetrics>,
    network: Option<Network>,
    verdicts: Vec<Judged>,
    endpoints: Vec<Endpoint>,
    templates: Vec<Template>,
    token_estimate: Option<TokenEstimate>,
    signals: Vec<Signal>,
    hints: Vec<Hint>,
    /// Errors in this tool's own accounting.
    defects: Vec<String>,
    ended: Option<Ended>,
    /// Start of the load, relative to the instant that was set for all shards.
    start: Option<Start>,
    record: ServerRecord,
    nofile: u64,
}

impl Measured {
    /// Asks the server for its last numbers, stops it if it was started here, and judges the
    /// client.
    pub(crate) fn conclude(self) -> Concluded {
        let Self { ready, started_at, run, summary, outside, soak, server_metrics, network, verdicts, ended, start } =
            self;
        let Ready { plan, server, endpoints, templates, nofile, stop, steps: _ } = ready;
        let record = server.leave(&plan, &stop);
        // Even a signal that arrives this late was sent to end the run. An earlier cause takes
        // precedence.
        let died = record.died.is_some().then_some(Ended::ServerDied);
        let ended = ended.or_else(|| stop.is_signalled().then_some(Ended::Signal)).or(died);
        let tokenizer = plan.tuning.tokenizer.as_ref();
        let token_estimate = tokenizer.map(|tokenizer| tokens::counted(tokenizer, &run.answers));
        let signals = client_signals(&run, &summary, &record, nofile);
        let mut hints = hints(&summary, plan.access.max_requests);
        hints.extend(record.hints.iter().cloned().chain(keys::hint(&plan)));
        let defects = run.imbalance.iter().map(|&balance| EngineError::Unbalanced(balance).to_string()).collect();
        Concluded {
            plan,
            started_at,
            run,
            summary,
            outside,
            soak,
            server_metrics,
            network,
            verdicts,
            endpoints,
            templates,
            token_estimate,
            signals,
            hints,
            defects,
            ended,
            start,
            record,
            nofile,
        }
    }
}

impl Concluded {
    /// Returns the results. Tags and the shard come from `presentation`.
    pub(crate) fn document(&self, presentation: &Presentation) -> Document {
        Document::new(&self.facts(presentation))
    }

    fn facts<'a>(&'a self, presentation: &'a Presentation) -> RunFacts<'a> {
        let Self { plan, run, summary, record, .. } = self;
        let outside = self.outside.as_ref();
        RunFacts {
            id: run_id(self.started_at, plan),
            started_at: rfc3339(self.started_at),
            duration: run.duration,
            interrupted: match &self.ended {
                Some(Ended::Elsewhere(stop)) => stop.cause == Cause::Signal,
                ended => *ended == Some(Ended::Signal),
            },
            incomplete: matches!(&self.ended, Some(Ended::Elsewhere(stop)) if stop.cause == Cause::Lost),
            start: self.start,
            stop_reason: self.stop_reason(),
            tags: presentation.tags.iter().cloned().collect(),
            argv: argv(),
            shard_source: presentation.shard.clone(),
            build: build(),
            server: record.target(plan.found.as_ref()),
            before: record.stats_before.clone(),
            after: record.stats_after.clone(),
            environment: environment(run.workers, &run.pinned_to, &record.server_cores, self.nofile),
            plan,
            summary,
            verdicts: &self.verdicts,
            endpoints: &self.endpoints,
            templates: &self.templates,
            series: &run.series,
            signals: &self.signals,
            hints: &self.hints,
            server_use: record.used.map(used),
            agreement: agreement::requests(plan, summary, outside, record),
            server_metrics: self.server_metrics.as_ref(),
            network: self.network.as_ref(),
            steady: Steady {
                stages: &run.stages,
                outside,
                soak: &self.soak,
                client_use: record.own_use.map(used),
                agreements: agreement::lines(plan, summary, outside, record),
            },
            datasets: datasets(plan, |name| {
                let kind = plan.mix.kinds.iter().position(|kind| kind.name == name)?;
                run.rows_sent.of(kind)
            }),
            token_estimate: self.token_estimate.clone(),
            strictness: Strictness { fail_on_invalid: presentation.fail_on_invalid, defects: &self.defects },
        }
    }

    /// Returns why the run ended before its plan did.
    fn stop_reason(&self) -> Option<String> {
        match (self.ended.as_ref()?, &self.record.died) {
            (Ended::Signal, _) if self.plan.rendezvous.is_some() => {
                Some(format!("signal to shard {}", self.plan.shard.index))
            }
            (Ended::Signal, _) => Some("signal".to_owned()),
            (Ended::Threshold(threshold), _) => Some(format!("threshold {threshold}")),
            (Ended::Elsewhere(Stop { cause, shard, text }), _) => Some(match cause {
                Cause::Signal => format!("signal to shard {shard}"),
                Cause::Threshold => format!("threshold {text}"),
                Cause::Lost => format!("shard {shard} was lost: {text}"),
            }),
            (Ended::ServerDied, Some(exit)) => Some(format!("the server ended by itself ({})", exit.status)),
            (Ended::ServerDied, None) => None,
        }
    }
}

fn used(used: Used) -> ServerUse {
    ServerUse {
        cpu: used.last.cpu.since(used.first.cpu),
        rss_start_bytes: used.first.rss_bytes,
        rss_end_bytes: used.last.rss_bytes,
        rss_max_bytes: used.rss_max_bytes,
    }
}

/// Returns the signals by which the client is judged.
fn client_signals(run: &RunResult, summary: &Summary, record: &ServerRecord, nofile: u64) -> Vec<Signal> {
    let counted = record.counted;
    let kernel = (counted.ticks > 0).then(|| KernelCounts {
        steal: counted.steal_ticks as f64 / counted.ticks as f64,
        dropped: counted.dropped,
        segments_sent: counted.segments_sent,
        segments_retransmitted: counted.segments_retransmitted,
    });
    let (series, pinned_beside_server) = (&run.series, record.shares_cores && !run.pinned_to.is_empty());
    signals(&Evidence { summary, series, kernel, nofile: Some(nofile), pinned_beside_server })
}
