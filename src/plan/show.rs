//! `--show-config`: every value of a plan with its origin. Plain data, without secrets.

use super::executor::Executor;
use super::output::Output;
use super::presentation::Presentation;
use super::profile::ProfileFile;
use super::source::{Changed, Origin};
use super::{KeySource, Plan, is_secret, rules};
use crate::api::{Api, LimitName};
use crate::load::{Arrivals, Shape, ThinkTime};
use crate::mix::{After, BehaviorMix, Bell, Conversation, KeyAs, Kind, PromptSource, Tokens};
use crate::redact::HIDDEN;
use crate::server::Source;
use crate::threshold::Rule;
use crate::units::{Nanos, plural};

/// The most characters of a value that are shown: prompts are long.
const SHOWN: usize = 100;

/// One value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key. It is that of the profile, if a profile can have it.
    pub key: String,
    /// Its value, for people.
    pub value: String,
    /// Its origin.
    pub origin: Origin,
}

/// Returns key, value and origin of every value of the plan, in the order of a profile.
pub fn lines(settings: &[Setting]) -> Vec<(String, String, String)> {
    settings.iter().map(|setting| (setting.key.clone(), setting.value.clone(), setting.origin.described())).collect()
}

/// Collects the values of a plan.
struct Listing<'a> {
    written: &'a ProfileFile,
    changed: &'a Changed,
    settings: Vec<Setting>,
}

impl Listing<'_> {
    /// Adds a value. Its origin is the change, or else the profile that has its key, or else the
    /// default.
    fn add(&mut self, key: &str, value: impl Into<String>) {
        let origin = self.changed.get(key).cloned().unwrap_or_else(|| self.written.origin(key));
        self.add_from(key, value, origin);
    }

    /// Adds a value with this origin.
    fn add_from(&mut self, key: &str, value: impl Into<String>, origin: Origin) {
        let value = value.into();
        let value = match value.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}…", &value[..at]),
            None => value,
        };
        let value = value.replace(char::is_control, " ");
        self.settings.push(Setting { key: key.to_owned(), value, origin });
    }
}

/// Returns every value of the plan with its origin.
///
/// `rows` are the indices of the requests, as written, that the kinds of the mix were made from.
pub(super) fn settings(
    plan: &Plan,
    presentation: &Presentation,
    written: &ProfileFile,
    rows: &[usize],
    changed: &Changed,
) -> Vec<Setting> {
    let mut list = Listing { written, changed, settings: Vec::new() };
    list.add_from("profile", &plan.name, Origin::Profile(written.file.clone()));
    list.add("description", &plan.description);
    add_shape(&mut list, &plan.shape);
    list.add("graceful_stop", plan.graceful_stop.to_string());
    list.add("warmup", plan.warmup.to_string());
    list.add("cooldown", plan.cooldown.to_string());
    list.add("think_time", think_time(plan.think_time));
    for (row, kind) in rows.iter().zip(&plan.mix.kinds) {
        add_kind(&mut list, &format!("requests[{row}]"), kind);
    }
    let endpoints: Vec<&str> = plan.endpoints.iter().map(|kind| kind.name.as_str()).collect();
    list.add("endpoint_check", plan.endpoint_check.to_string());
    list.add("endpoints", or_none(endpoints.join(", ")));
    add_rules(&mut list, "thresholds", &plan.thresholds);
    add_rules(&mut list, "slo", &plan.slo);
    add_target(&mut list, plan);
    list.add("seed", plan.seed.to_string());
    let auto = || "auto".to_owned();
    list.add(
        "rx_timestamps",
        plan.tuning.rx_timestamps.map_or_else(auto, |on| if on { "on" } else { "off" }.to_owned()),
    );
    list.add("poll_interval", plan.tuning.poll_interval.map_or_else(auto, |pause| pause.to_string()));
    list.add("quickack", plan.tuning.quickack.to_string());
    list.add("body_budget", format!("{}B", plan.tuning.body_budget));
    list.add("workers", plan.tuning.workers.map_or("as many as the cores allow".to_owned(), |n| n.to_string()));
    list.add("pin", plan.tuning.pin.to_string());
    list.add("verify_parse", plan.tuning.verify_parse.to_string());
    outputs(&mut list, plan, presentation);
    list.add(
        "shard",
        presentation.shard.as_ref().map_or("none".to_owned(), |_| format!("{}/{}", plan.shard.index, plan.shard.count)),
    );
    list.add("start_at", plan.start_at.map_or("at once".to_owned(), |at| at.to_string()));
    list.add("rendezvous", or_none(plan.rendezvous.as_ref().map_or_else(String::new, |meeting| meeting.place.clone())));
    list.add("junit", or_none(presentation.junit.as_ref().map_or_else(String::new, |path| path.display().to_string())));
    list.add("web", or_none(presentation.web.as_ref().map_or_else(String::new, |web| web.addr.to_string())));
    let has_token = presentation.web.as_ref().is_some_and(|web| web.token.is_some());
    list.add("web_token", if has_token { HIDDEN } else { "none" }.to_owned());
    let write = presentation.prometheus.as_ref();
    list.add("prometheus_write", or_none(write.map_or_else(String::new, |write| write.target.url.clone())));
    let opened_by = match write.map(crate::plan::PrometheusWrite::secrets) {
        Some((Some(_), _)) => "token [hidden]",
        Some((None, Some(_))) => "user and password [hidden]",
        _ => "none",
    };
    list.add("prometheus_auth", opened_by.to_owned());
    list.add("github", if presentation.github { "auto" } else { "off" }.to_owned());
    list.add("debug_response", presentation.debug_response.to_string());
    list.add("quiet", presentation.quiet.to_string());
    list.add("fail_on_invalid", presentation.fail_on_invalid.to_string());
    list.add("details", presentation.details.to_string());
    list.add("no_color", presentation.no_color.to_string());
    let tags: Vec<_> = presentation.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    list.add("tags", or_none(tags.join(", ")));
    list.settings
}

