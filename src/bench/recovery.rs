//! Opening a directory again: how fast its logs are read.

use std::path::Path;
use std::sync::Arc;

use super::workers::{self, Measured};
use super::{BenchError, Task, embedded};
use crate::error::Error;
use crate::storage::directory::{ClockKind, Directory, Format, node_uid};
use crate::storage::log::{Log, LogIdentity, LogOptions};
use crate::types::NodeId;

/// Writes about as many records as the task has operations, closes the store, and measures how long it takes to open.
/// Then every key must have the value written last.
pub(super) fn measure(task: &Task<'_>) -> Result<Measured, BenchError> {
    let copies = task.settings.copies_held() as u64;
    let puts = task.settings.ops.div_ceil(copies);
    task.progress.begin("writing logs", puts);
    let store = embedded::open(task, None)?;
    embedded::write_rounds(&store, task, puts)?;
    if task.is_stopped() {
        store.make_scratch();
        return Ok(Measured::one(0, std::time::Duration::ZERO));
    }
    drop(store);
    let records = count(&task.place, task)?;
    task.progress.begin("measuring", records);
    let begin = workers::now();
    let store = embedded::open(task, None)?;
    let mut measured = Measured::one(records, workers::now().duration_since(begin));
    store.make_scratch();
    let (keys, data) = (u64::from(task.data.len()), task.data);
    // A key that there were too few records for has no value to look for.
    if puts >= keys {
        let last = |key| (puts / keys - u64::from(u64::from(key) >= puts % keys)) as u32;
        measured.failures = embedded::read_all(&store, task, |key, round| round == data.shown(last(key)))?;
    }
    Ok(measured)
}

/// The records of all logs in `path`, as a recovery meets them. Merges have dropped some of those that were written.
fn count(path: &Path, task: &Task<'_>) -> Result<u64, Error> {
    // What it says is for a new directory, and this one is not.
    let copies = task.settings.copies;
    let fresh = Format { clock: ClockKind::Wall, copies, vnodes: task.settings.vnodes, cluster_uid: 0 };
    let (directory, labels) = Directory::open(path, &fresh)?;
    let mut records = 0;
    for label in labels {
        let uid = node_uid(directory.format.cluster_uid, &label, NodeId(0));
        let identity = LogIdentity { directory: label, uid };
        let (_, recovered) =
            Log::open(Arc::clone(&directory.disk) as _, identity, LogOptions::default(), &mut |_, _| {})?;
        records += recovered.records;
    }
    Ok(records)
}
