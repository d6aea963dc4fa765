//! Prompts, models and lengths of responses, as written.

use serde::Deserialize;

/// Prompts: texts, or a number of tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a string, a list of strings, or { tokens = 512 }")]
pub enum WrittenPrompt {
    One(String),
    More(Vec<String>),
    Words(WrittenWords),
}

/// Words of one token each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenWords {
    pub tokens: WrittenTokens,
}

/// A number of tokens: always the same, or drawn.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an integer, { min = 16, max = 512 }, { normal = { mean = 512, stddev = 128 }, min = 16, max = 4096 }, \
                 the same with uniform or lognormal, or { file = \"pairs.csv\" }"
)]
pub enum WrittenTokens {
    Fixed(i64),
    Drawn(WrittenDistribution),
}

/// A distribution: one of the named ones, and its bounds.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenDistribution {
    pub uniform: Option<TokenRange>,
    pub normal: Option<WrittenBell>,
    pub lognormal: Option<WrittenBell>,
    /// A file of pairs of input and output.
    pub file: Option<String>,
    pub min: Option<i64>,
    pub max: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRange {
    pub min: i64,
    pub max: i64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenBell {
    pub mean: f64,
    pub stddev: f64,
}

/// A shared prefix of prompts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a shared prefix, like { tokens = 1024, groups = 8, zipf = 1.0 }")]
pub struct WrittenPrefix {
    pub tokens: i64,
    /// How many different prefixes exist.
    pub groups: Option<i64>,
    pub zipf: Option<f64>,
}

/// The length of a response.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the length of the response, like { tokens = 128, exact = true }")]
pub struct WrittenOutput {
    pub tokens: WrittenTokens,
    #[serde(default)]
    pub exact: bool,
}

/// Models to draw from: equally likely, by weight, or by rank.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a string, a list of strings, a list of { name = \"base\", weight = 9 }, or { names = [\"a\", \"b\"], zipf = 1.0 }"
)]
pub enum WrittenModel {
    One(String),
    More(Vec<String>),
    Weighted(Vec<WeightedModel>),
    Ranked(RankedModels),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedModel {
    pub name: String,
    pub weight: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankedModels {
    pub names: Vec<String>,
    pub zipf: f64,
}
