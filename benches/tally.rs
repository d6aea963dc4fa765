//! Samples → numbers: the work per event, per request, and once a second.

#[path = "recorded/run.rs"]
mod run;
#[path = "recorded/samples.rs"]
mod samples;

use criterion::{Criterion, Throughput};
use llmsim_blast::metrics::{Summary, Tally};
use llmsim_blast::units::Nanos;
use std::hint::black_box;

/// Measures the work per token event.
fn gap(criterion: &mut Criterion) {
    let gaps = samples::gaps();
    let mut tally = samples::second();
    let mut group = criterion.benchmark_group("tally");
    group.throughput(Throughput::Elements(gaps.len() as u64));
    group.bench_function("gap", |b| b.iter(|| gaps.iter().for_each(|gap| tally.gap(0, 0, black_box(*gap)))));
    group.finish();
}

/// Measures the work per request.
fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tally/record");
    group.throughput(Throughput::Elements(1));
    for (name, sample) in [("plain", samples::plain()), ("stream", samples::stream())] {
        let mut tally = samples::second();
        group.bench_function(name, |b| b.iter(|| tally.record(black_box(&sample))));
    }
    group.finish();
}

/// Measures the work once a second for each worker: a tally is added to the others of its second,
/// the second is added to the run, and the tally is cleared.
fn add(criterion: &mut Criterion) {
    let second = samples::second();
    let mut group = criterion.benchmark_group("tally");
    group.throughput(Throughput::Elements(1));
    let mut sum = Tally::new(2);
    group.bench_function("add", |b| b.iter(|| sum += black_box(&second)));
    let mut run = Tally::new(2);
    group.bench_function("append", |b| b.iter(|| run.append(black_box(&second))));
    let mut emptied = samples::second();
    group.bench_function("clear", |b| b.iter(|| emptied.clear()));
    group.finish();
}

/// Measures the work once at the end.
fn summary(criterion: &mut Criterion) {
    let second = samples::second();
    let kinds = ["chat-stream".to_owned(), "chat-plain".to_owned()];
    let mut group = criterion.benchmark_group("tally");
    group.throughput(Throughput::Elements(1));
    group.bench_function("summary", |b| b.iter(|| Summary::new(black_box(&second), &kinds, Nanos::from_secs(1))));
    group.finish();
}

fn main() {
    run::run(&[gap, record, add, summary]);
}
