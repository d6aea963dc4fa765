//! `OpenAI`'s older completions, which continue a text. vLLM, SGLang, llama.cpp and others have
//! them.

use super::openai_chat::{self, ChoiceIs};
use super::spec::Spec;
use super::{Ask, Piece, json};

/// The completions API.
pub(super) const SPEC: Spec = Spec {
    name: "openai-completions",
    path: "/openai/v1/completions",
    standard_path: "/v1/completions",
    on_llmsim: false,
    body: Some(body),
    talk: None,
    read_event: |event, notes| openai_chat::read_event_of(ChoiceIs::Text, event, notes),
    ..openai_chat::SPEC
};

/// Builds the body in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let mut ours = vec![("model", vec![Piece::Model]), ("prompt", vec![Piece::Prompt]), json::stream(ask)];
    if ask.max_tokens {
        ours.push(("max_tokens", vec![Piece::MaxTokens]));
    }
    ours.extend(json::exactly(ask));
    json::object(ours, ask)
}

#[cfg(test)]
mod tests {
    use crate::api::tests::filled;
    use crate::api::{Answer, Api, Ask, Delta, Flaw, LimitName, Reader, Token};
    use crate::metrics::TokenUsage;
    use crate::wire::sse;
    use serde_json::{Map, json};

    const API: Api = Api::OpenaiCompletions;

    fn read(data: &str) -> Result<Delta, Flaw> {
        API.read_event(&sse::Event { name: b"", data: data.as_bytes() })
    }

    #[test]
    fn a_prompt_goes_out_as_a_text() {
        let extra = Map::new();
        let ask = |exact| Ask {
            stream: true,
            websocket: false,
            max_tokens: true,
            limit_name: LimitName::default(),
            exact,
            history: None,
            picture: None,
            extra: &extra,
        };
        let mut expected = json!({"model": "m", "prompt": "say \"hi\"", "stream": true, "max_tokens": 50});
        assert_eq!(filled(&API.body(&ask(false))), expected);
        (expected["min_tokens"], expected["ignore_eos"]) = (50.into(), true.into());
        assert_eq!(filled(&API.body(&ask(true))), expected);
    }

    #[test]
    fn the_text_of_a_choice_is_a_token() {
        let token = |text: &str| read(&format!(r#"{{"choices":[{{"index":0,"text":{text},"finish_reason":null}}]}}"#));
        assert_eq!(token("\" a\"").map(|delta| delta.token), Ok(Some(Token::Visible)));
        for nothing in ["\"\"", "null"] {
            assert_eq!(token(nothing).map(|delta| delta.token), Ok(None));
        }
        assert_eq!(read("[DONE]").map(|delta| delta.done), Ok(true));
        assert_eq!(read(r#"{"error":{"message":"x"}}"#), Err(Flaw::Error));
        let usage = read(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#);
        assert_eq!(usage.map(|delta| delta.usage.map(|usage| (usage.input, usage.output))), Ok(Some((3, 2))));
        // Chat completions have no `text` field.
        let chat = Api::OpenaiChat.read_event(&sse::Event { name: b"", data: br#"{"choices":[{"text":"a"}]}"# });
        assert_eq!(chat.map(|delta| delta.token), Ok(None));
    }

    #[test]
    fn texts_are_lent_and_learned() {
        let mut reader = Reader::new(API, true);
        for text in ["one", "two", "three \\\"", ""] {
            let data = format!(r#"{{"id":"c","choices":[{{"index":0,"text":"{text}","logprobs":null}}]}}"#);
            let mut lent = String::new();
            let event = sse::Event { name: b"", data: data.as_bytes() };
            let delta = reader.read_text(&event, &mut |_, piece| lent += &String::from_utf8_lossy(piece));
            assert_eq!((delta.map(|delta| delta.token.is_some()), lent.as_str()), (Ok(!text.is_empty()), text));
        }
    }

    #[test]
    fn a_plain_answer_has_choices_and_usage() {
        let body = br#"{"object":"text_completion","choices":[{"text":"a"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        let usage = Some(TokenUsage { input: 3, output: 2, ..TokenUsage::default() });
        assert_eq!(API.read_body(body), Ok(Answer { usage, checks: 2, finish: None }));
        assert!(matches!(API.read_body(br#"{"choices":[]}"#), Err(Flaw::Check { name: "has choices", .. })));
    }
}
