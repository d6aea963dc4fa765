//! A whole worker in a scripted world: connecting, timeouts, reconnects and the end of a test, with
//! exact instants. Nothing here waits: the clock moves when the worker does.

mod endings;
mod open;
mod retries;
mod rows;
mod shards;
mod starved;

use super::connect_queue::MAX_CONNECTING;
use super::state::READ_BUFFER_BYTES;
use super::*;
use crate::api::Api;
use crate::engine::budget::Budget;
use crate::engine::channels::{Ended, Inbox, Outbox};
use crate::engine::rows_ahead::RowInbox;
use crate::engine::script::{Act, Heard, World};
use crate::load::{Shape, Stage, ThinkTime};
use crate::metrics::{Counter, Failure, Summary, Tally, Trend};
use crate::mix::{After, BehaviorMix, Kind, Leave, Mix, Prompt, SlowReader, Timeouts, Tokens};
use crate::net::Target;
use crate::net::access::Proxy;
use crate::plan::Tuning;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const MS: Nanos = Nanos::from_millis(1);

fn ms(n: u64) -> Nanos {
    Nanos::from_millis(n)
}

fn kind(name: &str, stream: bool) -> Kind {
    Kind {
        name: name.to_owned(),
        weight: 1,
        api: Api::OpenaiChat,
        stream,
        websocket: false,
        path: Api::OpenaiChat.path().to_owned(),
        models: vec!["gpt-5".to_owned()],
        prompt: Prompt::texts(vec!["Hello".to_owned()]),
        model_weights: Vec::new(),
        max_tokens: Some(Tokens::fixed(10)),
        exact: false,
        limit_name: None,
        check_usage: true,
        body: serde_json::Map::new(),
        headers: Vec::new(),
        timeouts: Timeouts { connect: ms(400), first_byte: ms(700), stall: ms(200), total: ms(2_000) },
        retries: None,
        optional: false,
        behaviors: BehaviorMix::default(),
        conversation: None,
        template_tokens: crate::metrics::TemplateTokens::UNKNOWN,
        scenario: None,
        picture: None,
        custom: None,
    }
}

fn plan(shape: Shape, stream: bool) -> Plan {
    Plan {
        shape,
        graceful_stop: ms(500),
        mix: Mix { kinds: vec![kind("r", stream)] }.into(),
        target: Target {
            url: "http://127.0.0.1:1".to_owned(),
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: 1,
            path_prefix: String::new(),
            query: String::new(),
            addrs: vec![([127, 0, 0, 1], 1).into()],
        },
        tuning: Tuning { pin: false, ..Tuning::default() },
        ..Plan::example()
    }
}

fn iterations(vus: u32, iterations: u64) -> Shape {
    Shape::PerVuIterations { vus, iterations, max_duration: Nanos::from_secs(60) }
}

/// The results of a run.
struct Ran {
    summary: Summary,
    failures: Vec<(Failure, u64)>,
    connects: Vec<Nanos>,
    /// The summaries of each phase, one second after the other.
    phases: Vec<(u16, Summary)>,
    /// The tallies of each second and phase.
    seconds: BTreeMap<(u32, u16), Tally>,
    ended: Ended,
}

impl Ran {
    fn count(&self, counter: Counter) -> u64 {
        self.summary.counter(counter, None).map_or(0, |c| c.count)
    }

    /// Returns the lowest and the highest value of a trend in milliseconds, and their number.
    fn trend(&self, trend: Trend) -> Option<(f64, f64, u64)> {
        self.summary.trend(trend, None).map(|d| (d.min_ms(), d.max_ms(), d.count))
    }
}

fn run(plan: &Plan, peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static) -> Ran {
    run_until(plan, Nanos::MAX, peer)
}

/// Runs the plan, and raises the stop flag as soon as the clock reads `stop_at`.
fn run_until(plan: &Plan, stop_at: Nanos, peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static) -> Ran {
    run_on(Rc::new(Cell::new(Nanos::ZERO)), plan, stop_at, u64::MAX, peer)
}

/// As [`run_until`], with a clock that the peer may read.
fn run_on(
    now: Rc<Cell<Nanos>>,
    plan: &Plan,
    stop_at: Nanos,
    body_budget: u64,
    peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static,
) -> Ran {
    run_starved(now, plan, stop_at, body_budget, Vec::new(), peer)
}

/// As [`run_on`], with a worker that gets no core for a while.
fn run_starved(
    now: Rc<Cell<Nanos>>,
    plan: &Plan,
    stop_at: Nanos,
    body_budget: u64,
    starved: Vec<(Nanos, Nanos)>,
    peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static,
) -> Ran {
    run_supplied(now, plan, stop_at, body_budget, (starved, None), peer)
}

