//! The server's own metrics in the steps of a sweep, one row for each step.

use super::human;
use super::view::{Block, Column, Piece, Row, Section, Table, column};
use crate::document::{ServerMetrics, ServerNumber};
use crate::units::plural;
use std::collections::BTreeSet;

/// The columns: the step, and its numbers.
pub(super) const COLUMNS: [Column; 8] = [
    column("load", 8),
    column("running", 9),
    column("waiting", 9),
    column("KV use", 8),
    column("cache hits", 11),
    column("prompt/s", 10),
    column("output/s", 10),
    column("preempted", 10),
];

/// Units that the columns do not show.
pub(super) const NOTE: &str = "requests on average, KV memory at most, tokens per second";

/// Returns whether a step has a number for any of the columns.
pub(super) fn has_any(said: Option<&ServerMetrics>) -> bool {
    said.is_some_and(|said| KEYS.iter().any(|key| said.numbers.contains_key(*key)))
}

/// Our names of the numbers, in the order of the columns.
const KEYS: [&str; 7] = [
    "server_running",
    "server_waiting",
    "server_kv_use",
    "server_prefix_hits",
    "server_prompt_tokens",
    "server_output_tokens",
    "server_preemptions",
];

/// Returns the cells of a step.
pub(super) fn cells(said: Option<&ServerMetrics>) -> [String; 7] {
    let rate = |n: f64| human::per_second(n).trim_end_matches("/s").to_owned();
    KEYS.map(|key| {
        let Some(number) = said.and_then(|said| said.numbers.get(key)) else { return "-".to_owned() };
        let ServerNumber { mean, max, total, .. } = *number;
        match key {
            "server_running" | "server_waiting" => format!("{mean:.1}"),
            "server_kv_use" => human::percent(max),
            "server_prefix_hits" => human::percent(mean),
            "server_preemptions" => human::count(total.unwrap_or_default() as u64),
            _ => rate(mean),
        }
    })
}

/// Returns a section of a page with the steps by name. `None` without steps.
pub(super) fn section(title: &'static str, steps: Vec<(String, [String; 7])>) -> Option<Section> {
    const OF_PAGE: &[Column] = &COLUMNS;
    (!steps.is_empty()).then(|| Section { title, note: NOTE.to_owned(), blocks: vec![table(OF_PAGE, steps)] })
}

/// Returns a table of the steps by name.
fn table<const N: usize>(columns: &'static [Column], steps: Vec<(String, [String; N])>) -> Block {
    let row = |(name, cells): (String, [String; N])| Row::plain(std::iter::once(name).chain(cells).collect());
    Block::Table(Table { columns, has_head: true, rows: steps.into_iter().map(row).collect() })
}

/// A metric that was requested by its name (`--server-metric`), in each step that has it.
#[derive(Debug, PartialEq)]
pub(super) struct Own<'a> {
    pub(super) name: &'a str,
    /// Each step and its cells.
    pub(super) steps: Vec<(String, [String; 3])>,
}

/// The columns of such a metric: the step, and its numbers.
pub(super) const OF_OWN: [Column; 4] =
    [column("load", 8), column("mean", 13), column("at most", 13), column("in all", 13)];

/// Units that these columns do not show.
pub(super) const NOTE_OF_OWN: &str = "counters are per second, with their growth";

/// Returns the metrics that were requested by name, sorted.
pub(super) fn own<'a>(steps: &[(String, Option<&'a ServerMetrics>)]) -> Vec<Own<'a>> {
    let of_steps = steps.iter().filter_map(|(_, said)| Some(&(*said)?.numbers));
    let names: BTreeSet<&str> = of_steps.flat_map(|numbers| numbers.keys()).map(String::as_str).collect();
    let cells = |number: &ServerNumber| {
        let ServerNumber { mean, max, total, .. } = *number;
        match total {
            Some(total) => [human::per_second(mean), human::per_second(max), human::count(total as u64)],
            None => [format!("{mean:.2}"), format!("{max:.2}"), "-".to_owned()],
        }
    };
    let of = |name| {
        let number = |(step, said): &(String, Option<&'a ServerMetrics>)| {
            Some((step.clone(), cells((*said)?.numbers.get(name)?)))
        };
        Own { name, steps: steps.iter().filter_map(number).collect() }
    };
    names.into_iter().filter(|name| !KEYS.contains(name)).map(of).collect()
}

