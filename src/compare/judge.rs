//! The comparison itself. It refuses results that are not comparable, then judges each measure.

use super::bootstrap::{self, Of, Seconds};
use super::gate::expanded;
use super::rank;
use super::same::same_test;
use super::{
    Change, CompareError, Comparison, Gate, LEAST_PAIRS, LEAST_RUNS, MOST_RUNS, Measure, Method, Number, Options, Row,
    Run, Sort, Unit, Verdict,
};
use crate::metrics::{Buckets, Counter, Metric, Rate, Trend};
use std::collections::BTreeMap;

/// Limit for a measure without a gate: most suites call this a change.
const USUAL_LIMIT: f64 = 0.05;
/// Limit for a share without a gate: half a point.
const USUAL_POINTS: f64 = 0.005;
/// If error rates differ by more than this, the latencies are those of different survivors.
const BIAS: f64 = 0.001;

/// Factor by which a row without a gate gets fewer draws.
const UNGATED_DRAWS: usize = 10;

pub fn compare(base: &[Run], head: &[Run], options: &Options) -> Result<Comparison, CompareError> {
    same_test(base, head)?;
    let Some(first) = base.first() else { return Err(CompareError::Runs { base: 0, head: head.len() }) };
    let options = &Options { gates: expanded(&options.gates, first)?, ..options.clone() };
    let method = method(first.sort, (base.len(), head.len()), options)?;
    let mut rows = Vec::new();
    for gate in &options.gates {
        rows.push(values(gate.measure.clone(), Some(gate.clone()), base, head));
    }
    for measure in Measure::usual_of(first) {
        if !options.gates.iter().any(|gate| gate.measure == measure) {
            rows.push(values(measure, None, base, head));
        }
    }
    Sides { base, head, method, options }.decide(&mut rows);
    let indicative = matches!(method, Method::Bootstrap | Method::Single) && !options.allow_single;
    let confidence = confidence(method, (base.len(), head.len()), options.alpha);
    Ok(Comparison { method, confidence, warnings: warnings(base, head, method, &rows, options), rows, indicative })
}

fn method(sort: Sort, (base, head): (usize, usize), options: &Options) -> Result<Method, CompareError> {
    if options.paired {
        let are_pairs = base == head && (LEAST_PAIRS..=MOST_RUNS).contains(&base);
        return if are_pairs { Ok(Method::Paired) } else { Err(CompareError::Pairs { base, head }) };
    }
    let (least, most) = (base.min(head), base.max(head));
    match (least, most) {
        (1, 1) if sort == Sort::Run => return Ok(Method::Bootstrap),
        (1, 1) => return Ok(Method::Single),
        _ if least < LEAST_RUNS || most > MOST_RUNS => return Err(CompareError::Runs { base, head }),
        _ => {}
    }
    // The smallest possible p: all of one side is beyond all of the other.
    let least_p = 1.0 / rank::orders(base, head);
    if least_p > options.alpha + f64::EPSILON {
        return Err(CompareError::Alpha { base, head, alpha: options.alpha.to_string() });
    }
    // With too many gates to correct for, no p could ever be small enough. Separation decides then.
    let questions = options.gates.len().max(1) as f64;
    let corrects = most > LEAST_RUNS && questions * least_p <= options.alpha;
    Ok(if corrects { Method::MannWhitney } else { Method::Separation })
}

/// Collects the values of a measure in all runs. If one is missing, nothing can be compared, and
/// the row says why.
fn values(measure: Measure, gate: Option<Gate>, base: &[Run], head: &[Run]) -> Row {
    let (mut values, mut note, mut zeros) = (Vec::new(), None, 0);
    for run in base.iter().chain(head) {
        match measure.value(run) {
            Ok(value) if value <= 0.0 && measure.unit() != Unit::Share => {
                zeros += 1;
                note.get_or_insert_with(|| format!("{}: it is 0, and a relative change from 0 is undefined", run.file));
            }
            Ok(value) => values.push(value),
            Err(why) => drop(note.get_or_insert_with(|| format!("{}: {why}", run.file))),
        }
    }
    let mut row = Row {
        measure,
        gate,
        base: Vec::new(),
        head: Vec::new(),
        change: None,
        limit: None,
        verdict: Verdict::NoValue,
        note,
    };
    if zeros == base.len() + head.len() {
        (row.verdict, row.note) = (Verdict::NoChange, Some("it is 0 in all runs".to_owned()));
    } else if row.note.is_none() {
        row.head = values.split_off(base.len());
        row.base = values;
    }
    row
}

