//! The commands: dispatch here, one file a command.

mod capacity;
mod offline;
mod output;
mod results;
mod run;
mod self_test;
mod throughput;

use crate::cli::{Command, parse};
use crate::exit::ExitClass;
#[cfg(test)]
use crate::plan::Overrides;
use crate::plan::{limits, resolve};
use crate::trial::debug;
use crate::trial::error::CliError;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;

pub use crate::cli::environment::Environment;

/// Characters of a message about a file: more than any of ours has, and fewer than a field may hold.
const MOST_OF_AN_ERROR: usize = 2_000;

/// The whole program: `arguments` with the program's name first, the environment, and where to write.
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
    // Nothing is left to do when even this cannot be written.
    let _ = match &error {
        CliError::Usage(error) if class == ExitClass::Success => write!(out, "{}", error.render()),
        CliError::Usage(error) => write!(err, "{}", error.render()),
        CliError::Output(_) if class == ExitClass::Success => Ok(()),
        // Files say what they like, and a terminal, or GitHub, does what it reads.
        CliError::Result { .. } | CliError::Merge(_) | CliError::Compare(_) => {
            writeln!(err, "error: {}", harmless(&error.to_string()))
        }
        error => writeln!(err, "error: {error}"),
    };
    let _ = out.flush();
    class
}

/// Without control characters, and no longer than anybody reads.
fn harmless(text: &str) -> String {
    text.chars().take(MOST_OF_AN_ERROR).collect::<String>().replace(char::is_control, "?")
}

/// Does what the command line says.
fn dispatch(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CliError> {
    let (cli, overrides) = parse(arguments, environment)?;
    match cli.command {
        Some(Command::Profiles { name }) => offline::profiles(name.as_deref(), out),
        Some(Command::Capacity(args)) => capacity::run(&args.profile, &overrides, out, err),
        Some(Command::Throughput(_)) => throughput::run(&overrides, out, err),
        Some(Command::Compare(args)) => results::compare_runs(&args, environment, out, err),
        Some(Command::Merge(args)) => results::merge(&args, environment, out, err),
        Some(Command::Noise(args)) => results::noise_of(&args, out),
        Some(Command::Report(args)) => results::report(&args, out, err),
        Some(Command::Serve(args)) => run::serve(&args, out),
        Some(Command::SelfTest(args)) => self_test::run(&args, out, err),
        Some(Command::Origin(args)) => self_test::origin(&args, out),
        Some(Command::Supervise(args)) => Err(run::supervise(&args)),
        None => {
            let profile = cli.run.profile.as_deref().unwrap_or_default();
            let resolved = resolve(profile, &overrides, &mut read)?;
            if resolved.presentation.show_config {
                return offline::show_config(&resolved, out);
            }
            if resolved.presentation.dump_request {
                return debug::dump_request(&resolved.plan, out);
            }
            run::run(&resolved, environment, out, err)
        }
    }
}

/// Reads everything that a command (`""` is a run) reads of its flags: that no flag is without effect is tested with it.
#[cfg(test)]
pub(crate) fn read_all(command: &str, overrides: &Overrides) {
    match command {
        "" => drop(resolve("load", overrides, &mut read).expect("built in")),
        "capacity" => capacity::read_all(overrides),
        "throughput" => throughput::read_all(overrides),
        other => unreachable!("{other} reads no overrides"),
    }
}

/// Reads a file that a flag or profile names, up to the size of the largest that makes sense.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = limits::MAX_PROMPTS_BYTES as u64 + 1;
    let size = std::fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    if size as u64 == most {
        let problem = format!("it is larger than {} bytes", limits::MAX_PROMPTS_BYTES);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}
