//! One node's view of all others, and its half of the gossip by which views agree.
//!
//! **Promise.** A crash is seen by all connected nodes within [`MembershipOptions::detection_bound`] (MEM-1); nobody is
//! declared dead who is not silent to all, and an observer that is slow or deaf declares nobody (MEM-2); an incarnation
//! is raised by its owner alone (MEM-3); who was removed does not return, and views agree within
//! [`MembershipOptions::healing_bound`] after healing (MEM-4); damaged gossip is dropped whole (MEM-5).
//!
//! **How it works.** Each round a node counts its heartbeat up and sends a digest of all it knows to one random member
//! that it hears, now and then also to one that is silent. The answer is what the other knows better. A higher
//! incarnation is newer, then a later heartbeat; what is graver stays within one incarnation. Each observer judges each
//! member by the rhythm at which news of its heartbeat arrives, over whatever way ([detector](super::detector)). A
//! conviction makes the member a suspect, which is gossiped; it refutes by a higher incarnation, durable before it is
//! told. If it does not, an observer that convicts it by its own account declares it dead: after one suspicion time
//! where another accuses it first-hand, after two where none does (after Dadgar et al., "Lifeguard", 2018).
//!
//! An observer distrusts itself. What it slept through, by its own late timer, is held against nobody. While it hears
//! nobody at all, its verdicts are for its own use and are told to no one.
//!
//! Ownership does not travel here, only the number of the topology each member has.
//!
//! **Caveats.** A member that is given no other to speak to learns of nobody. Messages are protected against damage, not
//! against liars. A node that left is forgotten after a while by those who know; who was cut off longer than that is told
//! when it speaks of the node.

mod member;
mod options;
mod outbox;
mod record;
mod roster;
mod wire;

use std::sync::Arc;

use self::member::{Hearing, Member};
use self::record::{Record, Rumour};
use self::roster::{Covered, Roster};
use self::wire::{Gossip, Head, Kind, MAX_LABELS};
use crate::types::{Epoch, NodeId, Time};

pub use self::options::MembershipOptions;
pub use self::outbox::{MembershipEvent, MembershipOutbox};
pub use self::record::{Condition, Said, Standing};
pub use self::wire::{MAX_MESSAGE_BYTES, MAX_RUMOURS};

/// What a node believes of one member.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberView {
    /// The member.
    pub node: NodeId,
    /// Its name; `None` until it was told.
    pub label: Option<Arc<str>>,
    /// What is believed of it.
    pub standing: Standing,
    /// How unlikely its silence is (see [`Arrivals::phi`](super::detector::Arrivals::phi)); 0 for the node itself.
    pub phi: f64,
    /// Its incarnation; 0 while it is known by name only.
    pub incarnation: u64,
    /// The epoch of the topology it was last heard to have.
    pub epoch: Epoch,
}

/// The gossip of one node. It has no clock, no dice and no socket: time and randomness are arguments, effects go to a
/// [`MembershipOutbox`].
#[derive(Clone, Debug)]
pub struct Membership {
    me: NodeId,
    label: Arc<str>,
    options: MembershipOptions,
    own: Own,
    roster: Roster,
    /// Whom to speak to: heard lately, or in doubt. Of the last round.
    heard: Vec<NodeId>,
    doubtful: Vec<NodeId>,
    /// Whom the node accuses since this round: it tells them, so that they can refute.
    accused: Vec<NodeId>,
    wake_at: Time,
    /// When anybody was last heard.
    contact: Time,
    /// Where the next digest begins, when the members do not fit one message.
    cursor: NodeId,
    /// Rounds to come in which the node speaks to several members: it has news of itself.
    hasty_rounds: u8,
    dropped: u64,
    /// Lives of members heard of.
    reborn: u64,
    /// Records of the message being read, and of the one being written.
    read: Vec<Rumour>,
    written: Vec<Rumour>,
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// `incarnation` is the durable one; 0 while none is, and then the node says nothing.
    record: Record,
    /// The incarnation wanted, and the one whose writing was asked for.
    wanted: u64,
    asked: u64,
}

