//! Data sets and traces in profiles and flags.

use super::*;
use crate::load::{Schedule, Turn};
use crate::mix::{Request, RequestWriter};
use crate::plan::{Files, Order, RowFile, Shard, Spool};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const TRACE: &str = "executor = \"trace\"\nmax_vus = 50\n";

/// Resolves a text with the files of `tests/samples`, and with others by name.
fn with(text: &str, overrides: &Overrides, files: &[(&str, &str)]) -> Result<Resolved, PlanError> {
    resolve("dir/my.toml", overrides, &mut |path: &Path| {
        let name = path.strip_prefix("dir").unwrap_or(path);
        let known = files.iter().find(|(known, _)| Path::new(known) == name);
        match (path.to_str(), known) {
            (Some("dir/my.toml"), _) => Ok(text.to_owned()),
            (_, Some((_, text))) => Ok((*text).to_owned()),
            _ => std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)),
        }
    })
}

/// Files from a function, with a spool for rows that do not fit into memory.
struct Spooling<F>(F);

impl<F: FnMut(&Path) -> std::io::Result<String>> Files for Spooling<F> {
    fn text(&mut self, path: &Path) -> std::io::Result<String> {
        self.0.text(path)
    }

    fn open(&mut self, path: &Path) -> std::io::Result<RowFile> {
        self.0.open(path)
    }

    fn spool(&mut self) -> std::io::Result<Arc<dyn Spool>> {
        Ok(Arc::new(Mutex::new(Vec::new())))
    }
}

fn sampled(text: &str) -> Resolved {
    with(text, &Overrides::default(), &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str, files: &[(&str, &str)]) -> String {
    let error = with(text, &Overrides::default(), files).expect_err(text);
    assert!(!error.is_usage(), "{error}");
    error.to_string()
}

/// Returns the bodies of all requests of a plan, by number of request. Requests take no time.
fn bodies(plan: &Plan, requests: u64) -> BTreeMap<(u32, u64), Vec<u8>> {
    let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed).with_stride(plan.shape.stride());
    let mut schedule = Schedule::new(&plan.load());
    let (mut request, mut held) = (Request::default(), Vec::new());
    let mut bodies = BTreeMap::new();
    let mut now = Nanos::ZERO;
    while let Some(due) = schedule.next_due() {
        // A user's next request comes a moment later, or it would ask for ever at one instant.
        now = due.max(now.saturating_add(Nanos(1)));
        while let Some(turn) = schedule.due(now) {
            let Turn::Start(start) = turn else { continue };
            writer.fetch(start.draw_vu, start.iteration, &mut held).expect("a spool in memory");
            writer.write(0, start.draw_vu, start.iteration, None, &held, &mut request);
            let end = request.bytes.windows(4).position(|at| at == b"\r\n\r\n").expect("a head") + 4;
            if start.iteration < requests {
                let before = bodies.insert((start.draw_vu, start.iteration), request.bytes[end..].to_vec());
                assert_eq!(before, None, "no request is sent twice");
            }
            schedule.finished(start.slot, now.saturating_add(Nanos(1)), Nanos::ZERO);
            now = now.saturating_add(Nanos(1));
        }
    }
    bodies
}

fn json(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

/// Returns the first requests of user 0.
fn first(plan: &Plan, n: u64) -> Vec<serde_json::Value> {
    let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed);
    let mut request = Request::default();
    let bodies = (0..n).map(|iteration| {
        writer.write(0, 0, iteration, None, &[], &mut request);
        let text = String::from_utf8(request.bytes.clone()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}\n{body}");
        json(body.as_bytes())
    });
    bodies.collect()
}

