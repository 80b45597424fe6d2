//! A client keeps its promises against any server; see `hbone_conn::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_conn::fuzzing::conn_client(input));
