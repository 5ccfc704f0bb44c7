//! Hash maps by key that do not hash again: a key's token is a uniform hash already.
//!
//! The standard map takes a bucket from a hash's low bits and a tag within the bucket's group from its top seven. Where
//! keys are sorted into shards by some of the token's bits, those bits are the same in all keys of a shard, and must
//! not be among the ones the map uses: `ROTATE` turns the token so that they come to lie in between.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes the hashers of a map.
pub type ByToken<const ROTATE: u32> = BuildHasherDefault<TokenHasher<ROTATE>>;

/// Passes the token on, turned to the left by so many bits.
#[derive(Debug, Default)]
pub struct TokenHasher<const ROTATE: u32>(u64);

impl<const ROTATE: u32> Hasher for TokenHasher<ROTATE> {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "a key hashes as one u64, not as {} bytes", bytes.len());
    }

    fn write_u64(&mut self, token: u64) {
        self.0 = token.rotate_left(ROTATE);
    }
}
