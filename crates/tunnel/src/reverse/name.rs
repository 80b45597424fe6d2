//! What a node is called at its gateway: a host name, or its SPIFFE identity. One type, one spelling for each.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::authority::{AuthorityError, HostName};
use crate::identity::{SCHEME, SpiffeError, SpiffeId};

/// A name under which a node may be registered. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReverseName(Arc<str>);

impl ReverseName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a host name, which is what a node may ask for by SNI; none for an identity.
    pub fn host(&self) -> Option<&str> {
        (!self.0.starts_with(SCHEME)).then_some(&*self.0)
    }
}

impl FromStr for ReverseName {
    type Err = ReverseNameError;

    fn from_str(text: &str) -> Result<Self, ReverseNameError> {
        if text.starts_with(SCHEME) {
            text.parse::<SpiffeId>().map_err(ReverseNameError::Identity)?;
        } else {
            text.parse::<HostName>().map_err(ReverseNameError::Host)?;
        }
        Ok(Self(text.into()))
    }
}

impl From<&SpiffeId> for ReverseName {
    fn from(id: &SpiffeId) -> Self {
        Self(id.as_str().into())
    }
}

impl fmt::Display for ReverseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReverseNameError {
    /// It begins as an identity and is none.
    Identity(SpiffeError),
    /// It is no host name.
    Host(AuthorityError),
}

impl fmt::Display for ReverseNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => error.fmt(f),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReverseNameError {}