#[test]
fn a_data_set_takes_the_place_of_the_prompts() {
    let text = format!("{COUNTING}{CHAT}stream = true\ndataset = {{ file = \"chat.jsonl\" }}\n");
    let Resolved { plan, presentation, settings } = sampled(&text);
    let bodies = first(&plan, 20);
    assert_eq!(bodies[0]["messages"][0], serde_json::json!({ "role": "system", "content": "Answer in one sentence." }));
    assert_eq!((&bodies[0]["stream"], &bodies[0]["model"].is_string()), (&true.into(), &true));
    assert_eq!(bodies[19]["messages"], bodies[0]["messages"], "after the last row the first one comes again");
    assert_eq!((plan.sources.len(), plan.sources[0].sha256.len(), plan.requests), (1, 64, None));
    let note =
        "chat: dir/chat.jsonl, chat, 19 of 20 rows can be sent; 1 left out: it has no user message (first on line 20)";
    assert_eq!(presentation.notes, [note]);
    let shown = settings.iter().find(|setting| setting.key == "requests[0].dataset").expect("shown");
    assert_eq!((shown.value.as_str(), shown.origin.to_string()), ("19 rows", "dir/my.toml".to_owned()));
}

#[test]
fn every_api_gets_rows_in_its_own_form() {
    let body = |api: &str, file: &str| {
        let text = format!("{COUNTING}[[requests]]\nname = \"a\"\napi = \"{api}\"\ndataset = {{ {file} }}\n");
        first(&sampled(&text).plan, 1).remove(0)
    };
    let chat = "file = \"chat.jsonl\"";
    let anthropic = body("anthropic-messages", chat);
    assert_eq!(
        (&anthropic["system"], &anthropic["messages"][0]["role"]),
        (&"Answer in one sentence.".into(), &"user".into())
    );
    assert_eq!(body("openai-responses", chat)["input"][1]["content"], "Name three uses of a paper clip.");
    assert_eq!(body("anthropic-count-tokens", chat)["messages"][0]["role"], "user");
    let prompts = "file = \"prompt.jsonl\", column = \"question\"";
    assert_eq!(body("openai-images", prompts)["prompt"], "Name three uses of a paper clip.");
    assert_eq!(body("openai-chat", prompts)["messages"][0]["content"], "Name three uses of a paper clip.");
    let lengths = body("openai-chat", "file = \"prompt.jsonl\", column = \"question\", output_column = \"out_len\"");
    assert_eq!(lengths["max_tokens"], 10);
}

#[test]
fn bodies_are_sent_as_they_are() {
    let text = format!("{COUNTING}{CHAT}stream = true\ndataset = {{ file = \"body.jsonl\", order = \"once\" }}\n");
    let plan = sampled(&text).plan;
    let file =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/body.jsonl")).expect("a sample");
    let all = bodies(&plan, u64::MAX);
    assert_eq!(
        all.values().map(|body| std::str::from_utf8(body).expect("text")).collect::<Vec<_>>(),
        file.lines().take(10).collect::<Vec<_>>()
    );
    assert_eq!(plan.requests, Some(20));
}

