//! What a run alone and a shard that meets others have in common: from a server that is ready to a
//! document, and from results that are written to an exit code.

use super::requests::Written;
use super::viewers::Viewers;
use crate::document::Document;
use crate::exit::ExitClass;
use crate::plan::Presentation;
use crate::trial::{Meeting, Ready, Stop, TrialError};
use std::io::Write;

/// Measures, and says what became of the file of requests, if there is one.
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

/// Waits for viewers, and says how the command ends, whose results are written.
pub(super) fn finished(class: ExitClass, viewers: Viewers<'_>, stop: &Stop, err: &mut dyn Write) -> ExitClass {
    if let Some(lost) = viewers.finish() {
        // The result is whole without it. Nothing is left to do when even this cannot be written.
        let _ = writeln!(err, "warning: {lost}");
    }
    heeding(stop, class)
}

/// How a command ends whose results say `class`. A signal that comes while they are written cannot
/// change what they say, but it is no success.
pub(super) fn heeding(stop: &Stop, class: ExitClass) -> ExitClass {
    if stop.is_signalled() { class.or(ExitClass::Interrupted) } else { class }
}
