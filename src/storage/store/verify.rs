//! WAL-3 and CACHE-1, checked: the log read again and folded in the plainest way, against table, counts and cache.
//!
//! The fold here shares no code with the one that opening uses: maps and lists, no shards, nothing incremental. It is
//! told what it may rely upon (a later record wins a tie) and then checks that as well, by reading both records.
//!
//! Caveats: everything else waits while it runs, O(log + cache) reads; memory grows with the keys, twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::super::table::{Usage, digest_of};
use super::*;
use crate::sync::PoisonError;
use crate::types::Token;

impl Store {
    /// WAL-3, CACHE-1 and STAT-1: reads the whole log again, folds it, and compares it with table, digests, counts and
    /// cache. Each difference is a sentence that begins with the invariant (the first 100 of them); none is health.
    /// Writes what is staged first; an error is a log that cannot be read or has failed. Holds every lock: for checkers.
    pub fn verify(&self) -> Result<Vec<String>, StorageError> {
        let _merging = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        let control = self.control();
        let shards = self.table.lock_all();
        self.log.write()?;
        let mut naive = Naive::default();
        self.log.scan(&mut |at, record| naive.apply(at, record))?;
        let mut check = Check { differences: Vec::new(), naive, shards: &shards, control: &control };
        check.versions();
        check.floors(&self.table);
        check.counts(&self.table);
        check.control(self.epoch());
        self.check_ties(&mut check)?;
        self.check_cache(&mut check)?;
        Ok(check.differences)
    }

    fn check_ties(&self, check: &mut Check<'_>) -> Result<(), StorageError> {
        for (old, new) in std::mem::take(&mut check.naive.ties) {
            let (old, new) = (self.log.read(old)?, self.log.read(new)?);
            if let (Body::Version { entry: old, .. }, Body::Version { key, entry: new }) = (old.body, new.body)
                && !new.supersedes(&old)
            {
                check.differs(
                    "WAL-3",
                    format!("the log has {} at {} twice, and the later one loses the tie", shown(&key), new.stamp),
                );
            }
        }
        Ok(())
    }

    fn check_cache(&self, check: &mut Check<'_>) -> Result<(), StorageError> {
        let stats = self.cache.stats();
        if stats.entries > self.cache.capacity() {
            check.differs(
                "CACHE-1",
                format!("the cache holds {} values, {} at most", stats.entries, self.cache.capacity()),
            );
        }
        let reads: u64 = check.shards.iter().map(|shard| shard.reads).sum();
        if reads != stats.hits + stats.misses {
            check.differs("STAT-1", format!("{reads} reads, but {} hits and {} misses", stats.hits, stats.misses));
        }
        let (mut reached, mut differ) = (0, Vec::new());
        for (key, slot) in check.shards.iter().flat_map(|shard| shard.within(TokenRange::ALL)) {
            let Some(cached) = self.cache.peek(key, slot.stamp, slot.cached) else { continue };
            reached += 1;
            let value = match check.naive.versions.get(key) {
                Some(slot) if !slot.tombstone => Some(self.read_value(key, slot.at)?),
                _ => None,
            };
            if value.as_ref() != Some(&cached) {
                differ.push(format!("the cache has another value of {} than the log", shown(key)));
            }
        }
        differ.into_iter().for_each(|how| check.differs("CACHE-1", how));
        if reached != stats.entries {
            let lost = stats.entries.abs_diff(reached);
            check.differs("CACHE-1", format!("the cache has {lost} values that the table does not lead to"));
        }
        Ok(())
    }
}

/// The log's records folded without any cleverness.
#[derive(Default)]
struct Naive {
    versions: BTreeMap<Key, Slot>,
    /// Records of one key with one stamp: the earlier and the later.
    ties: Vec<(Location, Location)>,
    /// In log order: raised to a floor, or forgotten.
    floors: Vec<(TokenRange, Option<Stamp>)>,
    /// The same of what was promised.
    promises: Vec<(TokenRange, Option<Stamp>)>,
    cleared: Vec<(TokenRange, Stamp)>,
    epoch: Epoch,
    topology: Option<Location>,
    clock: Option<(Location, Time)>,
    recovering: Option<(Location, bool)>,
    boot: Option<(Location, Option<u128>)>,
    ballot: Option<Location>,
    incarnation: Option<(Location, u64)>,
    /// Discards, floors and promises.
    lasting: Vec<(Location, Body)>,
}

