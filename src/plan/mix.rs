//! The mix: kinds of request as written → [`Mix`].

mod picture;
mod prompt;

use super::behavior::behaviors;
use super::choice::Choice;
use super::conversation::{check_rows, conversation};
use super::custom::{Written, names_model};
use super::dataset::RowsOf;
use super::json::json;
use super::profile::{NamedTimeouts, ProfileFile, Request, Timeout};
use super::request_defaults::{PATH, RequestDefaults, is_path};
use super::retries::retries;
use super::rows::RowSource;
use super::scenario::scenario;
use super::source::Changed;
use super::{Given, Overrides, PlanError, Read, headers, limits};
use crate::api::{self, Api, INCLUDE_USAGE, LimitName, Method, STREAM_OPTIONS};
use crate::mix::{Kind, Mix, Prompt, PromptSource, Timeouts};
use crate::units::Nanos;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// The mix. `rows` holds, for each of its kinds, the index of its request in the profile.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) mix: Mix,
    pub(super) rows: Vec<usize>,
    /// The files that kinds take their prompts from.
    pub(super) sources: Vec<RowSource>,
}

/// Resolves the mix of the profile. Files of prompts are looked for in `folder`.
pub(super) fn mix(
    written: &ProfileFile,
    overrides: &Overrides,
    defaults: &RequestDefaults<'_>,
    folder: &Path,
    rows_of: &mut RowsOf<'_, '_>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Made, PlanError> {
    let requests = &written.profile.requests;
    if requests.is_empty() {
        let problem = "is missing, so nothing would be sent: expected at least one kind of request, under [[requests]]";
        return Err(written.error("requests", problem));
    }
    if requests.len() > limits::MAX_KINDS {
        let problem = format!("are {} kinds: expected at most {}", requests.len(), limits::MAX_KINDS);
        return Err(written.error("requests", problem));
    }
    let requests = defaults.flags.requests(written)?;
    let mut kinds: Vec<Kind> = Vec::with_capacity(requests.len());
    let mut rows = Vec::with_capacity(requests.len());
    let mut sources = Vec::new();
    for (index, request) in &requests {
        let row = Row { written, request, defaults, key: format!("requests[{index}]") };
        for mut kind in row.kinds(overrides.one("timeout"), folder, read)? {
            if kinds.iter().any(|other| other.name == kind.name) {
                return Err(row.error("name", format!("`{}` is already used: expected another name", kind.name)));
            }
            changed.extend(defaults.given(kind.api).map(|(key, given)| (row.at(key), given.origin.clone())));
            if let Some(trace) = rows_of.trace {
                trace.converse(&mut kind).map_err(|problem| row.error("conversation", problem))?;
            }
            let source = rows_of.kind(&kind, request.dataset.as_ref(), &row.key, read, changed)?;
            check_rows(&kind, source.is_some()).map_err(|problem| row.error("conversation.history", problem))?;
            if kind.picture.is_some() && (source.is_some() || kind.conversation.is_some()) {
                return Err(row.error("image", "cannot be used with the rows of a data set or a trace"));
            }
            if let Some(source) = source {
                if kind.prompt.prefix.is_some() {
                    return Err(row.error("prefix", "cannot be used with the rows of a data set or a trace"));
                }
                kind.prompt = Prompt::of(PromptSource::Rows(Arc::clone(&source.rows)));
                let tokens = kind.max_tokens.map_or(0, |tokens| tokens.most()).max(most_output(&kind.prompt));
                kind.timeouts = row.timeouts(overrides.one("timeout"), tokens)?;
                sources.push(source);
            }
            kinds.push(kind);
            rows.push(*index);
        }
    }
    defaults.check(&kinds)?;
    if kinds.iter().all(|kind| kind.weight == 0) {
        return Err(written.error("requests[0].weight", "every weight is zero: expected at least one above zero"));
    }
    Ok(Made { mix: Mix { kinds }, rows, sources })
}

/// One `[[requests]]` of the file.
struct Row<'a> {
    written: &'a ProfileFile,
    request: &'a Request,
    defaults: &'a RequestDefaults<'a>,
    key: String,
}

