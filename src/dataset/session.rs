//! Rows of a trace that are turns of one conversation.

use crate::units::Nanos;
use std::collections::HashMap;
use std::ops::Range;

/// The conversation of a row, as given by its format. Values are raw JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session<'a> {
    /// The conversation of all rows with that name (`AIPerf`).
    Named(&'a str),
    /// The conversation of the row's parent (Bailian).
    Chat { id: &'a str, parent: Option<&'a str> },
}

/// The conversation of each row, and how long the row waits after the previous response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    rows: Vec<Link>,
    known: HashMap<Box<str>, u32>,
    sessions: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    session: u32,
    /// True if the row has its own instant.
    is_dated: bool,
    pause: Nanos,
}

impl Links {
    /// Returns the conversation of a row, if earlier rows belong to it.
    pub(super) fn find(&self, session: Option<Session<'_>>) -> Option<u32> {
        let name = match session? {
            Session::Named(name) => name,
            Session::Chat { parent, .. } => parent?,
        };
        self.known.get(name).copied()
    }

    /// Adds a row that can be sent. `found` is the result of `find` for it.
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

    /// Frees memory after the last row has been added.
    pub(super) fn finish(&mut self) {
        self.known = HashMap::new();
        self.rows.shrink_to_fit();
    }
}

/// A row that is a turn of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTurn {
    pub row: u32,
    /// When the turn is due, relative to the first turn. `None` if the row has no instant of its
    /// own.
    pub due: Option<Nanos>,
    /// Minimum wait after the previous response.
    pub pause: Nanos,
}

/// Conversations with their turns in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// Index of each conversation's first turn.
    begins: Vec<u32>,
    turns: Vec<SessionTurn>,
}

impl Sessions {
    /// Groups rows into conversations, in the order of their first rows. `instants` are those of
    /// all rows. `scaled` converts a duration in the file to one in the test. The row numbers in
    /// turns are relative to the start of `rows`.
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

    /// Returns the turns of a conversation. Numbers beyond the last wrap around.
    pub fn turns(&self, number: u64) -> &[SessionTurn] {
        let Some(number) = number.checked_rem(self.begins.len() as u64) else { return &[] };
        let number = number as usize;
        let end = self.begins.get(number + 1).map_or(self.turns.len(), |end| *end as usize);
        &self.turns[self.begins[number] as usize..end]
    }

    /// Returns the row of a turn, counted from 0. Turns beyond the last have the last one's row.
    pub fn row(&self, number: u64, turn: usize) -> usize {
        let turns = self.turns(number);
        turns.get(turn).or(turns.last()).map_or(0, |turn| turn.row as usize)
    }

    /// Returns the first row of each conversation, in order.
    pub fn firsts(&self) -> impl Iterator<Item = usize> {
        self.begins.iter().map(|begin| self.turns[*begin as usize].row as usize)
    }

    /// Returns the longest sum of a conversation's pauses.
    pub fn longest_pauses(&self) -> Nanos {
        let sum = |number| self.turns(number).iter().fold(Nanos::ZERO, |sum, turn| sum.saturating_add(turn.pause));
        (0..self.len() as u64).map(sum).max().unwrap_or_default()
    }
}
