//! The protocol at every shard except shard 0: it connects, proves that it has the key, begins when
//! told to, sends its seconds, and hands over its result when asked.

use super::frame::{Frame, Frames, Kind, MOST_OF_A_SHARD, PART, encoded};
use super::message::{Cause, Message, PROTOCOL, Stop, Who, printable};
use super::proof::{Key, Nonce, Side, text};
use super::step::{ALIVE_EVERY, Action, Command, Event, Id, Machine, SILENCE};
use crate::units::Nanos;

/// Pause before another attempt to connect.
const RETRY: Nanos = Nanos::from_millis(250);

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Not connected. Tries again at `again`.
    Away {
        again: Nanos,
    },
    /// A connection is being opened.
    Opening,
    /// Connected. Waits for the challenge of shard 0.
    Strange {
        by: Nanos,
    },
    /// The hello was sent. Waits for the proof of shard 0, which covers this nonce.
    Introduced {
        by: Nanos,
        host_nonce: String,
    },
    /// Shard 0 has accepted this shard.
    Seated,
    Over,
}

#[derive(Debug)]
pub(super) struct Guest {
    who: Who,
    key: Key,
    /// The address of shard 0, for messages.
    place: String,
    /// The deadline for meeting shard 0.
    until: Nanos,
    timeout: Nanos,
    state: State,
    id: Id,
    frames: Frames,
    nonce: String,
    heard: Nanos,
    alive_at: Nanos,
    /// The plan that was prepared before shard 0 accepted this shard.
    ready: Option<String>,
    asked: bool,
    result: Option<Vec<u8>>,
    stopped: bool,
    actions: Vec<Action>,
    events: Vec<Event>,
}

impl Guest {
    pub(super) fn new(who: Who, key: Key, place: String, timeout: Nanos, now: Nanos) -> Self {
        Self {
            who,
            key,
            place,
            until: now.saturating_add(timeout),
            timeout,
            state: State::Away { again: now },
            id: 0,
            frames: Frames::new(MOST_OF_A_SHARD),
            nonce: String::new(),
            heard: now,
            alive_at: now,
            ready: None,
            asked: false,
            result: None,
            stopped: false,
            actions: Vec::new(),
            events: Vec::new(),
        }
    }

    fn say(&mut self, message: &Message) {
        if self.state == State::Seated || matches!(message, Message::Hello { .. }) {
            self.actions.push(Action::Send(self.id, message.encoded()));
        }
    }

    /// Sends a frame, unless it is longer than shard 0 reads.
    fn send(&mut self, kind: Kind, body: &[u8]) {
        if self.state == State::Seated && body.len() <= MOST_OF_A_SHARD {
            self.actions.push(Action::Send(self.id, encoded(kind, body)));
        }
    }

    fn end(&mut self) {
        if !matches!(self.state, State::Away { .. } | State::Over) {
            self.actions.push(Action::Close(self.id));
        }
        self.state = State::Over;
    }

    /// Handles the loss of shard 0 while it was needed.
    fn lose(&mut self, text: &str) {
        self.end();
        self.stop(Stop { cause: Cause::Lost, shard: 0, text: text.to_owned() });
        self.events.push(Event::Gone { shard: 0 });
    }

    fn stop(&mut self, stop: Stop) {
        if !std::mem::replace(&mut self.stopped, true) {
            self.events.push(Event::Stop(stop));
        }
    }

    /// Drops a connection to a peer that is not shard 0, or not ready. Tries again later.
    fn drop_connection(&mut self, now: Nanos) {
        self.actions.push(Action::Close(self.id));
        self.state = State::Away { again: now.saturating_add(RETRY) };
    }

    fn read(&mut self, frame: &Frame, now: Nanos) {
        let message = match frame.kind {
            Kind::Message => serde_json::from_slice(&frame.body).ok(),
            Kind::Second | Kind::Part | Kind::SoFar | Kind::Step => None,
        };
        let Some(message) = message else { return self.nonsense(now) };
        match (&self.state, message) {
            (State::Strange { by }, Message::Challenge { protocol, nonce }) => {
                if protocol != PROTOCOL {
                    let why = format!(
                        "shard 0 speaks version {protocol} of the protocol, and this shard speaks \
                                       {PROTOCOL}"
                    );
                    return self.refused(why);
                }
                let proof = self.key.proof(Side::Guest, (&nonce, &self.nonce), &self.who);
                self.state = State::Introduced { by: *by, host_nonce: nonce };
                self.say(&Message::Hello { who: self.who.clone(), nonce: self.nonce.clone(), proof });
            }
            (State::Introduced { host_nonce, .. }, Message::Welcome { proof }) => {
                if !self.key.proves(&proof, Side::Host, (host_nonce, &self.nonce), &self.who) {
                    return self.refused("shard 0 has a different key".to_owned());
                }
                self.state = State::Seated;
                (self.heard, self.alive_at) = (now, now.saturating_add(ALIVE_EVERY));
                if let Some(plan) = self.ready.take() {
                    self.say(&Message::Ready { plan });
                }
            }
            (State::Strange { .. } | State::Introduced { .. }, Message::Refused { why }) => {
                self.refused(printable(&why));
            }
            (State::Seated, message) => self.seated(message, now),
            _ => self.nonsense(now),
        }
    }

