use super::*;
use crate::document::tests::{all_sorts, busy_tally, document};
use crate::document::{Agreement, ErrorAgreement, Hint, Signal, Validity};

const PLAIN: Style = Style { color: false, width: 80 };

fn text_of(sort: &str) -> String {
    let (_, doc) = all_sorts().into_iter().find(|(name, _)| *name == sort).expect(sort);
    render(&doc, PLAIN)
}

fn without_colour(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('m').expect("a whole sequence").1)
}

#[test]
fn every_sort_fits_and_is_plain() {
    for (sort, doc) in all_sorts() {
        let text = render(&doc, PLAIN);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{sort}: {} columns: {line}", line.chars().count());
            assert_eq!(line, line.trim_end(), "{sort}");
        }
        assert!(!text.contains(['\x1b', '\t', '\r']) && text.ends_with('\n') && !text.contains("\n\n\n"), "{sort}");
        assert!(!text.contains("NaN") && !text.contains("inf "), "{sort}: {text}");
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    for (sort, doc) in all_sorts() {
        let coloured = render(&doc, Style { color: true, width: 80 });
        assert!(coloured.contains('\x1b'), "{sort}");
        assert_eq!(without_colour(&coloured), render(&doc, PLAIN), "{sort}");
    }
}

#[test]
fn the_first_line_is_the_verdict() {
    for (sort, start) in [
        ("pass", "PASS ✓  load: 2 of 2 thresholds held"),
        ("fail", "FAIL ✗  load: 1 of 2 thresholds did not hold"),
        ("no data for a threshold", "FAIL ✗  load: 1 of 2 thresholds did not hold"),
        ("interrupted", "INTERRUPTED  load: "),
        ("dead server", "NO DATA  load: no request succeeded"),
        ("nothing at all", "NO DATA  load: "),
        ("remote target without thresholds", "PASS ✓  load: no thresholds were set"),
    ] {
        assert!(text_of(sort).starts_with(start), "{sort}: {}", text_of(sort));
    }
}

const PASSING: &str = "\
PASS ✓  load: 2 of 2 thresholds held
  target     http://127.0.0.1:8080
  cold start 412ms for the first request to the new server, not measured
  duration   4m30s (measured for 4m30s), started 2026-11-24T08:22:15Z
  outside    103 more sent in warm-up and cooldown, 3 failed
             check: 1, http_429: 1, reset: 1
  template   chat-stream (gpt-5): adds 1 token to each prompt; a word is one
             token
  template   chat (gpt-5): tokens added to prompts are unknown: the server
             refused a prompt for one token (status 400)
  client     ok (busiest worker 10.00% CPU)

THRESHOLDS
  http_req_failed
    ✓ 'rate<0.05' rate=2.91%  103 samples
  http_req_duration
    ✓ 'p(95)<3000' p(95)=394.24ms  100 samples

LATENCY  of successful requests; failed and aborted ones have rows of their own
                              count    p50    p90    p95     p99   p99.9    max
  http_req_duration             100  349ms  389ms  394ms   398ms  ~399ms  399ms
  http_req_duration_failed        2  303ms  303ms  303ms  ~303ms  ~303ms  303ms
  http_req_duration_aborted       1  303ms  303ms  303ms  ~303ms  ~303ms  303ms
  http_req_waiting              100 40.0ms 40.0ms 40.0ms  40.0ms ~40.0ms 40.0ms
  http_req_connecting             1  150µs  150µs  150µs  ~150µs  ~150µs  150µs
  ttfe                           50 50.0ms 50.0ms 50.0ms ~50.0ms ~50.0ms 50.0ms
  ttft                           50  108ms  148ms  154ms  ~158ms  ~158ms  158ms
  ttfo                           50  108ms  148ms  154ms  ~158ms  ~158ms  158ms
  tbt                           100 20.0ms 20.0ms 20.0ms  20.0ms ~20.0ms 20.0ms
  tpot                           50 11.5ms 11.5ms 11.5ms ~11.5ms ~11.5ms 11.5ms
  stall                          50 25.0ms 25.0ms 25.0ms ~25.0ms ~25.0ms 25.0ms
  ~ of fewer than 100 samples (p99) or 1,000 (p99.9): the few slowest decide

ASKED AND GOT  the requested load beside the measured one
                                     asked p50     p99  got p50     p99      off
  chat: input tokens                         8       8        9       9    0.00%
  chat: output tokens                       25      25       21      21  100.00%
      100 % stopped early: finish_reason stop
  chat: prefix tokens                        4       4        0       0        -
      no token came from a cache: the server has none, or does not report it
  chat-stream: input tokens                  8       8        9       9    0.00%
  chat-stream: output tokens                25      25       21      21  100.00%
      100 % stopped early: finish_reason stop
  chat-stream: prefix tokens                 4       4        0       0        -
      no token came from a cache: the server has none, or does not report it

