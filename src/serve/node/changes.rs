//! What nodes and operators want of the ring: a process joins, a node leaves. The leader sees to it, one change at a time.

use serde_json::json;

use super::engine::{Answered, Engine, Reply};
use super::words::{Admission, Wish};
use crate::error::Error;
use crate::protocol::agent::ChangeId;
use crate::protocol::ring_change::{Change, Ended, RingChange};
use crate::ring::Member;
use crate::sync::Arc;
use crate::types::{MAX_NODES, check_label};
use crate::wire::Listing;

impl Engine {
    pub(super) fn on_change_ended(&mut self, change: ChangeId, ended: Ended) {
        match ended {
            Ended::Complete(moved) => {
                let keys: u64 = moved.pairs.values().map(|pair| pair.keys).sum();
                self.end_removal(change, |label| Ok(Answered::Done(json!({ "removed": label, "moved_keys": keys }))));
            }
            Ended::Aborted { silent } => {
                let label = self.name(silent);
                self.end_removal(change, |_| Err(Error::ChangeAborted { label }));
            }
        }
    }

    fn end_removal(&mut self, change: ChangeId, answer: impl FnOnce(&str) -> Result<Answered, Error>) {
        if let Some((_, label, reply)) = self.removal.take_if(|(removal, ..)| *removal == change) {
            let _ = reply.send(answer(&label));
        }
    }

    pub(super) fn on_call(&mut self, wish: Wish, reply: Reply<Result<Answered, Error>>) {
        let agent = self.node.agent();
        match wish {
            Wish::Peers => {
                let _ = reply.send(Ok(Answered::Done(json!(self.addresses.book().0))));
            }
            _ if !agent.election().is_leader() => {
                let leader = agent.leader().and_then(|leader| self.addresses.get(leader));
                let elsewhere = leader.map(|leader| Answered::Elsewhere(leader.address.clone()));
                let _ = reply.send(elsewhere.ok_or_else(no_leader));
            }
            Wish::Join { label, address } => drop(reply.send(self.admit(&label, &address))),
            Wish::Remove { label, force } => match self.remove(&label, force) {
                // Who asked before is told by nobody what came of it; but there is one change at a time.
                Ok(change) => self.removal = Some((change, label, reply)),
                Err(error) => drop(reply.send(Err(error))),
            },
        }
    }

    /// As the leader: begins to take a process into the ring, and says as whom. One that asks again is told the same.
    fn admit(&mut self, label: &str, address: &str) -> Result<Answered, Error> {
        check_label(label)?;
        let settled = Arc::clone(self.node.agent().election().committed());
        let record = settled.record();
        let joining = settled.nodes().into_iter().find(|member| *member.label == *label);
        let listing = |number| Listing { node: number, label: label.to_owned(), address: address.to_owned() };
        let number = match joining {
            Some(member) if !record.members.contains(&member) => {
                self.learn(&[listing(member.id)]);
                member.id
            }
            Some(member) => return Err(Error::NodeExists { label: member.label.to_string() }),
            None => {
                let given = record.members.len() + 1;
                if given > MAX_NODES {
                    let setting = "the number of nodes";
                    return Err(Error::Setting { setting, given, least: 0, most: MAX_NODES });
                }
                let member = Member { id: record.next_node, label: Arc::from(label), vnodes: record.vnodes };
                let number = member.id;
                // Known before the others are told of it: they ask it at once.
                self.learn(&[listing(number)]);
                self.begin(Change::Add(member))?;
                number
            }
        };
        let admission = Admission {
            cluster: self.cluster(),
            copies: record.copies,
            vnodes: record.vnodes,
            number: number.0,
            contact: self.me().0,
            book: self.addresses.book().0,
        };
        Ok(Answered::Done(json!(admission)))
    }

    fn remove(&mut self, label: &str, force: bool) -> Result<ChangeId, Error> {
        let settled = Arc::clone(self.node.agent().election().committed());
        let members = &settled.record().members;
        let Some(member) = members.iter().find(|member| *member.label == *label) else {
            let known = members.iter().map(|member| member.label.to_string()).collect();
            return Err(Error::UnknownNode { label: label.to_owned(), known });
        };
        let label = member.label.to_string();
        if members.len() == 1 {
            return Err(Error::LastCopy { label, keys: self.node.replica().store().stats().keys });
        }
        match (self.node.agent().membership().is_up(member.id), force) {
            (true, _) => self.begin(Change::Remove(member.id)),
            (false, true) => self.begin(Change::ForceRemove([member.id].into())),
            (false, false) => Err(Error::LeaverDown { label }),
        }
    }

    /// As the leader: begins a change of the ring.
    fn begin(&mut self, change: Change) -> Result<ChangeId, Error> {
        let agent = self.node.agent();
        if let Some((_, led)) = agent.change() {
            return Err(Error::ChangeInProgress { percent: led.percent() });
        }
        let settled = Arc::clone(agent.election().committed());
        if !agent.election().is_ready_to_propose() || settled.stage().is_some() {
            return Err(Error::ChangeInProgress { percent: 0 });
        }
        let (id, now) = (agent.next_change(), self.now());
        self.node.lead(now, RingChange::new(settled, change, now.steady));
        Ok(id)
    }

    /// The change is the next leader's.
    pub(super) fn on_change_left(&mut self, change: ChangeId) {
        self.end_removal(change, |_| {
            let why = "who led has to let it go".to_owned();
            Err(Error::NoLeader { why, remedy: "look at /ring: the change goes on under the next leader".to_owned() })
        });
    }
}

fn no_leader() -> Error {
    let why = "nobody is elected, as far as this node knows".to_owned();
    Error::NoLeader { why, remedy: "bring back a majority of the voters, or try again in a few seconds".to_owned() }
}
