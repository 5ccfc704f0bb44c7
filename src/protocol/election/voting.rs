//! Campaigns: pre-vote, vote, and what is answered to them.

use super::outbox::{Event, Outbox};
use super::{Election, Message, Position, Role};
use crate::protocol::quorum::Verdict;
use crate::types::{NodeId, Time};

impl Election {
    /// No leader was heard for a timeout: asks whether there would be a majority.
    pub(super) fn canvass(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        let mut votes = self.electorate().tally();
        votes.ack(self.me);
        let would_win = votes.verdict() == Verdict::Won;
        self.leader = None;
        self.rumour.take_if(|(term, _)| *term <= self.ballot.term);
        self.role = Role::Canvassing { votes };
        self.arm(now, random);
        if would_win {
            return self.stand(now, random, out);
        }
        let term = self.ballot.term;
        let newest = self.ballot.newest(&self.committed);
        let request = Message::PreVoteRequest { term, prospective: self.next_term(), newest };
        out.messages.extend(self.peers().into_iter().map(|peer| (peer, request.clone())));
    }

    pub(super) fn on_pre_vote_request(
        &mut self,
        now: Time,
        from: NodeId,
        prospective: u64,
        newest: Position,
        out: &mut Outbox,
    ) {
        let hears_leader =
            self.leader.is_some() && (self.is_leader() || now.since(self.heard) < self.options.shortest_timeout);
        let granted = prospective > self.ballot.term && newest >= self.ballot.newest(&self.committed) && !hears_leader;
        out.messages.push((from, Message::PreVoteAnswer { term: self.ballot.term, prospective, granted }));
    }

    pub(super) fn on_pre_vote_answer(
        &mut self,
        now: Time,
        from: NodeId,
        prospective: u64,
        granted: bool,
        random: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) {
        let next = self.next_term();
        let Role::Canvassing { votes } = &mut self.role else { return };
        if prospective != next {
            return;
        }
        if granted {
            votes.ack(from)
        } else {
            votes.fail(from)
        }
        if votes.verdict() == Verdict::Won {
            self.stand(now, random, out);
        }
    }

    /// Above every term it has heard of: one that did not vote before, and is appointed by `--force`, knows the terms of
    /// the dead by gossip alone.
    fn next_term(&self) -> u64 {
        self.term() + 1
    }

    /// Stands for election in the next term.
    pub(super) fn stand(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        self.enter_term(self.next_term(), Some(self.me), out);
        // Its own vote counts when the disk has it.
        self.role = Role::Candidate { votes: self.electorate().tally() };
        self.arm(now, random);
        let request = Message::VoteRequest { term: self.ballot.term, newest: self.ballot.newest(&self.committed) };
        for peer in self.peers() {
            // Durable first: after a crash it must not stand in this term again with less than it claims here.
            self.waiting.send(peer, request.clone(), out);
        }
    }

    pub(super) fn on_vote_request(
        &mut self,
        now: Time,
        from: NodeId,
        term: u64,
        newest: Position,
        random: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) {
        let free = self.ballot.vote.is_none_or(|vote| vote == from);
        if term < self.ballot.term || !free || newest < self.ballot.newest(&self.committed) {
            out.messages.push((from, Message::VoteAnswer { term: self.ballot.term, granted: false }));
            return;
        }
        if self.ballot.vote.is_none() {
            self.ballot.vote = Some(from);
            self.role = Role::Follower;
            self.arm(now, random);
            if !planted!(B33) {
                self.persist(out);
            }
        }
        // Durable before the answer (ELECT-1): after a crash it must not vote again in this term.
        self.waiting.send(from, Message::VoteAnswer { term, granted: true }, out);
    }

    pub(super) fn on_vote_answer(&mut self, now: Time, from: NodeId, term: u64, granted: bool, out: &mut Outbox) {
        let Role::Candidate { votes } = &mut self.role else { return };
        if term < self.ballot.term {
            return;
        }
        if granted {
            votes.ack(from)
        } else {
            votes.fail(from)
        }
        self.count_votes(now, out);
    }

    pub(super) fn count_votes(&mut self, now: Time, out: &mut Outbox) {
        let Role::Candidate { votes } = &self.role else { return };
        match votes.verdict() {
            // A candidate whose own vote the disk lacks leads when it has it.
            Verdict::Won if self.waiting.is_idle() => {
                out.events.push(Event::Elected { term: self.ballot.term });
                self.lead(now, out);
            }
            Verdict::Lost => self.role = Role::Follower,
            Verdict::Won | Verdict::Pending => {}
        }
    }
}