THROUGHPUT  rates cover the 4m30s measured
  http_reqs                       103      0.38/s
  tokens_output                  2202      8.16/s  counted by the server (usage)
  tokens_input                    918      3.40/s
  token_events                   1080         4/s  0.95 events per token
  data_received                630 kB   2.33 kB/s
  data_sent                   42.0 kB     156 B/s
  connections       opened 1, reused 104, stale retries 1
  at most           vus 50, connections 48

FAILURES  3 of 103 requests (2.91%)
  reset                             1       0.97%  after 603ms
  http_429                          1       0.97%  after 603ms
      retry-after 7s
      HTTP 429, retry-after 7: {\"error\":{\"message\":\"Rate limit exceeded\"}}
  check                             1       0.97%  after 603ms
  statuses          200: 103, 429: 1
  failed checks     choices: 1
  checks            208 of 209 held (99.52%)
  cancelled         1 abandoned by their users, as the profile asks
  interrupted       1 cut off by the end of the test, the oldest after 309ms

REQUESTS  p50, p95 and p99 of http_req_duration
                                count   failed      p50      p95      p99
  chat                             51        1    349ms    395ms   ~399ms
  chat-stream                      52        2    348ms    394ms   ~398ms

STREAMS  p50, p95 and p99 of ttft, then of tbt
                            ttft p50     p95     p99  tbt p50     p95     p99
  chat-stream                  108ms   154ms  ~158ms   20.0ms  20.0ms  20.0ms

STAGES  requests sent in each: p50, p95, p99 of http_req_duration, then of ttft
                   count failed    rate     p50     p95     p99 ttft p50     p95
  0s..30s            103      3  3.43/s   349ms   394ms   398ms    108ms   154ms
  30s..4m30s         103      3  0.43/s   349ms   394ms   398ms    108ms   154ms

SERVER  llmsim 0.6.0, started for this run
  CPU               12.3s (0.05 cores on average)
  memory            20.1 MB → at most 33.4 MB → 30.0 MB
  requests:         server counted 103, we sent 103 ✓
  rate_limit_errors: server counted 1, we saw 1 (429) ✓
  ttfe:             configured 10.0ms, measured 13.5ms on average, 3.50ms more ✗
  tokens:           server counted 1, we counted 1 ✓

OVER TIME  while the load was level; bands are of 99 %
  server's memory        too short to say  1.5 MB/h (-2.0 to 40.0), 1m01s..4m
  our memory             stable  1m01s..4m
  http_req_duration_p95  growing  394ms in the first tenth, 510ms in the last
";

#[test]
fn a_passing_run_reads_like_this() {
    let expected = PASSING;
    let text = text_of("pass");
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn the_summary_fits_a_screen_and_says_where_the_rest_is() {
    for (sort, doc) in all_sorts() {
        let text = render_brief(&doc, Style { color: false, width: 80 });
        assert!(text.lines().count() <= 45, "{sort}: {text}");
        assert!(text.ends_with("\n  more: --details, or a page with charts: --html FILE\n"), "{sort}: {text}");
        let whole = render(&doc, Style { color: false, width: 80 });
        assert_eq!(text.lines().next(), whole.lines().next(), "{sort}: the verdict");
    }
    let text = render_brief(&all_sorts()[0].1, Style { color: false, width: 80 });
    for part in [
        "  http_req_duration             100  349ms  389ms  394ms   398ms  ~399ms  399ms\n  ttft ",
        "\n  ~ of fewer than 100 samples",
        "\n    ✓ 'rate<0.05' rate=2.91%  103 samples\n",
        "\n  tokens_output                  2202      8.16/s  counted by the server (usage)\n",
        "\n  http_429                          1       0.97%  after 603ms\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    for detail in
        ["http_req_connecting", "STAGES", "SERVER", "ASKED AND GOT", "adds 1 token", "statuses", "connections  "]
    {
        assert!(!text.contains(detail), "{detail} in\n{text}");
    }
}

#[test]
fn rows_of_failures_do_not_stand_under_successes() {
    let text = text_of("dead server");
    assert!(!text.contains("of successful requests"), "{text}");
}

#[test]
fn what_failed_and_what_was_not_measured_is_visible() {
    assert!(text_of("fail").contains("  http_req_duration\n    ✗ 'p(95)<300' p(95)=394.24ms  100 samples\n"));
    let no_data = text_of("no data for a threshold");
    assert!(no_data.contains("  stall{request:chat}\n    ✗ 'p(95)<2s' no data: nothing was measured"), "{no_data}");
    assert!(text_of("interrupted").contains("  stopped    SIGINT\n"));
    let dead = text_of("dead server");
    assert!(dead.contains("FAILURES  1 of 1 request (100.00%)\n  connect_refused "), "{dead}");
    assert!(text_of("nothing at all").contains("FAILURES  no request finished\n"));
}

#[test]
fn a_client_at_its_limit_says_what_to_change() {
    let mut doc = document(&busy_tally(), &[], false);
    let signal = |name: &str, value, verdict| Signal {
        name: name.to_owned(),
        value,
        strained_above: 0.85,
        limit: 0.95,
        verdict,
        advice: "use more workers (--workers), leave them more cores, or use fewer users, and some more words"
            .to_owned(),
        explains: false,
    };
    doc.client.verdict = Validity::Bottleneck;
    doc.client.signals = vec![signal("worker_cpu", 0.99, Validity::Bottleneck), signal("steal", 0.001, Validity::Ok)];
    let text = render(&doc, PLAIN);
    assert!(text.contains("  client     bottleneck (busiest worker 99.00% CPU)\n"), "{text}");
    assert!(text.contains("    worker_cpu 0.99, limit 0.85\n      use more workers"), "{text}");
    assert!(!text.contains("steal"), "what is fine is not said: {text}");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn hints_stand_near_the_top_and_are_wrapped() {
    let mut doc = document(&busy_tally(), &[], false);
    doc.hints = vec![Hint { name: "nagle".to_owned(), text: "word ".repeat(40) }];
    let text = render(&doc, PLAIN);
    let at = text.find("HINTS").expect("hints");
    assert!(at < text.find("LATENCY").expect("latency"));
    assert!(text.contains("\n  - word") && text.lines().all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn counts_that_differ_are_marked() {
    let mut doc = document(&busy_tally(), &[], false);
    let errors = |ours| {
        let (name, statuses) = ("server_errors".to_owned(), vec![500, 503]);
        vec![ErrorAgreement { name, statuses, ours, server: 5 }]
    };
    doc.agreement = Some(Agreement { ours: 103, server: 102, errors: errors(5) });
    let text = render(&doc, PLAIN);
    assert!(text.contains("server counted 102, we sent 103 ✗\n"), "{text}");
    assert!(text.contains("  server_errors:    server counted 5, we saw 5 (500, 503) ✓\n"), "{text}");
    doc.agreement = Some(Agreement { ours: 103, server: 103, errors: errors(4) });
    assert!(render(&doc, PLAIN).contains("server counted 5, we saw 4 (500, 503) ✗\n"));
}

#[test]
fn long_and_hostile_texts_are_cut_and_cleaned() {
    let mut doc = document(&busy_tally(), &[], false);
    doc.target.url = format!("http://{}", "x".repeat(200));
    doc.target.server.version = Some("1.0\x1b[2J\nPASS".to_owned());
    doc.run.profile = "päröfile ".repeat(30);
    doc.failures.statuses = (100..600).map(|s| (s.to_string(), 12_345)).collect();
    let chat = doc.requests.remove("chat").expect("chat");
    doc.requests.insert("a-kind-of-request-with-a-very-long-name".to_owned(), chat);
    let text = render(&doc, PLAIN);
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    assert!(
        !text.contains('\x1b') && text.contains("1.0?[2J?PASS") && text.contains("a-kind-of-request-with-a-…"),
        "{text}"
    );
    for status in 100..600 {
        assert!(text.contains(&format!("{status}: 12345")), "{status}");
    }
    let wide = render(&doc, Style { color: false, width: 300 });
    assert!(wide.contains(&"x".repeat(200)));
}

#[test]
fn endpoints_stand_one_by_one_with_their_reasons() {
    let text = text_of("an endpoint that fails");
    assert!(text.starts_with("FAIL ✗  load: 1 of 3 endpoints failed\n"), "{text}");
    let expected = "
ENDPOINTS  each requested once before the load: 1 ok, 1 failed, 1 skipped
  ✓ chat-stream               12.5ms  POST /openai/v1/chat/completions (SSE)
  ✗ models                            POST /openai/v1/models
      http_5xx (status 500)
  - messages                          POST /anthropic/v1/messages
      skipped: status 404, so the server does not have it
";
    assert!(text.contains(expected), "{text}");
}

/// On a phone or in half a window, no line is wider than the page, and no word of a table is split.
#[test]
fn a_narrow_page_is_broken_at_words() {
    for (sort, doc) in all_sorts() {
        let wide = render(&doc, PLAIN);
        let words: std::collections::BTreeSet<&str> = wide.split_whitespace().collect();
        for width in [40, 60, 79] {
            let text = render(&doc, Style { color: false, width });
            for line in text.lines() {
                assert!(line.chars().count() <= usize::from(width), "{sort} at {width}: {line}");
                assert_eq!(line, line.trim_end(), "{sort} at {width}");
            }
            for word in text.split_whitespace().filter(|word| word.chars().all(char::is_alphanumeric)) {
                assert!(wide.contains(word), "{sort} at {width}: {word} of {words:?}");
            }
            assert!(!text.contains('…') || wide.contains('…'), "{sort} at {width}: {text}");
            let coloured = render(&doc, Style { color: true, width });
            assert_eq!(without_colour(&coloured), text, "{sort} at {width}");
        }
    }
    let text = render(&all_sorts()[0].1, Style { color: false, width: 40 });
    for part in [
        "PASS ✓  load: 2 of 2 thresholds held\n",
        "\n    ✓ 'rate<0.05' rate=2.91% 103 samples\n",
        "  http_req_duration\n    count 100, p50 349ms, p90 389ms,\n    p95 394ms, p99 398ms, p99.9 ~399ms,\n    max 399ms\n",
        "  http_reqs\n    103, 0.38/s\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}
