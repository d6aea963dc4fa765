//! Events → tokens: interprets the events of a stream and the body of a response.

mod recorded;
#[path = "recorded/run.rs"]
mod run;

use criterion::{BenchmarkId, Criterion, Throughput};
use llmsim_blast::api::{Api, Reader};
use llmsim_blast::wire::sse;
use recorded::Decoders;
use std::hint::black_box;

/// The API of the bodies.
const API: Api = Api::OpenaiChat;

/// Interprets each event of each recorded stream, already cut out.
fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("api/read_event");
    for stream in recorded::streams() {
        let mut events: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let elements = stream.each(|event| events.push((event.name.to_vec(), event.data.to_vec())));
        let bytes = events.iter().map(|(_, data)| data.len()).sum::<usize>() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(BenchmarkId::from_parameter(&stream.name), |b| {
            b.iter(|| {
                for (name, data) in &events {
                    let _ = black_box(stream.api.read_event(black_box(&sse::Event { name, data })));
                }
            });
        });
    }
    group.finish();
}

/// The same for llmsim's streams of every API, with a reader that has seen them before.
fn learned(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("api/reader");
    for stream in recorded::long(100) {
        let mut events: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let elements = stream.each(|event| events.push((event.name.to_vec(), event.data.to_vec())));
        let bytes = events.iter().map(|(_, data)| data.len()).sum::<usize>() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        let mut reader = Reader::new(stream.api, false);
        group.bench_function(BenchmarkId::from_parameter(&stream.name), |b| {
            b.iter(|| {
                for (name, data) in &events {
                    let _ = black_box(reader.read_event(black_box(&sse::Event { name, data })));
                }
            });
        });
    }
    group.finish();
}

/// Interprets the body of a plain response, already cut out.
fn body(criterion: &mut Criterion) {
    let body = recorded::PLAIN_BODY.as_bytes();
    let mut group = criterion.benchmark_group("api");
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: body.len() as u64 });
    group.bench_function("read_body", |b| b.iter(|| API.read_body(black_box(body))));
    group.finish();
}

/// Measures everything between the socket and the stopwatch: head, framing, events and their
/// interpretation.
fn responses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("api/response");
    for stream in recorded::long(100) {
        for (name, reads) in [("one_read", stream.one_read()), ("event_a_read", stream.event_a_read())] {
            let bytes = reads.iter().map(Vec::len).sum::<usize>() as u64;
            group.throughput(Throughput::ElementsAndBytes { elements: stream.count(), bytes });
            let mut decoders = Decoders::default();
            let mut reader = Reader::new(stream.api, false);
            group.bench_function(BenchmarkId::new(name, &stream.name), |b| {
                b.iter(|| decoders.decode(&reads, true, Some(&mut reader)));
            });
        }
    }
    let reads = [recorded::plain_answer()];
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: reads[0].len() as u64 });
    let mut decoders = Decoders::default();
    let mut reader = Reader::new(API, false);
    group.bench_function("plain", |b| b.iter(|| decoders.decode(&reads, false, Some(&mut reader))));
    group.finish();
}

fn main() {
    run::run(&[events, learned, body, responses]);
}
