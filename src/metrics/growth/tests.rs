use super::*;
use proptest::prelude::*;

const MB: f64 = 1e6;

/// Returns one value per second.
fn series(seconds: usize, mut value: impl FnMut(usize) -> f64) -> Vec<(f64, f64)> {
    (0..seconds).map(|s| (s as f64, value(s))).collect()
}

fn verdict(points: &[(f64, f64)]) -> Trending {
    memory(points).expect("there are points").verdict
}

/// Returns evenly distributed values from -1 to 1.
fn noise(random: &mut fastrand::Rng) -> f64 {
    random.f64() * 2.0 - 1.0
}

#[test]
fn a_line_has_its_own_slope_and_no_width() {
    let line: Vec<_> = (0..20).map(|i| (f64::from(i), 3.0 * f64::from(i) + 1.0)).collect();
    assert_eq!(slope(&line), Some(Slope { median: 3.0, low: 3.0, high: 3.0 }));
    assert_eq!(slope(&line[..9]), None);
}

#[test]
fn sens_example_of_ranks_is_kept() {
    // n = 10 without ties: N = 45, var(S) = 10·9·25/18 = 125, C = 2.576·√125 = 28.8, so ranks 8 and
    // 38 of 45.
    let points: Vec<_> =
        [3, 1, 4, 15, 9, 2, 6, 5, 35, 8].iter().enumerate().map(|(i, &v)| (i as f64, f64::from(v))).collect();
    let mut all: Vec<f64> = Vec::new();
    for i in 0..10 {
        for j in i + 1..10 {
            all.push((points[j].1 - points[i].1) / (points[j].0 - points[i].0));
        }
    }
    all.sort_by(f64::total_cmp);
    let found = slope(&points).expect("ten points");
    assert!((kendall_variance(&points) - 125.0).abs() < 1e-9);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(near(found.median, all[22]) && near(found.low, all[7]) && near(found.high, all[37]), "{found:?} {all:?}");
}

#[test]
fn ties_make_the_band_narrower_and_all_ties_have_none() {
    let flat: Vec<_> = (0..30).map(|i| (f64::from(i), 5.0)).collect();
    assert!(kendall_variance(&flat).abs() < 1e-9);
    assert_eq!(slope(&flat), Some(Slope { median: 0.0, low: 0.0, high: 0.0 }));
}

#[test]
fn a_leak_grows_and_a_flat_line_is_stable() {
    let mut random = fastrand::Rng::with_seed(1);
    let leak = series(1_800, |s| 35.0 * MB + 10.0 * MB * s as f64 / 3_600.0 + 0.2 * MB * noise(&mut random));
    let growth = memory(&leak).expect("points");
    assert_eq!(growth.verdict, Trending::Growing);
    let (low, high) = growth.low_bytes_per_h.zip(growth.high_bytes_per_h).expect("enough points");
    assert!(low < 10.0 * MB && 10.0 * MB < high && high - low < 2.0 * MB, "{growth:?}");
    assert_eq!(verdict(&series(1_800, |_| 35.0 * MB)), Trending::Stable);
    let shrinking = series(1_800, |s| 35.0 * MB - 5.0 * MB * s as f64 / 1_800.0);
    assert_eq!(verdict(&shrinking), Trending::Stable);
    // On a large server, memory may move in proportion to its size.
    let large = series(1_800, |s| 8_000.0 * MB + 20.0 * MB * s as f64 / 3_600.0);
    assert_eq!(verdict(&large), Trending::Stable);
}

#[test]
fn a_sawtooth_that_climbs_is_a_leak_and_one_that_does_not_is_none() {
    let tooth = |s: usize| 4.0 * MB * (s % 60) as f64 / 60.0;
    assert_eq!(verdict(&series(3_600, |s| 50.0 * MB + tooth(s) + 20.0 * MB * s as f64 / 3_600.0)), Trending::Growing);
    assert_ne!(verdict(&series(3_600, |s| 50.0 * MB + tooth(s))), Trending::Growing);
}

#[test]
fn a_short_run_says_nothing_unless_memory_doubles() {
    let mut random = fastrand::Rng::with_seed(2);
    for seconds in [1, 5, 9, 30, 59] {
        let warming = series(seconds, |s| 20.0 * MB + 0.2 * MB * s as f64 + 0.1 * MB * noise(&mut random));
        assert_eq!(verdict(&warming), Trending::TooShort, "{seconds} s");
        let flat = series(seconds, |_| 20.0 * MB);
        assert_eq!(verdict(&flat), Trending::TooShort, "{seconds} s");
    }
    assert_eq!(verdict(&series(12, |s| 20.0 * MB + 5.0 * MB * s as f64)), Trending::Growing);
    assert_eq!(verdict(&series(9, |s| 20.0 * MB + 5.0 * MB * s as f64)), Trending::TooShort);
    assert!(memory(&[]).is_none());
}

