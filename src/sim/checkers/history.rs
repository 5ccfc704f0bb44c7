//! Whether a history of reads and writes is linearizable, key by key, in near-linear time: the zone check of Gibbons
//! and Korach ("Testing Shared Memories", 1997).
//!
//! Every write writes a value of its own. A write and the reads that returned its value form a cluster, with f its
//! earliest finish and s its latest start. Where f < s the value must have been the newest one from f to s: a forward
//! zone. Otherwise some moment between s and f is enough: a backward zone. The history is legal exactly if no read
//! finished before its write began, no two forward zones overlap, and no backward zone lies inside a forward one.
//!
//! A write without an answer may take effect at any time, or never: it counts as finishing at the end of time, and not
//! at all if no read returned it. Reads without an answer say nothing and are left out by the caller.
//!
//! Caveats: deletes are not values of their own; a history with them is cut into one between each two, or left to
//! another checker. Times are ticks of any one clock; operations that touch in one tick count as concurrent.

use std::collections::BTreeMap;

/// One operation of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation<K> {
    /// The key, or a number that stands for it.
    pub key: K,
    /// When the client asked.
    pub start: u64,
    /// When it had the answer. `None` for a write that may or may not have taken effect.
    pub finish: Option<u64>,
    /// What it did.
    pub action: Action,
}

/// What an operation did. Each write of one key writes another number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Wrote this value.
    Write(u64),
    /// Read this value, or that there was none yet.
    Read(Option<u64>),
}

/// Why a history is not linearizable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation<K> {
    /// The value read was never written.
    #[error("{key:?}: read {value}, which nobody wrote")]
    Unwritten {
        /// The key.
        key: K,
        /// The value.
        value: u64,
    },
    /// Two writes of one value: the history cannot be judged.
    #[error("{key:?}: {value} was written twice")]
    WrittenTwice {
        /// The key.
        key: K,
        /// The value.
        value: u64,
    },
    /// The value was read before its write began.
    #[error("{key:?}: {value} was read before it was written")]
    FromTheFuture {
        /// The key.
        key: K,
        /// The value.
        value: u64,
    },
    /// Both values were the newest at one time, or one came back after the other had replaced it.
    #[error("{key:?}: {one:?} and {other:?} were each read or written both before and after the other")]
    Contradiction {
        /// The key.
        key: K,
        /// A value; `None` stands for no value yet.
        one: Option<u64>,
        /// Another.
        other: Option<u64>,
    },
}

/// Judges a history in any order. The first violation of each key is given, by key. O(n log n).
pub fn check<K: Ord + Clone + std::fmt::Debug>(history: &[Observation<K>]) -> Vec<Violation<K>> {
    let mut by_key: BTreeMap<&K, Vec<&Observation<K>>> = BTreeMap::new();
    for observation in history {
        by_key.entry(&observation.key).or_default().push(observation);
    }
    by_key.into_iter().filter_map(|(key, observations)| check_key(key, &observations).err()).collect()
}

/// A value's write and reads.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    /// `None` stands for no value yet, written before all time.
    value: Option<u64>,
    write_start: u64,
    earliest_finish: u64,
    latest_start: u64,
    was_read: bool,
    is_certain: bool,
}

impl Cluster {
    fn is_forward(&self) -> bool {
        self.earliest_finish < self.latest_start
    }
}

fn check_key<K: Clone>(key: &K, observations: &[&Observation<K>]) -> Result<(), Violation<K>> {
    let clusters = clusters(key, observations)?;
    let mut forward: Vec<Cluster> = clusters.iter().filter(|cluster| cluster.is_forward()).copied().collect();
    forward.sort_by_key(|cluster| cluster.earliest_finish);
    for pair in forward.windows(2) {
        if let [one, other] = pair
            && other.earliest_finish < one.latest_start
        {
            return Err(Violation::Contradiction { key: key.clone(), one: one.value, other: other.value });
        }
    }
    for backward in clusters.iter().filter(|cluster| !cluster.is_forward()) {
        // Forward zones do not overlap, so only the last one that begins before can surround this one.
        let before = forward.partition_point(|zone| zone.earliest_finish < backward.latest_start);
        if let Some(zone) = before.checked_sub(1).and_then(|at| forward.get(at))
            && backward.earliest_finish < zone.latest_start
        {
            return Err(Violation::Contradiction { key: key.clone(), one: zone.value, other: backward.value });
        }
    }
    Ok(())
}

fn clusters<K: Clone>(key: &K, observations: &[&Observation<K>]) -> Result<Vec<Cluster>, Violation<K>> {
    let nothing =
        Cluster { value: None, write_start: 0, earliest_finish: 0, latest_start: 0, was_read: false, is_certain: true };
    let mut clusters = BTreeMap::from([(None, nothing)]);
    for observation in observations {
        if let Action::Write(value) = observation.action {
            let cluster = Cluster {
                value: Some(value),
                write_start: observation.start,
                earliest_finish: observation.finish.unwrap_or(u64::MAX),
                latest_start: observation.start,
                was_read: false,
                is_certain: observation.finish.is_some(),
            };
            if clusters.insert(Some(value), cluster).is_some() {
                return Err(Violation::WrittenTwice { key: key.clone(), value });
            }
        }
    }
    for observation in observations {
        if let Action::Read(value) = observation.action {
            let unwritten = || Violation::Unwritten { key: key.clone(), value: value.unwrap_or_default() };
            let cluster = clusters.get_mut(&value).ok_or_else(unwritten)?;
            let finish = observation.finish.unwrap_or(u64::MAX);
            if let Some(value) = value
                && finish < cluster.write_start
            {
                return Err(Violation::FromTheFuture { key: key.clone(), value });
            }
            cluster.earliest_finish = cluster.earliest_finish.min(finish);
            cluster.latest_start = cluster.latest_start.max(observation.start);
            cluster.was_read = true;
        }
    }
    Ok(clusters.into_values().filter(|cluster| cluster.is_certain || cluster.was_read).collect())
}

#[cfg(test)]
mod tests;
