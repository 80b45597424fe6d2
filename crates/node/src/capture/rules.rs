//! The rules of nftables, and the routes that TPROXY needs, for both families. Pure: a plan in, a text out.

use std::fmt::{Display, Write};

use hbone_tunnel::Network;

use super::ports::Ports;

/// What is captured, and for which ports of this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Takes this host's own connections, and without `tproxy` those that pass through it, as far as it is open.
    pub(super) redirect: Option<Door>,
    /// Takes connections that pass through this host, and without `redirect` its own.
    pub(super) tproxy: Option<Door>,
    /// Of the node's own connections; 0 is none.
    pub(super) mark: u32,
    /// All when empty.
    pub(super) to: Vec<Network>,
    pub(super) except: Vec<Network>,
    /// All when empty.
    pub(super) ports: Vec<Ports>,
    pub(super) except_user: Option<u32>,
}

/// A port of this host where connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) port: u16,
    /// On loopback at least.
    pub(super) near: Families,
    /// On every address of this host.
    pub(super) open: Families,
}

/// For which protocols somebody listens: what nobody takes must go its own way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Families {
    pub(super) const BOTH: Self = Self { v4: true, v6: true };

    const fn any(self) -> bool {
        self.v4 || self.v6
    }

    /// What a rule says so that it is for these only.
    const fn only(self) -> &'static str {
        match (self.v4, self.v6) {
            (true, false) => "meta nfproto ipv4 ",
            (false, true) => "meta nfproto ipv6 ",
            (true, true) | (false, false) => "",
        }
    }
}

impl Plan {
    /// A script for `nft -f`; what is not of nft's stands in comments.
    pub(super) fn nft(&self) -> String {
        let mut text = self.table();
        let routes = self.routes();
        if !routes.is_empty() {
            text.push_str("# TPROXY needs these routes too (--shell prints a script that makes them):\n");
            for line in routes {
                let _ = writeln!(text, "# {line}");
            }
        }
        text.push_str("# To end it: nft delete table inet hbone");
        text
    }

