use super::*;
use crate::document::tests::all_sorts;
use crate::document::{Document, Second};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// A text that would run on a page that does not escape it.
const PAYLOAD: &str =
    "</script><script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=2><!--<script>{{7*7}}\u{2028}";

/// Returns a run of `seconds`, all of them different.
pub(crate) fn long(seconds: u32) -> Document {
    let mut document = all_sorts().remove(0).1;
    let one = document.series[0].clone();
    let second = |t_s: u32| {
        let wave = 1.0 + f64::from(t_s % 97) / 97.0 + f64::from(t_s % 7) / 5.0;
        let mut second = Second { t_s, vus: u64::from(t_s % 50), server_cpu: Some(wave), ..one.clone() };
        let kinds = second.requests.values_mut().flat_map(|kind| [&mut kind.http_req_duration, &mut kind.ttft]);
        let all = [&mut second.ttft, &mut second.tbt, &mut second.http_req_duration];
        for q in all.into_iter().chain(kinds).flatten() {
            (q.p50, q.p95, q.p99) = (q.p50 * wave, q.p95 * wave, q.p99 * wave);
        }
        (second.http_reqs, second.tokens_output) = ((100.0 * wave) as u64, (2_000.0 * wave) as u64);
        second
    };
    document.series = (0..seconds).map(second).collect();
    (document.run.duration_s, document.run.window_s) = (f64::from(seconds), f64::from(seconds));
    document
}

/// Returns the data for the script.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).expect("data");
    serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON")
}

