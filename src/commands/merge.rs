//! `merge`: merges the shards of a test.

use super::error::CommandError;
use super::{deliver, input, output};
use crate::cli::args::MergeArgs;
use crate::cli::environment::Environment;
use crate::document::merge::Merge;
use crate::exit::ExitClass;
use crate::plan::Presentation;
use std::io::Write;

/// Adds up the results of all shards, and judges the whole.
pub(super) fn run(
    args: &MergeArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let presentation = Presentation {
        output: output::place(args.output.as_ref()),
        html: args.html.clone(),
        junit: args.junit.clone(),
        github: args.github.as_deref() == Some("auto"),
        details: args.details,
        no_color: args.no_color || environment.forbids_color().is_some(),
        fail_on_invalid: args.fail_on_invalid,
        ..Presentation::default()
    };
    output::check_all(&presentation)?;
    let mut merge = Merge::default();
    for path in &args.files {
        merge.add(&path.display().to_string(), input::document(path)?)?;
    }
    let whole = merge.finish(args.allow_missing, args.fail_on_invalid)?;
    Ok(deliver::results(&whole, &presentation, environment, None, (out, err)))
}
