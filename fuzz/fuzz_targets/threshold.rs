//! A threshold that can be parsed is written in a form that parses to the same threshold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::threshold::fuzz::fuzz_threshold(input));