impl Membership {
    /// The membership of `me`, started `now`. `incarnation` is the one that recovery found, 0 at a first start: the
    /// node takes the next, and speaks once that is durable. `known` are members to begin with, at least one unless
    /// the node is the first; names may be missing. They are assumed to be up until they prove silent.
    pub fn new(
        me: NodeId,
        label: Arc<str>,
        incarnation: u64,
        known: impl IntoIterator<Item = (NodeId, Option<Arc<str>>)>,
        options: MembershipOptions,
        now: Time,
    ) -> Membership {
        let incarnation = if planted!(B36) { 0 } else { incarnation };
        let own = Own { record: Record::UNHEARD, wanted: incarnation.saturating_add(1), asked: 0 };
        let mut membership = Membership {
            me,
            label,
            options,
            own,
            roster: Roster::default(),
            heard: Vec::new(),
            doubtful: Vec::new(),
            accused: Vec::new(),
            wake_at: now,
            contact: now,
            cursor: NodeId(0),
            hasty_rounds: HASTY_ROUNDS,
            dropped: 0,
            reborn: 0,
            read: Vec::new(),
            written: Vec::new(),
        };
        for (node, label) in known {
            membership.meet(node, label, now);
        }
        membership
    }

    /// Makes a member known that nobody has told of: the one to join through, or one of the topology.
    pub fn meet(&mut self, node: NodeId, label: Option<Arc<str>>, now: Time) {
        if node != self.me
            && let Some(member) = self.roster.entry(node, now)
        {
            member.label = label.or(member.label.take());
        }
    }

    /// When [`on_time`](Self::on_time) is to be called next. Never, once the node was removed.
    pub fn wake_at(&self) -> Time {
        if self.own.record.removed { Time::NEVER } else { self.wake_at }
    }

    /// One round of gossip, if it is due: judges the silence of all, then speaks. A call that comes late says that the
    /// node was asleep.
    pub fn on_time(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut MembershipOutbox) {
        if now < self.wake_at() {
            return;
        }
        self.wish(out);
        self.notice_sleep(now);
        let spread = self.options.interval.0 / 4;
        self.wake_at = now.plus(Time(self.options.interval.0 - spread / 2 + random() % spread.max(1)));
        if self.own.record.incarnation == 0 {
            return;
        }
        self.own.record.heartbeat += 1;
        self.judge(now, out);
        self.speak(now, random, out);
    }

    /// Takes a message of `from`, and answers it.
    pub fn on_gossip(&mut self, now: Time, from: NodeId, bytes: &[u8], out: &mut MembershipOutbox) {
        let mut rumours = std::mem::take(&mut self.read);
        match Gossip::decode(from, bytes, &mut rumours) {
            Ok(_) if self.own.record.removed || from == self.me => {}
            Ok(gossip) if self.is_removed(from) => self.dismiss(&gossip.head, out),
            Ok(gossip) => {
                self.notice_sleep(now);
                self.notice_contact(now);
                self.believe(now, &gossip, &rumours, out);
                self.reply(now, &gossip, &rumours, out);
            }
            Err(_) => self.dropped += 1,
        }
        self.read = rumours;
        self.wish(out);
    }

    /// The node's own `incarnation` is written and synced: from now on it is told.
    pub fn on_incarnation_durable(&mut self, incarnation: u64) {
        if incarnation > self.own.record.incarnation {
            self.own.record.incarnation = incarnation;
            self.hasty_rounds = HASTY_ROUNDS;
        }
    }