/// Adds where results are written, and their details.
fn outputs(list: &mut Listing<'_>, plan: &Plan, presentation: &Presentation) {
    list.add("output", or_none(presentation.output.as_ref().map_or_else(String::new, Output::to_string)));
    let requests = presentation.requests.as_ref();
    list.add("requests", or_none(requests.map_or_else(String::new, |file| file.place.to_string())));
    if let Some(records) = plan.tuning.records {
        list.add("requests_sample", format!("1/{}", records.one_in));
        list.add("requests_tokens", records.gaps.to_string());
    }
    list.add(
        "tokenizer",
        or_none(plan.tuning.tokenizer.as_ref().map_or_else(String::new, |one| one.name().to_owned())),
    );
    list.add("html", or_none(presentation.html.as_ref().map_or_else(String::new, |path| path.display().to_string())));
}

fn add_shape(list: &mut Listing<'_>, shape: &Shape) {
    list.add("executor", Executor::of(shape).name());
    match shape {
        Shape::ConstantVus { vus, duration } => {
            list.add("vus", vus.to_string());
            list.add("duration", duration.to_string());
        }
        Shape::RampingVus { start_vus, stages, graceful_ramp_down } => {
            list.add("start_vus", start_vus.to_string());
            add_stages(list, stages);
            list.add("graceful_ramp_down", graceful_ramp_down.to_string());
        }
        Shape::ConstantArrivalRate(arrivals) => {
            list.add("rate", arrivals.start_rate.to_string());
            list.add("duration", shape.end().to_string());
            add_arrivals(list, arrivals);
        }
        Shape::RampingArrivalRate(arrivals) => {
            list.add("start_rate", arrivals.start_rate.to_string());
            add_stages(list, &arrivals.stages);
            add_arrivals(list, arrivals);
        }
        Shape::Trace(trace) => {
            let (rows, passes) = (plural(trace.instants.len(), "row"), plural(trace.passes, "time"));
            list.add("trace", format!("{rows}, sent {passes}, {} each", trace.period));
            list.add("pre_allocated_vus", trace.pre_allocated_vus.to_string());
            list.add("max_vus", trace.max_vus.to_string());
            list.add("on_full", trace.on_full.name());
        }
        Shape::PerVuIterations { vus, iterations, max_duration }
        | Shape::SharedIterations { vus, iterations, max_duration } => {
            list.add("vus", vus.to_string());
            list.add("iterations", iterations.to_string());
            list.add("max_duration", max_duration.to_string());
        }
    }
}

