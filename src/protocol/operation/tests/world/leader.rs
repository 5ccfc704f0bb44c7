//! The leader: stages of a ring change, copies, and collections of tombstones.

use super::*;

impl World {
    /// `node` adopts the topology of `epoch`. What it still holds of a range that it gains it drops first.
    pub(super) fn fence(&mut self, node: u32, epoch: u64) {
        let gains = matches!(epoch % STAGES, FENCING | COPYING) && {
            let (old, new, _) = self.sets(epoch);
            !old.contains(&node) && new.is_some_and(|new| new.contains(&node))
        };
        let floor = self.nodes.values().map(|node| node.floor).max().unwrap_or(Stamp::ZERO);
        let replica = self.nodes.get_mut(&node).unwrap();
        if epoch <= replica.epoch || replica.mode == Mode::Down {
            return;
        }
        if gains && replica.epoch < epoch - epoch % STAGES + FENCING {
            replica.discard();
            // Floors travel with the fence: what a replica acknowledged below a donor's floor would be dropped when
            // it merges that floor.
            replica.floor = floor;
        }
        replica.epoch = epoch;
        self.story.push(format!("{node} is at epoch {epoch}"));
    }

    /// Goes to the next stage, if this one is complete.
    pub(super) fn lead(&mut self) {
        if self.dice.roll(2) == 0 {
            let everyone: Vec<u32> = self.nodes.keys().copied().collect();
            everyone.into_iter().for_each(|node| self.fence(node, self.published));
        }
        let (current, next, stage) = self.sets(self.published);
        let adopted = |set: &[u32]| {
            let raised = set.iter().filter(|node| self.nodes[node].epoch == self.published).count();
            raised > set.len() / 2
        };
        let fenced = adopted(current) && next.is_none_or(adopted);
        let ring = (self.published / STAGES - 1) as usize;
        let complete = match stage {
            0 => ring + 1 < self.rings.len(),
            COPYING => fenced && self.copy(),
            READ_BOTH => fenced && self.hand_over(),
            RETIRING => fenced && self.retire(),
            _ => fenced,
        };
        if complete {
            self.published += 1;
            self.story.push(format!("epoch {} is published", self.published));
            self.count("stage");
        }
    }

    pub(super) fn leaving_and_gaining(&self) -> (Vec<u32>, Vec<u32>) {
        let ring = (self.published / STAGES - 1) as usize;
        let (old, new) = (&self.rings[ring], &self.rings[ring + 1]);
        let lacks = |set: &[u32], other: &[u32]| set.iter().filter(|node| !other.contains(node)).copied().collect();
        (lacks(old, new), lacks(new, old))
    }

    pub(super) fn sound(&self, node: u32) -> bool {
        self.nodes[&node].epoch == self.published && self.nodes[&node].mode == Mode::Up
    }

    /// The gaining replicas merge a majority of the old ones (MOVE-2).
    pub(super) fn copy(&mut self) -> bool {
        let (old, _, _) = self.sets(self.published);
        let donors: Vec<u32> = old.iter().copied().filter(|node| self.sound(*node)).collect();
        let (_, gaining) = self.leaving_and_gaining();
        let ready = donors.len() > old.len() / 2 && gaining.iter().all(|node| self.sound(*node));
        if ready {
            self.merge(&donors, &gaining);
        }
        ready
    }

    /// What the leaving replicas hold goes to the new ones before only those are read.
    pub(super) fn hand_over(&mut self) -> bool {
        let (leaving, _) = self.leaving_and_gaining();
        let ring = (self.published / STAGES - 1) as usize;
        let new = self.rings[ring + 1].clone();
        let ready = leaving.iter().chain(&new).all(|node| self.sound(*node));
        if ready {
            self.merge(&leaving, &new);
        }
        ready
    }

    pub(super) fn retire(&mut self) -> bool {
        let (leaving, _) = self.leaving_and_gaining();
        let ready = leaving.iter().all(|node| self.sound(*node));
        if ready {
            for node in leaving {
                self.nodes.get_mut(&node).unwrap().discard();
            }
        }
        ready
    }

    /// The receivers take the donors' versions and floors. What a sound donor lacks, and its floor refuses, is gone.
    pub(super) fn merge(&mut self, donors: &[u32], receivers: &[u32]) {
        let nodes = &self.nodes;
        let gone = |stamp: Stamp| donors.iter().any(|node| stamp <= nodes[node].floor && nodes[node].lacks(stamp));
        let held = donors.iter().chain(receivers).filter_map(|node| nodes[node].entry.clone());
        let alive: Vec<Entry> = held.filter(|entry| !gone(entry.stamp)).collect();
        let floor = donors.iter().map(|node| nodes[node].floor).max().unwrap_or(Stamp::ZERO);
        let newest = |node: u32| {
            let own = nodes[&node].entry.as_ref().filter(|entry| alive.contains(entry));
            let given = donors.iter().filter_map(|donor| nodes[donor].entry.as_ref());
            own.into_iter().chain(given.filter(|entry| alive.contains(entry))).max_by_key(|entry| entry.stamp).cloned()
        };
        let merged: Vec<Option<Entry>> = receivers.iter().map(|node| newest(*node)).collect();
        for (node, entry) in receivers.iter().zip(merged) {
            let replica = self.nodes.get_mut(node).unwrap();
            replica.entry = entry;
            replica.floor = replica.floor.max(floor);
        }
    }

    /// All replicas are made equal and raise their floors; then some of them drop the tombstone.
    pub(super) fn collect(&mut self) {
        let (set, _, stage) = self.sets(self.published);
        let set = set.to_vec();
        if stage != 0 || !set.iter().all(|node| self.sound(*node)) {
            return;
        }
        let floor = Stamp { time: self.now, coordinator: NodeId(u32::MAX), counter: 0 };
        let newest = set.iter().filter_map(|node| self.nodes[node].entry.clone()).max_by_key(|entry| entry.stamp);
        for node in &set {
            let replica = self.nodes.get_mut(node).unwrap();
            replica.floor = replica.floor.max(floor);
            replica.entry = newest.clone();
        }
        self.story
            .push(format!("{set:?} raise floors to {floor} and are equal at {:?}", newest.as_ref().map(|e| e.stamp)));
        let Some(newest) = newest.filter(|newest| newest.value.is_none() && newest.stamp <= floor) else { return };
        self.count("collected");
        self.collected = self.collected.max(Some(newest.stamp));
        for node in set {
            if self.dice.roll(3) > 0 {
                self.nodes.get_mut(&node).unwrap().entry = None;
            }
        }
    }
}
