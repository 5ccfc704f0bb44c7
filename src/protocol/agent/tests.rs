//! Agents among each other, with replicas that hold nothing and disks that sync at once: who carries a change out, and
//! who goes on with it.

mod errands;

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::protocol::membership::Condition;
use crate::protocol::message::{Reply, Request};
use crate::protocol::ring_change::{Change, RingChange};
use crate::ring::Member;
use crate::topology::Stage;
use crate::types::{Epoch, RangeDigest};

/// Agents, what is on its way to them, and what happened, in order.
struct World {
    now: Time,
    agents: BTreeMap<NodeId, Agent>,
    mail: VecDeque<(NodeId, NodeId, Mail)>,
    events: Vec<(NodeId, Event)>,
    dice: u64,
    /// Who neither hears nor is heard.
    cut: Option<NodeId>,
}

enum Mail {
    Message(Message),
    Asked(ChangeRequest),
    Answer(ChangeId, u64, Reply),
}

impl World {
    /// Nodes 1 to `nodes`, all of them members and voters.
    fn new(nodes: u32) -> World {
        let topology = Arc::new(founded(nodes));
        let mut world = World {
            now: Time(0),
            agents: BTreeMap::new(),
            mail: VecDeque::new(),
            events: Vec::new(),
            dice: 1,
            cut: None,
        };
        for node in 1..=nodes {
            world.start(NodeId(node), &topology);
        }
        world
    }

    fn start(&mut self, node: NodeId, topology: &Arc<Topology>) {
        let (label, mut dice) = (Arc::from(format!("node{}", node.0)), self.dice + u64::from(node.0));
        let random = &mut || roll(&mut dice);
        let new = Remembered { ballot: Some(Ballot::default()), incarnation: 0 };
        let options = AgentOptions::default();
        let agent = Agent::new(node, label, new, Arc::clone(topology), None, options, self.now, random);
        self.agents.insert(node, agent);
    }

    fn with(&mut self, node: NodeId, call: impl FnOnce(&mut Agent, Time, &mut dyn FnMut() -> u64, &mut Outbox)) {
        let Some(agent) = self.agents.get_mut(&node) else { return };
        let (mut out, dice) = (Outbox::default(), &mut self.dice);
        call(agent, self.now, &mut || roll(dice), &mut out);
        // Its disk syncs at once, and its replica adopts at once what is committed.
        let mut seen = 0;
        while !out.promises.is_empty() || seen < out.events.len() {
            for promise in std::mem::take(&mut out.promises) {
                agent.on_durable(self.now, &promise, &mut out);
            }
            for event in out.events.split_off(seen) {
                if let Event::Committed(topology) = &event {
                    agent.on_adopted(self.now, topology, &mut || roll(dice), &mut out);
                }
                out.events.insert(seen, event);
                seen += 1;
            }
        }
        self.events.extend(out.events.into_iter().map(|event| (node, event)));
        self.mail.extend(out.messages.into_iter().map(|(to, message)| (node, to, Mail::Message(message))));
        self.mail.extend(out.requests.into_iter().map(|asked| (node, asked.to, Mail::Asked(asked))));
    }

    /// Delivers one message, or moves time on to the next alarm.
    fn step(&mut self) {
        let Some((from, to, mail)) = self.mail.pop_front() else {
            let next = self.agents.values().map(Agent::wake_at).min().unwrap();
            self.now = self.now.plus(Time(1)).max(next);
            let due: Vec<NodeId> = self.agents.keys().copied().collect();
            return due
                .into_iter()
                .for_each(|node| self.with(node, |agent, now, dice, out| agent.on_time(now, dice, out)));
        };
        if from != to && self.cut.is_some_and(|cut| cut == from || cut == to) {
            return;
        }
        match mail {
            Mail::Message(message) => {
                self.with(to, |agent, now, dice, out| agent.on_message(now, from, message, dice, out));
            }
            Mail::Asked(ChangeRequest { change, id, request, .. }) => {
                if let Request::Fence { topology } = &request {
                    self.with(to, |agent, now, dice, out| agent.on_adopted(now, topology, dice, out));
                }
                if let Some(condition) = after(&request) {
                    self.with(to, |agent, _, _, _| agent.set_condition(condition));
                }
                self.mail.push_back((to, from, Mail::Answer(change, id, empty_replica(request))));
            }
            Mail::Answer(change, id, reply) => {
                self.with(to, |agent, now, _, out| agent.on_answer(now, from, (change, id), Ok(reply), out));
            }
        }
    }

