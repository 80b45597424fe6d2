//! The body of the fuzz target `tls_records`: a peer that knows the keys and does what a fuzzer likes. Built for tests
//! and fuzzing only.
//!
//! An input is the size of pieces and then steps: an octet that chooses, and what the step takes of the octets
//! behind it.

use super::layer::{End, Layer};
use super::record::{ALERT, APPLICATION_DATA, CONTENT, HANDSHAKE, RECORD};
use super::testing::{Forger, layer, sealed_by_layer};

/// Steps of one trial.
const STEPS: usize = 300;

/// Records of any peer, in pieces of any size.
///
/// # Panics
/// If an octet is handed out that the peer has not sealed as data, or one is kept back; if what comes out depends on
/// how the octets are cut; if more than one record waits; if anything is read behind the end; or if what is sealed
/// in return is not what was to be.
pub fn tls_records(input: &[u8]) {
    let Some((&cut, rest)) = input.split_first() else { return };
    let said = Said::by(rest);
    let whole = hear(&said, said.octets.len());
    assert_eq!(whole, hear(&said, usize::from(cut)), "in pieces of {cut}");
    assert!(said.data.starts_with(&whole.data), "an octet that nobody sent");
    if whole.end.is_none() && whole.waiting == 0 {
        assert!(whole.data == said.data, "{} of {} octets", whole.data.len(), said.data.len());
    }
}

/// What the peer says.
#[derive(Default)]
struct Said {
    octets: Vec<u8>,
    /// What it has sealed as application data.
    data: Vec<u8>,
}

impl Said {
    fn by(script: &[u8]) -> Self {
        let (mut said, mut forger, mut script) = (Self::default(), Forger::new(), Script(script));
        for _ in 0..STEPS {
            let Some(step) = script.octet() else { break };
            said.step(step, &mut forger, &mut script);
        }
        said
    }

    fn step(&mut self, step: u8, forger: &mut Forger, script: &mut Script<'_>) {
        let start = self.octets.len();
        match step % 10 {
            0 => self.data(script.size() % (CONTENT + 2), 0, forger),
            1 => self.data(script.size() % 20, script.size() % (CONTENT + 2), forger),
            2 => self.octets.extend(forger.record(HANDSHAKE, script.octets())),
            3 => self.octets.extend(forger.record(ALERT, script.octets())),
            // Any content, type and padding.
            4 => self.any(script.octets(), forger),
            5 => {
                self.octets.extend(forger.record(HANDSHAKE, &[24, 0, 0, 1, step >> 7]));
                forger.renew();
            }
            6 => self.octets.extend_from_slice(script.octets()),
            7 => {
                let size = script.size();
                let length = (size as u32).to_be_bytes();
                let ticket = [&[4, length[1], length[2], length[3]], &vec![step; size][..]].concat();
                for part in ticket.chunks(1 + usize::from(step) * 64) {
                    self.octets.extend(forger.record(HANDSHAKE, part));
                }
            }
            8 => forger.renew(),
            _ => {
                self.octets.extend(forger.record(ALERT, &[1, 90]));
                if let Some(place) = script.octet()
                    && let Some(octet) = self.octets[start..].get_mut(usize::from(place))
                {
                    *octet ^= 1 << (step >> 5);
                }
            }
        }
    }

    fn data(&mut self, size: usize, padding: usize, forger: &mut Forger) {
        let mut inner: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        self.data.extend_from_slice(&inner);
        inner.push(APPLICATION_DATA);
        inner.resize(inner.len() + padding, 0);
        self.octets.extend(forger.inner(&inner));
    }

    fn any(&mut self, inner: &[u8], forger: &mut Forger) {
        let content = inner.iter().rposition(|octet| *octet != 0);
        if let Some(size) = content
            && inner[size] == APPLICATION_DATA
        {
            self.data.extend_from_slice(&inner[..size]);
        }
        self.octets.extend(forger.inner(inner));
    }
}

/// What came of it.
#[derive(PartialEq, Debug)]
struct Heard {
    data: Vec<u8>,
    end: Option<End>,
    tickets: Vec<Vec<u8>>,
    /// Octets of a record that is not whole.
    waiting: usize,
}

fn hear(said: &Said, size: usize) -> Heard {
    let (mut layer, tickets) = layer();
    let (mut waiting, mut data) = (Vec::new(), Vec::new());
    for piece in said.octets.chunks(size.max(1)) {
        waiting.extend_from_slice(piece);
        let ended = layer.end().is_some();
        let opened = layer.open(&mut waiting);
        assert!(opened.plain.end <= opened.taken || opened.plain.is_empty());
        assert!(!ended || opened.taken == 0, "something was read behind the end");
        data.extend_from_slice(&waiting[opened.plain]);
        waiting.drain(..opened.taken);
        if layer.end().is_some() {
            // Whatever else has come is nobody's.
            waiting.clear();
        }
        assert!(waiting.len() < RECORD, "{} octets wait", waiting.len());
    }
    answer(&mut layer);
    let tickets = tickets.lock().expect("no panic before").clone();
    Heard { data, end: layer.end().cloned(), tickets, waiting: waiting.len() }
}

/// Seals what is owed, data, and the end; the peer must be able to open it.
fn answer(layer: &mut Layer) {
    let data: Vec<u8> = (0..20_000).map(|i| (i % 251) as u8).collect();
    let mut out = Vec::new();
    layer.answer(&mut out).expect("a fresh key");
    let silenced = layer.is_silenced();
    if !silenced {
        assert_eq!(layer.seal(data.chunks(999), data.len(), &mut out), Ok(data.len()));
    }
    layer.close();
    layer.answer(&mut out).expect("a fresh key");
    assert!(layer.is_silenced());
    let records = sealed_by_layer(&out);
    let of = |kind: u8| records.iter().filter(move |record| record.0 == kind).map(|record| &record.1);
    assert!(of(HANDSHAKE).count() <= 1 && of(ALERT).count() <= 1, "each is said once");
    assert!(of(ALERT).count() == 1 || matches!(layer.end(), Some(End::Failed(_))));
    let sent: Vec<u8> = of(APPLICATION_DATA).flatten().copied().collect();
    assert!(if silenced { sent.is_empty() } else { sent == data }, "what was sealed is not what was to be");
}

/// Octets that choose.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Two octets, or none.
    fn size(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.octet().unwrap_or(0), self.octet().unwrap_or(0)]))
    }

    /// Some octets, preceded by how many.
    fn octets(&mut self) -> &'a [u8] {
        let size = usize::from(self.octet().unwrap_or(0)).min(self.0.len());
        let (octets, rest) = self.0.split_at(size);
        self.0 = rest;
        octets
    }
}