/// As [`run_starved`], with rows from elsewhere.
fn run_supplied(
    now: Rc<Cell<Nanos>>,
    plan: &Plan,
    stop_at: Nanos,
    body_budget: u64,
    (starved, rows): (Vec<(Nanos, Nanos)>, Option<RowInbox>),
    mut peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static,
) -> Ran {
    let stop = Rc::new(AtomicBool::new(false));
    let (flag, clock) = (Rc::clone(&stop), Rc::clone(&now));
    let mut world = World::new(Rc::clone(&now), move |heard| {
        if clock.get() >= stop_at {
            flag.store(true, Ordering::Relaxed);
        }
        peer(heard)
    });
    world.starved = starved;
    let connects = Rc::clone(&world.connects);
    let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed);
    let (reports, inbox) = std::sync::mpsc::channel();
    let (_empty, recycled) = std::sync::mpsc::channel();
    let (_told, news) = std::sync::mpsc::channel();
    let budget = Budget::new(body_budget);
    let channels =
        Channels { inbox: Inbox { stop: &stop, news, budget: &budget, rows }, outbox: Outbox { reports, recycled } };
    let dialer = Dialer::new(plan.targets(), &plan.access, 0, 8).expect("nothing that could fail");
    let worker = Worker::new(0, plan, writer, Clock::Script(now), Poller::Script(world), dialer, channels);
    worker.run().expect("a scripted world has no errors of its own");
    let mut total = Tally::new(plan.mix.kinds.len());
    let names: Vec<String> = plan.mix.kinds.iter().map(|k| k.name.clone()).collect();
    let (mut ended, mut phases, mut seconds) = (None, Vec::new(), BTreeMap::new());
    for report in inbox {
        phases.push((report.phase, Summary::new(&report.tally, &names, Nanos::from_secs(1))));
        total.append(&report.tally);
        total.settle();
        seconds
            .entry((report.second, report.phase))
            .or_insert_with(|| Tally::new(plan.mix.kinds.len()))
            .append(&report.tally);
        ended = ended.or(report.last);
    }
    let summary = Summary::new(&total, &names, Nanos::from_secs(1));
    let failures = summary.failures.iter().map(|(class, seen)| (*class, seen.count)).collect();
    let connects = connects.borrow().clone();
    Ran { summary, failures, connects, phases, seconds, ended: ended.expect("a worker says when it ends") }
}

const CHAT: &str =
    r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

fn plain() -> Act {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    Act::Send(format!("{head}{}\r\n\r\n{CHAT}", CHAT.len()).into_bytes())
}

fn stream_head() -> Act {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Act::Send(head.as_bytes().to_vec())
}

fn chunk(text: &str) -> Act {
    Act::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

fn token() -> Act {
    chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n")
}

fn stream_end() -> Act {
    Act::Send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n".to_vec())
}

/// Accepts every connection after a millisecond and responds to each request with `answer`.
fn serving(answer: impl Fn(usize) -> Vec<(Nanos, Act)> + 'static) -> impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> {
    let mut requests = 0;
    move |heard| match heard {
        Heard::Connect { .. } => vec![(MS, Act::Accept)],
        Heard::Bytes { .. } => {
            requests += 1;
            answer(requests - 1)
        }
    }
}

#[test]
fn a_stream_is_timed_to_the_nanosecond() {
    let at = |ns: u64| Nanos(50_000_000 + ns);
    let ran = run(
        &plan(iterations(1, 3), true),
        serving(move |_| {
            vec![
                (ms(5), stream_head()),
                (at(123), token()),
                (at(10_000_456), token()),
                (at(40_000_789), token()),
                (ms(100), stream_end()),
            ]
        }),
    );
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.trend(Trend::Ttft), Some((50.000_123, 50.000_123, 3)));
    assert_eq!(ran.trend(Trend::HttpReqWaiting), Some((5.0, 5.0, 3)));
    assert_eq!(ran.trend(Trend::Tbt), Some((10.000_333, 30.000_333, 6)));
    assert_eq!(ran.trend(Trend::Stall), Some((30.000_333, 30.000_333, 3)));
    assert_eq!(ran.trend(Trend::HttpReqDuration), Some((100.0, 100.0, 3)));
    assert_eq!(ran.trend(Trend::HttpReqConnecting), Some((1.0, 1.0, 1)), "one connection for all three");
    assert_eq!(ran.ended.at, ms(301));
    assert_eq!(ran.count(Counter::ConnectionsReused), 2);
}

#[test]
fn the_next_request_follows_in_the_same_instant() {
    let ran = run(&plan(iterations(2, 10), false), serving(|_| vec![(ms(7), plain())]));
    assert_eq!(ran.count(Counter::HttpReqs), 20);
    assert_eq!(ran.ended.at, ms(71), "ten answers of 7 ms and a connection, nothing in between");
}

