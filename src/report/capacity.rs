//! The result of `capacity` as a table for people.

use crate::document::capacity::{By, Capacity, Step, Try};
use crate::document::{Quantiles, ServerMetrics};
use crate::report::view::{Block, Column, Headline, Piece, Remark, Row, Section, Table, Tone, View, column};
use crate::report::{human, server_says};
use crate::units::{plural, short};
use std::fmt::Write as _;

/// Formats the result as a table of 80 columns.
pub fn text(found: &Capacity) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write(found, &mut text);
    text
}

fn write(found: &Capacity, text: &mut String) -> std::fmt::Result {
    writeln!(text, "llmsim-blast {} capacity: {}", found.build.version, found.profile)?;
    writeln!(text, "  target     {}", found.target)?;
    if let Some(shards) = found.shards {
        writeln!(text, "  shards     {shards}")?;
    }
    let (warmup, window) = (human::length(found.warmup_s), human::length(found.window_s));
    writeln!(text, "  each step  {window}, after a warm-up of {warmup}")?;
    for (i, goal) in found.goals.iter().enumerate() {
        writeln!(text, "  {:<9}  {goal}", if i == 0 { "goals" } else { "" })?;
    }
    write_curve(found, text)?;
    write_server(found, text)?;
    writeln!(text)?;
    for (i, line) in human::wrapped(&sentence(found), 76).iter().enumerate() {
        writeln!(text, "  {}{line}", if i == 0 { "" } else { "  " })?;
    }
    if let Some(why) = why_not(found) {
        for line in human::wrapped(&why, 74) {
            writeln!(text, "    {line}")?;
        }
    }
    if found.bottlenecks().next().is_some() {
        for line in human::wrapped(BOTTLENECK, 76) {
            writeln!(text, "  {line}")?;
        }
    }
    if let Some(why) = early(found) {
        for line in human::wrapped(&why, 76) {
            writeln!(text, "  {line}")?;
        }
    }
    for note in notes(found) {
        for line in human::wrapped(&note, 76) {
            writeln!(text, "  {line}")?;
        }
    }
    Ok(())
}

fn write_curve(found: &Capacity, text: &mut String) -> std::fmt::Result {
    if found.curve.is_empty() {
        return Ok(());
    }
    let line = |text: &mut String, cells: &[String; 9]| {
        let [load, held, p95, p99, tbt, requests, tokens, failed, good] = cells;
        let row = format!("  {load:>8}{held:>6}{p95:>9}{p99:>8}{tbt:>8}{requests:>8}{tokens:>9}{failed:>8}{good:>9}");
        writeln!(text, "{}", row.trim_end())
    };
    writeln!(text)?;
    line(text, &COLUMNS.map(|name| if name == "load" { load_name(found.by) } else { name }.to_owned()))?;
    for cells in rows(found) {
        line(text, &cells)?;
    }
    writeln!(text, "  held: tries in which every goal held, of all tries; numbers: the last try")
}

/// Writes the server's own metrics at each load. It writes nothing if they were not read.
fn write_server(found: &Capacity, text: &mut String) -> std::fmt::Result {
    let rows = server_rows(found);
    if !rows.is_empty() {
        write_said(found, text, server_says::NOTE, &server_says::COLUMNS, &rows)?;
    }
    for own in server_says::own(&said_by_load(found)) {
        write_said(found, text, own.name, &server_says::OF_OWN, &own.steps)?;
    }
    Ok(())
}

