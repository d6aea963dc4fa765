//! Whole bodies: each record is a body, or contains one as in `OpenAI`'s batches.

use super::error::ReadError;
use super::json::{pick, some};
use super::members::is_object;
use super::row::{Read, Row, RowBody};

/// Reads a record that is a body.
pub(super) fn row(line: u64, record: &str) -> Read<'_> {
    let [] = pick(line, record, [])?;
    Ok(Ok(Row::of(RowBody::Whole(record.trim_ascii()))))
}

/// Reads `{"custom_id", "method", "url", "body"}`. Only `body` is required.
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
