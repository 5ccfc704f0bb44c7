//! `CLIENT LIST`, `INFO` and `KILL`: what one client sees of the others, and does to them.

use std::fmt::Write;
use std::net::SocketAddr;

use super::client::Client;
use super::endpoint::Endpoint;
use super::engine::Ticket;
use super::server::Server;
use crate::types::Time;
use crate::wire::resp::{Protocol, Reply};

/// What a client wants to know of all clients, or done to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ClientsCall {
    /// `CLIENT INFO`: of itself.
    Info,
    /// `CLIENT LIST`.
    List(Chosen),
    /// `CLIENT KILL` with options: answered by how many.
    Kill { chosen: Chosen, skips_me: bool },
    /// `CLIENT KILL` of an address.
    KillOne(String),
}

/// Some of the clients: those that everything said is true of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Chosen {
    pub(super) ids: Option<Vec<u64>>,
    /// Where they come from.
    pub(super) address: Option<String>,
    /// Where they came in.
    pub(super) local: Option<String>,
    /// Nobody is a replica, or a subscriber.
    pub(super) nobody: bool,
}

impl Chosen {
    fn includes(&self, client: &Client, server: &Server) -> bool {
        let is = |wanted: &Option<String>, address: SocketAddr| {
            wanted.as_ref().is_none_or(|wanted| *wanted == address.to_string())
        };
        !self.nobody
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.session.id))
            && is(&self.address, client.session.address)
            && is(&self.local, server.address)
    }
}

impl Endpoint {
    /// What is answered to the client who asks.
    pub(super) fn answer_on_clients(&mut self, ticket: Ticket, call: &ClientsCall) -> Reply {
        match call {
            ClientsCall::Info => {
                let own = self.clients.get(ticket.place).and_then(Option::as_ref);
                Reply::Text(own.map(|client| line(client, &self.server)).unwrap_or_default())
            }
            ClientsCall::List(chosen) => {
                let clients = self.clients.iter().flatten().filter(|client| chosen.includes(client, &self.server));
                Reply::Text(clients.map(|client| line(client, &self.server)).collect())
            }
            ClientsCall::Kill { chosen, skips_me } => Reply::Integer(self.kill(ticket, chosen, *skips_me)),
            ClientsCall::KillOne(address) => {
                let chosen = Chosen { address: Some(address.clone()), ..Chosen::default() };
                match self.kill(ticket, &chosen, false) {
                    0 => Reply::Error("ERR No such client".to_owned()),
                    _ => Reply::Simple("OK"),
                }
            }
        }
    }

    /// Closes the connections of those chosen, and tells how many. Who asked has its answer first.
    fn kill(&mut self, ticket: Ticket, chosen: &Chosen, skips_me: bool) -> i64 {
        let mut killed = 0;
        for place in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { continue };
            let is_own = place == ticket.place;
            if !chosen.includes(client, &self.server) || (is_own && skips_me) || client.is_gone {
                continue;
            }
            killed += 1;
            if is_own {
                client.is_ending = true;
            } else {
                client.is_gone = true;
                self.mark(place);
            }
        }
        killed
    }
}

/// A client, as `CLIENT LIST` shows it.
fn line(client: &Client, server: &Server) -> String {
    let session = &client.session;
    let seconds = |since: Time| server.now.since(since).0 / Time::SECOND.0;
    let queued = session.transaction.as_ref().map_or(-1, |transaction| transaction.calls.len() as i64);
    let protocol = if session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let flags = if session.transaction.is_some() { 'x' } else { 'N' };
    let mut line = String::new();
    // Text takes whatever is written to it.
    let _ = writeln!(
        line,
        "id={} addr={} laddr={} name={} age={} idle={} flags={flags} db=0 sub=0 psub=0 ssub=0 multi={queued} watch={} \
         omem={} cmd={} user=default resp={protocol} lib-name={} lib-ver={}",
        session.id,
        session.address,
        server.address,
        session.name,
        seconds(session.connected),
        seconds(session.asked),
        session.watched.len(),
        client.unsent(),
        session.last.map_or("NULL", |spec| spec.name),
        session.library.0,
        session.library.1,
    );
    line
}
