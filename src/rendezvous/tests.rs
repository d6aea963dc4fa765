//! Tests the protocol without sockets or clocks: bytes cut at any place, clocks an hour apart.

use super::frame::{Frames, Kind, MOST_OF_A_STRANGER, encoded};
use super::guest::Guest;
use super::host::Host;
use super::message::{Cause, Message, PROTOCOL, Stop, Who};
use super::proof::{Key, Nonce};
use super::step::{Action, Command, Event, Id, Machine};
use crate::units::Nanos;
use std::collections::BTreeMap;

const MS: fn(u64) -> Nanos = Nanos::from_millis;
/// The true time does not begin at zero, since clocks may be an hour behind.
const EPOCH: u64 = 10_000_000_000_000;

fn who(shard: u32, count: u32) -> Who {
    Who { protocol: PROTOCOL, shard, count, plan: "a-plan".to_owned(), version: "1".to_owned() }
}

fn guest(shard: u32, count: u32, key: &str, now: Nanos) -> Guest {
    Guest::new(who(shard, count), Key::new(key), "there:1".to_owned(), Nanos::from_secs(60), now)
}

/// The delay after which Linux retransmits an unacknowledged packet, and a little more.
const RESENT: Nanos = Nanos::from_millis(250);

/// A process: its machine, its clock minus the true time, and its events.
struct Process {
    machine: Box<dyn Machine>,
    clock: i64,
    events: Vec<Event>,
}

impl Process {
    fn now(&self, at: Nanos) -> Nanos {
        Nanos(at.0.saturating_add_signed(self.clock))
    }
}

/// Bytes in transit to a process and connection. No bytes mean the end of the connection.
struct Parcel {
    at: Nanos,
    to: (usize, Id),
    bytes: Vec<u8>,
}

/// Processes, the first of which is the host, and a network between them.
struct World {
    now: Nanos,
    processes: Vec<Process>,
    wires: BTreeMap<(usize, Id), (usize, Id)>,
    parcels: Vec<Parcel>,
    delay: Nanos,
    /// Bytes per parcel.
    cut: usize,
    opened: u64,
    /// Processes that do nothing, as if they were stopped.
    frozen: Vec<usize>,
    /// The number of messages sent, and the message whose packet is lost and sent again.
    sent: usize,
    lost: Option<usize>,
    /// Arrival time of the last bytes in transit to an end of a connection.
    busy: BTreeMap<(usize, Id), Nanos>,
}

impl World {
    /// Makes a world. `clocks` are the offsets of the guests' clocks, in seconds.
    fn new(clocks: &[i64], cut: usize, delay: Nanos) -> Self {
        let count = clocks.len() as u32 + 1;
        let now = Nanos(EPOCH);
        let host = Host::new(who(0, count), Key::new("key"), 1_000_000, Nanos::from_secs(60), now);
        let mut processes = vec![Process { machine: Box::new(host), clock: 0, events: Vec::new() }];
        for (i, off) in clocks.iter().enumerate() {
            let clock = off * 1_000_000_000;
            let machine = guest(i as u32 + 1, count, "key", Nanos(now.0.saturating_add_signed(clock)));
            processes.push(Process { machine: Box::new(machine), clock, events: Vec::new() });
        }
        let (wires, parcels, frozen) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (sent, lost, busy) = (0, None, BTreeMap::new());
        Self { now, processes, wires, parcels, delay, cut, opened: 0, frozen, sent, lost, busy }
    }

    fn connect(&mut self, from: (usize, Id)) {
        self.opened += 1;
        let to = (0, 1_000 + self.opened);
        self.wires.insert(from, to);
        self.wires.insert(to, from);
        for (side, id) in [from, to] {
            let now = self.processes[side].now(self.now);
            let nonce: Nonce = [self.opened as u8 + side as u8 * 50; 32];
            self.processes[side].machine.opened(id, &format!("192.0.2.{side}:{}", self.opened), &nonce, now);
        }
    }

    fn send(&mut self, from: (usize, Id), bytes: &[u8]) {
        let Some(&to) = self.wires.get(&from) else { return };
        let again = if self.lost == Some(self.sent) { RESENT } else { Nanos::ZERO };
        self.sent += 1;
        // Later bytes do not overtake it on the same connection.
        let before = self.busy.get(&to).copied().unwrap_or_default();
        let at = self.now.saturating_add(self.delay).saturating_add(again).max(before);
        self.busy.insert(to, at);
        self.parcels.extend(bytes.chunks(self.cut).map(|part| Parcel { at, to, bytes: part.to_vec() }));
    }

