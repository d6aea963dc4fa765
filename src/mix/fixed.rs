//! Precomputes the parts of a kind's requests that never change.

use super::escape::json_string;
use super::prompt::PreparedPrompt;
use super::{Kind, Method};
use crate::api::Piece;

/// Returns the body with all pieces as text that are the same in all requests of the kind. Adjacent
/// texts are joined.
pub(super) fn folded(kind: &Kind, prompt: &PreparedPrompt, body: Vec<Piece>) -> Vec<Piece> {
    let model = match kind.models.as_slice() {
        [] => Some("\"\"".to_owned()),
        [model] => Some(json_string(model)),
        _ => None,
    };
    // A row may set another limit.
    let limit = kind.max_tokens.filter(|_| prompt.rows().is_none()).and_then(|limit| limit.as_fixed());
    // The turns of a conversation differ in their history.
    let asks = if kind.conversation.is_none() { prompt.as_fixed() } else { None };
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => Some(text.clone()),
        Piece::Model => model.clone(),
        Piece::ModelInside => model.as_ref().map(|quoted| quoted[1..quoted.len() - 1].to_owned()),
        Piece::MaxTokens => limit.map(|limit| limit.to_string()),
        Piece::Prompt => asks.map(|text| format!("\"{text}\"")),
        Piece::PromptInside => asks.map(str::to_owned),
        Piece::Number | Piece::Messages | Piece::History | Piece::OfUser(_) | Piece::PreviousResponse => None,
    };
    let mut folded: Vec<Piece> = Vec::with_capacity(body.len());
    for piece in body {
        match (folded.last_mut(), text(&piece)) {
            (Some(Piece::Text(before)), Some(text)) => before.push_str(&text),
            (_, Some(text)) => folded.push(Piece::Text(text)),
            (_, None) => folded.push(piece),
        }
    }
    folded
}

/// Returns everything from the value of `Content-Length` to the end of the request, if that is
/// always the same.
pub(super) fn rest(kind: &Kind, prompt: &PreparedPrompt, folded: &[Piece]) -> Option<String> {
    let is_plain_post = kind.method() == Method::Post && !kind.websocket;
    let may_be_fixed = is_plain_post && kind.conversation.is_none() && prompt.rows().is_none();
    match folded {
        [Piece::Text(body)] if may_be_fixed => Some(format!("{}\r\n\r\n{body}", body.len())),
        _ => None,
    }
}
