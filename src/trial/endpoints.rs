//! Asks every endpoint once before the load begins, with the engine that will load it, and judges
//! the response.

use super::error::TrialError;
use super::signals::Stop;
use crate::api::Method;
use crate::document::{Endpoint, EndpointVerdict};
use crate::engine;
use crate::load::{Shape, ThinkTime};
use crate::metrics::{Distribution, Failure, Summary, Trend};
use crate::plan::{BehaviorMix, Kind, Mix, Plan, Shard, Tuning};
use crate::units::{Nanos, mix64};

/// Statuses of a server that lacks an endpoint: not found, or method not allowed.
const MISSING: [u16; 2] = [404, 405];

/// Separates the random draws of these requests from those of the load.
const CHECK_DRAWS: u64 = 0x4368_6563_6b00_0006;

/// Asks every endpoint of the plan, all at once. A slow endpoint does not use up the time of the
/// others, and the whole takes no longer than the slowest.
pub(super) fn ask_each(plan: &Plan, cores: &[usize], stop: &Stop) -> Result<Vec<Endpoint>, TrialError> {
    let plans: Vec<(&Kind, Plan)> = plan.endpoints.iter().map(|kind| (kind, once(plan, kind))).collect();
    let all: Result<Vec<Endpoint>, TrialError> = std::thread::scope(|scope| {
        let asked: Vec<_> = plans
            .iter()
            .map(|(kind, once)| (*kind, scope.spawn(|| engine::run(once, cores, stop.flag(), &mut |_| {}))))
            .collect();
        let answers = asked.into_iter().map(|(kind, thread)| {
            // A panic in that thread is a defect here, too.
            let run = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?.sound()?;
            Ok(judge(kind, &Summary::new(&run.total, std::slice::from_ref(&kind.name), run.window)))
        });
        answers.collect()
    });
    // Responses that were cut off say nothing.
    if stop.is_signalled() { Err(TrialError::Interrupted) } else { all }
}

/// Returns the endpoints that the report shows. A plan without an endpoint check has not asked for
/// a judgement, so failed endpoints are left out: its thresholds say what may fail, and how often.
pub(super) fn judged(plan: &Plan, all: Vec<Endpoint>) -> Vec<Endpoint> {
    let is_kept = |endpoint: &Endpoint| plan.endpoint_check || endpoint.verdict != EndpointVerdict::Failed;
    all.into_iter().filter(is_kept).collect()
}

/// Returns a plan that sends one request of this kind and reads the response to its end, whatever
/// the behaviour of VUs in the load and whichever shard this process runs.
pub(super) fn once(plan: &Plan, kind: &Kind) -> Plan {
    let limit = kind.timeouts.connect.saturating_add(kind.timeouts.total);
    Plan {
        shape: Shape::PerVuIterations { vus: 1, iterations: 1, max_duration: limit },
        think_time: ThinkTime::default(),
        graceful_stop: Nanos::ZERO,
        mix: Mix { kinds: vec![Kind { weight: 1, behaviors: BehaviorMix::default(), ..kind.clone() }] }.into(),
        thresholds: Vec::new(),
        tuning: Tuning { workers: Some(1), records: None, ..plan.tuning.clone() },
        shard: Shard::WHOLE,
        start_at: None,
        rendezvous: None,
        // The requests differ from those that are measured, so that no cache holds the measured
        // ones.
        seed: mix64(plan.seed, CHECK_DRAWS, 0),
        ..plan.clone()
    }
}

