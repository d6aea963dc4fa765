//! A document as `HdrHistogram`'s interval log, the format of its Java, Python and Go tools: one
//! histogram a second and metric, in µs.

use crate::document::Document;
use crate::document::read::three;
use crate::metrics::{Buckets, Distribution};
use jiff::Timestamp;
use std::fmt::Write as _;

/// Values are divided by this, because the log's maxima are in ms.
const MICROS_IN_MS: f64 = 1e3;

/// Returns the log. Lines of one metric carry its name as a tag. `None` if the document has no
/// histograms of seconds.
pub fn render(document: &Document) -> Option<String> {
    let started = document.run.started_at.parse::<Timestamp>().map_or(0.0, |t| t.as_millisecond() as f64 / 1e3);
    // These texts may contain anything, and a line break would end a line of the log.
    let [version, id, started_at] = [&document.build.version, &document.run.id, &document.run.started_at]
        .map(|text| text.replace(char::is_control, "?"));
    let mut text = format!(
        "#[llmsim-blast {version}, run {id}, values in microseconds]\n#[Histogram log format version 1.3]\n\
         #[StartTime: {started:.3} (seconds since epoch), {started_at}]\n#[BaseTime: {started:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    );
    let mut has_any = false;
    for second in &document.series {
        let mut all: [(&str, Buckets); 3] = Default::default();
        for kind in second.requests.values() {
            for (sum, (name, histogram, _)) in all.iter_mut().zip(three(kind)) {
                sum.0 = name;
                if let Some(buckets) = histogram.and_then(|text| Buckets::decode(text).ok()) {
                    sum.1.add(&buckets);
                }
            }
        }
        for (name, buckets) in all.iter().filter(|(_, buckets)| buckets.count() > 0) {
            has_any = true;
            let longest = buckets.iter().last().map_or(0.0, |(micros, _)| micros as f64 / MICROS_IN_MS);
            let histogram = Distribution::of_buckets(buckets).encoded();
            // Writing into a String cannot fail.
            let _ = writeln!(text, "Tag={name},{}.000,1.000,{longest:.3},{histogram}", second.t_s);
        }
    }
    has_any.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;

    #[test]
    fn a_line_for_each_second_and_metric() {
        let text = render(&all_sorts()[0].1).expect("histograms");
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("Tag=")).collect();
        assert_eq!(lines.len(), 6, "{text}");
        for (line, name) in lines.iter().zip(["ttft", "tbt", "http_req_duration"]) {
            assert!(line.starts_with(&format!("Tag={name},0.000,1.000,")), "{line}");
            let histogram = line.rsplit(',').next().unwrap();
            assert_eq!(Buckets::decode(histogram).unwrap().count(), if name == "ttft" { 50 } else { 100 });
        }
        assert!(text.contains("#[BaseTime: 1795508535.000 (seconds since epoch)]"), "{text}");
        let mut hostile = all_sorts().remove(0).1;
        hostile.run.id = "x]\nTag=ttft,0.000,1.000,1.000,AAAA".to_owned();
        assert_eq!(render(&hostile).expect("histograms").lines().count(), text.lines().count());
    }

    #[test]
    fn a_document_of_an_earlier_build_has_none() {
        let mut old = all_sorts().remove(0).1;
        old.series.clear();
        assert_eq!(render(&old), None);
    }
}
