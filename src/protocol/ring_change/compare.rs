//! Anti-entropy: the owners of each range are compared by digests, made equal where they differ, and given a floor.
//!
//! The comparison goes top down. The ranges that the same nodes own are a group, and each owner sums up what it holds of
//! it. Where the sums differ the group is cut into up to [`CUTS`] parts, and each is asked for again, until a part has few
//! versions or cannot be cut. Only of those parts the owners tell each other their versions. So owners that are equal
//! cost a message each way, and one that lacks a version costs a few more.
//!
//! Of a group that has tombstones the floor is raised to the stamp at which the pass began, if all members take part, and none
//! has lost data or has something to hand over: one that is no owner any more may have a write that no owner has. The owners
//! promise first, durably, to take nothing old any more from those who may bring what no owner has. What is then compared and
//! streamed is all there can be, so when every owner has synced it, what an owner does not hold at or below that stamp was
//! deleted (design: "tombstones have no grace period"). A member that falls silent before costs the pass its floors; the promises
//! stay, and harm nobody.
//!
//! Caveats: a digest is of no one moment, so a write that is on its way may look like a difference: its part is streamed
//! for nothing. A put whose promise reached some replicas before it did may end as indeterminate. How many tombstones may
//! go is told as the owner with the most of them has it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use super::{Phase, RingChange, plan};
use crate::protocol::message::Request;
use crate::topology::Topology;
use crate::types::{NodeId, RangeDigest, Stamp, Time, Token, TokenRange};

/// What a repair has found out about the owners.
#[derive(Debug)]
pub(super) struct Comparison {
    groups: Vec<Group>,
    /// What is being compared, by the first token.
    parts: BTreeMap<Token, Part>,
    /// Parts whose owners differ and that are not cut any more.
    unequal: Vec<(usize, Arc<[TokenRange]>)>,
    /// Whether floors may be raised.
    takes_floors: bool,
    /// Whether it is decided which groups get a floor, and their owners have promised.
    is_promised: bool,
    floor: Stamp,
}

/// All ranges that the same nodes own.
#[derive(Debug)]
struct Group {
    /// Those who take part.
    owners: Vec<NodeId>,
    ranges: Vec<TokenRange>,
    /// Whether its floor is to be raised.
    is_floored: bool,
    /// How many the owner with the most has that may still be collected.
    tombstones: u64,
}

#[derive(Debug)]
struct Part {
    group: usize,
    ranges: Arc<[TokenRange]>,
    digests: BTreeMap<NodeId, RangeDigest>,
}

impl Comparison {
    /// Of nobody.
    pub(super) fn none() -> Comparison {
        Comparison {
            groups: Vec::new(),
            parts: BTreeMap::new(),
            unequal: Vec::new(),
            takes_floors: false,
            is_promised: false,
            floor: Stamp::ZERO,
        }
    }

    /// Of the owners in `topology`, but for those that are `silent`.
    fn new(topology: &Topology, silent: &BTreeSet<NodeId>, takes_floors: bool, now: Time) -> Comparison {
        let mut sets: BTreeMap<Vec<NodeId>, Vec<TokenRange>> = BTreeMap::new();
        for (range, owners) in topology.ring().ranges() {
            let mut owners = owners.as_slice().to_vec();
            owners.sort_unstable();
            let ranges = sets.entry(owners).or_default();
            match ranges.last_mut().filter(|last| last.last.0.checked_add(1) == Some(range.first.0)) {
                Some(last) => last.last = range.last,
                None => ranges.push(range),
            }
        }
        let group = |(owners, ranges): (Vec<NodeId>, Vec<TokenRange>)| Group {
            owners: owners.into_iter().filter(|owner| !silent.contains(owner)).collect(),
            ranges,
            is_floored: false,
            tombstones: 0,
        };
        let floor = Stamp { time: now, ..Stamp::ZERO };
        let groups = sets.into_iter().map(group).collect();
        let mut comparison = Comparison { groups, takes_floors, floor, ..Comparison::none() };
        for group in 0..comparison.groups.len() {
            comparison.compare(group);
        }
        comparison
    }

