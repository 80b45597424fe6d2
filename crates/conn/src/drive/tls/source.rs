//! Where the next keys come from and where tickets go: rustls, which keeps the secrets (RFC 8446 7.2 and 4.6.1).

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;

use super::fault::Fault;
use super::keys::Keys;
use super::message::NEW_SESSION_TICKET;

/// A connection's secrets. Asked by the layer only; no octet of a record passes through it.
pub(super) trait KeySource: Send + Sync {
    /// The next keys for sealing.
    fn next_to_seal(&mut self) -> Result<Keys, Fault>;

    /// The next keys for opening.
    fn next_to_open(&mut self) -> Result<Keys, Fault>;

    /// The body of a NewSessionTicket.
    fn ticket(&mut self, body: &[u8]) -> Result<(), Fault>;
}

impl KeySource for KernelConnection<ClientConnectionData> {
    fn next_to_seal(&mut self) -> Result<Keys, Fault> {
        keys(self.update_tx_secret())
    }

    fn next_to_open(&mut self) -> Result<Keys, Fault> {
        keys(self.update_rx_secret())
    }

    fn ticket(&mut self, body: &[u8]) -> Result<(), Fault> {
        self.handle_new_session_ticket(body).map_err(Fault::Rustls)
    }
}

impl KeySource for KernelConnection<ServerConnectionData> {
    fn next_to_seal(&mut self) -> Result<Keys, Fault> {
        keys(self.update_tx_secret())
    }

    fn next_to_open(&mut self) -> Result<Keys, Fault> {
        keys(self.update_rx_secret())
    }

    /// RFC 8446 4.6.1: only servers send tickets.
    fn ticket(&mut self, _: &[u8]) -> Result<(), Fault> {
        Err(Fault::HandshakeType(NEW_SESSION_TICKET))
    }
}

fn keys(updated: Result<(u64, rustls::ConnectionTrafficSecrets), rustls::Error>) -> Result<Keys, Fault> {
    let (sequence, secrets) = updated.map_err(Fault::Rustls)?;
    Keys::new(sequence, &secrets)
}