    /// The node goes in good order: it tells some members at once, and goes on telling until it is stopped.
    /// [`MembershipOptions::dissemination`] says how long all need to hear of it.
    pub fn leave(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut MembershipOutbox) {
        self.own.record.standing = Standing::Left;
        self.own.record.heartbeat += 1;
        self.hasty_rounds = HASTY_ROUNDS;
        if self.own.record.incarnation > 0 {
            self.speak(now, random, out);
        }
    }

    /// `node` is out for good and every view learns it: no incarnation brings it back. Its number is not given again.
    pub fn remove(&mut self, node: NodeId, now: Time, out: &mut MembershipOutbox) {
        if node == self.me {
            self.end(out);
        } else if let Some(member) = self.roster.entry(node, now) {
            out.events.extend(member.remove(now));
        }
    }

    /// The node has adopted the topology of this epoch: the others are told, so that whoever lags can fetch it.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        self.say(Record { epoch, ..self.own.record });
    }

    /// What the node's data is like: whoever leads is told, and sees to it.
    pub fn set_condition(&mut self, condition: Condition) {
        self.say(Record { condition, ..self.own.record });
    }

    fn say(&mut self, record: Record) {
        if record != self.own.record {
            self.own.record = Record { heartbeat: record.heartbeat + 1, ..record };
        }
    }

    /// Of every member in the [view](Membership::view) its incarnation and what is believed of it. O(members).
    pub fn standings(&self, now: Time) -> impl Iterator<Item = (NodeId, u64, Standing)> {
        let shown = self.roster.iter().filter(move |member| member.is_shown(now, &self.options));
        let others = shown.map(|member| (member.node, member.record.incarnation, member.standing()));
        let Record { standing, incarnation, removed, .. } = self.own.record;
        others.chain((!removed).then_some((self.me, incarnation, standing)))
    }

    /// Every member but the removed and forgotten, ascending by number, the node itself among them. O(members).
    pub fn view(&self, now: Time) -> Vec<MemberView> {
        let shown = self.roster.iter().filter(|member| member.is_shown(now, &self.options));
        let mut view: Vec<MemberView> = shown.map(|member| self.view_of(member, now)).collect();
        if !self.own.record.removed {
            let Record { standing, incarnation, epoch, .. } = self.own.record;
            let label = Some(Arc::clone(&self.label));
            let at = view.partition_point(|member| member.node < self.me);
            view.insert(at, MemberView { node: self.me, label, standing, phi: 0.0, incarnation, epoch });
        }
        view
    }

    /// Whether `node` may be asked something: it is a member that is neither dead nor gone. A suspect may be.
    pub fn is_up(&self, node: NodeId) -> bool {
        let answers = |record: &Record, standing| !record.removed && standing <= Standing::Suspect;
        if node == self.me {
            return answers(&self.own.record, self.own.record.standing);
        }
        self.roster.get(node).is_some_and(|member| answers(&member.record, member.standing()))
    }

    /// The newest topology that any other member which is up is heard to have, and that member. O(members).
    pub fn newest_epoch(&self) -> Option<(Epoch, NodeId)> {
        let up = self.roster.iter().filter(|member| !member.record.removed && member.standing() <= Standing::Suspect);
        up.map(|member| (member.record.epoch, member.node)).max_by_key(|(epoch, _)| *epoch)
    }

    /// What `node` has last said of itself, as far as it is heard here. O(log members).
    pub fn said(&self, node: NodeId) -> Said {
        let record = if node == self.me { Some(&self.own.record) } else { self.roster.get(node).map(|it| &it.record) };
        let Record { incarnation, epoch, condition, .. } = *record.unwrap_or(&Record::UNHEARD);
        Said { incarnation, epoch, condition }
    }

    /// Whether `node` was removed for good.
    pub fn is_removed(&self, node: NodeId) -> bool {
        let own = node == self.me && self.own.record.removed;
        own || self.roster.get(node).is_some_and(|member| member.record.removed)
    }

    /// The node's own incarnation: the durable one, 0 while none is.
    pub fn incarnation(&self) -> u64 {
        self.own.record.incarnation
    }

    /// How often a member was heard for the first time in a life of its own.
    pub fn reborn(&self) -> u64 {
        self.reborn
    }

    /// Messages dropped because they were damaged or no gossip.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the node has heard nobody for so long that it doubts its own ears.
    pub fn is_isolated(&self, now: Time) -> bool {
        now.since(self.contact) >= self.options.isolation
    }

    fn view_of(&self, member: &Member, now: Time) -> MemberView {
        MemberView {
            node: member.node,
            label: member.label.clone(),
            standing: member.standing(),
            phi: member.arrivals.phi(now, &self.options.detector),
            incarnation: member.record.incarnation,
            epoch: member.record.epoch,
        }
    }
}

