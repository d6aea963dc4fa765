//! A profile is refused or becomes a plan.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::plan::fuzz::fuzz_profile(input));
