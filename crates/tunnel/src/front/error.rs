//! Why a client of a listener was not understood, as data.

use std::fmt;
use std::io;
use std::time::Duration;

use super::client_hello::HelloError;
use super::sni::NameError;
use crate::authority::AuthorityError;
use crate::certificates::ShakeError;
use crate::proxy_header::HeaderFault;

/// Why nothing was opened for a client.
#[derive(Clone, Debug, PartialEq)]
pub enum FrontError {
    /// It went away, or its connection failed.
    Gone(io::ErrorKind),
    /// It did not say what it wants within the time.
    Timeout(Duration),
    /// It does not speak SOCKS5.
    NotSocks5 {
        /// What it began with, in place of 5.
        version: u8,
    },
    /// It offers no method of SOCKS5 that the listener takes.
    NoMethod {
        /// Whether the listener wants a user name and a password.
        password: bool,
    },
    /// Its user name or its password is wrong, or missing.
    WrongPassword,
    /// A command of SOCKS5 other than CONNECT.
    Command {
        /// Its number.
        command: u8,
    },
    /// A type of address that SOCKS5 does not have.
    AddressType {
        /// Its number.
        kind: u8,
    },
    /// What it names is no destination.
    Destination(AuthorityError),
    /// Its request's head cannot be taken.
    Head(HeadFault),
    /// Another method of HTTP than CONNECT.
    Method,
    /// It sent no ClientHello with one name.
    Hello(HelloError),
    /// The name in its ClientHello leads nowhere.
    Name(NameError),
    /// No header of the PROXY protocol in front of it, where there must be one.
    Header(HeaderFault),
    /// No rule of a packet filter brought it here.
    NotCaptured,
    /// It was meant for a listener of this node.
    OwnListener,
    /// It is this node's own connection to a peer.
    OwnTraffic,
    /// There is no TLS with it.
    Shake(ShakeError),
}

/// What is wrong with the head of an HTTP/1.1 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// It is none of HTTP/1.1.
    Syntax,
    /// Over 8 KiB or 100 fields.
    TooLarge,
    /// None or several `Host` fields.
    Host,
    /// A CONNECT that announces content.
    Content,
}

impl fmt::Display for FrontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(kind) => write!(f, "the client went away before it said where to go: {kind}"),
            Self::Timeout(after) => {
                write!(f, "the client did not say within {after:?} where to go; check what calls this port")
            }
            Self::NotSocks5 { version } => write!(
                f,
                "the client does not speak SOCKS5, it began with octet {version}; check what calls this port"
            ),
            Self::NoMethod { password: true } => f.write_str(
                "the client offers no user name and password; give it those of this listener's configuration",
            ),
            Self::NoMethod { password: false } => {
                f.write_str("the client insists on a method of authentication; this listener has none")
            }
            Self::WrongPassword => {
                f.write_str("the user name or the password is wrong or missing; compare both ends")
            }
            Self::Command { command } => {
                write!(f, "the client asks for SOCKS5 command {command}; only CONNECT is served here")
            }
            Self::AddressType { kind } => {
                write!(f, "SOCKS5 has no addresses of type {kind}; check what calls this port")
            }
            Self::Destination(error) => write!(f, "the client's destination is malformed: {error}"),
            Self::Head(fault) => write!(f, "the client's request cannot be taken: {fault}"),
            Self::Method => {
                f.write_str("this is a proxy: ask it for a whole `http:` URL, or CONNECT; check what calls this port")
            }
            Self::Hello(error) => {
                write!(f, "the client was not understood: {error}; check what calls this port")
            }
            Self::Shake(error) => write!(f, "no TLS with the client: {error}"),
            Self::Name(error) => write!(f, "the client was refused: {error}"),
            Self::Header(fault) => write!(f, "the connection is refused: {fault}"),
            Self::NotCaptured => f.write_str(
                "nothing redirected the connection to here; check the rules (`hbone capture rules` prints them)",
            ),
            Self::OwnListener => f.write_str(
                "a loop: the connection was meant for a listener of this node; let clients call other addresses",
            ),
            Self::OwnTraffic => f.write_str(
                "a loop: the node's own connection to its peer came back; \
                 leave its mark out of the rules (`hbone capture rules` does)",
            ),
        }
    }
}

impl std::error::Error for FrontError {}

impl From<io::Error> for FrontError {
    fn from(error: io::Error) -> Self {
        Self::Gone(error.kind())
    }
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "it is no HTTP/1.1; check what calls this port",
            Self::TooLarge => "its head is over 8 KiB or 100 fields",
            Self::Host => "it needs exactly one Host field",
            Self::Content => "a CONNECT has no content",
        })
    }
}
