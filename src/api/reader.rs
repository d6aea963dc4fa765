//! Reads answers like the [`Api`] does, and faster: what has been seen before is recognised by a [`Template`].

use super::template::{Fit, Reading, Template};
use super::{Answer, Api, Delta, Flaw, json};
use crate::metrics::TokenUsage;
use crate::wire::sse;

/// Templates of one reader. A stream of chat completions has events of four or five shapes (role, tokens, reasoning, finish, usage),
/// one of the Responses API with reasoning fifteen, of which each is worth a template: in short streams the rare ones cost more than
/// all tokens together. More shapes than this share the places, and the one not seen for longest goes.
const MAX_TEMPLATES: usize = 24;

/// Patience of a reader: how much it is ready to lose before it stops learning. A server whose answers never fit costs the attempts
/// on top of the parser, and this bounds them; one that keeps fitting earns it back.
const MAX_PATIENCE: u16 = 512;
/// What it costs that nothing fits; a fit earns one. So attempts pay as long as two of three fit, about where they do in time, too.
const PRICE_OF_A_MISS: u16 = 2;
/// What it costs to learn, on top of the miss; learning takes a few microseconds.
const PRICE_OF_LEARNING: u16 = 16;
/// After so many misses without patience it gets some back: the answers may have become regular meanwhile.
const MISSES_TO_FORGIVE: u8 = 255;
/// How much it gets back: enough to learn twice. If that helps, the fits pay for the rest.
const FORGIVEN: u16 = 2 * (PRICE_OF_A_MISS + PRICE_OF_LEARNING);

/// Reads the answers to one kind of request, on one worker. It says exactly what [`Api::read_event`] and [`Api::read_body`] say.
#[derive(Debug)]
pub struct Reader {
    api: Api,
    verify: bool,
    events: Templates<Delta>,
    answers: Templates<Answer>,
}

impl Reader {
    /// A reader that has learned nothing. With `verify` everything is parsed as well, and a difference is [`Flaw::Mismatch`].
    pub fn new(api: Api, verify: bool) -> Self {
        Self { api, verify, events: Templates::new(), answers: Templates::new() }
    }

    /// What one event of a stream means.
    #[inline]
    pub fn read_event(&mut self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        let Some(reading) = event_reading(self.api, event) else { return self.api.read_event(event) };
        // What the parser does first, before it parses.
        let data = event.data.trim_ascii();
        let recognised = self.events.recognise(data).map(|(delta, fit)| Delta { usage: fit.usage, ..delta });
        if let Some(delta) = recognised
            && !self.verify
        {
            return Ok(delta);
        }
        let parsed = self.api.read_event(event);
        if let Some(recognised) = recognised {
            return judge(&recognised, parsed);
        }
        if let Ok(delta) = parsed
            && self.events.is_patient()
            && (self.api.spec().is_chunk)(data)
        {
            self.events.learn(data, reading, delta, delta.usage);
        }
        parsed
    }

    /// What a complete plain answer means, and whether its checks hold.
    #[inline]
    pub fn read_body(&mut self, body: &[u8]) -> Result<Answer, Flaw> {
        let Some(reading) = self.api.spec().learned_body else { return self.api.read_body(body) };
        let recognised = self.answers.recognise(body).map(|(answer, fit)| Answer { usage: fit.usage, ..answer });
        if let Some(answer) = recognised
            && !self.verify
        {
            return Ok(answer);
        }
        let parsed = self.api.read_body(body);
        if let Some(recognised) = recognised {
            return judge(&recognised, parsed);
        }
        if let Ok(answer) = parsed
            && self.answers.is_patient()
        {
            self.answers.learn(body, reading, answer, answer.usage);
        }
        parsed
    }

    /// Makes everything it has learned wrong, to see that `verify` finds it.
    #[cfg(test)]
    pub(crate) fn corrupt(&mut self) {
        self.events.known.iter_mut().for_each(|known| known.template.corrupt());
        self.answers.known.iter_mut().for_each(|known| known.template.corrupt());
    }
}

/// The parser is right, whatever the template says.
fn judge<M: PartialEq>(recognised: &M, parsed: Result<M, Flaw>) -> Result<M, Flaw> {
    if parsed.as_ref() == Ok(recognised) { parsed } else { Err(Flaw::Mismatch) }
}

/// How the event's data is read, if it is JSON and is read at all.
#[inline]
fn event_reading(api: Api, event: &sse::Event<'_>) -> Option<&'static Reading> {
    if event.data.first() != Some(&b'{') || event.name == json::ERROR_EVENT {
        return None;
    }
    api.spec().chunk
}

/// A template, and what the data means that fits it.
#[derive(Debug)]
struct Known<M> {
    template: Template,
    meaning: M,
}

/// What a reader has learned.
#[derive(Debug)]
struct Templates<M> {
    /// The one that fitted last comes first.
    known: Vec<Known<M>>,
    patience: u16,
    misses: u8,
}

impl<M: Copy> Templates<M> {
    const fn new() -> Self {
        Self { known: Vec::new(), patience: MAX_PATIENCE, misses: 0 }
    }

    /// What data means that fits the template found, but for what it billed, which the fit says.
    #[inline]
    fn recognise(&mut self, data: &[u8]) -> Option<(M, Fit)> {
        if let Some(first) = self.known.first()
            && let Some(fit) = first.template.fits(data)
        {
            self.patience = MAX_PATIENCE.min(self.patience + 1);
            return Some((first.meaning, fit));
        }
        self.recognise_further(data)
    }

    /// The same, when the first template does not fit.
    fn recognise_further(&mut self, data: &[u8]) -> Option<(M, Fit)> {
        if self.patience < PRICE_OF_A_MISS {
            self.forgive();
            return None;
        }
        let others = self.known.iter().enumerate().skip(1);
        let fitting = others.into_iter().find_map(|(i, known)| Some((i, known.template.fits(data)?)));
        let fitting = fitting.or_else(|| {
            let mut all = self.known.iter_mut().enumerate();
            all.find_map(|(i, known)| Some((i, known.template.widen(data)?)))
        });
        let Some((i, fit)) = fitting else {
            self.patience -= PRICE_OF_A_MISS;
            return None;
        };
        self.patience = MAX_PATIENCE.min(self.patience + 1);
        self.known[..=i].rotate_right(1);
        Some((self.known[0].meaning, fit))
    }

    fn forgive(&mut self) {
        self.misses += 1;
        if self.misses == MISSES_TO_FORGIVE {
            self.misses = 0;
            self.patience = FORGIVEN;
        }
    }

    /// Whether something more may be learned.
    const fn is_patient(&self) -> bool {
        self.patience >= PRICE_OF_LEARNING
    }

    /// Learns from data that fits no template, and that the parser has understood.
    #[cold]
    fn learn(&mut self, data: &[u8], reading: &Reading, meaning: M, usage: Option<TokenUsage>) {
        self.patience -= PRICE_OF_LEARNING;
        if let Some(template) = Template::learn(data, reading, usage) {
            self.known.truncate(MAX_TEMPLATES - 1);
            self.known.insert(0, Known { template, meaning });
        }
    }
}

#[cfg(test)]
mod tests;
