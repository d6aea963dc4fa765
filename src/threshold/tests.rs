use super::*;
use crate::metrics::Gauge;

fn kinds() -> Vec<String> {
    vec!["chat-stream".to_owned(), "health".to_owned()]
}

fn rule(metric: &str, expression: &str) -> Rule {
    parse(metric, expression, &kinds()).unwrap_or_else(|e| panic!("{metric}: {expression}: {e}"))
}

fn refusal(metric: &str, expression: &str) -> String {
    match parse(metric, expression, &kinds()) {
        Ok(rule) => panic!("{metric}: {expression} was read as {rule:?}"),
        Err(RuleError(why)) => why,
    }
}

#[test]
fn every_aggregation_of_every_kind_of_metric() {
    let cases = [
        ("http_req_duration", "avg", Aggregation::Avg),
        ("http_req_duration", "min", Aggregation::Min),
        ("http_req_duration", "max", Aggregation::Max),
        ("http_req_duration", "med", Aggregation::Med),
        ("http_req_duration", "p(95)", Aggregation::P(95.0)),
        ("http_req_duration", "p(99.9)", Aggregation::P(99.9)),
        ("http_req_duration", "p(0)", Aggregation::P(0.0)),
        ("http_req_duration", "p(100)", Aggregation::P(100.0)),
        ("http_req_duration", "p( 50 )", Aggregation::P(50.0)),
        ("http_req_duration", "count", Aggregation::Count),
        ("http_reqs", "count", Aggregation::Count),
        ("http_reqs", "rate", Aggregation::Rate),
        ("http_req_failed", "rate", Aggregation::Rate),
        ("vus", "value", Aggregation::Value),
        ("vus", "min", Aggregation::Min),
        ("vus", "max", Aggregation::Max),
    ];
    for (metric, aggregation, expected) in cases {
        assert_eq!(rule(metric, &format!("{aggregation}<1")).aggregation, expected, "{metric}: {aggregation}");
    }
}

