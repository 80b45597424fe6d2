//! HTTP and HTTPS at a gateway, with curl in front and a web server behind bob: what each of them sees.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Output;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use sha2::{Digest, Sha256};

use crate::common::{Lab, stderr, stdout};
use crate::fake;
use crate::gateway::Gateway;
use crate::process::{PATIENCE, installed};
use crate::web::{PublicAuthority, curl, head, tls_client};

/// What the web server saw: a head, and the hash of the content.
type Seen = (String, String);

/// A web server for one request a connection; `answer` writes the response.
fn server(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> (SocketAddr, Receiver<Seen>) {
    let (report, seen): (Sender<Seen>, _) = channel();
    let report = Mutex::new(report);
    let address = fake::serve(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head = head(&mut reader);
        if head.is_empty() {
            return;
        }
        let content = hash(&content(&head, &mut reader));
        let _ = report.lock().unwrap().send((head.clone(), content));
        answer(&head, &mut stream);
    });
    (address, seen)
}

/// The content of a message, as its head announces it.
fn content(head: &str, reader: &mut impl BufRead) -> Vec<u8> {
    let head = head.to_ascii_lowercase();
    let mut content = Vec::new();
    if let Some((_, rest)) = head.split_once("content-length: ") {
        content.resize(rest.lines().next().unwrap().parse().unwrap(), 0);
        reader.read_exact(&mut content).unwrap();
    } else if head.contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                break;
            }
            content.extend_from_slice(&chunk[..size]);
        }
    }
    content
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Octets that repeat only after a long time.
fn octets(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

fn ok(text: &str, stream: &mut TcpStream) {
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
}

/// A gateway with the routes, whose names have a certificate when it is one of TLS.
fn gate(kind: &str, servers: &[SocketAddr], routes: &str, authority: &PublicAuthority) -> Gateway {
    let to: Vec<_> = servers.iter().map(ToString::to_string).collect();
    Gateway::start(&to, |lab: &Lab| {
        authority.issue_to(lab, "web", &["web.example", "*.web.example"]);
        let certificates = "[[listeners.certificates]]\ncert = \"web.pem\"\nkey = \"web.key\"\n";
        let certificates = if kind == "https" { certificates } else { "" };
        format!("kind = \"{kind}\"\npeer = \"bob\"\n{certificates}{routes}")
    })
}

/// One route, for all requests.
fn all_to(server: SocketAddr) -> String {
    format!("[[listeners.routes]]\ndestination = \"{server}\"\n")
}

/// Lets curl ask the gateway for a path on a host.
fn ask(gateway: &Gateway, scheme: &str, host: &str, path: &str, arguments: &[&str]) -> Output {
    let port = gateway.address().port();
    let (resolve, url) = (format!("{host}:{port}:127.0.0.1"), format!("{scheme}://{host}:{port}{path}"));
    let roots = gateway.lab.path("public.pem");
    curl(&roots, &[&["--resolve", &resolve, &url], arguments].concat())
}

#[test]
fn requests_go_by_host_and_path_and_what_has_no_route_is_not_found() {
    if !installed("curl") {
        return;
    }
    let name = |name: &'static str| server(move |_, stream| ok(name, stream)).0;
    let (api, web, other) = (name("api"), name("web"), name("other"));
    let routes = format!(
        "[[listeners.routes]]\nhost = \"web.example\"\npath = \"/api\"\ndestination = \"{api}\"\n\
         [[listeners.routes]]\nhost = \"web.example\"\ndestination = \"{web}\"\n\
         [[listeners.routes]]\nhost = \"*.web.example\"\npath = \"/x\"\ndestination = \"{other}\"\n"
    );
    for scheme in ["http", "https"] {
        let gateway = gate(scheme, &[api, web, other], &routes, &PublicAuthority::new());
        for (host, path, expected) in [
            ("web.example", "/api", "api 200"),
            ("web.example", "/api/x?y=/../z", "api 200"),
            ("web.example", "/apix", "web 200"),
            ("a.web.example", "/x/y", "other 200"),
            ("a.web.example", "/y", "404: nothing is served here\n 404"),
            (
                "web.example",
                "/api/%2e%2e/x",
                "400: write the path without dots, `//` and escaped slashes\n 400",
            ),
        ] {
            let output = ask(&gateway, scheme, host, path, &["--path-as-is", "-w", " %{http_code}"]);
            assert_eq!(stdout(&output), expected, "{scheme} {host}{path}: {}", stderr(&output));
        }
    }
}

#[test]
fn contents_of_every_kind_arrive_as_they_were_both_ways() {
    if !installed("curl") {
        return;
    }
    let big = octets(8 << 20);
    let (sent, wanted) = (big.clone(), hash(&big));
    let (server, seen) = server(move |head, stream| {
        if head.starts_with("GET /chunked") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            for chunk in sent.chunks(77_777) {
                write!(stream, "{:x}\r\n", chunk.len()).unwrap();
                stream.write_all(chunk).unwrap();
                stream.write_all(b"\r\n").unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        } else if head.starts_with("GET /closed") {
            // As long as it lasts.
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").unwrap();
            stream.write_all(&sent).unwrap();
        } else if head.starts_with("HEAD") {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", sent.len()).unwrap();
        } else if head.starts_with("GET") {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", sent.len()).unwrap();
            stream.write_all(&sent).unwrap();
        } else {
            ok("thanks", stream);
        }
    });
    for scheme in ["http", "https"] {
        let gateway = gate(scheme, &[server], &all_to(server), &PublicAuthority::new());
        let file = gateway.lab.path("big");
        std::fs::write(&file, &big).unwrap();
        let file = file.to_str().unwrap();
        for path in ["/counted", "/chunked", "/closed"] {
            let output = ask(&gateway, scheme, "web.example", path, &[]);
            assert!(output.status.success(), "{path}: {}", stderr(&output));
            assert!(hash(&output.stdout) == wanted, "{scheme} {path}: {} octets", output.stdout.len());
            seen.recv_timeout(PATIENCE).unwrap();
        }
        let output = ask(&gateway, scheme, "web.example", "/", &["--head"]);
        assert!(stdout(&output).contains(&format!("content-length: {}", big.len())), "{}", stdout(&output));
        seen.recv_timeout(PATIENCE).unwrap();
        // curl says `expect: 100-continue` for so much, and waits.
        for more in [
            &["-T", file][..],
            &["-T", file, "-H", "transfer-encoding: chunked"],
            &["--data-binary", "small"],
        ] {
            let output =
                ask(&gateway, scheme, "web.example", "/", &[more, &["-H", "expect: 100-continue"]].concat());
            assert_eq!(stdout(&output), "thanks", "{more:?}: {}", stderr(&output));
            let (head, content) = seen.recv_timeout(PATIENCE).unwrap();
            let expected = if more.contains(&"small") { hash(b"small") } else { wanted.clone() };
            assert!(content == expected, "{scheme} {more:?}: {head}");
            assert!(!head.to_ascii_lowercase().contains("expect:"), "{head}");
        }
    }
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    if !installed("curl") {
        return;
    }
    let (server, _) = server(|head, stream| ok(head.split(' ').nth(1).unwrap(), stream));
    for scheme in ["http", "https"] {
        let gateway = gate(scheme, &[server], &all_to(server), &PublicAuthority::new());
        let port = gateway.address().port();
        let (second, lost) =
            (format!("{scheme}://web.example:{port}/2"), format!("{scheme}://web.example:{port}/a/../3"));
        let more = ["--path-as-is", "-w", " %{num_connects} ", &second, &lost, &second];
        let output = ask(&gateway, scheme, "web.example", "/1", &more);
        let text = stdout(&output);
        assert!(
            text.starts_with("/1 1 /2 0 400: ") && text.ends_with(" 0 /2 0 "),
            "{text:?} {}",
            stderr(&output)
        );
    }
}

#[test]
fn t23_the_server_sees_where_a_request_comes_from_as_we_say_and_not_as_strangers_do() {
    if !installed("curl") {
        return;
    }
    let (server, seen) = server(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: 5\r\n\r\n",
        );
    });
    let lies = [
        "forwarded: for=10.0.0.1",
        "x-forwarded-for: 10.0.0.1",
        "x-forwarded-proto: gopher",
        "x-forwarded-host: lie",
        "x-forwarded-network: lie",
        "baggage: service.name=lie",
        "x-real-ip: 10.0.0.1",
        "x-istio-source: lie",
        "connection: keep-alive, x-hop",
        "x-hop: lie",
        "te: trailers",
        "proxy-connection: lie",
        "accept: true",
    ];
    for scheme in ["http", "https"] {
        let gateway = gate(scheme, &[server], &all_to(server), &PublicAuthority::new());
        let arguments: Vec<_> = lies.iter().flat_map(|line| ["-H", *line]).chain(["-i"]).collect();
        let output = ask(&gateway, scheme, "web.example", "/", &arguments);
        let answer = stdout(&output).to_ascii_lowercase();
        assert!(
            answer.starts_with("http/1.1 200")
                && !answer.contains("x-inner")
                && !answer.contains("keep-alive"),
            "{answer}"
        );
        let (head, _) = seen.recv_timeout(PATIENCE).unwrap();
        let head = head.to_ascii_lowercase();
        let port = gateway.address().port();
        assert!(!head.contains("lie") && !head.contains("10.0.0.1") && !head.contains("x-hop"), "{head}");
        for line in [
            format!("host: web.example:{port}"),
            format!("x-forwarded-proto: {scheme}"),
            "x-forwarded-for: 127.0.0.1".to_owned(),
            format!("x-forwarded-host: web.example:{port}"),
            "accept: true".to_owned(),
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
        }
        assert!(
            head.contains("forwarded: for=\"127.0.0.1:") && head.contains(&format!(";proto={scheme}")),
            "{head}"
        );
    }
}

