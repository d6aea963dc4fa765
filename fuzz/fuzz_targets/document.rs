//! A result that is read is written as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::document::fuzz::fuzz_document(input));
