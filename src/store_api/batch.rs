//! Many keys in one call: the requests share the commits of the logs they touch.

use super::KeyValueStore;
use crate::error::Error;
use crate::types::{Key, Token, Value};

impl KeyValueStore {
    /// Writes all pairs, in order: of two pairs with one key the later wins. Faster than as many calls of
    /// [`set`](KeyValueStore::set), because each server's log is written once for up to 256 pairs.
    ///
    /// # Errors
    /// As [`set`](KeyValueStore::set). A key or value outside the limits is found before anything is written. After
    /// another error the pairs before the failing one are written, the rest may be.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set_many([("apple", "red"), ("pear", "green")])?;
    /// assert_eq!(store.len(), 2);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn set_many<K, V>(&self, pairs: impl IntoIterator<Item = (K, V)>) -> Result<(), Error>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let shared = self.shared();
        let pairs = pairs.into_iter();
        let checked = pairs.map(|(key, value)| Ok((Key::new(key.as_ref())?, shared.check_value(value.as_ref())?)));
        let pairs: Vec<(Key, Value)> = checked.collect::<Result<_, Error>>()?;
        pairs.chunks(FLIGHTS).try_for_each(|chunk| self.set_chunk(chunk))
    }

    fn set_chunk(&self, pairs: &[(Key, Value)]) -> Result<(), Error> {
        let shared = self.shared();
        let _shared = shared.stripes.share_all(pairs.iter().map(token));
        let starts = pairs.iter().map(|(key, value)| {
            let entry = shared.entry(Some(Value::clone(value)), None);
            shared.start_put(key.clone(), entry)
        });
        let mut flights = starts.collect::<Result<Vec<_>, Error>>()?;
        shared.inline.run(&mut flights);
        flights.iter_mut().try_for_each(|flight| shared.written(flight))
    }

    /// The values of all keys, in the order asked; `None` where a key has none.
    ///
    /// # Errors
    /// As [`get`](KeyValueStore::get).
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// assert_eq!(store.get_many(["pear", "apple"])?, [None, Some(b"red".to_vec())]);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let shared = self.shared();
        let keys = keys.into_iter().map(|key| Ok(Key::new(key.as_ref())?)).collect::<Result<Vec<_>, Error>>()?;
        let mut values = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(FLIGHTS) {
            let starts = chunk.iter().map(|key| shared.start_get(key.clone()));
            let mut flights = starts.collect::<Result<Vec<_>, Error>>()?;
            shared.inline.run(&mut flights);
            for flight in &mut flights {
                values.push(shared.read(flight)?.map(|value| value.to_vec()));
            }
        }
        Ok(values)
    }
}

/// Flights in one round: enough to make a log's write dear beside its share of it, few enough to hold their stripes
/// and buffers for a short time.
const FLIGHTS: usize = 256;

fn token((key, _): &(Key, Value)) -> Token {
    key.token()
}
