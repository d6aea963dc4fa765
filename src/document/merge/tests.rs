use super::*;
use crate::document::plan::section;
use crate::document::tests::{document, document_of, plan};
use crate::document::{Conclusion, Endpoint, EndpointVerdict, Second, Stage, Trending};
use crate::metrics::{Asked, Failure, Finish, Gauge, Outcome, Sample, Tally, TemplateTokens, TokenUsage};
use crate::plan::Plan;
use crate::units::Nanos;
use proptest::prelude::*;

/// Returns a request made of a few small numbers.
fn sample((kind, n, how, tokens): (u16, u64, u8, u32)) -> Sample {
    let sent = Nanos::from_micros(17 * n);
    let after = |micros| Some(sent + Nanos::from_micros(micros));
    let outcome = match how % 8 {
        0 => Outcome::Failed(Failure::ALL[(n % 28) as usize]),
        1 => Outcome::Interrupted,
        _ => Outcome::Success,
    };
    Sample {
        outcome,
        status: [0, 200, 429, 503][(how % 4) as usize],
        end: sent + Nanos(n * 999 + 1),
        first_byte: after(n),
        first_event: after(n + 1).filter(|_| kind == 0),
        first_token: after(n + 2).filter(|_| kind == 0),
        first_visible: after(n + 3).filter(|_| kind == 0),
        last_token: after(n + 4_000).filter(|_| kind == 0),
        ttft_censored: how == 7,
        ttfo_censored: how == 7,
        ttfe_censored: how == 7,
        tpot_censored: how == 7,
        unknown_gaps_within: how,
        gaps_censored: u32::from(how),
        longest_gap: (kind == 0).then(|| Nanos::from_micros(n / 3)),
        token_events: if kind == 0 { tokens } else { 0 },
        token_events_in_window: if kind == 0 { tokens / 2 } else { 0 },
        in_window: how % 3 != 0,
        usage: (how % 2 == 0).then_some(TokenUsage {
            input: tokens,
            output: tokens * 3,
            reasoning: tokens / 4,
            cached: tokens / 5,
            written: tokens / 7,
        }),
        asked: Asked { input: tokens + u32::from(how), prefix: tokens / 3, output: tokens * 3 },
        template: TemplateTokens::known(2),
        finish: [Some(Finish::Stop), Some(Finish::Length), None][usize::from(how % 3)],
        bytes_sent: 400,
        bytes_received: n,
        reused: n % 2 == 0,
        checks_held: how,
        check_failed: (how == 5).then_some("choices"),
        ..Sample::begun(kind, sent)
    }
}

/// Returns a second's tally of these requests.
fn tally(samples: &[(u16, u64, u8, u32)]) -> Tally {
    let mut tally = Tally::new(2);
    for &raw in samples {
        tally.record(&sample(raw));
        tally.gap(0, 0, Nanos(raw.1 * 71));
    }
    tally.connection_opened(Nanos::from_micros(samples.len() as u64));
    tally.level(Gauge::Vus, samples.len() as u64);
    tally
}

fn shard_of(document: Document, index: u32, count: u32) -> Document {
    let mut shard = document;
    shard.run.shard = Some(Shard { index, count, source: "--shard (flag)".to_owned(), held: vec![index] });
    shard.run.id = format!("run-{index}");
    shard.thresholds.clear();
    shard.plan = section(&Plan { shard: crate::plan::Shard::of_process(index, count), ..plan() });
    shard
}

/// Returns the document as it would be read from a file.
fn through_json(document: &Document) -> Document {
    Document::from_json(&document.to_json()).expect("a document reads what it wrote")
}

fn merged(parts: &[Document]) -> Document {
    let mut merge = Merge::default();
    for (i, part) in parts.iter().enumerate() {
        merge.add(&format!("s{i}.json"), through_json(part)).expect("one test");
    }
    merge.finish(false, false).expect("all shards")
}

/// Removes the percentiles. Those of a merged second are known to a bucket, those of a single run
/// also to the extremes, so they are compared by histogram only.
fn without_percentiles(mut series: Vec<Second>) -> Vec<Second> {
    for second in &mut series {
        (second.ttft, second.tbt, second.http_req_duration) = (None, None, None);
        second.client_cpu = 0.0;
        for kind in second.requests.values_mut() {
            (kind.ttft, kind.tbt, kind.http_req_duration) = (None, None, None);
        }
    }
    series
}