/// Writes a table of the server's metrics at each load.
fn write_said<const N: usize>(
    found: &Capacity,
    text: &mut String,
    of: &str,
    columns: &[Column],
    rows: &[(String, [String; N])],
) -> std::fmt::Result {
    let line = |text: &mut String, cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(columns).map(|(cell, of)| format!("{cell:>0$}", of.width));
        writeln!(text, "  {}", padded.collect::<Vec<_>>().concat())
    };
    let names = columns.iter().skip(1).map(|column| column.name);
    writeln!(text, "\n  the server says: {of}")?;
    line(text, &mut std::iter::once(load_name(found.by)).chain(names))?;
    for (load, cells) in rows {
        line(text, &mut std::iter::once(load.as_str()).chain(cells.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// Returns each load with the server's metrics at its last try.
fn said_by_load(found: &Capacity) -> Vec<(String, Option<&ServerMetrics>)> {
    found.by_load().into_iter().map(|(step, _)| (short(step.load), step.server_metrics.as_ref())).collect()
}

/// Returns the cells of the server's metrics at the last try of each load.
fn server_rows(found: &Capacity) -> Vec<(String, [String; 7])> {
    let all = found.by_load();
    if !all.iter().any(|(step, _)| server_says::has_any(step.server_metrics.as_ref())) {
        return Vec::new();
    }
    all.into_iter().map(|(step, _)| (short(step.load), server_says::cells(step.server_metrics.as_ref()))).collect()
}

/// The columns of the curve.
const COLUMNS: [&str; 9] = ["load", "held", "ttft p95", "p99", "tbt p99", "req/s", "tokens/s", "failed", "goodput"];

/// Returns the unit of a load.
pub(crate) const fn load_name(by: By) -> &'static str {
    match by {
        By::Vus => "users",
        By::Rate => "rate/s",
    }
}

/// Returns the cells of the curve, one row for each load.
fn rows(found: &Capacity) -> Vec<[String; 9]> {
    // A load is marked if any of its tries is.
    let bottlenecks: Vec<f64> = found.bottlenecks().collect();
    let undecided: Vec<u64> =
        found.curve.iter().filter(|step| step.undecided).map(|step| step.load.to_bits()).collect();
    let time =
        |q: Option<Quantiles>, of: fn(Quantiles) -> f64| q.map_or_else(|| "-".to_owned(), |q| human::time(of(q)));
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), human::percent);
    let rate = |rate: f64| human::per_second(rate).trim_end_matches("/s").to_owned();
    let row = |(step, tries): (&Step, Try)| {
        let unsure = if undecided.contains(&step.load.to_bits()) { "?" } else { "" };
        let mark = if bottlenecks.iter().any(|load| load.total_cmp(&step.load).is_eq()) { "!" } else { "" };
        [
            format!("{mark}{}", short(step.load)),
            format!("{}/{}{unsure}", tries.held, tries.held + tries.failed),
            time(step.ttft, |q| q.p95),
            time(step.ttft, |q| q.p99),
            time(step.tbt, |q| q.p99),
            rate(step.requests_per_s),
            rate(step.tokens_per_s),
            share(step.failed),
            share(step.goodput),
        ]
    };
    found.by_load().into_iter().map(row).collect()
}

/// Returns further notes: undecided steps, and a search that ran out of time.
fn notes(found: &Capacity) -> Vec<String> {
    let mut notes = Vec::new();
    let (without_data, late) = found.undecided();
    if without_data > 0 {
        let steps = plural(without_data, "step");
        notes.push(format!(
            "{steps} undecided (marked ?): too few samples for a goal; measure each step for longer (--duration)"
        ));
    }
    if late > 0 {
        let steps = plural(late, "step");
        notes.push(format!(
            "{steps} undecided (marked ?): this machine was late and did not send that load; use more --workers, or \
             run the server on another machine"
        ));
    }
    notes.extend(server_says::failed(found.curve.iter().filter_map(|step| step.server_metrics.as_ref())));
    if let (true, Some(most)) = (found.out_of_time, found.max_time_s) {
        let most = human::length(most);
        notes.push(format!("the search ended after {most} (--max-time), before it was complete"));
    }
    notes
}

/// Returns the result for painters.
pub(crate) fn view(found: &Capacity) -> View {
    const CURVE: &[Column] = &[
        column("load", 8),
        column("held", 6),
        column("ttft p95", 9),
        column("p99", 8),
        column("tbt p99", 8),
        column("req/s", 8),
        column("tokens/s", 9),
        column("failed", 8),
        column("goodput", 9),
    ];
    let is_early = found.verdict.ended_early().is_some();
    let (tone, word, said) = if found.interrupted {
        (Tone::Warning, "INTERRUPTED", "interrupted")
    } else if is_early {
        (Tone::Bad, "FAIL ✗", "ended early")
    } else {
        match (found.holds, found.fails) {
            (Some(_), _) if !found.settled => (Tone::Warning, "UNSETTLED", "the search did not settle"),
            (Some(_), Some(_)) => (Tone::Good, "FOUND", "a limit was found"),
            (Some(_), None) => (Tone::Good, "HELD", "the goals hold at every load"),
            (None, Some(_)) => (Tone::Bad, "NONE", "no load meets the goals"),
            (None, None) => (Tone::Bad, "NO DATA", "no data"),
        }
    };
    let (warmup, window) = (human::length(found.warmup_s), human::length(found.window_s));
    let fact = |name, text: String| Block::Fact(name, vec![Piece::plain(text)]);
    let mut head = vec![
        fact("target", found.target.clone()),
        fact("each step", format!("{window}, after a warm-up of {warmup}")),
        fact("goals", found.goals.join("; ")),
    ];
    head.extend(why_not(found).map(|why| Block::Remark(Remark::new(Tone::Bad, 1, why))));
    head.extend(early(found).map(|why| Block::Remark(Remark::new(Tone::Bad, 1, why))));
    if found.bottlenecks().next().is_some() {
        head.push(Block::Remark(Remark::new(Tone::Warning, 1, BOTTLENECK)));
    }
    head.extend(notes(found).into_iter().map(|note| Block::Remark(Remark::new(Tone::Warning, 1, note))));
    let note = format!(
        "the load is in {}; held: tries in which every goal held, of all tries; numbers: the last try",
        load_name(found.by)
    );
    let row = |cells: [String; 9]| Row::plain(cells.to_vec());
    let curve = Table { columns: CURVE, has_head: true, rows: rows(found).into_iter().map(row).collect() };
    let curve = (!curve.rows.is_empty()).then(|| Section { title: "CURVE", note, blocks: vec![Block::Table(curve)] });
    let own = server_says::section_of_own("METRICS BY NAME", server_says::own(&said_by_load(found)));
    let numbers = curve.into_iter().chain(server_says::section("SERVER SAYS", server_rows(found))).chain(own).collect();
    let headline = Headline { tone, word, said, name: found.profile.clone(), why: sentence(found) };
    View { headline, head, verdict: Vec::new(), numbers, foot: None }
}

