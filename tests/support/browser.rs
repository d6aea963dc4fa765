//! A headless Chromium, controlled over two pipes in the `DevTools` protocol: one JSON object a
//! message, followed by a zero byte. It needs no port and no driver.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Program names of Chromium.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Longest wait for a response. A busy machine draws the page of an hour's run within it.
const ANSWER: Duration = Duration::from_secs(60);

/// Pause between two checks whether the browser has ended, and the number of checks.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 500;

/// A browser with one page.
pub struct Browser {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<Value>,
    events: VecDeque<Value>,
    session: String,
    last_id: u64,
    /// The browser's profile.
    _folder: tempfile::TempDir,
}

/// Unwanted actions of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Errors and warnings of scripts, and violations of the content security policy.
    pub said: Vec<String>,
    /// URLs that the page requested besides itself.
    pub asked: Vec<String>,
}

impl Browser {
    /// Starts a browser. `None` if Chromium is not installed or does not start.
    pub fn start() -> Option<Self> {
        let found = NAMES.into_iter().find(|name| {
            let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        })?;
        let folder = tempfile::tempdir().expect("a folder");
        // The protocol uses descriptors 3 and 4.
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg("exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1")
            .arg(found)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--remote-debugging-pipe", "--hide-scrollbars", "--force-device-scale-factor=1"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (requests, output) = (child.stdin.take()?, child.stdout.take()?);
        let answers = read(output);
        let (events, session) = (VecDeque::new(), String::new());
        let mut browser = Self { child, requests, answers, events, session, last_id: 0, _folder: folder };
        let target = browser.try_call("Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.try_call("Target.attachToTarget", &attach)?;
        session["sessionId"].as_str()?.clone_into(&mut browser.session);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, &json!({}));
        }
        Some(browser)
    }

    fn try_call(&mut self, method: &str, params: &Value) -> Option<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = Value::from(self.session.as_str());
        }
        self.requests.write_all(format!("{message}\0").as_bytes()).ok()?;
        loop {
            let answer = self.answers.recv_timeout(ANSWER).ok()?;
            if answer["id"] == id {
                return answer.get("result").cloned();
            }
            if answer.get("method").is_some() {
                self.events.push_back(answer);
            }
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|| panic!("the browser did not do {method} with {params}"))
    }

    /// Waits for an event. Earlier events are kept for [`Browser::trouble`].
    fn wait_for(&mut self, method: &str) {
        while !self.events.iter().any(|event| event["method"] == method) {
            let event = self.answers.recv_timeout(ANSWER);
            self.events.push_back(event.unwrap_or_else(|_| panic!("{method} did not come")));
        }
        self.events.retain(|event| event["method"] != method);
    }

    /// Opens a file with a window of `width` pixels, and waits until it is drawn.
    pub fn open(&mut self, path: &Path, width: u32, dark: bool) {
        self.open_url(&format!("file://{}", path.display()), width, dark);
    }

    /// The same with any URL.
    pub fn open_url(&mut self, url: &str, width: u32, dark: bool) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.call("Emulation.setEmulatedMedia", &json!({ "features": [scheme] }));
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait_for("Page.loadEventFired");
        self.settle();
    }

    /// Waits until earlier changes of the page are painted.
    pub fn settle(&mut self) {
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");
    }

    /// Returns the value of an expression on the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"].get("value").cloned().unwrap_or(Value::Null)
    }

    /// Presses a key on the element that has the focus.
    pub fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            self.call("Input.dispatchKeyEvent", &json!({ "type": kind, "key": key, "text": text }));
        }
        self.settle();
    }

    /// Returns the unwanted actions of the page since it was opened.
    pub fn trouble(&mut self) -> Trouble {
        while let Ok(event) = self.answers.recv_timeout(Duration::ZERO) {
            self.events.push_back(event);
        }
        let mut trouble = Trouble::default();
        for event in &self.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => trouble.said.push(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" => trouble.said.push(params["args"].to_string()),
                "Log.entryAdded" => trouble.said.push(params["entry"].to_string()),
                "Page.javascriptDialogOpening" => trouble.said.push(params.to_string()),
                "Network.requestWillBeSent" if params["type"] != "Document" => {
                    trouble.asked.push(params["request"]["url"].to_string());
                }
                _ => {}
            }
        }
        trouble
    }

    /// Returns the whole page as a PNG, in base64.
    pub fn screenshot(&mut self) -> String {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", &params);
        answer["data"].as_str().expect("a picture").to_owned()
    }

    /// Returns the whole page as a PDF, in base64.
    pub fn pdf(&mut self) -> String {
        let answer = self.call("Page.printToPDF", &json!({ "printBackground": true }));
        answer["data"].as_str().expect("a document").to_owned()
    }
}

impl Drop for Browser {
    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    fn drop(&mut self) {
        // The browser and its children end by themselves when asked to.
        let _ = self.requests.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        for _ in 0..LOOKS {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads messages as they arrive.
fn read(output: ChildStdout) -> Receiver<Value> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut message = Vec::new();
        while output.read_until(0, &mut message).is_ok_and(|n| n > 0) {
            message.pop();
            let Ok(value) = serde_json::from_slice(&message) else { break };
            if send.send(value).is_err() {
                break;
            }
            message.clear();
        }
    });
    receive
}

/// Counts the coloured pixels of each chart. Lines, areas and maps have a colour; grids and texts
/// do not.
pub const COLOURED: &str = "[...document.querySelectorAll('.plot')].map((plot) => {
  const canvas = plot.querySelector('canvas');
  if (!canvas) return [plot.dataset.chart, -1];
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.subarray(i, i + 4);
    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 50) n += 1;
  }
  return [plot.dataset.chart, n];
})";

/// Starts a browser. `None` if there is no Chromium; `.ci/run` and `scripts/try-html.sh` report
/// that.
pub fn browser() -> Option<Browser> {
    let browser = Browser::start();
    let is_needed = std::env::var_os("LLMSIM_BLAST_CI_NEEDS_CHROMIUM").is_some();
    assert!(browser.is_some() || !is_needed, "Chromium is missing, or does not start here");
    browser
}

/// Saves a picture for manual inspection, if a folder for pictures is set.
pub fn keep(name: &str, base64: &str) {
    use base64::Engine as _;
    let Some(folder) = std::env::var_os("LLMSIM_BLAST_SHOTS") else { return };
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).expect("base64");
    std::fs::write(Path::new(&folder).join(name), bytes).expect("written");
}
