//! Hears the name that a client asks for (SNI, RFC 6066 3): rustls' unbuffered server tells it only to whom it asks
//! for a certificate. Made for each connection by the handshake; chooses nothing itself.

use std::sync::{Arc, OnceLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A name, once it was heard.
pub(super) type Name = Arc<OnceLock<String>>;

/// Asks `within` and notes the name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) within: Arc<dyn ResolvesServerCert>,
    pub(super) name: Name,
}

impl ResolvesServerCert for Named {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // A second hello of the same handshake asks for the same.
            let _ = self.name.set(name.to_owned());
        }
        self.within.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.within.only_raw_public_keys()
    }
}
