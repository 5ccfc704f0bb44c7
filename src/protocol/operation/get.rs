//! A get: when it has read enough, which version wins, and what must be written back before it may be answered.
//!
//! Reading is the first half of an atomic register (Attiya, Bar-Noy, Dolev, "Sharing Memory Robustly in
//! Message-Passing Systems", 1995): once the tally of answers is won, the newest version among them is at least the
//! newest that was acknowledged before the get began (KV-3), because every reply was made after that moment by a
//! replica the write quorum meets. Writing it back until the write plan's tally is won is the second half: whoever
//! reads after this answer meets it too (KV-5). From the moment the write-back begins the winner stays what it is,
//! unless a floor refuses it: a version that turns up later belongs to a write that had not been acknowledged when
//! the get began, and may be ordered after it; and an answer to the write-back must not be taken for one about
//! another version. A replica that says it holds a newer one holds "at least this", which is all that a later read
//! relies on.
//!
//! Below a majority there is no such promise, and nobody waits: where the driver wants it, all other replicas are asked for
//! their versions once the client has its answer, and the newest is sent to whoever lacks it (Dynamo, DeCandia et al.
//! 2007, section 5).

use std::collections::BTreeSet;

use super::contacts::Replans;
use super::node_list::NodeList;
use super::reading::Reading;
use super::write::Write;
use super::{Outcome, RETRY_EVERY, Step, WIDEN_AFTER};
use crate::protocol::message::{Origin, Refusal, Reply};
use crate::protocol::quorum::Verdict;
use crate::topology::{ReadPlan, WritePlan};
use crate::types::{Entry, Key, NodeId, Stamp, Time};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Get {
    reading: Reading,
    /// The version that won, once one has.
    winner: Option<Entry>,
    repair_plan: WritePlan,
    /// The write-back of the winner. In a box, since agreement is the rule.
    repair: Option<Box<Write>>,
    /// Who is believed dead.
    absent: NodeList,
    /// Whether the others are compared after an answer below a majority.
    in_background: bool,
    key: Key,
    phase: Phase,
    replans: Replans,
    /// The deadline has passed: nothing is sent.
    ended: bool,
    tick_at: Time,
    deadline: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Collecting versions, then the value of the newest.
    Reading,
    /// The winner is being written back.
    Repairing,
    /// To be answered.
    Ending(Ending),
    /// Found, and said so; the replicas that were not asked are being asked for their versions.
    Comparing,
    /// Found, and said so; replies still come.
    Answered,
    /// Nothing more will come of it.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Found,
    Failed,
    Indeterminate,
}

impl Get {
    #[inline]
    pub(super) fn new(
        plan: ReadPlan,
        repair_plan: WritePlan,
        key: Key,
        absent: NodeList,
        now: Time,
        deadline: Time,
    ) -> Get {
        Get {
            replans: Replans::new(plan.epoch),
            reading: Reading::new(plan, key.clone(), absent),
            winner: None,
            repair_plan,
            repair: None,
            absent,
            in_background: false,
            key,
            phase: Phase::Reading,
            ended: false,
            tick_at: now.plus(WIDEN_AFTER),
            deadline,
        }
    }

