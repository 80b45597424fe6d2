//! The admin port: `GET /metrics` and `GET /ready` over HTTP/1.1, for this host.
//!
//! Started by node.rs, beside the listeners; it stands through a drain to its end. Answers whoever asks by an address
//! or as localhost and nobody else: a name of a stranger's web page that leads here (DNS rebinding) reads nothing.
//! Changes nothing in the node, and knows no keys.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{Drain, metrics};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HOST};
use hyper::http::HeaderValue;
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::bound::Sockets;

/// Answers until it is dropped, and all its callers with it.
pub(crate) async fn serve(sockets: Sockets, drain: Drain) {
    let places = Arc::new(Semaphore::new(CALLERS));
    let mut callers = JoinSet::new();
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let drain = drain.clone();
        let accepted = match &sockets {
            Sockets::Tcp(listeners) => match listeners.first() {
                Some(listener) => {
                    listener.accept().await.map(|(tcp, _)| callers.spawn(call(tcp, drain, place)))
                }
                None => return,
            },
            Sockets::Unix(listener) => {
                listener.accept().await.map(|(unix, _)| callers.spawn(call(unix, drain, place)))
            }
        };
        if let Err(error) = accepted {
            warn!(%error, "the admin port cannot accept");
            sleep(RETRY).await;
        }
        while callers.try_join_next().is_some() {}
    }
}

/// One request of one caller.
async fn call<I>(io: I, drain: Drain, _place: tokio::sync::OwnedSemaphorePermit)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let answering = service_fn(|request| {
        let response = answer(&request, drain.is_draining());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(LIFE).keep_alive(false).max_buf_size(HEAD);
    // What breaks here breaks for this caller alone.
    let _ = timeout(LIFE, http.serve_connection(TokioIo::new(io), answering)).await;
}

fn answer(request: &Request<Incoming>, draining: bool) -> Response<Full<Bytes>> {
    if !is_local(request) {
        return plain(StatusCode::FORBIDDEN, "Ask by address or as localhost.\n".into());
    }
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/ready") {
        return plain(StatusCode::NOT_FOUND, "There are /metrics and /ready.\n".into());
    }
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only.\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    match (path, draining) {
        ("/metrics", _) => {
            let mut response = plain(StatusCode::OK, metrics());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
            response
        }
        (_, false) => plain(StatusCode::OK, "ready\n".into()),
        (_, true) => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
    }
}

/// Whether the caller named this host in a way that no stranger's name service has a say in: in its one Host, and in the
/// target if that is a whole URL.
fn is_local(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let named = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    named.as_ref().is_some_and(is_literal) && request.uri().authority().is_none_or(is_literal)
}

fn is_literal(authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Callers at a time.
const CALLERS: usize = 16;
/// How long one may take.
const LIFE: Duration = Duration::from_secs(10);
/// After a fault of the system.
const RETRY: Duration = Duration::from_millis(100);
/// Octets of a request's head.
const HEAD: usize = 16 << 10;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
