//! Keys and passwords. They are never repeated in a message.

use super::keys::forms;
use super::noted::noted;
use super::source::{Changed, Origin};
use super::{Given, KeySource, Keys, Overrides, PlanError, Read, aws_key, headers, limits};
use crate::mix::{KeyAs, Secret};
use std::path::Path;

/// The credentials of requests. Never printed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Credentials {
    pub api_key: Option<Secret>,
    /// How the key is sent.
    pub key_as: KeyAs,
    /// User and password of basic authentication.
    pub basic_auth: Option<Secret>,
    /// The source of the key, if it may change while the plan runs.
    pub source: Option<KeySource>,
    /// The keys that have come from that source since.
    pub keys: Keys,
}

impl Credentials {
    /// Returns the key that is sent now.
    pub fn key(&self) -> Option<Secret> {
        self.keys.newest().or_else(|| self.api_key.clone())
    }

    /// Returns true if requests carry a key. The key may not have been fetched yet.
    pub const fn has_key(&self) -> bool {
        self.api_key.is_some() || matches!(self.source, Some(KeySource::Command { .. }))
    }

    /// Sends the key in `text` from now on. Returns true if it differs from the key before.
    ///
    /// # Errors
    ///
    /// Returns the problem, without repeating the key. The key before stays in use.
    pub fn renew(&self, text: &str) -> Result<bool, String> {
        let key = match self.key_as {
            KeyAs::SigV4 { .. } => {
                let key = aws_key::key(text)?;
                self.keys.expire_at(aws_key::expires(text));
                key
            }
            _ => word(text, "an API key", 1, "")?,
        };
        if self.key_as == KeyAs::Basic && !is_pair(key.reveal()) {
            return Err("does not hold USER:PASSWORD, which basic authentication needs".to_owned());
        }
        let is_new = self.key().as_ref() != Some(&key);
        if is_new {
            let forms = forms(&key, &self.key_as);
            self.keys.change(key, forms);
        }
        Ok(is_new)
    }
}

pub(super) fn credentials(
    overrides: &Overrides,
    key_header: Option<&str>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Credentials, PlanError> {
    let (api_key, source) = api_key(overrides, read, changed)?;
    let key = changed.get("api_key").map(ToString::to_string);
    let basic_auth = basic_auth(overrides, key.as_deref(), read, changed)?;
    let credentials = Credentials { api_key, basic_auth, source, ..Credentials::default() };
    let key_as = match (overrides.one("auth"), key_header) {
        (Some(given), _) => key_as(given, &credentials, changed)?,
        (None, Some(name)) => KeyAs::Header(name.to_owned()),
        (None, None) => KeyAs::OfApi,
    };
    Ok(Credentials { key_as, ..credentials })
}

/// Reads a secret of one word, of at least `least` characters. `what` names it in messages, and
/// `hint` tells how to get one.
fn word(text: &str, what: &str, least: usize, hint: &str) -> Result<Secret, String> {
    let (key, most) = (text.trim(), limits::MAX_KEY_BYTES);
    if (least..=most).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Secret::new(key.to_owned()));
    }
    Err(format!("does not hold {what}: expected one line of {least} to {most} visible ASCII characters{hint}"))
}

/// Reads a file that holds a secret. The user may have passed the secret itself in place of the
/// file.
fn secret(given: &Given, read: &mut Read<'_>) -> Result<String, PlanError> {
    /// Names of files and folders are shorter, without their endings. Parts of keys are at least as
    /// long: a JWT has dots, and base64 has slashes.
    const LONG: usize = 16;
    let is_name = given.value.split(['/', '.']).all(|part| part.len() < LONG);
    read.text(Path::new(&given.value)).map_err(|error| {
        if is_name && !given.value.contains(':') {
            unreadable(given, &error)
        } else {
            given.unusable(format!(
                "cannot be read as a file: {error} (its value is hidden, because it may be the secret itself): expected \
                 a path"
            ))
        }
    })
}

/// Reads a file that a flag or the environment names.
pub(super) fn text(given: &Given, read: &mut Read<'_>) -> Result<String, PlanError> {
    read.text(Path::new(&given.value)).map_err(|error| unreadable(given, &error))
}

fn unreadable(given: &Given, error: &std::io::Error) -> PlanError {
    let (place, path) = (given.origin.to_string(), given.value.clone());
    PlanError::Unreadable { place, path, reason: error.to_string() }
}

/// A secret as it was found, and its origin.
pub(super) struct Found {
    text: String,
    pub(super) origin: Origin,
}

/// Reads a secret from the file that the flag `file_id` names, or from the environment as `id`. A
/// flag is typed for this run and wins. The environment may name a file or hold the secret, but not
/// both.
pub(super) fn of_file_or_environment(
    overrides: &Overrides,
    (file_id, id): (&'static str, &'static str),
    read: &mut Read<'_>,
) -> Result<Option<Found>, PlanError> {
    match (overrides.one(file_id), overrides.secret(id)) {
        (Some(file), Some(other)) if !file.is_flag() => {
            Err(file.misplaced(format!("cannot be used together with {}: set one of them", other.origin)))
        }
        (Some(file), _) => Ok(Some(Found { text: secret(file, read)?, origin: file.origin.clone() })),
        (None, Some(secret)) => {
            Ok(Some(Found { text: secret.value.reveal().to_owned(), origin: secret.origin.clone() }))
        }
        (None, None) => Ok(None),
    }
}