#[test]
fn t20_a_host_that_the_certificate_was_not_asked_for_is_misdirected() {
    if !installed("curl") {
        return;
    }
    let (server, seen) = server(|_, stream| ok("never", stream));
    let gateway = gate("https", &[server], &all_to(server), &PublicAuthority::new());
    let output =
        ask(&gateway, "https", "web.example", "/", &["-H", "host: admin.web.example", "-w", "%{http_code}"]);
    assert!(stdout(&output).ends_with("421"), "{}", stdout(&output));
    let output = ask(
        &gateway,
        "https",
        "web.example",
        "/",
        &["--request-target", "http://admin.web.example/", "-w", "%{http_code}"],
    );
    assert!(stdout(&output).ends_with("421"), "{}", stdout(&output));
    assert!(seen.try_recv().is_err(), "the server was asked");
}

#[test]
fn a_service_that_is_not_there_is_a_bad_gateway_with_one_line() {
    if !installed("curl") {
        return;
    }
    let (closed, breaking) = (
        fake::closed(),
        fake::serve(|mut stream| {
            let _ = stream.read(&mut [0; 64]);
            crate::tunnels::reset(stream);
        }),
    );
    let routes = format!(
        "[[listeners.routes]]\npath = \"/closed\"\ndestination = \"{closed}\"\n\
         [[listeners.routes]]\npath = \"/denied\"\ndestination = \"127.0.0.1:1\"\n{}",
        all_to(breaking)
    );
    let mut gateway = gate("http", &[closed, breaking], &routes, &PublicAuthority::new());
    for (path, text) in
        [("/closed", "cannot be reached"), ("/denied", "cannot be reached"), ("/", "broke off")]
    {
        let output = ask(&gateway, "http", "web.example", path, &["-w", "%{http_code}"]);
        let answer = stdout(&output);
        assert!(
            answer.contains(text) && answer.ends_with("502") && answer.lines().count() == 2,
            "{path}: {answer}"
        );
    }
    for status in [503, 403] {
        let line = gateway.gate.complaint("no tunnel");
        assert_eq!(line["status"].as_u64(), Some(status), "{line}");
    }
}