#[test]
fn think_time_is_kept() {
    let mut plan = plan(iterations(1, 5), false);
    plan.think_time = ThinkTime { min: ms(30), max: ms(30) };
    let ran = run(&plan, serving(|_| vec![(ms(10), plain())]));
    assert_eq!(ran.count(Counter::HttpReqs), 5);
    let thinking = ran.ended.at.since(ms(1 + 5 * 10));
    assert!(thinking >= ms(4 * 30) && thinking < ms(4 * 30 + 5), "{thinking}");
}

/// Checks that all requests fail in `class`, and that each ends on its limit, at most a tick of the
/// wheel late.
fn ends_with(class: Failure, limit: Nanos, stream: bool, peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static) {
    let ran = run(&plan(iterations(1, 2), stream), peer);
    assert_eq!(ran.failures, [(class, 2)], "{class:?}");
    let (min, max, count) = ran.trend(Trend::HttpReqDurationAborted).expect("the time it took is recorded");
    assert_eq!(count, 2);
    let limit = limit.as_millis_f64();
    assert!(min >= limit && max <= limit + 1.0, "{class:?}: {min} to {max} ms");
    assert_eq!(ran.connects.len(), 2, "{class:?}: the connection is not used again");
}

#[test]
fn each_timeout_ends_its_request() {
    ends_with(Failure::ConnectTimeout, ms(400), false, |_| vec![]);
    ends_with(Failure::TimeoutFirstByte, ms(700), false, serving(|_| vec![]));
    ends_with(Failure::TimeoutFirstByte, ms(700), true, serving(|_| vec![]));
    let stalls = |_| vec![(ms(1), stream_head()), (ms(100), token()), (ms(150), token())];
    ends_with(Failure::TimeoutStall, ms(350), true, serving(stalls));
    let never_ends = |_| (0..100).map(|i| (ms(1 + 100 * i), if i == 0 { stream_head() } else { token() })).collect();
    ends_with(Failure::TimeoutTotal, ms(2_000), true, serving(never_ends));
}

#[test]
fn a_stream_whose_framing_stays_open_is_complete_all_the_same() {
    let ran = run(
        &plan(iterations(1, 2), true),
        serving(|_| vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), chunk("data: [DONE]\n\n"))]),
    );
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.trend(Trend::HttpReqDuration), Some((3.0, 3.0, 2)), "it ended with its terminal event");
    assert_eq!(ran.connects.len(), 2, "but its connection is not trusted");
}

#[test]
fn a_dead_server_is_met_with_back_off() {
    let shape = Shape::ConstantVus { vus: 1, duration: Nanos::from_secs(10) };
    let ran = run(&plan(shape, false), |_| vec![(MS, Act::Refuse)]);
    let gaps: Vec<u64> = ran.connects.windows(2).map(|w| w[1].since(w[0]).0 / 1_000_000).collect();
    assert_eq!(gaps, [101, 201, 401, 801, 1601, 3201], "doubling");
    assert_eq!(ran.failures, [(Failure::ConnectRefused, 7)]);
    assert_eq!(ran.count(Counter::ConnectionFailures), 7);
}

#[test]
fn back_off_ends_when_the_server_is_back() {
    let ran = run(&plan(iterations(1, 5), false), |heard| match heard {
        Heard::Connect { nth } if nth < 2 => vec![(MS, Act::Refuse)],
        Heard::Connect { .. } => vec![(MS, Act::Accept)],
        Heard::Bytes { .. } => vec![(ms(1), plain())],
    });
    assert_eq!(ran.failures, [(Failure::ConnectRefused, 2)]);
    assert_eq!(ran.count(Counter::HttpReqs), 5);
    assert_eq!(ran.connects, [ms(0), ms(101), ms(302)]);
}

#[test]
fn an_idle_connection_that_is_closed_is_opened_again_in_silence() {
    let mut plan = plan(iterations(1, 3), false);
    plan.think_time = ThinkTime { min: ms(50), max: ms(50) };
    let ran = run(&plan, serving(|_| vec![(ms(1), plain()), (ms(10), Act::Close)]));
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.count(Counter::StaleRetries), 0, "it was seen in time");
    assert_eq!(ran.count(Counter::ConnectionsOpened), 3);
}

#[test]
fn a_reused_connection_that_closes_before_it_answers_is_retried_once() {
    // Every second request on a connection meets a close.
    for act in [Act::Close, Act::Reset] {
        let per_connection = Rc::new(RefCell::new(vec![0; 100]));
        let ran = run(&plan(iterations(1, 4), false), move |heard| match heard {
            Heard::Connect { .. } => vec![(MS, Act::Accept)],
            Heard::Bytes { connection, .. } => {
                per_connection.borrow_mut()[connection] += 1;
                let first = per_connection.borrow()[connection] == 1;
                vec![(ms(3), if first { plain() } else { act.clone() })]
            }
        });
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!(ran.count(Counter::HttpReqs), 4);
        assert_eq!(ran.count(Counter::StaleRetries), 3);
        assert_eq!(ran.trend(Trend::HttpReqDuration), Some((3.0, 7.0, 4)), "the clock goes on from the first attempt");
    }
}

