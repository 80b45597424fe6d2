//! Who announces what, when a server may open a stream, and what it may ask for.

use hbone_frame::{Malformed, PREFACE, SettingId, Side};

use super::super::frames::*;
use super::super::script::{Script, Seen, plain};
use super::{agreed, connect, extended, server_streams};
use crate::proto::{Config, Event, Misuse, OpenError, Request, Violation};

const BOTH: [Side; 2] = [Side::Client, Side::Server];
const CONNECT_PROTOCOL: SettingId = SettingId::ENABLE_CONNECT_PROTOCOL;

fn openable(script: &mut Script) -> bool {
    script.pick(|event| matches!(event, Event::Openable).then_some(())).is_some()
}

/// What an engine announces of the extension and of extended CONNECT.
fn announced(side: Side, config: Config) -> [Option<u32>; 2] {
    let seen = Script::strangers(side, config).take();
    let Some(Seen::Other(hbone_frame::Frame::Settings(settings))) = seen.first() else { panic!("{seen:?}") };
    [settings.last(SettingId::SERVER_STREAMS), settings.last(CONNECT_PROTOCOL)]
}

#[test]
fn rfc9113_5_5_server_streams_are_announced_only_when_configured() {
    assert!(!Config::default().server_streams, "the default is safe");
    assert_eq!(announced(Side::Client, plain()), [None, None]);
    assert_eq!(announced(Side::Server, plain()), [None, Some(1)]);
    for side in BOTH {
        assert_eq!(announced(side, extended()), [Some(1), Some(1)]);
        let config = Config { enable_connect_protocol: false, ..extended() };
        assert_eq!(announced(side, config), [Some(1), None]);
    }
}

#[test]
fn rfc9113_5_5_a_server_opens_nothing_unless_both_have_announced_it() {
    let peers = [settings(&[]), server_streams(0), server_streams(1)];
    for (config, peer) in [(plain(), &peers[2]), (extended(), &peers[0]), (extended(), &peers[1])] {
        let mut script = Script::strangers(Side::Server, config);
        script.send(PREFACE.to_vec()).send(peer.clone()).send(settings_ack());
        assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Role));
        assert_eq!(script.engine.open_slots(), 0);
        script.expect_alive();
    }
}

#[test]
fn rfc9113_5_5_a_client_takes_nothing_unless_both_have_announced_it() {
    let peers = [settings(&[]), server_streams(0), server_streams(1)];
    for (config, peer) in [(plain(), &peers[2]), (extended(), &peers[0]), (extended(), &peers[1])] {
        let mut script = Script::strangers(Side::Client, config);
        script.send(peer.clone()).send(settings_ack()).skip();
        script.send(headers(2)).expect_end(0, Violation::StreamParity);
    }
    // A request on such a stream is not one of the peer whose streams they are.
    agreed(Side::Server).send(headers(2)).expect_end(0, Violation::IdleStream);
    agreed(Side::Client).send(headers(1)).expect_end(0, Violation::IdleStream);
}

#[test]
fn rfc9113_6_5_3_a_server_opens_after_it_has_acknowledged_what_the_client_takes() {
    let mut script = Script::strangers(Side::Client, extended());
    script.send(server_streams(1)).skip();
    script.send(headers(2)).expect_end(0, Violation::StreamParity);
    let mut script = Script::strangers(Side::Server, extended());
    script.send([PREFACE.to_vec(), server_streams(1)].concat()).skip();
    script.ask(Request::connect("10.0.0.1:80"), false);
    script.expect(headers(2));
    // In one flight the acknowledgement comes first.
    let mut script = Script::strangers(Side::Server, extended());
    script.reading = false;
    script.send([PREFACE.to_vec(), server_streams(1)].concat());
    script.ask(Request::connect("10.0.0.1:80"), false);
    script.reading = true;
    let seen = script.take();
    let at = |wanted: fn(&Seen) -> bool| seen.iter().position(wanted).unwrap();
    let acknowledged = at(|seen| matches!(seen, Seen::Other(hbone_frame::Frame::SettingsAck)));
    assert!(acknowledged < at(|seen| matches!(seen, Seen::Headers { stream: 2, .. })));
}

#[test]
fn rfc9113_6_5_3_an_opener_waits_until_the_client_has_said_what_it_takes() {
    for (value, opened) in [(1, true), (0, false)] {
        let mut script = Script::strangers(Side::Server, extended());
        let mut request = connect();
        assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Blocked));
        assert_eq!(script.engine.open_slots(), 0);
        script.send(PREFACE.to_vec());
        assert!(!openable(&mut script));
        script.send(server_streams(value)).skip();
        assert!(openable(&mut script), "whatever the answer is");
        match script.engine.open(&mut request, false) {
            Ok(key) => assert!(opened && key.id().get() == 2),
            Err(error) => assert!(!opened && error == OpenError::Role && request.is_some()),
        }
    }
    // Without our own announcement there is nothing to wait for.
    let mut script = Script::strangers(Side::Server, plain());
    assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Role));
}