/// The warning if this tool was at its limit.
const BOTTLENECK: &str = "WARNING: at the loads marked ! this tool was the bottleneck: more --workers, or a server on \
                          another machine, may show more";

/// Describes the result and how certain it is.
fn sentence(found: &Capacity) -> String {
    let of = |t: Try| format!("{} of {}", t.held, t.held + t.failed);
    match (found.holds, found.fails) {
        (None, None) if found.curve.is_empty() => "nothing was measured".to_owned(),
        (None, None) if found.undecided().0 == 0 => "no step sent its full load".to_owned(),
        (None, None) => "no step had data for every goal: measure each step for longer (--duration), or begin with a \
                         higher load (--min)"
            .to_owned(),
        (None, Some(fails)) => {
            format!(
                "the goals do not hold even at {} (failed {} of {})",
                found.by.shown(fails.load),
                fails.failed,
                fails.held + fails.failed
            )
        }
        (Some(holds), None) if found.settled => format!(
            "the goals hold at {} ({}), the highest load to try (--max): the limit is higher",
            found.by.shown(holds.load),
            of(holds)
        ),
        (Some(holds), None) => {
            format!("the goals hold at {} ({}); no limit was seen", found.by.shown(holds.load), of(holds))
        }
        (Some(holds), Some(fails)) => {
            let unsure = if found.settled { "" } else { "; the search did not settle, so treat this with caution" };
            format!(
                "the goals hold at {} ({}) and fail at {} ({} of {}){unsure}",
                found.by.shown(holds.load),
                of(holds),
                found.by.shown(fails.load),
                fails.failed,
                fails.held + fails.failed
            )
        }
    }
}

/// Returns the reason why the search is incomplete, if it is.
fn early(found: &Capacity) -> Option<String> {
    let why = found.verdict.ended_early()?;
    Some(format!("the search is incomplete: {why}"))
}

