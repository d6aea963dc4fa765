//! Keys and passwords. They are never repeated in a message.

use super::source::Changed;
use super::{Given, Overrides, PlanError, Read, headers, limits};
use crate::mix::{KeyAs, Secret};
use std::path::Path;

/// What authorises requests; never printed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Credentials {
    pub api_key: Option<Secret>,
    /// How it is sent.
    pub key_as: KeyAs,
    /// User and password of basic authentication.
    pub basic_auth: Option<Secret>,
}

pub(super) fn credentials(
    overrides: &Overrides,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Credentials, PlanError> {
    let api_key = api_key(overrides, read, changed)?;
    let key = api_key.is_some().then(|| changed.get("api_key").map(ToString::to_string)).flatten();
    let basic_auth = basic_auth(overrides, key.as_deref(), read, changed)?;
    let key_as = key_as(overrides, api_key.as_ref(), changed)?;
    Ok(Credentials { api_key, key_as, basic_auth })
}

/// The text of a file that holds a secret. Somebody may have given the secret itself in place of
/// the file.
pub(super) fn secret(given: &Given, read: &mut Read<'_>) -> Result<String, PlanError> {
    /// Names of files are shorter, or have a folder or an ending.
    const LONG: usize = 16;
    let is_name = given.value.contains(['/', '.']) || given.value.len() < LONG;
    text(given, read).map_err(|error| {
        if is_name && !given.value.contains(':') {
            error
        } else {
            given.unusable(
                "cannot be read as a file (its value is hidden, because it may be the secret itself): expected a path",
            )
        }
    })
}

/// The text of a file that a flag or the environment names.
pub(super) fn text(given: &Given, read: &mut Read<'_>) -> Result<String, PlanError> {
    read.text(Path::new(&given.value)).map_err(|error| PlanError::Unreadable {
        place: given.origin.to_string(),
        path: given.value.clone(),
        reason: error.to_string(),
    })
}

/// The API key: out of a file, or the environment's.
fn api_key(overrides: &Overrides, read: &mut Read<'_>, changed: &mut Changed) -> Result<Option<Secret>, PlanError> {
    let (text, origin) = match (overrides.one("api_key_file"), overrides.secret("api_key")) {
        (Some(file), Some(key)) if !file.is_flag() => {
            return Err(file.misplaced(format!("cannot be used together with {}: set one of them", key.origin)));
        }
        (Some(file), _) => (secret(file, read)?, &file.origin),
        (None, Some(key)) => (key.value.reveal().to_owned(), &key.origin),
        (None, None) => return Ok(None),
    };
    let key = text.trim();
    if key.is_empty() || key.len() > limits::MAX_KEY_BYTES || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let most = limits::MAX_KEY_BYTES;
        let problem = format!("holds no API key: expected one line of 1 to {most} visible ASCII characters");
        return Err(PlanError::Override { origin: origin.clone(), problem });
    }
    changed.insert("api_key".to_owned(), origin.clone());
    Ok(Some(Secret::new(key.to_owned())))
}

/// How the key is sent.
fn key_as(overrides: &Overrides, key: Option<&Secret>, changed: &mut Changed) -> Result<KeyAs, PlanError> {
    let Some(given) = overrides.one("auth") else { return Ok(KeyAs::OfApi) };
    changed.insert("auth".to_owned(), given.origin.clone());
    let Some(key) = key else {
        return Err(given.misplaced("needs a key: give it with --api-key-file or LLMSIM_BLAST_API_KEY"));
    };
    let named = |name: &str| match name.trim() {
        "" => Err(given.bad("a name after the colon, such as header:api-key or query:key")),
        name => Ok(name.to_owned()),
    };
    match given.value.trim().split_once(':') {
        None if given.value.trim() == "bearer" => Ok(KeyAs::Bearer),
        None if given.value.trim() == "basic" => {
            let is_pair = key.reveal().split_once(':').is_some_and(|(user, _)| !user.is_empty());
            if is_pair { Ok(KeyAs::Basic) } else { Err(given.misplaced("needs USER:PASSWORD as the key")) }
        }
        Some(("header", name)) => {
            let (name, _) = headers::header(&named(name)?, key.reveal()).map_err(|problem| given.wrong(problem))?;
            Ok(KeyAs::Header(name))
        }
        Some(("query", name)) => Ok(KeyAs::Query(named(name)?)),
        _ => Err(given.bad("bearer, basic, header:NAME or query:NAME")),
    }
}

/// User and password: out of a file, or the environment's.
pub(super) fn basic_auth(
    overrides: &Overrides,
    api_key: Option<&str>,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Option<Secret>, PlanError> {
    let (text, origin) = match (overrides.one("basic_auth_file"), overrides.secret("basic_auth")) {
        (Some(file), Some(pair)) if !file.is_flag() => {
            return Err(file.misplaced(format!("cannot be used together with {}: set one of them", pair.origin)));
        }
        (Some(file), _) => (secret(file, read)?, file.origin.clone()),
        (None, Some(pair)) => (pair.value.reveal().to_owned(), pair.origin.clone()),
        (None, None) => return Ok(None),
    };
    let refused = |problem: String| Err(PlanError::Override { origin: origin.clone(), problem });
    if let Some(key) = api_key {
        return refused(format!("cannot be used together with {key}: both are sent as Authorization"));
    }
    let pair = text.trim_end_matches(['\r', '\n']);
    let plain = pair.contains(':') && !pair.starts_with(':') && !pair.chars().any(char::is_control);
    if !plain || pair.len() > limits::MAX_KEY_BYTES {
        let most = limits::MAX_KEY_BYTES;
        return refused(format!("holds no user and password: expected one line USER:PASSWORD of at most {most} bytes"));
    }
    changed.insert("basic_auth".to_owned(), origin.clone());
    Ok(Some(Secret::new(pair.to_owned())))
}
