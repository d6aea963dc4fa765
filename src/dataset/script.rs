//! Conversations of the arena: lists of messages that are sent turn by turn.
//!
//! A *point* is where the model has to speak: before each of its recorded replies, and at the end.
//! What a request carries there is the list up to the point, so that nothing is copied until it is
//! sent.
//!
//! ```text
//!   [ system, user │ reply(calls) , tool │ reply , user │ reply
//!                  └ point of turn 1     └ its tools    └ point of turn 2
//! ```

/// Marks a point at which results of tools were said, and no message of the user's.
pub(super) const TOOL: u64 = 1 << 63;

/// What is kept in numbers before the points: where it begins and ends among the bytes of all rows,
/// where its list ends, and how many results there are.
const HEAD: usize = 4;

/// A conversation of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script<'a> {
    /// The list without its closing bracket, and what follows it in the body.
    bytes: &'a [u8],
    list_end: usize,
    points: &'a [u64],
    /// Contents of the results of tools, in order.
    results: &'a [u64],
}

/// Where a part begins and ends, from the conversation's start.
pub(super) const fn range(number: u64) -> (usize, usize) {
    (((number & !TOOL) >> 32) as usize, (number & 0xffff_ffff) as usize)
}

pub(super) const fn number(from: usize, end: usize) -> u64 {
    (from as u64) << 32 | end as u64
}

impl<'a> Script<'a> {
    /// The conversation that these numbers begin with, with so many points. `bytes` are its own.
    pub(super) fn new(bytes: &'a [u8], numbers: &'a [u64], points: usize) -> Self {
        let [list_end, results] = [2, 3].map(|i| numbers[i] as usize);
        let numbers = &numbers[HEAD..];
        Self { bytes, list_end, points: &numbers[..points], results: &numbers[points..points + results] }
    }

    /// Where the bytes of that conversation begin among those of all rows, and how many there are.
    pub(super) const fn place(numbers: &[u64]) -> (u64, usize) {
        (numbers[0], (numbers[1] - numbers[0]) as usize)
    }

    /// Turns of the user.
    pub fn turns(&self) -> usize {
        self.points.iter().filter(|point| *point & TOOL == 0).count()
    }

    /// The point of a turn, from 0.
    pub fn point_of(&self, turn: usize) -> Option<usize> {
        let asks = self.points.iter().enumerate().filter(|(_, point)| *point & TOOL == 0);
        asks.map(|(i, _)| i).nth(turn)
    }

    /// Whether the user is silent at a point, because tools have answered. None after the last.
    pub fn is_tool_round(&self, point: usize) -> Option<bool> {
        self.points.get(point).map(|point| point & TOOL != 0)
    }

    /// The list of messages up to a point, without the closing bracket.
    pub fn until(&self, point: usize) -> &'a [u8] {
        self.points.get(point).map_or(&[], |point| &self.bytes[..range(*point).1])
    }

    /// What is said in a turn, from 0: messages with commas between them.
    pub fn said(&self, turn: usize) -> &'a [u8] {
        self.point_of(turn).map_or(&[], |point| {
            let (from, end) = range(self.points[point]);
            &self.bytes[from..end]
        })
    }

    /// What follows the list in the body.
    pub fn tail(&self) -> &'a [u8] {
        &self.bytes[self.list_end..]
    }

    /// The `n`th result of a tool in a turn, as JSON.
    pub fn result(&self, turn: usize, n: usize) -> Option<&'a [u8]> {
        let place = |turn| self.point_of(turn).map(|point| range(self.points[point]).0);
        let (from, end) = (place(turn)?, place(turn + 1).unwrap_or(self.list_end));
        let of_turn = self.results.iter().map(|result| range(*result)).filter(|(at, _)| (from..end).contains(at));
        of_turn.skip(n).map(|(from, end)| &self.bytes[from..end]).next()
    }

    /// All that it sends.
    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
