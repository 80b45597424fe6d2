//! Bodies of the fuzz targets of HPACK; tests replay them on random octets.
//!
//! The octets of the fuzzer are read as a script of blocks, lists and sizes, so that every input means
//! something. A broken promise is a panic.

use super::{Decoder, Encoder, Limits, Verdict};
use crate::Fields;

const LIMITS: Limits = Limits { list_size: 512, fields: 8, name: 64, value: 128 };
/// The largest table of a script.
const LARGEST_TABLE: usize = 1024;

/// Takes a length octet and so many octets off the front of a script; 0xff gives `None` for "another size".
fn take<'a>(script: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (&len, rest) = script.split_first()?;
    *script = rest;
    if len == 0xff {
        return Some(None);
    }
    let (octets, rest) = rest.split_at(rest.len().min(usize::from(len)));
    *script = rest;
    Some(Some(octets))
}

fn size(script: &mut &[u8]) -> usize {
    let (&size, rest) = script.split_first().unwrap_or((&0, &[]));
    *script = rest;
    usize::from(size) * LARGEST_TABLE / 255
}

/// Decodes `script` as blocks: never a panic, lists within the limits, memory within bounds.
pub fn hpack_decode(mut script: &[u8]) {
    let mut decoder = Decoder::new(LARGEST_TABLE);
    let mut out = Fields::new();
    while let Some(step) = take(&mut script) {
        let Some(block) = step else {
            decoder.set_max_table_size(size(&mut script));
            continue;
        };
        let result = decoder.decode(block, &LIMITS, &mut out);
        assert!(out.size() <= LIMITS.list_size && out.len() <= LIMITS.fields);
        assert_eq!(out.iter().count(), out.len(), "the arena holds the fields that were counted");
        for field in &out {
            assert!(field.name.len() <= LIMITS.name && field.value.len() <= LIMITS.value);
        }
        let (held, table) = decoder.footprint();
        assert!(table <= LARGEST_TABLE);
        assert!(held <= 2 * LARGEST_TABLE + LARGEST_TABLE / 2, "{held} octets held");
        if result.is_err() {
            return;
        }
    }
}

/// Reads `script` as lists and sizes: what our encoder makes of them, our decoder gives back.
pub fn hpack_roundtrip(mut script: &[u8]) {
    let wide = Limits { list_size: usize::MAX, fields: usize::MAX, name: usize::MAX, value: usize::MAX };
    let (mut encoder, mut decoder) = (Encoder::new(LARGEST_TABLE), Decoder::new(4096));
    let (mut list, mut out, mut block) = (Fields::new(), Fields::new(), Vec::new());
    while let Some(step) = take(&mut script) {
        if let Some(name) = step {
            let value = take(&mut script).flatten().unwrap_or_default();
            if value.len() % 5 == 4 {
                list.push_sensitive(name, value)
            } else {
                list.push(name, value)
            }
            if script.first().is_some_and(|next| next % 4 != 0) {
                continue;
            }
        } else {
            let size = size(&mut script);
            encoder.set_max_table_size(size as u32);
            decoder.set_max_table_size(size);
        }
        block.clear();
        encoder.encode(&list, &mut block);
        assert_eq!(decoder.decode(&block, &wide, &mut out), Ok(Verdict::Whole), "{}", block.escape_ascii());
        assert_eq!(out, list);
        list.clear();
    }
}
