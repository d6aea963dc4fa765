//! The server under test: found or started, watched during the test, asked for its counts, and left
//! as it was.

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

/// Longest wait for one response before and after the test.
const PROBE_TIMEOUT: Nanos = Nanos::from_secs(5);
/// The same after a signal.
const LAST_TIMEOUT: Nanos = Nanos::from_secs(1);
/// One in this many cores is for the client when it starts the server: a simulator needs several
/// times the CPU.
const CLIENT_SHARE: usize = 4;
/// Two cores for each side. With fewer, pinned workers get in the way of a server that was not
/// started here but runs on the same machine (vLLM on two cores: 60 to 92 requests with pinning, 78
/// to 105 without).
const CORES_TO_PIN: usize = 4;
/// Name of the hint that says why the server's metrics cannot be read.
const NO_NUMBERS: &str = "server_metrics";

/// The server under test.
#[derive(Debug)]
pub(super) struct ServerUnderTest {
    /// `None` if the server was running before.
    server: Option<Server>,
    /// True if it responds to `GET /health` as llmsim does, so it may have statistics.
    is_llmsim: bool,
    /// True if it says that it is llmsim, which accepts every request as it is sent.
    pub(super) knows_its_terms: bool,
    /// True if it runs on this machine and may use the workers' cores.
    pub(super) shares_cores: bool,
    /// Cores for the workers.
    pub(super) client_cores: Vec<usize>,
    /// Cores for the server. Empty means all.
    server_cores: Vec<usize>,
    stats_before: Option<Value>,
    /// Kernel counters before the test.
    counted_before: Counted,
    /// The server process and this process, watched during the test.
    process: Option<ProcessWatch>,
    own: Option<ProcessWatch>,
    /// Its own metrics, read during the test.
    scraping: Option<Scraping>,
    /// The round trips to it, watched during the test.
    way: Option<RoundTripWatch>,
    /// The process that is watched as the server if none was started here.
    pid: Option<u32>,
    /// The latency that a server started here is configured to have.
    latency: Option<Latency>,
    /// Duration of its first request, which is not measured, in ms.
    cold_start_ms: Option<f64>,
    /// Hints about the server from before the test.
    pub(super) hints: Vec<Hint>,
}

/// Facts about the server once it was left.
#[derive(Debug)]
pub(crate) struct ServerRecord {
    pub(super) identity: Option<Identity>,
    pub(super) server_cores: Vec<usize>,
    /// True if it ran on this machine and may have used the workers' cores.
    pub(super) shares_cores: bool,
    pub(super) stats_before: Option<Value>,
    pub(super) stats_after: Option<Value>,
    /// Growth of the kernel counters during the test.
    pub(super) counted: Counted,
    /// CPU and memory use of the server process.
    pub(super) used: Option<Used>,
    /// CPU and memory use of this process.
    pub(super) own_use: Option<Used>,
    /// The latency that it is configured to have.
    pub(super) latency: Option<Latency>,
    /// Duration of its first request, which is not measured, in ms.
    pub(super) cold_start_ms: Option<f64>,
    /// Hints about the server from before the test.
    pub(super) hints: Vec<Hint>,
    /// Set if it ended by itself. Measurements after that are worthless.
    pub(super) died: Option<Exit>,
}

impl ServerUnderTest {
    /// Uses the server that responds, or starts one. The target of the returned plan has the
    /// server's real address.
    pub(super) fn find_or_start(
        plan: Plan,
        say: &mut dyn FnMut(&str),
        stop: &Stop,
    ) -> Result<(Plan, Self), TrialError> {
        let found = find(&plan, stop)?;
        if let (Some(_), Some(_)) = (&found, &plan.server) {
            say(&format!("testing the server that already runs at {}; no other server is started", plan.target.url));
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

    /// Returns a server of which nothing is known, because a signal came before it was found.
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

    /// Asks the server for its numbers, once for each load: counts from before the load do not
    /// belong to it. This may take a while, so it comes before the shards agree on their start.
    pub(super) fn ask_for_numbers(&mut self, plan: &Plan, stop: &Stop) {
        let mut problems = Vec::new();
        self.scraping = Scraping::begin(plan, stop, &mut |problem| problems.push(problem));
        let hint = |text| Hint { name: NO_NUMBERS.to_owned(), text };
        self.hints.extend(problems.into_iter().map(hint));
        self.stats_before = self.stats(plan, stop);
    }

    /// Returns why the server's metrics could not be read, if the user asked for them.
    pub(super) fn no_numbers(&self) -> Option<&str> {
        self.hints.iter().find(|hint| hint.name == NO_NUMBERS).map(|hint| hint.text.as_str())
    }

    /// Begins to watch the round trips of the plan's connections.
    pub(super) fn watch_the_way(&mut self, plan: &Plan) {
        self.way = round_trips::begin(plan);
    }

    /// Begins the load: resource use until now is not part of it. This sends no requests and does
    /// not wait.
    pub(super) fn begin(&mut self) {
        self.process = self.watched_pid().and_then(ProcessWatch::begin);
        self.own = ProcessWatch::begin(std::process::id());
        self.counted_before = host::counted();
    }

    /// Adds to a second the resource use of the server and of this process.
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

    /// Returns which server responds, for results so far.
    pub(super) fn target(&self, found: Option<&FoundServer>) -> TargetServer {
        let is_llmsim = self.server.is_some() || self.stats_before.is_some();
        let known = target_server(self.server.as_ref().map(Server::identity), is_llmsim, found, None);
        TargetServer { cold_start_ms: self.cold_start_ms, ..known }
    }

    /// Returns the cores that were given to a server started here.
    pub(super) fn cores(&self) -> &[usize] {
        &self.server_cores
    }

    /// Ends the load: hands over the scraping, whose last reading is still to come.
    pub(super) fn end_scraping(&mut self) -> Option<Scraping> {
        self.scraping.take()
    }

    /// Ends the load: hands over the watch on its round trips.
    pub(super) fn end_watching_the_way(&mut self) -> Option<RoundTripWatch> {
        self.way.take()
    }

    /// Returns the server process: the one started here, or the one named by the user.
    fn watched_pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid).or(self.pid)
    }

