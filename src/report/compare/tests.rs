use super::*;
use crate::compare::{Change, Comparison, Gate, Measure, Options, Run, compare, noise};
use crate::document::Document;
use crate::document::comparison::run;
use crate::document::noise::{noise_from_json, noise_json};
use crate::document::tests::all_sorts;
use crate::report::terminal::Style;
use serde_json::Value;

/// Returns a run of the same test.
fn document(id: usize) -> Document {
    let mut document = all_sorts().remove(0).1;
    document.run.id = format!("run-{id}");
    document
}

fn runs(prefix: &str, n: usize) -> Vec<Run> {
    let numbered = |i| run(&format!("{prefix}{i}.json"), &document(i + 100 * prefix.len())).expect("a run");
    (0..n).map(numbered).collect()
}

fn comparison(n: usize, gates: &[&str]) -> (Vec<Run>, Vec<Run>, Comparison) {
    let options =
        Options { gates: gates.iter().map(|g| Gate::parse(g).expect("a gate")).collect(), ..Options::default() };
    let (base, head) = (runs("b", n), runs("hh", n));
    let comparison = compare(&base, &head, &options).expect("comparable");
    (base, head, comparison)
}

fn regressed() -> (Vec<Run>, Vec<Run>, Comparison) {
    let (base, head, mut comparison) = comparison(5, &["http_req_duration.p50>5%", "error_rate>0.5pp"]);
    let row = &mut comparison.rows[0];
    row.verdict = Verdict::Regressed;
    row.change = row.change.map(|c| Change { effect: 0.2, low: 0.15, high: 0.25, p_adjusted: Some(0.008), ..c });
    (base, head, comparison)
}

/// Returns the page for a terminal of 80 columns.
fn page(compared: &Compared<'_>) -> String {
    terminal(compared, Style { color: false, width: 80 })
}

fn schema_errors(schema: &str, text: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let value: Value = serde_json::from_str(text).expect("JSON");
    validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn json_is_valid_by_its_schema() {
    for (base, head, comparison) in [regressed(), comparison(3, &[]), comparison(1, &["ttft.p50>5%"])] {
        let text =
            Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false }.to_json();
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let passes = value["exit_code"] == 0;
        assert_eq!(value["reasons"].as_array().map(Vec::is_empty), Some(passes), "{value}");
        let errors = |text: &str| schema_errors(include_str!("../../document/schema/compare-1.schema.json"), text);
        assert_eq!(errors(&text), Vec::<String>::new());
        assert_ne!(errors(&text.replace("\"method\"", "\"mehtod\"")), Vec::<String>::new());
        assert_ne!(errors(&text.replace("n/a", "maybe")), Vec::<String>::new());
    }
}

#[test]
fn the_table_fits_eighty_columns_and_says_the_verdict_first() {
    for (base, head, comparison) in [regressed(), comparison(3, &["http_req_duration{request:chat-stream}.p50>5%&3ms"])]
    {
        let text = page(&Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    let (base, head, comparison) = regressed();
    let text = page(&Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false });
    assert!(text.starts_with("REGRESSED  compare: 1 of 2 gates failed (5 + 5 runs)\n"), "{text}");
    assert!(text.contains("✗ http_req_duration.p50>5%"), "{text}");
    assert!(text.contains("+20.0% +15.0% … +25.0%    regressed"), "{text}");
    let mut scattered = comparison.clone();
    scattered.rows[0].change = scattered.rows[0].change.map(|c| Change { detectable: Some(0.12), ..c });
    let text = page(&Compared { base: &base, head: &head, comparison: &scattered, fail_on_inconclusive: false });
    assert!(text.contains("- smallest change detectable with 50 % power at 5+5"), "{text}");
    assert!(text.contains("http_req_duration.p50 12.0%"), "{text}");
}

#[test]
fn changes_of_any_size_are_readable() {
    let of = |name: &str, by: f64| change(&Measure::parse(name).expect("a measure"), by);
    for (by, text) in [
        (0.00004, "0%"),
        (0.0421, "+4.21%"),
        (-0.125, "-12.5%"),
        (1.5, "+150%"),
        (8.99, "+899%"),
        (9.0, "×10.0"),
        (415.23, "×416"),
        (-0.9998, "-99.98%"),
        (f64::INFINITY, "?"),
    ] {
        assert_eq!(of("ttft.p99", by), text);
    }
    assert_eq!(of("error_rate", -1.0), "-100pp");
}

#[test]
fn a_long_name_has_a_line_of_its_own() {
    let gate = "http_req_duration{request:chat-stream}.p50>5%&3ms";
    let (base, head, comparison) = comparison(3, &[gate]);
    let text = page(&Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false });
    assert!(text.contains(&format!("{gate}\n                          ")), "{text}");
}