    fn close(&mut self, from: (usize, Id)) {
        if let Some(to) = self.wires.remove(&from) {
            self.wires.remove(&to);
            let before = self.busy.get(&to).copied().unwrap_or_default();
            let at = self.now.saturating_add(self.delay).max(before);
            self.parcels.push(Parcel { at, to, bytes: Vec::new() });
        }
    }

    fn settle(&mut self) {
        for i in 0..self.processes.len() {
            if self.frozen.contains(&i) {
                continue;
            }
            let now = self.processes[i].now(self.now);
            self.processes[i].machine.tick(now);
            for action in self.processes[i].machine.actions() {
                match action {
                    Action::Connect(id) => self.connect((i, id)),
                    Action::Send(id, bytes) => self.send((i, id), &bytes),
                    Action::Close(id) => self.close((i, id)),
                }
            }
            let events = self.processes[i].machine.events();
            self.processes[i].events.extend(events);
        }
    }

    /// Advances by one millisecond.
    fn step(&mut self) {
        self.settle();
        self.now = self.now.saturating_add(MS(1));
        let due = |parcel: &Parcel| parcel.at <= self.now && !self.frozen.contains(&parcel.to.0);
        let (arrived, left) = std::mem::take(&mut self.parcels).into_iter().partition(due);
        self.parcels = left;
        for Parcel { to: (side, id), bytes, .. } in arrived {
            let now = self.processes[side].now(self.now);
            let machine = &mut self.processes[side].machine;
            if bytes.is_empty() { machine.closed(id, now) } else { machine.received(id, &bytes, now) }
        }
        self.settle();
    }

    fn run(&mut self, time: Nanos) {
        let until = self.now.saturating_add(time);
        while self.now < until {
            self.step();
        }
    }

    fn command(&mut self, process: usize, command: Command) {
        let now = self.processes[process].now(self.now);
        self.processes[process].machine.command(command, now);
        self.settle();
    }

    fn all(&mut self, command: &Command) {
        (0..self.processes.len()).for_each(|i| self.command(i, command.clone()));
    }

    fn events(&self, process: usize) -> &[Event] {
        &self.processes[process].events
    }

    /// Returns the cause of the stop that a process received, and its shard.
    fn stop(&self, process: usize) -> Option<(Cause, u32)> {
        self.events(process).iter().find_map(|event| match event {
            Event::Stop(stop) => Some((stop.cause, stop.shard)),
            _ => None,
        })
    }

    /// Returns when the load begins at a process, in true time.
    fn start(&self, process: usize) -> Option<Nanos> {
        self.starts(process).first().map(|(at, _)| *at)
    }

    /// Returns when each load begins at a process, in true time by its current clock, and the step.
    fn starts(&self, process: usize) -> Vec<(Nanos, Option<String>)> {
        let start = |event: &Event| match event {
            Event::Start { at, step, .. } => {
                Some((Nanos(at.0.saturating_add_signed(-self.processes[process].clock)), step.clone()))
            }
            _ => None,
        };
        self.events(process).iter().filter_map(start).collect()
    }

    fn ready(&mut self) {
        self.all(&Command::Ready { plan: "b-plan".to_owned() });
    }