impl Found {
    /// Reads it as one word of at least `least` characters. `what` names it in messages, and `hint`
    /// tells how to get one.
    pub(super) fn key(&self, what: &str, least: usize, hint: &str) -> Result<Secret, PlanError> {
        word(&self.text, what, least, hint).map_err(|problem| self.refused(problem))
    }

    /// Reads it as a key of AWS.
    fn aws_key(&self) -> Result<Secret, PlanError> {
        aws_key::key(&self.text).map_err(|problem| self.refused(problem))
    }

    /// Reads it as user and password.
    pub(super) fn pair(&self) -> Result<Secret, PlanError> {
        let (pair, most) = (self.text.trim_end_matches(['\r', '\n']), limits::MAX_KEY_BYTES);
        if is_pair(pair) && !pair.chars().any(char::is_control) && pair.len() <= most {
            return Ok(Secret::new(pair.to_owned()));
        }
        Err(self.refused(format!(
            "does not hold a user and a password: expected one line USER:PASSWORD of at most {most} bytes"
        )))
    }

    fn refused(&self, problem: String) -> PlanError {
        PlanError::Override { origin: self.origin.clone(), problem }
    }
}

/// Returns true if a text is `USER:PASSWORD`.
fn is_pair(text: &str) -> bool {
    text.split_once(':').is_some_and(|(user, _)| !user.is_empty())
}

/// Resolves the API key: from a file, from the environment, or left to a command. Also returns its
/// source if the key may change.
fn api_key(
    overrides: &Overrides,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<(Option<Secret>, Option<KeySource>), PlanError> {
    let file = overrides.one("api_key_file");
    let in_environment = overrides.secret("api_key");
    let in_environment = in_environment.map(|held| Given { value: String::new(), origin: held.origin.clone() });
    if let Some(command) = KeySource::command(overrides, file.or(in_environment.as_ref()))? {
        for key in ["api_key", "api_key_command"] {
            noted(key, overrides.one("api_key_command"), changed);
        }
        noted("api_key_refresh", overrides.one("api_key_refresh"), changed);
        return Ok((None, Some(command)));
    }
    let is_signed = aws_key::is_asked_for(overrides.one("auth"));
    // AWS's environment variables are the last resort, and are only used for signatures.
    let of_aws = || {
        let held = overrides.secret("aws_key").filter(|_| is_signed)?;
        Some(Found { text: held.value.reveal().to_owned(), origin: held.origin.clone() })
    };
    let found = of_file_or_environment(overrides, ("api_key_file", "api_key"), read)?;
    let Some(found) = found.or_else(of_aws) else { return Ok((None, None)) };
    let key = if is_signed { found.aws_key()? } else { found.key("an API key", 1, "")? };
    let source = file.map(|file| KeySource::File { place: file.origin.to_string(), path: file.value.clone().into() });
    changed.insert("api_key".to_owned(), found.origin);
    Ok((Some(key), source))
}

/// Resolves how the key is sent, as `--auth` says.
fn key_as(given: &Given, credentials: &Credentials, changed: &mut Changed) -> Result<KeyAs, PlanError> {
    /// Placeholder for a key that is not known yet.
    const ANY: &str = "key";
    changed.insert("auth".to_owned(), given.origin.clone());
    if !credentials.has_key() {
        let aws = if aws_key::is_asked_for(Some(given)) {
            ", or both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        } else {
            ""
        };
        return Err(given.misplaced(format!(
            "needs a key: give it with --api-key-file, --api-key-command or LLMSIM_BLAST_API_KEY{aws}"
        )));
    }
    let key = credentials.api_key.as_ref().map(Secret::reveal);
    // The value may contain the key itself, so it is not repeated.
    let unusable = |problem: &str| given.unusable(format!("{problem} (its value is hidden: it may hold a key)"));
    let named = |name: &str| match name.trim() {
        "" => Err(unusable("expected a name after the colon, such as header:api-key or query:key")),
        name if name.contains([':', '=', '&']) => Err(unusable("expected nothing behind the name")),
        name => Ok(name.to_owned()),
    };
    match given.value.trim().split_once(':') {
        None if given.value.trim() == "bearer" => Ok(KeyAs::Bearer),
        None if given.value.trim() == "basic" => {
            if key.is_none_or(is_pair) {
                Ok(KeyAs::Basic)
            } else {
                Err(given.misplaced("needs USER:PASSWORD as the key"))
            }
        }
        Some(("header", name)) => {
            let header = headers::header(&named(name)?, key.unwrap_or(ANY));
            let (name, _) = header.map_err(|_| unusable("expected the name of a header that may be added"))?;
            Ok(KeyAs::Header(name))
        }
        Some(("query", name)) => Ok(KeyAs::Query(named(name)?)),
        Some(("sigv4", scope)) => aws_key::scope(scope).map_err(unusable),
        _ => Err(unusable("expected bearer, basic, header:NAME, query:NAME or sigv4:SERVICE:REGION")),
    }
}

/// Reads user and password from a file, or from the environment.
pub(super) fn basic_auth(
    overrides: &Overrides,
    api_key: Option<&str>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Option<Secret>, PlanError> {
    let ids = ("basic_auth_file", "basic_auth");
    let Some(found) = of_file_or_environment(overrides, ids, read)? else { return Ok(None) };
    if let Some(key) = api_key {
        return Err(found.refused(format!("cannot be used together with {key}: both are sent as Authorization")));
    }
    let pair = found.pair()?;
    changed.insert("basic_auth".to_owned(), found.origin);
    Ok(Some(pair))
}
