//! The stopwatch, to the nanosecond: bytes and instants go in by hand.

use super::*;
use crate::api::Reader;
use crate::engine::rx_time::ReceiveTime;
use crate::metrics::{Counter, Summary, Tally, Trend};
use crate::wire::http1::KnownHead;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn token(text: &str) -> String {
    chunk(&format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"))
}

fn role() -> String {
    chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n")
}

fn finish(output: u32) -> String {
    chunk(&format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{output},\"total_tokens\":{}}}}}\n\n",
        output + 7
    ))
}

fn done() -> String {
    chunk("data: [DONE]\n\n") + "0\r\n\r\n"
}

/// A placement in phase 0, with a window that ends at `window_end`.
fn until(window_end: Nanos) -> Placement {
    Placement { phase: 0, window: Window { begin: Nanos::ZERO, end: window_end } }
}

struct Bench {
    exchange: Exchange,
    reader: Reader,
    known: KnownHead,
    tally: Tally,
}

impl Bench {
    fn sent_at(sent: u64, stream: bool) -> Self {
        let mut exchange = Exchange::new();
        exchange.begin(
            Expect { kind: 0, api: Api::OpenaiChat, stream, websocket: false, by_line: false },
            Nanos(sent),
            false,
            until(Nanos::MAX),
        );
        Self {
            exchange,
            reader: Reader::new(Api::OpenaiChat, false),
            known: KnownHead::default(),
            tally: Tally::new(1),
        }
    }

    /// Reads in time: none of the bytes can have come much earlier.
    fn read(&mut self, at: u64, bytes: &str) -> Progress {
        self.read_late(at, at, bytes)
    }

    fn read_late(&mut self, not_before: u64, at: u64, bytes: &str) -> Progress {
        let time = ReceiveTime { at: Nanos(at), not_before: Nanos(not_before) };
        let mut incoming = Incoming {
            gaps: None,
            text: None,
            reply: None,
            time,
            budget: &Budget::new(u64::MAX),
            early: false,
            known: &mut self.known,
            reader: &mut self.reader,
            tally: &mut self.tally,
        };
        self.exchange.feed(bytes.as_bytes(), &mut incoming)
    }

    fn eof(&mut self, at: u64) -> Progress {
        let time = ReceiveTime { at: Nanos(at), not_before: Nanos(at) };
        let mut incoming = Incoming {
            gaps: None,
            text: None,
            reply: None,
            time,
            budget: &Budget::new(u64::MAX),
            early: false,
            known: &mut self.known,
            reader: &mut self.reader,
            tally: &mut self.tally,
        };
        self.exchange.eof(&mut incoming)
    }

    /// Records the sample and returns the summary of the tally.
    fn summary(mut self, progress: Progress, at: u64) -> Summary {
        let Progress::Over { outcome, .. } = progress else { panic!("the response is not over") };
        self.tally.record(&self.exchange.sample(outcome, Nanos(at)));
        Summary::new(&self.tally, &["r".to_owned()], Nanos::from_secs(1))
    }
}

fn over(outcome: Outcome, reusable: bool) -> Progress {
    Progress::Over { outcome, reusable }
}

fn failed(class: Failure) -> Progress {
    over(Outcome::Failed(class), false)
}

const MS: u64 = 1_000_000;

#[test]
fn instants_of_a_stream_are_exact() {
    let mut bench = Bench::sent_at(5, true);
    assert_eq!(bench.read(1_000, HEAD), Progress::More);
    assert_eq!(bench.read(2_007, &role()), Progress::More);
    assert_eq!(bench.read(3_011, &token("a")), Progress::More);
    assert_eq!(bench.read(4_017, &token(" ")), Progress::More);
    assert_eq!(bench.read(9_019, &token("b")), Progress::More);
    assert_eq!(bench.read(9_500, &finish(3)), Progress::More);
    let end = bench.read(9_600, &done());
    assert_eq!(end, over(Outcome::Success, true));
    let s = bench.exchange.sample(Outcome::Success, Nanos(9_600));
    assert_eq!(s.sent, Nanos(5));
    assert_eq!(s.first_byte, Some(Nanos(1_000)));
    assert_eq!(s.first_event, Some(Nanos(2_007)), "the role chunk is an event");
    assert_eq!(s.first_token, Some(Nanos(3_011)), "and no token");
    assert_eq!(s.last_token, Some(Nanos(9_019)), "nor is the finish chunk");
    assert_eq!(s.longest_gap, Some(Nanos(5_002)));
    assert_eq!(s.token_events, 3);
    assert_eq!(s.usage, Some(crate::metrics::TokenUsage { input: 7, output: 3, reasoning: 0, cached: 0, written: 0 }));
    let summary = bench.summary(end, 9_600);
    assert_eq!(summary.trend(Trend::Tbt, None).map(|d| d.count), Some(2));
}

