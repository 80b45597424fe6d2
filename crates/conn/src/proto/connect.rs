//! Typed heads of requests and responses.
//!
//! A head is one list of fields, pseudo-fields first. What the peer sends is judged (`judge`) before the
//! application sees it; what the application sends is judged by the same rules and refused as a `Misuse`. Knows
//! nothing of streams and frames.

use hbone_frame::Fields;

use super::error::Violation;
use super::judge::{RequestNature, ResponseNature, judge_request, judge_response};

/// The head of a request: pseudo-fields and fields (RFC 9113 8.3.1, CONNECT: 8.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    fields: Fields,
}

/// The head of a response (RFC 9113 8.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    fields: Fields,
}

impl Request {
    /// A CONNECT to `authority` (`host:port`, RFC 9113 8.5).
    pub fn connect(authority: &str) -> Self {
        let mut fields = Fields::with_capacity(2, 24 + authority.len());
        fields.push(b":method", b"CONNECT");
        fields.push(b":authority", authority.as_bytes());
        Self { fields }
    }

    /// An ordinary request.
    pub fn new(method: &str, scheme: &str, authority: &str, path: &str) -> Self {
        let mut fields = Fields::with_capacity(4, 32 + authority.len() + path.len() + method.len());
        fields.push(b":method", method.as_bytes());
        fields.push(b":scheme", scheme.as_bytes());
        fields.push(b":authority", authority.as_bytes());
        fields.push(b":path", path.as_bytes());
        Self { fields }
    }

    /// An extended CONNECT (RFC 8441 4).
    pub fn extended_connect(protocol: &str, scheme: &str, authority: &str, path: &str) -> Self {
        let mut request = Self::new("CONNECT", scheme, authority, path);
        request.fields.push(b":protocol", protocol.as_bytes());
        request
    }

    /// A head from fields, judged by RFC 9113 8.2, 8.3, 8.5 and RFC 8441.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn from_fields(fields: Fields) -> Result<Self, Violation> {
        Ok(Self::received(fields, None)?.0)
    }

    /// As `from_fields`, with what the judgement found; `known`: what it has found of the same list before.
    pub(super) fn received(
        fields: Fields,
        known: Option<RequestNature>,
    ) -> Result<(Self, RequestNature), Violation> {
        let nature = known.map_or_else(|| judge_request(&fields), Ok)?;
        Ok((Self { fields }, nature))
    }

    /// Appends a field; the name in lower case.
    pub fn push(&mut self, name: &str, value: &str) {
        self.fields.push(name.as_bytes(), value.as_bytes());
    }

    /// Appends a field that no hop may index, such as a credential (RFC 7541 7.1.3).
    pub fn push_sensitive(&mut self, name: &str, value: &str) {
        self.fields.push_sensitive(name.as_bytes(), value.as_bytes());
    }

    /// `:method`.
    pub fn method(&self) -> &[u8] {
        self.fields.get(b":method").unwrap_or_default()
    }

    /// `:authority`.
    pub fn authority(&self) -> Option<&[u8]> {
        self.fields.get(b":authority")
    }

    /// `:scheme`.
    pub fn scheme(&self) -> Option<&[u8]> {
        self.fields.get(b":scheme")
    }

    /// `:path`.
    pub fn path(&self) -> Option<&[u8]> {
        self.fields.get(b":path")
    }

    /// `:protocol` (RFC 8441 4).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.fields.get(b":protocol")
    }

    /// Whether it is a CONNECT without `:protocol`: the stream becomes a tunnel (RFC 9113 8.5).
    pub fn is_connect(&self) -> bool {
        self.method() == b"CONNECT" && self.protocol().is_none()
    }

    /// The value of the first field of that lower-case name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name.as_bytes())
    }

    /// All fields, pseudo-fields first.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn into_fields(self) -> Fields {
        self.fields
    }

    /// `content-length`; `Err` when it is not one number (RFC 9113 8.1.1).
    pub(super) fn content_length(&self) -> Result<Option<u64>, Violation> {
        content_length(&self.fields)
    }
}

impl Response {
    /// A response of that status, 100 to 999.
    pub fn new(status: u16) -> Self {
        let status = status.clamp(100, 999);
        let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
        let mut fields = Fields::with_capacity(1, 10);
        fields.push(b":status", &digits);
        Self { fields }
    }

