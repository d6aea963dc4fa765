//! The story of a run: plan → server → engine → summary → verdict → report. Each step is one named call.

use super::error::CommandError;
use super::{input, notify_ci, output, prelude};
use crate::cli::environment::Environment;
use crate::document::Document;
use crate::exit::ExitClass;
use crate::live::{Mode, Progress};
use crate::plan::{Overrides, Presentation, resolve};
use crate::trial::{self, Setup, Stop};
use crate::units::Nanos;
use std::io::{self, IsTerminal, Write};

/// How often a log gets a line of progress.
const LINE_EVERY: Nanos = Nanos::from_secs(5);

/// Runs a test and says how it ended.
pub(super) fn run(
    profile: &str,
    overrides: &Overrides,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let resolved = resolve(profile, overrides, &mut input::read)?;
    let Some((plan, presentation)) = prelude::open(resolved, out)? else { return Ok(ExitClass::Success) };
    let setup = Setup::new(u64::from(plan.peak_users()))?;
    let progress = Progress::start(progress_mode(&presentation, environment));
    let say = &mut |line: &str| progress.message(line);
    presentation.notes.iter().for_each(|note| say(note));

    let ready = trial::prepare(plan, &setup, say)?;
    ready.show_answers(presentation.debug_response, err)?;
    ready.wait_for_start(say)?;
    let concluded = ready.measure(&mut |second| progress.show(second))?.conclude();
    progress.finish();
    let class = deliver(&concluded.document(&presentation), &presentation, environment, &setup.stop, (out, err));
    // A signal that comes while the results are written cannot change what they say.
    Ok(if class == ExitClass::Success && setup.stop.is_signalled() { ExitClass::Interrupted } else { class })
}

/// Prints and writes the results. None of them is lost because another cannot be written.
fn deliver(
    document: &Document,
    presentation: &Presentation,
    environment: &Environment,
    stop: &Stop,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> ExitClass {
    let printed = output::print_summary(document, presentation, out, err).map_err(CommandError::from);
    let written = output::write(presentation.output.as_ref(), document, out, Some(stop));
    let told = notify_ci::of_run(document, presentation, environment, out, err, Some(stop));
    let mut class = document.verdict.exit();
    for error in [printed, written, told].into_iter().filter_map(Result::err) {
        // Nothing is left to do when even this cannot be written.
        let _ = writeln!(err, "error: {error}");
        // A result that is lost is a failure; one that failed anyway keeps its reason.
        class = if class == ExitClass::Success { ExitClass::Internal } else { class };
    }
    class
}

fn progress_mode(presentation: &Presentation, environment: &Environment) -> Mode {
    if presentation.quiet {
        Mode::Off
    } else if io::stderr().is_terminal() && !environment.is_dumb_terminal() {
        Mode::Terminal { color: !presentation.no_color, width: output::width(true) }
    } else {
        Mode::Lines { every: LINE_EVERY }
    }
}
