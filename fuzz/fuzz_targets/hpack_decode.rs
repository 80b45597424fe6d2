//! Whatever the block, the HPACK decoder keeps to its limits; see `hbone_frame::hpack::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_frame::hpack::fuzzing::hpack_decode(input));
