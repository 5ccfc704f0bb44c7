use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::{NodeId, RangeDigest};

fn key(number: u16) -> Key {
    Key::new(number.to_be_bytes().as_slice()).unwrap()
}

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 }
}

fn slot(time: u64, tombstone: bool, segment: u32, offset: u32) -> Slot {
    Slot {
        stamp: stamp(time),
        expires: None,
        tombstone,
        at: Location { segment, offset, length: 10 },
        cached: Place::NONE,
    }
}

/// Tokens near both ends and near the shards' bounds, so that ranges meet, touch and miss each other.
fn token() -> impl Strategy<Value = Token> {
    let near = |to: u64| (0_u64..6).prop_map(move |by| Token(to.wrapping_add(by).wrapping_sub(3)));
    prop_oneof![near(0), near(1 << 60), near(1 << 63), any::<u64>().prop_map(Token)]
}

fn range() -> impl Strategy<Value = TokenRange> {
    let ends = (token(), token()).prop_map(|(a, b)| TokenRange { first: a.min(b), last: a.max(b) });
    prop_oneof![6 => ends, 1 => Just(TokenRange::ALL)]
}

/// Ascending and disjoint, some adjacent.
fn ranges() -> impl Strategy<Value = Vec<TokenRange>> {
    prop::collection::vec((token(), any::<bool>()), 0..8).prop_map(|mut ends| {
        ends.sort();
        ends.dedup_by_key(|(token, _)| *token);
        let taken = ends.windows(2).filter(|pair| pair[0].1);
        taken.map(|pair| TokenRange { first: pair[0].0, last: Token(pair[1].0.0 - 1) }).collect()
    })
}

#[derive(Clone, Debug)]
enum Action {
    Insert { key: u16, time: u64, expires: Option<u64>, tombstone: bool, segment: u32 },
    SetCached(u16, u32),
    Remove(u16),
    Relocate(u16, bool, u32),
    Discard(TokenRange),
    Clear(TokenRange, u64),
    RaiseFloor(TokenRange, u64),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0_u16..200;
    prop_oneof![
        12 => (key.clone(), 0_u64..50, prop::option::of(0_u64..3), any::<bool>(), 0_u32..5).prop_map(
            |(key, time, expires, tombstone, segment)| Action::Insert { key, time, expires, tombstone, segment }
        ),
        2 => (key.clone(), any::<u32>()).prop_map(|(k, place)| Action::SetCached(k, place)),
        2 => key.clone().prop_map(Action::Remove),
        4 => (key, any::<bool>(), 0_u32..5).prop_map(|(k, held, s)| Action::Relocate(k, held, s)),
        1 => range().prop_map(Action::Discard),
        1 => (range(), 0_u64..20).prop_map(|(r, t)| Action::Clear(r, t)),
        2 => (range(), 0_u64..50).prop_map(|(r, t)| Action::RaiseFloor(r, t)),
    ]
}

/// The same promises in the plainest way: a map, and every floor ever raised.
struct Naive {
    slots: BTreeMap<Key, Slot>,
    floors: Vec<(TokenRange, Option<Stamp>)>,
    cleared: Vec<(TokenRange, Stamp)>,
}

impl Naive {
    fn raised(&self, token: Token) -> Stamp {
        let changes = self.floors.iter().filter(|(range, _)| range.contains(token));
        changes.fold(Stamp::ZERO, |floor, (_, change)| change.map_or(Stamp::ZERO, |raised| floor.max(raised)))
    }

    fn floor(&self, token: Token) -> Stamp {
        self.raised(token).max(self.cleared(token))
    }

    fn cleared(&self, token: Token) -> Stamp {
        let cleared = self.cleared.iter().filter(|(range, _)| range.contains(token));
        cleared.fold(Stamp::ZERO, |floor, (_, upto)| floor.max(*upto))
    }

    /// The floor's time summed up over `range`, between all tokens where it may change.
    fn area(&self, range: TokenRange) -> u128 {
        let ends = self.floors.iter().flat_map(|(range, _)| [u128::from(range.first.0), u128::from(range.last.0) + 1]);
        let (first, end) = (u128::from(range.first.0), u128::from(range.last.0) + 1);
        let mut cuts: Vec<u128> = ends.filter(|cut| (first..end).contains(cut)).chain([first, end]).collect();
        cuts.sort_unstable();
        let of_piece = |pair: &[u128]| (pair[1] - pair[0]) * u128::from(self.raised(Token(pair[0] as u64)).time.0);
        cuts.windows(2).map(of_piece).sum()
    }

