//! `OpenAI`'s embeddings and document reranking. Both respond in one piece and generate no tokens.
//! Only durations are measured, and for embeddings the input tokens.

use super::json;
use super::openai_chat::WORDS;
use super::scan::{Notes, Scanner, Value, scan};
use super::spec::{AnswerIs, Check, GET, Must, Spec};
use super::{Answer, Ask, Flaw, Piece};

pub(super) const EMBEDDINGS: Spec = Spec {
    name: "openai-embeddings",
    path: "/openai/v1/embeddings",
    standard_path: "/v1/embeddings",
    on_llmsim: false,
    models: &["text-embedding-3-small"],
    body: Some(embeddings),
    answer: AnswerIs::Read(read_embeddings),
    ..GET
};

/// The rerank API of Cohere, Jina, vLLM and llama.cpp.
pub(super) const RERANK: Spec = Spec {
    name: "rerank",
    path: "/openai/v1/rerank",
    standard_path: "/v1/rerank",
    on_llmsim: false,
    models: &["rerank"],
    body: Some(rerank),
    answer: AnswerIs::Checked(&[Check { name: "has results", field: "results", must: Must::BeList }]),
    ..GET
};

/// The documents to rank, unless the user's `body` provides others.
const DOCUMENTS: &str = r#"["A load tester sends many requests and measures how long each takes.","The tide is the rise and fall of the sea.","A token is a piece of a word that a language model reads or writes.","Bread is made of flour, water, salt and yeast."]"#;

fn embeddings(ask: &Ask<'_>) -> Vec<Piece> {
    json::object(vec![("model", vec![Piece::Model]), ("input", vec![Piece::Prompt])], ask)
}

fn rerank(ask: &Ask<'_>) -> Vec<Piece> {
    let documents = ("documents", vec![json::text(DOCUMENTS)]);
    json::object(vec![("model", vec![Piece::Model]), ("query", vec![Piece::Prompt]), documents], ask)
}

/// Reads a plain response and checks it.
fn read_embeddings(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let (mut error, mut object, mut has_vectors, mut usage) = (Value::Null, Value::Null, false, None);
    let is_json = scan(body, notes, |json| {
        json.object(|json, key| {
            match key {
                b"data" => has_vectors = vectors(json)?,
                b"usage" => {
                    let billed = json::usage(json, &WORDS)?;
                    json::replace(json, &mut usage, billed);
                }
                b"error" => error = json.value()?,
                b"object" => object = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    });
    match usage {
        _ if !is_json => Err(Flaw::BadJson),
        _ if json::is_error(error, object) => Err(Flaw::Error),
        _ if !has_vectors => Err(Flaw::Check { name: "has embeddings", held: 0 }),
        None => Err(Flaw::NoUsage { held: 1, finish: None }),
        usage => Ok(Answer { usage, checks: 2, finish: None }),
    }
}

/// Returns true if the value is a non-empty list in which every embedding is present. An embedding
/// is a list of numbers, or a text if the request asked for that.
fn vectors(json: &mut Scanner<'_, '_>) -> Option<bool> {
    let (mut all, mut there) = (0_u32, 0_u32);
    json.list(|json| {
        let mut has_vector = false;
        json.object(|json, key| {
            match key {
                b"embedding" if json.is_list()? => {
                    has_vector = false;
                    json.list(|json| {
                        has_vector = true;
                        json.skip()
                    })?;
                }
                b"embedding" => has_vector = json.filled()?.is_filled,
                _ => json.skip()?,
            }
            Some(())
        })?;
        all += 1;
        there += u32::from(has_vector);
        Some(())
    })?;
    Some(all > 0 && there == all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::filled;
    use crate::api::{Api, LimitName};
    use crate::metrics::TokenUsage;
    use serde_json::{Map, json};

    fn body(api: Api, extra: &Map<String, serde_json::Value>) -> serde_json::Value {
        filled(&api.body(&Ask {
            stream: false,
            websocket: false,
            max_tokens: false,
            limit_name: LimitName::default(),
            exact: false,
            history: None,
            picture: None,
            extra,
        }))
    }

    #[test]
    fn the_prompt_is_the_input_or_the_query() {
        assert_eq!(body(Api::OpenaiEmbeddings, &Map::new()), json!({"model": "m", "input": "say \"hi\""}));
        let ranked = body(Api::Rerank, &Map::new());
        assert_eq!((&ranked["query"], ranked["documents"].as_array().map(Vec::len)), (&json!("say \"hi\""), Some(4)));
        let own = Map::from_iter([("documents".to_owned(), json!(["a"]))]);
        assert_eq!(body(Api::Rerank, &own)["documents"], json!(["a"]));
    }

    #[test]
    fn embeddings_are_there_and_billed() {
        let read = |data: &str, usage: &str| {
            Api::OpenaiEmbeddings.read_body(format!(r#"{{"object":"list","data":{data},"usage":{usage}}}"#).as_bytes())
        };
        let billed = r#"{"prompt_tokens":7,"total_tokens":7}"#;
        let usage = Some(TokenUsage { input: 7, ..TokenUsage::default() });
        for data in [r#"[{"embedding":[0.5,-1e-3],"index":0}]"#, r#"[{"embedding":"AAAA"},{"embedding":[1]}]"#] {
            assert_eq!(read(data, billed), Ok(Answer { usage, checks: 2, finish: None }), "{data}");
        }
        for data in ["[]", r#"[{"index":0}]"#, r#"[{"embedding":[]}]"#, r#"[{"embedding":[1]},{"embedding":null}]"#] {
            assert_eq!(read(data, billed), Err(Flaw::Check { name: "has embeddings", held: 0 }), "{data}");
        }
        assert_eq!(read(r#"[{"embedding":[1]}]"#, "null"), Err(Flaw::NoUsage { held: 1, finish: None }));
        assert_eq!(Api::OpenaiEmbeddings.read_body(br#"{"error":{"message":"x"}}"#), Err(Flaw::Error));
        assert_eq!(Api::OpenaiEmbeddings.read_body(b"{"), Err(Flaw::BadJson));
        let ranked = Api::Rerank.read_body(br#"{"results":[{"index":0,"relevance_score":0.9}]}"#);
        assert_eq!(ranked, Ok(Answer { usage: None, checks: 1, finish: None }));
        assert!(matches!(Api::Rerank.read_body(b"{}"), Err(Flaw::Check { name: "has results", .. })));
    }
}
