//! A request that asks for no tunnel, handed to a local handler over HTTP/1.1, and its answer back.
//!
//! Called by `enter` where a listener names a handler. As at every boundary, what strangers say of the way here is
//! taken off, and what is known of the caller put on. One connection for each request; judges nothing.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hbone_conn::{ErrorCode, ReadHalf, Request, Response, Stream, StreamError, WriteHalf};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::identity::SpiffeId;
use crate::leg::TcpLeg;
use crate::metadata::strangers::claims_a_source;
use crate::metadata::{FORWARDED, forwarded};
use crate::outcome::{Break, RelayLimits};
use crate::sockets;
use crate::wire::{Watch, Wire};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) source: Option<&'a SpiffeId>,
    pub(crate) from: SocketAddr,
}

/// Hands a request over, and back what it is answered. A handler that is not there is told as 502, one that says
/// nothing as 504. The status that the caller got, if it got one. Lives no longer than its caller, and no longer than
/// octets move.
pub(crate) async fn hand_over(
    mut stream: Stream,
    request: &Request,
    asker: Asker<'_>,
    to: SocketAddr,
    limits: RelayLimits,
) -> Option<u16> {
    let connected = tokio::select! {
        connected = timeout(CONNECT, Handler::connect(to, limits)) => connected.ok().flatten(),
        _ = stream.reset_by_peer() => return None,
    };
    let Some((mut handler, mut sender)) = connected else {
        return refuse(stream.respond_and_finish(Response::new(502)), 502);
    };
    let (read, mut write) = stream.into_split();
    let whole = Arc::new(AtomicBool::new(false));
    let Some(request) = translated(request, asker, read, &whole) else {
        return refuse(write.respond_and_finish(Response::new(400)), 400);
    };
    let asking = async {
        tokio::select! {
            response = sender.send_request(request) => Some(response),
            _ = write.reset_by_peer() => None,
        }
    };
    let response = match handler.beside(false, asking).await {
        Ok(Some(Ok(response))) => response,
        Ok(Some(Err(_))) => return refuse(write.respond_and_finish(Response::new(502)), 502),
        Ok(None) => return None,
        Err(_) => return refuse(write.respond_and_finish(Response::new(504)), 504),
    };
    let status = response.status().as_u16();
    match handler.beside(true, give_back(&mut write, response)).await {
        Ok(Some(())) => {}
        Ok(None) => return None,
        Err(_) => {
            write.reset(ErrorCode::INTERNAL_ERROR);
            return None;
        }
    }
    drop((write, sender));
    if whole.load(Ordering::Relaxed) {
        handler.http.into_parts().io.into_inner().finish().await;
    }
    Some(status)
}

/// The connection to the handler. Dropped, it is reset.
struct Handler {
    http: http1::Connection<TokioIo<Wire>, BoxBody<Bytes, StreamError>>,
    running: bool,
    /// Until the head of the answer.
    waiting: Watch,
    /// From there on.
    answering: Watch,
}

type Sender = http1::SendRequest<BoxBody<Bytes, StreamError>>;

impl Handler {
    async fn connect(to: SocketAddr, limits: RelayLimits) -> Option<(Self, Sender)> {
        let wire = Wire::new(Box::new(TcpLeg::new(sockets::connect_guarded(to).await.ok()?)));
        let idle = Some(limits.idle.map_or(ANSWER, |idle| idle.min(ANSWER)));
        let (waiting, answering) = (wire.watch(RelayLimits { idle, ..limits }), wire.watch(limits));
        let (sender, http) = http1::handshake(TokioIo::new(wire)).await.ok()?;
        Some((Self { http, running: true, waiting, answering }, sender))
    }

    /// Runs the connection beside some work, until that is done or nothing has moved for too long.
    async fn beside<T>(&mut self, is_answered: bool, work: impl Future<Output = T>) -> Result<T, Break> {
        let Self { http, running, waiting, answering } = self;
        let watch = if is_answered { answering } else { waiting };
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                _ = poll_fn(|cx| http.poll_without_shutdown(cx)), if *running => *running = false,
                broken = poll_fn(|cx| watch.poll_silent(cx)) => return Err(broken),
            }
        }
    }
}

fn refuse(told: Result<(), StreamError>, status: u16) -> Option<u16> {
    told.ok().map(|()| status)
}