#[test]
fn tokens_of_one_timely_read_share_its_instant() {
    let mut bench = Bench::sent_at(0, true);
    bench.read(MS, HEAD);
    bench.read(2 * MS, &token("a"));
    bench.read_late(5 * MS - 1000, 5 * MS, &(token("b") + &token("c") + &token("d")));
    let end = bench.read(6 * MS, &done());
    let summary = bench.summary(end, 6 * MS);
    let tbt = summary.trend(Trend::Tbt, None).expect("gaps");
    assert_eq!(tbt.count, 3);
    assert!((tbt.max_ms() - 3.0).abs() < 1e-9, "the first gap is the whole wait");
    assert!(tbt.min_ms().abs() < 1e-9, "the others are none");
    assert_eq!(summary.counter(Counter::TbtCensored, None).map(|c| c.count), Some(0));
}

#[test]
fn gaps_of_a_late_read_are_censored_but_their_sum_is_kept() {
    let mut bench = Bench::sent_at(0, true);
    bench.read(MS, HEAD);
    bench.read(10 * MS, &token("a"));
    bench.read_late(11 * MS, 40 * MS, &(token("b") + &token("c") + &token("d")));
    let end = bench.read(41 * MS, &done());
    assert_eq!(bench.exchange.sample.last_token, Some(Nanos(40 * MS)), "sums over the stream stay exact");
    let summary = bench.summary(end, 41 * MS);
    assert!(summary.trend(Trend::Tbt, None).is_none(), "no gap is invented");
    assert_eq!(summary.counter(Counter::TbtCensored, None).map(|c| c.count), Some(3));
    let tpot = summary.trend(Trend::Tpot, None).expect("tpot");
    assert!((tpot.avg_ms() - 10.0).abs() < 0.01, "{}", tpot.avg_ms());
}

#[test]
fn a_first_token_in_a_late_read_of_several_is_censored() {
    let mut bench = Bench::sent_at(0, true);
    bench.read(MS, HEAD);
    bench.read_late(2 * MS, 9 * MS, &(token("a") + &token("b")));
    let end = bench.read(10 * MS, &done());
    let summary = bench.summary(end, 10 * MS);
    assert!(summary.trend(Trend::Ttft, None).is_none());
    assert_eq!(summary.counter(Counter::TtftCensored, None).map(|c| c.count), Some(1));
    assert_eq!(summary.counter(Counter::TbtCensored, None).map(|c| c.count), Some(1));
}

#[test]
fn an_event_came_when_its_data_line_came_not_its_blank_line() {
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n";
    let mut bench = Bench::sent_at(0, true);
    bench.read(10, HEAD);
    bench.read(100, &chunk(event));
    bench.read(900, &(chunk("\n") + &token("y")));
    assert_eq!(bench.exchange.sample.first_token, Some(Nanos(100)));
    assert_eq!(bench.exchange.sample.longest_gap, Some(Nanos(800)));
}

#[test]
fn byte_by_byte_gives_the_same_answer() {
    let text = HEAD.to_owned() + &role() + &token("a") + &token("\\u00e9\\\"") + &finish(2) + &done();
    let mut bench = Bench::sent_at(0, true);
    let mut end = Progress::More;
    for (i, byte) in text.bytes().enumerate() {
        assert_eq!(end, Progress::More, "over before byte {i}");
        let at = Nanos(i as u64 + 1);
        let time = ReceiveTime { at, not_before: at };
        let mut incoming = Incoming {
            gaps: None,
            text: None,
            reply: None,
            time,
            budget: &Budget::new(u64::MAX),
            early: false,
            known: &mut bench.known,
            reader: &mut bench.reader,
            tally: &mut bench.tally,
        };
        end = bench.exchange.feed(&[byte], &mut incoming);
    }
    assert_eq!(end, over(Outcome::Success, true));
    assert_eq!(bench.exchange.sample.token_events, 2);
    assert_eq!(bench.exchange.sample.bytes_received, text.len() as u64);
}

