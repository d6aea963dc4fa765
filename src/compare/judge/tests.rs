use super::*;
use crate::compare::{Numbers, Peak, PeakOf};
use crate::metrics::{Outcome, Sample, Summary, Tally};
use crate::units::Nanos;
use std::collections::BTreeMap;

/// Measured noise: runs of one build on one two-core machine, recorded on 24 November 2026.
#[derive(Debug, Clone, Copy)]
enum Recorded {
    /// Thirty runs of `load` (30 s, 50 users, release builds) on an otherwise idle machine, with
    /// 2,100 requests each. The p99 of requests scatters by 2 %, once by 12 %.
    Quiet,
    /// Thirty runs of 12 s with 20 users, debug builds, while compilers ran. The p99 of gaps
    /// between tokens is 2.9 to 8 ms, and one run had half the throughput of the others. Each run
    /// has 500 requests, too few for a p99 to be judged.
    Busy,
}

const GATES: [&str; 5] =
    ["ttft.p99>5%", "tbt.p99>5%", "http_req_duration.p99>5%", "http_req_duration.p50>5%", "throughput<-5%"];

/// Returns the recorded values by measure.
fn values_of(recorded: Recorded) -> BTreeMap<String, Vec<f64>> {
    let mut lines = match recorded {
        Recorded::Quiet => include_str!("quiet.csv").lines(),
        Recorded::Busy => include_str!("busy.csv").lines(),
    };
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let rows: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').map(|n| n.parse().expect("a number")).collect()).collect();
    names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), rows.iter().map(|row| row[i]).collect())).collect()
}

fn options(gates: &[&str]) -> Options {
    Options { gates: gates.iter().map(|g| Gate::parse(g).expect("a gate")).collect(), ..Options::default() }
}

/// Judges gates on plain values. `values(gate, is_head)` returns the values of the runs of a side.
fn judged(options: &Options, method: Method, values: impl Fn(&Gate, bool) -> Vec<f64>) -> Vec<Row> {
    let row = |gate: &Gate| Row {
        limit: None,
        measure: gate.measure.clone(),
        gate: Some(gate.clone()),
        base: values(gate, false),
        head: values(gate, true),
        change: None,
        verdict: Verdict::NoValue,
        note: None,
    };
    let mut rows: Vec<Row> = options.gates.iter().map(row).collect();
    Sides { base: &[], head: &[], method, options }.decide(&mut rows);
    rows
}

/// Returns the share of 400 comparisons of `n` + `n` runs, drawn from the recorded ones, in which a
/// gate failed. `planted` is how much worse each gate's measure was made in head (0.2 for 20 %).
fn failing(recorded: Recorded, gates: &[&str], n: usize, method: Method, planted: f64) -> f64 {
    const COMPARISONS: u32 = 400;
    let (recorded, options) = (values_of(recorded), options(gates));
    let mut random = fastrand::Rng::with_seed(7);
    let mut failed = 0;
    for _ in 0..COMPARISONS {
        let mut runs: Vec<usize> = (0..recorded["ttft.p99"].len()).collect();
        random.shuffle(&mut runs);
        let rows = judged(&options, method, |gate, is_head| {
            let runs = if is_head { &runs[n..2 * n] } else { &runs[..n] };
            let worse = if gate.above { 1.0 + planted } else { 1.0 / (1.0 + planted) };
            let factor = if is_head { worse } else { 1.0 };
            runs.iter().map(|run| recorded[&gate.measure.to_string()][*run] * factor).collect()
        });
        failed += u32::from(rows.iter().any(|row| row.verdict == Verdict::Regressed));
    }
    f64::from(failed) / f64::from(COMPARISONS)
}

#[test]
fn equal_builds_hardly_ever_fail() {
    for recorded in [Recorded::Quiet, Recorded::Busy] {
        for (n, method) in
            [(3, Method::Separation), (5, Method::MannWhitney), (10, Method::MannWhitney), (5, Method::Paired)]
        {
            let false_alarms = failing(recorded, &GATES, n, method, 0.0);
            assert!(false_alarms <= 0.05, "{recorded:?}, {n} runs per side, {method:?}: {false_alarms}");
        }
    }
    // Many scripts do this: they compare two runs and report a regression at five percent.
    let recorded = values_of(Recorded::Busy);
    let (mut cries, mut pairs) = (0, 0);
    for (i, a) in recorded["http_req_duration.p99"].iter().enumerate() {
        for b in &recorded["http_req_duration.p99"][i + 1..] {
            pairs += 1;
            cries += i32::from(b / a > 1.05);
        }
    }
    assert!(
        f64::from(cries) / f64::from(pairs) > 0.15,
        "the recorded noise would not need any of this: {cries} of {pairs}"
    );
}

