//! The key of a plan, if it may change while the plan runs.

use super::{Given, Overrides, PlanError};
use crate::mix::{AwsKey, KeyAs, Secret, percent_encoded};
use crate::redact::Learned;
use crate::units::Nanos;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shortest interval at which a command is run for another key.
const SHORTEST_REFRESH: Nanos = Nanos::from_secs(1);
/// The most lines that wait to be shown. A source that fails repeats the same line.
const MOST_TOLD: usize = 16;

/// The source of a key that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, which is read again when it changes.
    File {
        /// The flag or environment variable that named it.
        place: String,
        path: PathBuf,
    },
    /// A command, which prints a key.
    Command {
        /// The flag or environment variable that named it.
        place: String,
        /// The command line for a shell. It may contain a secret of its own.
        line: Secret,
        /// Interval at which it is run again. `None` if the key is valid for the whole test.
        refresh: Option<Nanos>,
    },
}

impl KeySource {
    /// Returns the flag or environment variable that named it, for messages.
    pub fn place(&self) -> &str {
        match self {
            Self::File { place, .. } | Self::Command { place, .. } => place,
        }
    }

    /// Returns the command that was given, if it is the source to use. `other` is another source of
    /// a key. A flag beats the environment, and two sources of the same rank are refused.
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

/// The keys that came after a plan was made. All clones of the plan share them. The newest one is
/// sent, and all of them are hidden.
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
    /// Compares the keys that are sent, not where they are kept.
    fn eq(&self, other: &Self) -> bool {
        self.newest() == other.newest()
    }
}

impl Keys {
    /// Locks the state. A panic elsewhere does not damage it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key that is sent now, or `None` if none has come since the plan was made.
    pub fn newest(&self) -> Option<Secret> {
        self.lock().newest.clone()
    }

    /// Returns how often the key has changed.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Returns the secrets that redactors learn.
    pub(super) const fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Sends this key from now on. All its `forms` are hidden before a request can carry them.
    pub(super) fn change(&self, key: Secret, forms: Vec<String>) {
        self.learned.add(forms);
        let mut state = self.lock();
        state.newest = Some(key);
        state.changes += 1;
    }

    /// Sets when the newest key expires, in seconds since the UNIX epoch. `None` if its source does
    /// not say.
    pub(super) fn expire_at(&self, instant: Option<i64>) {
        self.lock().expires = instant;
    }

    /// Returns when the newest key expires, in seconds since the UNIX epoch, if it is known.
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

    /// Records that the key could not be read again. `problem` must not contain a secret.
    pub fn failed(&self, problem: String) {
        let mut state = self.lock();
        state.failed += 1;
        state.last_failure = Some(problem);
    }

    /// Returns how often the key could not be read again, and the last reason. `None` if that never
    /// happened.
    pub fn failures(&self) -> Option<(u64, String)> {
        let state = self.lock();
        state.last_failure.clone().map(|last| (state.failed, last))
    }

    /// Takes the lines that have not been shown yet.
    pub fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().told)
    }

    /// Returns true if no plan is left that sends these keys.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.state) == 1
    }
}

/// Returns the secret forms of a key: the key itself, and parts or encodings of it that requests
/// carry.
pub(super) fn forms(key: &Secret, key_as: &KeyAs) -> Vec<String> {
    let mut forms = vec![key.reveal().to_owned()];
    match key_as {
        KeyAs::Basic => forms.extend(password(key).map(|password| password.reveal().to_owned())),
        KeyAs::Query(_) => forms.push(percent_encoded(key.reveal())),
        KeyAs::SigV4 { .. } => {
            // The ID is not a secret. AWS's own messages name the key by it.
            if let Some(parts) = AwsKey::parse(key.reveal()) {
                forms.push(parts.secret.to_owned());
                forms.extend(parts.token.map(str::to_owned));
            }
        }
        KeyAs::OfApi | KeyAs::Bearer | KeyAs::Header(_) => {}
    }
    forms
}

/// Returns the password of `USER:PASSWORD`.
pub(super) fn password(pair: &Secret) -> Option<Secret> {
    pair.reveal().split_once(':').map(|(_, password)| Secret::new(password.to_owned()))
}
