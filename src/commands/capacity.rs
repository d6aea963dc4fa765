//! `capacity`: finds the highest load at which the goals hold, by doubling and halving.

mod goals;
mod kept_up;
mod search;
mod together;

use self::kept_up::{Arrived, Late};
use self::search::Range;
use super::error::CommandError;
use super::measured::{finished, heeding};
use super::prelude::{self, Watcher};
use super::viewers::Viewers;
use super::{input, output};
use crate::document::capacity::{By, CAPACITY_SCHEMA, Capacity, Step};
use crate::document::{ENDED_EARLY, Reason, ReasonKind, Sweep, TargetServer, Verdict};
use crate::exit::ExitClass;
use crate::load::{Arrivals, OnFull, Shape, Spacing, Stage};
use crate::metrics::{Counter, Gauge, Metric, Rate, Trend};
use crate::plan::{Given, Overrides, Plan, PlanError, Purpose, Resolved, resolve_for, typed_rule};
use crate::report;
use crate::threshold::{self, Aggregation, Judged, Judgement, Rule};
use crate::trial::{self, Cut, Meeting, Ready, Setup, SweepStep, provenance};
use crate::units::Nanos;
use std::io::Write;
use std::time::Instant;

/// Long enough for the 99th percentile of a hundred requests at ten a second.
const DURATION: Nanos = Nanos::from_secs(10);
/// By then, connections are open and the number of requests under way has settled.
const WARMUP: Nanos = Nanos::from_secs(3);
/// Inconclusive tries in a row that are allowed before the search ends.
const MOST_UNDECIDED: u32 = 5;
/// The highest rate that is tried, unless another one is requested.
const MOST_RATE: u64 = 100_000;
/// The highest number of VUs, and of requests under way at a rate, unless another one is requested.
const MOST_USERS: u64 = 10_000;
/// The highest load that can be requested.
const LIMIT: u64 = 1_000_000;
/// Rates are whole numbers per this time, so they differ by at least a thousandth of a request per
/// second.
const RATE_UNIT: Nanos = Nanos::from_secs(1_000);

/// The parameters of the search.
#[derive(Debug)]
struct Wish {
    by: By,
    range: Range,
    /// Requests that may be under way at once, at a rate.
    most_users: u32,
    warmup: Nanos,
    window: Nanos,
    /// Longest duration of the whole search.
    max_time: Option<Nanos>,
}

impl Wish {
    /// Returns true if there is time left for one more step.
    fn has_time(&self, elapsed: Nanos) -> bool {
        self.max_time.is_none_or(|most| elapsed + self.warmup + self.window <= most)
    }

    /// Describes the progress of the search. The number of remaining steps is unknown.
    fn so_far(&self, steps: usize, elapsed: Nanos) -> String {
        let elapsed = Nanos::from_secs(elapsed.0 / 1_000_000_000);
        let most = self.max_time.map_or_else(String::new, |most| format!(" of {most}"));
        format!("step {steps}, {elapsed}{most}")
    }
}

/// Runs `capacity`.
pub(super) fn run(
    profile: &str,
    overrides: &Overrides,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let resolved = resolve_for(Purpose::Steps, profile, overrides, &mut input::Disk::of(overrides))?;
    let Some((plan, presentation)) = prelude::open(resolved, out)? else { return Ok(ExitClass::Success) };
    let plan = with_goals(plan, overrides)?;
    let most = most(overrides)?;
    let by = by(overrides)?;
    let shards = u64::from(plan.shard.count);
    let users = if by == By::Vus { most.unwrap_or(0) } else { 0 };
    let viewers = Viewers::open(&presentation, &plan.redactor())?;
    let looks = viewers.descriptors();
    let setup = Setup::new(looks + users.div_ceil(shards) + if shards > 1 { shards } else { 0 })?;
    let connections = setup.connections().saturating_sub(looks);
    let wish = wish(overrides, by, most, connections.saturating_mul(shards))?;
    let mut watcher = Watcher::new(err, presentation.quiet, viewers);
    presentation.notes.iter().for_each(|note| watcher.say(note));

    let plan = prelude::at_target(plan, &setup, &mut |line| watcher.say(line), |found| {
        let resolved = resolve_for(Purpose::Steps, profile, &overrides.at(found), &mut input::Disk::of(overrides))?;
        Ok(Resolved { plan: with_goals(resolved.plan, overrides)?, ..resolved })
    })?;
    let meeting = together::open(&plan, &wish, &presentation, &setup)?;
    let heard = |error| meeting.iter().fold(error, |error, meeting| meeting.failing(error));
    let mut ready = trial::prepare(plan, &setup, &mut |line| watcher.say(line)).map_err(heard)?;
    ready.show_answers(presentation.debug_response, watcher.err)?;
    if let Some(meeting) = &meeting {
        together::gather(&ready, &wish, meeting, &mut watcher).map_err(heard)?;
        if !meeting.is_host() {
            return Ok(heeding(&setup.stop, together::follow(&mut ready, &wish, meeting, &mut watcher)?));
        }
    }
    let mut found = nothing_yet(ready.plan(), &wish, setup.nofile);
    watcher.first_step(|| sweep(&found));
    let ended = search_on((&mut ready, meeting.as_ref()), &wish, &mut found, &mut watcher)?;
    let redactor = ready.plan().redactor();
    found.server = ready.target();
    found.server.redact(&redactor);
    let cut = meeting.as_ref().and_then(Meeting::cut);
    found.interrupted = setup.stop.is_signalled() || cut.as_ref().is_some_and(|cut| cut.is_signal);
    found.judge(ended.or(cut.and_then(lost)));

    let (err, viewers) = watcher.report(|| sweep(&found));
    let printed = output::print(&report::capacity::text(&found), output::on_stdout(&presentation).as_ref(), out, err);
    let page = || report::html::of_capacity(&found);
    output::write_json_and_page(&presentation, &|| found.to_json(), &page, (out, err), &setup.stop)?;
    meeting.into_iter().for_each(Meeting::dismiss);
    printed?;
    Ok(finished(found.verdict.exit(), viewers, &setup.stop, err))
}

