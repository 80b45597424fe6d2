//! Whether a token that came with a POST is to be believed: a JWT (RFC 7519, RFC 8725) of a known issuer, for this
//! node, in its time, and for whoever is inside the stream.
//!
//! Asked by the inbound side before it answers; the identity inside is compared afterwards. Keys come from `keys` and
//! never from the token. Neither a token nor what stands in it is ever printed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::Request;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::identity::SpiffeId;
use crate::post::keys::TokenKeys;
use crate::post::token::MOST;

/// Which tokens are believed.
#[derive(Debug)]
pub struct TokenRules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    claim: String,
    keys: TokenKeys,
}

impl TokenRules {
    /// Tokens of one of the issuers, for one of the audiences, signed with a key of `keys`. All algorithms with public
    /// keys, 30 s for clocks that differ, bound to the identity inside by `sub`.
    pub fn new(issuers: Vec<String>, audiences: Vec<String>, keys: TokenKeys) -> Self {
        let claim = "sub".to_owned();
        Self { issuers, audiences, algorithms: PUBLIC.to_vec(), leeway: Duration::from_secs(30), claim, keys }
    }

    /// Only these algorithms, by their names of RFC 7518 3.1.
    ///
    /// # Errors
    /// The first name that is none of an algorithm with public keys, or an empty list.
    pub fn with_algorithms(mut self, names: &[impl AsRef<str>]) -> Result<Self, String> {
        self.algorithms.clear();
        for name in names {
            let known = name.as_ref().parse().ok().filter(|algorithm| PUBLIC.contains(algorithm));
            self.algorithms.push(known.ok_or_else(|| name.as_ref().to_owned())?);
        }
        if self.algorithms.is_empty() { Err(String::new()) } else { Ok(self) }
    }

    /// Whether that is the name of an algorithm with public keys.
    pub fn knows(name: &str) -> bool {
        name.parse().is_ok_and(|algorithm| PUBLIC.contains(&algorithm))
    }

    /// How far clocks may differ; more than 60 s is 60 s.
    #[must_use]
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(MOST_LEEWAY);
        self
    }

    /// The claim that holds the identity inside, in place of `sub`.
    #[must_use]
    pub fn with_claim(mut self, claim: &str) -> Self {
        self.claim = claim.to_owned();
        self
    }

    /// Judges what came with a request.
    pub(crate) async fn judge(&self, request: &Request) -> Result<Admitted, TokenRefusal> {
        let token = bearer(request)?;
        let header = decode_header(token).map_err(|_| TokenRefusal::Malformed)?;
        self.judge_header(&header)?;
        let keys = self.keys.current().await.ok_or(TokenRefusal::NoKeys)?;
        let key = match self.key(&keys, &header) {
            Ok(key) => key,
            // It may be newer than what is known here.
            Err(TokenRefusal::UnknownKey) => {
                let fresh = self.keys.fresher(&keys).await.ok_or(TokenRefusal::UnknownKey)?;
                self.key(&fresh, &header)?
            }
            Err(refusal) => return Err(refusal),
        };
        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.set_audience(&self.audiences);
        validation.set_issuer(&self.issuers);
        validation.validate_nbf = true;
        validation.leeway = self.leeway.as_secs();
        let claims =
            decode::<Said>(token, &key, &validation).map_err(|error| TokenRefusal::of(&error))?.claims;
        match claims.0.get(&self.claim) {
            Some(Value::String(identity)) => {
                Ok(Admitted { identity: identity.clone(), claims: Arc::new(for_rules(&claims.0)) })
            }
            _ => Err(TokenRefusal::Nobody),
        }
    }

    /// What a header may not have: it chooses neither its key nor rules of its own (RFC 8725 3.1, 3.10).
    fn judge_header(&self, header: &Header) -> Result<(), TokenRefusal> {
        let brings_a_key =
            header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
        if brings_a_key || header.crit.is_some() {
            return Err(TokenRefusal::Header);
        }
        if self.algorithms.contains(&header.alg) { Ok(()) } else { Err(TokenRefusal::Algorithm) }
    }

    fn key(&self, keys: &JwkSet, header: &Header) -> Result<DecodingKey, TokenRefusal> {
        let found = match (&header.kid, keys.keys.as_slice()) {
            (Some(kid), _) => keys.find(kid),
            (None, [only]) => Some(only),
            (None, _) => return Err(TokenRefusal::NoKey),
        };
        let key = found.ok_or(TokenRefusal::UnknownKey)?;
        if !fits(key, header.alg) {
            return Err(TokenRefusal::Algorithm);
        }
        DecodingKey::from_jwk(key).map_err(|_| TokenRefusal::UnknownKey)
    }
}

