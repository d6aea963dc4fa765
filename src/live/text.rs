//! A snapshot as text. It is pure, so the display is tested without a terminal.

use super::Snapshot;
use crate::metrics::series::Quantiles;
use crate::metrics::{Counter, Rate};
use crate::units::Nanos;
use console::{Style, measure_text_width};

/// Widest line. It fits the terminal of a log viewer, and can be read at a glance.
const MAX_WIDTH: usize = 80;
/// The stage's text when the plan is done and the last responses are still on their way.
const FINISHING: &str = "finishing";
/// Cells of the bar.
const BAR_CELLS: usize = 24;

/// A piece of a line in one style.
struct Piece {
    text: String,
    style: Style,
}

fn piece(text: String, style: Style) -> Piece {
    Piece { text, style }
}

/// Returns the three lines of the live display: progress, throughput, latency. They have at most 80
/// columns, fewer on a narrower terminal.
pub(super) fn dashboard(snapshot: &Snapshot, width: u16, color: bool) -> String {
    // The last column stays free, because some terminals wrap when it is written.
    let width = MAX_WIDTH.min(usize::from(width).saturating_sub(1));
    let second = &snapshot.second;
    let has_failed = snapshot.totals.rate(Rate::HttpReqFailed).matches > 0;
    let failed = if has_failed { Style::new().red() } else { Style::new().dim() };
    let stage = snapshot.stage.as_deref().unwrap_or(FINISHING);
    let lines = [
        vec![
            piece(bar(snapshot), Style::new().cyan()),
            piece(format!("{}  {}  ", clock(snapshot), counted(second.vus, "VU")), Style::new().bold()),
            piece(stage.to_owned(), Style::new().dim()),
        ],
        vec![
            piece(format!("{:>6} req/s  ", count(second.http_reqs)), Style::new().bold()),
            piece(format!("{:>6} tok/s  ", count(second.tokens_output)), Style::new().bold()),
            piece(format!("{} in flight  ", count(second.in_flight)), Style::new()),
            piece(format!("{}  ", counted(second.connections, "conn")), Style::new()),
            piece(failures(snapshot), failed),
        ],
        vec![
            piece(format!("TTFT {}   ", three(second.ttft)), Style::new()),
            piece(format!("TBT {}   ", three(second.tbt)), Style::new()),
            piece("p50/p95/p99".to_owned(), Style::new().dim()),
        ],
    ];
    lines.map(|pieces| join(&pieces, width, color)).join("\n")
}

/// Returns one plain line of at most 80 columns. Rates are those since `last`, the previous line.
pub(super) fn line(snapshot: &Snapshot, last: Option<&Snapshot>) -> String {
    let seconds = snapshot.elapsed.since(last.map_or(Nanos::ZERO, |last| last.elapsed)).as_secs_f64();
    let rate = |counter: Counter| {
        let before = last.map_or(0, |last| last.totals.counter(counter));
        let more = snapshot.totals.counter(counter).saturating_sub(before);
        if seconds > 0.0 { count((more as f64 / seconds).round() as u64) } else { count(0) }
    };
    let p95 = |q: Option<Quantiles>| q.map_or_else(|| "-".to_owned(), |q| millis(q.p95));
    let place = if snapshot.stage.is_some() { clock(snapshot) } else { FINISHING.to_owned() };
    let text = format!(
        "{place} {} {} req/s {} tok/s {} failed p95 TTFT {} TBT {}",
        counted(snapshot.second.vus, "VU"),
        rate(Counter::HttpReqs),
        rate(Counter::TokensOutput),
        count(snapshot.totals.rate(Rate::HttpReqFailed).matches),
        p95(snapshot.second.ttft),
        p95(snapshot.second.tbt),
    );
    clip(&text, MAX_WIDTH)
}

/// Returns the first `width` columns of one line without control characters: a child's output must
/// not repaint the terminal.
pub(super) fn clip(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    console::truncate_str(&clean, width, "…").into_owned()
}

fn join(pieces: &[Piece], width: usize, color: bool) -> String {
    let mut left = width;
    let mut line = String::new();
    for Piece { text, style } in pieces {
        let text = clip(text, left);
        left -= measure_text_width(&text).min(left);
        line += &style.apply_to(text).force_styling(color).to_string();
    }
    line
}

/// Formats the bar, such as `[━━━━ ] `. It is empty when the end is not known.
fn bar(snapshot: &Snapshot) -> String {
    let Some(total) = snapshot.outline.length.filter(|length| *length > Nanos::ZERO) else { return String::new() };
    let done = (snapshot.elapsed.as_secs_f64() / total.as_secs_f64()).min(1.0);
    let cells = (done * BAR_CELLS as f64).round() as usize;
    format!("[{}{}] ", "━".repeat(cells), " ".repeat(BAR_CELLS - cells))
}