/// Corrects the p values of the gates, because several questions are asked at once (Holm).
fn correct(rows: &mut [Row]) {
    let asked = |row: &&mut Row| row.gate.is_some() && row.change.is_some_and(|c| c.p.is_some());
    let mut gates: Vec<&mut Row> = rows.iter_mut().filter(asked).collect();
    let ps: Vec<f64> = gates.iter().filter_map(|row| row.change?.p).collect();
    for (row, p) in gates.iter_mut().zip(rank::holm(&ps)) {
        if let Some(change) = &mut row.change {
            change.p_adjusted = Some(p);
        }
    }
}

fn warnings(base: &[Run], head: &[Run], method: Method, rows: &[Row], options: &Options) -> Vec<String> {
    let mut warnings = Vec::new();
    let machines =
        |runs: &[Run]| runs.iter().map(|run| run.fingerprint.clone()).collect::<std::collections::BTreeSet<_>>();
    if machines(base) != machines(head) || machines(base).len() > 1 {
        warnings.push("the runs come from different machines, which may cause the difference".to_owned());
    }
    let on_this_machine = options.noise_machine.is_some() && machines(base).contains(&options.noise_machine);
    if !options.noise.is_empty() && !on_this_machine {
        warnings.push(
            "the noise was measured on another machine, or on several, so it may be too high or too low".to_owned(),
        );
    }
    let mut remarks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for run in base.iter().chain(head) {
        run.remarks.iter().for_each(|remark| remarks.entry(remark).or_default().push(&run.file));
    }
    let all = base.len() + head.len();
    warnings.extend(remarks.iter().map(|(remark, files)| match files.as_slice() {
        [file] => format!("{file}: {remark}"),
        files => format!("{} of {all} runs: {remark}", files.len()),
    }));
    let all_requests = Measure::of(Metric::Rate(Rate::HttpReqFailed), Number::Rate);
    let errors = rows.iter().find(|row| row.measure == all_requests);
    if let Some(row) = errors.filter(|row| (rank::median(&row.head) - rank::median(&row.base)).abs() > BIAS) {
        let percent = |values: &[f64]| format!("{:.2} %", rank::median(values) * 100.0);
        warnings.push(format!(
            "error rates differ ({} and {}): latencies cover successful requests only, so they cover different \
             requests",
            percent(&row.base),
            percent(&row.head)
        ));
    }
    let gates = options.gates.len();
    if method == Method::Separation && gates > 1 {
        let percent = 100.0 * gates as f64 / rank::orders(base.len(), head.len());
        warnings.push(format!(
            "{gates} gates on {}+{} runs are not corrected for multiple tests: up to {percent:.0} % of equal builds \
             fail one, if runs differ by more than the limits; 5 runs per side allow the correction",
            base.len(),
            head.len()
        ));
    }
    if !options.noise.is_empty() {
        let unknown = options.gates.iter().filter(|gate| !options.noise.contains_key(&gate.measure.to_string()));
        let unknown: Vec<&str> = unknown.map(|gate| gate.expression.as_str()).collect();
        if !unknown.is_empty() {
            warnings
                .push(format!("the file of --noise does not cover {}: its limits stay as written", unknown.join(", ")));
        }
    }
    if method == Method::Bootstrap {
        warnings.push(
            "one run per side: the noise between runs of one build is unknown; use three or more per side".to_owned(),
        );
    } else if method == Method::Single {
        let decides = if options.allow_single { "the change itself decides" } else { "no gate can fail" };
        warnings.push(format!(
            "one {} per side: the noise between results of one build is unknown, so {decides}; use three or more per \
             side",
            base[0].sort.name()
        ));
    }
    warnings
}

/// Both sides, and the method that compares them.
struct Sides<'a> {
    base: &'a [Run],
    head: &'a [Run],
    method: Method,
    options: &'a Options,
}

