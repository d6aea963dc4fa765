//! `--debug-response`: shows responses to requests like those of a test before the test runs.
//! Secrets are hidden.

use super::error::TrialError;
use super::prepare::Ready;
use super::provenance::unix_seconds;
use super::reach::Targets;
use crate::mix::{Request, RequestWriter};
use crate::units::Nanos;
use crate::watch::probe;
use std::io::{self, Write};

/// Longest response that is shown. Longer ones are cut.
const MAX_SHOWN_BYTES: usize = 16 * 1024;
/// Longest wait for a response.
const ANSWER_TIMEOUT: Nanos = Nanos::from_secs(10);

impl Ready {
    /// Sends `n` requests like those of the test and shows the responses. A signal ends this. So
    /// does a reader that closes the pipe; the run continues without showing the remaining
    /// responses.
    pub(crate) fn show_answers(&self, n: u32, err: &mut dyn Write) -> Result<(), TrialError> {
        for i in 0..n {
            match self.show_answer(i, n, err) {
                // The responses so far have been shown. The run that follows reports the
                // interruption.
                Err(TrialError::Interrupted) => break,
                Err(TrialError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                shown => shown?,
            }
        }
        Ok(err.flush()?)
    }

    fn show_answer(&self, i: u32, n: u32, err: &mut dyn Write) -> Result<(), TrialError> {
        let plan = self.plan();
        let redactor = plan.redactor();
        let targets = Targets::of(plan);
        let target = (i % (1 + plan.access.more_targets.len() as u32)) as u16;
        let mut request = Request::default();
        // No VU of the test has this number, so that caches do not learn the measured requests.
        let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed).at_time(unix_seconds());
        let mut held = Vec::new();
        writer.fetch(u32::MAX, u64::from(i), &mut held)?;
        writer.write(target, u32::MAX, u64::from(i), None, &held, &mut request);
        let kind = plan.mix.kinds.get(usize::from(request.kind)).map_or("", |kind| kind.name.as_str());
        if self.stop().is_signalled() {
            return Err(TrialError::Interrupted);
        }
        writeln!(err, "# response {} of {n}, to {kind}", i + 1)?;
        let answer = self.stop().wait_for(move || {
            let dialer = targets.dialer(n as usize)?;
            let endpoint = dialer.endpoint(usize::from(target));
            Ok::<_, TrialError>(probe::raw(&endpoint, &request.bytes, MAX_SHOWN_BYTES, ANSWER_TIMEOUT))
        })??;
        match answer {
            Ok(answer) => {
                let cut = if answer.len() >= MAX_SHOWN_BYTES { " [cut]" } else { "" };
                writeln!(err, "{}{cut}\n", redactor.foreign(&answer))?;
            }
            Err(error) => writeln!(err, "none: {}\n", redactor.foreign_line(error.to_string().as_bytes()))?,
        }
        Ok(())
    }
}
