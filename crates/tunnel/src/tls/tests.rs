//! Handshakes in memory: who is let in, who is not, and what is said.

use super::*;
use crate::testing::{Authority, Leaf};
use crate::verify::PeerFault;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Error, HandshakeKind, InvalidMessage, NamedGroup, ServerConnection};

const ALICE: &str = "spiffe://td/ns/a/sa/alice";
const BOB: &str = "spiffe://td/ns/a/sa/bob";

struct Ends {
    client: ClientConnection,
    server: ServerConnection,
}

/// Runs a handshake to its end; the error names the side that refused.
fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<Ends, (&'static str, Error)> {
    let name = ServerName::try_from("10.0.0.1").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut octets = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut octets).unwrap();
        }
        let mut rest = &octets[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().map_err(|error| ("server", error))?;
        }
        octets.clear();
        while server.wants_write() {
            server.write_tls(&mut octets).unwrap();
        }
        let mut rest = &octets[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().map_err(|error| ("client", error))?;
        }
    }
    Ok(Ends { client, server })
}

fn expect(uri: &str) -> Vec<SpiffeId> {
    vec![uri.parse().unwrap()]
}

/// Alice dials Bob.
fn dial(alice: &Identity, bob: &Identity) -> Result<Ends, (&'static str, Error)> {
    shake(alice.client_config(&expect(BOB)).unwrap(), bob.server_config().unwrap())
}

