//! Reads responses like the [`Api`] does, but faster. A [`Template`] recognises data that resembles
//! earlier data.

use super::json::{self, Data};
use super::scan::Notes;
use super::talk::Reply;
use super::template::{Fit, MAX_LEARNED_BYTES, Template};
use super::{Answer, Api, Custom, Delta, Flaw, Token};
use crate::metrics::TokenUsage;
use crate::wire::sse;
use std::sync::Arc;

/// Maximum number of templates per reader. A chat completions stream has events of four or five
/// shapes (role, tokens, reasoning, finish, usage). A stream of the Responses API with reasoning
/// has fifteen. Each shape is worth a template: in short streams the rare shapes cost more than all
/// tokens together. If there are more shapes, the least recently used template is dropped.
const MAX_TEMPLATES: usize = 24;

/// Limit of a reader's credit, which decides whether it still tries to recognise and to learn. With
/// a server whose responses never fit, attempts cost time on top of the parser. The credit bounds
/// this cost. Each fit earns credit.
const MAX_CREDIT: u16 = 512;
/// Credit spent when nothing fits. A fit earns one. So attempts continue as long as two of three
/// fit, which is also about where they save time.
const PRICE_OF_A_MISS: u16 = 2;
/// Credit spent on learning, on top of the miss. Learning takes a few microseconds.
const PRICE_OF_LEARNING: u16 = 16;
/// Number of misses without credit after which the reader gets some credit back. The responses may
/// have become regular by then.
const MISSES_TO_RESET: u8 = 255;
/// Credit given back: enough to learn twice. If that helps, the fits earn the rest.
const RESET_CREDIT: u16 = 2 * (PRICE_OF_A_MISS + PRICE_OF_LEARNING);

/// Reads the responses to one kind of request on one worker. It returns exactly what
/// [`Api::read_event`] and [`Api::read_body`] return.
#[derive(Debug)]
pub struct Reader {
    api: Api,
    /// The profile's description, if the profile describes the API.
    custom: Option<Arc<Custom>>,
    verify: bool,
    /// True if a plain response may lack usage.
    may_lack_usage: bool,
    events: Templates<Delta>,
    answers: Templates<Answer>,
    /// Kept between responses to reuse its memory.
    notes: Notes,
}

impl Reader {
    /// Returns a reader that has learned nothing. With `verify`, recognised data is parsed as well,
    /// and a difference is reported as [`Flaw::Mismatch`].
    pub fn new(api: Api, verify: bool) -> Self {
        Self {
            api,
            custom: None,
            verify,
            may_lack_usage: false,
            events: Templates::new(),
            answers: Templates::new(),
            notes: Notes::default(),
        }
    }

    /// Uses the profile's description of the API.
    #[must_use]
    pub fn of(self, custom: Option<Arc<Custom>>) -> Self {
        Self { custom, ..self }
    }

    /// Accepts plain responses that do not report their usage.
    #[must_use]
    pub fn without_usage(self) -> Self {
        Self { may_lack_usage: true, ..self }
    }

    /// Reads one event of a stream.
    #[inline]
    pub fn read_event(&mut self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        let Ok(Data::Json(data)) = json::data(event) else {
            return scan_event(self.api, self.custom.as_deref(), event, None);
        };
        let recognised = self.events.recognise(data).map(|(delta, fit)| Delta { usage: fit.usage, ..delta });
        match recognised {
            Some(delta) if !self.verify => Ok(delta),
            Some(delta) => judge(&delta, scan_event(self.api, self.custom.as_deref(), event, None)),
            None => self.parse_event(event, data),
        }
    }

    fn parse_event(&mut self, event: &sse::Event<'_>, data: &[u8]) -> Result<Delta, Flaw> {
        if !self.events.has_credit() {
            return scan_event(self.api, self.custom.as_deref(), event, None);
        }
        let parsed = scan_event(self.api, self.custom.as_deref(), event, Some(&mut self.notes));
        if let Ok(delta) = parsed {
            self.events.learn(data, &self.notes, delta, delta.usage);
        }
        parsed
    }

