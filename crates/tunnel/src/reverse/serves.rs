//! What a node behind a gateway gives away: which destination a CONNECT of the gateway means here.
//!
//! Asked by serve.rs before the policy is. Pure.

use crate::authority::Authority;
use crate::identity::SpiffeId;
use crate::matcher::{Source, Target};
use crate::policy::{Policy, PolicyError};
use crate::rule::{Action, Rule};

/// Which destination a CONNECT means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Serves {
    /// The one that it asks for.
    #[default]
    Asked,
    /// One, whatever it asks for.
    One(Authority),
    /// By the port that it asks for, whatever the host; other ports are refused. ssh's `-R port:host:hostport`.
    Ports(Vec<(u16, Authority)>),
}

impl Serves {
    /// The destination; none when nothing is given away there.
    pub fn destination(&self, asked: Authority) -> Option<Authority> {
        match self {
            Self::Asked => Some(asked),
            Self::One(destination) => Some(destination.clone()),
            Self::Ports(ports) => ports
                .iter()
                .find(|(port, _)| *port == asked.port())
                .map(|(_, destination)| destination.clone()),
        }
    }

    /// The policy of a node that gives this away to a gateway, and `targets` beside: what `policy` denies is denied;
    /// what is named here is allowed to the gateway, protected addresses too; nothing else is. Without anything named
    /// `policy` stays as it is.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub fn policy(
        &self,
        policy: &Policy,
        name: &str,
        gateway: &[SpiffeId],
        targets: &[Target],
    ) -> Result<Policy, PolicyError> {
        let named: Vec<&Authority> = match self {
            Self::Asked => Vec::new(),
            Self::One(destination) => vec![destination],
            Self::Ports(ports) => ports.iter().map(|(_, destination)| destination).collect(),
        };
        // An authority is a target too, and the narrowest.
        let named = named.into_iter().filter_map(|it| it.to_string().parse::<Target>().ok());
        let targets: Vec<_> = targets.iter().cloned().chain(named).collect();
        if targets.is_empty() {
            return Ok(policy.clone());
        }
        policy.narrowed(Rule {
            sources: gateway.iter().cloned().map(Source::Identity).collect(),
            targets,
            ..Rule::new(name, Action::Allow)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;

    fn at(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_given_away_is_one_destination_or_one_for_each_port() {
        assert_eq!(Serves::Asked.destination(at("x:1")), Some(at("x:1")));
        assert_eq!(Serves::One(at("127.0.0.1:80")).destination(at("x:1")), Some(at("127.0.0.1:80")));
        let ports = Serves::Ports(vec![(8080, at("localhost:80")), (22, at("10.0.0.1:2222"))]);
        assert_eq!(ports.destination(at("x:22")), Some(at("10.0.0.1:2222")));
        assert_eq!(ports.destination(at("y:8080")), Some(at("localhost:80")));
        assert_eq!(ports.destination(at("y:80")), None);
    }

    #[test]
    fn the_gateway_may_have_what_is_named_and_nothing_else_and_what_is_denied_stays_denied() {
        let [local, gateway, other] =
            ["bob", "gate", "eve"].map(|it| format!("spiffe://td/ns/a/sa/{it}").parse::<SpiffeId>().unwrap());
        let rule = |action, target: &str| Rule {
            targets: vec![target.parse().unwrap()],
            ..Rule::new(&format!("{action:?}"), action)
        };
        let rules = vec![rule(Action::Allow, "10.0.0.0/8"), rule(Action::Deny, "127.0.0.1:9")];
        let base = Policy::new(&local, rules).unwrap();
        let serves = Serves::Ports(vec![(1, at("127.0.0.1:80")), (2, at("127.0.0.1:9"))]);
        let policy = serves.policy(&base, "reverse", std::slice::from_ref(&gateway), &[]).unwrap();
        let may = |source: &SpiffeId, to: &str| {
            let authority = at(to);
            policy.decide(&Access::new(Some(source), &authority)).allowed()
        };
        assert!(may(&gateway, "127.0.0.1:80"));
        assert!(!may(&gateway, "127.0.0.1:9"), "denied by the node");
        assert!(!may(&gateway, "127.0.0.1:81") && !may(&gateway, "10.0.0.1:80"));
        assert!(!may(&other, "127.0.0.1:80"));
        assert!(!may(&local, "10.0.0.1:80"), "what the node allows its peers is not given away here");
    }
}
