//! Reads and writes of the embedded store: real threads, real files.

use super::data::Data;
use super::flags::Workload;
use super::workers::{self, Failures, Measured, Worker};
use super::{BenchError, Task};
use crate::error::Error;
use crate::sim::rng::Rng;
use crate::store_api::KeyValueStore;

/// Measures one of the workloads that ask a store that is open.
pub(super) fn measure(workload: Workload, task: &Task<'_>) -> Result<Measured, BenchError> {
    let cache_entries = match workload {
        // Every node has room for every key, however the ring shares them out.
        Workload::Read => Some(task.data.len() as usize),
        Workload::ReadCold => Some(0),
        _ => None,
    };
    let store = open(task, cache_entries)?;
    store.make_scratch();
    load(&store, task)?;
    if workload == Workload::Read {
        // A write may leave its value in no cache, or in others than those that reads ask.
        read_all(&store, task, |_, _| true)?;
    }
    let mut measured = run(workload, &store, task);
    if !matches!(workload, Workload::Read | Workload::ReadCold) {
        measured.failures.merge(read_all(&store, task, |_, _| true)?);
    }
    Ok(measured)
}

fn run(workload: Workload, store: &KeyValueStore, task: &Task<'_>) -> Measured {
    let hands = |thread| Hands { store, data: task.data, order: task.data.order(thread), value: Vec::new(), round: 0 };
    let threads = 0..task.settings.threads;
    match workload {
        Workload::WriteBatched => {
            let mut workers: Vec<_> = threads.map(|thread| BatchWriter::new(hands(thread))).collect();
            workers::measure(&mut workers, task.settings.in_flight as u64, task)
        }
        Workload::Read | Workload::ReadCold => {
            workers::measure(&mut threads.map(|thread| Reader(hands(thread))).collect::<Vec<_>>(), 1, task)
        }
        Workload::Mixed => {
            workers::measure(&mut threads.map(|thread| Mixer(hands(thread))).collect::<Vec<_>>(), 1, task)
        }
        _ => workers::measure(&mut threads.map(|thread| Writer(hands(thread))).collect::<Vec<_>>(), 1, task),
    }
}

/// The task's store, with its nodes; in a directory that exists, what is there.
pub(super) fn open(task: &Task<'_>, cache_entries: Option<usize>) -> Result<KeyValueStore, Error> {
    let settings = task.settings;
    let builder = KeyValueStore::builder()
        .directory(&task.place)
        .copies(settings.copies)
        .tokens(settings.vnodes)
        .sync(settings.sync)
        .read_level(settings.level)
        .write_level(settings.level);
    let builder = cache_entries.into_iter().fold(builder, |builder, entries| builder.cache_entries(entries));
    let store = builder.build()?;
    if store.server_count() == 0 {
        for number in 1..=settings.nodes {
            store.add_server(&format!("node{number}"))?;
        }
    }
    Ok(store)
}

/// Writes every key once, and syncs that, so that it is not paid for later.
fn load(store: &KeyValueStore, task: &Task<'_>) -> Result<(), Error> {
    task.progress.begin("loading", u64::from(task.data.len()));
    write_rounds(store, task, u64::from(task.data.len()))?;
    store.sync()
}

/// Writes the keys in turn, round after round, `puts` in all; fewer when the run is stopped.
pub(super) fn write_rounds(store: &KeyValueStore, task: &Task<'_>, puts: u64) -> Result<(), Error> {
    let keys = u64::from(task.data.len());
    for first in (0..puts).step_by(LOADED_AT_ONCE as usize) {
        if task.is_stopped() {
            return Ok(());
        }
        let pairs = (first..puts.min(first + LOADED_AT_ONCE)).map(|put| {
            let mut value = Vec::new();
            let key = (put % keys) as u32;
            task.data.fill(key, (put / keys) as u32, &mut value);
            (task.data.key(key), value)
        });
        store.set_many(pairs)?;
        task.progress.set(first);
    }
    Ok(())
}

