//! Removes secrets from a document once, when it is made, so that no output has to care.

use super::{Document, ServerMetrics, TargetServer};
use crate::redact::Redactor;
use serde_json::Value;

/// Hides secrets in every text that comes from outside: the command line, the plan, the server.
/// Numbers, histograms and our own names are left alone.
pub(super) fn document(document: &mut Document, redactor: &Redactor) {
    let own = |text: &mut String| *text = redactor.own(text);
    let foreign = |text: &mut String| *text = redactor.foreign_line(text.as_bytes());
    let run = &mut document.run;
    run.argv.iter_mut().chain(run.tags.values_mut()).chain(&mut run.stop_reason).for_each(own);
    let target = &mut document.target;
    std::iter::once(&mut target.url).chain(&mut target.more_urls).for_each(own);
    target.server.redact(redactor);
    for statistics in [&mut target.before, &mut target.after].into_iter().flatten() {
        texts(statistics, &foreign);
    }
    for endpoint in &mut document.endpoints {
        own(&mut endpoint.path);
        endpoint.reason.iter_mut().for_each(foreign);
    }
    document.failures.details.values_mut().filter_map(|details| details.sample.as_mut()).for_each(foreign);
    document.token_estimate.iter_mut().for_each(|estimate| own(&mut estimate.tokenizer));
    document.hints.iter_mut().for_each(|hint| own(&mut hint.text));
    document.server_metrics.iter_mut().for_each(|metrics| metrics.redact(redactor));
    for value in document.plan.values_mut() {
        texts(value, &own);
    }
}

impl TargetServer {
    /// Hides secrets in the server's facts about itself and in its last lines of output.
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        let said = [&mut self.kind, &mut self.version, &mut self.git_commit, &mut self.died];
        let said = said.into_iter().flatten().chain(&mut self.last_lines);
        said.for_each(|text| *text = redactor.foreign_line(text.as_bytes()));
    }
}

impl ServerMetrics {
    /// Hides secrets in the URL and in the problem.
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        self.url = redactor.own(&self.url);
        self.problem.iter_mut().for_each(|text| *text = redactor.foreign_line(text.as_bytes()));
    }
}

/// Changes every text in a value, keys included.
fn texts(value: &mut Value, change: &dyn Fn(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(all) => all.iter_mut().for_each(|value| texts(value, change)),
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (mut key, mut value) in old {
                change(&mut key);
                texts(&mut value, change);
                fields.insert(key, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
