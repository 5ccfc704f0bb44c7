//! Threads that call one [`KeyValueStore`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kvsim::KeyValueStore;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::calls::{Call, What, is_linearizable};
use crate::play::{play, play_twice};

const KEYS: usize = 2;
const COPIES: usize = 3;

#[test]
fn what_clients_see_is_linearizable() {
    play(1_000, clients);
}

#[test]
fn a_schedule_plays_the_same_again() {
    play_twice(50, clients);
}

fn clients() {
    let run = Run::new(3);
    let clients = run.start(3, 3);
    clients.into_iter().for_each(|client| client.join().unwrap());
    run.judge();
}

#[test]
fn a_ring_change_is_not_seen() {
    play(500, || {
        let run = Run::new(3);
        run.step();
        let clients = run.start(2, 3);
        assert!(run.store.add_server("node4").unwrap());
        assert!(run.store.remove_server("node1").unwrap());
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(run.store.servers(), ["node2", "node3", "node4"]);
        run.judge();
    });
}

/// From one server to two and back: one copy, then two, and the node that all had asked goes.
#[test]
fn a_ring_that_grows_and_shrinks_is_not_seen() {
    play(500, || {
        let run = Run::new(1);
        run.step();
        let clients = run.start(2, 3);
        assert!(run.store.add_server("node2").unwrap());
        assert!(run.store.remove_server("node1").unwrap());
        clients.into_iter().for_each(|client| client.join().unwrap());
        run.judge();
    });
}

#[test]
fn no_write_fails_while_all_data_is_cleared() {
    play(500, || {
        let run = Run::new(2);
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let run = Arc::clone(&run);
                thread::spawn(move || run.store.set_many([(name(writer), "x"), (name(1), "y")]).unwrap())
            })
            .collect();
        run.store.clear_data().unwrap();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_copies(&run.store);
        run.store.set(name(0), "after").unwrap();
        assert_eq!(run.store.get(name(0)).unwrap().as_deref(), Some(&b"after"[..]));
    });
}

#[test]
fn of_many_removes_one_is_told_that_the_key_was_there() {
    play(500, || {
        let run = Run::new(3);
        run.store.set(name(0), "x").unwrap();
        let remove = || {
            let run = Arc::clone(&run);
            thread::spawn(move || run.store.remove(name(0)).unwrap())
        };
        let removes = [remove(), remove(), remove()];
        let told = removes.map(|remove| remove.join().unwrap());
        assert_eq!(told.iter().filter(|told| **told).count(), 1, "{told:?}");
        assert!(run.store.is_empty());
    });
}

#[test]
fn of_two_ring_changes_one_is_refused_or_waits_its_turn() {
    play(200, || {
        let run = Run::new(2);
        run.store.set(name(0), "x").unwrap();
        let other = {
            let run = Arc::clone(&run);
            thread::spawn(move || run.store.remove_server("node1").map_err(|error| error.code()))
        };
        let one = run.store.add_server("node3").map_err(|error| error.code());
        let other = other.join().unwrap();
        let ended = [one, other].map(|ended| ended.is_err_and(|code| code == "KV-E301") || ended == Ok(true));
        assert_eq!(ended, [true, true], "{one:?} {other:?}");
        assert!(one.is_ok() || other.is_ok());
        assert_eq!(run.store.server_count(), 2 + usize::from(one.is_ok()) - usize::from(other.is_ok()));
        assert_copies(&run.store);
        assert_eq!(run.store.get(name(0)).unwrap().as_deref(), Some(&b"x"[..]));
    });
}

#[test]
fn the_last_server_is_removed_or_keeps_what_was_acknowledged() {
    play(500, || {
        let run = Run::new(1);
        let writer = {
            let run = Arc::clone(&run);
            thread::spawn(move || run.store.set(name(0), "x").map_err(|error| error.code()))
        };
        let removed = run.store.remove_server("node1").map_err(|error| error.code());
        match (removed, writer.join().unwrap()) {
            (Ok(true), Err("KV-E135")) => assert_eq!(run.store.server_count(), 0),
            (Err("KV-E302"), Ok(())) => assert_eq!(run.store.len(), 1),
            ended => panic!("{ended:?}"),
        }
    });
}

