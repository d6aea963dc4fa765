//! Endpoint by endpoint: a mark, what was asked, and why it is not as it should be.

use super::{Page, Tone, cut, human};
use crate::document::endpoints::{Endpoint, EndpointVerdict, count};

/// Columns of a name; longer ones are cut.
const NAME_COLUMNS: usize = 25;

pub(crate) fn endpoints(page: &mut Page, all: &[Endpoint]) {
    if all.is_empty() {
        return;
    }
    let words =
        [(EndpointVerdict::Ok, "ok"), (EndpointVerdict::Failed, "failed"), (EndpointVerdict::Skipped, "skipped")];
    let counts = words.map(|(verdict, word)| (count(all, verdict), word));
    let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    page.heading("ENDPOINTS", &format!("each asked once before the load: {}", counts.join(", ")));
    for endpoint in all {
        let (tone, mark) = match endpoint.verdict {
            EndpointVerdict::Ok => (Tone::Good, "✓"),
            EndpointVerdict::Failed => (Tone::Bad, "✗"),
            EndpointVerdict::Skipped => (Tone::Faint, "-"),
        };
        let name = cut(&endpoint.name, NAME_COLUMNS);
        let way = match (endpoint.stream, endpoint.method.as_str()) {
            (false, _) => "",
            // Nothing else that is streamed is asked for with a GET.
            (true, "GET") => " (WebSocket)",
            (true, _) => " (SSE)",
        };
        let took = endpoint.duration_ms.map_or_else(String::new, human::time);
        page.line(&[
            (tone, &format!("  {mark} ")),
            (Tone::Plain, &format!("{name:<NAME_COLUMNS$}{took:>7}  {:<4} {}{way}", endpoint.method, endpoint.path)),
        ]);
        if let Some(reason) = &endpoint.reason {
            let word = if endpoint.verdict == EndpointVerdict::Skipped { "skipped: " } else { "" };
            for line in human::wrapped(&format!("{word}{reason}"), page.width.saturating_sub(6)) {
                page.line(&[(tone, &format!("      {line}"))]);
            }
        }
    }
}
