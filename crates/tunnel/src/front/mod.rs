//! How the clients of a listener say where they want to go, and what they are told about it.
//!
//! Called by the outbound side for each connection, before anything is opened. A front reads no octet beyond its own
//! talk that it does not hand on. Opens nothing and decides no way.

mod client;
mod error;

use bytes::Bytes;

pub(crate) use client::{Client, Origin};
pub use error::FrontError;

use crate::authority::Authority;
use crate::error::TunnelError;
use crate::join::End;

/// The talk of a listener with its clients.
#[derive(Clone, Debug)]
pub enum Front {
    /// None: all go to one destination.
    Fixed(Authority),
}

/// What a client wants.
pub(crate) struct Wanted {
    /// The client.
    pub(crate) near: End,
    pub(crate) destination: Authority,
    /// Octets for the destination that came with the talk.
    pub(crate) early: Bytes,
    /// How it is told what came of it.
    pub(crate) reply: Reply,
}

/// What a client is told once its tunnel stands, or that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing: a connection that is reset says enough.
    Silent,
}

impl Front {
    /// Hears what a client wants.
    ///
    /// # Errors
    /// When it says nothing that can be meant; it has been told so, and is reset.
    pub(crate) async fn hear(&self, client: Client) -> Result<Wanted, FrontError> {
        match self {
            Self::Fixed(destination) => Ok(Wanted {
                near: client.into_end(),
                destination: destination.clone(),
                early: Bytes::new(),
                reply: Reply::Silent,
            }),
        }
    }

    /// The destination, where clients have no say in it.
    pub(crate) const fn fixed(&self) -> Option<&Authority> {
        match self {
            Self::Fixed(destination) => Some(destination),
        }
    }
}

impl Reply {
    /// The tunnel stands.
    ///
    /// # Errors
    /// When the client has gone.
    pub(crate) async fn granted(self, _near: &mut End) -> std::io::Result<()> {
        match self {
            Self::Silent => Ok(()),
        }
    }

    /// It does not, and the client is let go.
    pub(crate) async fn refused(self, near: End, _error: &TunnelError) {
        match self {
            Self::Silent => near.reset(),
        }
    }
}
