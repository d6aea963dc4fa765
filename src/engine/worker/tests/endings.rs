//! The endings of requests: the same ending has the same verdict, however its bytes are cut and
//! whenever they come.

use super::*;
use std::sync::Arc;

/// Responds to each request of a connection by its number on the connection.
fn by_turn(answer: impl Fn(usize) -> Vec<(Nanos, Act)> + 'static) -> impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> {
    let mut requests = BTreeMap::<usize, usize>::new();
    move |heard| match heard {
        Heard::Connect { .. } => vec![(MS, Act::Accept)],
        Heard::Bytes { connection, .. } => {
            let nth = requests.entry(connection).or_default();
            *nth += 1;
            answer(*nth - 1)
        }
    }
}

fn send(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

/// Acts as one read.
fn joined(acts: &[Act]) -> Act {
    let mut whole = Vec::new();
    for act in acts {
        let Act::Send(bytes) = act else { unreachable!("only bytes can be joined") };
        whole.extend_from_slice(bytes);
    }
    Act::Send(whole)
}

// ---- requests that are sent a second time -----------------------------------------------------

#[test]
fn a_request_that_the_server_can_have_begun_is_not_sent_again() {
    for (act, class) in [(Act::Close, Failure::ClosedEarly), (Act::Reset, Failure::Reset)] {
        for after in [30, 600] {
            let act = act.clone();
            let ran = run(
                &plan(iterations(1, 4), false),
                by_turn(move |nth| if nth == 0 { vec![(ms(3), plain())] } else { vec![(ms(after), act.clone())] }),
            );
            assert_eq!(ran.failures, [(class, 2)], "after {after} ms");
            assert_eq!(ran.count(Counter::StaleRetries), 0);
            let lost = ran.trend(Trend::HttpReqDurationAborted).expect("the lost time is in a number");
            assert_eq!(lost, (after as f64, after as f64, 2));
        }
    }
}

#[test]
fn the_race_with_an_idle_close_is_as_long_as_a_round_trip() {
    // Connecting takes 40 ms, so a close that was under way is seen up to 40 ms after the send.
    for (after, retries) in [(45, 1), (60, 0)] {
        let mut requests = 0;
        let ran = run(&plan(iterations(1, 2), false), move |heard| match heard {
            Heard::Connect { .. } => vec![(ms(40), Act::Accept)],
            Heard::Bytes { .. } => {
                requests += 1;
                if requests == 2 { vec![(ms(after), Act::Close)] } else { vec![(ms(1), plain())] }
            }
        });
        assert_eq!(ran.count(Counter::StaleRetries), retries, "after {after} ms");
        assert_eq!(ran.failures.len() as u64, 1 - retries);
    }
}

#[test]
fn a_request_is_sent_again_once_and_its_clock_goes_on() {
    let seen = Rc::new(RefCell::new(0));
    let requests = Rc::clone(&seen);
    let ran = run(&plan(iterations(1, 2), false), move |heard| match heard {
        Heard::Connect { nth } => vec![(if nth == 0 { MS } else { ms(20) }, Act::Accept)],
        Heard::Bytes { .. } => {
            *requests.borrow_mut() += 1;
            match *requests.borrow() {
                1 => vec![(ms(1), plain())],
                2 => vec![(ms(2), Act::Close)],
                _ => vec![(ms(5), Act::Close)],
            }
        }
    });
    assert_eq!(*seen.borrow(), 3, "not a third time");
    assert_eq!(ran.failures, [(Failure::ClosedEarly, 1)]);
    assert_eq!(ran.trend(Trend::HttpReqDurationAborted), Some((27.0, 27.0, 1)), "2 ms, 20 ms to connect, 5 ms");
}

// ---- streams that are whole before their framing is -------------------------------------------

#[test]
fn a_stream_is_whole_at_its_terminal_event_whatever_follows() {
    let done = || chunk("data: [DONE]\n\n");
    let half = || send("0\r\n");
    let follow_ups: [(&str, Vec<Act>, bool); 7] = [
        ("silence", vec![], false),
        ("a close", vec![Act::Close], false),
        ("a reset", vec![Act::Reset], false),
        ("half an end and silence", vec![half()], false),
        ("half an end and a close", vec![half(), Act::Close], false),
        ("an event after the end", vec![chunk("data: {\"error\":{\"message\":\"late\"}}\n\n"), Act::Close], false),
        ("the last chunk", vec![send("0\r\n\r\n")], true),
    ];
    for (name, follow_up, reused) in follow_ups {
        for together in [false, true] {
            for apart in [0, 30] {
                let (done, follow_up) = (done(), follow_up.clone());
                let ran = run(
                    &plan(iterations(1, 2), true),
                    serving(move |_| {
                        let mut acts = vec![(ms(1), stream_head()), (ms(2), token())];
                        let first = follow_up.first();
                        if let (true, Some(Act::Send(_))) = (together, first) {
                            acts.push((ms(3), joined(&[done.clone(), follow_up[0].clone()])));
                            acts.extend(follow_up[1..].iter().map(|act| (ms(3 + apart), act.clone())));
                        } else {
                            acts.push((ms(3), done.clone()));
                            acts.extend(follow_up.iter().map(|act| (ms(3 + apart), act.clone())));
                        }
                        acts
                    }),
                );
                let case = format!("{name}, {apart} ms later, together: {together}");
                assert!(ran.failures.is_empty(), "{case}: {:?}", ran.failures);
                assert_eq!(ran.count(Counter::HttpReqs), 2, "{case}");
                assert_eq!(ran.count(Counter::TokenEvents), 2, "{case}");
                assert_eq!(ran.count(Counter::UnfinishedStreams), if reused { 0 } else { 2 }, "{case}");
                assert_eq!(ran.connects.len(), if reused { 1 } else { 2 }, "{case}");
                if !reused {
                    assert_eq!(ran.trend(Trend::HttpReqDuration), Some((3.0, 3.0, 2)), "{case}");
                }
                assert!(ran.ended.at < ms(600), "{case}: nobody waits for a timeout: {}", ran.ended.at);
            }
        }
    }
}

#[test]
fn a_stream_that_a_length_frames_is_whole_at_its_terminal_event_too() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n";
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    for end in [vec![], vec![(ms(4), Act::Close)], vec![(ms(4), Act::Reset)]] {
        let ran = run(
            &plan(iterations(1, 2), true),
            serving(move |_| {
                let mut acts = vec![(ms(3), send(&format!("{head}{event}data: [DONE]\n\n")))];
                acts.extend(end.clone());
                acts
            }),
        );
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!((ran.count(Counter::HttpReqs), ran.connects.len()), (2, 2));
    }
}