#[test]
fn n02_a_response_that_is_cut_off_is_cut_off_for_the_client_too() {
    let (cut, may_cut) = channel::<()>();
    let may_cut = Mutex::new(may_cut);
    let (server, _) = server(move |head, stream| {
        let begin: &[u8] = if head.starts_with("GET /counted") {
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin"
        } else if head.starts_with("GET /chunked") {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n"
        } else {
            b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbegin"
        };
        stream.write_all(begin).unwrap();
        may_cut.lock().unwrap().recv().unwrap();
        crate::tunnels::reset(stream.try_clone().unwrap());
    });
    let gateway = gate("http", &[server], &all_to(server), &PublicAuthority::new());
    for path in ["/counted", "/chunked", "/closed"] {
        // For HTTP/1.0 only a reset tells it from an end.
        for version in ["1.0", "1.1"] {
            let mut stream = gateway.connect();
            write!(stream, "GET {path} HTTP/{version}\r\nhost: web.example\r\n\r\n").unwrap();
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&seen).contains("begin") {
                let taken = stream.read(&mut buffer).unwrap();
                assert!(taken > 0, "{path}: {}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&buffer[..taken]);
            }
            cut.send(()).unwrap();
            let error = stream.read_to_end(&mut seen).expect_err("must be a reset");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path} {version}");
        }
    }
}