#[test]
fn markdown_has_its_marker_and_folds_what_is_no_gate() {
    let (base, head, comparison) = regressed();
    let text = markdown(&Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false });
    assert!(text.starts_with("<!-- llmsim-blast:compare -->\n### ❌"), "{text}");
    assert!(text.contains("| `http_req_duration.p50>5%` |") && text.contains("| **regressed** |"), "{text}");
    let (above, below) = text.split_once("<details>").expect("folded");
    assert!(!above.contains("`ttft.p50`") && below.contains("`ttft.p50`"), "{text}");
}

#[test]
fn gates_are_test_cases() {
    let (base, head, comparison) = regressed();
    let compared = Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false };
    let cases = cases(&compared);
    assert_eq!(cases.len(), 2);
    assert_eq!(cases[0].outcome, Outcome::Failed("regressed: +20.0%, from +15.0% to +25.0%".to_owned()));
    assert_eq!(cases[1].outcome, Outcome::Held);
    assert_eq!(failures(&compared).len(), 1);
}

#[test]
fn a_gate_that_is_not_judged_has_not_held() {
    let (base, head, mut comparison) = comparison(5, &["http_req_duration.p50>5%", "error_rate>0.5pp"]);
    (comparison.rows[0].verdict, comparison.rows[0].change) = (Verdict::NoValue, None);
    comparison.rows[0].note = Some("hh0: 19 samples, and 20 are needed".to_owned());
    let compared = Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false };
    let text = page(&compared);
    assert!(text.starts_with("INCOMPLETE  compare: 1 of 2 gates could not be judged (5 + 5 runs)\n"), "{text}");
    assert!(text.contains("http_req_duration.p50: hh0: 19 samples, and 20 are needed"), "{text}");
    assert!(markdown(&compared).contains("### ❔ llmsim-blast compare: incomplete"));
    assert_eq!(
        cases(&compared)[0].outcome,
        Outcome::Failed("not judged: hh0: 19 samples, and 20 are needed".to_owned())
    );
    assert_eq!(failures(&compared).len(), 1);
    let errors = schema_errors(include_str!("../../document/schema/compare-1.schema.json"), &compared.to_json());
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn a_single_pair_is_indicative() {
    let (base, head, comparison) = comparison(1, &["throughput<-5%"]);
    let text = page(&Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false });
    assert!(text.starts_with("INDICATIVE  compare: one run per side proves nothing"), "{text}");
    assert!(text.contains("too short: 300 s are needed"), "{text}");
    let (base, head, comparison) = self::comparison(1, &[]);
    let text = page(&Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive: false });
    assert!(text.starts_with("INDICATIVE  compare: one run per side proves nothing; no gates were set"), "{text}");
    assert!(text.contains("numbers without a gate: too short: 300 s"), "{text}");
}

#[test]
fn what_is_no_whole_run_says_why() {
    let mut part = document(1);
    part.run.shard = Some(crate::document::Shard { index: 0, count: 2, source: "x".to_owned(), held: vec![0] });
    let why = |document: &Document| run("a.json", document).expect("read").incomplete.unwrap_or_default();
    assert!(why(&part).contains("shard of a test"));
    for (sort, document) in all_sorts() {
        let expected = match sort {
            "interrupted" => "stopped by a signal",
            "dead server" | "nothing at all" => "no request succeeded",
            _ => "",
        };
        assert!(why(&document).contains(expected), "{sort}: {}", why(&document));
        assert_eq!(why(&document).is_empty(), expected.is_empty(), "{sort}");
    }
}

#[test]
fn noise_comes_back_and_is_not_believed_when_edited() {
    let noise = noise(&runs("b", 3)).expect("noise");
    let text = noise_json(&noise);
    let errors = |text: &str| schema_errors(include_str!("../../document/schema/noise-1.schema.json"), text);
    assert_eq!(errors(&text), Vec::<String>::new());
    assert_ne!(errors(&text.replacen("\"median\"", "\"middle\"", 1)), Vec::<String>::new());
    let read = noise_from_json(&text).expect("our own");
    assert_eq!((&read.workload, read.spreads.len()), (&noise.workload, noise.spreads.len()));
    assert_eq!(read.fingerprint, noise.fingerprint);
    let error = |text: &str| noise_from_json(text).expect_err("refused").to_string();
    assert!(error("").contains("not a noise file"));
    assert!(error("{}").contains("no schema"));
    assert!(error(&document(1).to_json()).contains("llmsim-blast.run/1"));
    let edited = |from: &str, to: &str| text.replace(from, to);
    assert!(error(&edited("\"spread\": 0.0", "\"spread\": 0.5")).starts_with("digest: it does not fit"), "{text}");
    let resealed = |from: &str, to: &str| {
        let mut value = serde_json::from_str(&edited(from, to)).expect("JSON");
        crate::document::seal(&mut value);
        value.to_string()
    };
    assert!(error(&resealed("\"spread\": 0.0", "\"spread\": -1")).contains("missing, or of another type"));
    assert!(error(&resealed("throughput", "thruput")).starts_with("measures.thruput: no metric"));
}
