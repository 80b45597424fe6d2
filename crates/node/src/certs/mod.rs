//! Certificates: loading and checking them, and making them for `ca init`, `id issue` and the demo.
//! Never prints key material, never overwrites a file.

mod error;
mod files;
mod issue;
mod load;
mod served;

pub use error::CertificateError;
pub use files::{write_public, write_secret};
pub use issue::{CertificateAuthority, Issued};
pub use load::{Loaded, Paths, load, private};
pub use served::{Pair, load_pair};
