//! Writes conversations into the arena.

use super::arena::Rows;
use super::row::{Form, Said, Who};
use super::said::{Span, Writer};
use super::script::{TOOL, number, range};

const NO_BEGINNING: &str = "the conversation does not begin with a user";

/// Writes a conversation into the arena, or returns why it cannot be sent.
pub(super) fn push(rows: &mut Rows, said: &[Said<'_>], form: Form) -> Result<(), &'static str> {
    let start = rows.next_start();
    let mut points = Points::default();
    let mut system = None;
    let mut writer = Writer::new(form, rows.out());
    for Said { who, message } in said {
        if form == Form::SystemApart && *who == Who::System {
            if system.replace(message.content().unwrap_or("\"\"")).is_some() {
                return Err("it has several system messages");
            }
            continue;
        }
        let out = rows.out();
        if *who == Who::Model {
            points.speak(out.len() - start)?;
        }
        // A comma precedes all messages but the first.
        let at = out.len() - start;
        let at = if at > 1 { at + 1 } else { at };
        let result = writer.write(*who, *message, out)?;
        points.say(*who, result, at)?;
    }
    let out = rows.out();
    points.end(out.len() - start);
    let Some(last) = points.all.last().map(|point| range(*point).1) else {
        return Err("it has no user message");
    };
    // The server generates the last reply, so a recorded one is dropped.
    out.truncate(start + last);
    if let Some(system) = system {
        out.extend_from_slice(b",\"system\":");
        out.extend_from_slice(system.as_bytes());
    }
    rows.push_talk(start, last, &points.all, &points.results);
    Ok(())
}

/// The points of a conversation that is being written.
#[derive(Debug, Default)]
struct Points {
    all: Vec<u64>,
    results: Vec<u64>,
    /// Start of the messages since the last reply.
    since: Option<usize>,
    by_user: bool,
    by_tool: bool,
}

impl Points {
    /// Adds a point at `at`, where the model replies.
    fn speak(&mut self, at: usize) -> Result<(), &'static str> {
        if self.all.is_empty() && !self.by_user {
            return Err(NO_BEGINNING);
        }
        self.end(at);
        Ok(())
    }

    /// Ends the messages since the last reply at `at`.
    fn end(&mut self, at: usize) {
        let says = self.by_user || self.by_tool;
        if let Some(from) = self.since.take().filter(|_| says) {
            self.all.push(number(from, at) | if self.by_tool { TOOL } else { 0 });
        }
        (self.by_user, self.by_tool) = (false, false);
    }

    /// Adds a message that begins at `at`. `result` is the position of a tool's result.
    fn say(&mut self, who: Who, result: Option<Span>, at: usize) -> Result<(), &'static str> {
        if who == Who::Model {
            return Ok(());
        }
        if who == Who::Tool && self.all.is_empty() {
            return Err(NO_BEGINNING);
        }
        self.since = self.since.or(Some(at));
        self.by_user |= who == Who::User;
        self.by_tool |= who == Who::Tool;
        if self.by_user && self.by_tool {
            return Err("a tool result and a user message follow each other without a reply in between");
        }
        self.results.extend(result.map(|(from, end)| number(from, end)));
        Ok(())
    }
}
