//! The APIs that a kind of request stands for.

use crate::api::Api;

/// The name that stands for every API that generates tokens, if the server has it.
pub(super) const AUTO: &str = "auto";

/// The API of a kind of request as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    One(Api),
    /// Every API that generates tokens, each as a kind of its own, if the server has it.
    Auto,
}

impl Choice {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        if name == AUTO { Some(Self::Auto) } else { Api::from_name(name).map(Self::One) }
    }

    /// Returns all names, for messages.
    pub(super) fn names() -> String {
        format!("{}, {AUTO}", Api::ALL.map(Api::name).join(", "))
    }

    /// Returns true if it generates tokens.
    pub(super) const fn generates(self) -> bool {
        match self {
            Self::One(api) => api.generates(),
            Self::Auto => true,
        }
    }

    /// Returns true if a profile must describe the API.
    pub(super) fn is_described(self) -> bool {
        self == Self::One(Api::Template)
    }

    /// Returns true for an endpoint beside those that generate. Other servers need not have it.
    pub(super) const fn is_beside(self) -> bool {
        match self {
            Self::One(api) => !api.takes_flags(),
            Self::Auto => false,
        }
    }

    /// Returns the APIs that it stands for.
    pub(super) fn apis(self) -> Vec<Api> {
        match self {
            Self::One(api) => vec![api],
            Self::Auto => Api::ALL.into_iter().filter(|api| api.generates() && api.is_on_llmsim()).collect(),
        }
    }
}
