//! Rows of a trace that are turns of one conversation.

use crate::units::Nanos;
use std::collections::HashMap;
use std::ops::Range;

/// Which conversation a row belongs to, as its format says it. Values are JSON, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session<'a> {
    /// All rows of that name (`AIPerf`).
    Named(&'a str),
    /// The one that the row's parent belongs to (Bailian).
    Chat { id: &'a str, parent: Option<&'a str> },
}

/// Which conversation each row belongs to, and how long it waits for the answer before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    rows: Vec<Link>,
    known: HashMap<Box<str>, u32>,
    sessions: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    session: u32,
    /// The row has an instant of its own.
    is_dated: bool,
    pause: Nanos,
}

impl Links {
    /// The conversation of a row, if it has rows already.
    pub(super) fn find(&self, session: Option<Session<'_>>) -> Option<u32> {
        let name = match session? {
            Session::Named(name) => name,
            Session::Chat { parent, .. } => parent?,
        };
        self.known.get(name).copied()
    }

    /// Adds a row that can be sent. `found` is what `find` says of it.
    pub(super) fn push(&mut self, session: Option<Session<'_>>, found: Option<u32>, is_dated: bool, pause: Nanos) {
        let number = found.unwrap_or_else(|| {
            self.sessions += 1;
            self.sessions - 1
        });
        if let Some(Session::Named(name) | Session::Chat { id: name, .. }) = session {
            self.known.insert(name.into(), number);
        }
        self.rows.push(Link { session: number, is_dated, pause });
    }

    /// Nothing is added any more.
    pub(super) fn finish(&mut self) {
        self.known = HashMap::new();
        self.rows.shrink_to_fit();
    }
}

/// A row as a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTurn {
    pub row: u32,
    /// When it is due, from the first turn on. None: it has no instant of its own.
    pub due: Option<Nanos>,
    /// How long it waits after the answer before it, at least.
    pub pause: Nanos,
}

/// Conversations, each with its turns in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// Where the turns of each begin.
    begins: Vec<u32>,
    turns: Vec<SessionTurn>,
}

impl Sessions {
    /// The conversations of some rows, in the order of their first rows. `instants` are those of all
    /// rows, and `scaled` makes of a length of time what it is in the test. Rows are counted from the
    /// first of these on.
    pub fn new(links: &Links, rows: Range<usize>, instants: &[Nanos], scaled: impl Fn(Nanos) -> Nanos) -> Self {
        let mut numbers: HashMap<u32, usize> = HashMap::new();
        let mut sessions: Vec<Vec<usize>> = Vec::new();
        for row in rows.clone() {
            let number = *numbers.entry(links.rows[row].session).or_insert(sessions.len());
            if number == sessions.len() {
                sessions.push(Vec::new());
            }
            sessions[number].push(row);
        }
        let (mut begins, mut turns) = (Vec::with_capacity(sessions.len()), Vec::with_capacity(rows.len()));
        for session in sessions {
            begins.push(turns.len() as u32);
            let first = instants[session[0]];
            turns.extend(session.into_iter().map(|row| SessionTurn {
                row: (row - rows.start) as u32,
                due: links.rows[row].is_dated.then(|| scaled(instants[row].since(first))),
                pause: scaled(links.rows[row].pause),
            }));
        }
        Self { begins, turns }
    }

    pub fn len(&self) -> usize {
        self.begins.len()
    }

    pub fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    /// The turns of a conversation; numbers beyond the last begin again.
    pub fn turns(&self, number: u64) -> &[SessionTurn] {
        let Some(number) = number.checked_rem(self.begins.len() as u64) else { return &[] };
        let number = number as usize;
        let end = self.begins.get(number + 1).map_or(self.turns.len(), |end| *end as usize);
        &self.turns[self.begins[number] as usize..end]
    }

    /// The row of a turn, from 0. After the last turn, that of the last.
    pub fn row(&self, number: u64, turn: usize) -> usize {
        let turns = self.turns(number);
        turns.get(turn).or(turns.last()).map_or(0, |turn| turn.row as usize)
    }

    /// The first rows of all, in order.
    pub fn firsts(&self) -> impl Iterator<Item = usize> {
        self.begins.iter().map(|begin| self.turns[*begin as usize].row as usize)
    }

    /// The longest that a conversation pauses, in all.
    pub fn longest_pauses(&self) -> Nanos {
        let sum = |number| self.turns(number).iter().fold(Nanos::ZERO, |sum, turn| sum.saturating_add(turn.pause));
        (0..self.len() as u64).map(sum).max().unwrap_or_default()
    }
}
