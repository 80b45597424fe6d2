//! One direction's AEAD key with its sequence number (RFC 8446 5.2 and 5.3). Used by the layer for both directions;
//! knows nothing of what is in a record.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::ConnectionTrafficSecrets;

use super::fault::Fault;
use super::record::{HEADER, header};

/// A key, and how many records it has sealed or opened.
pub(super) struct Keys {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

impl Keys {
    /// The keys that rustls has derived, from this sequence number on.
    pub(super) fn new(sequence: u64, secrets: &ConnectionTrafficSecrets) -> Result<Self, Fault> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(unknown_suite()),
        };
        // rustls holds every key at the size of the largest or at its own.
        let key = key.as_ref().get(..algorithm.key_len()).ok_or_else(unknown_suite)?;
        let iv = iv.as_ref().try_into().map_err(|_| unknown_suite())?;
        Self::of(sequence, algorithm, key, iv)
    }

    pub(super) fn of(
        sequence: u64,
        algorithm: &'static Algorithm,
        key: &[u8],
        iv: [u8; NONCE_LEN],
    ) -> Result<Self, Fault> {
        let key = UnboundKey::new(algorithm, key).map_err(|_| unknown_suite())?;
        Ok(Self { key: LessSafeKey::new(key), iv, sequence })
    }

    /// Records so far.
    pub(super) const fn used(&self) -> u64 {
        self.sequence
    }

    /// Opens what is behind `header` in place; returns it without its tag.
    pub(super) fn open<'a>(
        &mut self,
        header: [u8; HEADER],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Fault> {
        let nonce = self.nonce()?;
        self.key.open_in_place(nonce, Aad::from(header), sealed).map_err(|_| Fault::BadRecord)
    }

    /// Seals what is in `record` behind room for its header, and appends the tag.
    pub(super) fn seal(&mut self, record: &mut Vec<u8>, start: usize) -> Result<(), Fault> {
        let nonce = self.nonce()?;
        let inner = start + HEADER;
        let header = header(record.len() - inner + self.key.algorithm().tag_len());
        record[start..inner].copy_from_slice(&header);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut record[inner..]);
        // Fails for more octets than one nonce may cover, and a record has fewer.
        let tag = sealed.map_err(|_| Fault::Exhausted)?;
        record.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// The next record's nonce (RFC 8446 5.3); none is given out twice.
    fn nonce(&mut self) -> Result<Nonce, Fault> {
        let next = self.sequence.checked_add(1).ok_or(Fault::Exhausted)?;
        let mut nonce = self.iv;
        for (octet, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *octet ^= number;
        }
        self.sequence = next;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

fn unknown_suite() -> Fault {
    Fault::Rustls(rustls::Error::General("a cipher suite without keys that are known here".to_owned()))
}
