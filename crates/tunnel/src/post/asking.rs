//! The caller's side of the POST mode: a request at the proxy, its 200, then TLS with the far end inside the stream.
//!
//! Called by `open`. What is told of this workload does not go along: the proxy needs the destination only, and a
//! count that ends circles.

use std::sync::Arc;

use hbone_conn::Request;

use crate::authority::Authority;
use crate::error::TunnelError;
use crate::identity::SpiffeId;
use crate::join::End;
use crate::leg::InnerLeg;
use crate::onward::HOPS;
use crate::pool::{Lease, Opened, Pool};
use crate::post::{Post, inner};
use crate::reason::Reason;
use crate::tls::Identity;

/// The far end, who it is, and the place on the connection to the proxy.
pub(crate) struct Asked {
    pub(crate) end: End,
    pub(crate) peer: SpiffeId,
    pub(crate) lease: Lease,
}

/// Opens a tunnel; sets no limit of time.
pub(crate) async fn ask(
    pool: &Pool,
    identity: &Arc<Identity>,
    post: &Post,
    destination: &Authority,
    hops: Option<&str>,
) -> Result<Asked, TunnelError> {
    let named = post.named();
    let mut request = Request::new("POST", "https", &named, "/");
    request.push(X_TUN, &destination.to_string());
    if let Some(hops) = hops {
        request.push(HOPS, hops);
    }
    if let Some(service) = &post.service {
        request.push(X_SERVICE, service);
    }
    if let Some(token) = &post.token {
        let audience = format!("https://{named}");
        let bearer = token.bearer(&audience).await;
        let bearer = bearer.map_err(|fault| TunnelError::Token { peer: post.address().clone(), fault })?;
        request.push_sensitive("authorization", &format!("Bearer {}", bearer.expose()));
    }
    let Opened { stream, response, lease } = pool.connect(identity, &post.hop, &request).await?;
    let status = response.status();
    if status != 200 {
        if let (401 | 403, Some(token)) = (status, &post.token) {
            token.forget();
        }
        let (peer, destination) = (post.address().clone(), destination.clone());
        return Err(TunnelError::Rejected { peer, destination, status, reason: Reason::of(&response) });
    }
    let shaken = inner::connect(stream, identity, &post.expected, destination).await;
    let (tls, peer) = shaken.map_err(|fault| TunnelError::Inner { peer: post.address().clone(), fault })?;
    Ok(Asked { end: End::Other(Box::new(InnerLeg::new(tls))), peer, lease })
}

/// The field of the destination.
pub(crate) const X_TUN: &str = "x-tun";
/// The field of a service's name.
pub(crate) const X_SERVICE: &str = "x-service";
