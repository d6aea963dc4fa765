//! The live page: the run ends on time and keeps its result, however many browsers are connected.
//! Set `LLMSIM_BLAST_SHOTS` to a folder to look at pictures (`scripts/try-html.sh`).

#![cfg(all(feature = "embedded", feature = "web"))]

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use support::{
    Behaviour, Bench, Browser, COLOURED, Misbehaving, Running, SOON, blast, browser, document, eventually, free_port,
    get, keep, request, start,
};

/// Longest life of a run that is open in a browser, which may be slow.
const LOOKED_AT: Duration = Duration::from_secs(240);

/// A run with a live page, the page's address, and the file of the result.
struct Watched {
    running: Running,
    addr: String,
    json: String,
}

/// Starts a run of this length against its own simulator.
fn watched(bench: &Bench, length: &str, more: &[&str]) -> Watched {
    let (port, web, json) = (free_port().to_string(), free_port().to_string(), bench.path("r.json"));
    let args = ["load", "--duration", length, "--vus", "3", "--port", &port, "--web", &web, "--output", &json];
    let running = start(&[args.as_slice(), more].concat(), &[]);
    let addr = format!("127.0.0.1:{web}");
    running.wait_for_stderr(&format!("live page: http://{addr}/"), SOON);
    let watched = Watched { running, addr, json };
    // A page that needs a token responds with 401 at once.
    eventually("the run begins", || matches!(get(&watched.addr, "/", &[]).status, 200 | 401));
    watched
}

/// The events of a stream, as they arrive.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(addr: &str) -> Self {
        let mut stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        stream.write_all(request(addr, "/events", &[]).as_bytes()).expect("sent");
        Self(BufReader::new(stream))
    }

    /// Returns the name and the data of the next event. `None` at the end.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                event.trim_end().clone_into(&mut name);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).expect("JSON")));
            }
        }
    }

    /// Reads to the end. Returns the names of all events, and the data of the last.
    fn rest(mut self) -> (Vec<String>, Value) {
        let (mut names, mut last) = (Vec::new(), Value::Null);
        while let Some((name, data)) = self.next() {
            names.push(name);
            last = data;
        }
        (names, last)
    }
}

#[test]
fn seconds_come_as_they_pass_and_then_the_report() {
    let bench = Bench::new();
    let run = watched(&bench, "8s", &[]);
    let reply = get(&run.addr, "/", &[]);
    for header in [
        "cache-control: no-store",
        "content-security-policy: default-src 'none'",
        "connect-src 'self'",
        "x-frame-options: deny",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(reply.head.contains(header), "{header}: {}", reply.head);
    }
    assert!(!reply.head.contains("access-control"), "{}", reply.head);
    assert!(reply.body.contains("<h1>load: running</h1>"), "{}", reply.body);
    assert_eq!(get(&run.addr, "/healthz", &[]).status, 200);
    assert_eq!(get(&run.addr, "/other", &[]).status, 404);
    let mut events = Events::open(&run.addr);
    let (name, all) = events.next().expect("everything so far");
    assert!(name == "all" && all["charts"].is_array(), "{name}");
    let so_far: Value = serde_json::from_str(&get(&run.addr, "/api/v1/run", &[]).body).expect("JSON");
    assert_eq!(
        (&so_far["run"]["stop_reason"], &so_far["verdict"]),
        (&"the run has not ended".into(), &"interrupted".into())
    );
    assert!(so_far["series"].as_array().is_some_and(|series| !series.is_empty()), "{so_far}");
    let (names, report) = events.rest();
    assert!(names[..names.len() - 1].iter().all(|name| name == "second") && names.len() > 1, "{names:?}");
    assert_eq!(names.last().map(String::as_str), Some("report"));
    let page = report.as_str().expect("a page");
    assert!(page.contains("<h1>load: passed</h1>") && page.trim_end().ends_with("</html>"));
    let output = run.running.finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(document(&run.json)["run"]["stop_reason"], Value::Null);
}

