//! Thins long series so that their extremes survive.

use std::ops::Range;

/// Most points of a series on a page: more than a screen has columns.
pub(super) const MOST_POINTS: usize = 2_000;

/// The groups of adjacent points. All series of a chart have the same points, so they share their
/// times.
#[derive(Debug)]
pub(super) struct Grid {
    /// The points of each group.
    spans: Vec<Range<usize>>,
    /// True if every point stands for itself.
    is_whole: bool,
}

impl Grid {
    /// Returns the grid for a number of points.
    pub(super) fn of(points: usize) -> Self {
        if points <= MOST_POINTS {
            return Self { spans: spans(points, points), is_whole: true };
        }
        // Each span keeps two points: its least and its greatest.
        Self { spans: spans(points, MOST_POINTS / 2), is_whole: false }
    }

    /// Returns the largest number of points in a span. It is 1 if nothing was left out.
    pub(super) fn width(&self) -> usize {
        self.spans.iter().map(Range::len).max().unwrap_or(1)
    }

    /// Returns the places at which the kept points are drawn.
    pub(super) fn places(&self, at: &[f64]) -> Vec<f64> {
        if self.is_whole {
            return at.to_vec();
        }
        let two = |span: &Range<usize>| [span.start, span.start + span.len() / 2];
        self.spans.iter().flat_map(two).filter_map(|i| at.get(i).copied()).collect()
    }

    /// Returns the least and the greatest value of each span, in their original order.
    pub(super) fn extremes(&self, values: &[Option<f64>]) -> Vec<Option<f64>> {
        if self.is_whole {
            return values.to_vec();
        }
        let of = |span: &Range<usize>| {
            let known =
                || values.get(span.clone()).into_iter().flatten().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
            let least = known().min_by(|a, b| a.1.total_cmp(&b.1));
            let greatest = known().max_by(|a, b| a.1.total_cmp(&b.1));
            match (least, greatest) {
                (Some((i, least)), Some((j, greatest))) if j < i => [Some(greatest), Some(least)],
                (Some((_, least)), Some((_, greatest))) => [Some(least), Some(greatest)],
                _ => [None, None],
            }
        };
        self.spans.iter().flat_map(of).collect()
    }
}

/// Splits `points` into `parts` runs whose lengths differ by at most one.
pub(super) fn spans(points: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.min(points);
    (0..parts).map(|i| i * points / parts..(i + 1) * points / parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_series_are_kept_as_they_are() {
        let grid = Grid::of(3);
        assert_eq!(grid.extremes(&[Some(3.0), None, Some(1.0)]), [Some(3.0), None, Some(1.0)]);
        assert_eq!((grid.places(&[0.0, 1.0, 2.0]), grid.width()), (vec![0.0, 1.0, 2.0], 1));
        assert!(Grid::of(0).places(&[]).is_empty());
    }

    #[test]
    fn one_second_of_an_hour_is_still_seen() {
        let mut values = vec![Some(10.0); 3_600];
        (values[1_234], values[3_599], values[7]) = (Some(900.0), Some(1.0), None);
        let grid = Grid::of(values.len());
        let kept = grid.extremes(&values);
        assert_eq!((kept.len(), grid.width()), (2_000, 4));
        assert!(kept.contains(&Some(900.0)) && kept.contains(&Some(1.0)));
    }

    proptest! {
        #[test]
        fn extremes_and_order_survive(values in prop::collection::vec(prop::option::of(0.0_f64..1e6), 0..9_000)) {
            let grid = Grid::of(values.len());
            let kept = grid.extremes(&values);
            let ends = |v: &[Option<f64>]| {
                let known: Vec<f64> = v.iter().flatten().copied().collect();
                (known.iter().copied().reduce(f64::min), known.iter().copied().reduce(f64::max))
            };
            prop_assert!(kept.len() <= MOST_POINTS);
            prop_assert_eq!(ends(&kept), ends(&values));
            let at: Vec<f64> = (0..values.len()).map(|i| i as f64).collect();
            let places = grid.places(&at);
            prop_assert_eq!(places.len(), kept.len());
            prop_assert!(places.is_sorted_by(|a, b| a < b));
        }
    }
}
