//! Tests of the records: against a peer made by hand that breaks the rules, and against rustls.

mod choice;
mod forged;
mod fuzzed;
mod interop;
mod rustls_peer;