    fn until(&mut self, mut done: impl FnMut(&World) -> bool) {
        let steps = (0..200_000).find(|_| {
            self.step();
            done(self)
        });
        assert!(steps.is_some(), "it never came to that: {:?}", self.events);
    }

    fn leader(&mut self) -> NodeId {
        self.until(|world| world.ready().is_some());
        self.ready().unwrap()
    }

    fn ready(&self) -> Option<NodeId> {
        let ready = |agent: &Agent| agent.election().is_ready_to_propose();
        self.agents.iter().find(|(_, agent)| ready(agent)).map(|(node, _)| *node)
    }

    /// The leader takes `node` out of the ring.
    fn remove(&mut self, leader: NodeId, node: NodeId) -> ChangeId {
        let topology = Arc::clone(self.agents[&leader].election().committed());
        let change = self.agents[&leader].next_change();
        let machine = RingChange::new(topology, Change::Remove(node), self.now);
        self.with(leader, |agent, now, _, out| agent.lead(now, machine, out));
        change
    }

    fn is_at(&self, node: NodeId, stage: Stage) -> bool {
        self.agents[&node].election().committed().stage() == Some(stage)
    }

    fn ended(&self, change: ChangeId) -> Option<&Ended> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::ChangeEnded { change: ended, ended: how } if *ended == change => Some(how),
            _ => None,
        })
    }
}

fn roll(dice: &mut u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *dice >> 16
}

fn founded(nodes: u32) -> Topology {
    let mut record = Topology::empty(3, 4).record().clone();
    let member = |id: u32| Member { id: NodeId(id), label: Arc::from(format!("node{id}")), vnodes: 4 };
    record.epoch = Epoch(1);
    record.next_node = NodeId(nodes + 1);
    record.members = (1..=nodes).map(member).collect();
    record.voters = (1..=nodes).map(NodeId).collect();
    Topology::new(record)
}

/// What a replica answers that holds nothing.
fn empty_replica(request: Request) -> Reply {
    match request {
        Request::Fence { topology } => Reply::Fenced { epoch: topology.epoch(), condition: Condition::default() },
        Request::Page { values: true, .. } => Reply::Page { entries: Vec::new(), more: false, floors: Vec::new() },
        Request::Page { .. } => Reply::Versions { versions: Vec::new(), more: false },
        Request::Digest { groups, .. } => Reply::Digests { digests: vec![RangeDigest::default(); groups.len()] },
        _ => Reply::Done,
    }
}

/// What a replica's data is like when it has done this, if that is another matter then.
fn after(request: &Request) -> Option<Condition> {
    matches!(request, Request::Discard { .. } | Request::Restored { .. }).then(Condition::default)
}

#[test]
fn a_leader_carries_a_change_out_stage_by_stage_as_it_is_agreed_on() {
    let mut world = World::new(4);
    let leader = world.leader();
    let leaver = (1..=4).map(NodeId).find(|node| *node != leader).unwrap();
    let change = world.remove(leader, leaver);
    world.until(|world| world.ended(change).is_some());
    assert!(matches!(world.ended(change), Some(Ended::Complete(_))));
    let stages: Vec<Option<Stage>> = world
        .events
        .iter()
        .filter(|(node, _)| *node == leader)
        .filter_map(|(_, event)| if let Event::Committed(topology) = event { Some(topology.stage()) } else { None })
        .collect();
    assert_eq!(
        stages[..5],
        [Some(Stage::Fencing), Some(Stage::Copying), Some(Stage::ReadBoth), Some(Stage::Retiring), None]
    );
    for (node, agent) in world.agents.iter().filter(|(node, _)| **node != leaver) {
        assert!(agent.adopted().label(leaver).is_none(), "{node:?}");
        assert!(agent.change().is_none());
    }
}

#[test]
fn the_next_leader_goes_on_with_what_a_majority_has_agreed_on() {
    for stage in [Stage::Fencing, Stage::Copying, Stage::ReadBoth, Stage::Retiring] {
        let mut world = World::new(5);
        let old = world.leader();
        let leaver = (1..=5).map(NodeId).find(|node| *node != old).unwrap();
        let change = world.remove(old, leaver);
        world.until(|world| world.is_at(old, stage));
        world.cut = Some(old);
        world.until(|world| world.ready().is_some_and(|leader| leader != old));
        // It was told nothing of the change but what it voted for.
        let resumed = world.events.iter().rev().find_map(|(node, event)| match event {
            Event::Leads { resumed, .. } if *node != old => Some(*resumed),
            _ => None,
        });
        let resumed = resumed.unwrap().unwrap_or_else(|| panic!("{stage:?}: there is a change to go on with"));
        assert_ne!(resumed, change);
        world.until(|world| world.ended(resumed).is_some());
        let ended = world.ended(resumed).unwrap().clone();
        // Before ReadBoth it may find the silent one needed, and call the change off: whole, either way.
        assert!(stage < Stage::ReadBoth || matches!(ended, Ended::Complete(_)), "{stage:?}: {ended:?}");
        // The old one steps down, for nobody answers, and leaves it.
        world.until(|world| {
            let left = |(node, event): &(NodeId, Event)| {
                *node == old && matches!(event, Event::ChangeLeft { change: left, .. } if *left == change)
            };
            world.events.iter().any(left)
        });
        assert!(world.agents[&old].change().is_none());
    }
}

