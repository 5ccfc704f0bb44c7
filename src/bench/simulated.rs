//! The simulated cluster: how many operations a second of wall-clock time plays.
//!
//! A cluster is played by one thread. So there is one for each thread, of a seed of its own, as when many seeds are
//! tried; the figure is of all of them together.

use std::panic::resume_unwind;
use std::thread;

use super::data::Data;
use super::workers::{self, Measured, Worker};
use super::{BenchError, Task};
use crate::cluster::{Backing, Cluster, ClusterConfig, RequestOptions};
use crate::error::Error;
use crate::sim::rng::Rng;

/// Half puts, half gets, one after the other, by one client of each cluster.
pub(super) fn measure(task: &Task<'_>) -> Result<Measured, BenchError> {
    let threads = task.settings.threads;
    task.progress.begin("loading", u64::from(task.data.len()));
    let clients: Result<Vec<_>, _> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || Client::loaded(task, thread))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    Ok(workers::measure(&mut clients?, 1, task))
}

/// The only one of its cluster: it knows what each key holds.
struct Client<'a> {
    cluster: Cluster,
    data: &'a Data,
    order: Rng,
    value: Vec<u8>,
    /// The round each key is in; the first is 1.
    rounds: Vec<u32>,
    options: RequestOptions,
}

impl<'a> Client<'a> {
    fn new(task: &Task<'a>, thread: usize) -> Result<Client<'a>, Error> {
        let settings = task.settings;
        let config = ClusterConfig {
            copies: settings.copies,
            vnodes: settings.vnodes,
            sync: settings.sync,
            level: settings.level,
            seed: settings.seed.wrapping_add(thread as u64),
            ..ClusterConfig::default()
        };
        let (mut cluster, _) = Cluster::open(config, Backing::Memory)?;
        for number in 1..=settings.nodes {
            cluster.add_node(&format!("node{number}"), 1.0)?;
        }
        let (order, rounds) = (task.data.order(thread), vec![0; task.data.len() as usize]);
        Ok(Client { cluster, data: task.data, order, value: Vec::new(), rounds, options: RequestOptions::default() })
    }

    /// With every key written once.
    fn loaded(task: &Task<'a>, thread: usize) -> Result<Client<'a>, Error> {
        let mut client = Client::new(task, thread)?;
        for key in 0..task.data.len() {
            if task.is_stopped() {
                break;
            }
            client.put(key)?;
            task.progress.set(u64::from(key));
        }
        Ok(client)
    }

    fn put(&mut self, key: u32) -> Result<(), Error> {
        let round = &mut self.rounds[key as usize];
        *round = round.wrapping_add(1);
        self.data.fill(key, *round, &mut self.value);
        self.cluster.put(self.data.key(key), &self.value, &self.options).map(|_| ())
    }

    fn get(&mut self, key: u32) -> Result<(), String> {
        let report = self.cluster.get(self.data.key(key), &self.options).map_err(|error| error.to_string())?;
        let round = self.data.round(key, report.value.as_deref())?;
        let written = self.data.shown(self.rounds[key as usize]);
        if round == written { Ok(()) } else { Err(format!("key {key} is in round {written} and was read in {round}")) }
    }
}

impl Worker for Client<'_> {
    fn call(&mut self, _: u64) -> Result<(), String> {
        let key = self.data.choose(&mut self.order);
        if self.order.next_u64() >> 63 == 0 { self.put(key).map_err(|error| error.to_string()) } else { self.get(key) }
    }
}
