//! Commands on keys.

use super::Operator;
use crate::cluster::{ReadReport, RequestOptions, WriteReport};
use crate::command::Keyspace;
use crate::command::response::Written;
use crate::error::Error;
use crate::store_api::{Asking, ToldRead, ToldWrite};
use crate::types::Time;

impl Keyspace for Operator<'_> {
    fn put(&mut self, key: &[u8], value: Vec<u8>, options: &RequestOptions) -> Result<Written, Error> {
        let started = self.clock.now();
        let told = self.store.told_set(key, &value, options.ttl, asking(options))?;
        let report = self.write_report(key, false, told, started);
        Ok(Written { value, report, ttl: options.ttl.map(|ttl| (ttl, self.store.now())) })
    }

    fn get(&mut self, key: &[u8], options: &RequestOptions) -> Result<ReadReport, Error> {
        let started = self.clock.now();
        let ToldRead { asked, entry, is_visible, repaired } = self.store.told_get(key, asking(options))?;
        Ok(ReadReport {
            key: key.to_vec(),
            version: entry.as_ref().map(|entry| entry.stamp),
            expires: entry.as_ref().and_then(|entry| entry.expires),
            value: entry.filter(|_| is_visible).and_then(|entry| entry.value).map(|value| value.to_vec()),
            replicas: asked.replicas,
            acks: asked.acks,
            needed: asked.needed,
            repaired,
            took: self.clock.now().since(started),
            asked: None,
        })
    }

    fn delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        let started = self.clock.now();
        let (existed, told) = self.store.told_remove(key, asking(options))?;
        Ok(self.write_report(key, existed, told, started))
    }

    fn keys(&mut self, node: Option<&str>) -> Result<Vec<Vec<u8>>, Error> {
        let Some(label) = node else {
            let mut keys: Vec<Vec<u8>> = self.store.held().map(|(key, _)| key.bytes().to_vec()).collect();
            keys.sort_unstable();
            return Ok(keys);
        };
        let keys = self.store.keys_for_server(label)?;
        let is_down = self.store.topology().find(label).is_some_and(|member| self.store.switches().is_down(member.id));
        if is_down { Err(Error::NodeDown { label: label.to_owned() }) } else { Ok(keys) }
    }

    fn max_value(&self) -> usize {
        self.store.max_value()
    }

    /// Nobody can: the client that asked waits for the answer.
    fn is_interrupted(&self) -> bool {
        false
    }
}

impl Operator<'_> {
    fn write_report(&self, key: &[u8], existed: bool, told: ToldWrite, started: Time) -> WriteReport {
        WriteReport {
            key: key.to_vec(),
            replicas: told.asked.replicas,
            acks: told.asked.acks,
            needed: told.asked.needed,
            version: told.version,
            newer: told.newer,
            existed,
            hinted: Vec::new(),
            took: self.clock.now().since(started),
            asked: None,
        }
    }
}

fn asking(options: &RequestOptions) -> Asking<'_> {
    Asking { level: options.level, via: options.via.as_deref() }
}
