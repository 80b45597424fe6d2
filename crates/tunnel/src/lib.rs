//! HBONE tunnels: raw TCP over HTTP/2 CONNECT with mTLS.
//!
//! What decides is pure and testable without a socket: [`Authority`] (one grammar), [`SpiffeId`], [`Policy`],
//! [`Route`]. Nothing here reads a configuration file: the node does, and hands over checked values.

#![deny(unsafe_code)]

mod authority;
mod identity;
mod matcher;
mod network;
mod policy;
mod route;
mod tls;
mod verify;

#[cfg(test)]
mod testing;

pub use authority::{Authority, AuthorityError, Host, HostName};
pub use identity::{LeafError, SpiffeError, SpiffeId, TrustDomain, leaf_identity};
pub use matcher::{Source, Target, TargetError};
pub use network::{Class, Network, NetworkError};
pub use policy::{Access, Action, Decision, Denial, Policy, PolicyError, Rule};
pub use route::{Peer, Route, RouteError};
pub use tls::{Identity, IdentityError};
pub use verify::PeerFault;