    fn said(&self) -> String {
        let lines = self.events(0).iter().filter_map(|event| match event {
            Event::Said(line) => Some(line.as_str()),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Runs the whole protocol with clocks an hour apart, for several ways of cutting bytes.
#[test]
fn shards_meet_start_together_and_hand_over() {
    for (cut, delay) in [(1, MS(0)), (7, MS(3)), (usize::MAX, MS(50))] {
        let mut world = World::new(&[3_600, -3_600, 0], cut, delay);
        world.run(MS(500));
        assert_eq!(world.start(0), None, "nobody is ready");
        world.ready();
        world.run(MS(2_500));
        let starts: Vec<Nanos> = (0..4).map(|i| world.start(i).expect("a start")).collect();
        let apart = starts.iter().max().expect("four").since(*starts.iter().min().expect("four"));
        assert!(apart <= MS(1), "{starts:?}");
        world.all(&Command::Started { late: Nanos::from_micros(300) });
        for text in ["one", "two"] {
            (1..4).for_each(|i| world.command(i, Command::Second(text.as_bytes().to_vec())));
        }
        world.command(0, Command::Look);
        world.run(MS(200));
        for i in 1..4 {
            assert_eq!(world.events(i).last(), Some(&Event::Look), "{i}");
            world.command(i, Command::SoFar(b"so far".to_vec()));
        }
        world.all(&Command::Ended);
        world.run(MS(200));
        let result = vec![7; 200_000];
        (1..4).for_each(|i| world.command(i, Command::Result(result.clone())));
        for shard in 1..4 {
            world.command(0, Command::Ask { shard });
            world.run(MS(300));
            world.command(0, Command::Thank { shard });
        }
        world.run(MS(200));
        for shard in 1..4u32 {
            let of_shard: Vec<&Event> = world.events(0).iter().filter(|event| is_of(event, shard)).collect();
            let second = |text: &str| Event::Second { shard, text: text.as_bytes().to_vec() };
            let so_far = Event::SoFar { shard, text: b"so far".to_vec() };
            let ended = Event::Ended { shard };
            let expected = [second("one"), second("two"), so_far, ended, Event::Result { shard, text: result.clone() }];
            assert_eq!(of_shard, expected.iter().collect::<Vec<_>>());
            assert_eq!(world.events(shard as usize).last(), Some(&Event::Thanked));
        }
        assert_eq!((0..4).map(|i| world.stop(i)).collect::<Vec<_>>(), [None; 4]);
        assert!(world.said().contains("4 shards started within 0.00 ms"), "{}", world.said());
    }
}

/// A lost packet of any message delays that message and those after it. Even so, all shards start
/// at one instant, and everything arrives.
#[test]
fn a_packet_that_is_lost_is_only_a_delay() {
    let mut lost = 0;
    loop {
        let mut world = World::new(&[60, -60], usize::MAX, MS(5));
        world.lost = Some(lost);
        world.run(MS(800));
        world.ready();
        world.run(MS(1_500));
        world.all(&Command::Started { late: Nanos::ZERO });
        (1..3).for_each(|i| world.command(i, Command::Second(b"one".to_vec())));
        world.all(&Command::Ended);
        (1..3).for_each(|i| world.command(i, Command::Result(b"result".to_vec())));
        (1..3).for_each(|shard| world.command(0, Command::Ask { shard }));
        world.run(MS(700));
        (1..3).for_each(|shard| world.command(0, Command::Thank { shard }));
        world.run(MS(700));
        let starts: Vec<Nanos> = (0..3).map(|i| world.start(i).expect("a start")).collect();
        let apart = starts.iter().max().expect("three").since(*starts.iter().min().expect("three"));
        assert!(apart <= MS(1), "{lost}: {starts:?}");
        for shard in 1..3u32 {
            let came = world.events(0).iter().filter(|event| is_of(event, shard)).count();
            assert_eq!(came, 3, "a second, the end and a result of shard {shard}, without packet {lost}");
            assert_eq!(world.events(shard as usize).last(), Some(&Event::Thanked), "{lost}");
        }
        assert!((0..3).all(|i| world.stop(i).is_none()), "{lost}");
        lost += 1;
        if lost > world.sent {
            break;
        }
    }
    assert!(lost > 50, "{lost} messages");
}

fn is_of(event: &Event, of: u32) -> bool {
    match event {
        Event::Second { shard, .. }
        | Event::SoFar { shard, .. }
        | Event::Ended { shard }
        | Event::Result { shard, .. }
        | Event::Gone { shard } => *shard == of,
        _ => false,
    }
}

/// One shard freezes, or is cut off, at many instants of the test: all other shards are told within
/// six seconds, and none of them waits for it.
#[test]
fn a_shard_that_is_lost_at_any_time_ends_all() {
    for cut in [true, false] {
        for lost in [0, 2] {
            for at in (0..1_400).step_by(if cut { 13 } else { 97 }) {
                let mut world = World::new(&[60, -60], usize::MAX, MS(20));
                let mut has_ended = false;
                for ms in 0..1_400 + 6_200 {
                    match ms {
                        200 => world.ready(),
                        1_300 => {
                            world.all(&Command::Ended);
                            has_ended = true;
                        }
                        _ => {}
                    }
                    if ms == at {
                        world.frozen.push(lost);
                        if cut {
                            let ends: Vec<_> = world.wires.keys().copied().filter(|(side, _)| *side == lost).collect();
                            for end in ends {
                                world.close(end);
                            }
                        }
                    }
                    world.step();
                }
                let was_seated = at > 140;
                for i in (0..3).filter(|i| *i != lost && was_seated) {
                    assert_eq!(world.stop(i), Some((Cause::Lost, lost as u32)), "{i} at {at}, {has_ended}");
                }
                if lost == 2 && was_seated {
                    assert!(world.events(0).contains(&Event::Gone { shard: 2 }), "{at}");
                    // The remaining results are handed over.
                    world.command(1, Command::Result(b"part".to_vec()));
                    world.command(0, Command::Ask { shard: 2 });
                    world.command(0, Command::Ask { shard: 1 });
                    world.run(MS(100));
                    assert!(world.events(0).contains(&Event::Result { shard: 1, text: b"part".to_vec() }), "{at}");
                }
            }
        }
    }
}

/// Shard 0 sets step after step. All shards begin each of them at one instant, although a clock
/// jumps between them.
#[test]
fn steps_begin_together() {
    let mut world = World::new(&[3_600, -3_600], 7, MS(20));
    world.run(MS(200));
    world.command(0, Command::Step { text: "too early".to_owned() });
    world.ready();
    world.run(MS(1_500));
    for (n, name) in ["5", "10"].into_iter().enumerate() {
        world.processes[1].clock += 250_000_000;
        world.command(0, Command::Step { text: name.to_owned() });
        world.run(MS(1_500));
        let starts: Vec<(Nanos, Option<String>)> = (0..3).map(|i| world.starts(i).pop().expect("a start")).collect();
        let at: Vec<Nanos> = starts.iter().map(|(at, _)| *at).collect();
        let apart = at.iter().max().expect("three").since(*at.iter().min().expect("three"));
        assert!(apart <= MS(1), "{at:?}");
        assert!(starts.iter().all(|(_, step)| step.as_deref() == Some(name)), "{starts:?}");
        assert!((0..3).all(|i| world.starts(i).len() == n + 2), "once each");
        (1..3).for_each(|i| world.command(i, Command::StepOver(name.as_bytes().to_vec())));
        world.run(MS(100));
        let came = world
            .events(0)
            .iter()
            .filter(|event| matches!(event, Event::StepOver { text, .. } if text == name.as_bytes()));
        assert_eq!(came.count(), 2);
    }
    world.command(2, Command::Stop { cause: Cause::Signal, text: "SIGINT".to_owned() });
    world.run(MS(50));
    world.command(0, Command::Step { text: "too late".to_owned() });
    world.run(MS(1_500));
    assert!((0..3).all(|i| world.starts(i).len() == 3 && world.stop(i) == Some((Cause::Signal, 2))));
}

#[test]
fn anybody_can_end_all() {
    for by in 0..3 {
        for before in [true, false] {
            let mut world = World::new(&[5, -5], 3, MS(1));
            world.run(MS(100));
            if !before {
                world.ready();
                world.run(MS(1_000));
            }
            world.command(by, Command::Stop { cause: Cause::Signal, text: "SIGINT".to_owned() });
            world.run(MS(50));
            for i in 0..3 {
                assert_eq!(world.stop(i), Some((Cause::Signal, by as u32)), "{i} of {by}");
            }
        }
    }
}

#[test]
fn who_is_not_ready_is_named_and_so_are_we() {
    for (ready, expected) in [
        (&[1, 2, 3][..], "not ready within 1m: shard 0 of 4"),
        (&[1, 3], "not ready within 1m: shards 0, 2 of 4"),
        (&[0, 1, 3], "not ready within 1m: shard 2 of 4"),
    ] {
        let mut world = World::new(&[0, 0, 0], usize::MAX, MS(1));
        world.run(MS(50));
        for shard in ready {
            world.command(*shard, Command::Ready { plan: "b-plan".to_owned() });
        }
        world.run(Nanos::from_secs(61));
        let unmet = world.events(0).iter().find(|event| matches!(event, Event::Unmet(_)));
        assert_eq!(unmet, Some(&Event::Unmet(expected.to_owned())));
    }
}

#[test]
fn who_does_not_come_is_named() {
    let mut world = World::new(&[0, 0, 0], usize::MAX, MS(1));
    world.frozen = vec![1, 3];
    world.run(Nanos::from_secs(61));
    let Some(Event::Stop(stop)) = world.events(0).iter().find(|event| matches!(event, Event::Stop(_))) else {
        panic!("{:?}", world.events(0));
    };
    assert_eq!((stop.cause, stop.text.as_str()), (Cause::Lost, "not here within 1m: shards 1, 3 of 4"));
    assert_eq!(world.stop(2), Some((Cause::Lost, 1)));
    // A shard that never meets shard 0 names the address.
    let mut world = World::new(&[0], usize::MAX, MS(1));
    world.frozen = vec![0];
    world.run(Nanos::from_secs(61));
    let unmet = Event::Unmet("shard 0 could not be reached at there:1 within 1m".to_owned());
    assert_eq!(world.events(1), [unmet]);
}

/// Connects a stranger that sends bytes. Returns the replies, and whether the host closed it.
fn at_the_door(host: &mut Host, id: Id, now: Nanos, bytes: impl FnOnce(&str) -> Vec<u8>) -> (Vec<Message>, bool) {
    host.opened(id, "192.0.2.9:99", &[id as u8; 32], now);
    let read = |actions: Vec<Action>| {
        let (mut frames, mut closed) = (Frames::new(1 << 20), false);
        for action in actions {
            match action {
                Action::Send(to, bytes) if to == id => frames.push(&bytes),
                Action::Close(to) if to == id => closed = true,
                _ => {}
            }
        }
        let messages = std::iter::from_fn(|| frames.next().expect("a frame"));
        (messages.map(|frame| serde_json::from_slice(&frame.body).expect("a message")).collect::<Vec<_>>(), closed)
    };
    let (challenge, _) = read(host.actions());
    let [Message::Challenge { nonce, .. }] = &challenge[..] else { panic!("{challenge:?}") };
    host.received(id, &bytes(nonce), now);
    read(host.actions())
}

fn hello(who: Who, key: &str, host_nonce: &str) -> Vec<u8> {
    let nonce = "mine".to_owned();
    let proof = Key::new(key).proof(super::proof::Side::Guest, (host_nonce, &nonce), &who);
    Message::Hello { who, nonce, proof }.encoded()
}

/// The bytes that a stranger sends, given the nonce that it receives.
type Bytes = Box<dyn FnOnce(&str) -> Vec<u8>>;

#[test]
fn strangers_are_refused_with_words_and_told_of_once() {
    let now = Nanos(EPOCH);
    let mut host = Host::new(who(0, 3), Key::new("key"), 1_000, Nanos::from_secs(60), now);
    let good = |nonce: &str| hello(who(1, 3), "key", nonce);
    let mut replayed = Vec::new();
    let (said, closed) = at_the_door(&mut host, 1, now, |nonce| {
        replayed = good(nonce);
        replayed.clone()
    });
    assert!(matches!(&said[..], [Message::Welcome { .. }]) && !closed, "{said:?}");
    let change = |f: &dyn Fn(&mut Who)| {
        let mut who = who(2, 3);
        f(&mut who);
        who
    };
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let by = |who: Who, key: &'static str| -> Bytes { Box::new(move |nonce: &str| hello(who, key, nonce)) };
    let of = |bytes: Vec<u8>| -> Bytes { Box::new(move |_: &str| bytes) };
    let cases: Vec<(Bytes, &str)> = vec![
        (of(http.clone()), "expected the hello of a shard"),
        (of(http), "expected the hello of a shard"),
        (of(u32::MAX.to_be_bytes().into_iter().chain([1]).collect()), "expected the hello of a shard"),
        (of(encoded(Kind::Part, &[0; 100])), "expected the hello of a shard"),
        (of(encoded(Kind::Message, b"{}")), "expected the hello of a shard"),
        (of(Message::Ready { plan: String::new() }.encoded()), "expected the hello of a shard"),
        (of(replayed), "the key is not that of shard 0"),
        (by(who(2, 3), "guess"), "the key is not that of shard 0"),
        (by(who(2, 3), ""), "the key is not that of shard 0"),
        (
            by(change(&|who| who.plan = "c".repeat(64)), "key"),
            "its plan is cccccccccccc…, and that of shard 0 is a-plan…",
        ),
        (by(change(&|who| who.version = "2\u{1b}".to_owned()), "key"), "it is version 2, and shard 0 is 1"),
        (by(change(&|who| who.count = 4), "key"), "it is one of 4, and shard 0 one of 3"),
        (by(change(&|who| who.shard = 0), "key"), "this shard already exists: it is the one that listens"),
        (by(change(&|who| who.shard = 3), "key"), "this shard already exists"),
        (by(change(&|who| who.shard = 1), "key"), "this shard is already connected, from 192.0.2.9:99"),
    ];
    for (id, (bytes, expected)) in cases.into_iter().enumerate() {
        let (said, closed) = at_the_door(&mut host, id as u64 + 10, now, bytes);
        let [Message::Refused { why }] = &said[..] else { panic!("{expected}: {said:?}") };
        assert!(closed && why.starts_with(expected), "{why}, not {expected}");
    }
    let said: Vec<String> = host.events().into_iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(said.iter().filter(|line| line.contains("it is not a shard")).count(), 1, "{said:#?}");
    assert_eq!(said.iter().filter(|line| line.contains("its key")).count(), 1, "{said:#?}");
    // A silent stranger is closed after a while.
    host.opened(900, "192.0.2.9:99", &[1; 32], now);
    host.tick(now.saturating_add(Nanos::from_secs(6)));
    assert!(host.actions().contains(&Action::Close(900)));
}

#[test]
fn a_crowd_at_the_door_is_bounded() {
    let now = Nanos(EPOCH);
    let mut host = Host::new(who(0, 3), Key::new("key"), 1_000, Nanos::from_secs(60), now);
    for id in 0..1_000 {
        host.opened(id, "192.0.2.9:99", &[1; 32], now);
    }
    let closed = host.actions().into_iter().filter(|action| matches!(action, Action::Close(_))).count();
    assert_eq!(closed, 1_000 - 66);
}

#[test]
fn a_shard_that_prepared_another_plan_ends_all() {
    let mut world = World::new(&[0, 0], usize::MAX, MS(1));
    world.run(MS(50));
    for (i, plan) in ["b", "b", "c"].into_iter().enumerate() {
        world.command(i, Command::Ready { plan: plan.to_owned() });
    }
    world.run(MS(50));
    assert_eq!((world.stop(0), world.stop(1)), (Some((Cause::Lost, 2)), Some((Cause::Lost, 2))));
}

#[test]
fn a_host_with_another_key_is_not_believed() {
    let now = Nanos(EPOCH);
    let mut shard = guest(1, 2, "key", now);
    shard.tick(now);
    let [Action::Connect(id)] = shard.actions()[..] else { panic!("it connects") };
    shard.opened(id, "192.0.2.1:1", &[3; 32], now);
    let challenge = Message::Challenge { protocol: PROTOCOL, nonce: "n".to_owned() };
    shard.received(id, &challenge.encoded(), now);
    assert!(matches!(&shard.actions()[..], [Action::Send(..)]));
    shard.received(id, &Message::Welcome { proof: "bm8=".to_owned() }.encoded(), now);
    assert_eq!(shard.events(), [Event::Refused("shard 0 has a different key".to_owned())]);
    assert!(shard.is_over());
}

#[test]
fn a_result_is_taken_only_when_asked_for_and_within_its_bounds() {
    for (bytes, parts) in [(10u64, vec![4, 7]), (2_000_000, vec![])] {
        let mut world = World::new(&[0], usize::MAX, MS(1));
        world.run(MS(50));
        world.command(0, Command::Ask { shard: 1 });
        let id = *world.wires.keys().find(|(side, _)| *side == 1).expect("connected");
        let mut sent = Message::Result { bytes }.encoded();
        for n in parts.iter().copied() {
            sent.extend(encoded(Kind::Part, &vec![0; n]));
        }
        world.send(id, &sent);
        world.run(MS(50));
        assert_eq!(world.stop(0), Some((Cause::Lost, 1)), "{bytes} {parts:?}");
    }
}

#[test]
fn frames_are_bounded_before_they_arrive() {
    let mut frames = Frames::new(MOST_OF_A_STRANGER);
    frames.push(&[0, 0, 4, 0]);
    assert_eq!(frames.next(), Ok(None));
    frames.push(&[9]);
    assert!(frames.next().is_err(), "a kind that nobody knows");
    let mut frames = Frames::new(MOST_OF_A_STRANGER);
    frames.push(&[0, 0, 4, 1, 1]);
    assert!(frames.next().is_err(), "one byte too long, and nothing of it is there");
    let stop = Message::Stop(Stop { cause: Cause::Lost, shard: 7, text: "…".to_owned() }).encoded();
    let (mut frames, mut seen) = (Frames::new(MOST_OF_A_STRANGER), 0);
    for byte in stop.iter().chain(&stop) {
        frames.push(&[*byte]);
        seen += usize::from(frames.next().expect("fine").is_some());
    }
    assert_eq!(seen, 2);
}