#[test]
fn a_new_connection_that_closes_or_resets_is_a_failure() {
    let ran = run(&plan(iterations(1, 2), false), serving(|_| vec![(ms(1), Act::Close)]));
    assert_eq!(ran.failures, [(Failure::ClosedEarly, 2)]);
    let ran = run(&plan(iterations(1, 2), false), serving(|_| vec![(ms(1), Act::Reset)]));
    assert_eq!(ran.failures, [(Failure::Reset, 2)]);
    let ran = run(
        &plan(iterations(1, 2), true),
        serving(|_| vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), Act::Close)]),
    );
    assert_eq!(ran.failures, [(Failure::ClosedEarly, 2)]);
}

#[test]
fn an_answer_before_the_request_was_written_is_read_and_the_connection_closed() {
    let too_much = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
    let ran = run(&plan(iterations(1, 2), false), move |heard| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Throttle(20)), (MS, Act::Accept)],
        Heard::Bytes { .. } => vec![(ms(1), Act::Send(too_much.as_bytes().to_vec()))],
    });
    assert_eq!(ran.failures, [(Failure::Http4xx, 2)]);
    assert_eq!(ran.connects.len(), 2);
    assert_eq!(ran.count(Counter::DataSent), 40);
}

#[test]
fn a_request_that_does_not_fit_is_written_bit_by_bit() {
    let whole = Rc::new(RefCell::new(Vec::new()));
    let heard_bytes = Rc::clone(&whole);
    let ran = run(&plan(iterations(1, 1), false), move |heard| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Throttle(10)), (MS, Act::Accept)],
        Heard::Bytes { bytes, .. } => {
            whole.borrow_mut().extend_from_slice(bytes);
            let text = String::from_utf8_lossy(&whole.borrow()).into_owned();
            if text.ends_with('}') { vec![(ms(1), plain())] } else { vec![(ms(1), Act::Take(10))] }
        }
    });
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let request = String::from_utf8(heard_bytes.borrow().clone()).expect("text");
    assert!(request.starts_with("POST /openai/v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert_eq!(ran.count(Counter::DataSent), request.len() as u64);
}

#[test]
fn an_answer_larger_than_the_buffer_is_read_whole_and_others_are_served_meanwhile() {
    let filler = "x".repeat(READ_BUFFER_BYTES * READS_PER_PASS * 2);
    let body = CHAT.replace("hi", &filler);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let answer = Act::Send((head + &body).into_bytes());
    let ran = run(&plan(iterations(1, 2), false), serving(move |_| vec![(ms(1), answer.clone())]));
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.count(Counter::HttpReqs), 2);
}

#[test]
fn one_byte_at_a_time_is_slow_but_whole() {
    let ran = run(
        &plan(iterations(1, 1), true),
        serving(|_| {
            let Act::Send(mut text) = stream_head() else { unreachable!() };
            for act in [token(), token(), stream_end()] {
                let Act::Send(bytes) = act else { unreachable!() };
                text.extend(bytes);
            }
            text.iter().enumerate().map(|(i, b)| (Nanos::from_micros(100 * i as u64), Act::Send(vec![*b]))).collect()
        }),
    );
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.count(Counter::TokenEvents), 2);
}

#[test]
fn requests_under_way_at_the_end_may_finish_or_are_cut_off_and_counted() {
    let shape = Shape::ConstantVus { vus: 3, duration: ms(1_000) };
    // Responses after 400 ms: 1, 401, 801 → 1201 is after the end, within the grace of 500 ms.
    let ran = run(&plan(shape.clone(), false), serving(|_| vec![(ms(400), plain())]));
    assert_eq!(ran.count(Counter::HttpReqs), 9);
    assert_eq!(ran.count(Counter::Interrupted), 0);
    assert_eq!(ran.ended.at, ms(1_201));
    // Rates count only what arrived in the window.
    assert!((ran.summary.counter(Counter::HttpReqs, None).map_or(0.0, |c| c.rate) - 6.0).abs() < 1e-9);

    let mut slow = plan(shape, false);
    let timeouts = &mut Arc::make_mut(&mut slow.mix).kinds[0].timeouts;
    timeouts.first_byte = ms(5_000);
    timeouts.total = ms(5_000);
    let ran = run(&slow, serving(|_| vec![(ms(4_000), plain())]));
    assert_eq!(ran.count(Counter::HttpReqs), 0);
    assert_eq!(ran.count(Counter::Interrupted), 3);
    assert!(ran.failures.is_empty(), "cut off by us, not failed by the server");
    assert_eq!(ran.trend(Trend::InterruptedAge), Some((1_499.0, 1_499.0, 3)));
    assert_eq!(ran.ended.at, ms(1_500));
}