/// Reads every key and counts those whose value was never written, or whose round is not `right`.
pub(super) fn read_all(
    store: &KeyValueStore,
    task: &Task<'_>,
    right: impl Fn(u32, u32) -> bool,
) -> Result<Failures, Error> {
    let mut failures = Failures::default();
    task.progress.begin("reading back", u64::from(task.data.len()));
    for first in (0..task.data.len()).step_by(LOADED_AT_ONCE as usize) {
        if task.is_stopped() {
            break;
        }
        let keys = first..task.data.len().min(first + LOADED_AT_ONCE as u32);
        let values = store.get_many(keys.clone().map(|key| task.data.key(key)))?;
        for (key, value) in keys.zip(values) {
            match task.data.round(key, value.as_deref()) {
                Ok(round) if right(key, round) => {}
                Ok(_) => failures.add(1, || format!("key {key} has a value that was replaced")),
                Err(problem) => failures.add(1, || problem),
            }
        }
        task.progress.set(u64::from(first));
    }
    Ok(failures)
}

/// What every kind of worker has.
struct Hands<'a> {
    store: &'a KeyValueStore,
    data: &'a Data,
    order: Rng,
    /// Kept for its memory.
    value: Vec<u8>,
    round: u32,
}

impl Hands<'_> {
    fn write(&mut self) -> Result<(), String> {
        let key = self.data.choose(&mut self.order);
        self.round = self.round.wrapping_add(1);
        self.data.fill(key, self.round, &mut self.value);
        self.store.set(self.data.key(key), &self.value).map_err(|error| error.to_string())
    }

    /// The round of a value that is the key's.
    fn read(&mut self) -> Result<u32, String> {
        let key = self.data.choose(&mut self.order);
        let value = self.store.get_shared(self.data.key(key)).map_err(|error| error.to_string())?;
        self.data.round(key, value.as_deref())
    }
}

struct Writer<'a>(Hands<'a>);

impl Worker for Writer<'_> {
    fn call(&mut self, _: u64) -> Result<(), String> {
        self.0.write()
    }
}

struct Reader<'a>(Hands<'a>);

impl Worker for Reader<'_> {
    fn call(&mut self, _: u64) -> Result<(), String> {
        match self.0.read()? {
            0 => Ok(()),
            round => Err(format!("a value of round {round}, which nobody has written")),
        }
    }
}

/// Half writes, half reads. What it reads is another thread's as often as its own, so any round will do.
struct Mixer<'a>(Hands<'a>);

impl Worker for Mixer<'_> {
    fn call(&mut self, _: u64) -> Result<(), String> {
        if self.0.order.next_u64() >> 63 == 0 { self.0.write() } else { self.0.read().map(|_| ()) }
    }
}

/// Writes batches, its values in memory of their own.
struct BatchWriter<'a> {
    hands: Hands<'a>,
    keys: Vec<u32>,
    values: Vec<Vec<u8>>,
}

impl<'a> BatchWriter<'a> {
    fn new(hands: Hands<'a>) -> BatchWriter<'a> {
        BatchWriter { hands, keys: Vec::new(), values: Vec::new() }
    }
}

impl Worker for BatchWriter<'_> {
    fn call(&mut self, ops: u64) -> Result<(), String> {
        let BatchWriter { hands, keys, values } = self;
        let Hands { store, data, order, round, .. } = hands;
        keys.clear();
        keys.extend((0..ops).map(|_| data.choose(order)));
        values.resize_with(keys.len(), Vec::new);
        for (key, value) in keys.iter().zip(values.iter_mut()) {
            *round = round.wrapping_add(1);
            data.fill(*key, *round, value);
        }
        let pairs = keys.iter().zip(values.iter()).map(|(key, value)| (data.key(*key), value));
        store.set_many(pairs).map_err(|error| error.to_string())
    }
}

/// Keys written or read in one call where nothing is measured.
const LOADED_AT_ONCE: u64 = 256;
