//! From a way and a destination to the far end of a tunnel that stands.
//!
//! Called by the outbound side for clients and by the inbound side for what it sends on. What the far node is told
//! comes as fields. Decides neither way nor policy; answers nobody.

use std::sync::Arc;
use std::time::Duration;

use hbone_conn::Request;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::error::TunnelError;
use crate::hop::Hop;
use crate::identity::SpiffeId;
use crate::join::End;
use crate::onward::HOPS;
use crate::pool::{Lease, Opened, Pool};
use crate::post::Post;
use crate::post::asking::{self, Asked};
use crate::reason::Reason;
use crate::reverse::Answered;
use crate::tls::Identity;
use crate::way::{ReversePeer, Way};

/// What tunnels are opened with.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) pool: Pool,
    pub(crate) identity: Arc<Identity>,
    /// For all of it.
    pub(crate) after: Duration,
}

/// The far end of a tunnel.
pub(crate) struct Passage {
    pub(crate) end: End,
    /// Of the answer.
    pub(crate) status: u16,
    /// Who answered, if it has said so.
    pub(crate) peer: Option<SpiffeId>,
    /// The place on a connection of the pool, held as long as the tunnel.
    pub(crate) lease: Option<Lease>,
}

/// Fields of the request, by name and value.
pub(crate) type Told = [(&'static str, String)];

impl Opener {
    /// Opens a tunnel, within the limit of time.
    ///
    /// # Errors
    /// What stopped it; [`TunnelError::Rejected`] for every status but 200.
    pub(crate) async fn open(
        &self,
        way: &Way,
        destination: &Authority,
        told: &Told,
    ) -> Result<Passage, TunnelError> {
        match way {
            Way::Node(peer) => self.through(&Hop::Node(peer.clone()), destination, told).await,
            Way::Post(post) => self.inside(post, destination, told).await,
            Way::Plain(plain) => self.through(&Hop::Plain(plain.clone()), destination, told).await,
            Way::Reverse(peer) => self.down(peer, destination, told).await,
            Way::Double(double) => {
                let mut told = told.to_vec();
                told.extend(double.network.iter().map(|network| ("x-forwarded-network", network.clone())));
                self.through(&double.hop(destination), destination, &told).await
            }
        }
    }

    async fn inside(
        &self,
        post: &Post,
        destination: &Authority,
        told: &Told,
    ) -> Result<Passage, TunnelError> {
        let hops = told.iter().find(|(name, _)| *name == HOPS).map(|(_, hops)| hops.as_str());
        let asking = asking::ask(&self.pool, &self.identity, post, destination, hops);
        let late = || TunnelError::SetupTimeout { peer: post.address().clone(), after: self.after };
        let Asked { end, peer, lease } = timeout(self.after, asking).await.map_err(|_| late())??;
        Ok(Passage { end, status: 200, peer: Some(peer), lease: Some(lease) })
    }

    async fn through(&self, hop: &Hop, destination: &Authority, told: &Told) -> Result<Passage, TunnelError> {
        let request = request(destination, told);
        let opened = timeout(self.after, self.pool.connect(&self.identity, hop, &request)).await;
        let late = || TunnelError::SetupTimeout { peer: hop.address().clone(), after: self.after };
        let Opened { stream, response, lease } = opened.map_err(|_| late())??;
        match response.status() {
            // Exactly 200: any other answer to a CONNECT is no tunnel of HBONE.
            200 => {
                let who = lease.peer().cloned();
                Ok(Passage { end: End::Stream(stream), status: 200, peer: who, lease: Some(lease) })
            }
            status => {
                let (peer, destination) = (hop.address().clone(), destination.clone());
                Err(TunnelError::Rejected { peer, destination, status, reason: Reason::of(&response) })
            }
        }
    }

    /// Through a node that has dialled this one.
    async fn down(
        &self,
        to: &ReversePeer,
        destination: &Authority,
        told: &Told,
    ) -> Result<Passage, TunnelError> {
        let request = request(destination, told);
        let opening = self.pool.registry().open(&to.name, &to.expected, &request);
        let late = || TunnelError::NotRegistered { name: to.name.clone() };
        let Answered { stream, response, peer, from } =
            timeout(self.after, opening).await.map_err(|_| late())??;
        match response.status() {
            200 => Ok(Passage { end: End::Stream(stream), status: 200, peer: Some(peer), lease: None }),
            status => {
                let (destination, reason) = (destination.clone(), Reason::of(&response));
                Err(TunnelError::Rejected { peer: from, destination, status, reason })
            }
        }
    }
}

fn request(destination: &Authority, told: &Told) -> Request {
    let mut request = Request::connect(&destination.to_string());
    for (name, value) in told {
        request.push(name, value);
    }
    request
}
