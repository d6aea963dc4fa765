//! Flags about each request's body and response, which replace the profile's settings.

use super::choice::Choice;
use super::overrides::either;
use super::profile::{ProfileFile, Request};
use super::{Given, Overrides, PlanError};
use crate::api::{Api, LimitName, STREAM_OPTIONS};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Fields of a body that have a flag of their own.
const OWN_FLAGS: [(&str, &str); 2] = [("stream", "--stream or --no-stream"), ("model", "--model")];

/// Names of the token limit, and the word that leaves its name to be found out.
const LIMIT_AUTO: (&str, Option<LimitName>) = ("auto", None);
const LIMIT_NAMES: [(&str, Option<LimitName>); 2] = {
    let [usual, newer] = LimitName::ALL;
    [(usual.name(), Some(usual)), (newer.name(), Some(newer))]
};

/// A yes or no, and its origin.
type Said<'a> = Option<(bool, &'a Given)>;

/// The flags, as far as they were given.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestFlags<'a> {
    stream: Said<'a>,
    include_usage: Said<'a>,
    /// True if the server is known. Its streams are then asked for their usage, unless a setting
    /// forbids it.
    knows_server: bool,
    check_usage: Said<'a>,
    limit_name: Option<(Option<LimitName>, &'a Given)>,
    body: Option<&'a Given>,
    fields: Map<String, Value>,
}