#[test]
fn a_planted_change_is_found() {
    use Method::{MannWhitney, Separation};
    use Recorded::{Busy, Quiet};
    let p99s = ["ttft.p99>5%", "tbt.p99>5%", "http_req_duration.p99>5%"];
    let several = ["ttft.p99>5%", "http_req_duration.p50>5%", "throughput<-5%"];
    for (recorded, gates, n, method) in [
        (Quiet, &p99s[..1], 5, MannWhitney),
        (Quiet, &p99s[1..2], 5, MannWhitney),
        (Quiet, &p99s[2..], 5, MannWhitney),
        (Quiet, &p99s[2..], 3, Separation),
        (Busy, &p99s[..1], 5, MannWhitney),
        (Busy, &p99s[..1], 3, Separation),
        (Busy, &several[1..2], 5, MannWhitney),
        (Busy, &several, 5, MannWhitney),
        // With so few requests the p99 scatters by a tenth, so this takes ten runs per side.
        (Busy, &p99s[2..], 10, MannWhitney),
    ] {
        let found = failing(recorded, gates, n, method, 0.2);
        assert!(found >= 0.9, "{recorded:?}, {gates:?} with {n} runs per side: {found}");
    }
}

/// Returns a run whose seconds scatter like a server's: the level drifts, and now and then a second
/// is bad.
fn drifting(random: &mut fastrand::Rng, seconds: usize, slower: f64) -> Vec<Buckets> {
    // The sum of twelve uniforms is normal enough (its tails end at six).
    let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let offset = 0.02 * normal();
    let mut drift = 0.0;
    (0..seconds)
        .map(|_| {
            drift = 0.9 * drift + 0.05 * (1.0_f64 - 0.81).sqrt() * normal();
            let bad = if normal() > 1.64 { 0.3 } else { 0.0 };
            let mut time = || 20.0 * (0.3 * normal() + drift + offset + bad).exp() * slower;
            // Buckets of about a percent. With a histogram's buckets this would take ten times as
            // long.
            Buckets::of((0..20).map(|_| (time() * 5.0).round() as u64 * 200).collect())
        })
        .collect()
}

#[test]
fn one_run_a_side_sees_only_what_is_large() {
    let mut random = fastrand::Rng::with_seed(11);
    let fails = |random: &mut fastrand::Rng, slower: f64| {
        let (base, head) = (drifting(random, 300, 1.0), drifting(random, 300, slower));
        let all = |seconds: &[Buckets]| Seconds::of_times(seconds);
        let (low, _) =
            bootstrap::intervals(&all(&base), &all(&head), &[Of::Percentile(95.0)], (100, 0.05), |b, h| h / b - 1.0)[0];
        low > 0.05
    };
    let alarms = (0..400).filter(|_| fails(&mut random, 1.0)).count();
    assert!(alarms <= 20, "{alarms} of 400");
    let found = (0..50).filter(|_| fails(&mut random, 1.4)).count();
    assert!(found >= 45, "{found} of 50");
}

fn one(gate: &str, method: Method, base: &[f64], head: &[f64]) -> Row {
    judged(&options(&[gate]), method, |_, is_head| if is_head { head.to_vec() } else { base.to_vec() }).remove(0)
}

