//! What is read is written as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::metrics::fuzz::fuzz_histogram(input));