impl<'a> RequestFlags<'a> {
    /// Reads the flags. `knows_server` is true if it is known what the target is.
    pub(super) fn of(overrides: &'a Overrides, knows_server: bool) -> Result<Self, PlanError> {
        let switch = |yes, no, what: &str| -> Result<Said<'a>, PlanError> {
            let (yes, no) = (overrides.yes(yes)?, overrides.yes(no)?);
            let (yes, no) = either(yes, no, what)?;
            Ok(yes.map(|given| (true, given)).or(no.map(|given| (false, given))))
        };
        let names = [LIMIT_AUTO, LIMIT_NAMES[0], LIMIT_NAMES[1]];
        let limit_name = overrides.one("token_limit_field").map(|given| Ok((given.word(&names)?, given)));
        let check_usage = |given: &'a Given| Ok((given.switch()?, given));
        Ok(Self {
            stream: switch("stream", "no_stream", "a response is either streamed or not")?,
            include_usage: switch("include_usage", "no_include_usage", "usage is either requested or not")?,
            knows_server,
            check_usage: overrides.one("check_usage").map(check_usage).transpose()?,
            limit_name: limit_name.transpose()?,
            body: overrides.many("body").first(),
            fields: fields(overrides.many("body"))?,
        })
    }

    /// Returns the profile's requests that are kept, after the flags were applied, each with its
    /// index in the profile.
    ///
    /// If some of the requests that generate are of the wanted sort, streamed or not, only those
    /// are kept: the others would be the same under another name. Otherwise all of them are
    /// converted.
    pub(super) fn requests(&self, written: &ProfileFile) -> Result<Vec<(usize, Request)>, PlanError> {
        let all = written.profile.requests.iter().cloned().enumerate();
        let Some((wanted, given)) = self.stream else { return Ok(all.collect()) };
        let is_other = |request: &Request| generates(request) && is_streamed(request) != wanted;
        let has_wanted = written
            .profile
            .requests
            .iter()
            .any(|request| generates(request) && !is_other(request) && request.weight != Some(0));
        let mut kept = Vec::new();
        for (index, mut request) in all {
            if is_other(&request) {
                // A request over a WebSocket is always streamed. The responses of a described API
                // are as described.
                if has_wanted || request.websocket || request.response.is_some() {
                    continue;
                }
                check_conversion(&request, index, given)?;
                request.stream = wanted;
                request.include_usage = None;
            }
            kept.push((index, request));
        }
        if !kept.iter().any(|(_, request)| generates(request)) {
            return Err(given.misplaced("leaves no generation request to send: expected another profile"));
        }
        Ok(kept)
    }

    /// Returns true if a stream is asked for its usage by default.
    pub(super) const fn asks_known_servers(&self) -> bool {
        self.knows_server
    }

    /// Returns whether a stream is asked for its usage: as a flag says, or else as `written` says.
    pub(super) fn include_usage(&self, written: Option<bool>) -> Option<bool> {
        self.include_usage.map(|(yes, _)| yes).or(written)
    }

    /// Returns true if the flag on usage beats the body. A flag beats the environment, and both
    /// beat the profile. The error is a flag of the same rank as the body. It is `None` if both are
    /// set in the profile.
    pub(super) fn beats_body(&self) -> Result<bool, Option<&'a Given>> {
        let rank = |given: Option<&Given>| given.map_or(0, |given| 1 + u8::from(given.is_flag()));
        let asked = self.include_usage.map(|(_, given)| given);
        let body = self.body.filter(|_| self.fields.contains_key(STREAM_OPTIONS));
        match rank(asked).cmp(&rank(body)) {
            Ordering::Less => Ok(false),
            Ordering::Equal => Err(asked),
            Ordering::Greater => Ok(true),
        }
    }

    /// Returns true if a response without usage fails, unless it is streamed.
    pub(super) fn check_usage(&self, written: Option<bool>) -> bool {
        self.check_usage.map(|(yes, _)| yes).or(written).unwrap_or(true)
    }

    /// Returns the field of chat completions that carries the token limit. `None` if it is to be
    /// found out. `written` is the profile's setting.
    pub(super) fn limit_name(&self, written: Option<LimitName>) -> Option<LimitName> {
        self.limit_name.map_or(written, |(name, _)| name)
    }

    /// Returns the fields of every body. They beat the profile's.
    pub(super) const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Returns the flags that apply to this API, each with the key of a request that it replaces.
    pub(super) fn given(&self, api: Api) -> impl Iterator<Item = (&'static str, &'a Given)> + use<'a> {
        let said = |said: Said<'a>, applies: bool| said.map(|(_, given)| given).filter(|_| applies);
        [
            ("stream", said(self.stream, api.generates())),
            ("include_usage", said(self.include_usage, api.bills_streams_on_request())),
            ("check_usage", said(self.check_usage, api.takes_flags())),
            ("token_limit_field", self.limit_name.map(|(_, given)| given).filter(|_| api == Api::OpenaiChat)),
            ("body", self.body.filter(|_| api.takes_prompt())),
        ]
        .into_iter()
        .filter_map(|(key, given)| Some((key, given?)))
    }

    /// Refuses flags that were typed for this run but have no effect on it. `bills_on_request` is
    /// true if any stream can be asked for its usage.
    pub(super) fn check(&self, bills_on_request: bool) -> Result<(), PlanError> {
        match self.include_usage {
            Some((true, given)) if given.is_flag() && !bills_on_request => {
                Err(given.misplaced("has no effect: no request is a stream of chat completions"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns true if its responses are streamed.
fn is_streamed(request: &Request) -> bool {
    let by_framing = request.response.as_ref().is_some_and(|response| response.framing != "json");
    request.stream || request.websocket || by_framing
}

/// Returns true if its API generates tokens.
fn generates(request: &Request) -> bool {
    Choice::from_name(&request.api).is_some_and(Choice::generates)
}

/// Checks that a request can be converted: without a stream, a user cannot leave after some tokens.
fn check_conversion(request: &Request, index: usize, given: &Given) -> Result<(), PlanError> {
    for (name, leave) in [("cancel", &request.cancel), ("drop", &request.drop)] {
        if leave.as_ref().is_some_and(|leave| leave.after_tokens.is_some()) {
            let problem = format!("cannot be used with requests[{index}].{name}.after_tokens, which needs a stream");
            return Err(given.misplaced(problem));
        }
    }
    Ok(())
}

/// Parses fields, each written `K=V`. V is JSON, or else a text.
fn fields(given: &[Given]) -> Result<Map<String, Value>, PlanError> {
    let mut fields = Map::new();
    for one in given {
        // The value may be a secret, so it is not repeated.
        let Some((name, value)) = one.value.split_once('=').map(|(name, value)| (name.trim(), value)) else {
            return Err(one.unusable("expected NAME=VALUE, such as temperature=0"));
        };
        if name.is_empty() {
            return Err(one.unusable("it names no field: expected NAME=VALUE, such as temperature=0"));
        }
        if let Some((_, flag)) = OWN_FLAGS.iter().find(|(own, _)| *own == name) {
            return Err(one.unusable(format!("`{name}` has a flag of its own: expected {flag}")));
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        if name == STREAM_OPTIONS && !value.is_object() {
            return Err(one.unusable(format!("`{name}` is not an object: expected one, such as {name}={{}}")));
        }
        if fields.insert(name.to_owned(), value).is_some() {
            return Err(one.unusable(format!("`{name}` is given twice: expected it once")));
        }
    }
    Ok(fields)
}
