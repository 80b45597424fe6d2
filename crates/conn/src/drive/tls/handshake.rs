//! The handshake with records of our own behind it: rustls takes one record at a time, so that nothing that comes
//! behind its last one has been opened when the keys change hands. Sets no time limit: its caller does.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, InvalidMessage, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::buffer::poll_cold;
use super::error::TlsError;
use super::facts::Facts;
use super::keys::Keys;
use super::layer::Layer;
use super::named::{Name, Named};
use super::outgoing::Outgoing;
use super::own::Own;
use super::record::{self, HEADER, RECORD, SEALED_CONTENT, announced};
use super::source::KeySource;

/// The most that may wait for the rest of a handshake message: one of 64 KiB, the largest that rustls takes, and a
/// record.
const WAITING: usize = 64 * 1024 + RECORD;

/// A handshake in progress.
pub(super) struct Handshake<T> {
    io: T,
    session: Session,
    input: Vec<u8>,
    /// Octets of the input, whole records, that rustls may look at.
    given: usize,
    output: Outgoing,
    /// The most data of one of our records behind it.
    content: usize,
    /// Nothing has arrived.
    first: bool,
}

enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>, Name),
}

/// Where rustls stands.
enum Turn {
    /// It has more to do.
    Again,
    /// It has done what it can.
    Rest,
}

