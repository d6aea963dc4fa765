//! Results so far of all shards, kept at shard 0 for viewers who ask for them.

use crate::document::Document;
use crate::document::merge::Merge;
use crate::metrics::Second;
use std::collections::{BTreeMap, BTreeSet};

/// The results so far of all shards.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// The seconds of all shards together. They arrive one by one, since results so far do not
    /// contain them.
    series: Vec<Second>,
    /// The latest document of each shard.
    documents: BTreeMap<u32, Document>,
    /// Shards whose load is over. Their latest document stays valid.
    ended: BTreeSet<u32>,
    /// True if a viewer waits for the whole.
    is_asked: bool,
}

impl Whole {
    /// Adds a second of all shards.
    pub(super) fn second(&mut self, second: &Second) {
        self.series.push(second.clone());
    }

    /// Marks the load of a shard as over.
    pub(super) fn end(&mut self, shard: u32) {
        self.ended.insert(shard);
    }

    /// Begins a request for the whole so far. Only documents sent from now on count, except those
    /// of ended shards.
    pub(super) fn ask(&mut self) {
        self.is_asked = true;
        self.documents.retain(|shard, _| self.ended.contains(shard));
    }

    /// Takes the result so far of a shard. If a viewer waits and this is the last of `count`,
    /// returns all of them merged. The error says why the results do not belong to one test.
    pub(super) fn take(
        &mut self,
        shard: u32,
        text: &[u8],
        (count, fail_on_invalid): (u32, bool),
    ) -> Result<Option<Document>, String> {
        let told = |problem: String| format!("the result so far of shard {shard} is not shown: {problem}");
        let text = std::str::from_utf8(text).map_err(|error| told(error.to_string()))?;
        self.documents.insert(shard, Document::from_json(text).map_err(|error| told(error.to_string()))?);
        if !self.is_asked || self.documents.len() < count as usize {
            return Ok(None);
        }
        self.is_asked = false;
        self.merged(fail_on_invalid).map(Some).map_err(told)
    }

    fn merged(&self, fail_on_invalid: bool) -> Result<Document, String> {
        let mut merge = Merge::default();
        for (place, (shard, document)) in self.documents.iter().enumerate() {
            // One document brings the seconds of all shards.
            let series = if place == 0 { self.series.clone() } else { Vec::new() };
            let document = Document { series, ..document.clone() };
            merge.add(&format!("shard {shard}"), document).map_err(|error| error.to_string())?;
        }
        merge.finish(false, fail_on_invalid).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::{busy_tally, document};
    use crate::document::{Measured, Shard};

    /// Returns the result so far of one of two shards.
    fn of(shard: u32) -> Vec<u8> {
        let mut document = document(&busy_tally(), &[], false);
        document.run.id = format!("run-{shard}");
        document.run.shard = Some(Shard { index: shard, count: 2, source: "--shard".to_owned(), held: vec![shard] });
        document.series.clear();
        document.to_json().into_bytes()
    }

    fn requests(document: &Document) -> u64 {
        let Some(Measured::Counter(counter)) = document.metrics.get("http_reqs") else { panic!("counted") };
        counter.count
    }

    #[test]
    fn the_whole_is_there_once_every_shard_has_sent_its_part() {
        let mut whole = Whole::default();
        let take = |whole: &mut Whole, shard| whole.take(shard, &of(shard), (2, false));
        assert_eq!(take(&mut whole, 1), Ok(None), "its load is over");
        whole.end(1);
        assert_eq!(take(&mut whole, 0), Ok(None), "nobody asks");
        whole.ask();
        let second = Second::new(0, &busy_tally(), &[]);
        whole.second(&second);
        let seen = take(&mut whole, 0).expect("sound").expect("all have sent it");
        let one = Document::from_json(std::str::from_utf8(&of(0)).expect("text")).expect("a document");
        assert_eq!(requests(&seen), 2 * requests(&one));
        assert_eq!((seen.run.shard, seen.series.len()), (None, 1));
        whole.ask();
        assert_eq!(whole.documents.keys().copied().collect::<Vec<_>>(), [1], "shard 0 has more by now");
        let error = whole.take(0, b"{}", (2, false)).unwrap_err();
        assert!(error.starts_with("the result so far of shard 0 is not shown: "), "{error}");
    }
}
