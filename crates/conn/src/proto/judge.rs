//! Whether a head or a trailer section is malformed (RFC 9113 8.2, 8.3 and 8.5, RFC 8441).
//!
//! Judged once, by whoever takes it over: heads of the peer when they come, those of the application when it hands
//! them over. What the judgement has found on its way (a CONNECT, a status, fields beside the pseudo-fields) it
//! returns, so that nobody looks for it again. Used by `connect` and `recv`; knows nothing of streams.

use hbone_frame::{Field, Fields};

use super::error::Violation;

/// What the judgement of a request found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestNature {
    /// The method is CONNECT.
    pub(super) connects: bool,
    /// The method is HEAD.
    pub(super) is_head: bool,
    /// There is a `:protocol` (RFC 8441 4).
    pub(super) has_protocol: bool,
    /// There are fields beside the pseudo-fields.
    pub(super) has_fields: bool,
}

impl RequestNature {
    /// A CONNECT without `:protocol`: the stream becomes a tunnel (RFC 9113 8.5).
    pub(super) const fn is_connect(self) -> bool {
        self.connects && !self.has_protocol
    }
}

/// What the judgement of a response found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseNature {
    /// 100 to 999.
    pub(super) status: u16,
    /// There are fields beside `:status`.
    pub(super) has_fields: bool,
}

impl ResponseNature {
    /// Another response follows.
    pub(super) const fn is_informational(self) -> bool {
        self.status < 200
    }
}

/// Whether a trailer section is well-formed: fields only (RFC 9113 8.1).
pub(super) fn judge_trailers(fields: &Fields) -> Result<(), Violation> {
    for field in fields {
        if field.name.starts_with(b":") {
            return Err(Violation::PseudoInTrailers);
        }
        judge_field(field)?;
    }
    Ok(())
}

/// The pseudo-fields of a request, each at most once and before every field.
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

/// Whether a request is well-formed.
pub(super) fn judge_request(fields: &Fields) -> Result<RequestNature, Violation> {
    let mut pseudo = Pseudo::default();
    let mut host = None;
    let mut past_pseudo = false;
    for field in fields {
        if !field.name.starts_with(b":") {
            past_pseudo = true;
            judge_field(field)?;
            if field.name == b"host" && host.replace(field.value).is_some_and(|other| other != field.value) {
                return Err(Violation::Authority);
            }
            continue;
        }
        let slot = match field.name {
            b":method" => &mut pseudo.method,
            b":scheme" => &mut pseudo.scheme,
            b":authority" => &mut pseudo.authority,
            b":path" => &mut pseudo.path,
            b":protocol" => &mut pseudo.protocol,
            _ => return Err(Violation::PseudoField),
        };
        // RFC 9113 8.3: pseudo-fields precede all fields, and none is repeated.
        if past_pseudo || slot.replace(field.value).is_some() {
            return Err(Violation::PseudoField);
        }
        judge_value(field.value)?;
    }
    judge_pseudo(&pseudo)?;
    judge_authority(pseudo.authority, host, pseudo.scheme)?;
    Ok(RequestNature {
        connects: pseudo.method == Some(b"CONNECT"),
        is_head: pseudo.method == Some(b"HEAD"),
        has_protocol: pseudo.protocol.is_some(),
        has_fields: past_pseudo,
    })
}

fn judge_pseudo(pseudo: &Pseudo<'_>) -> Result<(), Violation> {
    let method = pseudo.method.ok_or(Violation::PseudoField)?;
    if method.is_empty() || !all(method, TOKEN) {
        return Err(Violation::PseudoValue);
    }
    if method == b"CONNECT" && pseudo.protocol.is_none() {
        // RFC 9113 8.5: :scheme and :path MUST be omitted, :authority names the target.
        if pseudo.scheme.is_some() || pseudo.path.is_some() || pseudo.authority.is_none_or(<[u8]>::is_empty) {
            return Err(Violation::PseudoField);
        }
        return Ok(());
    }
    // RFC 8441 4: :protocol goes with CONNECT only, and then with :scheme, :path and :authority.
    if let Some(protocol) = pseudo.protocol {
        if method != b"CONNECT" || pseudo.authority.is_none() {
            return Err(Violation::PseudoField);
        }
        if protocol.is_empty() || !all(protocol, PROTOCOL) {
            return Err(Violation::PseudoValue);
        }
    }
    let scheme = pseudo.scheme.ok_or(Violation::PseudoField)?;
    let path = pseudo.path.ok_or(Violation::PseudoField)?;
    if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !all(scheme, SCHEME) {
        return Err(Violation::PseudoValue);
    }
    let rooted = path.starts_with(b"/") || (path == b"*" && method == b"OPTIONS");
    if !rooted || !all(path, PATH) {
        return Err(Violation::PseudoValue);
    }
    Ok(())
}