    /// A head from fields, judged by RFC 9113 8.2 and 8.3.2.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn from_fields(fields: Fields) -> Result<Self, Violation> {
        Ok(Self::received(fields, None)?.0)
    }

    /// As `from_fields`, with what the judgement found; `known`: what it has found of the same list before.
    pub(super) fn received(
        fields: Fields,
        known: Option<ResponseNature>,
    ) -> Result<(Self, ResponseNature), Violation> {
        let nature = known.map_or_else(|| judge_response(&fields), Ok)?;
        Ok((Self { fields }, nature))
    }

    /// Appends a field; the name in lower case.
    pub fn push(&mut self, name: &str, value: &str) {
        self.fields.push(name.as_bytes(), value.as_bytes());
    }

    /// `:status`, 100 to 999.
    pub fn status(&self) -> u16 {
        let digits = self.fields.get(b":status").unwrap_or_default();
        digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0')))
    }

    /// Whether it is an informational response: another one follows.
    pub fn is_informational(&self) -> bool {
        self.status() < 200
    }

    /// The value of the first field of that lower-case name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name.as_bytes())
    }

    /// All fields, `:status` first.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn into_fields(self) -> Fields {
        self.fields
    }

    pub(super) fn judge(&self) -> Result<ResponseNature, Violation> {
        judge_response(&self.fields)
    }

    pub(super) fn content_length(&self) -> Result<Option<u64>, Violation> {
        content_length(&self.fields)
    }
}

