//! An API that a profile describes: `api = "template"`.

use super::PlanError;
use super::json::json;
use super::profile::{ProfileFile, Request, WrittenEnd, WrittenResponse};
use crate::api::{Api, Custom, Field, Framing, Method, Pointer, placeholders, placeholders_in};
use crate::mix::Tokens;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Keys that only a described API has.
const KEYS: [&str; 2] = ["method", "response"];
/// Placeholders of the prompt, the model and the token limit.
const PROMPT: &str = "{{prompt}}";
const MODEL: &str = "{{model}}";
const LIMIT: &str = "{{max_tokens}}";

/// A request of the profile, and its place.
pub(super) struct Written<'a> {
    pub(super) file: &'a ProfileFile,
    pub(super) request: &'a Request,
    /// For example `requests[0]`.
    pub(super) key: &'a str,
}

impl Written<'_> {
    fn error(&self, key: &str, problem: impl Into<String>) -> PlanError {
        self.file.error(&format!("{}.{key}", self.key), problem)
    }

    /// Resolves the description of the API. `None` for another API, of which everything is known.
    pub(super) fn custom(&self, api: Api) -> Result<Option<Arc<Custom>>, PlanError> {
        let request = self.request;
        if api != Api::Template {
            let given = [request.method.is_some(), request.response.is_some()];
            return match KEYS.iter().zip(given).find(|(_, given)| *given) {
                Some((key, _)) => {
                    let name = api.name();
                    Err(self.error(key, format!("is for api = \"template\": expected no `{key}` beside {name}")))
                }
                None => Ok(None),
            };
        }
        let Some(response) = &request.response else {
            return Err(
                self.error("response", "is missing: expected where the responses have their text and their end")
            );
        };
        if request.path.is_none() {
            return Err(self.error("path", "is missing: an API that the profile describes has no path of its own"));
        }
        if request.stream {
            return Err(self.error("stream", "follows from `response.framing`: expected no `stream` beside template"));
        }
        let method = match request.method.as_deref() {
            None | Some("POST") => Method::Post,
            Some("GET") => Method::Get,
            Some(other) => {
                return Err(
                    self.error("method", format!("invalid value '{}': expected POST or GET", other.escape_debug()))
                );
            }
        };
        Ok(Some(Arc::new(Custom { method, ..self.response(response)? })))
    }

    fn response(&self, response: &WrittenResponse) -> Result<Custom, PlanError> {
        let framing = Framing::ALL.into_iter().find(|(name, _)| *name == response.framing);
        let Some((_, framing)) = framing else {
            let written = response.framing.escape_debug();
            let names = Framing::ALL.map(|(name, _)| name).join(", ");
            return Err(self.error("response.framing", format!("invalid value '{written}': expected one of {names}")));
        };
        let mut custom = Custom { method: Method::Post, framing, fields: Vec::new(), end_word: None };
        for (key, written, field) in [
            ("text", Some(&response.text), Field::Text),
            ("reasoning", response.reasoning.as_ref(), Field::Reasoning),
            ("input_tokens", response.input_tokens.as_ref(), Field::InputTokens),
            ("output_tokens", response.output_tokens.as_ref(), Field::OutputTokens),
            ("error", response.error.as_ref(), Field::Error),
        ] {
            if let Some(written) = written {
                self.add(&mut custom, &format!("response.{key}"), written, field)?;
            }
        }
        match (&response.end, custom.streams()) {
            (None, false) => {}
            (Some(_), false) => {
                return Err(self.error("response.end", "is for streams: expected no `end` with framing = \"json\""));
            }
            (None, true) => {
                let problem = "is missing, so a stream that breaks off would pass: expected \"[DONE]\", or a place such as \
                               { at = \"/done\", is = true }";
                return Err(self.error("response.end", problem));
            }
            (Some(WrittenEnd::Word(word)), true) if word.trim().is_empty() => {
                return Err(self.error("response.end", "is empty: expected a word such as \"[DONE]\""));
            }
            (Some(WrittenEnd::Word(word)), true) => custom.end_word = Some(word.trim().to_owned()),
            (Some(WrittenEnd::At(end)), true) => {
                let is = end.is.as_ref().map(|value| self.scalar(value)).transpose()?;
                self.add(&mut custom, "response.end.at", &end.at, Field::End(is))?;
            }
        }
        Ok(custom)
    }

    /// Converts a value that a place may have.
    fn scalar(&self, value: &toml::Value) -> Result<Value, PlanError> {
        match json(value) {
            Some(value @ (Value::String(_) | Value::Bool(_) | Value::Number(_))) => Ok(value),
            _ => Err(self.error("response.end.is", "expected a text, a number, true or false")),
        }
    }

    fn add(&self, custom: &mut Custom, key: &str, written: &str, field: Field) -> Result<(), PlanError> {
        let written = written.trim();
        let invalid =
            |problem: String| self.error(key, format!("invalid value '{}': {problem}", written.escape_debug()));
        let pointer = Pointer::parse(written).map_err(|problem| invalid(problem.to_string()))?;
        if custom.fields.iter().any(|(other, _)| other.overlaps(&pointer)) {
            return Err(invalid("it overlaps the place of another key: expected separate places".to_owned()));
        }
        custom.fields.push((pointer, field));
        Ok(())
    }

    /// Returns an empty list of models. Fails if the request sets a model, because it would not be
    /// sent.
    pub(super) fn no_models(&self) -> Result<Vec<String>, PlanError> {
        match self.request.model {
            None => Ok(Vec::new()),
            Some(_) => {
                Err(self.error("model", format!("is not sent: expected {MODEL} in the body, or {{model}} in the path")))
            }
        }
    }

    /// Checks that the body of a described API fits the rest of the request.
    pub(super) fn check(
        &self,
        custom: &Custom,
        (body, path): (&Map<String, Value>, &str),
        models: &[String],
        max_tokens: Option<Tokens>,
    ) -> Result<(), PlanError> {
        if models.is_empty() && names_model(body, path) {
            return Err(self.error("model", format!("is missing, and the request has {MODEL}: expected a name")));
        }
        let mut used = Vec::new();
        for (name, value) in body {
            let key = format!("body.{name}");
            used.extend(placeholders_in(value).map_err(|unknown| {
                let known = placeholders().collect::<Vec<_>>().join(", ");
                self.error(&key, format!("has `{}`: expected one of {known}", unknown.escape_debug()))
            })?);
        }
        if custom.method == Method::Get {
            let problem = "cannot be sent with GET: expected no `body`";
            return if body.is_empty() { Ok(()) } else { Err(self.error("body", problem)) };
        }
        if !used.contains(&PROMPT) {
            return Err(
                self.error("body", format!("has no {PROMPT}: expected a text with it, such as prompt = \"{PROMPT}\""))
            );
        }
        match (used.contains(&LIMIT), max_tokens) {
            (true, None) => Err(self.error("max_tokens", format!("is missing, and the body has {LIMIT}: expected it"))),
            (false, Some(_)) => Err(self
                .error("max_tokens", format!("is not sent: expected {LIMIT} in the body, as a number or in a text"))),
            _ => Ok(()),
        }
    }
}

/// Returns true if the body or the path of a kind of request contains the model's placeholder.
pub(super) fn names_model(body: &Map<String, Value>, path: &str) -> bool {
    let in_body = body.values().any(|value| placeholders_in(value).is_ok_and(|used| used.contains(&MODEL)));
    in_body || path.contains(super::limits::MODEL_HOLE)
}
