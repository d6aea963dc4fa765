//! Any bytes as an answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llmsim_blast::api::fuzz::fuzz_openai_chat(input));
