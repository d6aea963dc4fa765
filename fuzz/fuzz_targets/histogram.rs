//! A histogram that can be read is written in a form that reads back as the same histogram.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::metrics::fuzz::fuzz_histogram(input));
