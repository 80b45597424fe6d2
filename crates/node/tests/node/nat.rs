//! A node behind a NAT that hosts as network namespaces make: nobody can dial it, and its tunnel comes back after the
//! link was dead without a word.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use crate::capture::{host_pid, on};
use crate::common::{Lab, hbone, id, identity_section, stderr, stdout};
use crate::process::{NodeProcess, PATIENCE, installed};

/// `near` is the world with the gateway, `nat` hides `house`: 10.78.1.1 – 10.78.1.2 | 10.78.2.1 – 10.78.2.2.
const HOSTS: &str = r#"
set -e
ip link set lo up
unshare -n sleep 600 & nat=$!
unshare -n sleep 600 & house=$!
trap 'kill $nat $house' EXIT
own=$(readlink /proc/self/ns/net)
for pid in $nat $house; do
    while [ "$(readlink /proc/$pid/ns/net)" = "$own" ]; do sleep 0.01; done
done
ip link add world type veth peer name outside netns $nat
ip addr add 10.78.1.1/24 dev world
ip link set world up
there="nsenter -t $nat -n"
$there ip link set lo up
$there ip addr add 10.78.1.2/24 dev outside
$there ip link set outside up
$there ip link add inside type veth peer name lan netns $house
$there ip addr add 10.78.2.1/24 dev inside
$there ip link set inside up
$there sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
$there nft 'add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; add rule ip nat out oifname outside masquerade'
there="nsenter -t $house -n"
$there ip link set lo up
$there ip addr add 10.78.2.2/24 dev lan
$there ip link set lan up
$there ip route add default via 10.78.2.1
echo ready
NAT=$nat HOUSE=$house "$0" --exact "$1" --ignored --nocapture
"#;

#[test]
fn h2r_a_node_behind_a_nat_is_reached_and_its_tunnel_comes_back_after_a_dead_link() {
    if !["nft", "ip", "unshare", "nsenter"].into_iter().all(installed) {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", HOSTS]).arg(std::env::current_exe().unwrap()).arg("nat::inside");
    let output = command.output().unwrap();
    if !output.stdout.starts_with(b"ready") {
        assert!(std::env::var_os("HBONE_REQUIRE_PEERS").is_none_or(|it| it != "1"), "{}", stderr(&output));
        eprintln!("skipped: no network namespaces: {}", stderr(&output));
        return;
    }
    let said = stdout(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{}", stderr(&output));
}

/// Runs a command on the host that hides the house.
fn on_nat(arguments: &[&str]) {
    let status = Command::new("nsenter").args(["-t", &host_pid("nat"), "-n"]).args(arguments).status();
    assert!(status.unwrap().success(), "{arguments:?}");
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp
}

fn echoed(address: SocketAddr) {
    let mut client = connect(address);
    client.write_all(b"ping").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"ping");
}

#[test]
#[ignore = "run by the test above in network namespaces"]
fn inside() {
    let lab = Lab::new();
    lab.issue("gate");
    lab.issue("home");
    let limits = "[limits]\nkeepalive_interval = \"1s\"\nkeepalive_timeout = \"1s\"\n";
    let gate = format!(
        "{}{limits}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"10.78.1.1:15008\"\nreverse = true\n\
         [[listeners]]\nname = \"out\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\ndestination = \"web.home:80\"\npeer = \"home\"\n\
         [[peers]]\nname = \"home\"\nreverse = \"house\"\nidentity = \"{}\"\n",
        identity_section("gate"),
        id("home")
    );
    let mut gate = NodeProcess::start(&lab.write("gate.toml", &gate));
    let service = on("house", || TcpListener::bind("127.0.0.1:0").unwrap());
    let port = service.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for tcp in service.incoming() {
            let mut tcp = tcp.unwrap();
            std::thread::spawn(move || {
                let mut back = tcp.try_clone().unwrap();
                let _ = std::io::copy(&mut tcp, &mut back);
                let _ = back.shutdown(Shutdown::Write);
            });
        }
    });
    let home = format!(
        "{}{limits}[[peers]]\nname = \"gate\"\naddress = \"10.78.1.1:15008\"\nidentity = \"{}\"\n\
         [[reverse]]\nname = \"home\"\npeer = \"gate\"\ndestination = \"127.0.0.1:{port}\"\n",
        identity_section("home"),
        id("gate")
    );
    let mut house = Command::new("nsenter");
    house.args(["-t", &host_pid("house"), "-n"]).arg(hbone().get_program());
    let _home = NodeProcess::start_by(house, &lab.write("home.toml", &home));
    let registered = gate.process().line("registered", |line| line.contains("a node is registered"));
    assert!(registered.contains("\"client\":\"10.78.1.2:"), "the NAT is seen, not the house: {registered}");
    echoed(gate.address("out"));

    let mut live = connect(gate.address("out"));
    live.write_all(b"x").unwrap();
    live.read_exact(&mut [0]).unwrap();
    // From here on every packet is lost, and nobody is told.
    on_nat(&["nft", "add chain ip nat lost { type filter hook forward priority 0; policy drop; }"]);
    let end = live.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset), "f02: a dead link is a reset, never an end");
    on_nat(&["nft", "delete chain ip nat lost"]);
    gate.process().line("registered again", |line| line.contains("a node is registered"));
    echoed(gate.address("out"));
}
