//! From a stream to a caller that may be judged: what it asks for, and who it is.
//!
//! Called by `serve` for every stream. A CONNECT is whoever its connection is; a POST with `x-tun` is whoever shows an
//! identity inside its stream, whatever brought it here. Judges and dials nothing.

use std::sync::Arc;

use hbone_conn::{Request, Response, Stream, StreamError};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::authority::Authority;
use crate::decisive::repeated;
use crate::errand::Errand;
use crate::inbound_config::{InboundConfig, Snapshot};
use crate::join::End;
use crate::judge::Who;
use crate::leg::InnerLeg;
use crate::other::{Asker, hand_over};
use crate::outcome::Break;
use crate::post::{InnerFault, TokenRefusal, inner};
use crate::reason::Reason;
use crate::reject::Rejection;

/// A caller that may be judged.
pub(crate) struct Entered {
    pub(crate) near: Near,
    pub(crate) who: Who,
    pub(crate) authority: Authority,
    /// It is inside its stream: what stands in the request are the words of whoever brought it.
    pub(crate) inside: bool,
}

/// The caller's end of a tunnel to be.
pub(crate) struct Near {
    end: End,
    /// TLS inside the stream needs the 200 before anything is judged.
    answered: bool,
}

/// Why there is no caller to be judged.
pub(crate) enum Refused {
    /// It has been told so.
    Rejected(Rejection),
    /// It asked for something else, and got an answer of that status, if it was still there.
    Served(Option<u16>),
}

impl From<Rejection> for Refused {
    fn from(why: Rejection) -> Self {
        Self::Rejected(why)
    }
}

/// Finds out what a stream asks for and who asks. What asks for nothing that is to be had has been answered.
pub(crate) async fn enter(
    request: &Request,
    mut stream: Stream,
    who: Who,
    snapshot: &Snapshot,
) -> Result<Entered, Refused> {
    let config = &snapshot.config;
    if let Some(field) = repeated(request) {
        return Err(refused(stream, request, config, Rejection::Repeated { field }));
    }
    let authority = match Errand::of(request, &config.services) {
        Ok(Errand::Tunnel(authority)) => {
            let near = Near { end: End::Stream(stream), answered: false };
            return Ok(Entered { near, who, authority, inside: false });
        }
        Ok(Errand::Inside(authority)) => authority,
        Ok(Errand::Other) if let Some(to) = config.other_requests => {
            let asker = Asker { source: who.source.as_deref(), from: who.from };
            return Err(Refused::Served(hand_over(stream, request, asker, to, config.relay).await));
        }
        Ok(Errand::Other) => return Err(refused(stream, request, config, Rejection::NotTunnel)),
        Err(rejection) => return Err(refused(stream, request, config, rejection)),
    };
    let admitted = match &config.tokens {
        None => None,
        Some(rules) => match rules.judge(request).await {
            Ok(admitted) => Some(admitted),
            Err(refusal) => return Err(refused(stream, request, config, Rejection::Token(refusal))),
        },
    };
    // Whoever is in the middle reads this answer: nothing is told of this workload.
    let gone = |error| Rejection::Inner(InnerFault::Stream(error));
    stream.respond(Response::new(200)).map_err(gone)?;
    let limit = config.handshake_timeout;
    let shaken = timeout(limit, inner::accept(stream, &snapshot.tls, &authority)).await;
    let (tls, source) = shaken.unwrap_or(Err(InnerFault::Timeout(limit))).map_err(Rejection::Inner)?;
    let name = match &tls {
        TlsStream::Server(tls) => tls.get_ref().1.server_name().map(str::to_owned),
        TlsStream::Client(_) => None,
    };
    let near = Near { end: End::Other(Box::new(InnerLeg::new(tls))), answered: true };
    if admitted.as_ref().is_some_and(|admitted| !admitted.is_for(&source)) {
        let why = Rejection::Token(TokenRefusal::OtherIdentity);
        near.refused(&why, config.istio_status);
        return Err(why.into());
    }
    let claims = admitted.map(|admitted| admitted.claims);
    let who = Who { claims, ..Who::new(Some(Arc::new(source)), who.from).naming(name.as_deref()) };
    Ok(Entered { near, who, authority, inside: true })
}

fn refused(mut stream: Stream, request: &Request, config: &InboundConfig, why: Rejection) -> Refused {
    let status = why.status(config.istio_status);
    let mut response = Response::new(status);
    if request.is_connect() {
        // A caller that is gone by now needs no answer.
        let _ = stream.respond_and_finish(response);
        return why.into();
    }
    if status == 401 {
        response.push("www-authenticate", "Bearer");
    }
    if status == 405 {
        response.push("allow", "CONNECT, POST");
    }
    response.push("content-type", "text/plain; charset=utf-8");
    let told = stream.respond(response).and_then(|()| stream.send_chunk(why.advice().into()));
    let _ = told.and_then(|()| stream.finish());
    why.into()
}

impl Near {
    /// Ready once it has failed.
    pub(crate) async fn failure(&mut self) -> Break {
        self.end.failure().await
    }

    /// The tunnel stands: the caller may know.
    pub(crate) fn granted(mut self, baggage: Option<&str>) -> Result<End, StreamError> {
        if let (End::Stream(stream), false) = (&mut self.end, self.answered) {
            let mut response = Response::new(200);
            if let Some(baggage) = baggage {
                response.push("baggage", baggage);
            }
            stream.respond(response)?;
        }
        Ok(self.end)
    }

    /// There is no tunnel. Behind a 200 nothing is left to say it with but a reset.
    pub(crate) fn refused(self, why: &Rejection, istio_status: bool) {
        match self.end {
            End::Stream(mut stream) if !self.answered => {
                let mut response = Response::new(why.status(istio_status));
                if let Some(reason) = why.reason() {
                    response.push(Reason::FIELD, &reason.value());
                }
                // A caller that is gone by now needs no answer.
                let _ = stream.respond_and_finish(response);
            }
            end @ (End::Tcp(_) | End::Stream(_) | End::Other(_)) => end.reset(),
        }
    }
}
