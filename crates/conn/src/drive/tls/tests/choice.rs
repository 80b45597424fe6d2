//! Whose records come behind a handshake, and how large they are.

use std::sync::Arc;

use rustls::crypto::{CipherSuiteCommon, aws_lc_rs::cipher_suite};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, Error, InvalidMessage, SupportedCipherSuite, Tls13CipherSuite};

use super::super::connect::Records;
use super::super::handshake::Handshake;
use super::super::record::{HEADER, TAG, announced};
use super::super::transport::Tls;
use super::rustls_peer::{Configs, NAME, Pair, ROLES, suites};

/// A suite of TLS 1.3 under a name that is not known here.
fn unknown() -> SupportedCipherSuite {
    let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon { suite: CipherSuite::TLS13_AES_128_CCM_SHA256, ..suite.common },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: suite.aead_alg,
        quic: None,
    })))
}

#[tokio::test]
async fn suites_that_are_not_known_here_are_left_to_rustls_from_the_start() {
    for (suite, records) in [(suites()[0], Records::Own), (unknown(), Records::Rustls)] {
        let Configs { client, server } = Configs::new(suite);
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from(NAME).unwrap();
        let (near, far) =
            tokio::join!(Tls::connect(near, Arc::new(client), name), Tls::accept(far, Arc::new(server)));
        assert_eq!((near.unwrap().records(), far.unwrap().records()), (records, records), "{suite:?}");
    }
}

#[test]
fn records_are_as_large_as_the_config_lets_them_be() {
    // As rustls counts: with the header, without the tag.
    for (size, content) in [(Some(32), 27), (Some(1000), 995), (Some(16_389), 16_384), (None, 16_384)] {
        let mut configs = Configs::new(suites()[0]);
        (configs.client.max_fragment_size, configs.server.max_fragment_size) = (size, size);
        for role in ROLES {
            let mut pair = Pair::new(role, &configs, 1 << 20);
            let mut out = Vec::new();
            pair.layer.seal([&[7; 40_000][..]].into_iter(), 40_000, &mut out).unwrap();
            let (mut rest, mut all) = (&out[..], Vec::new());
            while let Some((header, behind)) = rest.split_first_chunk::<HEADER>() {
                all.push(announced(*header) - 1 - TAG);
                rest = &behind[announced(*header)..];
            }
            let last = all.pop();
            assert!(all.iter().all(|size| *size == content), "{role:?} {size:?}: {all:?}");
            assert_eq!(last.map(|last| last + all.len() * content), Some(40_000), "{role:?} {size:?}");
        }
    }
}

#[test]
fn rfc8446_5_2_a_record_of_a_handshake_that_is_too_long_is_refused_by_its_header() {
    let Configs { client, server } = Configs::new(suites()[0]);
    let client = Arc::new(client);
    for (length, taken) in [(0x4100_u16, true), (0x4101, false), (0x4800, false), (u16::MAX, false)] {
        let name = ServerName::try_from(NAME).unwrap();
        let near = Handshake::client((), Arc::clone(&client), name).unwrap();
        for mut handshake in [near, Handshake::server((), &server).unwrap()] {
            handshake.step().unwrap();
            handshake.take_output();
            let [high, low] = length.to_be_bytes();
            handshake.take_input(&[22, 3, 3, high, low]);
            let refused = Err(Error::InvalidMessage(InvalidMessage::MessageTooLarge));
            assert_eq!(handshake.step(), if taken { Ok(()) } else { refused }, "{length}");
            assert_eq!(handshake.take_output().is_empty(), taken, "the peer is told why");
        }
    }
}
