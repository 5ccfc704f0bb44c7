//! All other members a node knows, ascending by number, so that a sorted message and the roster are walked side by
//! side: merging a digest of n members costs n steps, no search and no allocation.

use super::MembershipOptions;
use super::member::Member;
use super::outbox::MembershipEvent;
use super::record::{Record, Rumour, Standing};
use super::wire::{Head, MAX_RUMOURS};
use crate::types::{MAX_NODES, NodeId, Time};

/// The members, but for the node itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    members: Vec<Member>,
}

/// The range of numbers a message covers, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Covered {
    pub(super) first: NodeId,
    pub(super) last: NodeId,
}

impl Covered {
    pub(super) const ALL: Covered = Covered { first: NodeId(0), last: NodeId(u32::MAX) };
}

impl Roster {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.members.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Member> {
        self.members.iter_mut()
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Member> {
        self.find(node).ok().and_then(|at| self.members.get(at))
    }

    /// The member, made known if it was not. `None` if no more can be known.
    pub(super) fn entry(&mut self, node: NodeId, now: Time) -> Option<&mut Member> {
        let at = match self.find(node) {
            Ok(at) => at,
            Err(_) if self.members.len() >= MAX_KNOWN => return None,
            Err(at) => {
                self.members.insert(at, Member::new(node, None, Record::UNHEARD, now));
                at
            }
        };
        self.members.get_mut(at)
    }

    pub(super) fn known(&mut self, node: NodeId) -> Option<&mut Member> {
        self.find(node).ok().and_then(|at| self.members.get_mut(at))
    }

    /// Takes what `rumours`, ascending, say, and counts the members that began a new life. Those about `me` are not for the
    /// roster.
    pub(super) fn merge(
        &mut self,
        rumours: &[Rumour],
        me: NodeId,
        now: Time,
        options: &MembershipOptions,
        events: &mut Vec<MembershipEvent>,
    ) -> u64 {
        let (mut at, mut reborn) = (0, 0);
        let mut room = MAX_KNOWN.saturating_sub(self.members.len());
        for told in rumours.iter().filter(|told| told.node != me) {
            while self.members.get(at).is_some_and(|member| member.node < told.node) {
                at += 1;
            }
            match self.members.get_mut(at) {
                Some(member) if member.node == told.node => {
                    let life = member.record.incarnation;
                    events.extend(member.hear(told, now, options));
                    reborn += u64::from(member.record.incarnation > life);
                }
                _ if room > 0 => {
                    room -= 1;
                    let mut member = Member::new(told.node, None, Record::UNHEARD, now);
                    // What it was before was only assumed: no change to tell of.
                    member.hear(told, now, options);
                    events.extend(first_word(&member));
                    self.members.insert(at, member);
                    reborn += 1;
                }
                _ => {}
            }
        }
        reborn
    }

    /// What is known of the members after `from`, up to a message full; returns the range that this covers.
    pub(super) fn digest(
        &self,
        from: NodeId,
        now: Time,
        options: &MembershipOptions,
        rumours: &mut Vec<Rumour>,
    ) -> Covered {
        rumours.clear();
        let start = self.members.partition_point(|member| member.node < from);
        let mut told = self.members.iter().skip(start).filter(|member| member.is_told(now, options));
        rumours.extend(told.by_ref().take(MAX_RUMOURS).map(Member::rumour));
        let more = told.next().is_some();
        let last = rumours.last().filter(|_| more).map_or(NodeId(u32::MAX), |rumour| rumour.node);
        Covered { first: from, last }
    }

    /// What a digest's sender lacks, of itself too (that it is accused), and which of it is wholly new to the sender: those it needs the labels of.
    pub(super) fn answer(
        &self,
        head: &Head,
        digest: &[Rumour],
        now: Time,
        options: &MembershipOptions,
        rumours: &mut Vec<Rumour>,
        unlisted: &mut Vec<NodeId>,
    ) {
        let mut rest = digest;
        let start = self.members.partition_point(|member| member.node < head.first);
        let covered = self.members.iter().skip(start).take_while(|member| member.node <= head.last);
        for member in covered.filter(|member| member.node != head.sender.node) {
            while let [first, tail @ ..] = rest
                && first.node < member.node
            {
                rest = tail;
            }
            let wanted = match rest.first().filter(|theirs| theirs.node == member.node) {
                Some(theirs) => member.record.has_news_for(&theirs.record),
                None => {
                    let tell = member.is_told(now, options);
                    unlisted.extend(tell.then_some(member.node));
                    tell
                }
            };
            rumours.extend(wanted.then(|| member.rumour()));
        }
        rumours.truncate(MAX_RUMOURS - 1);
        let of_sender = self.get(head.sender.node).filter(|member| member.record.has_news_for(&head.sender.record));
        if let Some(member) = of_sender {
            rumours.insert(rumours.partition_point(|rumour| rumour.node < member.node), member.rumour());
        }
    }

    fn find(&self, node: NodeId) -> Result<usize, usize> {
        self.members.binary_search_by_key(&node, |member| member.node)
    }
}

fn first_word(member: &Member) -> Option<MembershipEvent> {
    let node = member.node;
    match member.record.standing {
        _ if member.record.removed => None,
        Standing::Up | Standing::Suspect => Some(MembershipEvent::Joined { node }),
        Standing::Down => Some(MembershipEvent::Died { node }),
        Standing::Left => Some(MembershipEvent::Left { node }),
    }
}

/// The most members ever known, those that left or were removed included: numbers are not given twice, so these add
/// up. Beyond it a node learns of no new member.
const MAX_KNOWN: usize = 64 * MAX_NODES;