#[test]
#[expect(clippy::float_cmp, reason = "these numbers are whole, and that is what is tested")]
fn a_request_belongs_to_the_phase_it_was_sent_in() {
    let shape = Shape::ConstantVus { vus: 1, duration: ms(1_000) };
    let plan = Plan { warmup: ms(300), cooldown: ms(250), ..plan(shape, true) };
    // Sent at 1, 401 and 801, each with a token after 100 ms, another after 300, and an end after
    // 400.
    let stream = || vec![(ms(5), stream_head()), (ms(100), token()), (ms(300), token()), (ms(400), stream_end())];
    let ran = run(&plan, serving(move |_| stream()));
    let of = |phase: u16, what: &dyn Fn(&Summary) -> f64| -> f64 {
        ran.phases.iter().filter(|(of, _)| *of == phase).map(|(_, summary)| what(summary)).sum()
    };
    let count = |counter: Counter| move |s: &Summary| s.counter(counter, None).map_or(0.0, |c| c.count as f64);
    let arrived = |counter: Counter| move |s: &Summary| s.counter(counter, None).map_or(0.0, |c| c.rate);
    for (counter, counts, arrivals) in [
        // The window is from 300 to 750: the first request's end and its second token arrive in it,
        // and both tokens of the second.
        (Counter::HttpReqs, [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
        (Counter::TokenEvents, [2.0, 2.0, 2.0], [1.0, 2.0, 0.0]),
    ] {
        assert_eq!([0, 1, 2].map(|phase| of(phase, &count(counter))), counts, "{}", counter.name());
        assert_eq!([0, 1, 2].map(|phase| of(phase, &arrived(counter))), arrivals, "{}", counter.name());
    }
    let gaps = |s: &Summary| s.trend(Trend::Tbt, None).map_or(0.0, |d| d.count as f64);
    assert_eq!([0, 1, 2].map(|phase| of(phase, &gaps)), [1.0, 1.0, 1.0], "gaps are those of their requests");
    assert_eq!(ran.count(Counter::HttpReqs), 3, "phases add up to the whole");
}

#[test]
fn users_that_are_ramped_away_close_their_connections_and_come_back() {
    let stages = vec![
        Stage { duration: Nanos::ZERO, target: 4 },
        Stage { duration: ms(1_000), target: 4 },
        Stage { duration: Nanos::ZERO, target: 0 },
        Stage { duration: ms(1_000), target: 0 },
        Stage { duration: Nanos::ZERO, target: 4 },
        Stage { duration: ms(1_000), target: 4 },
    ];
    let shape = Shape::RampingVus { start_vus: 4, stages, graceful_ramp_down: ms(100) };
    let ran = run(&plan(shape, false), serving(|n| vec![(ms(if n < 8 { 600 } else { 50 }), plain())]));
    // Each user's second request began at 601 and is cut off at 1,100, when its grace ends.
    assert_eq!(ran.count(Counter::Interrupted), 4);
    assert_eq!(ran.connects.len(), 8, "four at first and four that came back");
    assert_eq!(ran.connects[4], ms(2_000));
    assert_eq!(ran.summary.gauge(Gauge::Connections).map(|g| g.max), Some(4));
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
}

#[test]
fn the_stop_flag_ends_a_run_gracefully() {
    let shape = Shape::ConstantVus { vus: 2, duration: Nanos::from_secs(3600) };
    let ran = run_until(&plan(shape, false), ms(1_000), serving(|_| vec![(ms(100), plain())]));
    assert!(ran.failures.is_empty());
    assert_eq!(ran.count(Counter::Interrupted), 0, "what was under route finished");
    let stopped = ran.ended.stopped.expect("it knows that it was stopped");
    assert!(stopped >= ms(1_000) && ran.ended.at <= stopped + ms(101), "{ran_at}", ran_at = ran.ended.at);
}

#[test]
fn a_stop_in_the_final_drain_cuts_off_what_is_left() {
    let mut plan = plan(Shape::ConstantVus { vus: 1, duration: ms(100) }, false);
    plan.graceful_stop = Nanos::from_secs(30);
    // The second request meets a connection that is closed at 101 ms, in the drain; its second
    // attempt raises the flag.
    let answers = |nth| if nth == 0 { vec![(ms(90), plain())] } else { vec![(ms(10), Act::Close)] };
    let ran = run_until(&plan, ms(101), serving(answers));
    assert_eq!((ran.count(Counter::HttpReqs), ran.count(Counter::Interrupted)), (1, 1), "nothing is lost");
    assert!(ran.ended.at < ms(200), "it does not wait for the grace: {}", ran.ended.at);
}

#[test]
fn five_hundred_users_start_without_a_storm() {
    let shape = Shape::ConstantVus { vus: 500, duration: ms(100) };
    let mut connecting: usize = 0;
    let ran = run(&plan(shape, false), move |heard| match heard {
        Heard::Connect { .. } => {
            connecting += 1;
            // No connection is accepted before 256 have begun: no more may be opening at once.
            vec![(if connecting <= MAX_CONNECTING { ms(10) } else { ms(1) }, Act::Accept)]
        }
        Heard::Bytes { .. } => vec![(ms(20), plain())],
    });
    assert_eq!(ran.connects.iter().filter(|at| **at < ms(10)).count(), MAX_CONNECTING);
    assert_eq!(ran.connects.len(), 500);
    assert!(ran.failures.is_empty());
}

/// A stream whose bytes are noticed later than the kernel received them.
fn late_by(late: Nanos) -> impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> {
    serving(move |nth| {
        // Requests follow each other at known instants: the first at 1 ms, each later one when the
        // end of the one before was noticed.
        let sent = ms(1) + Nanos((ms(100) + late).0 * nth as u64);
        let act = |at: u64, act: Act| {
            let Act::Send(bytes) = act else { unreachable!() };
            (ms(at) + late, Act::SendStamped(bytes, sent + ms(at)))
        };
        vec![act(5, stream_head()), act(50, token()), act(60, token()), act(90, token()), act(100, stream_end())]
    })
}

#[test]
fn arrivals_are_those_of_the_kernel_not_ours() {
    let ran = run(&plan(iterations(1, 3), true), late_by(ms(7)));
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.trend(Trend::Ttft), Some((50.0, 50.0, 3)));
    assert_eq!(ran.trend(Trend::Tbt), Some((10.0, 30.0, 6)));
    assert_eq!(ran.trend(Trend::HttpReqDuration), Some((100.0, 100.0, 3)));
    assert_eq!(ran.trend(Trend::ClientLag), Some((7.0, 7.0, 15)), "and how late we were is said");
}

#[test]
fn without_stamps_lateness_is_in_the_numbers() {
    let mut plan = plan(iterations(1, 3), true);
    plan.tuning.rx_timestamps = Some(false);
    let ran = run(&plan, late_by(ms(7)));
    assert_eq!(ran.trend(Trend::Ttft), Some((57.0, 57.0, 3)));
    assert_eq!(ran.trend(Trend::ClientLag), None);
}

#[test]
fn a_stamp_before_the_request_or_in_the_future_is_not_believed() {
    for stamp in [Nanos::ZERO, Nanos::from_secs(1000)] {
        let ran = run(
            &plan(iterations(1, 2), true),
            serving(move |_| {
                let acts = [(5, stream_head()), (50, token()), (60, stream_end())];
                let stamped = acts.into_iter().map(|(at, act)| {
                    let Act::Send(bytes) = act else { unreachable!() };
                    (ms(at), Act::SendStamped(bytes, stamp))
                });
                stamped.collect()
            }),
        );
        let (min, max, _) = ran.trend(Trend::Ttft).expect("ttft");
        assert!(min >= 0.0 && max <= 50.0, "{min} to {max}");
    }
}

#[test]
fn missing_stamps_are_counted_and_replaced_by_our_clock() {
    let ran = run(
        &plan(iterations(1, 1), true),
        serving(|_| vec![(ms(5), stream_head()), (ms(50), token()), (ms(60), stream_end())]),
    );
    assert_eq!(ran.count(Counter::StampsMissing), 3);
    assert_eq!(ran.trend(Trend::Ttft), Some((50.0, 50.0, 1)));
}

#[test]
fn several_tokens_of_one_late_read_are_censored_with_stamps_too() {
    let ran = run(
        &plan(iterations(1, 1), true),
        serving(|_| {
            let mut heap = Vec::new();
            for act in [token(), token(), token()] {
                let Act::Send(bytes) = act else { unreachable!() };
                heap.extend(bytes);
            }
            // Three tokens came while the worker waited and was not woken, the last of them 10 ms
            // before they were read.
            let late = Act::SendStamped(heap, ms(1 + 45));
            vec![(ms(1), stream_head()), (ms(10), token()), (ms(55), late), (ms(90), stream_end())]
        }),
    );
    assert_eq!(ran.count(Counter::TbtCensored), 3);
    assert_eq!(ran.trend(Trend::Tbt), None);
}

#[test]
fn with_many_streams_polls_are_paused_and_times_stay_those_of_the_kernel() {
    let polled = |plan: &Plan| {
        let ran = run(
            plan,
            serving(|nth| {
                let sent = ms(1);
                // Each stream's tokens lie a little apart from the others': without a pause each
                // token would wake the worker.
                let own = Nanos::from_micros(3 * (nth as u64 % 300));
                let act = |at: u64, act: Act| {
                    let Act::Send(bytes) = act else { unreachable!() };
                    (ms(at) + own, Act::SendStamped(bytes, sent + ms(at) + own))
                };
                let tokens = (1..200).map(|i| act(10 * i, token()));
                [act(1, stream_head())].into_iter().chain(tokens).chain([act(1995, stream_end())]).collect()
            }),
        );
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        let tbt = ran.trend(Trend::Tbt).expect("gaps");
        assert!((tbt.0 - 10.0).abs() < 1e-6 && (tbt.1 - 10.0).abs() < 1e-6, "{tbt:?}");
        assert_eq!(ran.count(Counter::TbtCensored), 0);
        ran.summary.trend(Trend::PassLength, None).map_or(0, |d| d.count)
    };
    let mut plan = plan(iterations(300, 1), true);
    plan.tuning.poll_interval = Some(Nanos::ZERO);
    let without = polled(&plan);
    plan.tuning.poll_interval = Some(Nanos::from_micros(900));
    let with = polled(&plan);
    assert!(with * 20 < without, "{with} passes with a pause, {without} without");
    plan.tuning.poll_interval = None;
    let chosen = polled(&plan);
    assert!(
        with < chosen && chosen * 3 < without * 2,
        "{chosen}: after the first second the pause is chosen by itself"
    );
}

// ---- users who do not wait for the whole response ---------------------------------------------

fn with_behaviors(behaviors: BehaviorMix, iterations_: u64, stream: bool) -> Plan {
    let mut plan = plan(iterations(1, iterations_), stream);
    Arc::make_mut(&mut plan.mix).kinds[0].behaviors = behaviors;
    plan
}

fn leaving(after: After, by_reset: bool) -> BehaviorMix {
    let leave = Some(Leave { after, share: 1.0 });
    if by_reset {
        BehaviorMix { drop: leave, ..BehaviorMix::default() }
    } else {
        BehaviorMix { cancel: leave, ..BehaviorMix::default() }
    }
}

fn five_tokens() -> Vec<(Nanos, Act)> {
    let tokens = (1..=5).map(|i| (ms(10 * i), token()));
    std::iter::once((ms(1), stream_head())).chain(tokens).chain([(ms(60), stream_end())]).collect()
}

#[test]
fn a_user_who_has_seen_enough_tokens_gives_up_and_nobody_failed() {
    for by_reset in [false, true] {
        let ran = run(&with_behaviors(leaving(After::Tokens(3), by_reset), 2, true), serving(|_| five_tokens()));
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!((ran.count(Counter::Cancelled), ran.count(Counter::HttpReqs)), (2, 0));
        assert_eq!((ran.count(Counter::HttpReqsStarted), ran.count(Counter::Iterations)), (2, 2));
        assert_eq!(ran.count(Counter::TokenEvents), 6, "what came, came");
        assert_eq!(ran.trend(Trend::Tbt), Some((10.0, 10.0, 4)), "and so did the gaps");
        for trend in [Trend::Ttft, Trend::HttpReqDuration, Trend::HttpReqWaiting, Trend::Tpot, Trend::InterruptedAge] {
            assert_eq!(ran.trend(trend), None, "{}", trend.name());
        }
        assert_eq!(
            ran.connects,
            [ms(0), ms(31)],
            "the connection is not used again, and the next request follows at once"
        );
    }
}

#[test]
fn a_user_gives_up_after_a_time_whatever_has_come() {
    let patience = leaving(After::Time(ms(35)), false);
    for (stream, answer) in [(true, five_tokens as fn() -> _), (false, Vec::new)] {
        let ran = run(&with_behaviors(patience, 1, stream), serving(move |_| answer()));
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!((ran.count(Counter::Cancelled), ran.count(Counter::HttpReqs)), (1, 0));
        assert!(ran.ended.at >= ms(36) && ran.ended.at <= ms(37), "{}", ran.ended.at);
    }
}

#[test]
fn whoever_got_the_whole_answer_in_time_did_not_give_up() {
    for after in [After::Tokens(6), After::Time(ms(61))] {
        let ran = run(&with_behaviors(leaving(after, false), 2, true), serving(|_| five_tokens()));
        assert_eq!((ran.count(Counter::Cancelled), ran.count(Counter::HttpReqs)), (0, 2), "{after:?}");
        assert_eq!(ran.connects.len(), 1);
    }
    // The terminal event has come, and only the framing stays open.
    let open = |_| vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), chunk("data: [DONE]\n\n"))];
    let ran = run(&with_behaviors(leaving(After::Time(ms(500)), false), 1, true), serving(open));
    assert_eq!((ran.count(Counter::Cancelled), ran.count(Counter::HttpReqs)), (0, 1));
}