/// Whether a key is meant for signatures of that algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let named = |of: KeyAlgorithm| of.to_string().parse::<Algorithm>().is_ok_and(|of| of == algorithm);
    let common = &key.common;
    common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
        && common.key_algorithm.is_none_or(named)
}

/// The one token of a request.
fn bearer(request: &Request) -> Result<&[u8], TokenRefusal> {
    let mut found = request.fields().iter().filter(|field| field.name == b"authorization");
    let value = found.next().ok_or(TokenRefusal::Missing)?.value;
    if found.next().is_some() {
        return Err(TokenRefusal::Malformed);
    }
    if value.len() > MOST + SCHEME.len() {
        return Err(TokenRefusal::TooLong);
    }
    let (scheme, token) = value.split_at_checked(SCHEME.len()).ok_or(TokenRefusal::Missing)?;
    if scheme.eq_ignore_ascii_case(SCHEME) { Ok(token.trim_ascii()) } else { Err(TokenRefusal::Missing) }
}

/// Claims as rules compare them: texts, numbers and lists of them.
fn for_rules(claims: &Map<String, Value>) -> Claims {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let texts = |value: &Value| match value.as_array() {
        Some(list) => list.iter().filter_map(text).collect(),
        None => text(value).into_iter().collect(),
    };
    Claims::new(claims.iter().map(|(name, value)| (name.clone(), texts(value))).collect())
}

#[derive(Deserialize)]
struct Said(Map<String, Value>);

/// A token that holds, and for whom.
#[derive(PartialEq, Eq)]
pub(crate) struct Admitted {
    identity: String,
    /// For rules that ask for them.
    pub(crate) claims: Arc<Claims>,
}

impl Admitted {
    /// Whether it is for whoever is inside.
    pub(crate) fn is_for(&self, inside: &SpiffeId) -> bool {
        self.identity == inside.as_str()
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admitted")
    }
}

/// Why a token is not believed. The caller hears none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenRefusal {
    /// There is none.
    Missing,
    /// It is no JWT, or there are two.
    Malformed,
    /// More than 8 KiB.
    TooLong,
    /// Its header brings a key, or rules of its own.
    Header,
    /// Its algorithm is not allowed, or not its key's.
    Algorithm,
    /// It names no key, and there are several.
    NoKey,
    /// It names a key that is not known.
    UnknownKey,
    /// No keys are to be had.
    NoKeys,
    /// Its signature is wrong.
    Signature,
    /// A claim that must be there is missing or no claim of its kind.
    Claim,
    /// Its time is over, or has not come.
    Time,
    /// It is of another issuer.
    Issuer,
    /// It is for others.
    Audience,
    /// It says of nobody whom it is for.
    Nobody,
    /// It is for another identity than is inside.
    OtherIdentity,
}

impl TokenRefusal {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow; the rest is no token that can be read"
    )]
    fn of(error: &jsonwebtoken::errors::Error) -> Self {
        use jsonwebtoken::errors::ErrorKind;
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Self::Claim,
            ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Self::Time,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the caller shows no token; give it one",
            Self::Malformed => "the token is no JWT, or there are two",
            Self::TooLong => "the token has over 8 KiB",
            Self::Header => {
                "the token's header brings a key or rules of its own, which no honest issuer writes here"
            }
            Self::Algorithm => {
                "the token's algorithm is not allowed, or not that of its key; compare `algorithms`"
            }
            Self::NoKey => "the token names no key, and there are several; have the issuer write `kid`",
            Self::UnknownKey => "the token names a key that is not known; compare the keys of the issuer",
            Self::NoKeys => "the keys of the issuer are not to be had; check their file or address",
            Self::Signature => "the token's signature is wrong",
            Self::Claim => "the token lacks exp, aud or iss, or has one that is malformed",
            Self::Time => "the token's time is over or has not come; renew it, or check the clocks",
            Self::Issuer => "the token is of another issuer; compare `issuer`",
            Self::Audience => "the token is for others; compare `audience`",
            Self::Nobody => "the token does not say which identity it is for",
            Self::OtherIdentity => "the token is for another identity than is inside the stream",
        })
    }
}

impl std::error::Error for TokenRefusal {}

/// Algorithms whose key is public: no verifier can sign with what it knows.
const PUBLIC: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const MOST_LEEWAY: Duration = Duration::from_secs(60);
const SCHEME: &[u8] = b"bearer ";