/// Formats a number of tokens with its unit.
fn many(count: Tokens) -> String {
    count.as_fixed().map_or_else(|| tokens(count) + " tokens", |n| plural(n, "token"))
}

fn tokens(tokens: Tokens) -> String {
    match tokens {
        Tokens::Uniform { min, max } if min == max => min.to_string(),
        Tokens::Uniform { min, max } => format!("{min}..{max}"),
        Tokens::Normal(bell) => self::bell("normal", bell),
        Tokens::Lognormal(bell) => self::bell("lognormal", bell),
    }
}

fn bell(name: &str, bell: Bell) -> String {
    format!("{name}, mean {}, stddev {}, {}..{}", bell.mean, bell.stddev, bell.min, bell.max)
}

fn add_stages(list: &mut Listing<'_>, stages: &[crate::load::Stage]) {
    // Every stage has the source of the whole list: a profile or flag replaces all of them.
    let origin = list.changed.get("stages").cloned().unwrap_or_else(|| list.written.origin("stages"));
    for (index, stage) in stages.iter().enumerate() {
        let value = format!("{} → {}", stage.duration, stage.target);
        list.add_from(&format!("stages[{index}]"), value, origin.clone());
    }
}

fn add_arrivals(list: &mut Listing<'_>, arrivals: &Arrivals) {
    list.add("time_unit", arrivals.time_unit.to_string());
    list.add("pre_allocated_vus", arrivals.pre_allocated_vus.to_string());
    list.add("max_vus", arrivals.max_vus.to_string());
    list.add("arrival", arrivals.spacing.name());
    if let Some(burstiness) = arrivals.spacing.burstiness() {
        list.add("burstiness", burstiness.to_string());
    }
    list.add("on_full", arrivals.on_full.name());
}

fn add_prompt(list: &mut Listing<'_>, key: &str, kind: &Kind) {
    let at = |name: &str| format!("{key}.{name}");
    match &kind.prompt.source {
        PromptSource::Texts(texts) => match texts.as_slice() {
            [] => {}
            [only] => list.add(&at("prompt"), only),
            texts => list.add(&at("prompt"), plural(texts.len(), "prompt")),
        },
        PromptSource::Rows(rows) => {
            let key = if list.written.profile.trace.is_some() { "trace".to_owned() } else { at("dataset") };
            let origin = list.changed.get(&at("dataset")).cloned().unwrap_or_else(|| list.written.origin(&key));
            list.add_from(&at("dataset"), plural(rows.len(), "row"), origin);
        }
        PromptSource::Words(count) => list.add(&at("prompt"), many(*count)),
        PromptSource::Pairs(pairs) => list.add(&at("prompt"), format!("tokens of {}", plural(pairs.len(), "pair"))),
        PromptSource::Prose(count) => list.add(&at("prompt"), format!("prose, about {}", many(*count))),
    }
    if let Some(prefix) = kind.prompt.prefix {
        let value =
            format!("{}, {}, zipf {}", plural(prefix.tokens, "token"), plural(prefix.groups, "group"), prefix.zipf);
        list.add(&at("prefix"), value);
    }
    if let Some(picture) = &kind.picture {
        list.add(&at("image"), format!("{}, {}", picture.media_type, plural(picture.bytes, "byte")));
    }
    if kind.api.takes_prompt() {
        list.add(&at("prompt_cache"), if kind.prompt.distinct { "miss" } else { "as the prompts are" });
    }
}

