//! `throughput`: measures the most requests and tokens per second, by API and by number of server
//! worker threads.

mod apis;

use super::error::CommandError;
use super::measured::finished;
use super::prelude::{self, Watcher};
use super::viewers::Viewers;
use super::{input, output};
use crate::api::Api;
use crate::document::throughput::{LLMSIM_P99_MS, Mode, Step, THROUGHPUT_SCHEMA, Throughput};
use crate::document::{Sweep, TargetServer, Verdict};
use crate::exit::ExitClass;
use crate::host;
use crate::load::Shape;
use crate::metrics::{Counter, Rate, Trend, hints};
use crate::plan::{Given, Kind, Mix, Overrides, Plan, PlanError, Spec, Tuning};
use crate::report;
use crate::trial::{self, Ready, Setup, SweepStep, TrialError, provenance};
use crate::units::{Nanos, plural, short};
use std::io::Write;
use std::path::Path;

/// The profile of the load. The server decides on the length of its responses. Its reasoning models
/// are not used: they would bill tokens that are not sent.
const PROFILE: &str = r#"description = "As many short responses as possible"
executor = "constant-vus"
vus = 1
duration = "1s"
graceful_stop = "5s"
timeout = "10s"

[[requests]]
name = "plain"
weight = 1
api = "openai-chat"
model = "gpt-4o"
prompt = "Say something short."
prompt_cache = "miss"
max_tokens = 16

[[requests]]
name = "streamed"
weight = 1
api = "openai-chat"
stream = true
include_usage = true
model = "gpt-4o"
prompt = "Say something short."
prompt_cache = "miss"
max_tokens = 16
"#;
/// The name of the profile in messages.
const PROFILE_NAME: &str = "throughput.toml";
/// The steps of llmsim's own benchmark.
const CONCURRENCY: [u32; 5] = [16, 32, 64, 128, 256];
/// Long enough for the 99th percentile of any rate worth measuring.
const DURATION: Nanos = Nanos::from_secs(30);
/// Allocators, page tables and core frequencies settle within this time.
const WARMUP: Nanos = Nanos::from_secs(5);
/// Steps of one kind. A longer list is a mistake.
const MOST_VALUES: usize = 32;
/// Threads or requests at once: beyond it, ports run out (28,000 to one address on Linux).
const MOST: u64 = 16_000;

#[derive(Debug)]
struct Steps {
    /// Numbers of server threads. `None` for a server that is already running.
    servers: Vec<Option<u32>>,
    concurrency: Vec<u32>,
    duration: Nanos,
    warmup: Nanos,
    modes: Vec<Mode>,
    max_p99: MaxP99,
}

/// The 99th percentile of plain responses above which a step does not count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MaxP99 {
    /// The limit of llmsim's own benchmark for llmsim, no limit for other servers.
    Usual,
    Off,
    Ms(f64),
}

impl MaxP99 {
    fn given(given: &Given) -> Result<Self, PlanError> {
        match given.value.trim() {
            "off" => Ok(Self::Off),
            _ => given.some_time().map(|most| Self::Ms(most.as_millis_f64())),
        }
    }

    /// Returns the limit in ms. `None` for no limit.
    fn of(self, is_llmsim: bool) -> Option<f64> {
        match self {
            Self::Usual => is_llmsim.then_some(LLMSIM_P99_MS),
            Self::Off => None,
            Self::Ms(most) => Some(most),
        }
    }
}

