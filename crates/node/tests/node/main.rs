//! Tests of the node from outside: the real binary, real files, real sockets, other programs as peers.

#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

mod bad_input;
mod capture;
mod chain;
mod commands;
mod common;
mod config_faults;
mod connect;
mod demo;
mod dial;
mod documents;
mod double;
mod egress;
mod explain;
mod fake;
mod fidelity;
mod gateway;
mod gateway_faults;
mod gateways;
mod half_open;
mod interop_envoy;
mod interop_nghttpx;
mod interop_scripts;
mod kills;
mod metadata;
mod modes;
mod nat;
mod others;
mod policies;
mod posts;
mod process;
mod proxies;
mod proxy_protocol;
mod readme;
mod refusals;
mod reload;
mod reverse;
mod signals;
mod sni;
mod stalled;
mod tls_front;
mod tunnels;
mod unix;
mod web;
mod web_front;
