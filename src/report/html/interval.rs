//! The change of a gate's measure with its interval, as a small plot with its numbers in words.

use crate::compare::{Row, Verdict};
use crate::document::comparison::Compared;
use crate::report::compare::{change, interval_title};
use crate::report::view::Tone;

/// The plot's width, in its own units.
const WIDTH: f64 = 400.0;
/// Margin on both sides, relative to the distance between the outermost values.
const MARGIN: f64 = 0.12;
/// Labels nearer to an edge than this are not centred, because they would be cut off.
const NEAR: f64 = 40.0;

/// A gate as it is drawn. Places are from 0 to [`WIDTH`].
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) name: String,
    /// A description in words.
    pub(super) words: String,
    pub(super) tone: Tone,
    pub(super) zero: Mark,
    pub(super) effect: f64,
    /// Both ends of the interval. `None` if it is unknown.
    pub(super) ends: Option<(f64, f64)>,
    pub(super) limit: Option<Mark>,
    /// The range in which the gate fails: its beginning and its width.
    pub(super) beyond: Option<(f64, f64)>,
}

/// A place with a label.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) label: String,
    /// The alignment of the label, as named in SVG.
    pub(super) anchor: &'static str,
}

impl Mark {
    fn new(at: f64, label: String) -> Self {
        let anchor = match at {
            at if at < NEAR => "start",
            at if at > WIDTH - NEAR => "end",
            _ => "middle",
        };
        Self { at, label, anchor }
    }
}

/// Returns all gates whose change is known.
pub(super) fn of(compared: &Compared<'_>) -> Vec<Interval> {
    compared.comparison.gates().filter_map(|row| one(row, compared)).collect()
}

fn one(row: &Row, compared: &Compared<'_>) -> Option<Interval> {
    let c = row.change?;
    let gate = row.gate.as_ref()?;
    if !c.effect.is_finite() {
        return None;
    }
    let ends = (c.low.is_finite() && c.high.is_finite()).then_some((c.low, c.high));
    let shown = |n: f64| change(&row.measure, n);
    let outermost = [Some(c.effect), Some(0.0), row.limit, ends.map(|ends| ends.0), ends.map(|ends| ends.1)];
    let outermost = || outermost.into_iter().flatten();
    let (low, high) = (outermost().fold(f64::INFINITY, f64::min), outermost().fold(f64::NEG_INFINITY, f64::max));
    // If all values are equal, zero is in the middle.
    let stretch = if high > low { high - low } else { 1.0 };
    let place = |n: f64| {
        let at = ((n - low) / stretch + MARGIN) / (1.0 + 2.0 * MARGIN) * WIDTH;
        if high > low { rounded(at) } else { WIDTH / 2.0 }
    };
    let limit = row.limit.map(|limit| Mark::new(place(limit), format!("limit {}", shown(limit))));
    let beyond =
        limit.as_ref().map(|limit| if gate.above { (limit.at, rounded(WIDTH - limit.at)) } else { (0.0, limit.at) });
    let title = interval_title(compared.comparison);
    let range = match ends {
        Some((low, high)) => format!("the interval of {title} goes from {} to {}", shown(low), shown(high)),
        None => "its interval is not known".to_owned(),
    };
    let bound = row.limit.map_or_else(String::new, |limit| format!(", the limit is {}", shown(limit)));
    Some(Interval {
        name: gate.expression.clone(),
        words: format!("{}: {}; {range}{bound}.", row.verdict.name(), shown(c.effect)),
        tone: tone(row.verdict, compared.comparison.indicative),
        zero: Mark::new(place(0.0), "no change".to_owned()),
        effect: place(c.effect),
        ends: ends.map(|(low, high)| (place(low), place(high))),
        limit,
        beyond,
    })
}

/// Rounds to a tenth of a unit, which is as precise as the drawing.
fn rounded(at: f64) -> f64 {
    (at * 10.0).round() / 10.0
}

const fn tone(verdict: Verdict, indicative: bool) -> Tone {
    match verdict {
        Verdict::Regressed if indicative => Tone::Warning,
        Verdict::Regressed => Tone::Bad,
        Verdict::Improved | Verdict::NoChange => Tone::Good,
        Verdict::Inconclusive | Verdict::NoValue => Tone::Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Change, Comparison, Gate, Method};

    fn row(gate: &str, (low, effect, high): (f64, f64, f64), limit: f64) -> Row {
        let gate = Gate::parse(gate).expect("a gate");
        Row {
            measure: gate.measure.clone(),
            gate: Some(gate),
            base: vec![1.0],
            head: vec![1.0],
            change: Some(Change { effect, low, high, p: None, p_adjusted: None, detectable: None }),
            limit: Some(limit),
            verdict: Verdict::Inconclusive,
            note: None,
        }
    }

    fn drawn(rows: Vec<Row>) -> Vec<Interval> {
        let (method, confidence) = (Method::MannWhitney, 0.9);
        let comparison = Comparison { method, confidence, rows, warnings: Vec::new(), indicative: false };
        of(&Compared { base: &[], head: &[], comparison: &comparison, fail_on_inconclusive: false })
    }

    #[test]
    fn places_keep_the_order_of_the_values() {
        let all = drawn(vec![
            row("ttft.p50>5%", (0.01, 0.04, 0.07), 0.05),
            row("throughput<-3%", (-0.08, -0.02, 0.01), -0.03),
        ]);
        let [up, down] = &all[..] else { panic!("two") };
        let (low, high) = up.ends.expect("known");
        let limit = up.limit.as_ref().expect("known").at;
        assert!(0.0 < up.zero.at && up.zero.at < low && low < up.effect && up.effect < limit && limit < high);
        assert!(high < WIDTH && up.beyond == Some((limit, rounded(WIDTH - limit))), "{up:?}");
        assert_eq!(
            up.words,
            "inconclusive: +4.00%; the interval of 90 % goes from +1.00% to +7.00%, the limit is +5.00%."
        );
        assert_eq!(
            (up.zero.anchor, up.limit.as_ref().map(|mark| mark.label.as_str())),
            ("start", Some("limit +5.00%"))
        );
        let limit = down.limit.as_ref().expect("known").at;
        assert!(down.beyond == Some((0.0, limit)) && limit < down.effect && down.effect < down.zero.at, "{down:?}");
    }

    #[test]
    fn what_is_not_known_is_not_drawn() {
        let open = (f64::NEG_INFINITY, 0.02, f64::INFINITY);
        let all = drawn(vec![row("ttft.p50>5%", open, 0.05)]);
        assert!(all[0].ends.is_none() && all[0].words.contains("its interval is not known"), "{all:?}");
        let unknown = Row { change: None, ..row("ttft.p50>5%", open, 0.05) };
        assert!(drawn(vec![unknown]).is_empty());
        let same = drawn(vec![Row { limit: None, ..row("ttft.p50>5%", (0.0, 0.0, 0.0), 0.0) }]);
        assert_eq!((same[0].effect, same[0].zero.at), (WIDTH / 2.0, WIDTH / 2.0));
    }
}