#[test]
fn without_its_terminal_event_a_stream_is_not_whole() {
    for (act, class) in [(Act::Close, Failure::ClosedEarly), (Act::Reset, Failure::Reset)] {
        let ran = run(
            &plan(iterations(1, 2), true),
            serving(move |_| vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), act.clone())]),
        );
        assert_eq!(ran.failures, [(class, 2)]);
    }
}

#[test]
fn the_end_of_the_test_does_not_interrupt_a_whole_stream() {
    let mut plan = plan(Shape::ConstantVus { vus: 1, duration: ms(100) }, true);
    plan.graceful_stop = ms(10);
    let ran =
        run(&plan, serving(|_| vec![(ms(1), stream_head()), (ms(90), token()), (ms(95), chunk("data: [DONE]\n\n"))]));
    assert_eq!((ran.count(Counter::HttpReqs), ran.count(Counter::Interrupted)), (1, 0));
    assert_eq!(ran.trend(Trend::HttpReqDuration), Some((95.0, 95.0, 1)));
}

// ---- bytes after the end ----------------------------------------------------------------------

#[test]
fn a_stray_line_end_is_skipped_whenever_it_comes() {
    // In one read with the end, 2 ms later while the user thinks, and 2 ms after the next request
    // was sent.
    for (together, think) in [(true, 0), (false, 20), (false, 0)] {
        for stray in ["\r\n", "\n", "\r\n\r\n"] {
            let mut plan = plan(iterations(1, 3), false);
            plan.think_time = ThinkTime { min: ms(think), max: ms(think) };
            let ran = run(
                &plan,
                serving(move |_| {
                    let more = send(stray);
                    if together {
                        vec![(ms(5), joined(&[plain(), more]))]
                    } else {
                        vec![(ms(5), plain()), (ms(7), more)]
                    }
                }),
            );
            let case = format!("together: {together}, {think} ms, {stray:?}");
            assert!(ran.failures.is_empty(), "{case}: {:?}", ran.failures);
            assert_eq!(ran.count(Counter::HttpReqs), 3, "{case}");
            assert!(ran.connects.len() >= 2, "{case}: a connection is not used again after that");
        }
    }
}

