//! The server under test: found or started, watched while the test runs, asked what it has counted,
//! left as it was.

use super::cold_start;
use super::error::TrialError;
use super::reach::Targets;
use super::round_trips;
use super::server_metrics::Scraping;
use super::signals::Stop;
use crate::document::TargetServer;
use crate::host::{self, Counted};
use crate::metrics::Second;
use crate::metrics::hints::Hint;
use crate::net::tls::tls_failure;
use crate::plan::{FoundServer, Plan, Target};
use crate::server::latency::Latency;
use crate::server::{Exit, Identity, Server, Source, Spec};
use crate::units::{Nanos, rounded};
use crate::watch::probe::{self, Health, ProbeError, Reply};
use crate::watch::round_trips::RoundTripWatch;
use crate::watch::{ProcessWatch, Used};
use serde_json::Value;

/// Longest wait for one answer before and after the test.
const PROBE_TIMEOUT: Nanos = Nanos::from_secs(5);
/// The same once a signal has come.
const LAST_TIMEOUT: Nanos = Nanos::from_secs(1);
/// Of the cores, one in so many is the client's when the server runs on the same machine: a
/// simulator needs several times the CPU.
const CLIENT_SHARE: usize = 4;
/// Two cores for each side. With fewer, pinned workers and a server of its own on one machine get in
/// each other's way (vLLM on two cores: 60 to 92 requests with pinning, 78 to 105 without).
const CORES_TO_PIN: usize = 4;
/// The hint that says why the server's numbers cannot be read.
const NO_NUMBERS: &str = "server_metrics";

/// The server under test.
#[derive(Debug)]
pub(super) struct ServerUnderTest {
    /// None when it was there before us.
    server: Option<Server>,
    /// It answers `GET /health` as llmsim does, and so may have statistics.
    is_llmsim: bool,
    /// It says that it is llmsim, which takes every request as we send it.
    pub(super) knows_its_terms: bool,
    /// It runs on this machine, and may use the workers' cores.
    pub(super) shares_cores: bool,
    /// Cores for the workers.
    pub(super) client_cores: Vec<usize>,
    /// Cores for the server; empty means all.
    server_cores: Vec<usize>,
    stats_before: Option<Value>,
    /// What the kernel had counted before the test.
    counted_before: Counted,
    /// Its process, and ours, while the test runs.
    process: Option<ProcessWatch>,
    own: Option<ProcessWatch>,
    /// Its own numbers, as they are read while the test runs.
    scraping: Option<Scraping>,
    /// The way to it, as it is looked at.
    way: Option<RoundTripWatch>,
    /// The process that is watched as the server, when none was started.
    pid: Option<u32>,
    /// What a server that was started is configured to take.
    latency: Option<Latency>,
    /// How long its first request took, which is not measured, in ms.
    cold_start_ms: Option<f64>,
    /// What was odd about it before the test.
    pub(super) hints: Vec<Hint>,
}

/// What is known of it once it was left.
#[derive(Debug)]
pub(crate) struct ServerRecord {
    pub(super) identity: Option<Identity>,
    pub(super) server_cores: Vec<usize>,
    /// It ran on this machine, and may have used the workers' cores.
    pub(super) shares_cores: bool,
    pub(super) stats_before: Option<Value>,
    pub(super) stats_after: Option<Value>,
    /// What the kernel has counted during the test.
    pub(super) counted: Counted,
    /// What its process has used.
    pub(super) used: Option<Used>,
    /// The same of our own process.
    pub(super) own_use: Option<Used>,
    /// What it is configured to take.
    pub(super) latency: Option<Latency>,
    /// How long its first request took, which is not measured, in ms.
    pub(super) cold_start_ms: Option<f64>,
    /// What was odd about it before the test.
    pub(super) hints: Vec<Hint>,
    /// It ended by itself: nothing that was measured after that is worth anything.
    pub(super) died: Option<Exit>,
}

