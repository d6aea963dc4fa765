//! What a run comes to, as an exit code.

use crate::document::{ClientVerdict, Conclusion, Document};
use crate::exit::ExitClass;
use crate::plan::Presentation;

/// What the run comes to as a number.
pub(super) fn of_run(document: &Document, presentation: &Presentation) -> ExitClass {
    let invalid = presentation.fail_on_invalid && document.client.verdict == ClientVerdict::Bottleneck;
    match document.conclusion() {
        Conclusion::Pass if invalid => ExitClass::Invalid,
        Conclusion::Pass => ExitClass::Success,
        Conclusion::Fail => ExitClass::ThresholdFailed,
        Conclusion::Interrupted => ExitClass::Interrupted,
        Conclusion::NoData | Conclusion::ServerDied => ExitClass::NoData,
    }
}
