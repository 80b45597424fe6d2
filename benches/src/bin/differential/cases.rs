//! The named cases: what is sent after the preface. Most break one rule.

use hbone_frame::{ErrorCode, Flags, Kind, Priority, SettingId, Settings, StreamId, encode};

pub(crate) const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];
pub(crate) const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];

/// Literals without indexing.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "a short text");
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

pub(crate) fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::frame(Kind(kind), Flags(flags), StreamId::new(stream), payload, &mut out);
    out
}

pub(crate) fn head(stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    raw(0x1, 0x4 | u8::from(end), stream, &block(fields))
}

pub(crate) fn data(stream: u32, octets: usize, end: bool) -> Vec<u8> {
    raw(0x0, u8::from(end), stream, &vec![b'x'; octets])
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut settings = Settings::new();
    for (id, value) in values {
        settings.push(SettingId(*id), *value);
    }
    let mut out = Vec::new();
    encode::settings(&settings, &mut out);
    out
}

pub(crate) fn update(stream: u32, increment: u32) -> Vec<u8> {
    raw(0x8, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn rst(stream: u32, code: ErrorCode) -> Vec<u8> {
    raw(0x3, 0, stream, &code.0.to_be_bytes())
}

pub(crate) fn priority(stream: u32, dependency: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(stream) = StreamId::new(stream) else { return raw(0x2, 0, 0, &[0; 5]) };
    encode::priority(stream, Priority { exclusive: false, dependency, weight: 15 }, &mut out);
    out
}

fn with(extra: &[(&str, &str)]) -> Vec<u8> {
    head(1, &[GET, extra].concat(), true)
}

/// Name and octets of every case.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = heads();
    cases.extend(streams());
    cases.extend(types());
    cases.extend(messages());
    cases.extend(compression());
    cases
}

fn heads() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        ("get", head(1, GET, true)),
        ("post", [head(1, POST, false), data(1, 10, true)].concat()),
        ("trailers", [head(1, POST, false), data(1, 10, false), head(1, &[("a", "b")], true)].concat()),
        ("unknown-type", raw(0xee, 0xff, 7, b"grease")),
        ("unused-flags", raw(0x6, 0xfe, 0, b"12345678")),
        ("reserved-bit", {
            let mut frame = head(1, GET, true);
            frame[5] |= 0x80;
            frame
        }),
        ("frame-too-large", [head(1, POST, false), raw(0x0, 0, 1, &vec![0; 300_000])].concat()),
        ("ping-too-large", raw(0x6, 0, 0, &vec![0; 300_000])),
        ("padded-without-length", [head(1, POST, false), raw(0x0, 0x8, 1, &[])].concat()),
        ("headers-too-short-for-priority", raw(0x1, 0x24, 1, &[0; 4])),
        ("priority-flag", raw(0x1, 0x25, 1, &[&[0, 0, 0, 0, 5][..], &block(GET)].concat())),
        ("continued", [raw(0x1, 0x1, 1, &block(GET)[..9]), raw(0x9, 0x4, 1, &block(GET)[9..])].concat()),
        ("empty-continuation-twice", {
            let empty = raw(0x9, 0, 1, &[]);
            [raw(0x1, 0x1, 1, &block(GET)), empty.clone(), empty, raw(0x9, 0x4, 1, &[])].concat()
        }),
        ("ten-continuations", {
            let mut octets = raw(0x1, 0x1, 1, &block(GET));
            for _ in 0..9 {
                octets.extend(raw(0x9, 0, 1, &block(&[("a", "b")])));
            }
            octets.extend(raw(0x9, 0x4, 1, &block(&[("a", "b")])));
            octets
        }),
        ("unknown-within-block", [raw(0x1, 0x1, 1, &block(GET)), raw(0xee, 0, 1, b"?")].concat()),
        ("other-stream-within-block", [raw(0x1, 0x1, 1, &block(GET)), raw(0x9, 0x4, 3, &[])].concat()),
        ("data-within-block", [raw(0x1, 0, 1, &block(POST)), data(1, 1, true)].concat()),
        ("continuation-alone", raw(0x9, 0x4, 1, &block(GET))),
        (
            "continuation-after-whole-block",
            [head(1, POST, false), raw(0x9, 0x4, 1, &block(&[("a", "b")]))].concat(),
        ),
    ]
}

fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let cancel = ErrorCode::CANCEL;
    let open = || head(1, POST, false);
    vec![
        ("even-stream", head(2, GET, true)),
        ("falling-stream", [head(5, GET, true), head(3, GET, true)].concat()),
        ("same-stream-twice", [head(1, GET, true), head(1, GET, true)].concat()),
        ("data-on-idle", data(1, 1, true)),
        ("reset-on-idle", rst(1, cancel)),
        ("update-on-idle", update(1, 1)),
        ("update-on-idle-even", update(2, 1)),
        ("priority-on-idle", priority(9, 0)),
        ("priority-on-idle-even", priority(8, 0)),
        ("priority-of-wrong-length-on-idle", raw(0x2, 0, 9, &[0; 4])),
        ("data-on-half-closed", [head(1, GET, true), data(1, 1, true)].concat()),
        ("data-on-skipped", [head(5, GET, true), data(3, 1, true)].concat()),
        ("data-after-reset", [open(), rst(1, cancel), data(1, 1, true)].concat()),
        ("headers-after-reset", [open(), rst(1, cancel), head(1, &[("a", "b")], true)].concat()),
        ("reset-twice", [open(), rst(1, cancel), rst(1, cancel)].concat()),
        ("update-after-reset", [open(), rst(1, cancel), update(1, 1)].concat()),
        ("update-0-after-reset", [open(), rst(1, cancel), update(1, 0)].concat()),
        ("priority-on-itself", [open(), priority(1, 1)].concat()),
        ("headers-depend-on-themselves", raw(0x1, 0x25, 1, &[&[0, 0, 0, 1, 5][..], &block(GET)].concat())),
        ("reset-unknown-code", [open(), rst(1, ErrorCode(0xdead))].concat()),
        ("more-streams-than-allowed", (0..300).flat_map(|n| head(2 * n + 1, POST, false)).collect()),
        ("largest-stream", head(0x7fff_ffff, GET, true)),
    ]
}

