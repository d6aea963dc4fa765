//! Everyone who watches a run: the display, and the live page.

use super::error::CommandError;
use crate::document::Document;
use crate::live::{Progress, Snapshot};
use crate::plan::Presentation;
use crate::trial::{self, DocumentSoFar, Moment};
#[cfg(feature = "web")]
use crate::web;

/// Everyone who watches a run.
pub(super) struct Viewers<'a> {
    presentation: &'a Presentation,
    progress: Option<Progress>,
    #[cfg(feature = "web")]
    page: Option<web::Page>,
}

impl<'a> Viewers<'a> {
    /// Opens what was asked for. The port of the page is taken here, before anything is sent.
    pub(super) fn open(presentation: &'a Presentation) -> Result<Self, CommandError> {
        #[cfg(feature = "web")]
        let page = presentation.web.as_ref().map(|place| {
            web::Page::open(place.addr, place.token()).map_err(|source| CommandError::Web { addr: place.addr, source })
        });
        Ok(Self {
            presentation,
            progress: None,
            #[cfg(feature = "web")]
            page: page.transpose()?,
        })
    }

    /// File descriptors that they may need beside those of the load.
    pub(super) fn descriptors(&self) -> u64 {
        #[cfg(feature = "web")]
        if self.page.is_some() {
            return web::MAX_CONNECTIONS;
        }
        0
    }

    /// What the user is to know of them.
    pub(super) fn told(&self) -> Option<String> {
        #[cfg(feature = "web")]
        if let Some(page) = &self.page {
            return Some(format!("live page: {}", page.url()));
        }
        None
    }

    pub(super) fn show_on(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    pub(super) fn message(&self, line: &str) {
        if let Some(progress) = &self.progress {
            progress.message(line);
        }
    }

    /// The run is over: the display is cleared, and browsers get the report while the results are
    /// written.
    pub(super) fn report(&mut self, document: &Document) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        #[cfg(feature = "web")]
        if let Some(page) = &self.page {
            page.report(document.clone());
        }
        #[cfg(not(feature = "web"))]
        let _ = document;
    }

    /// Waits until everyone has what they were sent, but not long.
    pub(super) fn finish(self) {
        #[cfg(feature = "web")]
        if let Some(page) = self.page {
            page.finish();
        }
    }
}

impl trial::Viewers for Viewers<'_> {
    fn begin(&mut self, first: &Snapshot, worker_cores: &[usize], opening: DocumentSoFar<'_>) {
        #[cfg(feature = "web")]
        if let Some(page) = &self.page {
            page.begin(first.clone(), opening(self.presentation), worker_cores);
        }
        #[cfg(not(feature = "web"))]
        let _ = (first, worker_cores, opening, self.presentation);
    }

    fn second(&mut self, moment: &Moment<'_>) {
        if let Some(progress) = &self.progress {
            progress.show(std::sync::Arc::clone(&moment.snapshot));
        }
        #[cfg(feature = "web")]
        if let Some(page) = &self.page {
            page.second(&moment.snapshot, moment.interval, &|| (moment.so_far)(self.presentation));
        }
        #[cfg(not(feature = "web"))]
        let _ = (moment.interval, moment.so_far);
    }
}
