//! `[[listeners]]` of kinds `hbone` and `h2c`: whom they take, which tokens they believe, and what else they serve.
//! Called by listeners.rs. Reads files of keys; binds nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{KeysAddress, Network, TokenKeys, TokenRules};

use super::fault::Cause;
use super::raw::{RawJwt, RawListener};
use super::resolver::Resolver;
use super::source::At;
use super::value;

/// What a listener of peers has beside its address and its routes.
pub(super) struct Serving {
    pub(super) trusted: Option<Vec<Network>>,
    pub(super) tokens: Option<Arc<TokenRules>>,
    pub(super) other_requests: Option<SocketAddr>,
}

impl Resolver<'_> {
    /// All of it; none after a fault.
    pub(super) fn serving(&mut self, raw: &RawListener, is_plain: bool) -> Option<Serving> {
        let trusted = if is_plain { self.trusted(raw).map(Some) } else { Some(None) };
        let tokens = match &raw.jwt {
            Some(jwt) => self.tokens(jwt).map(|rules| Some(Arc::new(rules))),
            None => Some(None),
        };
        let handler = match &raw.other_requests {
            Some(at) => {
                self.parse("other_requests", at, "an address and a port like \"127.0.0.1:8080\"").map(Some)
            }
            None => Some(None),
        };
        Some(Serving { trusted: trusted?, tokens: tokens?, other_requests: handler? })
    }

    /// The networks of a listener without TLS, which must be said.
    fn trusted(&mut self, raw: &RawListener) -> Option<Vec<Network>> {
        let Some(list) = raw.trusted.as_ref().filter(|list| !list.value.is_empty()) else {
            let cause =
                Cause::MissingKey { key: "trusted", section: raw.title.clone(), example: "[\"10.0.0.0/8\"]" };
            self.fault(&raw.span, cause);
            return None;
        };
        let wanted = "an address or a network: \"10.0.0.0/8\", \"fd00::/8\"";
        let networks: Vec<_> =
            list.value.iter().filter_map(|at| self.parse::<Network>("trusted", at, wanted)).collect();
        (networks.len() == list.value.len()).then_some(networks)
    }

    fn tokens(&mut self, raw: &RawJwt) -> Option<TokenRules> {
        let issuers = texts(raw.issuer.as_ref());
        let audiences = texts(raw.audience.as_ref());
        for (list, key, example) in [
            (&issuers, "issuer", "\"https://issuer.example\""),
            (&audiences, "audience", "\"https://gate.example\""),
        ] {
            if list.is_empty() {
                self.fault(&raw.span, Cause::MissingKey { key, section: "[listeners.jwt]".into(), example });
            }
        }
        self.algorithms(raw);
        let keys = self.token_keys(raw);
        let leeway = match &raw.leeway {
            Some(at) => {
                self.checked("leeway", at, "a time up to \"60s\"", |text| match value::duration(text) {
                    Ok(leeway) if leeway <= Duration::from_secs(60) => Ok(leeway),
                    Ok(_) => Err("longer than clocks may differ"),
                    Err(reason) => Err(reason),
                })?
            }
            None => Duration::from_secs(30),
        };
        if issuers.is_empty() || audiences.is_empty() {
            return None;
        }
        let mut rules = TokenRules::new(issuers, audiences, keys?).with_leeway(leeway);
        if let Some(at) = &raw.identity_claim {
            rules = rules.with_claim(&at.value);
        }
        let names = texts(raw.algorithms.as_ref());
        if names.is_empty() { Some(rules) } else { rules.with_algorithms(&names).ok() }
    }

    /// Algorithms that are none, or whose key would be a secret.
    fn algorithms(&mut self, raw: &RawJwt) {
        for at in raw.algorithms.iter().flat_map(|list| &list.value) {
            let known =
                |name: &str| TokenRules::knows(name).then_some(()).ok_or("no algorithm with public keys");
            self.checked("algorithms", at, "names like \"ES256\", \"EdDSA\", \"RS256\"", known);
        }
    }

    fn token_keys(&mut self, raw: &RawJwt) -> Option<TokenKeys> {
        let refresh = match &raw.refresh {
            Some(at) => self.checked("refresh", at, "a time like \"5m\"", value::duration)?,
            None => Duration::from_secs(300),
        };
        match (&raw.jwks_file, &raw.jwks_url, &raw.jwks_roots) {
            (Some(at), None, None) => {
                let path = self.source.folder().join(&at.value);
                self.checked("jwks_file", at, "a file with a JWK set (RFC 7517)", |_| TokenKeys::file(path))
            }
            (None, Some(at), Some(roots)) => {
                let roots = self.roots(roots)?;
                let address = self
                    .checked("jwks_url", at, "\"https://host/path\"", |url| KeysAddress::new(url, roots))?;
                Some(TokenKeys::address(address, refresh))
            }
            _ => {
                let section = "[listeners.jwt]".into();
                let reason = "the keys of tokens come from one place";
                let remedy = "give `jwks_file`, or `jwks_url` with `jwks_roots`";
                self.fault(&raw.span, Cause::Conflict { section, reason, remedy });
                None
            }
        }
    }
}

fn texts(list: Option<&At<Vec<At<String>>>>) -> Vec<String> {
    list.into_iter().flat_map(|list| &list.value).map(|at| at.value.clone()).collect()
}
