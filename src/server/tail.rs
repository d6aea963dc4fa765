//! The last lines of a child's output, read on a separate thread so that the child never blocks on
//! a full pipe.

use crate::units::Nanos;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Lines kept: enough for a panic with its backtrace or a compiler's error, few enough to read in a
/// terminal.
const MAX_LINES: usize = 40;
/// Bytes kept of one line. The rest is dropped: longer lines are progress bars and dumps.
const MAX_LINE_BYTES: usize = 400;
/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// The last lines of one child.
#[derive(Debug)]
pub(super) struct Tail {
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// Lines seen so far, including those no longer kept.
    seen: usize,
    /// The unfinished last line.
    partial: Vec<u8>,
    closed: bool,
}

impl Tail {
    /// Reads `pipe` to its end on a new thread.
    pub(super) fn follow(mut pipe: impl Read + Send + 'static) -> std::io::Result<Arc<Self>> {
        let tail = Arc::new(Self { state: Mutex::default(), closed: Condvar::new() });
        let shared = Arc::clone(&tail);
        std::thread::Builder::new().name("server-log".to_owned()).spawn(move || {
            let mut buffer = [0; READ_BYTES];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => shared.lock().take(&buffer[..n]),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            shared.lock().close();
            shared.closed.notify_all();
        })?;
        Ok(tail)
    }

    /// Returns the lines kept now, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    /// Returns the lines since the `seen`-th, except those that are no longer kept, and how many
    /// there have been.
    pub(super) fn since(&self, seen: usize) -> (Vec<String>, usize) {
        let state = self.lock();
        let new = (state.seen - seen).min(state.lines.len());
        (state.lines.range(state.lines.len() - new..).cloned().collect(), state.seen)
    }

    /// Waits until the child has closed its end, at most `limit`: a grandchild may hold the pipe
    /// open for ever.
    pub(super) fn wait_until_closed(&self, limit: Nanos) {
        let state = self.lock();
        drop(self.closed.wait_timeout_while(state, limit.to_duration(), |state| !state.closed));
    }

    /// Locks the state. A panic elsewhere leaves the lines valid, and makes them all the more worth
    /// printing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes bytes as they arrive, split anywhere.
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            self.extend_partial(&bytes[..at]);
            self.finish_line();
            bytes = &bytes[at + 1..];
        }
        self.extend_partial(bytes);
    }

    fn extend_partial(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish_line(&mut self) {
        // Control characters would let a child repaint the terminal that shows its last words.
        let text: String = String::from_utf8_lossy(&self.partial)
            .trim_end()
            .chars()
            .filter(|c| !c.is_control() || *c == '\t')
            .collect();
        self.partial.clear();
        if text.is_empty() {
            return;
        }
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(text);
        self.seen += 1;
    }

    fn close(&mut self) {
        self.finish_line();
        self.closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&[u8]]) -> Vec<String> {
        let mut state = State::default();
        for piece in pieces {
            state.take(piece);
        }
        state.close();
        state.lines.into()
    }

    #[test]
    fn lines_survive_every_cut() {
        let text = "erste Zeile\nzwäite\r\n\nlast without end".as_bytes();
        let whole = lines_of(&[text]);
        assert_eq!(whole, ["erste Zeile", "zwäite", "last without end"]);
        for cut in 0..=text.len() {
            assert_eq!(lines_of(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn only_the_last_lines_are_kept_and_long_ones_are_cut() {
        let many = (0..100).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let lines = lines_of(&[many.as_bytes()]);
        assert_eq!((lines.len(), lines[0].as_str(), lines[39].as_str()), (MAX_LINES, "line 60", "line 99"));
        let long = lines_of(&[&[b'x'; 10_000], b"y\nnext\n"]);
        assert_eq!((long[0].len(), long[1].as_str()), (MAX_LINE_BYTES, "next"));
    }

    #[test]
    fn escape_sequences_lose_their_teeth() {
        assert_eq!(lines_of(&[b"\x1b[2Jred\x07\n"]), ["[2Jred"]);
    }

    #[test]
    fn new_lines_are_told_once() {
        let tail = Tail::follow(&b"one\ntwo\nthree"[..]).unwrap();
        tail.wait_until_closed(Nanos::from_secs(10));
        assert_eq!(tail.since(1), (vec!["two".to_owned(), "three".to_owned()], 3));
        assert_eq!(tail.since(3), (Vec::new(), 3));
        assert_eq!(tail.lines().len(), 3);
    }
}
