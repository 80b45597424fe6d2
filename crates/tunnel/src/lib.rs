//! HBONE tunnels: raw TCP over HTTP/2 CONNECT with mTLS.
//!
//! What decides is pure and testable without a socket: [`Authority`] (one grammar), [`SpiffeId`], [`Policy`],
//! [`Route`]. Nothing here reads a configuration file: the node does, and hands over checked values.

#![deny(unsafe_code)]

mod access;
mod ask;
mod authority;
mod carry;
mod certificates;
mod chance;
mod claims;
mod connect;
mod counter;
mod decisive;
mod denial;
mod dial;
mod doorway;
mod downward;
mod drain;
mod egress;
mod enter;
mod errand;
mod error;
mod escape;
mod expiry;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hop;
mod hush;
mod identity;
mod inbound;
mod inbound_config;
mod intake;
mod join;
mod judge;
mod leg;
mod legs;
mod listener;
mod matcher;
mod metadata;
mod metrics;
mod network;
mod observe;
mod onward;
mod open;
mod other;
mod outbound;
mod outcome;
mod policy;
mod pool;
mod pool_plan;
mod post;
mod progress;
mod proxy_header;
mod reach;
mod reason;
mod refusal;
mod reject;
mod relay;
mod resolver;
mod reverse;
mod route;
mod rule;
mod serve;
mod share;
mod silence;
mod single;
mod sockets;
mod splice;
mod tls;
mod upward;
mod verify;
mod watched;
mod way;
mod web;
mod wire;

#[cfg(test)]
mod testing;

pub use access::Access;
pub use authority::{Authority, AuthorityError, Host, HostName};
pub use carry::carry;
pub use certificates::{Certificates, ServedCertificate, ShakeError};
pub use claims::{Claim, Claims};
pub use connect::{ConnectConfig, Step, probe};
pub use denial::Denial;
pub use drain::{Drain, DrainReport, Shutdown, drain};
pub use egress::{Egress, EgressFault, EgressRule};
pub use error::{Class, TunnelError};
pub use escape::Escaped;
pub use front::{Account, Front, FrontError, HeadFault, HelloError, NameError, Names, TlsFront};
pub use hop::{Hop, InsideNode, PlainNode, UnixPlace, WebNode, WebRoots};
pub use identity::{LeafError, SpiffeError, SpiffeId, TrustDomain, leaf_identity};
pub use inbound::Inbound;
pub use inbound_config::{InboundConfig, InboundLimits, Prepared};
pub use judge::is_own_listener;
pub use listener::Listener;
pub use matcher::{ServerName, Source, Target, TargetError};
pub use metrics::metrics;
pub use network::{AddressClass, Network, NetworkError};
pub use onward::HopFault;
pub use outbound::{Outbound, OutboundConfig};
pub use outcome::{Break, Direction, RelayLimits, Relayed};
pub use policy::{Decision, Policy, PolicyError, Rehearsal, Trace};
pub use pool::{Pool, PoolConfig, PoolReport};
pub use post::{InnerFault, KeysAddress, Post, TokenFault, TokenKeys, TokenRefusal, TokenRules, TokenSource};
pub use proxy_header::{HeaderFault, ProxyVersion};
pub use reason::Reason;
pub use reject::Rejection;
pub use relay::relay;
pub use resolver::{Resolve, Resolving, SystemResolver};
pub use reverse::{
    PreparedReverse, Reception, Registry, ReverseConfig, ReverseDialer, ReverseName, ReverseNameError,
    ReverseNames, Serves,
};
pub use route::{Peer, Route, RouteError};
pub use rule::{Action, Choice, Miss, Mode, Rule};
pub use single::{Single, connect};
pub use sockets::mark_connections;
pub use tls::{Identity, IdentityError};
pub use verify::PeerFault;
pub use way::{Double, ReversePeer, Routes, Way};
pub use web::{PathPrefix, WebFront, WebRoute};
