//! The key of a plan, where it may change while the plan is run.

use super::{Given, Overrides, PlanError};
use crate::mix::{AwsKey, KeyAs, Secret, percent_encoded};
use crate::redact::Learned;
use crate::units::Nanos;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shortest time after which a command is asked for another key.
const SHORTEST_REFRESH: Nanos = Nanos::from_secs(1);
/// Lines that wait to be told. A source that fails says the same again and again.
const MOST_TOLD: usize = 16;

/// Where a key comes from that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, which is read again when it changes.
    File {
        /// What has named it: a flag or a name of the environment.
        place: String,
        path: PathBuf,
    },
    /// A command, which prints a key.
    Command {
        /// What has named it.
        place: String,
        /// As a shell takes it. It may hold a secret of its own.
        line: Secret,
        /// Time after which it is run again; none if the key holds for the whole test.
        refresh: Option<Nanos>,
    },
}

impl KeySource {
    /// What has named it, for messages.
    pub fn place(&self) -> &str {
        match self {
            Self::File { place, .. } | Self::Command { place, .. } => place,
        }
    }

    /// The command that was given, if it is the one to ask. `other` is another source of a key,
    /// flag or not: a flag beats the environment, and equals are refused.
    pub(super) fn command(overrides: &Overrides, other: Option<&Given>) -> Result<Option<Self>, PlanError> {
        let (given, refresh) = (overrides.one("api_key_command"), overrides.one("api_key_refresh"));
        let Some(given) = given else {
            return match refresh {
                Some(refresh) if refresh.is_flag() => {
                    Err(refresh.misplaced("needs a command that gives a key: expected --api-key-command"))
                }
                _ => Ok(None),
            };
        };
        if let Some(other) = other {
            match (given.is_flag(), other.is_flag()) {
                (true, false) => {}
                (false, true) => return Ok(None),
                _ => return Err(given.misplaced(format!("cannot be used together with {}: set one", other.origin))),
            }
        }
        if given.value.trim().is_empty() {
            return Err(given.unusable("expected a command that prints the key, such as 'cat key.txt'"));
        }
        let refresh = refresh.map(|refresh| {
            let every = refresh.some_time()?;
            let is_long_enough = every >= SHORTEST_REFRESH;
            is_long_enough.then_some(every).ok_or_else(|| refresh.bad(format!("at least {SHORTEST_REFRESH}")))
        });
        let line = Secret::new(given.value.clone());
        Ok(Some(Self::Command { place: given.origin.to_string(), line, refresh: refresh.transpose()? }))
    }
}

/// The keys that came after a plan was made. All copies of the plan share them: the last is sent,
/// and all of them are hidden.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    state: Arc<Mutex<State>>,
    learned: Learned,
}

#[derive(Debug, Default)]
struct State {
    newest: Option<Secret>,
    changes: u64,
    expires: Option<i64>,
    told: Vec<String>,
    failed: u64,
    last_failure: Option<String>,
}

impl PartialEq for Keys {
    /// Two plans differ by the key that they send, not by where it is kept.
    fn eq(&self, other: &Self) -> bool {
        self.newest() == other.newest()
    }
}

impl Keys {
    /// A panic elsewhere leaves the keys as they are.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that is sent now; none if none came after the plan was made.
    pub fn newest(&self) -> Option<Secret> {
        self.lock().newest.clone()
    }

    /// How often the key has changed.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// What redactors learn of.
    pub(super) const fn learned(&self) -> &Learned {
        &self.learned
    }

    /// From now on this key is sent. It is hidden before anybody can send it, in each of its
    /// `forms`.
    pub(super) fn change(&self, key: Secret, forms: Vec<String>) {
        self.learned.add(forms);
        let mut state = self.lock();
        state.newest = Some(key);
        state.changes += 1;
    }

    /// The key that came last holds until then, in seconds since the UNIX epoch; none: nobody said.
    pub(super) fn expire_at(&self, instant: Option<i64>) {
        self.lock().expires = instant;
    }

    /// Until when the key holds that came last, in seconds since the UNIX epoch, if it is known.
    pub fn expires(&self) -> Option<i64> {
        self.lock().expires
    }

    /// Keeps a line for the user who watches the run.
    pub fn tell(&self, line: String) {
        let told = &mut self.lock().told;
        if told.len() < MOST_TOLD {
            told.push(line);
        }
    }

    /// The key could not be read again. `problem` has no secret in it.
    pub fn failed(&self, problem: String) {
        let mut state = self.lock();
        state.failed += 1;
        state.last_failure = Some(problem);
    }

    /// How often the key could not be read again, and why at last; none if that never happened.
    pub fn failures(&self) -> Option<(u64, String)> {
        let state = self.lock();
        state.last_failure.clone().map(|last| (state.failed, last))
    }

    /// The lines that nobody has heard yet.
    pub fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().told)
    }

    /// Whether no plan is left that sends these keys.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.state) == 1
    }
}

/// What is secret about a key: itself, and as it is sent, which may be repeated in base64.
pub(super) fn forms(key: &Secret, key_as: &KeyAs) -> Vec<String> {
    let mut forms = vec![key.reveal().to_owned()];
    match key_as {
        KeyAs::Basic => forms.extend(password(key).map(|password| password.reveal().to_owned())),
        KeyAs::Query(_) => forms.push(percent_encoded(key.reveal())),
        KeyAs::SigV4 { .. } => {
            // The ID is no secret. It names the key in AWS's own messages.
            if let Some(parts) = AwsKey::parse(key.reveal()) {
                forms.push(parts.secret.to_owned());
                forms.extend(parts.token.map(str::to_owned));
            }
        }
        KeyAs::OfApi | KeyAs::Bearer | KeyAs::Header(_) => {}
    }
    forms
}

/// The password of `USER:PASSWORD`.
pub(super) fn password(pair: &Secret) -> Option<Secret> {
    pair.reveal().split_once(':').map(|(_, password)| Secret::new(password.to_owned()))
}
