//! Whole bodies: each record is one, or holds one as `OpenAI`'s batches do.

use super::error::ReadError;
use super::json::{pick, some};
use super::members::is_object;
use super::row::{Read, Row, RowBody};

/// A record that is a body.
pub(super) fn row(line: u64, record: &str) -> Read<'_> {
    let [] = pick(line, record, [])?;
    Ok(Ok(Row::of(RowBody::Whole(record.trim_ascii()))))
}

/// `{"custom_id", "method", "url", "body"}`; some leave out all but the body.
pub(super) fn batch_row(line: u64, record: &str) -> Read<'_> {
    let [method, url, body] = pick(line, record, ["method", "url", "body"])?;
    let body = some(body).filter(|body| is_object(body)).ok_or_else(|| {
        ReadError::at(line, "has no `body`: expected {\"custom_id\": …, \"body\": {…}}, as in OpenAI's batches")
    })?;
    if some(method).is_some_and(|method| method != "\"POST\"") {
        return Ok(Err("its method is not POST"));
    }
    Ok(Ok(Row { url: some(url), ..Row::of(RowBody::Whole(body)) }))
}
