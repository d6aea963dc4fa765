use super::*;
use crate::dataset::{Body, Script, Sessions, Spool};
use proptest::prelude::*;
use std::io::{Cursor, Write as _};
use std::sync::{Arc, Mutex};

fn options() -> Options {
    Options {
        format: None,
        columns: Columns::default(),
        form: Form::Messages,
        stream: true,
        patch_stream: false,
        patch_model: None,
        url_end: "/chat/completions",
        most_memory: 1 << 20,
        talk: false,
        trace: None,
        sessions: false,
        shuffle: None,
        size: None,
    }
}

fn trace() -> Options {
    Options { trace: Some(None), ..options() }
}

fn read(text: impl AsRef<[u8]>, options: &Options) -> Result<Loaded, String> {
    let mut nothing = || Err(io::Error::other("no place"));
    load(&mut Cursor::new(text.as_ref()), options, &mut nothing).map_err(|error| error.to_string())
}

/// Reads with a spool for data beyond `most` bytes.
fn read_spooled(text: impl AsRef<[u8]>, options: &Options, most: u64) -> Result<Loaded, String> {
    let mut spool = || Ok(Arc::new(Mutex::new(Vec::new())) as Arc<dyn Spool>);
    let options = Options { most_memory: most, ..options.clone() };
    load(&mut Cursor::new(text.as_ref()), &options, &mut spool).map_err(|error| error.to_string())
}

