//! What nodes and operators want of the ring: a process joins, a node leaves. The leader sees to it, one change at a time.

use serde_json::{Value as Json, json};

use super::super::service;
use super::engine::{Answered, Asked, Engine, Reply, Wanted};
use super::words::{Admission, Wish};
use crate::error::Error;
use crate::protocol::agent::ChangeId;
use crate::protocol::membership::Standing;
use crate::protocol::ring_change::{Change, Compared, Ended, Moved, PairMoved, RingChange};
use crate::ring::Member;
use crate::sync::Arc;
use crate::topology::Topology;
use crate::types::{MAX_NODES, NodeId, Time, check_label};
use crate::wire::Listing;

impl Engine {
    pub(super) fn on_change_ended(&mut self, change: ChangeId, ended: Ended) {
        match ended {
            Ended::Complete(moved) => self.answer_change(change, |engine, wish| match wish {
                Wanted::Operator(wish) => Ok(engine.tell_moved(wish, &moved)),
                Wanted::Join(number) => Ok(engine.admission(*number)),
            }),
            Ended::Aborted { silent } => self.answer_change(change, |engine, wish| {
                let label = engine.name(silent);
                let is_repair = matches!(wish, Wanted::Operator(service::Change::Repair));
                Err(if is_repair { Error::NodeDown { label } } else { Error::ChangeAborted { label } })
            }),
        }
    }

    fn answer_change(&mut self, change: ChangeId, answer: impl FnOnce(&Engine, &Wanted) -> Result<Json, Error>) {
        if let Some(Asked { wish, reply, .. }) = self.asked.take_if(|asked| asked.change == change) {
            let _ = reply.send(answer(self, &wish).map(Answered::Done));
        }
    }

    /// A topology is agreed on: if it names who would join, that one may begin.
    pub(super) fn answer_joiner(&mut self, topology: &Topology) {
        let is_named =
            |asked: &mut Asked| matches!(asked.wish, Wanted::Join(number) if topology.label(number).is_some());
        if let Some(Asked { wish: Wanted::Join(number), reply, .. }) = self.asked.take_if(is_named) {
            let _ = reply.send(Ok(Answered::Done(self.admission(number))));
        }
    }

    /// What a change has come to, for who asked for it.
    fn tell_moved(&self, wish: &service::Change, moved: &Moved) -> Json {
        let pair = |((from, to), pair): (&(NodeId, NodeId), &PairMoved)| json!({ "from": self.name(*from), "to": self.name(*to), "keys": pair.keys, "bytes": pair.bytes });
        let pairs: Vec<Json> = moved.pairs.iter().filter(|(_, pair)| pair.keys > 0).map(pair).collect();
        let left_out: Vec<String> = moved.left_out.iter().map(|node| self.name(*node)).collect();
        let Compared { digests, tombstones, dropped, .. } = moved.compared;
        match wish {
            service::Change::Remove { label, .. } => json!({ "removed": label, "pairs": pairs }),
            service::Change::Repair => json!({
                "pairs": pairs, "left_out": left_out, "digests": digests, "tombstones": tombstones, "dropped": dropped,
            }),
            service::Change::Clear => json!({ "cleared": true }),
        }
    }

    pub(super) fn on_call(&mut self, wish: Wish, reply: Reply<Result<Answered, Error>>) {
        let until = self.now().steady.plus(TURN_PATIENCE);
        self.take_call(Caller { wish, reply, until });
    }

    fn take_call(&mut self, call: Caller) {
        let agent = self.node.agent();
        if !matches!(call.wish, Wish::Peers) && !agent.election().is_leader() {
            let leader = agent.leader().and_then(|leader| self.addresses.get(leader));
            let elsewhere = leader.map(|leader| Answered::Elsewhere(leader.address.clone()));
            let _ = call.reply.send(elsewhere.ok_or_else(no_leader));
            return;
        }
        let begun = match &call.wish {
            Wish::Peers => {
                let _ = call.reply.send(Ok(Answered::Done(json!(self.addresses.book().0))));
                return;
            }
            Wish::Join { label, address } => self.begin_join(label, address),
            Wish::Change(wish) => self.begin_wanted(wish).map(|change| (change, Wanted::Operator(wish.clone()))),
        };
        match begun {
            // There is one change at a time, so nobody else waits.
            Ok((change, wish)) => self.asked = Some(Asked { change, wish, reply: call.reply }),
            // The leader sees to something of its own accord: that is over soon, and nobody's concern.
            Err(Error::ChangeInProgress { .. })
                if self.asked.is_none() && self.calls.len() < MOST_CALLS && self.now().steady < call.until =>
            {
                self.calls.push_back(call);
            }
            Err(error) => drop(call.reply.send(Err(error))),
        }
    }

