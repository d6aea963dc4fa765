//! A profile is either refused or resolved into a plan.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::plan::fuzz::fuzz_profile(input));