/// Reads a file of `tests/samples`.
fn sample(name: &str, options: &Options) -> Loaded {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    read(std::fs::read(path).expect("a sample"), options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text_of(loaded: &Loaded, row: usize) -> &str {
    match loaded.rows.body(row, &[]) {
        Body::Part(bytes) | Body::Whole(bytes) => std::str::from_utf8(bytes).expect("text"),
        Body::Words { .. } | Body::Talk(_) => panic!("row {row} is no text"),
    }
}

/// Returns the number of rows read and of rows that can be sent, and each reason with count and
/// first line.
fn counts(loaded: &Loaded) -> (u64, usize, Vec<(&str, u64, u64)>) {
    let unused = loaded.facts.unused.iter().map(|u| (u.reason.as_str(), u.rows, u.first_line)).collect();
    (loaded.facts.rows, loaded.rows.len(), unused)
}

#[test]
fn sharegpt_rows_are_the_first_turns_of_people() {
    let loaded = sample("sharegpt.json", &options());
    assert_eq!(loaded.facts.format, Format::Sharegpt);
    let (rows, sent, unused) = counts(&loaded);
    assert_eq!((rows, sent), (20, 17));
    let reasons: Vec<_> = unused.iter().map(|(reason, rows, _)| (*reason, *rows)).collect();
    assert_eq!(
        reasons,
        [
            ("the conversation does not begin with a user", 1),
            ("the conversation has no turns", 1),
            ("the first turn is empty", 1)
        ]
    );
    assert!(unused.iter().all(|(.., line)| *line > 20), "lines are those of the file: {unused:?}");
    assert_eq!(text_of(&loaded, 0), r#"[{"role":"user","content":"Name three uses of a paper clip."}]"#);
    let alone = sample("sharegpt.json", &Options { form: Form::Text, ..options() });
    assert_eq!(text_of(&alone, 0), "\"Name three uses of a paper clip.\"");
}

#[test]
fn chats_end_with_what_asks_for_an_answer() {
    let loaded = sample("chat.jsonl", &options());
    assert_eq!(
        (loaded.facts.format, counts(&loaded)),
        (Format::Chat, (20, 19, vec![("it has no user message", 1, 20)]))
    );
    for row in 0..loaded.rows.len() {
        let messages: serde_json::Value = serde_json::from_str(text_of(&loaded, row)).expect("JSON");
        assert_eq!(messages.as_array().expect("a list").last().expect("one")["role"], "user", "{row}");
    }
    let apart = sample("chat.jsonl", &Options { form: Form::SystemApart, ..options() });
    let body = format!("{{\"messages\":{}}}", text_of(&apart, 0));
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&body["system"], &body["messages"][0]["role"]), (&"Answer in one sentence.".into(), &"user".into()));
    assert!(read("{\"messages\":[]}", &options()).expect_err("none").contains("no row that can be sent among 1"));
}

#[test]
fn prompts_are_found_by_their_column() {
    let columns = Columns { prompt: Some("question".into()), output: Some("out_len".into()), ..Columns::default() };
    let told = Options { columns, form: Form::Text, ..options() };
    let loaded = sample("prompt.jsonl", &told);
    assert_eq!((loaded.rows.len(), loaded.facts.with_output, loaded.rows.output_tokens(3)), (20, 20, Some(13)));
    let prompt: String = serde_json::from_str(text_of(&loaded, 19)).expect("JSON");
    assert_eq!(prompt, "Was ist ein Zeichen wie „ß“ 日本?");
    let csv = Options {
        columns: Columns { prompt: Some("question".into()), ..Columns::default() },
        form: Form::Text,
        ..options()
    };
    let loaded = sample("prompts.csv", &csv);
    assert_eq!((loaded.facts.format, loaded.rows.len()), (Format::Csv, 20));
    assert_eq!(text_of(&loaded, 2), "\"What is 17 times 23?\\nIn two lines.\"");
    assert_eq!(text_of(&loaded, 5), "\"Who wrote \\\"Emma\\\"?\"");
}

#[test]
fn columns_of_traces_mean_nothing_in_a_data_set() {
    let chat = r#"{"timestamp":"yesterday","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(read(chat, &options()).expect("a chat").facts.format, Format::Chat);
    let csv = "timestamp,prompt,output_tokens\nyesterday,x,0\n";
    let loaded = read(csv, &options()).expect("prompts");
    assert_eq!((loaded.rows.len(), loaded.rows.output_tokens(0)), (1, None));
    let recorded = r#"{"timestamp":5,"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(read(recorded, &trace()).expect("a trace").facts.format, Format::Mooncake);
    let columns = Columns { at: Some("t".into()), prompt: Some("q".into()), ..Columns::default() };
    let loaded = read(r#"{"t":5,"q":"x"}"#, &Options { columns, ..trace() }).expect("a trace");
    assert_eq!((loaded.facts.format, text_of(&loaded, 0)), (Format::Jsonl, r#"[{"role":"user","content":"x"}]"#));
}

#[test]
fn a_row_without_a_length_is_found_among_others() {
    let row = |length: &str| format!("{{\"timestamp\":1,\"text_input\":\"x\"{length}}}\n");
    let with = row(",\"output_length\":3");
    let of = |file: &str| read(file, &trace()).expect("a trace").rows.without_output_tokens();
    assert_eq!((of(&with), of(&row("")), of(&[with, row("")].concat())), (None, None, Some(1)));
}

#[test]
fn bodies_are_sent_byte_for_byte_and_patched_only_if_told() {
    let loaded = sample("body.jsonl", &options());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/body.jsonl");
    let file = std::fs::read_to_string(path).expect("a sample");
    for (row, line) in file.lines().enumerate() {
        assert_eq!(loaded.rows.body(row, &[]), Body::Whole(line.as_bytes()));
    }
    // Half of a batch's rows are rejected, for two reasons.
    let error = {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/batch.jsonl");
        read(std::fs::read(path).expect("a sample"), &options()).expect_err("no streams")
    };
    assert!(
        error.contains("19 rows: its body does not ask for a stream, and the request does: patch `stream` to set it (first on line 1)"),
        "{error}"
    );
    let patched = Options { patch_stream: true, patch_model: Some("mine".into()), ..options() };
    let loaded = sample("batch.jsonl", &patched);
    assert_eq!(counts(&loaded), (20, 19, vec![("its url is another API's", 1, 5)]));
    for row in 0..loaded.rows.len() {
        let body: serde_json::Value = serde_json::from_str(text_of(&loaded, row)).expect("JSON");
        assert_eq!((&body["stream"], &body["model"]), (&true.into(), &"mine".into()), "{body}");
        assert_eq!(body["messages"][0]["role"], "user");
    }
    let plain = Options { stream: false, ..options() };
    assert_eq!(
        text_of(&sample("batch.jsonl", &plain), 0),
        r#"{"model": "m-0", "messages": [{"role": "user", "content": "Name three uses of a paper clip."}], "max_tokens": 20}"#
    );
}

#[test]
fn a_patch_keeps_all_other_bytes() {
    let patched = |body: &str| {
        let mut out = Vec::new();
        patch(body, &[("model", Some("\"m\"".into())), ("stream", Some("true".into()))], &mut out);
        String::from_utf8(out).expect("text")
    };
    assert_eq!(patched("{}"), r#"{"model":"m","stream":true}"#);
    assert_eq!(patched(r#"{ "a" : 1 }"#), r#"{"model":"m","stream":true, "a" : 1 }"#);
    assert_eq!(
        patched(r#"{"str\u0065am":false, "x":{"model":1},"model" :"o"}"#),
        r#"{"str\u0065am":true, "x":{"model":1},"model" :"m"}"#
    );
    assert_eq!(patched(r#"{"model":1,"b":2}"#), r#"{"stream":true,"model":"m","b":2}"#);
}

#[test]
fn traces_have_instants_and_lengths() {
    let ms = Nanos::from_millis;
    for (name, format, rows, last) in [
        ("mooncake.jsonl", Format::Mooncake, 20, ms(1800)),
        ("bailian.jsonl", Format::Bailian, 20, ms(2090)),
        ("aiperf.jsonl", Format::Mooncake, 19, ms(2280)),
        ("azure.csv", Format::Azure, 20, Nanos(2_359_880_000)),
        ("burstgpt.csv", Format::Burstgpt, 18, ms(4750)),
    ] {
        let loaded = sample(name, &trace());
        assert_eq!((loaded.facts.format, loaded.rows.len()), (format, rows), "{name}");
        let instants = &loaded.instants;
        assert_eq!((instants.len(), instants[0], *instants.last().expect("one")), (rows, Nanos::ZERO, last), "{name}");
    }
    let columns =
        Columns { at: Some("when".into()), input: Some("in".into()), output: Some("out".into()), ..Columns::default() };
    let named = Options { columns, ..trace() };
    let csv = sample("trace.csv", &named);
    let json = sample("trace.jsonl", &Options { trace: Some(Some(Unit::Milliseconds)), ..named });
    assert_eq!((csv.instants, &csv.rows), (json.instants.clone(), &json.rows));
    assert_eq!(json.rows.body(3, &[]), Body::Words { tokens: 43, blocks: &[] });
    assert_eq!(json.rows.output_tokens(3), Some(8));
}

#[test]
fn blocks_are_read_with_their_numbers() {
    let loaded = sample("mooncake.jsonl", &trace());
    assert_eq!(loaded.rows.block_tokens, 512);
    assert_eq!(loaded.rows.body(1, &[]), Body::Words { tokens: 697, blocks: &[0, 101] });
    let loaded = sample("bailian.jsonl", &trace());
    assert_eq!((loaded.rows.block_tokens, loaded.rows.body(0, &[])), (16, Body::Words { tokens: 20, blocks: &[7, 1] }));
    let loaded = sample("aiperf.jsonl", &trace());
    assert_eq!(text_of(&loaded, 0), r#"[{"role":"user","content":"Name three uses of a paper clip."}]"#);
    assert!(
        matches!(loaded.rows.body(3, &[]), Body::Whole(_))
            && matches!(loaded.rows.body(2, &[]), Body::Words { tokens: 600, .. })
    );
    assert_eq!(counts(&loaded).2, [("it has a delay and no instant: it needs a request with a conversation", 1, 10)]);
    assert_eq!(counts(&sample("burstgpt.csv", &trace())).2, [("its response has 0 tokens", 2, 6)]);
}

#[test]
fn compressed_files_are_read_and_cut_ones_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/chat.jsonl");
    let plain = std::fs::read(path).expect("a sample");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("memory");
    let mut gzip = gzip.finish().expect("memory");
    assert_eq!(read(&gzip, &options()), read(&plain, &options()));
    let cut = read(&gzip[..gzip.len() / 2], &options()).expect_err("cut");
    assert!(cut.contains("the compressed data ends early"), "{cut}");
    let end = gzip.len() - 6;
    gzip[end] ^= 1;
    let damaged = read(&gzip, &options()).expect_err("damaged");
    assert!(damaged.contains("the compressed data is damaged"), "{damaged}");
}

#[test]
fn bad_files_are_refused_with_line_and_expectation() {
    let ok = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    for (file, expected) in [
        (String::new(), "is empty: expected at least one row"),
        ("\n \n".to_owned(), "is empty: expected at least one row"),
        ("[]".to_owned(), "is empty: expected at least one row"),
        (format!("{ok}\n{{\"messages\":[}}"), "line 2: is not a JSON object (expected value"),
        (format!("{ok}\n7"), "line 2: is not a JSON object (invalid type: integer `7`, expected an object"),
        (format!("{ok}\n{ok} {ok}"), "line 2: is not a JSON object (trailing characters"),
        (format!("{ok}\n{{\"prompt\":\"x\"}}"), "line 2: has no `messages`: expected [{\"role\""),
        ("{\"messages\":[{\"content\":1}]}".to_owned(), "line 1: has a message without `role`"),
        ("{\"messages\":\"x\"}".to_owned(), "line 1: `messages` is not a list"),
        ("{\"text\":\"x\",\"n\":1}".to_owned(), "line 1: has an unknown format (names: text, n): expected"),
        (
            "a,b\n1,2".to_owned(),
            "line 1: has no column `prompt`: expected one of its columns: a, b (read as CSV: it begins \
             with neither `{` nor `[`)",
        ),
        ("prompt\nx\n\"a,b\"\nc,d".to_owned(), "line 4: has 2 fields: expected 1, as many as the header"),
        ("prompt\n\n\0".to_owned(), "has a NUL byte"),
    ] {
        let error = read(&file, &options()).expect_err(expected);
        assert!(error.contains(expected), "{file:?}: {error}");
    }
    let wrong = read(b"prompt\n\xff\xfe", &options()).expect_err("no text");
    assert!(wrong.contains("line 2: is not UTF-8 at byte 1"), "{wrong}");
    let endless = load(
        &mut BufReader::new(std::io::Read::chain(&b"prompt\n\""[..], std::io::repeat(b'x'))),
        &options(),
        &mut || Err(io::ErrorKind::Unsupported.into()),
    );
    assert_eq!(
        endless.expect_err("endless").to_string(),
        "line 2: is larger than 32 MiB: expected rows of at most that size"
    );
    let large = format!("{{\"prompt\":\"{}\"}}\n", "x".repeat(2 << 20));
    let error = read(large, &options()).expect_err("too large");
    assert!(error.starts_with("has rows beyond the 1 MiB of memory for them, which cannot be put"), "{error}");
    assert!(read(ok, &options()).is_ok_and(|loaded| loaded.rows.len() == 1), "one row is enough");
}

#[test]
fn traces_that_cannot_be_are_refused() {
    let row = |at: &str, input: &str, output: &str| {
        format!("{{\"timestamp\":{at},\"input_length\":{input},\"output_length\":{output}}}\n")
    };
    let ok = row("5", "10", "2");
    for (second, expected) in [
        (row("4", "10", "2"), "line 2: goes back in time by 1ms: expected rows in the order of their instants"),
        (
            row("-4", "10", "2"),
            "line 2: `timestamp` is -4: expected an instant at or after zero, as a number of milliseconds",
        ),
        (row("9", "-1", "2"), "line 2: `input_length` is -1: expected a number of tokens from 0 to 10000000"),
        (row("9", "10", "99999999"), "line 2: `output_length` is 99999999: expected a number of tokens"),
        (row("9", "1e3", "2"), "line 2: `input_length` is 1e3"),
        (row("1e300", "10", "2"), "line 2: `timestamp` is 1e300"),
        ("{\"timestamp\":9,\"output_length\":1}".to_owned(), "line 2: has no column `input_length`"),
        ("{\"timestamp\":9,\"input_length\":1}".to_owned(), "line 2: has no column `output_length`"),
        ("{\"input_length\":9,\"output_length\":1}".to_owned(), "line 2: has no column `timestamp`"),
        (
            "{\"timestamp\":9,\"input_length\":513,\"output_length\":1,\"hash_ids\":[1]}".to_owned(),
            "line 2: has 1 hash_id for 513 tokens: expected 2 at 512 tokens a block",
        ),
        (
            "{\"timestamp\":9,\"input_length\":5,\"output_length\":1,\"hash_ids\":[-1]}".to_owned(),
            "line 2: `hash_ids` has -1",
        ),
    ] {
        let error = read(format!("{ok}{second}"), &trace()).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
    let chat = read(r#"{"messages":[{"role":"user","content":"x"}]}"#, &trace()).expect_err("no instants");
    assert!(chat.contains("the format chat, whose rows have no instants"), "{chat}");
    let csv = read("prompt\nx\n", &trace()).expect_err("no instants");
    assert!(csv.contains("line 1: has no column `timestamp`"), "{csv}");
}

#[test]
fn rows_that_repeat_others_are_known() {
    let line = |text: &str| format!("{{\"prompt\":\"{text}\"}}\n");
    let loaded =
        read([line("a"), line("b"), line("a"), line("c"), line("b"), line("a")].concat(), &options()).expect("read");
    assert_eq!((loaded.rows.len(), loaded.rows.distinct()), (6, 3));
    assert_eq!((0..6).map(|row| loaded.rows.first(row)).collect::<Vec<_>>(), [0, 1, 0, 3, 1, 0]);
    let words = sample("azure.csv", &trace());
    assert_eq!(words.rows.distinct(), 20, "words without blocks are drawn for each row");
}

#[test]
fn shuffled_rows_are_the_same_rows() {
    let file = (0..200).map(|n| format!("{{\"prompt\":\"{n}\"}}")).collect::<Vec<_>>().join("\n");
    let all = |shuffle| {
        let loaded = read(&file, &Options { shuffle, ..options() }).expect("read");
        (0..200).map(|row| text_of(&loaded, row).to_owned()).collect::<Vec<_>>()
    };
    let (plain, one, other) = (all(None), all(Some(1)), all(Some(2)));
    assert!(one != plain && one != other && one == all(Some(1)));
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(one), sorted(plain));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), is_trace: bool) {
        let _ = read(&bytes, &if is_trace { trace() } else { options() });
    }

    /// Rows with missing or damaged parts.
    #[test]
    fn damaged_rows_break_nothing(at in 0usize..2000, byte: u8, name in 0usize..11) {
        let names = ["sharegpt.json", "chat.jsonl", "prompt.jsonl", "batch.jsonl", "body.jsonl", "prompts.csv",
            "mooncake.jsonl", "bailian.jsonl", "aiperf.jsonl", "azure.csv", "burstgpt.csv"];
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(names[name]);
        let mut bytes = std::fs::read(path).expect("a sample");
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes, &trace());
        let _ = read(&bytes, &options());
        let _ = read(&bytes[..at], &Options { form: Form::SystemApart, patch_stream: true, ..options() });
    }
}

/// Reads conversations of one row each.
fn talk(row: &str, form: Form) -> Result<Loaded, String> {
    let options = Options { talk: true, form, ..options() };
    read(row, &options)
}

fn script(loaded: &Loaded) -> Script<'_> {
    match loaded.rows.body(0, &[]) {
        Body::Talk(script) => script,
        other => panic!("{other:?}"),
    }
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_conversation_is_cut_where_the_model_speaks() {
    let row = r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"1"},{"role":"assistant","content":"a"},{"role":"user","content":"2"},{"role":"user","content":"2b"},{"role":"assistant","content":"b"}]}"#;
    let loaded = talk(row, Form::Messages).expect("a conversation");
    let script = script(&loaded);
    assert_eq!((script.turns(), script.point_of(1), script.point_of(2)), (2, Some(1), None));
    assert_eq!(
        (script.is_tool_round(0), script.is_tool_round(1), script.is_tool_round(2)),
        (Some(false), Some(false), None)
    );
    let first = r#"[{"role":"system","content":"S"},{"role":"user","content":"1"}"#;
    assert_eq!(utf8(script.until(0)), first);
    assert!(utf8(script.until(1)).ends_with(r#""2b"}"#) && utf8(script.until(1)).starts_with(first));
    assert_eq!(utf8(script.said(1)), r#"{"role":"user","content":"2"},{"role":"user","content":"2b"}"#);
    assert_eq!((utf8(script.tail()), utf8(script.until(9)), utf8(script.said(9))), ("", "", ""));
    // In this form, the system message is beside the list.
    let apart = talk(row, Form::SystemApart).expect("a conversation");
    let script = self::script(&apart);
    assert_eq!((utf8(script.until(0)), utf8(script.tail())), (r#"[{"role":"user","content":"1"}"#, r#","system":"S""#));
}

#[test]
fn results_of_tools_belong_to_their_turn() {
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let tool = |content: &str| format!(r#"{{"role":"tool","tool_call_id":"a","content":{content}}}"#);
    let user = r#"{"role":"user","content":"x"}"#;
    let reply = r#"{"role":"assistant","content":"y"}"#;
    let row = format!(
        r#"{{"messages":[{user},{call},{},{},{call},{},{reply},{user},{call},{}]}}"#,
        tool("\"1\""),
        tool("\"2\""),
        tool("\"3\""),
        tool("[4]")
    );
    let loaded = talk(&row, Form::Messages).expect("a conversation");
    let script = script(&loaded);
    let of = |turn, n| script.result(turn, n).map(utf8);
    assert_eq!([of(0, 0), of(0, 1), of(0, 2), of(0, 3)], [Some("\"1\""), Some("\"2\""), Some("\"3\""), None]);
    assert_eq!([of(1, 0), of(1, 1), of(2, 0)], [Some("[4]"), None, None]);
    assert_eq!(script.turns(), 2);
    for form in [Form::Items, Form::SystemApart] {
        let row = row.replace("[4]", "\"4\"");
        let loaded = talk(&row, form).expect("a conversation");
        let script = self::script(&loaded);
        let of = |turn, n| script.result(turn, n).map(utf8);
        assert_eq!([of(0, 0), of(0, 1), of(0, 2), of(0, 3)], [Some("\"1\""), Some("\"2\""), Some("\"3\""), None]);
        assert_eq!([of(1, 0), of(1, 1), of(2, 0)], [Some("\"4\""), None, None]);
        assert_eq!((script.turns(), script.is_tool_round(1), script.is_tool_round(3)), (2, Some(true), Some(false)));
    }
}

/// Returns everything sent before the last reply of a chat with two simultaneous calls, in that
/// form.
fn in_form(form: Form) -> serde_json::Value {
    let row = r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"\u0078"},
        {"role":"assistant","content":"so","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"n\": 1}"}},
        {"id":"b","type":"function","function":{"name":"g","arguments":""}}]},
        {"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"2"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":{"n":2}}}]},
        {"role":"tool","tool_call_id":"c","content":"3"},
        {"role":"assistant","content":"y"},{"role":"user","content":"z"},{"role":"assistant","content":"end"}]}"#;
    let row = row.replace('\n', "");
    let loaded = talk(&row, form).expect("a conversation");
    let script = script(&loaded);
    let last = script.point_of(1).expect("two turns");
    let text = |point| format!("{{\"list\":{}]{}}}", utf8(script.until(point)), utf8(script.tail()));
    for point in 0..=last {
        let sent: serde_json::Value =
            serde_json::from_str(&text(point)).unwrap_or_else(|e| panic!("{e}: {}", text(point)));
        assert!(sent["list"].is_array());
    }
    let whole = serde_json::from_str(&text(last)).expect("JSON");
    // The same content results if it is sent as a single request.
    let alone = read(&row, &Options { form, ..options() }).expect("a row");
    let alone: serde_json::Value = serde_json::from_str(&format!("{{\"list\":{}}}", text_of(&alone, 0))).expect("JSON");
    assert_eq!(alone, whole);
    whole
}

#[test]
fn calls_of_tools_are_written_as_each_api_has_them() {
    let said = |role: &str, content: &str| serde_json::json!({ "role": role, "content": content });
    let call = |id: &str, name: &str, arguments: &str| serde_json::json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments });
    let output =
        |id: &str, text: &str| serde_json::json!({ "type": "function_call_output", "call_id": id, "output": text });
    let items = serde_json::json!([
        said("system", "S"),
        said("user", "x"),
        said("assistant", "so"),
        call("a", "f", "{\"n\": 1}"),
        call("b", "g", ""),
        output("a", "1"),
        output("b", "2"),
        call("c", "f", "{\"n\":2}"),
        output("c", "3"),
        said("assistant", "y"),
        said("user", "z"),
    ]);
    assert_eq!(in_form(Form::Items), serde_json::json!({ "list": items }));
    let used = |id: &str, name: &str, input: serde_json::Value| serde_json::json!({ "type": "tool_use", "id": id, "name": name, "input": input });
    let result =
        |id: &str, text: &str| serde_json::json!({ "type": "tool_result", "tool_use_id": id, "content": text });
    let blocks = serde_json::json!([
        said("user", "x"),
        { "role": "assistant", "content": [{ "type": "text", "text": "so" }, used("a", "f", serde_json::json!({ "n": 1 })), used("b", "g", serde_json::json!({}))] },
        { "role": "user", "content": [result("a", "1"), result("b", "2")] },
        { "role": "assistant", "content": [used("c", "f", serde_json::json!({ "n": 2 }))] },
        { "role": "user", "content": [result("c", "3")] },
        said("assistant", "y"),
        said("user", "z"),
    ]);
    assert_eq!(in_form(Form::SystemApart), serde_json::json!({ "list": blocks, "system": "S" }));
    let chat = in_form(Form::Messages);
    assert_eq!((&chat["list"][2]["tool_calls"][1]["id"], &chat["list"][4]["role"]), (&"b".into(), &"tool".into()));
}

