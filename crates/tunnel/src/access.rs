//! What a policy is asked about: who wants to go where, by which listener, and what the destination is protected as.
//!
//! Built for every tunnel by the side that serves it, and by `explain`. Holds facts only; matches and decides nothing.

use std::net::IpAddr;

use crate::authority::Authority;
use crate::claims::Claims;
use crate::identity::SpiffeId;
use crate::matcher::Target;
use crate::network::{AddressClass, canonical, protected};

/// The facts about one tunnel. What is not known is `None`, and no allow rule that asks for it matches.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The caller, if it was authenticated.
    pub source: Option<&'a SpiffeId>,
    /// The address that the caller comes from.
    pub from: Option<IpAddr>,
    /// The listener that was called, by name.
    pub listener: &'a str,
    /// The name that the caller gave in its ClientHello (SNI), in lower case.
    pub server_name: Option<&'a str>,
    /// What the caller's token says, once it was verified.
    pub claims: Option<&'a Claims>,
    /// The destination as the caller asked for it.
    pub authority: &'a Authority,
    /// The address that would be dialled; `None` while a name is not resolved: then a network in an allow
    /// rule counts as matching, and the question is asked again for each address.
    pub address: Option<IpAddr>,
    /// The destination is a listener of this node.
    pub own_listener: bool,
    /// It is sent on to another node as it was asked for. A name is then resolved by nobody here, so a network in an
    /// allow rule does not match it.
    pub onward: bool,
}

impl<'a> Access<'a> {
    /// A caller and what it asks for; nothing else is known.
    pub const fn new(source: Option<&'a SpiffeId>, authority: &'a Authority) -> Self {
        Self {
            source,
            from: None,
            listener: "",
            server_name: None,
            claims: None,
            authority,
            address: None,
            own_listener: false,
            onward: false,
        }
    }

    /// The address, in the form in which it is dialled.
    pub(crate) fn known_address(&self) -> Option<IpAddr> {
        self.address.or_else(|| self.authority.address().map(|address| address.ip())).map(canonical)
    }

    /// Nobody here will ever know the address.
    pub(crate) fn is_unknowable(&self) -> bool {
        self.onward && self.known_address().is_none()
    }
}

/// A protected destination, and what a rule's target must be to name it.
pub(crate) struct Guard {
    pub(crate) class: AddressClass,
    access_port: u16,
    address: Option<IpAddr>,
    own: bool,
    localhost: bool,
}

impl Guard {
    pub(crate) fn of(access: &Access<'_>) -> Option<Self> {
        let address = access.known_address();
        let class = if access.own_listener {
            Some(AddressClass::OwnListener)
        } else {
            address.and_then(|ip| protected(ip).next()).map(|(class, _)| class)
        };
        let localhost =
            access.authority.host().to_string() == LOCALHOST && class == Some(AddressClass::Loopback);
        let (own, access_port) = (access.own_listener, access.authority.port());
        class.map(|class| Self { class, access_port, address, own, localhost })
    }

    pub(crate) fn is_named_by(&self, target: &Target) -> bool {
        if self.own {
            // A loop must be asked for with address and port.
            return target.is_endpoint(self.access_port);
        }
        if self.localhost && target.is_name(LOCALHOST) {
            return true;
        }
        let Some(network) = target.network() else { return false };
        self.address.is_some_and(|ip| protected(ip).all(|(_, class)| class.covers(&network)))
    }
}

const LOCALHOST: &str = "localhost";
