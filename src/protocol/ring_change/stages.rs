//! The order of a ring change: from phase to phase within a stage, and from stage to stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::{self, Missing};
use super::stream::{Next, Stream};
use super::{Ended, Goal, MAX_STREAMS, PairMoved, Phase, RingChange, Streams, next_record};
use crate::protocol::message::{Reply, Request};
use crate::topology::{Stage, Topology, TopologyRecord};
use crate::types::{Entry, Key, NodeId, RangeFloor, TokenRange};

impl RingChange {
    /// Goes to the next phase if this one is complete. Returns whether anything changed.
    pub(super) fn advance(&mut self) -> bool {
        match self.phase {
            Phase::Publish | Phase::Publishing | Phase::Count | Phase::Over(_) => false,
            Phase::Fence => self.all_heard() && self.after_fence(),
            Phase::Stream => self.start_streams(),
            _ if !self.calls.is_empty() => false,
            Phase::Compare => self.after_digests(),
            Phase::Promise => self.after_promise(),
            Phase::Raise => {
                self.complete();
                true
            }
            Phase::Sync => self.after_sync(),
            Phase::Finish => self.after_finish(),
        }
    }

    pub(super) fn start_fence(&mut self) {
        self.enter(Phase::Fence);
        self.fenced.clear();
        for node in self.fence_targets() {
            self.send(node, Request::Fence { topology: Arc::clone(&self.topology) }, None);
        }
    }

    /// Those who must hear of the topology: all nodes, but those that are being removed because they are dead.
    pub(super) fn fence_targets(&self) -> Vec<NodeId> {
        match &self.goal {
            Goal::Return(node) => vec![*node],
            Goal::Restore(node) => plan::fellows(&self.topology, *node),
            Goal::Ring { dead } => self.nodes().filter(|node| !dead.contains(node)).collect(),
            Goal::Abort { .. } | Goal::Clear | Goal::Repair => self.nodes().collect(),
        }
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.topology.nodes().into_iter().map(|member| member.id)
    }

    pub(super) fn is_forced(&self) -> bool {
        matches!(&self.goal, Goal::Ring { dead } if !dead.is_empty())
    }

    fn after_fence(&mut self) -> bool {
        if !self.fence_holds() {
            return self.on_failed_fence();
        }
        match (self.topology.stage(), self.goal.clone()) {
            (Some(Stage::Fencing), _) => self.publish_stage(Stage::Copying),
            (Some(Stage::Copying), _) => self.start_copying(),
            (Some(Stage::ReadBoth), _) => self.publish_stage(Stage::Retiring),
            (Some(Stage::Retiring), _) if self.empties_the_ring() => {
                self.enter(Phase::Count);
                self.ask_for_keys(None);
            }
            (Some(Stage::Retiring), _) => {
                let streams = plan::pushes(&self.topology, &self.silent);
                self.enter_streams(streams);
            }
            (None, Goal::Return(node)) => {
                let streams = plan::returns(&self.topology, node, &self.silent);
                self.enter_streams(streams);
            }
            (None, Goal::Restore(node)) => self.start_restoring(node),
            (None, Goal::Repair) => self.start_comparing(),
            (None, Goal::Abort { silent }) => self.enter(Phase::Over(Ended::Aborted { silent })),
            (None, Goal::Ring { .. } | Goal::Clear) => self.seat_voters(),
        }
        true
    }

    /// The new ring may want other voters; then the change is complete.
    fn seat_voters(&mut self) {
        let mut record = next_record(&self.topology);
        match self.next_voters(&record) {
            Some(voters) => {
                record.voters = voters;
                self.publish(record);
            }
            None => self.complete(),
        }
    }

    fn next_voters(&self, record: &TopologyRecord) -> Option<Vec<NodeId>> {
        record.next_voters(&|node| !self.silent.contains(&node), &|node| self.forgetful.contains(&node))
    }

    /// Too many are silent. From ReadBoth on, and once the outcome is published, there is no way back: it waits for them.
    fn on_failed_fence(&mut self) -> bool {
        let Some(silent) = self.missing_at_fence() else { return false };
        match (self.topology.stage(), &self.goal) {
            (Some(Stage::Fencing | Stage::Copying), _) => self.abort(silent),
            (None, Goal::Return(_) | Goal::Restore(_) | Goal::Repair) => {
                self.enter(Phase::Over(Ended::Aborted { silent }));
            }
            (Some(Stage::ReadBoth | Stage::Retiring) | None, _) => return false,
        }
        true
    }

