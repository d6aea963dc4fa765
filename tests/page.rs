//! The report page: from every command that writes one, to paths that do not exist, and in a real
//! browser. Set `LLMSIM_BLAST_SHOTS` to a folder to keep the pictures (`scripts/try-html.sh`).

mod support;

use llmsim_blast::document::{Document, Second};
use llmsim_blast::report::html;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{Behaviour, Bench, Browser, COLOURED, Misbehaving, Trouble, blast, browser, keep};

/// Has an effect on a page that does not escape it.
const PAYLOAD: &str = "</script><script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=2>";

/// A page for the browser: its name and its path.
type Made = (&'static str, PathBuf);

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs briefly against a good server, and returns the paths of the page and of the document.
fn run(bench: &Bench, name: &str, more: &[&str]) -> (String, String) {
    let server = Misbehaving::start(Behaviour::Good { tokens: 5 });
    let (page, json) = (bench.path(&format!("{name}.html")), bench.path(&format!("{name}.json")));
    let url = server.url();
    let args = ["quick-smoke", "--target-url", &url, "--quiet", "--html", &page, "--output", &json];
    let output = blast(&[&args, more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    (page, json)
}

#[test]
fn the_page_of_a_run_is_the_page_of_its_document() {
    let bench = Bench::new();
    let (page, json) = run(&bench, "run", &[]);
    let again = bench.path("again.html");
    let output = blast(&["report", &json, "--html", &again]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("PASS"), "the summary is printed as well: {output:?}");
    assert_eq!(text(&page), text(&again));
    assert!(text(&page).contains("<h1>quick-smoke: passed</h1>"));
}

#[test]
fn merged_and_compared_runs_have_pages() {
    let bench = Bench::new();
    let shards: Vec<String> = ["0/2", "1/2"]
        .iter()
        .enumerate()
        .map(|(i, shard)| run(&bench, &format!("s{i}"), &["--vus", "2", "--shard", shard]).1)
        .collect();
    let merged = bench.path("merged.html");
    let output = blast(&["merge", &shards[0], &shards[1], "--html", &merged]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(text(&merged).contains("from 2 runs"));
    let (base, head) = (run(&bench, "base", &[]).1, run(&bench, "head", &[]).1);
    let compared = bench.path("compared.html");
    let output = blast(&["compare", &base, &head, "--fail-on", "ttft.p50>5%", "--html", &compared]);
    assert!(output.code.is_some_and(|code| [0, 110].contains(&code)), "{output:?}");
    let page = text(&compared);
    assert!(page.contains("ttft.p50&#62;5%") && page.contains("1 of 1 gate could not be judged"), "{page}");
    assert!(!page.contains("<circle "), "what is not known is not drawn: {page}");
    let output = blast(&["compare", &base, &head, "--fail-on", "error_rate>0.5pp", "--html", &compared]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let page = text(&compared);
    for part in ["<circle ", "aria-label=\"error_rate&#62;0.5pp: ", "its interval is not known, the limit is +0.50pp."]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn sweeps_have_pages() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let url = server.url();
    let target = ["--no-server", "--target-url", &url, "--duration", "200ms", "--warmup", "0s", "--quiet"];
    let page = bench.path("capacity.html");
    let args = ["capacity", "--by", "vus", "--max", "4", "--slo", "http_req_failed rate<1%", "--html", &page];
    let output = blast(&[args.as_slice(), &target].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(text(&page).contains("Latency by load") && text(&page).contains("the goals hold at 4 users"));
    let page = bench.path("throughput.html");
    let args = ["throughput", "--concurrency", "1,2", "--html", &page];
    let output = blast(&[args.as_slice(), &target].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(text(&page).contains("Plain responses: requests per second"));
}

#[test]
fn a_place_that_cannot_be_is_refused_by_the_name_of_its_flag() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let (same, folder, url) = (bench.path("same"), bench.path("new/"), server.url());
    let run = |places: &[&str]| blast(&[&["quick-smoke", "--target-url", &url, "--quiet"], places].concat());
    for (places, words) in [
        (&["--html", &folder][..], "--html"),
        (&["--html", &bench.path("missing/r.html")], "--html"),
        (&["--html", &same, "--output", &same], "two results"),
        (&["--html", &same, "--junit", &same], "two results"),
    ] {
        let output = run(places);
        assert_eq!(output.code, Some(104), "{places:?}: {output:?}");
        assert!(output.stderr.contains(words) && output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(server.posts().len(), 0, "nothing was sent");
}

#[test]
fn a_full_disk_loses_neither_the_page_nor_the_document() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let (json, url) = (bench.path("r.json"), server.url());
    let output = blast(&["quick-smoke", "--target-url", &url, "--quiet", "--html", "/dev/full", "--output", &json]);
    assert_eq!(output.code, Some(109), "{output:?}");
    assert!(output.stdout.contains("PASS"), "{output:?}");
    support::document(&json);
    assert!(output.stderr.contains("error: --html /dev/full: the results could not be written"), "{output:?}");
    let (_, rescued) = output.stderr.split_once("they are in ").expect("a place");
    let rescued = rescued.lines().next().expect("a path");
    assert!(text(rescued).contains("<h1>quick-smoke: passed</h1>"));
    std::fs::remove_file(rescued).expect("removed");
    // If both fail, both are reported.
    let output =
        blast(&["quick-smoke", "--target-url", &url, "--quiet", "--html", "/dev/full", "--output", "/dev/full"]);
    assert_eq!(output.stderr.matches("they are in ").count(), 2, "{output:?}");
    for line in output.stderr.lines().filter_map(|line| line.split_once("they are in ")) {
        std::fs::remove_file(line.1).expect("removed");
    }
}

/// Pictures of all charts, to detect changes.
const PICTURES: &str = "[...document.querySelectorAll('.plot canvas')].map((canvas) => canvas.toDataURL())";

/// Runs with failures, stages, a warm-up and a server that is watched. Returns the path of the
/// document.
#[cfg(feature = "embedded")]
fn busy(bench: &Bench, name: &str) -> String {
    let (json, port) = (bench.path(&format!("{name}.json")), support::free_port().to_string());
    let args = ["load", "--duration", "6s", "--warmup", "1s", "--vus", "6", "--chaos", "--quiet", "--port", &port];
    let output = blast(&[args.as_slice(), &["--output", &json]].concat());
    assert!(output.code.is_some_and(|code| [0, 99].contains(&code)), "{output:?}");
    json
}

/// Returns the document of a run with hostile texts.
fn poisoned(document: &Document) -> Document {
    let mut value = serde_json::to_value(document).expect("JSON");
    for pointer in ["/run/profile", "/run/id", "/run/started_at", "/target/url", "/target/server/version"] {
        *value.pointer_mut(pointer).expect(pointer) = Value::from(PAYLOAD);
    }
    for pointer in ["/requests", "/failures/statuses"] {
        let map = value.pointer_mut(pointer).and_then(Value::as_object_mut).expect(pointer);
        *map = std::mem::take(map).into_iter().map(|(key, value)| (format!("{PAYLOAD}{key}"), value)).collect();
    }
    for second in value["series"].as_array_mut().expect("seconds") {
        let map = second["requests"].as_object_mut().expect("kinds");
        *map = std::mem::take(map).into_iter().map(|(key, value)| (format!("{PAYLOAD}{key}"), value)).collect();
        second["failures"] = json!({ PAYLOAD: 1 });
    }
    value["hints"] = json!([{ "name": PAYLOAD, "text": PAYLOAD }]);
    value["thresholds"][0]["expression"] = json!(format!("p(95)<1 {PAYLOAD}"));
    serde_json::from_value(value).expect("still a document")
}

/// Returns the document with its seconds repeated.
fn stretched(document: &Document, seconds: u32) -> Document {
    let again = document.series.iter().cycle().zip(0..seconds);
    let series: Vec<Second> = again.map(|(second, t_s)| Second { t_s, ..second.clone() }).collect();
    let mut document = document.clone();
    document.series = series;
    document.run.duration_s = f64::from(seconds);
    document
}

/// Returns pages of all kinds.
#[cfg(feature = "embedded")]
fn pages(bench: &Bench) -> Vec<Made> {
    let (base, head) = (busy(bench, "base"), busy(bench, "head"));
    let run = Document::from_json(&text(&base)).expect("a document");
    let path = |name: &str| PathBuf::from(bench.path(name));
    let written = |name: &'static str, page: String| {
        bench.write(&format!("{name}.html"), &page);
        (name, path(&format!("{name}.html")))
    };
    let mut made = vec![
        written("run", html::of_run(&run)),
        written("hostile", html::of_run(&poisoned(&run))),
        written("hour", html::of_run(&stretched(&run, 3_600))),
        written("second", html::of_run(&stretched(&run, 1))),
        written("empty", html::of_run(&stretched(&run, 0))),
    ];
    let compared = bench.path("compare.html");
    blast(&["compare", &base, &head, "--fail-on", "ttft.p95>5%", "--fail-on", "tbt.p50>1%", "--html", &compared]);
    let capacity = bench.path("capacity.html");
    let (short, port) =
        (["--duration", "1s", "--warmup", "200ms", "--quiet", "--port"], support::free_port().to_string());
    let args = ["capacity", "--by", "vus", "--max", "16", "--slo", "ttft p(95)<60ms", "--html", &capacity];
    blast(&[args.as_slice(), &short, &[&port]].concat());
    let throughput = bench.path("throughput.html");
    let args = ["throughput", "--server-workers", "1,2", "--concurrency", "1,2,4", "--html", &throughput];
    blast(&[args.as_slice(), &short, &[&port]].concat());
    made.extend(
        [("compare", compared), ("capacity", capacity), ("throughput", throughput)]
            .map(|(name, page)| (name, PathBuf::from(page))),
    );
    made
}

#[cfg(feature = "embedded")]
#[test]
fn a_browser_draws_every_chart_and_finds_nothing_to_complain_of() {
    let Some(mut browser) = browser() else { return };
    let bench = Bench::new();
    for (name, page) in pages(&bench) {
        for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
            let case = format!("{name}-{width}-{}", if dark { "dark" } else { "light" });
            browser.open(&page, width, dark);
            assert_eq!(browser.eval("window.pwned === undefined"), true, "{case}");
            for chart in browser.eval(COLOURED).as_array().expect("charts") {
                assert!(chart[1].as_i64() > Some(20), "{case}: {chart} coloured pixels");
            }
            let overflow = browser.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(overflow, 0, "{case}: it is wider than the screen");
            assert_eq!(browser.trouble(), Trouble::default(), "{case}");
            if name != "hour" || width == 1280 {
                keep(&format!("{case}.png"), &browser.screenshot());
            }
        }
        let pdf = browser.pdf();
        assert!(pdf.len() > 10_000, "{name}: it can be printed");
        keep(&format!("{name}.pdf"), &pdf);
        assert_eq!(browser.trouble(), Trouble::default(), "{name}, printed");
    }
}

#[cfg(feature = "embedded")]
#[test]
fn the_keyboard_moves_zooms_and_switches_all_charts_at_once() {
    let Some(mut browser) = browser() else { return };
    let bench = Bench::new();
    let run = Document::from_json(&text(&busy(&bench, "run"))).expect("a document");
    let page = bench.write("run.html", &html::of_run(&run));
    browser.open(Path::new(&page), 1280, false);
    browser.eval("document.querySelector('#ttft .plot').focus()");
    browser.press("ArrowRight");
    browser.press("ArrowRight");
    let said = browser.eval("document.querySelector('#ttft .read').textContent");
    assert!(said.as_str().is_some_and(|said| said.starts_with("1s: p50 ")), "{said}");
    // The other charts show the values of the same second.
    let live = browser.eval("document.querySelector('#rates .u-legend .u-value').textContent");
    assert_eq!(live, "1s");
    let pictures = |browser: &mut Browser| browser.eval(PICTURES).as_array().expect("pictures").clone();
    let whole = pictures(&mut browser);
    browser.press("+");
    let zoomed = pictures(&mut browser);
    let over_time =
        browser.eval("[...document.querySelectorAll('.plot')].map((p) => p.dataset.chart !== 'distribution')");
    for (i, is_over_time) in over_time.as_array().expect("charts").iter().enumerate() {
        assert_eq!(whole[i] != zoomed[i], *is_over_time == true, "chart {i} follows");
    }
    browser.press("0");
    assert_eq!(pictures(&mut browser), whole, "all is shown again");
    browser.press("l");
    let changed = pictures(&mut browser).iter().zip(&whole).filter(|(one, other)| one != other).count();
    assert_eq!(changed, 4, "three of percentiles and the one by kind of request are logarithmic");
    assert_eq!(browser.eval("document.getElementById('scale').getAttribute('aria-pressed')"), "true");
    browser.eval("for (let i = 0; i < 2; i += 1) document.getElementById('theme').click()");
    let dark = browser.eval("getComputedStyle(document.body).backgroundColor");
    assert_eq!(dark, "rgb(15, 20, 24)", "the second theme is the dark one");
    let names = browser.eval("[...document.querySelectorAll('.plot')].map((plot) => plot.getAttribute('aria-label'))");
    let names: BTreeSet<&str> = names.as_array().expect("names").iter().filter_map(Value::as_str).collect();
    assert!(names.iter().all(|name| name.chars().any(|c| c.is_ascii_digit())), "{names:?}");
    assert_eq!(browser.trouble(), Trouble::default());
}
