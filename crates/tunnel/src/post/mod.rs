//! The POST mode: a tunnel through infrastructure that passes requests on and no CONNECT. The destination stands in
//! `x-tun`; inside the bodies of request and response runs TLS between the two ends, so that whoever is in the middle
//! sees ciphertext.
//!
//! `asking` is the caller's side, `inner` the TLS of both, `token` what the caller shows to the infrastructure and
//! `bearer` how that is judged.

pub(crate) mod asking;
mod bearer;
mod fetch;
pub(crate) mod inner;
mod keys;
mod token;
mod way;

pub use bearer::{TokenRefusal, TokenRules};
pub use fetch::Address as KeysAddress;
pub use inner::InnerFault;
pub use keys::TokenKeys;
pub use token::{TokenFault, TokenSource};
pub use way::Post;
