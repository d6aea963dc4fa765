//! The API, path and model that requests use: those of the profile, or those that `--api`, `--path`
//! and `--model` put in their place.

use super::choice::{AUTO, Choice};
use super::overrides::either;
use super::prompt_cache::Cache;
use super::request_flags::RequestFlags;
use super::server_kind::{FoundServer, ServerKind};
use super::target::Targets;
use super::{Given, Origin, Overrides, PlanError, limits};
use crate::api::{Api, Layout};
use crate::mix::{Kind, Tokens};

/// Settings of flags and the environment that replace the profile's in every request.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestDefaults<'a> {
    api: Option<(Choice, &'a Given)>,
    path: Option<&'a Given>,
    model: Option<&'a Given>,
    input_tokens: Option<(Tokens, &'a Given)>,
    output_tokens: Option<(Tokens, &'a Given)>,
    prompt_cache: Option<(Cache, &'a Given)>,
    /// Flags about bodies and responses.
    pub(super) flags: RequestFlags<'a>,
    retries: Option<&'a Given>,
    /// The only model of the server, for requests that do not name one.
    found_model: Option<Given>,
    /// The models to choose from, if the server has several.
    choices: &'a [String],
    layout: Layout,
    /// The kind of the target, if it is known.
    kind: Option<ServerKind>,
    /// True if the user has named a target.
    is_named: bool,
}

impl<'a> RequestDefaults<'a> {
    /// Reads flags and the environment, and the facts that are known about the target.
    pub(super) fn of(overrides: &'a Overrides, targets: &'a Targets) -> Result<Self, PlanError> {
        let endpoint = targets.endpoint.as_ref();
        let choice = |given: &'a Given| {
            let choice =
                Choice::from_name(given.value.trim()).filter(|choice| choice.generates() && !choice.is_described());
            let known: Vec<&str> =
                Api::ALL.into_iter().filter(|api| api.generates() && *api != Api::Template).map(Api::name).collect();
            let problem = || given.bad(format!("a generation API: {}, or {AUTO}", known.join(", ")));
            choice.map(|choice| (choice, given)).ok_or_else(problem)
        };
        let api = overrides.one("api").or(endpoint.map(|endpoint| &endpoint.api)).map(choice).transpose()?;
        let why = "the URL already contains the path of an endpoint";
        let (own, of_url) = either(overrides.one("path"), endpoint.map(|endpoint| &endpoint.path), why)?;
        let path = own.or(of_url);
        if let Some(path) = path {
            if !is_path(&path.value) {
                return Err(path.unusable(format!("expected {PATH}")));
            }
            if api.is_some_and(|(choice, _)| choice == Choice::Auto) {
                return Err(path.misplaced("cannot be used together with --api auto: each API has a path of its own"));
            }
        }
        if let Some(model) = overrides.one("model").filter(|model| !is_model(&model.value)) {
            return Err(model.bad("the name of a model"));
        }
        let kind = overrides.one("server").map(ServerKind::given).transpose()?.flatten();
        let kind = kind.or_else(|| ServerKind::of_host(&targets.first.host));
        let found = overrides.found();
        let kind = kind.or(found.map(|found| found.kind));
        let (path_prefix, query) = (&targets.first.path_prefix, &targets.first.query);
        let layout = match kind.map(|kind| kind.layout_at(path_prefix, query)).unwrap_or_default() {
            // Servers do not have a `/v1` below a `/v1`.
            _ if path_prefix.ends_with("/v1") => Layout::BelowV1,
            layout => layout,
        };
        let is_llmsim = layout == Layout::Llmsim;
        let found = found.filter(|_| !is_llmsim);
        let choices = found.map_or(&[][..], |found| if found.models.len() > 1 { &found.models } else { &[] });
        let found_model = found.and_then(FoundServer::only_model);
        let why = "they say the same";
        let (output, most) = either(overrides.one("output_tokens"), overrides.one("max_tokens"), why)?;
        let output = output.or(most);
        let cache = |given: &'a Given| Cache::given(given).map(|cache| (cache, given));
        let tokens = |given: Option<&'a Given>, most| given.map(|given| Ok((tokens(given, most)?, given))).transpose();
        Ok(Self {
            api,
            path,
            model: overrides.one("model"),
            input_tokens: tokens(overrides.one("input_tokens"), limits::MAX_PROMPT_TOKENS)?,
            output_tokens: tokens(output, limits::MAX_TOKENS)?,
            prompt_cache: overrides.one("prompt_cache").map(cache).transpose()?,
            flags: RequestFlags::of(overrides, kind.is_some() || !targets.is_named)?,
            retries: overrides.one("retries"),
            found_model,
            choices,
            layout,
            kind,
            is_named: targets.is_named,
        })
    }

    /// Returns the length of prompts that replaces the profile's prompts.
    pub(super) fn input_tokens(&self, api: Api) -> Option<Tokens> {
        self.input_tokens.filter(|_| api.takes_flags()).map(|(tokens, _)| tokens)
    }

    /// Returns the token limit of responses that replaces the profile's.
    pub(super) fn output_tokens(&self, api: Api) -> Option<Tokens> {
        self.output_tokens.filter(|_| api.generates()).map(|(tokens, _)| tokens)
    }

    /// Returns whether prompts repeat, if a flag sets it.
    pub(super) fn prompt_cache(&self) -> Option<Cache> {
        self.prompt_cache.map(|(cache, _)| cache)
    }

    /// Returns how often failed requests are sent again, if a flag sets it.
    pub(super) const fn retries(&self) -> Option<&'a Given> {
        self.retries
    }

    /// Returns true if there is a target that may be asked what it is, and something left to find
    /// out.
    pub(super) fn asks_target(&self) -> bool {
        let can_be_asked = self.kind.is_none_or(ServerKind::can_be_asked);
        self.is_named && can_be_asked && !(self.path.is_some() && self.model.is_some())
    }

    /// Returns the header that carries the key by default. `None` if each API has its own.
    pub(super) fn key_header(&self) -> Option<&'static str> {
        self.kind.and_then(|kind| kind.key_header)
    }

    /// Returns the APIs that a choice stands for. If several APIs have one path, such as `OpenAI`'s
    /// Responses and `OpenResponses` on every server but llmsim, `auto` means only the first one.
    pub(super) fn apis(&self, choice: Choice) -> Vec<Api> {
        let mut apis: Vec<Api> = Vec::new();
        for api in choice.apis() {
            if !apis.iter().any(|other| self.default_path(*other) == self.default_path(api)) {
                apis.push(api);
            }
        }
        apis
    }

    /// Returns the path of an API if the profile does not name one.
    pub(super) fn default_path(&self, api: Api) -> String {
        api.path_in(self.layout)
    }

    /// Returns the models of a request if the profile does not name any.
    pub(super) fn default_models(&self, api: Api) -> Result<Vec<String>, PlanError> {
        if !self.choices.is_empty() {
            return Err(PlanError::Override {
                origin: Origin::Target,
                problem: format!("has several models: {}; choose one with --model", shortened(self.choices)),
            });
        }
        if let Some(kind) = self.kind.filter(|kind| !kind.can_be_asked()) {
            return Err(PlanError::Override {
                origin: Origin::Target,
                problem: format!("is {}, which lists no deployments: name one with --model", kind.title),
            });
        }
        Ok(match &self.found_model {
            Some(model) => vec![model.value.clone()],
            None => api.models().iter().map(|&model| model.to_owned()).collect(),
        })
    }

    /// Returns the API that replaces the one as written. `None` leaves the request out: a built-in
    /// profile has it for the simulator, and another server is tested. The requests of a file are sent
    /// as written.
    pub(super) fn choice(&self, written: Choice, is_built_in: bool) -> Option<Choice> {
        match self.api {
            _ if is_built_in && written.is_beside() && self.is_of_another_server() => None,
            // A described API cannot be replaced.
            _ if written.is_described() => Some(written),
            Some((choice, _)) if written.generates() => Some(choice),
            _ => Some(written),
        }
    }

    /// Returns true if an API or a path was named, or if the target is known not to be llmsim.
    pub(super) const fn is_of_another_server(&self) -> bool {
        matches!(self.api, Some((Choice::One(_), _))) || self.path.is_some() || !matches!(self.layout, Layout::Llmsim)
    }

    /// Returns the path that replaces an API's own.
    pub(super) fn path(&self, api: Api) -> Option<&'a str> {
        self.path.filter(|_| api.takes_flags()).map(|given| given.value.as_str())
    }

    /// Returns the model that replaces those of the profile, for APIs that take flags and for the
    /// endpoint that describes a model.
    pub(super) fn model(&self, api: Api) -> Option<&'a str> {
        self.model.filter(|_| api.takes_flags() || api == Api::Model).map(|given| given.value.as_str())
    }

    /// Checks that requests are left to send, and that a given path is the path of one API only.
    pub(super) fn check(&self, kinds: &[Kind]) -> Result<(), PlanError> {
        let given = self.api.map(|(_, given)| given).or(self.path);
        let apis = || kinds.iter().map(|kind| kind.api).filter(|api| api.takes_flags());
        if let (None, Some(given)) = (apis().next(), given) {
            return Err(given.misplaced("applies to no request: expected a profile with a generation request"));
        }
        self.flags.check(kinds.iter().any(|kind| kind.stream && kind.api.bills_streams_on_request()))?;
        let Some(path) = self.path else { return Ok(()) };
        let mut apis = apis();
        let first = apis.next();
        if apis.any(|api| Some(api) != first) {
            return Err(path.misplaced("would be the path of several APIs: add --api to choose one"));
        }
        Ok(())
    }

    /// Returns the flags that apply to this API, each with the key of a request that it replaces.
    pub(super) fn given(&self, api: Api) -> impl Iterator<Item = (&'static str, &'a Given)> {
        let spoken = self.api.map(|(_, given)| given).filter(|_| api.generates());
        let path = self.path.filter(|_| self.path(api).is_some());
        let model = self.model.filter(|_| self.model(api).is_some());
        let of_tokens = |given: Option<(Tokens, &'a Given)>| given.map(|(_, given)| given).filter(|_| api.generates());
        let cache = self.prompt_cache.map(|(_, given)| given).filter(|_| api.takes_prompt());
        [
            ("api", spoken),
            ("path", path),
            ("model", model),
            ("prompt", of_tokens(self.input_tokens)),
            ("max_tokens", of_tokens(self.output_tokens)),
            ("output", of_tokens(self.output_tokens)),
            ("prompt_cache", cache),
            ("retries", self.retries),
        ]
        .into_iter()
        .filter_map(|(key, given)| Some((key, given?)))
        .chain(self.flags.given(api))
    }
}

/// Parses `512` or `16..4096`.
fn tokens(given: &Given, most: u32) -> Result<Tokens, PlanError> {
    let limits = 1..=u64::from(most);
    let part = |text: &str| given.part(text, |given| given.whole(&limits)).map(|n| n as u32);
    let Some((min, max)) = given.value.split_once("..") else {
        return given.whole(&limits).map(|n| Tokens::fixed(n as u32));
    };
    let (min, max) = (part(min)?, part(max)?);
    if min > max {
        return Err(given.bad("MIN..MAX with MIN at most MAX, such as 16..4096"));
    }
    Ok(Tokens::Uniform { min, max })
}

/// Joins names, but only the first few of many.
fn shortened(names: &[String]) -> String {
    const MOST: usize = 10;
    let more = names.len().saturating_sub(MOST);
    let first = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first}, and {more} more") }
}

/// The form of a path, for messages.
pub(super) const PATH: &str = "a path that starts with / and has no spaces";

/// Returns true if it can be the path of a request.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// Returns true if it can be the name of a model.
pub(super) fn is_model(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}
