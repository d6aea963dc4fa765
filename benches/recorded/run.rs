//! The settings of a bench run. Runs are short, since the machine matters more than the length, and
//! draw no plots.

use criterion::Criterion;
use std::time::Duration;

/// Runs all `benches`, with the command line that `cargo bench` gives.
pub(crate) fn run(benches: &[fn(&mut Criterion)]) {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .without_plots()
        .configure_from_args();
    for bench in benches {
        bench(&mut criterion);
    }
    criterion.final_summary();
}
