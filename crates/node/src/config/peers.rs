//! `[[peers]]`: how each of them is reached, and how it is known.
//! Called by resolve.rs. Reads the files of roots; connects to nothing.

use std::time::Duration;

use hbone_tunnel::{
    Authority, Hop, Host, Peer, PlainNode, Post, SpiffeId, TokenSource, UnixPlace, Way, WebNode, WebRoots,
};

use super::bind::Bind;
use super::fault::Cause;
use super::raw::{RawPeer, RawPost};
use super::resolver::{ADDRESS, Peers, Resolver};
use super::source::At;
use super::value;
use crate::certs::{self, CertificateError};

impl Resolver<'_> {
    /// All of them by name.
    pub(super) fn peers(&mut self, raw: &[RawPeer], network: Option<&str>) -> Peers {
        self.names("peer", raw.iter().map(|peer| peer.name.as_ref()));
        raw.iter().for_each(|raw| self.one_address(raw));
        let mut peers = Peers::new();
        for raw in raw.iter().filter(|raw| raw.through.is_none()) {
            let peer = self.peer(raw);
            if let Some(name) = &raw.name {
                peers.entry(name.value.clone()).or_insert(peer);
            }
        }
        self.peers_behind(raw, network, &mut peers);
        peers
    }

    fn peer(&mut self, raw: &RawPeer) -> Option<Way> {
        let plain = raw.plain.as_ref().is_some_and(|at| at.value);
        if let Some(at) = &raw.reverse {
            let expected = self.identities("identity", &raw.title, raw.identities.as_ref());
            return self.reverse_peer(raw, at, expected?);
        }
        match &raw.post {
            Some(post) => self.post(raw, post, plain),
            None if plain => {
                if let Some(at) = &raw.identities {
                    let section = raw.title.clone();
                    let reason = "without TLS nobody shows an identity";
                    self.fault(
                        &at.span,
                        Cause::Conflict { section, reason, remedy: "remove `identity` or `plain`" },
                    );
                }
                self.plain(raw).map(Way::Plain)
            }
            None => {
                let (address, others) = (self.tcp(raw), self.others(raw));
                let expected = self.identities("identity", &raw.title, raw.identities.as_ref());
                Some(Way::Node(Peer { address: address?, others: others?, expected: expected? }))
            }
        }
    }

    /// The addresses behind the first.
    fn others(&mut self, raw: &RawPeer) -> Option<Vec<Authority>> {
        let parsed = raw.others.iter().map(|at| self.parse::<Authority>("address", at, ADDRESS));
        parsed.collect::<Vec<_>>().into_iter().collect()
    }

    /// Several addresses are for peers that are dialled by mTLS.
    fn one_address(&mut self, raw: &RawPeer) {
        let several = raw.plain.is_some() || raw.post.is_some() || raw.through.is_some();
        if let Some(at) = raw.others.first().filter(|_| several) {
            let (section, reason) =
                (raw.title.clone(), "only a peer that is dialled by mTLS has several addresses");
            self.fault(&at.span, Cause::Conflict { section, reason, remedy: "leave one" });
        }
    }

    fn tcp(&mut self, raw: &RawPeer) -> Option<Authority> {
        raw.address.as_ref().and_then(|at| self.parse::<Authority>("address", at, ADDRESS))
    }

    /// TCP or a unix socket, without TLS.
    fn plain(&mut self, raw: &RawPeer) -> Option<PlainNode> {
        let at = raw.address.as_ref()?;
        if !at.value.starts_with("unix:") {
            return Some(PlainNode { address: self.tcp(raw)?, unix: None });
        }
        let wanted = "\"unix:/path\", \"unix:@name\", or a host and a port";
        let unix = match self.parse::<Bind>("address", at, wanted)? {
            Bind::Unix(path) => UnixPlace::Path(path),
            Bind::Abstract(name) => UnixPlace::Abstract(name),
            Bind::Tcp(_) => return None,
        };
        // What it is called in errors: a unix socket has no host and port.
        let address = "unix:15009".parse().ok()?;
        Some(PlainNode { address, unix: Some(unix) })
    }

    fn post(&mut self, raw: &RawPeer, post: &RawPost, plain: bool) -> Option<Way> {
        let expected = self.identities("identity", &raw.title, raw.identities.as_ref());
        let hop = self.hop(raw, post, plain);
        let token = self.token(raw, post);
        let name = post.authority.as_ref().or(post.server_name.as_ref());
        let name = match name {
            Some(at) => Some(self.parse::<Host>("authority", at, HOST)?),
            None => None,
        };
        let service = match &post.service {
            Some(at) => {
                let plain = |text: &str| value::name(text).map(str::to_owned);
                Some(self.checked("service", at, "a short name like \"web-1\"", plain)?)
            }
            None => None,
        };
        let (hop, expected, token) = (hop?, expected?, token?);
        let authority = name.unwrap_or_else(|| hop.address().host().clone());
        Some(Way::Post(Box::new(Post { hop, authority, expected, service, token })))
    }

    /// How the proxy of the POST mode is known: in one way.
    fn hop(&mut self, raw: &RawPeer, post: &RawPost, plain: bool) -> Option<Hop> {
        match (&post.identities, &post.roots, plain) {
            (Some(at), None, false) => {
                let address = self.tcp(raw);
                let expected = self.identities("proxy_identity", &raw.title, Some(at));
                Some(Hop::Node(Peer { address: address?, others: Vec::new(), expected: expected? }))
            }
            (None, Some(roots), false) => {
                let (address, roots) = (self.tcp(raw), self.roots(roots));
                let name = match &post.server_name {
                    Some(at) => self.parse::<Host>("server_name", at, HOST)?,
                    None => address.as_ref()?.host().clone(),
                };
                Some(Hop::Web(WebNode { address: address?, name, roots: roots? }))
            }
            (None, None, true) => self.plain(raw).map(Hop::Plain),
            _ => {
                let section = raw.title.clone();
                let reason = "a proxy of the POST mode is known in exactly one way";
                let remedy =
                    "give one of `roots` (a server certificate by name), `proxy_identity` (mTLS) and `plain`";
                self.fault(&post.span, Cause::Conflict { section, reason, remedy });
                None
            }
        }
    }

    /// Who vouches for a server by name.
    pub(super) fn roots(&mut self, at: &At<String>) -> Option<WebRoots> {
        let path = self.file(at);
        let read = std::fs::read(&path)
            .map_err(|error| CertificateError::Unreadable { path: path.clone(), kind: error.kind() });
        let roots = read.and_then(|text| {
            let reason = |error: hbone_tunnel::IdentityError| error.to_string();
            WebRoots::from_pem(&text)
                .map_err(|error| CertificateError::Content { path, reason: reason(error) })
        });
        roots.map_err(|error| self.fault(&at.span, Cause::Certificate(error))).ok()
    }

    /// What is shown to the proxy, if anything; none after a fault.
    fn token(&mut self, raw: &RawPeer, post: &RawPost) -> Option<Option<TokenSource>> {
        let limit = match &post.token_timeout {
            Some(at) => self.checked("token_timeout", at, "a time like \"10s\"", value::duration)?,
            None => TOKEN_TIMEOUT,
        };
        match (&post.token_file, &post.token_command) {
            (None, None) => Some(None),
            (Some(at), None) => {
                let path = self.source.folder().join(&at.value);
                // Also a token is a secret. One that is not there yet may be written later.
                if let Err(error @ CertificateError::LooseMode { .. }) = certs::private(&path) {
                    self.fault(&at.span, Cause::Certificate(error));
                    return None;
                }
                Some(Some(TokenSource::file(path)))
            }
            (None, Some(at)) if !at.value.is_empty() => {
                let program = at.value.iter().map(|part| part.value.clone()).collect();
                Some(Some(TokenSource::command(program, limit)))
            }
            (_, Some(at)) => {
                let section = raw.title.clone();
                let reason = "a token comes out of one file or one command with its arguments";
                let remedy = "give `token_file` or `token_command`";
                self.fault(&at.span, Cause::Conflict { section, reason, remedy });
                None
            }
        }
    }

    /// Identities of which a far end must have one; a fault when there are none.
    pub(super) fn identities(
        &mut self,
        key: &'static str,
        section: &str,
        list: Option<&At<Vec<At<String>>>>,
    ) -> Option<Vec<SpiffeId>> {
        let identities = list?;
        if identities.value.is_empty() {
            let section = section.to_owned();
            let reason = "no identity is expected of it, so anyone could be it";
            let remedy = "name at least one identity";
            self.fault(&identities.span, Cause::Conflict { section, reason, remedy });
        }
        let wanted = "spiffe://<trust domain>/ns/<namespace>/sa/<account>";
        let mut expected = Vec::new();
        for at in &identities.value {
            let identity = self.parse::<SpiffeId>(key, at, wanted);
            expected.extend(identity.filter(|identity| self.is_ours(key, at, identity.trust_domain())));
        }
        (expected.len() == identities.value.len() && !expected.is_empty()).then_some(expected)
    }
}

const HOST: &str = "a host like \"gate.example\" or \"192.0.2.7\"";
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