    /// A script for `sh` that does all of it, also when it was done before.
    pub(super) fn shell(&self) -> String {
        let mut text = format!("set -e\nnft -f - <<'END'\n{}END\n", self.table());
        for line in self.routes() {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("# To end it: nft delete table inet hbone");
        text
    }

    fn table(&self) -> String {
        let mut text =
            "# Made by `hbone capture rules`. Takes the place of what it made before.\n".to_owned();
        text.push_str("table inet hbone\ndelete table inet hbone\ntable inet hbone {\n");
        let (redirect, tproxy) = (self.redirect, self.tproxy);
        if let Some(Door { port, near, open }) = redirect {
            let to = format!("redirect to :{port}");
            self.chain(&mut text, ("output", "type nat hook output priority -100"), near, &to);
            if tproxy.is_none() && open.any() {
                self.chain(&mut text, ("prerouting", "type nat hook prerouting priority -100"), open, &to);
            }
        }
        if let Some(Door { port, open, .. }) = tproxy {
            let to = format!("tproxy to :{port} meta mark set {ROUTE} accept");
            self.chain(&mut text, ("divert", "type filter hook prerouting priority -150"), open, &to);
            if redirect.is_none() {
                // A changed mark has the packet routed anew: to lo, and so through the chain above.
                let to = format!("meta mark set {ROUTE}");
                self.chain(&mut text, ("output", "type route hook output priority -150"), open, &to);
            }
        }
        text.push_str("}\n");
        text
    }

    /// A chain that leaves out what must not be captured, and does `then` with the rest.
    fn chain(&self, text: &mut String, (name, hook): (&str, &str), families: Families, then: &str) {
        let local = name == "output";
        let _ = writeln!(text, "    chain {name} {{\n        {hook}; policy accept;");
        let mut line = |rule: &str| {
            let _ = writeln!(text, "        {rule}");
        };
        if self.mark != 0 {
            line(&format!("meta mark {} return comment \"the node's own\"", self.mark));
        }
        if let Some(user) = self.except_user.filter(|_| local) {
            line(&format!("meta skuid {user} return"));
        }
        if local {
            line("ct direction reply return comment \"answers of servers here\"");
        }
        if name == "divert" {
            line(&format!("meta l4proto tcp socket transparent 1 meta mark set {ROUTE} accept"));
        }
        line("fib daddr type { local, broadcast, anycast, multicast } return comment \"stays here\"");
        for (family, except) in [("ip", v4(&self.except)), ("ip6", v6(&self.except))] {
            if !except.is_empty() {
                line(&format!("{family} daddr {{ {except} }} return"));
            }
        }
        let ports = match self.ports.as_slice() {
            [] => "meta l4proto tcp".to_owned(),
            ports => format!("tcp dport {{ {} }}", list(ports)),
        };
        if self.to.is_empty() {
            line(&format!("{}{ports} {then}", families.only()));
        }
        let of = [("ip", v4(&self.to), families.v4), ("ip6", v6(&self.to), families.v6)];
        for (family, to, _) in of.iter().filter(|(_, to, taken)| *taken && !to.is_empty()) {
            line(&format!("{family} daddr {{ {to} }} {ports} {then}"));
        }
        text.push_str("    }\n");
    }

    /// Packets with the mark are for this host, wherever they go.
    fn routes(&self) -> Vec<String> {
        if self.tproxy.is_none() {
            return Vec::new();
        }
        let each = ["-4", "-6"].map(|family| {
            format!(
                "ip {family} rule del fwmark {ROUTE} lookup {ROUTE} 2>/dev/null || :\n\
                 ip {family} rule add fwmark {ROUTE} lookup {ROUTE}\n\
                 ip {family} route replace local default dev lo table {ROUTE}"
            )
        });
        each.iter().flat_map(|lines| lines.lines()).map(str::to_owned).collect()
    }
}

fn v4(networks: &[Network]) -> String {
    list(networks.iter().filter(|network| !is_v6(network)))
}

fn v6(networks: &[Network]) -> String {
    list(networks.iter().filter(|network| is_v6(network)))
}

fn is_v6(network: &Network) -> bool {
    network.to_string().contains(':')
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// Mark and table of the packets that TPROXY takes: beside the node's own mark, and as unlikely to be in use.
const ROUTE: u32 = 1338;

#[cfg(test)]
mod tests {
    use super::*;

    const fn door(port: u16) -> Door {
        Door { port, near: Families::BOTH, open: Families::BOTH }
    }

    #[test]
    fn what_nobody_takes_goes_its_own_way() {
        let (v4, v6) = (Families { v4: true, v6: false }, Families { v4: false, v6: true });
        let near = Door { port: 15001, near: v4, open: Families::default() };
        let plan = Plan { redirect: Some(near), mark: 1337, ..Plan::default() };
        let text = plan.nft();
        assert!(text.contains("meta nfproto ipv4 meta l4proto tcp redirect to :15001"), "{text}");
        assert!(!text.contains("prerouting"), "nobody listens where they would be led to: {text}");
        let to = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let open = Door { port: 15002, near: v6, open: v6 };
        let text = Plan { redirect: None, tproxy: Some(open), to, ..plan }.nft();
        assert!(
            text.contains("ip6 daddr { fd00::/8 }") && !text.contains("ip daddr { 10.0.0.0/8 }"),
            "{text}"
        );
    }

    #[test]
    fn each_way_has_its_chains_and_leaves_out_what_must_not_come_back() {
        let networks = |text: &str| text.split(',').map(|one| one.parse().unwrap()).collect::<Vec<Network>>();
        let plan = Plan {
            redirect: Some(door(15001)),
            mark: 1337,
            to: networks("10.0.0.0/8,fd00::/8"),
            except: networks("10.1.0.0/16"),
            ports: vec!["80".parse().unwrap(), "8000-8999".parse().unwrap()],
            except_user: Some(7),
            ..Plan::default()
        };
        let text = plan.nft();
        for wanted in [
            "meta mark 1337 return",
            "meta skuid 7 return",
            "ip daddr { 10.1.0.0/16 } return",
            "ip daddr { 10.0.0.0/8 } tcp dport { 80, 8000-8999 } redirect to :15001",
            "ip6 daddr { fd00::/8 } tcp dport { 80, 8000-8999 } redirect to :15001",
            "type nat hook prerouting",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains("tproxy") && !text.contains("ip rule"), "{text}");
        let plan = Plan { redirect: None, tproxy: Some(door(15002)), ..plan };
        let text = plan.shell();
        for wanted in ["tproxy to :15002", "type route hook output", "ip -6 rule add fwmark 1338 lookup 1338"]
        {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        let both = Plan { redirect: Some(door(15001)), ..plan }.nft();
        assert!(!both.contains("hook prerouting priority -100") && !both.contains("type route"), "{both}");
    }

    #[test]
    fn ports_are_numbers_or_ranges() {
        for good in ["1", "80", "8000-8999", "65535"] {
            assert_eq!(good.parse::<Ports>().unwrap().to_string(), good);
        }
        for bad in ["0", "65536", "9-8", "-", "80-", "a", ""] {
            assert!(bad.parse::<Ports>().is_err(), "{bad}");
        }
    }
}
