//! All viewers of a run: the display, the live page, Prometheus, and the file of requests.

use super::error::CommandError;
use super::requests::{Requests, Written};
use crate::document::{Document, Sweep};
use crate::live::Progress;
use crate::metrics::Batch;
use crate::plan::{Plan, Presentation, RequestsFile};
#[cfg(feature = "web")]
use crate::prometheus;
use crate::redact::Redactor;
use crate::trial::{self, Beginning, Moment, WholeMoment};
#[cfg(feature = "web")]
use crate::web;
use std::sync::Arc;

/// All viewers of a run.
pub(super) struct Viewers<'a> {
    progress: Option<Progress>,
    requests: Option<Requests>,
    away: Away<'a>,
}

impl<'a> Viewers<'a> {
    /// Opens the requested viewers. The page's port is taken here, before anything is sent. Secrets
    /// known to `redactor` are hidden in messages about the places that are written to.
    pub(super) fn open(presentation: &'a Presentation, redactor: &Redactor) -> Result<Self, CommandError> {
        Ok(Self { progress: None, requests: None, away: Away::open(presentation, redactor)? })
    }

    /// Returns how many file descriptors the viewers may need beside those of the load.
    pub(super) fn descriptors(&self) -> u64 {
        self.away.descriptors()
    }

    /// Returns a line for the user about the viewers.
    pub(super) fn told(&self) -> Option<String> {
        self.away.told()
    }

    pub(super) fn show_on(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    /// Starts to record each request of the plan, if that was requested.
    pub(super) fn record(&mut self, file: Option<&RequestsFile>, plan: &Plan) -> Result<(), CommandError> {
        self.requests = file.map(|file| Requests::open(file, plan)).transpose()?;
        Ok(())
    }

    /// Ends the record of requests: waits for the last lines.
    pub(super) fn close_requests(&mut self) -> Option<Written> {
        self.requests.take().map(Requests::close)
    }

    pub(super) fn message(&self, line: &str) {
        if let Some(progress) = &self.progress {
            progress.message(line);
        }
    }

    /// Ends the run: clears the display, and gives browsers the report while the results are
    /// written.
    pub(super) fn report(&mut self, document: &Document) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        self.away.report(document);
    }

    /// Shows the completed steps of a sweep, one line each, and the results so far.
    pub(super) fn steps(&self, so_far: impl FnOnce() -> Sweep, told: &[String]) {
        self.away.steps(so_far, told);
    }

    /// Shows the report of a completed sweep.
    pub(super) fn report_sweep(&self, found: impl FnOnce() -> Sweep) {
        self.away.report_sweep(found);
    }

    /// Waits, but not long, until the viewers have received everything. Returns a line about what
    /// was lost.
    pub(super) fn finish(self) -> Option<String> {
        self.away.finish()
    }
}

impl trial::Viewers for Viewers<'_> {
    fn begin(&mut self, beginning: &Beginning<'_>) {
        if let Some(requests) = &mut self.requests {
            requests.begin(beginning.own.outline.started_at_ms);
        }
        self.away.begin(beginning);
    }

    fn requests(&mut self, batches: Vec<Batch>) {
        if let Some(requests) = &mut self.requests {
            requests.take(batches);
        }
    }

    fn second(&mut self, moment: &Moment<'_>) {
        if let Some(progress) = self.progress.as_ref().filter(|_| moment.is_all) {
            progress.show(Arc::clone(&moment.snapshot));
        }
        self.away.second(moment);
    }

    fn whole(&mut self, moment: WholeMoment) {
        self.away.whole(&moment);
        if let Some(progress) = &self.progress {
            progress.show(moment.snapshot);
        }
    }

    fn asks(&mut self) -> bool {
        self.away.asks()
    }

    fn so_far(&mut self, document: Document) {
        self.away.so_far(document);
    }

    fn said(&mut self, line: &str) {
        self.message(line);
    }
}

/// Viewers in other processes: browsers and Prometheus.
#[cfg(feature = "web")]
struct Away<'a> {
    presentation: &'a Presentation,
    page: Option<web::Page>,
    push: Option<prometheus::Push>,
}