#[test]
fn calls_that_another_api_cannot_have_are_told() {
    let row = |call: &str, result: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant",{call}}},{{"role":"tool",{result}}},{{"role":"assistant","content":"y"}}]}}"#
        )
    };
    let call = |function: &str| format!(r#""tool_calls":[{{"id":"a","function":{function}}}]"#);
    let (good, result) = (call(r#"{"name":"f","arguments":"{}"}"#), r#""tool_call_id":"a","content":"r""#);
    for (row, form, reason) in [
        (row(&good, r#""content":"r""#), Form::Items, "a tool result does not name its call"),
        (row(&good, r#""tool_call_id":"a","content":[1]"#), Form::SystemApart, "a tool result is not text"),
        (row(&call("7"), result), Form::Items, "a tool call does not call a function"),
        (row(&call(r#"{"arguments":"{}"}"#), result), Form::SystemApart, "a tool call has no id or no name"),
        (row(&call(r#"{"name":"f","arguments":"[1]"}"#), result), Form::SystemApart, "are not a JSON object"),
        (row(&format!("\"content\":[],{good}"), result), Form::Items, "has content that is not text"),
    ] {
        let error = talk(&row, form).map(|_| ()).expect_err(&row);
        assert!(error.contains(reason), "{row}: {error}");
        assert!(talk(&row, Form::Messages).is_ok(), "{row}");
    }
}

#[test]
fn what_is_no_conversation_is_told() {
    for (row, reason) in [
        (
            r#"{"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"x"}]}"#,
            "does not begin with a user",
        ),
        (r#"{"messages":[{"role":"tool","content":"a"}]}"#, "does not begin with a user"),
        (
            r#"{"messages":[{"role":"system","content":"a"},{"role":"tool","content":"b"},{"role":"user","content":"x"}]}"#,
            "does not begin with a user",
        ),
        (r#"{"messages":[{"role":"system","content":"a"}]}"#, "it has no user message"),
        (r#"{"messages":[{"role":"user","content":"a"},{"role":"critic","content":"x"}]}"#, "an unknown role"),
        (r#"{"conversations":[{"from":"human","value":null}]}"#, "a turn has no text"),
        (r#"{"conversations":[{"from":"tool","value":"x"}]}"#, "neither a user, a model nor a system"),
        (r#"{"prompt":"x"}"#, "rows are not conversations: expected sharegpt or chat"),
    ] {
        let error = talk(row, Form::Messages).map(|_| ()).expect_err(row);
        assert!(error.contains(reason), "{row}: {error}");
    }
    assert!(talk("a,b\n1,2\n", Form::Messages).is_err());
}

proptest! {
    #[test]
    fn what_a_request_carries_is_what_was_said(said in prop::collection::vec((0usize..4, "[a\"\\\\é\n]{1,4}"), 1..12)) {
        let role = ["user", "assistant", "system", "user"];
        let messages: Vec<serde_json::Value> = said
            .iter()
            .map(|(who, text)| serde_json::json!({ "role": role[*who], "content": text }))
            .collect();
        let row = serde_json::json!({ "messages": messages }).to_string();
        let Ok(loaded) = talk(&row, Form::Messages) else { return Ok(()) };
        let script = script(&loaded);
        let mut last = 0;
        for turn in 0..script.turns() {
            let text = format!("{}]", utf8(script.until(script.point_of(turn).expect("a point"))));
            let carried: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(&carried[..], &messages[..carried.len()]);
            prop_assert!(carried.len() > last && carried.last().is_some_and(|m| m["role"] != "assistant"));
            let now: Vec<serde_json::Value> = serde_json::from_str(&format!("[{}]", utf8(script.said(turn)))).expect("JSON");
            prop_assert_eq!(&now[..], &messages[carried.len() - now.len()..carried.len()]);
            last = carried.len();
        }
    }
}

#[test]
fn rows_that_do_not_fit_into_memory_are_the_same_rows() {
    let talk = Options { talk: true, ..options() };
    let patched = Options { patch_stream: true, patch_model: Some("mine".into()), ..options() };
    for (name, options) in [
        ("sharegpt.json", options()),
        ("sharegpt.json", Options { shuffle: Some(7), ..talk.clone() }),
        ("chat.jsonl", Options { shuffle: Some(5), ..options() }),
        ("chat.jsonl", talk),
        ("batch.jsonl", patched),
        ("aiperf.jsonl", trace()),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
        // Some rows repeat others.
        let file = std::fs::read(path).expect("a sample");
        let file = if name == "chat.jsonl" { [&file[..], &file].concat() } else { file };
        let whole = read(&file, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((whole.rows.spooled_bytes(), whole.rows.must_be_fetched(0)), (None, false));
        // The spool starts as late as possible, and as early as the index in memory allows.
        let late = read_spooled(&file, &options, whole.rows.memory() as u64 - 1).expect("its index fits");
        for most in [whole.rows.memory() as u64 - 1, late.rows.memory() as u64] {
            let spooled = read_spooled(&file, &options, most);
            let spooled = spooled.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(spooled.rows.spooled_bytes().is_some(), "{name}");
            let (one, other) = (&whole.rows, &spooled.rows);
            assert_eq!((&spooled.facts, &spooled.instants), (&whole.facts, &whole.instants));
            assert_eq!((other.len(), other.distinct()), (one.len(), one.distinct()), "{name}");
            let mut held = Vec::new();
            for row in (0..one.len()).rev() {
                other.fetch(row, &mut held).expect("in memory");
                assert_eq!(other.body(row, &held), one.body(row, &[]), "{name} {row}");
                assert_eq!((other.first(row), other.output_tokens(row)), (one.first(row), one.output_tokens(row)));
            }
        }
    }
}

#[test]
fn a_spool_is_used_only_beyond_the_memory_and_its_index_has_to_fit() {
    let row = |text: &str| format!("{{\"prompt\":\"{}\"}}\n", text.repeat(1_000));
    let file = [row("a"), row("b"), row("c")].concat();
    let of = |most| read_spooled(&file, &options(), most);
    assert_eq!(of(4_000).expect("fits").rows.spooled_bytes(), None);
    let spooled = of(2_500).expect("fits with a spool").rows;
    assert!(spooled.spooled_bytes().is_some_and(|bytes| bytes > 3_000) && spooled.memory() < 100, "{spooled:?}");
    let error = of(60).expect_err("three rows are 72 bytes of index");
    let expected = "line 3: needs more than 0 MiB of memory for where its rows are: expected a smaller file, or more with --dataset-memory";
    assert_eq!(error, expected);
    let error = read(&file, &Options { most_memory: 2_500, ..options() }).expect_err("nowhere to put it");
    assert!(error.contains("cannot be put into a file: no place; set TMPDIR to a folder with room"), "{error}");
}

/// Returns each conversation's rows, with instants and pauses in ms.
fn sessions(file: &str) -> Vec<Vec<(u32, Option<u64>, u64)>> {
    let loaded = read(file, &Options { sessions: true, ..trace() }).expect("a trace");
    let links = loaded.links.expect("asked for");
    let all = Sessions::new(&links, 0..loaded.rows.len(), &loaded.instants, |time| time);
    let ms = |time: Nanos| time.0 / 1_000_000;
    let turns = |n| all.turns(n).iter().map(|turn| (turn.row, turn.due.map(ms), ms(turn.pause))).collect();
    (0..all.len() as u64).map(turns).collect()
}

#[test]
fn rows_of_a_session_are_turns_in_their_order() {
    let row = |at: &str, session: &str| format!("{{{at}{session}\"input_length\":9,\"output_length\":3}}\n");
    let (one, two) = ("\"session_id\":\"1\",", "\"session_id\":\"2\",");
    let file = [
        row("\"timestamp\":5,", one),
        row("\"timestamp\":7,", two),
        row("\"timestamp\":8,", ""),
        row("\"timestamp\":9,\"delay\":4,", one),
        row("\"delay\":2.5,", two),
        row("\"timestamp\":20,", two),
    ]
    .concat();
    let expected = vec![
        vec![(0, Some(0), 0), (3, Some(4), 4)],
        vec![(1, Some(0), 0), (4, None, 2), (5, Some(13), 0)],
        vec![(2, Some(0), 0)],
    ];
    assert_eq!(sessions(&file), expected);
    // A row without an instant cannot be sent outside a conversation, nor as the first of its
    // session.
    let reasons = |options: &Options| -> Vec<(String, u64)> {
        let file = file.replace("\"timestamp\":7,", "\"delay\":7,");
        let unused = read(file, options).expect("a trace").facts.unused;
        unused.into_iter().map(|unused| (unused.reason, unused.first_line)).collect()
    };
    let [(plain, 2)] = &reasons(&trace())[..] else { panic!("{:?}", reasons(&trace())) };
    assert!(plain.contains("needs a request with a conversation"), "{plain}");
    let sessions = reasons(&Options { sessions: true, ..trace() });
    assert!(sessions.len() == 1 && sessions[0].0.contains("no row of its session comes before it"), "{sessions:?}");
    let bad = read("{\"timestamp\":1,\"delay\":-1,\"session_id\":1,\"input_length\":1,\"output_length\":1}", &trace())
        .expect_err("negative");
    assert!(bad.starts_with("line 1: `delay` is -1: expected an instant at or after zero"), "{bad}");
}

#[test]
fn chats_of_bailian_follow_their_parents() {
    let row = |id: u32, parent: i32, at: u32| {
        format!(
            "{{\"chat_id\":{id},\"parent_chat_id\":{parent},\"timestamp\":{at},\"input_length\":9,\"output_length\":3}}\n"
        )
    };
    // The parent of 7 is not in the file.
    let file = [row(1, -1, 1), row(2, -1, 1), row(3, 1, 2), row(7, 99, 2), row(8, 3, 4)].concat();
    let at = |row, ms| (row, Some(ms), 0);
    assert_eq!(sessions(&file), [vec![at(0, 0), at(2, 1_000), at(4, 3_000)], vec![at(1, 0)], vec![at(3, 0)]]);
    let part = read(&file, &Options { sessions: true, ..trace() }).expect("a trace");
    let half = Sessions::new(&part.links.expect("links"), 1..4, &part.instants, |time| Nanos(time.0 / 2));
    assert_eq!(half.firsts().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((half.row(1, 0), half.row(4, 9), half.len()), (1, 1, 3), "numbers begin again, and turns end");
}
