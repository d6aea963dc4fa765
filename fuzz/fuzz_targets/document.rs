//! A result that can be read is written in a form that reads back as the same result.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::document::fuzz::fuzz_document(input));
