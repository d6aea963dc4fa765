//! `TypeSafe`'s System One, which llmsim has since 0.6, and the list of its models. A request asks
//! typed questions about a text. The response comes in one piece, with probabilities. No text is
//! generated, so only durations and billed tokens are measured.

use super::json;
use super::scan::{Notes, Value, scan};
use super::spec::{AnswerIs, Check, GET, Must, Spec};
use super::{Answer, Ask, Flaw, Piece};

/// The alias of the newest model. The provider's own clients use it.
const NEWEST: &[&str] = &["jev-latest"];

pub(super) const SYSTEM_ONE: Spec = Spec {
    name: "typesafe-systemone",
    path: "/typesafe/v1/systemone",
    standard_path: "/v1/systemone",
    models: NEWEST,
    body: Some(body),
    answer: AnswerIs::Read(read_body),
    ..GET
};

/// The list is in the field `models`. No `object` field declares it to be a list.
pub(super) const MODELS: Spec = Spec {
    name: "typesafe-models",
    path: "/typesafe/v1/models",
    standard_path: "/v1/models",
    answer: AnswerIs::Checked(&[Check { name: "models is an array", field: "models", must: Must::BeList }]),
    ..GET
};

/// One question of each type: yes or no, one of several options, and a degree.
const QUESTIONS: &str = r#"{"asks":{"type":"noul","instructions":"Does the text ask a question?"},"tone":{"type":"choice","instructions":"Which tone has the text?","criteria":{"calm":null,"angry":null,"glad":null}},"length":{"type":"score","instructions":"How long would an answer be?","criteria":["a word","a sentence","a page"]}}"#;

/// Builds the body in pieces. The prompt is the text that the questions are about.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let questions = ("questions", vec![json::text(QUESTIONS)]);
    json::object(vec![("model", vec![Piece::Model]), ("state", vec![Piece::Prompt]), questions], ask)
}

/// Reads a plain response and checks it.
fn read_body(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let (mut error, mut has_answers, mut usage) = (Value::Null, false, None);
    let is_json = scan(body, notes, |json| {
        json.object(|json, key| {
            match key {
                b"answers" => {
                    has_answers = false;
                    json.object(|json, _| {
                        has_answers = true;
                        json.skip()
                    })?;
                }
                b"usage" => {
                    let billed = json::usage(json, &json::WORDS)?;
                    json::replace(json, &mut usage, billed);
                }
                b"error" => error = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    });
    match usage {
        _ if !is_json => Err(Flaw::BadJson),
        _ if error.is_error() => Err(Flaw::Error),
        _ if !has_answers => Err(Flaw::Check { name: "has answers", held: 0 }),
        None => Err(Flaw::NoUsage { held: 1, finish: None }),
        usage => Ok(Answer { usage, checks: 2, finish: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::filled;
    use crate::api::{Api, LimitName};
    use crate::metrics::TokenUsage;
    use serde_json::{Map, json};

    #[test]
    fn the_prompt_is_what_is_asked_about() {
        let asked = |extra: &Map<String, serde_json::Value>| {
            filled(&Api::TypesafeSystemone.body(&Ask {
                stream: false,
                websocket: false,
                max_tokens: false,
                limit_name: LimitName::default(),
                exact: false,
                history: None,
                picture: None,
                extra,
            }))
        };
        let body = asked(&Map::new());
        assert_eq!((&body["model"], &body["state"]), (&json!("m"), &json!("say \"hi\"")));
        let types: Vec<_> = ["asks", "tone", "length"].map(|name| body["questions"][name]["type"].clone()).into();
        assert_eq!(types, ["noul", "choice", "score"]);
        let own = Map::from_iter([("questions".to_owned(), json!({"a": {"type": "noul", "instructions": "?"}}))]);
        assert_eq!(asked(&own)["questions"], own["questions"], "a profile may ask questions of its own");
    }

    #[test]
    fn answers_are_there_and_billed() {
        let read = |text: &str| Api::TypesafeSystemone.read_body(text.as_bytes());
        let answers = r#""answers":{"asks":{"type":"noul","noul":0.93}}"#;
        let usage = Some(TokenUsage { input: 43, output: 20, ..TokenUsage::default() });
        let billed = r#""usage":{"input_tokens":43,"output_tokens":20}"#;
        assert_eq!(
            read(&format!(r#"{{"model":"jev-1.13.0",{answers},{billed}}}"#)),
            Ok(Answer { usage, checks: 2, finish: None })
        );
        for missing in [r#""answers":{}"#, r#""answers":null"#, r#""answers":[1]"#, r#""x":{"y":1}"#] {
            let flaw = Err(Flaw::Check { name: "has answers", held: 0 });
            assert_eq!(read(&format!("{{{missing},{billed}}}")), flaw, "{missing}");
        }
        assert_eq!(read(&format!(r"{{{answers}}}")), Err(Flaw::NoUsage { held: 1, finish: None }));
        assert_eq!(read(r#"{"error":{"message":"x"}}"#), Err(Flaw::Error));
        assert_eq!(read("{"), Err(Flaw::BadJson));
    }

    #[test]
    fn its_models_are_a_list() {
        assert_eq!(
            Api::TypesafeModels.read_body(br#"{"models":[{"name":"jev-latest"}]}"#),
            Ok(Answer { usage: None, checks: 1, finish: None })
        );
        let flaw = Err(Flaw::Check { name: "models is an array", held: 0 });
        assert_eq!(Api::TypesafeModels.read_body(br#"{"data":[]}"#), flaw);
    }
}
