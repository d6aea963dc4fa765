//! The endpoints that generate nothing: health, models, statistics.

use super::{Answer, Flaw};

pub(super) fn read_health(_body: &[u8]) -> Result<Answer, Flaw> {
    todo!()
}

pub(super) fn read_models(_body: &[u8]) -> Result<Answer, Flaw> {
    todo!()
}

pub(super) fn read_model(_body: &[u8]) -> Result<Answer, Flaw> {
    todo!()
}

pub(super) fn read_stats(_body: &[u8]) -> Result<Answer, Flaw> {
    todo!()
}
