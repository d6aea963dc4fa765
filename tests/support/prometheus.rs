//! A real Prometheus, as packaged by Debian.

use super::bench::{eventually, free_port};
use super::http::{Reply, get};
use serde_json::Value;
use std::process::{Child, Command, Stdio};

/// A Prometheus with its own database, which accepts remote writes and native histograms.
pub struct Prometheus {
    child: Child,
    addr: String,
    _folder: tempfile::TempDir,
}

/// A series of a response: its labels and its value.
#[derive(Debug, Clone)]
pub struct Series {
    pub labels: Value,
    pub value: f64,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes `targets` five times a second. `None` if Prometheus is not
    /// installed; `.ci/run` reports that.
    pub fn start(targets: &[&str]) -> Option<Self> {
        let installed =
            Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let is_there = installed.is_ok_and(|status| status.success());
        let is_needed = std::env::var_os("LLMSIM_BLAST_CI_NEEDS_PROMETHEUS").is_some();
        assert!(is_there || !is_needed, "Prometheus is missing");
        if !is_there {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prometheus.yml");
        let jobs = if targets.is_empty() {
            String::new()
        } else {
            let targets = serde_json::to_string(targets).expect("JSON");
            format!(
                "scrape_configs:\n  - job_name: blast\n    scrape_interval: 200ms\n    scrape_timeout: 200ms\n    static_configs: [{{ targets: {targets} }}]\n"
            )
        };
        std::fs::write(&config, jobs).expect("written");
        let addr = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .args(["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let prometheus = Self { child, addr, _folder: folder };
        eventually("Prometheus is ready", || get(&prometheus.addr, "/-/ready", &[]).status == 200);
        Some(prometheus)
    }

    /// Returns the URL for remote writes.
    pub fn write_url(&self) -> String {
        format!("http://{}/api/v1/write", self.addr)
    }

    /// Requests a path of the API.
    pub fn ask(&self, path: &str) -> Value {
        let Reply { status, body, .. } = get(&self.addr, path, &[]);
        let answer: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {status} {error}: {body}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// Returns the value of each series of an expression, at an instant in seconds since 1970.
    pub fn query(&self, expression: &str, at: f64) -> Vec<Series> {
        let data = self.ask(&format!("/api/v1/query?time={at:.3}&query={}", escaped(expression)));
        let series = data["result"].as_array().expect("series").iter();
        let value = |one: &Value| one["value"][1].as_str().and_then(|text| text.parse().ok());
        series.map(|one| Series { labels: one["metric"].clone(), value: value(one).unwrap_or(f64::NAN) }).collect()
    }

    /// Returns the value of an expression that has one series.
    pub fn value(&self, expression: &str, at: f64) -> f64 {
        let all = self.query(expression, at);
        let [one] = &all[..] else { panic!("{expression}: {all:?}") };
        one.value
    }

    /// Returns the values of each series of an expression, for each second of a span. For
    /// histograms, these are the counts.
    pub fn range(&self, expression: &str, (from, to): (f64, f64)) -> Vec<Vec<f64>> {
        let path = format!("/api/v1/query_range?start={from:.3}&end={to:.3}&step=1&query={}", escaped(expression));
        let data = self.ask(&path);
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let values = |one: &Value| -> Vec<f64> {
            let floats = one["values"].as_array().into_iter().flatten().filter_map(|pair| number(&pair[1]));
            let histograms = one["histograms"].as_array().into_iter().flatten();
            floats.chain(histograms.filter_map(|pair| number(&pair[1]["count"]))).collect()
        };
        data["result"].as_array().expect("series").iter().map(values).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the current time in seconds since 1970, as Prometheus expects it.
#[expect(clippy::disallowed_methods, reason = "asks another process for what happened by now")]
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Escapes a text for a query string.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Returns whether `promtool check metrics` accepts a text, and its output. The text is passed
/// through a file. `None` if promtool is not installed.
pub fn promtool(text: &str, file: &str) -> Option<(bool, String)> {
    std::fs::write(file, text).expect("written");
    let input = std::fs::File::open(file).expect("it was written");
    let checked = Command::new("promtool").args(["check", "metrics"]).stdin(input).output().ok()?;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    Some((checked.status.success(), said))
}