#[test]
fn rfc9113_6_5_3_the_agreement_may_come_later_and_may_not_be_withdrawn() {
    for side in BOTH {
        let mut script = Script::with(side, extended());
        script.send(server_streams(0)).send(server_streams(1)).send(server_streams(1)).skip();
        script.tunnel(2);
        script.skip().send(server_streams(0)).expect_fault(Violation::SettingNotAllowed);
        // Withdrawn in the frame that announces it.
        let both = [(SettingId::SERVER_STREAMS, 1), (SettingId::SERVER_STREAMS, 0)];
        Script::with(side, extended()).send(settings(&both)).expect_end(0, Violation::SettingNotAllowed);
    }
}

#[test]
fn h23_server_streams_are_0_or_1_for_who_knows_them_and_anything_for_others() {
    let malformed = Violation::Frame(Malformed::SettingsServerStreams);
    for side in BOTH {
        for value in [2, 0x7fff_ffff, u32::MAX] {
            Script::with(side, extended()).send(server_streams(value)).expect_end(0, malformed);
            let mut stranger = Script::with(side, plain());
            stranger.send(server_streams(value)).send(server_streams(0)).skip().expect_alive();
        }
    }
}

#[test]
fn a_server_asks_for_tunnels_only() {
    let get = || Request::new("GET", "https", "a.example", "/");
    let mut server = agreed(Side::Server);
    let refused = server.engine.open(&mut Some(get()), true);
    assert_eq!(refused, Err(OpenError::Invalid(Misuse::NotConnect)));
    server.ask(Request::connect("10.0.0.1:80"), false);
    server.expect(headers(2));
    let mut client = agreed(Side::Client);
    client.send(super::super::frames::get(2)).expect(rst(2, Violation::NotConnect.code())).expect_nothing();
    assert!(!client.has_incoming());
    client.send(headers(4)).incoming();
    // What is no CONNECT at all is malformed as anywhere else.
    client.send(head(6, &[(":method", "CONNECT")], false)).expect(rst(6, Violation::PseudoField.code()));
    client.expect_alive();
}

#[test]
fn rfc8441_3_a_server_uses_protocol_only_after_the_setting_of_the_client() {
    let websocket = || Some(Request::extended_connect("websocket", "https", "a.example", "/"));
    let mut server = agreed(Side::Server);
    let refused = server.engine.open(&mut websocket(), false);
    assert_eq!(refused, Err(OpenError::Invalid(Misuse::ProtocolNotEnabled)));
    server.send(settings(&[(CONNECT_PROTOCOL, 1)])).skip();
    server.engine.open(&mut websocket(), false).unwrap();
    server.expect(head(2, WEBSOCKET, false));
    server.send(settings(&[(CONNECT_PROTOCOL, 0)])).expect_end(0, Violation::SettingNotAllowed);
    // In the order of the frame: known before the agreement is.
    let mut server = Script::with(Side::Server, extended());
    server.send(settings(&[(CONNECT_PROTOCOL, 1), (SettingId::SERVER_STREAMS, 1)])).skip();
    server.engine.open(&mut websocket(), false).unwrap();
}

#[test]
fn rfc8441_4_a_client_takes_protocol_only_if_it_has_announced_it() {
    let mut client = agreed(Side::Client);
    client.send(head(2, WEBSOCKET, false)).incoming();
    let mut client = super::agreed_with(Side::Client, Config { enable_connect_protocol: false, ..plain() });
    client.send(head(2, WEBSOCKET, false)).expect(rst(2, Violation::ProtocolNotEnabled.code()));
    client.expect_alive();
}

#[test]
fn rfc9218_7_1_a_clients_priority_update_of_a_servers_stream_is_ignored_unless_it_is_idle() {
    let mut server = agreed(Side::Server);
    let key = server.tunnel(2);
    server.skip().send(priority_update(2)).expect_nothing();
    server.reset(key, hbone_frame::ErrorCode::CANCEL).skip();
    server.send(priority_update(2)).expect_alive();
    server.send(priority_update(4)).expect_end(0, Violation::PriorityUpdateOfIdlePush);
    agreed(Side::Client).send(priority_update(2)).expect_end(0, Violation::PriorityUpdateFromServer);
}