    /// Whether the last node leaves, and is there to be asked.
    fn empties_the_ring(&self) -> bool {
        let next = self.topology.record().change.as_ref();
        next.is_some_and(|(_, members)| members.is_empty()) && !self.is_forced()
    }

    /// The fence is behind every write there was and before any other, so what this finds is final.
    fn ask_for_keys(&mut self, after: Option<Key>) {
        let epoch = self.topology.epoch();
        for node in self.nodes() {
            let ranges = Arc::from([TokenRange::ALL]);
            self.send(node, Request::Page { epoch, ranges, after: after.clone(), values: true }, None);
        }
    }

    /// Part of what the last node holds. A value among it keeps the node.
    fn on_last_keys(&mut self, node: NodeId, entries: &[(Key, Entry)], more: bool) {
        let last = entries.last().map(|(key, _)| key.clone());
        if entries.iter().any(|(_, entry)| entry.visible(self.now).is_some()) {
            self.abort(node);
        } else if more && last.is_some() {
            self.ask_for_keys(last);
        } else {
            self.enter_streams(Vec::new());
        }
    }

    pub(super) fn start_copying(&mut self) {
        match plan::copies(&self.topology, &self.silent, &self.recovering, self.is_forced(), self.copied_before) {
            Ok(streams) => {
                self.copied_before = true;
                self.enter_streams(streams);
            }
            Err(Missing(node)) => self.abort(node),
        }
    }

    pub(super) fn start_restoring(&mut self, node: NodeId) {
        let unsound = &self.silent | &self.recovering;
        let (mut streams, short) = plan::restores(&self.topology, node, &unsound);
        if short {
            let silent = self.fence_targets().into_iter().find(|fellow| self.silent.contains(fellow));
            if let Some(silent) = silent.filter(|_| self.is_patient) {
                return self.give_up(silent);
            }
            streams = plan::reunions(&self.topology, node, &self.silent);
        }
        self.moved.possible_loss = short;
        self.enter_streams(streams);
    }

    pub(super) fn enter_streams(&mut self, all: Vec<Stream>) {
        self.enter(Phase::Stream);
        self.streams = Streams { all, started: 0, finished: 0 };
    }

    fn start_streams(&mut self) -> bool {
        let epoch = self.topology.epoch();
        let mut moved = false;
        while self.streams.started < self.streams.all.len()
            && self.streams.started - self.streams.finished < MAX_STREAMS
        {
            let index = self.streams.started;
            self.streams.started += 1;
            let next = self.streams.all[index].next_page(epoch);
            self.follow(index, next);
            moved = true;
        }
        if self.streams.finished == self.streams.all.len() {
            self.start_sync();
            return true;
        }
        moved
    }

    pub(super) fn on_answer(&mut self, from: NodeId, id: u64, reply: Reply) {
        let Some(call) = self.calls.take(id) else { return };
        self.silent.remove(&from);
        if let Some(then) = call.then {
            self.send(then.to, then.request, then.stream);
        }
        match (call.stream, reply) {
            (Some(index), reply) => self.on_stream_reply(index, &call.request, reply),
            (None, Reply::Page { entries, more, .. }) if self.phase == Phase::Count => {
                self.on_last_keys(from, &entries, more);
            }
            (None, Reply::Digests { digests }) => self.on_digests(from, &call.request, digests),
            (None, Reply::Fenced { epoch, condition }) if epoch >= self.topology.epoch() => {
                self.fenced.insert(from);
                self.recovering.extend(condition.recovering.then_some(from));
                self.owing.extend(condition.owing.then_some(from));
                self.forgetful.extend(condition.forgetful.then_some(from));
            }
            _ => {}
        }
    }

    pub(super) fn on_stream_reply(&mut self, index: usize, request: &Request, reply: Reply) {
        let epoch = self.topology.epoch();
        let Some(stream) = self.streams.all.get_mut(index) else { return };
        if let Reply::Dropped { dropped } = reply {
            self.moved.compared.dropped += dropped;
        }
        let mut arrived = PairMoved::default();
        let next = stream.on_reply(epoch, request, reply, &mut arrived);
        if arrived != PairMoved::default() {
            let pair = self.moved.pairs.entry((stream.donor, stream.receiver)).or_default();
            pair.keys += arrived.keys;
            pair.bytes += arrived.bytes;
        }
        self.follow(index, next);
    }

