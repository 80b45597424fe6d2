//! What strangers write has one spelling or is refused; see `hbone_tunnel::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_tunnel::fuzzing::authority(input));
