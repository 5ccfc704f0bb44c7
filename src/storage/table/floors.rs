//! Floors: per range of tokens, the stamp at or below which a version of a key that is not held is refused.

use crate::types::{Stamp, Token, TokenRange};

/// A function from token to floor, as a sorted list of disjoint ranges; everywhere else it is [`Stamp::ZERO`].
///
/// Without floors, a lookup is one comparison. Changes rebuild the list, O(ranges): they come once
/// per range and repair pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::storage) struct Floors {
    /// Ascending, disjoint, above zero, and no two adjacent ones equal.
    raised: Vec<(TokenRange, Stamp)>,
}

impl Floors {
    /// The floor at `token`.
    pub(in crate::storage) fn at(&self, token: Token) -> Stamp {
        if self.raised.is_empty() {
            return Stamp::ZERO;
        }
        let index = self.raised.partition_point(|(range, _)| range.last < token);
        match self.raised.get(index) {
            Some((range, floor)) if range.contains(token) => *floor,
            _ => Stamp::ZERO,
        }
    }

    /// Raises the floor to `floor` wherever in `range` it is lower.
    pub(in crate::storage) fn raise(&mut self, range: TokenRange, floor: Stamp) {
        self.change(range, |held| held.max(floor));
    }

    /// No floor in `range` any more.
    pub(in crate::storage) fn forget(&mut self, range: TokenRange) {
        self.change(range, |_| Stamp::ZERO);
    }

    /// The function on `range` alone: pieces that cover it exactly, ascending, those at zero included.
    pub(in crate::storage) fn pieces(&self, range: TokenRange) -> Vec<(TokenRange, Stamp)> {
        let mut pieces = Vec::new();
        let mut next = Some(range.first);
        for (raised, floor) in self.raised.iter().filter_map(|(raised, floor)| Some((clip(*raised, range)?, *floor))) {
            if let Some(first) = next.filter(|first| *first < raised.first) {
                pieces.push((TokenRange { first, last: Token(raised.first.0 - 1) }, Stamp::ZERO));
            }
            pieces.push((raised, floor));
            next = raised.last.0.checked_add(1).map(Token);
        }
        if let Some(first) = next.filter(|first| *first <= range.last) {
            pieces.push((TokenRange { first, last: range.last }, Stamp::ZERO));
        }
        pieces
    }

    /// The floor's time, summed up over the tokens of `range`.
    pub(in crate::storage) fn area(&self, range: TokenRange) -> u128 {
        let raised = self.raised.iter().filter_map(|(raised, floor)| Some((clip(*raised, range)?, floor)));
        raised.map(|(part, floor)| (u128::from(part.last.0 - part.first.0) + 1) * u128::from(floor.time.0)).sum()
    }

    fn change(&mut self, range: TokenRange, change: impl Fn(Stamp) -> Stamp) {
        let changed = |(piece, floor): (TokenRange, Stamp)| {
            (piece, if range.contains(piece.first) { change(floor) } else { floor })
        };
        // Cut at the range's ends, each piece lies wholly inside the range or wholly outside.
        let below = range.first.0.checked_sub(1).map(|last| TokenRange { first: Token(0), last: Token(last) });
        let above = range.last.0.checked_add(1).map(|first| TokenRange { first: Token(first), last: Token(u64::MAX) });
        let parts = [below, Some(range), above].into_iter().flatten();
        let pieces: Vec<_> = parts.flat_map(|part| self.pieces(part)).map(changed).collect();
        self.raised.clear();
        for (piece, floor) in pieces {
            match self.raised.last_mut() {
                Some((before, held)) if *held == floor && before.last.0.checked_add(1) == Some(piece.first.0) => {
                    before.last = piece.last;
                }
                _ if floor > Stamp::ZERO => self.raised.push((piece, floor)),
                _ => {}
            }
        }
    }
}

/// The tokens that both ranges hold.
pub(in crate::storage) fn clip(one: TokenRange, other: TokenRange) -> Option<TokenRange> {
    let both = TokenRange { first: one.first.max(other.first), last: one.last.min(other.last) };
    (both.first <= both.last).then_some(both)
}