    /// The whole group is to be compared.
    fn compare(&mut self, group: usize) {
        let Group { ranges, owners, .. } = &self.groups[group];
        // One owner of several is equal to itself, and nothing can be said of the others.
        if owners.len() < 2 && !self.takes_floors {
            return;
        }
        let lists: Vec<Arc<[TokenRange]>> = ranges.chunks(REQUEST_RANGES).map(Arc::from).collect();
        lists.into_iter().for_each(|ranges| self.add_part(group, ranges));
    }

    fn add_part(&mut self, group: usize, ranges: Arc<[TokenRange]>) {
        if let Some(first) = ranges.first() {
            self.parts.insert(first.first, Part { group, ranges, digests: BTreeMap::new() });
        }
    }

    /// What is to be asked of whom: lists of ranges, so many that a request stays small.
    fn questions(&self) -> Vec<(NodeId, Vec<Arc<[TokenRange]>>)> {
        let mut open: BTreeMap<NodeId, Vec<Arc<[TokenRange]>>> = BTreeMap::new();
        let mut questions = Vec::new();
        for part in self.parts.values() {
            for owner in self.groups[part.group].owners.iter().filter(|owner| !part.digests.contains_key(owner)) {
                let lists = open.entry(*owner).or_default();
                let ranges: usize = lists.iter().map(|list| list.len()).sum();
                if ranges + part.ranges.len() > REQUEST_RANGES {
                    questions.push((*owner, mem::take(lists)));
                }
                lists.push(Arc::clone(&part.ranges));
            }
        }
        questions.extend(open);
        questions
    }

    /// Decides which groups get a floor: those with tombstones, and those where an owner missed the raising of one.
    fn choose_floored(&mut self) {
        for (index, group) in self.groups.iter_mut().enumerate().filter(|_| self.takes_floors) {
            let of_owner = |owner| {
                let parts = self.parts.values().filter(|part| part.group == index);
                let digests = parts.filter_map(|part| part.digests.get(owner));
                digests.fold(RangeDigest::default(), |mut sum, digest| {
                    sum.add(*digest);
                    sum
                })
            };
            let digests: Vec<RangeDigest> = group.owners.iter().map(of_owner).collect();
            group.tombstones = digests.iter().map(|digest| digest.tombstones).max().unwrap_or(0);
            let differ = digests.windows(2).any(|pair| pair[0].floors != pair[1].floors);
            group.is_floored = group.tombstones > 0 || differ;
        }
        self.is_promised = true;
    }

    /// What each owner of a group that gets a floor has of such groups, ascending.
    fn floored(&self) -> BTreeMap<NodeId, Arc<[TokenRange]>> {
        let mut floored: BTreeMap<NodeId, Vec<TokenRange>> = BTreeMap::new();
        for group in self.groups.iter().filter(|group| self.takes_floors && group.is_floored) {
            for owner in &group.owners {
                floored.entry(*owner).or_default().extend(&group.ranges);
            }
        }
        let sorted = |mut ranges: Vec<TokenRange>| {
            ranges.sort_unstable_by_key(|range| range.first);
            Arc::from(ranges)
        };
        floored.into_iter().map(|(owner, ranges)| (owner, sorted(ranges))).collect()
    }

    /// Cuts the parts whose owners differ. Whether there is anything left to compare.
    fn cut(&mut self) -> bool {
        for (_, part) in mem::take(&mut self.parts) {
            let owners = self.groups[part.group].owners.iter();
            let digests: Vec<RangeDigest> = owners.filter_map(|owner| part.digests.get(owner)).copied().collect();
            if digests.windows(2).all(|pair| pair[0].holds_same(&pair[1])) {
                continue;
            }
            // An owner that has nothing lacks all there is: where that is need not be found out.
            let is_plain = digests.iter().all(|digest| digest.versions <= FEW_VERSIONS)
                || digests.iter().any(|digest| digest.versions == 0);
            match cut(&part.ranges) {
                lists if lists.len() > 1 && !is_plain => {
                    lists.into_iter().for_each(|ranges| self.add_part(part.group, ranges));
                }
                _ => self.unequal.push((part.group, part.ranges)),
            }
        }
        !self.parts.is_empty()
    }

    pub(super) fn leave_out(&mut self, node: NodeId) {
        for group in self.groups.iter_mut().filter(|group| group.owners.contains(&node)) {
            group.owners.retain(|owner| *owner != node);
        }
        self.takes_floors = false;
    }