/// Returns the results so far, for viewers.
fn sweep(found: &Capacity) -> Sweep {
    Sweep::Capacity(Box::new(found.clone()))
}

/// Returns the reason why the search ended, if another shard was lost.
fn lost(cut: Cut) -> Option<Reason> {
    (!cut.is_signal).then(|| Reason::new(ReasonKind::Incomplete, ENDED_EARLY, cut.text))
}

/// Tries loads until enough is known, with the other shards if they have met. Returns the reason if
/// the search ended early.
fn search_on(
    (ready, meeting): (&mut Ready, Option<&Meeting>),
    wish: &Wish,
    found: &mut Capacity,
    watcher: &mut Watcher<'_>,
) -> Result<Option<Reason>, CommandError> {
    let mut steps: Vec<(f64, bool)> = Vec::new();
    let mut range = wish.range;
    let mut undecided = 0;
    let mut ended = None;
    #[expect(
        clippy::disallowed_methods,
        reason = "--max-time bounds the search, in which tests have clocks of their own"
    )]
    let began = Instant::now();
    while let Some(load) = search::next(&steps, range) {
        if !wish.has_time(began.elapsed().into()) {
            found.out_of_time = true;
            break;
        }
        let plan = step_plan(ready.plan(), wish, load);
        let measured = match meeting {
            None => ready.step(&plan, watcher),
            Some(meeting) => meeting.lead(ready, (&plan, &load.to_string()), watcher),
        };
        let measured = match measured {
            Ok(Some(measured)) => measured,
            Ok(None) => break,
            Err(error) => {
                watcher.say(&format!("error: {error}"));
                ended = Some(prelude::ended(error)?);
                break;
            }
        };
        watcher.say_of_step(ready);
        found.environment.workers = measured.workers as u32;
        let (tried, says) = step(ready.plan(), wish, load, &measured);
        let so_far = wish.so_far(found.curve.len() + 1, began.elapsed().into());
        let line = format!("{so_far}: {}", progress(wish.by, &tried));
        watcher.say(&line);
        undecided += 1;
        match says {
            Says::Enough => {
                steps.push((load, tried.held));
                undecided = 0;
            }
            // The load is not a limit. A higher one gives the goal more data.
            Says::TooLittle => {
                if let Some(above) = search::above(range, load) {
                    (range, undecided) = (above, 0);
                }
            }
            Says::ClientWasLate => {}
        }
        found.curve.push(tried);
        watcher.step_over(line, || sweep(found));
        // Otherwise the same load is tried again. Each try draws its own arrivals.
        if undecided > MOST_UNDECIDED {
            break;
        }
    }
    (found.holds, found.fails) = search::bracket(&steps);
    found.settled = search::is_settled(&steps, range);
    Ok(ended)
}

/// Reads all flags that this command uses.
#[cfg(test)]
pub(super) fn read_all(overrides: &Overrides, read: &mut crate::plan::Read<'_>) -> Result<(), PlanError> {
    let resolved = resolve_for(Purpose::Steps, "load", overrides, read)?;
    with_goals(resolved.plan, overrides)?;
    wish(overrides, by(overrides)?, most(overrides)?, 1).map(drop)
}