fn judge_authority(
    authority: Option<&[u8]>,
    host: Option<&[u8]>,
    scheme: Option<&[u8]>,
) -> Result<(), Violation> {
    let Some(authority) = authority else { return Ok(()) };
    // RFC 9113 8.3.1: no user information; host, if it is there, must not contradict.
    if !all(authority, AUTHORITY) {
        return Err(Violation::Authority);
    }
    let Some(host) = host else { return Ok(()) };
    let named = without_default_port(authority, scheme);
    let same = without_default_port(host, scheme).eq_ignore_ascii_case(named);
    if same { Ok(()) } else { Err(Violation::Authority) }
}

/// RFC 9113 8.3.1, RFC 3986 6.2.3: an empty port and the port that the scheme implies name the same entity as no
/// port. Without a scheme, as in CONNECT, no port is implied.
fn without_default_port<'a>(authority: &'a [u8], scheme: Option<&[u8]>) -> &'a [u8] {
    let port: &[u8] = match scheme {
        Some(b"http") => b":80",
        Some(b"https") => b":443",
        Some(_) | None => return authority,
    };
    authority.strip_suffix(port).or_else(|| authority.strip_suffix(b":")).unwrap_or(authority)
}

/// Whether a response is well-formed.
pub(super) fn judge_response(fields: &Fields) -> Result<ResponseNature, Violation> {
    let mut status = None;
    let mut past_pseudo = false;
    for field in fields {
        if !field.name.starts_with(b":") {
            past_pseudo = true;
            judge_field(field)?;
            continue;
        }
        if field.name != b":status" || past_pseudo || status.replace(field.value).is_some() {
            return Err(Violation::PseudoField);
        }
    }
    // RFC 9113 8.3.2: a response carries one :status of three digits.
    match status.ok_or(Violation::PseudoField)? {
        &[hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            let value = |digit: u8| u16::from(digit - b'0');
            let status = value(hundreds) * 100 + value(tens) * 10 + value(ones);
            Ok(ResponseNature { status, has_fields: past_pseudo })
        }
        _ => Err(Violation::PseudoValue),
    }
}

/// A field that is no pseudo-field: RFC 9113 8.2.1 and 8.2.2.
fn judge_field(field: Field<'_>) -> Result<(), Violation> {
    // 8.2.1: a token of RFC 9110 5.1, which has no 0x00-0x20, no 0x7f-0xff and no colon; no upper case.
    if field.name.is_empty() || !all(field.name, NAME) {
        return Err(Violation::FieldOctets);
    }
    judge_value(field.value)?;
    match field.name {
        b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => {
            Err(Violation::ConnectionField)
        }
        b"te" if field.value != b"trailers" => Err(Violation::ConnectionField),
        _ => Ok(()),
    }
}

/// RFC 9113 8.2.1 and RFC 9110 5.5: no control but tab, so neither NUL nor LF nor CR; no space or tab at either end.
fn judge_value(value: &[u8]) -> Result<(), Violation> {
    let blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    if !all(value, VALUE) {
        return Err(Violation::FieldOctets);
    }
    if blank(value.first()) || blank(value.last()) {
        return Err(Violation::FieldOctets);
    }
    Ok(())
}

/// An octet may stand in: a token (RFC 9110 5.6.2).
const TOKEN: u8 = 1;
/// A field's name: a token without upper case.
const NAME: u8 = 1 << 1;
/// A field's value.
const VALUE: u8 = 1 << 2;
/// An authority without user information.
const AUTHORITY: u8 = 1 << 3;
/// A path with its query.
const PATH: u8 = 1 << 4;
/// A scheme, behind its first octet.
const SCHEME: u8 = 1 << 5;
/// `:protocol`: tokens and slashes.
const PROTOCOL: u8 = 1 << 6;

/// What every octet may stand in.
const MAY_STAND_IN: [u8; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < table.len() {
        table[octet] = places_of(octet as u8);
        octet += 1;
    }
    table
};

const fn places_of(octet: u8) -> u8 {
    let alphanumeric = octet.is_ascii_alphanumeric();
    let token = alphanumeric || is_one_of(octet, b"!#$%&'*+-.^_`|~");
    let visible = octet > b' ' && octet != 0x7f;
    let mut places = 0;
    if token {
        places |= TOKEN | PROTOCOL;
    }
    if token && !octet.is_ascii_uppercase() {
        places |= NAME;
    }
    if visible || octet == b' ' || octet == b'\t' {
        places |= VALUE;
    }
    if visible && octet.is_ascii() && !is_one_of(octet, b"@/?#\\\"<>") {
        places |= AUTHORITY;
    }
    if visible {
        places |= PATH;
    }
    if alphanumeric || is_one_of(octet, b"+-.") {
        places |= SCHEME;
    }
    if octet == b'/' {
        places |= PROTOCOL;
    }
    places
}

const fn is_one_of(octet: u8, octets: &[u8]) -> bool {
    let mut at = 0;
    while at < octets.len() {
        if octets[at] == octet {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether every octet may stand there.
#[inline]
fn all(octets: &[u8], place: u8) -> bool {
    octets.iter().fold(place, |places, octet| places & MAY_STAND_IN[usize::from(*octet)]) != 0
}
