//! The document's section about the plan: the resolved profile without secrets, and its hash.
//!
//! Keys and nesting are those of a profile's file. Lengths of time are in ms, as everywhere in the
//! document.

use crate::plan::{
    After, Arrivals, BehaviorMix, Bell, Conversation, Kind, Leave, Plan, Prompt, PromptSource, RowSource, Shape,
    Source, Spec, Tokens,
};
use crate::redact::HIDDEN;
use crate::threshold::Rule;
use crate::units::{Nanos, rounded};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Keys that do not change the work for a server: names, the place where it runs, and the split
/// into shards.
const NOT_HASHED: [&str; 14] = [
    "api_key",
    "basic_auth",
    "description",
    "hash",
    "http_proxy",
    "name",
    "of",
    "pin",
    "server",
    "share",
    "source_ip",
    "start_at",
    "unix_socket",
    "workers",
];

/// Returns the section, including its hash.
pub(crate) fn section(plan: &Plan) -> Map<String, Value> {
    let mut section = shape(&plan.shape);
    let rest = json!({
        "name": plan.name,
        "description": plan.description,
        "think_time": { "min": ms(plan.think_time.min), "max": ms(plan.think_time.max) },
        "warmup": ms(plan.warmup),
        "cooldown": ms(plan.cooldown),
        "graceful_stop": ms(plan.graceful_stop),
        "requests": plan.mix.kinds.iter().map(kind).collect::<Vec<_>>(),
        "thresholds": rules(&plan.thresholds),
        "slo": rules(&plan.slo),
        "headers": hidden_values(&plan.headers),
        "api_key": plan.credentials.has_key().then_some(HIDDEN),
        "seed": plan.seed,
        "server": plan.server.as_ref().map(server),
        "workers": plan.tuning.workers,
        "pin": plan.tuning.pin,
        "share": plan.shard.index,
        "of": plan.shard.count,
        "start_at": plan.start_at.map(|at| at.to_string()),
    });
    if let Value::Object(rest) = rest {
        section.extend(rest);
    }
    section.extend(access(plan));
    if !plan.sources.is_empty() {
        section.insert("datasets".to_owned(), plan.sources.iter().map(source).collect());
    }
    let hash = hash(&section);
    section.insert("hash".to_owned(), Value::String(hash));
    section
}

/// Returns the section's hash, which identifies the test.
pub(crate) fn hash_of(plan: &Plan) -> String {
    section(plan).get("hash").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Returns the settings of the path to the targets that differ from the defaults. Addresses are not
/// part of the work for a server. The number of connections that are opened, and their cost, is.
fn access(plan: &Plan) -> Map<String, Value> {
    let access = &plan.access;
    let mut section = Map::new();
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            section.insert(key.to_owned(), value);
        }
    };
    add("connect_rate", access.connect_rate.map(Value::from));
    add("max_requests_per_connection", access.max_requests.map(Value::from));
    add("tls_resume", (!access.tls.resume).then_some(Value::Bool(false)));
    add("basic_auth", plan.credentials.basic_auth.as_ref().map(|_| Value::from(HIDDEN)));
    let sources: Vec<String> = access.sources.iter().map(ToString::to_string).collect();
    add("source_ip", (!sources.is_empty()).then(|| Value::from(sources)));
    add("http_proxy", access.proxy.as_ref().map(|proxy| Value::from(format!("{}:{}", proxy.host, proxy.port))));
    add("unix_socket", access.unix_socket.as_ref().map(|path| Value::from(path.display().to_string())));
    section
}

/// Returns the SHA-256, in hex, of the section's compact JSON with sorted keys, without
/// [`NOT_HASHED`]. The same test against two servers, or as shards on two machines, has the same
/// hash. A hash that is already in the section is not hashed.
pub(crate) fn hash(section: &Map<String, Value>) -> String {
    let hashed = section.iter().filter(|(key, _)| !NOT_HASHED.contains(&key.as_str()));
    let mut canonical = Value::Object(hashed.map(|(key, value)| (key.clone(), value.clone())).collect());
    canonical.sort_all_objects();
    let digest = Sha256::digest(canonical.to_string().as_bytes());
    hex(&digest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |hex, byte| hex + &format!("{byte:02x}"))
}

fn ms(time: Nanos) -> f64 {
    rounded(time.as_millis_f64())
}