/// The page of a sweep: each step is a run, and the earlier steps are shown beside it.
#[test]
fn sweeps_show_the_step_that_runs_and_those_that_are_over() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    let (web, json, url) = (free_port().to_string(), bench.path("c.json"), server.url());
    let addr = format!("127.0.0.1:{web}");
    let target = ["--target-url", &url, "--no-probe", "--web", &web, "--output", &json, "--warmup", "0s"];
    let args = ["capacity", "--by", "vus", "--max", "2", "--slo", "http_req_failed rate<1%", "--duration", "2s"];
    let running = start(&[&args[..], &target].concat(), &[]);
    running.wait_for_stderr(&format!("live page: http://{addr}/"), SOON);
    eventually("the first step begins", || get(&addr, "/", &[]).status == 200);
    let page = get(&addr, "/", &[]).body;
    assert!(page.contains("<h1>capacity load: running</h1>") && page.contains("http_req_failed rate&#60;1%"), "{page}");
    let mut events = Events::open(&addr);
    assert_eq!(events.next().expect("everything so far").0, "all");
    let (name, steps) = events.next().expect("the steps");
    assert!(name == "steps" && steps["charts"].as_array().is_some_and(Vec::is_empty), "{name}: {steps}");
    let so_far: Value = serde_json::from_str(&get(&addr, "/api/v1/run", &[]).body).expect("JSON");
    assert_eq!((&so_far["schema"], &so_far["verdict"]), (&"llmsim-blast.capacity/1".into(), &"interrupted".into()));
    let (mut told, mut curves, mut begun, mut page) = (Vec::new(), 0, 1, String::new());
    while let Some((name, data)) = events.next() {
        match name.as_str() {
            "all" => begun += 1,
            "steps" => {
                told = data["told"].as_array().expect("lines").clone();
                curves = data["charts"].as_array().expect("charts").len();
                assert!(data["charts"].as_array().is_some_and(|all| {
                    all.iter().all(|chart| chart["id"].as_str().is_some_and(|id| id.starts_with("steps-")))
                }));
            }
            "report" => data.as_str().expect("a page").clone_into(&mut page),
            _ => {}
        }
    }
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    let found = document(&json);
    let steps = found["curve"].as_array().expect("steps").len();
    assert_eq!((begun, told.len()), (steps, steps), "{told:?}");
    assert!(told[0].as_str().is_some_and(|line| line.starts_with("step 1, ")) && curves > 2, "{told:?}");
    assert!(page.contains("Latency by load") && page.contains("the goals hold at 2 users"), "{page}");

    let args = ["throughput", "--concurrency", "1,2", "--responses", "plain", "--duration", "1s", "--no-server"];
    let running = start(&[&args[..], &target].concat(), &[]);
    eventually("the first step begins", || get(&addr, "/", &[]).status == 200);
    let (names, report) = Events::open(&addr).rest();
    assert_eq!(running.finish(SOON).code, Some(0));
    assert!(names.contains(&"steps".to_owned()) && names.last().is_some_and(|name| name == "report"), "{names:?}");
    assert!(report.as_str().is_some_and(|page| page.contains("Plain responses: requests per second")));
}

#[test]
fn fifty_browsers_and_some_that_never_read_do_not_hold_up_the_end() {
    let bench = Bench::new();
    let run = watched(&bench, "8s", &[]);
    // A window of a few kilobytes is soon full.
    let mut deaf: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(&run.addr).expect("it listens")).collect();
    for stream in &mut deaf {
        socket2::SockRef::from(&*stream).set_recv_buffer_size(2_048).expect("a small buffer");
        stream.write_all(request(&run.addr, "/events", &[]).as_bytes()).expect("sent");
    }
    let browsers: Vec<Events> = (0..50).map(|_| Events::open(&run.addr)).collect();
    let readers: Vec<_> = browsers.into_iter().map(|events| std::thread::spawn(move || events.rest())).collect();
    // Connections beyond the limit get 503.
    let more: Vec<(TcpStream, [u8; 12])> = (0..10)
        .map(|_| {
            let mut stream = TcpStream::connect(&run.addr).expect("it listens");
            stream.write_all(request(&run.addr, "/events", &[]).as_bytes()).expect("sent");
            let mut head = [0; 12];
            stream.read_exact(&mut head).expect("an answer");
            (stream, head)
        })
        .collect();
    assert!(more.iter().any(|(_, head)| head == b"HTTP/1.1 503"), "there is an end to it");
    for reader in readers {
        let (names, _) = reader.join().expect("a reader");
        assert_eq!(names.last().map(String::as_str), Some("report"), "{names:?}");
    }
    let output = run.running.finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    drop(deaf);
}