impl Row<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.key)
    }

    fn error(&self, key: &str, problem: impl Into<String>) -> PlanError {
        self.written.error(&self.at(key), problem)
    }

    /// Returns one kind. If the API is `auto`, returns several, each with the whole weight. Returns
    /// none if a built-in profile would ask another server for an endpoint of the simulator.
    fn kinds(&self, timeout: Option<&Given>, folder: &Path, read: &mut Read<'_>) -> Result<Vec<Kind>, PlanError> {
        let request = self.request;
        let written = Choice::from_name(&request.api).ok_or_else(|| {
            self.error("api", format!("no API is named `{}`: expected one of {}", request.api, Choice::names()))
        })?;
        let Some(choice) = self.defaults.choice(written, self.written.is_built_in) else { return Ok(Vec::new()) };
        if choice == Choice::Auto && request.path.is_some() && written == Choice::Auto {
            return Err(self.error("path", "is one path for several APIs: expected no `path` beside `auto`"));
        }
        self.check_include_usage(written)?;
        self.check_websocket(written)?;
        let mut kinds = Vec::new();
        for api in self.defaults.apis(choice) {
            // The request is left out if a flag chose an API that has no WebSocket. Without one it
            // would not be what its name says.
            if request.websocket && !api.has_websocket() {
                continue;
            }
            let kind = self.kind(api, timeout, folder, read)?;
            kinds.push(match choice {
                // If the profile leaves the API to the server, the server may not have WebSockets.
                Choice::One(_) if request.websocket && written == Choice::Auto => Kind { optional: true, ..kind },
                Choice::One(_) => kind,
                Choice::Auto => Kind { name: format!("{}-{}", kind.name, api.name()), optional: true, ..kind },
            });
        }
        Ok(kinds)
    }

    /// Refuses `websocket` beside APIs that do not have it.
    fn check_websocket(&self, written: Choice) -> Result<(), PlanError> {
        match written {
            Choice::One(api) if self.request.websocket && !api.has_websocket() => {
                let problem = format!("is for openai-responses: expected no `websocket` beside {}", api.name());
                Err(self.error("websocket", problem))
            }
            Choice::One(_) | Choice::Auto => Ok(()),
        }
    }

    /// Refuses `include_usage` where it has no effect: other APIs report a stream's usage unasked.
    fn check_include_usage(&self, written: Choice) -> Result<(), PlanError> {
        let asks = match written {
            Choice::One(api) => api.bills_streams_on_request(),
            Choice::Auto => true,
        };
        if self.request.include_usage != Some(true) || (asks && self.request.stream) {
            return Ok(());
        }
        Err(self.error("include_usage", "is for streams of openai-chat: expected no `include_usage` here"))
    }

    fn kind(&self, api: Api, timeout: Option<&Given>, folder: &Path, read: &mut Read<'_>) -> Result<Kind, PlanError> {
        let request = self.request;
        if request.stream && !api.streams() {
            return Err(self.error("stream", format!("{} cannot be streamed: expected no `stream`", api.name())));
        }
        let weight = self.written.whole(&self.at("weight"), request.weight, 0..=u64::from(limits::MAX_WEIGHT))?;
        let path = self.path(api)?;
        let described = Written { file: self.written, request, key: &self.key };
        let custom = described.custom(api)?;
        let body = self.body(api)?;
        let (models, model_weights) = match &custom {
            Some(_) if !names_model(&body, &path) => (described.no_models()?, Vec::new()),
            _ => self.models(api, &path)?,
        };
        let (max_tokens, exact) = self.output(api)?;
        if let Some(custom) = &custom {
            described.check(custom, (&body, &path), &models, max_tokens)?;
        }
        let prompt = self.prompt(api, folder, read)?;
        let tokens = max_tokens.map_or_else(|| most_output(&prompt), |tokens| tokens.most());
        Ok(Kind {
            name: self.name()?,
            weight: weight.unwrap_or(1) as u32,
            api,
            stream: custom.as_ref().map_or(request.stream || request.websocket, |custom| custom.streams()),
            websocket: request.websocket && api.has_websocket(),
            models,
            model_weights,
            path,
            prompt,
            picture: self.picture(api, folder, read)?,
            max_tokens,
            exact,
            limit_name: self.limit_name(api)?,
            check_usage: self.check_usage(api)?,
            headers: self.headers()?,
            timeouts: self.timeouts(timeout, tokens)?,
            retries: retries(self.written, request, api, self.defaults.retries(), &self.key)?,
            optional: request.optional,
            behaviors: behaviors(self.written, request, &self.key)?,
            conversation: conversation(self.written, request, api, &self.key, &body)?,
            body,
            template_tokens: crate::metrics::TemplateTokens::UNKNOWN,
            scenario: scenario(self.written, request, api, &self.key)?,
            custom,
        })
    }

    /// Returns the name. It heads columns, and appears in selectors and in JSON, so it must be
    /// plain.
    fn name(&self) -> Result<String, PlanError> {
        let name = &self.request.name;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if (1..=limits::MAX_NAME).contains(&name.len()) && plain {
            return Ok(name.clone());
        }
        let most = limits::MAX_NAME;
        let name = name.escape_debug();
        Err(self.error("name", format!("`{name}` is not a name: expected 1 to {most} letters, digits, dashes, dots")))
    }

    fn path(&self, api: Api) -> Result<String, PlanError> {
        if let Some(path) = self.defaults.path(api) {
            return Ok(path.to_owned());
        }
        // A path that was written for one API does not apply to another API that a flag asks for.
        let written = Choice::from_name(&self.request.api) == Some(Choice::One(api));
        let Some(path) = self.request.path.as_ref().filter(|_| written) else {
            return Ok(self.defaults.default_path(api));
        };
        if is_path(path) {
            return Ok(path.clone());
        }
        Err(self.error("path", format!("invalid value '{}': expected {PATH}", path.escape_debug())))
    }

    fn body(&self, api: Api) -> Result<Map<String, Value>, PlanError> {
        let mut fields = Map::new();
        if let Some(table) = &self.request.body {
            if api.method() == Method::Get {
                let problem = format!("{} is requested without a body: expected no `body`", api.name());
                return Err(self.error("body", problem));
            }
            if table.contains_key("stream") && api != Api::Template {
                // The response would be read in the wrong way.
                let problem = "belongs beside `api`, not into the body: expected no `stream` here";
                return Err(self.error("body.stream", problem));
            }
            for (key, value) in table {
                let value = json(value).ok_or_else(|| {
                    self.error(&format!("body.{key}"), "JSON cannot represent this number: expected a finite one")
                })?;
                fields.insert(key.clone(), value);
            }
        }
        if api.takes_prompt() {
            fields.extend(self.defaults.flags.fields().clone());
        }
        self.ask_for_usage(api, &mut fields)?;
        Ok(fields)
    }

    /// Asks for the usage of a stream, unless it is switched off. A flag beats the body. The body
    /// of a flag beats the profile's `include_usage`.
    fn ask_for_usage(&self, api: Api, fields: &mut Map<String, Value>) -> Result<(), PlanError> {
        let flags = &self.defaults.flags;
        let asked = flags.include_usage(self.request.include_usage);
        if !(self.request.stream && api.bills_streams_on_request()) {
            return Ok(());
        }
        let in_body = api::asks_for_usage(fields);
        let contradicts = in_body.is_some_and(|in_body| asked.is_some_and(|asked| asked != in_body));
        if contradicts && !flags.beats_body().map_err(|flag| self.contradiction(flag))? {
            return Ok(());
        }
        if asked == Some(false) {
            api::remove_usage(fields);
        } else if asked.unwrap_or_else(|| flags.asks_known_servers()) {
            match fields.entry(STREAM_OPTIONS).or_insert_with(|| Value::Object(Map::new())) {
                // The body's own value stays, unless another setting contradicts and beats it.
                Value::Object(options) if contradicts => {
                    options.insert(INCLUDE_USAGE.to_owned(), true.into());
                }
                Value::Object(options) => {
                    options.entry(INCLUDE_USAGE).or_insert(Value::Bool(true));
                }
                _ if asked.is_none() => {}
                _ => {
                    return Err(
                        self.error("body.stream_options", "is not a table: expected one beside `include_usage`")
                    );
                }
            }
        }
        Ok(())
    }

    /// Returns the error for two contradicting settings of the same rank.
    fn contradiction(&self, flag: Option<&Given>) -> PlanError {
        match flag {
            Some(flag) => flag.misplaced("contradicts `stream_options` in --body: remove one of them"),
            None => self.error("include_usage", "contradicts `body.stream_options`: remove one of them"),
        }
    }

    /// Returns the field that carries the token limit. `None` if it is left to be found out.
    fn limit_name(&self, api: Api) -> Result<Option<LimitName>, PlanError> {
        let of_written = |written: &String| match LimitName::ALL.into_iter().find(|name| name.name() == written) {
            Some(name) if api == Api::OpenaiChat || Api::from_name(&self.request.api) != Some(api) => Ok(name),
            Some(_) => Err(format!("is for openai-chat: expected no `token_limit_field` beside {}", api.name())),
            None => {
                let [usual, newer] = LimitName::ALL.map(LimitName::name);
                Err(format!("invalid value '{}': expected {usual} or {newer}", written.escape_debug()))
            }
        };
        let written = self.request.token_limit_field.as_ref().map(of_written).transpose();
        let written = written.map_err(|problem| self.error("token_limit_field", problem))?;
        Ok(self.defaults.flags.limit_name(written).filter(|_| api == Api::OpenaiChat))
    }

    /// Returns true if a response that is not streamed must report its usage.
    fn check_usage(&self, api: Api) -> Result<bool, PlanError> {
        if self.request.check_usage.is_some() && !api.takes_flags() {
            let problem =
                format!("applies to responses that report usage: expected no `check_usage` beside {}", api.name());
            return Err(self.error("check_usage", problem));
        }
        // Other APIs have no usage to report, so flags do not change them.
        Ok(!api.takes_flags() || self.defaults.flags.check_usage(self.request.check_usage))
    }

    fn headers(&self) -> Result<Vec<(String, String)>, PlanError> {
        let written = &self.request.headers;
        if written.len() > limits::MAX_HEADERS {
            return Err(self.error("headers", format!("are too many: expected at most {}", limits::MAX_HEADERS)));
        }
        written
            .iter()
            .map(|(name, value)| {
                headers::header(name, value).map_err(|problem| self.error(&format!("headers.{name}"), problem))
            })
            .collect()
    }

    /// Resolves timeouts, field by field: the request's own, or the profile's, or the defaults.
    /// `--timeout` sets the total.
    ///
    /// Timeouts that are not set follow from the total: the first byte and any pause may take as
    /// long as the whole request. The total always ends a request, so the others are never longer.
    /// If the total is not set, it grows with the `tokens` that the request asks for.
    fn timeouts(&self, total: Option<&Given>, tokens: u32) -> Result<Timeouts, PlanError> {
        let (own, own_key) = named(self.request.timeout.as_ref(), self.at("timeout"));
        let (common, common_key) = named(self.written.profile.timeout.as_ref(), "timeout".to_owned());
        let pick = |name: &str, own: Option<&String>, common: Option<&String>| match (own, common) {
            (Some(text), _) => self.written.some_time(&own_key(name), Some(text)),
            (None, Some(text)) => self.written.some_time(&common_key(name), Some(text)),
            (None, None) => Ok(None),
        };
        let written_total = pick("total", own.total.as_ref(), common.total.as_ref())?;
        let total = match total {
            Some(given) => given.some_time()?,
            None => written_total.unwrap_or_else(|| usual_timeout(tokens)),
        };
        let within = |time: Option<Nanos>, default: Nanos| time.unwrap_or(default).min(total);
        let connect = pick("connect", own.connect.as_ref(), common.connect.as_ref())?;
        let first_byte = pick("first_byte", own.first_byte.as_ref(), common.first_byte.as_ref())?;
        let stall = pick("stall", own.stall.as_ref(), common.stall.as_ref())?;
        Ok(Timeouts {
            connect: within(connect, limits::DEFAULT_CONNECT_TIMEOUT),
            first_byte: within(first_byte, total),
            stall: within(stall, total),
            total,
        })
    }
}