impl Naive {
    fn apply(&mut self, at: Location, record: Record) {
        if matches!(record.body, Body::Discard { .. } | Body::Floor { .. } | Body::Promise { .. }) {
            self.lasting.push((at, record.body.clone()));
        }
        match record.body {
            Body::Version { key, entry } => {
                let slot = Slot::new(&entry, at, Place::NONE);
                match self.versions.get(&key) {
                    Some(held) if held.stamp > slot.stamp => return,
                    Some(held) if held.stamp == slot.stamp => self.ties.push((held.at, at)),
                    _ => {}
                }
                self.versions.insert(key, slot);
            }
            Body::Discard { ranges, upto } => {
                self.versions
                    .retain(|key, slot| slot.stamp > upto || !ranges.iter().any(|range| range.contains(key.token())));
                for range in ranges {
                    if upto == Stamp::MAX {
                        self.floors.push((range, None));
                        self.promises.push((range, None));
                    } else {
                        self.cleared.push((range, upto));
                    }
                }
            }
            Body::Floor { range, stamp } => self.floors.push((range, Some(stamp))),
            Body::Promise { range, stamp } => self.promises.push((range, Some(stamp))),
            Body::Topology { .. } => {
                self.epoch = record.epoch;
                self.topology = Some(at);
            }
            Body::Clock { time } => self.clock = Some((at, time)),
            Body::Recovering { recovering } => self.recovering = Some((at, recovering)),
            Body::Boot { boot } => self.boot = Some((at, boot)),
            Body::Ballot { .. } => self.ballot = Some(at),
            Body::Incarnation { incarnation } => self.incarnation = Some((at, incarnation)),
        }
    }

    fn floor(&self, token: Token) -> Stamp {
        let cleared = self.cleared.iter().filter(|(range, _)| range.contains(token)).map(|(_, upto)| *upto);
        cleared.fold(raised(&self.floors, token), Stamp::max)
    }

    /// Up to where puts are refused.
    fn bound(&self, token: Token) -> Stamp {
        self.floor(token).max(raised(&self.promises, token))
    }

    /// Every token at which a floor or a promise may change.
    fn edges(&self) -> BTreeSet<Token> {
        let floors = self.floors.iter().chain(&self.promises).map(|(range, _)| range);
        let ranges = floors.chain(self.cleared.iter().map(|(range, _)| range));
        let behind = |range: &TokenRange| range.last.0.checked_add(1).map(Token);
        let edges = ranges.flat_map(|range| [Some(range.first), Some(range.last), behind(range)]);
        edges.flatten().chain([Token(0), Token(u64::MAX)]).collect()
    }
}

/// The highest of `changes` at `token` since it was last forgotten there.
fn raised(changes: &[(TokenRange, Option<Stamp>)], token: Token) -> Stamp {
    let here = changes.iter().filter(|(range, _)| range.contains(token));
    here.fold(Stamp::ZERO, |raised, (_, change)| change.map_or(Stamp::ZERO, |to| raised.max(to)))
}

/// The comparison of one naive fold with the store.
struct Check<'a> {
    differences: Vec<String>,
    naive: Naive,
    shards: &'a [Locked<'a>],
    control: &'a Control,
}

/// As people know it.
fn shown(key: &Key) -> impl Display + '_ {
    key.bytes().escape_ascii()
}