/// Returns the plan with the requested goals, else with its own thresholds. Unless the plan has
/// goals for single requests, they are derived from these.
fn with_goals(plan: Plan, overrides: &Overrides) -> Result<Plan, PlanError> {
    let kinds = plan.mix.names();
    let mut rules = overrides.one("preset").map_or(Ok(Vec::new()), goals::preset)?;
    for goal in overrides.many("slo") {
        rules.push(typed_rule(goal, &kinds)?);
    }
    let thresholds = if rules.is_empty() { plan.thresholds } else { rules };
    if thresholds.is_empty() {
        let slo = Given::flag("slo", "");
        return Err(slo.misplaced(
            "is missing, and the profile has no thresholds: expected a goal such as --slo 'ttft p(95)<500ms'",
        ));
    }
    if thresholds.iter().any(goals::speaks_of_tokens) && !plan.mix.kinds.iter().any(|kind| kind.stream) {
        let blamed =
            overrides.one("slo").or(overrides.one("preset")).cloned().unwrap_or_else(|| Given::flag("slo", ""));
        return Err(blamed.misplaced(format!(
            "needs token times, which only streamed requests have, but {} does not stream",
            plan.name
        )));
    }
    let slo = if plan.slo.is_empty() { goals::of_one_request(&thresholds, &kinds) } else { plan.slo };
    Ok(Plan { thresholds, slo, ..plan })
}

/// Returns the highest load, if one was requested.
fn most(overrides: &Overrides) -> Result<Option<u64>, PlanError> {
    overrides.one("max").map(|max| max.whole(&(1..=LIMIT))).transpose()
}

fn by(overrides: &Overrides) -> Result<By, PlanError> {
    let by = overrides.one("by").map_or(Ok(By::Rate), |given| given.word(&[("rate", By::Rate), ("vus", By::Vus)]))?;
    match overrides.one("think_time").filter(|given| by == By::Rate && given.is_flag()) {
        Some(given) => Err(given.misplaced("needs --by vus: with a rate, requests do not wait for users")),
        None => Ok(by),
    }
}

fn wish(overrides: &Overrides, by: By, most: Option<u64>, connections: u64) -> Result<Wish, PlanError> {
    let most_users = MOST_USERS.min(connections).max(1);
    let max = most.unwrap_or(if by == By::Vus { most_users } else { MOST_RATE });
    let min = overrides.one("min").map_or(Ok(1), |min| min.whole(&(1..=LIMIT)))?;
    if let Some(blamed) = overrides.one("min").or(overrides.one("max")).filter(|_| min > max) {
        return Err(
            blamed.misplaced(format!("makes the lowest load {min} and the highest {max}: expected --min ≤ --max"))
        );
    }
    let warmup = overrides.one("step_warmup").map_or(Ok(WARMUP), Given::time)?;
    let window = overrides.one("step_duration").map_or(Ok(DURATION), Given::some_time)?;
    let max_time = overrides.one("max_time").map(|given| Ok((given.some_time()?, given))).transpose()?;
    if let Some((_, given)) = max_time.filter(|(most, _)| *most < warmup + window) {
        return Err(given.bad(format!("at least the length of one step, {}", warmup + window)));
    }
    let max_time = max_time.map(|(most, _)| most);
    Ok(Wish {
        by,
        range: Range { min: min as f64, max: max as f64, whole: by == By::Vus },
        most_users: most_users as u32,
        warmup,
        window,
        max_time,
    })
}

/// Returns the plan of one step. The profile's own warm-up and cooldown belong to its own stages.
fn step_plan(plan: &Plan, wish: &Wish, load: f64) -> Plan {
    Plan { shape: shape(wish, load), warmup: wish.warmup, cooldown: Nanos::ZERO, ..plan.clone() }
}

/// Returns the warm-up and the window at one load.
fn shape(wish: &Wish, load: f64) -> Shape {
    let duration = wish.warmup + wish.window;
    match wish.by {
        By::Vus => Shape::ConstantVus { vus: load as u32, duration },
        By::Rate => {
            let rate = (load * RATE_UNIT.as_secs_f64()).round() as u32;
            Shape::ConstantArrivalRate(Arrivals {
                start_rate: rate,
                time_unit: RATE_UNIT,
                stages: vec![Stage { duration, target: rate }],
                // The gauge of VUs then shows how many were busy at once.
                pre_allocated_vus: 1,
                max_vus: wish.most_users,
                // Independent users arrive in this way, as in MLPerf's server scenario.
                spacing: Spacing::Poisson,
                on_full: OnFull::Queue,
            })
        }
    }
}

