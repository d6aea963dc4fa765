//! Bytes → events: heads, chunked framing and event streams, as they come off a socket.

mod recorded;
#[path = "recorded/run.rs"]
mod run;

use criterion::{BenchmarkId, Criterion, Throughput};
use llmsim_blast::wire::{chunked, sse};
use recorded::Decoders;
use std::hint::black_box;

/// The head and the body of a plain response. The body is not interpreted.
fn plain(criterion: &mut Criterion) {
    let reads = [recorded::plain_answer()];
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: reads[0].len() as u64 });
    let mut decoders = Decoders::default();
    group.bench_function("plain_answer", |b| b.iter(|| decoders.decode(&reads, false, None)));
    group.finish();
}

/// The framing alone.
fn framing(criterion: &mut Criterion) {
    let stream = recorded::llmsim(100);
    let body = stream.chunked();
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::ElementsAndBytes { elements: stream.count(), bytes: body.len() as u64 });
    group.bench_function("chunked", |b| {
        b.iter(|| {
            let mut decoder = chunked::Decoder::default();
            let mut input: &[u8] = black_box(&body);
            while let Some(Ok(chunked::Piece::Data(data))) = decoder.next(&mut input) {
                black_box(data);
            }
        });
    });
    group.finish();
}

/// Event streams, framing removed.
fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/sse");
    for stream in recorded::streams() {
        group.throughput(Throughput::ElementsAndBytes { elements: stream.count(), bytes: stream.body.len() as u64 });
        let mut decoder = sse::Decoder::default();
        group.bench_function(BenchmarkId::from_parameter(&stream.name), |b| {
            b.iter(|| {
                decoder.reset();
                recorded::read_events(&mut decoder, black_box(&stream.body), &mut |event| {
                    black_box(event.data);
                })
            });
        });
    }
    group.finish();
}

/// Head, framing and events together, in one read and in one read for each event.
fn responses(criterion: &mut Criterion) {
    for (name, cut) in [
        ("wire/one_read", recorded::Stream::one_read as fn(&recorded::Stream) -> Vec<Vec<u8>>),
        ("wire/event_a_read", recorded::Stream::event_a_read),
    ] {
        let mut group = criterion.benchmark_group(name);
        for stream in recorded::streams() {
            let reads = cut(&stream);
            let bytes = reads.iter().map(Vec::len).sum::<usize>() as u64;
            group.throughput(Throughput::ElementsAndBytes { elements: stream.count(), bytes });
            let mut decoders = Decoders::default();
            group.bench_function(BenchmarkId::from_parameter(&stream.name), |b| {
                b.iter(|| decoders.decode(&reads, true, None));
            });
        }
        group.finish();
    }
}

fn main() {
    run::run(&[plain, framing, events, responses]);
}