#[test]
fn a_signal_ends_a_run_that_is_looked_at() {
    let bench = Bench::new();
    let run = watched(&bench, "60s", &[]);
    let events = Events::open(&run.addr);
    run.running.signal(Signal::SIGINT);
    let (names, report) = events.rest();
    assert_eq!(names.last().map(String::as_str), Some("report"), "{names:?}");
    assert!(report.as_str().is_some_and(|page| page.contains("<h1>load: interrupted</h1>")));
    let output = run.running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
}

#[test]
fn strangers_stay_outside() {
    let bench = Bench::new();
    let run = watched(&bench, "60s", &["--web-token", "sesame-open"]);
    let ask = |path: &str, headers: &[(&str, &str)]| get(&run.addr, path, headers);
    for path in ["/", "/events", "/api/v1/run", "/healthz", "/metrics"] {
        assert_eq!(ask(path, &[]).status, 401, "{path}");
        let strange = [("Host", "evil.example"), ("Authorization", "Bearer sesame-open")];
        assert_eq!(ask(path, &strange).status, 403, "{path}");
    }
    assert_eq!(ask("/healthz", &[("Authorization", "Bearer sesame-open")]).status, 200);
    let moved = ask("/?token=sesame-open", &[]);
    assert!(moved.status == 303 && moved.head.contains("\r\nlocation: /\r\n"), "{}", moved.head);
    assert!(moved.head.contains("httponly; samesite=strict"), "{}", moved.head);
    run.running.signal(Signal::SIGINT);
    let output = run.running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    let kept = std::fs::read_to_string(&run.json).expect("a document");
    assert!(!kept.contains("sesame") && kept.contains("--web-token"), "the token is in no result");
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_is_sent() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    for (args, words) in [
        (&["--web", &port][..], "expected an address of this machine and a port that nothing else uses"),
        (&["--web", "192.0.2.1", "--web-token", "sesame-open"], "Cannot assign requested address"),
        (&["--web", "0.0.0.0"], "set --web-token"),
        (&["--web", "nonsense"], "expected a port, an address, or both"),
        (&["--web-token", "sesame-open"], "without --web"),
    ] {
        let output = blast(&[&["quick-smoke", "--target-url", &server.url(), "--quiet"], args].concat());
        assert!(matches!(output.code, Some(104 | 2)), "{args:?}: {output:?}");
        assert!(output.stderr.contains(words) && !output.stderr.contains("sesame"), "{args:?}: {output:?}");
    }
    assert_eq!(server.posts().len(), 0, "nothing was sent");
}

#[test]
fn a_run_that_cannot_begin_ends_as_without_a_page() {
    let bench = Bench::new();
    let (web, json) = (free_port().to_string(), bench.path("r.json"));
    let args = ["load", "--target-url", "http://127.0.0.1:1", "--web", &web, "--output", &json];
    let output = blast(&args);
    assert_eq!(output.code, Some(107), "{output:?}");
}

/// Checks that the page has no errors, and that it requests its events and nothing else.
fn assert_clean(browser: &mut Browser) {
    let trouble = browser.trouble();
    assert!(trouble.said.is_empty(), "{trouble:?}");
    assert!(trouble.asked.iter().all(|url| url.ends_with("/events\"")), "{trouble:?}");
}

