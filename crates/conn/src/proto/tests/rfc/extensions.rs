//! RFC 8441 (extended CONNECT) and RFC 9218 (priorities).

use hbone_frame::{ErrorCode, Frame, Malformed, SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use super::tunnels;
use crate::proto::{Config, Event, OpenError, Request, Violation};

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const ENABLE: SettingId = SettingId::ENABLE_CONNECT_PROTOCOL;

fn announced(side: Side, config: Config) -> Vec<(SettingId, u32)> {
    let mut script = Script::strangers(side, config);
    let seen = script.take();
    let Some(Seen::Other(Frame::Settings(settings))) = seen.first() else { panic!("{seen:?}") };
    settings.iter().collect()
}

fn priority_update(stream: u32) -> Vec<u8> {
    raw(0x10, 0, 0, &[&stream.to_be_bytes()[..], b"u=1"].concat())
}

#[test]
fn rfc8441_3_a_server_announces_the_setting_once_and_a_client_never() {
    let of = |side| announced(side, plain()).into_iter().filter(|(id, _)| *id == ENABLE).collect::<Vec<_>>();
    assert_eq!(of(Side::Server), [(ENABLE, 1)]);
    assert_eq!(of(Side::Client), []);
    let off = Config { enable_connect_protocol: false, ..plain() };
    assert!(announced(Side::Server, off).iter().all(|(id, _)| *id != ENABLE));
}

#[test]
fn rfc8441_3_the_setting_means_nothing_to_a_server() {
    let mut script = Script::server();
    script.send(settings(&[(ENABLE, 1)])).send(settings(&[(ENABLE, 0)]));
    script.expect(settings_ack()).expect(settings_ack()).expect_alive();
}

#[test]
fn rfc8441_3_a_client_uses_protocol_only_after_the_setting() {
    let mut script = Script::client();
    let mut request = Some(Request::extended_connect("websocket", "https", "a.example", "/chat"));
    assert!(matches!(script.engine.open(&mut request, false), Err(OpenError::Invalid(_))));
    script.send(settings(&[(ENABLE, 1)])).skip();
    script.engine.open(&mut request, false).unwrap();
    let seen = script.take();
    assert!(matches!(&seen[..], [Seen::Headers { fields, .. }] if fields.len() == 5), "{seen:?}");
}

#[test]
fn rfc8441_4_protocol_needs_connect_scheme_path_and_authority() {
    for missing in 0..4 {
        let fields: Vec<_> = (0..5).filter(|at| *at != missing).map(|at| WEBSOCKET[at]).collect();
        Script::server().send(head(1, &fields, false)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    }
    let get = [GET, &[(":protocol", "websocket")]].concat();
    Script::server().send(head(1, &get, false)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    let mut script = Script::server();
    script.send(head(1, WEBSOCKET, false));
    let plain = script.pick(|event| match event {
        Event::Incoming { request, .. } => Some(request.is_connect()),
        _ => None,
    });
    assert_eq!(plain, Some(false), "it is no plain CONNECT");
}

#[test]
fn rfc8441_5_fields_of_an_upgrade_are_malformed() {
    for name in ["connection", "upgrade"] {
        let fields = [WEBSOCKET, &[(name, "websocket")]].concat();
        Script::server().send(head(1, &fields, false)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    }
}

#[test]
fn rfc9218_2_1_the_setting_is_in_our_first_settings_and_there_is_no_other() {
    for side in [Side::Client, Side::Server] {
        assert!(announced(side, plain()).contains(&(SettingId::NO_RFC7540_PRIORITIES, 1)));
    }
}

#[test]
fn rfc9218_2_1_signals_of_a_client_that_has_renounced_them_are_ignored() {
    let mut script = Script::server();
    script.send(settings(&[(SettingId::NO_RFC7540_PRIORITIES, 1)])).expect(settings_ack());
    // Even what RFC 7540 calls an error of the stream.
    script.send(dependent(1, 1, GET)).incoming();
    script.send(priority(1, 1)).expect_alive();
    let mut script = Script::server();
    script.send(dependent(1, 1, GET)).expect(rst(1, PROTOCOL_ERROR));
}

#[test]
fn rfc9218_7_1_a_priority_update_for_a_stream_in_any_state_of_the_client_is_taken() {
    let mut script = Script::server();
    script.send(priority_update(1)).expect_nothing();
    script.tunnel(1);
    script.send(priority_update(1)).send(last_data(1, 0)).send(priority_update(1)).expect_alive();
}

#[test]
fn rfc9218_7_1_priority_update_belongs_on_the_connection_and_to_a_stream() {
    let cases = [
        (raw(0x10, 0, 1, &[0, 0, 0, 1]), Malformed::PriorityUpdateOnStream),
        (raw(0x10, 0, 0, &[0, 0, 0]), Malformed::PriorityUpdateLength),
        (priority_update(0), Malformed::PriorityUpdateZero),
        (priority_update(0x8000_0000), Malformed::PriorityUpdateZero),
    ];
    for (frame, malformed) in cases {
        for (mut script, _) in tunnels() {
            let last = super::last(&script);
            script.send(frame.clone()).expect_end(last, Violation::Frame(malformed));
        }
    }
}

#[test]
fn rfc9218_7_1_a_client_takes_no_priority_update() {
    Script::client().send(priority_update(1)).expect_end(0, Violation::PriorityUpdateFromServer);
}

#[test]
fn rfc9218_7_1_a_push_stream_that_nobody_has_promised_has_no_priority() {
    Script::server().send(priority_update(2)).expect_end(0, Violation::PriorityUpdateOfIdlePush);
    assert_eq!(Violation::PriorityUpdateOfIdlePush.code(), PROTOCOL_ERROR);
}

#[test]
fn rfc9218_7_1_idle_streams_with_a_priority_and_active_ones_stay_within_the_limit() {
    let config = Config { max_concurrent_streams: 3, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.tunnel(1);
    script.send(priority_update(3)).send(priority_update(5)).send(priority_update(5)).expect_alive();
    // Opening one of them moves it from one count to the other.
    script.send(headers(3)).incoming();
    script.send(priority_update(5)).expect_alive();
    script.send(priority_update(7)).expect_end(3, Violation::PriorityUpdateOverLimit);
    assert_eq!(Violation::PriorityUpdateOverLimit.code(), PROTOCOL_ERROR);
}
