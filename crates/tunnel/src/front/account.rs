//! The one user of a proxy listener, when it asks for one.
//!
//! Made by the configuration, asked by the fronts. Compares in constant time; shows no password.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

/// A user name and a password, each of 1 to 255 octets (RFC 1929 2).
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    user: String,
    password: String,
    /// As HTTP says it (RFC 7617 2).
    basic: String,
}

impl Account {
    /// An account.
    ///
    /// # Errors
    /// When one of the two is empty or over 255 octets, or the name has a colon, which RFC 7617 cannot say.
    pub fn new(user: &str, password: &str) -> Result<Self, &'static str> {
        if [user, password].iter().any(|text| text.is_empty() || text.len() > 255) {
            return Err("a user name and a password have 1 to 255 octets each");
        }
        if user.contains(':') {
            return Err("a user name has no colon");
        }
        let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Ok(Self { user: user.to_owned(), password: password.to_owned(), basic })
    }

    /// Whether these are its two parts.
    pub(super) fn is(&self, user: &[u8], password: &[u8]) -> bool {
        // Both are compared, also when the first is wrong already.
        bool::from(self.user.as_bytes().ct_eq(user) & self.password.as_bytes().ct_eq(password))
    }

    /// Whether a `proxy-authorization` names it.
    pub(super) fn is_basic(&self, value: &[u8]) -> bool {
        let Some((scheme, credentials)) = value.split_at_checked("basic ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"basic ")
            && bool::from(self.basic.as_bytes().ct_eq(credentials.trim_ascii()))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_pair_is_it_and_a_dump_has_no_password() {
        let account = Account::new("ann", "s3cret").unwrap();
        assert!(account.is(b"ann", b"s3cret"));
        for (user, password) in [("ann", "s3cre"), ("an", "s3cret"), ("", ""), ("ann", ""), ("anns", "3cret")]
        {
            assert!(!account.is(user.as_bytes(), password.as_bytes()), "{user} {password}");
        }
        assert!(account.is_basic(b"Basic YW5uOnMzY3JldA=="));
        assert!(account.is_basic(b"basic  YW5uOnMzY3JldA==  "));
        for odd in ["Basic", "Basic ", "Basic YW5uOnMzY3JldA", "Bearer YW5uOnMzY3JldA==", ""] {
            assert!(!account.is_basic(odd.as_bytes()), "{odd}");
        }
        assert!(!format!("{account:?}").contains("s3c") && !format!("{account:?}").contains("YW5"));
        for (user, password) in [("", "x"), ("x", ""), ("a:b", "x"), (&*"x".repeat(256), "x")] {
            assert!(Account::new(user, password).is_err());
        }
    }
}
