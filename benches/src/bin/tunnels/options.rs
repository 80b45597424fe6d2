//! What was asked for on the command line. Read by main.rs.

use crate::chains::Kind;

pub(crate) const USAGE: &str = "usage: tunnels [--quick] [--only PART] [--beside NAMES] [--json FILE] [--html FILE]
  --quick         fewer rounds, fewer octets
  --only PART     the case of this name, or all whose names contain it: bulk/1, bulk/8, down/1, churn/1,
                  churn/16, trip/idle/1, trip/idle/64, trip/beside/1, trip/beside/8, memory/5000, cores/all, cores/nodes
  --beside NAMES  only these beside hbone, divided by commas: direct, relays, openssh, envoy,
                  wstunnel, rathole
  --json FILE     write every figure
  --html FILE     write a page with plots
Programs that are not installed are named and left out; with HBONE_REQUIRE_PEERS=1 that is an error.";

/// A whole command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) only: Option<String>,
    /// Who takes part; ours is the first.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) json: Option<String>,
    pub(crate) html: Option<String>,
    /// Whether one that is not installed is an error.
    pub(crate) required: bool,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let required = std::env::var_os("HBONE_REQUIRE_PEERS").is_some_and(|it| it == "1");
        let kinds = Kind::ALL.to_vec();
        let mut options = Self { quick: false, only: None, kinds, json: None, html: None, required };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = Some(value()?),
                "--beside" => options.kinds = beside(&value()?)?,
                "--json" => options.json = Some(value()?),
                "--html" => options.html = Some(value()?),
                _ => return Err(format!("unknown argument {argument:?}")),
            }
        }
        Ok(options)
    }
}

fn beside(names: &str) -> Result<Vec<Kind>, String> {
    let mut kinds = vec![Kind::Hbone];
    for name in names.split(',') {
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == name);
        kinds.push(kind.ok_or_else(|| format!("nobody is called {name:?}"))?);
    }
    kinds.dedup();
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        Options::read(text.split_ascii_whitespace().map(str::to_owned))
    }

    #[test]
    fn ours_always_takes_part_and_is_the_first() {
        assert_eq!(read("").unwrap().kinds[0], Kind::Hbone);
        assert_eq!(read("--beside envoy,relays").unwrap().kinds, [Kind::Hbone, Kind::Envoy, Kind::Relays]);
        assert!(read("--beside nobody").is_err());
    }

    #[test]
    fn what_is_not_known_or_not_whole_is_refused() {
        assert!(read("--only").is_err());
        assert!(read("--slow").is_err());
    }
}
