//! Orders of events among three voters, up to two campaigns, one crash and one proposal.
//!
//! Messages arrive in any order or never; disks sync in any order; who crashes loses what was not synced. Pre-votes are
//! left out, as safety does not rest on them. A state that was met before is not entered again. Where there are more
//! states than the bound, those that take the fewest events are tried.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::*;

/// Everything there is.
#[derive(Clone)]
struct State {
    voters: Vec<Voter>,
    /// From, to.
    mail: BTreeMap<String, (NodeId, NodeId, Message)>,
    campaigns: u32,
    crashes: u32,
    proposals: u8,
    leaders: BTreeMap<u64, NodeId>,
    committed: BTreeMap<Epoch, u8>,
    /// Leaders stay silent: only elections matter.
    votes_only: bool,
}

#[derive(Clone)]
struct Voter {
    election: Election,
    disk: Ballot,
    unsynced: Option<(u64, Ballot)>,
}

#[derive(Clone, Debug)]
enum Choice {
    Stand(usize),
    Deliver(String),
    Sync(usize),
    Crash(usize),
    Propose(usize),
}

const NOW: Time = Time(1_000_000);
const VOTERS: usize = 3;

fn id(voter: usize) -> NodeId {
    NodeId(voter as u32 + 1)
}

fn first() -> Arc<Topology> {
    Arc::new(Topology::new(TopologyRecord {
        epoch: Epoch(1),
        next_node: NodeId(9),
        voters: (0..VOTERS).map(id).collect(),
        ..Topology::empty(3, 1).record().clone()
    }))
}

fn booted(voter: usize, ballot: Ballot) -> Election {
    Election::new(id(voter), Some(ballot), first(), ElectionOptions::default(), NOW, &mut || 0)
}

/// A message without the topology's many words.
fn brief(message: &Message) -> String {
    match message {
        Message::Propose { term, topology, former } => {
            format!("Propose {term} {:?} {} {former:?}", topology.epoch(), topology.record().copies)
        }
        other => format!("{other:?}"),
    }
}

fn brief_ballot(ballot: &Ballot) -> String {
    let accepted = ballot.accepted.as_ref().map(|of| (of.position(), of.topology.record().copies));
    format!("{} {:?} {accepted:?}", ballot.term, ballot.vote)
}

