//! What commands on keys are executed on: a simulated cluster, or live nodes.

use super::response::Written;
use crate::cluster::{Cluster, ReadReport, RequestOptions, WriteReport};
use crate::error::Error;

/// Keys and their values, on whatever nodes.
pub trait Keyspace {
    /// Writes a value and waits for the answer.
    fn put(&mut self, key: &[u8], value: Vec<u8>, options: &RequestOptions) -> Result<Written, Error>;

    /// Reads a key and waits for the answer.
    fn get(&mut self, key: &[u8], options: &RequestOptions) -> Result<ReadReport, Error>;

    /// Deletes a key and waits for the answer.
    fn delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<WriteReport, Error>;

    /// Every key with a value, in byte order, or those that one node holds.
    fn keys(&mut self, node: Option<&str>) -> Result<Vec<Vec<u8>>, Error>;

    /// The largest value that can be put, in bytes.
    fn max_value(&self) -> usize;

    /// Whether the command that runs is to stop.
    fn is_interrupted(&self) -> bool;
}

impl Keyspace for Cluster {
    fn put(&mut self, key: &[u8], value: Vec<u8>, options: &RequestOptions) -> Result<Written, Error> {
        let report = Cluster::put(self, key, &value, options)?;
        let ttl = options.ttl.map(|ttl| (ttl, self.now()));
        Ok(Written { value, report, ttl })
    }

    fn get(&mut self, key: &[u8], options: &RequestOptions) -> Result<ReadReport, Error> {
        Cluster::get(self, key, options)
    }

    fn delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        Cluster::delete(self, key, options)
    }

    fn keys(&mut self, node: Option<&str>) -> Result<Vec<Vec<u8>>, Error> {
        Cluster::keys(self, node)
    }

    fn max_value(&self) -> usize {
        self.config().max_value
    }

    fn is_interrupted(&self) -> bool {
        Cluster::is_interrupted(self)
    }
}