/// Formats the time as `0:35/4:00`, or `0:35` when the end is not known. It stops at the planned
/// end.
fn clock(snapshot: &Snapshot) -> String {
    match snapshot.outline.length {
        Some(length) => format!("{}/{}", minutes(snapshot.elapsed.min(length)), minutes(length)),
        None => minutes(snapshot.elapsed),
    }
}

/// Formats whole seconds as `0:35` or `1:02:03`.
fn minutes(length: Nanos) -> String {
    let s = length.as_micros() / 1_000_000;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// Formats the failures so far: `0 failed`, `12 failed (0.4%)`.
fn failures(snapshot: &Snapshot) -> String {
    let failed = snapshot.totals.rate(Rate::HttpReqFailed);
    if failed.matches == 0 {
        return "0 failed".to_owned();
    }
    format!("{} failed ({:.1}%)", count(failed.matches), failed.ratio() * 100.0)
}

/// Formats a count. Below 1000T it has at most five characters: `9999`, `12.3k`, `123k`, `1.2M`.
fn count(n: u64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")];
    if n < 10_000 {
        return n.to_string();
    }
    let n = n as f64;
    // 999.5 of a step would be printed as 1000.
    let (scale, unit) = STEPS.into_iter().find(|(scale, _)| n / scale < 999.5).unwrap_or(STEPS[3]);
    if n / scale < 99.95 { format!("{:.1}{unit}", n / scale) } else { format!("{:.0}{unit}", n / scale) }
}

/// Formats a count with its noun: `1 VU`, `12.3k VUs`.
fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Formats three percentiles: `12ms/15ms/1.80s`, or `-` without any.
fn three(quantiles: Option<Quantiles>) -> String {
    quantiles.map_or_else(|| "-".to_owned(), |q| [q.p50, q.p95, q.p99].map(millis).join("/"))
}

/// Formats a time with three digits, as many as one reads: `0.85ms`, `9.9ms`, `123ms`, `1.23s`,
/// `59.9s`, `1m01s`.
fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 0.995 => format!("{ms:.2}ms"),
        ms if ms < 9.95 => format!("{ms:.1}ms"),
        ms if ms < 999.5 => format!("{ms:.0}ms"),
        ms if ms < 9_995.0 => format!("{:.2}s", ms / 1e3),
        ms if ms < 59_950.0 => format!("{:.1}s", ms / 1e3),
        ms => Nanos::from_secs_f64((ms / 1e3).round()).to_string(),
    }
}

#[cfg(test)]
pub(in crate::live) mod tests {
    use super::*;
    use crate::live::Outline;
    use crate::metrics::{Second, Tally, Totals};
    use std::sync::Arc;

    /// Returns a snapshot of a run that has counted these requests, failures and tokens.
    pub(in crate::live) fn at(elapsed_s: u32, [http_reqs, failed, tokens]: &[u64; 3]) -> Snapshot {
        Snapshot {
            outline: Arc::default(),
            elapsed: Nanos::from_secs(elapsed_s.into()),
            stage: Some("30s to 50 VUs".to_owned()),
            second: Second { vus: 3, ..Second::new(elapsed_s, &Tally::new(0), &[]) },
            totals: Totals::of(&[(Counter::HttpReqs, *http_reqs), (Counter::TokensOutput, *tokens)], *failed),
        }
    }

    fn outline(length_s: u64) -> Arc<Outline> {
        Arc::new(Outline { length: Some(Nanos::from_secs(length_s)), ..Outline::default() })
    }

    fn snapshot() -> Snapshot {
        let base = at(35, &[40_000, 160, 3_000_000]);
        Snapshot {
            outline: outline(240),
            second: Second {
                vus: 32,
                in_flight: 31,
                connections: 32,
                http_reqs: 1234,
                failed: 1,
                tokens_output: 98_700,
                ttft: Some(Quantiles { p50: 12.04, p95: 15.2, p99: 181.0 }),
                tbt: Some(Quantiles { p50: 0.9, p95: 1.25, p99: 2.0 }),
                ..base.second
            },
            ..base
        }
    }

    /// Returns a snapshot in which every number is as wide as it gets.
    fn crowded() -> Snapshot {
        let wide = Some(Quantiles { p50: 12_345.0, p95: 23_456.0, p99: 34_567.0 });
        let base = at(35_999, &[123_456_789, 99_999_999, 123_456_789_000]);
        Snapshot {
            outline: outline(36_000),
            stage: Some("a stage with a name that somebody was proud of, and rightly so".to_owned()),
            second: Second {
                vus: 123_456,
                in_flight: 123_456,
                connections: 123_456,
                http_reqs: 123_456_789,
                failed: 99_999_999,
                tokens_output: 123_456_789_000,
                ttft: wide,
                tbt: wide,
                http_req_duration: wide,
                ..base.second
            },
            ..base
        }
    }

    fn empty() -> Snapshot {
        let base = at(0, &[0, 0, 0]);
        Snapshot { second: Second { vus: 0, ..base.second }, stage: Some(String::new()), ..base }
    }

