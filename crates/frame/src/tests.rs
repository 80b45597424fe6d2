//! Tests of frames, one file per concern.

mod cases;
mod chunking;
mod corpus;
mod data;
mod limits;
mod roundtrip;
mod violations;