/// Judges an endpoint by the numbers of its one request.
fn judge(kind: &Kind, summary: &Summary) -> Endpoint {
    let status = summary.statuses.iter().map(|(status, _)| *status).find(|&status| status > 0);
    let (verdict, reason) = if summary.succeeded() > 0 {
        (EndpointVerdict::Ok, None)
    } else if let Some(status) = status.filter(|&status| kind.optional && is_missing(kind, status)) {
        (EndpointVerdict::Skipped, Some(format!("status {status}, so the server does not have it")))
    } else {
        let failure = summary.failures.iter().find(|(_, incidents)| incidents.count > 0);
        let check = summary.failed_checks.iter().find(|(_, n)| *n > 0).map(|(name, _)| *name);
        let mut reason = why(failure.map(|(class, _)| *class), status, check);
        // Append the server's own words.
        if let Some(example) = failure.and_then(|(_, incidents)| incidents.example.as_ref()) {
            reason = format!("{reason}: {}", example.text);
        }
        (EndpointVerdict::Failed, Some(reason))
    };
    let duration = summary.trend(Trend::HttpReqDuration, None).filter(|_| verdict == EndpointVerdict::Ok);
    Endpoint { status, duration_ms: duration.map(Distribution::sum_ms), ..endpoint(kind, verdict, reason) }
}

/// Returns true if this status says that the endpoint does not exist. Starlette, on which vLLM and
/// many other servers are built, rejects a WebSocket at an unknown path with 403.
fn is_missing(kind: &Kind, status: u16) -> bool {
    MISSING.contains(&status) || (kind.websocket && status == 403)
}

/// Returns why a request failed, in one line.
fn why(class: Option<Failure>, status: Option<u16>, check: Option<&str>) -> String {
    let Some(class) = class else { return "cut off before its response was complete".to_owned() };
    let mut reason = class.name().to_owned();
    if let Some(check) = check {
        reason = format!("{reason}: {check}");
    }
    match status {
        Some(status) => format!("{reason} (status {status})"),
        None => reason,
    }
}

fn endpoint(kind: &Kind, verdict: EndpointVerdict, reason: Option<String>) -> Endpoint {
    Endpoint {
        name: kind.name.clone(),
        api: kind.api.name().to_owned(),
        method: match kind.api.method() {
            _ if kind.websocket => "GET",
            Method::Get => "GET",
            Method::Post => "POST",
        }
        .to_owned(),
        path: kind.path.clone(),
        stream: kind.stream,
        verdict,
        reason,
        status: None,
        duration_ms: None,
    }
}