/// Returns a section of a page with these metrics. `None` without any.
pub(super) fn section_of_own(title: &'static str, own: Vec<Own<'_>>) -> Option<Section> {
    const OF_PAGE: &[Column] = &OF_OWN;
    let of_one = |own: Own<'_>| [Block::Line(1, vec![Piece::plain(own.name)]), table(OF_PAGE, own.steps)];
    let blocks: Vec<Block> = own.into_iter().flat_map(of_one).collect();
    (!blocks.is_empty()).then(|| Section { title, note: NOTE_OF_OWN.to_owned(), blocks })
}

/// Returns a number of a step: the mean of a level, but the highest use of the KV memory.
pub(super) fn number(said: Option<&ServerMetrics>, key: &str) -> Option<f64> {
    let number = said?.numbers.get(key)?;
    Some(if key == "server_kv_use" { number.max } else { number.mean })
}

/// Describes the failed readings of all steps together.
pub(super) fn failed<'a>(all: impl Iterator<Item = &'a ServerMetrics>) -> Option<String> {
    let (mut failed, mut why) = (0, None);
    for said in all {
        failed += said.failed;
        why = said.problem.as_ref().or(why);
    }
    let readings = plural(failed, "reading");
    why.filter(|_| failed > 0).map(|why| format!("{readings} of the server's metrics returned nothing usable: {why}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the metrics of a server that works on `running` requests.
    pub(in crate::report) fn said(running: f64) -> ServerMetrics {
        let number = |unit: &str, mean, max, total| ServerNumber { unit: unit.to_owned(), mean, max, total };
        let numbers = [
            ("server_running", number("requests", running, running + 2.0, None)),
            ("server_waiting", number("requests", 0.25, 3.0, None)),
            ("server_kv_use", number("ratio", 0.5, 0.75, None)),
            ("server_output_tokens", number("tokens/s", 12_345.6, 13_000.0, Some(123_456.0))),
            ("server_preemptions", number("1/s", 0.5, 1.0, Some(5.0))),
            ("mine", number("", 1.0, 1.0, None)),
        ];
        ServerMetrics {
            numbers: numbers.map(|(name, number)| (name.to_owned(), number)).into(),
            ..ServerMetrics::default()
        }
    }

    #[test]
    fn each_number_has_its_cell() {
        let row = cells(Some(&said(7.5)));
        assert_eq!(row, ["7.5", "0.2", "75.00%", "-", "-", "12.3k", "5"]);
        assert_eq!(cells(None), ["-"; 7]);
        assert!(has_any(Some(&said(1.0))) && !has_any(None) && !has_any(Some(&ServerMetrics::default())));
        assert_eq!(number(Some(&said(1.0)), "server_kv_use"), Some(0.75));
    }

    #[test]
    fn a_metric_that_was_asked_for_by_name_has_its_own_rows() {
        let mut counted = said(1.0);
        let count = ServerNumber { unit: "1/s".to_owned(), mean: 12_345.6, max: 13_000.0, total: Some(123_456.0) };
        counted.numbers.insert("counted_total".to_owned(), count);
        let (plain, silent) = (said(2.0), ServerMetrics::default());
        let step = |name: &str, said| (name.to_owned(), said);
        let steps = [step("4", Some(&plain)), step("8", Some(&counted)), step("16", None), step("32", Some(&silent))];
        let cells = |cells: [&str; 3]| cells.map(str::to_owned);
        let mine = cells(["1.00", "1.00", "-"]);
        let expected = [
            Own { name: "counted_total", steps: vec![("8".to_owned(), cells(["12.3k/s", "13.0k/s", "123456"]))] },
            Own { name: "mine", steps: vec![("4".to_owned(), mine.clone()), ("8".to_owned(), mine)] },
        ];
        assert_eq!(own(&steps), expected);
        assert_eq!(section_of_own("BY NAME", own(&steps)).expect("two").blocks.len(), 4);
        assert!(own(&steps[2..]).is_empty() && section_of_own("BY NAME", Vec::new()).is_none());
    }

    #[test]
    fn readings_that_failed_are_added_up() {
        let broken = ServerMetrics { failed: 2, problem: Some("status 503".to_owned()), ..said(1.0) };
        let text = failed([&broken, &said(1.0), &broken].into_iter()).expect("some failed");
        assert_eq!(text, "4 readings of the server's metrics returned nothing usable: status 503");
        assert_eq!(failed([&said(1.0)].into_iter()), None);
    }
}