    /// Reads one event of a stream and adds its content to `reply`. Text is copied still escaped.
    /// Only events that are more than text are parsed into values.
    pub fn read_reply(&mut self, event: &sse::Event<'_>, reply: &mut Reply) -> Result<Delta, Flaw> {
        let Some(dialect) = self.api.dialect() else { return self.read_event(event) };
        // The last event of the Responses API holds the whole reply.
        if dialect.comes_whole() {
            let read = self.read_event(event);
            if let (Ok(Delta { structured: true, .. }), Ok(Data::Json(data))) = (read, json::data(event)) {
                dialect.read_event(data, reply);
            }
            return read;
        }
        let before = reply.text_len();
        let read = self.read_text(event, &mut |token, text| {
            if token == Token::Visible {
                reply.push_text(text);
            }
        });
        if let (Ok(Delta { structured: true, .. }), Ok(Data::Json(data))) = (read, json::data(event)) {
            // The text that was lent may be part of a call.
            reply.truncate_text(before);
            dialect.read_event(data, reply);
        }
        read
    }

    /// Reads a complete plain response and adds its content to `reply`.
    pub fn read_whole_reply(&mut self, body: &[u8], reply: &mut Reply) -> Result<Answer, Flaw> {
        let read = self.read_body(body);
        if let (Ok(_), Some(dialect)) = (read, self.api.dialect()) {
            dialect.read_body(body, reply);
        }
        read
    }

    /// Reads one event of a stream and passes the generated content to `lend` piece by piece.
    /// Nothing is copied. Each piece is the inside of a JSON string in the event's data, still
    /// escaped.
    pub fn read_text(&mut self, event: &sse::Event<'_>, lend: &mut dyn FnMut(Token, &[u8])) -> Result<Delta, Flaw> {
        let read = self.read_event(event);
        let (Ok(Delta { token: Some(_), .. }), Ok(Data::Json(data))) = (read, json::data(event)) else { return read };
        match self.events.known.first() {
            // The template that matched, or that was just learned, is the first.
            Some(first) if first.template.fits(data).is_some() => first.template.lend(data, lend),
            _ => {
                scan_event(self.api, self.custom.as_deref(), event, Some(&mut self.notes))?;
                for hole in &self.notes.holes {
                    if let Some(token) = hole.token {
                        lend(token, &data[hole.start as usize..hole.end as usize]);
                    }
                }
            }
        }
        read
    }

    /// Reads a complete plain response and checks it.
    #[inline]
    pub fn read_body(&mut self, body: &[u8]) -> Result<Answer, Flaw> {
        let recognised = self.answers.recognise(body).map(|(answer, fit)| Answer { usage: fit.usage, ..answer });
        match recognised {
            Some(answer) if !self.verify => Ok(answer),
            Some(answer) => judge(&answer, self.forgiven(scan_body(self.api, self.custom.as_deref(), body, None))),
            None => self.parse_body(body),
        }
    }

    fn parse_body(&mut self, body: &[u8]) -> Result<Answer, Flaw> {
        if !self.answers.has_credit() || body.len() > MAX_LEARNED_BYTES {
            return self.forgiven(scan_body(self.api, self.custom.as_deref(), body, None));
        }
        let parsed = scan_body(self.api, self.custom.as_deref(), body, Some(&mut self.notes));
        let parsed = self.forgiven(parsed);
        if let Ok(answer) = parsed {
            self.answers.learn(body, &self.notes, answer, answer.usage);
        }
        parsed
    }

    /// Accepts a response without usage, if the server may leave it out.
    fn forgiven(&self, read: Result<Answer, Flaw>) -> Result<Answer, Flaw> {
        match read {
            Err(Flaw::NoUsage { held, finish }) if self.may_lack_usage => {
                Ok(Answer { usage: None, finish, checks: held })
            }
            read => read,
        }
    }

