//! Random numbers that are the same on every machine: xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom
//! Number Generators", 2021), seeded through SplitMix64 (Steele, Lea and Flood, 2014).
//!
//! One seed gives a stream for each purpose. What one purpose draws never shifts another: a cluster with a slower disk
//! sees the same network. Not for secrets.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The streams of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of `seed`.
    pub fn new(seed: u64) -> Streams {
        Streams { seed }
    }

    /// The generator of one purpose, from its start.
    pub fn stream(&self, purpose: &str) -> Rng {
        Rng::from_seed(self.number(purpose))
    }

    /// A fixed number of one purpose, such as an identity.
    pub fn number(&self, purpose: &str) -> u64 {
        xxh3_64_with_seed(purpose.as_bytes(), self.seed)
    }
}

/// One generator. Period 2^256 - 1.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator whose state is the first four outputs of SplitMix64 from `seed`.
    pub fn from_seed(seed: u64) -> Rng {
        let mut source = seed;
        Rng { state: std::array::from_fn(|_| split_mix(&mut source)) }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number from 0 to 1, 1 excluded, with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `bound`, each equally likely (Lemire, "Fast Random Integer Generation in an Interval", 2019).
    /// 0 when `bound` is.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let unfair = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(bound);
            if wide as u64 >= unfair {
                return (wide >> 64) as u64;
            }
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