#[test]
fn what_was_wrong_before_the_user_left_is_a_failure() {
    let error = |_| vec![(ms(1), Act::Send(b"HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\n{".to_vec()))];
    let ran = run(&with_behaviors(leaving(After::Time(ms(20)), false), 1, true), serving(error));
    assert_eq!(ran.failures, [(Failure::Http5xx, 1)]);
    assert_eq!(ran.count(Counter::Cancelled), 0);
    // A limit that passes before the user's patience ends is the server's failure.
    let ran = run(&with_behaviors(leaving(After::Time(ms(800)), false), 1, true), serving(|_| vec![]));
    assert_eq!(ran.failures, [(Failure::TimeoutFirstByte, 1)]);
}

#[test]
fn a_slow_reader_reads_at_its_pace_on_connections_of_its_own() {
    let slow_reader = Some(SlowReader { bytes_per_second: 1_000, share: 1.0 });
    let behavior = BehaviorMix { slow_reader, ..BehaviorMix::default() };
    let Act::Send(mut whole) = stream_head() else { unreachable!() };
    for act in [token(), token(), token(), token(), token(), stream_end()] {
        let Act::Send(bytes) = act else { unreachable!() };
        whole.extend(bytes);
    }
    let bytes = whole.len() as u64;
    assert!(bytes > 300, "more than a few portions: {bytes}");
    let answer = Act::Send(whole);
    let ran = run(&with_behaviors(behavior, 2, true), serving(move |_| vec![(ms(1), answer.clone())]));
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.count(Counter::DataReceived), 2 * bytes);
    let (min, max, _) = ran.trend(Trend::HttpReqDuration).expect("successes");
    let portions = (bytes - 1) / 100;
    assert!(min >= (1 + 100 * portions) as f64 && max < (10 + 103 * portions) as f64, "{min} {max} of {bytes} bytes");
    let (ttft, _, _) = ran.trend(Trend::Ttft).expect("tokens");
    assert!(ttft > 100.0, "tokens are dated by when they are read: {ttft}");
    assert_eq!(ran.connects.len(), 2);
    assert_eq!(ran.trend(Trend::ClientLag), None, "its pace says nothing about this tool");
    assert_eq!(ran.count(Counter::TbtCensored), 0);
}

