//! A chunked body decodes to the same content however it is cut into reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::wire::fuzz::fuzz_chunked(input));