#[test]
fn other_bytes_after_an_end_fail_the_response_that_they_follow() {
    let many = "\r\n".repeat(20);
    for more in ["x", "0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", many.as_str()] {
        for (together, think) in [(true, 0), (true, 20), (false, 20)] {
            let more = more.to_owned();
            let mut plan = plan(iterations(1, 3), false);
            plan.think_time = ThinkTime { min: ms(think), max: ms(think) };
            let ran = run(
                &plan,
                serving(move |_| {
                    let more = send(&more);
                    if together {
                        vec![(ms(5), joined(&[plain(), more]))]
                    } else {
                        vec![(ms(5), plain()), (ms(7), more)]
                    }
                }),
            );
            // The connection is closed before the bytes after the last response come.
            let failed = if together { 3 } else { 2 };
            assert_eq!(ran.failures, [(Failure::BadHttp, failed)], "together: {together}, {think} ms");
            assert_eq!(ran.count(Counter::HttpReqs), 3, "a request ends once");
            assert_eq!(ran.connects.len(), 3);
            assert_eq!(ran.summary.succeeded(), 3 - failed);
            let times = |trend| ran.trend(trend).map_or(0, |(_, _, count)| count);
            assert_eq!(times(Trend::HttpReqDuration), 3 - failed, "no failure is among the successes' times");
            assert_eq!(times(Trend::HttpReqWaiting), 3 - failed);
            assert_eq!(times(Trend::HttpReqDurationFailed), failed);
        }
    }
}

#[test]
fn what_is_condemned_seconds_later_leaves_nothing_behind() {
    // The second response is followed by a byte 2.5 s later: its second has long been reported.
    let mut plan = plan(iterations(1, 3), true);
    plan.think_time = ThinkTime { min: ms(3_000), max: ms(3_000) };
    let stream = || vec![(ms(5), stream_head()), (ms(10), token()), (ms(20), token()), (ms(30), stream_end())];
    let ran = run(
        &plan,
        serving(move |nth| {
            let mut acts = stream();
            acts.extend((nth == 1).then(|| (ms(2_500), send("x"))));
            acts
        }),
    );
    assert_eq!(ran.failures, [(Failure::BadHttp, 1)]);
    for trend in [Trend::HttpReqDuration, Trend::HttpReqWaiting, Trend::Ttfe, Trend::Ttft, Trend::Tpot, Trend::Stall] {
        assert_eq!(ran.trend(trend).map(|(_, _, count)| count), Some(2), "{trend:?}");
    }
    assert_eq!(ran.trend(Trend::HttpReqDurationFailed), Some((30.0, 30.0, 1)));
    assert_eq!((ran.count(Counter::HttpReqs), ran.summary.succeeded()), (3, 2));
}

fn status(status: u16) -> Act {
    send(&format!("HTTP/1.1 {status} Some\r\ncontent-length: 0\r\n\r\n"))
}

#[test]
fn a_gateway_without_a_server_is_met_with_back_off() {
    let closed = |code: u16, after: u64| {
        let shape = Shape::ConstantVus { vus: 1, duration: Nanos::from_secs(2) };
        run(&plan(shape, false), serving(move |_| vec![(ms(after), status(code))]))
    };
    // At 1, 102, 303, 704 and 1505 ms.
    for code in [502, 503] {
        let ran = closed(code, 1);
        assert_eq!((ran.count(Counter::HttpReqs), ran.count(Counter::BackOffs)), (5, 5), "{code}");
    }
    // These come from a server that works, and so does a late 502.
    for (code, after) in [(500, 50), (429, 50), (404, 50), (502, 200)] {
        let ran = closed(code, after);
        assert_eq!(ran.count(Counter::BackOffs), 0, "{code}");
        assert!(ran.count(Counter::HttpReqs) >= 10, "{code}: {}", ran.count(Counter::HttpReqs));
    }
}

#[test]
fn a_server_that_always_closes_after_a_stream_is_learned() {
    let shape = Shape::ConstantVus { vus: 1, duration: Nanos::from_secs(10) };
    let mut plan = plan(shape, true);
    Arc::make_mut(&mut plan.mix).kinds.push(Kind { stream: false, ..kind("plain", false) });
    let mut sent = 0;
    let ran = run(&plan, move |heard| match heard {
        Heard::Connect { .. } => vec![(MS, Act::Accept)],
        Heard::Bytes { bytes, .. } if bytes.windows(13).any(|part| part == b"\"stream\":true") => {
            sent += 1;
            // The server drops the habit in the second half of the test.
            let mut acts = vec![(ms(5), stream_head()), (ms(10), token()), (ms(11), stream_end())];
            acts.extend((sent < 300).then_some((ms(11) + Nanos(1_000), Act::Close)));
            acts
        }
        Heard::Bytes { .. } => vec![(ms(5), plain())],
    });
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let (retries, not_kept) = (ran.count(Counter::StaleRetries), ran.count(Counter::ConnectionsNotKept));
    assert!((1..=6).contains(&retries), "{retries} retries of {} requests", ran.count(Counter::HttpReqs));
    assert!(not_kept >= 280, "{not_kept}");
    assert!(
        ran.connects.len() < 700,
        "plain responses and, later, streams keep their connections: {}",
        ran.connects.len()
    );
}