#[cfg(feature = "web")]
impl<'a> Away<'a> {
    fn open(presentation: &'a Presentation, redactor: &Redactor) -> Result<Self, CommandError> {
        let page = presentation.web.as_ref().map(|place| {
            web::Page::open(place.addr, place.token()).map_err(|source| CommandError::Web { addr: place.addr, source })
        });
        let push = presentation.prometheus.as_ref().map(|write| {
            let authorization = match write.secrets() {
                (Some(token), _) => Some(prometheus::Authorization::Bearer(token.to_owned())),
                (None, pair) => pair.map(|pair| prometheus::Authorization::Basic(pair.to_owned())),
            };
            let (target, tls) = (write.target.clone(), write.tls.clone());
            let receiving = prometheus::Receiving { target, tls, authorization, redactor: redactor.clone() };
            prometheus::Push::open(receiving)
                .map_err(|source| CommandError::Push { url: redactor.own(&write.target.url), source })
        });
        Ok(Self { presentation, page: page.transpose()?, push: push.transpose()? })
    }

    fn descriptors(&self) -> u64 {
        let page = if self.page.is_some() { web::MAX_CONNECTIONS } else { 0 };
        page + u64::from(self.push.is_some())
    }

    fn told(&self) -> Option<String> {
        self.page.as_ref().map(|page| format!("live page: {}", page.url()))
    }

    fn begin(&self, beginning: &Beginning<'_>) {
        let Beginning { own, shown, worker_cores, opening } = *beginning;
        if let Some(page) = &self.page {
            page.begin(shown.clone(), opening(self.presentation), worker_cores);
        }
        if let Some(push) = &self.push {
            push.begin(own.clone(), worker_cores);
        }
    }

    /// The page of shard 0 shows the whole. Each shard writes its own samples, and Prometheus adds
    /// them up.
    fn second(&self, moment: &Moment<'_>) {
        if let Some(page) = self.page.as_ref().filter(|_| moment.is_all) {
            page.second(&moment.snapshot, moment.interval);
            if page.asks() {
                page.so_far((moment.so_far)(self.presentation));
            }
        }
        if let Some(push) = &self.push {
            push.second(&moment.snapshot, moment.interval);
        }
    }

    fn whole(&self, moment: &WholeMoment) {
        if let (Some(page), Some(interval)) = (&self.page, &moment.interval) {
            page.second(&moment.snapshot, interval);
        }
    }

    fn asks(&self) -> bool {
        self.page.as_ref().is_some_and(web::Page::asks)
    }

    fn so_far(&self, document: Document) {
        if let Some(page) = &self.page {
            page.so_far(document);
        }
    }

    fn report(&self, document: &Document) {
        if let Some(page) = &self.page {
            page.report(document.clone());
        }
    }

    fn steps(&self, so_far: impl FnOnce() -> Sweep, told: &[String]) {
        if let Some(page) = &self.page {
            page.steps(so_far().so_far(), told.to_vec());
        }
    }

    fn report_sweep(&self, found: impl FnOnce() -> Sweep) {
        if let Some(page) = &self.page {
            page.report_sweep(found());
        }
    }

    fn finish(self) -> Option<String> {
        let lost = self.push.and_then(prometheus::Push::finish);
        if let Some(page) = self.page {
            page.finish();
        }
        lost
    }
}

/// Without the feature, there are no viewers in other processes.
#[cfg(not(feature = "web"))]
struct Away<'a>(std::marker::PhantomData<&'a Presentation>);

#[cfg(not(feature = "web"))]
#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
impl<'a> Away<'a> {
    fn open(_: &'a Presentation, _: &Redactor) -> Result<Self, CommandError> {
        Ok(Self(std::marker::PhantomData))
    }

    fn descriptors(&self) -> u64 {
        0
    }

    fn told(&self) -> Option<String> {
        None
    }

    fn begin(&self, beginning: &Beginning<'_>) {
        let _ = (beginning.shown, beginning.worker_cores, beginning.opening);
    }

    fn second(&self, moment: &Moment<'_>) {
        let _ = (moment.interval, moment.so_far);
    }

    fn whole(&self, moment: &WholeMoment) {
        let _ = &moment.interval;
    }

    fn asks(&self) -> bool {
        false
    }

    fn so_far(&self, _: Document) {}

    fn report(&self, _: &Document) {}

    fn steps(&self, _: impl FnOnce() -> Sweep, _: &[String]) {}

    fn report_sweep(&self, _: impl FnOnce() -> Sweep) {}

    fn finish(self) -> Option<String> {
        None
    }
}
