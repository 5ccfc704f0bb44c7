//! Random histories, crashes among them, against the store in its plainest form.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Action {
    Put { number: u64, entry: Entry, epoch_off: u64, is_new: bool },
    Get(u64),
    Commit,
    Sync,
    Discard(Vec<TokenRange>),
    RaiseEpoch { by: u64, discard: Vec<TokenRange>, cleared: u64 },
    Promise(TokenRange, u64),
    RaiseFloor(TokenRange, u64),
    DropDeleted(u64, u64),
    Notes(u64, bool),
    Maintain(u8),
    Verify,
    Kill,
    PowerLoss { names: u64 },
}

const KEYS: u64 = 14;
const SHARDS: usize = 4;

fn entries() -> impl Strategy<Value = Entry> {
    let value = prop_oneof![1 => Just(None), 3 => (0_u64..3, 1_usize..60).prop_map(|(v, len)| Some(value(v, len)))];
    let expires = prop_oneof![4 => Just(None), 1 => (1_u64..3).prop_map(|t| Some(Time(t)))];
    (value, 1_u64..60, expires).prop_map(|(value, time, expires)| Entry { value, stamp: stamp(time), expires })
}

fn eighths() -> impl Strategy<Value = Vec<TokenRange>> {
    let eighth = |index: u64| TokenRange { first: Token(index << 61), last: Token((index << 61) | (u64::MAX >> 3)) };
    prop::collection::btree_set(0_u64..8, 0..4).prop_map(move |of| of.into_iter().map(eighth).collect())
}

fn range() -> impl Strategy<Value = TokenRange> {
    let ends = (0_u64..8, 0_u64..8);
    let range = ends.prop_map(|(one, other)| TokenRange {
        first: Token(one.min(other) << 61),
        last: Token((one.max(other) << 61) | (u64::MAX >> 3)),
    });
    prop_oneof![1 => Just(TokenRange::ALL), 3 => range]
}

fn action() -> impl Strategy<Value = Action> {
    let put = (0..KEYS, entries(), prop_oneof![19 => Just(0_u64), 1 => Just(1)], any::<bool>());
    let raise = (0_u64..3, eighths(), prop_oneof![3 => Just(0_u64), 1 => 1_u64..30]);
    prop_oneof![
        40 => put.prop_map(|(number, entry, epoch_off, is_new)| Action::Put { number, entry, epoch_off, is_new }),
        12 => (0..KEYS).prop_map(Action::Get),
        6 => Just(Action::Commit),
        3 => Just(Action::Sync),
        2 => eighths().prop_map(Action::Discard),
        2 => raise.prop_map(|(by, discard, cleared)| Action::RaiseEpoch { by, discard, cleared }),
        3 => (range(), 1_u64..40).prop_map(|(range, floor)| Action::RaiseFloor(range, floor)),
        3 => (range(), 1_u64..40).prop_map(|(range, upto)| Action::Promise(range, upto)),
        2 => (0..KEYS, 1_u64..60).prop_map(|(number, floor)| Action::DropDeleted(number, floor)),
        1 => (0_u64..50, any::<bool>()).prop_map(|(time, recovering)| Action::Notes(time, recovering)),
        20 => (1_u8..12).prop_map(Action::Maintain),
        1 => Just(Action::Verify),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(|names| Action::PowerLoss { names }),
    ]
}

/// What a log says up to some record.
#[derive(Clone, PartialEq, Debug, Default)]
struct State {
    epoch: Epoch,
    versions: BTreeMap<Key, Entry>,
    /// In order: raised, or forgotten.
    floors: Vec<(TokenRange, Option<Stamp>)>,
    promises: Vec<(TokenRange, Option<Stamp>)>,
    cleared: Option<Stamp>,
    /// Where a value was dropped that others know to be deleted.
    deleted: BTreeMap<Token, Stamp>,
    clock: Time,
    recovering: bool,
}

impl State {
    fn raised(&self, token: Token) -> Stamp {
        raised(&self.floors, token)
    }

    fn bound(&self, token: Token) -> Stamp {
        self.floor(token).max(raised(&self.promises, token))
    }

    fn cleared(&self, token: Token) -> Stamp {
        self.cleared.max(self.deleted.get(&token).copied()).unwrap_or(Stamp::ZERO)
    }