#[test]
fn the_library_is_the_one_that_was_published() {
    // `npm pack uplot@1.6.32` has the same bytes.
    for (name, bytes, sum) in [
        (
            "uPlot.iife.js",
            &include_bytes!("../../../assets/uplot/uPlot.iife.js")[..],
            "1b71fc5e6b5b572922ed9941ed21d067207c8e5ecac0d35de66fd65d9686e791",
        ),
        (
            "uPlot.iife.min.js",
            include_bytes!("../../../assets/uplot/uPlot.iife.min.js"),
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        (
            "uPlot.min.css",
            include_bytes!("../../../assets/uplot/uPlot.min.css"),
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
    ] {
        let digest = Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(digest, sum, "{name}");
    }
    assert_eq!(include_str!("../../../assets/uplot/VERSION").trim(), "1.6.32");
    assert!(include_str!("../../../assets/uplot/LICENSE").contains("Leon Sorokin"));
}

#[test]
fn a_page_of_nothing_is_small() {
    let page = of_run(&all_sorts()[5].1);
    assert!(page.len() < 130_000, "{} bytes", page.len());
}

#[test]
fn every_sort_of_run_has_a_page_that_stands_alone() {
    for (sort, document) in all_sorts() {
        let page = of_run(&document);
        assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"), "{sort}");
        for word in [" src=", "<link", "@import", "url(", " style=", "javascript:", "onclick=", "<iframe"] {
            assert!(!page.contains(word), "{sort}: {word}");
        }
        let charts = data(&page)["charts"].as_array().expect("charts").len();
        assert_eq!(page.matches("<figure").count(), charts, "{sort}");
        assert_eq!(page.matches("data-chart=").count(), charts, "{sort}");
        assert_eq!(page.matches("The same in words and numbers").count(), charts, "{sort}");
        assert_eq!(charts == 0, document.series.is_empty() && document.metrics.len() < 9, "{sort}: {charts}");
    }
}

#[test]
fn the_policy_names_what_is_in_the_page_and_nothing_else() {
    use base64::Engine as _;
    let page = of_run(&all_sorts()[0].1);
    let (_, policy) = page.split_once("content=\"default-src").expect("a policy");
    let policy = policy.split_once("\">").expect("its end").0.replace("&#39;", "'");
    assert!(policy.starts_with(" 'none'; script-src 'sha256-"), "{policy}");
    let mut hashes = 0;
    for (open, close) in [("<script>", "</script>"), ("<style>", "</style>")] {
        for part in page.split(open).skip(1) {
            let text = part.split_once(close).expect("its end").0;
            let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
            assert!(policy.contains(&format!("'sha256-{digest}'")), "{open} {}", &text[..text.len().min(60)]);
            hashes += 1;
        }
    }
    assert_eq!((hashes, policy.matches("sha256-").count()), (4, 4));
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
}

/// Puts the payload wherever the document stays valid with it: into every text, and into every key
/// that others may choose.
pub(crate) fn poisoned(document: &Document) -> (Document, usize) {
    let mut value = serde_json::to_value(document).expect("JSON");
    let mut paths = Vec::new();
    texts(&value, &mut String::new(), &mut paths);
    let mut poisoned = 0;
    for path in paths {
        let before = value.pointer(&path).cloned().expect("a text");
        *value.pointer_mut(&path).expect("a text") = Value::from(PAYLOAD);
        match serde_json::from_value::<Document>(value.clone()) {
            Ok(_) => poisoned += 1,
            Err(_) => *value.pointer_mut(&path).expect("a text") = before,
        }
    }
    for pointer in ["/requests", "/failures/checks", "/failures/statuses", "/run/tags", "/series/0/requests"] {
        let map = value.pointer_mut(pointer).and_then(Value::as_object_mut).expect(pointer);
        *map = std::mem::take(map).into_iter().map(|(key, value)| (format!("{key}{PAYLOAD}"), value)).collect();
    }
    value["failures"][PAYLOAD] = Value::from(7);
    value["series"][0]["failures"] = Value::Object(Map::from_iter([(PAYLOAD.to_owned(), Value::from(7))]));
    (serde_json::from_value(value).expect("still a document"), poisoned)
}

fn texts(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::String(_) if !path.ends_with("histogram") && !path.contains("/histograms/") => paths.push(path.clone()),
        Value::Array(all) => {
            for (i, value) in all.iter().enumerate() {
                *path = format!("{path}/{i}");
                texts(value, path, paths);
                path.truncate(length);
            }
        }
        Value::Object(all) => {
            for (key, value) in all {
                *path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                texts(value, path, paths);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

#[test]
fn hostile_texts_stay_texts() {
    for (sort, document) in all_sorts().into_iter().filter(|(_, document)| !document.series.is_empty()) {
        let (document, poisoned) = poisoned(&document);
        assert!(poisoned > 40, "{sort}: {poisoned} texts");
        let page = of_run(&document);
        assert!(page.matches("window.pwned=1").count() > 10, "{sort}: they are on the page");
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (3, 3), "{sort}");
        for word in ["<img", "<!--", "'>"] {
            assert!(!page.contains(word), "{sort}: {word}");
        }
        assert!(page.contains("{{7*7}}") && !page.contains("49}"), "{sort}");
    }
}

#[test]
fn an_hour_fits_a_megabyte_and_keeps_its_extremes() {
    let mut hour = long(3_600);
    hour.series[1_777].ttft = hour.series[1_777].ttft.map(|q| crate::document::Quantiles { p99: 98_765.0, ..q });
    let page = of_run(&hour);
    assert!(page.len() <= 1_000_000, "{} bytes", page.len());
    let data = data(&page);
    let charts = data["charts"].as_array().expect("charts");
    let points = |series: &Value| series["values"].as_array().expect("values").len();
    let most = charts.iter().flat_map(|chart| chart["series"].as_array().expect("series")).map(points).max();
    assert_eq!((most, data["at"].as_array().map(Vec::len)), (Some(2_000), Some(2_000)));
    let ttft = charts.iter().find(|chart| chart["id"] == "ttft").expect("a chart");
    assert!(ttft["series"][2]["values"].as_array().expect("values").contains(&Value::from(98_765)));
    assert!(page.contains("least and greatest of up to 4 s are drawn"));
}

#[test]
fn runs_of_any_length_have_a_page() {
    for seconds in [0, 1, 2, 10_000] {
        let document = long(seconds);
        let page = of_run(&document);
        assert!(page.len() < 1_200_000, "{seconds} s: {} bytes", page.len());
        assert_eq!(page.contains(r#"id="ttft""#), seconds > 0);
    }
}

#[test]
fn a_chart_has_the_lines_of_its_thresholds_and_what_was_not_measured() {
    let mut document = all_sorts().remove(1).1;
    (document.run.warmup_s, document.run.cooldown_s) = (2.0, 3.0);
    let data = data(&of_run(&document));
    let charts = data["charts"].as_array().expect("charts");
    let duration = charts.iter().find(|chart| chart["id"] == "duration").expect("a chart");
    let line = &duration["lines"][0];
    assert_eq!(
        (&line["at"], &line["name"], &line["is_broken"]),
        (&Value::from(300.0), &Value::from("p(95)<300"), &Value::from(true))
    );
    let names: Vec<_> = duration["bands"].as_array().expect("bands").iter().map(|band| &band["name"]).collect();
    assert!(names.contains(&&Value::from("warm-up")) && names.contains(&&Value::from("cooldown")), "{names:?}");
    let ttft = charts.iter().find(|chart| chart["id"] == "ttft").expect("a chart");
    assert_eq!(ttft["lines"], serde_json::json!([]), "it has a threshold of one kind only");
}

#[test]
fn an_older_result_without_classes_a_second_shows_failures_all_together() {
    let mut document = all_sorts().remove(0).1;
    let names = |document: &Document| {
        let data = data(&of_run(document));
        let charts = data["charts"].as_array().expect("charts");
        let failures = charts.iter().find(|chart| chart["id"] == "failures").expect("a chart");
        failures["series"]
            .as_array()
            .expect("series")
            .iter()
            .map(|series| series["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&document), ["reset", "http_429", "check"]);
    for second in &mut document.series {
        (second.failures, second.http_reqs_started) = (std::collections::BTreeMap::new(), None);
    }
    assert_eq!(names(&document), ["failed"]);
}
