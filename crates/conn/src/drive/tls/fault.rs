//! What can be wrong with a peer's records, and the alert that it is told by. Plain data.

use std::{fmt, io};

use rustls::{AlertDescription, InvalidMessage, PeerMisbehaved};

/// Why a connection's records are not read on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// A record that was not sealed with the peer's key, or was changed on its way (RFC 8446 5.2).
    BadRecord,
    /// More octets than a record may have (RFC 8446 5.1 and 5.2).
    RecordTooLong,
    /// Nothing but padding (RFC 8446 5.4).
    NoContentType,
    /// A type of record that has no place here (RFC 8446 5).
    ContentType(u8),
    /// A handshake message or an alert without octets (RFC 8446 5.1).
    EmptyFragment,
    /// Something else between the parts of a handshake message (RFC 8446 5.1).
    Interleaved,
    /// A handshake message that has no place after the handshake (RFC 8446 4.6).
    HandshakeType(u8),
    /// A handshake message that is larger than any that is taken.
    MessageTooLong,
    /// A KeyUpdate that does not end its record (RFC 8446 5.1).
    Unaligned,
    /// A KeyUpdate of another size than one octet (RFC 8446 4.6.3).
    KeyUpdateLength,
    /// A KeyUpdate that asks for something unknown (RFC 8446 4.6.3).
    KeyUpdateRequest,
    /// An alert of another size than two octets (RFC 8446 6).
    AlertLength,
    /// The peer's alert: it has given up (RFC 8446 6.2).
    Alert(u8),
    /// Too many KeyUpdates without data between them.
    KeyUpdates,
    /// Too many records without content in a row.
    EmptyRecords,
    /// Too many tickets without data between them.
    Tickets,
    /// Too many alerts that mean nothing.
    Warnings,
    /// A key has sealed or opened as many records as it may (RFC 8446 5.3).
    Exhausted,
    /// What rustls says of keys and tickets.
    Rustls(rustls::Error),
}

impl Fault {
    /// What the peer is told; `None` where it knows.
    pub(super) const fn alert(&self) -> Option<AlertDescription> {
        Some(match self {
            Self::BadRecord => AlertDescription::BadRecordMac,
            Self::RecordTooLong => AlertDescription::RecordOverflow,
            Self::NoContentType
            | Self::ContentType(_)
            | Self::EmptyFragment
            | Self::Interleaved
            | Self::HandshakeType(_)
            | Self::Unaligned
            | Self::KeyUpdates
            | Self::EmptyRecords
            | Self::Tickets
            | Self::Warnings => AlertDescription::UnexpectedMessage,
            Self::MessageTooLong | Self::KeyUpdateLength | Self::AlertLength => AlertDescription::DecodeError,
            Self::KeyUpdateRequest => AlertDescription::IllegalParameter,
            Self::Exhausted => AlertDescription::InternalError,
            // The only octets that rustls reads here are a ticket's.
            Self::Rustls(_) => AlertDescription::DecodeError,
            Self::Alert(_) => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRecord => f.write_str("a record cannot be opened"),
            Self::RecordTooLong => f.write_str("a record is too long"),
            Self::NoContentType => f.write_str("a record is nothing but padding"),
            Self::ContentType(kind) => write!(f, "a record of type {kind} has no place here"),
            Self::EmptyFragment => f.write_str("a part of a message has no octets"),
            Self::Interleaved => f.write_str("a handshake message is interrupted"),
            Self::HandshakeType(kind) => {
                write!(f, "a handshake message of type {kind} has no place here")
            }
            Self::MessageTooLong => f.write_str("a handshake message is too long"),
            Self::Unaligned => f.write_str("a KeyUpdate does not end its record"),
            Self::KeyUpdateLength => f.write_str("a KeyUpdate is not one octet"),
            Self::KeyUpdateRequest => f.write_str("a KeyUpdate asks for something unknown"),
            Self::AlertLength => f.write_str("an alert is not two octets"),
            Self::Alert(code) => {
                write!(f, "the peer sent the alert {:?}", AlertDescription::from(*code))
            }
            Self::KeyUpdates => f.write_str("too many KeyUpdates without data"),
            Self::EmptyRecords => f.write_str("too many records without content"),
            Self::Tickets => f.write_str("too many tickets without data"),
            Self::Warnings => f.write_str("too many warnings"),
            Self::Exhausted => f.write_str("a key was used as often as it may"),
            Self::Rustls(error) => write!(f, "{error}"),
        }
    }
}

impl From<Fault> for rustls::Error {
    /// What rustls says of the same, where it has a word for it.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Rustls(error) => error,
            Fault::Alert(code) => Self::AlertReceived(code.into()),
            Fault::BadRecord => Self::DecryptError,
            Fault::RecordTooLong => Self::PeerSentOversizedRecord,
            Fault::KeyUpdates => PeerMisbehaved::TooManyKeyUpdateRequests.into(),
            Fault::Warnings => PeerMisbehaved::TooManyWarningAlertsReceived.into(),
            Fault::Unaligned => PeerMisbehaved::KeyEpochWithPendingFragment.into(),
            Fault::MessageTooLong => InvalidMessage::HandshakePayloadTooLarge.into(),
            Fault::EmptyFragment => InvalidMessage::InvalidEmptyPayload.into(),
            Fault::KeyUpdateLength | Fault::KeyUpdateRequest => InvalidMessage::InvalidKeyUpdate.into(),
            Fault::NoContentType
            | Fault::ContentType(_)
            | Fault::Interleaved
            | Fault::HandshakeType(_)
            | Fault::AlertLength
            | Fault::EmptyRecords
            | Fault::Tickets
            | Fault::Exhausted => Self::General(fault.to_string()),
        }
    }
}

impl From<Fault> for io::Error {
    /// Whoever makes the records, what is inside is an error of rustls.
    fn from(fault: Fault) -> Self {
        Self::new(io::ErrorKind::InvalidData, rustls::Error::from(fault))
    }
}
