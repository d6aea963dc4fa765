//! The result of a self-test as a table for people.

use crate::document::self_test::{ERROR_LIMIT_MS, Limit, OTHERS_LIMIT, SelfTest, Truth, Verdict};
use crate::report::human;
use crate::units::plural;
use std::fmt::Write as _;

/// Formats the result as a table of 80 columns.
pub fn text(found: &SelfTest) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write(found, &mut text);
    text
}

fn write(found: &SelfTest, text: &mut String) -> std::fmt::Result {
    let m = &found.machine;
    writeln!(text, "llmsim-blast {} self-test", found.build.version)?;
    writeln!(text, "  {}, {}, kernel {}, clock {}", m.cpu_model, plural(m.cores, "core"), m.kernel, m.clocksource)?;
    match (m.origin_core, m.client_core) {
        (Some(origin), Some(client)) if origin != client => {
            writeln!(text, "  origin on core {origin}, one worker on core {client}, the loopback between them")?;
        }
        (_, Some(core)) => writeln!(
            text,
            "  WARNING: origin and worker share core {core}: each waits for the other, and the\n  numbers below \
             cannot be trusted"
        )?,
        _ => writeln!(text, "  WARNING: the system does not let us choose cores; numbers may vary a lot")?,
    }
    write_work(found, text)?;
    write_truth(found, text)?;
    if let Some(memory) = &found.memory {
        let (each, all) = (human::bytes(memory.bytes_per_connection), human::bytes(memory.rss_bytes as f64));
        writeln!(text, "\n  memory: {each} a connection; {all} resident with {} idle", memory.connections)?;
    }
    if let Some(verdict) = &found.verdict {
        writeln!(text, "\n  {}", sentence(verdict))?;
    }
    if let Some(others) = found.others_cpu.filter(|&others| others > OTHERS_LIMIT) {
        let share = whole_percent(others);
        writeln!(text, "  WARNING: other programs or machines used {share} of these cores meanwhile, and are")?;
        writeln!(text, "  in the errors above: close them and try again")?;
    }
    if found.interrupted {
        writeln!(text, "\n  stopped by a signal: missing rows were not measured")?;
    }
    Ok(())
}

fn write_work(found: &SelfTest, text: &mut String) -> std::fmt::Result {
    if found.work.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n  {:<30}{:>6}{:>11}{:>10}{:>9}{:>8}", "work", "conns", "rate", "CPU each", "client", "origin")?;
    for w in &found.work {
        writeln!(
            text,
            "  {:<30}{:>6}{:>11}{:>10}{:>9}{:>8}",
            w.name,
            w.connections,
            human::per_second(w.per_second),
            human::time(w.client_cpu_us / 1e3),
            whole_percent(w.client_cpu),
            whole_percent(w.origin_cpu),
        )?;
        if w.failed > 0 {
            writeln!(text, "  WARNING: {} of these failed", plural(w.failed, "request"))?;
        }
    }
    writeln!(text, "  CPU is the worker's, including the kernel's work for the loopback")
}