#[test]
fn verdicts_say_what_the_runs_can_say() {
    use Method::{MannWhitney, Separation};
    use Verdict::{Improved, Inconclusive, NoChange, Regressed};
    let base = [100.0, 101.0, 102.0, 103.0, 104.0];
    for (gate, head, verdict) in [
        ("ttft.p99>5%", [120.0, 121.0, 122.0, 123.0, 124.0], Regressed),
        ("ttft.p99>5%", [80.0, 81.0, 82.0, 83.0, 84.0], Improved),
        ("ttft.p99>5%", [101.0, 100.0, 102.0, 104.0, 103.0], NoChange),
        ("ttft.p99>5%", [104.5, 105.0, 105.5, 106.0, 110.0], Inconclusive),
        ("ttft.p99>5%", [90.0, 100.0, 110.0, 120.0, 130.0], Inconclusive),
        ("ttft.p99>5%&30ms", [120.0, 121.0, 122.0, 123.0, 124.0], NoChange),
        ("ttft.p99>5%&10ms", [120.0, 121.0, 122.0, 123.0, 124.0], Regressed),
        ("throughput<-5%", [80.0, 81.0, 82.0, 83.0, 84.0], Regressed),
        ("throughput<-5%", [120.0, 121.0, 122.0, 123.0, 124.0], Improved),
    ] {
        let row = one(gate, MannWhitney, &base, &head);
        assert_eq!(row.verdict, verdict, "{gate} {head:?}: {row:?}");
    }
    let row = one("ttft.p99>5%", Separation, &base[..3], &[110.0, 111.0, 112.0]);
    assert_eq!((row.verdict, row.change.and_then(|c| c.p)), (Regressed, None));
    assert_eq!(one("ttft.p99>5%", Separation, &base[..3], &[101.5, 111.0, 112.0]).verdict, Inconclusive);
    // Shares change by points.
    let few = [0.001, 0.002, 0.001, 0.0, 0.001];
    assert_eq!(one("error_rate>0.5pp", MannWhitney, &few, &[0.02; 5]).verdict, Regressed);
    assert_eq!(one("error_rate>0.5pp", MannWhitney, &few, &[0.003; 5]).verdict, NoChange);
}

#[test]
fn numbers_of_a_change_are_relative_and_in_order() {
    let row = one("ttft.p99>5%", Method::MannWhitney, &[100.0; 5], &[120.0; 5]);
    let change = row.change.expect("a change");
    assert!((change.effect - 0.2).abs() < 1e-9 && (change.low - 0.2).abs() < 1e-9, "{change:?}");
    let drop = one("throughput<-3%", Method::MannWhitney, &[100.0, 101.0, 99.0, 100.0], &[90.0, 91.0, 89.0, 90.0]);
    let change = drop.change.expect("a change");
    assert!(
        (change.effect + 0.1).abs() < 1e-3 && change.low <= change.effect && change.effect <= change.high,
        "{change:?}"
    );
    assert!(change.detectable.is_some_and(|d| d > 0.0 && d < 0.05), "{change:?}");
    let pairs =
        one("ttft.p99>5%", Method::Paired, &[100.0, 150.0, 90.0, 120.0, 100.0], &[121.0, 180.0, 108.0, 145.0, 119.0]);
    assert_eq!(pairs.verdict, Verdict::Regressed, "pairs see through the drift of both: {pairs:?}");
}

#[test]
fn floors_hide_what_equal_builds_differ_by() {
    let values = |_: &Gate, is_head: bool| if is_head { vec![108.0; 5] } else { vec![100.0; 5] };
    let mut with = options(&["ttft.p99>5%"]);
    assert_eq!(judged(&with, Method::MannWhitney, values)[0].verdict, Verdict::Regressed);
    with.noise.insert("ttft.p99".to_owned(), 0.1);
    assert_eq!(judged(&with, Method::MannWhitney, values)[0].verdict, Verdict::NoChange);
    with.noise.clear();
    with.noise_floor = 0.1;
    assert_eq!(judged(&with, Method::MannWhitney, values)[0].verdict, Verdict::NoChange);
}

// ---- whole runs -------------------------------------------------------------------------------

/// Returns a run of `n` requests that took `ms` each.
fn run(file: &str, n: u64, ms: u64) -> Run {
    let mut tally = Tally::new(1);
    for i in 0..n {
        let end = Nanos::from_millis(ms + i % 3);
        tally.record(&Sample { end, ..sample() });
    }
    Run {
        file: file.to_owned(),
        sort: Sort::Run,
        id: file.to_owned(),
        workload: "w".to_owned(),
        tool: "0.1.3".to_owned(),
        shards: 0,
        steps: Vec::new(),
        machine: Vec::new(),
        incomplete: None,
        fingerprint: None,
        remarks: Vec::new(),
        build: String::new(),
        server: String::new(),
        numbers: Numbers::Load {
            summary: Summary::new(&tally, &["chat".to_owned()], Nanos::from_secs(10)).into(),
            seconds: Vec::new(),
        },
    }
}

fn sample() -> Sample {
    Sample { outcome: Outcome::Success, status: 200, bytes_sent: 1, bytes_received: 1, ..Sample::begun(0, Nanos::ZERO) }
}

