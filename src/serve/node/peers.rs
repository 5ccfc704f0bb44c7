//! The ways to the other nodes: for each a thread that posts what is for it, batch by batch, over one connection that is kept.
//!
//! # Promise
//! What is sent never waits for anybody. What cannot be brought at once is lost, and so is what comes while a peer has too much
//! waiting: every message may be lost, and whoever needs it says it again.
//!
//! # Caveats
//! A peer that takes a connection and does not answer holds its batch up to [`PATIENCE`], or twice that if it does not even
//! read; what waits behind it is dropped.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::backlog::{Backlog, Place};
use super::courier::Courier;
use crate::types::NodeId;

/// The other nodes, as far as their addresses are known.
#[derive(Debug)]
pub(super) struct Peers {
    cluster: u64,
    links: BTreeMap<NodeId, Link>,
}

#[derive(Debug)]
struct Link {
    address: String,
    /// Its end ends the thread, once what waits is brought.
    queue: SyncSender<(Vec<u8>, Place)>,
    backlog: Backlog,
    thread: JoinHandle<()>,
}

impl Peers {
    /// Nobody, of the cluster with this number.
    pub(super) fn new(cluster: u64) -> Peers {
        Peers { cluster, links: BTreeMap::new() }
    }

    /// From here on `node` is reached at `address`.
    pub(super) fn set_address(&mut self, node: NodeId, address: &str) {
        if self.links.get(&node).is_some_and(|link| link.address == address) {
            return;
        }
        let (queue, waiting) = sync_channel(MOST_WAITING);
        let courier = Courier::new(address, self.cluster, PATIENCE);
        let thread = thread::spawn(move || carry(&waiting, courier));
        self.links.insert(node, Link { address: address.to_owned(), queue, backlog: Backlog::default(), thread });
    }

    /// Nobody is sent anything any more who `is_gone`.
    pub(super) fn forget(&mut self, is_gone: impl Fn(NodeId) -> bool) {
        self.links.retain(|node, _| !is_gone(*node));
    }

    /// Sends frames to a node. Lost where nobody knows where that is, or where too much waits.
    pub(super) fn send(&self, to: NodeId, frames: Vec<u8>) {
        let link = self.links.get(&to).filter(|_| !frames.is_empty());
        if let Some(link) = link
            && let Some(place) = link.backlog.enter(frames.len())
        {
            let _ = link.queue.try_send((frames, place));
        }
    }

    /// Brings what still waits, and ends.
    pub(super) fn finish(self) {
        let threads: Vec<JoinHandle<()>> = self.links.into_values().map(|link| link.thread).collect();
        for thread in threads {
            // One that panicked has nothing more to bring.
            let _ = thread.join();
        }
    }

    /// Sends a frame to all.
    pub(super) fn send_to_all(&self, frame: &[u8]) {
        self.links.keys().for_each(|node| self.send(*node, frame.to_vec()));
    }
}

/// Brings what waits to a peer, until nobody sends any more.
fn carry(waiting: &Receiver<(Vec<u8>, Place)>, mut courier: Courier) {
    while let Ok((mut batch, _)) = waiting.recv() {
        while batch.len() < BATCH_BYTES
            && let Ok((more, _)) = waiting.try_recv()
        {
            batch.extend_from_slice(&more);
        }
        if courier.post(&batch).is_err() {
            // What has waited meanwhile would come as late.
            while waiting.try_recv().is_ok() {}
        }
    }
}

/// Batches that wait for a peer.
const MOST_WAITING: usize = 4_096;
/// A batch takes no more frames from here on.
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// How long a peer may take for a step of a batch: as long as an operation has by default.
const PATIENCE: Duration = Duration::from_secs(1);