    /// Who has to sync before the floors are raised.
    pub(super) fn floored_owners(&self) -> BTreeSet<NodeId> {
        self.floored().into_keys().collect()
    }
}

impl RingChange {
    pub(super) fn start_comparing(&mut self) {
        self.moved.left_out = self.silent.clone();
        let takes_floors =
            (self.silent.is_empty() || planted!(B14)) && self.recovering.is_empty() && self.owing.is_empty();
        self.comparison = Comparison::new(&self.topology, &self.silent, takes_floors, self.now);
        self.moved.compared.groups = self.comparison.groups.len() as u64;
        self.ask_for_digests();
    }

    fn ask_for_digests(&mut self) {
        self.enter(Phase::Compare);
        let epoch = self.topology.epoch();
        for (owner, groups) in self.comparison.questions() {
            self.moved.compared.digests += groups.len() as u64;
            self.send(owner, Request::Digest { epoch, groups }, None);
        }
    }

    pub(super) fn on_digests(&mut self, from: NodeId, request: &Request, digests: Vec<RangeDigest>) {
        let Request::Digest { groups, .. } = request else { return };
        for (ranges, digest) in groups.iter().zip(digests) {
            let first = ranges.first().map(|range| range.first);
            if let Some(part) = first.and_then(|first| self.comparison.parts.get_mut(&first)) {
                part.digests.insert(from, digest);
            }
        }
    }

    /// All digests are there, but those of nodes that have fallen silent.
    pub(super) fn after_digests(&mut self) -> bool {
        if !self.comparison.is_promised {
            self.comparison.choose_floored();
            let floored = self.comparison.floored();
            if !floored.is_empty() {
                self.enter(Phase::Promise);
                let (epoch, stamp) = (self.topology.epoch(), self.comparison.floor);
                for (owner, ranges) in floored {
                    self.send(owner, Request::Promise { epoch, ranges, stamp }, None);
                }
                return true;
            }
        }
        match self.comparison.cut() {
            true => self.ask_for_digests(),
            false => {
                let unequal = self.comparison.unequal.iter();
                let lists = unequal.map(|(group, ranges)| (&self.comparison.groups[*group].owners[..], &ranges[..]));
                let streams = plan::repairs(lists);
                self.enter_streams(streams);
            }
        }
        true
    }

    /// What came before the promises does not count: only now nothing can be added unseen.
    pub(super) fn after_promise(&mut self) -> bool {
        for group in 0..self.comparison.groups.len() {
            if self.comparison.groups[group].is_floored {
                self.comparison.compare(group);
            }
        }
        self.ask_for_digests();
        true
    }

    /// The owners are equal, and have synced.
    pub(super) fn raise_floors(&mut self) {
        let (epoch, stamp) = (self.topology.epoch(), self.comparison.floor);
        let floored = self.comparison.groups.iter().filter(|group| group.is_floored);
        self.moved.compared.tombstones = floored.map(|group| group.tombstones).sum();
        let floored = self.comparison.floored();
        self.enter(Phase::Raise);
        for (owner, ranges) in floored {
            self.send(owner, Request::RaiseFloor { epoch, ranges, stamp }, None);
        }
    }
}

/// Up to [`CUTS`] lists that together are `ranges`; fewer than two if there is nothing to cut.
fn cut(ranges: &[TokenRange]) -> Vec<Arc<[TokenRange]>> {
    let [TokenRange { first, last }] = ranges else {
        return ranges.chunks(ranges.len().div_ceil(CUTS).max(1)).map(Arc::from).collect();
    };
    let step = (last.0 - first.0) / CUTS as u64 + 1;
    let starts = (0..CUTS as u64).map_while(|index| first.0.checked_add(index.checked_mul(step)?));
    let parts = starts.take_while(|start| *start <= last.0).map(|start| {
        let end = start.saturating_add(step - 1).min(last.0);
        Arc::from([TokenRange { first: Token(start), last: Token(end) }])
    });
    parts.collect()
}

/// Into how many parts what differs is cut: three rounds find one version among 250,000.
const CUTS: usize = 16;
/// A part with no more versions than this at any owner is streamed: their stamps take less than further rounds.
const FEW_VERSIONS: u64 = 64;
/// The most ranges in one request for digests, 16 KiB of them.
const REQUEST_RANGES: usize = 1_024;

#[cfg(test)]
mod tests;
