//! The simulator inside this binary, for `llmsim-blast serve`. It runs in a process of its own,
//! never in the measuring one.

use super::{ServerError, Settings};

/// The version of the embedded llmsim. A test compares it with `Cargo.lock`.
pub const EMBEDDED_VERSION: &str = "0.6.0";

/// Runs the simulator in the foreground until SIGINT or SIGTERM. `announce` gets one line with its
/// URL when it is about to listen. No subscriber is installed for llmsim's log: it logs every
/// request, which costs throughput.
#[cfg(feature = "embedded")]
pub fn serve(host: &str, port: u16, settings: &Settings, announce: &mut dyn FnMut(&str)) -> Result<(), ServerError> {
    let mut config = parse(settings)?;
    // llmsim joins host and port as text and panics if the result is not an address, so it only
    // gets addresses.
    let listen = super::listen::free_address(super::listen::listen_address(host, port)?, false)?;
    config.server.host = match listen {
        std::net::SocketAddr::V4(addr) => addr.ip().to_string(),
        std::net::SocketAddr::V6(addr) => format!("[{}]", addr.ip()),
    };
    config.server.port = listen.port();
    // One connection takes one descriptor. A server with a low limit is still useful.
    let _ = crate::host::limits::raise_nofile(0);
    // The number of threads is the number of cores that this process may use; TOKIO_WORKER_THREADS
    // overrides it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| ServerError::Io { doing: "start the simulator's threads".to_owned(), source })?;
    announce(&format!("llmsim {EMBEDDED_VERSION} on http://{listen}"));
    let result = runtime.block_on(async {
        tokio::select! {
            result = llmsim::cli::run_server(config) => result.map_err(|e| ServerError::Embedded(e.to_string())),
            () = signal_and_grace() => Ok(()),
        }
    });
    runtime.shutdown_background();
    result
}

#[cfg(feature = "embedded")]
fn parse(settings: &Settings) -> Result<llmsim::cli::Config, ServerError> {
    llmsim::cli::Config::from_toml(&settings.text()?).map_err(|e| match settings {
        Settings::File(path) => ServerError::BadConfig { path: path.clone(), reason: e.to_string() },
        Settings::Benchmark | Settings::Chaos | Settings::Throughput => ServerError::Embedded(e.to_string()),
    })
}

/// Returns some time after the first SIGINT or SIGTERM: llmsim's own graceful shutdown waits for
/// open responses without a limit.
#[cfg(feature = "embedded")]
async fn signal_and_grace() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::time::sleep(super::STOP_GRACE.to_duration()).await;
}

/// Returns an error: this build does not contain the simulator.
#[cfg(not(feature = "embedded"))]
pub fn serve(
    _host: &str,
    _port: u16,
    _settings: &Settings,
    _announce: &mut dyn FnMut(&str),
) -> Result<(), ServerError> {
    Err(ServerError::NotBuiltIn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_locked_one() {
        let lock: toml::Table =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap().parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let llmsim = packages.iter().find(|p| p["name"].as_str() == Some("llmsim")).unwrap();
        assert_eq!(llmsim["version"].as_str(), Some(EMBEDDED_VERSION));
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn the_built_in_settings_mean_what_they_say_to_llmsim() {
        let benchmark = parse(&Settings::Benchmark).unwrap();
        assert_eq!(benchmark.latency_profile().ttft_mean_ms, llmsim::LatencyProfile::fast().ttft_mean_ms);
        assert_eq!((benchmark.response.generator.as_str(), benchmark.response.target_tokens), ("lorem", 100));
        let none = benchmark.error_config();
        assert!(none.rate_limit_rate + none.server_error_rate + none.timeout_rate == 0.0);
        let chaos = parse(&Settings::Chaos).unwrap().error_config();
        assert_eq!(
            (chaos.rate_limit_rate, chaos.server_error_rate, chaos.timeout_rate, chaos.timeout_after_ms),
            (0.1, 0.05, 0.02, 5000)
        );
    }

    #[test]
    fn a_missing_configuration_is_refused() {
        let missing = Settings::File("/nonexistent.toml".into());
        let error = serve("127.0.0.1", 0, &missing, &mut |_| {}).unwrap_err();
        assert!(matches!(error, ServerError::BadConfig { .. } | ServerError::NotBuiltIn), "{error}");
    }
}