    fn take(&mut self, range: TokenRange, upto: Stamp) -> Vec<Key> {
        self.slots
            .extract_if(.., |key, slot| range.contains(key.token()) && slot.stamp <= upto)
            .map(|(key, _)| key)
            .collect()
    }

    fn usage(&self) -> BTreeMap<u32, Usage> {
        let mut usage = BTreeMap::<u32, Usage>::new();
        for (key, slot) in &self.slots {
            let of = usage.entry(slot.at.segment).or_default();
            let droppable = slot.tombstone && slot.stamp <= self.floor(key.token());
            *(if droppable { &mut of.droppable } else { &mut of.kept }) += u64::from(slot.at.length);
        }
        usage
    }
}

fn apply(table: &Table, naive: &mut Naive, step: u32, action: Action) {
    match action {
        Action::Insert { key: k, time, expires, tombstone, segment } => {
            let slot = Slot { expires: expires.map(Time), ..slot(time, tombstone, segment, step) };
            table.lock(key(k).token()).insert(&key(k), slot);
            naive.slots.insert(key(k), slot);
        }
        Action::SetCached(k, place) => {
            table.lock(key(k).token()).set_cached(&key(k), Place::at(place));
            naive.slots.entry(key(k)).and_modify(|slot| slot.cached = Place::at(place));
        }
        Action::Remove(k) => {
            assert_eq!(table.lock(key(k).token()).remove(&key(k)), naive.slots.remove(&key(k)));
        }
        Action::Relocate(k, held, segment) => {
            let to = Location { segment, offset: step, length: 12 };
            let from = naive.slots.get(&key(k)).map(|slot| slot.at).filter(|_| held);
            let from = from.unwrap_or(Location { segment: 99, offset: 0, length: 0 });
            table.lock(key(k).token()).relocate(&key(k), from, to);
            naive.slots.values_mut().filter(|slot| slot.at == from).for_each(|slot| slot.at = to);
        }
        Action::Discard(range) => {
            assert_eq!(discard(table, range, Stamp::MAX), naive.take(range, Stamp::MAX));
            naive.floors.push((range, None));
        }
        Action::Clear(range, upto) => {
            assert_eq!(discard(table, range, stamp(upto)), naive.take(range, stamp(upto)));
            naive.cleared.push((range, stamp(upto)));
        }
        Action::RaiseFloor(range, floor) => {
            for (index, part) in table.parts(range) {
                table.lock_shard(index).raise_floor(part, stamp(floor));
            }
            naive.floors.push((range, Some(stamp(floor))));
        }
    }
}

