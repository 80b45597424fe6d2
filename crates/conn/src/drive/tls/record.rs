//! What a record of TLS 1.3 looks like on the wire (RFC 8446 5). Numbers only; used by everything else here.

/// Octets of a record's header: type, legacy version, length.
pub(super) const HEADER: usize = 5;
/// Octets of the tag of every AEAD of TLS 1.3 that is spoken here.
pub(super) const TAG: usize = 16;
/// RFC 8446 5.1: the most octets of content in a record.
pub(super) const CONTENT: usize = 1 << 14;
/// RFC 8446 5.2: the most octets behind the header of a sealed record.
pub(super) const SEALED_CONTENT: usize = CONTENT + 256;
/// What sealing adds to a record's content: header, type, tag.
pub(super) const ADDED: usize = HEADER + 1 + TAG;
/// The largest record.
pub(super) const RECORD: usize = HEADER + SEALED_CONTENT;

pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// The header of a sealed record with so many octets behind it. Also what its tag covers beside them.
pub(super) const fn header(length: usize) -> [u8; HEADER] {
    let [high, low] = (length as u16).to_be_bytes();
    [APPLICATION_DATA, 3, 3, high, low]
}

/// The most content of a record under a config with this `max_fragment_size`, which rustls has approved of: it counts
/// the header too.
pub(super) fn content(max_fragment_size: Option<usize>) -> usize {
    max_fragment_size.map_or(CONTENT, |size| size.saturating_sub(HEADER).clamp(1, CONTENT))
}

/// Whether octets may be a record's: it starts with its type, change_cipher_spec, alert, handshake or application data
/// (RFC 8446 5.1). The first octets of other protocols do not: `H` of HTTP/1.1, 0 of SETTINGS, `P` of a client's
/// preface.
pub(super) fn looks_like_one(octets: &[u8]) -> bool {
    octets.first().is_none_or(|kind| (20..=23).contains(kind))
}

/// The octets behind a header, as it announces them.
pub(super) const fn announced(header: [u8; HEADER]) -> usize {
    u16::from_be_bytes([header[3], header[4]]) as usize
}
