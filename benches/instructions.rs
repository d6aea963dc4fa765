//! Repeats one piece of work a given number of times, and does nothing else.
//! `scripts/count-instructions.sh` runs it under callgrind.
//!
//! Instruction counts do not depend on the load of the machine. `cargo bench` leaves this bench
//! out.

mod recorded;
#[path = "recorded/samples.rs"]
mod samples;

use llmsim_blast::api::{Api, Reader};
use llmsim_blast::metrics::Tally;
use recorded::Decoders;
use std::hint::black_box;

/// The pieces of work: a name, and what one item is.
const WORKS: [(&str, &str); 8] = [
    ("gap", "token event recorded"),
    ("record-plain", "plain response recorded"),
    ("record-stream", "stream recorded"),
    ("add", "second of a worker added"),
    ("plain", "plain response decoded and understood"),
    ("burst", "event decoded and understood, 103 in one read"),
    ("stream", "event decoded and understood, one a read"),
    ("stream-wire", "event decoded only, one a read"),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let work = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|n| n.parse().ok());
    match (WORKS.iter().any(|(name, _)| *name == work), count) {
        (true, Some(count)) => repeat(&work, count),
        _ => list(),
    }
}

#[expect(clippy::print_stdout, reason = "the list is what the script reads")]
fn list() {
    for (name, item) in WORKS {
        println!("{name}\t{}\t{item}", items(name));
    }
}

/// Returns the number of items in one repetition.
fn items(work: &str) -> u64 {
    match work {
        "burst" | "stream" | "stream-wire" => recorded::llmsim(100).count(),
        _ => 1,
    }
}

fn repeat(work: &str, count: usize) {
    let stream = recorded::llmsim(100);
    let gaps = samples::gaps();
    match work {
        "gap" => {
            let mut tally = Tally::new(1);
            gaps.iter().cycle().take(count).for_each(|gap| tally.gap(0, 0, black_box(*gap)));
            black_box(&tally);
        }
        "record-plain" => record(&samples::plain(), count),
        "record-stream" => record(&samples::stream(), count),
        "add" => {
            let second = samples::second();
            let mut sum = Tally::new(2);
            (0..count).for_each(|_| sum += black_box(&second));
            black_box(&sum);
        }
        "plain" => decode(&[recorded::plain_answer()], false, Some(Api::OpenaiChat), count),
        "burst" => decode(&stream.one_read(), true, Some(Api::OpenaiChat), count),
        "stream" => decode(&stream.event_a_read(), true, Some(Api::OpenaiChat), count),
        _ => decode(&stream.event_a_read(), true, None, count),
    }
}

fn record(sample: &llmsim_blast::metrics::Sample, count: usize) {
    let mut tally = Tally::new(2);
    (0..count).for_each(|_| tally.record(black_box(sample)));
    black_box(&tally);
}

fn decode(reads: &[Vec<u8>], streamed: bool, api: Option<Api>, count: usize) {
    let mut decoders = Decoders::default();
    let mut reader = api.map(|api| Reader::new(api, false));
    (0..count).for_each(|_| decoders.decode(reads, streamed, reader.as_mut()));
}