fn side(prefix: &str, ms: u64) -> Vec<Run> {
    (0..4).map(|i| run(&format!("{prefix}{i}.json"), 1_200, ms + i)).collect()
}

#[test]
fn gates_come_first_and_what_is_usual_after_them() {
    let compared =
        compare(&side("b", 100), &side("h", 150), &options(&["http_req_duration.p99>5%"])).expect("comparable");
    assert_eq!((compared.method, compared.failed(), compared.inconclusive()), (Method::MannWhitney, 1, 0));
    assert_eq!(compared.rows[0].measure.to_string(), "http_req_duration.p99");
    assert_eq!(compared.rows.len(), Measure::usual().len());
    let by_name = |name: &str| compared.rows.iter().find(|row| row.measure.to_string() == name).expect(name);
    assert_eq!(by_name("error_rate").verdict, Verdict::NoChange);
    assert_eq!(by_name("ttft.p99").verdict, Verdict::NoValue);
    assert_eq!(by_name("http_req_duration.p50").verdict, Verdict::Regressed);
}

#[test]
fn what_is_not_comparable_is_refused() {
    let why =
        |base: &[Run], head: &[Run], options: &Options| compare(base, head, options).expect_err("refused").to_string();
    let (base, head) = (side("b", 100), side("h", 100));
    let with = |change: &dyn Fn(&mut Run)| {
        let mut changed = head.clone();
        change(&mut changed[2]);
        why(&base, &changed, &Options::default())
    };
    assert!(
        with(&|r| r.workload = "v".to_owned()).starts_with("h2.json: the workload (plan.hash) is v, and w in b0.json")
    );
    assert!(with(&|r| r.tool = "0.2.0".to_owned()).contains("the version of llmsim-blast is 0.2, and 0.1"));
    assert!(with(&|r| r.shards = 2).contains("the number of shards is 2"));
    assert!(with(&|r| r.incomplete = Some("stopped by a signal".to_owned())).contains("h2.json: stopped by a signal"));
    assert!(with(&|r| r.id = "b1.json".to_owned()).contains("the same run as b1.json"));
    for (n, m) in [(1, 2), (2, 2), (1, 3), (0, 0)] {
        assert!(why(&base[..n], &head[..m], &Options::default()).contains("expected one per side, or at least 3"));
    }
    let paired = Options { paired: true, ..Options::default() };
    assert!(why(&base, &head, &paired).contains("--paired with 4 + 4 runs"));
    let strict = Options { alpha: 0.01, ..Options::default() };
    assert!(why(&base, &head, &strict).starts_with("--alpha 0.01 cannot be reached with 4 + 4 runs"));
}

#[test]
fn a_gate_without_enough_samples_takes_nothing_from_the_others() {
    // 999 samples have fewer than ten beyond p99, in every run.
    let few: Vec<Run> = (0..4).map(|i| run(&format!("f{i}"), 999, 150)).collect();
    let gates = ["http_req_duration.p99>5%", "http_req_duration{request:x}.p50>5%", "http_req_duration.p50>5%"];
    let compared = compare(&side("b", 100), &few, &options(&gates)).expect("comparable");
    assert_eq!((compared.unjudged(), compared.failed()), (2, 1));
    let notes: Vec<&str> = compared.gates().filter_map(|row| row.note.as_deref()).collect();
    assert!(
        notes[0] == "f0: 999 samples, and 1000 are needed" && notes[1].contains("no kind of request is named x"),
        "{notes:?}"
    );
}

/// With four runs per side and more gates than can be corrected for, no p could ever be small
/// enough. A plain regression is found all the same.
#[test]
fn so_many_gates_that_no_p_is_small_enough_are_decided_by_separation() {
    let gates = ["http_req_duration.p50>5%", "http_req_duration.p95>5%", "http_req_duration.avg>5%", "throughput<-5%"];
    let of = |n: usize| compare(&side("b", 100), &side("h", 150), &options(&gates[..n])).expect("comparable");
    assert_eq!((of(3).method, of(3).failed(), of(3).warnings.len()), (Method::MannWhitney, 3, 0));
    assert_eq!((of(4).method, of(4).failed()), (Method::Separation, 3));
    assert!(
        of(4)
            .warnings
            .iter()
            .any(|w| w.contains("4 gates on 4+4 runs are not corrected for multiple tests: up to 6 %"))
    );
    // More runs on one side make the comparison more sensitive, not less.
    let mut more = side("h", 150);
    more.truncate(3);
    assert_eq!(compare(&side("b", 100), &more, &options(&gates[..1])).expect("4+3").method, Method::MannWhitney);
    assert_eq!(compare(&side("b", 100)[..3], &more, &options(&gates[..1])).expect("3+3").method, Method::Separation);
}

