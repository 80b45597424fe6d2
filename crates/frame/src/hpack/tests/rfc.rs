//! The examples of RFC 7541 Appendix C, octet for octet.

use super::support::{decode, hex, list};
use crate::Fields;
use crate::hpack::{Decoder, Encoder};

/// Each block of a connection, what it decodes to, and the size of the table after it.
type Exchange<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)], usize)];

fn check(table: usize, exchange: Exchange<'_>) {
    let mut decoder = Decoder::new(table);
    for (block, expected, size) in exchange {
        let out = decode(&mut decoder, &hex(block));
        let expected: Fields = expected.iter().copied().collect();
        assert_eq!(list(&out), list(&expected), "{block}");
        assert_eq!(decoder.footprint().1, *size, "size of the table after {block}");
    }
}

#[test]
fn rfc7541_c_2_representations() {
    check(
        4096,
        &[("400a637573746f6d2d6b65790d637573746f6d2d686561646572", &[("custom-key", "custom-header")], 55)],
    );
    check(4096, &[("040c2f73616d706c652f70617468", &[(":path", "/sample/path")], 0)]);
    check(4096, &[("82", &[(":method", "GET")], 0)]);
    let out = decode(&mut Decoder::new(4096), &hex("100870617373776f726406736563726574"));
    assert_eq!(list(&out), [(b"password".to_vec(), b"secret".to_vec(), true)]);
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

const HUFFMAN_REQUESTS: [&str; 3] = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
];

#[test]
fn rfc7541_c_3_requests_without_huffman() {
    check(
        4096,
        &[
            ("828684410f7777772e6578616d706c652e636f6d", REQUESTS[0], 57),
            ("828684be58086e6f2d6361636865", REQUESTS[1], 110),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", REQUESTS[2], 164),
        ],
    );
}

#[test]
fn rfc7541_c_4_requests_with_huffman_and_our_encoder_sends_the_same() {
    let [a, b, c] = HUFFMAN_REQUESTS;
    check(4096, &[(a, REQUESTS[0], 57), (b, REQUESTS[1], 110), (c, REQUESTS[2], 164)]);
    let mut encoder = Encoder::new(4096);
    for (expected, request) in HUFFMAN_REQUESTS.iter().zip(REQUESTS) {
        let fields: Fields = request.iter().copied().collect();
        let mut out = Vec::new();
        encoder.encode(&fields, &mut out);
        assert_eq!(out, hex(expected));
    }
}

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

#[test]
fn rfc7541_c_5_responses_without_huffman_in_a_table_of_256() {
    check(
        256,
        &[
            (
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e\
                 1768747470733a2f2f7777772e6578616d706c652e636f6d",
                RESPONSES[0],
                222,
            ),
            ("4803333037c1c0bf", RESPONSES[1], 222),
            (
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d\
                 4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572\
                 73696f6e3d31",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

#[test]
fn rfc7541_c_6_responses_with_huffman_in_a_table_of_256() {
    check(
        256,
        &[
            (
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b\
                 97c8e9ae82ae43d3",
                RESPONSES[0],
                222,
            ),
            ("4883640effc1c0bf", RESPONSES[1], 222),
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf\
                 cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                RESPONSES[2],
                215,
            ),
        ],
    );
}