/// A store and what its clients saw of it. Its own locks and counts are the system's: no part of the schedule.
struct Run {
    store: KeyValueStore,
    /// A clock that all threads agree on.
    ticks: AtomicU64,
    values: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

impl Run {
    /// A store of node1, node2 and so on.
    fn new(servers: usize) -> Arc<Run> {
        let store = KeyValueStore::builder().tokens(2).copies(COPIES as u8).cache_entries(1).build().unwrap();
        for server in 1..=servers {
            assert!(store.add_server(&format!("node{server}")).unwrap());
        }
        Arc::new(Run { store, ticks: AtomicU64::new(1), values: AtomicU64::new(0), calls: Mutex::default() })
    }

    fn start(self: &Arc<Run>, clients: usize, steps: usize) -> Vec<thread::JoinHandle<()>> {
        let client = |_| {
            let run = Arc::clone(self);
            thread::spawn(move || (0..steps).for_each(|_| run.step()))
        };
        (0..clients).map(client).collect()
    }

    /// One call. Which one is part of the schedule.
    fn step(&self) {
        let key = thread_rng().gen_range(0..KEYS);
        match thread_rng().gen_range(0..10) {
            0..4 => {
                let value = self.value();
                self.observe(&[key], || {
                    self.store.set(name(key), value.to_le_bytes()).unwrap();
                    vec![What::Set(value)]
                });
            }
            4 => {
                let values = [self.value(), self.value()];
                self.observe(&[0, 1], || {
                    self.store.set_many([0, 1].map(|key| (name(key), values[key].to_le_bytes()))).unwrap();
                    values.map(What::Set).to_vec()
                });
            }
            5..8 => self.read(key),
            _ => self.observe(&[key], || {
                let was_there = self.store.remove(name(key)).unwrap();
                vec![if was_there { What::Remove } else { What::Get(None) }]
            }),
        }
    }

    fn read(&self, key: usize) {
        self.observe(&[key], || {
            let found = self.store.get(name(key)).unwrap();
            vec![What::Get(found.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())))]
        });
    }

    fn observe(&self, keys: &[usize], call: impl FnOnce() -> Vec<What>) {
        let start = self.ticks.fetch_add(1, Ordering::SeqCst);
        let whats = call();
        let finish = self.ticks.fetch_add(1, Ordering::SeqCst);
        let calls = keys.iter().zip(whats).map(|(key, what)| Call { key: *key, start, finish, what });
        self.calls.lock().unwrap().extend(calls);
    }

    /// A value that nobody else writes.
    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::SeqCst)
    }

    /// When all threads are done: what they saw, and what is there now, must be explained by one order of the calls.
    fn judge(&self) {
        (0..KEYS).for_each(|key| self.read(key));
        let calls = self.calls.lock().unwrap();
        for key in 0..KEYS {
            let of_key: Vec<Call> = calls.iter().filter(|call| call.key == key).copied().collect();
            assert!(is_linearizable(&of_key), "{of_key:#?}");
        }
        assert_copies(&self.store);
    }
}

/// Every key is on each of its servers and on no other (MOVE-6).
fn assert_copies(store: &KeyValueStore) {
    let servers = store.servers();
    for key in (0..KEYS).map(name) {
        let holders: Vec<&String> = servers
            .iter()
            .filter(|server| store.keys_for_server(server).unwrap().contains(&key.clone().into_bytes()))
            .collect();
        let mut owners = store.servers_for_key(&key).unwrap();
        owners.sort();
        assert_eq!(owners.len(), COPIES.min(servers.len()));
        let expected = if store.exists(&key).unwrap() { owners } else { Vec::new() };
        assert!(holders.into_iter().eq(&expected), "{key} belongs on {expected:?}");
    }
}

fn name(key: usize) -> String {
    format!("key{key}")
}
