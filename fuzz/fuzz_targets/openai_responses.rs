//! Any bytes as a response.
#![no_main]

use llmsim_blast::api::{Api, fuzz::fuzz_api};

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz_api(Api::OpenaiResponses, input));
