//! Threads that read and write while servers are killed, restarted, parted, added and removed: nothing that was
//! acknowledged is lost, what each key's readers and writers saw is linearizable, and in the end all copies are equal.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::sim::checkers::history::{self, Action, Observation};

const THREADS: u64 = 6;
/// Keys that all threads read and write; their histories are checked.
const CONTENDED: u64 = 6;
/// Keys of each thread alone: it knows what they must hold.
const OWN: u64 = 40;
/// Calls that run at least before the operator's next act.
const CALLS_BETWEEN: u64 = 150;

#[test]
fn nothing_acknowledged_is_lost_whatever_is_switched() {
    let directory = tempfile::tempdir().unwrap();
    let run = Run::new(directory.path());
    let mut notes = thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..THREADS).map(|me| scope.spawn(move || Worker::new(run, me).work())).collect();
        run.operate();
        run.is_over.store(true, Ordering::SeqCst);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let refused: u64 = notes.iter().map(|notes| notes.refused).sum();
    assert!(refused > 0, "the partitions were met");
    assert_equal(&run.store);
    judge(&run.store, &mut notes, &run.ticks);
    drop(run.store);
    let store = KeyValueStore::builder().directory(directory.path()).build().unwrap();
    judge(&store, &mut notes, &AtomicU64::new(u64::MAX / 2));
}

/// What is there now is what was acknowledged last.
fn judge(store: &KeyValueStore, notes: &mut [Notes], ticks: &AtomicU64) {
    for key in 0..CONTENDED {
        let start = ticks.fetch_add(1, Ordering::SeqCst);
        let value = store.get(contended(key)).unwrap().map(|bytes| parse(&bytes));
        let finish = Some(ticks.fetch_add(1, Ordering::SeqCst));
        notes[0].seen.push(Observation { key, start, finish, action: Action::Read(value) });
    }
    let seen: Vec<Observation<u64>> = notes.iter().flat_map(|notes| notes.seen.iter().cloned()).collect();
    let violations = history::check(&seen);
    assert!(violations.is_empty(), "{violations:#?}");
    for Notes { me, own, .. } in &*notes {
        for key in 0..OWN {
            let value = store.get(own_name(*me, key)).unwrap().map(|bytes| parse(&bytes));
            assert_eq!(value, own.get(&key).copied(), "{}", own_name(*me, key));
        }
    }
}

struct Run {
    store: KeyValueStore,
    /// A clock that all threads agree on.
    ticks: AtomicU64,
    calls: AtomicU64,
    /// Odd while there is a partition: then calls may fail.
    partitions: AtomicU64,
    is_over: AtomicBool,
}

impl Run {
    fn new(directory: &Path) -> Run {
        let store = KeyValueStore::builder().tokens(16).directory(directory).build().unwrap();
        for server in 1..=5 {
            store.add_server(&format!("node{server}")).unwrap();
        }
        let [ticks, calls, partitions] = [(); 3].map(|()| AtomicU64::new(0));
        Run { store, ticks, calls, partitions, is_over: AtomicBool::new(false) }
    }

    fn operate(&self) {
        for round in 0..4 {
            let [one, other] = [1, 3].map(|shift| format!("node{}", (round + shift) % 5 + 1));
            self.store.kill(&one).unwrap();
            self.let_them_work();
            // None fails while one is down: it needs who takes over to be there, or to be removed itself.
            assert!(self.store.join("guest", 1.0, &mut |_, _| ()).unwrap().is_some());
            self.let_them_work();
            self.store.restart(&one).unwrap().unwrap();
            self.let_them_work();
            self.store.leave(&["guest"], false, &mut |_, _| ()).unwrap();
            self.part(&[&one, &other], round % 2 == 1);
            self.kill_during_a_join(&other);
        }
    }

    fn part(&self, cut_off: &[&str], is_one_way: bool) {
        let others = self.store.servers().into_iter().filter(|server| !cut_off.contains(&&**server)).collect();
        self.partitions.fetch_add(1, Ordering::SeqCst);
        self.store.partition(&[cut_off.iter().map(|label| (*label).to_owned()).collect(), others], is_one_way).unwrap();
        self.let_them_work();
        let (ended, failed) = self.store.heal();
        assert!(ended.len() == 1 && failed.is_none(), "{failed:?}");
        self.partitions.fetch_add(1, Ordering::SeqCst);
    }