/// Runs `throughput`.
pub(super) fn run(overrides: &Overrides, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let mut read =
        |path: &Path| if path == Path::new(PROFILE_NAME) { Ok(PROFILE.to_owned()) } else { input::read(path) };
    let resolved = apis::resolve(PROFILE_NAME, overrides, &mut read)?;
    let Some((plan, presentation)) = prelude::open(resolved, out)? else { return Ok(ExitClass::Success) };
    let cores = host::cores().len().max(1);
    let sweep = sweep(overrides, plan.server.is_some(), cores as u32)?;
    let viewers = Viewers::open(&presentation, &plan.redactor())?;
    let most = u64::from(sweep.concurrency.iter().copied().max().unwrap_or_default());
    let setup = Setup::new(most + viewers.descriptors())?;
    let mut watcher = Watcher::new(err, presentation.quiet, viewers);
    presentation.notes.iter().for_each(|note| watcher.say(note));
    let plan = prelude::at_target(plan, &setup, &mut |line| watcher.say(line), |found| {
        apis::resolve(PROFILE_NAME, &overrides.at(found), &mut read)
    })?;
    let mut found = nothing_yet(&plan, &sweep, setup.nofile);
    watcher.first_step(|| so_far(&found));
    let mut answers = presentation.debug_response;
    let mut ended = None;
    for &threads in &sweep.servers {
        let (plan, shared_cores) = divided(&plan, threads, cores);
        let measured = match trial::prepare(plan, &setup, &mut |line| watcher.say(line)) {
            Ok(ready) => {
                // Only the responses of the first server are shown, since this comes before the
                // test.
                ready.show_answers(std::mem::take(&mut answers), watcher.err)?;
                sweep.measure(ready, (threads, shared_cores), &mut found, &mut watcher)
            }
            Err(error) if found.is_empty() => return Err(error.into()),
            Err(error) => Err(error),
        };
        if setup.stop.is_signalled() {
            break;
        }
        if let Err(error) = measured {
            watcher.say(&format!("error: {error}"));
            ended = Some(prelude::ended(error)?);
            break;
        }
    }
    let is_llmsim = found.server.kind.as_deref() == Some("llmsim");
    found.max_p99_ms = sweep.max_p99.of(is_llmsim);
    found.interrupted = setup.stop.is_signalled();
    found.judge(ended);
    let (err, viewers) = watcher.report(|| so_far(&found));
    let printed = output::print(&report::throughput::text(&found), output::on_stdout(&presentation).as_ref(), out, err);
    let page = || report::html::of_throughput(&found);
    output::write_json_and_page(&presentation, &|| found.to_json(), &page, (out, err), &setup.stop)?;
    printed?;
    Ok(finished(found.verdict.exit(), viewers, &setup.stop, err))
}

/// Returns the results so far, for viewers.
fn so_far(found: &Throughput) -> Sweep {
    Sweep::Throughput(Box::new(found.clone()))
}

