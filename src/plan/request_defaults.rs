//! Which API, path and model the requests use: what the profile says, and what `--api`, `--path`
//! and `--model` put in its place.

use super::overrides::either;
use super::target::Endpoint;
use super::{Given, Overrides, PlanError};
use crate::api::Api;
use crate::mix::Kind;

/// The name that stands for every API that generates, as far as the server has it.
const AUTO: &str = "auto";

/// The API of a kind of request as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    One(Api),
    /// Every one that generates, each as a kind of its own, as far as the server has it.
    Auto,
}

impl Choice {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        if name == AUTO { Some(Self::Auto) } else { Api::from_name(name).map(Self::One) }
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        format!("{}, {AUTO}", Api::ALL.map(Api::name).join(", "))
    }

    /// Whether it generates tokens.
    const fn generates(self) -> bool {
        match self {
            Self::One(api) => api.generates(),
            Self::Auto => true,
        }
    }

    /// The APIs that it stands for.
    pub(super) fn apis(self) -> Vec<Api> {
        match self {
            Self::One(api) => vec![api],
            Self::Auto => Api::ALL.into_iter().filter(|api| api.generates()).collect(),
        }
    }
}

/// What flags and the environment say of every request, in place of what the profile says.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestDefaults<'a> {
    api: Option<(Choice, &'a Given)>,
    path: Option<&'a Given>,
    model: Option<&'a Given>,
}

impl<'a> RequestDefaults<'a> {
    /// `endpoint` is what the target's URL names.
    pub(super) fn of(overrides: &'a Overrides, endpoint: Option<&'a Endpoint>) -> Result<Self, PlanError> {
        let choice = |given: &'a Given| {
            let choice = Choice::from_name(given.value.trim()).filter(|choice| choice.generates());
            let known: Vec<&str> = Choice::Auto.apis().into_iter().map(Api::name).collect();
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
        Ok(Self { api, path, model: overrides.one("model") })
    }

    /// The API instead of the one as written. None: the request is left out, since it is one of the
    /// simulator's own endpoints, and somebody who names an API or its path means another server.
    pub(super) fn choice(&self, written: Choice) -> Option<Choice> {
        match self.api {
            _ if !written.generates() && self.is_of_another_server() => None,
            Some((choice, _)) if written.generates() => Some(choice),
            _ => Some(written),
        }
    }

    /// Whether an API or a path was named.
    pub(super) const fn is_of_another_server(&self) -> bool {
        matches!(self.api, Some((Choice::One(_), _))) || self.path.is_some()
    }

    /// The path instead of an API's own.
    pub(super) fn path(&self, api: Api) -> Option<&'a str> {
        self.path.filter(|_| api.generates()).map(|given| given.value.as_str())
    }

    /// The model instead of those of the profile: of what generates, and of the question what a
    /// model is.
    pub(super) fn model(&self, api: Api) -> Option<&'a str> {
        self.model.filter(|_| api.generates() || api == Api::Model).map(|given| given.value.as_str())
    }

    /// Something is left to be sent, and one path is of one API.
    pub(super) fn check(&self, kinds: &[Kind]) -> Result<(), PlanError> {
        let given = self.api.map(|(_, given)| given).or(self.path);
        if let (true, Some(given)) = (kinds.is_empty(), given) {
            return Err(given.misplaced("leaves no request to send: expected a profile with a generation request"));
        }
        let Some(path) = self.path else { return Ok(()) };
        let mut apis = kinds.iter().map(|kind| kind.api);
        let first = apis.next();
        if apis.any(|api| Some(api) != first) {
            return Err(path.misplaced("would be the path of several APIs: add --api to choose one"));
        }
        Ok(())
    }

    /// What was given for this API, by the key of a request that it stands for.
    pub(super) fn given(&self, api: Api) -> impl Iterator<Item = (&'static str, &'a Given)> {
        let spoken = self.api.map(|(_, given)| given).filter(|_| api.generates());
        let path = self.path.filter(|_| self.path(api).is_some());
        let model = self.model.filter(|_| self.model(api).is_some());
        [("api", spoken), ("path", path), ("model", model)].into_iter().filter_map(|(key, given)| Some((key, given?)))
    }
}

/// What a path has to be.
pub(super) const PATH: &str = "a path that starts with / and has no spaces";

/// Whether it can be the path of a request.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// Whether it can be the name of a model.
pub(super) fn is_model(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}