#[test]
fn three_runs_have_to_be_apart_by_more_than_the_noise() {
    let values = |_: &Gate, is_head: bool| if is_head { vec![112.0, 113.0, 130.0] } else { vec![99.0, 100.0, 105.0] };
    let mut with = options(&["ttft.p99>5%"]);
    assert_eq!(judged(&with, Method::Separation, values)[0].verdict, Verdict::Regressed);
    with.noise.insert("ttft.p99".to_owned(), 0.08);
    assert_eq!(judged(&with, Method::Separation, values)[0].verdict, Verdict::Inconclusive);
}

/// A change of the detectable size is found about every second time when it is planted in other
/// runs that scatter in the same way.
#[test]
fn what_is_called_detectable_is_found_every_second_time() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let mut side = |slower: f64| (0..8).map(|_| 100.0 * slower * (0.05 * normal()).exp()).collect::<Vec<_>>();
    let (mut found, mut sizes) = (0, 0.0);
    for _ in 0..300 {
        let detectable = one("ttft.p99>0.1%", Method::MannWhitney, &side(1.0), &side(1.0));
        sizes += detectable.change.and_then(|c| c.detectable).expect("enough runs") / 300.0;
    }
    for _ in 0..300 {
        let row = one("ttft.p99>0.1%", Method::MannWhitney, &side(1.0), &side(1.0 + sizes));
        found += i32::from(row.change.and_then(|c| c.p).is_some_and(|p| p <= 0.05));
    }
    assert!((90..=210).contains(&found), "{found} of 300 at {sizes}");
    // A change below the limit does not count.
    let wide = one("ttft.p99>30%", Method::MannWhitney, &side(1.0), &side(1.0));
    assert!(wide.change.and_then(|c| c.detectable).is_some_and(|d| d >= 0.3), "{wide:?}");
}

#[test]
fn one_run_a_side_is_indicative_and_needs_its_time() {
    let compared =
        compare(&side("b", 100)[..1], &side("h", 200)[..1], &options(&["throughput<-5%"])).expect("comparable");
    assert!(compared.indicative && compared.failed() == 0);
    assert!(compared.warnings.iter().any(|w| w.contains("one run per side")));
    let row = &compared.rows[0];
    assert_eq!((row.verdict, row.note.as_deref()), (Verdict::Inconclusive, Some("too short: 300 s are needed")));
}

#[test]
fn what_weakens_the_numbers_is_said() {
    let (mut base, mut head) = (side("b", 100), side("h", 100));
    head[0].remarks.push("the client was strained".to_owned());
    base[0].fingerprint = Some("x".to_owned());
    let warnings = compare(&base, &head, &Options::default()).expect("comparable").warnings;
    assert!(warnings.iter().any(|w| w == "h0.json: the client was strained"), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("different machines")), "{warnings:?}");
}

#[test]
fn noise_is_what_equal_runs_differ_by() {
    let noise = crate::compare::noise(&side("a", 100)).expect("noise");
    let (_, spread) = noise.spreads.iter().find(|(m, _)| m.to_string() == "http_req_duration.p50").expect("measured");
    assert!((spread.spread - 0.03).abs() < 0.005 && noise.runs == 4, "{spread:?}");
    assert!(crate::compare::noise(&side("a", 100)[..2]).is_err());
}

/// Returns a side whose runs have `rate` requests a second. Their times do not matter.
fn rated(prefix: &str, rate: f64, runs: usize) -> Vec<Run> {
    let mut side = side(prefix, 100);
    side.truncate(runs);
    for run in &mut side {
        let Numbers::Load { summary, .. } = &mut run.numbers else { panic!("a run") };
        let counters = &mut summary.all.counters;
        counters.iter_mut().filter(|(c, _)| *c == Counter::HttpReqs).for_each(|(_, value)| value.rate = rate);
    }
    side
}