/// The conclusion of a step about its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The step shows whether the goals hold.
    Enough,
    /// Inconclusive: the window may have been too short for a request that gives a goal data.
    TooLittle,
    /// Inconclusive: this machine did not send the load.
    ClientWasLate,
}

/// Returns the step and its conclusion. If every request failed, the goals have failed, even those
/// without data.
fn step(plan: &Plan, wish: &Wish, load: f64, measured: &SweepStep) -> (Step, Says) {
    let verdicts = threshold::judge(&plan.thresholds, &measured.summary);
    let has = |judgement| verdicts.iter().any(|judged| judged.verdict == judgement);
    let failed = measured.rate(Rate::HttpReqFailed);
    let lacks_data = has(Judgement::NoData) && !has(Judgement::Fail) && failed.is_none_or(|share| share < 1.0);
    let mut broken: Vec<String> =
        plan.thresholds.iter().zip(&verdicts).filter(|(_, v)| v.verdict != Judgement::Pass).map(is_broken).collect();
    let late = (wish.by == By::Rate).then(|| arrived(measured, wish).late()).flatten();
    let says = match &late {
        // A failed goal decides the step, whatever else went wrong.
        Some(Late::Client(_)) if broken.is_empty() || lacks_data => Says::ClientWasLate,
        None if lacks_data => Says::TooLittle,
        _ => Says::Enough,
    };
    broken.extend(late.map(|late| late.text().to_owned()));
    let step = Step {
        load,
        undecided: says != Says::Enough,
        client_was_late: says == Says::ClientWasLate,
        held: broken.is_empty(),
        broken,
        ttft: measured.quantiles(Trend::Ttft),
        tbt: measured.quantiles(Trend::Tbt),
        tpot: measured.quantiles(Trend::Tpot),
        http_req_duration: measured.quantiles(Trend::HttpReqDuration),
        requests_per_s: measured.per_second(Counter::HttpReqs),
        tokens_per_s: measured.per_second(Counter::TokensOutput),
        failed,
        goodput: measured.rate(Rate::Goodput),
        client: measured.client(),
        client_cpu: measured.client_cpu(),
        server_metrics: measured.server_metrics.clone(),
    };
    (step, says)
}

/// Formats a broken goal: `ttft p(95)<500ms: measured 612.30ms`.
fn is_broken((rule, verdict): (&Rule, &Judged)) -> String {
    let measured = match (rule.metric, verdict.value) {
        (_, None) => "no data".to_owned(),
        (Metric::Trend(_), Some(ms)) if rule.aggregation != Aggregation::Count => format!("measured {ms:.2}ms"),
        (Metric::Rate(rate), Some(share)) if rate.is_share() => format!("measured {:.2}%", share * 100.0),
        (_, Some(value)) => format!("measured {value:.2}"),
    };
    format!("{} {}: {measured}", verdict.metric, verdict.expression)
}

/// Returns the counts of a step's arrivals.
fn arrived(measured: &SweepStep, wish: &Wish) -> Arrived {
    Arrived {
        offered: measured.in_window(Counter::ArrivalsOffered),
        started: measured.in_window(Counter::ArrivalsStarted),
        busy: measured.most(Gauge::Vus),
        users: u64::from(wish.most_users),
        client_was_late: measured.client_was_late(),
    }
}

fn progress(by: By, step: &Step) -> String {
    let broken = step.broken.join(", ");
    let how = match (step.held, step.undecided) {
        (true, _) => "holds".to_owned(),
        (false, true) => format!("undecided: {broken}"),
        (false, false) => format!("fails: {broken}"),
    };
    format!("{}: {how}", by.shown(step.load))
}