#[test]
fn a_server_may_say_why_it_closes_an_idle_connection() {
    let mut plan = plan(iterations(1, 3), false);
    plan.think_time = ThinkTime { min: ms(50), max: ms(50) };
    let bye = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let ran = run(&plan, serving(move |_| vec![(ms(5), plain()), (ms(20), send(bye)), (ms(20), Act::Close)]));
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!((ran.count(Counter::HttpReqs), ran.connects.len()), (3, 3));
}

// ---- responses that come too early ------------------------------------------------------------

#[test]
fn an_answer_before_its_request_is_a_protocol_failure() {
    let early = |act: Act, at: Nanos| {
        let Act::Send(bytes) = act else { unreachable!() };
        Act::SendStamped(bytes, at)
    };
    // The response lies in the socket when the connection is established.
    let ran = run(&plan(iterations(1, 2), false), move |heard| match heard {
        Heard::Connect { .. } => vec![(MS, plain()), (MS, Act::Accept)],
        Heard::Bytes { .. } => vec![],
    });
    assert_eq!(ran.failures, [(Failure::BadHttp, 2)]);
    // By its stamp the response came while the user was thinking. It was read later.
    let mut thinking = plan(iterations(1, 2), true);
    thinking.think_time = ThinkTime { min: ms(20), max: ms(20) };
    let ran = run(
        &thinking,
        by_turn(move |nth| match nth {
            0 => vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), stream_end())],
            _ => vec![(MS, early(joined(&[stream_head(), token(), stream_end()]), ms(10)))],
        }),
    );
    assert_eq!(ran.failures, [(Failure::BadHttp, 1)]);
    assert_eq!(ran.count(Counter::HttpReqs), 2);
}

#[test]
fn an_early_refusal_keeps_its_status() {
    let busy = "HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let ran = run(&plan(iterations(1, 1), false), move |heard| match heard {
        Heard::Connect { .. } => vec![(MS, send(busy)), (MS, Act::Accept)],
        Heard::Bytes { .. } => vec![(ms(1), Act::Close)],
    });
    assert_eq!(ran.failures, [(Failure::Http5xx, 1)]);
}

#[test]
fn an_answer_is_read_before_the_reset_that_follows_it() {
    let too_much = "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for stream in [false, true] {
        let ran = run(&plan(iterations(1, 3), stream), move |heard| match heard {
            Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Throttle(20)), (MS, Act::Accept)],
            Heard::Bytes { .. } => vec![(ms(1), send(too_much)), (ms(1), Act::Reset)],
        });
        assert_eq!(ran.failures, [(Failure::Http4xx, 3)]);
    }
    // Without a response the reset counts.
    let ran = run(&plan(iterations(1, 3), false), move |heard| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Throttle(20)), (MS, Act::Accept)],
        Heard::Bytes { .. } => vec![(ms(1), Act::Reset)],
    });
    assert_eq!(ran.failures, [(Failure::Reset, 3)]);
}

// ---- the stop flag, and that nothing is lost --------------------------------------------------

/// Returns a shape of every executor, each with more work than it can complete.
fn shapes() -> Vec<Shape> {
    let arrivals = |stages: Vec<Stage>| crate::load::Arrivals {
        start_rate: 50,
        time_unit: Nanos::from_secs(1),
        stages,
        pre_allocated_vus: 3,
        max_vus: 3,
        spacing: crate::load::Spacing::Constant,
        on_full: crate::load::OnFull::Queue,
    };
    let stage = |target| Stage { duration: ms(2_000), target };
    vec![
        Shape::ConstantVus { vus: 2, duration: ms(2_000) },
        Shape::RampingVus { start_vus: 1, stages: vec![stage(3)], graceful_ramp_down: ms(100) },
        Shape::PerVuIterations { vus: 2, iterations: 10_000, max_duration: ms(2_000) },
        Shape::SharedIterations { vus: 2, iterations: 10_000, max_duration: ms(2_000) },
        Shape::ConstantArrivalRate(arrivals(vec![stage(50)])),
        Shape::RampingArrivalRate(arrivals(vec![stage(80)])),
    ]
}

