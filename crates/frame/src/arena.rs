//! The octets of one list of fields: few lie in place, more on the heap.
//!
//! A CONNECT with its authority and a response with its status are short, and there are two of them in the life
//! of every stream: they cost no allocation. Used by `field`; knows no fields but the size of the head
//! that each has.

/// Octets of the head that stands before each entry.
pub(crate) const ENTRY_HEAD: usize = 8;
/// Octets that lie in place: `:method: CONNECT` and an `:authority` of 38 octets.
const IN_PLACE: usize = 78;

/// Octets that grow at their end.
#[derive(Clone)]
pub(crate) enum Arena {
    /// The first `len` of `octets`.
    InPlace { len: u8, octets: [u8; IN_PLACE] },
    /// More, or what is to become more.
    Heap(Vec<u8>),
}

const _: () = assert!(size_of::<Arena>() == IN_PLACE + 2);

impl Arena {
    /// Nothing; allocates nothing.
    pub(crate) const fn new() -> Self {
        Self::InPlace { len: 0, octets: [0; IN_PLACE] }
    }

    /// Room for so many octets.
    pub(crate) fn with_capacity(octets: usize) -> Self {
        if octets <= IN_PLACE { Self::new() } else { Self::Heap(Vec::with_capacity(octets)) }
    }

    pub(crate) const fn is_in_place(&self) -> bool {
        matches!(self, Self::InPlace { .. })
    }

    /// All octets.
    #[inline]
    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Self::InPlace { len, octets } => octets.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(octets) => octets,
        }
    }

    /// Room for `more` octets in place, which count from now on; `None` where there is none.
    #[inline]
    pub(crate) fn extend_in_place(&mut self, more: usize) -> Option<&mut [u8]> {
        let Self::InPlace { len, octets } = self else { return None };
        let start = usize::from(*len);
        let room = octets.get_mut(start..start.checked_add(more)?)?;
        *len += more as u8;
        Some(room)
    }

    /// The octets on the heap, moved there if they are not.
    #[inline]
    pub(crate) fn heap(&mut self) -> &mut Vec<u8> {
        if let Self::InPlace { .. } = self {
            self.spill();
        }
        match self {
            Self::Heap(octets) => octets,
            Self::InPlace { .. } => unreachable!("it was moved to the heap"),
        }
    }

    /// Forgets all octets, keeps the allocation.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::InPlace { len, .. } => *len = 0,
            Self::Heap(octets) => octets.clear(),
        }
    }

    /// Takes the octets out. Where they fit in place the memory stays here, for the next ones.
    pub(crate) fn take(&mut self) -> Self {
        let mut taken = Self::new();
        let octets = self.octets();
        match taken.extend_in_place(octets.len()) {
            Some(room) => room.copy_from_slice(octets),
            None => return std::mem::replace(self, taken),
        }
        self.clear();
        taken
    }

    #[cold]
    fn spill(&mut self) {
        let mut octets = Vec::with_capacity(2 * IN_PLACE + ENTRY_HEAD);
        octets.extend_from_slice(self.octets());
        *self = Self::Heap(octets);
    }
}