impl ServerUnderTest {
    /// Uses the server that answers, or starts one. The target of the plan that comes back says
    /// where it really is.
    pub(super) fn find_or_start(
        plan: Plan,
        say: &mut dyn FnMut(&str),
        stop: &Stop,
    ) -> Result<(Plan, Self), TrialError> {
        let found = find(&plan, stop)?;
        if let (Some(_), Some(_)) = (&found, &plan.server) {
            say(&format!("testing the server that already answers at {}, so none is started", plan.target.url));
        }
        let (starts, found) = (found.is_none(), found.unwrap_or_default());
        for hint in &found.hints {
            say(&format!("warning: {}", hint.text));
        }
        let is_llmsim = starts || found.is_llmsim;
        let knows_its_terms = starts || found.says_llmsim;
        let shares_cores = !starts && plan.target.is_this_machine();
        let plan = if shares_cores { unpinned(plan, host::cores().len()) } else { plan };
        let (client_cores, server_cores) = divide(&host::cores(), &plan, starts);
        let server = match &plan.server {
            Some(spec) if starts => Some(start(spec, &server_cores, say, stop)?),
            _ => None,
        };
        let pid = plan.server_pid;
        if let Some(pid) = pid.filter(|pid| server.is_none() && host::sample_pid(*pid).is_none()) {
            return Err(TrialError::NoProcess { pid });
        }
        let latency = server.as_ref().and(plan.server.as_ref()).and_then(Spec::latency);
        let plan = match &server {
            Some(server) => at(plan, server),
            None => plan,
        };
        let unknown = Self::unknown(&plan);
        let hints = found.hints;
        let known = Self {
            server,
            is_llmsim,
            knows_its_terms,
            shares_cores,
            client_cores,
            server_cores,
            pid,
            latency,
            hints,
            ..unknown
        };
        Ok((plan, known))
    }

    /// A server of which nothing is known: a signal came before it was found.
    pub(super) fn unknown(plan: &Plan) -> Self {
        Self {
            server: None,
            is_llmsim: false,
            knows_its_terms: false,
            shares_cores: false,
            client_cores: host::cores(),
            server_cores: Vec::new(),
            stats_before: None,
            counted_before: Counted::default(),
            process: None,
            own: None,
            scraping: None,
            way: None,
            pid: plan.server_pid,
            latency: None,
            cold_start_ms: None,
            hints: Vec::new(),
        }
    }

    /// Sends the first request to a server that was started here. It is not measured.
    pub(super) fn warm(&mut self, plan: &Plan, stop: &Stop, say: &mut dyn FnMut(&str)) -> Result<(), TrialError> {
        if self.server.is_some() && plan.may_probe {
            say("sending the new server a first request, which is not measured (--no-probe turns this off)");
            self.cold_start_ms = cold_start::first_request(plan, &self.client_cores, stop)?;
        }
        Ok(())
    }

    /// Asks the server for its numbers, once more for each load: what it has counted until now is none
    /// of that load. This may take its time, and comes before all shards agree on their start.
    pub(super) fn ask_for_numbers(&mut self, plan: &Plan, stop: &Stop) {
        let mut problems = Vec::new();
        self.scraping = Scraping::begin(plan, stop, &mut |problem| problems.push(problem));
        let hint = |text| Hint { name: NO_NUMBERS.to_owned(), text };
        self.hints.extend(problems.into_iter().map(hint));
        self.stats_before = self.stats(plan, stop);
    }

    /// Why the server could not be asked for its numbers, where the user has said that it has some.
    pub(super) fn no_numbers(&self) -> Option<&str> {
        self.hints.iter().find(|hint| hint.name == NO_NUMBERS).map(|hint| hint.text.as_str())
    }

    /// Begins to look at the round trips of the plan's connections.
    pub(super) fn watch_the_way(&mut self, plan: &Plan) {
        self.way = round_trips::begin(plan);
    }

    /// The load begins: what was used until now is none of it. Nobody is asked, and nothing waits.
    pub(super) fn begin(&mut self) {
        self.process = self.watched_pid().and_then(ProcessWatch::begin);
        self.own = ProcessWatch::begin(std::process::id());
        self.counted_before = host::counted();
    }