fn shape(shape: &Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::ConstantVus { vus, duration } => {
            json!({ "executor": "constant-vus", "vus": vus, "duration": ms(*duration) })
        }
        Shape::RampingVus { start_vus, stages, graceful_ramp_down } => {
            json!({
                "executor": "ramping-vus",
                "start_vus": start_vus,
                "stages": self::stages(stages),
                "graceful_ramp_down": ms(*graceful_ramp_down),
            })
        }
        Shape::PerVuIterations { vus, iterations, max_duration } => json!({
            "executor": "per-vu-iterations", "vus": vus, "iterations": iterations, "max_duration": ms(*max_duration),
        }),
        Shape::SharedIterations { vus, iterations, max_duration } => json!({
            "executor": "shared-iterations", "vus": vus, "iterations": iterations, "max_duration": ms(*max_duration),
        }),
        Shape::ConstantArrivalRate(open) => json!({
            "executor": "constant-arrival-rate", "rate": open.start_rate, "duration": ms(open.end()),
        }),
        Shape::RampingArrivalRate(open) => json!({
            "executor": "ramping-arrival-rate", "start_rate": open.start_rate, "stages": stages(&open.stages),
        }),
        Shape::Trace(trace) => json!({
            "executor": "trace",
            "rows": trace.instants.len(),
            "loop": trace.passes,
            "duration": ms(trace.end()),
            "pre_allocated_vus": trace.pre_allocated_vus,
            "max_vus": trace.max_vus,
            "on_full": trace.on_full.name(),
        }),
    };
    let mut section = match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    if let Some(open) = shape.arrivals() {
        section.extend(arrivals(open));
    }
    section
}

fn stages(stages: &[crate::plan::Stage]) -> Vec<Value> {
    stages.iter().map(|s| json!({ "duration": ms(s.duration), "target": s.target })).collect()
}

/// Returns the settings that both arrival-rate executors share.
fn arrivals(open: &Arrivals) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("time_unit".to_owned(), json!(ms(open.time_unit)));
    map.insert("pre_allocated_vus".to_owned(), json!(open.pre_allocated_vus));
    map.insert("max_vus".to_owned(), json!(open.max_vus));
    map.insert("arrival".to_owned(), json!(open.spacing.name()));
    map.insert("burstiness".to_owned(), json!(open.spacing.burstiness()));
    map.insert("on_full".to_owned(), json!(open.on_full.name()));
    map
}

fn kind(kind: &Kind) -> Value {
    let timeouts = &kind.timeouts;
    let mut value = json!({
        "name": kind.name,
        "weight": kind.weight,
        "api": kind.api.name(),
        "stream": kind.stream,
        "websocket": kind.websocket,
        "path": kind.path,
        "model": kind.models,
        "prompt": prompt(&kind.prompt),
        "max_tokens": kind.max_tokens.map(tokens),
        "body": kind.body,
        "headers": hidden_values(&kind.headers),
        "timeout": {
            "connect": ms(timeouts.connect),
            "first_byte": ms(timeouts.first_byte),
            "stall": ms(timeouts.stall),
            "total": ms(timeouts.total),
        },
    });
    if let Some(name) = kind.limit_name {
        value["token_limit_field"] = json!(name.name());
    }
    if !kind.check_usage {
        value["check_usage"] = json!(false);
    }
    // Only settings that are used are written, so that older tests without them keep their hash.
    if let Some(prefix) = kind.prompt.prefix {
        value["prefix"] = json!({ "tokens": prefix.tokens, "groups": prefix.groups, "zipf": prefix.zipf });
    }
    if kind.prompt.distinct {
        value["prompt_cache"] = json!("miss");
    }
    if let Some(picture) = &kind.picture {
        let sha256 = hex(&Sha256::digest(picture.file()));
        value["image"] = json!({ "media_type": picture.media_type, "bytes": picture.bytes, "sha256": sha256 });
    }
    if kind.exact {
        value["exact"] = json!(true);
    }
    if !kind.model_weights.is_empty() {
        value["model_weights"] = json!(kind.model_weights);
    }
    if let Some(scenario) = &kind.scenario {
        value["scenario"] = json!({ "name": scenario.name, "speed": scenario.speed });
    }
    if let Some(retries) = kind.retries {
        value["retries"] = json!({ "policy": retries.policy.name(), "max": retries.max });
    }
    for (name, behavior) in behavior(&kind.behaviors) {
        value[name] = behavior;
    }
    for (name, described) in kind.custom.iter().flat_map(|custom| custom.described()) {
        value[name] = described.into();
    }
    if let Some(how) = &kind.conversation {
        value["conversation"] = conversation(how);
    }
    value
}

