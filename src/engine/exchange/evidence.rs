//! The evidence of a failed exchange, for people, and the failures found after an apparent success.

use super::Exchange;
use crate::metrics::Failure;
use crate::redact::Redactor;
use crate::wire::WireError;
use std::io;

/// Bytes after a response belong to it, whenever they come.
pub(super) const AFTER_THE_END: WireError = WireError::BadHttp("bytes after the end of the response");

impl Exchange {
    /// Notes the error of the system that broke the connection.
    pub(in crate::engine) fn system_error(&mut self, error: &io::Error) {
        if self.flaw.is_none() {
            self.excerpt.system(error);
        }
    }

    /// Keeps the header that makes a head unacceptable, if the head lies whole in these bytes.
    pub(super) fn note_header(&mut self, head: &[u8]) {
        let name: &[u8] = match self.flaw {
            Some(Failure::BadContentType) => b"content-type:",
            // Matches `Transfer-Encoding`, too.
            Some(Failure::BadEncoding) => b"-encoding:",
            _ => return,
        };
        let line = head.split(|&byte| byte == b'\n').find(|line| {
            let field = line.split_inclusive(|&byte| byte == b':').next().unwrap_or_default();
            field.len() >= name.len() && field[field.len() - name.len()..].eq_ignore_ascii_case(name)
        });
        if let Some(line) = line {
            self.excerpt.body(line.trim_ascii());
            self.excerpt.body(b" | ");
        }
    }

    /// Notes a failed check and what it found, for people.
    pub(in crate::engine) fn fail_check(&mut self, name: &'static str, found: &str) {
        self.excerpt.body(found.as_bytes());
        self.sample.check_failed = Some(name);
        self.sample.checks_held = 0;
    }

    /// Returns a description of the failure, for people. `from` names the peer that did not answer,
    /// if that is not the target.
    pub(in crate::engine) fn example(&self, from: Option<&str>, redactor: &Redactor) -> String {
        self.excerpt.text(&self.sample, from, redactor)
    }

    /// Notes bytes after the end of the response. Returns the failure that a success now becomes.
    pub(in crate::engine) fn out_of_step(&mut self, bytes: &[u8]) -> Failure {
        if self.expect.websocket {
            self.excerpt.broken(WireError::BadWebsocket("an unsolicited message"), bytes);
            return Failure::BadWebsocket;
        }
        self.excerpt.broken(AFTER_THE_END, bytes);
        Failure::BadHttp
    }
}
