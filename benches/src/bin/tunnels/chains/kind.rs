//! Which chains there are, what they are called, and how each is started. Asked by main.rs and cases.rs.

use std::io;

use hbone_benches::report::ContenderInfo;

use super::chain::{Chain, Plan};
use super::{envoy, hbone, openssh, rathole, relay, wstunnel};

/// Who carries the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two nodes of this project.
    Hbone,
    /// Nobody.
    Direct,
    /// Two plain relays.
    Relays,
    /// `ssh -L`.
    OpenSsh,
    /// Two Envoys.
    Envoy,
    /// Two of wstunnel.
    Wstunnel,
    /// Two of rathole.
    Rathole,
}

impl Kind {
    /// All of them; ours is the first.
    pub(crate) const ALL: [Self; 7] =
        [Self::Hbone, Self::Direct, Self::Relays, Self::OpenSsh, Self::Envoy, Self::Wstunnel, Self::Rathole];

    /// The name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hbone => "hbone",
            Self::Direct => "TCP alone",
            Self::Relays => "relays",
            Self::OpenSsh => "OpenSSH",
            Self::Envoy => "Envoy",
            Self::Wstunnel => "wstunnel",
            Self::Rathole => "rathole",
        }
    }

    /// The name on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Hbone => "hbone",
            Self::Direct => "direct",
            Self::Relays => "relays",
            Self::OpenSsh => "openssh",
            Self::Envoy => "envoy",
            Self::Wstunnel => "wstunnel",
            Self::Rathole => "rathole",
        }
    }

    /// The name and what was set.
    pub(crate) fn info(self) -> ContenderInfo {
        let settings = match self {
            Self::Hbone => "two nodes, mutual TLS; default limits; no log line for each tunnel",
            Self::Direct => "client and server alone, plain TCP",
            Self::Relays => "two processes of tokio's copy_bidirectional, buffers of 64 KiB, plain TCP",
            Self::OpenSsh => "ssh -L and sshd, aes128-gcm@openssh.com, all tunnels in one connection",
            Self::Envoy => "two processes, TCP → CONNECT → TCP over HTTP/2 and mutual TLS; default windows",
            Self::Wstunnel => "WebSockets over TLS, a connection for each tunnel",
            Self::Rathole => "the reverse way, Noise",
        };
        ContenderInfo { name: self.name().into(), settings: settings.into() }
    }

    /// Whether it has to take part where peers are required: the others take long to build.
    pub(crate) const fn must_be_there(self) -> bool {
        !matches!(self, Self::Wstunnel | Self::Rathole)
    }

    /// Whether it can run here; otherwise what is missing and how to get it.
    pub(crate) fn find(self) -> Result<(), String> {
        match self {
            Self::Direct | Self::Relays => Ok(()),
            Self::Hbone => hbone::find().map(drop),
            Self::OpenSsh => openssh::find().map(drop),
            Self::Envoy => envoy::find().map(drop),
            Self::Wstunnel => wstunnel::find(),
            Self::Rathole => rathole::find(),
        }
    }

    /// Starts it and waits until it carries octets.
    pub(crate) async fn start(self, plan: Plan) -> io::Result<Chain> {
        let chain = Chain::new(plan)?;
        match self {
            Self::Direct => Ok(chain),
            Self::Relays => relay::start(chain).await,
            Self::Hbone => hbone::start(chain).await,
            Self::OpenSsh => openssh::start(chain).await,
            Self::Envoy => envoy::start(chain).await,
            Self::Wstunnel => wstunnel::start(chain).await,
            Self::Rathole => rathole::start(chain).await,
        }
    }
}