#[test]
fn every_cut_of_a_stream_gives_the_same_answer() {
    let text = HEAD.to_owned() + &role() + &token("a") + &token("b") + &finish(2) + &done();
    for cut in 1..text.len() {
        let mut bench = Bench::sent_at(0, true);
        assert_eq!(bench.read(10, &text[..cut]), Progress::More, "cut at {cut}");
        assert_eq!(bench.read(20, &text[cut..]), over(Outcome::Success, true), "cut at {cut}");
        assert_eq!(bench.exchange.sample.token_events, 2, "cut at {cut}");
    }
}

fn plain(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const CHAT: &str =
    r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

#[test]
fn plain_answers_are_judged_by_class() {
    for (answer, outcome) in [
        (plain("200 OK", CHAT), Outcome::Success),
        (plain("200 OK", "{\"choices\":["), Outcome::Failed(Failure::BadJson)),
        (plain("200 OK", "{\"choices\":[],\"usage\":{\"total_tokens\":3}}"), Outcome::Failed(Failure::Check)),
        (plain("302 Found", "{}"), Outcome::Failed(Failure::Http3xx)),
        (plain("404 Not Found", "{}"), Outcome::Failed(Failure::Http4xx)),
        (plain("429 Too Many Requests", "{}"), Outcome::Failed(Failure::Http429)),
        (plain("503 Unavailable", "{}"), Outcome::Failed(Failure::Http5xx)),
    ] {
        for cut in 0..answer.len() {
            let mut bench = Bench::sent_at(0, false);
            if cut > 0 {
                assert_eq!(bench.read(10, &answer[..cut]), Progress::More, "{answer} cut at {cut}");
            }
            assert_eq!(bench.read(20, &answer[cut..]), over(outcome, true), "{answer} cut at {cut}");
        }
    }
}

#[test]
fn a_stream_that_is_none_is_a_failure() {
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(Bench::sent_at(0, true).read(1, json), over(Outcome::Failed(Failure::BadContentType), true));
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx";
    assert_eq!(Bench::sent_at(0, true).read(1, gzip), over(Outcome::Failed(Failure::BadEncoding), true));
}

#[test]
fn broken_streams_are_failures() {
    let ended = "0\r\n\r\n";
    for (stream, class) in [
        (token("a") + ended, Failure::Truncated),
        (role() + &done(), Failure::Empty),
        (token("a") + &chunk("data: {\"error\":{\"message\":\"no\"}}\n\n") + &done(), Failure::StreamError),
        (token("a") + &chunk("data: not json\n\n") + ended, Failure::BadSse),
    ] {
        let end = Bench::sent_at(0, true).read(1, &(HEAD.to_owned() + &stream));
        assert_eq!(end, over(Outcome::Failed(class), true), "{stream}");
    }
    let end = Bench::sent_at(0, true).read(1, &(HEAD.to_owned() + &token("a") + "zz\r\n"));
    assert_eq!(end, failed(Failure::BadChunk));
    let end = Bench::sent_at(0, true).read(1, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    assert_eq!(end, failed(Failure::BadHttp));
    let end = Bench::sent_at(0, true).read(1, &(HEAD.to_owned() + &token("a") + &done() + "HTTP/1.1 200 OK\r\n"));
    assert_eq!(end, failed(Failure::BadHttp), "two answers to one request");
}

#[test]
fn an_event_that_is_no_json_is_skipped_if_the_stream_ends_well() {
    let text = HEAD.to_owned() + &token("a") + &chunk("data: : GATEWAY PROCESSING\n\n") + &done();
    let mut bench = Bench::sent_at(0, true);
    assert_eq!(bench.read(1, &text), over(Outcome::Success, true));
    assert_eq!(bench.exchange.sample.bad_events, 1);
}

#[test]
fn the_end_of_a_stream_must_be_proven() {
    let mut bench = Bench::sent_at(0, true);
    bench.read(1, &(HEAD.to_owned() + &token("a")));
    assert_eq!(bench.eof(2), failed(Failure::ClosedEarly));
}

#[test]
fn a_stream_without_framing_ends_with_its_terminal_event() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let mut bench = Bench::sent_at(0, true);
    assert_eq!(bench.read(1, &format!("{head}{event}")), Progress::More);
    assert_eq!(bench.read(2, "data: [DONE]\n\n"), over(Outcome::Success, false));
    // The stream is truncated if the peer closes before it.
    let mut bench = Bench::sent_at(0, true);
    bench.read(1, &format!("{head}{event}"));
    assert_eq!(bench.eof(2), failed(Failure::Truncated));
}

#[test]
fn tokens_outside_the_window_are_counted_apart() {
    let mut bench = Bench::sent_at(0, true);
    bench.exchange.begin(
        Expect { kind: 0, api: Api::OpenaiChat, stream: true, websocket: false, by_line: false },
        Nanos(0),
        false,
        Placement { phase: 0, window: Window { begin: Nanos(20), end: Nanos(50) } },
    );
    bench.read(10, HEAD);
    bench.read(19, &token("z"));
    bench.read(20, &token("a"));
    bench.read(50, &token("b"));
    bench.read(51, &token("c"));
    bench.read(60, &done());
    let sample = bench.exchange.sample(Outcome::Success, Nanos(60));
    assert_eq!((sample.token_events, sample.token_events_in_window, sample.in_window), (4, 2, false));
    assert!(bench.exchange.sample(Outcome::Success, Nanos(50)).in_window);
    assert!(!bench.exchange.sample(Outcome::Success, Nanos(19)).in_window, "it was over before the window began");
}

#[test]
fn a_parse_mismatch_fails_the_request_and_is_ours() {
    let mut bench = Bench::sent_at(0, true);
    bench.reader = Reader::new(Api::OpenaiChat, true);
    bench.read(10, HEAD);
    bench.read(40, &token("a"));
    bench.read(50, &token("b"));
    assert_eq!(bench.exchange.failure(Failure::Reset), Failure::Reset, "nothing is wrong yet");
    bench.reader.corrupt();
    bench.read(60, &token("c"));
    let end = bench.read(70, &done());
    assert_eq!(end, over(Outcome::Failed(Failure::Internal), true));
    let sample = bench.exchange.sample(Outcome::Failed(Failure::Internal), Nanos(70));
    assert_eq!(
        (sample.check_failed, sample.token_events),
        (Some("parse mismatch"), 2),
        "what is in doubt is not counted"
    );
    assert_eq!(sample.usage, None);
}

#[test]
fn a_parse_mismatch_of_a_plain_answer_fails_it() {
    let body = r#"{"choices":[{"message":{"content":"a"}}],"usage":{"total_tokens":3}}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut bench = Bench::sent_at(0, false);
    bench.reader = Reader::new(Api::OpenaiChat, true);
    assert_eq!(bench.read(10, &answer), over(Outcome::Success, true));
    bench.reader.corrupt();
    bench.exchange.begin(
        Expect { kind: 0, api: Api::OpenaiChat, stream: false, websocket: false, by_line: false },
        Nanos(20),
        true,
        until(Nanos::MAX),
    );
    assert_eq!(bench.read(30, &answer), over(Outcome::Failed(Failure::Internal), true));
    assert_eq!(bench.exchange.sample.usage, None, "a number in doubt is not reported");
}

/// Reads a stream of another API in one read.
fn at_once(api: Api, body: &str) -> (Outcome, Sample) {
    let mut bench = Bench::sent_at(0, true);
    bench.reader = Reader::new(api, true);
    bench.exchange.begin(
        Expect { kind: 0, api, stream: true, websocket: false, by_line: false },
        Nanos(0),
        false,
        until(Nanos::MAX),
    );
    bench.read(MS, HEAD);
    let Progress::Over { outcome, .. } = bench.read(2 * MS, &(chunk(body) + "0\r\n\r\n")) else { panic!("not over") };
    (outcome, bench.exchange.sample(outcome, Nanos(2 * MS)))
}

#[test]
fn usage_that_comes_in_parts_is_put_together() {
    let (outcome, sample) = at_once(Api::AnthropicMessages, include_str!("../../wire/fixtures/anthropic_tools.sse"));
    assert_eq!(outcome, Outcome::Success);
    assert_eq!(
        sample.usage,
        Some(crate::metrics::TokenUsage { input: 472, output: 89, reasoning: 0, cached: 0, written: 0 })
    );
    assert_eq!((sample.token_events, sample.reasoning_events), (5, 1));
    let (outcome, sample) = at_once(Api::OpenaiChat, include_str!("../../wire/fixtures/vllm_usage.sse"));
    assert_eq!(outcome, Outcome::Success);
    assert_eq!(
        sample.usage,
        Some(crate::metrics::TokenUsage { input: 8, output: 3, reasoning: 0, cached: 0, written: 0 }),
        "the last holds"
    );
}

#[test]
fn an_api_ends_its_streams_in_its_own_way() {
    let responses = include_str!("../../wire/fixtures/llmsim_responses.sse");
    assert_eq!(at_once(Api::OpenaiResponses, responses).0, Outcome::Success);
    let open = include_str!("../../wire/fixtures/llmsim_openresponses.sse");
    assert_eq!(at_once(Api::Openresponses, open).0, Outcome::Success);
    assert_eq!(at_once(Api::Openresponses, &open.replace("data: [DONE]", ":")).0, Outcome::Failed(Failure::Truncated));
    let messages = include_str!("../../wire/fixtures/llmsim_anthropic.sse");
    let without = messages.split("event: message_stop").next().expect("a part");
    assert_eq!(at_once(Api::AnthropicMessages, without).0, Outcome::Failed(Failure::Truncated));
    for (api, stream, class) in [
        (Api::OpenaiResponses, include_str!("../../wire/fixtures/openai_responses_failed.sse"), Failure::StreamError),
        (Api::OpenaiResponses, include_str!("../../wire/fixtures/openai_responses_incomplete.sse"), Failure::Truncated),
        (Api::AnthropicMessages, include_str!("../../wire/fixtures/anthropic_error.sse"), Failure::StreamError),
    ] {
        assert_eq!(at_once(api, stream).0, Outcome::Failed(class));
    }
}

#[test]
fn a_picture_needs_no_token() {
    let picture = "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"iVBO\"}\n\n";
    assert_eq!(at_once(Api::OpenaiImages, picture).0, Outcome::Success);
    assert_eq!(at_once(Api::OpenaiImages, "data: {\"type\":\"x\"}\n\n").0, Outcome::Failed(Failure::Truncated));
}

#[test]
fn what_is_odd_in_an_event_is_counted_and_the_rest_of_it_is_read() {
    let mut bench = Bench::sent_at(0, true);
    bench.read(10, HEAD);
    bench.read(20, &chunk("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":1}\n\n"));
    bench.read(30, &chunk("data: {\"choices\":{\"a\":1}}\n\n"));
    assert_eq!(bench.read(40, &done()), over(Outcome::Success, true));
    assert_eq!((bench.exchange.sample.bad_events, bench.exchange.sample.token_events), (2, 1));
}

#[test]
fn the_bill_of_the_first_token_event_says_how_many_tokens_it_holds() {
    let event = |text: &str, output: u32| {
        chunk(&format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":{{\"completion_tokens\":{output}}}}}\n\n"
        ))
    };
    let mut bench = Bench::sent_at(0, true);
    bench.read(10, HEAD);
    bench.read(20, &(event("", 0) + &event("a", 11)));
    bench.read(30, &event("b", 12));
    assert_eq!(bench.exchange.sample.tokens_in_first_event, 11);
}

#[test]
fn an_error_field_of_llama_cpp_fails_the_stream() {
    let mut bench = Bench::sent_at(0, true);
    bench.read(10, HEAD);
    bench.read(20, &token("a"));
    bench.read(30, &chunk("error: {\"code\":500,\"message\":\"too long\"}\n\n"));
    assert_eq!(bench.read(40, &done()), over(Outcome::Failed(Failure::StreamError), true));
}

#[test]
fn a_stream_that_is_a_bare_error_shows_what_the_server_said() {
    let said = r#"{"error":{"message":"No such model"}}"#;
    for cut in [0, 1, 20] {
        let mut bench = Bench::sent_at(0, true);
        bench.read(10, HEAD);
        let (first, second) = said.split_at(cut);
        if !first.is_empty() {
            bench.read(20, &chunk(first));
        }
        let end = bench.read(30, &(chunk(&format!("{second}\r\n")) + "0\r\n\r\n"));
        assert_eq!(end, over(Outcome::Failed(Failure::Truncated), true));
        let example = bench.exchange.example(None, &crate::redact::Redactor::default());
        assert!(example.contains("No such model"), "{cut}: {example}");
    }
}

#[test]
fn a_head_that_does_not_fit_is_shown_with_its_header() {
    for (header, class) in [
        ("Content-Type: text/html; charset=utf-8", Failure::BadContentType),
        ("content-encoding: br", Failure::BadEncoding),
    ] {
        let mut bench = Bench::sent_at(0, true);
        let answer = format!("HTTP/1.1 200 OK\r\nserver: x\r\n{header}\r\ncontent-length: 9\r\n\r\n<p>No</p>");
        let end = bench.read(MS, &answer);
        assert!(matches!(end, Progress::Over { outcome: Outcome::Failed(found), .. } if found == class), "{end:?}");
        let example = bench.exchange.example(None, &crate::redact::Redactor::default());
        assert!(example.contains(&format!("{header} | ")), "{example}");
    }
}