#[test]
fn a_process_that_becomes_warm_is_no_leak() {
    // Memory that approaches a level: 40 MB with time constants from a twentieth to a third of the
    // run.
    for constant in [60.0, 120.0, 300.0, 400.0] {
        let warming = series(1_200, |s| 50.0 * MB - 40.0 * MB * (-(s as f64) / constant).exp());
        assert_ne!(verdict(&warming), Trending::Growing, "{constant}");
    }
}

#[test]
fn one_step_is_no_leak_wherever_it_is() {
    for at in (50..1_750).step_by(50) {
        let step = series(1_800, |s| if s < at { 35.0 * MB } else { 45.0 * MB });
        assert_ne!(verdict(&step), Trending::Growing, "step at {at}");
        let both = series(1_800, |s| if s < at { 35.0 * MB } else { 45.0 * MB } + 100.0 * s as f64);
        assert_ne!(verdict(&both), Trending::Growing, "step at {at} and a trickle that is below what matters");
    }
}

/// Counts false alarms in 200 series of each shape that does not grow. They are random but fixed,
/// so the test cannot fail by chance.
#[test]
fn noise_of_many_shapes_raises_no_alarm() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut alarms = [0_u32; 3];
    for _ in 0..200 {
        let white = series(600, |_| 35.0 * MB + MB * noise(&mut random));
        let mut level = 0.0;
        // Each second is close to the previous one, and within about ±3 MB of the level.
        let correlated = series(600, |_| {
            level = 0.95 * level + MB * noise(&mut random);
            35.0 * MB + level
        });
        let (phase, period) = (random.f64() * 6.3, 50.0 + 500.0 * random.f64());
        let wave = series(600, |s| 35.0 * MB + 2.0 * MB * (phase + std::f64::consts::TAU * s as f64 / period).sin());
        for (alarm, points) in alarms.iter_mut().zip([white, correlated, wave]) {
            *alarm += u32::from(verdict(&points) == Trending::Growing);
        }
    }
    assert!(alarms[0] == 0 && alarms[1] <= 6 && alarms[2] <= 6, "{alarms:?} of 200 each");
}

#[test]
fn drift_is_seen_where_it_matters_and_only_there() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut of = |seconds: usize, more: f64| {
        let latency = |s: usize| 300.0 + more * s as f64 / seconds as f64 + 10.0 * noise(&mut random);
        drift(&series(seconds, latency)).map(|drift| drift.verdict)
    };
    assert_eq!(of(600, 100.0), Some(Trending::Growing));
    assert_eq!(of(600, 10.0), Some(Trending::Stable), "3 % is not much");
    assert_eq!(of(600, -200.0), Some(Trending::Stable));
    assert_eq!(of(99, 100.0), Some(Trending::TooShort));
    assert_eq!(of(9, 100.0), None);
    // A drift of microseconds on a fast server does not matter.
    let fast = drift(&series(600, |s| 0.2 + s as f64 / 2_000.0)).expect("long enough");
    assert_eq!((fast.verdict, fast.from_s, fast.to_s), (Trending::Stable, 0.0, 599.0));
}

#[test]
fn drift_in_noise_alone_is_not_seen() {
    let mut random = fastrand::Rng::with_seed(5);
    let alarms = (0..500).filter(|_| {
        drift(&series(300, |_| 100.0 + 60.0 * noise(&mut random)))
            .is_some_and(|drift| drift.verdict == Trending::Growing)
    });
    assert!(alarms.count() <= 5, "a hundredth is what the test allows");
}

proptest! {
    #[test]
    fn the_band_holds_the_slope(values in prop::collection::vec(0.0..1e9f64, 10..80)) {
        let points: Vec<_> = values.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect();
        let found = slope(&points).expect("enough points");
        prop_assert!(found.low <= found.median && found.median <= found.high, "{:?}", found);
        // Shifting all points changes nothing.
        let shifted: Vec<_> = points.iter().map(|&(s, v)| (s + 7.0, v + 8.0)).collect();
        let again = slope(&shifted).expect("as many");
        prop_assert!((again.median - found.median).abs() <= 1e-3 * (1.0 + found.median.abs()));
    }
}
