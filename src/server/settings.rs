//! Settings of a started server: one TOML text for every way of starting it.

use super::{ServerError, Spec};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use tempfile::NamedTempFile;

/// Short, steady responses, so that the transport and the server are measured, not a model's
/// pauses.
const BENCHMARK: &str = r#"[latency]
profile = "fast"

[response]
generator = "lorem"
target_tokens = 100

[errors]
rate_limit_rate = 0.0
server_error_rate = 0.0
timeout_rate = 0.0
"#;

/// Short, steady responses with errors: 10 % of requests get a 429, 5 % a 5xx, 2 % a timeout.
const CHAOS: &str = r#"[latency]
profile = "fast"

[response]
generator = "lorem"
target_tokens = 100

[errors]
rate_limit_rate = 0.10
server_error_rate = 0.05
timeout_rate = 0.02
timeout_after_ms = 5000
"#;

/// The settings of llmsim's throughput benchmark: no pauses, and responses so short that only the
/// server's own work remains.
const THROUGHPUT: &str = r#"[latency]
profile = "instant"

[response]
generator = "lorem"
target_tokens = 16

[errors]
rate_limit_rate = 0.0
server_error_rate = 0.0
timeout_rate = 0.0
"#;

/// The nine starter scenarios of llmsim, which its binary does not contain.
const SCENARIOS: &str = include_str!("../../assets/scenarios.json");

/// Settings of a started server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Short, steady responses without errors.
    Benchmark,
    /// Short, steady responses with injected errors.
    Chaos,
    /// No pauses, 16 tokens, no errors.
    Throughput,
    /// The user's own configuration.
    File(PathBuf),
}

impl Settings {
    /// Returns the settings for a spec.
    pub(super) fn of(spec: &Spec) -> Self {
        match &spec.config {
            _ if spec.chaos => Self::Chaos,
            None if spec.throughput.is_some() => Self::Throughput,
            Some(file) => Self::File(file.clone()),
            None => Self::Benchmark,
        }
    }

    /// Returns the configuration itself. A file is read and its syntax checked, so that a mistake
    /// is reported before anything is started.
    pub(super) fn text(&self) -> Result<String, ServerError> {
        let path = match self {
            Self::Benchmark => return Ok(BENCHMARK.to_owned()),
            Self::Chaos => return Ok(CHAOS.to_owned()),
            Self::Throughput => return Ok(THROUGHPUT.to_owned()),
            Self::File(path) => path,
        };
        let bad = |reason: String| ServerError::BadConfig { path: path.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| bad(format!("cannot read it: {e}")))?;
        text.parse::<toml::Table>().map_err(|e| bad(format!("not valid TOML: {e}")))?;
        Ok(text)
    }

    /// Returns the file of the starter scenarios, and the configuration that names it. `None` for
    /// the user's own configuration.
    pub(super) fn with_scenarios(&self, text: &str) -> Result<Option<(ConfigFile, String)>, ServerError> {
        if matches!(self, Self::File(_)) {
            return Ok(None);
        }
        let file = ConfigFile::new(SCENARIOS)
            .map_err(|source| ServerError::Io { doing: "write the scenarios".to_owned(), source })?;
        let path = toml::Value::from(file.path().display().to_string());
        let text = text.replace("[response]\n", &format!("[response]\nscenarios_path = {path}\n"));
        Ok(Some((file, text)))
    }

    /// Returns the arguments that name the configuration, and the file behind them, if one was
    /// needed.
    pub(super) fn file(&self, text: &str) -> Result<(Option<ConfigFile>, Vec<OsString>), ServerError> {
        if let Self::File(path) = self {
            return Ok((None, vec!["--config".into(), path.into()]));
        }
        let file = ConfigFile::new(text)
            .map_err(|source| ServerError::Io { doing: "write the server's configuration".to_owned(), source })?;
        let arguments = vec!["--config".into(), file.path().into()];
        Ok((Some(file), arguments))
    }
}

/// A configuration file of our own, which another process can read while this value exists.
#[derive(Debug)]
pub(super) enum ConfigFile {
    /// A file in memory, read through `/proc` of this process. It does not need a writable folder,
    /// and disappears with this process, however it ends.
    Memory(File),
    /// A file on disk, if files in memory are not available.
    Disk(NamedTempFile),
}

