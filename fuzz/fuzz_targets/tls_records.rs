//! Records of TLS from any peer keep their promises; see `hbone_conn::tls_fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_conn::tls_fuzzing::tls_records(input));