#[test]
fn a_gate_on_nothing_has_not_held() {
    let gate = options(&["throughput<-5%"]);
    for (base, head) in [(100.0, 0.0), (0.0, 100.0)] {
        let compared = compare(&rated("b", base, 4), &rated("h", head, 4), &gate).expect("runs of one test");
        assert_eq!((compared.rows[0].verdict, compared.unjudged(), compared.failed()), (Verdict::NoValue, 1, 0));
        assert!(compared.rows[0].note.as_ref().is_some_and(|why| why.contains("it is 0")), "{compared:?}");
    }
    let nothing = compare(&rated("b", 0.0, 4), &rated("h", 0.0, 4), &gate).expect("the same on both sides");
    assert_eq!((nothing.rows[0].verdict, nothing.failed()), (Verdict::NoChange, 0));
    // A single pair that may fail, with a measure whose seconds are not known.
    let single = Options { allow_single: true, ..options(&["http_req_duration.p99>5%"]) };
    let single = compare(&rated("b", 1.0, 1), &rated("h", 1.0, 1), &single).expect("a pair");
    assert_eq!((single.unjudged(), single.rows[0].verdict), (1, Verdict::NoValue));
    let indicative = compare(&rated("b", 1.0, 1), &rated("h", 1.0, 1), &options(&["http_req_duration.p99>5%"]));
    assert!(indicative.expect("a guess").indicative);
}

// ---- sweeps -----------------------------------------------------------------------------------

/// Returns a throughput result whose servers with one and with two worker threads reached the given
/// requests a second.
fn sweep(file: &str, rates: [Option<f64>; 2]) -> Run {
    let peak = |n| Peak { of: PeakOf::Requests, api: None, workers: Some(n) };
    Run {
        sort: Sort::Throughput,
        steps: vec![("the list of steps", "1, 2".to_owned())],
        numbers: Numbers::Peaks(vec![(peak(1), rates[0]), (peak(2), rates[1])]),
        ..run(file, 0, 1)
    }
}

fn sweeps(prefix: &str, n: usize, rates: [f64; 2]) -> Vec<Run> {
    (0..n)
        .map(|i| sweep(&format!("{prefix}{i}.json"), rates.map(|rate| Some(rate * (1.0 + i as f64 / 1_000.0)))))
        .collect()
}

fn verdicts(compared: &Comparison) -> Vec<(String, Verdict)> {
    let name = |row: &Row| row.gate.as_ref().map_or_else(|| row.measure.to_string(), |g| g.expression.clone());
    compared.rows.iter().map(|row| (name(row), row.verdict)).collect()
}

#[test]
fn a_gate_on_a_peak_is_one_for_each_number_of_worker_threads() {
    let gate = options(&["requests_per_s<-5%"]);
    let (base, head) = (sweeps("b", 5, [100.0, 200.0]), sweeps("h", 5, [100.0, 180.0]));
    let compared = compare(&base, &head, &gate).expect("sweeps of one test");
    assert_eq!(compared.method, Method::MannWhitney);
    let expected = [
        ("requests_per_s{workers:1}<-5%".to_owned(), Verdict::NoChange),
        ("requests_per_s{workers:2}<-5%".to_owned(), Verdict::Regressed),
    ];
    assert_eq!((verdicts(&compared), compared.failed()), (expected.to_vec(), 1));
    // Two questions were asked.
    let change = compared.rows[1].change.expect("a change");
    assert_eq!(change.p_adjusted, change.p.map(|p| 2.0 * p));
    assert!((change.effect + 0.1).abs() < 1e-9 && change.high < -0.05, "{change:?}");

    let one = compare(&base, &head, &options(&["requests_per_s{workers:1}<-5%"])).expect("sweeps of one test");
    assert_eq!((one.failed(), one.gates().count(), one.rows.len()), (0, 1, 2));
}

