//! Which identity may hold which name at a gateway. Pure; asked once for each connection that is registered.

use std::collections::HashMap;

use crate::identity::SpiffeId;

use super::name::ReverseName;

/// Names bound to identities. What is not bound belongs to whom it names: an identity to itself, a service account's
/// name to that account, if it is of the gateway's own trust domain and namespace.
#[derive(Clone, Debug, Default)]
pub struct ReverseNames {
    bound: HashMap<ReverseName, Vec<SpiffeId>>,
}

impl ReverseNames {
    /// Binds a name: from now on these identities may hold it, beside those that it was bound to, and nobody else.
    pub fn bind(&mut self, name: ReverseName, holders: &[SpiffeId]) {
        self.bound.entry(name).or_default().extend_from_slice(holders);
    }

    /// Whether a node may hold a name at the gateway `local`.
    pub fn may_hold(&self, name: &ReverseName, id: &SpiffeId, local: &SpiffeId) -> bool {
        match self.bound.get(name) {
            Some(holders) => holders.contains(id),
            None => {
                name.as_str() == id.as_str()
                    || (local.is_neighbour(id) && name.as_str() == id.service_account())
            }
        }
    }

    /// All names that a node may hold: those of one that asks for none.
    pub fn of(&self, id: &SpiffeId, local: &SpiffeId) -> Vec<ReverseName> {
        let bound = self.bound.iter().filter(|(_, holders)| holders.contains(id));
        let mut names: Vec<_> = bound.map(|(name, _)| name.clone()).collect();
        let own = [Some(ReverseName::from(id)), id.service_account().parse().ok()];
        let own = own.into_iter().flatten();
        names.extend(own.filter(|name| !self.bound.contains_key(name) && self.may_hold(name, id, local)));
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap()
    }

    fn name(text: &str) -> ReverseName {
        text.parse().unwrap()
    }

    #[test]
    fn t33_a_name_belongs_to_the_identities_that_it_is_bound_to_and_to_nobody_else() {
        let gateway = id("spiffe://td/ns/a/sa/gate");
        let (alice, bob) = (id("spiffe://td/ns/a/sa/alice"), id("spiffe://td/ns/a/sa/bob"));
        let mut names = ReverseNames::default();
        names.bind(name("home"), std::slice::from_ref(&bob));
        assert!(names.may_hold(&name("home"), &bob, &gateway));
        assert!(!names.may_hold(&name("home"), &alice, &gateway));
        assert!(!names.may_hold(&name("other"), &bob, &gateway), "a name of nobody");
        // Bound names are bound also when they look like somebody's own.
        names.bind(name("alice"), std::slice::from_ref(&bob));
        assert!(!names.may_hold(&name("alice"), &alice, &gateway));
        let texts =
            |id: &SpiffeId| -> Vec<_> { names.of(id, &gateway).iter().map(ToString::to_string).collect() };
        assert_eq!(texts(&alice), [alice.as_str()]);
        assert_eq!(texts(&bob), ["alice", "bob", "home", bob.as_str()]);
    }

    #[test]
    fn t33_the_name_of_an_account_is_its_own_in_the_gateways_namespace_only() {
        let gateway = id("spiffe://td/ns/a/sa/gate");
        let names = ReverseNames::default();
        let (near, far) = (id("spiffe://td/ns/a/sa/bob"), id("spiffe://td/ns/b/sa/bob"));
        assert!(names.may_hold(&name("bob"), &near, &gateway));
        assert!(!names.may_hold(&name("bob"), &far, &gateway));
        assert!(names.may_hold(&name(far.as_str()), &far, &gateway));
        assert!(!names.may_hold(&name(near.as_str()), &far, &gateway));
    }

    #[test]
    fn names_have_one_spelling() {
        for wrong in ["", "Home", "home.", "10.0.0.1", "spiffe://td/x", "spiffe://TD/ns/a/sa/b", "a b"] {
            assert!(wrong.parse::<ReverseName>().is_err(), "{wrong}");
        }
        assert_eq!(name("web.home").host(), Some("web.home"));
        assert_eq!(name("spiffe://td/ns/a/sa/b").host(), None);
    }
}