impl Sides<'_> {
    fn decide(&self, rows: &mut [Row]) {
        rows.iter_mut().filter(|row| !row.base.is_empty()).for_each(|row| self.change(row));
        correct(rows);
        for row in rows {
            self.judge(row);
        }
    }

    /// Measures the change of a row that has values.
    fn change(&self, row: &mut Row) {
        let is_share = row.measure.unit() == Unit::Share;
        let scaled =
            |values: &[f64]| -> Vec<f64> { values.iter().map(|v| if is_share { *v } else { v.ln() }).collect() };
        let back = |d: f64| if is_share { d } else { d.exp_m1() };
        // All values are turned in one direction: the gate's, or towards worse.
        let above = row.asks_for_growth();
        let toward =
            |values: Vec<f64>| -> Vec<f64> { if above { values } else { values.into_iter().map(|v| -v).collect() } };
        let (base, head) = (toward(scaled(&row.base)), toward(scaled(&row.head)));
        let change = match self.method {
            Method::Bootstrap => self.bootstrap(row),
            Method::Single => Some(unknown(difference(row, row.base[0], row.head[0]))),
            Method::Paired => paired(&base, &head, self.options.alpha, self.questions(row)),
            Method::Separation | Method::MannWhitney => {
                let by_ranks = self.method == Method::MannWhitney;
                Some(unpaired(&base, &head, self.options.alpha, by_ranks.then(|| self.questions(row))))
            }
        };
        let limit = Limit::of(row, self.options, above);
        let least = if is_share { limit.absolute } else { limit.relative };
        row.change = change.map(|c| {
            if matches!(self.method, Method::Bootstrap | Method::Single) {
                return c;
            }
            let sign = if above { 1.0 } else { -1.0 };
            let (one, other) = (back(sign * c.low), back(sign * c.high));
            // A change below the limit never counts, however significant it is.
            let detectable = c.detectable.map(|d| back(sign * d).abs().max(least));
            Change { effect: back(sign * c.effect), low: one.min(other), high: one.max(other), detectable, ..c }
        });
        if row.change.is_none() && row.note.is_none() {
            row.note = Some("it has no histograms per second".to_owned());
        }
    }

    /// Returns the number of questions that are asked together with this row's.
    fn questions(&self, row: &Row) -> usize {
        if row.gate.is_some() { self.options.gates.len() } else { 1 }
    }

    /// Compares one run per side. The effect is known even where its interval is not.
    fn bootstrap(&self, row: &mut Row) -> Option<Change> {
        let effect = difference(row, row.base[0], row.head[0]);
        let (of, base) = seconds(&row.measure, &self.base[0])?;
        let (_, head) = seconds(&row.measure, &self.head[0])?;
        let unknown = unknown(effect);
        if !base.is_enough() || !head.is_enough() {
            row.note = Some(format!("too short: {} s are needed", bootstrap::LEAST_SECONDS));
            return Some(unknown);
        }
        // A row without a gate cannot fail the comparison, and drawing takes most of the time.
        let draws = if row.gate.is_some() { self.options.draws } else { self.options.draws / UNGATED_DRAWS };
        let between = |b: f64, h: f64| difference(row, b, h);
        let (low, high) =
            bootstrap::intervals(&base, &head, &[of], (draws, self.options.alpha), between).first().copied()?;
        Some(Change { low: low.min(effect), high: high.max(effect), ..unknown })
    }

    fn judge(&self, row: &mut Row) {
        let Some(change) = row.change else { return };
        let above = row.asks_for_growth();
        let limit = Limit::of(row, self.options, above);
        row.limit = Some(limit.change());
        let worse = limit.is_beyond(change.effect, 1.0) && self.is_significant(row, &change, above);
        // An improvement is judged like a regression, in the opposite direction.
        let better = limit.is_beyond(change.effect, -1.0) && self.is_significant(row, &change, !above);
        let reach = if above { change.high } else { change.low };
        row.verdict = match (worse, better) {
            (true, _) => Verdict::Regressed,
            (_, true) => Verdict::Improved,
            // The user asked for the change itself to decide, and it is within the limit.
            _ if self.method == Method::Single && self.options.allow_single => Verdict::NoChange,
            _ if limit.is_beyond(reach, 1.0) => Verdict::Inconclusive,
            _ => Verdict::NoChange,
        };
    }

    /// Returns whether the sides differ in this direction by more than runs of the same build do.
    fn is_significant(&self, row: &Row, change: &Change, above: bool) -> bool {
        let toward_gate = row.asks_for_growth() == above;
        match self.method {
            Method::Separation => {
                let (low, high) = if above { (&row.base, &row.head) } else { (&row.head, &row.base) };
                let most = low.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                // One in twenty triples of equal runs is apart by chance, and so few runs cannot be
                // corrected for several gates. On a quiet machine, though, they are hardly ever
                // apart by more than the floor.
                let floor = self.options.floor(&row.measure);
                let least = if row.measure.unit() == Unit::Share { most + floor } else { most * (1.0 + floor) };
                high.iter().all(|value| *value > least)
            }
            // The scatter of sweeps is unknown. With `allow_single` the user accepts that.
            Method::Single => self.options.allow_single,
            // The whole interval has to be beyond the limit.
            Method::Bootstrap => {
                let limit = Limit::of(row, self.options, above);
                limit.is_beyond(if above { change.low } else { change.high }, 1.0)
            }
            Method::MannWhitney if !toward_gate => {
                let (base, head) = (&row.base, &row.head);
                let p = if above { rank::mann_whitney_above(base, head) } else { rank::mann_whitney_above(head, base) };
                p <= self.options.alpha
            }
            Method::Paired if !toward_gate => change.p.is_some_and(|p| 1.0 - p <= self.options.alpha),
            Method::MannWhitney | Method::Paired => {
                change.p_adjusted.or(change.p).is_some_and(|p| p <= self.options.alpha)
            }
        }
    }
}

