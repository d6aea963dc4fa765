use super::*;
use crate::commands::main;
use crate::exit::ExitClass;
use crate::plan::Origin;
use clap::CommandFactory as _;
use std::ffi::OsString;

fn typed(arguments: &[&str]) -> RunArgs {
    let arguments = ["llmsim-blast"].iter().chain(arguments);
    Cli::try_parse_from(arguments).unwrap_or_else(|e| panic!("{e}")).run
}

/// An environment with these names.
fn environment(names: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
    move |name| names.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Exit class, standard output, standard error.
fn call(arguments: &[&str], names: &'static [(&'static str, &'static str)]) -> (ExitClass, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["llmsim-blast"].iter().chain(arguments).map(OsString::from);
    let class = main(arguments, &environment(names), &mut out, &mut err);
    (class, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of every flag")]
fn every_flag_becomes_an_override_with_its_name() {
    let run = typed(&[
        "load",
        "--target-url",
        "u",
        "--target-url",
        "v",
        "--cacert",
        "ca",
        "--native-roots",
        "--insecure",
        "--cert",
        "ce",
        "--key",
        "ke",
        "--tls-resume",
        "off",
        "--resolve",
        "h:1:a",
        "--connect-to",
        "h:1:g:2",
        "--dns-ttl",
        "ttl",
        "--unix-socket",
        "us",
        "--source-ip",
        "a,b",
        "--connect-rate",
        "9",
        "--max-requests-per-connection",
        "3",
        "--disable-keepalive",
        "--http-proxy",
        "px",
        "--basic-auth-file",
        "ba",
        "--dump-request",
        "--debug-response",
        "2",
        "--host",
        "h",
        "--port",
        "-1",
        "--no-server",
        "--server-bin",
        "b",
        "--server-src",
        "s",
        "--server-config",
        "c",
        "--chaos",
        "--vus",
        "5",
        "--duration",
        "d",
        "--iterations",
        "i",
        "--rate",
        "9",
        "--stage",
        "1s:1",
        "--stage",
        "2s:2",
        "--warmup",
        "wu",
        "--cooldown",
        "cd",
        "--server-pid",
        "-1",
        "--think-time",
        "t",
        "--timeout",
        "o",
        "--quickack",
        "--shard=1/2",
        "--start-at",
        "at",
        "--abort-scope",
        "shard",
        "--junit=j.xml",
        "--github",
        "auto",
        "--fail-on-invalid",
        "--rx-timestamps",
        "r",
        "--poll-interval",
        "p",
        "--workers",
        "w",
        "--no-pin",
        "--verify-parse",
        "--output",
        "-",
        "--header",
        "A: b, c",
        "--header",
        "D: e",
        "--api-key-file",
        "k",
        "--seed",
        "7",
        "--api",
        "a",
        "--path",
        "/p",
        "--model",
        "m",
        "--quiet",
        "--no-color",
        "--show-config",
        "--tag",
        "x=1",
    ]);
    assert_eq!(run.profile.as_deref(), Some("load"));
    let flag = |name: &str, value: &str| Some(Given::flag(name, value));
    let expected = Overrides {
        target_url: flag("target-url", "u"),
        host: flag("host", "h"),
        port: flag("port", "-1"),
        no_server: flag("no-server", "true"),
        server_bin: flag("server-bin", "b"),
        server_src: flag("server-src", "s"),
        server_config: flag("server-config", "c"),
        chaos: flag("chaos", "true"),
        api: flag("api", "a"),
        path: flag("path", "/p"),
        model: flag("model", "m"),
        vus: flag("vus", "5"),
        duration: flag("duration", "d"),
        iterations: flag("iterations", "i"),
        rate: flag("rate", "9"),
        stages: vec![Given::flag("stage", "1s:1"), Given::flag("stage", "2s:2")],
        warmup: flag("warmup", "wu"),
        cooldown: flag("cooldown", "cd"),
        server_pid: flag("server-pid", "-1"),
        think_time: flag("think-time", "t"),
        timeout: flag("timeout", "o"),
        workers: flag("workers", "w"),
        no_pin: flag("no-pin", "true"),
        rx_timestamps: flag("rx-timestamps", "r"),
        poll_interval: flag("poll-interval", "p"),
        quickack: flag("quickack", "true"),
        shard: flag("shard", "1/2"),
        start_at: flag("start-at", "at"),
        abort_scope: flag("abort-scope", "shard"),
        junit: flag("junit", "j.xml"),
        github: flag("github", "auto"),
        fail_on_invalid: flag("fail-on-invalid", "true"),
        verify_parse: flag("verify-parse", "true"),
        output: flag("output", "-"),
        headers: vec![Given::flag("header", "A: b, c"), Given::flag("header", "D: e")],
        api_key_file: flag("api-key-file", "k"),
        api_key: None,
        seed: flag("seed", "7"),
        quiet: flag("quiet", "true"),
        no_color: flag("no-color", "true"),
        show_config: flag("show-config", "true"),
        tags: vec![Given::flag("tag", "x=1")],
        access: Box::new(AccessOverrides {
            more_target_urls: vec![Given::flag("target-url", "v")],
            cacert: flag("cacert", "ca"),
            native_roots: flag("native-roots", "true"),
            insecure: flag("insecure", "true"),
            cert: flag("cert", "ce"),
            key: flag("key", "ke"),
            tls_resume: flag("tls-resume", "off"),
            resolve: vec![Given::flag("resolve", "h:1:a")],
            connect_to: vec![Given::flag("connect-to", "h:1:g:2")],
            unix_socket: flag("unix-socket", "us"),
            dns_ttl: flag("dns-ttl", "ttl"),
            source_ips: vec![Given::flag("source-ip", "a"), Given::flag("source-ip", "b")],
            connect_rate: flag("connect-rate", "9"),
            max_requests_per_connection: flag("max-requests-per-connection", "3"),
            disable_keepalive: flag("disable-keepalive", "true"),
            http_proxy: flag("http-proxy", "px"),
            basic_auth_file: flag("basic-auth-file", "ba"),
            basic_auth: None,
            dump_request: flag("dump-request", "true"),
            debug_response: flag("debug-response", "2"),
        }),
    };
    assert_eq!(run.overrides(&|_| None), expected);
    let loud = |_: &str| Some("from the environment".to_owned());
    let secret = Secret::new("from the environment".to_owned());
    let sourced = |name: &str| Some(Sourced { value: secret.clone(), origin: Origin::Environment(name.to_owned()) });
    let api_key = sourced("LLMSIM_BLAST_API_KEY");
    let basic_auth = sourced("LLMSIM_BLAST_BASIC_AUTH");
    let access = Box::new(AccessOverrides { basic_auth, ..(*expected.access).clone() });
    assert_eq!(run.overrides(&loud), Overrides { api_key, access, ..expected }, "flags beat the environment");
}

#[test]
fn every_flag_has_an_environment_name() {
    // The environment knows every name that follows from a flag of the command; all of them arrive.
    let command = Cli::command();
    let flags: Vec<_> =
        command.get_arguments().filter_map(|arg| arg.get_long()).filter(|f| !["help", "version"].contains(f)).collect();
    assert!(flags.len() > 20);
    for flag in flags {
        let name = environment_name(flag);
        let only = |asked: &str| (asked == name).then(|| "value".to_owned());
        let overrides = typed(&["load"]).overrides(&only);
        let origin = format!("Environment(\"{name}\")");
        assert!(format!("{overrides:?}").contains(&origin), "{name}: {overrides:?}");
    }
}

#[test]
fn lists_in_the_environment_are_split() {
    let names = environment(&[
        ("LLMSIM_BLAST_STAGE", "1s:1, 2s:2"),
        ("LLMSIM_BLAST_TAG", "a=1,b=2"),
        ("LLMSIM_BLAST_HEADER", "A: b, c\nD: e\n"),
    ]);
    let overrides = typed(&["load"]).overrides(&names);
    let texts = |given: &[Given]| given.iter().map(|g| g.value.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&overrides.stages), ["1s:1", "2s:2"]);
    assert_eq!(texts(&overrides.tags), ["a=1", "b=2"]);
    assert_eq!(texts(&overrides.headers), ["A: b, c", "D: e"]);
    assert_eq!(overrides.stages[0].origin, Origin::Environment("LLMSIM_BLAST_STAGE".to_owned()));
}

#[test]
fn the_name_of_k6_is_the_last_resort() {
    let k6 = environment(&[(K6_TARGET_URL, "http://k6")]);
    let url = |arguments: &[&str]| typed(arguments).overrides(&k6).target_url;
    assert_eq!(url(&["load"]), Some(Given::environment(K6_TARGET_URL, "http://k6")));
    assert_eq!(url(&["load", "--target-url", "http://flag"]), Some(Given::flag("target-url", "http://flag")));
    assert_eq!(url(&["load", "--port", "9"]), None);
    let both = environment(&[(K6_TARGET_URL, "http://k6"), ("LLMSIM_BLAST_TARGET_URL", "http://ours")]);
    let ours = Some(Given::environment("LLMSIM_BLAST_TARGET_URL", "http://ours"));
    assert_eq!(typed(&["load"]).overrides(&both).target_url, ours);
}

#[test]
fn an_empty_name_is_as_good_as_none_and_no_color_is_honoured() {
    let overrides = typed(&["load"]).overrides(&environment(&[("LLMSIM_BLAST_VUS", ""), ("NO_COLOR", "anything")]));
    assert_eq!(overrides.vus, None);
    assert_eq!(overrides.no_color, Some(Given::environment("NO_COLOR", "true")));
    let overrides = typed(&["load"]).overrides(&environment(&[("NO_COLOR", "")]));
    assert_eq!(overrides, Overrides::default());
}

#[test]
fn a_secret_is_in_no_debug_output() {
    let overrides = typed(&["load"]).overrides(&environment(&[("LLMSIM_BLAST_API_KEY", "hunter2")]));
    assert!(overrides.api_key.is_some() && !format!("{overrides:?}").contains("hunter2"));
}

#[test]
fn help_fits_a_terminal_and_names_everything() {
    let (class, out, err) = call(&["--help"], &[]);
    assert_eq!((class, err.as_str()), (ExitClass::Success, ""));
    for line in out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for word in
        ["Target:", "Load:", "Server:", "Output:", "Engine:", "Examples:", "Exit codes:", "K6_TARGET_URL", "profiles"]
    {
        assert!(out.contains(word), "{word}");
    }
    assert!(!out.contains("supervise"));
}

#[test]
fn nothing_at_all_prints_the_help_as_an_error() {
    let (class, out, err) = call(&[], &[]);
    assert_eq!((class, class.code(), out.as_str()), (ExitClass::Usage, 2, ""));
    assert!(err.contains("Usage: llmsim-blast <PROFILE|FILE.toml> [OPTIONS]"), "{err}");
}

#[test]
fn what_is_not_understood_is_a_mistake_of_the_command_line() {
    for arguments in [
        &["load", "--nonsense"][..],
        &["load", "extra"],
        &["--vus", "5"],
        &["load", "--vus"],
        &["load", "--vus", "many", "--show-config"],
        &["load", "--vus", "-5", "--show-config"],
        &["profiles", "--vus", "5"],
        &["load", "profiles"],
    ] {
        let (class, out, err) = call(arguments, &[]);
        assert_eq!((class, out.as_str()), (ExitClass::Usage, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

#[test]
fn what_is_understood_and_refused_is_a_mistake_of_the_configuration() {
    for (arguments, names, expected) in [
        (&["laod"][..], &[][..], "did you mean load?"),
        (&["none.toml"], &[], "cannot read none.toml"),
        (&["load"], &[("LLMSIM_BLAST_VUS", "x")], "LLMSIM_BLAST_VUS (environment): `x`"),
        (&["load", "--iterations", "5"], &[], "--iterations (flag)"),
        (&["profiles", "laod"], &[], "did you mean load?"),
    ] {
        let (class, out, err) = call(arguments, names);
        assert_eq!((class, class.code(), out.as_str()), (ExitClass::Configuration, 104, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(expected) && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn profiles_are_listed_and_printed() {
    let (class, out, _) = call(&["profiles"], &[]);
    assert_eq!((class, out.lines().count()), (ExitClass::Success, 8));
    let (_, toml, _) = call(&["profiles", "spike"], &[]);
    assert_eq!(toml, include_str!("../../profiles/spike.toml"));
}

#[test]
fn a_printed_profile_is_a_file_to_start_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    let (_, toml, _) = call(&["profiles", "smoke"], &[]);
    std::fs::write(&file, toml.replace("vus = 1", "vus = 3")).expect("written");
    let file = file.to_str().expect("a path");
    let (class, out, err) = call(&[file, "--show-config"], &[]);
    assert_eq!((class, err.as_str()), (ExitClass::Success, ""));
    let vus = out.lines().find(|line| line.starts_with("vus ")).expect("a line");
    assert_eq!(vus.split_whitespace().collect::<Vec<_>>(), ["vus", "3", file]);
}

#[test]
fn show_config_names_every_source() {
    let (class, out, err) = call(&["load", "--vus", "5", "--show-config"], &[("LLMSIM_BLAST_SEED", "9")]);
    assert_eq!((class, err.as_str()), (ExitClass::Success, ""));
    for (key, end) in [
        ("start_vus ", "1 --vus (flag)"),
        ("seed ", "9 LLMSIM_BLAST_SEED (environment)"),
        ("executor ", "ramping-vus built-in profile load"),
        ("pin ", "true default"),
    ] {
        let line = out.lines().find(|line| line.starts_with(key)).expect(key);
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, format!("{key}{end}"));
    }
    let (class, out, _) = call(&["load"], &[("LLMSIM_BLAST_SHOW_CONFIG", "1")]);
    assert_eq!((class, out.is_empty()), (ExitClass::Success, false));
}

#[test]
fn subcommands_are_understood() {
    let command =
        |arguments: &[&str]| Cli::try_parse_from(["llmsim-blast"].iter().chain(arguments)).expect("fine").command;
    let Some(Command::Serve(args)) = command(&["serve", "--port", "0", "--config", "c.toml"]) else { panic!("serve") };
    assert_eq!((args.host.as_str(), args.port, args.config), ("127.0.0.1", 0, Some("c.toml".into())));
    let line = ["supervise", "--parent", "7", "--cores", "1,2", "--", "llmsim", "serve", "--port", "1"];
    let Some(Command::Supervise(args)) = command(&line) else { panic!("supervise") };
    assert_eq!((args.parent, args.cores.as_slice()), (7, &[1, 2][..]));
    assert_eq!(args.command, ["llmsim", "serve", "--port", "1"]);
    assert!(Cli::try_parse_from(["llmsim-blast", "serve", "--chaos", "--config", "c"]).is_err());
}

#[test]
fn sweeps_take_nothing_of_a_single_run_from_the_environment() {
    let loud = |name: &str| Some(format!("value of {name}"));
    let search = CapacityArgs::default().given(&loud);
    let sweep = ThroughputArgs::default().given(&loud);
    for overrides in [search.overrides, sweep.overrides] {
        let Overrides { vus, duration, warmup, shard, start_at, abort_scope, junit, github, model, .. } = overrides;
        for (name, given) in [("vus", &vus), ("duration", &duration), ("warmup", &warmup), ("shard", &shard)] {
            assert_eq!(given, &None, "{name}");
        }
        assert_eq!((start_at, abort_scope, junit, github), (None, None, None, None));
        assert!(model.is_some(), "whom to ask for what is theirs, too");
    }
}
