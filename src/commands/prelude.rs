//! What every command that sends load does before it sends any.

use super::error::CommandError;
use super::{output, show_config};
use crate::document::{ENDED_EARLY, Reason, ReasonKind};
use crate::exit::ExitClass;
use crate::plan::{Credentials, FoundServer, Plan, PlanError, Presentation, Resolved};
use crate::trial::{self, Ready, Setup, TrialError};
use std::io::Write;

/// Makes sure that the results of a test can be written. None when something was shown instead, as
/// the user asked for, and nothing is to be sent.
pub(super) fn open(resolved: Resolved, out: &mut dyn Write) -> Result<Option<(Plan, Presentation)>, CommandError> {
    if resolved.presentation.show_config {
        show_config::print(&resolved, out)?;
        return Ok(None);
    }
    let Resolved { plan, presentation, .. } = resolved;
    if presentation.dump_request {
        trial::dump_requests(&plan, out)?;
        return Ok(None);
    }
    output::check_all(&presentation)?;
    Ok(Some((plan, presentation)))
}

/// The plan for what is at the target: the server says what it is and which model it has, and the
/// plan is made once more with that. `again` makes it. A command that gives the key is run before.
pub(super) fn at_target(
    plan: Plan,
    setup: &Setup,
    say: &mut dyn FnMut(&str),
    again: impl FnOnce(FoundServer) -> Result<Resolved, PlanError>,
) -> Result<Plan, CommandError> {
    match trial::keys::begin(&plan, &setup.stop) {
        // That is told by what comes next.
        Ok(()) | Err(TrialError::Interrupted) => {}
        Err(error) => return Err(error.into()),
    }
    match trial::discover(&plan, setup, say)? {
        None => Ok(plan),
        Some(found) => {
            let keys = plan.credentials.keys.clone();
            // Its data sets would be in memory twice.
            drop(plan);
            let plan = again(found)?.plan;
            Ok(Plan { credentials: Credentials { keys, ..plan.credentials }, ..plan })
        }
    }
}

/// Why a sweep ends before its last step: what was measured before is kept. Errors that no step can
/// have, but those of a test that cannot begin, are given back.
pub(super) fn ended(error: TrialError) -> Result<Reason, TrialError> {
    let kind = match error.exit_class() {
        ExitClass::Internal => ReasonKind::Internal,
        ExitClass::NoData => ReasonKind::NoData,
        _ => return Err(error),
    };
    Ok(Reason::new(kind, ENDED_EARLY, error.to_string()))
}

/// Lines for whoever watches a command of many runs.
pub(super) struct Watcher<'a> {
    pub(super) err: &'a mut dyn Write,
    quiet: bool,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(err: &'a mut dyn Write, quiet: bool) -> Self {
        Self { err, quiet }
    }

    pub(super) fn say(&mut self, line: &str) {
        if !self.quiet {
            // Whether anybody watches does not matter.
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// Says what a step has shown beside its numbers: what has become of the key, and why the server's
    /// own numbers cannot be read.
    pub(super) fn say_of_step(&mut self, ready: &Ready) {
        ready.plan().credentials.keys.take_told().iter().for_each(|line| self.say(line));
        if let Some(why) = ready.no_server_metrics() {
            self.say(&format!("warning: {why}"));
        }
    }
}