    #[test]
    fn the_dashboard_says_where_how_much_and_how_fast() {
        assert_eq!(
            dashboard(&snapshot(), 120, false),
            "[━━━━                    ] 0:35/4:00  32 VUs  30s to 50 VUs\n  \
             1234 req/s   98.7k tok/s  31 in flight  32 conns  160 failed (0.4%)\n\
             TTFT 12ms/15ms/181ms   TBT 0.90ms/1.2ms/2.0ms   p50/p95/p99"
        );
    }

    #[test]
    fn without_a_known_end_there_is_no_bar() {
        let text = dashboard(&at(35, &[0, 0, 0]), 80, false);
        assert!(text.starts_with("0:35  3 VUs"), "{text}");
        assert_eq!([counted(1, "VU"), counted(12_345, "VU")], ["1 VU", "12.3k VUs"]);
        assert!(text.contains("0 failed\nTTFT -   TBT -"), "{text}");
    }

    #[test]
    fn the_plain_line_is_short_and_rates_are_since_the_last() {
        let before = at(30, &[35_000, 0, 2_500_000]);
        assert_eq!(
            line(&snapshot(), Some(&before)),
            "0:35/4:00 32 VUs 1000 req/s 100k tok/s 160 failed p95 TTFT 15ms TBT 1.2ms"
        );
        assert!(line(&snapshot(), None).contains(" 1143 req/s"));
        assert!(line(&empty(), None).starts_with("0:00 0 VUs 0 req/s"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_or_80_columns() {
        for snapshot in [snapshot(), crowded(), empty()] {
            assert!(measure_text_width(&line(&snapshot, None)) <= 80);
            for width in [0, 1, 20, 40, 80, 81, 200] {
                for color in [false, true] {
                    for line in dashboard(&snapshot, width, color).lines() {
                        let columns = measure_text_width(line);
                        assert!(columns <= usize::from(width).saturating_sub(1).min(80), "{width}: {line}");
                    }
                }
            }
        }
        // At the full width, only the stage's name has to be cut.
        let text = dashboard(&crowded(), 200, false);
        assert_eq!(text.matches('…').count(), 1, "{text}");
        // The busiest soak that one machine can hold fits the plain line. Only runs of hours with
        // millions of everything do not fit.
        let base = at(1_900, &[23_370_000, 9_999, 1_890_000_000]);
        let soak = Snapshot {
            outline: outline(1_920),
            second: Second {
                vus: 9_999,
                ttft: Some(Quantiles { p50: 1.0, p95: 1_230.0, p99: 1.0 }),
                tbt: Some(Quantiles { p50: 1.0, p95: 123.0, p99: 1.0 }),
                ..base.second
            },
            ..base
        };
        assert_eq!(
            line(&soak, None),
            "31:40/32:00 9999 VUs 12.3k req/s 995k tok/s 9999 failed p95 TTFT 1.23s TBT 123ms"
        );
    }

    #[test]
    fn progress_never_runs_past_its_end() {
        let late = Snapshot { elapsed: Nanos::from_secs(245), stage: None, ..snapshot() };
        assert!(line(&late, None).starts_with("finishing 32 VUs"), "{}", line(&late, None));
        let text = dashboard(&late, 80, false);
        let bar = "━".repeat(BAR_CELLS);
        assert!(text.starts_with(&format!("[{bar}] 4:00/4:00  32 VUs  finishing\n")), "{text}");
    }

    #[test]
    fn colours_come_only_when_wanted() {
        assert!(!dashboard(&snapshot(), 80, false).contains('\u{1b}'));
        let colored = dashboard(&snapshot(), 80, true);
        assert!(colored.contains("\u{1b}[31m160 failed"), "{colored:?}");
        assert_eq!(console::strip_ansi_codes(&colored), dashboard(&snapshot(), 80, false));
    }

    #[test]
    fn numbers_are_as_short_as_they_are_told() {
        for (n, text) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10.0k"),
            (99_949, "99.9k"),
            (99_950, "100k"),
            (999_499, "999k"),
            (999_500, "1.0M"),
            (1_234_567, "1.2M"),
            (5_000_000_000, "5.0G"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(count(n), text);
        }
        for (ms, text) in [
            (0.0, "0.00ms"),
            (0.85, "0.85ms"),
            (0.996, "1.0ms"),
            (9.94, "9.9ms"),
            (9.96, "10ms"),
            (999.4, "999ms"),
            (999.6, "1.00s"),
            (61_000.0, "1m01s"),
            (3_600_000.0, "1h"),
        ] {
            assert_eq!(millis(ms), text);
        }
        assert_eq!(minutes(Nanos::from_secs(3723)), "1:02:03");
        assert_eq!(minutes(Nanos::from_millis(59_999)), "0:59");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clip("\u{1b}[2Jcleared\n\tnext", 80), "[2Jclearednext");
        assert_eq!(clip("12345", 3), "12…");
    }
}
