//! Credit in both directions (RFC 9113 5.2, 6.9). Knows no stream ids and sends no frames.
//!
//! The only file that does arithmetic on windows. Sending: a window is the peer's current initial size plus an
//! offset of its own, so that a change of SETTINGS_INITIAL_WINDOW_SIZE touches no stream (it may leave a
//! window negative, 6.9.2). Receiving: octets are charged when a frame's head announces them and given back
//! by whoever has taken them; what is due leaves as an [`Increment`].

use hbone_frame::MAX_WINDOW;

/// So many octets of credit are announced whatever the window's size. What is due and not announced is missing at the
/// other end of the path: a window that comes as one burst would else be used by half.
const ENOUGH: u32 = 256 * 1024;
/// So many octets of a connection's credit are announced although no stream has any to announce. More than a read
/// brings: readers have their turn first, and the credit of both leaves in one flight.
const OVERDUE: u32 = 384 * 1024;

/// The peer sent more than its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exceeded;

/// The peer raised a window above 2^31-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// Credit to announce to the peer in a WINDOW_UPDATE; lost if dropped.
#[must_use = "credit that is not announced is lost to the peer"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Increment(pub(super) u32);

/// What this end may send, as an offset to the peer's initial window size. The offset lies within 2^31-1 of 0:
/// nothing is spent beyond the initial size and what was added, and nothing added beyond 2^31-1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SendWindow {
    offset: i32,
}

impl SendWindow {
    /// Octets that may be sent now; negative after a shrunken initial window (RFC 9113 6.9.2).
    pub(super) const fn available(self, initial: u32) -> i64 {
        initial as i64 + self.offset as i64
    }

    /// Spends `n` octets that a DATA frame carries.
    pub(super) const fn spend(&mut self, n: usize) {
        self.offset -= n as i32;
    }

    /// Takes a WINDOW_UPDATE.
    pub(super) fn add(&mut self, initial: u32, increment: u32) -> Result<(), Overflow> {
        // RFC 9113 6.9.1: a sender MUST NOT allow a flow-control window to exceed 2^31-1 octets.
        if self.available(initial) + i64::from(increment) > i64::from(MAX_WINDOW) {
            return Err(Overflow);
        }
        self.offset = i32::try_from(i64::from(self.offset) + i64::from(increment)).map_err(|_| Overflow)?;
        Ok(())
    }

    /// Whether a new initial size keeps this window within 2^31-1 (RFC 9113 6.9.2).
    pub(super) const fn fits(self, initial: u32) -> bool {
        self.available(initial) <= MAX_WINDOW as i64
    }
}

/// What the peer may send to this end.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    /// The size that the window has when nothing is in flight or unread.
    size: u32,
    /// Octets that the peer may still send; negative after a smaller SETTINGS value was acknowledged.
    available: i32,
    /// Octets given back but not yet announced.
    due: u32,
    /// Octets given back since the window last grew.
    used: u32,
    /// By how much it has grown.
    grown: u32,
}

impl ReceiveWindow {
    pub(super) const fn new(size: u32) -> Self {
        let size = if size > MAX_WINDOW { MAX_WINDOW } else { size };
        Self { size, available: size as i32, due: 0, used: 0, grown: 0 }
    }

    /// Charges a frame of `n` octets, padding and all (RFC 9113 6.1, 6.9.1).
    pub(super) const fn receive(&mut self, n: u32) -> Result<(), Exceeded> {
        // RFC 9113 6.9: a frame of no octets needs no credit.
        if n > 0 && (n as i64) > self.available as i64 {
            return Err(Exceeded);
        }
        self.available -= n as i32;
        Ok(())
    }

    /// Gives back `n` octets that were charged before.
    pub(super) const fn release(&mut self, n: u32) {
        self.due += n;
        self.used = self.used.saturating_add(n);
    }

    /// Whether half of it was used since it last grew to less than `target`.
    #[inline]
    pub(super) const fn may_grow(&self, target: u32) -> bool {
        self.size < target && self.used >= self.size / 2
    }

    /// Enlarges a window of which half was used since it last grew to `target`, by at most `room`. Returns by how
    /// much.
    pub(super) fn grow_with_use(&mut self, target: u32, room: u32) -> u32 {
        if !self.may_grow(target) {
            return 0;
        }
        let growth = (target - self.size).min(room);
        self.used = 0;
        self.grown += growth;
        self.grow(self.size + growth);
        growth
    }

    /// The size that it has when nothing is in flight or unread, in octets.
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// By how much it has grown with use, in octets.
    pub(super) const fn grown(&self) -> u32 {
        self.grown
    }

    /// Enlarges the window to `size`, at most 2^31-1; a smaller size is ignored.
    pub(super) const fn grow(&mut self, size: u32) {
        let size = if size > MAX_WINDOW { MAX_WINDOW } else { size };
        if size > self.size {
            self.due += size - self.size;
            self.size = size;
        }
    }

    /// Takes back `n` octets of a size that the peer has just acknowledged (a smaller SETTINGS value).
    pub(super) const fn shrink(&mut self, n: u32) {
        self.size = self.size.saturating_sub(n);
        self.available -= n as i32;
    }