impl Check<'_> {
    fn differs(&mut self, invariant: &str, how: String) {
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(format!("{invariant} {how}"));
        }
    }

    fn versions(&mut self) {
        let mut table = BTreeMap::new();
        for shard in self.shards {
            let versions = shard.within(TokenRange::ALL);
            table.extend(versions.map(|(key, slot)| (key.clone(), Slot { cached: Place::NONE, ..slot })));
        }
        let log = std::mem::take(&mut self.naive.versions);
        for (key, slot) in &log {
            match table.get(key) {
                None => self
                    .differs("WAL-3", format!("the table lacks {} at {}, which the log has", shown(key), slot.stamp)),
                Some(held) if held != slot => {
                    self.differs("WAL-3", format!("the table has {} as {held:?}, the log as {slot:?}", shown(key)));
                }
                Some(_) => {}
            }
        }
        for key in table.keys().filter(|key| !log.contains_key(*key)) {
            self.differs("WAL-3", format!("the table has {}, which the log lacks", shown(key)));
        }
        self.naive.versions = log;
    }

    fn floors(&mut self, table: &Table) {
        for token in self.naive.edges() {
            let only = TokenRange { first: token, last: token };
            for (index, _) in table.parts(only) {
                let (held, logged) = (self.shards[index].floor(token), self.naive.floor(token));
                if held != logged {
                    self.differs("WAL-3", format!("the floor at token {} is {held}, by the log {logged}", token.0));
                }
                let (held, logged) = (self.shards[index].bound(token), self.naive.bound(token));
                if held != logged {
                    self.differs("WAL-3", format!("the promise at token {} is {held}, by the log {logged}", token.0));
                }
            }
        }
    }

    fn counts(&mut self, table: &Table) {
        let versions = std::mem::take(&mut self.naive.versions);
        let mut ahead = versions.iter().peekable();
        for (index, part) in table.parts(TokenRange::ALL) {
            let (mut keys, mut expiring, mut tombstones, mut digest) = (0, 0, 0, RangeDigest::default());
            let mut usage = BTreeMap::<u32, Usage>::new();
            while let Some((key, slot)) = ahead.next_if(|(key, _)| part.contains(key.token())) {
                *(if slot.tombstone { &mut tombstones } else { &mut keys }) += 1;
                expiring += u64::from(slot.expires.is_some() && !slot.tombstone);
                let droppable = slot.tombstone && slot.stamp <= self.naive.floor(key.token());
                if !droppable {
                    digest.versions += 1;
                    digest.tombstones += u64::from(slot.tombstone);
                    digest.sum = digest.sum.wrapping_add(digest_of(key, slot.stamp));
                }
                let of = usage.entry(slot.at.segment).or_default();
                *(if droppable { &mut of.droppable } else { &mut of.kept }) += u64::from(slot.at.length);
            }
            let shard = &self.shards[index];
            let held = (shard.keys(), shard.expiring(), shard.tombstones(), shard.digest(), shard.usage());
            let logged = (keys, expiring, tombstones, digest, usage);
            if held != logged {
                self.differs("WAL-3", format!("shard {index} counts {held:?}, by the log {logged:?}"));
            }
        }
        self.naive.versions = versions;
    }

    fn control(&mut self, epoch: Epoch) {
        let Control { topology, clock, recovering, boot, ballot, incarnation, .. } = *self.control;
        let held = (epoch, topology, clock, recovering, boot, ballot, incarnation);
        let Naive { epoch, topology, clock, recovering, boot, ballot, incarnation, .. } = self.naive;
        let logged = (epoch, topology, clock, recovering, boot, ballot, incarnation);
        if held != logged {
            let what = "epoch, topology, clock, recovering, boot, ballot and incarnation";
            self.differs("WAL-3", format!("{what} are {held:?}, by the log {logged:?}"));
        }
        let mut again = Control::new();
        for (at, body) in &self.naive.lasting {
            again.note(*at, body);
        }
        let clock = clock.map(|(at, _)| at);
        let recovering = recovering.map(|(at, _)| at);
        let boot = boot.map(|(at, _)| at);
        let incarnation = incarnation.map(|(at, _)| at);
        let notes = [topology, clock, recovering, boot, ballot, incarnation];
        let mut logged: BTreeMap<u32, Usage> = again.usage().collect();
        for at in notes.into_iter().flatten() {
            logged.entry(at.segment).or_default().kept += u64::from(at.length);
        }
        let held: BTreeMap<u32, Usage> = self.control.usage().collect();
        if held != logged {
            self.differs("WAL-3", format!("the control records take {held:?}, by the log {logged:?}"));
        }
    }
}

/// A store that differs everywhere would otherwise fill the memory with sentences.
const MAX_DIFFERENCES: usize = 100;