    /// Returns true if a server that was started here has ended by itself.
    pub(super) fn is_dead(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.has_exited().is_some())
    }

    /// Returns an error if a server that was started here has ended by itself.
    pub(super) fn died(&self) -> Option<TrialError> {
        let Exit { status, last_lines } = self.server.as_ref()?.has_exited()?;
        Some(TrialError::Died { status, last_lines })
    }

    /// Asks the server for its last numbers, and stops it if it was started here.
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

    /// Returns the server's statistics. After a signal, the wait is short.
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
    /// Returns which server responded, for the results.
    pub(crate) fn target(&self, found: Option<&FoundServer>) -> TargetServer {
        let is_llmsim = self.identity.is_some() || self.stats_before.is_some();
        let known = target_server(self.identity.as_ref(), is_llmsim, found, self.died.as_ref());
        TargetServer { cold_start_ms: self.cold_start_ms, ..known }
    }

    /// Returns how much one of the server's counts grew during the test.
    pub(super) fn counted_by_server(&self, name: &str) -> Option<u64> {
        let count = |stats: &Option<Value>| stats.as_ref()?.get(name)?.as_u64();
        count(&self.stats_after)?.checked_sub(count(&self.stats_before)?)
    }
}

/// Describes the server. Only a server that was started here has an identity.
fn target_server(
    identity: Option<&Identity>,
    is_llmsim: bool,
    found: Option<&FoundServer>,
    died: Option<&Exit>,
) -> TargetServer {
    let found = found.filter(|_| !is_llmsim);
    TargetServer {
        started: identity.is_some(),
        // Many servers report that they are healthy. Only llmsim has these statistics.
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

/// A server that was already running.
#[derive(Debug, Default)]
struct Found {
    /// True if it responds as llmsim does. Other servers do, too.
    is_llmsim: bool,
    /// True if it says that it is llmsim.
    says_llmsim: bool,
    hints: Vec<Hint>,
}

/// Finds a server that is already running. `None` if one has to be started.
///
/// A server that was requested in particular (a binary, a checkout, a configuration) is always
/// started: otherwise the results of another server, which happens to be running, would be taken
/// for its own. The same goes for a server that may listen on any port: the user has not asked for
/// a server that happens to use the default port.
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
    // The statistics of several servers cannot be compared with the client's counts.
    found.is_llmsim &= plan.access.more_targets.is_empty();
    Ok(Some(found))
}

/// Judges a target by its response to `GET /health`. All that counts is that something responds and
/// speaks HTTP: a user who names a target wants its other paths tested. `None` if nothing responds
/// and a server may be started.
fn of_answer(
    target: &Target,
    may_start: bool,
    answer: Result<Result<Reply, ProbeError>, ProbeError>,
) -> Result<Option<Found>, TrialError> {
    let url = || target.url.clone();
    let hint = |text: String| Found { hints: vec![Hint { name: "health".to_owned(), text }], ..Found::default() };
    let says_llmsim = matches!(&answer, Ok(Ok(reply)) if reply.says_llmsim());
    let health = match answer {
        // Something else may use this port. Starting the server will report that the port is taken.
        Err(_) | Ok(Err(_)) if may_start => return Ok(None),
        Err(error @ (ProbeError::Refused | ProbeError::Timeout(_) | ProbeError::NoAddress)) => {
            return Err(TrialError::Unreachable { url: url(), reason: error.to_string() });
        }
        Err(error) | Ok(Err(error @ (ProbeError::SpeaksTls | ProbeError::NotHttp))) => {
            return Err(TrialError::Unusable { url: url(), reason: error.to_string() });
        }
        // TLS 1.3 rejects our certificate only after the handshake.
        Ok(Err(ProbeError::Io(error))) if tls_failure(&error).is_some() => {
            return Err(TrialError::Unusable { url: url(), reason: error.to_string() });
        }
        Ok(answer) => Health::of(answer),
    };
    Ok(Some(match health {
        Health::Healthy => Found { is_llmsim: true, says_llmsim, hints: Vec::new() },
        // Most servers lack that path, or return something else there.
        Health::Silent => Found::default(),
        Health::Unwell(status) if status < 500 => Found::default(),
        Health::Timeout => hint(format!("{}: no response to GET /health within {PROBE_TIMEOUT}", target.url)),
        health => hint(format!("{}: GET /health: {health}", target.url)),
    }))
}

/// Returns a path below the target's, as it stands in the request line.
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

/// Returns the plan with the started server as its target.
fn at(plan: Plan, server: &Server) -> Plan {
    let target = Target { addrs: vec![server.addr()], port: server.port(), url: server.url(), ..plan.target };
    Plan { target, ..plan }
}

/// Returns the plan without pinned workers if the machine has too few cores. Otherwise a server
/// that is not kept off the workers' cores would have too few of its own.
fn unpinned(mut plan: Plan, cores: usize) -> Plan {
    plan.tuning.pin &= cores >= CORES_TO_PIN;
    plan
}

/// Divides the cores into those for the workers and those for the server, which gets all that
/// remain. With a single core, or without pinning, both use all cores.
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
