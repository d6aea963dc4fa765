//! A run, as a table of contents: plan → server → engine → summary → verdict → report. Each step is
//! one named call.

use super::error::CommandError;
use super::measured::{finished, measured};
use super::viewers::Viewers;
use super::{deliver, input, meet, output, prelude};
use crate::cli::environment::Environment;
use crate::exit::ExitClass;
use crate::live::{Mode, Progress};
use crate::plan::{Overrides, Presentation, resolve};
use crate::trial::{self, Setup};
use crate::units::Nanos;
use console::Term;
use std::io::{self, IsTerminal, Write};

/// Interval between progress lines in a log.
const LINE_EVERY: Nanos = Nanos::from_secs(5);

/// Runs a test. Returns how it ended.
pub(super) fn run(
    profile: &str,
    overrides: &Overrides,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let resolved = resolve(profile, overrides, &mut input::Disk::of(overrides))?;
    let Some((plan, presentation)) = prelude::open(resolved, out)? else { return Ok(ExitClass::Success) };
    let mut viewers = Viewers::open(&presentation, &plan.redactor())?;
    let shards = plan.rendezvous.as_ref().map_or(0, |_| plan.shard.count);
    let setup = Setup::new(u64::from(plan.peak_users()) + viewers.descriptors() + u64::from(shards))?;
    viewers.show_on(Progress::start(progress_mode(&presentation, environment)));
    let say = &mut |line: &str| viewers.message(line);
    presentation.notes.iter().chain(&viewers.told()).for_each(|note| say(note));

    let plan = prelude::at_target(plan, &setup, say, |found| {
        resolve(profile, &overrides.at(found), &mut input::Disk::of(overrides))
    })?;
    if let Some(rendezvous) = plan.rendezvous.clone() {
        return meet::run((plan, &rendezvous), &presentation, (environment, &setup), viewers, (out, err));
    }
    let mut ready = trial::prepare(plan, &setup, say)?;
    ready.show_answers(presentation.debug_response, err)?;
    viewers.record(presentation.requests.as_ref(), ready.plan())?;
    ready.wait_for_start(&mut |line: &str| viewers.message(line))?;
    let (document, written) = measured(ready, None, &mut viewers, &presentation)?;
    viewers.report(&document);
    let class = deliver::results(&document, &presentation, environment, Some(&setup.stop), (out, err));
    let class = written.map_or(class, |written| written.judged(class, err));
    Ok(finished(class, viewers, &setup.stop, err))
}

fn progress_mode(presentation: &Presentation, environment: &Environment) -> Mode {
    if presentation.quiet {
        Mode::Off
    } else if io::stderr().is_terminal() && !environment.is_dumb_terminal() {
        Mode::Terminal { color: !presentation.no_color, width: output::width(&Term::stderr()) }
    } else {
        Mode::Lines { every: LINE_EVERY }
    }
}
