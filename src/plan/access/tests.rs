//! Tests of flags about connections.

use super::*;
use crate::mix::Secret;
use crate::plan::overrides::overrides;
use std::io;
use std::path::Path;

#[expect(clippy::unnecessary_wraps, reason = "flags that may be missing are options")]
fn flag(name: &str, value: &str) -> Option<Given> {
    Some(Given::flag(name, value))
}

fn target(url: &str) -> Target {
    Target::parse(url).expect("a URL")
}

fn read_nothing(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

#[expect(clippy::needless_pass_by_value, reason = "made where it is handed over")]
fn read(url: &str, given: Overrides) -> Result<Access, PlanError> {
    access(&given, &target(url), Vec::new(), &mut read_nothing, &mut Changed::new())
}

#[test]
fn nothing_said_is_the_usual_way() {
    assert_eq!(read("https://h", Overrides::default()), Ok(Access::default()));
    assert!(Access::default().tls.verify && Access::default().tls.resume);
}

#[test]
fn addresses_of_every_spelling_are_read() {
    let given = overrides! { resolve: vec![Given::flag("resolve", "h:443:192.0.2.7,[::1]"), Given::flag("resolve", "*:80:::2")],
    connect_to: vec![Given::flag("connect-to", "h:443:[2001:db8::1]:8443"), Given::flag("connect-to", ":::1")],
    source_ip: vec![Given::flag("source-ip", "127.0.0.2"), Given::flag("source-ip", "[::1]")] };
    let access = read("http://h", given).expect("all fine");
    let pins: Vec<_> = access.pins.iter().map(|pin| (pin.host.as_str(), pin.port, pin.addr.to_string())).collect();
    assert_eq!(pins, [("h", 443, "192.0.2.7".into()), ("h", 443, "::1".into()), ("*", 80, "::2".into())]);
    let first = &access.detours[0];
    assert_eq!((first.from_host.as_str(), first.from_port), ("h", Some(443)));
    assert_eq!((first.to_host.as_str(), first.to_port), ("2001:db8::1", Some(8443)));
    let second = &access.detours[1];
    assert_eq!(
        (second.from_host.as_str(), second.from_port, second.to_host.as_str(), second.to_port),
        ("", None, "", Some(1))
    );
    assert_eq!(access.sources.len(), 2);
}

#[test]
fn nonsense_is_refused_with_what_was_expected() {
    let many = |name: &str, value: &str| vec![Given::flag(name, value)];
    for (given, expected) in vec![
        (overrides! { resolve: many("resolve", "h:443") }, "expected HOST:PORT:ADDR"),
        (overrides! { resolve: many("resolve", "h:0:192.0.2.4") }, "expected HOST:PORT:ADDR"),
        (overrides! { resolve: many("resolve", ":1:192.0.2.4") }, "expected HOST:PORT:ADDR"),
        (overrides! { resolve: many("resolve", "h:1:name") }, "expected HOST:PORT:ADDR"),
        (overrides! { connect_to: many("connect-to", "h:1:g") }, "expected HOST:PORT:OTHER_HOST"),
        (overrides! { connect_to: many("connect-to", "h:1:g:x") }, "expected HOST:PORT:OTHER_HOST"),
        (overrides! { source_ip: many("source-ip", "eth0") }, "expected local addresses such as 127.0.0.2"),
        (overrides! { dns_ttl: flag("dns-ttl", "10ms") }, "expected a duration of at least 1s"),
        (overrides! { connect_rate: flag("connect-rate", "0") }, "from 1 to"),
        (overrides! { http_proxy: flag("http-proxy", "https://p") }, "without TLS or a path, such as http://"),
        (overrides! { http_proxy: flag("http-proxy", "http://p/x") }, "without TLS or a path, such as http://"),
        (overrides! { http_proxy: flag("http-proxy", "http://u:hunter2@p") }, "credentials"),
        (overrides! { tls_resume: flag("tls-resume", "maybe") }, "expected on or off"),
        (overrides! { cacert: flag("cacert", "missing.pem") }, "cannot read missing.pem"),
        (overrides! { cert: flag("cert", "c") }, "cannot read c"),
        (overrides! { key: flag("key", "k") }, "add --cert"),
        (
            overrides! { cacert: flag("cacert", "c"), insecure: flag("insecure", "true") },
            "--insecure cannot be used together with --cacert",
        ),
        (
            overrides! { disable_keepalive: flag("disable-keepalive", "true"),
            max_requests_per_connection: flag("max-requests-per-connection", "3") },
            "cannot be used together",
        ),
        (
            overrides! { unix_socket: flag("unix-socket", "/s"), http_proxy: flag("http-proxy", "p") },
            "a socket has no address",
        ),
    ] {
        let cert = given.has("cert");
        let given = if cert {
            overrides! { key: flag("key", "k"); ..given }
        } else {
            given
        };
        let error = read("https://h", given).expect_err(expected).to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{expected}: {error}");
    }
    let insecure = overrides! { insecure: flag("insecure", "true") };
    assert!(read("http://h", insecure).expect_err("no TLS").to_string().contains("expected https:// in --target-url"));
    for elsewhere in ["server_metrics", "prometheus_write"] {
        let mut given = overrides! { insecure: flag("insecure", "true") };
        given.insert(elsewhere, vec![Given::flag(elsewhere, " HTTPS://h:9/metrics")]);
        assert!(!read("http://h", given).expect(elsewhere).tls.verify, "it is spoken there");
    }
    // The environment may be set for all runs.
    let insecure = overrides! { insecure: Some(Given::environment("X", "true")) };
    assert!(!read("http://h", insecure).expect("no harm").tls.verify);
}

#[test]
fn user_and_password_are_read_and_never_repeated() {
    let with = |text: &'static str, api_key| {
        let given = overrides! { basic_auth_file: flag("basic-auth-file", "f") };
        credentials::basic_auth(&given, api_key, &mut |_: &std::path::Path| Ok(text.to_owned()), &mut Changed::new())
    };
    assert_eq!(with("me:hunter2 with: blanks\n", None), Ok(Some(Secret::new("me:hunter2 with: blanks".to_owned()))));
    for (text, api_key) in [
        ("hunter2", None),
        (":hunter2", None),
        ("a:hunter2\nb", None),
        ("", None),
        ("a:hunter2", Some("--api-key-file")),
    ] {
        let error = with(text, api_key).expect_err(text).to_string();
        assert!(error.starts_with("--basic-auth-file ") && !error.contains("hunter2"), "{error}");
    }
}
