//! Makes a plan ready to run: finds its targets, finds or starts its server, and leaves out what
//! the server does not support.

use super::error::TrialError;
use super::server_under_test::{ServerRecord, ServerUnderTest};
use super::setup::Setup;
use super::signals::Stop;
use super::{endpoints, prefixes, reach, template, terms};
use crate::document::{Endpoint, TargetServer, Template};
use crate::plan::Plan;
use crate::units::plural;

/// A plan whose server is running, with everything that was learned of the server before the load.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(super) plan: Plan,
    pub(super) server: ServerUnderTest,
    /// The verdict on each endpoint, which was asked once.
    pub(super) endpoints: Vec<Endpoint>,
    /// Chat templates: the text that the server adds to prompts.
    pub(super) templates: Vec<Template>,
    pub(super) stop: Stop,
    pub(super) nofile: u64,
    /// Number of steps run so far.
    pub(super) steps: u64,
}

/// Finds the targets, finds or starts the server, and asks every endpoint once. If a signal
/// interrupts this, the result can only be used to report that nothing was measured.
pub(crate) fn prepare(plan: Plan, setup: &Setup, say: &mut dyn FnMut(&str)) -> Result<Ready, TrialError> {
    let redactor = plan.redactor();
    // Progress messages may quote a server or its build.
    let say = &mut |line: &str| say(&redactor.foreign_line(line.as_bytes()));
    let as_resolved = plan.clone();
    match find_and_ask(plan, setup, say) {
        Err(TrialError::Interrupted) => {
            say(&TrialError::Interrupted.to_string());
            let (server, endpoints, templates) = (ServerUnderTest::unknown(&as_resolved), Vec::new(), Vec::new());
            let (stop, nofile) = (setup.stop.clone(), setup.nofile);
            Ok(Ready { plan: as_resolved, server, endpoints, templates, stop, nofile, steps: 0 })
        }
        ready => ready.map_err(|error| error.redacted(&redactor)),
    }
}

fn find_and_ask(plan: Plan, setup: &Setup, say: &mut dyn FnMut(&str)) -> Result<Ready, TrialError> {
    let stop = &setup.stop;
    let plan = reach::with_addresses(plan, stop, say)?;
    reach::check_routes(&plan)?;
    let (mut plan, mut server) = ServerUnderTest::find_or_start(plan, say, stop)?;
    server.warm(&plan, stop, say)?;
    if plan.may_probe && !server.knows_its_terms {
        let (accepted, hints) = terms::accepted(plan, stop, say)?;
        plan = accepted;
        server.hints.extend(hints);
    }
    if !plan.endpoints.is_empty() {
        say(&format!("checking {} once", plural(plan.endpoints.len(), "endpoint")));
    }
    let all = endpoints::ask_each(&plan, &server.client_cores, stop)?;
    let plan = endpoints::without_skipped(plan, &all)?;
    let endpoints = endpoints::judged(&plan, all);
    let (plan, templates) =
        if plan.may_probe { template::learned(plan, &server.client_cores, stop, say)? } else { (plan, Vec::new()) };
    server.hints.extend(prefixes::hints(&plan));
    Ok(Ready { plan, server, endpoints, templates, stop: stop.clone(), nofile: setup.nofile, steps: 0 })
}

impl Ready {
    /// Returns the plan as it will run.
    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Asks the server for its last numbers, and stops it if it was started here.
    pub(crate) fn leave(self) -> ServerRecord {
        self.server.leave(&self.plan, &self.stop)
    }

    /// Leaves the server. Returns which server it was.
    pub(crate) fn target(self) -> TargetServer {
        let found = self.plan.found.clone();
        self.leave().target(found.as_ref())
    }
}
