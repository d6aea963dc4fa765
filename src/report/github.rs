//! Output for GitHub Actions: a summary in Markdown, and a few annotations.

use crate::document::{Document, Judgement, Measured, ReasonKind};
use crate::redact::is_obeyed;
use crate::report::human;
use crate::report::view::{Headline, Outcome, Tone, View, cases};
use std::fmt::Write as _;

/// GitHub shows ten annotations a step. More of ours would push others out.
const MOST_ANNOTATIONS: usize = 5;

/// Formats `::error title=…::…`. The characters that end a command or a property are escaped as in
/// GitHub's toolkit.
pub fn annotation(level: &str, title: &str, message: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={}::{}\n", property(title), escaped(message))
}

/// Returns a line for each of the first rules that failed.
pub fn annotations(failures: &[(String, String)]) -> String {
    failures.iter().take(MOST_ANNOTATIONS).map(|(title, message)| annotation("error", title, message)).collect()
}

/// Escapes text for a cell of a table, so that it has no markup. The tested server or profile may
/// have a name that somebody else has chosen.
pub(crate) fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => cell.push_str("&lt;"),
            '&' => cell.push_str("&amp;"),
            // A mention would notify somebody.
            '@' => cell.push_str("&#64;"),
            '|' | '[' | ']' | '!' | '`' | '\\' => cell.extend(['\\', c]),
            c if is_obeyed(c) => cell.push(' '),
            c => cell.push(c),
        }
    }
    cell
}

/// Returns the reasons why a run does not pass, as title and message.
pub fn failures(document: &Document) -> Vec<(String, String)> {
    let failed = cases(document).into_iter();
    failed
        .filter_map(|case| match case.outcome {
            Outcome::Failed(why) => Some((case.name, why)),
            Outcome::Held | Outcome::Skipped(_) => None,
        })
        .collect()
}

/// Returns the summary of a run.
pub fn summary(document: &Document) -> String {
    let Headline { tone, said, why, .. } = View::of(document).headline;
    let mark = match tone {
        Tone::Good => "✅ ",
        Tone::Bad => "❌ ",
        Tone::Warning => "⚠️ ",
        Tone::Plain | Tone::Title | Tone::Faint => "",
    };
    let mut text = format!("### llmsim-blast {}: {mark}{said}\n\n", cell(&document.run.profile));
    let client = document.client.verdict.name();
    let length = human::length(document.run.duration_s);
    let _ = writeln!(text, "{}, {length}, client {client}: {}\n", cell(&document.target.url), cell(&why));
    if !document.thresholds.is_empty() {
        text.push_str("| threshold | measured | samples | |\n|---|---:|---:|---|\n");
        for t in &document.thresholds {
            let value = t.value.map_or_else(|| "no data".to_owned(), |value| value.to_string());
            let mark = if t.verdict == Judgement::Pass { "✅" } else { "❌" };
            let rule = cell(&format!("{}: {}", t.metric, t.expression));
            let _ = writeln!(text, "| {rule} | {value} | {} | {mark} |", t.samples);
        }
        text.push('\n');
    }
    let others = document.verdict.reasons.iter().filter(|reason| reason.kind != ReasonKind::Threshold);
    let others: Vec<String> =
        others.map(|reason| format!("| {} | {} | ❌ |\n", cell(&reason.name), cell(&reason.text))).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "| what failed | why | |\n|---|---|---|\n{}", others.concat());
    }
    text.push_str("| | count | p50 | p95 | p99 |\n|---|---:|---:|---:|---:|\n");
    for name in ["http_req_duration", "ttft", "tbt"] {
        if let Some(Measured::Trend(t)) = document.metrics.get(name) {
            let [p50, p95, p99] = [t.p50, t.p95, t.p99].map(human::time);
            let _ = writeln!(text, "| {name} | {} | {p50} | {p95} | {p99} |", t.count);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;

    #[test]
    fn a_command_ends_where_it_should() {
        assert_eq!(annotation("error", "a:b,c", "50%\n::x"), "::error title=a%3Ab%2Cc::50%25%0A::x\n");
        let many: Vec<_> = (0..20).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(annotations(&many).lines().count(), MOST_ANNOTATIONS);
    }

    #[test]
    fn the_summary_says_how_it_ended_and_why() {
        let sorts = all_sorts();
        assert!(summary(&sorts[0].1).starts_with("### llmsim-blast load: ✅ passed\n"));
        let text = summary(&sorts[1].1);
        assert!(text.contains("| http_req_duration: p(95)&lt;300 | 394.239 | 100 | ❌ |"), "{text}");
        let failed = [(
            "http_req_duration: p(95)<300".to_owned(),
            "measured 394.239, expected p(95)<300; 100 samples".to_owned(),
        )];
        assert_eq!(failures(&sorts[1].1), failed);
        let endpoint = &sorts.iter().find(|(sort, _)| *sort == "an endpoint that fails").expect("a sort").1;
        let row = "| endpoint models: POST /openai/v1/models | http_5xx (status 500) | ❌ |";
        assert!(summary(endpoint).contains(row), "{}", summary(endpoint));
        assert_eq!(failures(endpoint).len(), 1);
        for (sort, document) in &sorts {
            assert_eq!(failures(document).len(), document.verdict.reasons.len(), "{sort}");
        }
        assert_eq!(cell("a|b\n<c>"), "a\\|b &lt;c>");
    }
}
