//! A request that asks for no tunnel, handed to a local handler over HTTP/1.1, and its answer back.
//!
//! Called by `enter` where a listener names a handler. As at every boundary, what strangers say of the way here is
//! taken off, and what is known of the caller put on. One connection for each request; judges nothing.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hbone_conn::{ErrorCode, ReadHalf, Request, Response, Stream, StreamError, WriteHalf};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::identity::SpiffeId;
use crate::metadata::strangers::claims_a_source;
use crate::metadata::{FORWARDED, forwarded};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) source: Option<&'a SpiffeId>,
    pub(crate) from: SocketAddr,
}

/// Hands a request over, and back what it is answered. A handler that is not there is told as 502, one that says
/// nothing as 504. The status that the caller got, if it got one.
pub(crate) async fn hand_over(
    mut stream: Stream,
    request: &Request,
    asker: Asker<'_>,
    to: SocketAddr,
) -> Option<u16> {
    let handler = async {
        let tcp = TcpStream::connect(to).await.ok()?;
        http1::handshake(TokioIo::new(tcp)).await.ok()
    };
    let Some((mut sender, connection)) = timeout(CONNECT, handler).await.ok().flatten() else {
        return refuse(stream.respond_and_finish(Response::new(502)), 502);
    };
    let (read, mut write) = stream.into_split();
    let Some(request) = translated(request, asker, read) else {
        return refuse(write.respond_and_finish(Response::new(400)), 400);
    };
    let connection = tokio::spawn(connection);
    let answered = match timeout(ANSWER, sender.send_request(request)).await {
        Ok(Ok(response)) => give_back(&mut write, response).await,
        Ok(Err(_)) => refuse(write.respond_and_finish(Response::new(502)), 502),
        Err(_) => refuse(write.respond_and_finish(Response::new(504)), 504),
    };
    connection.abort();
    answered
}

fn refuse(told: Result<(), StreamError>, status: u16) -> Option<u16> {
    told.ok().map(|()| status)
}

/// The request as HTTP/1.1 writes it; none for what it has no words for.
fn translated(
    request: &Request,
    asker: Asker<'_>,
    read: ReadHalf,
) -> Option<hyper::Request<BoxBody<Bytes, StreamError>>> {
    let bodiless = matches!(request.method(), b"GET" | b"HEAD") && request.field("content-length").is_none();
    let body = if bodiless {
        Empty::new().map_err(|never| match never {}).boxed()
    } else {
        Upload(std::sync::Mutex::new(read)).boxed()
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

async fn give_back(write: &mut WriteHalf, response: hyper::Response<Incoming>) -> Option<u16> {
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
        match body.frame().await {
            None => return write.finish().ok().map(|()| status),
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

/// The body of a request as it comes. The lock is for `Sync`, which a body must be; nobody ever waits for it.
struct Upload(std::sync::Mutex<ReadHalf>);

impl Body for Upload {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let Ok(read) = self.0.get_mut() else { return Poll::Ready(None) };
        let mut octets = Vec::new();
        let more = ready!(read.poll_read_chunks(cx, &mut octets, PIECE));
        Poll::Ready(match more {
            Err(error) => Some(Err(error)),
            Ok(_) if !octets.is_empty() => Some(Ok(Frame::data(octets.concat().into()))),
            Ok(_) => None,
        })
    }
}

/// Who asks, for the handler.
const SOURCE: &str = "hbone-source";
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(60);
/// Octets of one piece of a body.
const PIECE: usize = 64 * 1024;
