//! An event stream decodes to the same events however it is cut into reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::wire::fuzz::fuzz_sse(input));
