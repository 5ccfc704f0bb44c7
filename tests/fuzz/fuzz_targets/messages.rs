#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kvsim_fuzz::messages::judge(bytes));
