//! Where the nodes' files are, and how a cluster is found there again.

use std::sync::Arc;

use super::change::Purpose;
use super::report::Opened;
use super::{Backing, Cluster, ClusterConfig, NodeId};
use crate::error::Error;
use crate::ring::Member;
use crate::sim::rng::Streams;
use crate::sim::trace::TraceEvent;
use crate::storage::StorageError;
use crate::storage::disk::{Disk, MemoryDisk};
use crate::storage::log::{LogIdentity, LogOptions, Recovered};
use crate::storage::store::{Restored, Store, StoreOptions};
use crate::topology::{Topology, TopologyRecord};
use crate::types::{NodeId as Id, Time};
