//! `[admin]`: where the node tells how it is, to this host only.
//! Read by raw.rs, resolved by resolve.rs. Binds nothing.

use super::bind::Bind;
use super::fault::Faults;
use super::reader::Section;
use super::resolver::Resolver;
use super::source::{At, Source};

/// `[admin]`
#[derive(Debug)]
pub(super) struct RawAdmin {
    bind: Option<At<String>>,
}

impl RawAdmin {
    pub(super) fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self { bind: section.required("bind", "\"127.0.0.1:15020\"") };
        section.finish(source, faults);
        raw
    }
}

impl Resolver<'_> {
    /// Where it listens: there is no login, so only where other hosts do not come.
    pub(super) fn admin(&mut self, raw: Option<&RawAdmin>) -> Option<Bind> {
        let at = raw?.bind.as_ref()?;
        let wanted = "a loopback address and a port like \"127.0.0.1:15020\", or \"unix:/path\"";
        self.checked("bind", at, wanted, |text| {
            let bind = text.parse::<Bind>()?;
            if matches!(bind, Bind::Abstract(_)) {
                return Err("an abstract socket is open to everybody on this host".to_owned());
            }
            if !bind.is_local() {
                return Err(format!("other hosts reach {bind}, and there is no login"));
            }
            Ok(bind)
        })
    }
}
