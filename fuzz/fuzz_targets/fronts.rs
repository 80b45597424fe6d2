//! What clients of proxies say means the same however it is cut; see `hbone_tunnel::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_tunnel::fuzzing::fronts(input));
