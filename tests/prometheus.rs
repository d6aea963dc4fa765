//! What Prometheus reads of a run, held against the run's own document. Tests with a real
//! Prometheus are skipped where there is none.

#![cfg(all(feature = "embedded", feature = "web"))]

mod support;

use llmsim_blast::metrics::{Metric, MetricKind};
use serde_json::Value;
use std::collections::BTreeMap;
use support::{Bench, Prometheus, Running, SOON, document, eventually, free_port, get, now, promtool, start};

/// A run with a page, for so long.
fn scraped(length: &str, json: &str, addr: &str, more: &[&str]) -> Running {
    let port = free_port().to_string();
    let args = ["load", "--duration", length, "--vus", "4", "--port", &port, "--web", addr, "--output", json];
    let running = start(&[args.as_slice(), more].concat(), &[]);
    running.wait_for_stderr("live page: ", SOON);
    running
}

/// The values of a text by name and labels.
fn values(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().expect(name)))
        .collect()
}

#[test]
fn a_scrape_has_every_metric_and_nothing_goes_backwards() {
    let bench = Bench::new();
    let (addr, json) = (format!("127.0.0.1:{}", free_port()), bench.path("r.json"));
    let run = scraped("4s", &json, &addr, &["--chaos"]);
    let scrape = |accept: &str| get(&addr, "/metrics", &[("Accept", accept)]);
    eventually("requests are counted", || scrape("").body.contains("_http_reqs_total{"));
    let plain = scrape("text/plain");
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", plain.head);
    let open = scrape("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
    for metric in Metric::all() {
        let name = format!("# TYPE llmsim_blast_{}", metric.name());
        assert!(plain.body.contains(&name) && open.body.contains(&name), "{name}");
    }
    if let Some((is_good, said)) = promtool(&plain.body, &bench.path("metrics.txt")) {
        assert!(is_good, "{said}");
    }
    // As fast as it answers: each counter and each bucket only grows.
    let mut before: BTreeMap<String, f64> = BTreeMap::new();
    let mut scrapes = 0;
    loop {
        let reply = scrape("text/plain");
        if reply.status != 200 {
            break;
        }
        let now = values(&reply.body);
        for (name, value) in before.iter().filter(|(name, _)| is_cumulative(name)) {
            assert!(now.get(name).is_some_and(|now| now >= value), "{name}: {value} and then {:?}", now.get(name));
        }
        (before, scrapes) = (now, scrapes + 1);
    }
    assert!(scrapes > 5, "{scrapes}");
    let output = run.finish(SOON);
    assert!(output.code.is_some_and(|code| [0, 99].contains(&code)), "{output:?}");
}

/// Whether a value may only grow.
fn is_cumulative(name: &str) -> bool {
    let name = name.split('{').next().unwrap_or_default();
    ["_total", "_bucket", "_count", "_sum"].iter().any(|ending| name.ends_with(ending))
}

#[test]
fn a_real_prometheus_has_the_counts_and_percentiles_of_the_document() {
    let addr = format!("127.0.0.1:{}", free_port());
    let Some(prometheus) = Prometheus::start(&[&addr]) else { return };
    let bench = Bench::new();
    let json = bench.path("r.json");
    // The last second is long gone when the last response comes, and a scrape sees it.
    let run = scraped("6s", &json, &addr, &[]);
    let mut events = 0;
    eventually("it is scraped", || {
        events = prometheus.query("llmsim_blast_http_reqs_total", now()).len();
        events > 0
    });
    let output = run.finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    let doc = document(&json);
    let ended = now();
    let last = |expression: &str| prometheus.value(&format!("sum(last_over_time({expression}[1m]))"), ended);
    // The end of the last second may fall between two scrapes.
    let total = count(&doc, "http_reqs");
    let seen = last("llmsim_blast_http_reqs_total");
    assert!(seen <= total && seen >= total * 0.6, "{seen} of {total}");
    for (name, quantile) in [("ttft", "p99"), ("tbt", "p50")] {
        let bucket = format!("last_over_time(llmsim_blast_{name}_seconds_bucket[1m])");
        let q = f64::from(quantile[1..].parse::<u8>().expect("a number")) / 100.0;
        let theirs = prometheus.value(&format!("histogram_quantile({q}, sum by (le) ({bucket}))"), ended);
        let ours = doc["metrics"][name][quantile].as_f64().expect(name) / 1e3;
        // Within a bucket, of which neighbours differ by 2.5 at most.
        assert!(theirs > ours / 2.6 && theirs < ours * 2.6, "{name} {quantile}: {theirs} and {ours}");
    }
    let up = prometheus.ask("/api/v1/targets")["activeTargets"][0]["lastError"].clone();
    assert!(up.as_str().is_some_and(|error| error.is_empty() || error.contains("refused")), "{up}");
    assert!(Metric::all().filter(|metric| metric.kind() == MetricKind::Trend).count() > 10);
}

fn count(doc: &Value, name: &str) -> f64 {
    doc["metrics"][name]["count"].as_f64().expect(name)
}