    fn seated(&mut self, message: Message, now: Nanos) {
        match message {
            Message::Ping { n } => self.say(&Message::Pong { n, now: now.0 }),
            Message::Start { at, error, watched, step } => {
                self.events.push(Event::Start { at: Nanos(at), error: Nanos(error), watched, step });
            }
            Message::Look => self.events.push(Event::Look),
            Message::Alive => {}
            Message::Stop(stop) => self.stop(stop.printable()),
            Message::Send => {
                self.asked = true;
                self.hand_over();
            }
            Message::Thanks => {
                self.end();
                self.events.push(Event::Thanked);
            }
            _ => self.nonsense(now),
        }
    }

    fn hand_over(&mut self) {
        if !self.asked {
            return;
        }
        let Some(result) = self.result.take() else { return };
        self.say(&Message::Result { bytes: result.len() as u64 });
        for part in result.chunks(PART) {
            self.actions.push(Action::Send(self.id, encoded(Kind::Part, part)));
        }
    }

    fn refused(&mut self, why: String) {
        self.end();
        self.events.push(Event::Refused(why));
    }

    fn nonsense(&mut self, now: Nanos) {
        if self.state == State::Seated {
            self.lose("its message could not be understood");
        } else {
            self.drop_connection(now);
        }
    }
}

impl Machine for Guest {
    fn opened(&mut self, id: Id, _peer: &str, nonce: &Nonce, now: Nanos) {
        if self.state != State::Opening || id != self.id {
            self.actions.push(Action::Close(id));
            return;
        }
        self.nonce = text(nonce);
        self.frames = Frames::new(MOST_OF_A_SHARD);
        self.state = State::Strange { by: now.saturating_add(SILENCE) };
    }

    fn received(&mut self, id: Id, bytes: &[u8], now: Nanos) {
        if id != self.id || self.state == State::Over {
            return;
        }
        self.heard = now;
        self.frames.push(bytes);
        while !matches!(self.state, State::Over | State::Away { .. }) {
            match self.frames.next() {
                Ok(Some(frame)) => self.read(&frame, now),
                Ok(None) => return,
                Err(_) => self.nonsense(now),
            }
        }
    }

    fn closed(&mut self, id: Id, now: Nanos) {
        if id != self.id {
            return;
        }
        match self.state {
            State::Seated => self.lose("its connection was closed"),
            State::Away { .. } | State::Over => {}
            _ => self.state = State::Away { again: now.saturating_add(RETRY) },
        }
    }

    fn command(&mut self, command: Command, _now: Nanos) {
        match command {
            Command::Ready { plan } if self.state == State::Seated => self.say(&Message::Ready { plan }),
            Command::Ready { plan } => self.ready = Some(plan),
            Command::Started { late } => self.say(&Message::Started { late: late.0 }),
            Command::Second(second) => self.send(Kind::Second, &second),
            Command::StepOver(step) => self.send(Kind::Step, &step),
            Command::SoFar(so_far) => self.send(Kind::SoFar, &so_far),
            Command::Ended => self.say(&Message::Ended),
            Command::Stop { cause, text } => self.say(&Message::Stop(Stop { cause, shard: self.who.shard, text })),
            Command::Result(result) => {
                self.result = Some(result);
                self.hand_over();
            }
            Command::Leave => self.end(),
            Command::Look | Command::Step { .. } | Command::Ask { .. } | Command::Thank { .. } => {}
        }
    }

    fn tick(&mut self, now: Nanos) {
        let is_met = matches!(self.state, State::Seated | State::Over);
        if !is_met && now >= self.until {
            let timeout = self.timeout;
            self.end();
            let text = format!("shard 0 could not be reached at {} within {timeout}", self.place);
            self.events.push(Event::Unmet(text));
            return;
        }
        match &self.state {
            State::Away { again } if now >= *again => {
                self.id += 1;
                self.state = State::Opening;
                self.actions.push(Action::Connect(self.id));
            }
            State::Strange { by } | State::Introduced { by, .. } if now >= *by => self.drop_connection(now),
            State::Seated if now.since(self.heard) > SILENCE => {
                self.lose(&format!("it was silent for {SILENCE}"));
            }
            State::Seated if now >= self.alive_at => {
                self.alive_at = now.saturating_add(ALIVE_EVERY);
                self.say(&Message::Alive);
            }
            _ => {}
        }
    }

    fn due(&self) -> Nanos {
        match &self.state {
            State::Away { again } => (*again).min(self.until),
            State::Opening => self.until,
            State::Strange { by } | State::Introduced { by, .. } => (*by).min(self.until),
            State::Seated => self.alive_at.min(Nanos(self.heard.0.saturating_add(SILENCE.0 + 1))),
            State::Over => Nanos::MAX,
        }
    }

    fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }
}
