//! A target URL is either refused or has a host.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::plan::fuzz::fuzz_target(input));
