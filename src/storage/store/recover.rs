//! The log folded into the table: what opening a store does, record by record.

use super::*;

/// The state that a log's records up to some point say.
#[derive(Debug)]
pub(super) struct Fold<'a> {
    table: &'a Table,
    control: Control,
    epoch: Epoch,
    restored: Restored,
}

impl<'a> Fold<'a> {
    /// Nothing replayed yet, into an empty table.
    pub(super) fn new(table: &'a Table) -> Fold<'a> {
        Fold { table, control: Control::new(), epoch: Epoch::default(), restored: Restored::default() }
    }

    /// The next record of the log, in its order.
    pub(super) fn apply(&mut self, at: Location, record: Record) {
        let Record { epoch, body, .. } = record;
        match &body {
            Body::Version { key, entry } => {
                self.seen(entry.stamp);
                return self.version(at, key, entry);
            }
            Body::Discard { ranges, upto } => {
                if *upto < Stamp::MAX {
                    self.seen(*upto);
                }
                for (index, part) in ranges.iter().flat_map(|range| self.table.parts(*range)) {
                    self.control.note_discarded(&self.table.lock_shard(index).discard(part, *upto));
                }
            }
            Body::Floor { range, stamp } => {
                self.seen(*stamp);
                for (index, part) in self.table.parts(*range) {
                    self.table.lock_shard(index).raise_floor(part, *stamp);
                }
            }
            Body::Promise { range, stamp } => {
                self.seen(*stamp);
                for (index, part) in self.table.parts(*range) {
                    self.table.lock_shard(index).promise(part, *stamp);
                }
            }
            Body::Topology { encoded } => {
                self.epoch = epoch;
                self.restored.topology = Some(encoded.clone());
            }
            Body::Ballot { encoded } => self.restored.ballot = Some(encoded.clone()),
            Body::Clock { .. } | Body::Recovering { .. } | Body::Boot { .. } | Body::Incarnation { .. } => {}
        }
        self.control.note(at, &body);
    }

    /// What was found, the epoch of the last topology among it.
    pub(super) fn finish(self, log: Recovered) -> (Control, Epoch, Restored) {
        let Fold { control, epoch, restored, .. } = self;
        let clock = control.time();
        let recovering = control.recovering();
        let incarnation = control.incarnation();
        (control, epoch, Restored { log, clock, recovering, incarnation, ..restored })
    }

    /// A version is only ever appended when it supersedes the one held, so at equal stamps the later record is the
    /// one that won the tie: the bytes need not be compared again (and `verify` does compare them).
    fn version(&self, at: Location, key: &Key, entry: &Entry) {
        let mut shard = self.table.lock(key.token());
        if shard.get(key).is_none_or(|held| held.stamp <= entry.stamp) {
            shard.insert(key, Slot::new(entry, at, Place::NONE));
        }
    }

    fn seen(&mut self, stamp: Stamp) {
        self.restored.newest = self.restored.newest.max(Some(stamp));
    }
}