fn discard(table: &Table, range: TokenRange, upto: Stamp) -> Vec<Key> {
    let dropped = table.parts(range).flat_map(|(index, part)| table.lock_shard(index).discard(part, upto));
    dropped.map(|(key, _)| key).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_the_naive_one(
        shards in prop::sample::select(vec![1_usize, 2, 16]),
        actions in prop::collection::vec(action(), 0..150),
        ranges in ranges(),
        one in range(),
        after in prop::option::of(0_u16..250),
        limit in 0_usize..60,
    ) {
        let table = Table::new(shards);
        let mut naive = Naive { slots: BTreeMap::new(), floors: Vec::new(), cleared: Vec::new() };
        for (step, action) in actions.into_iter().enumerate() {
            apply(&table, &mut naive, step as u32, action);
        }
        for k in 0..200 {
            let shard = table.lock(key(k).token());
            prop_assert_eq!(shard.get(&key(k)), naive.slots.get(&key(k)).copied());
            prop_assert_eq!(shard.floor(key(k).token()), naive.floor(key(k).token()));
        }
        let knows = naive.slots.keys().any(|key| one.contains(key.token()))
            || naive.floors.iter().flat_map(|(range, _)| [range.first, range.last, Token(range.last.0.wrapping_add(1))])
                .chain([one.first]).any(|token| one.contains(token) && naive.raised(token) > Stamp::ZERO);
        prop_assert_eq!(table.parts(one).any(|(index, part)| table.lock_shard(index).would_discard(part, Stamp::MAX)), knows);
        for (index, part) in table.parts(one) {
            let shard = table.lock_shard(index);
            prop_assert!(shard.floors(part).iter().all(|(piece, floor)| *floor == naive.raised(piece.first)));
            prop_assert!(shard.cleared(part).iter().all(|(piece, upto)| *upto == naive.cleared(piece.last)));
        }
        let all = table.lock_all();
        prop_assert!(all.iter().all(|shard| shard.slots.is_whole()));
        prop_assert_eq!(all.iter().map(|shard| shard.tombstones()).sum::<u64>(),
            naive.slots.values().filter(|slot| slot.tombstone).count() as u64);
        prop_assert_eq!(all.iter().map(|shard| shard.keys()).sum::<u64>(),
            naive.slots.values().filter(|slot| !slot.tombstone).count() as u64);
        drop(all);
        prop_assert_eq!(table.usage(), naive.usage());

        let is_lasting = |(key, slot): &(&Key, &Slot)| !slot.tombstone || slot.stamp > naive.floor(key.token());
        let sum = |ranges: &[TokenRange]| {
            let mut digest = RangeDigest::default();
            for (key, slot) in naive.slots.iter().filter(is_lasting) {
                if ranges.iter().any(|range| range.contains(key.token())) {
                    let sum = digest_of(key, slot.stamp);
                    digest.add(RangeDigest { versions: 1, tombstones: u64::from(slot.tombstone), sum, floors: 0 });
                }
            }
            digest.floors = ranges.iter().map(|range| naive.area(*range)).sum();
            digest
        };
        prop_assert_eq!(table.digests(&[[one]]), [sum(&[one])]);
        prop_assert_eq!(table.digests(&[[TokenRange::ALL]]), [sum(&[TokenRange::ALL])]);
        // The groups lie between each other.
        let (even, odd): (Vec<_>, Vec<_>) = ranges.iter().enumerate().partition(|(index, _)| index % 2 == 0);
        let groups = [even, odd].map(|group| group.into_iter().map(|(_, range)| *range).collect::<Vec<_>>());
        prop_assert_eq!(table.digests(&groups), [sum(&groups[0]), sum(&groups[1])]);

        let after = after.map(key);
        let wanted: Vec<(Key, Slot)> = naive.slots.iter()
            .filter(is_lasting)
            .filter(|(key, _)| ranges.iter().any(|range| range.contains(key.token())))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| after < key))
            .map(|(key, slot)| (key.clone(), *slot))
            .collect();
        let (page, more) = table.page(&ranges, after.as_ref(), limit);
        prop_assert_eq!(page.as_slice(), &wanted[..limit.min(wanted.len())]);
        prop_assert_eq!(more, wanted.len() > limit);
    }

    #[test]
    fn floors_are_the_highest_raised_since_forgotten(
        changes in prop::collection::vec((range(), prop::option::of(1_u64..5)), 0..20),
        probes in prop::collection::vec(token(), 1..20),
        within in range(),
    ) {
        let mut floors = Floors::default();
        let mut naive = Naive { slots: BTreeMap::new(), floors: Vec::new(), cleared: Vec::new() };
        for (range, change) in changes {
            let change = change.map(stamp);
            match change {
                Some(floor) => floors.raise(range, floor),
                None => floors.forget(range),
            }
            naive.floors.push((range, change));
        }
        for token in probes {
            prop_assert_eq!(floors.at(token), naive.raised(token));
        }
        // The pieces cover exactly, in order, and each says what its ends say.
        let pieces = floors.pieces(within);
        prop_assert_eq!(pieces.first().map(|(piece, _)| piece.first), Some(within.first));
        prop_assert_eq!(pieces.last().map(|(piece, _)| piece.last), Some(within.last));
        for pair in pieces.windows(2) {
            prop_assert_eq!(pair[0].0.last.0 + 1, pair[1].0.first.0);
            prop_assert_ne!(pair[0].1, pair[1].1, "two pieces where one would do");
        }
        for (piece, floor) in pieces {
            prop_assert_eq!(floor, naive.raised(piece.first));
            prop_assert_eq!(floor, naive.raised(piece.last));
        }
    }
}

#[test]
fn shards_partition_the_tokens() {
    for shards in [1, 2, 1_024] {
        let table = Table::new(shards);
        let parts: Vec<_> = table.parts(TokenRange::ALL).collect();
        assert_eq!(parts.len(), shards);
        assert_eq!((parts[0].1.first, parts[shards - 1].1.last), (Token(0), Token(u64::MAX)));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].1.last.0 + 1, pair[1].1.first.0);
        }
        for (index, part) in parts {
            assert_eq!((table.index(part.first), table.index(part.last)), (index, index));
        }
    }
    assert_eq!(Table::new(0).shards.len(), 1);
    assert_eq!(Table::new(usize::MAX).shards.len(), MAX_SHARDS);
}

#[test]
fn a_digest_tells_key_and_stamp_apart() {
    let mut digests: Vec<u64> = Vec::new();
    for number in 0..20 {
        for time in 0..20 {
            let base = stamp(time);
            let stamps = [base, Stamp { coordinator: NodeId(2), ..base }, Stamp { counter: 1, ..base }];
            digests.extend(stamps.map(|stamp| digest_of(&key(number), stamp)));
        }
    }
    let all = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), all);
}
