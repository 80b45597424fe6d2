//! What a web front answers by itself: a status and one line, which tells strangers nothing of the network behind.
//!
//! Called by exchange.rs. The cause stands in the log.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::content::Watched;
use super::table::Lost;
use crate::error::TunnelError;

/// The content of a response: a workload's, or a line of ours.
pub(super) type Content = Either<Watched, Full<Bytes>>;

/// To a request that goes nowhere.
pub(super) fn lost(lost: Lost) -> Response<Content> {
    match lost {
        Lost::Connect => line(StatusCode::METHOD_NOT_ALLOWED, "this is no proxy"),
        Lost::Host => line(StatusCode::BAD_REQUEST, "name one host"),
        Lost::Path => line(StatusCode::BAD_REQUEST, "write the path without dots, `//` and escaped slashes"),
        Lost::Misdirected => line(StatusCode::MISDIRECTED_REQUEST, "this connection is for another host"),
        Lost::Unknown => line(StatusCode::NOT_FOUND, "nothing is served here"),
    }
}

/// To a request whose tunnel does not stand.
pub(super) fn closed(error: &TunnelError) -> Response<Content> {
    let late = matches!(
        error,
        TunnelError::DialTimeout { .. }
            | TunnelError::HandshakeTimeout { .. }
            | TunnelError::SetupTimeout { .. }
            | TunnelError::Rejected { status: 504, .. }
    );
    if late { too_late() } else { line(StatusCode::BAD_GATEWAY, "the service cannot be reached") }
}

pub(super) fn too_late() -> Response<Content> {
    line(StatusCode::GATEWAY_TIMEOUT, "the service did not answer in time")
}

/// To a request whose workload broke off before it answered.
pub(super) fn broken() -> Response<Content> {
    line(StatusCode::BAD_GATEWAY, "the service broke off")
}

/// No content, behind which another protocol begins.
pub(super) fn nothing() -> Content {
    Either::Right(Full::default())
}

fn line(status: StatusCode, text: &'static str) -> Response<Content> {
    let text = format!("{}: {text}\n", status.as_u16());
    let mut response = Response::new(Either::Right(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
