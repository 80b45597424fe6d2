//! Tokens of the POST mode: what is believed, and that nothing is said of what is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hbone_conn::{Handle, Request};
use hbone_tunnel::{Identity, TokenKeys, TokenRules};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::captured;
use crate::common::{ALICE, Ca, Running, echo, inbound_config, within};
use crate::post::{inner, nobody};
use crate::upstream::call;

const AUDIENCE: &str = "https://gate.example";
const ISSUER: &str = "https://issuer.example";

/// Who issues tokens, and a node that knows two of its keys.
struct Office {
    key: KeyPair,
    node: SocketAddr,
    alice: Arc<Identity>,
    carol: Arc<Identity>,
    handle: Handle,
    _running: Running,
}

/// The public part of a key as a JWK.
fn jwk(key: &KeyPair, kid: &str) -> Value {
    let point = key.der_bytes();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
    json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Office {
    async fn new() -> Self {
        let (ca, mut running) = (Ca::new(), Running::new());
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let path =
            std::env::temp_dir().join(format!("hbone-keys-{}-{:p}", std::process::id(), &raw const running));
        std::fs::write(&path, json!({ "keys": [jwk(&key, "one"), jwk(&other, "two")] }).to_string()).unwrap();
        let keys = TokenKeys::file(path.clone()).unwrap();
        std::fs::remove_file(path).unwrap();
        let mut config = inbound_config(&ca);
        config.tokens = Some(Arc::new(TokenRules::new(vec![ISSUER.into()], vec![AUDIENCE.into()], keys)));
        let (node, _) = running.inbound(config).await;
        let (alice, carol) = (ca.identity(ALICE), ca.identity("spiffe://td/ns/a/sa/carol"));
        let handle = call(&alice, node).await;
        Self { key, node, alice, carol, handle, _running: running }
    }

    fn signing(&self) -> EncodingKey {
        EncodingKey::from_ec_der(&self.key.serialize_der())
    }

    fn token(&self, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("one".into());
        let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": ALICE, "exp": now() + 300 });
        change(&mut header, &mut claims);
        encode(&header, &claims, &self.signing()).unwrap()
    }

    fn claims(&self, change: impl FnOnce(&mut Value)) -> String {
        self.token(|_, claims| change(claims))
    }

    /// What a POST with a token is answered: status, body.
    async fn answer(&self, token: Option<&str>) -> (u16, String) {
        let mut request = Request::new("POST", "https", "gate.example", "/");
        request.push("x-tun", "127.0.0.1:9");
        if let Some(token) = token {
            request.push_sensitive("authorization", &format!("Bearer {token}"));
        }
        let mut stream = within(self.handle.open(request)).await.unwrap();
        let response = within(stream.response()).await.unwrap();
        let mut body = String::new();
        if response.status() != 200 {
            assert_eq!(response.field("www-authenticate"), Some(&b"Bearer"[..]));
            within(stream.read_to_string(&mut body)).await.unwrap();
        }
        (response.status(), body)
    }

    /// All of them are refused in the same words, and none is in the log.
    async fn refuses(&self, tokens: &[(&str, String)]) {
        let (_, wanted) = self.answer(None).await;
        assert_eq!(self.answer(Some(&self.token(|_, _| ()))).await.0, 200, "the one that holds");
        for (what, token) in tokens {
            assert_eq!(self.answer(Some(token)).await, (401, wanted.clone()), "{what}");
        }
        let lines = within(captured::events("no tunnel", tokens.len() + 1)).await;
        for (what, token) in tokens {
            let parts = token.split('.').filter(|part| part.len() > 8);
            for part in parts {
                assert!(
                    !lines.iter().any(|line| line.contains(&part[..part.len().min(40)])),
                    "{what}: {lines:?}"
                );
            }
        }
        assert!(!lines.iter().any(|line| line.contains(ISSUER) || line.contains(AUDIENCE)), "{lines:?}");
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn t16_a_token_chooses_neither_its_algorithm_nor_its_key_nor_rules_of_its_own() {
    let office = Office::new().await;
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": ALICE, "exp": now() + 300 });
    let unsigned = |alg: &str| format!("{}.{}.", part(&json!({ "alg": alg, "kid": "one" })), part(&claims));
    // The public key as it is published, and its octets, as the secret of an HMAC.
    let public = jwk(&office.key, "one");
    let secrets = [public.to_string().into_bytes(), office.key.der_bytes().to_vec()];
    let hmac = |algorithm, secret: &[u8]| {
        let mut header = Header::new(algorithm);
        header.kid = Some("one".into());
        encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let stranger = KeyPair::generate().unwrap();
    let own = serde_json::from_value(jwk(&stranger, "one")).unwrap();
    let mut own_header = Header::new(Algorithm::ES256);
    own_header.jwk = Some(own);
    let by_stranger = EncodingKey::from_ec_der(&stranger.serialize_der());
    office
        .refuses(&[
            ("none", unsigned("none")),
            ("None", unsigned("None")),
            ("no signature", unsigned("ES256")),
            ("HS256 with the JWK", hmac(Algorithm::HS256, &secrets[0])),
            ("HS256 with the key", hmac(Algorithm::HS256, &secrets[1])),
            ("HS512 with the key", hmac(Algorithm::HS512, &secrets[1])),
            ("jku", office.token(|header, _| header.jku = Some("https://evil.example/keys".into()))),
            ("jwk", encode(&own_header, &claims, &by_stranger).unwrap()),
            ("x5u", office.token(|header, _| header.x5u = Some("https://evil.example/x".into()))),
            ("x5c", office.token(|header, _| header.x5c = Some(vec!["AA==".into()]))),
            ("crit", office.token(|header, _| header.crit = Some(vec!["exp".into()]))),
            ("another key", {
                let mut header = Header::new(Algorithm::ES256);
                header.kid = Some("one".into());
                encode(&header, &claims, &by_stranger).unwrap()
            }),
        ])
        .await;
}

#[tokio::test]
async fn t17_a_token_says_for_whom_by_whom_and_for_how_long() {
    let office = Office::new().await;
    let remove =
        |name: &'static str| office.claims(move |claims| drop(claims.as_object_mut().unwrap().remove(name)));
    let with = |name: &'static str, value: Value| office.claims(move |claims| claims[name] = value);
    office
        .refuses(&[
            ("no exp", remove("exp")),
            ("exp as text", with("exp", json!("soon"))),
            ("exp over", with("exp", json!(now() - 120))),
            ("no aud", remove("aud")),
            ("aud of another", with("aud", json!("https://other.example"))),
            ("aud as a prefix", with("aud", json!("https://gate.example.evil"))),
            ("aud empty", with("aud", json!([]))),
            ("no iss", remove("iss")),
            ("iss of another", with("iss", json!("https://evil.example"))),
            ("nbf to come", with("nbf", json!(now() + 600))),
            ("nbf as text", with("nbf", json!("later"))),
            ("no sub", remove("sub")),
            ("sub as a number", with("sub", json!(7))),
        ])
        .await;
    for fine in
        [with("aud", json!(["x", AUDIENCE])), with("nbf", json!(now() - 5)), with("exp", json!(now() - 5))]
    {
        assert_eq!(office.answer(Some(&fine)).await.0, 200);
    }
}

#[tokio::test]
async fn t18_a_token_names_a_known_key_and_is_small() {
    let office = Office::new().await;
    office
        .refuses(&[
            ("no kid", office.token(|header, _| header.kid = None)),
            ("unknown kid", office.token(|header, _| header.kid = Some("three".into()))),
            ("kid of the other key", office.token(|header, _| header.kid = Some("two".into()))),
            ("a path as kid", office.token(|header, _| header.kid = Some("../../dev/null".into()))),
            ("8 KiB", office.claims(|claims| claims["x"] = json!("x".repeat(8200)))),
            ("nothing", "-".into()),
            ("no JWT", "a.b.c".into()),
            ("five parts", format!("{}.a.b", office.token(|_, _| ()))),
        ])
        .await;
    let token = office.token(|_, _| ());
    let mut request = Request::new("POST", "https", "gate.example", "/");
    request.push("x-tun", "127.0.0.1:9");
    request.push_sensitive("authorization", &format!("Bearer {token}"));
    request.push_sensitive("authorization", &format!("Bearer {token}"));
    let mut stream = within(office.handle.open(request)).await.unwrap();
    assert_eq!(within(stream.response()).await.unwrap().status(), 400, "two of them");
}

#[tokio::test]
async fn t19_a_token_of_another_identity_opens_nothing() {
    let office = Office::new().await;
    let destination = echo().await;
    let token = office.token(|_, _| ());
    for (inside, holds) in [(&office.alice, true), (&office.carol, false)] {
        let handle = call(inside, office.node).await;
        let mut request = Request::new("POST", "https", "gate.example", "/");
        request.push("x-tun", &destination.to_string());
        request.push_sensitive("authorization", &format!("Bearer {token}"));
        let mut stream = within(handle.open(request)).await.unwrap();
        assert_eq!(within(stream.response()).await.unwrap().status(), 200);
        let mut tls = within(inner(inside, destination).connect(nobody(), stream)).await.unwrap();
        let written = tls.write_all(b"octet").await;
        let read = within(tls.read_exact(&mut [0; 5])).await;
        assert_eq!(written.is_ok() && read.is_ok(), holds, "{read:?}");
    }
    let lines = within(captured::events("no tunnel", 1)).await;
    assert!(lines[0].contains("another identity") && !lines[0].contains(&token[..40]), "{lines:?}");
}