/// The limit that a change has to exceed.
struct Limit {
    relative: f64,
    absolute: f64,
    /// The base value to which an absolute limit relates.
    base: f64,
    is_share: bool,
    above: bool,
}

impl Limit {
    fn of(row: &Row, options: &Options, above: bool) -> Self {
        let is_share = row.measure.unit() == Unit::Share;
        let floor = options.floor(&row.measure);
        let (relative, absolute) = match (&row.gate, is_share) {
            (Some(gate), true) => (0.0, gate.absolute.unwrap_or(0.0).max(floor)),
            (Some(gate), false) => (gate.relative.unwrap_or(0.0).max(floor), gate.absolute.unwrap_or(0.0)),
            (None, true) => (0.0, USUAL_POINTS.max(floor)),
            (None, false) => (USUAL_LIMIT.max(floor), 0.0),
        };
        Self { relative, absolute, base: rank::median(&row.base), is_share, above }
    }

    /// Returns the limit as a change, with its sign.
    fn change(&self) -> f64 {
        let least = if self.is_share { self.absolute } else { self.relative.max(self.absolute / self.base) };
        if self.above { least } else { -least }
    }

    /// Returns whether a change exceeds the limit, in its direction (1) or against it (−1).
    fn is_beyond(&self, change: f64, direction: f64) -> bool {
        let toward = if self.above { change } else { -change } * direction;
        if self.is_share {
            return toward > self.absolute;
        }
        toward > self.relative && toward * self.base > self.absolute
    }
}

/// Returns the confidence level of the intervals. A gate is one-sided, so each end of an interval
/// is a bound at `1 − alpha` and the interval's level is `1 − 2 alpha`. That way the interval of a
/// significant change excludes zero. The bootstrap does not know how runs differ, so it keeps half
/// of alpha on either side.
fn confidence(method: Method, (base, head): (usize, usize), alpha: f64) -> f64 {
    match method {
        Method::Bootstrap => 1.0 - alpha,
        // A single pair has no interval.
        Method::Single => 0.0,
        Method::Separation | Method::MannWhitney => rank::confidence(base, head, 2.0 * alpha),
        Method::Paired => 1.0 - 2.0 * alpha,
    }
}

/// Returns the change of a measure: relative, or the difference for shares.
fn difference(row: &Row, base: f64, head: f64) -> f64 {
    if row.measure.unit() == Unit::Share { head - base } else { head / base - 1.0 }
}

