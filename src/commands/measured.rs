//! The parts shared by a single run and a shard that meets others: from a prepared server to a
//! document, and from written results to an exit code.

use super::requests::Written;
use super::viewers::Viewers;
use crate::document::Document;
use crate::exit::ExitClass;
use crate::plan::Presentation;
use crate::trial::{Meeting, Ready, Stop, TrialError};
use std::io::Write;

/// Measures, and returns the document and the outcome of the file of requests, if there is one.
pub(super) fn measured(
    ready: Ready,
    meeting: Option<&Meeting>,
    viewers: &mut Viewers<'_>,
    presentation: &Presentation,
) -> Result<(Document, Option<Written>), TrialError> {
    let concluded = ready.measure(meeting, viewers)?.conclude();
    let written = viewers.close_requests();
    let mut document = concluded.document(presentation);
    document.hints.extend(written.as_ref().and_then(Written::hint));
    Ok((document, written))
}

/// Waits for viewers after the results were written. Returns how the command ends.
pub(super) fn finished(class: ExitClass, viewers: Viewers<'_>, stop: &Stop, err: &mut dyn Write) -> ExitClass {
    if let Some(lost) = viewers.finish() {
        // The result is complete without it. If stderr fails, nothing more can be done.
        let _ = writeln!(err, "warning: {lost}");
    }
    heeding(stop, class)
}

/// Returns how a command ends whose results say `class`. A signal during the writing of results
/// cannot change their verdict, but the command does not succeed.
pub(super) fn heeding(stop: &Stop, class: ExitClass) -> ExitClass {
    if stop.is_signalled() { class.or(ExitClass::Interrupted) } else { class }
}