/// How the node listens.
impl Membership {
    /// A timer that fires late tells that the node was asleep: what it missed meanwhile is its own fault.
    fn notice_sleep(&mut self, now: Time) {
        let late = now.since(self.wake_at);
        if late > self.options.interval && !planted!(B35) {
            self.forgive(late, now);
            self.wake_at = now;
        }
    }

    /// Somebody is heard again: what was not heard in the meantime was not said to this node.
    fn notice_contact(&mut self, now: Time) {
        if self.is_isolated(now) {
            self.forgive(now.since(self.contact), now);
        }
        self.contact = now;
    }

    fn forgive(&mut self, off: Time, now: Time) {
        self.contact = self.contact.plus(off).min(now);
        for member in self.roster.iter_mut() {
            member.forgive(off, now);
        }
    }

    fn believe(&mut self, now: Time, gossip: &Gossip<'_>, rumours: &[Rumour], out: &mut MembershipOutbox) {
        for told in [&[gossip.head.sender][..], rumours] {
            self.reborn += self.roster.merge(told, self.me, now, &self.options, &mut out.events);
        }
        for (node, label) in &gossip.labels {
            if let Some(member) = self.roster.known(*node).filter(|member| member.label.is_none()) {
                member.label = Some(Arc::from(*label));
            }
        }
        if let Ok(at) = rumours.binary_search_by_key(&self.me, |told| told.node)
            && let Some(told) = rumours.get(at)
        {
            self.hear_of_myself(told.record, out);
        }
    }

    /// Whatever is said of this node that it does not say itself comes from an earlier life or from a doubter: a higher
    /// incarnation ends both.
    fn hear_of_myself(&mut self, told: Record, out: &mut MembershipOutbox) {
        if told.removed {
            self.end(out);
        } else if told.has_news_for(&self.own.record) && told.incarnation >= self.own.wanted {
            self.own.wanted = told.incarnation.saturating_add(1);
            out.events.push(MembershipEvent::Raised { incarnation: self.own.wanted });
        }
    }

    /// The node is removed: it is silent from here on.
    fn end(&mut self, out: &mut MembershipOutbox) {
        if !self.own.record.removed {
            self.own.record.removed = true;
            out.events.push(MembershipEvent::Removed { node: self.me });
        }
    }

    fn wish(&mut self, out: &mut MembershipOutbox) {
        if self.own.wanted > self.own.asked && !self.own.record.removed {
            self.own.asked = self.own.wanted;
            out.persist_incarnation = Some(self.own.wanted);
        }
    }

    fn judge(&mut self, now: Time, out: &mut MembershipOutbox) {
        let hearing = Hearing { now, isolated: self.is_isolated(now), options: &self.options };
        self.heard.clear();
        self.doubtful.clear();
        self.accused.clear();
        for member in self.roster.iter_mut() {
            let event = member.judge(hearing);
            if matches!(event, Some(MembershipEvent::Suspected { .. })) && self.accused.len() < MAX_ACCUSED {
                self.accused.push(member.node);
            }
            out.events.extend(event);
            if member.record.removed || member.standing() == Standing::Left {
                continue;
            }
            let list = if member.is_doubtful(now, &self.options) { &mut self.doubtful } else { &mut self.heard };
            list.push(member.node);
        }
    }
}

