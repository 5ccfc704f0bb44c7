//! What is written, and what must be read.
//!
//! Keys are made ahead. A value says of which key and which round it is, and goes on with a stretch of noise that both
//! choose, so making one costs a copy and checking one a comparison; no two rounds of a key look alike.

use super::flags::Settings;
use crate::sim::rng::{Rng, Streams};

/// Keys by number, and their values by round. See the module's page.
#[derive(Debug)]
pub(super) struct Data {
    keys: Vec<[u8; KEY_BYTES]>,
    noise: Vec<u8>,
    value_bytes: usize,
    streams: Streams,
}

impl Data {
    pub(super) fn new(settings: &Settings) -> Data {
        let streams = Streams::new(settings.seed);
        let mut rng = streams.stream("noise");
        let words = (settings.value_bytes + PLACES).div_ceil(8);
        Data {
            keys: (0..settings.keys).map(key).collect(),
            noise: (0..words).flat_map(|_| rng.next_u64().to_le_bytes()).collect(),
            value_bytes: settings.value_bytes,
            streams,
        }
    }

    /// How many keys there are. Their numbers begin at 0.
    pub(super) fn len(&self) -> u32 {
        self.keys.len() as u32
    }

    /// The key of a number below [`Data::len`].
    pub(super) fn key(&self, number: u32) -> &[u8] {
        &self.keys[number as usize]
    }

    /// Which keys one thread asks for, from its start.
    pub(super) fn order(&self, thread: usize) -> Rng {
        self.streams.stream(&format!("keys of thread {thread}"))
    }

    /// A key, each as likely.
    pub(super) fn choose(&self, rng: &mut Rng) -> u32 {
        rng.below(u64::from(self.len())) as u32
    }

    /// Makes `value` the one of a key and a round.
    pub(super) fn fill(&self, key: u32, round: u32, value: &mut Vec<u8>) {
        let round = self.shown(round);
        value.clear();
        value.extend(key.to_le_bytes());
        value.extend(round.to_le_bytes());
        value.extend(self.noise_of(key, round));
        value.truncate(self.value_bytes);
    }

    /// The round of a value that was read; what is wrong with it, if it is none of the key's.
    pub(super) fn round(&self, key: u32, value: Option<&[u8]>) -> Result<u32, String> {
        let Some(value) = value else {
            return Err(format!("{} is missing", String::from_utf8_lossy(self.key(key))));
        };
        let wrong = || format!("{} has a value that was not written", String::from_utf8_lossy(self.key(key)));
        let (head, noise) = value.split_at(value.len().min(HEAD_BYTES));
        let round = head.get(4..).and_then(|round| round.try_into().ok()).map_or(0, u32::from_le_bytes);
        let expected = key.to_le_bytes().into_iter().chain(round.to_le_bytes());
        let sound = value.len() == self.value_bytes
            && expected.take(head.len()).eq(head.iter().copied())
            && noise == self.noise_of(key, round);
        if sound { Ok(round) } else { Err(wrong()) }
    }

    /// What is found of a round: values too short to hold it are those of round 0.
    pub(super) fn shown(&self, round: u32) -> u32 {
        if self.value_bytes < HEAD_BYTES { 0 } else { round }
    }

    fn noise_of(&self, key: u32, round: u32) -> &[u8] {
        let start = key.wrapping_add(round.wrapping_mul(31)) as usize % PLACES;
        &self.noise[start..start + self.value_bytes.saturating_sub(HEAD_BYTES)]
    }
}

/// `key:` and twelve digits, as redis-benchmark has them.
fn key(number: u32) -> [u8; KEY_BYTES] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

const KEY_BYTES: usize = 16;
/// Key and round in front of each value.
const HEAD_BYTES: usize = 8;
/// Where in the noise a value's stretch may begin.
const PLACES: usize = 4_096;

#[cfg(test)]
mod tests;