#[test]
fn a_leader_that_votes_itself_out_still_tells_it() {
    let mut world = World::new(4);
    let leader = world.leader();
    let change = world.remove(leader, leader);
    world.until(|world| world.ended(change).is_some());
    assert!(matches!(world.ended(change), Some(Ended::Complete(_))));
    let told = |(node, agent): (&NodeId, &Agent)| *node == leader || agent.adopted().label(leader).is_none();
    assert!(world.agents.iter().all(told), "told before it is over");
    assert!(!world.agents[&leader].election().is_leader());
}

#[test]
fn answers_to_another_change_mean_nothing() {
    let mut world = World::new(3);
    let leader = world.leader();
    let change = world.remove(leader, NodeId(3));
    // What an earlier leader, or an earlier life, had asked.
    let late = [ChangeId { term: change.term - 1, ..change }, ChangeId { number: change.number + 1, ..change }];
    let before = world.events.len();
    world.until(|world| world.is_at(leader, Stage::Fencing));
    let open = world.mail.len();
    for other in late {
        for (id, node) in [(0, 1), (1, 2), (2, 3)] {
            let fenced = Ok(Reply::Fenced { epoch: Epoch(u64::MAX), condition: Condition::default() });
            world.with(leader, |agent, now, _, out| agent.on_answer(now, NodeId(node), (other, id), fenced, out));
        }
    }
    assert_eq!(world.mail.len(), open, "nothing follows from them");
    assert!(world.events.len() > before);
}

#[test]
fn what_names_no_stage_is_left_with_its_leader() {
    let mut world = World::new(3);
    let old = world.leader();
    let topology = Arc::clone(world.agents[&old].election().committed());
    let change = world.agents[&old].next_change();
    let machine = RingChange::new(topology, Change::Repair, world.now);
    world.cut = Some(old);
    world.with(old, |agent, now, _, out| agent.lead(now, machine, out));
    world.until(|world| world.ready().is_some_and(|leader| leader != old));
    world.until(|world| world.agents[&old].change().is_none());
    let left = world
        .events
        .iter()
        .any(|(_, event)| matches!(event, Event::ChangeLeft { change: left, .. } if *left == change));
    let ended = world.ended(change);
    assert!(left || matches!(ended, Some(Ended::Aborted { .. })), "{ended:?}");
    let resumed = world.events.iter().rev().find_map(|(_, event)| match event {
        Event::Leads { resumed, .. } => Some(*resumed),
        _ => None,
    });
    assert_eq!(resumed, Some(None));
}

/// MEM-4: what it says on its way out reaches a node that has started since, and knows nothing of it.
#[test]
fn the_farewell_of_a_removed_node_brings_it_into_no_view() {
    let mut record = founded(3).record().clone();
    record.epoch = Epoch(9);
    record.members.pop();
    let after = Arc::new(Topology::new(record));
    let mut world = World::new(3);
    world.leader();
    world.mail.clear();
    world.with(NodeId(3), |agent, now, dice, out| agent.leave(now, dice, out));
    let farewells = std::mem::take(&mut world.mail);
    let farewell = farewells.into_iter().find_map(|(from, _, mail)| match mail {
        Mail::Message(message @ Message::Gossip { .. }) if from == NodeId(3) => Some(message),
        _ => None,
    });
    world.start(NodeId(1), &after);
    let seen = world.events.len();
    world.with(NodeId(1), |agent, now, dice, out| agent.on_message(now, NodeId(3), farewell.unwrap(), dice, out));
    assert!(world.agents[&NodeId(1)].view(world.now).iter().all(|member| member.node != NodeId(3)));
    assert!(world.agents[&NodeId(1)].membership().is_removed(NodeId(3)));
    let told = |event: &Event| matches!(event, Event::Membership(MembershipEvent::Left { .. }));
    assert!(!world.events[seen..].iter().any(|(_, event)| told(event)), "nobody is told of who is out for good");
}
