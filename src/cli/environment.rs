//! The environment as a user sees it: a name and a value for every flag.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What the names that stand for flags start with.
pub(crate) const PREFIX: &str = "LLMSIM_BLAST_";

/// Names that start like those of flags and are none: our scripts and tests set them.
const OF_SCRIPTS: [&str; 8] = [
    "LLMSIM_BLAST_BIN",
    "LLMSIM_BLAST_CI_NEEDS_CHROMIUM",
    "LLMSIM_BLAST_CI_NEEDS_NGINX",
    "LLMSIM_BLAST_CI_NEEDS_PROMETHEUS",
    "LLMSIM_BLAST_CI_NEEDS_SHELLS",
    "LLMSIM_BLAST_SHOTS",
    "LLMSIM_BLAST_SRC",
    "LLMSIM_BLAST_TEST_PARENT",
];

/// Which shard a process is, where no scheduler says so; for `--shard auto`.
pub(super) const SHARD_INDEX: &str = "LLMSIM_BLAST_SHARD_INDEX";
/// Of how many, where a scheduler gives an index only.
pub(super) const SHARD_COUNT: &str = "LLMSIM_BLAST_SHARD_COUNT";

/// A variable that is meant for this program, and that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is set in the environment, and no flag has that name{}: correct or unset it", did_you_mean(.nearest.as_deref()))]
pub(crate) struct UnknownVariable {
    name: String,
    nearest: Option<String>,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!(" (did you mean {name}?)"))
}

/// The variables of a process.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Variables with empty values count as unset.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let all = variables.into_iter().map(|(name, value)| (text(name), text(value)));
        Self(all.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The names that start like those of our flags.
    pub(super) fn ours(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| name.starts_with(PREFIX))
    }

    /// Whether the terminal can neither move its cursor nor show colours.
    pub(crate) fn is_dumb_terminal(&self) -> bool {
        self.get("TERM") == Some("dumb")
    }

    /// The variable that forbids colours, if one does: `NO_COLOR` (<https://no-color.org>), or a
    /// terminal that has none.
    pub(crate) fn forbids_color(&self) -> Option<&'static str> {
        if self.get("NO_COLOR").is_some() { Some("NO_COLOR") } else { self.is_dumb_terminal().then_some("TERM") }
    }

    /// The value of a variable that is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// `target-url` → `LLMSIM_BLAST_TARGET_URL`
pub(crate) fn name_of(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// Refuses a name that starts like ours and is not among `known`, those of all flags of all
/// commands: one that is misspelt would be without effect.
pub(super) fn refuse_unknown(environment: &Environment, known: &[String]) -> Result<(), UnknownVariable> {
    /// Below this likeness a suggestion would confuse.
    const ALIKE: f64 = 0.7;
    let is_known = |name: &str| {
        known.iter().any(|known| known == name)
            || OF_SCRIPTS.contains(&name)
            || [SHARD_INDEX, SHARD_COUNT].contains(&name)
    };
    let Some(name) = environment.ours().find(|name| !is_known(name)) else { return Ok(()) };
    let beyond = |name: &str| name[PREFIX.len()..].to_ascii_uppercase();
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&beyond(name), &beyond(known)), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, known)| known.clone());
    Err(UnknownVariable { name: name.to_owned(), nearest })
}