impl ConfigFile {
    fn new(text: &str) -> io::Result<Self> {
        if let Ok(mut file) = in_memory() {
            file.write_all(text.as_bytes())?;
            return Ok(Self::Memory(file));
        }
        let mut file = tempfile::Builder::new().prefix("llmsim-blast-").suffix(".toml").tempfile()?;
        file.write_all(text.as_bytes())?;
        Ok(Self::Disk(file))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Memory(file) => format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into(),
            Self::Disk(file) => file.path().to_path_buf(),
        }
    }
}

#[cfg(target_os = "linux")]
fn in_memory() -> io::Result<File> {
    let file = rustix::fs::memfd_create("llmsim-blast", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(file.into())
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Source;
    use crate::units::Nanos;

    fn spec(config: Option<&str>, chaos: bool) -> Spec {
        Spec {
            source: Source::Embedded,
            config: config.map(PathBuf::from),
            chaos,
            throughput: None,
            scenarios: false,
            host: "127.0.0.1".to_owned(),
            port: 0,
            any_port: true,
            ready_within: Nanos::from_secs(1),
        }
    }

    #[test]
    fn a_spec_chooses_its_settings() {
        assert_eq!(Settings::of(&spec(None, false)), Settings::Benchmark);
        assert_eq!(Settings::of(&spec(Some("a.toml"), false)), Settings::File("a.toml".into()));
        assert_eq!(Settings::of(&spec(Some("a.toml"), true)), Settings::Chaos);
        let two = Some(2);
        assert_eq!(Settings::of(&Spec { throughput: two, ..spec(None, false) }), Settings::Throughput);
        assert_eq!(Settings::of(&Spec { throughput: two, ..spec(Some("a"), false) }), Settings::File("a".into()));
    }

    #[test]
    fn the_built_in_settings_say_what_they_promise() {
        let benchmark: toml::Table = Settings::Benchmark.text().unwrap().parse().unwrap();
        assert_eq!(benchmark["latency"]["profile"].as_str(), Some("fast"));
        assert_eq!(benchmark["response"]["target_tokens"].as_integer(), Some(100));
        assert!(benchmark["errors"].as_table().unwrap().values().all(|rate| rate.as_float() == Some(0.0)));
        let throughput: toml::Table = Settings::Throughput.text().unwrap().parse().unwrap();
        assert_eq!(throughput["latency"]["profile"].as_str(), Some("instant"));
        assert_eq!(throughput["response"]["target_tokens"].as_integer(), Some(16));
        assert_eq!(throughput["errors"], benchmark["errors"]);
        let chaos: toml::Table = Settings::Chaos.text().unwrap().parse().unwrap();
        assert_eq!(chaos["errors"]["rate_limit_rate"].as_float(), Some(0.1));
        assert_eq!(chaos["errors"]["server_error_rate"].as_float(), Some(0.05));
        assert_eq!(chaos["errors"]["timeout_rate"].as_float(), Some(0.02));
    }

    #[test]
    fn a_missing_or_broken_file_is_refused_by_name() {
        let missing = Settings::File("/nonexistent/server.toml".into()).text().unwrap_err().to_string();
        assert!(missing.contains("--server-config") && missing.contains("/nonexistent/server.toml"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[latency\nprofile = 1").unwrap();
        let broken = Settings::File(file.path().into()).text().unwrap_err().to_string();
        assert!(broken.contains("not valid TOML") && broken.contains("line 1"), "{broken}");
    }

    #[test]
    fn the_starter_scenarios_are_named_by_each_configuration_of_ours() {
        for settings in [Settings::Benchmark, Settings::Chaos, Settings::Throughput] {
            let (file, text) = settings.with_scenarios(&settings.text().unwrap()).unwrap().expect("ours");
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table["response"]["scenarios_path"].as_str(), file.path().to_str());
            let all: Vec<serde_json::Value> =
                serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
            assert_eq!(all.len(), 9);
        }
        assert!(Settings::File("a.toml".into()).with_scenarios("").unwrap().is_none());
    }

    #[test]
    fn the_file_holds_the_settings_and_goes_away() {
        use std::os::unix::fs::MetadataExt as _;
        let (file, arguments) = Settings::Chaos.file(CHAOS).unwrap();
        let path = PathBuf::from(&arguments[1]);
        assert_eq!(arguments[0], "--config");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), CHAOS);
        // Another thread may have reused the descriptor's number meanwhile.
        let which = || std::fs::metadata(&path).map(|file| (file.dev(), file.ino())).ok();
        let before = which();
        drop(file);
        assert!(before.is_some() && which() != before);
    }
}
