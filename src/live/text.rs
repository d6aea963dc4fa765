//! A frame as text. Pure: what is seen is tested without a terminal.

use super::{Counts, Frame, Quantiles};
use crate::units::Nanos;
use console::{Style, measure_text_width};

/// Widest line: the terminal of a log viewer, and what is read at a glance.
const MAX_WIDTH: usize = 80;
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

/// The three lines of the live display: where we are, how much, how fast. At most 80 columns, less on a narrower terminal.
pub(super) fn dashboard(frame: &Frame, width: u16, color: bool) -> String {
    // The last column stays free: some terminals wrap when it is written to.
    let width = MAX_WIDTH.min(usize::from(width).saturating_sub(1));
    let failed = if frame.totals.failed > 0 { Style::new().red() } else { Style::new().dim() };
    let lines = [
        vec![
            piece(bar(frame), Style::new().cyan()),
            piece(format!("{}  {} VUs  ", clock(frame), count(u64::from(frame.vus))), Style::new().bold()),
            piece(frame.stage.clone(), Style::new().dim()),
        ],
        vec![
            piece(format!("{:>6} req/s  ", count(frame.second.http_reqs)), Style::new().bold()),
            piece(format!("{:>6} tok/s  ", count(frame.second.tokens_output)), Style::new().bold()),
            piece(format!("{} in flight  ", count(u64::from(frame.in_flight))), Style::new()),
            piece(format!("{} conns  ", count(u64::from(frame.connections))), Style::new()),
            piece(failures(frame.totals), failed),
        ],
        vec![
            piece(format!("TTFT {}   ", three(frame.ttft)), Style::new()),
            piece(format!("TBT {}   ", three(frame.tbt)), Style::new()),
            piece("p50/p95/p99".to_owned(), Style::new().dim()),
        ],
    ];
    lines.map(|pieces| join(&pieces, width, color)).join("\n")
}

/// One plain line of at most 80 columns. Rates are those since `last`, the previous line.
pub(super) fn line(frame: &Frame, last: Option<(Nanos, Counts)>) -> String {
    let (at, before) = last.unwrap_or_default();
    let seconds = frame.elapsed.since(at).as_secs_f64();
    let rate = |now: u64, then: u64| {
        if seconds > 0.0 { count((now.saturating_sub(then) as f64 / seconds).round() as u64) } else { count(0) }
    };
    let p95 = |q: Option<Quantiles>| q.map_or_else(|| "-".to_owned(), |q| millis(q.p95));
    let text = format!(
        "{} {} VUs {} req/s {} tok/s {} failed p95 TTFT {} TBT {}",
        clock(frame),
        count(u64::from(frame.vus)),
        rate(frame.totals.http_reqs, before.http_reqs),
        rate(frame.totals.tokens_output, before.tokens_output),
        count(frame.totals.failed),
        p95(frame.ttft),
        p95(frame.tbt),
    );
    clip(&text, MAX_WIDTH)
}

/// The first `width` columns of one line, control characters left out: a child's words must not repaint the terminal.
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

/// `[━━━━────] `, or nothing when the end is not known.
fn bar(frame: &Frame) -> String {
    let Some(total) = frame.total.filter(|total| *total > Nanos::ZERO) else { return String::new() };
    let done = (frame.elapsed.as_secs_f64() / total.as_secs_f64()).min(1.0);
    let cells = (done * BAR_CELLS as f64).round() as usize;
    format!("[{}{}] ", "━".repeat(cells), " ".repeat(BAR_CELLS - cells))
}

/// `0:35/4:00`, or `0:35` when the end is not known.
fn clock(frame: &Frame) -> String {
    match frame.total {
        Some(total) => format!("{}/{}", minutes(frame.elapsed), minutes(total)),
        None => minutes(frame.elapsed),
    }
}

