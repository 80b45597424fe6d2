//! Where TLS clients want to go by the name in their ClientHello, which is read and never answered (port 15443).
//!
//! Called by `Front::hear`. `outbound_.PORT_.SUBSET_.HOST` means HOST:PORT, any other name means its port 443. Clients
//! are strangers with a wish, so only names that the configuration lists are let through. What was read goes on to the
//! destination as it came; TLS is between it and the client.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::client::Client;
use super::client_hello::{ClientHello, HelloError};
use super::error::FrontError;
use crate::authority::{Authority, AuthorityError, Host, HostName};
use crate::matcher::Target;

/// The names that are let through.
#[derive(Clone, Debug)]
pub struct Names(Arc<[Target]>);

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is no host name, or what stands for the port is none.
    Malformed(AuthorityError),
    /// It begins as `outbound_.PORT_.SUBSET_.HOST` and goes on otherwise.
    Outbound,
    /// It is not among the configured ones.
    Unknown {
        /// Where it would lead.
        destination: Authority,
    },
}

impl Names {
    /// Lets through what one of the targets matches.
    pub fn new(targets: Vec<Target>) -> Self {
        Self(targets.into())
    }

    /// Whether this listener leads there.
    pub fn lead_to(&self, destination: &Authority) -> bool {
        self.0.iter().any(|target| target.matches(destination))
    }

    /// Reads the ClientHello: where it leads, and what was read.
    pub(super) async fn talk(&self, client: &mut Client) -> Result<(Authority, Bytes), FrontError> {
        let mut hello = ClientHello::default();
        let name = read(client, &mut hello).await?;
        let destination = self.destination(&name).map_err(FrontError::Name)?;
        Ok((destination, hello.into_octets()))
    }

    /// Where a name leads.
    fn destination(&self, name: &[u8]) -> Result<Authority, NameError> {
        let destination = destination(name)?;
        if self.lead_to(&destination) { Ok(destination) } else { Err(NameError::Unknown { destination }) }
    }
}

/// The name, once the whole ClientHello has come.
async fn read(client: &mut Client, hello: &mut ClientHello) -> Result<Vec<u8>, FrontError> {
    let mut buffer = [0; 2048];
    loop {
        let taken = client.read(&mut buffer).await.map_err(|error| FrontError::Gone(error.kind()))?;
        if taken == 0 {
            return Err(FrontError::Gone(std::io::ErrorKind::UnexpectedEof));
        }
        if let Some(name) = hello.take(&buffer[..taken]).map_err(FrontError::Hello)? {
            return Ok(name);
        }
    }
}

/// What a name means.
fn destination(name: &[u8]) -> Result<Authority, NameError> {
    let name = str::from_utf8(name).map_err(|_| NameError::Malformed(AuthorityError::Character))?;
    // RFC 6066 3: names are compared without regard to case.
    let name = name.to_ascii_lowercase();
    let mut text = format!("{}:443", name.parse::<HostName>().map_err(NameError::Malformed)?);
    let mut parts = name.splitn(4, "_.");
    if parts.next() == Some("outbound") && name != "outbound" {
        let (Some(port), Some(_), Some(host)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NameError::Outbound);
        };
        text = format!("{host}:{port}");
    }
    let destination: Authority = text.parse().map_err(NameError::Malformed)?;
    match destination.host() {
        Host::Name(_) => Ok(destination),
        // RFC 6066 3: an address is no name.
        Host::Address(_) => Err(NameError::Malformed(AuthorityError::NumericName)),
    }
}

/// What a client that was not understood is told: a fatal alert in the clear (RFC 8446 6), as nothing has been agreed
/// on yet.
pub(super) const fn alert(error: &FrontError) -> &'static [u8] {
    if matches!(error, FrontError::Hello(HelloError::NotTls) | FrontError::Gone(_)) {
        b""
    } else if matches!(error, FrontError::Hello(HelloError::NoName)) {
        // missing_extension
        b"\x15\x03\x03\x00\x02\x02\x6d"
    } else if matches!(error, FrontError::Name(NameError::Unknown { .. })) {
        // unrecognized_name (RFC 6066 3)
        b"\x15\x03\x03\x00\x02\x02\x70"
    } else {
        // decode_error
        b"\x15\x03\x03\x00\x02\x02\x32"
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "the name in its ClientHello is none: {error}"),
            Self::Outbound => f.write_str(
                "the name in its ClientHello begins as outbound_.PORT_.SUBSET_.HOST and does not go on so",
            ),
            Self::Unknown { destination } => write!(
                f,
                "the name in its ClientHello means {destination}, which `names` does not list; add it there \
                 if strangers may reach it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> Result<String, NameError> {
        destination(name.as_bytes()).map(|destination| destination.to_string())
    }

    #[test]
    fn t21_names_mean_port_443_and_istio_names_their_own_port() {
        for (name, expected) in [
            ("web.example", "web.example:443"),
            ("WEB.Example", "web.example:443"),
            ("outbound_.8080_._.web.svc.cluster.local", "web.svc.cluster.local:8080"),
            ("outbound_.8080_.v1_.web.example", "web.example:8080"),
            ("outbound_.80_._.a_.b.example", "a_.b.example:80"),
            ("outbound.example", "outbound.example:443"),
            ("outbound", "outbound:443"),
        ] {
            assert_eq!(at(name).as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn t21_names_that_mean_nothing_are_refused() {
        for name in [
            "outbound_.80_.web.example",
            "outbound_.web.example",
            "outbound_.080_._.web.example",
            "outbound_.70000_._.web.example",
            "outbound_.80_._.10.0.0.1",
            "outbound_.x_._.web.example",
            "10.0.0.1",
            "web.example.",
            "web.example:80",
            "web..example",
            "a b",
            "ä.example",
        ] {
            assert!(at(name).is_err(), "{name}: {:?}", at(name));
        }
        assert!(destination(b"\xff.example").is_err());
    }

    #[test]
    fn t21_only_configured_names_are_let_through() {
        let targets = ["*.example:443", "db.internal:5432"].map(|text| text.parse().unwrap());
        let names = Names::new(targets.to_vec());
        let allows = |name: &str| names.destination(name.as_bytes()).is_ok();
        assert!(allows("web.example") && allows("outbound_.5432_._.db.internal"));
        for name in ["example", "db.internal", "outbound_.80_._.web.example", "web.example.evil"] {
            let refused = names.destination(name.as_bytes());
            assert!(matches!(refused, Err(NameError::Unknown { .. })), "{name}: {refused:?}");
        }
        assert!(Names::new(Vec::new()).destination(b"web.example").is_err());
    }
}
