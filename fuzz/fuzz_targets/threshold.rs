//! What is understood is written as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::threshold::fuzz::fuzz_threshold(input));
