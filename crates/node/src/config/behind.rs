//! Peers behind other peers: `through` in `[[peers]]`.
//! Called by resolve.rs once the other peers are known. Connects to nothing.

use hbone_tunnel::{Authority, Double, Way};

use super::fault::Cause;
use super::raw::RawPeer;
use super::resolver::{ADDRESS, Peers, Resolver};

impl Resolver<'_> {
    /// Adds the peers that are reached through another one.
    pub(super) fn peers_behind(&mut self, raw: &[RawPeer], network: Option<&str>, peers: &mut Peers) {
        let names: Vec<String> = raw.iter().flat_map(|peer| &peer.name).map(|at| at.value.clone()).collect();
        for raw in raw {
            let (Some(name), Some(_)) = (&raw.name, &raw.through) else { continue };
            let way = self.peer_behind(raw, &names, network, peers);
            peers.entry(name.value.clone()).or_insert(way);
        }
    }

    fn peer_behind(
        &mut self,
        raw: &RawPeer,
        names: &[String],
        network: Option<&str>,
        peers: &Peers,
    ) -> Option<Way> {
        let address = raw.address.as_ref().map(|at| self.parse::<Authority>("address", at, ADDRESS));
        let expected = self.identities("identity", &raw.title, raw.identities.as_ref());
        let at = raw.through.as_ref()?;
        if !self.reference("peer", at, names.iter()) {
            return None;
        }
        let other =
            raw.plain.as_ref().map(|at| at.span.clone()).or(raw.post.as_ref().map(|it| it.span.clone()));
        if let Some(span) = other {
            let section = raw.title.clone();
            let reason = "`through` is mTLS inside mTLS, which is neither `plain` nor the POST mode";
            self.fault(&span, Cause::Conflict { section, reason, remedy: "remove one of the two" });
            return None;
        }
        // Its name is defined: if it is not known yet, it stands behind another one, or behind itself.
        let gateway = match peers.get(&at.value) {
            Some(None) => return None,
            Some(Some(Way::Node(peer))) => Ok(peer.clone()),
            Some(Some(Way::Double(_))) | None => Err((
                "`through` names a peer that is itself reached through another one",
                "name a peer that this node can dial",
            )),
            Some(Some(Way::Plain(_) | Way::Reverse(_) | Way::Post(_))) => Err((
                "`through` names a peer that is no node with mTLS",
                "name one with `address` and `identity`",
            )),
        };
        let gateway = match gateway {
            Ok(gateway) => gateway,
            Err((reason, remedy)) => {
                self.fault(&at.span, Cause::Conflict { section: raw.title.clone(), reason, remedy });
                return None;
            }
        };
        let address = match address {
            Some(parsed) => Some(parsed?),
            None => None,
        };
        Some(Way::Double(Double {
            gateway,
            address,
            expected: expected?,
            network: network.map(str::to_owned),
        }))
    }
}