#[test]
fn the_flag_comes_first_and_is_for_all_that_generates() {
    let text = format!("{FLAT}{CHAT}prompt = \"mine\"\n[[requests]]\nname = \"h\"\napi = \"health\"\n");
    let flags = overrides! {
        dataset: flag("dataset", "prompts.csv"),
        dataset_column: flag("dataset-column", "question"),
        dataset_order: flag("dataset-order", "shuffled"),
    };
    let Resolved { plan, settings, .. } = with(&text, &flags, &[]).expect("fine");
    assert_eq!(
        (plan.sources.len(), plan.sources[0].order, plan.sources[0].kind.as_str()),
        (1, Order::Shuffled, "chat")
    );
    let shown = settings.iter().find(|setting| setting.key == "requests[0].dataset").expect("shown");
    assert_eq!(shown.origin.to_string(), "--dataset");
    let nothing = overrides! { dataset_order: flag("dataset-order", "once") };
    let error = with(&text, &nothing, &[]).expect_err("alone").to_string();
    assert_eq!(error, "--dataset-order cannot be used without a data set: add --dataset");
    for (id, value, expected) in [
        (
            "dataset_order",
            "random",
            "invalid value 'random' for --dataset_order: expected sequential, shuffled or once",
        ),
        ("dataset_format", "xml", "no format is named 'xml': expected auto or one of sharegpt, chat"),
        ("dataset_patch", "top_p", "cannot set 'top_p': expected model, stream or both"),
        ("dataset_memory", "12", "expected a size from 1MiB to 1024GiB"),
        ("dataset_memory", "-1GiB", "expected a size from 1MiB to 1024GiB"),
    ] {
        let flags = Overrides::default().with("dataset", [Given::flag("dataset", "chat.jsonl")]);
        let error = with(&text, &flags.with(id, [Given::flag(id, value)]), &[]).expect_err(value).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn memory_is_limited_over_all_files() {
    let file = format!("{{\"prompt\":\"{}\"}}\n", "x".repeat(700_000));
    let other = file.replace('x', "y");
    let text = format!(
        "{FLAT}{CHAT}dataset = {{ file = \"a\" }}\n[[requests]]\nname = \"b\"\napi = \"openai-chat\"\ndataset = {{ file = \"b\" }}\n"
    );
    let flags = overrides! { dataset_memory: flag("dataset-memory", "1MiB") };
    let error = with(&text, &flags, &[("a", &file), ("b", &other)]).expect_err("too much").to_string();
    assert!(error.starts_with("dir/b: has rows beyond the 0 MiB of memory for them"), "{error}");
    let twice = text.replace("\"b\" }", "\"a\" }");
    assert!(with(&twice, &flags, &[("a", &file)]).is_ok(), "a file that is named twice is read once");
}

#[test]
fn kinds_share_rows_unless_they_send_other_bytes() {
    let two = |dataset: &str| {
        let kind = |name: &str, stream: bool| {
            format!(
                "[[requests]]\nname = \"{name}\"\napi = \"openai-chat\"\nstream = {stream}\ndataset = {{ {dataset} }}\n"
            )
        };
        let plan = sampled(&format!("{FLAT}{}{}", kind("a", true), kind("b", false))).plan;
        std::sync::Arc::ptr_eq(&plan.sources[0].rows, &plan.sources[1].rows)
    };
    assert!(two("file = \"chat.jsonl\""));
    assert!(two("file = \"sharegpt.json\", order = \"shuffled\""));
    assert!(!two("file = \"body.jsonl\", patch = [\"stream\"]"));
}

#[test]
fn what_cannot_be_is_refused_with_file_and_line() {
    let one = |dataset: &str| format!("{FLAT}{CHAT}{dataset}\n");
    let bad = "{\"prompt\":\"x\"}\n{";
    for (text, file, expected) in [
        (one("dataset = { file = \"f\" }"), bad, "dir/f:2: is not a JSON object"),
        (one("dataset = { file = \"f\" }"), "", "dir/f: is empty: expected at least one row"),
        (one("dataset = { file = \"\" }"), "", "dir/my.toml:7: requests[0].dataset.file: is empty"),
        (one("dataset = { file = \"f\", order = \"x\" }"), bad, "requests[0].dataset.order: invalid value 'x'"),
        (
            one("dataset = { file = \"f\" }\nprompt = \"x\""),
            bad,
            "requests[0].dataset: cannot be used together with `prompt`",
        ),
        (
            one("dataset = { file = \"f\", column = \"q\" }"),
            "{\"a\":1}",
            "dir/f:1: has no column `q`: expected one of its columns: a",
        ),
        (
            one("conversation = { turns = 2 }\ndataset = { file = \"f\" }"),
            "{\"prompt\":\"x\"}",
            "dir/f:1: has the format prompt, whose rows are not conversations: expected sharegpt or chat",
        ),
        (one("dataset = { file = \"none\" }"), "", "dir/my.toml: requests[0].dataset: cannot read dir/none"),
        (one("dataset = { file = \"f\", files = 1 }"), "", "unknown field `files`"),
        (
            format!("{FLAT}[[requests]]\nname = \"h\"\napi = \"health\"\ndataset = {{ file = \"f\" }}"),
            bad,
            "health takes no prompt: expected no data set",
        ),
        (
            format!(
                "{FLAT}{CHAT}dataset = {{ file = \"f\", order = \"once\" }}\n[[requests]]\nname = \"b\"\napi = \"openai-chat\""
            ),
            "{\"prompt\":\"x\"}",
            "requests: are several kinds, and a data set that is sent once is for one",
        ),
        (
            one("dataset = { file = \"f\", patch = [\"model\"] }\nmodel = [\"a\", \"b\"]"),
            "{\"model\":\"m\",\"messages\":[]}",
            "sets the model of whole bodies, and the request has 2 models: expected one",
        ),
    ] {
        let error = refused(&text, &[("f", file)]);
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
    let steps = resolve_for(Purpose::Steps, "dir/my.toml", &Overrides::default(), &mut |path: &Path| {
        Ok(if path.ends_with("my.toml") {
            one("dataset = { file = \"f\", order = \"once\" }")
        } else {
            "{\"prompt\":\"x\"}".to_owned()
        })
    });
    assert!(steps.expect_err("steps").to_string().contains("every step needs all of it"));
}

#[test]
fn a_trace_is_told_and_sent_at_its_own_instants() {
    let text = format!("{TRACE}trace = {{ file = \"mooncake.jsonl\", speed = 2.0 }}\n{CHAT}");
    let Resolved { plan, presentation, .. } = sampled(&text);
    let Shape::Trace(trace) = &plan.shape else { panic!("{:?}", plan.shape) };
    assert_eq!((trace.instants.len(), trace.instants[19], trace.passes), (20, Nanos::from_millis(900), 1));
    assert!(trace.period > Nanos::from_millis(900) && trace.end() == trace.period);
    let told = "trace: 20 requests over 1.80 s, 11.1/s on average, input p50 1491 tokens: mooncake, timestamps taken as milliseconds, sent 2 times as fast";
    assert_eq!(presentation.notes, [told]);
    let all = first(&plan, 20);
    for (row, body) in all.iter().enumerate() {
        let prompt = body["messages"][0]["content"].as_str().expect("text");
        assert_eq!(prompt.split(' ').count(), 300 + (row * 397) % 2600, "row {row}");
        assert_eq!(body["max_tokens"], 5 + row);
        assert!(prompt.split(' ').all(|word| !word.is_empty()));
    }
    let words = |row: usize| all[row]["messages"][0]["content"].as_str().expect("text").split(' ').collect::<Vec<_>>();
    // All rows begin with block 0, and rows 4 and 8 share their second block as well.
    assert_eq!(words(1)[..512], words(2)[..512]);
    assert_ne!(words(1)[512..600], words(2)[512..600]);
    assert_eq!(words(4)[..876], words(8)[..]);
    assert_eq!(words(0)[..], words(1)[..300], "a partial block is the beginning of the whole one");
}

#[test]
fn a_part_of_a_trace_is_sent_and_repeated() {
    let plan = |trace: &str| sampled(&format!("{TRACE}trace = {{ file = \"azure.csv\"{trace} }}\n{CHAT}")).plan;
    let shape = |plan: &Plan| match &plan.shape {
        Shape::Trace(trace) => (trace.instants.len(), trace.arrivals(), trace.passes),
        other => panic!("{other:?}"),
    };
    let whole = plan("");
    assert_eq!(shape(&whole), (20, 20, 1));
    let part = plan(", from = \"1s\", for = \"500ms\", loop = 3");
    // Rows 8 to 12 have the instants 1.000 s, 1.120 s, … 1.480 s.
    assert_eq!(shape(&part), (5, 15, 3));
    assert_eq!(first(&part, 1)[0]["max_tokens"], 36, "the first of them is row 8");
    assert_eq!(part.sources[0].rows.len(), 5);
    for (trace, expected) in [
        (", from = \"1h\"", "dir/my.toml:3: trace.from: leaves 0 of 20 rows, which span 2.36 s: expected at least two"),
        (", for = \"1ms\"", "trace.for: leaves 1 of 20 rows"),
        (", speed = 0.0", "trace.speed: invalid value 0: expected a number from 0.001"),
        (", speed = -1.0", "trace.speed: invalid value -1"),
        (", loop = 0", "trace.loop"),
        (", time_unit = \"h\"", "trace.time_unit: is not a unit"),
        (", format = \"chat\"", "trace.format: chat has no instants"),
        (", format = \"mooncake\"", "tests/samples"),
    ] {
        let error = refused(&format!("{TRACE}trace = {{ file = \"azure.csv\"{trace} }}\n{CHAT}"), &[]);
        assert!(
            error.contains(expected)
                || (expected == "tests/samples" && error.contains("dir/azure.csv:1: is not a JSON object")),
            "{error}"
        );
    }
}

#[test]
fn a_reading_that_cannot_be_right_is_refused() {
    let rows = |step: u64| -> String {
        let row = |i: u64| format!("{{\"timestamp\":{},\"input_length\":9,\"output_length\":1}}", i * step);
        (0..100).map(row).collect::<Vec<_>>().join("\n")
    };
    let text = |more: &str| format!("{TRACE}trace = {{ file = \"f\", format = \"mooncake\"{more} }}\n{CHAT}");
    // These are seconds that are taken as milliseconds: guidellm writes them with the same names.
    let error = refused(&text(""), &[("f", &rows(0))]);
    assert!(
        error.contains("trace: has 100 requests over 0.00 s") && error.contains("which cannot be right: set time_unit"),
        "{error}"
    );
    let error = refused(&text(""), &[("f", &rows(1).replace("99,", "99.5,"))]);
    assert!(error.contains("1005.0/s on average, if its timestamps are milliseconds"), "{error}");
    let slow = refused(&text(", time_unit = \"s\""), &[("f", &rows(100_000))]);
    assert!(slow.contains("trace: takes") && slow.contains("take a part with `from` and `for`"), "{slow}");
    assert!(
        with(&text(", time_unit = \"us\""), &Overrides::default(), &[("f", &rows(1))]).is_ok(),
        "what was told is believed"
    );
    let one = refused(&text(""), &[("f", "{\"timestamp\":1,\"input_length\":9,\"output_length\":1}")]);
    assert!(one.contains("trace: leaves 1 of 1 row, which span 0.00 s: expected at least two"), "{one}");
}

#[test]
fn a_trace_goes_with_nothing_that_says_otherwise() {
    let trace = "trace = { file = \"azure.csv\" }\n";
    for (text, overrides, expected) in [
        (format!("{TRACE}{CHAT}"), Overrides::default(), "trace: is missing: expected one such as"),
        (format!("{FLAT}{trace}{CHAT}"), Overrides::default(), "trace: cannot be used with the executor constant-vus"),
        (
            format!("{TRACE}{trace}{CHAT}dataset = {{ file = \"x\" }}"),
            Overrides::default(),
            "requests[0].dataset: cannot be used with a trace",
        ),
        (
            format!("{TRACE}{trace}{CHAT}"),
            overrides! { dataset: flag("dataset", "x") },
            "--dataset cannot be used with a trace",
        ),
        (format!("{TRACE}{trace}{CHAT}"), overrides! { rate: flag("rate", "5") }, "--rate cannot be used with a trace"),
        (
            format!("{TRACE}{trace}{CHAT}"),
            overrides! { duration: flag("duration", "5s") },
            "--duration cannot be used with a trace",
        ),
        (
            format!("{TRACE}{trace}[[requests]]\nname = \"h\"\napi = \"health\""),
            Overrides::default(),
            "health takes none",
        ),
        (
            format!("{TRACE}trace = {{ file = \"aiperf.jsonl\" }}\n{CHAT}"),
            Overrides::default(),
            "has rows that chat cannot send: its body asks for a stream",
        ),
    ] {
        let error = with(&text, &overrides, &[]).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let vus = with(&format!("{TRACE}{trace}{CHAT}"), &overrides! { vus: flag("vus", "7") }, &[]).expect("fine");
    assert_eq!(vus.plan.shape.peak_vus(), 7);
    let row = |length: &str| format!("{{\"timestamp\":1,\"text_input\":\"x\"{length}}}\n");
    let mixed = [row(",\"output_length\":3"), row("")].concat();
    let text = format!("{TRACE}trace = {{ file = \"f\" }}\n{CHAT}");
    assert!(refused(&text, &[("f", &mixed)]).contains("others, such as row 2, that do not: set max_tokens for those"));
    let limited = with(&format!("{text}max_tokens = 9\n"), &Overrides::default(), &[("f", &mixed)]).expect("fine").plan;
    let limits: Vec<_> = first(&limited, 2).iter().map(|body| body["max_tokens"].clone()).collect();
    assert_eq!(limits, [3, 9]);
    let payloads = format!("{TRACE}trace = {{ file = \"aiperf.jsonl\" }}\n{CHAT}stream = true");
    assert_eq!(first(&sampled(&payloads).plan, 4)[3]["max_tokens"], 9, "a payload is sent as it stands");
}

#[test]
fn rows_are_written_without_allocating() {
    for (dataset, trace) in
        [("dataset = { file = \"chat.jsonl\" }", ""), ("", "trace = { file = \"mooncake.jsonl\" }\n")]
    {
        let head = if trace.is_empty() { COUNTING } else { TRACE };
        let plan = sampled(&format!("{head}{trace}{CHAT}{dataset}\n")).plan;
        let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed);
        let mut request = Request { bytes: Vec::with_capacity(64 << 10), ..Request::default() };
        let (address, capacity) = (request.bytes.as_ptr(), request.bytes.capacity());
        for iteration in 0..100 {
            writer.write(0, 0, iteration, None, &[], &mut request);
            assert!(request.bytes.len() > 100);
            assert_eq!((request.bytes.as_ptr(), request.bytes.capacity()), (address, capacity), "{head}");
        }
    }
}

#[test]
fn sessions_of_a_trace_are_conversations() {
    let row = |at: u32, session: u32, text: &str| {
        format!("{{\"timestamp\":{at},\"session_id\":{session},\"output_length\":{at},\"text_input\":\"{text}\"}}\n")
    };
    let file = [row(2, 1, "a"), row(4, 2, "b"), row(6, 1, "c"), row(8, 3, "d"), row(10, 1, "e")].concat();
    let trace = format!("{TRACE}trace = {{ file = \"f\", speed = 2.0 }}\n{CHAT}stream = true\n");
    let of = |history: &str| {
        let text = format!("{trace}conversation = {{ history = \"{history}\" }}\n");
        with(&text, &Overrides::default(), &[("f", &file)]).expect(history)
    };
    for history in ["live", "recorded"] {
        let Resolved { plan, presentation, .. } = of(history);
        assert!(
            presentation.notes[0].starts_with("trace: 5 requests in 3 conversations over"),
            "{:?}",
            presentation.notes
        );
        let crate::load::Shape::Trace(trace) = &plan.shape else { panic!("a trace") };
        let ms: Vec<u64> = trace.instants.iter().map(|at| at.0 / 1_000_000).collect();
        assert_eq!(ms, [0, 1, 3], "conversations come with their first turns, at twice the speed");
        let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed);
        let (mut talk, mut request) = (crate::mix::Talk::default(), Request::default());
        let mut sent = Vec::new();
        writer.begin_conversation(0, 0, false, &[], &mut talk);
        loop {
            writer.write(0, 0, 0, Some(&talk), &[], &mut request);
            let at = request.bytes.windows(4).position(|at| at == b"\r\n\r\n").expect("a head") + 4;
            let body = json(&request.bytes[at..]);
            sent.push((request.row, body["max_tokens"].clone(), body["messages"].clone()));
            if talk.keeps_reply() {
                talk.reply.say(|out| out.extend_from_slice(b"R"));
            }
            match writer.take_reply(0, 0, &[], &mut talk) {
                crate::mix::Next::Recorded(turn) => assert_eq!(turn.due.map(|due| due.0 % 2_000_000), Some(0)),
                crate::mix::Next::End => break,
                other => panic!("{other:?}"),
            }
        }
        let rows: Vec<_> = sent.iter().map(|(row, limit, _)| (*row, limit.clone())).collect();
        assert_eq!(rows, [(Some(0), 2.into()), (Some(2), 6.into()), (Some(4), 10.into())], "{history}");
        let said = |role: &str, text: &str| serde_json::json!({ "role": role, "content": text });
        let last = match history {
            "recorded" => vec![said("user", "e")],
            _ => vec![
                said("user", "a"),
                said("assistant", "R"),
                said("user", "c"),
                said("assistant", "R"),
                said("user", "e"),
            ],
        };
        assert_eq!(sent[2].2, serde_json::Value::from(last), "{history}");
    }
    let refused_with = |more: &str, expected: &str| {
        let error = refused(&format!("{trace}{more}"), &[("f", &file)]);
        assert!(error.contains(expected), "{error}");
    };
    refused_with("conversation = { think_time = \"1s\" }\n", "a trace has instants of its own: leave it out");
    let other = "[[requests]]\nname = \"b\"\napi = \"openai-chat\"\n";
    refused_with(&format!("conversation = {{}}\n{other}"), "all requests hold conversations, or none does");
}

#[test]
fn shards_send_the_same_bodies_from_a_spool() {
    // 200 rows of 12 kB, or conversations of the same size.
    let row = |row: usize, talk: bool| {
        let text = format!("row {row} {}", "x".repeat(12_000));
        let more = if talk { r#",{"role":"assistant","content":"a"},{"role":"user","content":"b"}"# } else { "" };
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}{more}]}}\n")
    };
    for (order, talk) in [("sequential", false), ("shuffled", false), ("once", false), ("once", true)] {
        let file: String = (0..200).map(|n| row(n, talk)).collect();
        let conversation = if talk { "conversation = { history = \"recorded\" }\n" } else { "" };
        let executor = "executor = \"per-vu-iterations\"\nvus = 7\niterations = 31\n";
        let text = format!("{executor}{CHAT}{conversation}dataset = {{ file = \"f\", order = \"{order}\" }}\n");
        let with_memory = |memory: &str| {
            let mut files = Spooling(|path: &Path| match path.to_str() {
                Some("dir/my.toml") => Ok(text.clone()),
                _ => Ok(file.clone()),
            });
            let flags = overrides! { dataset_memory: flag("dataset-memory", memory) };
            resolve("dir/my.toml", &flags, &mut files).expect("read")
        };
        let (whole, spooled) = (with_memory("1GiB").plan, with_memory("1MiB"));
        let note = &spooled.presentation.notes[0];
        assert!(
            note.contains("they do not fit into --dataset-memory, so 2 MB of them lie in a temporary file"),
            "{note}"
        );
        let expected = bodies(&whole, u64::MAX);
        assert_eq!(expected.len(), if order == "once" { 200 } else { 217 });
        for shards in [1, 2, 5] {
            let parts =
                (0..shards).map(|index| Plan { shard: Shard::of_process(index, shards), ..spooled.plan.clone() });
            let sent: BTreeMap<_, _> = parts.flat_map(|part| bodies(&part, u64::MAX)).collect();
            assert!(sent == expected, "{order} in {shards} shards");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// With any load, shards together send what one process sends, byte for byte.
    #[test]
    fn shards_send_the_same_bodies_together(
        rows in 1usize..60,
        executor in 0usize..5,
        order in 0usize..3,
        seed in 0u64..5,
    ) {
        let file = (0..rows).map(|row| format!("{{\"prompt\":\"row {row}\"}}")).collect::<Vec<_>>().join("\n");
        let order = ["sequential", "shuffled", "once"][order];
        let head = [
            "executor = \"per-vu-iterations\"\nvus = 7\niterations = 9\n",
            "executor = \"shared-iterations\"\nvus = 7\niterations = 90\n",
            "executor = \"constant-arrival-rate\"\nrate = 90\nduration = \"1s\"\nmax_vus = 12\n",
            "executor = \"constant-arrival-rate\"\nrate = 90\nduration = \"1s\"\nmax_vus = 12\narrival = \"poisson\"\n",
            "executor = \"trace\"\nmax_vus = 12\ntrace = { file = \"mooncake.jsonl\", loop = 3 }\n",
        ][executor];
        let dataset = if executor == 4 { String::new() } else { format!("dataset = {{ file = \"f\", order = \"{order}\" }}\n") };
        let seed = overrides! { seed: flag("seed", &seed.to_string()) };
        let plan = with(&format!("{head}{CHAT}{dataset}"), &seed, &[("f", &file)]).expect("fine").plan;
        let whole = bodies(&plan, u64::MAX);
        for of in [1, 2, 5] {
            let mut union = BTreeMap::new();
            for shard in 0..of {
                for (number, body) in bodies(&plan.shard(shard, of), u64::MAX) {
                    prop_assert_eq!(union.insert(number, body), None, "sent by two shards of {}", of);
                }
            }
            prop_assert!(union == whole, "{} shards", of);
        }
        if order == "once" && executor < 4 {
            let sent: std::collections::BTreeSet<_> = whole.values().collect();
            prop_assert_eq!(sent.len(), whole.len(), "nothing is sent twice");
            prop_assert!(whole.len() <= rows);
        }
        prop_assert_eq!(plan.shard, Shard::WHOLE);
    }
}