fn stages_without_percentiles(document: &Document) -> Vec<Stage> {
    let bare = |stage: &Stage| Stage { http_req_duration: None, ttft: None, ..stage.clone() };
    document.stages.iter().map(bare).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn merging_shards_is_the_run_of_one(
        samples in prop::collection::vec((0u16..2, 0u64..3_000_000, 0u8..9, 0u32..40), 0..60),
        count in 1u32..6,
    ) {
        let mut shards: Vec<Vec<_>> = vec![Vec::new(); count as usize];
        for (i, raw) in samples.iter().enumerate() {
            shards[i % count as usize].push(*raw);
        }
        let mut whole = tally(&shards[0]);
        shards[1..].iter().for_each(|shard| whole += &tally(shard));
        let one = document_of(&[whole]);
        let parts: Vec<_> =
            shards.iter().zip(0..).map(|(s, i)| shard_of(document_of(&[tally(s)]), i, count)).collect();
        let all = merged(&parts);
        prop_assert_eq!(&all.metrics, &one.metrics);
        prop_assert_eq!(&all.requests, &one.requests);
        prop_assert_eq!(&all.failures, &one.failures);
        prop_assert_eq!(stages_without_percentiles(&all), stages_without_percentiles(&one));
        prop_assert_eq!(without_percentiles(all.series.clone()), without_percentiles(one.series));
        prop_assert_eq!(all.run.shard, None);
        // The part is a document like any other.
        prop_assert!(Document::from_json(&parts[0].to_json()).is_ok());
        // The order does not matter, and merging works in two steps.
        let mut backwards = parts.clone();
        backwards.reverse();
        prop_assert_eq!(&merged(&backwards).metrics, &one.metrics);
        if count == 1 {
            return Ok(());
        }
        let mut some = Merge::default();
        some.add("s0.json", through_json(&parts[0])).unwrap();
        let some = some.finish(true, false).unwrap();
        let mut rest = Merge::default();
        rest.add("some.json", through_json(&some)).unwrap();
        parts[1..].iter().for_each(|part| rest.add("more.json", through_json(part)).unwrap());
        prop_assert_eq!(&rest.finish(false, false).unwrap().metrics, &one.metrics);
    }
}

fn three_shards() -> [Document; 3] {
    let samples: Vec<_> = (0..90).map(|n| ((n % 2) as u16, n * 1_000, 2, 9)).collect();
    [0, 1, 2].map(|i| shard_of(document_of(&[tally(&samples), tally(&samples[..50])]), i, 3))
}