    fn follow(&mut self, index: usize, next: Next) {
        match next {
            Next::Send(to, request) => self.send(to, request, Some(index)),
            Next::Finished => self.streams.finished += 1,
            Next::Nonsense => {
                let epoch = self.topology.epoch();
                let again = self.streams.all[index].next_page(epoch);
                self.follow(index, again);
            }
        }
    }

    fn start_sync(&mut self) {
        let mut receivers: BTreeMap<NodeId, Vec<RangeFloor>> = BTreeMap::new();
        for stream in &self.streams.all {
            receivers.entry(stream.receiver).or_default().extend(stream.floors());
        }
        // A floor says that all owners have what it covers on their disks.
        for owner in self.comparison.floored_owners() {
            receivers.entry(owner).or_default();
        }
        self.enter(Phase::Sync);
        let epoch = self.topology.epoch();
        receivers.retain(|receiver, _| !self.silent.contains(receiver));
        for (receiver, floors) in receivers {
            self.send(receiver, Request::Sync { epoch, floors }, None);
        }
    }

    fn after_sync(&mut self) -> bool {
        let epoch = self.topology.epoch();
        match (self.topology.stage(), &self.goal) {
            (Some(Stage::Copying), _) => self.publish_stage(Stage::ReadBoth),
            (None, Goal::Repair) if self.comparison.floored_owners().is_empty() => self.complete(),
            (None, Goal::Repair) => self.raise_floors(),
            (None, Goal::Restore(node)) => {
                let node = *node;
                self.enter(Phase::Finish);
                self.send(node, Request::Restored { epoch }, None);
            }
            (None, Goal::Return(node)) => {
                let discard = (*node, self.topology.foreign_ranges(*node).collect());
                self.enter(Phase::Finish);
                self.send_discards(vec![discard]);
            }
            _ => {
                let moves = self.topology.moves();
                let mut discards: Vec<_> = self.nodes().map(|node| (node, plan::lost_ranges(moves, node))).collect();
                discards.retain(|(_, ranges)| !ranges.is_empty());
                self.enter(Phase::Finish);
                self.send_discards(discards);
            }
        }
        true
    }

    /// Asks those that answer to drop what is no longer theirs; the others do when they return.
    fn send_discards(&mut self, discards: Vec<(NodeId, Arc<[TokenRange]>)>) {
        let epoch = self.topology.epoch();
        for (node, ranges) in discards {
            if !ranges.is_empty() && !self.silent.contains(&node) {
                self.send(node, Request::Discard { epoch, ranges }, None);
            }
        }
    }

    fn after_finish(&mut self) -> bool {
        match (self.topology.stage(), &self.goal) {
            (Some(_), _) => {
                let mut record = next_record(&self.topology);
                if let Some((_, members)) = record.change.take() {
                    record.members = members;
                }
                record.dead.clear();
                // Who is out of the ring votes no longer.
                record.voters = self.next_voters(&record).unwrap_or(record.voters);
                self.publish(record);
            }
            (None, _) => self.complete(),
        }
        true
    }

    fn complete(&mut self) {
        self.enter(Phase::Over(Ended::Complete(self.moved.clone())));
    }

    /// Publishes the old ring again. Only before ReadBoth, afterwards reads may have seen what only new owners hold; or
    /// where there are no new owners.
    pub(super) fn abort(&mut self, silent: NodeId) {
        let mut record = next_record(&self.topology);
        record.change = None;
        record.dead.clear();
        self.goal = Goal::Abort { silent };
        self.publish(record);
    }

    fn publish_stage(&mut self, stage: Stage) {
        let mut record = next_record(&self.topology);
        if let Some((current, _)) = &mut record.change {
            *current = stage;
        }
        self.publish(record);
    }

    fn publish(&mut self, record: TopologyRecord) {
        self.topology = Arc::new(Topology::new(record));
        self.enter(Phase::Publish);
    }

    /// Requests of the phase before are of no use any more, nor are their answers.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.calls.clear();
    }
}
