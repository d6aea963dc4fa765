//! The protocol at shard 0: it tells shards from strangers, waits until all shards are ready,
//! starts them at one instant, receives their seconds, and takes their results.

use super::frame::{Frame, Frames, Kind, MOST_OF_A_SHARD, MOST_OF_A_STRANGER};
use super::message::{Cause, Message, PROTOCOL, Stop, Who, printable};
use super::offset::{Offset, ROUNDS};
use super::proof::{Key, Nonce, Side, text};
use super::seats::{Arriving, Seat};
use super::step::{ALIVE_EVERY, Action, Command, Event, Id, Machine, SILENCE};
use crate::units::{Nanos, plural};
use std::collections::{BTreeMap, BTreeSet};

/// Strangers that may be connected at once, beside the expected shards.
const STRANGERS: usize = 64;
/// Time between the last reading of the clocks and the start: enough for the message to arrive, and
/// for shards to prepare. Two round trips to the farthest shard are added.
const LEAD: Nanos = Nanos::from_millis(500);
/// Number of missing shards that are named.
const NAMED: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Some shards are missing or not ready.
    Gathering,
    /// All shards are ready. Their clocks are being read.
    Reading,
    /// The start has been set.
    Started,
    /// Shard 0 has left.
    Over,
}

/// A connection whose peer has not identified itself yet.
#[derive(Debug)]
struct Stranger {
    peer: String,
    frames: Frames,
    nonce: String,
    by: Nanos,
}

#[derive(Debug)]
pub(super) struct Host {
    who: Who,
    key: Key,
    most_of_a_result: usize,
    timeout: Nanos,
    until: Nanos,
    phase: Phase,
    strangers: BTreeMap<Id, Stranger>,
    /// The other shards, beginning with shard 1.
    seats: Vec<Seat>,
    /// The plan that shard 0 has prepared.
    ready: Option<String>,
    /// Delay with which the load of shard 0 began.
    late: Option<Nanos>,
    has_told_spread: bool,
    /// True if shard 0 has a viewer of the whole.
    is_watched: bool,
    /// The step that all shards start next. `None` for the test itself.
    step: Option<String>,
    stop: Option<Stop>,
    alive_at: Nanos,
    /// Lines about strangers. Each is reported once.
    told: BTreeSet<String>,
    actions: Vec<Action>,
    events: Vec<Event>,
}