    /// Those who wait for their turn ask again.
    pub(super) fn retry_calls(&mut self) {
        std::mem::take(&mut self.calls).into_iter().for_each(|call| self.take_call(call));
    }

    /// As the leader: begins to take a process into the ring. One that asks again, because it has heard no answer or has
    /// lost what it had, has to wait until that is over: what its number has promised must not be forgotten.
    fn begin_join(&mut self, label: &str, address: &str) -> Result<(ChangeId, Wanted), Error> {
        check_label(label)?;
        let settled = Arc::clone(self.node.agent().election().committed());
        let record = settled.record();
        if let Some(member) = record.members.iter().find(|member| member.label.eq_ignore_ascii_case(label)) {
            return Err(Error::NodeExists { label: member.label.to_string() });
        }
        let given = record.members.len() + 1;
        if given > MAX_NODES {
            let setting = "the number of nodes";
            return Err(Error::Setting { setting, given, least: 0, most: MAX_NODES });
        }
        let number = record.next_node;
        let change = self.begin(Change::Add(Member { id: number, label: Arc::from(label), vnodes: record.vnodes }))?;
        // Known before the others are told of it: they ask it at once.
        self.learn(&[Listing { node: number, label: label.to_owned(), address: address.to_owned() }]);
        Ok((change, Wanted::Join(number)))
    }

    fn admission(&self, number: NodeId) -> Json {
        let topology = self.topology();
        let record = topology.record();
        json!(Admission {
            cluster: self.cluster(),
            copies: record.copies,
            vnodes: record.vnodes,
            number: number.0,
            contact: self.me().0,
            book: self.addresses.book().0,
        })
    }

    fn begin_wanted(&mut self, wish: &service::Change) -> Result<ChangeId, Error> {
        match wish {
            service::Change::Remove { label, force } => self.remove(label, *force),
            service::Change::Repair => self.begin(Change::Repair),
            service::Change::Clear => {
                let now = self.now();
                let before = self.node.stamp(now);
                self.begin(Change::Clear(before))
            }
        }
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
        self.check_somebody_votes(member.id)?;
        let (membership, now) = (self.node.agent().membership(), self.now().steady);
        if membership.standings(now).any(|(node, _, standing)| node == member.id && standing == Standing::Suspect) {
            return Err(Error::LeaverSuspect { label });
        }
        match (membership.is_up(member.id), force) {
            (true, _) => self.begin(Change::Remove(member.id)),
            (false, true) => self
                .check_nobody_waits_for(member.id)
                .and_then(|()| self.begin(Change::ForceRemove([member.id].into()))),
            (false, false) => Err(Error::LeaverDown { label }),
        }
    }

    /// Those that stay have to be able to elect a leader: not all of them may have forgotten what they promised.
    fn check_somebody_votes(&self, leaver: NodeId) -> Result<(), Error> {
        let (topology, agent) = (self.topology(), self.node.agent());
        let mut staying = topology.record().members.iter().filter(|member| member.id != leaver);
        if staying.any(|member| !agent.is_forgetful(member.id)) {
            return Ok(());
        }
        let why = "of those that stay none votes any more".to_owned();
        Err(Error::NoLeader { why, remedy: "add a node first".to_owned() })
    }

    /// Who lost data may get the last copy of it back from one that is down: that one is not given up before.
    fn check_nobody_waits_for(&self, leaver: NodeId) -> Result<(), Error> {
        let (topology, agent) = (self.topology(), self.node.agent());
        let staying = topology.record().members.iter().map(|member| member.id).filter(|node| *node != leaver);
        for node in staying.filter(|node| agent.is_recovering(*node)) {
            let awaited = agent.awaited_by(node);
            if awaited.contains(&leaver) {
                let awaited = awaited.into_iter().map(|node| self.name(node)).collect();
                return Err(Error::HeirRecovering { label: self.name(node), awaited });
            }
        }
        Ok(())
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
        self.answer_change(change, |_, _| {
            let why = "who led has to let it go".to_owned();
            Err(Error::NoLeader { why, remedy: "look at /ring: the change goes on under the next leader".to_owned() })
        });
    }
}

/// Somebody's wish that waits until the leader has nothing else in hand.
#[derive(Debug)]
pub(super) struct Caller {
    wish: Wish,
    reply: Reply<Result<Answered, Error>>,
    until: Time,
}

/// How long a wish waits for its turn.
const TURN_PATIENCE: Time = Time(10_000_000);
/// Wishes that wait at once.
const MOST_CALLS: usize = 16;

fn no_leader() -> Error {
    let why = "nobody is elected, as far as this node knows".to_owned();
    Error::NoLeader { why, remedy: "bring back a majority of the voters, or try again in a few seconds".to_owned() }
}
