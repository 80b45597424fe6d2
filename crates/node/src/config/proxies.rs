//! `[[listeners]]` of kinds `socks5` and `http-proxy`: clients that say by themselves where they want to go.
//! Called by listeners.rs. Reads the password's file; binds nothing.

use std::sync::Arc;

use hbone_tunnel::{Account, Front, Network, ProxyVersion};

use super::bind::Bind;
use super::fault::Cause;
use super::gateways::clients;
use super::kind::Kind;
use super::listeners::Known;
use super::raw::RawListener;
use super::resolved::Capture;
use super::resolver::Resolver;
use super::source::At;
use crate::certs::{self, CertificateError};

impl Resolver<'_> {
    /// A proxy.
    pub(super) fn proxy(
        &mut self,
        raw: &RawListener,
        kind: Kind,
        bind: Option<Bind>,
        known: Known<'_>,
    ) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let (account, proxies, allow_from) = (self.account(raw), self.proxies(raw), self.allow_from(raw));
        let ways = self.ways(raw, known);
        let (account, (routes, through), bind, name) =
            (account?, ways?, bind?, raw.name.as_ref()?.value.clone());
        let whom =
            if account.is_some() { "what clients with the password ask for" } else { "what is asked for" };
        let (allow_from, proxies) = (allow_from?, proxies?);
        let summary = format!("{whom} {through}{}", clients(&allow_from));
        let front = if kind == Kind::Socks5 { Front::Socks5(account) } else { Front::HttpConnect(account) };
        Some(Capture { name, kind, bind, allow_from, proxies, summary, front, routes })
    }

    /// The proxies in front that say by the PROXY protocol who calls; none after a fault.
    pub(super) fn proxies(&mut self, raw: &RawListener) -> Option<Vec<Network>> {
        let networks = self.networks(raw, "proxy_protocol_from", raw.proxy_protocol_from.as_ref())?;
        if let (Some(at), Some(unix)) = (&raw.proxy_protocol_from, &raw.bind)
            && unix.value.starts_with("unix:")
        {
            let (section, reason) =
                (raw.title.clone(), "proxies are known by their address, a unix socket has none");
            self.fault(&at.span, Cause::Conflict { section, reason, remedy: "bind to an address" });
        }
        Some(networks)
    }

    /// A list of networks; none after a fault.
    pub(super) fn networks(
        &mut self,
        raw: &RawListener,
        key: &'static str,
        list: Option<&At<Vec<At<String>>>>,
    ) -> Option<Vec<Network>> {
        let Some(list) = list else { return Some(Vec::new()) };
        if list.value.is_empty() {
            let (section, reason) = (raw.title.clone(), "an empty list of networks");
            let remedy = "leave the key out to mean everyone, or remove the listener";
            self.fault(&list.span, Cause::Conflict { section, reason, remedy });
            return None;
        }
        let wanted = "an address or a network: \"10.0.0.0/8\", \"fd00::/8\"";
        let networks: Vec<_> =
            list.value.iter().filter_map(|at| self.parse::<Network>(key, at, wanted)).collect();
        (networks.len() == list.value.len()).then_some(networks)
    }

    /// The account, if clients need one; none after a fault.
    fn account(&mut self, raw: &RawListener) -> Option<Option<Arc<Account>>> {
        let (user, file) = match (&raw.user, &raw.password_file) {
            (None, None) => return Some(None),
            (Some(user), Some(file)) => (user, file),
            (Some(at), None) | (None, Some(at)) => {
                let section = raw.title.clone();
                let reason = "`user` and `password_file` belong together";
                self.fault(&at.span, Cause::Conflict { section, reason, remedy: "give both or none" });
                return None;
            }
        };
        let path = self.file(file);
        let read = certs::private(&path).and_then(|()| {
            std::fs::read_to_string(&path)
                .map_err(|error| CertificateError::Unreadable { path: path.clone(), kind: error.kind() })
        });
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                self.fault(&file.span, Cause::Certificate(error));
                return None;
            }
        };
        let password = text.lines().next().unwrap_or_default();
        let wanted = "a name of 1 to 255 octets without a colon, and a file whose first line is the password";
        let account = self.checked("user", user, wanted, |user| Account::new(user, password))?;
        Some(Some(Arc::new(account)))
    }
}

/// Which header of the PROXY protocol is meant.
pub(super) fn version(text: &str) -> Result<ProxyVersion, &'static str> {
    match text {
        "v1" => Ok(ProxyVersion::One),
        "v2" => Ok(ProxyVersion::Two),
        _ => Err("there is no such version of the PROXY protocol"),
    }
}