fn add_kind(list: &mut Listing<'_>, key: &str, kind: &Kind) {
    let at = |name: &str| format!("{key}.{name}");
    list.add(&at("name"), &kind.name);
    list.add(&at("weight"), kind.weight.to_string());
    list.add(&at("api"), format!("{}{}", kind.api.name(), if kind.optional { ", if the server has it" } else { "" }));
    list.add(&at("path"), &kind.path);
    if kind.api.streams() {
        list.add(&at("stream"), kind.stream.to_string());
        list.add(&at("websocket"), kind.websocket.to_string());
    }
    if !kind.models.is_empty() {
        let alike = if kind.model_weights.is_empty() { "" } else { ", by weight" };
        list.add(&at("model"), format!("{}{alike}", kind.models.join(", ")));
    }
    add_prompt(list, key, kind);
    if let Some(limit) = kind.max_tokens {
        let written = list.written.origin(&at("output"));
        let key = if written == Origin::Default { "max_tokens" } else { "output" };
        list.add(&at(key), format!("{}{}", tokens(limit), if kind.exact { ", exactly" } else { "" }));
        if kind.api == Api::OpenaiChat {
            list.add(&at("token_limit_field"), kind.limit_name.map_or("auto", LimitName::name));
        }
    }
    for (name, value) in kind.custom.iter().flat_map(|custom| custom.described()) {
        list.add(&at(name), value);
    }
    if kind.api.takes_flags() {
        list.add(&at("check_usage"), kind.check_usage.to_string());
    }
    if !kind.body.is_empty() {
        // Names only: a field may hold anything, a user's key included.
        list.add(&at("body"), kind.body.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    if !kind.headers.is_empty() {
        list.add(&at("headers"), headers(&kind.headers));
    }
    add_behaviors(list, key, &kind.behaviors);
    if let Some(how) = &kind.conversation {
        add_conversation(list, &at("conversation"), how);
    }
    add_retries(list, key, kind);
    let timeouts = kind.timeouts;
    for (name, time) in [
        ("connect", timeouts.connect),
        ("first_byte", timeouts.first_byte),
        ("stall", timeouts.stall),
        ("total", timeouts.total),
    ] {
        let origin = timeout_origin(list, key, name);
        list.add_from(&at(&format!("timeout.{name}")), time.to_string(), origin);
    }
}

/// Adds its retries, and the scenario that a simulator plays.
fn add_retries(list: &mut Listing<'_>, key: &str, kind: &Kind) {
    let at = |name: &str| format!("{key}.{name}");
    if let Some(scenario) = &kind.scenario {
        list.add(&at("scenario"), format!("{}, speed {}", scenario.name, scenario.speed));
    }
    if let Some(retries) = kind.retries {
        let own = list.changed.contains_key(&at("retries")) || list.written.origin(&at("retries")) != Origin::Default;
        let key = if own { at("retries") } else { "retries".to_owned() };
        let origin = list.changed.get(&key).cloned().unwrap_or_else(|| list.written.origin(&key));
        list.add_from(&at("retries"), format!("{} at most, as {}", retries.max, retries.policy.name()), origin);
    }
}

fn add_conversation(list: &mut Listing<'_>, key: &str, how: &Conversation) {
    let at = |name: &str| format!("{key}.{name}");
    list.add(&at("turns"), format!("{} to {}", how.turns.0, how.turns.1));
    list.add(&at("think_time"), format!("{} to {}", how.think_time.0, how.think_time.1));
    list.add(&at("history"), how.history_name().to_owned());
    if let Some(name) = &how.affinity_header {
        list.add(&at("affinity_header"), name.clone());
    }
    list.add(&at("max_tool_rounds"), how.max_tool_rounds.to_string());
}

/// Adds the behavior of its users. Users who just wait are not listed.
fn add_behaviors(list: &mut Listing<'_>, key: &str, behavior: &BehaviorMix) {
    for (name, leave) in [("cancel", behavior.cancel), ("drop", behavior.drop)] {
        if let Some(leave) = leave {
            let after = match leave.after {
                After::Tokens(n) => format!("after {}", plural(n, "token")),
                After::Time(time) => format!("after {time}"),
            };
            list.add(&format!("{key}.{name}"), format!("{after}, share {}", leave.share));
        }
    }
    if let Some(slow) = behavior.slow_reader {
        let value = format!("{} per second, share {}", plural(slow.bytes_per_second, "byte"), slow.share);
        list.add(&format!("{key}.slow_reader"), value);
    }
}

/// Returns the origin of a timeout: a flag, or else the request, or else the top of the profile. A
/// bare duration is the total.
fn timeout_origin(list: &Listing<'_>, request: &str, name: &str) -> Origin {
    if let Some(origin) = list.changed.get(&format!("timeout.{name}")) {
        return origin.clone();
    }
    for place in [format!("{request}.timeout"), "timeout".to_owned()] {
        let exact = list.written.origin(&format!("{place}.{name}"));
        if exact != Origin::Default {
            return exact;
        }
        let has_names = ["connect", "first_byte", "stall", "total"]
            .iter()
            .any(|name| list.written.origin(&format!("{place}.{name}")) != Origin::Default);
        let bare = list.written.origin(&place);
        if name == "total" && !has_names && bare != Origin::Default {
            return bare;
        }
    }
    Origin::Default
}

fn add_rules(list: &mut Listing<'_>, table: &str, all: &[Rule]) {
    for rule in all {
        let value = match (rule.abort_on_fail, rule.delay_abort_eval) {
            (false, _) => rule.expression.clone(),
            (true, Nanos::ZERO) => format!("{}, aborts the run", rule.expression),
            (true, delay) => format!("{}, aborts the run after {delay}", rule.expression),
        };
        let typed = list.changed.get(&rules::key_of(table, rule)).cloned();
        let origin = typed.unwrap_or_else(|| Origin::Profile(list.written.file.clone()));
        list.add_from(&format!("{table}.{}", rule.key()), value, origin);
    }
}

fn add_target(list: &mut Listing<'_>, plan: &Plan) {
    list.add("target", &plan.target.url);
    match &plan.server {
        None => list.add("server", "none is started"),
        Some(spec) => {
            let source = match &spec.source {
                Source::Embedded => "embedded".to_owned(),
                Source::Binary(path) => format!("binary {}", path.display()),
                Source::Checkout(path) => format!("checkout {}", path.display()),
                Source::Origin => "origin".to_owned(),
            };
            list.add("server.source", source);
            let port = if spec.any_port { " or any free port" } else { "" };
            let origin = list.changed.get("target").cloned().unwrap_or(Origin::Default);
            list.add_from("server.listen", format!("{}:{}{port}", spec.host, spec.port), origin);
            let config =
                spec.config.as_ref().map_or("benchmark settings".to_owned(), |path| path.display().to_string());
            list.add("server.config", if spec.chaos { "error injection".to_owned() } else { config });
            list.add("server.chaos", spec.chaos.to_string());
            list.add("server.ready_within", spec.ready_within.to_string());
        }
    }
    for (key, value) in super::access::settings(&plan.access) {
        list.add(key, value);
    }
    list.add("server_metrics", plan.server_metrics.source.told());
    list.add("server_metric", or_none(plan.server_metrics.names.join(", ")));
    list.add("server_pid", plan.server_pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string()));
    list.add("api_key", if plan.credentials.has_key() { HIDDEN } else { "none" });
    let (command, refresh) = match &plan.credentials.source {
        Some(KeySource::Command { refresh, .. }) => (HIDDEN, refresh.as_ref()),
        Some(KeySource::File { .. }) | None => ("none", None),
    };
    list.add("api_key_command", command);
    list.add("api_key_refresh", or_none(refresh.map_or_else(String::new, Nanos::to_string)));
    let auth = match &plan.credentials.key_as {
        KeyAs::OfApi => "as the API expects it".to_owned(),
        KeyAs::Bearer => "bearer".to_owned(),
        KeyAs::Basic => "basic".to_owned(),
        KeyAs::Header(name) => format!("header:{name}"),
        KeyAs::Query(name) => format!("query:{name}"),
        KeyAs::SigV4 { service, region } => format!("sigv4:{service}:{region}"),
    };
    list.add("auth", auth);
    list.add("basic_auth", if plan.credentials.basic_auth.is_some() { HIDDEN } else { "none" });
    list.add("headers", or_none(headers(&plan.headers)));
}

fn headers(headers: &[(String, String)]) -> String {
    let shown = |(name, value): &(String, String)| format!("{name}: {}", if is_secret(name) { HIDDEN } else { value });
    headers.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn think_time(pause: ThinkTime) -> String {
    match pause {
        ThinkTime { max: Nanos::ZERO, .. } => "none".to_owned(),
        ThinkTime { min, max } if min == max => min.to_string(),
        ThinkTime { min, max } => format!("{min}..{max}"),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
