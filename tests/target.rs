//! A named target is tested, and no other server in its place.

mod support;

use support::{Behaviour, Bench, Misbehaving, SOON, blast, blast_with, document, free_port};

#[test]
fn a_named_target_that_is_dead_is_not_replaced() {
    let (bench, port) = (Bench::new(), free_port());
    let (url, file) = (format!("http://localhost:{port}"), bench.path("r.json"));
    for (args, names) in [
        (&["--target-url", &url][..], &[][..]),
        (&[], &[("LLMSIM_BLAST_TARGET_URL", url.as_str())]),
        (&[], &[("K6_TARGET_URL", url.as_str())]),
        // Server settings in the environment do not apply to a target on the command line.
        (&["--target-url", &url], &[("LLMSIM_BLAST_CHAOS", "1")]),
    ] {
        for command in
            [&["quick-smoke", "--output", &file][..], &["capacity", "--slo", "ttft p(95)<1s"], &["throughput"]]
        {
            let output = blast_with(&[command, args].concat(), names, SOON);
            assert_eq!(output.code, Some(107), "{command:?} {args:?} {names:?}: {output:?}");
            assert!(output.stderr.contains(&url) && output.stderr.contains("connection refused"), "{output:?}");
            assert!(!output.stderr.contains("starting "), "{output:?}");
        }
    }
    assert!(!bench.names().contains(&"r.json".to_owned()));
}

#[test]
fn the_health_of_a_named_target_decides_nothing() {
    let bench = Bench::new();
    let file = bench.path("r.json");
    for (behaviour, words) in
        [(Behaviour::NeverHealthy, "GET /health: status 503"), (Behaviour::OnlyChat { tokens: 3 }, "")]
    {
        let server = Misbehaving::start(behaviour);
        // Another model name would cause a separate warning.
        let more = ["--model", "gpt-4o", "--vus", "1", "--duration", "1s", "--output", &file];
        let output = blast(&[&["load", "--target-url", &server.url()], &more[..]].concat());
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(output.stderr.contains("warning: "), !words.is_empty(), "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
        let hints = document(&file)["hints"].to_string();
        assert_eq!(hints.contains("/health"), !words.is_empty(), "{hints}");
    }
}

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;
    use support::Embedded;

    #[test]
    fn a_flag_about_the_server_starts_one_at_the_target() {
        let (bench, port) = (Bench::new(), free_port());
        let (url, file) = (format!("http://localhost:{port}"), bench.path("r.json"));
        let config = bench.write("server.toml", "[latency]\nprofile = \"instant\"\n");
        let output = blast(&["quick-smoke", "--target-url", &url, "--server-config", &config, "--output", &file]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(document(&file)["target"]["server"]["started"], true);
    }

    #[test]
    fn a_server_of_somebody_else_is_not_used_silently() {
        let (bench, other) = (Bench::new(), Embedded::start("[latency]\nprofile = \"instant\"\n"));
        let url = other.url();
        let (_, port) = url.rsplit_once(':').unwrap();
        let file = bench.path("r.json");
        let output = blast(&["quick-smoke", "--port", port, "--output", &file]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains("testing the server that already runs at"), "{output:?}");
        assert_eq!(document(&file)["target"]["server"]["started"], false);
        // The user has not asked for the server that listens on the usual port.
        let output = blast(&["quick-smoke", "--output", &file]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(document(&file)["target"]["server"]["started"], true);
    }
}
