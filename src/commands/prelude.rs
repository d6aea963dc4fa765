//! The steps of every command that sends load, before it sends any.

use super::error::CommandError;
use super::viewers::Viewers;
use super::{output, show_config};
use crate::document::{Document, ENDED_EARLY, Reason, ReasonKind, Sweep};
use crate::exit::ExitClass;
use crate::metrics::Batch;
use crate::plan::{Credentials, FoundServer, Plan, PlanError, Presentation, Resolved};
use crate::trial::{self, Beginning, Moment, Ready, Setup, TrialError, WholeMoment};
use std::io::Write;

/// Makes sure that the results of a test can be written. `None` if the user only asked to see the
/// configuration or the requests, which were then printed.
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

/// Returns the plan for the server at the target. The server says what it is and which models it
/// has, and `again` resolves the plan once more with that. A command that provides the key is run
/// before.
pub(super) fn at_target(
    plan: Plan,
    setup: &Setup,
    say: &mut dyn FnMut(&str),
    again: impl FnOnce(FoundServer) -> Result<Resolved, PlanError>,
) -> Result<Plan, CommandError> {
    match trial::keys::begin(&plan, &setup.stop) {
        // The next steps report an interruption.
        Ok(()) | Err(TrialError::Interrupted) => {}
        Err(error) => return Err(error.into()),
    }
    match trial::discover(&plan, setup, say)? {
        None => Ok(plan),
        Some(found) => {
            let keys = plan.credentials.keys.clone();
            // Its data sets would otherwise be in memory twice.
            drop(plan);
            let plan = again(found)?.plan;
            Ok(Plan { credentials: Credentials { keys, ..plan.credentials }, ..plan })
        }
    }
}

/// Returns the reason why a sweep ends before its last step; the earlier measurements are kept.
/// Errors that only occur before a test begins are returned as errors.
pub(super) fn ended(error: TrialError) -> Result<Reason, TrialError> {
    let kind = match error.exit_class() {
        ExitClass::Internal => ReasonKind::Internal,
        ExitClass::NoData => ReasonKind::NoData,
        _ => return Err(error),
    };
    Ok(Reason::new(kind, ENDED_EARLY, error.to_string()))
}

/// The viewers of a command with many runs: lines on a terminal, and a page.
pub(super) struct Watcher<'a> {
    pub(super) err: &'a mut dyn Write,
    quiet: bool,
    viewers: Viewers<'a>,
    /// The completed steps, one line each.
    told: Vec<String>,
}

/// Passes the seconds of a step on to the page, and its messages to the terminal.
impl trial::Viewers for Watcher<'_> {
    fn begin(&mut self, beginning: &Beginning<'_>) {
        self.viewers.begin(beginning);
    }

    fn requests(&mut self, batches: Vec<Batch>) {
        self.viewers.requests(batches);
    }

    fn second(&mut self, moment: &Moment<'_>) {
        self.viewers.second(moment);
    }

    fn whole(&mut self, moment: WholeMoment) {
        self.viewers.whole(moment);
    }

    fn asks(&mut self) -> bool {
        self.viewers.asks()
    }

    fn so_far(&mut self, document: Document) {
        self.viewers.so_far(document);
    }

    fn said(&mut self, line: &str) {
        self.say(line);
    }
}

impl<'a> Watcher<'a> {
    pub(super) fn new(err: &'a mut dyn Write, quiet: bool, viewers: Viewers<'a>) -> Self {
        let mut watcher = Self { err, quiet, viewers, told: Vec::new() };
        watcher.viewers.told().iter().for_each(|line| watcher.say(line));
        watcher
    }

    /// Announces the first step to the page, with the results `so_far`.
    pub(super) fn first_step(&self, so_far: impl FnOnce() -> Sweep) {
        self.viewers.steps(so_far, &self.told);
    }

    /// Reports a completed step.
    pub(super) fn step_over(&mut self, line: String, so_far: impl FnOnce() -> Sweep) {
        self.told.push(line);
        self.viewers.steps(so_far, &self.told);
    }

    /// Ends the command: browsers get the report while the results are written.
    pub(super) fn report(self, found: impl FnOnce() -> Sweep) -> (&'a mut dyn Write, Viewers<'a>) {
        self.viewers.report_sweep(found);
        (self.err, self.viewers)
    }

    pub(super) fn say(&mut self, line: &str) {
        if !self.quiet {
            // The line is optional, so a failed write is ignored.
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// Prints the messages that belong to a step: changes of the key, and the reason if the
    /// server's metrics cannot be read.
    pub(super) fn say_of_step(&mut self, ready: &Ready) {
        ready.plan().credentials.keys.take_told().iter().for_each(|line| self.say(line));
        if let Some(why) = ready.no_server_metrics() {
            self.say(&format!("warning: {why}"));
        }
    }
}
