//! The endpoints that are probed once each before the load begins: those of the mix, and all others
//! that are known.

use super::limits;
use super::request_defaults::RequestDefaults;
use crate::api::Api;
use crate::mix::{Kind, Mix, Prompt, Tokens};

/// Token limit of a probe, which only checks that there is a response.
const FEW_TOKENS: u32 = 16;

/// How an API is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Stream,
    Websocket,
}

impl Way {
    const fn of(kind: &Kind) -> Self {
        match (kind.websocket, kind.stream) {
            (true, _) => Self::Websocket,
            (false, true) => Self::Stream,
            (false, false) => Self::Plain,
        }
    }
}

/// Returns the endpoints of the whole check, or only those that must be probed because the server
/// may lack them.
pub(super) fn endpoints(mix: &Mix, whole: bool, defaults: &RequestDefaults<'_>) -> Vec<Kind> {
    let mut all: Vec<Kind> = mix.kinds.iter().filter(|kind| whole || kind.optional).cloned().collect();
    if whole && !defaults.is_of_another_server() {
        for api in Api::ALL.into_iter().filter(|api| api.is_on_llmsim()) {
            for way in [Way::Plain, Way::Stream, Way::Websocket] {
                let exists = match way {
                    Way::Plain => true,
                    Way::Stream => api.streams(),
                    Way::Websocket => api.has_websocket(),
                };
                if exists && !all.iter().any(|kind| (kind.api, Way::of(kind)) == (api, way)) {
                    all.push(endpoint(api, way, defaults));
                }
            }
        }
    }
    for kind in &mut all {
        let limits = &mut kind.timeouts;
        for limit in [&mut limits.connect, &mut limits.first_byte, &mut limits.stall, &mut limits.total] {
            *limit = (*limit).min(limits::ENDPOINT_TIMEOUT);
        }
    }
    all
}

/// Creates the probe of an endpoint that the mix does not have. The server need not have it,
/// either.
fn endpoint(api: Api, way: Way, defaults: &RequestDefaults<'_>) -> Kind {
    let suffix = match way {
        Way::Plain => "",
        Way::Stream => "-stream",
        Way::Websocket => "-websocket",
    };
    let takes_model = api.takes_prompt() || api.path().contains(limits::MODEL_HOLE);
    let models = match defaults.model(api) {
        _ if !takes_model => Vec::new(),
        Some(model) => vec![model.to_owned()],
        None => api.models().iter().map(|&model| model.to_owned()).collect(),
    };
    Kind {
        name: format!("{}{suffix}", api.name()),
        stream: way != Way::Plain,
        websocket: way == Way::Websocket,
        models,
        prompt: Prompt::texts(if api.takes_prompt() { vec!["Hi".to_owned()] } else { Vec::new() }),
        max_tokens: api.generates().then(|| Tokens::fixed(FEW_TOKENS)),
        optional: true,
        ..Kind::bare(api, limits::ENDPOINT_TIMEOUT)
    }
}
