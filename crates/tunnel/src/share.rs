//! How much of a common limit one caller holds: one identity, or one address where none was shown.
//!
//! Used by the inbound side beside its semaphores: one caller at a hundred times the load of the others must
//! not take what is theirs. Knows no limits itself.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::identity::SpiffeId;
use crate::network::canonical;

/// What each holder has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<Holder, usize>>>);

/// Who has a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A caller that has shown who it is.
    Identity(Arc<SpiffeId>),
    /// Everybody at an address who has not.
    Address(IpAddr),
}

/// A place among the tunnels, within the share of its holder.
#[derive(Debug)]
pub(crate) struct Seat {
    held: Held,
    /// The holder's share.
    most: usize,
    _permit: OwnedSemaphorePermit,
}

/// One of them, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    shares: Shares,
    holder: Holder,
}

impl Holder {
    pub(crate) fn of(source: Option<&Arc<SpiffeId>>, from: IpAddr) -> Self {
        source.map_or_else(|| Self::Address(canonical(from)), |source| Self::Identity(Arc::clone(source)))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(source) => source.fmt(f),
            Self::Address(ip) => ip.fmt(f),
        }
    }
}

impl Seat {
    pub(crate) const fn new(held: Held, most: usize, permit: OwnedSemaphorePermit) -> Self {
        Self { held, most, _permit: permit }
    }

    /// From now on `holder` has it: who is known only now no longer counts as whoever brought it.
    ///
    /// # Errors
    /// The share, when the holder has all of it already.
    pub(crate) fn pass_on(&mut self, holder: Holder) -> Result<(), usize> {
        if self.held.holder != holder {
            self.held = self.held.shares.take(&holder, self.most).ok_or(self.most)?;
        }
        Ok(())
    }
}

impl Shares {
    /// One more for `holder`, unless it has `most` already.
    pub(crate) fn take(&self, holder: &Holder, most: usize) -> Option<Held> {
        let mut counts = self.0.lock();
        let count = counts.entry(holder.clone()).or_default();
        if *count >= most {
            // An entry of 0 comes here with a limit of 0 only.
            return None;
        }
        *count += 1;
        Some(Held { shares: self.clone(), holder: holder.clone() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.shares.0.lock();
        if let Some(count) = counts.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_a_share_is_one_holders_and_leaves_no_trace() {
        let id = |text: &str| Holder::Identity(Arc::new(text.parse::<SpiffeId>().unwrap()));
        let (shares, alice, bob) =
            (Shares::default(), id("spiffe://td/ns/a/sa/alice"), id("spiffe://td/ns/a/sa/bob"));
        let first = shares.take(&alice, 2).unwrap();
        let second = shares.take(&alice, 2).unwrap();
        assert!(shares.take(&alice, 2).is_none());
        let other = shares.take(&bob, 2).unwrap();
        drop(first);
        let third = shares.take(&id(&alice.to_string()), 2).unwrap();
        assert!(shares.take(&alice, 2).is_none());
        drop((second, third, other));
        assert!(shares.0.lock().is_empty());
    }

    #[test]
    fn h17_identities_that_never_come_twice_leave_nothing_behind() {
        let shares = Shares::default();
        for n in 0..100_000 {
            let id = format!("spiffe://td/ns/a/sa/s{n}").parse::<SpiffeId>().unwrap();
            let holder = Holder::Identity(Arc::new(id));
            let held = shares.take(&holder, 2).unwrap();
            assert!(shares.0.lock().len() == 1 && shares.0.lock().capacity() < 16);
            drop(held);
        }
        assert!(shares.0.lock().is_empty());
    }
}