    /// Adds to a second what the server has used in it, and we.
    pub(super) fn watch(&mut self, elapsed: Nanos, second: &mut Second) {
        if let Some(scraping) = &self.scraping {
            scraping.tick(elapsed);
        }
        if let Some(way) = &self.way {
            way.tick(elapsed);
        }
        if let Some(own) = self.own.as_mut().and_then(|own| own.look(elapsed)) {
            second.client_rss_bytes = Some(own.rss_bytes);
        }
        if let Some(server) = self.process.as_mut().and_then(|process| process.look(elapsed)) {
            second.server_cpu = server.cpu.map(rounded).or(second.server_cpu);
            second.server_rss_bytes = Some(server.rss_bytes);
        }
    }

    /// Which server answers, for results so far.
    pub(super) fn target(&self, found: Option<&FoundServer>) -> TargetServer {
        let is_llmsim = self.server.is_some() || self.stats_before.is_some();
        let known = target_server(self.server.as_ref().map(Server::identity), is_llmsim, found, None);
        TargetServer { cold_start_ms: self.cold_start_ms, ..known }
    }

    /// Cores that a server started here was given.
    pub(super) fn cores(&self) -> &[usize] {
        &self.server_cores
    }

    /// The load is over: its own numbers are read for the last time.
    pub(super) fn end_scraping(&mut self) -> Option<Scraping> {
        self.scraping.take()
    }

    /// The load is over, and with it the looks at its connections.
    pub(super) fn end_watching_the_way(&mut self) -> Option<RoundTripWatch> {
        self.way.take()
    }

    /// The process that is the server's: the one we started, or the one we were told of.
    fn watched_pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid).or(self.pid)
    }

    /// Whether a server that we started has ended by itself.
    pub(super) fn is_dead(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.has_exited().is_some())
    }

    /// Why a server that we started is not there any more, if it is not.
    pub(super) fn died(&self) -> Option<TrialError> {
        let Exit { status, last_lines } = self.server.as_ref()?.has_exited()?;
        Some(TrialError::Died { status, last_lines })
    }

    /// Asks for the last numbers, and stops the server if we started it.
    pub(super) fn leave(mut self, plan: &Plan, stop: &Stop) -> ServerRecord {
        let counted = host::counted().since(self.counted_before);
        let died = self.server.as_ref().and_then(Server::has_exited);
        let used = self.process.take().map(ProcessWatch::end);
        let stats_after = if died.is_some() { None } else { self.stats(plan, stop) };
        let identity = self.server.as_ref().map(|server| server.identity().clone());
        if let Some(server) = &mut self.server {
            server.stop();
        }
        ServerRecord {
            latency: self.latency,
            own_use: self.own.map(ProcessWatch::end),
            identity,
            server_cores: self.server_cores,
            shares_cores: self.shares_cores,
            stats_before: self.stats_before,
            stats_after,
            counted,
            used,
            cold_start_ms: self.cold_start_ms,
            hints: self.hints,
            died,
        }
    }

    /// What the server has counted. After a signal nobody waits long for it.
    fn stats(&self, plan: &Plan, stop: &Stop) -> Option<Value> {
        if !self.is_llmsim {
            return None;
        }
        let (targets, host) = (Targets::of(plan), plan.target.authority());
        let path = question(plan, &plan.target, "/llmsim/stats");
        let ask = move |timeout| probe::stats_at(&targets.dialer(1).ok()?.endpoint(0), &host, &path, timeout);
        if stop.is_signalled() { ask(LAST_TIMEOUT) } else { stop.wait_for(move || ask(PROBE_TIMEOUT)).ok()? }
    }
}

impl ServerRecord {
    /// Which server answered, for the results.
    pub(crate) fn target(&self, found: Option<&FoundServer>) -> TargetServer {
        let is_llmsim = self.identity.is_some() || self.stats_before.is_some();
        let known = target_server(self.identity.as_ref(), is_llmsim, found, self.died.as_ref());
        TargetServer { cold_start_ms: self.cold_start_ms, ..known }
    }

