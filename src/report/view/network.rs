//! The network path to the server: round trips and retransmits.

use super::{Block, Piece, Section};
use crate::document::measured::trend;
use crate::document::{Document, Network, Quantiles};
use crate::metrics::Trend;
use crate::report::human;
use crate::units::plural;

/// A shorter round trip, in ms, appears only in the details, because it is no relevant part of any
/// latency.
const LONG_MS: f64 = 1.0;

/// Returns one line if the path is a relevant part of the measured latency.
pub(super) fn fact(doc: &Document) -> Option<Block> {
    let network = doc.network.as_ref()?;
    let is_long = network.least_rtt.is_some_and(|least| least.p50 >= LONG_MS);
    let said = is_long.then(|| share(doc, network)).flatten();
    let again = (network.retransmitted > 0).then(|| format!("{} sent again", retransmits(network)));
    let text: Vec<String> = said.into_iter().chain(again.filter(|_| is_long)).collect();
    (!text.is_empty()).then(|| Block::Fact("network", vec![Piece::plain(text.join("; "))]))
}

pub(super) fn section(doc: &Document) -> Option<Section> {
    let network = doc.network.as_ref()?;
    let line = |name: &str, text: String| Block::Line(1, vec![Piece::plain(format!("{name:<23}")), Piece::plain(text)]);
    let times = |q: Quantiles| {
        let [p50, p95, p99] = [q.p50, q.p95, q.p99].map(human::time);
        format!("p50 {p50}, p95 {p95}, p99 {p99}")
    };
    let blocks = [
        network.least_rtt.map(|least| line("least round trip", times(least))),
        network.rtt.map(|rtt| line("round trip", format!("{}, with delayed ACKs", times(rtt)))),
        (network.segments > 0).then(|| line("sent again", retransmits(network))),
        share(doc, network).map(|text| line("of the latency", text)),
    ];
    let sample = if network.is_sample { ", a sample of them" } else { "" };
    let to = if network.to_proxy { " to the proxy" } else { "" };
    let connections = plural(network.connections, "connection");
    let note = format!("the kernel's view of {connections}{to}{sample}");
    Some(Section { title: "NETWORK", note, blocks: blocks.into_iter().flatten().collect() })
}

/// Formats the share: `TTFT p50 212ms, of it one round trip 38.0ms`.
fn share(doc: &Document, network: &Network) -> Option<String> {
    let (ttft, round_trip) = network.share(trend(&doc.metrics, Trend::Ttft).map(|ttft| ttft.p50))?;
    let to = if network.to_proxy { " to the proxy" } else { "" };
    Some(format!("TTFT p50 {}, of it one round trip{to} {}", human::time(ttft), human::time(round_trip)))
}

/// Formats the retransmits: `12 of 3,456 segments (0.35%)`.
fn retransmits(network: &Network) -> String {
    let share = network.retransmitted as f64 / network.segments.max(1) as f64;
    let all = plural(network.segments, "segment");
    format!("{} of {all} ({})", human::count(network.retransmitted), human::percent(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;

    fn with(least_ms: f64, retransmitted: u64) -> Document {
        let q = |ms| Some(Quantiles { p50: ms, p95: ms * 2.0, p99: ms * 3.0 });
        let (rtt, least_rtt) = (q(least_ms + 40.0), q(least_ms));
        let network = Network { rtt, least_rtt, connections: 8, segments: 1_000, retransmitted, ..Network::default() };
        Document { network: Some(network), ..all_sorts().remove(0).1 }
    }

    fn text(block: &Block) -> String {
        match block {
            Block::Fact(_, pieces) | Block::Line(_, pieces) => pieces.iter().map(|piece| piece.text.as_str()).collect(),
            _ => String::new(),
        }
    }

    #[test]
    fn a_way_that_matters_is_said_in_one_line() {
        let doc = with(2.0, 12);
        let ttft = human::time(trend(&doc.metrics, Trend::Ttft).expect("streams").p50);
        let said = text(&fact(&doc).expect("it is long"));
        assert_eq!(
            said,
            format!("TTFT p50 {ttft}, of it one round trip 2.00ms; 12 of 1000 segments (1.20%) sent again")
        );
        assert!(fact(&with(0.02, 12)).is_none() && fact(&with(1e9, 0)).is_none(), "no part of it, or no sense");
        assert!(fact(&all_sorts().remove(0).1).is_none() && section(&all_sorts().remove(0).1).is_none());
    }

    #[test]
    fn details_say_all_that_is_known() {
        let section = section(&with(0.02, 0)).expect("known");
        assert_eq!(section.note, "the kernel's view of 8 connections");
        let lines: Vec<String> = section.blocks.iter().map(text).collect();
        for (line, part) in lines.iter().zip(["p50 20.0µs", "p50 40.0ms", "0 of 1000 segments", "of it one round trip"])
        {
            assert!(line.contains(part), "{part} in {lines:?}");
        }
        let mut sampled = with(0.02, 0);
        let network = sampled.network.as_mut().expect("known");
        (network.is_sample, network.to_proxy, network.rtt, network.least_rtt) = (true, true, None, None);
        let section = super::section(&sampled).expect("known");
        assert!(section.note.ends_with("8 connections to the proxy, a sample of them") && section.blocks.len() == 1);
    }
}
