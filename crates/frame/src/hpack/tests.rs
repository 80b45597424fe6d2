//! Tests of HPACK as a whole, one file per concern.

mod hostile;
mod oracle;
mod policy;
mod rfc;
mod round_trip;
mod rules;
mod stories;
mod support;
