//! Rows whose bytes are not in memory: which row a request needs, and how it is read.

use super::RequestWriter;
use crate::dataset::Rows;
use std::io;

impl RequestWriter {
    /// Returns true if any request must fetch its row before it can be written.
    pub fn fetches(&self) -> bool {
        let weights = |i: usize| self.kinds.get(i).map_or(0, |kind| kind.weight_below);
        let is_drawn = |i: usize| weights(i) > i.checked_sub(1).map_or(0, weights);
        let spooled = |rows: &Rows| rows.spooled_bytes().is_some();
        (0..self.kinds.len()).any(|i| is_drawn(i) && self.kinds[i].prompt.rows().is_some_and(spooled))
    }

    /// Returns true if the request with this stream of draws and iteration must fetch its row.
    pub fn must_fetch(&self, draw_vu: u32, iteration: u64) -> bool {
        self.row_to_fetch(draw_vu, iteration).is_some()
    }

    /// Reads the row of this request, to be held while the request or its conversation is under
    /// way. If the row need not be fetched, `into` is empty afterwards.
    pub fn fetch(&self, draw_vu: u32, iteration: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        match self.row_to_fetch(draw_vu, iteration) {
            Some((rows, row)) => rows.fetch(row, into),
            None => Ok(()),
        }
    }

    fn row_to_fetch(&self, draw_vu: u32, iteration: u64) -> Option<(&Rows, usize)> {
        let draw = self.draw(draw_vu, iteration);
        let rows = self.kinds.get(draw.kind)?.prompt.rows()?;
        rows.must_be_fetched(draw.prompt).then_some((rows, draw.prompt))
    }

    /// Returns the bytes per row that are not in memory, for the kind of request with the most.
    pub fn mean_fetched(&self) -> u64 {
        let mean = |rows: &Rows| rows.spooled_bytes().unwrap_or_default() / rows.len().max(1) as u64;
        self.kinds.iter().filter_map(|kind| kind.prompt.rows()).map(mean).max().unwrap_or_default()
    }
}
