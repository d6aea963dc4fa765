//! The results of rules as JUnit XML, which every CI shows: a test case for each rule, whose
//! failure has value and limit.

use crate::document::Document;
use crate::redact::is_obeyed;
use crate::report::view::{Case, Outcome, cases};
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::writer::Writer;

/// Returns a test suite as XML.
pub(crate) fn render(suite: &str, properties: &[(&str, String)], cases: &[Case]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = write(&mut writer, suite, properties, cases);
    debug_assert!(written.is_ok(), "a Vec takes everything: {written:?}");
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

/// Returns a run: every threshold and endpoint, and every other reason why it does not pass.
pub fn of_run(document: &Document) -> String {
    render(&format!("llmsim-blast {}", document.run.profile), &properties(document), &cases(document))
}

fn properties(document: &Document) -> Vec<(&'static str, String)> {
    let commit = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "unknown".to_owned());
    vec![
        ("run.id", document.run.id.clone()),
        ("run.started_at", document.run.started_at.clone()),
        ("target.url", document.target.url.clone()),
        ("target.server.git_commit", commit(&document.target.server.git_commit)),
        ("build.version", document.build.version.clone()),
        ("build.git_commit", commit(&document.build.git_commit)),
    ]
}

/// Replaces control characters other than line breaks and tabs, and U+FFFE and U+FFFF. XML 1.0
/// forbids them, escaped or not (section 2.2).
fn clean(text: &str) -> String {
    let is_none = |c: char| (is_obeyed(c) && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_none(c) { '?' } else { c }).collect()
}

fn write(
    writer: &mut Writer<Vec<u8>>,
    suite: &str,
    properties: &[(&str, String)],
    cases: &[Case],
) -> Result<(), std::io::Error> {
    let suite = clean(suite);
    let tests = cases.len().to_string();
    let failures = cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).count().to_string();
    let skipped = cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped(_))).count().to_string();
    let counts = [("tests", tests.as_str()), ("failures", failures.as_str()), ("errors", "0")];
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.write_event(Event::Start(BytesStart::new("testsuites").with_attributes(counts)))?;
    let start = BytesStart::new("testsuite").with_attributes([("name", suite.as_str())]).with_attributes(counts);
    writer.write_event(Event::Start(start.with_attributes([("skipped", skipped.as_str())])))?;
    if !properties.is_empty() {
        writer.write_event(Event::Start(BytesStart::new("properties")))?;
        for (name, value) in properties {
            let value = clean(value);
            let property = BytesStart::new("property").with_attributes([("name", *name), ("value", value.as_str())]);
            writer.write_event(Event::Empty(property))?;
        }
        writer.write_event(Event::End(BytesEnd::new("properties")))?;
    }
    for case in cases {
        let name = clean(&case.name);
        let start = BytesStart::new("testcase").with_attributes([
            ("name", name.as_str()),
            ("classname", suite.as_str()),
            ("time", "0"),
        ]);
        let (element, text) = match &case.outcome {
            Outcome::Failed(why) => ("failure", clean(why)),
            Outcome::Skipped(why) => ("skipped", clean(why)),
            Outcome::Held => {
                writer.write_event(Event::Empty(start))?;
                continue;
            }
        };
        writer.write_event(Event::Start(start))?;
        writer.write_event(Event::Start(BytesStart::new(element).with_attributes([("message", text.as_str())])))?;
        writer.write_event(Event::Text(BytesText::new(&text)))?;
        writer.write_event(Event::End(BytesEnd::new(element)))?;
        writer.write_event(Event::End(BytesEnd::new("testcase")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    writer.write_event(Event::End(BytesEnd::new("testsuites")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;

    #[test]
    fn a_rule_is_a_case_and_a_failure_says_value_and_limit() {
        let sorts = all_sorts();
        let pass = of_run(&sorts[0].1);
        assert!(pass.contains(r#"<testsuite name="llmsim-blast load" tests="2" failures="0""#), "{pass}");
        assert!(pass.contains(r#"<testcase name="http_req_duration: p(95)&lt;3000""#), "{pass}");
        let fail = of_run(&sorts[1].1);
        assert!(fail.contains("measured 394.239, expected p(95)&lt;300; 100 samples"), "{fail}");
        assert!(of_run(&sorts[2].1).contains("no data"));
    }

    #[test]
    fn whatever_keeps_a_run_from_passing_is_a_case() {
        let sorts = all_sorts();
        let of = |sort: &str| of_run(&sorts.iter().find(|(name, _)| *name == sort).expect(sort).1);
        let endpoint = of("an endpoint that fails");
        assert!(endpoint.contains(r#"tests="5" failures="1""#) && endpoint.contains(r#"skipped="1""#), "{endpoint}");
        assert!(endpoint.contains("endpoint models: POST /openai/v1/models") && endpoint.contains("http_5xx"));
        for (sort, case) in [("interrupted", "interrupted"), ("nothing at all", "no data"), ("dead server", "no data")]
        {
            assert!(of(sort).contains(&format!("<testcase name=\"{case}\"")), "{sort}: {}", of(sort));
        }
        for (sort, document) in &sorts {
            let failures = of_run(document).matches("<failure").count();
            assert_eq!(failures > 0, !document.verdict.reasons.is_empty(), "{sort}");
            assert_eq!(failures, document.verdict.reasons.len(), "{sort}: each reason is a case");
            assert_eq!(document.verdict.exit_code == 0, failures == 0, "{sort}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_the_xml() {
        let case = Case { name: "a\"<b>&\u{7}".to_owned(), outcome: Outcome::Failed("]]>\u{0}</failure>".to_owned()) };
        let text = render("x<y", &[("k", "\"v\"\n".to_owned())], &[case]);
        assert!(!text.contains(['\u{0}', '\u{7}']) && !text.contains("<b>"), "{text}");
        assert_eq!(text.matches("</failure>").count(), 1, "{text}");
    }
}
