//! One CONNECT on a connection that stands, and its answer.
//!
//! Called by single.rs for its only tunnel, and by `probe` for its last step. Retries nothing, sets no time
//! limit, never opens a connection.

use hbone_conn::{Handle, Request, Stream};

use crate::authority::Authority;
use crate::error::TunnelError;
use crate::reason::Reason;

/// Sends a CONNECT and waits for its 200.
pub(crate) async fn ask(
    handle: &Handle,
    request: Request,
    at: &Authority,
    destination: &Authority,
) -> Result<Stream, TunnelError> {
    let opened = handle.open(request).await;
    let mut stream = opened.map_err(|error| TunnelError::Open { peer: at.clone(), error })?;
    let response = stream.response().await;
    let response = response.map_err(|error| TunnelError::Stream { peer: at.clone(), error })?;
    match response.status() {
        200 => Ok(stream),
        status => {
            let (peer, destination, reason) = (at.clone(), destination.clone(), Reason::of(&response));
            Err(TunnelError::Rejected { peer, destination, status, reason })
        }
    }
}