    fn floor(&self, token: Token) -> Stamp {
        self.raised(token).max(self.cleared(token))
    }

    fn discard(&mut self, range: TokenRange) {
        self.versions.retain(|key, _| !range.contains(key.token()));
        self.floors.push((range, None));
        self.promises.push((range, None));
    }

    fn is_droppable(&self, key: &Key, entry: &Entry) -> bool {
        entry.value.is_none() && entry.stamp <= self.floor(key.token())
    }

    fn held(&self, key: &Key) -> Option<&Entry> {
        self.versions.get(key).filter(|entry| !self.is_droppable(key, entry))
    }

    /// The versions that every store in this state has, whatever it has merged.
    fn lasting(&self) -> Vec<(&Key, &Entry)> {
        self.versions.iter().filter(|(key, entry)| !self.is_droppable(key, entry)).collect()
    }
}

fn raised(changes: &[(TokenRange, Option<Stamp>)], token: Token) -> Stamp {
    let here = changes.iter().filter(|(range, _)| range.contains(token));
    here.fold(Stamp::ZERO, |floor, (_, change)| change.map_or(Stamp::ZERO, |to| floor.max(to)))
}

/// Every key in the table, droppable tombstones too.
fn in_table(store: &Store) -> BTreeMap<Key, Slot> {
    let shards = store.table.lock_all();
    let slots = shards.iter().flat_map(|shard| shard.within(TokenRange::ALL));
    slots.map(|(key, slot)| (key.clone(), slot)).collect()
}

/// A store, the state it must be in, and the states it may go back to.
struct Machine {
    disk: MemoryDisk,
    store: Store,
    state: State,
    /// The states after each record since the last commit: what a kill may leave.
    uncommitted: Vec<State>,
    /// The same since the last sync: what a power loss may leave.
    unsynced: Vec<State>,
    position: Option<LogPosition>,
    /// The cached values, the newest first.
    cached: Vec<(Key, Value)>,
    reads: u64,
    hits: u64,
}

const CACHED: usize = 5;

impl Machine {
    fn new() -> Machine {
        let disk = MemoryDisk::new();
        let (store, _) = open(&disk, 512);
        let start = vec![State::default()];
        Machine {
            disk,
            store,
            state: State::default(),
            uncommitted: start.clone(),
            unsynced: start,
            position: None,
            cached: Vec::new(),
            reads: 0,
            hits: 0,
        }
    }

    fn record(&mut self, change: impl FnOnce(&mut State)) {
        change(&mut self.state);
        self.uncommitted.push(self.state.clone());
        self.unsynced.push(self.state.clone());
    }

    /// A change that is made already gives the position of an older record.
    fn wait_for(&mut self, position: LogPosition) {
        self.position = self.position.max(Some(position));
    }

    fn committed(&mut self) {
        self.uncommitted = vec![self.state.clone()];
    }

    fn synced(&mut self) {
        self.committed();
        self.unsynced = vec![self.state.clone()];
    }