/// `0:35`, `1:02:03`: whole seconds passed.
fn minutes(length: Nanos) -> String {
    let s = length.as_micros() / 1_000_000;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// `0 failed`, `12 failed (0.4%)`: of everything so far.
fn failures(totals: Counts) -> String {
    if totals.failed == 0 {
        return "0 failed".to_owned();
    }
    let share = totals.failed as f64 / totals.http_reqs.max(totals.failed) as f64;
    format!("{} failed ({:.1}%)", count(totals.failed), share * 100.0)
}

/// At most five characters: `9999`, `12.3k`, `123k`, `1.2M`.
fn count(n: u64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")];
    if n < 10_000 {
        return n.to_string();
    }
    let n = n as f64;
    // 999.5 of a step would be printed as 1000 of it.
    let (scale, unit) = STEPS.into_iter().find(|(scale, _)| n / scale < 999.5).unwrap_or(STEPS[3]);
    if n / scale < 99.95 { format!("{:.1}{unit}", n / scale) } else { format!("{:.0}{unit}", n / scale) }
}

/// `12/15/1.8s`, `-` when there was nothing.
fn three(quantiles: Option<Quantiles>) -> String {
    quantiles.map_or_else(|| "-".to_owned(), |q| [q.p50, q.p95, q.p99].map(millis).join("/"))
}

/// Three digits are as many as one reads: `0.85ms`, `9.9ms`, `123ms`, `1.23s`, `61.0s`, `3600s`.
fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 0.995 => format!("{ms:.2}ms"),
        ms if ms < 9.95 => format!("{ms:.1}ms"),
        ms if ms < 999.5 => format!("{ms:.0}ms"),
        ms if ms < 9_995.0 => format!("{:.2}s", ms / 1e3),
        ms if ms < 99_950.0 => format!("{:.1}s", ms / 1e3),
        ms => format!("{:.0}s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            elapsed: Nanos::from_secs(35),
            total: Some(Nanos::from_secs(240)),
            stage: "30s to 50 VUs".to_owned(),
            vus: 32,
            in_flight: 31,
            connections: 32,
            second: Counts { http_reqs: 1234, failed: 1, tokens_output: 98_700 },
            totals: Counts { http_reqs: 40_000, failed: 160, tokens_output: 3_000_000 },
            ttft: Some(Quantiles { p50: 12.04, p95: 15.2, p99: 181.0 }),
            tbt: Some(Quantiles { p50: 0.9, p95: 1.25, p99: 2.0 }),
            http_req_duration: None,
        }
    }

    /// Every number as wide as it gets.
    fn crowded() -> Frame {
        let counts = Counts { http_reqs: 123_456_789, failed: 99_999_999, tokens_output: 123_456_789_000 };
        let wide = Some(Quantiles { p50: 12_345.0, p95: 23_456.0, p99: 34_567.0 });
        Frame {
            elapsed: Nanos::from_secs(35_999),
            total: Some(Nanos::from_secs(36_000)),
            stage: "a stage with a name that somebody was proud of, and rightly so".to_owned(),
            vus: 123_456,
            in_flight: 123_456,
            connections: 123_456,
            second: counts,
            totals: counts,
            ttft: wide,
            tbt: wide,
            http_req_duration: wide,
        }
    }

    #[test]
    fn the_dashboard_says_where_how_much_and_how_fast() {
        assert_eq!(
            dashboard(&frame(), 120, false),
            "[━━━━                    ] 0:35/4:00  32 VUs  30s to 50 VUs\n  \
             1234 req/s   98.7k tok/s  31 in flight  32 conns  160 failed (0.4%)\n\
             TTFT 12ms/15ms/181ms   TBT 0.90ms/1.2ms/2.0ms   p50/p95/p99"
        );
    }

    #[test]
    fn without_a_known_end_there_is_no_bar() {
        let frame = Frame { total: None, ttft: None, tbt: None, totals: Counts::default(), ..frame() };
        let text = dashboard(&frame, 80, false);
        assert!(text.starts_with("0:35  32 VUs"), "{text}");
        assert!(text.contains("0 failed\nTTFT -   TBT -"), "{text}");
    }

    #[test]
    fn the_plain_line_is_short_and_rates_are_since_the_last() {
        let before = (Nanos::from_secs(30), Counts { http_reqs: 35_000, failed: 0, tokens_output: 2_500_000 });
        assert_eq!(
            line(&frame(), Some(before)),
            "0:35/4:00 32 VUs 1000 req/s 100k tok/s 160 failed p95 TTFT 15ms TBT 1.2ms"
        );
        assert!(line(&frame(), None).contains(" 1143 req/s"));
        assert!(line(&Frame::default(), None).starts_with("0:00 0 VUs 0 req/s"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_or_80_columns() {
        for frame in [frame(), crowded(), Frame::default()] {
            assert!(measure_text_width(&line(&frame, None)) <= 80);
            for width in [0, 1, 20, 40, 80, 81, 200] {
                for color in [false, true] {
                    for line in dashboard(&frame, width, color).lines() {
                        let columns = measure_text_width(line);
                        assert!(columns <= usize::from(width).saturating_sub(1).min(80), "{width}: {line}");
                    }
                }
            }
        }
        // Nothing but the stage's name has to give way at the full width.
        let text = dashboard(&crowded(), 200, false);
        assert_eq!(text.matches('…').count(), 1, "{text}");
        // The busiest soak that one machine can hold fits the plain line; only runs of hours with millions of everything do not.
        let soak = Frame {
            elapsed: Nanos::from_secs(1_900),
            total: Some(Nanos::from_secs(1_920)),
            vus: 9_999,
            totals: Counts { http_reqs: 23_370_000, failed: 9_999, tokens_output: 1_890_000_000 },
            ttft: Some(Quantiles { p50: 1.0, p95: 1_230.0, p99: 1.0 }),
            tbt: Some(Quantiles { p50: 1.0, p95: 123.0, p99: 1.0 }),
            ..Frame::default()
        };
        assert_eq!(
            line(&soak, None),
            "31:40/32:00 9999 VUs 12.3k req/s 995k tok/s 9999 failed p95 TTFT 1.23s TBT 123ms"
        );
    }

    #[test]
    fn colours_come_only_when_wanted() {
        assert!(!dashboard(&frame(), 80, false).contains('\u{1b}'));
        let colored = dashboard(&frame(), 80, true);
        assert!(colored.contains("\u{1b}[31m160 failed"), "{colored:?}");
        assert_eq!(console::strip_ansi_codes(&colored), dashboard(&frame(), 80, false));
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
            (61_000.0, "61.0s"),
            (3_600_000.0, "3600s"),
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