#[test]
fn started_requests_end_once() {
    for (stop_at, behavior) in [
        (Nanos::MAX, BehaviorMix::default()),
        (ms(95), leaving(After::Tokens(3), false)),
        (ms(333), leaving(After::Time(ms(25)), true)),
    ] {
        let mut plan = with_behaviors(behavior, 1, true);
        plan.shape = Shape::ConstantVus { vus: 7, duration: ms(700) };
        plan.graceful_stop = ms(20);
        Arc::make_mut(&mut plan.mix).kinds[0].behaviors = behavior;
        let ran = run_until(
            &plan,
            stop_at,
            serving(|n| match n % 4 {
                0 => five_tokens(),
                1 => vec![(ms(3), Act::Reset)],
                2 => vec![(ms(2), stream_head()), (ms(4), token()), (ms(5), Act::Close)],
                _ => vec![(ms(1), stream_head())],
            }),
        );
        let ends = [Counter::HttpReqs, Counter::Cancelled, Counter::Interrupted].map(|c| ran.count(c));
        assert_eq!(ran.count(Counter::HttpReqsStarted), ends.iter().sum::<u64>(), "{ends:?}");
        assert!(ends[0] > 0 && ends[2] > 0, "{ends:?}");
    }
}

#[test]
fn a_failure_comes_with_an_example_that_hides_the_key() {
    let mut plan = plan(iterations(1, 3), false);
    plan.credentials.api_key = Some(crate::plan::Secret::new("open-sesame".to_owned()));
    let body = r#"{"error":"no such key: open-sesame"}"#;
    let head = format!("HTTP/1.1 429 No\r\nretry-after: 9\r\ncontent-length: {}\r\n\r\n", body.len());
    let ran = run(&plan, serving(move |_| vec![(ms(5), Act::Send((head.clone() + body).into_bytes()))]));
    let (class, seen) = &ran.summary.failures[0];
    assert_eq!((*class, seen.count, seen.retry_after_s), (Failure::Http429, 3, Some((9, 9))));
    assert_eq!(seen.span, Some((ms(6), ms(16))));
    let example = seen.example.as_ref().expect("an example");
    assert_eq!(example.at, ms(6));
    assert_eq!(example.text, r#"HTTP 429, retry-after 9: {"error":"no such key: [hidden]"}"#);
    let ran = run(&self::plan(iterations(1, 1), false), |_| vec![(MS, Act::Refuse)]);
    let example = ran.summary.failures[0].1.example.as_ref().expect("an example");
    assert_eq!(example.text, "no response: connection refused");
    let mut through = self::plan(iterations(1, 1), false);
    let proxy =
        Proxy { host: "gate".to_owned(), port: 3128, addrs: vec!["127.0.0.1:3128".parse().expect("an address")] };
    through.access.proxy = Some(proxy);
    let ran = run(&through, |_| vec![(MS, Act::Refuse)]);
    let example = ran.summary.failures[0].1.example.as_ref().expect("an example");
    assert_eq!(example.text, "no response from the proxy gate:3128: connection refused");
}