fn content_length(fields: &Fields) -> Result<Option<u64>, Violation> {
    let mut found = None;
    for field in fields.iter().filter(|field| field.name == b"content-length") {
        if field.value.is_empty() || !field.value.iter().all(u8::is_ascii_digit) {
            return Err(Violation::ContentLength);
        }
        let mut length = 0_u64;
        for digit in field.value {
            length = length
                .checked_mul(10)
                .and_then(|length| length.checked_add(u64::from(digit - b'0')))
                .ok_or(Violation::ContentLength)?;
        }
        if found.replace(length).is_some_and(|other| other != length) {
            return Err(Violation::ContentLength);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge_trailers;
    use super::*;

    fn request(pairs: &[(&str, &str)]) -> Result<Request, Violation> {
        Request::from_fields(pairs.iter().copied().collect())
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")];

    fn with(extra: &[(&str, &str)]) -> Result<Request, Violation> {
        request(&[&GET[..], extra].concat())
    }

    #[test]
    fn rfc9113_8_5_connect_carries_method_and_authority_only() {
        let ok = request(&[(":method", "CONNECT"), (":authority", "10.0.0.1:80")]).unwrap();
        assert!(ok.is_connect());
        assert_eq!(ok, Request::connect("10.0.0.1:80"));
        for extra in [(":scheme", "https"), (":path", "/")] {
            let bad = request(&[(":method", "CONNECT"), (":authority", "10.0.0.1:80"), extra]);
            assert_eq!(bad, Err(Violation::PseudoField));
        }
        assert_eq!(request(&[(":method", "CONNECT")]), Err(Violation::PseudoField));
        assert_eq!(request(&[(":method", "CONNECT"), (":authority", "")]), Err(Violation::PseudoField));
    }

    #[test]
    fn rfc8441_4_protocol_goes_with_connect_and_needs_scheme_and_path() {
        let head = Request::extended_connect("websocket", "https", "a.example", "/chat");
        assert!(judge_request(head.fields()).is_ok_and(|nature| nature.has_protocol && !nature.is_connect()));
        assert!(!head.is_connect());
        assert_eq!(with(&[(":protocol", "websocket")]), Err(Violation::PseudoField));
        let bare = request(&[(":method", "CONNECT"), (":authority", "a:1"), (":protocol", "websocket")]);
        assert_eq!(bare, Err(Violation::PseudoField));
    }

    #[test]
    fn rfc9113_8_3_pseudo_fields_are_known_single_and_first() {
        assert!(with(&[]).is_ok());
        assert_eq!(with(&[(":path", "/")]), Err(Violation::PseudoField));
        assert_eq!(with(&[(":status", "200")]), Err(Violation::PseudoField));
        assert_eq!(with(&[("a", "b"), (":unknown", "x")]), Err(Violation::PseudoField));
        let late = request(&[GET[0], GET[1], GET[2], ("a", "b"), GET[3]]);
        assert_eq!(late, Err(Violation::PseudoField));
        for missing in [0, 1, 3] {
            let pairs: Vec<_> = (0..4).filter(|i| *i != missing).map(|i| GET[i]).collect();
            assert_eq!(request(&pairs), Err(Violation::PseudoField), "without {}", GET[missing].0);
        }
    }

    #[test]
    fn rfc9113_8_3_1_path_and_authority_have_a_grammar() {
        for path in ["", "x", "*", "/a b"] {
            let bad = request(&[GET[0], GET[1], GET[2], (":path", path)]);
            assert_eq!(bad, Err(Violation::PseudoValue), "{path:?}");
        }
        assert!(request(&[(":method", "OPTIONS"), GET[1], GET[2], (":path", "*")]).is_ok());
        let user = request(&[GET[0], GET[1], (":authority", "u@a.example"), GET[3]]);
        assert_eq!(user, Err(Violation::Authority));
        assert_eq!(with(&[("host", "b.example")]), Err(Violation::Authority));
        assert!(with(&[("host", "A.example")]).is_ok());
    }

    #[test]
    fn rfc9113_8_2_1_every_octet_of_a_name_is_judged() {
        for octet in 0..=255_u8 {
            let mut fields: Fields = GET.into_iter().collect();
            fields.push(&[b'x', octet, b'y'], b"v");
            // MUST: these ranges and the colon. SHOULD: all that is no token.
            let required = matches!(octet, 0..=0x20 | b'A'..=b'Z' | 0x7f..=0xff | b':');
            let allowed = !required && !b"\"(),/;<=>?@[\\]{}".contains(&octet);
            assert_eq!(Request::from_fields(fields).is_ok(), allowed, "octet {octet:#x}");
        }
        assert_eq!(with(&[("", "v")]), Err(Violation::FieldOctets));
    }

    #[test]
    fn rfc9113_8_2_1_every_octet_of_a_value_is_judged() {
        for octet in 0..=255_u8 {
            for (place, value) in
                [[octet, b'v', b'v'], [b'v', octet, b'v'], [b'v', b'v', octet]].iter().enumerate()
            {
                let mut fields: Fields = GET.into_iter().collect();
                fields.push(b"x", value);
                let blank_edge = place != 1 && matches!(octet, b' ' | b'\t');
                // MUST: NUL, LF, CR and blanks at the ends. SHOULD: the other controls.
                let control = matches!(octet, 0..=8 | b'\n'..=0x1f | 0x7f);
                let allowed = !control && !blank_edge;
                assert_eq!(Request::from_fields(fields).is_ok(), allowed, "octet {octet:#x} at {place}");
            }
        }
    }

    #[test]
    fn rfc9113_8_2_2_connection_fields_are_malformed() {
        for name in ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert_eq!(with(&[(name, "x")]), Err(Violation::ConnectionField), "{name}");
        }
        assert_eq!(with(&[("te", "gzip")]), Err(Violation::ConnectionField));
        assert!(with(&[("te", "trailers")]).is_ok());
    }

    #[test]
    fn rfc9113_8_3_2_a_response_has_one_status_of_three_digits() {
        let response = |pairs: &[(&str, &str)]| Response::from_fields(pairs.iter().copied().collect());
        assert_eq!(response(&[(":status", "204")]).unwrap().status(), 204);
        assert_eq!(Response::new(503).status(), 503);
        assert_eq!(response(&[]), Err(Violation::PseudoField));
        assert_eq!(response(&[(":status", "200"), (":status", "200")]), Err(Violation::PseudoField));
        assert_eq!(response(&[("a", "b"), (":status", "200")]), Err(Violation::PseudoField));
        for bad in ["", "20", "2000", "abc", "099", "+20"] {
            assert_eq!(response(&[(":status", bad)]), Err(Violation::PseudoValue), "{bad:?}");
        }
    }

    #[test]
    fn rfc9113_8_1_1_content_length_is_one_number() {
        let length = |values: &[&str]| {
            let extra: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
            with(&extra).unwrap().content_length()
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["17"]), Ok(Some(17)));
        assert_eq!(length(&["17", "17"]), Ok(Some(17)));
        for bad in [&["17", "18"][..], &[""], &["+1"], &["1 2"], &["99999999999999999999"]] {
            assert_eq!(length(bad), Err(Violation::ContentLength), "{bad:?}");
        }
    }

    #[test]
    fn rfc9113_8_1_trailers_have_no_pseudo_fields() {
        let judge = |pairs: &[(&str, &str)]| judge_trailers(&pairs.iter().copied().collect());
        assert_eq!(judge(&[("grpc-status", "0")]), Ok(()));
        assert_eq!(judge(&[(":status", "200")]), Err(Violation::PseudoInTrailers));
    }
}