/// The request as HTTP/1.1 writes it; none for what it has no words for.
fn translated(
    request: &Request,
    asker: Asker<'_>,
    read: ReadHalf,
    whole: &Arc<AtomicBool>,
) -> Option<hyper::Request<BoxBody<Bytes, StreamError>>> {
    let length = request.field("content-length").map(|length| str::from_utf8(length).ok()?.parse().ok());
    let bodiless = match length {
        None => matches!(request.method(), b"GET" | b"HEAD"),
        Some(length) => length? == 0,
    };
    whole.store(bodiless, Ordering::Relaxed);
    let body = if bodiless {
        Empty::new().map_err(|never| match never {}).boxed()
    } else {
        let (read, whole) = (std::sync::Mutex::new(read), Arc::clone(whole));
        Upload { read, left: length.flatten(), whole }.boxed()
    };
    let mut translated = hyper::Request::new(body);
    *translated.method_mut() = hyper::Method::from_bytes(request.method()).ok()?;
    *translated.uri_mut() = hyper::Uri::try_from(request.path()?).ok()?;
    let fields = translated.headers_mut();
    let mut crumbs = Vec::new();
    for field in request.fields() {
        if field.name.starts_with(b":") || is_of_the_way(field.name) {
            continue;
        }
        // RFC 9113 8.2.3: crumbs are one field again.
        if field.name == b"cookie" {
            crumbs.push(field.value);
            continue;
        }
        let name = HeaderName::from_bytes(field.name).ok()?;
        fields.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    if !crumbs.is_empty() {
        fields.insert("cookie", HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).ok()?);
    }
    if let Some(authority) = request.authority() {
        fields.insert(HOST, HeaderValue::from_bytes(authority).ok()?);
    }
    fields.insert(FORWARDED, HeaderValue::try_from(forwarded::write(asker.from)).ok()?);
    if let Some(source) = asker.source {
        fields.insert(SOURCE, HeaderValue::try_from(source.as_str()).ok()?);
    }
    Some(translated)
}

/// What strangers say of the way here, and what concerns one connection only.
fn is_of_the_way(name: &[u8]) -> bool {
    claims_a_source(name)
        || matches!(name, b"traceparent" | b"tracestate" | b"te" | b"expect" | b"trailer" | b"upgrade")
}

/// None where the answer did not come to its end.
async fn give_back(write: &mut WriteHalf, response: hyper::Response<Incoming>) -> Option<()> {
    let status = response.status().as_u16();
    let mut head = Response::new(status);
    for (name, value) in response.headers() {
        let of_one_connection = matches!(
            name.as_str(),
            "connection" | "keep-alive" | "transfer-encoding" | "upgrade" | "proxy-connection"
        );
        if let (false, Ok(value)) = (of_one_connection, value.to_str()) {
            head.push(name.as_str(), value);
        }
    }
    write.respond(head).ok()?;
    let mut body = response.into_body();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            _ = write.reset_by_peer() => return None,
        };
        match frame {
            None => return write.finish().ok(),
            Some(Ok(frame)) => {
                if let Ok(octets) = frame.into_data() {
                    write.write_chunk(octets).await.ok()?;
                }
            }
            Some(Err(_)) => {
                write.reset(ErrorCode::INTERNAL_ERROR);
                return None;
            }
        }
    }
}

/// The body of a request as it comes.
struct Upload {
    /// The lock is for `Sync`, which a body must be; nobody ever waits for it.
    read: std::sync::Mutex<ReadHalf>,
    /// Octets that are still to come, where the request says how many.
    left: Option<u64>,
    /// Set once all of it was taken.
    whole: Arc<AtomicBool>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let Ok(read) = self.read.get_mut() else { return Poll::Ready(None) };
        let mut octets = Vec::new();
        if let Err(error) = ready!(read.poll_read_chunks(cx, &mut octets, PIECE)) {
            return Poll::Ready(Some(Err(error)));
        }
        let octets: Bytes = octets.concat().into();
        let left = self.left.map(|left| left.saturating_sub(octets.len() as u64));
        self.left = left;
        if octets.is_empty() || left == Some(0) {
            self.whole.store(true, Ordering::Relaxed);
        }
        Poll::Ready((!octets.is_empty()).then(|| Ok(Frame::data(octets))))
    }
}

/// Who asks, for the handler.
const SOURCE: &str = "hbone-source";
const CONNECT: Duration = Duration::from_secs(5);
/// Without an octet that moves, before the head of an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Octets of one piece of a body.
const PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests;
