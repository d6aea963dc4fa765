//! Flags of other load testers, for users who come from them.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::ffi::OsString;

/// What k6, hey, oha, wrk, curl and others call some of our flags.
pub(super) const NAMES: [(&str, &str); 47] = [
    ("-u", "--vus"),
    ("--users", "--vus"),
    ("--user", "--vus"),
    ("-c", "--vus"),
    ("--connections", "--vus"),
    ("--concurrency", "--vus"),
    ("--max-concurrency", "--vus"),
    ("--vu", "--vus"),
    ("-d", "--duration"),
    ("-z", "--duration"),
    ("--time", "--duration"),
    ("--run-time", "--duration"),
    ("-i", "--iterations"),
    ("-n", "--iterations"),
    ("--requests", "--iterations"),
    ("--num-requests", "--iterations"),
    ("--num-prompts", "--iterations"),
    ("-r", "--rate"),
    ("--rps", "--rate"),
    ("--qps", "--rate"),
    ("--request-rate", "--rate"),
    ("-s", "--stage"),
    ("--stages", "--stage"),
    ("--ramp-up", "--stage"),
    ("-o", "--output"),
    ("--out", "--output"),
    ("--summary-export", "--output"),
    ("--output-file", "--output"),
    ("--json", "--output"),
    ("-q", "--quiet"),
    ("-H", "--header"),
    ("--headers", "--header"),
    ("-k", "--insecure"),
    ("--insecure-skip-tls-verify", "--insecure"),
    ("-x", "--http-proxy"),
    ("--proxy", "--http-proxy"),
    ("--url", "--target-url"),
    ("--base-url", "--target-url"),
    ("--api-base", "--target-url"),
    ("-m", "--model"),
    ("--model-name", "--model"),
    ("--spawn-rate", "--stage"),
    ("--max-requests", "--iterations"),
    ("--max-seconds", "--duration"),
    ("--endpoint", "--path"),
    ("--api-key", "--api-key-file"),
    ("-t", "--workers"),
];

/// The same error, with our flag as the tip if another tool's name was typed and the command has
/// ours.
pub(super) fn name_ours(mut error: clap::Error, arguments: &[OsString], root: &Command) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some((_, ours)) = NAMES.iter().find(|(theirs, _)| theirs == typed) else { return error };
    let named = arguments.get(1).and_then(|first| root.find_subcommand(first.to_str()?));
    let offers = |argument: &Arg| argument.get_long() == Some(ours.trim_start_matches('-'));
    if named.unwrap_or(root).get_arguments().any(offers) {
        error.insert(ContextKind::SuggestedArg, ContextValue::String((*ours).to_owned()));
    }
    error
}
