//! The names of errors for metrics: finite, unique, of one shape, and free of what a peer says.

use std::collections::HashSet;
use std::io;

use bytes::Bytes;
use hbone_frame::ErrorCode;

use crate::proto::{ConnectionError, Flood, Misuse, OpenError, StreamError, Timeout, Violation};

fn goaway(code: u32, debug: &'static [u8]) -> ConnectionError {
    ConnectionError::Goaway { code: ErrorCode(code), debug: Bytes::from_static(debug) }
}

fn timeouts() -> [Timeout; 4] {
    // A new one must be added here: the match does not compile without it.
    match Timeout::Handshake {
        Timeout::Handshake | Timeout::SettingsAck | Timeout::HeaderBlock | Timeout::Keepalive => {}
    }
    [Timeout::Handshake, Timeout::SettingsAck, Timeout::HeaderBlock, Timeout::Keepalive]
}

/// One of each, but for those that only wrap another.
fn connection_errors() -> Vec<ConnectionError> {
    let mut all = vec![
        ConnectionError::Closed,
        ConnectionError::Eof,
        goaway(2, b""),
        ConnectionError::Io(io::ErrorKind::BrokenPipe),
        ConnectionError::Local(ErrorCode::CANCEL),
    ];
    match &all[0] {
        ConnectionError::Closed
        | ConnectionError::Eof
        | ConnectionError::Goaway { .. }
        | ConnectionError::Protocol(_)
        | ConnectionError::Timeout(_)
        | ConnectionError::Io(_)
        | ConnectionError::Local(_) => {}
    }
    all.extend(timeouts().map(ConnectionError::Timeout));
    all.extend(Violation::all().into_iter().map(ConnectionError::Protocol));
    all
}

fn stream_errors() -> Vec<StreamError> {
    let all = vec![
        StreamError::Reset(ErrorCode::CANCEL),
        StreamError::Cancelled(ErrorCode::CANCEL),
        StreamError::Deadline,
        StreamError::Goaway,
        StreamError::Finished,
    ];
    match &all[0] {
        StreamError::Reset(_)
        | StreamError::Cancelled(_)
        | StreamError::Protocol(_)
        | StreamError::Deadline
        | StreamError::Goaway
        | StreamError::Connection(_)
        | StreamError::Finished => {}
    }
    all
}

fn open_errors() -> Vec<OpenError> {
    let all = vec![
        OpenError::Blocked,
        OpenError::Draining,
        OpenError::Exhausted,
        OpenError::Role,
        OpenError::Invalid(Misuse::ProtocolNotEnabled),
        OpenError::Memory,
        OpenError::Deadline,
    ];
    match &all[0] {
        OpenError::Blocked
        | OpenError::Draining
        | OpenError::Exhausted
        | OpenError::Role
        | OpenError::Invalid(_)
        | OpenError::Memory
        | OpenError::Deadline
        | OpenError::Closed(_) => {}
    }
    all
}

#[test]
fn every_error_has_a_label_of_its_own_in_snake_case() {
    let connection = connection_errors();
    let labels: Vec<_> = (connection.iter().map(ConnectionError::label))
        .chain(stream_errors().iter().map(StreamError::label))
        .chain(open_errors().iter().map(OpenError::label))
        .collect();
    let mut seen = HashSet::new();
    for label in labels {
        assert!(seen.insert(label), "{label} stands for two errors");
        let words = label.split('_').all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        });
        assert!(words && label.len() <= 40, "{label}");
    }
    assert_eq!(
        Violation::all().len(),
        Violation::all().iter().map(|v| v.label()).collect::<HashSet<_>>().len()
    );
}

#[test]
fn errors_that_wrap_others_are_called_by_their_cause() {
    for violation in Violation::all() {
        assert_eq!(StreamError::Protocol(violation).label(), violation.label());
    }
    for error in connection_errors() {
        assert_eq!(StreamError::Connection(error.clone()).label(), error.label());
        assert_eq!(OpenError::Closed(error.clone()).label(), error.label());
    }
    assert!(Flood::ALL.iter().all(|flood| flood.label().starts_with("flood_")));
}

#[test]
fn nothing_that_a_peer_chooses_gets_into_a_label() {
    for code in [0, 7, 0xdead, u32::MAX] {
        assert_eq!(goaway(code, b"\"evil\"} 1").label(), "goaway");
        assert_eq!(StreamError::Reset(ErrorCode(code)).label(), "reset");
    }
    assert_eq!(ErrorCode(0xdead).label(), "unknown");
    let codes: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.label()).collect();
    assert_eq!(codes.len(), 14);
    for code in ErrorCode::ALL {
        assert_eq!(Some(code.label().to_uppercase().as_str()), code.name());
    }
}

#[test]
fn rfc9113_8_7_only_what_was_certainly_not_processed_is_retryable() {
    let retryable = |error: &StreamError| error.is_retryable();
    assert!(retryable(&StreamError::Goaway) && retryable(&StreamError::Reset(ErrorCode::REFUSED_STREAM)));
    for code in ErrorCode::ALL.iter().filter(|code| **code != ErrorCode::REFUSED_STREAM) {
        assert!(!retryable(&StreamError::Reset(*code)), "{code}");
    }
    assert!(!retryable(&StreamError::Cancelled(ErrorCode::REFUSED_STREAM)));
    for error in connection_errors() {
        assert!(!retryable(&StreamError::Connection(error)));
    }
}
