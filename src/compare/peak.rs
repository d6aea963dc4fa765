//! Peaks, by which two sweeps are compared: the most that each of them reached, and where.

use std::fmt;

/// The most that a sweep reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peak {
    pub of: PeakOf,
    /// The API that was tested. `None` if the sweep tested a single one. In a gate, `None` means
    /// every API.
    pub api: Option<String>,
    /// The server's worker threads. `None` for a server that was already running. In a gate, `None`
    /// means every number of them.
    pub workers: Option<u32>,
}

/// The quantity that a peak counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeakOf {
    /// Plain responses a second.
    Requests,
    /// Streamed tokens a second.
    Tokens,
    /// The highest load at which the goals held, in arrivals a second.
    Rate,
    /// The highest load at which the goals held, in users.
    Users,
}

/// The names of peaks in gates. `capacity` stands for both of its units. The results tell which one
/// it is.
const NAMES: [(&str, PeakOf); 3] =
    [("requests_per_s", PeakOf::Requests), ("tokens_per_s", PeakOf::Tokens), ("capacity", PeakOf::Rate)];

impl PeakOf {
    /// Returns the name in gates, JSON and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_s",
            Self::Tokens => "tokens_per_s",
            Self::Rate | Self::Users => "capacity",
        }
    }
}

impl Peak {
    /// Parses `requests_per_s`, `tokens_per_s{workers:4}`,
    /// `requests_per_s{api:openai-chat,workers:2}`, `capacity`. `None` if the name is not that of a
    /// peak.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (name, rest) = text.split_at(text.find(['{', '.']).unwrap_or(text.len()));
        let (name, of) = NAMES.into_iter().find(|(known, _)| *known == name.trim_end())?;
        Some(Self::selected(of, rest).ok_or_else(|| {
            let selectors = if of == PeakOf::Rate { "nothing" } else { "{workers:N}, {api:NAME} or both" };
            format!("`{text}`: expected {selectors} behind {name}")
        }))
    }

    fn selected(of: PeakOf, rest: &str) -> Option<Self> {
        let mut peak = Self { of, api: None, workers: None };
        if rest.is_empty() {
            return Some(peak);
        }
        let selectors = rest.strip_prefix('{')?.strip_suffix('}').filter(|_| of != PeakOf::Rate)?;
        for selector in selectors.split(',') {
            let (tag, value) = selector.split_once(':')?;
            let (tag, value) = (tag.trim(), value.trim());
            let is_new = match tag {
                "api" => peak.api.replace(value.to_owned()).is_none() && !value.is_empty(),
                "workers" => peak.workers.replace(value.parse().ok()?).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(peak)
    }

    /// Returns whether a gate on this peak applies to the other. A selector that it leaves open
    /// matches anything.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.of.name() == other.of.name()
            && (self.api.is_none() || self.api == other.api)
            && (self.workers.is_none() || self.workers == other.workers)
    }
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let api = self.api.as_ref().map(|api| format!("api:{api}"));
        let workers = self.workers.map(|n| format!("workers:{n}"));
        let selectors: Vec<String> = api.into_iter().chain(workers).collect();
        f.write_str(self.of.name())?;
        if selectors.is_empty() { Ok(()) } else { write!(f, "{{{}}}", selectors.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_read_and_written_the_same() {
        for text in [
            "requests_per_s",
            "tokens_per_s{workers:4}",
            "requests_per_s{api:openai-chat}",
            "requests_per_s{api:openai-chat,workers:2}",
            "capacity",
        ] {
            assert_eq!(Peak::parse(text).and_then(Result::ok).map(|peak| peak.to_string()).as_deref(), Some(text));
        }
        assert!(Peak::parse("ttft.p99").is_none() && Peak::parse("requests").is_none());
        for text in [
            "requests_per_s.p99",
            "requests_per_s{}",
            "requests_per_s{workers:x}",
            "requests_per_s{workers:1,workers:2}",
            "requests_per_s{api:}",
            "requests_per_s{cores:2}",
            "requests_per_s{workers:2",
            "capacity{workers:2}",
        ] {
            let error = Peak::parse(text).expect("its name").expect_err(text);
            assert!(error.contains("behind"), "{error}");
        }
    }

    #[test]
    fn a_gate_covers_what_it_leaves_open() {
        let peak = |text| Peak::parse(text).expect("a name").expect("a peak");
        let two = peak("requests_per_s{api:rerank,workers:2}");
        for (gate, covers) in [
            ("requests_per_s", true),
            ("requests_per_s{workers:2}", true),
            ("requests_per_s{api:rerank}", true),
            ("requests_per_s{workers:1}", false),
            ("tokens_per_s", false),
        ] {
            assert_eq!(peak(gate).covers(&two), covers, "{gate}");
        }
        let users = Peak { of: PeakOf::Users, api: None, workers: None };
        assert!(peak("capacity").covers(&users));
    }
}
