//! The page's state of the run, and its connected browsers.

use super::Item;
use crate::document::{Document, Sweep};
use crate::live::Snapshot;
use crate::metrics::{Rate, Tally, Trend};
use crate::prometheus::{Counts, Exposition};
use crate::report::html;
use crate::report::html::live::{self, Now};
use crate::units::Nanos;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Most events that a browser may be behind before it gets everything again.
const MAX_BEHIND: usize = 16;
/// Most browsers at once.
const MAX_BROWSERS: usize = 64;
/// Most seconds that a browser gets when it connects. The finished report has all of them.
const MAX_SECONDS: usize = 3_600;
/// The oldest seconds are dropped in groups of this size.
const DROPPED_TOGETHER: usize = 60;
/// Trends whose distributions are drawn.
const DISTRIBUTIONS: [Trend; 3] = [Trend::Ttft, Trend::Tbt, Trend::HttpReqDuration];

/// An event of the stream.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) data: Arc<str>,
}

/// A connected browser.
struct Browser {
    events: Sender<Event>,
    /// True if the browser has missed events and must get everything again.
    is_behind: bool,
}

/// The page's state of the run.
pub(super) struct Hub {
    /// The plan, and the seconds so far.
    seen: Option<Seen>,
    browsers: Vec<Browser>,
    /// The latest document.
    document: Option<Arc<str>>,
    /// The steps of a sweep, if there is one.
    steps: Option<Steps>,
    /// True if no more events will come.
    finished: bool,
}

/// The finished steps of a sweep.
struct Steps {
    so_far: Sweep,
    /// The steps as an event for browsers.
    event: Event,
}

struct Seen {
    /// The opening document with the seconds so far.
    doc: Document,
    counts: Counts,
    last: Snapshot,
    /// Data of the event with everything so far. It is made on demand.
    all: Option<Arc<str>>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self { seen: None, browsers: Vec::new(), document: None, steps: None, finished: false }
    }

    pub(super) fn take(&mut self, item: Item) {
        match item {
            Item::Begin { first, opening, .. } => {
                let counts = Counts::new(Arc::clone(&first.outline));
                self.seen = Some(Seen { doc: *opening, counts, last: *first, all: None });
                self.tell_all();
            }
            Item::Second { snapshot, interval } => self.second(&snapshot, &interval),
            // During a sweep the document is that of its steps.
            Item::SoFar(_) if self.steps.is_some() => {}
            Item::SoFar(document) => self.document = Some(document.to_json().into()),
            Item::Report(document) => self.report(document.to_json(), &|| html::of_run(&document)),
            Item::Steps { so_far, told } => self.steps(so_far, &told),
            Item::SweepReport(found) => self.report(found.to_json(), &|| html::of_sweep(&found)),
        }
    }

    fn second(&mut self, snapshot: &Snapshot, interval: &Tally) {
        let Some(seen) = &mut self.seen else { return };
        seen.add(snapshot, interval);
        self.browsers.retain(|browser| !browser.events.is_closed());
        if self.browsers.is_empty() {
            return;
        }
        let event = Event { name: "second", data: seen.last_second() };
        for browser in self.browsers.iter_mut().filter(|browser| !browser.is_behind) {
            browser.is_behind = !browser.send(event.clone());
        }
        // A browser that reads again gets everything.
        if self.browsers.iter().any(Browser::may_catch_up) {
            let event = Event { name: "all", data: seen.everything() };
            for browser in self.browsers.iter_mut().filter(|browser| browser.may_catch_up()) {
                browser.is_behind = !browser.send(event.clone()) || !browser.send_steps(self.steps.as_ref());
            }
        }
    }

    fn tell_all(&mut self) {
        let Some(seen) = &mut self.seen else { return };
        let event = Event { name: "all", data: seen.everything() };
        for browser in &mut self.browsers {
            browser.is_behind = !browser.send(event.clone());
        }
    }

    fn steps(&mut self, so_far: Sweep, told: &[String]) {
        self.document = Some(so_far.to_json().into());
        let event = Event { name: "steps", data: live::steps(&so_far, told).into() };
        for browser in self.browsers.iter_mut().filter(|browser| !browser.is_behind) {
            browser.is_behind = !browser.send(event.clone());
        }
        self.steps = Some(Steps { so_far, event });
    }

    fn report(&mut self, document: String, page: &dyn Fn() -> String) {
        self.finished = true;
        self.document = Some(document.into());
        if !self.browsers.is_empty() {
            let page = serde_json::Value::from(page()).to_string();
            self.say_goodbye(&Event { name: "report", data: page.into() });
        }
    }

    /// Ends the run. Browsers without a report are told that it is over.
    pub(super) fn end(&mut self) {
        if !self.finished {
            let why = serde_json::Value::from("The terminal says why.").to_string();
            self.say_goodbye(&Event { name: "end", data: why.into() });
        }
        self.finished = true;
    }

    fn say_goodbye(&mut self, event: &Event) {
        for browser in self.browsers.drain(..) {
            // A browser that does not read misses the event.
            browser.send(event.clone());
        }
    }

    /// Returns a browser's events from now on, beginning with everything so far. `None` if there
    /// are too many browsers or the run is over.
    pub(super) fn listen(&mut self) -> Option<Receiver<Event>> {
        self.browsers.retain(|browser| !browser.events.is_closed());
        if self.finished || self.browsers.len() >= MAX_BROWSERS {
            return None;
        }
        let (events, stream) = channel(MAX_BEHIND);
        let mut browser = Browser { events, is_behind: false };
        if let Some(seen) = &mut self.seen {
            browser.is_behind = !browser.send(Event { name: "all", data: seen.everything() });
        }
        browser.is_behind |= !browser.send_steps(self.steps.as_ref());
        self.browsers.push(browser);
        Some(stream)
    }

    /// Returns the page itself.
    pub(super) fn page(&self) -> Option<String> {
        let sweep = self.steps.as_ref().map(|steps| &steps.so_far);
        self.seen.as_ref().map(|seen| live::page(&seen.doc, sweep))
    }

    /// Returns the latest document.
    pub(super) fn document(&self) -> Option<Arc<str>> {
        self.document.clone()
    }

    /// Returns the metrics for a scrape.
    pub(super) fn exposition(&self) -> Exposition {
        Exposition::of(self.seen.as_ref().map(|seen| &seen.counts))
    }

    /// Returns true if the stored document is up to date.
    pub(super) const fn has_latest(&self) -> bool {
        self.finished || self.steps.is_some()
    }
}

