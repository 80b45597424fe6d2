//! `[[listeners]]` of kinds `socks5` and `http-proxy`: clients that say by themselves where they want to go.
//! Called by listeners.rs. Reads the password's file; binds nothing.

use std::sync::Arc;

use hbone_tunnel::{Account, Front};

use super::bind::Bind;
use super::fault::Cause;
use super::kind::Kind;
use super::listeners::Known;
use super::raw::RawListener;
use super::resolved::Capture;
use super::resolver::Resolver;
use crate::certs::{self, CertificateError};

impl Resolver<'_> {
    /// A proxy.
    pub(super) fn proxy(
        &mut self,
        raw: &RawListener,
        kind: Kind,
        bind: Option<Bind>,
        known: Known<'_>,
    ) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let account = self.account(raw);
        let ways = self.ways(raw, known);
        let (account, (routes, through), bind, name) =
            (account?, ways?, bind?, raw.name.as_ref()?.value.clone());
        let whom =
            if account.is_some() { "what clients with the password ask for" } else { "what is asked for" };
        let summary = format!("{whom} {through}");
        let front = if kind == Kind::Socks5 { Front::Socks5(account) } else { Front::HttpConnect(account) };
        Some(Capture { name, kind, bind, allow_from: Vec::new(), summary, front, routes })
    }

    /// The account, if clients need one; none after a fault.
    fn account(&mut self, raw: &RawListener) -> Option<Option<Arc<Account>>> {
        let (user, file) = match (&raw.user, &raw.password_file) {
            (None, None) => return Some(None),
            (Some(user), Some(file)) => (user, file),
            (Some(at), None) | (None, Some(at)) => {
                let section = raw.title.clone();
                let reason = "`user` and `password_file` belong together";
                self.fault(&at.span, Cause::Conflict { section, reason, remedy: "give both or none" });
                return None;
            }
        };
        let path = self.source.folder().join(&file.value);
        let read = certs::private(&path).and_then(|()| {
            std::fs::read_to_string(&path)
                .map_err(|error| CertificateError::Unreadable { path: path.clone(), kind: error.kind() })
        });
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                self.fault(&file.span, Cause::Certificate(error));
                return None;
            }
        };
        let password = text.lines().next().unwrap_or_default();
        let wanted = "a name of 1 to 255 octets without a colon, and a file whose first line is the password";
        let account = self.checked("user", user, wanted, |user| Account::new(user, password))?;
        Some(Some(Arc::new(account)))
    }
}
