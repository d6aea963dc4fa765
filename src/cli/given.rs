//! What flags and the environment say → `Overrides`, by name.
//!
//! clap knows every flag of a command and what was typed for it, so nothing is copied by hand: a
//! new flag is a field in its group's struct, and the place in `plan` that reads it by the field's
//! name. A test holds that every flag a command offers is read.

use super::environment::{Environment, name_of};
use crate::mix::Secret;
use crate::plan::{Given, Overrides, Sourced};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The name under which llmsim's own k6 suite knows the target.
pub(super) const K6_TARGET_URL: &str = "K6_TARGET_URL";

/// Flags that name the file of a secret, and the secret itself, which only the environment may
/// hold.
const SECRETS: [(&str, &str, &str); 5] = [
    ("api_key_file", "api_key", "api-key"),
    ("basic_auth_file", "basic_auth", "basic-auth"),
    ("prometheus_token_file", "prometheus_token", "prometheus-token"),
    ("prometheus_basic_auth_file", "prometheus_basic_auth", "prometheus-basic-auth"),
    ("rendezvous_key_file", "rendezvous_key", "rendezvous-key"),
];

/// Where AWS's own programs look for a key: its ID, the secret, and the token of a session.
const OF_AWS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// The environment's names of all flags of `command`.
pub(super) fn names(command: &Command) -> impl Iterator<Item = String> {
    let flags = command.get_arguments().filter_map(Arg::get_long).map(name_of);
    let offers = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
    let secrets = SECRETS.iter().filter(move |(file, ..)| offers(file)).map(|(_, _, name)| name_of(name));
    flags.chain(secrets)
}

/// Everything that was said about the flags of `command`. The environment's names of flags that it
/// does not offer are not read.
pub(crate) fn overrides(command: &Command, matches: &ArgMatches, environment: &Environment) -> Overrides {
    let mut overrides = Overrides::default();
    for argument in command.get_arguments() {
        let (id, Some(flag)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
        let given = if matches.value_source(id) == Some(ValueSource::CommandLine) {
            typed(argument, flag, matches)
        } else {
            from_environment(argument, flag, environment)
        };
        overrides.insert(id, given);
        for (_, secret, name) in SECRETS.iter().filter(|(file, ..)| *file == id) {
            let name = name_of(name);
            if let Some(value) = environment.get(&name) {
                let given = Given::environment(&name, "");
                overrides.insert_secret(secret, Sourced { value: Secret::new(value.to_owned()), origin: given.origin });
            }
        }
    }
    add_names_of_others(command, environment, &mut overrides);
    overrides
}

fn typed(argument: &Arg, flag: &str, matches: &ArgMatches) -> Vec<Given> {
    if !argument.get_action().takes_values() {
        return vec![Given::flag(flag, "true")];
    }
    let values = matches.get_many::<String>(argument.get_id().as_str()).into_iter().flatten();
    values.map(|value| Given::flag(flag, value)).collect()
}

/// A variable holds all the values of a repeatable flag.
fn from_environment(argument: &Arg, flag: &str, environment: &Environment) -> Vec<Given> {
    let name = name_of(flag);
    let Some(value) = environment.get(&name) else { return Vec::new() };
    if !matches!(argument.get_action(), ArgAction::Append) {
        return vec![Given::environment(&name, value)];
    }
    let parts = value.split(separator(flag)).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| Given::environment(&name, part)).collect()
}

/// What stands between the values of a repeatable flag in the environment: something that its
/// values do not contain.
fn separator(flag: &str) -> char {
    match flag {
        "header" | "slo" | "threshold" | "body" => '\n',
        "resolve" | "connect-to" => ' ',
        _ => ',',
    }
}

/// Names that other tools gave to some of our flags.
fn add_names_of_others(command: &Command, environment: &Environment, overrides: &mut Overrides) {
    let offers = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
    // k6's name is the last resort: it says what to test only if nothing else does.
    let has_target = ["target_url", "host", "port"].into_iter().any(|id| overrides.has(id));
    if let Some(url) = environment.get(K6_TARGET_URL).filter(|_| offers("target_url") && !has_target) {
        overrides.insert("target_url", vec![Given::environment(K6_TARGET_URL, url)]);
    }
    let [id, secret, token] = OF_AWS.map(|name| environment.get(name));
    if let (Some(id), Some(secret), true) = (id, secret, offers("auth")) {
        let key = [Some(id), Some(secret), token].into_iter().flatten().collect::<Vec<_>>().join(":");
        let origin = Given::environment(OF_AWS[0], "").origin;
        overrides.insert_secret("aws_key", Sourced { value: Secret::new(key), origin });
    }
    if let Some(name) = environment.forbids_color().filter(|_| offers("no_color") && !overrides.has("no_color")) {
        overrides.insert("no_color", vec![Given::environment(name, "true")]);
    }
}