fn write_truth(found: &SelfTest, text: &mut String) -> std::fmt::Result {
    if found.truth.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n  truth: reported minus recorded; first token after 50 ms, then one each 10 ms")?;
    let line = |text: &mut String, cells: [&str; 8]| {
        let [streams, events, mean, p99, gap, censored, client, origin] = cells;
        writeln!(text, "  {streams:>7}{events:>11}{mean:>11}{p99:>11}{gap:>11}{censored:>10}{client:>8}{origin:>8}")
    };
    line(text, ["streams", "events", "TTFT mean", "TTFT p99", "gap p99", "censored", "client", "origin"])?;
    let mut rows: Vec<&Truth> = found.truth.iter().collect();
    rows.sort_by_key(|t| t.streams);
    for t in rows {
        let e = t.error();
        line(
            text,
            [
                &t.streams.to_string(),
                &human::per_second(t.events_per_second),
                &signed(e.ttft_mean),
                &signed(e.ttft_p99),
                &signed(e.gap_p99),
                &human::percent(t.censored),
                &whole_percent(t.client_cpu),
                &whole_percent(t.origin_cpu),
            ],
        )?;
        if t.failed > 0 {
            writeln!(text, "  WARNING: {} of these failed or were cut off", plural(t.failed, "request"))?;
        }
    }
    Ok(())
}
/// Describes the verdict in a sentence or two.
fn sentence(verdict: &Verdict) -> String {
    let rate = verdict.tokens_per_second;
    let mut text = match verdict.streams {
        Some(n) => {
            let streams = plural(n, "stream");
            format!("this machine can drive {streams} at {rate:.0} tokens/s with an error under {ERROR_LIMIT_MS} ms")
        }
        None => format!(
            "this machine cannot drive one stream at {rate:.0} tokens/s with an error under {ERROR_LIMIT_MS} ms"
        ),
    };
    let why = match verdict.limit {
        None => "no limit was found; more streams were not tried",
        Some(Limit::ClientCpu) => "the client's core is the limit",
        Some(Limit::OriginCpu) => "the origin's core is the limit, so the client may do more",
        Some(Limit::Error) => "the error is the limit, before any core is full",
        Some(Limit::Failures) => "requests failed",
    };
    // Writing into a String cannot fail.
    let _ = match verdict.beyond {
        Some(n) => write!(text, "\n  ({why}: seen with {n})"),
        None => write!(text, "\n  ({why})"),
    };
    text
}
fn whole_percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Formats a difference of times with its sign.
fn signed(ms: f64) -> String {
    format!("{}{}", if ms < 0.0 { "-" } else { "+" }, human::time(ms.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Build;
    use crate::document::self_test::{MIN_GAPS, Machine, Memory, SELF_TEST_SCHEMA, Times, Work};

    fn truth(streams: u32, gap_p99: f64, client_cpu: f64, origin_cpu: f64) -> Truth {
        let recorded = Times { ttft_mean: 50.1, ttft_p99: 50.2, gap_p99: 10.1 };
        Truth {
            streams,
            attempts: 1,
            gaps: MIN_GAPS,
            events_per_second: f64::from(streams) * 98.0,
            reported: Times { ttft_mean: 50.15, ttft_p99: 50.1, gap_p99 },
            recorded,
            origin_late_p99: 0.2,
            censored: 0.001,
            failed: 0,
            client_cpu,
            origin_cpu,
        }
    }

    fn found(truth: Vec<Truth>) -> SelfTest {
        let verdict = Verdict::of(&truth, 100.0);
        let plain = Work {
            name: "plain requests".to_owned(),
            unit: "requests".to_owned(),
            connections: 64,
            per_second: 95_400.0,
            client_cpu_us: 7.1,
            client_cpu: 0.71,
            origin_cpu: 0.998,
            failed: 0,
        };
        SelfTest {
            schema: SELF_TEST_SCHEMA.to_owned(),
            build: Build { version: "1.2.3".to_owned(), ..Build::default() },
            machine: Machine {
                cpu_model: "Example CPU".to_owned(),
                cores: 2,
                kernel: "6.18".to_owned(),
                clocksource: "tsc".to_owned(),
                origin_core: Some(0),
                client_core: Some(1),
            },
            quick: false,
            interrupted: false,
            others_cpu: Some(0.04),
            memory: Some(Memory { connections: 10_000, rss_bytes: 22_000_000, bytes_per_connection: 1_870.0 }),
            work: vec![plain],
            truth,
            verdict,
        }
    }

    #[test]
    fn the_table_fits_and_says_what_was_found() {
        let text = text(&found(vec![
            truth(1, 10.11, 0.01, 0.02),
            truth(2_000, 12.0, 0.95, 0.8),
            truth(1_000, 10.2, 0.5, 0.6),
        ]));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for part in [
            "  plain requests                    64    95.4k/s    7.10µs      71%    100%\n",
            "        1       98/s    +50.0µs     -100µs    +10.0µs     0.10%      1%      2%\n",
            "     1000    98.0k/s    +50.0µs     -100µs     +100µs     0.10%     50%     60%\n     2000",
            "memory: 1.87 kB a connection; 22.0 MB resident with 10000 idle",
            "can drive 1000 streams at 100 tokens/s with an error under 1 ms\n  (the client's core is the limit: seen with 2000)",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn the_limit_is_named_after_its_cause() {
        for (truth, limit) in [
            (truth(1, 10.2, 0.5, 0.5), None),
            (truth(1, 11.2, 0.5, 0.5), Some(Limit::Error)),
            (truth(1, 8.9, 0.5, 0.5), Some(Limit::Error)),
            (Truth { gaps: MIN_GAPS - 1, ..truth(1, 11.2, 0.5, 0.5) }, None),
            (truth(1, 19.0, 0.91, 0.5), Some(Limit::ClientCpu)),
            (truth(1, 19.0, 0.91, 0.95), Some(Limit::OriginCpu)),
            (Truth { censored: 0.2, ..truth(1, 10.1, 0.5, 0.5) }, Some(Limit::ClientCpu)),
            (Truth { failed: 1, ..truth(1, 10.1, 0.99, 0.5) }, Some(Limit::Failures)),
        ] {
            assert_eq!(truth.beyond(), limit, "{truth:?}");
        }
    }

    #[test]
    fn a_verdict_trusts_no_luck_above_a_failure() {
        let lucky = vec![truth(1, 10.1, 0.0, 0.0), truth(1_000, 15.0, 0.5, 0.5), truth(2_000, 10.1, 0.5, 0.5)];
        let verdict = Verdict::of(&lucky, 100.0).unwrap();
        assert_eq!((verdict.streams, verdict.beyond, verdict.limit), (Some(1), Some(1_000), Some(Limit::Error)));
        let none = Verdict::of(&[truth(1, 15.0, 0.0, 0.0)], 100.0).unwrap();
        assert_eq!((none.streams, none.beyond), (None, Some(1)));
        assert!(sentence(&none).contains("cannot drive one stream"));
        assert_eq!(Verdict::of(&[], 100.0), None);
        let all = Verdict::of(&[truth(7, 10.1, 0.1, 0.1)], 100.0).unwrap();
        assert_eq!((all.streams, all.limit, all.beyond), (Some(7), None, None));
    }

    #[test]
    fn shared_and_unknown_cores_are_warned_of() {
        let mut found = found(Vec::new());
        found.machine.origin_core = Some(1);
        assert!(text(&found).contains("cannot be trusted"));
        (found.machine.origin_core, found.machine.client_core) = (None, None);
        assert!(text(&found).contains("WARNING: the system"));
        assert!(!text(&found).contains("other programs"));
        found.others_cpu = Some(0.06);
        assert!(text(&found).contains("used 6% of these cores"));
        found.interrupted = true;
        assert!(text(&found).contains("stopped by a signal"));
    }

    #[test]
    fn the_json_reads_back() {
        let found = found(vec![truth(1, 10.1, 0.0, 0.0)]);
        let text = found.to_json();
        assert!(text.contains("\"schema\": \"llmsim-blast.self-test/1\"") && text.ends_with("}\n"), "{text}");
        assert_eq!(serde_json::from_str::<SelfTest>(&text).unwrap(), found);
    }
}
