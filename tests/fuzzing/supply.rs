//! Choices taken from bytes, one after the other. When the bytes are used up each choice is the first.

/// The bytes that are left.
pub(super) struct Supply<'a>(pub(super) &'a [u8]);

impl<'a> Supply<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// At most `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Up to 255 bytes.
    pub(super) fn chunk(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.bytes(count.into())
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Below `bound`, which is at most 2^16.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let (low, high) = (self.byte(), if bound > 256 { self.byte() } else { 0 });
        usize::from(u16::from_le_bytes([low, high])) % bound.max(1)
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Small, or of eight bytes.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            255 => {
                let mut bytes = [0xff; 8];
                let taken = self.bytes(8);
                bytes[..taken.len()].copy_from_slice(taken);
                u64::from_le_bytes(bytes)
            }
            small => small.into(),
        }
    }
}

/// `bytes`, damaged in up to four places: flipped, cut, zeroed, taken out, copied elsewhere, put in.
pub(super) fn damaged(bytes: &[u8], supply: &mut Supply<'_>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=supply.below(4) {
        let at = supply.below(bytes.len().clamp(1, 1 << 16)).min(bytes.len());
        let end = (at + supply.below(64)).min(bytes.len());
        match supply.below(6) {
            0 if at < bytes.len() => bytes[at] ^= supply.byte(),
            1 => bytes.truncate(at),
            2 => bytes[at..end].fill(0),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let stray = bytes[at..end].to_vec();
                let to = supply.below(bytes.len().clamp(1, 1 << 16)).min(bytes.len());
                bytes.splice(to..(to + stray.len()).min(bytes.len()), stray);
            }
            _ => drop(bytes.splice(at..at, supply.chunk().iter().copied())),
        }
    }
    bytes
}
