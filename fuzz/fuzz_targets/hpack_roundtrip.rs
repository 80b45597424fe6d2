//! Fields are decoded as they were encoded; see `hbone_frame::hpack::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_frame::hpack::fuzzing::hpack_roundtrip(input));