impl Browser {
    /// Returns false if the browser's queue is full.
    fn send(&self, event: Event) -> bool {
        !matches!(self.events.try_send(event), Err(TrySendError::Full(_)))
    }

    /// Sends the steps of a sweep, if there is one.
    fn send_steps(&self, steps: Option<&Steps>) -> bool {
        steps.is_none_or(|steps| self.send(steps.event.clone()))
    }

    fn may_catch_up(&self) -> bool {
        self.is_behind && self.events.capacity() == MAX_BEHIND
    }
}

impl Seen {
    fn add(&mut self, snapshot: &Snapshot, interval: &Tally) {
        self.counts.add(snapshot, interval);
        if self.doc.series.len() >= MAX_SECONDS + DROPPED_TOGETHER {
            self.doc.series.drain(..DROPPED_TOGETHER);
        }
        self.doc.series.push(snapshot.second.clone());
        self.last = snapshot.clone();
        self.all = None;
    }

    fn now(&self) -> Now {
        let Snapshot { outline, elapsed, stage, totals, .. } = &self.last;
        let clock = match outline.length {
            // After the planned end the run only waits for the last responses.
            Some(length) => format!("{} of {length}", whole((*elapsed).min(length))),
            None => whole(*elapsed).to_string(),
        };
        Now {
            clock,
            stage: stage.clone().unwrap_or_else(|| "waiting for the last responses".to_owned()),
            failed: totals.rate(Rate::HttpReqFailed),
            times: DISTRIBUTIONS.map(|trend| (trend, self.counts.buckets(trend))).to_vec(),
        }
    }

    fn everything(&mut self) -> Arc<str> {
        if let Some(all) = &self.all {
            return Arc::clone(all);
        }
        let all: Arc<str> = live::frame(&self.doc, &self.now()).into();
        self.all = Some(Arc::clone(&all));
        all
    }

    fn last_second(&mut self) -> Arc<str> {
        let last = self.doc.series.last().cloned().into_iter().collect();
        let all = std::mem::replace(&mut self.doc.series, last);
        let frame = live::frame(&self.doc, &self.now()).into();
        self.doc.series = all;
        frame
    }
}

/// Rounds down to whole seconds.
fn whole(time: Nanos) -> Nanos {
    Nanos::from_secs(time.as_micros() / 1_000_000)
}
