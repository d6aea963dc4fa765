//! Conversations as they are written into the arena.

use super::arena::Rows;
use super::row::{Form, Message, Said, Who};
use super::script::{TOOL, number, range};

const NO_BEGINNING: &str = "the conversation does not begin with a user";

/// Writes a conversation into the arena, or says why it cannot be sent. `tools`: calls of tools can
/// be sent as they are.
pub(super) fn push(rows: &mut Rows, said: &[Said<'_>], form: Form, tools: bool) -> Result<(), &'static str> {
    let start = rows.next_start();
    let mut points = Points::default();
    let mut system = None;
    rows.out().push(b'[');
    for Said { who, message } in said {
        if form == Form::SystemApart && *who == Who::System {
            if system.replace(message.content().unwrap_or("\"\"")).is_some() {
                return Err("it has several system messages");
            }
            continue;
        }
        if !tools && (*who == Who::Tool || message.calls_tools()) {
            return Err("it has calls of tools, which are sent as recorded for openai-chat only");
        }
        let out = rows.out();
        if *who == Who::Model {
            points.speak(out.len() - start)?;
        }
        if out.len() - start > 1 {
            out.push(b',');
        }
        let at = out.len() - start;
        write(*who, *message, out);
        points.say(*who, *message, at)?;
    }
    let out = rows.out();
    points.end(out.len() - start);
    let Some(last) = points.all.last().map(|point| range(*point).1) else {
        return Err("no message is a user's");
    };
    // The last reply is for the server to give.
    out.truncate(start + last);
    if let Some(system) = system {
        out.extend_from_slice(b",\"system\":");
        out.extend_from_slice(system.as_bytes());
    }
    rows.push_talk(start, last, &points.all, &points.results);
    Ok(())
}

fn write(who: Who, message: Message<'_>, out: &mut Vec<u8>) {
    let content = match message {
        Message::Object(object) => return out.extend_from_slice(object.as_bytes()),
        Message::Content(content) => content,
    };
    let role: &[u8] = match who {
        Who::System => b"system",
        Who::User => b"user",
        Who::Model => b"assistant",
        Who::Tool => b"tool",
    };
    out.extend_from_slice(b"{\"role\":\"");
    out.extend_from_slice(role);
    out.extend_from_slice(b"\",\"content\":");
    out.extend_from_slice(content.as_bytes());
    out.push(b'}');
}

/// The points of a conversation, while it is written.
#[derive(Debug, Default)]
struct Points {
    all: Vec<u64>,
    results: Vec<u64>,
    /// Where what was said since the last reply begins.
    since: Option<usize>,
    by_user: bool,
    by_tool: bool,
}

impl Points {
    /// The model speaks, at `at`.
    fn speak(&mut self, at: usize) -> Result<(), &'static str> {
        if self.all.is_empty() && !self.by_user {
            return Err(NO_BEGINNING);
        }
        self.end(at);
        Ok(())
    }

    /// What was said ends there.
    fn end(&mut self, at: usize) {
        let says = self.by_user || self.by_tool;
        if let Some(from) = self.since.take().filter(|_| says) {
            self.all.push(number(from, at) | if self.by_tool { TOOL } else { 0 });
        }
        (self.by_user, self.by_tool) = (false, false);
    }

    /// Somebody says something, at `at`.
    fn say(&mut self, who: Who, message: Message<'_>, at: usize) -> Result<(), &'static str> {
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
            return Err("a tool and a user speak without a reply between them");
        }
        if let (Who::Tool, Message::Object(object), Some(content)) = (who, message, message.content()) {
            let from = at + (content.as_ptr() as usize - object.as_ptr() as usize);
            self.results.push(number(from, from + content.len()));
        }
        Ok(())
    }
}
