//! Which APIs a kind of request stands for.

use crate::api::Api;

/// The name that stands for every API that generates, as far as the server has it.
pub(super) const AUTO: &str = "auto";

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
    pub(super) const fn generates(self) -> bool {
        match self {
            Self::One(api) => api.generates(),
            Self::Auto => true,
        }
    }

    /// Whether a profile has to say what it is.
    pub(super) fn is_described(self) -> bool {
        self == Self::One(Api::Template)
    }

    /// Whether it is an endpoint beside those that generate, which another server need not have.
    pub(super) const fn is_beside(self) -> bool {
        match self {
            Self::One(api) => !api.takes_flags(),
            Self::Auto => false,
        }
    }

    /// The APIs that it stands for.
    pub(super) fn apis(self) -> Vec<Api> {
        match self {
            Self::One(api) => vec![api],
            Self::Auto => Api::ALL.into_iter().filter(|api| api.generates() && api.is_on_llmsim()).collect(),
        }
    }
}
