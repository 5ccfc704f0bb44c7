//! Operations at the cluster: so many at once, the others wait in the order in which they were wanted.

use std::collections::{BTreeMap, VecDeque};

use crate::cluster::{Answer, Cluster, OperationId, RequestOptions};
use crate::error::Error;
use crate::types::{Key, Time, Value};

/// What a job wants of the cluster.
#[derive(Debug)]
pub(super) enum Ask {
    Read(Key),
    /// A value, or nothing for a delete, and when it goes.
    Write(Key, Option<Value>, Option<Time>),
    /// As the prompt has them.
    Get(Vec<u8>, RequestOptions),
    Put(Vec<u8>, Vec<u8>, RequestOptions),
    Delete(Vec<u8>, RequestOptions),
}

/// Which job wants it, and which of its operations that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) job: u64,
    pub(super) nth: usize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) place: Place,
    /// None: it was refused before it began.
    pub(super) id: Option<OperationId>,
    pub(super) answer: Result<Answer, Error>,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Operations {
    waiting: VecDeque<(Place, Ask)>,
    begun: BTreeMap<OperationId, Place>,
}

impl Operations {
    pub(super) fn want(&mut self, place: Place, ask: Ask) {
        self.waiting.push_back((place, ask));
    }

    /// Begins what may begin. What is refused at once has ended.
    pub(super) fn begin(&mut self, cluster: &mut Cluster, ended: &mut VecDeque<Ended>) {
        while self.begun.len() < MOST_AT_ONCE
            && let Some((place, ask)) = self.waiting.pop_front()
        {
            match ask.start(cluster) {
                Ok(id) => drop(self.begun.insert(id, place)),
                Err(error) => ended.push_back(Ended { place, id: None, answer: Err(error) }),
            }
        }
    }

    /// What the cluster has answered since this was last asked.
    pub(super) fn take_ended(&mut self, cluster: &mut Cluster, ended: &mut VecDeque<Ended>) {
        for (id, answer) in cluster.take_answers() {
            if let Some(place) = self.begun.remove(&id) {
                ended.push_back(Ended { place, id: Some(id), answer });
            }
        }
    }

    #[cfg(test)]
    pub(super) fn at_once(&self) -> (usize, usize) {
        (self.begun.len(), self.waiting.len())
    }
}

impl Ask {
    fn start(self, cluster: &mut Cluster) -> Result<OperationId, Error> {
        match self {
            Ask::Read(key) => cluster.start_get(key.bytes(), &RequestOptions::default()),
            Ask::Write(key, value, expires) => cluster.start_put_until(&key, value.as_ref(), expires),
            Ask::Get(key, options) => cluster.start_get(&key, &options),
            Ask::Put(key, value, options) => cluster.start_put(&key, &value, &options),
            Ask::Delete(key, options) => cluster.start_delete(&key, &options),
        }
    }
}

/// Operations of all clients at the cluster at one time. It takes more: the rest is for its own simulated clients.
pub(super) const MOST_AT_ONCE: usize = 1_024;