/// Returns the most output tokens that the prompts themselves ask for. Zero if they do not say.
fn most_output(prompt: &Prompt) -> u32 {
    match &prompt.source {
        PromptSource::Pairs(pairs) => pairs.iter().map(|(_, output)| *output).max().unwrap_or_default(),
        PromptSource::Rows(rows) => (0..rows.len()).filter_map(|row| rows.output_tokens(row)).max().unwrap_or_default(),
        PromptSource::Texts(_) | PromptSource::Words(_) | PromptSource::Prose(_) => 0,
    }
}

/// Returns the total timeout of a request for this many tokens, if it does not set one.
fn usual_timeout(tokens: u32) -> Nanos {
    let of_tokens = Nanos(limits::DEFAULT_TIME_PER_TOKEN.0.saturating_mul(u64::from(tokens)));
    of_tokens.clamp(limits::DEFAULT_TIMEOUT, limits::LONGEST)
}

/// Returns timeouts by name, in whichever way they were written, and the key of each. A bare
/// duration is written at `key` itself.
fn named(written: Option<&Timeout>, key: String) -> (NamedTimeouts, impl Fn(&str) -> String + use<>) {
    let bare = matches!(written, Some(Timeout::Total(_)));
    let named = match written {
        None => NamedTimeouts::default(),
        Some(Timeout::Total(total)) => NamedTimeouts { total: Some(total.clone()), ..NamedTimeouts::default() },
        Some(Timeout::Named(named)) => named.clone(),
    };
    (named, move |name: &str| if bare { key.clone() } else { format!("{key}.{name}") })
}
