//! The source of the server's metrics: `--server-metrics` and `--server-metric`.

use super::source::Changed;
use super::{Overrides, PlanError, limits};
use crate::net::{Target, TargetError};

/// The metrics to read from the server while it is tested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerMetrics {
    pub source: Scrape,
    /// Names to read besides the known ones.
    pub names: Vec<String>,
}

/// The source of the server's metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scrape {
    /// At the target's `/metrics`, if it is known what the target is.
    Auto,
    #[default]
    Off,
    /// At this URL. Without a path, at its `/metrics`.
    At(Target),
}

impl Scrape {
    /// Describes it for people.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Off => "off".to_owned(),
            Self::At(target) => target.url.clone(),
        }
    }
}

/// Resolves the flags.
pub(super) fn server_metrics(overrides: &Overrides, changed: &mut Changed) -> Result<ServerMetrics, PlanError> {
    Ok(ServerMetrics { source: source(overrides, changed)?, names: names(overrides, changed)? })
}

/// Resolves where metrics are read.
fn source(overrides: &Overrides, changed: &mut Changed) -> Result<Scrape, PlanError> {
    let Some(given) = overrides.one("server_metrics") else { return Ok(Scrape::Auto) };
    changed.insert("server_metrics".to_owned(), given.origin.clone());
    match given.value.trim() {
        "auto" => Ok(Scrape::Auto),
        "off" if !overrides.many("server_metric").is_empty() => {
            Err(given.misplaced("cannot be off together with --server-metric, which names a metric to read"))
        }
        "off" => Ok(Scrape::Off),
        // The URL may contain a password. The parser's message only repeats safe parts.
        url => Target::parse(url).map(Scrape::At).map_err(|error| match error {
            TargetError::Credentials => {
                given.unusable("the URL contains credentials, which are not sent there: expected a URL without them")
            }
            error => given.unusable(error),
        }),
    }
}

/// Returns the names to read besides the known ones.
fn names(overrides: &Overrides, changed: &mut Changed) -> Result<Vec<String>, PlanError> {
    let given = overrides.many("server_metric");
    if let Some(first) = given.first() {
        changed.insert("server_metric".to_owned(), first.origin.clone());
        if given.len() > limits::MAX_OWN_METRICS {
            let most = limits::MAX_OWN_METRICS;
            return Err(first.misplaced(format!("was given too often: expected at most {most} metrics")));
        }
    }
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
        (1..=limits::MAX_OWN_METRIC_NAME).contains(&name.len()) && name.chars().all(plain)
    };
    let mut names: Vec<String> = Vec::new();
    for one in given {
        let name = one.value.trim();
        if !is_name(name) {
            return Err(one.bad("the name of a metric, without labels, such as vllm:num_requests_swapped"));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Given;
    use crate::plan::overrides::overrides;

    fn scrape(value: &str) -> Result<Scrape, PlanError> {
        let given = overrides! { server_metrics: [Given::flag("server-metrics", value)] };
        source(&given, &mut Changed::new())
    }

    #[test]
    fn metrics_are_read_where_they_are_said_to_be() {
        assert_eq!((scrape("auto"), scrape("off")), (Ok(Scrape::Auto), Ok(Scrape::Off)));
        let Ok(Scrape::At(target)) = scrape("http://h:9/x/metrics") else { panic!("a URL") };
        assert_eq!((target.host.as_str(), target.port, target.path_prefix.as_str()), ("h", 9, "/x/metrics"));
        let error = scrape("load").expect_err("no URL").to_string();
        assert!(error.starts_with("invalid value for --server-metrics: `load` is not a URL"), "{error}");
        let error = scrape("http://user:pa55@h").expect_err("a password").to_string();
        assert!(error.contains("expected a URL without them") && !error.contains("pa55"), "{error}");
        let nothing = Overrides::default();
        assert_eq!(source(&nothing, &mut Changed::new()), Ok(Scrape::Auto));
    }

    #[test]
    fn names_are_plain_and_read_once() {
        let names = |all: &[&str]| {
            let given = overrides! { server_metric: all.iter().map(|name| Given::flag("server-metric", *name)) };
            names(&given, &mut Changed::new())
        };
        assert_eq!(names(&["a:b_total", " a:b_total", "c"]), Ok(vec!["a:b_total".to_owned(), "c".to_owned()]));
        for bad in ["", "a b", "a{x=\"1\"}", "ü"] {
            assert!(names(&[bad]).expect_err(bad).to_string().contains("the name of a metric"), "{bad}");
        }
        let off = overrides! {
            server_metrics: [Given::flag("server-metrics", "off")],
            server_metric: [Given::flag("server-metric", "a")],
        };
        assert!(source(&off, &mut Changed::new()).is_err());
    }
}
