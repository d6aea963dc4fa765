//! The shard of a test that this process runs.
//!
//! Every shard is cut from the same plan by striding, and users keep their numbers. So all shards
//! together send what one process would have sent. They only divide the work.

use super::source::Changed;
use super::{Given, Overrides, PlanError, Shard, limits};
use crate::load::Shape;
use crate::threshold::Rule;
use crate::units::plural;
use jiff::Timestamp;

/// Parses index and count. A shard without a user would silently do nothing, so it is refused.
/// `shape` is that of the test; `None` if its load is decided later.
pub(super) fn shard(
    given: Option<&Given>,
    shape: Option<&Shape>,
    changed: &mut Changed,
) -> Result<Option<Shard>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    let most = u64::from(limits::MAX_SHARDS);
    let number = |text: &str| given.part(text, |part| part.whole(&(0..=most))).ok().map(|n| n as u32);
    let numbers = given.value.trim().split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
    let Some((index, count)) = numbers.filter(|(index, count)| index < count) else {
        return Err(given.bad(format!("auto, or I/N with I from 0 to N-1 and N at most {most}, such as 0/4")));
    };
    if let Some(peak) = shape.map(Shape::peak_vus).filter(|peak| count > *peak) {
        let (users, most) = (plural(peak, "user"), plural(peak, "shard"));
        let problem = format!(
            "leaves some of {count} shards without a user, since there are only {users}: expected at most {most}"
        );
        return Err(given.misplaced(problem));
    }
    changed.insert("shard".to_owned(), given.origin.clone());
    Ok(Some(Shard::of_process(index, count)))
}

/// Parses the instant at which all shards begin. A plan does not read a clock, so it cannot tell
/// whether the instant is past.
pub(super) fn start_at(given: Option<&Given>, changed: &mut Changed) -> Result<Option<Timestamp>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    let at = given
        .value
        .trim()
        .parse()
        .map_err(|_| given.bad("an RFC 3339 date and time with an offset, such as 2026-11-24T18:00:00Z"))?;
    changed.insert("start_at".to_owned(), given.origin.clone());
    Ok(Some(at))
}

/// Checks the flags of a shard. Without a rendezvous, a shard cannot end the others: a threshold
/// that may end a run needs `--abort-scope shard`, which ends that shard only. And a shard does not
/// start a server, because each shard would test its own.
fn abort_scope(overrides: &Overrides, rules: &[Rule], changed: &mut Changed) -> Result<(), PlanError> {
    let words = [("run", "run"), ("shard", "shard")];
    let scope = overrides.one("abort_scope").map_or(Ok("run"), |given| given.word(&words))?;
    if let Some(given) = overrides.one("abort_scope") {
        changed.insert("abort_scope".to_owned(), given.origin.clone());
    }
    let Some(shard) = overrides.one("shard") else { return Ok(()) };
    let meeting = overrides.one("rendezvous");
    if let (Some(given), "shard", Some(meeting)) = (overrides.one("abort_scope"), scope, meeting) {
        let problem = format!("cannot be used together with {}: there a threshold ends all shards", meeting.origin);
        return Err(given.misplaced(problem));
    }
    if let (Some(rule), "run", None) = (rules.iter().find(|rule| rule.abort_on_fail), scope, meeting) {
        let problem = format!(
            "cannot stop the other shards, and '{rule}' has abort_on_fail: use --rendezvous, where all shards end \
             together, --abort-scope shard, which stops this shard only, or a profile without abort_on_fail"
        );
        return Err(shard.misplaced(problem));
    }
    if let Some(given) = overrides.one("junit").filter(|given| given.is_flag() && meeting.is_none()) {
        let problem = format!("cannot be used together with {}: `merge` judges the thresholds", shard.origin);
        return Err(given.misplaced(problem));
    }
    no_server(shard, overrides)
}

/// Checks that this may be a shard: of one run with these rules, or of many runs.
pub(super) fn may_be(overrides: &Overrides, rules: Option<&Vec<Rule>>, changed: &mut Changed) -> Result<(), PlanError> {
    rules.map_or_else(|| of_steps(overrides), |rules| abort_scope(overrides, rules, changed))
}

