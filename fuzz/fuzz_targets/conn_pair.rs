//! Between two engines nothing is lost; see `hbone_conn::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_conn::fuzzing::conn_pair(input));