/// Returns the plan without the skipped endpoints.
pub(super) fn without_skipped(plan: Plan, all: &[Endpoint]) -> Result<Plan, TrialError> {
    let skipped: Vec<&str> =
        all.iter().filter(|e| e.verdict == EndpointVerdict::Skipped).map(|e| e.name.as_str()).collect();
    let is_known = |kind: &Kind| !(kind.optional && skipped.contains(&kind.name.as_str()));
    let kinds: Vec<Kind> = plan.mix.kinds.iter().filter(|kind| is_known(kind)).cloned().collect();
    if kinds.iter().all(|kind| kind.weight == 0) {
        return Err(TrialError::NoApi { url: plan.target.url, missing: skipped.join(", ") });
    }
    Ok(Plan { mix: Mix { kinds }.into(), ..plan })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Outcome, Sample, Tally};
    use crate::plan::{After, Leave, Overrides, resolve};

    fn plan(profile: &str) -> Plan {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        resolve(profile, &Overrides::default(), &mut nothing).expect("built in").plan
    }

    fn sample(end: Nanos) -> Sample {
        Sample { outcome: Outcome::Success, status: 200, end, first_byte: Some(end), ..Sample::begun(0, Nanos::ZERO) }
    }

    /// Judges an endpoint whose one request ended like this.
    fn judged(optional: bool, outcome: Outcome, status: u16, check: Option<&'static str>) -> Endpoint {
        let kind = Kind { optional, ..plan("smoke").endpoints.remove(0) };
        let mut tally = Tally::new(1);
        let ended = Nanos::from_millis(12);
        tally.record(&Sample { outcome, status, check_failed: check, ..sample(ended) });
        judge(&kind, &Summary::new(&tally, std::slice::from_ref(&kind.name), Nanos::from_secs(1)))
    }

    #[test]
    fn only_what_is_optional_may_be_missing() {
        let failed = Outcome::Failed(Failure::Http4xx);
        for status in MISSING {
            let endpoint = judged(true, failed, status, None);
            assert_eq!((endpoint.verdict, endpoint.status), (EndpointVerdict::Skipped, Some(status)));
            let endpoint = judged(false, failed, status, None);
            assert_eq!(endpoint.verdict, EndpointVerdict::Failed);
            assert_eq!(endpoint.reason, Some(format!("http_4xx (status {status})")));
        }
        for status in [400, 401, 410, 422] {
            assert_eq!(judged(true, failed, status, None).verdict, EndpointVerdict::Failed, "{status}");
        }
    }

    #[test]
    fn a_websocket_that_is_forbidden_is_not_there() {
        let failed = Outcome::Failed(Failure::Http4xx);
        assert_eq!(judged(true, failed, 403, None).verdict, EndpointVerdict::Failed);
        let kind = Kind { optional: true, websocket: true, ..plan("smoke").endpoints.remove(0) };
        assert!(is_missing(&kind, 403) && is_missing(&kind, 404) && !is_missing(&kind, 401));
    }

    #[test]
    fn a_failure_repeats_what_the_server_said() {
        let kind = plan("smoke").endpoints.remove(0);
        let mut tally = Tally::new(1);
        let ended = Nanos::from_millis(12);
        tally.record(&Sample { outcome: Outcome::Failed(Failure::Http4xx), status: 400, ..sample(ended) });
        tally.example(Failure::Http4xx, ended, "HTTP 400: model \"x\" is not there".to_owned());
        let endpoint = judge(&kind, &Summary::new(&tally, std::slice::from_ref(&kind.name), Nanos::from_secs(1)));
        assert_eq!(endpoint.reason.as_deref(), Some("http_4xx (status 400): HTTP 400: model \"x\" is not there"));
    }

    #[test]
    fn a_failure_says_why() {
        let reason = |outcome, status, check| judged(true, outcome, status, check).reason.expect("a reason");
        assert_eq!(reason(Outcome::Failed(Failure::ConnectRefused), 0, None), "connect_refused");
        assert_eq!(reason(Outcome::Failed(Failure::Check), 200, Some("has usage")), "check: has usage (status 200)");
        assert_eq!(reason(Outcome::Interrupted, 0, None), "cut off before its response was complete");
        let ok = judged(false, Outcome::Success, 200, None);
        assert_eq!((ok.verdict, ok.reason, ok.duration_ms), (EndpointVerdict::Ok, None, Some(12.0)));
    }

    #[test]
    fn what_was_skipped_is_left_out_and_nothing_left_is_an_error() {
        let plan = plan("all-apis");
        let mut all: Vec<_> =
            plan.endpoints.iter().map(|kind| endpoint(kind, EndpointVerdict::Skipped, None)).collect();
        all[0].verdict = EndpointVerdict::Failed;
        let some = without_skipped(plan.clone(), &all).expect("one is left");
        let names: Vec<_> = some.mix.kinds.iter().map(|kind| kind.name.as_str()).collect();
        assert_eq!(names, ["stream-openai-chat"], "what failed is there, and is loaded");
        all[0].verdict = EndpointVerdict::Skipped;
        let error = without_skipped(plan, &all).expect_err("nothing is left").to_string();
        assert!(error.contains("plain-anthropic-messages"), "{error}");
    }

    #[test]
    fn an_endpoint_is_asked_as_a_whole_whatever_the_load_is_like() {
        let mut plan = plan("smoke").shard(1, 2);
        let leaves =
            BehaviorMix { cancel: Some(Leave { after: After::Tokens(3), share: 1.0 }), ..BehaviorMix::default() };
        plan.endpoints[0].behaviors = leaves;
        let once = once(&plan, &plan.endpoints[0]);
        assert_eq!((once.shard, once.peak_users()), (Shard::WHOLE, 1));
        assert_eq!(once.mix.kinds[0].behaviors, BehaviorMix::default(), "nobody leaves before the answer is whole");
    }
}
