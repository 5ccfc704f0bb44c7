//! Sixteen threads read and write on real files while servers are added and removed: no call fails, nothing acknowledged
//! is lost, also when the directory is opened again, and what the readers and writers of each key saw is linearizable.

#![expect(clippy::unwrap_used, reason = "a call that fails fails its test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use kvsim::KeyValueStore;
use kvsim::sim::checkers::history::{self, Action, Observation};

const THREADS: u64 = 16;
/// Keys that all threads read and write; their histories are checked.
const CONTENDED: u64 = 8;
/// Keys of each thread alone: it knows what they must hold.
const OWN: u64 = 50;

#[test]
fn no_call_fails_while_servers_come_and_go() {
    Scenario { operations: 60_000, during_changes: 5_000, filler: 5_000 }.run();
}

#[test]
#[ignore = "a million operations: .ci/run runs it"]
fn a_million_operations_while_servers_come_and_go() {
    Scenario { operations: 1_000_000, during_changes: 100_000, filler: 50_000 }.run();
}

#[test]
fn of_many_removes_one_is_told_that_the_key_was_there() {
    let store = store();
    let removed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for key in 0..100 {
                    store.set(format!("key{key}"), "x").unwrap();
                }
            });
        }
    });
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for key in 0..100 {
                    removed.fetch_add(u64::from(store.remove(format!("key{key}")).unwrap()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(removed.into_inner(), 100);
    assert!(store.is_empty());
}

#[test]
fn a_second_ring_change_is_refused_with_its_progress() {
    let store = store();
    store.set_many((0..5_000).map(|key| (format!("key{key}"), "x"))).unwrap();
    let refused = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Until the other thread has met a change: it is retried, so no timing decides.
            while refused.load(Ordering::Relaxed) == 0 {
                for change in [store.add_server("node9"), store.remove_server("node9")] {
                    assert!(change.is_ok() || code(&change) == "KV-E301");
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            match store.add_server("node8") {
                Ok(_) => drop(store.remove_server("node8")),
                Err(error) => {
                    assert_eq!(error.code(), "KV-E301");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    assert_eq!(store.len(), 5_000);
}

#[test]
fn the_last_server_is_removed_or_keeps_what_was_acknowledged() {
    let (mut removed, mut kept) = (0, 0);
    // Until both have happened several times: no timing decides.
    for round in 0.. {
        let store = KeyValueStore::builder().tokens(1).build().unwrap();
        store.add_server("node1").unwrap();
        store.set("gone", "x").unwrap();
        store.remove("gone").unwrap();
        let (ended, start) = (AtomicBool::new(false), Barrier::new(3));
        let (removal, written, missed) = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut missed = 0;
                start.wait();
                while !ended.load(Ordering::Relaxed) {
                    missed += u64::from(code(&store.get("gone")) == "KV-E135");
                }
                missed
            });
            let writer = scope.spawn(|| {
                start.wait();
                match round % 3 {
                    0 => store.set("key", "x"),
                    1 => store.set_many((0..300).map(|key| (format!("key{key}"), "x"))),
                    _ => store.set("other", "x").and_then(|()| store.remove("other")).map(|_| ()),
                }
            });
            start.wait();
            let removal = store.remove_server("node1");
            let written = writer.join().unwrap();
            ended.store(true, Ordering::Relaxed);
            (removal, written, reader.join().unwrap())
        });
        match &removal {
            Ok(true) => {
                removed += 1;
                // Only a removed key can have been there before.
                assert!(round % 3 == 2 || code(&written) == "KV-E135", "{written:?}");
                assert_eq!(store.server_count(), 0);
            }
            refused => {
                kept += 1;
                assert_eq!(code(refused), "KV-E302");
                assert_eq!((code(&written), missed), ("", 0), "a refused removal was seen");
                assert_eq!(store.len(), [1, 300, 0][round % 3]);
            }
        }
        if removed >= 20 && kept >= 20 {
            break;
        }
    }
}

#[test]
fn no_write_fails_while_all_data_is_cleared() {
    let store = store();
    let (writes, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, writes, done) = (&store, &writes, &done);
            scope.spawn(move || {
                for key in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("key{}", key % 50);
                    if thread % 4 == 0 {
                        store.set_many([(&key, "x"), (&format!("{thread}"), "x")]).unwrap();
                    } else {
                        store.set(&key, "x").unwrap();
                    }
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Until many writes ran beside each of many clearings: no timing decides.
        for clearing in 1..=200 {
            while writes.load(Ordering::Relaxed) < clearing * 20 {
                thread::yield_now();
            }
            store.clear_data().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    store.set("key0", "after").unwrap();
    assert_eq!(store.get("key0").unwrap().as_deref(), Some(&b"after"[..]));
}

/// How much is done.
struct Scenario {
    /// Calls in all, at least.
    operations: u64,
    /// Of them, begun and ended while a ring change was between its first and its last stage, at least.
    during_changes: u64,
    /// Keys that are only there to be copied.
    filler: u64,
}

impl Scenario {
    fn run(&self) {
        let directory = tempfile::tempdir().unwrap();
        let ticks = AtomicU64::new(0);
        let mut history = self.play(directory.path(), &ticks);
        // A closed store has let go of everything that is not in its files.
        let store = KeyValueStore::builder().directory(directory.path()).build().unwrap();
        assert_eq!(store.recovery_notes(), [""; 0]);
        self.judge(&store, &ticks, &mut history);
    }

    fn play(&self, directory: &Path, ticks: &AtomicU64) -> History {
        let store = with_servers(KeyValueStore::builder().directory(directory).build().unwrap());
        store.set_many((0..self.filler).map(|key| (format!("filler{key}"), number(key)))).unwrap();
        let run = Run {
            store: &store,
            ticks,
            calls: AtomicU64::new(0),
            during: AtomicU64::new(0),
            changed: AtomicBool::new(false),
        };
        let mut history = History::default();
        thread::scope(|scope| {
            let run = &run;
            let workers: Vec<_> =
                (0..THREADS).map(|me| scope.spawn(move || Worker::new(run, me).work(self.operations))).collect();
            self.change_servers(run);
            run.changed.store(true, Ordering::Relaxed);
            for worker in workers {
                let Worker { seen, own, me, .. } = worker.join().unwrap();
                history.seen.extend(seen);
                history.own.extend(own.into_iter().map(|(key, value)| (own_name(me, key), value)));
            }
        });
        let (calls, during) = (run.calls.into_inner(), run.during.into_inner());
        println!("{calls} calls, {during} of them during a ring change, no failure");
        assert!(calls >= self.operations && during >= self.during_changes);
        self.judge(&store, ticks, &mut history);
        history
    }

    /// What is there now is what was acknowledged last, on all the servers where it belongs and on no other.
    fn judge(&self, store: &KeyValueStore, ticks: &AtomicU64, history: &mut History) {
        for key in 0..CONTENDED {
            let read = || Action::Read(store.get(contended(key)).unwrap().map(|bytes| parse(&bytes)));
            history.seen.push(observe(ticks, key, read));
        }
        let violations = history::check(&history.seen);
        assert!(violations.is_empty(), "{violations:#?}");
        println!("{} observations are linearizable", history.seen.len());
        for (name, value) in &history.own {
            assert_eq!(store.get(name).unwrap(), Some(number(*value)), "{name}");
        }
        for key in 0..self.filler {
            assert_eq!(store.get(format!("filler{key}")).unwrap(), Some(number(key)), "filler{key}");
        }
        let of_server = |server: &String| store.keys_for_server(server).unwrap().len();
        assert_eq!(store.servers().iter().map(of_server).sum::<usize>(), 3 * store.len());
        assert_eq!(store.len(), history.own.len() + (self.filler + CONTENDED) as usize, "no more and no less");
    }

    /// Adds a server and removes another, until enough calls ran meanwhile.
    fn change_servers(&self, run: &Run) {
        for turn in 1.. {
            assert!(run.store.add_server(&format!("node{}", turn + 4)).unwrap());
            assert!(run.store.remove_server(&format!("node{turn}")).unwrap());
            if run.during.load(Ordering::Relaxed) >= self.during_changes {
                return;
            }
        }
    }
}

/// What the threads share.
struct Run<'a> {
    store: &'a KeyValueStore,
    /// A clock that all threads agree on.
    ticks: &'a AtomicU64,
    calls: AtomicU64,
    during: AtomicU64,
    /// Whether all ring changes are done.
    changed: AtomicBool,
}

/// What is known of the keys when all threads are done.
#[derive(Default)]
struct History {
    /// Every call on the contended ones.
    seen: Vec<Observation<u64>>,
    /// What those hold that one thread had for itself.
    own: BTreeMap<String, u64>,
}

fn observe(ticks: &AtomicU64, key: u64, call: impl FnOnce() -> Action) -> Observation<u64> {
    let start = ticks.fetch_add(1, Ordering::SeqCst);
    let action = call();
    let finish = Some(ticks.fetch_add(1, Ordering::SeqCst));
    Observation { key, start, finish, action }
}

struct Worker<'a> {
    run: &'a Run<'a>,
    me: u64,
    random: u64,
    written: u64,
    /// What the keys of this thread alone hold.
    own: BTreeMap<u64, u64>,
    seen: Vec<Observation<u64>>,
}

impl<'a> Worker<'a> {
    fn new(run: &'a Run<'a>, me: u64) -> Worker<'a> {
        Worker { run, me, random: me + 1, written: 0, own: BTreeMap::new(), seen: Vec::new() }
    }

    /// Calls until the threads together have made `operations` calls and the ring has changed.
    fn work(mut self, operations: u64) -> Worker<'a> {
        while self.run.calls.load(Ordering::Relaxed) < operations || !self.run.changed.load(Ordering::Relaxed) {
            let before = self.run.store.ring_change();
            self.call();
            self.run.calls.fetch_add(1, Ordering::Relaxed);
            if before.is_some() && self.run.store.ring_change().is_some() {
                self.run.during.fetch_add(1, Ordering::Relaxed);
            }
        }
        for key in 0..OWN {
            self.check_own(key);
        }
        self
    }

    fn call(&mut self) {
        let (what, key) = (self.random() % 100, self.random());
        match what {
            0..45 => self.read_contended(key % CONTENDED),
            45..80 => self.write_contended(key % CONTENDED),
            80..88 => self.write_own(key % OWN),
            88..95 => self.remove_own(key % OWN),
            _ => self.check_own(key % OWN),
        }
    }

    fn read_contended(&mut self, key: u64) {
        let store = self.run.store;
        let read = || Action::Read(store.get(contended(key)).unwrap().map(|bytes| parse(&bytes)));
        self.seen.push(observe(self.run.ticks, key, read));
    }

    fn write_contended(&mut self, key: u64) {
        let value = self.unique();
        let write = || {
            self.run.store.set(contended(key), number(value)).unwrap();
            Action::Write(value)
        };
        self.seen.push(observe(self.run.ticks, key, write));
    }

    fn write_own(&mut self, key: u64) {
        let value = self.unique();
        self.run.store.set(self.name(key), number(value)).unwrap();
        self.own.insert(key, value);
    }

    fn remove_own(&mut self, key: u64) {
        let existed = self.run.store.remove(self.name(key)).unwrap();
        assert_eq!(existed, self.own.remove(&key).is_some(), "removing {}", self.name(key));
    }

    fn check_own(&self, key: u64) {
        let found = self.run.store.get(self.name(key)).unwrap().map(|bytes| parse(&bytes));
        assert_eq!(found, self.own.get(&key).copied(), "{}", self.name(key));
    }

    fn name(&self, key: u64) -> String {
        own_name(self.me, key)
    }

    /// A value that nobody else writes.
    fn unique(&mut self) -> u64 {
        self.written += 1;
        self.me << 40 | self.written
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

fn store() -> KeyValueStore {
    with_servers(KeyValueStore::new())
}

fn with_servers(store: KeyValueStore) -> KeyValueStore {
    for label in ["node1", "node2", "node3", "node4"] {
        store.add_server(label).unwrap();
    }
    store
}

fn own_name(thread: u64, key: u64) -> String {
    format!("own{thread}-{key}")
}

fn contended(key: u64) -> String {
    format!("contended{key}")
}

fn number(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn parse(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn code<T>(result: &Result<T, kvsim::Error>) -> &'static str {
    result.as_ref().err().map_or("", kvsim::Error::code)
}
