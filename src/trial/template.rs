//! Finds out how many tokens the server's chat template adds to a prompt.
//!
//! Servers bill a constant beyond the words of a prompt: roles, separators, a system prompt of
//! their own. Prompts of 1 and of 11 words reveal this constant, and whether a word is one token.
//! They are sent only if a request of the load states the length of its prompt in tokens, and they
//! ask for one token of output.

use super::endpoints::once;
use super::error::TrialError;
use super::signals::Stop;
use crate::api::STREAM_OPTIONS;
use crate::document::Template;
use crate::engine;
use crate::metrics::{Counter, Summary, TemplateTokens};
use crate::mix::Tokens;
use crate::plan::{Kind, Plan, Prompt, PromptSource};
use crate::units::{Nanos, plural};
use std::sync::Arc;

/// Words of the two prompts.
const WORDS: [u32; 2] = [1, 11];
/// Longest wait for a response.
const LONGEST_WAIT: Nanos = Nanos::from_secs(10);
/// Number of models of one kind of request that are asked.
const MOST_MODELS: usize = 8;
/// Fields of a body that replace our token limit.
const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Returns the plan with the constants that were found, and the lines of the report about them.
pub(super) fn learned(
    mut plan: Plan,
    cores: &[usize],
    stop: &Stop,
    say: &mut dyn FnMut(&str),
) -> Result<(Plan, Vec<Template>), TrialError> {
    let asked: Vec<Question> = plan.mix.kinds.iter().filter(|kind| says_its_length(kind)).flat_map(questions).collect();
    let requests = asked.iter().filter(|question| question.reason.is_none()).count() * WORDS.len();
    if requests > 0 {
        say(&format!(
            "sending {} for one token each, to learn what the chat template adds to a prompt (--no-probe turns this \
             off)",
            plural(requests, "request")
        ));
    }
    let templates: Result<Vec<Template>, TrialError> = std::thread::scope(|scope| {
        let plan = &plan;
        let answers: Vec<_> =
            asked.into_iter().map(|question| scope.spawn(move || question.ask(plan, cores, stop))).collect();
        // A panic in that thread is a defect here, too.
        answers.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    if stop.is_signalled() {
        return Err(TrialError::Interrupted);
    }
    let templates = templates?;
    if templates.is_empty() {
        return Ok((plan, templates));
    }
    for kind in &mut Arc::make_mut(&mut plan.mix).kinds {
        kind.template_tokens = of_kind(&kind.name, &templates).map_or(TemplateTokens::UNKNOWN, TemplateTokens::known);
    }
    for other in templates.iter().filter_map(told) {
        say(&format!("warning: {other}"));
    }
    Ok((plan, templates))
}

/// Returns the constant of a kind of request, if all of its models have the same.
fn of_kind(name: &str, templates: &[Template]) -> Option<u32> {
    let mut tokens = templates.iter().filter(|template| template.request == name).map(|template| template.tokens);
    let first = tokens.next()??;
    tokens.all(|tokens| tokens == Some(first)).then_some(first)
}

/// Returns a warning for the user, if the template calls for one.
fn told(template: &Template) -> Option<String> {
    let per_word = template.tokens_per_word.filter(|_| template.tokens.is_none())?;
    Some(format!(
        "{}: tokens per word on this server: {per_word}, so a prompt of N tokens is not billed as N",
        template.request
    ))
}

/// Returns true if it is known how many tokens its prompts have.
fn says_its_length(kind: &Kind) -> bool {
    // Requests to a custom API cannot be shortened.
    kind.api.generates()
        && kind.custom.is_none()
        && match &kind.prompt.source {
            PromptSource::Words(_) | PromptSource::Pairs(_) => true,
            PromptSource::Rows(rows) => rows.has_words(),
            PromptSource::Texts(_) | PromptSource::Prose(_) => false,
        }
}

/// A question about one model.
#[derive(Debug)]
struct Question {
    kind: Kind,
    /// The reason if no question is sent.
    reason: Option<&'static str>,
}

fn questions(kind: &Kind) -> Vec<Question> {
    let mut kind = Kind {
        stream: false,
        websocket: false,
        max_tokens: Some(Tokens::fixed(1)),
        conversation: None,
        // A retry would be billed, too. A response without usage is reported by the caller.
        retries: None,
        check_usage: false,
        model_weights: Vec::new(),
        ..kind.clone()
    };
    kind.prompt.prefix = None;
    kind.timeouts.total = kind.timeouts.total.min(LONGEST_WAIT);
    kind.timeouts.connect = kind.timeouts.connect.min(LONGEST_WAIT);
    // Only streams may have this field.
    kind.body.remove(STREAM_OPTIONS);
    if LIMITS.iter().any(|limit| kind.body.contains_key(*limit)) {
        return vec![Question { kind, reason: Some("the body of its requests sets a token limit of its own") }];
    }
    if kind.models.len() > MOST_MODELS {
        return vec![Question { kind, reason: Some("it has more than 8 models") }];
    }
    if kind.models.is_empty() {
        return vec![Question { kind, reason: None }];
    }
    let one = |model: &String| Question { kind: Kind { models: vec![model.clone()], ..kind.clone() }, reason: None };
    kind.models.iter().map(one).collect()
}

impl Question {
    fn ask(self, plan: &Plan, cores: &[usize], stop: &Stop) -> Result<Template, TrialError> {
        let model = Some(&self.kind.models).filter(|models| models.len() == 1).map(|models| models[0].clone());
        let mut template =
            Template { request: self.kind.name.clone(), model, tokens: None, tokens_per_word: None, reason: None };
        if let Some(reason) = self.reason {
            template.reason = Some(reason.to_owned());
            return Ok(template);
        }
        let mut billed = [0; WORDS.len()];
        for (billed, words) in billed.iter_mut().zip(WORDS) {
            match self.billed(words, plan, cores, stop)? {
                Ok(tokens) => *billed = tokens,
                Err(reason) => {
                    template.reason = Some(reason);
                    return Ok(template);
                }
            }
        }
        if let Some((tokens, per_word)) = line(billed) {
            (template.tokens, template.tokens_per_word) = (tokens, Some(per_word));
        } else {
            let [few, many] = billed;
            template.reason = Some(format!("it bills {few} for a prompt of 1 word, and {many} for one of 11"));
        }
        Ok(template)
    }

    /// Returns the tokens that the server bills for a prompt of this many words, or why that is
    /// unknown.
    fn billed(&self, words: u32, plan: &Plan, cores: &[usize], stop: &Stop) -> Result<Result<u64, String>, TrialError> {
        let prompt = Prompt::of(PromptSource::Words(Tokens::fixed(words)));
        let kind = Kind { prompt, ..self.kind.clone() };
        let run = engine::run(&once(plan, &kind), cores, stop.flag(), &mut |_| {})?.sound()?;
        let summary = Summary::new(&run.total, std::slice::from_ref(&kind.name), run.window);
        let billed = summary.counter(Counter::TokensInput, None).map_or(0, |tokens| tokens.count);
        if billed > 0 && summary.succeeded() > 0 {
            return Ok(Ok(billed));
        }
        let status = summary.statuses.iter().map(|(status, _)| *status).find(|status| *status >= 300);
        Ok(Err(match (status, summary.succeeded()) {
            (Some(status), _) => format!("the server refused a prompt for one token (status {status})"),
            (None, 0) => "the response to a prompt for one token was not as expected".to_owned(),
            (None, _) => "the server billed nothing (no usage)".to_owned(),
        }))
    }
}

/// Returns the constant and the tokens per word, given the tokens billed for both prompts. There is
/// no constant if a word is not one token. `None` if the longer prompt was not billed more.
fn line([few, many]: [u64; 2]) -> Option<(Option<u32>, f64)> {
    let more = many.checked_sub(few).filter(|more| *more > 0)?;
    let words = u64::from(WORDS[1] - WORDS[0]);
    let constant = few.checked_sub(WORDS[0].into()).filter(|_| more == words);
    Some((constant.and_then(|tokens| u32::try_from(tokens).ok()), more as f64 / words as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Overrides, Retries, RetryPolicy, resolve};

    #[test]
    fn two_prompts_make_a_line() {
        assert_eq!(line([8, 18]), Some((Some(7), 1.0)));
        assert_eq!(line([1, 11]), Some((Some(0), 1.0)));
        assert_eq!(line([8, 21]), Some((None, 1.3)));
        // A server that bills arbitrary numbers.
        assert_eq!((line([18, 8]), line([5, 5])), (None, None));
    }

    fn streamed() -> Kind {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        plan.mix.kinds.iter().find(|kind| kind.stream).cloned().expect("a stream")
    }

    #[test]
    fn a_question_costs_one_token_or_is_not_asked() {
        let mut kind = streamed();
        assert!(!says_its_length(&kind), "texts have no length that is known");
        kind.prompt = Prompt::of(PromptSource::Words(Tokens::fixed(512)));
        assert!(says_its_length(&kind));
        kind.retries = Some(Retries { policy: RetryPolicy::Openai, max: 3 });
        kind.models = vec!["a".to_owned(), "b".to_owned()];
        kind.model_weights = vec![1, 0];
        let asked = questions(&kind);
        assert_eq!(asked.len(), 2);
        for question in &asked {
            let Question { kind, reason } = question;
            assert!(kind.retries.is_none() && !kind.check_usage);
            assert_eq!((kind.max_tokens, kind.stream, *reason), (Some(Tokens::fixed(1)), false, None));
            assert!(kind.models.len() == 1 && kind.model_weights.is_empty() && !kind.body.contains_key(STREAM_OPTIONS));
        }
        kind.body.insert("max_completion_tokens".to_owned(), 900.into());
        assert!(questions(&kind).iter().all(|question| question.reason.is_some()));
        kind.body.clear();
        kind.models = (0..9).map(|i| i.to_string()).collect();
        assert!(questions(&kind).iter().all(|question| question.reason.is_some()));
    }

    #[test]
    fn models_that_differ_have_no_constant() {
        let of = |model: &str, tokens| Template {
            request: "chat".to_owned(),
            model: Some(model.to_owned()),
            tokens,
            tokens_per_word: Some(1.0),
            reason: None,
        };
        assert_eq!(of_kind("chat", &[of("a", Some(7)), of("b", Some(7))]), Some(7));
        assert_eq!(of_kind("chat", &[of("a", Some(7)), of("b", Some(9))]), None);
        assert_eq!(of_kind("chat", &[of("a", Some(7)), of("b", None)]), None);
        assert_eq!(of_kind("other", &[of("a", Some(7))]), None);
    }
}