/// Returns a change whose interval is not known.
const fn unknown(effect: f64) -> Change {
    Change { effect, low: f64::NEG_INFINITY, high: f64::INFINITY, p: None, p_adjusted: None, detectable: None }
}

/// Compares three or more runs per side. `questions` is the number of questions if ranks decide.
/// The values grow towards worse.
fn unpaired(base: &[f64], head: &[f64], alpha: f64, questions: Option<usize>) -> Change {
    let all = rank::differences(base, head);
    let off = rank::left_off(base.len(), head.len(), 2.0 * alpha).unwrap_or(0).min(all.len().saturating_sub(1) / 2);
    let counts_ranks = base.len() + head.len() > 2 * LEAST_RUNS;
    let effect = if counts_ranks { rank::median(&all) } else { rank::median(head) - rank::median(base) };
    Change {
        effect,
        low: all[off].min(effect),
        high: all[all.len() - 1 - off].max(effect),
        p: counts_ranks.then(|| rank::mann_whitney_above(base, head)),
        p_adjusted: None,
        detectable: detectable(base, head, questions.map(|n| alpha / n as f64)),
    }
}

/// Returns the shift of head that would just be significant if both sides scattered as they do and
/// were otherwise the same. In other runs this shift is sometimes smaller and sometimes larger, so
/// a change of that size is found about every second time.
fn detectable(base: &[f64], head: &[f64], alpha: Option<f64>) -> Option<f64> {
    let centred = |values: &[f64]| {
        let middle = rank::median(values);
        values.iter().map(|v| v - middle).collect::<Vec<_>>()
    };
    let mut gaps: Vec<f64> = rank::differences(&centred(head), &centred(base));
    gaps.sort_by(f64::total_cmp);
    let pairs = gaps.len();
    // One-sided: all pairs except this many must be in order.
    let off = alpha.map_or(Some(0), |alpha| rank::left_off(base.len(), head.len(), 2.0 * alpha))?;
    Some(gaps[pairs - 1 - off.min(pairs - 1)].max(0.0))
}

fn paired(base: &[f64], head: &[f64], alpha: f64, questions: usize) -> Option<Change> {
    let differences: Vec<f64> = base.iter().zip(head).map(|(b, h)| h - b).collect();
    let (effect, reach, _, p) = rank::paired(&differences, 2.0 * alpha)?;
    let (low, high) = (effect - reach, effect + reach);
    let (_, detectable, ..) = rank::paired(&differences, 2.0 * alpha / questions as f64)?;
    Some(Change { effect, low, high, p: Some(p), p_adjusted: None, detectable: Some(detectable) })
}

/// Returns the seconds behind a measure of a run, and the statistic that is computed from them.
fn seconds(measure: &Measure, run: &Run) -> Option<(Of, Seconds)> {
    let counts =
        |of: fn(&super::Second) -> Vec<u64>| Seconds::of_counts(&run.seconds().iter().map(of).collect::<Vec<_>>());
    let Measure::Metric { metric, request, number } = measure else { return None };
    let whole = request.is_none();
    match (*metric, *number) {
        (Metric::Counter(Counter::HttpReqs), _) if whole => Some((Of::Count, counts(|s| vec![s.http_reqs]))),
        (Metric::Counter(Counter::TokensOutput), _) if whole => Some((Of::Count, counts(|s| vec![s.tokens_output]))),
        (Metric::Rate(Rate::HttpReqFailed), _) if whole => Some((Of::Share, counts(|s| vec![s.failed, s.http_reqs]))),
        (Metric::Trend(trend @ (Trend::Ttft | Trend::Tbt | Trend::HttpReqDuration)), number) => {
            let of = if let Number::P(p) = number { Of::Percentile(p) } else { Of::Average };
            let of_second = |second: &super::Second| {
                let mut sum = Buckets::default();
                for ((kind, name), times) in &second.times {
                    if *name == trend.name() && request.as_ref().is_none_or(|r| r == kind) {
                        sum.add(times);
                    }
                }
                sum
            };
            let all: Vec<Buckets> = run.seconds().iter().map(of_second).collect();
            all.iter().any(|b| b.count() > 0).then(|| (of, Seconds::of_times(&all)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