#[test]
fn a_single_pair_of_sweeps_has_no_interval_and_fails_only_if_asked() {
    let (base, head) = (sweeps("b", 1, [100.0, 200.0]), sweeps("h", 1, [99.0, 150.0]));
    let gate = options(&["requests_per_s<-5%"]);
    let compared = compare(&base, &head, &gate).expect("a pair");
    assert_eq!((compared.method, compared.failed(), compared.inconclusive()), (Method::Single, 0, 2));
    assert!(compared.indicative && compared.rows[1].change.is_some_and(|c| c.low.is_infinite()));
    assert_eq!(compared.rows[1].change.map(|c| (c.effect * 100.0).round() as i32), Some(-25));
    assert!(
        compared.warnings[0].contains("one throughput result per side")
            && compared.warnings[0].contains("no gate can fail")
    );

    let allowed = Options { allow_single: true, ..gate };
    let compared = compare(&base, &head, &allowed).expect("a pair");
    assert_eq!((compared.failed(), compared.inconclusive(), compared.indicative), (1, 0, false));
    let verdicts: Vec<Verdict> = compared.rows.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Verdict::NoChange, Verdict::Regressed]);
    assert!(compared.warnings[0].contains("the change itself decides"), "{:?}", compared.warnings);

    // A change within the noise is not a failure.
    let noisy = Options { noise_floor: 0.3, ..allowed };
    assert_eq!(compare(&base, &head, &noisy).expect("a pair").failed(), 0);
    assert!(matches!(compare(&sweeps("b", 2, [1.0; 2]), &head, &noisy), Err(CompareError::Runs { base: 2, head: 1 })));
}

#[test]
fn a_peak_that_was_not_reached_is_not_judged() {
    let base = [sweep("b", [Some(100.0), None])];
    let head = [sweep("h", [Some(100.0), Some(200.0)])];
    let compared = compare(&base, &head, &options(&["requests_per_s<-5%"])).expect("a pair");
    assert_eq!((compared.unjudged(), compared.rows[1].verdict), (1, Verdict::NoValue));
    assert_eq!(compared.rows[1].note.as_deref(), Some("b: no step kept to the limits"));
}

#[test]
fn results_of_two_commands_and_gates_that_they_do_not_have_are_refused() {
    let (base, head) = (sweeps("b", 1, [1.0; 2]), sweeps("h", 1, [1.0; 2]));
    let error = |base: &[Run], head: &[Run], gates: &[&str]| {
        compare(base, head, &options(gates)).expect_err("refused").to_string()
    };
    assert_eq!(
        error(&base, &side("h", 1)[..1], &[]),
        "h0.json: it is a run, and b0.json is a throughput result: compare results of one command with each other"
    );
    assert_eq!(
        error(&base, &head, &["ttft.p99>5%"]),
        "--fail-on 'ttft.p99>5%': a throughput result has no such measure: expected requests_per_s or tokens_per_s"
    );
    assert!(error(&side("b", 1), &side("h", 1), &["capacity<-5%"]).contains("a run has no such measure"));
    assert!(error(&base, &head, &["tokens_per_s<-5%"]).contains("no such measure"));
    assert_eq!(
        error(&base, &head, &["requests_per_s{workers:8}<-5%"]),
        "--fail-on 'requests_per_s{workers:8}<-5%': the results have no such peak: expected one of \
         requests_per_s{workers:1}, requests_per_s{workers:2}"
    );
    let mut other = head;
    other[0].steps[0].1 = "1".to_owned();
    assert!(
        error(&base, &other, &[]).contains("the list of steps is 1, and 1, 2 in b0.json: only results of the same")
    );
    let on = |cores: &str, runs: &[Run]| {
        let machine = vec![("the number of cores", cores.to_owned())];
        runs.iter().map(|run| Run { machine: machine.clone(), ..run.clone() }).collect::<Vec<_>>()
    };
    assert_eq!(
        error(&on("2", &base), &on("4", &sweeps("h", 1, [1.0; 2])), &[]),
        "h0.json: the number of cores is 4, and 2 in b0.json: peaks of different machines cannot be compared"
    );
}

#[test]
fn noise_of_sweeps_is_a_floor_of_their_gates() {
    let noise = crate::compare::noise(&sweeps("n", 3, [100.0, 200.0])).expect("sweeps of one build");
    let names: Vec<String> = noise.spreads.iter().map(|(measure, _)| measure.to_string()).collect();
    assert_eq!(names, ["requests_per_s{workers:1}", "requests_per_s{workers:2}"]);
    assert!((noise.spreads[0].1.spread - 0.002).abs() < 1e-9);
    let floor = [("requests_per_s{workers:2}".to_owned(), 0.3)].into();
    let with = Options { noise: floor, ..options(&["requests_per_s<-5%"]) };
    let (base, head) = (sweeps("b", 5, [100.0, 200.0]), sweeps("h", 5, [80.0, 150.0]));
    let compared = compare(&base, &head, &with).expect("sweeps");
    let verdicts: Vec<Verdict> = compared.rows.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Verdict::Regressed, Verdict::NoChange]);
}
