//! How the clients of a listener say where they want to go, and what they are told about it.
//!
//! Called by the outbound side for each connection, before anything is opened. A front reads no octet beyond its own
//! talk that it does not hand on. Opens nothing and decides no way.

mod absolute_form;
mod account;
mod client;
pub(crate) mod client_hello;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod http_connect;
pub(crate) mod preamble;
mod reply;
mod sni;
mod socks5;
mod tls;
mod transparent;
mod trouble;

use std::sync::Arc;

use bytes::Bytes;
use http_connect::Asked;

pub use account::Account;
pub(crate) use client::{Client, Origin};
pub use client_hello::HelloError;
pub use error::{FrontError, HeadFault};
pub(crate) use reply::Reply;
pub use sni::{NameError, Names};
pub use tls::TlsFront;
pub(crate) use tls::shake;
pub(crate) use transparent::check_loop;

use crate::authority::Authority;
use crate::join::End;
use crate::web::WebFront;

/// The talk of a listener with its clients.
#[derive(Clone, Debug)]
pub enum Front {
    /// None: all go to one destination.
    Fixed(Authority),
    /// SOCKS5, by a user name and a password if there is an account.
    Socks5(Option<Arc<Account>>),
    /// CONNECT of HTTP/1.1, likewise.
    HttpConnect(Option<Arc<Account>>),
    /// TLS: the name in the ClientHello, which goes on as it came.
    Sni(Names),
    /// Brought here by REDIRECT.
    Redirect,
    /// Brought here by TPROXY.
    Transparent,
    /// TLS, which is ended here.
    Tls(TlsFront),
    /// Requests of HTTP/1.1, each of which has a tunnel of its own.
    Web(WebFront),
}

/// What a client wants.
pub(crate) struct Wanted {
    /// The client.
    pub(crate) near: End,
    pub(crate) destination: Authority,
    /// Octets for the destination that came with the talk.
    pub(crate) early: Bytes,
    /// How it is told what came of it.
    pub(crate) reply: Reply,
}

impl Front {
    /// Hears what a client wants.
    ///
    /// # Errors
    /// When it says nothing that can be meant; it has been told so, and is gone.
    pub(crate) async fn hear(&self, mut client: Client) -> Result<Wanted, FrontError> {
        match self {
            Self::Fixed(destination) => Ok(Wanted {
                near: client.into_end(),
                destination: destination.clone(),
                early: Bytes::new(),
                reply: Reply::Silent,
            }),
            Self::Socks5(account) => match socks5::talk(&mut client, account.as_deref()).await {
                Ok(destination) => {
                    let (near, early) = (client.into_end(), Bytes::new());
                    Ok(Wanted { near, destination, early, reply: Reply::Socks5 })
                }
                Err(error) => Err(dismiss(client, &[], error).await),
            },
            Self::HttpConnect(account) => match http_connect::talk(&mut client, account.as_deref()).await {
                Ok(Asked { destination, onward: None, behind: early }) => {
                    Ok(Wanted { near: client.into_end(), destination, early, reply: Reply::Http })
                }
                Ok(Asked { destination, onward: Some(head), behind }) => {
                    let early = [&head, &behind[..]].concat().into();
                    Ok(Wanted { near: client.into_end(), destination, early, reply: Reply::HttpOrNothing })
                }
                Err(error) => {
                    let word = http_connect::complaint(&error).unwrap_or_default();
                    Err(dismiss(client, &word, error).await)
                }
            },
            Self::Tls(front) => Ok(Wanted {
                near: shake(&front.certificates, client).await?.0,
                destination: front.destination.clone(),
                early: Bytes::new(),
                reply: Reply::Silent,
            }),
            Self::Sni(names) => match names.talk(&mut client).await {
                Ok((destination, early)) => {
                    Ok(Wanted { near: client.into_end(), destination, early, reply: Reply::Silent })
                }
                Err(error) => Err(dismiss(client, sni::alert(&error), error).await),
            },
            // Its requests are served one by one; a connection as a whole has no destination.
            Self::Web(_) => Err(dismiss(client, &[], FrontError::Method).await),
            Self::Redirect => captured(transparent::redirected(&client), client),
            Self::Transparent => captured(transparent::transparent(&client), client),
        }
    }

    /// Whether its clients do not know of it.
    pub(crate) const fn is_transparent(&self) -> bool {
        matches!(self, Self::Redirect | Self::Transparent)
    }

    /// The destination, where clients have no say in it.
    pub const fn fixed(&self) -> Option<&Authority> {
        match self {
            Self::Fixed(destination) => Some(destination),
            Self::Tls(front) => Some(&front.destination),
            Self::Socks5(_)
            | Self::HttpConnect(_)
            | Self::Redirect
            | Self::Transparent
            | Self::Sni(_)
            | Self::Web(_) => None,
        }
    }
}

/// A client that says nothing of where it goes.
fn captured(meant: Result<Authority, FrontError>, client: Client) -> Result<Wanted, FrontError> {
    match meant {
        Ok(destination) => {
            let (near, early, reply) = (client.into_end(), Bytes::new(), Reply::Silent);
            Ok(Wanted { near, destination, early, reply })
        }
        Err(error) => {
            client.into_end().reset();
            Err(error)
        }
    }
}

/// Lets a client go with a last word, unless it has gone by itself.
async fn dismiss(client: Client, word: &[u8], error: FrontError) -> FrontError {
    if matches!(
        error,
        FrontError::Gone(_) | FrontError::NotSocks5 { .. } | FrontError::Hello(HelloError::NotTls)
    ) {
        client.into_end().reset();
    } else {
        reply::let_go(client.into_end(), word).await;
    }
    error
}