#[test]
fn a_browser_sees_charts_grow_and_then_the_report() {
    let Some(mut browser) = browser() else { return };
    let bench = Bench::new();
    // The run ends when everything was checked, however slow the browser is.
    let run = watched(&bench, "10m", &["--chaos"]);
    browser.open_url(&format!("http://{}/", run.addr), 1280, false);
    let seconds = "window.report.data.at.length";
    eventually("four seconds have come", || browser.eval(seconds).as_u64() > Some(3));
    browser.settle();
    let charts = browser.eval(COLOURED);
    let charts = charts.as_array().expect("charts");
    assert!(charts.len() > 9, "{charts:?}");
    for chart in charts {
        assert!(chart[1].as_i64() > Some(20), "{chart} coloured pixels while it lasts");
    }
    let range = browser.eval("window.report.ranges()");
    for (id, min, max, last) in range.as_array().expect("ranges").iter().map(|one| (&one[0], &one[1], &one[2], &one[3]))
    {
        assert_eq!((min.as_f64(), max), (Some(0.0), last), "{id}: all seconds are shown, and no more");
    }
    keep("live-1280-light.png", &browser.screenshot());
    let (before, label) = (browser.eval(seconds).as_u64(), "document.querySelector('#rates .plot').ariaLabel");
    assert!(browser.eval(label).as_str().is_some_and(|text| text.contains("completed")));
    eventually("another second comes", || browser.eval(seconds).as_u64() > before);
    // All series of a chart are as long as its axis, whenever they began.
    let ragged = "window.report.data.charts.filter((c) => !c.heat && !c.at && c.series.some(\
                  (s) => s.values.length !== window.report.data.at.length)).map((c) => c.id)";
    assert_eq!(browser.eval(ragged), serde_json::json!([]));
    assert_eq!(browser.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0);
    run.running.signal(Signal::SIGINT);
    eventually("the report comes", || browser.eval("document.querySelector('h1').textContent") != "load: running");
    browser.settle();
    let said = browser.eval("document.querySelector('h1').textContent");
    assert_eq!(said, "load: interrupted");
    for chart in browser.eval(COLOURED).as_array().expect("charts") {
        assert!(chart[1].as_i64() > Some(20), "{chart} coloured pixels in the report");
    }
    keep("live-report-1280-light.png", &browser.screenshot());
    let output = run.running.finish(LOOKED_AT);
    assert_eq!(output.code, Some(105), "{output:?}");
    assert_clean(&mut browser);
}

#[test]
fn a_browser_sees_the_steps_of_a_sweep() {
    let Some(mut browser) = browser() else { return };
    let server = Misbehaving::start(Behaviour::Good { tokens: 5 });
    let (web, url) = (free_port().to_string(), server.url());
    let args = ["capacity", "--by", "vus", "--slo", "http_req_failed rate<1%", "--duration", "3s", "--warmup", "0s"];
    let running = start(&[&args[..], &["--target-url", &url, "--no-probe", "--web", &web]].concat(), &[]);
    eventually("the first step begins", || get(&format!("127.0.0.1:{web}"), "/", &[]).status == 200);
    browser.open_url(&format!("http://127.0.0.1:{web}/"), 1280, false);
    eventually("three steps are over", || {
        browser.eval("document.querySelectorAll('#steps li').length").as_u64() >= Some(3)
    });
    browser.settle();
    let charts = browser.eval(COLOURED);
    let of_steps: Vec<&Value> = charts
        .as_array()
        .expect("charts")
        .iter()
        .filter(|chart| chart[0].as_str().is_some_and(|id| id.starts_with("steps-")))
        .collect();
    assert!(of_steps.len() >= 3, "{charts}");
    assert!(of_steps.iter().all(|chart| chart[1].as_i64() > Some(20)), "{charts}");
    let first = browser.eval("document.querySelector('.charts > figure').id");
    assert!(first.as_str().is_some_and(|id| id.starts_with("steps-")), "curves come first: {first}");
    keep("live-capacity-1280-light.png", &browser.screenshot());
    running.signal(Signal::SIGINT);
    let title = "document.querySelector('h1').textContent";
    eventually("the report comes", || browser.eval(title) == "load: interrupted");
    assert_eq!(running.finish(LOOKED_AT).code, Some(105));
    assert_clean(&mut browser);
}

#[test]
fn a_browser_says_that_the_connection_is_lost() {
    let Some(mut browser) = browser() else { return };
    let bench = Bench::new();
    let run = watched(&bench, "60s", &[]);
    browser.open_url(&format!("http://{}/", run.addr), 400, true);
    eventually("two seconds have come", || browser.eval("window.report.data.at.length").as_u64() > Some(1));
    keep("live-400-dark.png", &browser.screenshot());
    assert_clean(&mut browser);
    run.running.signal(Signal::SIGKILL);
    let link = "document.getElementById('link').textContent";
    eventually("it is said", || browser.eval(link).as_str().is_some_and(|text| text.starts_with("Connection lost")));
    let said = browser.eval(link);
    assert!(
        said.as_str().is_some_and(|text| text.contains("what you see ends at") && text.contains(" of 1m")),
        "{said}"
    );
    keep("live-lost-400-dark.png", &browser.screenshot());
}