impl<T> Handshake<T> {
    /// As the client.
    pub(super) fn client(
        io: T,
        mut config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        if !config.enable_secret_extraction {
            Arc::make_mut(&mut config).enable_secret_extraction = true;
        }
        let content = record::content(config.max_fragment_size);
        let session = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::new(io, content, Session::Client(Box::new(session))))
    }

    /// As the server.
    pub(super) fn server(io: T, config: &ServerConfig) -> Result<Self, rustls::Error> {
        let name = Name::default();
        // A config is a few shared parts: a copy costs little.
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        config.cert_resolver = Arc::new(Named { within: config.cert_resolver, name: Arc::clone(&name) });
        let content = record::content(config.max_fragment_size);
        let session = UnbufferedServerConnection::new(Arc::new(config))?;
        Ok(Self::new(io, content, Session::Server(Box::new(session), name)))
    }

    fn new(io: T, content: usize, session: Session) -> Self {
        let output = Outgoing::default();
        Self { io, session, input: Vec::new(), given: 0, output, content, first: true }
    }

    /// After the handshake: what was agreed, and the records.
    pub(super) fn finish(self) -> Result<(Facts, Own<T>), TlsError> {
        let (facts, layer) = self.session.finish(self.content)?;
        Ok((facts, Own::new(self.io, layer, &self.input)))
    }

    #[cfg(test)]
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(self.output.octets())
    }

    #[cfg(test)]
    pub(super) fn take_input(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// The records without a transport, and what has come behind the handshake.
    #[cfg(test)]
    pub(super) fn into_layer(self) -> Result<(Facts, Layer, Vec<u8>), TlsError> {
        let (facts, layer) = self.session.finish(self.content)?;
        Ok((facts, layer, self.input))
    }

    /// rustls takes the records that are there, but nothing beyond the handshake's end.
    pub(super) fn step(&mut self) -> Result<(), rustls::Error> {
        loop {
            let (discard, turn) = self.session.turn(&mut self.input[..self.given], self.output.octets());
            self.input.drain(..discard);
            self.given -= discard;
            match turn {
                Ok(Turn::Again) => {}
                Ok(Turn::Rest) => {
                    let next = next_record(&mut self.input[self.given..]);
                    if next == 0 || !self.session.common().is_handshaking() {
                        return Ok(());
                    }
                    self.given += next;
                }
                Err(error) => {
                    // The alert comes before any input is looked at again.
                    while self.session.common().wants_write() {
                        let input = &mut self.input[..self.given];
                        self.session.turn(input, self.output.octets()).1?;
                    }
                    return Err(error);
                }
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Handshake<T> {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TlsError>> {
        loop {
            if let Err(error) = self.step() {
                // The alert goes out if the socket takes it at once.
                let _ = self.output.poll_flush(cx, &mut self.io);
                return Poll::Ready(Err(error.into()));
            }
            ready!(self.output.poll_flush(cx, &mut self.io)).map_err(TlsError::Io)?;
            if !self.session.common().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.input.len() > WAITING {
                let error = rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);
                return Poll::Ready(Err(error.into()));
            }
            let Self { io, input, .. } = self;
            let taken = ready!(poll_cold(io, cx, |octets| input.extend_from_slice(octets)));
            if taken.map_err(TlsError::Io)? == 0 {
                return Poll::Ready(Err(TlsError::ClosedDuringHandshake));
            }
            if std::mem::take(&mut self.first) && !record::looks_like_one(&self.input) {
                return Poll::Ready(Err(TlsError::Plaintext));
            }
        }
    }
}

impl Session {
    fn common(&self) -> &CommonState {
        match self {
            Self::Client(session) => session,
            Self::Server(session, _) => session,
        }
    }

    /// Returns how many octets of the input are done with, too.
    fn turn(&mut self, input: &mut [u8], output: &mut Vec<u8>) -> (usize, Result<Turn, rustls::Error>) {
        match self {
            Self::Client(session) => turn(session.process_tls_records(input), output),
            Self::Server(session, _) => turn(session.process_tls_records(input), output),
        }
    }

    fn finish(self, content: usize) -> Result<(Facts, Layer), TlsError> {
        let name = match &self {
            Self::Client(_) => None,
            Self::Server(_, name) => name.get().map(String::as_str),
        };
        let facts = Facts::new(self.common(), name);
        let suite = self.common().negotiated_cipher_suite().and_then(|suite| suite.tls13());
        let limit = suite.ok_or(rustls::Error::HandshakeNotComplete)?.common.confidentiality_limit;
        let (secrets, source): (_, Box<dyn KeySource>) = match self {
            Self::Client(session) => {
                let (secrets, source) = session.dangerous_into_kernel_connection()?;
                (secrets, Box::new(source))
            }
            Self::Server(session, _) => {
                let (secrets, source) = session.dangerous_into_kernel_connection()?;
                (secrets, Box::new(source))
            }
        };
        let keys = |(sequence, secrets)| Keys::new(sequence, &secrets).map_err(rustls::Error::from);
        let (opening, sealing) = (keys(secrets.rx)?, keys(secrets.tx)?);
        Ok((facts, Layer::new(opening, sealing, limit, content, source)))
    }
}

fn turn<D>(
    status: UnbufferedStatus<'_, '_, D>,
    output: &mut Vec<u8>,
) -> (usize, Result<Turn, rustls::Error>) {
    let turn = status.state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(data) => encode(data, output).map(|()| Turn::Again),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Turn::Again)
        }
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => Ok(Turn::Rest),
        // Data cannot have come: early data is not agreed on, and no record behind the handshake was given.
        ConnectionState::ReadTraffic(_)
        | ConnectionState::ReadEarlyData(_)
        | ConnectionState::PeerClosed
        | ConnectionState::Closed
        | _ => Err(rustls::Error::HandshakeNotComplete),
    });
    (status.discard, turn)
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, output: &mut Vec<u8>) -> Result<(), rustls::Error> {
    let start = output.len();
    // It tells its size only where it does not fit.
    if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
        output.resize(start + needed.required_size, 0);
        data.encode(&mut output[start..]).map_err(|error| rustls::Error::General(error.to_string()))?;
    }
    Ok(())
}

/// The size of the first record, 0 when it is not whole. One that is too long (RFC 8446 5.2) is refused by its header:
/// rustls would wait for records of TLS 1.2, which may be longer, so it is shown one that is too long for any version.
fn next_record(input: &mut [u8]) -> usize {
    let Some((header, behind)) = input.split_first_chunk_mut::<HEADER>() else { return 0 };
    match announced(*header) {
        length if length > SEALED_CONTENT => {
            header[3..].fill(u8::MAX);
            HEADER
        }
        length if behind.len() < length => 0,
        length => HEADER + length,
    }
}
