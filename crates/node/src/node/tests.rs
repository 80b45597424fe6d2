//! A node in the test's own process, for what no file can say.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{
    Action, Authority, ConnectConfig, Identity, Peer, Policy, Rule, Serves, Source, SpiffeId, connect,
};
use tokio::net::TcpListener;

use super::Node;
use crate::certs::CertificateAuthority;
use crate::config::{Inbound, Resolved, Reverse};

/// A node with a listener `in` and a gateway that is not there, and with these rules.
fn config(identity: &Arc<Identity>, gateway: &Peer, rules: Vec<Rule>) -> Resolved {
    let mut config = Resolved::bare("bob", Arc::clone(identity)).unwrap();
    config.policy = Arc::new(Policy::new(identity.id(), rules).unwrap());
    config.inbounds.push(Inbound::new("in", (Ipv4Addr::LOCALHOST, 0).into()));
    config.reverse.push(Reverse {
        name: "home".to_owned(),
        gateway: gateway.clone(),
        names: Vec::new(),
        shared: false,
        serves: Serves::One("127.0.0.1:9".parse().unwrap()),
        allow: Vec::new(),
    });
    config
}

#[tokio::test]
async fn what_fails_late_in_a_reload_leaves_all_of_the_old_configuration() {
    let (authority, _) = CertificateAuthority::create("td", 1).unwrap();
    let identity = |name: &str| {
        let issued = authority.issue(&format!("spiffe://td/ns/a/sa/{name}"), 1).unwrap();
        let (cert, key) = (issued.cert_pem.as_bytes(), issued.key_pem.as_bytes());
        Arc::new(Identity::from_pem(cert, key, authority.cert_pem().as_bytes()).unwrap())
    };
    let (alice, bob) = (identity("alice"), identity("bob"));
    let peer =
        |address: Authority, id: &SpiffeId| Peer { address, others: Vec::new(), expected: vec![id.clone()] };
    let gateway = peer("127.0.0.1:1".parse().unwrap(), alice.id());
    let allow = Rule {
        sources: vec![Source::Identity(alice.id().clone())],
        targets: vec!["127.0.0.0/8".parse().unwrap()],
        ..Rule::new("alice", Action::Allow)
    };
    let mut node = Node::start(&config(&bob, &gateway, vec![allow.clone()])).unwrap();
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Authority::try_from(service.local_addr().unwrap()).unwrap();
    let at = peer(node.address("in").unwrap().try_into().unwrap(), bob.id());
    let (settings, limit) = (ConnectConfig::default(), Duration::from_secs(20));
    let live = connect(&alice, &at, &to, None, &settings, limit).await.unwrap();
    // The rule that lets the gateway in has the same name: that is found out when the two lists are joined.
    let deny = Rule::new("reverse home", Action::Deny);
    let mut next = config(&bob, &gateway, vec![allow, deny]);
    next.inbounds[0].bind = node.inbounds[0].0.bind;
    let refused = node.reload(&next).unwrap_err();
    assert!(refused.to_string().contains("two rules are named"), "{refused}");
    connect(&alice, &at, &to, None, &settings, limit).await.expect("the old policy allows it");
    drop(live);
    node.drain(Duration::ZERO).await;
}