#[test]
fn every_operator_with_and_without_space() {
    let cases = [
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("==", Operator::Equal),
        ("===", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("!==", Operator::NotEqual),
    ];
    for (text, operator) in cases {
        for expression in [format!("count{text}7"), format!("  count  {text}\t7 ")] {
            let rule = rule("http_reqs", &expression);
            assert_eq!((rule.operator, rule.bound), (operator, 7.0), "{expression}");
            assert_eq!(rule.expression, expression.trim());
        }
    }
}

#[test]
fn bounds_are_in_the_unit_of_the_metric() {
    let cases = [
        ("ttft", "p(95)<2000", 2000.0),
        ("ttft", "p(95)<2s", 2000.0),
        ("ttft", "p(95)<500ms", 500.0),
        ("ttft", "avg<50us", 0.05),
        ("ttft", "avg<1m30s", 90_000.0),
        ("ttft", "avg<.5", 0.5),
        ("ttft", "avg<1e3", 1000.0),
        ("ttft", "count>5", 5.0),
        ("http_req_failed", "rate<0.01", 0.01),
        ("http_req_failed", "rate<1%", 0.01),
        ("http_req_failed", "rate<= 2.5 %", 0.025),
        ("checks", "rate==1", 1.0),
        ("http_reqs", "rate>100.5", 100.5),
        ("connections", "max<=5000", 5000.0),
    ];
    for (metric, expression, bound) in cases {
        let rule = rule(metric, expression);
        assert!((rule.bound - bound).abs() < 1e-12, "{metric}: {expression}: {}", rule.bound);
    }
}

#[test]
fn nonsense_is_refused_with_what_was_expected() {
    let cases = [
        ("http_req_duration", "p(101)<5", "from 0 to 100"),
        ("http_req_duration", "p(-1)<5", "from 0 to 100"),
        ("http_req_duration", "p(NaN)<5", "from 0 to 100"),
        ("http_req_duration", "p()<5", "from 0 to 100"),
        ("http_req_duration", "p(95<5", "avg, min, max, med, p(N), count"),
        ("http_req_duration", "p95<5", "avg, min, max, med, p(N), count"),
        ("http_req_duration", "rate<5", "avg, min, max, med, p(N), count"),
        ("http_req_duration", "<5", "no aggregation: expected one of avg"),
        ("http_req_duration", "p(95)", "no operator"),
        ("http_req_duration", "", "no operator"),
        ("http_req_duration", "p(95)<", "ends after its operator"),
        ("http_req_duration", "p(95)=5", "< <= > >= == !="),
        ("http_req_duration", "p(95)!5", "< <= > >= == !="),
        ("http_req_duration", "p(95)<<5", "milliseconds, or a duration"),
        ("http_req_duration", "p(95)<NaN", "milliseconds, or a duration"),
        ("http_req_duration", "p(95)<inf", "milliseconds, or a duration"),
        ("http_req_duration", "p(95)<1e999", "milliseconds, or a duration"),
        ("http_req_duration", "p(95)<-5", "milliseconds, or a duration"),
        ("http_req_duration", "p(95)<2 s", "milliseconds, or a duration"),
        ("http_req_duration", "p(95)<5%", "milliseconds, or a duration"),
        ("http_req_duration", "count<5s", "number without a unit"),
        ("http_reqs", "p(95)<5", "count, rate"),
        ("http_reqs", "count<5s", "number without a unit"),
        ("http_reqs", "count<5%", "number without a unit"),
        ("http_req_failed", "count<5", "expected one of rate"),
        ("http_req_failed", "rate<5", "from 0 to 1"),
        ("http_req_failed", "rate<101%", "from 0 to 1"),
        ("http_req_failed", "rate<1s", "from 0 to 1"),
        ("vus", "avg<5", "value, min, max"),
        ("vus", "value<5s", "number without a unit"),
        ("http_req_duraton", "p(95)<5", "did you mean http_req_duration?"),
        ("zzz", "p(95)<5", "expected one of http_req_duration,"),
        ("", "p(95)<5", "no metric is named ``"),
    ];
    for (metric, expression, expected) in cases {
        let why = refusal(metric, expression);
        assert!(why.contains(expected), "{metric}: {expression}: {why}");
    }
    assert!(!refusal("zzz", "p(95)<5").contains("did you mean"));
}

#[test]
fn a_selector_names_a_kind_of_the_mix() {
    let rule = rule(" http_req_duration{ request : chat-stream } ", "p(95)<5");
    assert_eq!(rule.request.as_deref(), Some("chat-stream"));
    assert_eq!(rule.key(), "http_req_duration{request:chat-stream}");
    for (metric, expected) in [
        ("ttft{request:chat}", "expected one of chat-stream, health"),
        ("ttft{request:}", "expected one of chat-stream, health"),
        ("ttft{kind:health}", "no tag `kind`"),
        ("ttft{request}", "no name behind the tag"),
        ("ttft{request:health", "a closing } is missing"),
        ("http_req_connecting{request:health}", "without a selector"),
        ("ws_connecting{request:health}", "without a selector"),
    ] {
        let why = refusal(metric, "p(95)<5");
        assert!(why.contains(expected), "{metric}: {why}");
    }
    assert!(refusal("vus{request:health}", "value<5").contains("without a selector"));
}

#[test]
fn a_metric_without_kinds_takes_no_selector() {
    for metric in Metric::all().filter(|metric| metric.is_global()) {
        let key = format!("{}{{request:health}}", metric.name());
        let expression = match metric {
            Metric::Trend(_) => "p(95)<5",
            Metric::Counter(_) | Metric::Rate(_) => "rate<1",
            Metric::Gauge(_) | Metric::Server(_) => "value<5",
        };
        assert!(refusal(&key, expression).contains("without a selector"), "{key}");
    }
}

#[test]
fn an_alias_sets_a_threshold_on_the_metric_that_it_stands_for() {
    assert_eq!(rule("itl{request:chat-stream}", "p(95)<50").key(), "tbt{request:chat-stream}");
    assert_eq!(rule("itl_max", "p(95)<50").key(), "stall");
    assert_eq!(parse_goal("itl", "<50ms", &kinds()).map(|goal| goal.key()), Ok("tbt".to_owned()));
}

#[test]
fn a_goal_is_a_bound_on_one_request() {
    let goal = parse_goal("ttft{request:chat-stream}", " <= 500ms ", &kinds()).expect("a goal");
    assert_eq!(
        (goal.metric, goal.request.as_deref(), goal.aggregation, goal.operator, goal.bound),
        (Metric::Trend(Trend::Ttft), Some("chat-stream"), Aggregation::Max, Operator::LessOrEqual, 500.0)
    );
    for (metric, expression, expected) in [
        ("ttft", "p(95)<2s", "one request has one value"),
        ("ttft", ">2s", "one request has one value"),
        ("ttft", "2s", "no operator"),
        ("ttft", "<5%", "a duration"),
        ("http_reqs", "<5", "not a latency of a single request"),
        ("http_req_connecting", "<5", "not a latency of a single request"),
    ] {
        let why = parse_goal(metric, expression, &kinds()).expect_err(expression).to_string();
        assert!(why.contains(expected), "{metric}: {expression}: {why}");
    }
}

#[test]
fn each_operator_judges_below_at_and_above_the_bound() {
    use Judgement::{Fail, Pass};
    for (operator, expected) in [
        ("<", [Pass, Fail, Fail]),
        ("<=", [Pass, Pass, Fail]),
        (">", [Fail, Fail, Pass]),
        (">=", [Fail, Pass, Pass]),
        ("==", [Fail, Pass, Fail]),
        ("!=", [Pass, Fail, Pass]),
    ] {
        let rule = rule("http_reqs", &format!("count{operator}10"));
        let results = [9.0, 10.0, 11.0].map(|value| evaluate(&rule, Some(value), 1).verdict);
        assert_eq!(results, expected, "{operator}");
    }
}

#[test]
fn no_data_is_not_a_pass() {
    let rule = rule("http_req_failed", "rate<0.01");
    for (value, samples) in [(None, 0), (None, 5), (Some(0.0), 0), (Some(f64::NAN), 5)] {
        let verdict = evaluate(&rule, value, samples);
        assert_eq!((verdict.verdict, verdict.value), (Judgement::NoData, None), "{value:?} of {samples}");
    }
    let verdict = evaluate(&rule, Some(0.0), 3);
    assert_eq!((verdict.verdict, verdict.value, verdict.samples), (Judgement::Pass, Some(0.0), 3));
}

#[test]
fn a_verdict_repeats_the_rule_as_written() {
    let rule = rule("ttft{request:chat-stream}", " p(95) < 2s ");
    let verdict = evaluate(&rule, Some(2500.0), 40);
    assert_eq!((verdict.metric.as_str(), verdict.expression.as_str()), ("ttft{request:chat-stream}", "p(95) < 2s"));
    assert_eq!((verdict.verdict, verdict.value, verdict.samples), (Judgement::Fail, Some(2500.0), 40));
}

#[test]
fn every_metric_has_at_least_one_rule() {
    for metric in Metric::all() {
        let expression = match metric {
            Metric::Trend(trend) if trend.unit() == Unit::Tokens => "p(95)<512",
            Metric::Trend(_) => "p(95)<1s",
            Metric::Counter(_) => "count<1",
            Metric::Rate(Rate::Amplification) => "rate<1.5",
            Metric::Rate(_) => "rate<1%",
            Metric::Gauge(Gauge::Vus | Gauge::InFlight | Gauge::Connections) | Metric::Server(_) => "value<1",
        };
        assert_eq!(rule(metric.name(), expression).metric, metric);
    }
}

#[test]
fn numbers_of_the_server_are_judged_and_what_is_not_known_is_no_pass() {
    use crate::metrics::growth::{Growth, Trending};
    use crate::metrics::soak::Soak;
    use Judgement::{Fail, NoData, Pass};
    let rules = [
        ("server_rss_growth", "value<5"),
        ("server_rss_max", "value<100"),
        ("server_cpu", "value<=2.5"),
        ("server_cpu", "value>3"),
    ];
    let rules: Vec<_> = rules.iter().map(|(metric, text)| parse(metric, text, &[]).expect("a rule")).collect();
    let judged = |verdict, mb_per_h: f64| {
        let (bytes_per_h, low_bytes_per_h, high_bytes_per_h) = (Some(mb_per_h * 1e6), Some(0.0), Some(9e9));
        let server = Growth { from_s: 1.0, to_s: 90.0, bytes_per_h, low_bytes_per_h, high_bytes_per_h, verdict };
        let (cpu, max) = (Some((2.5, 90)), Some((99_000_000, 90)));
        let soak = Soak { server: Some(server), server_cpu: cpu, server_rss_max: max, ..Soak::default() };
        let summary = Summary::new(&crate::metrics::Tally::new(0), &[], Nanos::from_secs(1)).with_server(&soak);
        judge(&rules, &summary).iter().map(|v| v.verdict).collect::<Vec<_>>()
    };
    assert_eq!(judged(Trending::Stable, 4.9), [Pass, Pass, Pass, Fail]);
    assert_eq!(judged(Trending::Growing, 5.0), [Fail, Pass, Pass, Fail]);
    assert_eq!(judged(Trending::TooShort, 1.0), [NoData, Pass, Pass, Fail]);
    for (metric, text) in
        [("server_cpu", "p(95)<1"), ("server_rss_max", "value<5s"), ("server_cpu{request:a}", "value<1")]
    {
        assert!(parse(metric, text, &["a".to_owned()]).is_err(), "{metric} {text}");
    }
}