/// Checks a shard of many runs, where shard 0 decides each run.
fn of_steps(overrides: &Overrides) -> Result<(), PlanError> {
    let Some(shard) = overrides.one("shard") else { return Ok(()) };
    if overrides.one("rendezvous").is_none() {
        return Err(shard.misplaced("cannot be used without --rendezvous HOST:PORT, where shard 0 decides each step"));
    }
    no_server(shard, overrides)
}

fn no_server(shard: &Given, overrides: &Overrides) -> Result<(), PlanError> {
    let server = ["server_bin", "server_src", "server_config", "chaos"].map(|id| overrides.one(id));
    if let Some(given) = server.into_iter().flatten().find(|given| given.is_flag()) {
        let problem =
            format!("cannot be used together with {}: every shard would start a server of its own", shard.origin);
        return Err(given.misplaced(problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::overrides::overrides;
    use crate::plan::{Plan, resolve};
    use std::io;
    use std::path::Path;

    fn resolved(profile: &str, overrides: &Overrides) -> Result<Plan, PlanError> {
        let mut nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
        resolve(profile, overrides, &mut nothing).map(|resolved| resolved.plan)
    }

    #[test]
    fn an_instant_has_an_offset() {
        let at = |text: &str| {
            let overrides = overrides! { start_at: Some(Given::flag("start-at", text)) };
            resolved("load", &overrides).map(|plan| plan.start_at.map(|at| at.to_string()))
        };
        for text in ["2026-11-24T18:00:00Z", "2026-11-24T20:00:00+02:00", " 2026-11-24 18:00:00Z "] {
            assert_eq!(at(text).expect(text).as_deref(), Some("2026-11-24T18:00:00Z"));
        }
        for text in ["", "now", "18:00", "2026-11-24T18:00:00", "+60s", "1764007200"] {
            let why = at(text).expect_err(text).to_string();
            assert!(why.contains("--start-at") && why.contains("2026-11-24T18:00:00Z"), "{why}");
        }
    }

    fn with(shard: &str) -> Overrides {
        overrides! { shard: Some(Given::flag("shard", shard)) }
    }

    #[test]
    fn a_shard_is_cut_from_the_plan_and_starts_no_server() {
        let plan = resolved("load", &with("1/3")).unwrap();
        assert_eq!((plan.shard, plan.server.clone()), (Shard::of_process(1, 3), None));
        // 50 users: 0, 3, …, 48 and 1, 4, …, 49 and 2, 5, …, 47.
        let peaks = ["0/3", "1/3", "2/3"].map(|shard| resolved("load", &with(shard)).unwrap().peak_users());
        assert_eq!(peaks, [17, 17, 16]);
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "2/2", "-1/2", "0/0", "0/10001", "a/b", "0/2/3", "1 of 2"] {
            let error = resolved("load", &with(text)).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains("expected auto, or I/N"), "{text}: {error}");
        }
        let error = resolved("quick-smoke", &with("0/2")).unwrap_err();
        assert!(!error.is_usage() && error.to_string().contains("at most 1"), "{error}");
    }

    #[test]
    fn a_shard_may_end_only_itself() {
        let profile = "executor = \"constant-vus\"\nvus = 4\nduration = \"1s\"\n[[requests]]\nname = \"a\"\napi = \"health\"\n\
                       [thresholds]\nhttp_req_failed = [{ threshold = \"rate<0.1\", abort_on_fail = true }]\n";
        let mut read = |_: &Path| Ok(profile.to_owned());
        let error = resolve("a.toml", &with("0/2"), &mut read).unwrap_err();
        assert!(!error.is_usage() && error.to_string().contains("--abort-scope shard"), "{error}");
        let scope = |word: &str| overrides! { abort_scope: Some(Given::flag("abort-scope", word)); ..with("0/2") };
        assert!(resolve("a.toml", &scope("shard"), &mut read).is_ok());
        assert!(resolve("a.toml", &scope("pod"), &mut read).unwrap_err().is_usage());
        assert!(resolve("a.toml", &Overrides::default(), &mut read).is_ok());
    }

    #[test]
    fn a_shard_is_given_no_server_to_start() {
        let overrides = overrides! { server_bin: Some(Given::flag("server-bin", "llmsim")); ..with("0/2") };
        let error = resolved("load", &overrides).unwrap_err();
        assert!(error.to_string().contains("--server-bin") && error.to_string().contains("--shard"), "{error}");
    }
}
