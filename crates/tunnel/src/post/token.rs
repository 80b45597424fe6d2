//! The credential that a caller shows to infrastructure: a bearer token out of a file or a command.
//!
//! Asked by the caller's side for every tunnel. A file is read again when it has changed, a command is asked again
//! shortly before its token ends. Judges nothing: the far end does. A token is never printed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Where a token comes from. Clones are the same and share what is kept.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    origin: Origin,
    kept: Mutex<Option<Kept>>,
    /// One command at a time; the others take what it has brought.
    turn: tokio::sync::Mutex<()>,
}

enum Origin {
    File(PathBuf),
    Command { program: Vec<String>, limit: Duration },
}

struct Kept {
    bearer: Bearer,
    until: Until,
}

enum Until {
    /// The file is as it was.
    Changed(Stamp),
    Time(SystemTime),
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// A token; never printed.
#[derive(Clone)]
pub(crate) struct Bearer(Arc<str>);

impl Bearer {
    /// For the wire only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl TokenSource {
    /// A file that holds nothing but the token.
    pub fn file(path: PathBuf) -> Self {
        Self::new(Origin::File(path))
    }

    /// A program with its arguments that prints the token, within that time. `HBONE_AUDIENCE` tells it for whom.
    pub fn command(program: Vec<String>, limit: Duration) -> Self {
        Self::new(Origin::Command { program, limit })
    }

    fn new(origin: Origin) -> Self {
        Self(Arc::new(Inner { origin, kept: Mutex::new(None), turn: tokio::sync::Mutex::new(()) }))
    }

    /// The token for an audience; a source is for one audience only.
    pub(crate) async fn bearer(&self, audience: &str) -> Result<Bearer, TokenFault> {
        match &self.0.origin {
            Origin::File(path) => {
                let (source, path) = (self.clone(), path.clone());
                spawn_blocking(move || source.read(&path)).await.map_err(|_| TokenFault::Unreadable)?
            }
            Origin::Command { program, limit } => self.run(program, *limit, audience).await,
        }
    }

    /// It was refused: the next tunnel gets another one, where there is one.
    pub(crate) fn forget(&self) {
        *self.0.kept.lock() = None;
    }

    fn read(&self, path: &Path) -> Result<Bearer, TokenFault> {
        let stamp = std::fs::metadata(path).map(|it| Stamp::of(&it)).map_err(|_| TokenFault::Unreadable)?;
        let mut kept = self.0.kept.lock();
        if let Some(Kept { bearer, until: Until::Changed(then) }) = &*kept
            && *then == stamp
        {
            return Ok(bearer.clone());
        }
        if stamp.length > MOST as u64 + 2 {
            return Err(TokenFault::TooLong);
        }
        let bearer = parse(&std::fs::read(path).map_err(|_| TokenFault::Unreadable)?)?;
        *kept = Some(Kept { bearer: bearer.clone(), until: Until::Changed(stamp) });
        Ok(bearer)
    }

    fn kept(&self) -> Option<Bearer> {
        match &*self.0.kept.lock() {
            Some(Kept { bearer, until: Until::Time(until) }) if *until > SystemTime::now() => {
                Some(bearer.clone())
            }
            _ => None,
        }
    }

    async fn run(&self, program: &[String], limit: Duration, audience: &str) -> Result<Bearer, TokenFault> {
        if let Some(bearer) = self.kept() {
            return Ok(bearer);
        }
        let _turn = self.0.turn.lock().await;
        if let Some(bearer) = self.kept() {
            return Ok(bearer);
        }
        let (name, arguments) = program.split_first().ok_or(TokenFault::Unreadable)?;
        let mut command = Command::new(name);
        command.args(arguments).env("HBONE_AUDIENCE", audience).kill_on_drop(true);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let output = timeout(limit, command.output()).await.map_err(|_| TokenFault::Timeout(limit))?;
        let output = output.map_err(|_| TokenFault::Unreadable)?;
        if !output.status.success() {
            return Err(TokenFault::Failed(output.status.code()));
        }
        let bearer = parse(&output.stdout)?;
        let until = Until::Time(keep_until(bearer.expose(), SystemTime::now()));
        *self.0.kept.lock() = Some(Kept { bearer: bearer.clone(), until });
        Ok(bearer)
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), length: metadata.len(), changed }
    }
}

/// A token as RFC 6750 2.1 writes it, with space around it.
fn parse(text: &[u8]) -> Result<Bearer, TokenFault> {
    let text = text.trim_ascii();
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(octet);
    match text.len() {
        0 => Err(TokenFault::Empty),
        length if length > MOST => Err(TokenFault::TooLong),
        _ if !text.iter().all(plain) => Err(TokenFault::Characters),
        _ => Ok(Bearer(String::from_utf8_lossy(text).into())),
    }
}

