//! Learned templates recognise the same events as the parser, whatever they were learned from.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::api::fuzz::fuzz_template(input));