impl Host {
    /// Makes the host. `who` identifies shard 0.
    pub(super) fn new(who: Who, key: Key, most_of_a_result: usize, timeout: Nanos, now: Nanos) -> Self {
        let seats = (1..who.count).map(|_| Seat::default()).collect();
        Self {
            who,
            key,
            most_of_a_result,
            timeout,
            until: now.saturating_add(timeout),
            phase: Phase::Gathering,
            strangers: BTreeMap::new(),
            seats,
            ready: None,
            late: None,
            has_told_spread: false,
            is_watched: false,
            step: None,
            stop: None,
            alive_at: now,
            told: BTreeSet::new(),
            actions: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Sets whether shard 0 has a viewer of the whole.
    pub(super) fn watched(self, is_watched: bool) -> Self {
        Self { is_watched, ..self }
    }

    fn say(&mut self, id: Id, message: &Message) {
        self.actions.push(Action::Send(id, message.encoded()));
    }

    fn say_to_all(&mut self, message: &Message) {
        let ids: Vec<Id> = self.seats.iter().filter_map(|seat| seat.id).collect();
        for id in ids {
            self.say(id, message);
        }
    }

    /// Returns the shard of a connection.
    fn shard_of(&self, id: Id) -> Option<u32> {
        self.seats.iter().position(|seat| seat.id == Some(id)).map(|at| at as u32 + 1)
    }

    fn seat(&mut self, shard: u32) -> Option<&mut Seat> {
        self.seats.get_mut((shard as usize).checked_sub(1)?)
    }

    fn tell_once(&mut self, line: String) {
        if self.told.insert(line.clone()) {
            self.events.push(Event::Said(line));
        }
    }

    /// Refuses a peer. `line` is shown to the user, once.
    fn refuse(&mut self, id: Id, why: &str, line: String) {
        self.say(id, &Message::Refused { why: why.to_owned() });
        self.show_out(id, line);
    }

    fn show_out(&mut self, id: Id, line: String) {
        self.actions.push(Action::Close(id));
        self.strangers.remove(&id);
        self.tell_once(line);
    }

    fn stranger_said(&mut self, id: Id, frame: &Frame, now: Nanos) {
        let Some(stranger) = self.strangers.get(&id) else { return };
        let hello = match (frame.kind, serde_json::from_slice(&frame.body)) {
            (Kind::Message, Ok(Message::Hello { who, nonce, proof })) => Some((who, nonce, proof)),
            _ => None,
        };
        let Some((who, nonce, proof)) = hello else {
            let line = format!("refused a connection from {}: it is not a shard", host_of(&stranger.peer));
            return self.refuse(id, "expected the hello of a shard", line);
        };
        let peer = stranger.peer.clone();
        let nonces = (stranger.nonce.as_str(), nonce.as_str());
        if !self.key.proves(&proof, Side::Guest, nonces, &who) {
            let line = format!("refused a connection from {}: its key does not belong to this test", host_of(&peer));
            return self.refuse(id, "the key is not that of shard 0", line);
        }
        if let Some(why) = self.objection(&who) {
            let line = format!("refused shard {} from {}: {why}", who.shard, host_of(&peer));
            return self.refuse(id, &why, line);
        }
        let proof = self.key.proof(Side::Host, nonces, &who);
        let Some(mut stranger) = self.strangers.remove(&id) else { return };
        stranger.frames.allow(MOST_OF_A_SHARD);
        self.say(id, &Message::Welcome { proof });
        let here = self.seats.iter().filter(|seat| seat.id.is_some()).count() + 2;
        let count = self.who.count;
        if let Some(seat) = self.seat(who.shard) {
            *seat = Seat::taken(id, peer.clone(), stranger.frames, now);
        }
        self.events.push(Event::Said(format!("shard {} is here, from {peer} ({here} of {count})", who.shard)));
    }

    /// Returns why a shard with the right key may not take part, if so.
    fn objection(&self, who: &Who) -> Option<String> {
        let ours = &self.who;
        let short = |hash: &str| printable(hash).chars().take(12).collect::<String>();
        if who.protocol != ours.protocol || who.version != ours.version {
            return Some(format!("it is version {}, and shard 0 is {}", printable(&who.version), ours.version));
        }
        if who.count != ours.count {
            return Some(format!("it is one of {}, and shard 0 one of {}", who.count, ours.count));
        }
        if who.plan != ours.plan {
            return Some(format!(
                "its plan is {}…, and that of shard 0 is {}…: start all with the same profile and flags",
                short(&who.plan),
                short(&ours.plan)
            ));
        }
        let Some(seat) = (who.shard as usize).checked_sub(1).and_then(|at| self.seats.get(at)) else {
            return Some("this shard already exists: it is the one that listens".to_owned());
        };
        if self.phase != Phase::Gathering || self.stop.is_some() || seat.is_gone {
            return Some("it is too late: the test has begun or is over".to_owned());
        }
        seat.id.map(|_| format!("this shard is already connected, from {}", seat.peer))
    }

    fn shard_said(&mut self, shard: u32, frame: Frame, now: Nanos) {
        let Some(seat) = self.seat(shard) else { return };
        match frame.kind {
            Kind::Second if !seat.has_ended => self.events.push(Event::Second { shard, text: frame.body }),
            Kind::SoFar => self.events.push(Event::SoFar { shard, text: frame.body }),
            Kind::Step => self.events.push(Event::StepOver { shard, text: frame.body }),
            Kind::Part => match seat.result.as_mut().map(|result| result.add(&frame.body)) {
                Some(Arriving::More) => {}
                Some(Arriving::All(text)) => {
                    seat.is_done = true;
                    self.events.push(Event::Result { shard, text });
                }
                Some(Arriving::TooMuch) | None => self.lose(shard, "it sent a result that was not requested"),
            },
            Kind::Second => self.lose(shard, "it sent a second after its last"),
            Kind::Message => match serde_json::from_slice(&frame.body) {
                Ok(message) => self.said(shard, message, now),
                Err(_) => self.lose(shard, "its message could not be understood"),
            },
        }
    }

    fn said(&mut self, shard: u32, message: Message, now: Nanos) {
        let most = self.most_of_a_result as u64;
        let Some(seat) = self.seat(shard) else { return };
        match message {
            Message::Alive => {}
            Message::Ready { plan } => {
                seat.ready = Some(plan);
                self.go_on(now);
            }
            Message::Pong { n, now: theirs } => {
                seat.offset.answer(n, Nanos(theirs), now);
                self.go_on(now);
            }
            Message::Started { late } => {
                seat.late = Some(Nanos(late));
                self.tell_spread();
            }
            Message::Ended => {
                seat.has_ended = true;
                self.events.push(Event::Ended { shard });
            }
            Message::Stop(stop) => self.stop_all(Stop { shard, ..stop.printable() }),
            Message::Result { bytes } if seat.is_asked && seat.result.is_none() && bytes <= most => {
                seat.begin_result(bytes as usize);
                if bytes == 0 {
                    seat.is_done = true;
                    self.events.push(Event::Result { shard, text: Vec::new() });
                }
            }
            _ => self.lose(shard, "its message was not expected"),
        }
    }

    /// Continues with the next phase once all shards have finished the current one.
    fn go_on(&mut self, now: Nanos) {
        if self.stop.is_some() {
            return;
        }
        if self.phase == Phase::Gathering {
            let Some(ours) = &self.ready else { return };
            let other = self.seats.iter().position(|seat| seat.ready.as_ref().is_some_and(|plan| plan != ours));
            if let Some(at) = other {
                return self.lose(
                    at as u32 + 1,
                    "it has prepared a different plan than shard 0: is its server the \
                    same?",
                );
            }
            if self.seats.iter().any(|seat| seat.ready.is_none()) {
                return;
            }
            self.phase = Phase::Reading;
        }
        if self.phase == Phase::Reading {
            for at in 0..self.seats.len() {
                let seat = &mut self.seats[at];
                let Some(id) = seat.id else { continue };
                if seat.offset.rounds < ROUNDS && seat.asked_rounds == seat.offset.rounds {
                    let n = seat.offset.ask(now);
                    seat.asked_rounds = n + 1;
                    self.say(id, &Message::Ping { n });
                }
            }
            if self.seats.iter().all(|seat| seat.offset.rounds >= ROUNDS) {
                self.start(now);
            }
        }
    }

    fn start(&mut self, now: Nanos) {
        self.phase = Phase::Started;
        let farthest = self.seats.iter().map(|seat| seat.offset.round_trip()).max().unwrap_or_default();
        let at = now.saturating_add(LEAD).saturating_add(Nanos(farthest.0.saturating_mul(2)));
        for index in 0..self.seats.len() {
            let Seat { id: Some(id), offset, .. } = &self.seats[index] else { continue };
            let (id, error) = (*id, offset.round_trip().0 / 2);
            let (watched, step) = (self.is_watched, self.step.clone());
            self.say(id, &Message::Start { at: offset.theirs(at).0, error, watched, step });
        }
        let (watched, step) = (self.is_watched, self.step.take());
        self.events.push(Event::Start { at, error: Nanos::ZERO, watched, step });
    }

    /// Once all shards have begun, reports how far apart they were.
    fn tell_spread(&mut self) {
        let lates: Vec<Nanos> = self.seats.iter().filter_map(|seat| seat.late).chain(self.late).collect();
        if self.has_told_spread || lates.len() < self.seats.len() + 1 {
            return;
        }
        self.has_told_spread = true;
        let spread =
            lates.iter().max().copied().unwrap_or_default().since(lates.iter().min().copied().unwrap_or_default());
        let error = self.seats.iter().map(|seat| seat.offset.round_trip().0 / 2).max().unwrap_or_default();
        let line = format!(
            "{} started within {:.2} ms of each other (clocks are known to {:.2} ms)",
            plural(lates.len(), "shard"),
            spread.as_millis_f64(),
            Nanos(error).as_millis_f64()
        );
        self.events.push(Event::Said(line));
    }

    /// Handles a shard that will not send anything any more. All shards end with it, unless its
    /// result is complete.
    fn lose(&mut self, shard: u32, text: &str) {
        let Some(seat) = self.seat(shard) else { return };
        let Some(id) = seat.id.take() else { return };
        self.actions.push(Action::Close(id));
        let Some(seat) = self.seat(shard) else { return };
        if seat.is_done {
            return;
        }
        seat.is_gone = true;
        let was_running = !seat.has_ended;
        seat.has_ended = true;
        if was_running {
            self.events.push(Event::Ended { shard });
        }
        self.stop_all(Stop { cause: Cause::Lost, shard, text: text.to_owned() });
        self.events.push(Event::Gone { shard });
    }

    fn stop_all(&mut self, stop: Stop) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(stop.clone());
        self.say_to_all(&Message::Stop(stop.clone()));
        self.events.push(Event::Stop(stop));
    }

    /// Gives up because some shards were not ready in time.
    fn give_up(&mut self) {
        let seats = || (1..).zip(&self.seats);
        let absent: Vec<u32> = seats().filter(|(_, seat)| seat.id.is_none()).map(|(shard, _)| shard).collect();
        // Shard 0 itself may be the last.
        let ours = self.ready.is_none().then_some(0);
        let unready = seats().filter(|(_, seat)| seat.ready.is_none()).map(|(shard, _)| shard);
        let (shards, what) =
            if absent.is_empty() { (ours.into_iter().chain(unready).collect(), "ready") } else { (absent, "here") };
        let text = format!("not {what} within {}: {}", self.timeout, named(&shards, self.who.count));
        self.events.push(Event::Unmet(text.clone()));
        self.stop_all(Stop { cause: Cause::Lost, shard: shards.first().copied().unwrap_or(0), text });
    }
}

/// Formats `shards 0, 2 of 4`.
fn named(shards: &[u32], count: u32) -> String {
    let noun = if shards.len() == 1 { "shard" } else { "shards" };
    let few: Vec<String> = shards.iter().take(NAMED).map(u32::to_string).collect();
    let more = if shards.len() > NAMED { ", …" } else { "" };
    format!("{noun} {}{more} of {count}", few.join(", "))
}

/// Returns an address without its port, which differs for each connection.
fn host_of(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

impl Machine for Host {
    fn opened(&mut self, id: Id, peer: &str, nonce: &Nonce, now: Nanos) {
        if self.strangers.len() >= STRANGERS + self.seats.len() || self.phase == Phase::Over {
            self.actions.push(Action::Close(id));
            return self.tell_once("more connections than shards: some are closed at once".to_owned());
        }
        let nonce = text(nonce);
        self.say(id, &Message::Challenge { protocol: PROTOCOL, nonce: nonce.clone() });
        let by = now.saturating_add(SILENCE);
        let (peer, frames) = (peer.to_owned(), Frames::new(MOST_OF_A_STRANGER));
        self.strangers.insert(id, Stranger { peer, frames, nonce, by });
    }

    fn received(&mut self, id: Id, bytes: &[u8], now: Nanos) {
        let shard = self.shard_of(id);
        if let Some(seat) = shard.and_then(|shard| self.seat(shard)) {
            seat.heard = now;
            seat.frames.push(bytes);
        } else if let Some(stranger) = self.strangers.get_mut(&id) {
            stranger.frames.push(bytes);
        }
        // A stranger may become a shard within these bytes.
        loop {
            if let Some(shard) = self.shard_of(id) {
                match self.seat(shard).map(|seat| seat.frames.next()) {
                    Some(Ok(Some(frame))) => self.shard_said(shard, frame, now),
                    Some(Err(error)) => self.lose(shard, &format!("it sent {error}")),
                    Some(Ok(None)) | None => return,
                }
            } else {
                let Some(stranger) = self.strangers.get_mut(&id) else { return };
                match stranger.frames.next() {
                    Ok(Some(frame)) => self.stranger_said(id, &frame, now),
                    Ok(None) => return,
                    Err(_) => {
                        let line = format!("refused a connection from {}: it is not a shard", host_of(&stranger.peer));
                        self.refuse(id, "expected the hello of a shard", line);
                    }
                }
            }
        }
    }

    fn closed(&mut self, id: Id, _now: Nanos) {
        if let Some(shard) = self.shard_of(id) {
            self.lose(shard, "its connection was closed");
        }
        self.strangers.remove(&id);
    }

    fn command(&mut self, command: Command, now: Nanos) {
        match command {
            Command::Ready { plan } => {
                self.ready = Some(plan);
                self.go_on(now);
            }
            Command::Started { late } => {
                self.late = Some(late);
                self.tell_spread();
            }
            Command::Stop { cause, text } => self.stop_all(Stop { cause, shard: 0, text }),
            Command::Step { text } if self.phase == Phase::Started && self.stop.is_none() => {
                self.step = Some(text);
                // Clocks drift apart in a long test, so they are read again.
                for seat in &mut self.seats {
                    (seat.offset, seat.asked_rounds) = (Offset::default(), 0);
                }
                self.phase = Phase::Reading;
                self.go_on(now);
            }
            Command::Look => self.say_to_all(&Message::Look),
            Command::Ask { shard } => {
                if let Some(seat) = self.seat(shard)
                    && let Some(id) = seat.id
                {
                    seat.is_asked = true;
                    self.say(id, &Message::Send);
                } else {
                    self.events.push(Event::Gone { shard });
                }
            }
            Command::Thank { shard } => {
                let Some(seat) = self.seat(shard) else { return };
                if let Some(id) = seat.id.take() {
                    self.say(id, &Message::Thanks);
                    self.actions.push(Action::Close(id));
                }
            }
            Command::Leave => {
                self.phase = Phase::Over;
                let shards = self.seats.iter_mut().filter_map(|seat| seat.id.take());
                let ids: Vec<Id> = shards.chain(std::mem::take(&mut self.strangers).into_keys()).collect();
                self.actions.extend(ids.into_iter().map(Action::Close));
            }
            // No step begins before the first start, or once all shards end.
            Command::Step { .. }
            | Command::Second(_)
            | Command::StepOver(_)
            | Command::SoFar(_)
            | Command::Ended
            | Command::Result(_) => {}
        }
    }

    fn tick(&mut self, now: Nanos) {
        let late: Vec<Id> = self.strangers.iter().filter(|(_, s)| now >= s.by).map(|(id, _)| *id).collect();
        for id in late {
            let host = self.strangers.get(&id).map_or(String::new(), |stranger| host_of(&stranger.peer).to_owned());
            self.show_out(id, format!("closed a connection from {host}: it did not identify itself"));
        }
        let silent = |seat: &Seat| seat.id.is_some() && now.since(seat.heard) > SILENCE;
        while let Some(at) = self.seats.iter().position(silent) {
            self.lose(at as u32 + 1, &format!("it was silent for {SILENCE}"));
        }
        if self.phase == Phase::Gathering && self.stop.is_none() && now >= self.until {
            self.give_up();
        }
        if now >= self.alive_at {
            self.alive_at = now.saturating_add(ALIVE_EVERY);
            self.say_to_all(&Message::Alive);
        }
    }

    fn due(&self) -> Nanos {
        // Silent shards and strangers are checked as often as alive messages are sent.
        let gathering = self.phase == Phase::Gathering && self.stop.is_none();
        self.alive_at.min(if gathering { self.until } else { Nanos::MAX })
    }

    fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }
}