/// Shortly before it ends, as far as it says when; a token that says nothing is not kept for long.
fn keep_until(token: &str, now: SystemTime) -> SystemTime {
    #[derive(serde::Deserialize)]
    struct Ends {
        exp: u64,
    }
    let ends = jsonwebtoken::dangerous::insecure_decode_claims::<Ends>(token).ok();
    let ends = ends.and_then(|claims| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp)));
    let Some(left) = ends.and_then(|ends| ends.duration_since(now).ok()) else { return now + OPAQUE };
    now + left - (left / 4).min(MARGIN)
}

impl PartialEq for TokenSource {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TokenSource {}

impl Hash for TokenSource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.origin {
            Origin::File(path) => f.debug_tuple("File").field(path).finish(),
            Origin::Command { program, .. } => f.debug_tuple("Command").field(&program.first()).finish(),
        }
    }
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenFault {
    /// The file cannot be read, or the command cannot be started.
    Unreadable,
    /// The command failed, with that code, if it ended by itself.
    Failed(Option<i32>),
    /// The command took longer.
    Timeout(Duration),
    /// There is nothing in it.
    Empty,
    /// More than 8 KiB.
    TooLong,
    /// Characters that no token has (RFC 6750 2.1).
    Characters,
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => {
                f.write_str("its file cannot be read, or its command not be started; check both")
            }
            Self::Failed(Some(code)) => write!(f, "its command failed with code {code}; try it by hand"),
            Self::Failed(None) => f.write_str("its command was killed; try it by hand"),
            Self::Timeout(limit) => write!(f, "its command took over {limit:?}; try it by hand"),
            Self::Empty => f.write_str("it is empty; check the file or the command"),
            Self::TooLong => f.write_str("it has over 8 KiB; check the file or the command"),
            Self::Characters => {
                f.write_str("it has characters that no token has; check the file or the command")
            }
        }
    }
}

/// Octets of a token, on both sides.
pub(crate) const MOST: usize = 8 * 1024;
/// Before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token is kept that does not say when it ends.
const OPAQUE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_once_it_has_changed_and_holds_a_token_only() {
        let path = std::env::temp_dir().join(format!("hbone-token-{}", std::process::id()));
        let source = TokenSource::file(path.clone());
        assert_eq!(source.bearer("a").await.err(), Some(TokenFault::Unreadable));
        for (text, expected) in [
            (" a.b.c\n", Ok("a.b.c")),
            ("d.e.f", Ok("d.e.f")),
            ("", Err(TokenFault::Empty)),
            ("a b", Err(TokenFault::Characters)),
            ("a\r\nx: y", Err(TokenFault::Characters)),
        ] {
            // Another file each time, as those who rotate do it.
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(&fresh, &path).unwrap();
            let bearer = source.bearer("a").await;
            assert_eq!(bearer.as_ref().map(Bearer::expose), expected.as_ref().map(|it| *it), "{text:?}");
        }
        std::fs::write(&path, "a".repeat(MOST + 3)).unwrap();
        assert_eq!(source.bearer("a").await.err(), Some(TokenFault::TooLong));
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_command_is_asked_once_knows_the_audience_and_has_a_limit() {
        let shell = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let source = TokenSource::command(shell("echo $$.$HBONE_AUDIENCE"), Duration::from_secs(10));
        let (one, two) = tokio::join!(source.bearer("x"), source.bearer("x"));
        let one = one.unwrap();
        assert!(one.expose().ends_with(".x") && one.expose() == two.unwrap().expose());
        source.forget();
        assert_ne!(source.bearer("x").await.unwrap().expose(), one.expose());
        let slow = TokenSource::command(shell("sleep 60"), Duration::from_millis(20));
        assert_eq!(slow.bearer("x").await.err(), Some(TokenFault::Timeout(Duration::from_millis(20))));
        let failing = TokenSource::command(shell("exit 3"), Duration::from_secs(10));
        assert_eq!(failing.bearer("x").await.err(), Some(TokenFault::Failed(Some(3))));
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        // {"alg":"ES256"} . {"exp":N}
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for (claims, expected) in
            [("eyJleHAiOjQ2MDB9", 3540), ("eyJleHAiOjEwNDB9", 30), ("eyJleHAiOjF9", 30), ("e30", 30)]
        {
            let kept = keep_until(&format!("eyJhbGciOiJFUzI1NiJ9.{claims}.AA"), now);
            assert_eq!(kept, now + Duration::from_secs(expected), "{claims}");
        }
    }
}