    /// Whether so much is due that an update is worth a frame of its own: half of the window, or [`ENOUGH`].
    pub(super) const fn update_due(&self) -> bool {
        self.due > 0 && (self.due >= self.size / 2 || self.due >= ENOUGH)
    }

    /// Whether so much is due that it waits for no stream's update: half of the window, or [`OVERDUE`].
    pub(super) const fn is_overdue(&self) -> bool {
        self.due > 0 && (self.due >= self.size / 2 || self.due >= OVERDUE)
    }

    /// As [`update_due`](Self::update_due), of a window that may have at most `most` octets now: less than half of them may be left.
    pub(super) const fn update_due_within(&self, most: u32) -> bool {
        let size = if most < self.size { most } else { self.size };
        let used = (self.available as i64) <= most as i64 / 2;
        most > 0 && self.due > 0 && (self.due >= size / 2 || self.due >= ENOUGH) && used
    }

    /// Takes all that is due; the caller announces it.
    pub(super) const fn announce(&mut self) -> Option<Increment> {
        self.announce_within(u32::MAX)
    }

    /// Takes what is due of a window that may have at most `most` octets now; the rest stays due.
    pub(super) const fn announce_within(&mut self, most: u32) -> Option<Increment> {
        let room = most as i64 - self.available as i64;
        if self.due == 0 || room <= 0 {
            return None;
        }
        let increment = if (self.due as i64) < room { self.due } else { room as u32 };
        self.due -= increment;
        self.available += increment as i32;
        Some(Increment(increment))
    }

    /// Size, available, due.
    #[cfg(any(test, fuzzing))]
    pub(super) fn parts(&self) -> (i64, i64, i64) {
        (i64::from(self.size), i64::from(self.available), i64::from(self.due))
    }

    /// Octets charged and neither given back nor announced: what the application has not taken.
    #[cfg(any(test, fuzzing))]
    pub(super) fn outstanding(&self) -> i64 {
        let (size, available, due) = self.parts();
        size - available - due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_follows_the_initial_size_and_may_go_negative() {
        let mut window = SendWindow::default();
        window.spend(60_000);
        assert_eq!(window.available(65_535), 5_535);
        assert_eq!(window.available(16_384), -43_616);
        window.add(16_384, 50_000).unwrap();
        assert_eq!(window.available(16_384), 6_384);
    }

    #[test]
    fn a_send_window_refuses_to_pass_two_to_the_31_minus_1() {
        let mut window = SendWindow::default();
        assert_eq!(window.add(65_535, MAX_WINDOW), Err(Overflow));
        window.add(65_535, MAX_WINDOW - 65_535).unwrap();
        assert_eq!(window.add(65_535, 1), Err(Overflow));
        assert!(window.fits(65_535));
        assert!(!window.fits(65_536));
    }

    #[test]
    fn credit_is_neither_lost_nor_invented() {
        let mut window = ReceiveWindow::new(1000);
        window.receive(700).unwrap();
        assert_eq!(window.receive(301), Err(Exceeded));
        window.release(400);
        assert_eq!(window.outstanding(), 300);
        assert!(!window.update_due());
        window.release(300);
        assert!(window.update_due());
        assert_eq!(window.announce(), Some(Increment(700)));
        assert_eq!(window.announce(), None);
        window.receive(1000).unwrap();
        assert_eq!(window.outstanding(), 1000);
    }

    #[test]
    fn a_shrunken_receive_window_may_be_negative_and_counts_right() {
        let mut window = ReceiveWindow::new(65_535);
        window.receive(60_000).unwrap();
        window.shrink(64_535);
        assert_eq!(window.outstanding(), 60_000);
        assert_eq!(window.receive(0), Ok(()));
        assert_eq!(window.receive(1), Err(Exceeded));
        window.release(60_000);
        assert_eq!(window.announce(), Some(Increment(60_000)));
        assert_eq!(window.receive(1001), Err(Exceeded));
        window.receive(1000).unwrap();
    }

    #[test]
    fn a_large_window_is_credited_long_before_its_half() {
        let mut window = ReceiveWindow::new(16 << 20);
        window.receive(4 << 20).unwrap();
        window.release(ENOUGH - 1);
        assert!(!window.update_due());
        window.release(1);
        assert!(window.update_due() && !window.is_overdue());
        window.release(OVERDUE - ENOUGH);
        assert!(window.is_overdue());
    }

    #[test]
    fn a_window_grows_only_with_use_and_within_its_room() {
        let mut window = ReceiveWindow::new(1000);
        window.receive(1000).unwrap();
        window.release(499);
        assert_eq!(window.grow_with_use(16_000, 64_000), 0);
        window.release(501);
        assert_eq!(window.grow_with_use(2000, 64_000), 1000);
        assert_eq!(window.grow_with_use(16_000, 64_000), 0, "not twice for the same use");
        assert_eq!(window.announce(), Some(Increment(2000)));
        window.receive(1000).unwrap();
        window.release(1000);
        assert_eq!(window.grow_with_use(16_000, 500), 500);
        assert_eq!(window.grown(), 1500);
    }

    #[test]
    fn growing_announces_the_difference_once() {
        let mut window = ReceiveWindow::new(1000);
        window.grow(3000);
        window.grow(2000);
        assert_eq!(window.announce(), Some(Increment(2000)));
        window.receive(3000).unwrap();
    }
}
