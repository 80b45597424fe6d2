//! The driver over pipes, TCP and TLS: what an application of the transport may rely on.

mod failures;
mod lifecycle;
mod streams;
mod support;
#[cfg(feature = "tls")]
mod tls;
