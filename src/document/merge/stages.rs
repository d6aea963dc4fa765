//! Sums of the stages of several shards.

use super::seconds::{encoded, histogram, quantiles};
use crate::document::read::wrong;
use crate::document::stages::{self, Stage};
use crate::document::{FieldError, Histograms};
use crate::metrics::Buckets;

/// One stage, summed over shards.
#[derive(Debug)]
pub(crate) struct StageSum {
    stage: Stage,
    http_req_duration: Buckets,
    ttft: Buckets,
}

impl StageSum {
    fn new(i: usize, stage: &Stage) -> Result<Self, FieldError> {
        if stage.tokens_output.is_none() {
            return Err(wrong(format!("stages[{i}].tokens_output"), "it is missing: nothing can be merged"));
        }
        let Stage { histograms: texts, http_req_duration: duration, ttft, .. } = stage;
        let field = |name: &str| format!("stages[{i}].histograms.{name}");
        Ok(Self {
            http_req_duration: histogram(
                &field("http_req_duration"),
                texts.http_req_duration.as_ref(),
                duration.as_ref(),
            )?,
            ttft: histogram(&field("ttft"), texts.ttft.as_ref(), ttft.as_ref())?,
            stage: stage.clone(),
        })
    }

    pub(crate) fn of(stages: &[Stage]) -> Result<Vec<Self>, FieldError> {
        stages.iter().enumerate().map(|(i, stage)| Self::new(i, stage)).collect()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let (a, b) = (&mut self.stage, &other.stage);
        // A shard that was stopped has a shorter stage.
        a.end_s = a.end_s.max(b.end_s);
        a.http_reqs += b.http_reqs;
        a.failed += b.failed;
        a.interrupted += b.interrupted;
        a.tokens_output = a.tokens_output.zip(b.tokens_output).map(|(a, b)| a + b);
        self.http_req_duration.add(&other.http_req_duration);
        self.ttft.add(&other.ttft);
    }

    pub(crate) fn finish(self) -> Stage {
        let Self { stage, http_req_duration, ttft } = self;
        let seconds = stage.end_s - stage.begin_s;
        Stage {
            http_reqs_rate: stages::rate(stage.http_reqs, seconds),
            tokens_output_rate: stages::rate(stage.tokens_output.unwrap_or_default(), seconds),
            http_req_duration: quantiles(&http_req_duration),
            ttft: quantiles(&ttft),
            histograms: Histograms { http_req_duration: encoded(&http_req_duration), ttft: encoded(&ttft), tbt: None },
            ..stage
        }
    }
}
