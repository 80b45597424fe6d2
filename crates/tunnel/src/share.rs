//! How much of a common limit one identity holds.
//!
//! Used by the inbound side beside its semaphores: one caller at a hundred times the load of the others must
//! not take what is theirs. Knows no limits itself.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::identity::SpiffeId;

/// What each identity holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<Arc<SpiffeId>, usize>>>);

/// One of them, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    shares: Shares,
    holder: Arc<SpiffeId>,
}

impl Shares {
    /// One more for `holder`, unless it has `most` already.
    pub(crate) fn take(&self, holder: &Arc<SpiffeId>, most: usize) -> Option<Held> {
        let mut counts = self.0.lock();
        let count = counts.entry(Arc::clone(holder)).or_default();
        if *count >= most {
            // An entry of 0 comes here with a limit of 0 only.
            return None;
        }
        *count += 1;
        Some(Held { shares: self.clone(), holder: Arc::clone(holder) })
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
        let id = |text: &str| Arc::new(text.parse::<SpiffeId>().unwrap());
        let (shares, alice, bob) =
            (Shares::default(), id("spiffe://td/ns/a/sa/alice"), id("spiffe://td/ns/a/sa/bob"));
        let first = shares.take(&alice, 2).unwrap();
        let second = shares.take(&alice, 2).unwrap();
        assert!(shares.take(&alice, 2).is_none());
        let other = shares.take(&bob, 2).unwrap();
        drop(first);
        let third = shares.take(&id(alice.as_str()), 2).unwrap();
        assert!(shares.take(&alice, 2).is_none());
        drop((second, third, other));
        assert!(shares.0.lock().is_empty());
    }

    #[test]
    fn h17_identities_that_never_come_twice_leave_nothing_behind() {
        let shares = Shares::default();
        for n in 0..100_000 {
            let holder = Arc::new(format!("spiffe://td/ns/a/sa/s{n}").parse::<SpiffeId>().unwrap());
            let held = shares.take(&holder, 2).unwrap();
            assert!(shares.0.lock().len() == 1 && shares.0.lock().capacity() < 16);
            drop(held);
        }
        assert!(shares.0.lock().is_empty());
    }
}
