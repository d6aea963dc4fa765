//! The result of `throughput` as a Markdown table, for pasting.

use crate::document::throughput::{MOST_ERRORS, Mode, Row as Best, Step, Throughput};
use crate::document::{Hint, Quantiles, ServerMetrics};
use crate::report::view::{Block, Column, Headline, Piece, Remark, Row, Section, Table, Tone, View, column};
use crate::report::{human, server_says};
use crate::units::plural;
use std::fmt::Write as _;

/// The range of p50 for streams that wait for one delayed acknowledgement of Linux (40 ms, and a
/// tick) and for nothing else.
const PLATEAU_MS: (f64, f64) = (40.0, 50.0);

pub fn text(found: &Throughput) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write(found, &mut text);
    text
}

fn write(found: &Throughput, text: &mut String) -> std::fmt::Result {
    writeln!(text, "llmsim-blast {} throughput of {}\n", found.build.version, server_name(found))?;
    let e = &found.environment;
    let unknown = || "unknown".to_owned();
    let memory = e.memory_bytes.map_or_else(unknown, |n| human::bytes(n as f64));
    let cpu = e.cpu_model.clone().unwrap_or_else(unknown);
    writeln!(
        text,
        "- machine: {cpu}, {}, {memory} memory",
        e.cores.map_or("unknown cores".to_owned(), |n| plural(n, "core"))
    )?;
    let kernel = e.kernel.clone().unwrap_or_else(unknown);
    writeln!(text, "- system: {} {kernel}, {}", e.os, e.arch)?;
    if found.server.started {
        writeln!(
            text,
            "- server: started afresh for each number of worker threads; latency instant, 16 tokens, no errors"
        )?;
    } else {
        writeln!(text, "- server: was already running at {}, with its own configuration", found.target)?;
    }
    let (warmup, step) = (human::length(found.warmup_s), human::length(found.step_s));
    writeln!(
        text,
        "- each step {step}, after a warm-up of {warmup} for each server; the highest rate counts, with errors below"
    )?;
    let quick =
        found.max_p99_ms.map_or_else(String::new, |most| format!(" and, of plain responses, p99 below {most} ms"));
    writeln!(text, "  {}{quick}", human::percent(MOST_ERRORS))?;
    write_table(found, text, Mode::Plain)?;
    write_table(found, text, Mode::Streamed)?;
    writeln!(text)?;
    for line in caveats(found) {
        for (i, part) in human::wrapped(&line, 98).iter().enumerate() {
            writeln!(text, "{}{part}", if i == 0 { "- " } else { "  " })?;
        }
    }
    Ok(())
}

fn server_name(found: &Throughput) -> String {
    let kind = found.server.kind.clone().unwrap_or_else(|| "a server".to_owned());
    found.server.version.as_ref().map_or_else(|| kind.clone(), |version| format!("{kind} {version}"))
}

fn write_table(found: &Throughput, text: &mut String, mode: Mode) -> std::fmt::Result {
    let rows = found.rows(mode);
    if rows.is_empty() {
        return Ok(());
    }
    let (title, rate) = match mode {
        Mode::Plain => ("Plain responses", "RPS"),
        Mode::Streamed => ("Streamed responses", "tokens/s"),
    };
    writeln!(text, "\n{title}\n")?;
    let widest = rows.iter().filter_map(|row| row.api).map(str::len).max();
    let api = widest.filter(|_| found.has_several_apis());
    let line = |text: &mut String, api_cell: &str, cells: &[String; 9]| {
        let [workers, best, rate, p50, p95, p99, errors, scaling, client] = cells;
        if let Some(width) = api {
            write!(text, "| {api_cell:<width$} ")?;
        }
        writeln!(
            text,
            "| {workers:>7} | {best:>7} | {rate:>8} | {p50:>6} | {p95:>6} | {p99:>6} | {errors:>7} | {scaling:>12} | {client:>10} |"
        )
    };
    let names = ["workers", "best -c", rate, "p50", "p95", "p99", "error %", "scaling vs 1", "client CPU"];
    line(text, "API", &names.map(str::to_owned))?;
    let dash = |n: usize| format!("{}:", "-".repeat(n - 1));
    line(text, &"-".repeat(api.unwrap_or_default()), &[7, 7, 8, 6, 6, 6, 7, 12, 10].map(dash))?;
    for (row, cells) in rows.iter().zip(cells(mode, &rows)) {
        line(text, row.api.unwrap_or_default(), &cells)?;
    }
    let best = best(found, mode, &rows);
    if best.is_empty() {
        writeln!(text, "\n{NONE_KEPT}")?;
    }
    best.iter().try_for_each(|best| writeln!(text, "\n**{best}**"))?;
    write_server(found, text, mode)
}