#[test]
fn a_request_that_turns_into_another_protocol_goes_on_octet_for_octet() {
    let (server, seen) = server(|head, stream| {
        assert!(head.to_ascii_lowercase().contains("connection: upgrade"), "{head}");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello",
            )
            .unwrap();
        let mut other = stream.try_clone().unwrap();
        std::io::copy(&mut other, stream).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
    });
    for scheme in ["http", "https"] {
        let authority = PublicAuthority::new();
        let gateway = gate(scheme, &[server], &all_to(server), &authority);
        let stream = gateway.connect();
        let request =
            b"GET /chat HTTP/1.1\r\nhost: web.example\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nearly";
        let end = |stream: &mut TcpStream| stream.shutdown(std::net::Shutdown::Write).unwrap();
        let sent = octets(1 << 20);
        let mut received = if scheme == "http" {
            talk(stream, request, &sent, end)
        } else {
            talk(tls_client(&authority, "web.example", stream), request, &sent, |tls| {
                tls.conn.send_close_notify();
                tls.flush().unwrap();
            })
        };
        assert!(received.starts_with(b"HTTP/1.1 101 "), "{:?}", String::from_utf8_lossy(&received[..60]));
        let start = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        received.drain(..start);
        assert!(received == [b"helloearly", &sent[..]].concat(), "{} octets", received.len());
        seen.recv_timeout(PATIENCE).unwrap();
    }
}

/// Says it, and reads all while it does.
fn talk<S: Read + Write>(mut stream: S, request: &[u8], sent: &[u8], end: impl Fn(&mut S)) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while !received.ends_with(b"early") {
        let taken = stream.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..taken]);
    }
    for piece in sent.chunks(32 << 10) {
        stream.write_all(piece).unwrap();
        let mut echoed = vec![0; piece.len()];
        stream.read_exact(&mut echoed).unwrap();
        received.extend(echoed);
    }
    end(&mut stream);
    stream.read_to_end(&mut received).unwrap();
    received
}

#[test]
fn a_response_in_which_nothing_moves_is_cut_off_at_the_idle_limit() {
    if !installed("curl") {
        return;
    }
    let (server, _) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let routes = format!("{}[limits]\nidle_timeout = \"300ms\"\n", all_to(server));
    let gateway = gate("http", &[server], &routes, &PublicAuthority::new());
    let output = ask(&gateway, "http", "web.example", "/", &[]);
    assert_eq!(stdout(&output), "begin");
    assert!(matches!(output.status.code(), Some(18 | 56)), "{}", stderr(&output));
}

#[test]
fn f11_a_drain_lets_the_response_at_hand_end_and_idle_connections_go() {
    let (answer, may_answer) = channel::<()>();
    let (may_answer, answer) = (Mutex::new(may_answer), answer);
    let (server, seen) = server(move |_, stream| {
        may_answer.lock().unwrap().recv().unwrap();
        ok("at last", stream);
    });
    let mut gateway = gate("http", &[server], &all_to(server), &PublicAuthority::new());
    let (mut busy, mut idle) = (gateway.connect(), gateway.connect());
    busy.write_all(b"GET / HTTP/1.1\r\nhost: web.example\r\n\r\n").unwrap();
    seen.recv_timeout(PATIENCE).unwrap();
    gateway.gate.process().signal("TERM");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "ends in peace");
    answer.send(()).unwrap();
    let mut response = String::new();
    busy.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("at last"), "{response}");
    assert_eq!(gateway.gate.process().exit(), 0);
}

#[test]
fn what_is_no_http_gets_a_bad_request_and_a_stranger_is_never_heard() {
    let (server, seen) = server(|_, stream| ok("never", stream));
    let gateway = gate("http", &[server], &all_to(server), &PublicAuthority::new());
    for (octets, status) in [
        ("SSH-2.0-x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", "405"),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
    ] {
        let mut stream = gateway.connect();
        stream.write_all(octets.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, format!("HTTP/1.1 {status}").as_bytes(), "{octets}");
    }
    assert!(seen.try_recv().is_err(), "the server was asked");
}