    fn cache(&mut self, key: &Key, value: Option<Value>) {
        self.cached.retain(|(held, _)| held != key);
        if let Some(value) = value {
            self.cached.insert(0, (key.clone(), value));
            self.cached.truncate(CACHED);
        }
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Put { number, entry, epoch_off, is_new } => self.put(&key(number), &entry, epoch_off, is_new),
            Action::Get(number) => self.get(&key(number)),
            Action::Commit => {
                if let Some(position) = self.position {
                    self.store.commit(position).unwrap();
                    self.committed();
                }
            }
            Action::Sync => {
                self.store.sync().unwrap();
                self.synced();
            }
            Action::Discard(ranges) => self.discard(&ranges),
            Action::RaiseEpoch { by, discard, cleared } => self.raise_epoch(by, &discard, cleared),
            Action::RaiseFloor(range, floor) => {
                let position = self.store.raise_floor(self.state.epoch, &[range], stamp(floor)).unwrap();
                self.wait_for(position);
                self.record(|state| state.floors.push((range, Some(stamp(floor)))));
            }
            Action::Promise(range, upto) => {
                let position = self.store.promise(self.state.epoch, &[range], stamp(upto)).unwrap();
                self.wait_for(position);
                self.record(|state| state.promises.push((range, Some(stamp(upto)))));
            }
            Action::DropDeleted(number, floor) => self.drop_deleted(&key(number), stamp(floor)),
            Action::Notes(time, recovering) => {
                self.store.note_clock(Time(time)).unwrap();
                self.record(|state| state.clock = state.clock.max(Time(time)));
                let position = self.store.set_recovering(recovering).unwrap();
                self.wait_for(position);
                self.record(|state| state.recovering = recovering);
            }
            Action::Maintain(steps) => (0..steps).for_each(|_| self.maintain()),
            Action::Verify => {
                // It writes what it reads, and syncs nothing.
                assert_sound(&self.store);
                self.committed();
            }
            Action::Kill => {
                let may_be = self.uncommitted.clone();
                self.reopen(self.disk.after_kill(), &may_be);
            }
            Action::PowerLoss { names } => {
                let may_be = self.unsynced.clone();
                let image = self.disk.after_power_loss_choosing(&mut coin(names));
                self.reopen(image, &may_be);
            }
        }
    }

    fn put(&mut self, key: &Key, entry: &Entry, epoch_off: u64, is_new: bool) {
        let epoch = Epoch(self.state.epoch.0 + epoch_off);
        let applied = if is_new { self.store.put(epoch, key, entry) } else { self.store.absorb(epoch, key, entry) };
        if epoch_off > 0 {
            assert!(matches!(applied, Err(StoreRefusal::Epoch(own)) if own == self.state.epoch));
            return;
        }
        let held = self.state.held(key);
        let bound = match (is_new, held) {
            (true, _) => self.state.bound(key.token()),
            (false, None) => self.state.floor(key.token()),
            (false, Some(_)) => Stamp::ZERO,
        };
        match held {
            Some(held) if !entry.supersedes(held) => {
                assert!(matches!(applied, Ok(Applied::No { held: told, .. }) if told == held.stamp), "{applied:?}");
            }
            _ if entry.stamp <= bound => {
                assert!(matches!(applied, Err(StoreRefusal::BelowFloor(told)) if told == bound), "{applied:?}");
            }
            _ => {
                let Ok(Applied::Yes { position, known }) = applied else { panic!("{applied:?} by {entry:?}") };
                assert_eq!(known, held.is_some());
                self.wait_for(position);
                if self.cached.iter().any(|(cached, _)| cached == key) {
                    self.cache(key, entry.value.clone());
                }
                self.record(|state| {
                    state.versions.insert(key.clone(), entry.clone());
                });
            }
        }
    }

    fn get(&mut self, key: &Key) {
        let found = self.store.get(self.state.epoch, key).unwrap().found;
        assert_eq!(found.as_ref(), self.state.held(key));
        self.reads += 1;
        if let Some(value) = found.and_then(|entry| entry.value) {
            self.hits += u64::from(self.cached.iter().any(|(held, _)| held == key));
            self.cache(key, Some(value));
        }
    }

    fn discard(&mut self, ranges: &[TokenRange]) {
        let position = self.store.discard(self.state.epoch, ranges).unwrap();
        self.wait_for(position);
        // A shard at a time: a crash may come in between.
        for shard in 0..SHARDS as u64 {
            self.record(|state| {
                let of_shard = ranges.iter().filter(|range| range.first.0 >> 62 == shard);
                of_shard.for_each(|range| state.discard(*range));
            });
        }
        self.cached.retain(|(key, _)| self.state.versions.contains_key(key));
    }

    fn drop_deleted(&mut self, key: &Key, floor: Stamp) {
        let dropped = self.store.drop_deleted(self.state.epoch, key, floor).unwrap();
        let held = self.state.held(key);
        assert_eq!(dropped.is_some(), held.is_some_and(|entry| entry.value.is_some() && entry.stamp <= floor));
        if let Some(position) = dropped {
            self.wait_for(position);
            self.record(|state| {
                state.versions.remove(key);
                state.deleted.insert(key.token(), floor.max(state.cleared(key.token())));
            });
        }
        self.cached.retain(|(key, _)| self.state.versions.contains_key(key));
    }

    fn raise_epoch(&mut self, by: u64, discard: &[TokenRange], cleared: u64) {
        let epoch = Epoch(self.state.epoch.0 + by);
        let cleared = (cleared > 0).then(|| stamp(cleared));
        let upto = cleared.unwrap_or(Stamp::ZERO);
        let position = self.store.raise_epoch(epoch, b"topology", discard, upto).unwrap();
        self.wait_for(position);
        if by == 0 {
            return;
        }
        self.record(|state| discard.iter().for_each(|range| state.discard(*range)));
        self.record(|state| {
            state.versions.retain(|_, entry| entry.stamp > upto);
            state.cleared = state.cleared.max(cleared);
        });
        self.record(|state| state.epoch = epoch);
        self.cached.retain(|(key, _)| self.state.versions.contains_key(key));
    }

    fn maintain(&mut self) {
        self.store.maintain(Time(0)).unwrap();
        // A merge may have dropped tombstones below their floor, nothing else, and has then synced the log.
        let held = in_table(&self.store);
        let gone: Vec<Key> = self.state.versions.keys().filter(|key| !held.contains_key(key)).cloned().collect();
        for key in gone {
            let dropped = self.state.versions.remove(&key).unwrap();
            assert!(self.state.is_droppable(&key, &dropped), "{key:?} at {} is gone", dropped.stamp);
            self.synced();
        }
    }

    /// Opens what a crash left, which must be one of these states.
    fn reopen(&mut self, image: MemoryDisk, may_be: &[State]) {
        let (store, restored) = open(&image, 512);
        let mut versions: BTreeMap<Key, Entry> = contents(&store).into_iter().collect();
        for (key, slot) in in_table(&store) {
            versions.entry(key).or_insert_with(|| slot.entry(None));
        }
        let is_this = |state: &&State| {
            let of_keys = (0..KEYS).map(|number| key(number).token());
            let floors = (0..8).map(|eighth| Token(eighth << 61)).chain(of_keys).all(|token| {
                let (shard, only) = (store.table.lock(token), TokenRange { first: token, last: token });
                shard.floors(only) == [(only, state.raised(token))]
                    && shard.cleared(only) == [(only, state.cleared(token))]
                    && shard.bound(token) == state.bound(token)
            });
            let notes = restored.recovering == state.recovering && restored.clock >= state.clock;
            let held = State { versions: versions.clone(), ..(*state).clone() };
            floors && notes && store.epoch() == state.epoch && held.lasting() == state.lasting()
        };
        let Some(state) = may_be.iter().rev().find(is_this) else {
            panic!("{versions:?} with {restored:?} is none of {may_be:?}")
        };
        // A merge may have noted a later clock.
        self.state = State { versions: versions.clone(), clock: restored.clock, ..state.clone() };
        assert_sound(&store);
        store.sync().unwrap();
        let newest = self.state.versions.values().map(|entry| entry.stamp).max();
        assert!(restored.newest >= newest);
        (self.store, self.disk, self.position) = (store, image, None);
        (self.cached, self.reads, self.hits) = (Vec::new(), 0, 0);
        self.synced();
    }

    fn check(&mut self) {
        let lasting = self.state.lasting();
        let versions: Vec<_> = lasting.into_iter().map(|(key, entry)| (key.clone(), entry.stamp)).collect();
        assert_eq!(self.store.versions(&[TokenRange::ALL], None, usize::MAX), (versions, false));
        let stats = self.store.stats();
        let tombstones = self.state.versions.values().filter(|entry| entry.value.is_none()).count() as u64;
        assert_eq!((stats.keys + stats.tombstones, stats.tombstones), (self.state.versions.len() as u64, tombstones));
        let expiring = |entry: &&Entry| entry.value.is_some() && entry.expires.is_some();
        assert_eq!(stats.expiring, self.state.versions.values().filter(expiring).count() as u64);
        assert_eq!((stats.reads, stats.hits, stats.misses), (self.reads, self.hits, self.reads - self.hits));
        for number in 0..KEYS {
            let cached = self.cached.iter().find(|(held, _)| *held == key(number)).map(|(_, value)| value.clone());
            assert_eq!(self.store.cached(&key(number)), cached);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_the_plain_one_through_crashes_and_merges(actions in prop::collection::vec(action(), 0..250)) {
        let mut machine = Machine::new();
        for action in actions {
            machine.apply(action);
            machine.check();
        }
        assert_sound(&machine.store);
        machine.store.sync().unwrap();
        machine.synced();
        let may_be = machine.unsynced.clone();
        let image = machine.disk.after_power_loss();
        machine.reopen(image, &may_be);
        merge_all(&machine.store);
        assert_sound(&machine.store);
    }
}
