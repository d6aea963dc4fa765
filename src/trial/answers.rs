//! `--debug-response`: the answers to the first requests of a test, before it is measured. Secrets are hidden.

use super::error::TrialError;
use super::prepare::Ready;
use crate::mix::{Request, Scenario};
use crate::net::Dialer;
use crate::units::Nanos;
use crate::watch::probe;
use std::io::Write;

/// Longest answer that is shown.
const MAX_SHOWN_BYTES: usize = 16 * 1024;
/// Longest wait for an answer that is shown.
const ANSWER_TIMEOUT: Nanos = Nanos::from_secs(10);

impl Ready {
    /// Sends the first `n` requests of the test and shows what comes back.
    pub(crate) fn show_answers(&self, n: u32, err: &mut dyn Write) -> Result<(), TrialError> {
        if n == 0 {
            return Ok(());
        }
        let plan = self.plan();
        let redactor = plan.redactor();
        let dialer = Dialer::new(plan.targets(), &plan.access, 0, n as usize)?;
        let scenario = Scenario::new(&plan.mix, &plan.envelopes(), plan.seed);
        let targets = 1 + plan.access.more_targets.len() as u32;
        let mut request = Request::default();
        for i in 0..n {
            let target = (i % targets) as u16;
            scenario.write(target, 0, u64::from(i), &mut request);
            let kind = plan.mix.kinds.get(usize::from(request.kind)).map_or("", |kind| kind.name.as_str());
            writeln!(err, "# answer {} of {n}, to {kind}", i + 1)?;
            match probe::raw(&dialer.endpoint(usize::from(target)), &request.bytes, MAX_SHOWN_BYTES, ANSWER_TIMEOUT) {
                Ok(answer) => {
                    let cut = if answer.len() >= MAX_SHOWN_BYTES { " [cut]" } else { "" };
                    writeln!(err, "{}{cut}\n", redactor.foreign(&answer))?;
                }
                Err(error) => writeln!(err, "none: {}\n", redactor.foreign_line(error.to_string().as_bytes()))?,
            }
        }
        Ok(err.flush()?)
    }
}
