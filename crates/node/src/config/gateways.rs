//! `[[listeners]]` of gateways: those that strangers call on purpose.
//! Called by listeners.rs. Binds nothing.

use hbone_tunnel::{Front, Names, Network, Target};

use super::bind::Bind;
use super::fault::Cause;
use super::kind::Kind;
use super::listeners::Known;
use super::raw::RawListener;
use super::resolved::Capture;
use super::resolver::Resolver;
use super::source::At;

impl Resolver<'_> {
    /// A listener whose clients speak TLS with the destination, and name it.
    pub(super) fn sni(&mut self, raw: &RawListener, bind: Option<Bind>, known: Known<'_>) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let allow_from = self.allow_from(raw);
        let targets = self.let_through(raw);
        let ways = self.ways(raw, known);
        let (targets, (routes, through)) = (targets?, ways?);
        let names = Names::new(targets);
        let (name, bind, allow_from) = (raw.name.as_ref()?.value.clone(), bind?, allow_from?);
        let summary = format!("{names} {through}{}", clients(&allow_from));
        Some(Capture { name, kind: Kind::Sni, bind, allow_from, summary, front: Front::Sni(names), routes })
    }

    /// The destinations that `names` lists.
    fn let_through(&mut self, raw: &RawListener) -> Option<Vec<Target>> {
        let Some(list) = &raw.names else {
            let (key, section, example) = ("names", raw.title.clone(), "[\"*.example.org:443\"]");
            self.fault(&raw.span, Cause::MissingKey { key, section, example });
            return None;
        };
        if list.value.is_empty() {
            let (section, reason) = (raw.title.clone(), "`names` is an empty list, so nobody gets through");
            self.fault(&list.span, Cause::Conflict { section, reason, remedy: "list the names" });
            return None;
        }
        let targets: Vec<_> = list.value.iter().filter_map(|at| self.named(at)).collect();
        (targets.len() == list.value.len()).then_some(targets)
    }

    /// A target that consists of names: strangers choose among them, so every host is never meant.
    fn named(&mut self, at: &At<String>) -> Option<Target> {
        let wanted = "a name and a port or ports: \"web.example:443\", \"*.example:443\"";
        self.checked("names", at, wanted, |text| match text.parse::<Target>() {
            Ok(target) if target.is_of_names() => Ok(target),
            Ok(_) => Err("it must be a name or *.name".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The networks of the clients; none where something is wrong.
    fn allow_from(&mut self, raw: &RawListener) -> Option<Vec<Network>> {
        let Some(list) = &raw.allow_from else { return Some(Vec::new()) };
        if list.value.is_empty() {
            let (section, reason) = (raw.title.clone(), "`allow_from` is an empty list");
            let remedy = "leave the key out to mean everyone, or remove the listener";
            self.fault(&list.span, Cause::Conflict { section, reason, remedy });
            return None;
        }
        let wanted = "an address or a network: \"10.0.0.0/8\", \"fd00::/8\"";
        let networks: Vec<_> =
            list.value.iter().filter_map(|at| self.parse::<Network>("allow_from", at, wanted)).collect();
        (networks.len() == list.value.len()).then_some(networks)
    }
}

/// Who may call, for people.
fn clients(allow_from: &[Network]) -> String {
    if allow_from.is_empty() {
        return String::new();
    }
    let networks: Vec<_> = allow_from.iter().map(ToString::to_string).collect();
    format!(", for {}", networks.join(", "))
}