    /// How much a count of the server's own grew while it was tested.
    pub(super) fn counted_by_server(&self, name: &str) -> Option<u64> {
        let count = |stats: &Option<Value>| stats.as_ref()?.get(name)?.as_u64();
        count(&self.stats_after)?.checked_sub(count(&self.stats_before)?)
    }
}

/// Which server it is: one that was started has an identity.
fn target_server(
    identity: Option<&Identity>,
    is_llmsim: bool,
    found: Option<&FoundServer>,
    died: Option<&Exit>,
) -> TargetServer {
    let found = found.filter(|_| !is_llmsim);
    TargetServer {
        started: identity.is_some(),
        // Many servers say that they are well; only llmsim has its statistics.
        kind: is_llmsim.then(|| "llmsim".to_owned()).or(found.map(|found| found.kind.name.to_owned())),
        version: match found {
            Some(found) => found.version.clone(),
            None => identity.and_then(|identity| identity.version.clone()),
        },
        git_commit: identity.and_then(|identity| identity.git_commit.clone()),
        git_dirty: identity.and_then(|identity| identity.git_dirty),
        died: died.map(|exit| exit.status.clone()),
        last_lines: died.map(|exit| exit.last_lines.clone()).unwrap_or_default(),
        cold_start_ms: None,
    }
}

/// A server that is there already.
#[derive(Debug, Default)]
struct Found {
    /// It answers as llmsim does, and other servers do, too.
    is_llmsim: bool,
    /// It says that it is llmsim.
    says_llmsim: bool,
    hints: Vec<Hint>,
}

/// The server that is there already. None: one has to be started.
///
/// A server that was asked for in particular (a binary, a checkout, a configuration) is always
/// started: results of another one, which happened to be there, would be taken for its own. The
/// same goes for one that may listen anywhere: whatever listens on our usual port, nobody has asked
/// for it.
fn find(plan: &Plan, stop: &Stop) -> Result<Option<Found>, TrialError> {
    if plan.server.as_ref().is_some_and(|spec| is_particular(spec) || spec.any_port) {
        return Ok(None);
    }
    let targets = Targets::of(plan);
    let questions: Vec<(String, String)> =
        plan.targets().map(|target| (target.authority(), question(plan, target, "/health"))).collect();
    let answers = stop.wait_for(move || {
        let dialer = targets.dialer(1)?;
        let ask = |(number, (host, path)): (usize, &(String, String))| {
            probe::look_at(&dialer.endpoint(number), host, path, PROBE_TIMEOUT)
        };
        Ok::<_, TrialError>(questions.iter().enumerate().map(ask).collect::<Vec<_>>())
    })??;
    let mut found = Found { says_llmsim: true, ..Found::default() };
    for (target, answer) in plan.targets().zip(answers) {
        match of_answer(target, plan.server.is_some(), answer)? {
            None => return Ok(None),
            Some(seen) => {
                found.is_llmsim = seen.is_llmsim;
                found.says_llmsim &= seen.says_llmsim;
                found.hints.extend(seen.hints);
            }
        }
    }
    // Statistics of several servers are nothing that our own could be set beside.
    found.is_llmsim &= plan.access.more_targets.is_empty();
    Ok(Some(found))
}