fn fault(result: Result<Ends, (&'static str, Error)>) -> (&'static str, PeerFault) {
    let (side, error) = result.err().expect("the handshake succeeded");
    (side, PeerFault::of(&error).unwrap_or_else(|| panic!("{error:?}")))
}

/// An identity of ours from parts that the constructor itself would refuse.
fn unchecked(authority: &Authority, leaf: &Leaf) -> Identity {
    let (certificate, key) = authority.sign(leaf);
    let good = authority.identity(&Leaf::of(ALICE)).unwrap();
    Identity { chain: vec![certificate], key, ..good }
}

#[test]
fn two_nodes_of_one_trust_domain_meet() {
    let ca = Authority::new();
    let (alice, bob) = (ca.identity(&Leaf::of(ALICE)).unwrap(), ca.identity(&Leaf::of(BOB)).unwrap());
    let ends = dial(&alice, &bob).ok().unwrap();
    assert_eq!(ends.client.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(ends.server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(ends.server.server_name(), None, "no SNI is sent");
    let group = ends.client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    let caller = leaf_identity(&ends.server.peer_certificates().unwrap()[0]).unwrap();
    assert_eq!(caller.as_str(), ALICE);
}

#[test]
fn an_rsa_root_may_vouch_for_ecdsa_leaves() {
    let ca = Authority::rsa();
    let (alice, bob) = (ca.identity(&Leaf::of(ALICE)).unwrap(), ca.identity(&Leaf::of(BOB)).unwrap());
    assert!(dial(&alice, &bob).is_ok());
}

#[test]
fn h71_sessions_are_not_resumed_and_no_early_data_is_taken() {
    let ca = Authority::new();
    let (alice, bob) = (ca.identity(&Leaf::of(ALICE)).unwrap(), ca.identity(&Leaf::of(BOB)).unwrap());
    let (client, server) = (alice.client_config(&expect(BOB)).unwrap(), bob.server_config().unwrap());
    for _ in 0..2 {
        let mut ends = shake(Arc::clone(&client), Arc::clone(&server)).ok().unwrap();
        assert_eq!(ends.server.handshake_kind(), Some(HandshakeKind::Full));
        assert!(ends.client.early_data().is_none());
    }
}

#[test]
fn a_wrong_authority_is_told_apart_on_both_sides() {
    let (ca, other) = (Authority::new(), Authority::new());
    let (alice, bob) = (ca.identity(&Leaf::of(ALICE)).unwrap(), other.identity(&Leaf::of(BOB)).unwrap());
    assert_eq!(fault(dial(&alice, &bob)), ("client", PeerFault::UnknownAuthority));
    // Bob's leaf is known to Alice, but Alice's is not known to Bob.
    let (certificate, key) = ca.sign(&Leaf::of(BOB));
    let bob = Identity::new(vec![certificate], key, vec![other.root()]).unwrap();
    assert_eq!(fault(dial(&alice, &bob)), ("server", PeerFault::UnknownAuthority));
}

#[test]
fn t07_a_root_vouches_for_its_own_trust_domain_only() {
    let ca = Authority::new();
    let alice = ca.identity(&Leaf::of(ALICE)).unwrap();
    for foreign in ["spiffe://td2/ns/a/sa/bob", "spiffe://t/ns/a/sa/bob", "spiffe://a.td/ns/a/sa/bob"] {
        let bob = ca.identity(&Leaf::of(foreign)).unwrap();
        let client = alice.client_config(&expect(foreign)).unwrap();
        let presented: SpiffeId = foreign.parse().unwrap();
        let fault_here = fault(shake(client, bob.server_config().unwrap()));
        assert_eq!(fault_here, ("client", PeerFault::TrustDomain { presented, ours: "td".into() }));
        // And the other way round: the foreign node dials, Alice refuses.
        let trusting = Identity { id: foreign.parse().unwrap(), ..ca.identity(&Leaf::of(foreign)).unwrap() };
        let client =
            Identity { id: ALICE.parse().unwrap(), ..trusting }.client_config(&expect(ALICE)).unwrap();
        let (side, fault_there) = fault(shake(client, alice.server_config().unwrap()));
        assert_eq!(side, "server");
        assert!(matches!(fault_there, PeerFault::TrustDomain { .. }), "{fault_there:?}");
    }
}

#[test]
fn an_unexpected_identity_names_both() {
    let ca = Authority::new();
    let alice = ca.identity(&Leaf::of(ALICE)).unwrap();
    let (side, fault) = fault(dial(&alice, &alice));
    assert_eq!(side, "client");
    assert_eq!(fault, PeerFault::Unexpected { presented: ALICE.parse().unwrap(), expected: expect(BOB) });
    let text = fault.to_string();
    assert!(text.contains(ALICE) && text.contains(BOB), "{text}");
}

#[test]
fn expired_and_not_yet_valid_are_told_apart() {
    let ca = Authority::new();
    let alice = ca.identity(&Leaf::of(ALICE)).unwrap();
    let expired = ca.identity(&Leaf { from: -7200, to: -3600, ..Leaf::of(BOB) }).unwrap();
    assert!(matches!(fault(dial(&alice, &expired)), ("client", PeerFault::Expired { .. })));
    let early = ca.identity(&Leaf { from: 3600, to: 7200, ..Leaf::of(BOB) }).unwrap();
    let (side, fault_of_early) = fault(dial(&alice, &early));
    assert!(matches!(fault_of_early, PeerFault::NotYetValid { .. }) && side == "client");
    assert!(fault_of_early.to_string().contains("59 min") || fault_of_early.to_string().contains("60 min"));
    let bob = ca.identity(&Leaf::of(BOB)).unwrap();
    let alice = ca.identity(&Leaf { from: -7200, to: -3600, ..Leaf::of(ALICE) }).unwrap();
    assert!(matches!(fault(dial(&alice, &bob)), ("server", PeerFault::Expired { .. })));
}

#[test]
fn t05_two_identities_or_none_end_the_handshake() {
    let ca = Authority::new();
    let bob = ca.identity(&Leaf::of(BOB)).unwrap();
    let two = Leaf { uris: vec![ALICE.into(), BOB.into()], ..Leaf::of(ALICE) };
    let none = Leaf { uris: Vec::new(), ..Leaf::of(ALICE) };
    for (leaf, error) in [(two, LeafError::TwoIdentities), (none, LeafError::NoIdentity)] {
        assert_eq!(ca.identity(&leaf).unwrap_err(), IdentityError::Leaf(error));
        let alice = unchecked(&ca, &leaf);
        assert_eq!(fault(dial(&alice, &bob)), ("server", PeerFault::Leaf(error)));
        assert_eq!(fault(dial(&bob, &alice)), ("client", PeerFault::Leaf(error)));
    }
}

#[test]
fn t06_an_authority_is_no_peer() {
    let ca = Authority::new();
    let bob = ca.identity(&Leaf::of(BOB)).unwrap();
    let alice = unchecked(&ca, &Leaf { is_ca: true, ..Leaf::of(ALICE) });
    assert_eq!(fault(dial(&alice, &bob)), ("server", PeerFault::Leaf(LeafError::Authority)));
}

#[test]
fn a_certificate_for_the_other_side_only_is_refused() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let ca = Authority::new();
    let (alice, bob) = (ca.identity(&Leaf::of(ALICE)).unwrap(), ca.identity(&Leaf::of(BOB)).unwrap());
    let server_only = ca.identity(&Leaf { purposes: vec![ServerAuth], ..Leaf::of(ALICE) }).unwrap();
    assert_eq!(fault(dial(&server_only, &bob)), ("server", PeerFault::Purpose));
    let client_only = ca.identity(&Leaf { purposes: vec![ClientAuth], ..Leaf::of(BOB) }).unwrap();
    assert_eq!(fault(dial(&alice, &client_only)), ("client", PeerFault::Purpose));
}

#[test]
fn h73_a_long_chain_is_refused_before_it_is_verified() {
    let ca = Authority::new();
    let bob = ca.identity(&Leaf::of(BOB)).unwrap();
    let mut alice = ca.identity(&Leaf::of(ALICE)).unwrap();
    alice.chain.extend(std::iter::repeat_n(ca.root(), 4));
    assert!(dial(&alice, &bob).is_ok(), "five are fine");
    alice.chain.push(ca.root());
    assert_eq!(fault(dial(&alice, &bob)), ("server", PeerFault::TooLarge));
}

#[test]
fn h73_more_than_64_kib_of_certificates_are_refused() {
    let ca = Authority::new();
    let bob = ca.identity(&Leaf::of(BOB)).unwrap();
    let mut alice = ca.identity(&Leaf::of(ALICE)).unwrap();
    alice.chain.extend(std::iter::repeat_n(CertificateDer::from(vec![0; 17_000]), 4));
    let Err((side, error)) = dial(&alice, &bob) else { panic!("the handshake succeeded") };
    // Already the message that carries them is too long.
    assert_eq!((side, error), ("server", InvalidMessage::HandshakePayloadTooLarge.into()));
}

#[test]
fn t14_a_key_of_another_certificate_is_refused() {
    let ca = Authority::new();
    let ((certificate, _), (_, key)) = (ca.sign(&Leaf::of(ALICE)), ca.sign(&Leaf::of(ALICE)));
    let error = Identity::new(vec![certificate], key, vec![ca.root()]).unwrap_err();
    assert_eq!(error, IdentityError::KeyMismatch);
}

#[test]
fn t34_a_dump_shows_no_key() {
    let ca = Authority::new();
    let (certificate, key) = ca.sign(&Leaf::of(ALICE));
    let secret = format!("{:?}", key.secret_der());
    let identity = Identity::new(vec![certificate], key, vec![ca.root()]).unwrap();
    let dump = format!("{identity:?}");
    assert!(dump.contains(ALICE) && dump.contains("<secret>") && !dump.contains(&secret), "{dump}");
}

#[test]
fn missing_parts_are_named() {
    let ca = Authority::new();
    let (certificate, key) = ca.sign(&Leaf::of(ALICE));
    let error = Identity::new(Vec::new(), key.clone_key(), vec![ca.root()]).unwrap_err();
    assert_eq!(error, IdentityError::NoCertificate);
    let error = Identity::new(vec![certificate], key, Vec::new()).unwrap_err();
    assert_eq!(error, IdentityError::NoRoots);
    assert_eq!(Identity::from_pem(b"", b"", b"").unwrap_err(), IdentityError::Key);
}
