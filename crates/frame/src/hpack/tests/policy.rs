//! What the encoder chooses to send, octet for octet where it matters.

use super::support::{decode, encode, fields, list, plain};
use crate::Fields;
use crate::hpack::{Decoder, Encoder};

fn connect() -> Fields {
    plain(&[
        (":method", "CONNECT"),
        (":authority", "10.11.12.13:8080"),
        ("baggage", "k8s.namespace.name=shop,k8s.deployment.name=cart"),
        ("forwarded", "for=10.1.2.3"),
        ("user-agent", "hbone/0.1"),
    ])
}

#[test]
fn a_repeated_list_costs_an_octet_a_field() {
    let mut encoder = Encoder::new(4096);
    encode(&mut encoder, &connect());
    assert_eq!(encode(&mut encoder, &connect()).len(), connect().len());
}

#[test]
fn rfc7541_7_1_3_a_sensitive_field_is_never_indexed_and_never_referred_to() {
    let mut encoder = Encoder::new(4096);
    let open = plain(&[("x-token", "abc"), ("authorization", "abc")]);
    encode(&mut encoder, &open);
    let secret = fields(&[(b"x-token".to_vec(), b"abc".to_vec(), true)]);
    for _ in 0..2 {
        let block = encode(&mut encoder, &secret);
        assert_eq!(block, [0x1f, 0x2f, 0x82, 0x1c, 0x64], "the name by reference, the value in full");
    }
    let secret = fields(&[(b":status".to_vec(), b"200".to_vec(), true)]);
    assert_eq!(encode(&mut encoder, &secret)[0], 0x18);
    let unknown = fields(&[(b"y".to_vec(), b"abc".to_vec(), true)]);
    assert_eq!(encode(&mut encoder, &unknown), [0x10, 0x01, b'y', 0x82, 0x1c, 0x64]);
}

#[test]
fn what_varies_or_is_secret_stays_out_of_the_table() {
    for name in [":path", "authorization", "cookie", "content-length", "date", "set-cookie"] {
        let mut encoder = Encoder::new(4096);
        let field = plain(&[(name, "some-value")]);
        let first = encode(&mut encoder, &field);
        assert_eq!(first[0] & 0xf0, 0x00, "{name}");
        assert_eq!(encode(&mut encoder, &field), first, "{name}");
    }
}

#[test]
fn a_custom_field_that_varies_goes_in_once_for_its_name() {
    let mut encoder = Encoder::new(4096);
    let trace = |value: &str| plain(&[("traceparent", value)]);
    assert_eq!(encode(&mut encoder, &trace("00-1-1-01"))[0], 0x40);
    for value in ["00-2-2-01", "00-3-3-01"] {
        assert_eq!(encode(&mut encoder, &trace(value))[..2], [0x0f, 0x2f], "name at index 62, not indexed");
    }
}

#[test]
fn an_entry_over_three_quarters_of_the_table_stays_out() {
    let mut encoder = Encoder::new(4096);
    let field = |len: usize| plain(&[("x", &"v".repeat(len))]);
    assert_eq!(encode(&mut encoder, &field(3072 - 32))[0], 0x00);
    assert_eq!(encode(&mut encoder, &field(3072 - 33))[0], 0x40);
}

#[test]
fn huffman_code_is_used_only_where_it_is_shorter() {
    let sent = |value: &str| encode(&mut Encoder::new(4096), &plain(&[("via", value)]));
    assert_eq!(sent("aaaaaaaa"), [0x7c, 0x85, 0x18, 0xc6, 0x31, 0x8c, 0x63]);
    assert_eq!(sent("X"), [0x7c, 0x01, b'X'], "eight bits either way");
    assert_eq!(sent("{}~"), [0x7c, 0x03, b'{', b'}', b'~']);
    assert_eq!(sent(""), [0xbc], "the static entry has an empty value");
}

#[test]
fn rfc7541_4_2_size_updates_announce_the_smallest_and_the_final_size() {
    let get = plain(&[(":method", "GET")]);
    let sent = |cap: usize, settings: &[u32]| {
        let mut encoder = Encoder::new(cap);
        for setting in settings {
            encoder.set_max_table_size(*setting);
        }
        let block = encode(&mut encoder, &get);
        assert_eq!(encode(&mut encoder, &get), [0x82], "said once");
        block
    };
    assert_eq!(sent(4096, &[]), [0x82]);
    assert_eq!(sent(4096, &[4096, 65_536]), [0x82], "our cap holds, nothing changes");
    assert_eq!(sent(4096, &[0]), [0x20, 0x82]);
    assert_eq!(sent(4096, &[0, 4096]), [0x20, 0x3f, 0xe1, 0x1f, 0x82]);
    assert_eq!(sent(4096, &[100, 50, 200]), [0x3f, 0x13, 0x3f, 0xa9, 0x01, 0x82], "50, then 200");
    assert_eq!(sent(8192, &[8192]), [0x3f, 0xe1, 0x3f, 0x82]);
    assert_eq!(sent(0, &[]), [0x20, 0x82], "a smaller cap of ours is announced");
    assert_eq!(sent(0, &[65_536]), [0x20, 0x82]);
    assert_eq!(sent(100, &[1000]), [0x3f, 0x45, 0x82], "a peer that reduces its table hears of it");
}

#[test]
fn a_table_of_no_octets_still_carries_every_list() {
    let (mut encoder, mut decoder) = (Encoder::new(0), Decoder::new(4096));
    for _ in 0..3 {
        let block = encode(&mut encoder, &connect());
        assert_eq!(list(&decode(&mut decoder, &block)), list(&connect()));
        assert_eq!(decoder.footprint().1, 0);
    }
}