#[test]
fn a_stop_is_seen_by_every_executor_in_every_phase() {
    for shape in shapes() {
        // Before anything was sent, while users think, and while responses are under way.
        for (stop_at, think) in [(0, 0), (500, 50), (500, 0)] {
            let mut plan = plan(shape.clone(), false);
            if !matches!(shape, Shape::ConstantArrivalRate(_) | Shape::RampingArrivalRate(_)) {
                plan.think_time = ThinkTime { min: ms(think), max: ms(think) };
            }
            let ran = run_until(&plan, ms(stop_at), serving(|_| vec![(ms(20), plain())]));
            let stopped = ran.ended.stopped.unwrap_or_else(|| panic!("{shape:?}: it knows that it was stopped"));
            assert!(stopped >= ms(stop_at) && stopped <= ms(stop_at + 100), "{shape:?}: {stopped}");
            assert!(ran.ended.at <= stopped + ms(30), "{shape:?}: {}", ran.ended.at);
        }
    }
}

#[test]
fn a_stop_in_the_drain_is_told() {
    let mut plan = plan(Shape::ConstantVus { vus: 1, duration: ms(100) }, false);
    plan.graceful_stop = Nanos::from_secs(30);
    let answers = |nth| if nth == 0 { vec![(ms(90), plain())] } else { vec![(ms(9), Act::Close)] };
    let ran = run_until(&plan, ms(101), serving(answers));
    assert!(ran.ended.stopped.is_some_and(|at| at > ms(100)));
}

#[test]
fn requests_are_started_in_the_phase_in_which_they_end() {
    for (warmup, cooldown) in [(0, 150), (150, 0), (390, 0), (0, 390), (100, 100)] {
        for answer in [ms(3), ms(45)] {
            let mut plan = plan(Shape::ConstantVus { vus: 40, duration: ms(400) }, false);
            (plan.warmup, plan.cooldown, plan.graceful_stop) = (ms(warmup), ms(cooldown), ms(20));
            plan.access.connect_rate = Some(200);
            plan.access.max_requests = Some(1);
            let ran = run(
                &plan,
                serving(move |n| if n % 5 == 4 { vec![(ms(1), Act::Close)] } else { vec![(answer, plain())] }),
            );
            let mut phases = BTreeMap::<u16, Tally>::new();
            for ((_, phase), tally) in &ran.seconds {
                phases.entry(*phase).or_insert_with(|| Tally::new(1)).append(tally);
            }
            assert!(phases.len() > 1);
            for (phase, tally) in phases {
                let balance = tally.balance();
                assert_eq!(balance.started, balance.ended, "phase {phase} of {warmup}, {cooldown}");
            }
        }
    }
}

// ---- the memory of all users together ---------------------------------------------------------

/// Runs the plan with `budget` bytes for the incomplete responses of all users together.
fn run_within(budget: usize, plan: &Plan, peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static) -> Ran {
    run_on(Rc::new(Cell::new(Nanos::ZERO)), plan, Nanos::MAX, budget as u64, peer)
}

#[test]
fn incomplete_responses_share_one_budget() {
    use crate::engine::budget::STEP_BYTES;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let body = CHAT.replace("hi", &"x".repeat(2 * STEP_BYTES));
    let (first, rest) = body.split_at(STEP_BYTES);
    let (first, rest) = (format!("{head}{first}"), rest.to_owned());
    let answer = move |_| vec![(ms(1), send(&first)), (ms(2), send(&rest)), (ms(3), Act::Close)];
    // Each body takes one step, then two, and four users read at once.
    let ran = run_within(8 * STEP_BYTES, &plan(iterations(4, 5), false), serving(answer.clone()));
    assert!(ran.failures.is_empty(), "what was given back can be used again: {:?}", ran.failures);
    assert_eq!(ran.count(Counter::HttpReqs), 20);
    let ran = run_within(5 * STEP_BYTES, &plan(iterations(4, 1), false), serving(answer));
    assert_eq!(ran.failures, [(Failure::TooLarge, 2)], "one that fails makes room for another");
    let example = ran.summary.failures[0].1.example.as_ref().expect("an example");
    assert!(example.text.contains("the incomplete responses of all users together"), "{}", example.text);
}

#[test]
fn an_endless_line_of_a_stream_is_charged_too() {
    use crate::engine::budget::STEP_BYTES;
    let line = format!("{:x}\r\ndata: {}\r\n", 6 + 2 * STEP_BYTES, "x".repeat(2 * STEP_BYTES));
    let answer = move |_| vec![(ms(1), stream_head()), (ms(2), send(&line)), (ms(30), Act::Close)];
    let ran = run_within(STEP_BYTES, &plan(iterations(1, 1), true), serving(answer));
    assert_eq!(ran.failures, [(Failure::TooLarge, 1)]);
}
