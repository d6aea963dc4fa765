//! What learned templates recognise is what the parser says, whatever they have learned from.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::api::fuzz::fuzz_template(input));