/// How the node speaks.
impl Membership {
    fn speak(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut MembershipOutbox) {
        let covered = self.roster.digest(self.cursor, now, &self.options, &mut self.written);
        self.cursor = NodeId(covered.last.0.wrapping_add(1));
        let bytes = self.message(Kind::Digest, covered).encode(&self.written);
        let hasty = self.hasty_rounds > 0;
        self.hasty_rounds = self.hasty_rounds.saturating_sub(1);
        out.messages.extend(self.accused.drain(..).map(|node| (node, bytes.clone())));
        for _ in 0..if hasty { HASTY_TARGETS } else { 1 } {
            let target = pick(&self.heard, random).or_else(|| pick(&self.doubtful, random));
            out.messages.extend(target.map(|node| (node, bytes.clone())));
        }
        if random().is_multiple_of(self.options.probe_one_in) && !self.heard.is_empty() {
            let target = pick(&self.doubtful, random);
            out.messages.extend(target.map(|node| (node, bytes)));
        }
    }

    /// Answers a digest with what its sender lacks, and an answer that asks for labels with those.
    fn reply(&mut self, now: Time, gossip: &Gossip<'_>, rumours: &[Rumour], out: &mut MembershipOutbox) {
        if self.own.record.incarnation == 0 || self.own.record.removed {
            return;
        }
        let mut labelled = gossip.wants.clone();
        self.written.clear();
        let kind = match gossip.head.kind {
            Kind::Digest => {
                let (written, roster) = (&mut self.written, &self.roster);
                roster.answer(&gossip.head, rumours, now, &self.options, written, &mut labelled);
                Kind::Answer
            }
            Kind::Answer if !labelled.is_empty() => Kind::Labels,
            Kind::Answer | Kind::Labels => return,
        };
        let mut message = self.message(kind, Covered::ALL);
        message.labels =
            labelled.iter().filter_map(|node| Some((*node, self.label_of(*node)?))).take(MAX_LABELS).collect();
        out.messages.push((gossip.head.sender.node, message.encode(&self.written)));
    }

    /// A removed node does not know yet, or it would be silent.
    fn dismiss(&self, head: &Head, out: &mut MembershipOutbox) {
        if head.kind == Kind::Digest && self.own.record.incarnation > 0 {
            let removal: Vec<Rumour> = self.roster.get(head.sender.node).map(Member::rumour).into_iter().collect();
            out.messages.push((head.sender.node, self.message(Kind::Answer, Covered::ALL).encode(&removal)));
        }
    }

    fn message(&self, kind: Kind, Covered { first, last }: Covered) -> Gossip<'_> {
        let sender = Rumour { node: self.me, record: self.own.record, first_hand: false };
        let unnamed = self.roster.iter().filter(|member| member.label.is_none() && !member.record.removed);
        let wants = unnamed.map(|member| member.node).take(MAX_LABELS).collect();
        Gossip { head: Head { kind, sender, first, last }, labels: Vec::new(), wants }
    }

    fn label_of(&self, node: NodeId) -> Option<&str> {
        if node == self.me { Some(&self.label) } else { self.roster.get(node)?.label.as_deref() }
    }
}

fn pick(nodes: &[NodeId], random: &mut dyn FnMut() -> u64) -> Option<NodeId> {
    let count = nodes.len() as u64;
    let at = if count == 0 { return None } else { random() % count };
    nodes.get(usize::try_from(at).ok()?).copied()
}

/// Rounds in which a node that has news of itself (a start, a refutation, a farewell) hurries them.
const HASTY_ROUNDS: u8 = 3;
/// To how many members it speaks in such a round.
const HASTY_TARGETS: usize = 4;
/// The most new suspects a node speaks to at once, so that they can refute.
const MAX_ACCUSED: usize = 8;

#[cfg(test)]
mod tests;