    /// Falsifies all templates, to test that `verify` detects it.
    #[cfg(test)]
    pub(crate) fn corrupt(&mut self) {
        self.events.known.iter_mut().for_each(|known| known.template.corrupt());
        self.answers.known.iter_mut().for_each(|known| known.template.corrupt());
    }
}

/// Parses an event.
fn scan_event(
    api: Api,
    custom: Option<&Custom>,
    event: &sse::Event<'_>,
    notes: Option<&mut Notes>,
) -> Result<Delta, Flaw> {
    match custom {
        None => api.scan_event(event, notes),
        Some(custom) => custom.read_event(event, notes),
    }
}

/// Parses a plain response.
fn scan_body(api: Api, custom: Option<&Custom>, body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    match custom {
        None => api.scan_body(body, notes),
        Some(custom) => custom.read_body(body, notes),
    }
}

/// Reports a mismatch if template and parser disagree.
fn judge<M: PartialEq>(recognised: &M, parsed: Result<M, Flaw>) -> Result<M, Flaw> {
    if parsed.as_ref() == Ok(recognised) { parsed } else { Err(Flaw::Mismatch) }
}

/// A template, and the meaning of data that fits it.
#[derive(Debug)]
struct Known<M> {
    template: Template,
    meaning: M,
}

/// The templates of a reader and its credit.
#[derive(Debug)]
struct Templates<M> {
    /// The template that fitted last comes first.
    known: Vec<Known<M>>,
    credit: u16,
    misses: u8,
}

impl<M: Copy> Templates<M> {
    const fn new() -> Self {
        Self { known: Vec::new(), credit: MAX_CREDIT, misses: 0 }
    }

    /// Returns the meaning of data that fits a template. Its usage is in the fit instead.
    #[inline]
    fn recognise(&mut self, data: &[u8]) -> Option<(M, Fit)> {
        if let Some(first) = self.known.first()
            && let Some(fit) = first.template.fits(data)
        {
            self.credit = MAX_CREDIT.min(self.credit + 1);
            return Some((first.meaning, fit));
        }
        self.recognise_further(data)
    }

    /// As [`Self::recognise`], after the first template did not fit.
    fn recognise_further(&mut self, data: &[u8]) -> Option<(M, Fit)> {
        if self.credit < PRICE_OF_A_MISS {
            self.reset_credit();
            return None;
        }
        let others = self.known.iter().enumerate().skip(1);
        let fitting = others.into_iter().find_map(|(i, known)| Some((i, known.template.fits(data)?)));
        let fitting = fitting.or_else(|| {
            let mut all = self.known.iter_mut().enumerate();
            all.find_map(|(i, known)| Some((i, known.template.widen(data)?)))
        });
        let Some((i, fit)) = fitting else {
            self.credit -= PRICE_OF_A_MISS;
            return None;
        };
        self.credit = MAX_CREDIT.min(self.credit + 1);
        self.known[..=i].rotate_right(1);
        Some((self.known[0].meaning, fit))
    }

    fn reset_credit(&mut self) {
        self.misses += 1;
        if self.misses == MISSES_TO_RESET {
            self.misses = 0;
            self.credit = RESET_CREDIT;
        }
    }

    /// Returns true if the reader may learn more.
    const fn has_credit(&self) -> bool {
        self.credit >= PRICE_OF_LEARNING
    }

    /// Learns from data that fits no template and that the parser has understood.
    #[cold]
    fn learn(&mut self, data: &[u8], notes: &Notes, meaning: M, usage: Option<TokenUsage>) {
        if notes.unlearnable {
            return;
        }
        self.credit -= PRICE_OF_LEARNING;
        if let Some(template) = Template::learn(data, &notes.holes, usage) {
            self.known.truncate(MAX_TEMPLATES - 1);
            self.known.insert(0, Known { template, meaning });
        }
    }
}

#[cfg(test)]
mod tests;