    #[inline]
    pub(super) fn poll(&mut self) -> Step<'_> {
        self.advance();
        match self.phase {
            Phase::Ending(ending) => return self.answer(ending),
            Phase::Closed => return Step::Drained,
            Phase::Reading | Phase::Repairing => {
                if let Some(topology) = self.replans.take() {
                    return Step::Replan(topology);
                }
            }
            Phase::Comparing | Phase::Answered => {}
        }
        if self.phase == Phase::Answered && self.is_quiet() {
            self.phase = Phase::Closed;
            return Step::Drained;
        }
        let errand = match (self.phase, &mut self.repair) {
            (Phase::Reading | Phase::Comparing, _) => {
                self.reading.contacts.errand(true).map(|errand| self.reading.step(errand))
            }
            (_, Some(repair)) => repair.contacts.errand(true).map(|errand| repair.step(errand)),
            (_, None) => None,
        };
        errand.unwrap_or(Step::Wait)
    }

    /// Draws the conclusions of what is known.
    #[inline]
    fn advance(&mut self) {
        match self.phase {
            Phase::Reading => match self.reading.verdict() {
                Verdict::Won => self.resolve(),
                Verdict::Pending => self.reading.enlist(),
                // Under the newer topology it may still win.
                Verdict::Lost if self.replans.is_pending() => {}
                Verdict::Lost => self.phase = Phase::Ending(Ending::Failed),
            },
            Phase::Repairing => match self.repair.as_ref().map_or(Verdict::Won, |repair| repair.verdict()) {
                Verdict::Won => self.phase = Phase::Ending(Ending::Found),
                Verdict::Lost if !self.replans.is_pending() => self.phase = Phase::Ending(Ending::Failed),
                Verdict::Lost | Verdict::Pending => {}
            },
            Phase::Comparing | Phase::Answered if self.ended => self.phase = Phase::Closed,
            Phase::Comparing if self.reading.contacts.is_quiet() => self.compare(),
            Phase::Ending(_) | Phase::Comparing | Phase::Answered | Phase::Closed => {}
        }
        if self.ended && matches!(self.phase, Phase::Reading | Phase::Repairing) {
            self.phase = Phase::Ending(Ending::Indeterminate);
        }
    }

    /// Enough have answered: the newest version wins, as soon as its value is here.
    #[inline]
    fn resolve(&mut self) {
        let newest = self.reading.newest();
        if newest > self.reading.best.as_ref().map(|best| best.stamp) {
            return self.reading.want_value(newest);
        }
        self.winner = self.reading.best.clone();
        self.reading.contacts.cancel();
        self.phase = Phase::Ending(Ending::Found);
        if let Some(winner) = self.winner.clone().filter(|_| !self.compares()) {
            self.write_back(winner);
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn repair_in_background(&mut self) {
        self.in_background = true;
    }

    /// Whether the answer is followed by a comparison of all replicas.
    fn compares(&self) -> bool {
        self.in_background && !self.reading.plan.blocking_repair
    }

    /// All that will answer have: the newest version is sent to whoever lacks it, as soon as its value is here.
    fn compare(&mut self) {
        let newest = self.reading.newest();
        if newest > self.reading.best.as_ref().map(|best| best.stamp) {
            self.reading.want_value(newest);
            if !self.reading.contacts.is_quiet() {
                return;
            }
        }
        self.phase = Phase::Answered;
        self.winner = self.reading.best.clone();
        let Some(winner) = self.winner.clone() else { return };
        let mut repair = Box::new(self.new_write(winner));
        let stamp = repair.stamp;
        let holders = self.reading.versions().filter(|(_, version)| *version >= Some(stamp));
        holders.for_each(|(node, _)| repair.hold(node));
        self.reading.versions().for_each(|(node, _)| repair.send_to(node));
        self.repair = Some(repair);
    }

    fn new_write(&self, winner: Entry) -> Write {
        Write::new(self.repair_plan, self.key.clone(), winner, Origin::ReadRepair, self.absent)
    }

    /// Where some replica lacks the winner it is written back: before the answer if the level is a majority and no
    /// write quorum is known to hold it, else behind the answer to those that are known to lack it.
    fn write_back(&mut self, winner: Entry) {
        let stamp = Some(winner.stamp);
        // While the key moves, those asked may agree on what the next owners lack: then they are written to as well.
        let may_be_short = self.reading.plan.blocking_repair && self.repair_plan.next.is_some();
        if !may_be_short && self.reading.versions().all(|(_, version)| version == stamp) {
            return;
        }
        let mut repair = Box::new(self.new_write(winner));
        let holders = self.reading.versions().filter(|(_, version)| *version == stamp);
        holders.for_each(|(node, _)| repair.hold(node));
        if self.reading.plan.blocking_repair && repair.verdict() != Verdict::Won && !planted!(B21) {
            repair.send_to_all();
            self.phase = Phase::Repairing;
        } else {
            self.reading.versions().for_each(|(node, _)| repair.send_to(node));
        }
        self.repair = Some(repair);
    }

    /// Gives the outcome. Repairs go on after `Found`, and only after that.
    fn answer(&mut self, ending: Ending) -> Step<'static> {
        self.phase = match ending {
            Ending::Found if self.compares() => {
                self.reading.ask_the_rest();
                // Those get as long as one who is to answer a client.
                self.tick_at = self.tick_at.plus(RETRY_EVERY);
                Phase::Comparing
            }
            Ending::Found => Phase::Answered,
            Ending::Failed | Ending::Indeterminate => Phase::Closed,
        };
        let shortfall = || match &self.repair {
            Some(repair) => repair.shortfall(repair.contacts.done()),
            None => self.reading.shortfall(),
        };
        Step::Answer(match ending {
            Ending::Found => Outcome::Found {
                entry: self.winner.clone(),
                acks: self.reading.responders,
                repaired: self.repair.as_ref().map_or(NodeList::NONE, |repair| repair.acks),
            },
            Ending::Failed => Outcome::Failed(shortfall()),
            Ending::Indeterminate => Outcome::Indeterminate(shortfall()),
        })
    }

    fn is_quiet(&self) -> bool {
        self.reading.contacts.is_quiet() && self.repair.as_ref().is_none_or(|repair| repair.contacts.is_quiet())
    }

    #[inline]
    pub(super) fn on_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        match answer {
            Ok(Reply::Value { entry, floor }) => {
                let version = entry.as_ref().map(|entry| entry.stamp);
                self.reading.on_value(from, entry, floor);
                self.on_late_version(from, version);
            }
            Ok(Reply::Version { stamp, floor }) => {
                self.reading.on_version(from, stamp, floor, false);
                self.on_late_version(from, stamp);
            }
            Ok(Reply::Stored { newer }) => {
                if let Some(repair) = &mut self.repair {
                    repair.on_stored(from, newer);
                }
            }
            Ok(Reply::Fenced { epoch, .. }) => {
                self.reading.contacts.on_fenced(from, epoch, self.reading.plan.epoch);
                if let Some(repair) = &mut self.repair {
                    repair.contacts.on_fenced(from, epoch, repair.plan.epoch);
                }
            }
            Ok(_) => {}
            Err(refusal) => self.on_refusal(from, refusal),
        }
    }

    /// An answer after the winner is known helps its write-back, or shows one more replica that lacks it.
    fn on_late_version(&mut self, from: NodeId, version: Option<Stamp>) {
        let Some(winner) = self.winner.as_ref().filter(|_| self.reading.contacts.find_asked(from).is_some()) else {
            return;
        };
        let holds = version >= Some(winner.stamp);
        match self.phase {
            Phase::Repairing if holds => {
                if let Some(repair) = &mut self.repair {
                    repair.hold(from);
                }
            }
            Phase::Answered if !holds => {
                let mut repair = self.repair.take().unwrap_or_else(|| Box::new(self.new_write(winner.clone())));
                repair.send_to(from);
                self.repair = Some(repair);
            }
            _ => {}
        }
    }

    /// A refusal does not say of what. Once there is a winner the node's answer to the read is not waited for any more,
    /// and the refusal is taken as about its write-back; but for one that only reads meet.
    fn on_refusal(&mut self, from: NodeId, refusal: Refusal) {
        let newer = match (self.phase, &mut self.repair) {
            (Phase::Reading | Phase::Comparing, _) => self.reading.on_refusal(from, refusal),
            (_, Some(repair)) if repair.is_due_by_copy(from, &refusal) => {
                repair.hold(from);
                None
            }
            (_, repair) => {
                self.reading.contacts.dismiss(from);
                let repair = repair.as_mut().filter(|_| !matches!(refusal, Refusal::Recovering));
                repair.and_then(|repair| repair.on_refusal(from, refusal))
            }
        };
        if let Some(topology) = newer {
            self.replans.learn(topology);
        }
        if self.phase == Phase::Repairing && self.repair.as_ref().is_some_and(|repair| repair.floor.is_some()) {
            self.drop_winner();
        }
    }

    /// A sound replica lacks the newest version and its floor refuses it for good: that version was deleted everywhere
    /// and its tombstone collected since (KV-7). A read counts it as absent, and what is below it is looked at anew.
    fn drop_winner(&mut self) {
        if let Some(winner) = self.winner.take() {
            self.reading.forget(winner.stamp);
        }
        self.repair = None;
        self.phase = Phase::Reading;
    }

    pub(super) fn versions_met(&self) -> usize {
        self.reading.versions().filter_map(|(_, version)| version).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn wake_at(&self) -> Time {
        match self.phase {
            Phase::Reading | Phase::Repairing | Phase::Comparing => self.tick_at.min(self.deadline),
            _ => self.deadline,
        }
    }

    pub(super) fn on_time(&mut self, now: Time) {
        if now >= self.deadline {
            self.ended = true;
            return;
        }
        if now < self.tick_at {
            return;
        }
        let widened = match (self.phase, &mut self.repair) {
            (Phase::Reading, _) => self.reading.widen(),
            (Phase::Repairing, Some(repair)) => {
                repair.widen();
                false
            }
            (Phase::Comparing, _) => {
                self.reading.contacts.dismiss_silent();
                false
            }
            _ => false,
        };
        // Whoever was asked just now gets as long as the first did.
        self.tick_at = now.plus(if widened { WIDEN_AFTER } else { RETRY_EVERY });
    }

    /// There is no plan any more. A read that finds no quorum has failed: it changed nothing.
    pub(super) fn abandon(&mut self) {
        match self.phase {
            Phase::Reading | Phase::Repairing => self.phase = Phase::Ending(Ending::Failed),
            _ => self.ended = true,
        }
    }

    /// Under a newer plan the winner stays, if there is one (see the module's page): only where it is written back to
    /// is new.
    pub(super) fn replan(&mut self, plan: ReadPlan, repair_plan: WritePlan) {
        if plan.epoch <= self.reading.plan.epoch || !matches!(self.phase, Phase::Reading | Phase::Repairing) {
            return;
        }
        self.replans.adopt(plan.epoch);
        self.repair_plan = repair_plan;
        match &mut self.repair {
            Some(repair) => {
                self.reading.plan.epoch = plan.epoch;
                repair.replan(repair_plan);
            }
            None => self.reading.replan(plan),
        }
    }
}