#[test]
fn the_whole_is_judged_and_names_its_parts() {
    let all = merged(&three_shards());
    assert_eq!(all.thresholds.len(), 4, "those of the plan");
    assert_eq!(all.run.merged_from.iter().map(|r| r.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((all.series.len(), all.series[1].http_reqs), (3, 150));
    assert!(!all.is_partial() && !all.is_shard());
    let [_, hold] = &all.stages[..] else { panic!("{:?}", all.stages) };
    assert_eq!((hold.http_reqs, hold.end_s), (420, 270.0));
    assert!(hold.ttft.is_some() && (hold.http_reqs_rate - 420.0 / 240.0).abs() < 1e-6, "{hold:?}");
    assert_eq!(Document::from_json(&all.to_json()).expect("valid"), all);
}

#[test]
fn what_is_not_one_test_is_refused_with_the_file() {
    let [a, b, c] = three_shards();
    let refused = |second: Document| {
        let mut merge = Merge::default();
        merge.add("a.json", a.clone()).expect("the first");
        merge.add("b.json", second).expect_err("refused").to_string()
    };
    assert_eq!(refused(a.clone()), "b.json: run.shard: shard 0 is in a.json already");
    let mut other = b.clone();
    other.run.id.clone_from(&a.run.id);
    assert_eq!(refused(other), "b.json: run.id: it is run-0, as one of a.json: a run is one shard only");
    let mut other = b.clone();
    other.stages[1].begin_s = 31.0;
    assert!(refused(other).starts_with("b.json: stages: it is 0 s, 31 s, and 0 s, 30 s in a.json"));
    let mut other = b.clone();
    other.plan["hash"] = json!("another");
    assert!(refused(other).starts_with("b.json: plan.hash: it is \"another\""));
    let mut other = b.clone();
    other.run.shard = Some(Shard { index: 1, count: 4, source: String::new(), held: vec![1] });
    assert!(refused(other).starts_with("b.json: run.shard.count: it is 4, and 3 in a.json"));
    let mut other = b.clone();
    other.build.version = "9.0.0".to_owned();
    assert!(refused(other).starts_with("b.json: build.version: it is 9.0.0"));
    let mut other = b.clone();
    other.requests.remove("chat");
    assert!(refused(other).starts_with("b.json: requests: it is chat-stream"));
    let mut other = b.clone();
    other.run.shard = None;
    assert!(refused(other).starts_with("b.json: run.shard: it is not a shard"));
    let mut other = b.clone();
    let Some(Measured::Trend(t)) = other.metrics.get_mut("ttft") else { panic!("no ttft") };
    t.exact = None;
    assert!(refused(other).starts_with("b.json: metrics.ttft.exact: it is missing"));

    let mut merge = Merge::default();
    merge.add("a.json", a).unwrap();
    merge.add("c.json", c).unwrap();
    let part = Merge { sum: merge.sum }.finish(true, false).expect("a part");
    assert!(part.is_partial() && part.run.shard.as_ref().is_some_and(|s| s.held == [0, 2]));
    let mut merge = Merge::default();
    merge.add("part.json", part).unwrap();
    assert_eq!(
        merge.finish(false, false).expect_err("one is missing").to_string(),
        "missing shards: 1 (of 0 to 2): add their results, or use --allow-missing"
    );
    assert_eq!(Merge::default().finish(true, false).expect_err("nothing"), MergeError::Nothing);
}

#[test]
fn shards_that_did_not_start_together_are_told() {
    let mut shards = three_shards();
    shards[2].run.started_at = "2026-11-24T08:22:17.5Z".to_owned();
    let hint = merged(&shards).hints.into_iter().find(|h| h.name == "shards_started_apart").expect("a hint");
    assert!(hint.text.contains("2.50 s apart"), "{}", hint.text);
    assert!(document(&tally(&[]), &[], false).hints.is_empty());
}

/// Only one shard runs on the server's machine, and its numbers are those of the whole.
#[test]
fn the_server_is_judged_whichever_shard_has_watched_it() {
    let mut shards = three_shards();
    let rule =
        |value| json!({ "server_cpu": [{ "threshold": value, "abort_on_fail": false, "delay_abort_eval": 0.0 }] });
    for (i, shard) in shards.iter_mut().enumerate() {
        shard.plan["thresholds"] = rule("value<0.2");
        let hash = crate::document::plan::hash(&shard.plan);
        shard.plan["hash"] = json!(hash);
        for second in shard.series.iter_mut().filter(|_| i != 2) {
            second.server_cpu = None;
        }
    }
    let all = merged(&shards);
    assert_eq!((all.thresholds.len(), all.thresholds[0].value), (1, Some(0.25)));
    assert_eq!(Document::from_json(&all.to_json()).expect("read again"), all);
}

/// Drift is computed from the merged seconds, not from any one shard. Here one shard slows down so
/// much that the whole drifts.
#[test]
fn drift_is_judged_again_on_the_whole() {
    let seconds = |slower: u64| -> Vec<Tally> {
        (0..200).map(|t| tally(&(0..8).map(|n| (1, 100_000 + n + t * slower, 2, 1)).collect::<Vec<_>>())).collect()
    };
    let level =
        |from_s, to_s| crate::document::Drift { from_s, to_s, first: 1.0, last: 1.0, verdict: Trending::Stable };
    let parts: Vec<Document> = [(0, 21.0, 200.0), (5_000, 1.0, 180.0)]
        .into_iter()
        .zip(0..)
        .map(|((slower, from_s, to_s), index)| {
            let mut part = shard_of(document_of(&seconds(slower)), index, 2);
            part.drift = BTreeMap::from([("http_req_duration_p95".to_owned(), level(from_s, to_s))]);
            part
        })
        .collect();
    let all = merged(&parts);
    let drift = &all.drift["http_req_duration_p95"];
    assert_eq!((drift.from_s, drift.to_s, drift.verdict), (21.0, 180.0, Trending::Growing), "{drift:?}");
    assert!(drift.last > drift.first && all.drift["http_req_duration_p50"].to_s > 0.0);
}

#[test]
fn stages_that_cannot_be_added_are_refused() {
    let refused = |change: &dyn Fn(&mut Stage)| {
        let [mut document, ..] = three_shards();
        change(&mut document.stages[1]);
        Merge::default().add("a.json", document).expect_err("refused").to_string()
    };
    for (change, field) in [
        (&(|stage: &mut Stage| stage.tokens_output = None) as &dyn Fn(&mut Stage), "stages[1].tokens_output"),
        (&|stage: &mut Stage| stage.histograms.ttft = Some("x".to_owned()), "stages[1].histograms.ttft"),
        (&|stage: &mut Stage| stage.histograms.ttft = None, "stages[1].histograms.ttft"),
    ] {
        let why = refused(change);
        assert!(why.contains(field), "{why}");
    }
}

#[test]
fn an_endpoint_that_failed_one_shard_has_failed() {
    let asked = |name: &str, verdict| Endpoint {
        name: name.to_owned(),
        api: "health".to_owned(),
        method: "GET".to_owned(),
        path: "/health".to_owned(),
        stream: false,
        verdict,
        reason: None,
        status: None,
        duration_ms: None,
    };
    let mut shards = three_shards();
    shards[0].endpoints = vec![asked("a", EndpointVerdict::Ok), asked("b", EndpointVerdict::Failed)];
    shards[1].endpoints = vec![asked("a", EndpointVerdict::Failed), asked("b", EndpointVerdict::Ok)];
    shards[2].endpoints = vec![asked("c", EndpointVerdict::Skipped)];
    let all = merged(&shards);
    let verdicts: Vec<_> = all.endpoints.iter().map(|e| (e.name.as_str(), e.verdict)).collect();
    let (failed, skipped) = (EndpointVerdict::Failed, EndpointVerdict::Skipped);
    assert_eq!(verdicts, [("a", failed), ("b", failed), ("c", skipped)]);
    assert_eq!(all.verdict.conclusion, Conclusion::Fail);
}
