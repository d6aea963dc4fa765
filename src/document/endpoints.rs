//! Results of calling every endpoint once.

use serde::{Deserialize, Serialize};

/// One endpoint and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The name of the kind of request that uses it, else of the API.
    pub name: String,
    /// The API that it belongs to.
    pub api: String,
    /// `GET` or `POST`.
    pub method: String,
    /// The path below the target's prefix. `{model}` stands for a model's name.
    pub path: String,
    /// True if a streamed response was requested.
    pub stream: bool,
    pub verdict: EndpointVerdict,
    /// The reason why it is not `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Status of the response, if one came.
    #[serde(default)]
    pub status: Option<u16>,
    /// Time from sending the request to the end of the response, if it is `ok`.
    #[serde(default)]
    pub duration_ms: Option<f64>,
}

/// The verdict on an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointVerdict {
    /// It responded as it should.
    Ok,
    Failed,
    /// The server does not have it, and it is optional.
    Skipped,
}

/// Adds the results of another shard of the same test. An endpoint that failed for one of them has
/// failed.
pub(crate) fn add(ours: &mut Vec<Endpoint>, theirs: Vec<Endpoint>) {
    for endpoint in theirs {
        match ours.iter_mut().find(|known| known.name == endpoint.name) {
            Some(known) if endpoint.verdict == EndpointVerdict::Failed => *known = endpoint,
            Some(_) => {}
            None => ours.push(endpoint),
        }
    }
}

/// Counts the endpoints with a verdict.
pub(crate) fn count(all: &[Endpoint], verdict: EndpointVerdict) -> usize {
    all.iter().filter(|endpoint| endpoint.verdict == verdict).count()
}
