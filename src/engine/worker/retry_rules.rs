//! The failures that the SDKs retry, and their pauses.
//!
//! | | OpenAI (Python 3.57) | Anthropic (Python 2.14) | every failure |
//! |---|---|---|---|
//! | no head came: network, timeout, broken HTTP | yes | yes | yes |
//! | status 408, 409, 429, 5xx | yes | yes | yes, like all others |
//! | `x-should-retry: true`, `false` | obeyed | obeyed | – |
//! | a plain response that breaks off | yes | yes | yes |
//! | a stream that breaks off, or carries an error | no | no | yes |
//! | the server asks for a pause | obeyed up to 120 s; not sent again above | obeyed | obeyed |
//! | else | 0.5 s · 2ⁿ up to 8 s, less up to a quarter | the same | the same |
//!
//! A failure of this machine is never sent again.

use crate::metrics::{Category, Failure, Sample};
use crate::mix::RetryPolicy;
use crate::units::Nanos;

/// The first pause of a back-off. It doubles with each further one.
const FIRST: Nanos = Nanos::from_millis(500);
const LONGEST: Nanos = Nanos::from_secs(8);
/// OpenAI's SDK waits no longer than this at a server's request.
const OPENAI_WAITS: Nanos = Nanos::from_secs(120);

/// Returns how long to wait before a failed request is sent again; `None` if it is not sent again.
/// `streams`: the response is a stream. `n` retries were made before. `draw` is from 0 to 1.
pub(super) fn pause(
    policy: RetryPolicy,
    sample: &Sample,
    failure: Failure,
    streams: bool,
    n: u16,
    draw: f64,
) -> Option<Nanos> {
    let asked = sample.retry_after_ms.map(|ms| Nanos::from_millis(ms.get().into()));
    let asked = asked.filter(|_| sample.status >= 400);
    let is_too_long = policy == RetryPolicy::Openai && asked.is_some_and(|wait| wait > OPENAI_WAITS);
    if is_too_long || !is_sent_again(policy, sample, failure, streams) {
        return None;
    }
    Some(asked.unwrap_or_else(|| {
        let doubled = FIRST.0.saturating_mul(1 << n.min(30)).min(LONGEST.0);
        Nanos((doubled as f64 * (1.0 - 0.25 * draw)) as u64)
    }))
}

fn is_sent_again(policy: RetryPolicy, sample: &Sample, failure: Failure, streams: bool) -> bool {
    let broke_off = matches!(failure.category(), Category::Network | Category::Timeout)
        || matches!(failure, Failure::BadHttp | Failure::BadChunk);
    match (policy, sample.status) {
        _ if failure.category() == Category::Ours => false,
        (RetryPolicy::EveryFailure, _) => true,
        (_, 0) => broke_off,
        (_, status @ 400..) => sample.should_retry.unwrap_or(matches!(status, 408 | 409 | 429 | 500..)),
        (..) => broke_off && !streams,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RetryPolicy::{Anthropic, EveryFailure, Openai};
    use std::num::NonZeroU32;

    fn sample(status: u16) -> Sample {
        Sample { status, ..Sample::begun(0, Nanos::ZERO) }
    }

    /// Returns, for each policy, whether it sends a stream and a plain response again.
    fn again(sample: &Sample, failure: Failure) -> [[bool; 2]; 3] {
        [Openai, Anthropic, EveryFailure]
            .map(|policy| [true, false].map(|streams| pause(policy, sample, failure, streams, 0, 0.0).is_some()))
    }

    const ALL: [[bool; 2]; 3] = [[true; 2]; 3];
    const NONE: [[bool; 2]; 3] = [[false; 2]; 3];
    const INSISTENT: [[bool; 2]; 3] = [[false; 2], [false; 2], [true; 2]];

    #[test]
    fn statuses_are_sent_again_as_the_sdks_do() {
        for (status, failure, expected) in [
            (408, Failure::Http4xx, ALL),
            (409, Failure::Http4xx, ALL),
            (429, Failure::Http429, ALL),
            (500, Failure::Http5xx, ALL),
            (503, Failure::Http5xx, ALL),
            (529, Failure::Http5xx, ALL),
            (400, Failure::Http4xx, INSISTENT),
            (401, Failure::Http4xx, INSISTENT),
            (404, Failure::Http4xx, INSISTENT),
            (302, Failure::Http3xx, INSISTENT),
        ] {
            assert_eq!(again(&sample(status), failure), expected, "{status}");
        }
    }

    #[test]
    fn a_server_that_says_whether_is_obeyed() {
        let said = |status, should_retry| Sample { should_retry: Some(should_retry), ..sample(status) };
        assert_eq!(again(&said(400, true), Failure::Http4xx), ALL);
        assert_eq!(again(&said(503, false), Failure::Http5xx), INSISTENT);
        assert_eq!(again(&said(200, true), Failure::Truncated), INSISTENT, "only an error says so");
    }

    #[test]
    fn what_breaks_off_is_sent_again_until_a_stream_has_begun() {
        let plain = [[false, true], [false, true], [true; 2]];
        for failure in [Failure::Reset, Failure::ClosedEarly, Failure::TimeoutStall, Failure::BadChunk] {
            assert_eq!(again(&sample(0), failure), ALL, "{failure:?}");
            assert_eq!(again(&sample(200), failure), plain, "{failure:?}");
        }
        for failure in [Failure::ConnectRefused, Failure::ConnectTimeout, Failure::Tls, Failure::TimeoutFirstByte] {
            assert_eq!(again(&sample(0), failure), ALL, "{failure:?}");
        }
        for failure in [Failure::Truncated, Failure::StreamError, Failure::Check, Failure::BadJson, Failure::Empty] {
            assert_eq!(again(&sample(200), failure), INSISTENT, "{failure:?}");
        }
        for failure in [Failure::NoFd, Failure::NoPort, Failure::Internal] {
            assert_eq!(again(&sample(0), failure), NONE, "{failure:?}");
        }
    }

    #[test]
    fn pauses_double_with_jitter_up_to_eight_seconds() {
        let pauses = |draw| {
            [0, 1, 2, 3, 4, 5, 1000].map(|n| {
                let pause = pause(Openai, &sample(500), Failure::Http5xx, true, n, draw);
                pause.map_or(0, |pause| pause.0 / 1_000_000)
            })
        };
        assert_eq!(pauses(0.0), [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(pauses(1.0), [375, 750, 1_500, 3_000, 6_000, 6_000, 6_000]);
    }

    #[test]
    fn a_server_that_says_how_long_is_obeyed() {
        let pauses = |ms| {
            let limited = Sample { retry_after_ms: NonZeroU32::new(ms), ..sample(429) };
            [Openai, Anthropic, EveryFailure]
                .map(|policy| pause(policy, &limited, Failure::Http429, true, 0, 0.0).map(|pause| pause.0 / 1_000_000))
        };
        assert_eq!(pauses(10), [Some(10); 3]);
        assert_eq!(pauses(0), [Some(500); 3], "that is no pause");
        assert_eq!(pauses(120_000), [Some(120_000); 3]);
        assert_eq!(pauses(121_000), [None, Some(121_000), Some(121_000)], "OpenAI's gives up");
    }
}
