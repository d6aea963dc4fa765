//! Finished requests as numbers.

use llmsim_blast::metrics::{Outcome, Sample, Tally, TokenUsage};
use llmsim_blast::units::Nanos;

/// Returns the gaps of a stream of about 50 tokens a second on a busy server: 16 to 24 ms, and now
/// and then 100 ms.
pub(crate) fn gaps() -> Vec<Nanos> {
    (0..1024_u64)
        .map(|i| if i % 97 == 0 { 100_000_000 } else { 16_000_000 + i * 7_919 % 8_000_000 })
        .map(Nanos)
        .collect()
}

/// Returns a plain response of 20 ms.
pub(crate) fn plain() -> Sample {
    let sent = Nanos::from_secs(1);
    Sample {
        outcome: Outcome::Success,
        status: 200,
        end: sent + Nanos::from_millis(20),
        first_byte: Some(sent + Nanos::from_millis(20)),
        usage: Some(TokenUsage { input: 10, output: 109, reasoning: 0, cached: 0, written: 0 }),
        bytes_sent: 290,
        bytes_received: 1042,
        reused: true,
        checks_held: 2,
        ..Sample::begun(1, sent)
    }
}

/// Returns a stream of 100 tokens in 2 s.
pub(crate) fn stream() -> Sample {
    let plain = plain();
    let first = Some(plain.sent + Nanos::from_millis(50));
    Sample {
        kind: 0,
        end: plain.sent + Nanos::from_millis(2_050),
        first_byte: Some(plain.sent + Nanos::from_millis(1)),
        first_event: first,
        first_token: first,
        first_visible: first,
        last_token: Some(plain.sent + Nanos::from_millis(2_030)),
        longest_gap: Some(Nanos::from_millis(100)),
        token_events: 100,
        token_events_in_window: 100,
        bytes_received: 22_000,
        checks_held: 0,
        ..plain
    }
}

/// Returns one second of a busy worker: two kinds of request, every second request a stream.
pub(crate) fn second() -> Tally {
    let mut tally = Tally::new(2);
    for _ in 0..500 {
        tally.record(&plain());
        tally.record(&stream());
    }
    gaps().iter().cycle().take(50_000).for_each(|gap| tally.gap(0, 0, *gap));
    tally
}