/// What an answer to `GET /health` says of a target. Only whether something is there, and speaks
/// HTTP, decides anything: whoever names a target wants its other paths tested. None when nothing
/// is there, and one may be started.
fn of_answer(
    target: &Target,
    may_start: bool,
    answer: Result<Result<Reply, ProbeError>, ProbeError>,
) -> Result<Option<Found>, TrialError> {
    let url = || target.url.clone();
    let hint = |text: String| Found { hints: vec![Hint { name: "health".to_owned(), text }], ..Found::default() };
    let says_llmsim = matches!(&answer, Ok(Ok(reply)) if reply.says_llmsim());
    let health = match answer {
        // What does not answer there is not the server asked for; starting one says that its port
        // is taken.
        Err(_) | Ok(Err(_)) if may_start => return Ok(None),
        Err(error @ (ProbeError::Refused | ProbeError::Timeout(_) | ProbeError::NoAddress)) => {
            return Err(TrialError::Unreachable { url: url(), reason: error.to_string() });
        }
        Err(error) | Ok(Err(error @ (ProbeError::SpeaksTls | ProbeError::NotHttp))) => {
            return Err(TrialError::Unusable { url: url(), reason: error.to_string() });
        }
        // TLS 1.3 refuses our certificate only after the handshake.
        Ok(Err(ProbeError::Io(error))) if tls_failure(&error).is_some() => {
            return Err(TrialError::Unusable { url: url(), reason: error.to_string() });
        }
        Ok(answer) => Health::of(answer),
    };
    Ok(Some(match health {
        Health::Healthy => Found { is_llmsim: true, says_llmsim, hints: Vec::new() },
        // Most servers do not have that path, or say something else there.
        Health::Silent => Found::default(),
        Health::Unwell(status) if status < 500 => Found::default(),
        Health::Timeout => hint(format!("{}: no answer to GET /health within {PROBE_TIMEOUT}", target.url)),
        health => hint(format!("{}: GET /health: {health}", target.url)),
    }))
}

/// A path below the target's, as the request line has it.
fn question(plan: &Plan, target: &Target, path: &str) -> String {
    let origin = if plan.access.proxy.is_some() && !target.tls { target.origin() } else { String::new() };
    format!("{origin}{}{path}", target.path_prefix)
}

fn is_particular(spec: &Spec) -> bool {
    spec.source != Source::Embedded || spec.config.is_some() || spec.chaos || spec.throughput.is_some()
}

fn start(spec: &Spec, cores: &[usize], say: &mut dyn FnMut(&str), stop: &Stop) -> Result<Server, TrialError> {
    let cores = (!cores.is_empty()).then_some(cores);
    Ok(Server::start(spec, cores, say, stop.flag())?)
}

/// The plan whose target is the server that was started.
fn at(plan: Plan, server: &Server) -> Plan {
    let target = Target { addrs: vec![server.addr()], port: server.port(), url: server.url(), ..plan.target };
    Plan { target, ..plan }
}

/// A plan whose workers leave it to the kernel where they run, if a server that nobody has kept off
/// their cores would be left with too few of its own.
fn unpinned(mut plan: Plan, cores: usize) -> Plan {
    plan.tuning.pin &= cores >= CORES_TO_PIN;
    plan
}

/// Cores for the workers and cores for the server, which is given all but the workers'. With a
/// single core, or without pinning, both use what there is.
fn divide(cores: &[usize], plan: &Plan, starts_server: bool) -> (Vec<usize>, Vec<usize>) {
    if !starts_server || !plan.tuning.pin || cores.len() < 2 {
        return (cores.to_vec(), Vec::new());
    }
    let usual = (cores.len() / CLIENT_SHARE).max(1);
    let clients = plan.tuning.workers.map_or(usual, |n| n as usize).min(cores.len() - 1);
    let (server, client) = cores.split_at(cores.len() - clients);
    (client.to_vec(), server.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_not_pinned_beside_a_server_that_has_too_few_cores() {
        let pins = |pin, cores| {
            let mut plan = Plan::example();
            plan.tuning.pin = pin;
            unpinned(plan, cores).tuning.pin
        };
        assert_eq!([1, 2, 3, 4, 64].map(|cores| pins(true, cores)), [false, false, false, true, true]);
        assert!(!pins(false, 64), "nobody asked for it");
    }

    #[test]
    fn a_server_of_ours_gets_all_cores_but_the_workers() {
        let of = |cores: usize, workers, pin, starts| {
            let mut plan = Plan::example();
            (plan.tuning.workers, plan.tuning.pin) = (workers, pin);
            let (client, server) = divide(&(0..cores).collect::<Vec<_>>(), &plan, starts);
            (client.len(), server.len())
        };
        assert_eq!(
            [of(8, None, true, true), of(2, None, true, true), of(1, None, true, true)],
            [(2, 6), (1, 1), (1, 0)]
        );
        assert_eq!(
            [of(4, Some(9), true, true), of(4, None, false, true), of(4, None, true, false)],
            [(3, 1), (4, 0), (4, 0)]
        );
    }
}
