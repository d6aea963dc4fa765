//! The commands: the dispatch, and one file per command.

mod capacity;
mod compare;
mod deliver;
mod error;
mod generate;
mod input;
mod measured;
mod meet;
mod merge;
mod noise;
mod notify_ci;
mod origin;
mod output;
mod place;
mod prelude;
mod profiles;
mod report;
mod requests;
mod run;
mod self_test;
mod serve;
mod show_config;
mod supervise;
mod throughput;
mod viewers;

use self::error::CommandError;
use crate::cli::{Command, FIRST_STEPS, parse};
use crate::exit::ExitClass;
use crate::redact::Redactor;
use std::ffi::OsString;
use std::io::Write;

pub use crate::cli::environment::Environment;

/// Characters of an error message about a file: more than any message of this tool has, and fewer
/// than a field of a file may hold.
const MOST_OF_AN_ERROR: usize = 2_000;

/// Runs the program: `arguments` starts with the program's name. Output goes to `out` and `err`.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitClass {
    let error = match dispatch(arguments, environment, out, err) {
        Ok(class) => return class,
        Err(error) => error,
    };
    let class = error.exit_class();
    // If the output fails, nothing more can be done.
    let _ = match &error {
        CommandError::Usage(error) if class == ExitClass::Success => write!(out, "{}", error.render()),
        // The user may have typed a key where no value is expected.
        CommandError::Usage(error) => {
            write!(err, "{}", Redactor::default().foreign(error.render().to_string().as_bytes()))
        }
        CommandError::Output(_) if class == ExitClass::Success => Ok(()),
        // Files and servers may contain anything, including sequences that a terminal or GitHub
        // would obey.
        CommandError::Plan(_)
        | CommandError::Variable(_)
        | CommandError::Place(_)
        | CommandError::Result { .. }
        | CommandError::Merge(_)
        | CommandError::Compare(_) => {
            writeln!(err, "error: {}", short(&harmless(&error)))
        }
        error => writeln!(err, "error: {}", harmless(error)),
    };
    let _ = out.flush();
    class
}

/// Hides secrets in an error. Secrets that only the plan knows were hidden where the error was
/// made.
fn harmless(error: &CommandError) -> String {
    Redactor::default().foreign(error.to_string().as_bytes())
}

/// Cuts a text to a readable length.
fn short(text: &str) -> String {
    text.chars().take(MOST_OF_AN_ERROR).collect()
}

/// Runs the requested command.
fn dispatch(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.len() < 2 {
        // A script whose `$PROFILE` is empty must fail.
        let _ = err.write_all(FIRST_STEPS.as_bytes());
        return Ok(ExitClass::Usage);
    }
    let (cli, overrides) = parse(arguments, environment)?;
    match cli.command {
        Some(Command::Profiles { name }) => profiles::run(name.as_deref(), out),
        Some(Command::Capacity(args)) => capacity::run(&args.profile, &overrides, out, err),
        Some(Command::Throughput(_)) => throughput::run(&overrides, out, err),
        Some(Command::Compare(args)) => compare::run(&args, environment, out, err),
        Some(Command::Merge(args)) => merge::run(&args, environment, out, err),
        Some(Command::Noise(args)) => noise::run(&args, out),
        Some(Command::Report(args)) => report::run(&args, environment, out, err),
        Some(Command::Generate(args)) => generate::run(&args, out),
        Some(Command::Serve(args)) => serve::run(&args, out),
        Some(Command::SelfTest(args)) => self_test::run(&args, out, err),
        Some(Command::Origin(args)) => origin::run(&args, out),
        Some(Command::Supervise(args)) => Err(supervise::run(&args)),
        None => run::run(cli.run.profile.as_deref().unwrap_or_default(), &overrides, environment, out, err),
    }
}

/// Reads all flags that a command (`""` is a run) uses. A test uses this to show that every flag
/// has an effect.
#[cfg(test)]
pub(crate) fn read_all(command: &str, overrides: &crate::plan::Overrides) -> Result<(), crate::plan::PlanError> {
    let mut no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    match command {
        "" => crate::plan::resolve("load", overrides, &mut no_files).map(drop),
        "capacity" => capacity::read_all(overrides, &mut no_files),
        "throughput" => throughput::read_all(overrides),
        other => unreachable!("{other} reads no overrides"),
    }
}