fn prompt(prompt: &Prompt) -> Value {
    match &prompt.source {
        PromptSource::Texts(texts) => json!(texts),
        PromptSource::Rows(rows) => json!({ "rows": rows.len() }),
        PromptSource::Words(count) => json!({ "tokens": tokens(*count) }),
        PromptSource::Pairs(pairs) => json!({ "pairs": pairs.len(), "sha256": pairs_hash(pairs) }),
        PromptSource::Prose(count) => json!({ "text": tokens(*count) }),
    }
}

/// Hashes the pairs. A million pairs are not written to the document, and the hash tells whether
/// they are the same.
fn pairs_hash(pairs: &[(u32, u32)]) -> String {
    let mut hash = Sha256::new();
    for (input, output) in pairs {
        hash.update(input.to_le_bytes());
        hash.update(output.to_le_bytes());
    }
    hex(&hash.finalize())
}

fn tokens(tokens: Tokens) -> Value {
    let bell = |bell: Bell| json!({ "mean": bell.mean, "stddev": bell.stddev });
    match tokens {
        Tokens::Uniform { min, max } => json!({ "min": min, "max": max }),
        Tokens::Normal(b) => json!({ "normal": bell(b), "min": b.min, "max": b.max }),
        Tokens::Lognormal(b) => json!({ "lognormal": bell(b), "min": b.min, "max": b.max }),
    }
}

/// Describes how users converse, with the keys of a profile's file.
fn conversation(how: &Conversation) -> Value {
    json!({
        "turns": { "min": how.turns.0, "max": how.turns.1 },
        "think_time": { "min": ms(how.think_time.0), "max": ms(how.think_time.1) },
        "history": how.history_name(),
        "affinity_header": how.affinity_header,
        "tool_result": how.tool_result,
        "max_tool_rounds": how.max_tool_rounds,
    })
}

/// Describes a file of rows by its contents. Its location does not change the work.
fn source(source: &RowSource) -> Value {
    json!({
        "request": source.kind,
        "sha256": source.sha256,
        "format": source.facts.format.name(),
        "order": source.order.name(),
        "patch": source.patch,
        "trace": source.is_trace,
    })
}

/// Describes what users do besides waiting, with the keys of a profile's file.
fn behavior(behavior: &BehaviorMix) -> impl Iterator<Item = (&'static str, Value)> {
    let leave = |name, leave: Option<Leave>| {
        leave.map(|leave| {
            let mut value = json!({ "share": leave.share });
            match leave.after {
                After::Tokens(n) => value["after_tokens"] = json!(n),
                After::Time(time) => value["after"] = json!(ms(time)),
            }
            (name, value)
        })
    };
    let slow = behavior
        .slow_reader
        .map(|slow| ("slow_reader", json!({ "bytes_per_second": slow.bytes_per_second, "share": slow.share })));
    [leave("cancel", behavior.cancel), leave("drop", behavior.drop), slow].into_iter().flatten()
}

/// Returns rules by metric, as in a profile's long form.
fn rules(rules: &[Rule]) -> Map<String, Value> {
    let mut by_metric = Map::new();
    for rule in rules {
        let value = json!({
            "threshold": rule.expression,
            "abort_on_fail": rule.abort_on_fail,
            "delay_abort_eval": ms(rule.delay_abort_eval),
        });
        if let Value::Array(list) = by_metric.entry(rule.key()).or_insert_with(|| json!([])) {
            list.push(value);
        }
    }
    by_metric
}

/// Returns the rules of a section as [`rules`] wrote them: the metric, and the rule's text if there
/// is one.
pub(crate) fn written_rules(section: &Map<String, Value>) -> impl Iterator<Item = (&str, Option<&str>)> {
    let by_metric = section.get("thresholds").and_then(Value::as_object).into_iter().flatten();
    by_metric.flat_map(|(metric, list)| {
        let rules = list.as_array().into_iter().flatten();
        rules.map(move |rule| (metric.as_str(), rule.get("threshold").and_then(Value::as_str)))
    })
}

/// Returns headers by name. Their values may be keys, so they are never shown.
fn hidden_values(headers: &[(String, String)]) -> Map<String, Value> {
    headers.iter().map(|(name, _)| (name.clone(), json!(HIDDEN))).collect()
}