fn nothing_yet(plan: &Plan, wish: &Wish, nofile: u64) -> Capacity {
    let shown = |rule: &Rule| format!("{} {}", rule.key(), rule.expression);
    Capacity {
        schema: CAPACITY_SCHEMA.to_owned(),
        build: provenance::build(),
        environment: provenance::environment(0, &[], &[], nofile),
        target: plan.redactor().own(&plan.target.url),
        plan_hash: Some(crate::document::plan::hash_of(plan)),
        server: TargetServer::default(),
        profile: plan.name.clone(),
        shards: plan.shard.is_part().then_some(plan.shard.count),
        by: wish.by,
        goals: plan.thresholds.iter().map(shown).collect(),
        goals_of_one_request: plan.slo.iter().map(shown).collect(),
        warmup_s: wish.warmup.as_secs_f64(),
        window_s: wish.window.as_secs_f64(),
        holds: None,
        fails: None,
        settled: false,
        interrupted: false,
        verdict: Verdict::default(),
        max_time_s: wish.max_time.map(Nanos::as_secs_f64),
        out_of_time: false,
        curve: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::overrides::overrides;
    use crate::plan::resolve;
    use std::sync::Arc;

    fn given() -> Overrides {
        Overrides::default()
    }

    fn plan(profile: &str) -> Plan {
        resolve(profile, &Overrides::default(), &mut |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into()))
            .expect("built in")
            .plan
    }

    #[test]
    fn goals_come_from_flags_else_from_the_profile() {
        let own = with_goals(plan("load"), &given()).unwrap();
        assert_eq!(own.thresholds, plan("load").thresholds);
        assert_eq!(
            own.slo.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["http_req_duration: <3000", "http_req_duration: <5000"]
        );
        let asked = overrides! {
            slo: [Given::flag("slo", "http_req_failed rate<1%")],
            preset: [Given::flag("preset", "mlperf-llama2-70b-interactive")],
        };
        let asked = with_goals(plan("load"), &asked).unwrap();
        assert_eq!(asked.thresholds.len(), 4);
        assert_eq!(asked.slo.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ttft: <=450", "tpot: <=40"]);
    }

    #[test]
    fn goals_that_nothing_can_meet_are_refused() {
        let mut plain = plan("load");
        Arc::make_mut(&mut plain.mix).kinds.retain(|kind| !kind.stream);
        let asked = overrides! { slo: [Given::flag("slo", "ttft p(95)<1s")] };
        let error = with_goals(plain.clone(), &asked).unwrap_err().to_string();
        assert!(error.contains("which only streamed requests have"), "{error}");
        plain.thresholds.clear();
        assert!(with_goals(plain, &given()).unwrap_err().to_string().contains("--slo is missing"));
    }

    #[test]
    fn ranges_are_what_was_asked_for_and_fit_the_machine() {
        let range = |overrides: &Overrides, by, most, files| {
            wish(overrides, by, most, files).map(|w| (w.range.min, w.range.max))
        };
        assert_eq!(range(&given(), By::Vus, None, 960), Ok((1.0, 960.0)));
        assert_eq!(range(&given(), By::Rate, None, 960), Ok((1.0, 100_000.0)));
        let asked = overrides! { min: [Given::flag("min", "5")] };
        assert_eq!(range(&asked, By::Rate, Some(7), 960), Ok((5.0, 7.0)));
        let error = range(&asked, By::Vus, Some(4), 960).unwrap_err().to_string();
        assert!(error.contains("the lowest load 5 and the highest 4"), "{error}");
        for text in ["0", "-1", "x"] {
            assert!(range(&overrides! { min: [Given::flag("min", text)] }, By::Vus, None, 9).is_err());
        }
        assert!(by(&overrides! { by: [Given::flag("by", "users")] }).unwrap_err().is_usage());
    }

    #[test]
    fn a_step_lasts_as_long_as_its_warm_up_and_its_window() {
        let mut wish = wish(&given(), By::Rate, None, 960).unwrap();
        let open = shape(&wish, 12.5);
        assert_eq!(open.end(), Nanos::from_secs(13));
        let arrivals = open.arrivals().unwrap();
        assert_eq!((arrivals.peak_rate(), arrivals.start_rate, arrivals.max_vus), (12_500, 12_500, 960));
        let edged = Plan { warmup: Nanos::from_secs(60), cooldown: Nanos::from_secs(60), ..plan("load") };
        let step = step_plan(&edged, &wish, 12.5);
        assert_eq!(step.window(), (Nanos::from_secs(3), Nanos::from_secs(13)), "the profile's edges are not added");
        wish.by = By::Vus;
        assert_eq!(shape(&wish, 3.0), Shape::ConstantVus { vus: 3, duration: Nanos::from_secs(13) });
    }

    #[test]
    fn a_search_ends_with_the_last_step_that_fits_into_its_time() {
        let wish = |most: Option<&str>| {
            let given = overrides! { max_time: most.map(|most| Given::flag("max-time", most)) };
            super::wish(&given, By::Rate, None, 960)
        };
        let bounded = wish(Some("30s")).unwrap();
        let secs = Nanos::from_secs;
        assert_eq!([0, 17, 18].map(|elapsed| bounded.has_time(secs(elapsed))), [true, true, false]);
        assert!(wish(None).unwrap().has_time(secs(1_000_000)));
        let error = wish(Some("12s")).unwrap_err().to_string();
        assert_eq!(error, "invalid value '12s' for --max-time: expected at least the length of one step, 13s");
    }
}