/// Writes the server's own metrics at each step. It writes nothing if they were not read.
fn write_server(found: &Throughput, text: &mut String, mode: Mode) -> std::fmt::Result {
    let rows = server_rows(found, mode);
    if !rows.is_empty() {
        write_said(text, &format!("The server says ({}):", server_says::NOTE), &server_says::COLUMNS, &rows)?;
    }
    for own in server_says::own(&said_by_step(found, mode)) {
        write_said(text, &format!("The server says: `{}`", own.name), &server_says::OF_OWN, &own.steps)?;
    }
    Ok(())
}

/// Writes a table of the server's metrics at each step.
fn write_said<const N: usize>(
    text: &mut String,
    title: &str,
    columns: &[Column],
    rows: &[(String, [String; N])],
) -> std::fmt::Result {
    // The first column holds a name.
    let name_width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max(LOAD_WIDTH);
    let widths: Vec<usize> = std::iter::once(name_width).chain(columns.iter().skip(1).map(|of| of.width)).collect();
    let line = |text: &mut String, cells: &mut dyn Iterator<Item = &str>| {
        let row: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        writeln!(text, "| {} |", row.join(" | "))
    };
    writeln!(text, "\n{title}\n")?;
    line(text, &mut columns.iter().map(|column| column.name))?;
    let dashes: Vec<String> = widths.iter().map(|width| format!("{}:", "-".repeat(width - 1))).collect();
    line(text, &mut dashes.iter().map(String::as_str))?;
    for (name, cells) in rows {
        line(text, &mut std::iter::once(name.as_str()).chain(cells.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// Characters of a step's name, if it does not include an API.
const LOAD_WIDTH: usize = 12;

/// Returns each step with the cells of the server's metrics.
fn server_rows(found: &Throughput, mode: Mode) -> Vec<(String, [String; 7])> {
    let all = said_by_step(found, mode);
    if !all.iter().any(|(_, said)| server_says::has_any(*said)) {
        return Vec::new();
    }
    all.into_iter().map(|(name, said)| (name, server_says::cells(said))).collect()
}

/// Returns each step by name with the server's metrics.
fn said_by_step(found: &Throughput, mode: Mode) -> Vec<(String, Option<&ServerMetrics>)> {
    let name = |step: &Step| {
        let api = step.api.as_ref().filter(|_| found.has_several_apis()).map(|api| format!("{api}, "));
        let workers = step.workers.map(|workers| format!("{workers}, "));
        format!("{}{}{} at once", api.unwrap_or_default(), workers.unwrap_or_default(), step.concurrency)
    };
    found.steps(mode).iter().map(|step| (name(step), step.server_metrics.as_ref())).collect()
}

/// The text if no step counts.
const NONE_KEPT: &str = "**No step kept to the limits.** The JSON (--output) has all of them.";

/// Returns the cells of the table, without the name of the API.
fn cells(mode: Mode, rows: &[Best<'_>]) -> Vec<[String; 9]> {
    let row = |row: &Best<'_>| {
        let one = rows.iter().find(|other| other.api == row.api && other.workers == Some(1)).and_then(|one| one.best);
        let name = row.workers.map_or_else(|| "running".to_owned(), |n| n.to_string());
        let Some(step) = row.best else {
            return [name.as_str(), "none", "-", "-", "-", "-", "-", "-", "-"].map(str::to_owned);
        };
        let time =
            |of: fn(Quantiles) -> f64| step.http_req_duration.map_or_else(|| "-".to_owned(), |q| human::time(of(q)));
        let scaling = one.map_or_else(|| "-".to_owned(), |one| format!("{:.2}x", step.rate(mode) / one.rate(mode)));
        let marks = format!("{}{}", if step.shared_cores { "~" } else { "" }, if step.client_bound { "!" } else { "" });
        [
            name,
            step.concurrency.to_string(),
            human::per_second(step.rate(mode)).trim_end_matches("/s").to_owned(),
            time(|q| q.p50),
            time(|q| q.p95),
            time(|q| q.p99),
            format!("{:.3}", step.failed.unwrap_or_default() * 100.0),
            scaling,
            format!("{marks}{:.0}%", step.client_cpu * 100.0),
        ]
    };
    rows.iter().map(row).collect()
}

/// Returns the result for painters.
pub(crate) fn view(found: &Throughput) -> View {
    let modes = [Mode::Plain, Mode::Streamed];
    let best: Vec<String> = modes.into_iter().flat_map(|mode| best(found, mode, &found.rows(mode))).collect();
    let is_early = found.verdict.ended_early().is_some();
    let (tone, word, said) = if found.interrupted {
        (Tone::Warning, "INTERRUPTED", "interrupted")
    } else if is_early {
        (Tone::Bad, "FAIL ✗", "ended early")
    } else if best.is_empty() {
        (Tone::Bad, "NONE", "no step kept to the limits")
    } else {
        (Tone::Good, "MEASURED", "measured")
    };
    let fact = |name, text: String| Block::Fact(name, vec![Piece::plain(text)]);
    let (warmup, step) = (human::length(found.warmup_s), human::length(found.step_s));
    let head = vec![
        fact("server", format!("{} at {}", server_name(found), found.target)),
        fact("each step", format!("{step}, after a warm-up of {warmup} for each server")),
    ];
    let remark = |text: String| Block::Remark(Remark { bullet: "- ", ..Remark::new(Tone::Plain, 1, text) });
    let notes = caveats(found).into_iter().map(remark).collect();
    View {
        headline: Headline { tone, word, said, name: "throughput".to_owned(), why: best.join(" ") },
        head,
        verdict: vec![Section { title: "NOTES", note: String::new(), blocks: notes }],
        numbers: modes
            .into_iter()
            .flat_map(|mode| [section(found, mode), server_section(found, mode), own_section(found, mode)])
            .flatten()
            .collect(),
        foot: None,
    }
}

fn section(found: &Throughput, mode: Mode) -> Option<Section> {
    const COLUMNS: &[Column] = &[
        column("API", 20),
        column("workers", 8),
        column("best -c", 8),
        column("rate/s", 9),
        column("p50", 7),
        column("p95", 7),
        column("p99", 7),
        column("error %", 8),
        column("scaling vs 1", 13),
        column("client CPU", 11),
    ];
    let (title, note) = match mode {
        Mode::Plain => ("PLAIN RESPONSES", "the rate is of requests"),
        Mode::Streamed => ("STREAMED RESPONSES", "the rate is of generated tokens"),
    };
    let best = found.rows(mode);
    let has_api = found.has_several_apis();
    let row = |(best, cells): (&Best<'_>, [String; 9])| {
        let api = has_api.then(|| best.api.unwrap_or_default().to_owned());
        Row::plain(api.into_iter().chain(cells).collect())
    };
    let rows: Vec<Row> = best.iter().zip(cells(mode, &best)).map(row).collect();
    let table = Table { columns: if has_api { COLUMNS } else { &COLUMNS[1..] }, has_head: true, rows };
    (!table.rows.is_empty()).then(|| Section { title, note: note.to_owned(), blocks: vec![Block::Table(table)] })
}

fn server_section(found: &Throughput, mode: Mode) -> Option<Section> {
    let title = match mode {
        Mode::Plain => "SERVER SAYS OF PLAIN RESPONSES",
        Mode::Streamed => "SERVER SAYS OF STREAMED RESPONSES",
    };
    server_says::section(title, server_rows(found, mode))
}

fn own_section(found: &Throughput, mode: Mode) -> Option<Section> {
    let title = match mode {
        Mode::Plain => "METRICS BY NAME, PLAIN RESPONSES",
        Mode::Streamed => "METRICS BY NAME, STREAMED RESPONSES",
    };
    server_says::section_of_own(title, server_says::own(&said_by_step(found, mode)))
}

/// Describes the best step of each API. APIs without a step that counts are left out.
fn best(found: &Throughput, mode: Mode, rows: &[Best<'_>]) -> Vec<String> {
    let best_of = |api: Option<&str>| {
        let steps = rows.iter().filter(|row| row.api == api).filter_map(|row| row.best);
        let best = steps.max_by(|a, b| a.rate(mode).total_cmp(&b.rate(mode)))?;
        let with = match best.workers {
            Some(n) => format!(" with {}", plural(n, "worker thread")),
            None => String::new(),
        };
        let unit = if mode == Mode::Plain { "requests/s" } else { "streamed tokens/s" };
        let rate = human::per_second(best.rate(mode));
        let (server, rate) = (server_name(found), rate.trim_end_matches("/s"));
        let api = api.filter(|_| found.has_several_apis()).map_or_else(String::new, |api| format!(", {api}"));
        Some(format!("{server}{api}: {rate} {unit}{with}, {} at once.", best.concurrency))
    };
    found.apis().into_iter().filter_map(best_of).collect()
}

/// Returns the caveats that belong to the numbers.
fn caveats(found: &Throughput) -> Vec<String> {
    let best = [Mode::Plain, Mode::Streamed].into_iter().flat_map(|mode| found.rows(mode));
    let best: Vec<&Step> = best.filter_map(|row| row.best).collect();
    let mut caveats = Vec::new();
    let mut say = |line: &str| caveats.push(line.to_owned());
    if found.same_machine {
        say(
            "Client and server ran on the same machine and shared its cores, memory and loopback: on two machines the \
             server has its cores to itself, and a network lies in between. client CPU is the share of its core that \
             our busiest worker used.",
        );
    } else {
        say("client CPU is the share of its core that our busiest worker used.");
    }
    if best.iter().any(|step| step.shared_cores) {
        say("~ server and client had fewer cores than threads: they took CPU time from each other, and scaling says \
             little.");
    }
    if best.iter().any(|step| step.client_bound) {
        say("! the client was the bottleneck: the server may be able to do more.");
    }
    let waits = |step: &Step| step.http_req_duration.is_some_and(|q| (PLATEAU_MS.0..PLATEAU_MS.1).contains(&q.p50));
    let told = found.streamed.iter().flat_map(|step| &step.hints).any(|hint| hint.name == "nagle");
    if found.server.started && !told && found.streamed.iter().any(waits) {
        say("Instant streams that take 40 ms or more wait for delayed acknowledgements: the server writes \
             small pieces with Nagle's algorithm on. That wait limits their rate at any concurrency, not the server's \
             CPU.");
    }
    let mut hints: Vec<&Hint> = Vec::new();
    for hint in found.plain.iter().chain(&found.streamed).flat_map(|step| &step.hints) {
        if !hints.iter().any(|known| known.name == hint.name) {
            hints.push(hint);
        }
    }
    caveats.extend(hints.iter().map(|hint| format!("{}: {}.", hint.name, hint.text)));
    let said = found.plain.iter().chain(&found.streamed).filter_map(|step| step.server_metrics.as_ref());
    caveats.extend(server_says::failed(said).map(|failed| format!("{failed}.")));
    if let Some(why) = found.verdict.ended_early() {
        caveats.push(format!("Missing rows were not measured: {why}."));
    }
    caveats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::throughput::THROUGHPUT_SCHEMA;
    use crate::document::{Build, Environment, TargetServer, Verdict};

    fn step(workers: Option<u32>, concurrency: u32, rate: f64, p99: f64) -> Step {
        Step {
            api: None,
            workers,
            concurrency,
            requests_per_s: rate,
            tokens_per_s: rate * 16.0,
            http_req_duration: Some(Quantiles { p50: p99 / 4.0, p95: p99 / 2.0, p99 }),
            ttft: None,
            failed: Some(0.0),
            client_cpu: 0.55,
            client_workers: 1,
            server_cpu: Some(1.0),
            client_bound: false,
            shared_cores: false,
            hints: Vec::new(),
            server_metrics: None,
        }
    }

    fn found(plain: Vec<Step>, streamed: Vec<Step>) -> Throughput {
        let server = TargetServer {
            started: true,
            kind: Some("llmsim".to_owned()),
            version: Some("0.6.0".to_owned()),
            ..TargetServer::default()
        };
        Throughput {
            schema: THROUGHPUT_SCHEMA.to_owned(),
            build: Build { version: "1.2.3".to_owned(), ..Build::default() },
            environment: Environment::default(),
            target: "http://127.0.0.1:8080".to_owned(),
            plan_hash: None,
            server,
            same_machine: true,
            warmup_s: 5.0,
            step_s: 30.0,
            max_p99_ms: Some(50.0),
            interrupted: false,
            verdict: Verdict::default(),
            plain,
            streamed,
        }
    }

    #[test]
    fn the_highest_rate_within_the_limits_is_kept() {
        let slow = step(Some(1), 256, 30_000.0, 50.0);
        let failing = Step { failed: Some(0.001), ..step(Some(1), 128, 25_000.0, 9.0) };
        let plain = vec![step(Some(1), 16, 10_000.0, 4.0), step(Some(1), 64, 20_000.0, 8.0), failing, slow];
        let two = Step { client_bound: true, shared_cores: true, ..step(Some(2), 64, 30_000.0, 12.0) };
        let text = text(&found([plain, vec![two]].concat(), Vec::new()));
        for part in [
            "|       1 |      64 |    20.0k | 2.00ms | 4.00ms | 8.00ms |   0.000 |        1.00x |        55% |\n",
            "|       2 |      64 |    30.0k | 3.00ms | 6.00ms | 12.0ms |   0.000 |        1.50x |      ~!55% |\n",
            "**llmsim 0.6.0: 30.0k requests/s with 2 worker threads, 64 at once.**",
            "- Client and server ran on the same machine",
            "- ~ server and client had fewer cores",
            "- ! the client was the bottleneck",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("Streamed"), "{text}");
    }

    #[test]
    fn each_api_has_rows_of_its_own() {
        let of = |api: &str, step: Step| Step { api: Some(api.to_owned()), ..step };
        let chat = |workers, rate| of("openai-chat", step(Some(workers), 16, rate, 4.0));
        let other = |workers, rate| of("anthropic-messages", step(Some(workers), 16, rate, 4.0));
        let plain = vec![chat(1, 10_000.0), other(1, 5_000.0), chat(2, 15_000.0), other(2, 10_000.0)];
        let several = found(plain, Vec::new());
        let text = text(&several);
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let first = |line: &str| line.split('|').take(4).skip(1).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(first(table[0]), ["API", "workers", "best -c"]);
        assert_eq!(first(table[2]), ["openai-chat", "1", "16"]);
        assert_eq!(first(table[3]), ["openai-chat", "2", "16"]);
        assert_eq!(first(table[5]), ["anthropic-messages", "2", "16"]);
        // Each API scales relative to itself.
        assert!(table[3].contains("1.50x") && table[5].contains("2.00x"), "{text}");
        assert!(table.iter().all(|line| line.len() == table[0].len()), "{text}");
        assert!(text.contains("**llmsim 0.6.0, openai-chat: 15.0k requests/s with 2 worker threads"), "{text}");
        assert!(text.contains("**llmsim 0.6.0, anthropic-messages: 10.0k requests/s with 2"), "{text}");
        let page = crate::report::html::of_throughput(&several);
        assert!(page.contains("Plain responses: requests per second, anthropic-messages"), "{page}");
        // A single API is not named.
        let single = self::text(&found(vec![chat(1, 10_000.0)], Vec::new()));
        assert!(single.contains("\n| workers |") && !single.contains("openai-chat"), "{single}");
    }

    #[test]
    fn streams_are_judged_by_tokens_and_their_plateau_is_told() {
        let hint = Hint { name: "nagle".to_owned(), text: "95 % of tbt lie at 40 to 44 ms".to_owned() };
        let stream = Step { hints: vec![hint.clone(), hint], ..step(None, 64, 1_455.0, 88.0) };
        let text = text(&found(Vec::new(), vec![stream]));
        assert!(
            text.contains("| running |      64 |    23.3k | 22.0ms | 44.0ms | 88.0ms |   0.000 |            - |"),
            "{text}"
        );
        assert_eq!(text.matches("- nagle: 95 % of tbt lie at 40 to 44 ms.").count(), 1, "{text}");
        assert!(text.contains("23.3k streamed tokens/s, 64 at once"), "{text}");
    }

    #[test]
    fn what_the_server_said_stands_below_the_table() {
        let said = server_says::tests::said(63.5);
        let steps = vec![step(None, 16, 900.0, 9.0), Step { server_metrics: Some(said), ..step(None, 64, 990.0, 9.0) }];
        let found = found(steps, vec![step(None, 16, 900.0, 9.0)]);
        let text = text(&found);
        for part in [
            "\n|         load |   running |   waiting |   KV use |  cache hits |   prompt/s |   output/s |  preempted |\n| -----------: |",
            "\n|   64 at once |      63.5 |       0.2 |   75.00% |           - |          - |      12.3k |          5 |\n",
            "\nThe server says: `mine`\n\n|         load |          mean |       at most |        in all |\n| -----------: |",
            "\n|   64 at once |          1.00 |          1.00 |             - |\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert_eq!(text.matches("The server says").count(), 2, "{text}");
        let titles: Vec<_> = view(&found).numbers.iter().map(|section| section.title).collect();
        let own = "METRICS BY NAME, PLAIN RESPONSES";
        assert_eq!(titles, ["PLAIN RESPONSES", "SERVER SAYS OF PLAIN RESPONSES", own, "STREAMED RESPONSES"]);
    }

    #[test]
    fn a_plateau_is_told_although_no_pattern_was_clear_enough() {
        let text = |p99| text(&found(Vec::new(), vec![step(Some(1), 64, 1_455.0, p99)]));
        assert!(text(176.0).contains("wait for delayed acknowledgements"), "{}", text(176.0));
        assert!(!text(20.0).contains("wait for delayed acknowledgements"));
    }

    #[test]
    fn what_kept_to_no_limit_is_said() {
        let mut found = Throughput { interrupted: true, ..found(vec![step(Some(1), 16, 100.0, 70.0)], Vec::new()) };
        found.judge(None);
        let text = text(&found);
        assert!(
            text.contains("|       1 |    none |        - |") && text.contains("**No step kept to the limits.**"),
            "{text}"
        );
        assert!(text.contains("not measured: stopped by a signal") && found.has_data(), "{text}");
        let none = Step { failed: Some(1.0), ..step(None, 1, 0.0, 0.0) };
        assert!(!Throughput { plain: vec![none], ..found }.has_data());
    }

    #[test]
    fn the_json_reads_back() {
        let found = found(vec![step(Some(1), 16, 100.5, 7.0)], Vec::new());
        assert_eq!(serde_json::from_str::<Throughput>(&found.to_json()).unwrap(), found);
    }
}