fn types() -> Vec<(&'static str, Vec<u8>)> {
    let open = || head(1, POST, false);
    vec![
        ("data-on-0", data(0, 1, false)),
        ("padding-too-long", [open(), raw(0x0, 0x8, 1, &[5, 0, 0])].concat()),
        ("padding-not-zero", [open(), raw(0x0, 0x9, 1, &[2, b'a', 7, 7])].concat()),
        ("headers-on-0", raw(0x1, 0x5, 0, &block(GET))),
        ("headers-padding-too-long", raw(0x1, 0xd, 1, &[9, 0])),
        ("priority-on-0", priority(0, 1)),
        ("priority-length", [open(), raw(0x2, 0, 1, &[0; 4])].concat()),
        ("reset-on-0", raw(0x3, 0, 0, &[0; 4])),
        ("reset-length", [open(), raw(0x3, 0, 1, &[0; 3])].concat()),
        ("settings-on-stream", raw(0x4, 0, 1, &[])),
        ("settings-length", raw(0x4, 0, 0, &[0; 5])),
        ("settings-ack-with-payload", raw(0x4, 1, 0, &[0; 6])),
        ("settings-ack-unasked", raw(0x4, 1, 0, &[])),
        ("settings-push-2", settings(&[(2, 2)])),
        ("settings-push-1", settings(&[(2, 1)])),
        ("settings-window", settings(&[(4, 0x8000_0000)])),
        ("settings-frame-size", settings(&[(5, 16_383)])),
        ("settings-frame-size-high", settings(&[(5, 1 << 24)])),
        ("settings-unknown", settings(&[(0xaaaa, 1)])),
        ("settings-connect-protocol-2", settings(&[(8, 2)])),
        ("settings-connect-protocol-withdrawn", [settings(&[(8, 1)]), settings(&[(8, 0)])].concat()),
        ("settings-no-priorities-2", settings(&[(9, 2)])),
        ("settings-33-entries", settings(&[(0xaaaa, 1); 33])),
        (
            "settings-window-overflow",
            [open(), update(1, 0x7fff_0000), settings(&[(4, 0x7fff_ffff)])].concat(),
        ),
        ("push-promise", [open(), raw(0x5, 0x4, 1, &[&[0, 0, 0, 2][..], &block(GET)].concat())].concat()),
        ("ping-on-stream", raw(0x6, 0, 1, &[0; 8])),
        ("ping-length", raw(0x6, 0, 0, &[0; 7])),
        ("ping-ack-unasked", raw(0x6, 1, 0, &[9; 8])),
        ("goaway-on-stream", raw(0x7, 0, 1, &[0; 8])),
        ("goaway-length", raw(0x7, 0, 0, &[0; 7])),
        ("goaway-raised", [raw(0x7, 0, 0, &[0; 8]), raw(0x7, 0, 0, &[0, 0, 0, 8, 0, 0, 0, 0])].concat()),
        ("goaway-names-own-stream", raw(0x7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
        ("request-after-own-goaway", [raw(0x7, 0, 0, &[0; 8]), head(1, GET, true)].concat()),
        ("update-0", update(0, 0)),
        ("update-0-on-stream", [open(), update(1, 0)].concat()),
        ("update-length", raw(0x8, 0, 0, &[1; 3])),
        ("update-overflow", update(0, 0x7fff_ffff)),
        ("update-overflow-on-stream", [open(), update(1, 0x7fff_ffff)].concat()),
        ("update-on-half-closed", [head(1, GET, true), update(1, 1)].concat()),
        ("priority-update", raw(0x10, 0, 0, b"\0\0\0\x01u=1")),
        ("priority-update-on-stream", raw(0x10, 0, 1, b"\0\0\0\x01u=1")),
        ("priority-update-of-0", raw(0x10, 0, 0, b"\0\0\0\0u=1")),
        ("priority-update-of-push", raw(0x10, 0, 0, b"\0\0\0\x02u=1")),
        ("priority-update-length", raw(0x10, 0, 0, b"\0\0\0")),
    ]
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let request = |fields: &[(&str, &str)]| head(1, fields, true);
    let replaced = |at: usize, value| {
        let mut fields = GET.to_vec();
        fields[at].1 = value;
        head(1, &fields, true)
    };
    let posted = |length| head(1, &[POST, &[("content-length", length)]].concat(), false);
    vec![
        ("upper-case", with(&[("Upper", "x")])),
        ("empty-name", with(&[("", "x")])),
        ("space-in-name", with(&[("a b", "x")])),
        ("colon-in-name", with(&[("a:b", "x")])),
        ("del-in-name", with(&[("a\x7fb", "x")])),
        ("slash-in-name", with(&[("a/b", "x")])),
        ("nul-in-value", with(&[("a", "x\0y")])),
        ("newline-in-value", with(&[("a", "x\ny")])),
        ("control-in-value", with(&[("a", "x\x01y")])),
        ("space-before-value", with(&[("a", " x")])),
        ("tab-after-value", with(&[("a", "x\t")])),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "h2c")])),
        ("te-trailers", with(&[("te", "trailers")])),
        ("te-gzip", with(&[("te", "gzip")])),
        ("host-same", with(&[("host", "a.example")])),
        ("host-default-port", with(&[("host", "a.example:80")])),
        ("host-differs", with(&[("host", "b.example")])),
        ("host-twice", with(&[("host", "a.example"), ("host", "a.example")])),
        ("pseudo-unknown", request(&[GET, &[(":weird", "x")]].concat())),
        ("pseudo-of-response", request(&[GET, &[(":status", "200")]].concat())),
        ("pseudo-late", request(&[&GET[..3], &[("a", "b")], &GET[3..]].concat())),
        ("pseudo-twice", request(&[GET, &[(":path", "/")]].concat())),
        ("no-method", request(&GET[1..])),
        ("no-scheme", request(&[&GET[..1], &GET[2..]].concat())),
        ("no-path", request(&GET[..3])),
        ("no-authority", request(&[&GET[..2], &GET[3..]].concat())),
        ("empty-path", replaced(3, "")),
        ("path-without-slash", replaced(3, "x")),
        ("path-star-with-get", replaced(3, "*")),
        ("path-with-space", replaced(3, "/a b")),
        ("empty-method", replaced(0, "")),
        ("method-with-space", replaced(0, "G T")),
        ("userinfo", replaced(2, "u@a.example")),
        ("authority-with-slash", replaced(2, "a.example/x")),
        ("scheme-with-space", replaced(1, "ht tp")),
        ("connect-with-path", request(&[(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")])),
        ("connect-without-authority", request(&[(":method", "CONNECT")])),
        ("protocol-without-connect", request(&[GET, &[(":protocol", "x")]].concat())),
        ("length-not-a-number", [posted("x"), data(1, 1, true)].concat()),
        ("length-plus", [posted("+1"), data(1, 1, true)].concat()),
        ("length-too-short", [posted("1"), data(1, 2, true)].concat()),
        ("length-too-long", [posted("3"), data(1, 2, true)].concat()),
        ("length-without-data", with(&[("content-length", "3")])),
        ("length-twice", with(&[("content-length", "0"), ("content-length", "0")])),
        ("trailers-without-end", [head(1, POST, false), head(1, &[("a", "b")], false)].concat()),
        ("trailers-with-pseudo", [head(1, POST, false), head(1, &[(":path", "/")], true)].concat()),
        ("trailers-with-connection", [head(1, POST, false), head(1, &[("connection", "x")], true)].concat()),
    ]
}

fn compression() -> Vec<(&'static str, Vec<u8>)> {
    let whole = |block: &[u8]| raw(0x1, 0x5, 1, block);
    let after = |octets: &[u8]| whole(&[&block(GET)[..], octets].concat());
    let before = |octets: &[u8]| whole(&[octets, &block(GET)[..]].concat());
    vec![
        ("hpack-index-0", after(&[0x80])),
        ("hpack-index-out-of-range", after(&[0xbe])),
        ("hpack-cut", after(&[0x40, 5, b'a'])),
        ("hpack-integer-too-long", after(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])),
        ("hpack-integer-of-six-octets", after(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00])),
        ("hpack-huffman-padding", after(&[0x00, 0x81, 0x18, 0x01, b'x'])),
        ("hpack-huffman-eos", after(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'x'])),
        ("hpack-huffman-long-padding", after(&[0x00, 0x82, 0x1f, 0xff, 0x01, b'x'])),
        ("hpack-size-update", before(&[0x20])),
        ("hpack-two-size-updates", before(&[0x20, 0x3f, 0x00])),
        ("hpack-three-size-updates", before(&[0x20, 0x20, 0x20])),
        ("hpack-size-update-over-limit", before(&[0x3f, 0xe2, 0x1f])),
        ("hpack-size-update-late", after(&[0x20])),
        ("hpack-size-update-only", whole(&[0x20])),
        ("hpack-empty-block", whole(&[])),
        (
            "hpack-broken-after-reset",
            [head(1, POST, false), rst(1, ErrorCode::CANCEL), raw(0x1, 0x5, 1, &[0x80])].concat(),
        ),
    ]
}