fn server(spec: &Spec) -> Value {
    let (source, path) = match &spec.source {
        Source::Embedded => ("embedded", None),
        Source::Binary(path) => ("binary", Some(path)),
        Source::Checkout(path) => ("checkout", Some(path)),
        Source::Origin => ("origin", None),
    };
    json!({
        "source": source,
        "path": path.map(|p| p.display().to_string()),
        "config": spec.config.as_ref().map(|p| p.display().to_string()),
        "chaos": spec.chaos,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::plan;
    use std::sync::Arc;

    fn hash_of(change: impl Fn(&mut Plan)) -> Value {
        let mut plan = plan();
        change(&mut plan);
        section(&plan)["hash"].clone()
    }

    #[test]
    fn the_same_test_against_another_server_has_the_same_hash() {
        let base = hash_of(|_| ());
        let text = base.as_str().expect("text");
        assert!(text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
        assert_eq!(hash_of(|p| p.target.url = "http://other:1".to_owned()), base);
        assert_eq!(hash_of(|p| p.credentials.api_key = None), base);
        assert_eq!(hash_of(|p| p.server = None), base);
        assert_eq!(hash_of(|p| p.description = "better words".to_owned()), base);
        assert_eq!(
            hash_of(
                |p| (p.shard, p.tuning.workers, p.tuning.pin) = (crate::plan::Shard::of_process(1, 3), Some(7), false)
            ),
            base
        );
    }

    #[test]
    fn another_test_has_another_hash() {
        let mut hashes = vec![
            hash_of(|_| ()),
            hash_of(|p| p.seed += 1),
            hash_of(|p| p.shape = Shape::ConstantVus { vus: 3, duration: Nanos::from_secs(1) }),
            hash_of(|p| p.think_time.max = Nanos::from_secs(9)),
            hash_of(|p| p.graceful_stop = Nanos::ZERO),
            hash_of(|p| Arc::make_mut(&mut p.mix).kinds[0].weight += 1),
            hash_of(|p| Arc::make_mut(&mut p.mix).kinds[0].prompt = Prompt::texts(vec!["more".to_owned()])),
            hash_of(|p| Arc::make_mut(&mut p.mix).kinds[0].prompt.source = PromptSource::Words(Tokens::fixed(12))),
            hash_of(|p| Arc::make_mut(&mut p.mix).kinds[0].max_tokens = None),
            hash_of(|p| Arc::make_mut(&mut p.mix).kinds[0].timeouts.total = Nanos::from_secs(1)),
            hash_of(|p| p.headers.push(("x-more".to_owned(), String::new()))),
            hash_of(|p| p.thresholds.clear()),
            hash_of(|p| {
                Arc::make_mut(&mut p.mix).kinds[0].behaviors.cancel =
                    Some(Leave { after: After::Tokens(3), share: 1.0 });
            }),
            hash_of(|p| {
                Arc::make_mut(&mut p.mix).kinds[0].behaviors.drop = Some(Leave { after: After::Tokens(3), share: 1.0 });
            }),
        ];
        let all = hashes.len();
        hashes.sort_by_key(ToString::to_string);
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn secrets_are_not_in_it() {
        let text = Value::Object(section(&plan())).to_string();
        assert!(!text.contains("sesame"), "{text}");
        assert!(text.contains("x-tenant") && text.contains(HIDDEN), "{text}");
    }

    #[test]
    fn every_shape_says_which_executor_it_is() {
        let (max_duration, vus) = (Nanos::from_secs(60), 2);
        for (shape, executor) in [
            (Shape::ConstantVus { vus, duration: max_duration }, "constant-vus"),
            (Shape::PerVuIterations { vus, iterations: 3, max_duration }, "per-vu-iterations"),
            (Shape::SharedIterations { vus, iterations: 3, max_duration }, "shared-iterations"),
        ] {
            let section = section(&Plan { shape, ..plan() });
            assert_eq!((&section["executor"], &section["vus"]), (&json!(executor), &json!(2)));
        }
        let section = section(&plan());
        assert_eq!(section["executor"], "ramping-vus");
        assert_eq!(section["stages"][0], json!({ "duration": 30_000.0, "target": 50 }));
    }

    #[test]
    fn rules_are_grouped_by_metric_and_selector() {
        let thresholds = &section(&plan())["thresholds"];
        assert_eq!(thresholds["http_req_duration"][1]["threshold"], "p(99)<5000");
        assert_eq!(thresholds["ttft{request:chat-stream}"][0]["abort_on_fail"], true);
    }
}