/// Reads all flags that this command uses.
#[cfg(test)]
pub(super) fn read_all(overrides: &Overrides) -> Result<(), PlanError> {
    let mut read = |path: &Path| match path.to_str() {
        Some(PROFILE_NAME) => Ok(PROFILE.to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    apis::resolve(PROFILE_NAME, overrides, &mut read)?;
    sweep(overrides, true, 1).map(drop)
}

impl Steps {
    /// Returns the kinds of steps for one server, in order: an API, and whether its responses are
    /// streamed.
    fn kinds(&self, plan: &Plan) -> Vec<(Mode, Api)> {
        let mode = |stream| if stream { Mode::Streamed } else { Mode::Plain };
        let mut kinds: Vec<(Mode, Api)> = Vec::new();
        for &wanted in &self.modes {
            let of_mode = plan.mix.kinds.iter().filter(|kind| mode(kind.stream) == wanted);
            for api in of_mode.map(|kind| kind.api) {
                if !kinds.contains(&(wanted, api)) {
                    kinds.push((wanted, api));
                }
            }
        }
        kinds
    }

    /// Warms up one server, measures its steps, and leaves it. After an error, the earlier
    /// measurements are kept.
    fn measure(
        &self,
        mut ready: Ready,
        which: (Option<u32>, bool),
        found: &mut Throughput,
        watcher: &mut Watcher<'_>,
    ) -> Result<(), TrialError> {
        let measured = self.steps(&mut ready, which, found, watcher);
        let redactor = ready.plan().redactor();
        found.target = redactor.own(&ready.plan().target.url);
        found.server = ready.target();
        found.server.redact(&redactor);
        measured
    }

    fn steps(
        &self,
        ready: &mut Ready,
        (threads, shared_cores): (Option<u32>, bool),
        found: &mut Throughput,
        watcher: &mut Watcher<'_>,
    ) -> Result<(), TrialError> {
        let name = match threads {
            None => "running server".to_owned(),
            Some(n) => plural(n, "worker thread"),
        };
        let kinds = self.kinds(ready.plan());
        if self.warmup > Nanos::ZERO {
            watcher.say(&format!("{name}: warming up"));
            let middle = self.concurrency[self.concurrency.len() / 2];
            for &kind in &kinds {
                let length = Nanos(self.warmup.0 / kinds.len() as u64);
                ready.step(&step_plan(ready.plan(), kind, middle, length), watcher)?;
                watcher.say_of_step(ready);
            }
        }
        let names_api = kinds.iter().any(|(_, api)| *api != kinds[0].1);
        for &(mode, api) in &kinds {
            for &concurrency in &self.concurrency {
                let kind = if mode == Mode::Plain { "plain" } else { "streamed" };
                let of_api = if names_api { format!("{}, ", api.name()) } else { String::new() };
                let number = found.plain.len() + found.streamed.len() + 1;
                let all = self.servers.len() * kinds.len() * self.concurrency.len();
                let what = format!("{number} of {all}: {name}: {of_api}{kind} responses, {concurrency} at once");
                watcher.say(&what);
                let plan = step_plan(ready.plan(), (mode, api), concurrency, self.duration);
                let Some(measured) = ready.step(&plan, watcher)? else { break };
                watcher.say_of_step(ready);
                found.environment.workers = found.environment.workers.max(measured.workers as u32);
                let measured = step(ready.plan(), api, (threads, concurrency), shared_cores, &measured);
                let unit = if mode == Mode::Plain { "requests/s" } else { "tokens/s" };
                let line = format!("{what}: {} {unit}", short(measured.rate(mode)));
                match mode {
                    Mode::Plain => found.plain.push(measured),
                    Mode::Streamed => found.streamed.push(measured),
                }
                watcher.step_over(line, || so_far(found));
            }
        }
        Ok(())
    }
}

/// Returns the plan with the cores divided: the server gets as many as it has threads, if any
/// remain for the client. The flag is true if none remain, so that both sides share cores.
fn divided(plan: &Plan, threads: Option<u32>, cores: usize) -> (Plan, bool) {
    let (Some(threads), Some(spec)) = (threads, &plan.server) else {
        return (plan.clone(), plan.target.is_this_machine());
    };
    let ours = plan.tuning.workers.unwrap_or_else(|| (cores as u32).saturating_sub(threads).max(1));
    let shared = (threads + ours) as usize > cores;
    let plan = Plan {
        server: Some(Spec { throughput: Some(threads), ..spec.clone() }),
        // Without pinning, both sides may use every core.
        tuning: Tuning { workers: Some(ours), pin: plan.tuning.pin && !shared, ..plan.tuning.clone() },
        ..plan.clone()
    };
    (plan, shared)
}

/// Returns the plan of one step.
fn step_plan(plan: &Plan, (mode, api): (Mode, Api), concurrency: u32, duration: Nanos) -> Plan {
    let is_asked = |kind: &&Kind| kind.api == api && kind.stream == (mode == Mode::Streamed);
    let kinds = plan.mix.kinds.iter().filter(is_asked);
    Plan {
        mix: Mix { kinds: kinds.cloned().collect() }.into(),
        shape: Shape::ConstantVus { vus: concurrency, duration },
        ..plan.clone()
    }
}

fn step(
    plan: &Plan,
    api: Api,
    (workers, concurrency): (Option<u32>, u32),
    shared_cores: bool,
    measured: &SweepStep,
) -> Step {
    Step {
        api: Some(api.name().to_owned()),
        workers,
        concurrency,
        requests_per_s: measured.per_second(Counter::HttpReqs),
        tokens_per_s: measured.per_second(Counter::TokensOutput),
        http_req_duration: measured.quantiles(Trend::HttpReqDuration),
        ttft: measured.quantiles(Trend::Ttft),
        failed: measured.rate(Rate::HttpReqFailed),
        client_cpu: measured.client_cpu(),
        client_workers: measured.workers as u32,
        server_cpu: measured.server_cpu,
        client_bound: measured.client_bound(),
        shared_cores,
        hints: hints::hints(&measured.summary, plan.access.max_requests),
        server_metrics: measured.server_metrics.clone(),
    }
}

fn nothing_yet(plan: &Plan, sweep: &Steps, nofile: u64) -> Throughput {
    Throughput {
        schema: THROUGHPUT_SCHEMA.to_owned(),
        build: provenance::build(),
        environment: provenance::environment(0, &[], &[], nofile),
        target: plan.redactor().own(&plan.target.url),
        plan_hash: Some(crate::document::plan::hash_of(plan)),
        server: TargetServer::default(),
        same_machine: plan.target.is_this_machine(),
        warmup_s: sweep.warmup.as_secs_f64(),
        step_s: sweep.duration.as_secs_f64(),
        interrupted: false,
        verdict: Verdict::default(),
        max_p99_ms: None,
        plain: Vec::new(),
        streamed: Vec::new(),
    }
}

/// Plain and streamed responses, in the order of the steps.
const BOTH: &[Mode] = &[Mode::Plain, Mode::Streamed];

/// Returns the requested steps, or the default ones for a machine with this many cores.
fn sweep(overrides: &Overrides, starts_server: bool, cores: u32) -> Result<Steps, PlanError> {
    let servers = match (overrides.one("server_workers"), starts_server) {
        (Some(typed), false) if typed.is_flag() => {
            return Err(typed.misplaced(
                "needs a server that is started here: expected no --no-server, and a target on this machine",
            ));
        }
        (_, false) => vec![None],
        (Some(typed), true) => list(typed)?.into_iter().map(Some).collect(),
        (None, true) => powers_of_two(cores).map(Some).collect(),
    };
    let words = [("plain", &BOTH[..1]), ("stream", &BOTH[1..]), ("both", BOTH)];
    let modes = overrides.one("responses").map_or(Ok(BOTH), |typed| typed.word(&words))?.to_vec();
    Ok(Steps {
        servers,
        concurrency: overrides.one("concurrency").map_or(Ok(CONCURRENCY.to_vec()), list)?,
        duration: overrides.one("step_duration").map_or(Ok(DURATION), Given::some_time)?,
        warmup: overrides.one("step_warmup").map_or(Ok(WARMUP), Given::time)?,
        modes,
        max_p99: overrides.one("max_p99").map_or(Ok(MaxP99::Usual), MaxP99::given)?,
    })
}

/// Parses `1,2,4`: distinct integers.
fn list(given: &Given) -> Result<Vec<u32>, PlanError> {
    let mut numbers: Vec<u32> = Vec::new();
    for part in given.value.split(',') {
        let number = given.part(part.trim(), |part| part.whole(&(1..=MOST)))? as u32;
        if numbers.contains(&number) {
            return Err(given.bad(format!("each number once, but {number} is given twice")));
        }
        numbers.push(number);
    }
    if numbers.len() > MOST_VALUES {
        return Err(given.bad(format!("at most {MOST_VALUES} numbers")));
    }
    Ok(numbers)
}

fn powers_of_two(most: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(1_u32), |n| n.checked_mul(2)).take_while(move |&n| n <= most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::overrides::overrides;
    use crate::plan::resolve;

    fn given(server_workers: Option<&str>, concurrency: Option<&str>, responses: Option<&str>) -> Overrides {
        let flag = |name: &str, value: Option<&str>| value.map(|value| Given::flag(name, value));
        overrides! {
            server_workers: flag("server-workers", server_workers),
            concurrency: flag("concurrency", concurrency),
            responses: flag("responses", responses),
        }
    }

    fn plan() -> Plan {
        let mut read = |_: &Path| Ok(PROFILE.to_owned());
        resolve(PROFILE_NAME, &Overrides::default(), &mut read).expect("our own profile").plan
    }

    #[test]
    fn powers_of_two_up_to_the_cores_are_usual() {
        for (cores, expected) in [(1, vec![1]), (2, vec![1, 2]), (6, vec![1, 2, 4]), (8, vec![1, 2, 4, 8])] {
            let sweep = sweep(&given(None, None, None), true, cores).unwrap();
            assert_eq!(sweep.servers, expected.into_iter().map(Some).collect::<Vec<_>>());
            assert_eq!((sweep.concurrency.as_slice(), sweep.modes.len()), (CONCURRENCY.as_slice(), 2));
        }
        assert_eq!(sweep(&given(None, None, None), false, 8).unwrap().servers, [None]);
    }

    #[test]
    fn lists_are_read_and_slips_refused() {
        let asked = sweep(&given(Some("3, 1"), Some("7"), Some("plain")), true, 2).unwrap();
        assert_eq!(
            (asked.servers, asked.concurrency, asked.modes),
            (vec![Some(3), Some(1)], vec![7], vec![Mode::Plain])
        );
        for (typed, expected) in [
            (given(None, Some("0"), None), "invalid value '0' for --concurrency"),
            (given(None, Some("1,,2"), None), "invalid value '1,,2' for --concurrency"),
            (given(None, Some("4,4"), None), "4 is given twice"),
            (given(Some("x"), None, None), "invalid value 'x' for --server-workers"),
            (given(None, None, Some("all")), "expected plain, stream or both"),
        ] {
            let error = sweep(&typed, true, 2).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(expected), "{error}");
        }
        let limit =
            |text: &str| sweep(&given(None, None, None).with("max_p99", [Given::flag("max-p99", text)]), true, 2);
        let usual = sweep(&given(None, None, None), true, 2).unwrap().max_p99;
        assert_eq!((usual.of(true), usual.of(false)), (Some(50.0), None));
        assert_eq!(limit("off").unwrap().max_p99.of(true), None);
        assert_eq!(limit("1500ms").unwrap().max_p99.of(false), Some(1500.0));
        assert!(limit("never").unwrap_err().to_string().contains("for --max-p99"));
        let error = sweep(&given(Some("1"), None, None), false, 2).unwrap_err().to_string();
        assert!(error.contains("--server-workers needs a server that is started"), "{error}");
    }

    #[test]
    fn both_sides_get_cores_of_their_own_while_there_are_enough() {
        let shares = |threads, cores| {
            let (plan, shared) = divided(&plan(), Some(threads), cores);
            (plan.tuning.workers, plan.tuning.pin, shared, plan.server.and_then(|spec| spec.throughput))
        };
        assert_eq!(shares(1, 2), (Some(1), true, false, Some(1)));
        assert_eq!(shares(2, 2), (Some(1), false, true, Some(2)));
        assert_eq!(shares(2, 8), (Some(6), true, false, Some(2)));
        assert_eq!(shares(8, 8), (Some(1), false, true, Some(8)));
    }

    #[test]
    fn a_step_asks_for_one_kind_of_answer_without_pauses() {
        let step = step_plan(&plan(), (Mode::Streamed, Api::OpenaiChat), 64, DURATION);
        assert_eq!(step.mix.kinds.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["streamed"]);
        assert_eq!(step.shape, Shape::ConstantVus { vus: 64, duration: DURATION });
        assert_eq!(step.think_time.max, Nanos::ZERO);
    }
}
