//! The numbers that Prometheus scrapes from a run, compared with the run's own document. Tests with
//! a real Prometheus are skipped if it is not installed.

#![cfg(all(feature = "embedded", feature = "web"))]

mod support;

use llmsim_blast::metrics::{Buckets, Distribution, Metric, MetricKind, Unit};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use support::{Bench, Prometheus, Running, SOON, count, document, eventually, free_port, get, now, promtool, start};

/// Starts a run with a live page, which runs until it is stopped.
fn scraped(json: &str, addr: &str, more: &[&str]) -> Running {
    let port = free_port().to_string();
    let args = ["load", "--duration", "10m", "--vus", "4", "--port", &port, "--web", addr, "--output", json];
    let running = start(&[args.as_slice(), more].concat(), &[]);
    running.wait_for_stderr("live page: ", SOON);
    running
}

/// Returns the values of a text by name and labels.
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
    let run = scraped(&json, &addr, &["--chaos"]);
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
    // Scrape as fast as the page responds, for some seconds and then to the end. Every counter and
    // every bucket only grows.
    let mut before: BTreeMap<String, f64> = BTreeMap::new();
    let mut changes = 0;
    loop {
        let reply = scrape("text/plain");
        if reply.status != 200 {
            break;
        }
        let now = values(&reply.body);
        for (name, value) in before.iter().filter(|(name, _)| is_cumulative(name)) {
            assert!(now.get(name).is_some_and(|now| now >= value), "{name}: {value} and then {:?}", now.get(name));
        }
        changes += u32::from(now != before);
        before = now;
        if changes == 5 {
            run.signal(Signal::SIGINT);
            changes += 1;
        }
    }
    assert!(changes > 5, "it ended after {changes} changes");
    let output = run.finish(LOOKED_AT);
    assert_eq!(output.code, Some(105), "{output:?}");
}

/// Longest life of a run whose end waits for scrapes.
const LOOKED_AT: Duration = Duration::from_secs(120);

/// Returns true if a value may only grow.
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
    let run = scraped(&json, &addr, &[]);
    eventually("some requests are scraped", || {
        let series = prometheus.query("llmsim_blast_http_reqs_total", now());
        series.iter().map(|series| series.value).sum::<f64>() >= 20.0
    });
    for metric in Metric::all().filter(|metric| metric.kind() == MetricKind::Trend) {
        let unit = if metric.unit() == Unit::Tokens { "" } else { "_seconds" };
        let name = format!("llmsim_blast_{}{unit}", metric.name());
        let known = prometheus.ask(&format!("/api/v1/metadata?metric={name}"));
        assert_eq!(known[&name][0]["type"], "histogram", "{name}: {known}");
    }
    run.signal(Signal::SIGINT);
    let output = run.finish(LOOKED_AT);
    assert_eq!(output.code, Some(105), "{output:?}");
    let doc = document(&json);
    let ended = now();
    let last = |expression: &str| prometheus.value(&format!("sum(last_over_time({expression}[1m]))"), ended);
    // The last scrape saw the end of a second, exactly as the document records it.
    let seconds = doc["series"].as_array().expect("seconds");
    let completed = |seconds: &[Value]| seconds.iter().filter_map(|s| s["http_reqs"].as_f64()).sum::<f64>();
    assert!((completed(seconds) - count(&doc, "http_reqs") as f64).abs() < 0.5, "no warm-up: {doc}");
    let seen = last("llmsim_blast_http_reqs_total");
    let scraped = (1..=seconds.len()).find(|&n| (completed(&seconds[..n]) - seen).abs() < 0.5);
    let scraped = &seconds[..scraped.unwrap_or_else(|| panic!("{seen} at the end of no second: {seconds:?}"))];
    for (name, q) in [("ttft", 0.99), ("tbt", 0.5)] {
        let bucket = format!("last_over_time(llmsim_blast_{name}_seconds_bucket[1m])");
        let theirs = prometheus.value(&format!("histogram_quantile({q}, sum by (le) ({bucket}))"), ended);
        let ours = kept(scraped, name).percentile_ms(q * 100.0) / 1e3;
        // Prometheus only knows the bucket. Neighbouring buckets differ by a factor of at most 2.5.
        assert!(theirs > ours / 2.6 && theirs < ours * 2.6, "{name} {q}: {theirs} and {ours}");
    }
    let up = prometheus.ask("/api/v1/targets")["activeTargets"][0]["lastError"].clone();
    assert!(up.as_str().is_some_and(|error| error.is_empty() || error.contains("refused")), "{up}");
}

/// Returns the times of these seconds, over all kinds of request.
fn kept(seconds: &[Value], name: &str) -> Distribution {
    let mut all = Buckets::default();
    for kind in seconds.iter().flat_map(|second| second["requests"].as_object().expect("kinds").values()) {
        if let Some(text) = kind["histograms"][name].as_str() {
            all.add(&Buckets::decode(text).expect("a histogram"));
        }
    }
    Distribution::of_buckets(&all)
}
