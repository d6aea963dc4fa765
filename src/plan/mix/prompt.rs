//! Resolves the prompts, the models and the lengths of responses of a kind of request.

use super::Row;
use crate::api::Api;
use crate::mix::{self, Bell, Prefix, Prompt, PromptSource, Tokens, zipf};
use crate::plan::profile::{
    MaxTokens, WrittenBell, WrittenDistribution, WrittenModel, WrittenPrefix, WrittenPrompt, WrittenTokens,
};
use crate::plan::prompt_cache::Cache;
use crate::plan::request_defaults::is_model;
use crate::plan::{PlanError, Read, limits};
use std::path::Path;
use std::sync::Arc;

/// The prompts if none are set.
const USUAL: &str = "@medium";
/// Prompts of prose, and their default number of tokens.
const PROSE: &str = "@text";
const USUAL_PROSE: u32 = 256;
const EXPECTED: &str =
    "expected a prompt, a list of them, @short, @medium, @long, @text, @file.txt or { tokens = 512 }";

impl Row<'_> {
    /// Returns the models and their weights. There are no weights if all models are equally likely.
    pub(super) fn models(&self, api: Api, path: &str) -> Result<(Vec<String>, Vec<u64>), PlanError> {
        if !api.takes_prompt() && !path.contains(limits::MODEL_HOLE) {
            return match self.request.model {
                None => Ok((Vec::new(), Vec::new())),
                Some(_) => Err(self.error("model", format!("{} takes no model: expected no `model`", api.name()))),
            };
        }
        if let Some(model) = self.defaults.model(api) {
            return Ok((vec![model.to_owned()], Vec::new()));
        }
        let (models, weights) = match &self.request.model {
            None => return Ok((self.defaults.default_models(api)?, Vec::new())),
            Some(WrittenModel::One(model)) => (vec![model.clone()], Vec::new()),
            Some(WrittenModel::More(models)) => (models.clone(), Vec::new()),
            Some(WrittenModel::Weighted(models)) => {
                let most = u64::from(limits::MAX_WEIGHT);
                let weight = |(i, weight)| {
                    let weight = self.written.whole(&self.at(&format!("model[{i}].weight")), weight, 0..=most)?;
                    Ok(weight.unwrap_or(1))
                };
                let weights = models.iter().map(|model| model.weight).enumerate().map(weight);
                let weights = weights.collect::<Result<Vec<u64>, PlanError>>()?;
                if !models.is_empty() && weights.iter().all(|&weight| weight == 0) {
                    return Err(self.error("model", "every weight is zero: expected at least one above zero"));
                }
                (models.iter().map(|model| model.name.clone()).collect(), weights)
            }
            Some(WrittenModel::Ranked(ranked)) => {
                let exponent = self.exponent("model.zipf", ranked.zipf)?;
                (ranked.names.clone(), zipf(ranked.names.len() as u32, exponent))
            }
        };
        if models.is_empty() || models.len() > limits::MAX_MODELS || !models.iter().all(|model| is_model(model)) {
            let most = limits::MAX_MODELS;
            return Err(self.error(
                "model",
                format!("is empty, or has an entry that is not a name: expected 1 to {most} names of models"),
            ));
        }
        Ok((models, weights))
    }

    pub(super) fn prompt(&self, api: Api, folder: &Path, read: &mut Read<'_>) -> Result<Prompt, PlanError> {
        let request = self.request;
        if request.prompt.is_some() && request.dataset.is_some() {
            return Err(self.error("dataset", "cannot be used together with `prompt`: expected one of them"));
        }
        if !api.takes_prompt() {
            for (key, written) in [
                ("prompt", request.prompt.is_some()),
                ("prefix", request.prefix.is_some()),
                ("prompt_cache", request.prompt_cache.is_some()),
            ] {
                if written {
                    return Err(self.error(key, format!("{} takes no prompt: expected no `{key}`", api.name())));
                }
            }
            return Ok(Prompt::texts(Vec::new()));
        }
        let (source, is_own) = match self.defaults.input_tokens(api) {
            Some(tokens) => (PromptSource::Words(tokens), false),
            None => self.source(folder, read)?,
        };
        let prefix = request.prefix.as_ref().map(|prefix| self.prefix(prefix)).transpose()?;
        let is_text = matches!(source, PromptSource::Texts(_) | PromptSource::Prose(_));
        // llmsim tells conversations apart by the text of their messages.
        let is_own = is_own && request.scenario.is_none();
        let distinct = match self.defaults.prompt_cache().or(self.prompt_cache()?) {
            Some(cache) => cache == Cache::Miss,
            // A prompt of the user's own is sent unchanged.
            None => !is_own,
        };
        Ok(Prompt { source, prefix, distinct: distinct && is_text })
    }

    /// Returns the source of prompts, and true if they are the user's own.
    fn source(&self, folder: &Path, read: &mut Read<'_>) -> Result<(PromptSource, bool), PlanError> {
        let texts = match &self.request.prompt {
            None => &[USUAL.to_owned()][..],
            Some(WrittenPrompt::One(text)) => match self.prose(text)? {
                Some(tokens) => return Ok((PromptSource::Prose(tokens), false)),
                None => std::slice::from_ref(text),
            },
            Some(WrittenPrompt::More(texts)) => texts,
            Some(WrittenPrompt::Words(words)) => {
                return Ok((
                    match &words.tokens {
                        WrittenTokens::Drawn(WrittenDistribution { file: Some(name), .. }) => {
                            PromptSource::Pairs(self.pairs(name, folder, read)?)
                        }
                        tokens => {
                            PromptSource::Words(self.tokens("prompt.tokens", tokens, limits::MAX_PROMPT_TOKENS)?)
                        }
                    },
                    false,
                ));
            }
        };
        let is_own = !texts.iter().all(|text| is_built_in(text));
        Ok((PromptSource::Texts(self.texts(texts, folder, read)?), is_own))
    }

    /// Parses `@text` or `@text:512`.
    fn prose(&self, text: &str) -> Result<Option<Tokens>, PlanError> {
        let Some(rest) = text.strip_prefix(PROSE) else { return Ok(None) };
        if rest.is_empty() {
            return Ok(Some(Tokens::fixed(USUAL_PROSE)));
        }
        let Some(number) = rest.strip_prefix(':') else { return Ok(None) };
        let most = limits::MAX_PROMPT_TOKENS;
        let number = number.parse().ok().filter(|n| (1..=most).contains(n));
        number.map(|n| Some(Tokens::fixed(n))).ok_or_else(|| {
            let problem = format!("invalid value '{}': expected @text:N with N from 1 to {most}", text.escape_debug());
            self.error("prompt", problem)
        })
    }

    fn texts(&self, written: &[String], folder: &Path, read: &mut Read<'_>) -> Result<Vec<String>, PlanError> {
        let mut prompts = Vec::new();
        for text in written {
            match text.strip_prefix('@') {
                None => prompts.push(text.clone()),
                Some(name) => match mix::builtin_prompts(name) {
                    Some(set) => prompts.extend(set),
                    None => prompts.extend(self.prompt_file(name, folder, read)?),
                },
            }
        }
        if prompts.is_empty() || prompts.iter().any(String::is_empty) {
            return Err(self.error("prompt", format!("is empty: {EXPECTED}")));
        }
        let longest = prompts.iter().map(String::len).max().unwrap_or_default();
        let all: usize = prompts.iter().map(String::len).sum();
        if prompts.len() > limits::MAX_PROMPTS || longest > limits::MAX_PROMPT_BYTES || all > limits::MAX_PROMPTS_BYTES
        {
            let (most, each, bytes) = (limits::MAX_PROMPTS, limits::MAX_PROMPT_BYTES, limits::MAX_PROMPTS_BYTES);
            let problem = format!(
                "is too large: expected at most {most} prompts of at most {each} bytes each, and at most {bytes} bytes in all"
            );
            return Err(self.error("prompt", problem));
        }
        Ok(prompts)
    }

    /// Reads one prompt per line. Blank lines are skipped.
    fn prompt_file(&self, name: &str, folder: &Path, read: &mut Read<'_>) -> Result<Vec<String>, PlanError> {
        if name.is_empty() {
            return Err(self.error("prompt", format!("`@` names no file: {EXPECTED}")));
        }
        let path = folder.join(name);
        let text = read.text(&path).map_err(|error| {
            let shown = path.display();
            let problem = format!(
                "cannot read {shown}: {error}; expected @short, @medium, @long, @text or a file beside the profile"
            );
            self.error("prompt", problem)
        })?;
        let prompts: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if prompts.is_empty() {
            return Err(
                self.error("prompt", format!("{} has no prompts: expected one prompt per line", path.display()))
            );
        }
        Ok(prompts)
    }

    /// Reads pairs of input and output, one per line.
    fn pairs(&self, name: &str, folder: &Path, read: &mut Read<'_>) -> Result<Arc<[(u32, u32)]>, PlanError> {
        let key = "prompt.tokens.file";
        let path = folder.join(name);
        let text = read.text(&path).map_err(|error| {
            let expected = "expected a file beside the profile with lines of input,output";
            self.error(key, format!("cannot read {}: {error}; {expected}", path.display()))
        })?;
        let mut pairs = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            // A first line of column names is not a pair.
            let is_head = pairs.is_empty() && line.bytes().all(|b| !b.is_ascii_digit());
            if line.is_empty() || is_head {
                continue;
            }
            let pair = line.split_once(',').and_then(|(input, output)| {
                let count = |text: &str, most| text.trim().parse().ok().filter(|n| (1..=most).contains(n));
                Some((count(input, limits::MAX_PROMPT_TOKENS)?, count(output, limits::MAX_TOKENS)?))
            });
            let (most_in, most_out) = (limits::MAX_PROMPT_TOKENS, limits::MAX_TOKENS);
            let pair = pair.ok_or_else(|| {
                let line: String = line.chars().take(40).collect();
                let line = line.escape_debug();
                let expected = format!("expected input,output with 1 to {most_in} and 1 to {most_out} tokens");
                self.error(key, format!("{}, line {number}: `{line}` is not a pair: {expected}", path.display()))
            })?;
            if pairs.len() == limits::MAX_PAIRS {
                let problem = format!("{} is too long: expected at most {} pairs", path.display(), limits::MAX_PAIRS);
                return Err(self.error(key, problem));
            }
            pairs.push(pair);
        }
        if pairs.is_empty() {
            return Err(
                self.error(key, format!("{} has no pairs: expected one pair per line, input,output", path.display()))
            );
        }
        Ok(pairs.into())
    }

    fn prefix(&self, written: &WrittenPrefix) -> Result<Prefix, PlanError> {
        let whole = |key: &str, number, most: u32| {
            let whole = self.written.whole(&self.at(key), number, 1..=u64::from(most))?;
            Ok::<_, PlanError>(whole.unwrap_or(1) as u32)
        };
        Ok(Prefix {
            tokens: whole("prefix.tokens", Some(written.tokens), limits::MAX_PROMPT_TOKENS)?,
            groups: whole("prefix.groups", written.groups, limits::MAX_GROUPS)?,
            zipf: self.exponent("prefix.zipf", written.zipf.unwrap_or_default())?,
        })
    }

    fn exponent(&self, key: &str, exponent: f64) -> Result<f64, PlanError> {
        let most = limits::MAX_EXPONENT;
        if (0.0..=most).contains(&exponent) {
            return Ok(exponent);
        }
        Err(self.error(key, format!("invalid value '{exponent}': expected a number from 0 to {most}")))
    }

    fn prompt_cache(&self) -> Result<Option<Cache>, PlanError> {
        let Some(word) = &self.request.prompt_cache else { return Ok(None) };
        Cache::from_name(word).map(Some).ok_or_else(|| {
            let word = word.escape_debug();
            self.error("prompt_cache", format!("invalid value '{word}': expected \"hit\" or \"miss\""))
        })
    }

    /// Returns the token limit, and true if the response must have exactly as many tokens.
    pub(super) fn output(&self, api: Api) -> Result<(Option<Tokens>, bool), PlanError> {
        let request = self.request;
        for (key, written) in [("max_tokens", request.max_tokens.is_some()), ("output", request.output.is_some())] {
            if written && !api.generates() {
                return Err(self.error(key, format!("{} generates no tokens: expected no `{key}`", api.name())));
            }
        }
        if request.max_tokens.is_some() && request.output.is_some() {
            return Err(self.error("output", "cannot be used together with `max_tokens`: expected one of them"));
        }
        let exact = request.output.as_ref().is_some_and(|output| output.exact);
        let knows_exact = matches!(api, Api::OpenaiChat | Api::OpenaiCompletions);
        if exact && !knows_exact && Api::from_name(&request.api) == Some(api) {
            let problem = format!(
                "needs the API openai-chat, because only there do servers (vLLM, SGLang) know it: expected no `exact` with {}",
                api.name()
            );
            return Err(self.error("output.exact", problem));
        }
        let exact = exact && knows_exact;
        if let Some(tokens) = self.defaults.output_tokens(api) {
            return Ok((Some(tokens), exact));
        }
        let tokens = match (&request.max_tokens, &request.output) {
            (Some(MaxTokens::Fixed(n)), _) => Some(self.between("max_tokens", "max_tokens", *n, *n)?),
            (Some(MaxTokens::Drawn(range)), _) => {
                Some(self.between("max_tokens.min", "max_tokens.max", range.min, range.max)?)
            }
            (None, Some(output)) => Some(self.tokens("output.tokens", &output.tokens, limits::MAX_TOKENS)?),
            (None, None) => None,
        };
        Ok((tokens, exact))
    }

    /// Reads the range of a token limit, both ends included.
    fn between(&self, low: &str, high: &str, min: i64, max: i64) -> Result<Tokens, PlanError> {
        let number = |key: &str, n| {
            self.written.whole(&self.at(key), Some(n), 1..=u64::from(limits::MAX_TOKENS)).map(|n| n.unwrap_or(1) as u32)
        };
        let (min, max) = (number(low, min)?, number(high, max)?);
        if min > max {
            return Err(self.error("max_tokens", format!("min {min} is above max {max}: expected min ≤ max")));
        }
        Ok(Tokens::Uniform { min, max })
    }

    /// Reads a number of tokens that is written at `key`. It is at most `most`.
    fn tokens(&self, key: &str, written: &WrittenTokens, most: u32) -> Result<Tokens, PlanError> {
        let number = |key: &str, n: i64| {
            self.written.whole(&self.at(key), Some(n), 1..=u64::from(most)).map(|n| n.unwrap_or(1) as u32)
        };
        let WrittenDistribution { uniform, normal, lognormal, file, min, max } = match written {
            WrittenTokens::Fixed(n) => return Ok(Tokens::fixed(number(key, *n)?)),
            WrittenTokens::Drawn(distribution) => distribution,
        };
        if file.is_some() {
            let problem = "cannot be here: a file of pairs belongs to `prompt.tokens`, and its pairs also set the \
                           length of the responses";
            return Err(self.error(&format!("{key}.file"), problem));
        }
        let bound = |name: &str, written: &Option<i64>, usual: u32| {
            written.map_or(Ok(usual), |n| number(&format!("{key}.{name}"), n))
        };
        let (low, high) = (bound("min", min, 1)?, bound("max", max, most)?);
        let ordered = |at: &str, min: u32, max: u32| {
            let problem = || self.error(at, format!("min {min} is above max {max}: expected min ≤ max"));
            if min <= max { Ok(()) } else { Err(problem()) }
        };
        ordered(key, low, high)?;
        match (uniform, normal, lognormal, min, max) {
            (Some(range), None, None, ..) => {
                let key = format!("{key}.uniform");
                let (min, max) = (number(&format!("{key}.min"), range.min)?, number(&format!("{key}.max"), range.max)?);
                ordered(&key, min, max)?;
                let (min, max) = (min.max(low), max.min(high));
                ordered(&key, min, max)?;
                Ok(Tokens::Uniform { min, max })
            }
            (None, Some(bell), None, ..) => Ok(Tokens::Normal(self.bell(&format!("{key}.normal"), bell, low, high)?)),
            (None, None, Some(bell), ..) => {
                Ok(Tokens::Lognormal(self.bell(&format!("{key}.lognormal"), bell, low, high)?))
            }
            (None, None, None, Some(_), Some(_)) => Ok(Tokens::Uniform { min: low, max: high }),
            _ => Err(self.error(key, "has no distribution, or several: expected one of uniform, normal and lognormal")),
        }
    }

    /// Reads a distribution. Its mean must lie inside its bounds, so that there is something to
    /// draw.
    fn bell(&self, key: &str, written: &WrittenBell, min: u32, max: u32) -> Result<Bell, PlanError> {
        let &WrittenBell { mean, stddev } = written;
        if !(f64::from(min)..=f64::from(max)).contains(&mean) {
            let problem = format!("invalid value '{mean}': expected a mean between min {min} and max {max}");
            return Err(self.error(&format!("{key}.mean"), problem));
        }
        if !(0.0..=f64::from(limits::MAX_TOKENS)).contains(&stddev) {
            let most = limits::MAX_TOKENS;
            let problem = format!("invalid value '{stddev}': expected a number of tokens from 0 to {most}");
            return Err(self.error(&format!("{key}.stddev"), problem));
        }
        Ok(Bell { mean, stddev, min, max })
    }
}

/// Returns true if it names a built-in set.
fn is_built_in(text: &str) -> bool {
    text.strip_prefix('@').is_some_and(|name| mix::builtin_prompts(name).is_some())
}