/// Returns the goals that broke at the lowest load that failed.
fn why_not(found: &Capacity) -> Option<String> {
    let fails = found.fails?;
    let step = found
        .curve
        .iter()
        .rev()
        .find(|step| step.load.total_cmp(&fails.load).is_eq() && !step.held && !step.undecided)?;
    Some(format!("there: {}", step.broken.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::capacity::CAPACITY_SCHEMA;
    use crate::document::{Build, Environment, TargetServer, Validity, Verdict};
    use crate::report::server_says::tests::said;

    fn step(load: f64, held: bool) -> Step {
        let q = |ms| Some(Quantiles { p50: ms, p95: ms * 2.0, p99: ms * 3.0 });
        Step {
            load,
            held,
            undecided: false,
            client_was_late: false,
            broken: if held { Vec::new() } else { vec!["ttft p(95)<500ms is 612ms".to_owned()] },
            ttft: q(100.0),
            tbt: q(2.5),
            tpot: None,
            http_req_duration: q(321.0),
            requests_per_s: 123.4,
            tokens_per_s: 12_345.6,
            failed: Some(0.001),
            goodput: Some(0.987),
            client: Validity::Ok,
            client_cpu: 0.2,
            server_metrics: None,
        }
    }

    fn capacity(curve: Vec<Step>, holds: Option<Try>, fails: Option<Try>) -> Capacity {
        Capacity {
            schema: CAPACITY_SCHEMA.to_owned(),
            build: Build { version: "1.2.3".to_owned(), ..Build::default() },
            environment: Environment::default(),
            target: "http://127.0.0.1:8080".to_owned(),
            plan_hash: None,
            server: TargetServer::default(),
            profile: "load".to_owned(),
            shards: None,
            by: By::Vus,
            goals: vec!["ttft p(95)<500ms".to_owned(), "http_req_failed rate<1%".to_owned()],
            goals_of_one_request: vec!["ttft <500ms".to_owned()],
            warmup_s: 2.0,
            window_s: 10.0,
            holds,
            fails,
            settled: true,
            interrupted: false,
            verdict: Verdict::default(),
            max_time_s: None,
            out_of_time: false,
            curve,
        }
    }

    fn tried(load: f64, held: u32, failed: u32) -> Try {
        Try { load, held, failed }
    }

    #[test]
    fn the_table_fits_and_says_how_sure_it_is() {
        let curve = vec![step(8.0, false), step(4.0, true), step(99_999.0, false), step(4.0, true), step(8.0, false)];
        let mut found = capacity(curve, Some(tried(4.0, 2, 0)), Some(tried(8.0, 0, 2)));
        // An earlier try of 8 is marked as well.
        for i in [0, 2] {
            found.curve[i].client = Validity::Bottleneck;
        }
        let text = text(&found);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for part in [
            "each step  10s, after a warm-up of 2s",
            "  goals      ttft p(95)<500ms\n             http_req_failed rate<1%\n",
            "         4   2/2    200ms   300ms  7.50ms     123    12.3k   0.10%   98.70%\n        !8   0/2",
            "the goals hold at 4 users (2 of 2) and fail at 8 users (2 of 2)\n    there: ttft p(95)<500ms is 612ms",
            "    !99999",
            "this tool was the bottleneck",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn steps_that_say_nothing_and_an_end_of_time_are_told() {
        let undecided = Step { undecided: true, ..step(2.0, false) };
        let late = Step { client_was_late: true, ..undecided.clone() };
        let only_late = capacity(vec![late.clone()], None, None);
        assert_eq!(sentence(&only_late), "no step sent its full load");
        let mut found = capacity(vec![undecided, late.clone(), late, step(4.0, true)], Some(tried(4.0, 1, 0)), None);
        (found.settled, found.out_of_time, found.max_time_s) = (false, true, Some(90.0));
        let text = text(&found);
        for part in [
            "         2  0/0?",
            "         4   1/1 ",
            "1 step undecided (marked ?): too few",
            "2 steps undecided (marked ?): this machine was late",
            "ended after 1m30s (--max-time)",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn what_the_server_said_stands_below_the_curve() {
        let steps = vec![step(4.0, true), Step { server_metrics: Some(said(7.5)), ..step(8.0, false) }];
        let found = capacity(steps, Some(tried(4.0, 1, 0)), Some(tried(8.0, 0, 2)));
        let text = text(&found);
        for part in [
            "  the server says: requests on average",
            "     users  running  waiting  KV use cache hits  prompt/s  output/s preempted\n",
            "         8      7.5      0.2  75.00%          -         -     12.3k         5\n",
            "         4        -        -       -",
            "  the server says: mine\n     users         mean      at most       in all\n         8         1.00         1.00            -\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let titles: Vec<_> = view(&found).numbers.iter().map(|section| section.title).collect();
        assert_eq!(titles, ["CURVE", "SERVER SAYS", "METRICS BY NAME"]);
        let silent = capacity(vec![step(4.0, true)], None, None);
        assert!(!super::text(&silent).contains("the server says") && view(&silent).numbers.len() == 1);
    }

    #[test]
    fn every_end_of_a_search_has_its_sentence() {
        for (holds, fails, settled, part) in [
            (None, None, false, "nothing was measured"),
            (None, Some(tried(1.0, 0, 2)), true, "do not hold even at 1 user (failed 2 of 2)"),
            (Some(tried(64.0, 3, 0)), None, true, "hold at 64 users (3 of 3), the highest load to try"),
            (Some(tried(64.0, 1, 0)), None, false, "hold at 64 users (1 of 1); no limit was seen"),
            (Some(tried(64.0, 1, 1)), Some(tried(128.0, 0, 2)), false, "did not settle"),
        ] {
            let found = Capacity { settled, ..capacity(Vec::new(), holds, fails) };
            assert!(sentence(&found).contains(part), "{}", sentence(&found));
        }
        assert_eq!(By::Rate.shown(12.5), "12.5 requests/s");
    }

    #[test]
    fn the_json_reads_back() {
        let found = capacity(vec![step(1.0, true)], Some(tried(1.0, 1, 0)), None);
        assert_eq!(serde_json::from_str::<Capacity>(&found.to_json()).unwrap(), found);
    }
}
