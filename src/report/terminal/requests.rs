//! Kind by kind: requests, and the tokens of those that stream.

use super::{Page, Tone, cut, human, rate, trend};
use crate::document::Measured;
use crate::metrics::{Rate, Trend};
use std::collections::BTreeMap;

/// Columns of a kind's name; longer ones are cut.
const KIND_COLUMNS: usize = 26;

/// The numbers of each kind, by name.
type Kinds = BTreeMap<String, BTreeMap<String, Measured>>;

pub(crate) fn requests(page: &mut Page, kinds: &Kinds) {
    if kinds.is_empty() {
        return;
    }
    page.heading("REQUESTS", "p50, p95 and p99 of http_req_duration");
    let line = |name: &str, columns: [&str; 5]| {
        let name = cut(name, KIND_COLUMNS);
        let columns = columns.map(|column| format!("{column:>9}")).concat();
        format!("  {name:<KIND_COLUMNS$}{columns}")
    };
    page.line(&[(Tone::Faint, &line("", ["count", "failed", "p50", "p95", "p99"]))]);
    for (name, numbers) in kinds {
        let (failed, all) = rate(numbers, Rate::HttpReqFailed).map_or((0, 0), |r| (r.matches, r.total));
        let (all, failed) = (human::count(all), human::count(failed));
        let [p50, p95, p99] = times(numbers, Trend::HttpReqDuration);
        page.plain(&line(name, [&all, &failed, &p50, &p95, &p99]));
    }
    streams(page, kinds);
}

/// Time to first token and between tokens, of the kinds that have any.
fn streams(page: &mut Page, kinds: &Kinds) {
    let streams: Vec<_> = kinds.iter().filter(|(_, numbers)| trend(numbers, Trend::Ttft).is_some()).collect();
    if streams.is_empty() {
        return;
    }
    page.heading("STREAMS", "p50, p95 and p99 of ttft, then of tbt");
    let line = |name: &str, ttft: [&str; 3], tbt: [&str; 3]| {
        let name = cut(name, KIND_COLUMNS);
        let columns = |columns: [&str; 3]| columns.map(|column| format!("{column:>8}")).concat();
        format!("  {name:<KIND_COLUMNS$}{} {}", columns(ttft), columns(tbt))
    };
    page.line(&[(Tone::Faint, &line("", ["ttft p50", "p95", "p99"], ["tbt p50", "p95", "p99"]))]);
    for (name, numbers) in streams {
        let (ttft, tbt) = (times(numbers, Trend::Ttft), times(numbers, Trend::Tbt));
        page.plain(&line(name, ttft.each_ref().map(String::as_str), tbt.each_ref().map(String::as_str)));
    }
}

fn times(numbers: &BTreeMap<String, Measured>, of: Trend) -> [String; 3] {
    trend(numbers, of)
        .map_or_else(|| std::array::from_fn(|_| "-".to_owned()), |t| [t.p50, t.p95, t.p99].map(human::time))
}
