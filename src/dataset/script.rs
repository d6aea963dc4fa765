//! Conversations in the arena: lists of messages that are sent turn by turn.
//!
//! A *point* is a position at which the model must reply: before each of its recorded replies, and
//! at the end. A request at that point carries the list up to it, so nothing is copied until it is
//! sent.
//!
//! ```text
//!   [ system, user │ reply(calls) , tool │ reply , user │ reply
//!                  └ point of turn 1     └ its tools    └ point of turn 2
//! ```

/// Marks a point that follows results of tools rather than a message of the user.
pub(super) const TOOL: u64 = 1 << 63;

/// Length of the numbers before the points: start and end of the conversation among the bytes of
/// all rows, the end of its list, and the number of results.
const HEAD: usize = 4;

/// A conversation in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script<'a> {
    /// The list without its closing bracket, followed by the rest of the body.
    bytes: &'a [u8],
    list_end: usize,
    points: &'a [u64],
    /// The positions of the results of tools, in order.
    results: &'a [u64],
}

/// Unpacks the start and the end of a part, relative to the conversation's start.
pub(super) const fn range(number: u64) -> (usize, usize) {
    (((number & !TOOL) >> 32) as usize, (number & 0xffff_ffff) as usize)
}

pub(super) const fn number(from: usize, end: usize) -> u64 {
    (from as u64) << 32 | end as u64
}

impl<'a> Script<'a> {
    /// Returns the conversation described by these numbers, with `points` points. `bytes` are its
    /// own.
    pub(super) fn new(bytes: &'a [u8], numbers: &'a [u64], points: usize) -> Self {
        let [list_end, results] = [2, 3].map(|i| numbers[i] as usize);
        let numbers = &numbers[HEAD..];
        Self { bytes, list_end, points: &numbers[..points], results: &numbers[points..points + results] }
    }

    /// Returns the start of the conversation's bytes among those of all rows, and their length.
    pub(super) const fn place(numbers: &[u64]) -> (u64, usize) {
        (numbers[0], (numbers[1] - numbers[0]) as usize)
    }

    /// Returns the number of user turns.
    pub fn turns(&self) -> usize {
        self.points.iter().filter(|point| *point & TOOL == 0).count()
    }

    /// Returns the point of a turn, counted from 0.
    pub fn point_of(&self, turn: usize) -> Option<usize> {
        let asks = self.points.iter().enumerate().filter(|(_, point)| *point & TOOL == 0);
        asks.map(|(i, _)| i).nth(turn)
    }

    /// Returns true if a point follows results of tools instead of a user message. `None` after the
    /// last point.
    pub fn is_tool_round(&self, point: usize) -> Option<bool> {
        self.points.get(point).map(|point| point & TOOL != 0)
    }

    /// Returns the list of messages up to a point, without the closing bracket.
    pub fn until(&self, point: usize) -> &'a [u8] {
        self.points.get(point).map_or(&[], |point| &self.bytes[..range(*point).1])
    }

    /// Returns the messages of a turn, counted from 0, with commas between them.
    pub fn said(&self, turn: usize) -> &'a [u8] {
        self.point_of(turn).map_or(&[], |point| {
            let (from, end) = range(self.points[point]);
            &self.bytes[from..end]
        })
    }

    /// Returns the part of the body after the list.
    pub fn tail(&self) -> &'a [u8] {
        &self.bytes[self.list_end..]
    }

    /// Returns the `n`th result of a tool in a turn, as JSON.
    pub fn result(&self, turn: usize, n: usize) -> Option<&'a [u8]> {
        let place = |turn| self.point_of(turn).map(|point| range(self.points[point]).0);
        let (from, end) = (place(turn)?, place(turn + 1).unwrap_or(self.list_end));
        let of_turn = self.results.iter().map(|result| range(*result)).filter(|(at, _)| (from..end).contains(at));
        of_turn.skip(n).map(|(from, end)| &self.bytes[from..end]).next()
    }

    /// Returns all bytes of the conversation.
    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
