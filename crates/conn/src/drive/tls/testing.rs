//! A peer made by hand, with keys that anyone can compute: for records that no TLS library would make. Built for
//! tests and fuzzing only.

use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_128_GCM, Algorithm, NONCE_LEN};

use super::fault::Fault;
use super::keys::Keys;
use super::layer::Layer;
use super::record::{CONTENT, HEADER};
use super::source::KeySource;

const ALGORITHM: &Algorithm = &AES_128_GCM;
const PEER: u8 = 1;
const OURS: u8 = 2;

/// The keys of one direction, so many KeyUpdates later.
fn keys(direction: u8, generation: u64) -> Keys {
    let mut key = [direction; 16];
    key[..8].copy_from_slice(&generation.to_le_bytes());
    Keys::of(0, ALGORITHM, &key, [direction; NONCE_LEN]).expect("a key of the right size")
}

/// Counts what it gives.
#[derive(Default)]
struct Counted {
    sealing: u64,
    opening: u64,
    tickets: Tickets,
}

/// The tickets that were taken.
pub(super) type Tickets = Arc<Mutex<Vec<Vec<u8>>>>;

impl KeySource for Counted {
    fn next_to_seal(&mut self) -> Result<Keys, Fault> {
        self.sealing += 1;
        Ok(keys(OURS, self.sealing))
    }

    fn next_to_open(&mut self) -> Result<Keys, Fault> {
        self.opening += 1;
        Ok(keys(PEER, self.opening))
    }

    fn ticket(&mut self, body: &[u8]) -> Result<(), Fault> {
        self.tickets.lock().expect("no panic before").push(body.to_vec());
        Ok(())
    }
}

/// A layer that opens what a [`Forger`] seals, and the tickets that it takes.
pub(super) fn layer() -> (Layer, Tickets) {
    layer_with(CONTENT)
}

/// The same, with records of at most so much data.
pub(super) fn layer_with(content: usize) -> (Layer, Tickets) {
    let source = Counted::default();
    let tickets = Arc::clone(&source.tickets);
    (Layer::new(keys(PEER, 0), keys(OURS, 0), 1 << 24, content, Box::new(source)), tickets)
}

/// The peer: seals whatever it is given.
pub(super) struct Forger {
    direction: u8,
    generation: u64,
    keys: Keys,
}

impl Forger {
    /// The layer's peer.
    pub(super) fn new() -> Self {
        Self { direction: PEER, generation: 0, keys: keys(PEER, 0) }
    }

    /// A record around an inner plaintext: content, type, padding.
    pub(super) fn inner(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut record = [&[0; HEADER], inner].concat();
        self.keys.seal(&mut record, 0).expect("few records");
        record
    }

    /// A record of that type.
    pub(super) fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        self.inner(&[content, &[kind]].concat())
    }

    /// Seals with the next key from now on.
    pub(super) fn renew(&mut self) {
        self.generation += 1;
        self.keys = keys(self.direction, self.generation);
    }
}

/// Opens what the layer has sealed, as its peer would: type and content of every record.
pub(super) fn sealed_by_layer(mut octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut generation, mut all) = (0, Vec::new());
    let mut opening = keys(OURS, 0);
    while let Some((header, behind)) = octets.split_first_chunk::<HEADER>() {
        let (sealed, rest) = behind.split_at(super::record::announced(*header));
        let mut sealed = sealed.to_vec();
        let inner = opening.open(*header, &mut sealed).expect("the layer's key");
        let (kind, content) = inner.split_last().expect("a type");
        all.push((*kind, content.to_vec()));
        if *kind == super::record::HANDSHAKE {
            generation += 1;
            opening = keys(OURS, generation);
        }
        octets = rest;
    }
    all
}
