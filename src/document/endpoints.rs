//! What came of asking every endpoint once.

use serde::{Deserialize, Serialize};

/// One endpoint, and how it answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name: that of the kind of request that uses it, else of the API.
    pub name: String,
    /// Which API it belongs to.
    pub api: String,
    /// `GET` or `POST`.
    pub method: String,
    /// Below the target's prefix; `{model}` stands for a model's name.
    pub path: String,
    /// Whether the answer was to be streamed.
    pub stream: bool,
    pub verdict: EndpointVerdict,
    /// Why it is not `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Status of its answer, if one came.
    #[serde(default)]
    pub status: Option<u16>,
    /// Request sent → end of the answer, of one that is `ok`.
    #[serde(default)]
    pub duration_ms: Option<f64>,
}

/// How an endpoint came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointVerdict {
    /// It answered as it should.
    Ok,
    Failed,
    /// The server does not have it, and need not.
    Skipped,
}

/// Adds what another shard of the same test was answered: an endpoint that has failed one of them
/// has failed.
pub(crate) fn add(ours: &mut Vec<Endpoint>, theirs: Vec<Endpoint>) {
    for endpoint in theirs {
        match ours.iter_mut().find(|known| known.name == endpoint.name) {
            Some(known) if endpoint.verdict == EndpointVerdict::Failed => *known = endpoint,
            Some(_) => {}
            None => ours.push(endpoint),
        }
    }
}

/// How many came out in a way.
pub(crate) fn count(all: &[Endpoint], verdict: EndpointVerdict) -> usize {
    all.iter().filter(|endpoint| endpoint.verdict == verdict).count()
}
