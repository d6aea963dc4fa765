use super::*;
use crate::commands::main;
use crate::exit::ExitClass;
use crate::plan::{Given, Origin, PlanError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What flags and the environment say about a run.
fn typed(arguments: &[&str], names: &[(&str, &str)]) -> Overrides {
    let arguments = ["llmsim-blast"].iter().chain(arguments).map(OsString::from);
    parse(arguments, &environment(names)).unwrap_or_else(|e| panic!("{e}")).1
}

/// An environment with these names.
fn environment(names: &[(&str, &str)]) -> Environment {
    Environment::new(names.iter().map(|(name, value)| (name.into(), value.into())))
}

/// Exit class, standard output, standard error.
fn call(arguments: &[&str], names: &[(&str, &str)]) -> (ExitClass, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["llmsim-blast"].iter().chain(arguments).map(OsString::from);
    let class = main(arguments, &environment(names), &mut out, &mut err);
    (class, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

/// The commands whose flags are read by name: a run, and those of many runs.
const BY_NAME: [&str; 3] = ["", "capacity", "throughput"];

/// The others, each with the struct of its flags.
const TYPED: [(&str, &str); 9] = [
    ("generate", "GenerateArgs"),
    ("compare", "CompareArgs"),
    ("merge", "MergeArgs"),
    ("noise", "NoiseArgs"),
    ("report", "ReportArgs"),
    ("serve", "ServeArgs"),
    ("self-test", "SelfTestArgs"),
    ("origin", "OriginArgs"),
    ("supervise", "SuperviseArgs"),
];

/// A command's definition.
fn command(name: &str) -> clap::Command {
    let root = Cli::command();
    if name.is_empty() { root } else { root.find_subcommand(name).expect("a command").clone() }
}

/// Field and flag of everything that a command offers.
fn offered(name: &str) -> Vec<(String, String)> {
    let command = command(name);
    let named = |argument: &clap::Arg| Some((argument.get_id().to_string(), argument.get_long()?.to_owned()));
    command.get_arguments().filter_map(named).collect()
}

/// What a command asks for when nothing was said.
fn asked(name: &str) -> BTreeSet<&'static str> {
    let overrides = typed(if name.is_empty() { &["load"] } else { std::slice::from_ref(&name) }, &[]);
    crate::commands::read_all(name, &overrides).expect("nothing was said");
    overrides.asked()
}

#[test]
fn every_flag_that_a_command_offers_is_read_by_it() {
    let mut known = BTreeSet::new();
    let mut asked_for = BTreeSet::new();
    for name in BY_NAME {
        let (offered, asked) = (offered(name), asked(name));
        assert!(offered.len() > 30, "{name}");
        for (id, flag) in offered {
            assert!(asked.contains(id.as_str()), "`{name}` offers --{flag}, and nothing reads `{id}`");
            known.insert(id);
        }
        asked_for.extend(asked);
    }
    for id in asked_for {
        assert!(known.contains(id), "`{id}` is read, and no command has a flag of that name");
    }
}

#[test]
fn the_other_commands_have_no_flag_but_those_of_their_structs() {
    // Who takes such a struct names its fields: `fn merge(args: &MergeArgs, …)` says `args.files`.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut readers: BTreeMap<String, String> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the commands") {
        let path = entry.expect("an entry").path();
        let text = if path.is_file() { std::fs::read_to_string(path).expect("a source file") } else { String::new() };
        for function in text.split("\nfn ").flat_map(|part| part.split("\npub(super) fn ")) {
            let head = function.split_once(") ->").map_or("", |(head, _)| head);
            for (name, _) in TYPED.iter().filter(|(_, of)| head.contains(&format!("args: &{of}"))) {
                readers.entry((*name).to_owned()).or_default().push_str(function);
            }
        }
    }
    for (name, of) in TYPED {
        let code = readers.get(name).unwrap_or_else(|| panic!("no function takes {of}"));
        for argument in command(name).get_arguments().filter(|argument| argument.get_long().is_some()) {
            let field = format!("args.{}", argument.get_id());
            let is_read = code
                .match_indices(&field)
                .any(|(at, _)| !code[at + field.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
            assert!(is_read, "`{name}` offers --{}, and nothing reads `{field}`", argument.get_id());
        }
    }
    let all = Cli::command().get_subcommands().count();
    assert_eq!(TYPED.len() + BY_NAME.len(), all, "a run is no subcommand, and `profiles` has no flag");
}

#[test]
fn every_flag_becomes_an_override_with_its_name() {
    for name in BY_NAME {
        for (id, flag) in offered(name) {
            let argument = command(name).get_arguments().find(|a| a.get_id() == id.as_str()).expect("offered").clone();
            let takes_value = argument.get_action().takes_values();
            let mut line = vec![if name.is_empty() { "load" } else { name }.to_owned(), format!("--{flag}")];
            line.extend(takes_value.then(|| "typed".to_owned()));
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let variable = environment::name_of(&flag);
            let loud = [(variable.as_str(), "set")];
            let id: &'static str = id.leak();
            let expected = Given::flag(&flag, if takes_value { "typed" } else { "true" });
            assert_eq!(typed(&line, &loud).many(id), [expected], "{name}: a flag beats the environment");
            let given = typed(&line[..1], &loud).many(id).to_vec();
            assert_eq!(given, [Given::environment(&variable, "set")], "{name}: {flag}");
            assert!(typed(&line[..1], &[]).one(id).is_none());
        }
    }
}

#[test]
fn a_command_reads_nothing_of_the_environment_that_it_does_not_offer() {
    let all: Vec<String> = offered("").into_iter().map(|(_, flag)| environment::name_of(&flag)).collect();
    for name in ["capacity", "throughput"] {
        let offered = offered(name);
        let is_offered = |variable: &String| offered.iter().any(|(_, flag)| environment::name_of(flag) == **variable);
        let foreign: Vec<(&str, &str)> = all.iter().filter(|v| !is_offered(v)).map(|v| (v.as_str(), "abc")).collect();
        assert!(foreign.len() > 5, "{foreign:?}");
        let overrides = typed(&[name], &foreign);
        assert!(!format!("{overrides:?}").contains("abc"), "{name}: {overrides:?}");
    }
}

#[test]
fn lists_in_the_environment_are_split() {
    let names = [
        ("LLMSIM_BLAST_STAGE", "1s:1, 2s:2"),
        ("LLMSIM_BLAST_TAG", "a=1,b=2"),
        ("LLMSIM_BLAST_HEADER", "A: b, c\nD: e\n"),
        ("LLMSIM_BLAST_SOURCE_IP", "127.0.0.2,127.0.0.3"),
    ];
    let overrides = typed(&["load"], &names);
    let texts = |id| overrides.many(id).iter().map(|g| g.value.clone()).collect::<Vec<_>>();
    assert_eq!(texts("stage"), ["1s:1", "2s:2"]);
    assert_eq!(texts("tag"), ["a=1", "b=2"]);
    assert_eq!(texts("header"), ["A: b, c", "D: e"]);
    assert_eq!(texts("source_ip"), ["127.0.0.2", "127.0.0.3"]);
    assert_eq!(overrides.many("stage")[1].origin, Origin::Environment("LLMSIM_BLAST_STAGE".to_owned()));
    let typed =
        typed(&["load", "--source-ip", "127.0.0.2,127.0.0.3", "--header", "A: b, c", "--header", "D: e"], &names);
    assert_eq!(typed.many("source_ip").len(), 2);
    assert_eq!(typed.many("header"), [Given::flag("header", "A: b, c"), Given::flag("header", "D: e")]);
}

#[test]
fn the_name_of_k6_is_the_last_resort() {
    let k6 = ("K6_TARGET_URL", "http://k6");
    let url = |arguments: &[&str], names: &[_]| typed(arguments, names).one("target_url").cloned();
    for command in ["load", "capacity", "throughput"] {
        assert_eq!(url(&[command], &[k6]), Some(Given::environment("K6_TARGET_URL", "http://k6")));
        assert_eq!(
            url(&[command, "--target-url", "http://flag"], &[k6]),
            Some(Given::flag("target-url", "http://flag"))
        );
        assert_eq!(url(&[command, "--port", "9"], &[k6]), None);
        let ours = Some(Given::environment("LLMSIM_BLAST_TARGET_URL", "http://ours"));
        assert_eq!(url(&[command], &[k6, ("LLMSIM_BLAST_TARGET_URL", "http://ours")]), ours);
    }
}

#[test]
fn an_empty_variable_counts_as_unset_and_no_color_is_honoured() {
    let overrides = typed(&["load"], &[("LLMSIM_BLAST_VUS", ""), ("NO_COLOR", "anything")]);
    assert_eq!(overrides.one("vus"), None);
    assert_eq!(overrides.one("no_color"), Some(&Given::environment("NO_COLOR", "true")));
    assert!(typed(&["load"], &[("NO_COLOR", "")]).one("no_color").is_none());
    let dumb = typed(&["load"], &[("TERM", "dumb")]);
    assert_eq!(dumb.one("no_color"), Some(&Given::environment("TERM", "true")));
    assert!(typed(&["load"], &[("TERM", "xterm")]).one("no_color").is_none());
}

#[test]
fn a_secret_is_in_no_debug_output() {
    let overrides = typed(&["load"], &[("LLMSIM_BLAST_API_KEY", "hunter2"), ("LLMSIM_BLAST_BASIC_AUTH", "hunter2")]);
    assert!(overrides.secret("api_key").is_some() && overrides.secret("basic_auth").is_some());
    assert!(!format!("{overrides:?}").contains("hunter2"));
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

/// clap breaks a longer line, and its rest stands alone on the next.
#[test]
fn what_is_written_below_the_options_fits_80_columns() {
    let root = Cli::command();
    for command in std::iter::once(&root).chain(root.get_subcommands()) {
        let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in below.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        assert!(!below.starts_with(' '), "{}: clap removes blanks at the beginning", command.get_name());
    }
}

#[test]
fn nothing_at_all_shows_where_to_begin() {
    let (class, out, err) = call(&[], &[]);
    assert_eq!((class, out.as_str(), err.as_str()), (ExitClass::Usage, "", FIRST_STEPS));
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
        (&["load"], &[("LLMSIM_BLAST_VUS", "x")], "invalid value 'x' for LLMSIM_BLAST_VUS: expected an integer"),
        (&["load", "--iterations", "5"], &[], "--iterations"),
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
    assert_eq!((class, out.lines().count()), (ExitClass::Success, 9));
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
fn a_misspelt_name_in_the_environment_is_refused_with_the_nearest() {
    for (name, expected) in [
        ("LLMSIM_BLAST_DURATON", "(did you mean LLMSIM_BLAST_DURATION?)"),
        ("LLMSIM_BLAST_SEDE", "(did you mean LLMSIM_BLAST_SEED?)"),
        ("LLMSIM_BLAST_TARGETURL", "(did you mean LLMSIM_BLAST_TARGET_URL?)"),
        ("LLMSIM_BLAST_API_KEYS", "(did you mean LLMSIM_BLAST_API_KEY?)"),
        ("LLMSIM_BLAST_", "no flag has that name"),
        ("LLMSIM_BLAST_ZZZZ", "no flag has that name: correct or unset it"),
        ("LLMSIM_BLAST_vus", "(did you mean LLMSIM_BLAST_VUS?)"),
        ("LLMSIM_BLAST_Max_Tokens", "(did you mean LLMSIM_BLAST_MAX_TOKENS?)"),
    ] {
        for command in ["load", "capacity", "throughput"] {
            let (class, out, err) = call(&[command, "--show-config"], &[(name, "hunter2")]);
            assert_eq!((class, out.as_str()), (ExitClass::Configuration, ""), "{err}");
            assert!(err.starts_with(&format!("error: {name} is set")) && err.contains(expected), "{err}");
            assert!(!err.contains("hunter2") && err.lines().count() == 1, "{err}");
        }
        assert_eq!(call(&["profiles"], &[(name, "x")]).0, ExitClass::Success, "it reads none of them");
    }
    // Another command's, a script's, an empty one.
    for (name, value) in [("LLMSIM_BLAST_VUS", "5"), ("LLMSIM_BLAST_BIN", "x"), ("LLMSIM_BLAST_ZZZ", "")] {
        let (class, _, err) = call(&["capacity", "--show-config"], &[(name, value)]);
        assert_eq!((class, err.as_str()), (ExitClass::Success, ""), "{name}");
    }
    let (class, ..) =
        call(&["capacity", "--show-config"], &[("LLMSIM_BLAST_START_AT", "abc"), ("LLMSIM_BLAST_VUS", "abc")]);
    assert_eq!(class, ExitClass::Success, "a value that capacity does not offer");
}

#[test]
fn flags_of_other_tools_are_answered_with_ours() {
    for (line, ours) in [
        (&["load", "-u", "5"][..], "--vus"),
        (&["load", "-u5"], "--vus"),
        (&["load", "--users=5"], "--vus"),
        (&["load", "-d", "5s"], "--duration"),
        (&["load", "-i", "5"], "--iterations"),
        (&["load", "-o", "x.json"], "--output"),
        (&["load", "--out", "x.json"], "--output"),
        (&["load", "--summary-export", "x.json"], "--output"),
        (&["load", "--rps", "5"], "--rate"),
        (&["load", "--api-key", "hunter2"], "--api-key-file"),
        (&["load", "--api-base", "http://127.0.0.1:1"], "--target-url"),
        (&["load", "-m", "gpt-4o"], "--model"),
        (&["load", "--max-requests", "5"], "--iterations"),
        (&["capacity", "-d", "5s"], "--duration"),
        (&["throughput", "-o", "x"], "--output"),
    ] {
        let (class, out, err) = call(line, &[]);
        assert_eq!((class, out.as_str()), (ExitClass::Usage, ""), "{err}");
        assert!(err.contains(&format!("'{ours}'")) && !err.contains("hunter2"), "{line:?}: {err}");
    }
    let (_, _, err) = call(&["capacity", "-u", "5"], &[]);
    assert!(!err.contains("--vus"), "capacity has none: {err}");
    for (_, ours) in other_tools::NAMES {
        assert!(offered("").iter().any(|(_, flag)| format!("--{flag}") == ours), "{ours}");
    }
}

/// Flags whose values are not repeated, since they may hold secrets.
const NOT_REPEATED: [&str; 6] = ["target-url", "header", "http-proxy", "path", "host", "api-key-file"];

/// Flags that take an integer.
const INTEGERS: [&str; 11] = [
    "port",
    "seed",
    "vus",
    "iterations",
    "server-pid",
    "connect-rate",
    "max-requests-per-connection",
    "debug-response",
    "workers",
    "min",
    "max",
];

/// Flags that take a duration.
const DURATIONS: [&str; 6] = ["duration", "warmup", "cooldown", "timeout", "dns-ttl", "poll-interval"];

/// What people and their scripts type by mistake.
const KNOWN: &[&str] = &[
    "",
    " ",
    "0",
    "-0",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "infinity",
    "0x10",
    "1_000",
    "1,000",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "٣",
    "３",
    "½",
    "1 s",
    "1s ",
    "-1s",
    "1.1.1s",
    "1e400s",
    "0.0000000001s",
    "9999999999h",
    "1d",
    "1S",
    "1m1",
    "s",
    "..",
    "1s..",
    "..1s",
    "2s..1s",
    "1s..2s..3s",
    ":",
    "1s:",
    ":1",
    "1s:-1",
    "1s:1:1",
    "0/0",
    "1/0",
    "0/1",
    "2/1",
    "/",
    "5/m",
    "5/d",
    "a=b",
    "=b",
    "a",
    "K: V",
    ": V",
    "K\n: V",
    "K: V\r\nX: y",
    "http://",
    "http://h?x y",
    "h:1:",
    "a:1:b:2",
    "[::1]:1",
    "true",
    "on",
    "off",
    "auto",
    "\u{1b}[31mred",
    "a\0b",
    "\u{202e}x",
    "\n",
    "\u{a0}5",
    "🦀",
    "p(95)<1",
    "ttft p(95)<NaN",
    "ttft p(NaN)<1",
    "ttft p(95)<-1",
    "ttft p(95)<1e999",
    "http_req_failed rate<101%",
    "http_req_failed rate<inf%",
];

/// That, and everything else.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(KNOWN).prop_map(str::to_owned), ".{0,40}", "[0-9a-z.:/=-]{0,12}"]
}

proptest! {
    #[test]
    fn any_value_of_any_flag_is_used_as_it_is_or_refused_by_name(
        command in proptest::sample::select(BY_NAME.as_slice()),
        pick in any::<proptest::sample::Index>(),
        value in values(),
        typed_on_the_line in any::<bool>(),
    ) {
        let takes_value = |(id, _): &(String, String)| {
            self::command(command).get_arguments().any(|a| a.get_id() == id.as_str() && a.get_action().takes_values())
        };
        let flags: Vec<String> = offered(command).into_iter().filter(takes_value).map(|(_, flag)| flag).collect();
        let flag = &flags[pick.index(flags.len())];
        // What a scheduler says decides here, and no scheduler says anything: see `scheduler.rs`.
        prop_assume!((flag.as_str(), value.trim()) != ("shard", "auto"));
        let variable = environment::name_of(flag);
        let name = if command.is_empty() { "load" } else { command };
        let overrides = if typed_on_the_line {
            typed(&[name, &format!("--{flag}={value}")], &[])
        } else {
            typed(&[name], &[(&variable, &value)])
        };
        let origin = if typed_on_the_line { format!("--{flag}") } else { variable.clone() };
        match crate::commands::read_all(command, &overrides) {
            Ok(()) => {
                let text = value.trim();
                let is_set = typed_on_the_line || !value.is_empty();
                if is_set && INTEGERS.contains(&flag.as_str()) {
                    prop_assert!(text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok(), "{}", text);
                }
                if is_set && DURATIONS.contains(&flag.as_str()) && text != "auto" {
                    prop_assert!(text.parse::<crate::units::Nanos>().is_ok(), "{}", text);
                }
            }
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.contains(&origin), "{} {:?}: {}", flag, value, text);
                prop_assert!(!error.is_usage() || typed_on_the_line);
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
                if let PlanError::Value { text: shown, .. } | PlanError::Wrong { text: shown, .. } = &error {
                    prop_assert!(value.contains(shown.as_str()), "{:?} is not {:?}", shown, value);
                    prop_assert!(!NOT_REPEATED.contains(&flag.as_str()), "{} may be a secret: {}", flag, text);
                }
            }
        }
    }
}
