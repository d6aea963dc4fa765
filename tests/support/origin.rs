//! The origin as a guard, and runs that watch a server's memory.

use super::{Bench, SOON, blast, document};
use llmsim_blast::server::{Server, Source, Spec, Starter};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Starts an origin for one test, on a free port. It ends with the guard.
pub fn origin() -> Server {
    let own = Path::new(env!("CARGO_BIN_EXE_llmsim-blast"));
    let spec = Spec::on_any_port(Source::Origin, SOON.into());
    Starter { own, spec: &spec, cores: None }
        .start(&mut |_| {}, &AtomicBool::new(false))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Runs for 14 s, of which 12 s are measured, and watches the memory of the server's process. Most
/// verdicts about memory need a minute.
pub fn watched(url: &str, pid: u32, bench: &Bench) -> (Option<i32>, Value) {
    let profile = r#"
executor = "constant-vus"
vus = 1
duration = "14s"
warmup = "2s"
think_time = "20ms"
[[requests]]
name = "health"
api = "health"
[thresholds]
server_rss_growth = ["value<100"]
server_rss_max = ["value<4000"]
"#;
    let (profile, result) = (bench.write("soak.toml", profile), bench.path("r.json"));
    let output = blast(&[&profile, "--target-url", url, "--server-pid", &pid.to_string(), "--output", &result]);
    assert!(output.stdout.contains("OVER TIME"), "{output:?}");
    (output.code, document(&result))
}
