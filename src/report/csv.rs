//! The series of a document as CSV: a line a second, for spreadsheets and change-point tools. All
//! fields are numbers, so nothing needs quotes. Unknown values are empty. The columns are stable:
//! new ones come last.

use crate::document::{Document, Quantiles};
use std::fmt::Write as _;

const HEADER: &str = "t_s,vus,in_flight,connections,http_reqs,failed,tokens_output,token_events,data_received,ttft_p50_ms,\
    ttft_p95_ms,ttft_p99_ms,tbt_p50_ms,tbt_p95_ms,tbt_p99_ms,http_req_duration_p50_ms,http_req_duration_p95_ms,\
    http_req_duration_p99_ms,client_cpu,busiest_worker_cpu,client_lag_p99_ms,server_cpu,server_rss_bytes,\
    ratelimit_remaining_requests,ratelimit_remaining_tokens,ratelimit_limit_requests,ratelimit_limit_tokens\n";

/// Returns the series as CSV.
pub fn render(document: &Document) -> String {
    let mut text = HEADER.to_owned();
    for s in &document.series {
        let counts = [s.vus, s.in_flight, s.connections, s.http_reqs, s.failed, s.tokens_output, s.token_events];
        let mut line: Vec<String> = std::iter::once(u64::from(s.t_s)).chain(counts).map(|n| n.to_string()).collect();
        line.push(s.data_received.to_string());
        for quantiles in [s.ttft.as_ref(), s.tbt.as_ref(), s.http_req_duration.as_ref()] {
            let three = quantiles.map(|Quantiles { p50, p95, p99 }| [*p50, *p95, *p99]);
            line.extend((0..3).map(|i| three.map_or_else(String::new, |q| q[i].to_string())));
        }
        line.extend([s.client_cpu, s.busiest_worker_cpu].map(|cpu| cpu.to_string()));
        line.extend([s.client_lag_p99, s.server_cpu].map(|n| n.map_or_else(String::new, |n| n.to_string())));
        line.push(s.server_rss_bytes.map_or_else(String::new, |n| n.to_string()));
        let limits = s.remaining().levels();
        line.extend(limits.map(|(_, n)| n.map_or_else(String::new, |n| n.to_string())));
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{}", line.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;

    #[test]
    fn every_line_has_the_columns_of_the_first() {
        for (sort, document) in all_sorts() {
            let text = render(&document);
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), document.series.len() + 1, "{sort}");
            assert!(lines.iter().all(|line| line.split(',').count() == 27), "{sort}: {text}");
        }
        let text = render(&all_sorts()[0].1);
        assert!(text.lines().nth(1).unwrap().starts_with("0,50,0,48,103,3,"), "{text}");
    }
}
