#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::layer::give_up_rights(), |input: &[u8]| fuzz::layer::check(input));
