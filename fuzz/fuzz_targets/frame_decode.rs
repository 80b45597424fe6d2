//! Frames come out the same however their octets are cut; see `hbone_frame::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hbone_frame::fuzzing::frame_decode(input));
