//! `[[listeners]]` of kinds `redirect` and `tproxy`: clients that do not know that they are captured.
//! Called by listeners.rs. Binds nothing, changes no rules.

use hbone_tunnel::Front;

use super::bind::Bind;
use super::fault::Cause;
use super::kind::Kind;
use super::listeners::Known;
use super::raw::RawListener;
use super::resolved::Capture;
use super::resolver::Resolver;

impl Resolver<'_> {
    /// A listener to which a packet filter brings connections.
    pub(super) fn transparent(
        &mut self,
        raw: &RawListener,
        kind: Kind,
        bind: Option<Bind>,
        known: Known<'_>,
    ) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let ways = self.ways(raw, known);
        let bind = bind?;
        if let (None, Some(at)) = (bind.address(), &raw.bind) {
            let (key, value, reason) = ("bind".into(), bind.to_string(), "TCP is captured".into());
            let wanted = "an address and a port like \"127.0.0.1:15001\"".into();
            self.fault(&at.span, Cause::BadValue { key, value, reason, wanted });
            return None;
        }
        let ((routes, through), name) = (ways?, raw.name.as_ref()?.value.clone());
        let front = if kind == Kind::Redirect { Front::Redirect } else { Front::Transparent };
        let summary = format!("where its clients go {through}");
        Some(Capture {
            name,
            kind,
            bind,
            summary,
            front,
            routes,
            allow_from: Vec::new(),
            proxies: Vec::new(),
        })
    }
}