    /// Wherever that finds the change, it is complete in the end, or has not begun.
    fn kill_during_a_join(&self, victim: &str) {
        let joined = thread::scope(|scope| {
            let join = scope.spawn(|| self.store.join("visitor", 1.0, &mut |_, _| ()));
            self.store.kill(victim).unwrap();
            join.join().unwrap()
        });
        self.let_them_work();
        self.store.restart(victim).unwrap().unwrap();
        match joined {
            Ok(_) => self.store.leave(&["visitor"], false, &mut |_, _| ()).map(drop).unwrap(),
            Err(error) => assert!(["KV-E136", "KV-E301"].contains(&error.code()), "{error}"),
        }
        assert_eq!(self.store.ring_change(), None);
        if self.store.servers().contains(&"visitor".to_owned()) {
            self.store.leave(&["visitor"], false, &mut |_, _| ()).unwrap();
        }
    }

    /// Until so many calls more have ended: no timing decides.
    fn let_them_work(&self) {
        let until = self.calls.load(Ordering::SeqCst) + CALLS_BETWEEN;
        while self.calls.load(Ordering::SeqCst) < until {
            thread::yield_now();
        }
    }
}

/// What a thread knows when it is done.
#[derive(Default)]
struct Notes {
    me: u64,
    own: BTreeMap<u64, u64>,
    seen: Vec<Observation<u64>>,
    refused: u64,
}

struct Worker<'a> {
    run: &'a Run,
    random: u64,
    written: u64,
    notes: Notes,
}

impl<'a> Worker<'a> {
    fn new(run: &'a Run, me: u64) -> Worker<'a> {
        Worker { run, random: me + 1, written: 0, notes: Notes { me, ..Notes::default() } }
    }

    fn work(mut self) -> Notes {
        while !self.run.is_over.load(Ordering::SeqCst) {
            let (what, key) = (self.random() % 100, self.random());
            match what {
                0..30 => self.read_contended(key % CONTENDED),
                30..55 => self.write_contended(key % CONTENDED),
                55..75 => self.write_own(key % OWN),
                75..85 => self.remove_own(key % OWN),
                _ => self.check_own(key % OWN),
            }
        }
        self.notes
    }

    /// Calls, and sees to it that it fails only where there is a partition.
    fn call<T>(&mut self, call: impl FnOnce(&KeyValueStore) -> Result<T, Error>) -> Result<T, Error> {
        let before = self.run.partitions.load(Ordering::SeqCst);
        let result = call(&self.run.store);
        let after = self.run.partitions.load(Ordering::SeqCst);
        self.run.calls.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = &result {
            assert!(before % 2 == 1 || before != after, "{error}");
            assert!(["KV-E201", "KV-E202"].contains(&error.code()), "{error}");
            self.notes.refused += 1;
        }
        result
    }

    fn read_contended(&mut self, key: u64) {
        let start = self.tick();
        if let Ok(value) = self.call(|store| store.get(contended(key))) {
            let action = Action::Read(value.map(|bytes| parse(&bytes)));
            let finish = Some(self.tick());
            self.notes.seen.push(Observation { key, start, finish, action });
        }
    }

    /// A write of which nothing is known may take effect whenever it likes; one that was refused never does.
    fn write_contended(&mut self, key: u64) {
        let (value, start) = (self.unique(), self.tick());
        let finish = match self.call(|store| store.set(contended(key), value.to_le_bytes())) {
            Ok(()) => Some(self.tick()),
            Err(error) if error.code() == "KV-E201" => return,
            Err(_) => None,
        };
        self.notes.seen.push(Observation { key, start, finish, action: Action::Write(value) });
    }

    fn write_own(&mut self, key: u64) {
        let (name, value) = (self.name(key), self.unique());
        while self.call(|store| store.set(&name, value.to_le_bytes())).is_err() {}
        self.notes.own.insert(key, value);
    }

    fn remove_own(&mut self, key: u64) {
        let name = self.name(key);
        while self.call(|store| store.remove(&name)).is_err() {}
        self.notes.own.remove(&key);
    }

    fn check_own(&mut self, key: u64) {
        let name = self.name(key);
        if let Ok(value) = self.call(|store| store.get(&name)) {
            assert_eq!(value.map(|bytes| parse(&bytes)), self.notes.own.get(&key).copied(), "{name}");
        }
    }

    fn name(&self, key: u64) -> String {
        own_name(self.notes.me, key)
    }

    fn tick(&self) -> u64 {
        self.run.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// A value that nobody else writes.
    fn unique(&mut self) -> u64 {
        self.written += 1;
        self.notes.me << 40 | self.written
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

fn own_name(thread: u64, key: u64) -> String {
    format!("own{thread}-{key}")
}

fn contended(key: u64) -> String {
    format!("contended{key}")
}

fn parse(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}