impl State {
    fn new() -> State {
        let voter =
            |voter| Voter { election: booted(voter, Ballot::default()), disk: Ballot::default(), unsynced: None };
        State {
            voters: (0..VOTERS).map(voter).collect(),
            mail: BTreeMap::new(),
            campaigns: 0,
            crashes: 0,
            proposals: 0,
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            votes_only: false,
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut text = format!("{} {} {} {:?}", self.campaigns, self.crashes, self.proposals, self.committed);
        for Voter { election, disk, unsynced } in &self.voters {
            let ballots = (brief_ballot(disk), unsynced.as_ref().map(|(_, ballot)| brief_ballot(ballot)));
            let committed = (election.committed.epoch(), election.committed.record().copies);
            let _ = write!(text, "|{ballots:?} {} {committed:?}", brief_ballot(&election.ballot));
            let _ = write!(text, " {:?} {:?} {:?}", election.role, election.leader, election.waiting.kinds());
        }
        self.mail.keys().for_each(|message| text.push_str(message));
        xxh3_64(text.as_bytes())
    }

    fn choices(&self, limits: (u32, u32, u8)) -> Vec<Choice> {
        let mut choices: Vec<_> = self.mail.keys().cloned().map(Choice::Deliver).collect();
        for (voter, Voter { election, unsynced, .. }) in self.voters.iter().enumerate() {
            if unsynced.is_some() {
                choices.push(Choice::Sync(voter));
            } else if self.campaigns < limits.0 && !election.is_leader() {
                choices.push(Choice::Stand(voter));
            }
            if self.crashes < limits.1 {
                choices.push(Choice::Crash(voter));
            }
            if self.proposals < limits.2 && election.is_ready_to_propose() {
                choices.push(Choice::Propose(voter));
            }
        }
        choices
    }

    /// What follows; an error is a broken promise.
    fn after(&self, choice: &Choice) -> Result<State, String> {
        let mut next = self.clone();
        match choice {
            Choice::Stand(voter) => {
                next.campaigns += 1;
                next.act(*voter, |election, out| election.stand(NOW, &mut || 0, out))
            }
            Choice::Deliver(key) => {
                let Some((from, to, message)) = next.mail.remove(key) else { return Ok(next) };
                next.act(to.0 as usize - 1, |election, out| election.on_message(NOW, from, message, &mut || 0, out))
            }
            Choice::Sync(voter) => {
                let Some((serial, ballot)) = next.voters[*voter].unsynced.take() else { return Ok(next) };
                next.voters[*voter].disk = ballot;
                next.act(*voter, |election, out| election.on_durable(NOW, serial, out))
            }
            Choice::Crash(voter) => {
                next.crashes += 1;
                let crashed = &mut next.voters[*voter];
                crashed.unsynced = None;
                crashed.election = booted(*voter, crashed.disk.clone());
                Ok(())
            }
            Choice::Propose(voter) => {
                next.proposals += 1;
                let copies = 3 + next.proposals;
                next.act(*voter, |election, out| {
                    let mut record = election.committed().record().clone();
                    record.epoch.0 += 1;
                    record.copies = copies;
                    let _ = election.propose(NOW, Arc::new(Topology::new(record)), out);
                })
            }
        }?;
        Ok(next)
    }

    fn act(&mut self, voter: usize, step: impl FnOnce(&mut Election, &mut Outbox)) -> Result<(), String> {
        let mut out = Outbox::default();
        let acting = &mut self.voters[voter];
        step(&mut acting.election, &mut out);
        acting.unsynced = out.persist.or(acting.unsynced.take());
        for (to, message) in out.messages {
            if self.votes_only && matches!(message, Message::Heartbeat { .. } | Message::Propose { .. }) {
                continue;
            }
            self.mail.insert(format!("{voter} {to:?} {}", brief(&message)), (id(voter), to, message));
        }
        for event in out.events {
            match event {
                Event::Elected { term } if *self.leaders.entry(term).or_insert(id(voter)) != id(voter) => {
                    return Err(format!("two lead term {term}"));
                }
                Event::Committed(topology) => {
                    let copies = topology.record().copies;
                    if *self.committed.entry(topology.epoch()).or_insert(copies) != copies {
                        return Err(format!("two are committed as {:?}", topology.epoch()));
                    }
                }
                Event::Elected { .. } | Event::Deposed { .. } => {}
            }
        }
        Ok(())
    }
}

/// Breadth first from `start`, at most `most` states. Returns how many there were, and how many leaders and commits were
/// seen in any one of them.
fn explore(start: State, limits: (u32, u32, u8), most: usize) -> (usize, usize, usize) {
    let mut met = BTreeSet::from([start.fingerprint()]);
    let mut waiting = VecDeque::from([start]);
    let (mut leaders, mut commits) = (0, 0);
    while let Some(state) = waiting.pop_front() {
        for choice in state.choices(limits) {
            let next = match state.after(&choice) {
                Ok(next) => next,
                Err(broken) => panic!("{broken} by {choice:?}, with mail {:?}", state.mail.keys()),
            };
            leaders = leaders.max(next.leaders.len());
            commits = commits.max(next.committed.len());
            if met.len() < most && met.insert(next.fingerprint()) {
                waiting.push_back(next);
            }
        }
    }
    (met.len(), leaders, commits)
}

/// The first voter leads and all know it.
fn led() -> State {
    let mut state = State::new();
    let mut next = Some(Choice::Stand(0));
    while let Some(choice) = next {
        state = state.after(&choice).expect("nothing goes wrong");
        let unsynced = state.voters.iter().position(|voter| voter.unsynced.is_some()).map(Choice::Sync);
        next = unsynced.or_else(|| state.mail.keys().next().cloned().map(Choice::Deliver));
    }
    state.campaigns = 0;
    state
}

/// One campaign, a crash at any point of it: all the states there are.
#[test]
fn every_order_of_one_campaign_and_one_crash() {
    let (states, leaders, _) = explore(State::new(), (1, 1, 0), MOST);
    assert!(states < MOST && leaders == 1, "{states} states, {leaders} leaders");
}

/// Two campaigns against each other: all orders of as many events as there are states for.
#[test]
fn orders_of_two_campaigns() {
    let mut start = State::new();
    start.votes_only = true;
    let (states, leaders, _) = explore(start, (2, 0, 0), MOST);
    assert!(leaders == 2, "{states} states, {leaders} leaders");
}

/// A second leader in the midst of a proposal, likewise.
#[test]
fn orders_of_a_proposal_and_a_campaign() {
    let (states, leaders, commits) = explore(led(), (1, 0, 1), MOST);
    assert!((leaders, commits) == (2, 1), "{states} states, {leaders} leaders, {commits} commits");
}

/// States of one exploration: a few seconds.
const MOST: usize = 30_000;
