//! RING-1 to RING-5 against the naive ring. RING-6 is tried where plans are made, in `topology/tests.rs`.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::FileFailurePersistence;

use super::naive::NaiveRing;
use super::*;

fn config(cases: u32) -> ProptestConfig {
    let regressions = Box::new(FileFailurePersistence::Direct("tests/regressions/ring.txt"));
    ProptestConfig { cases, failure_persistence: Some(regressions), ..ProptestConfig::default() }
}

fn member(id: u32, label: &str, vnodes: u16) -> Member {
    Member { id: NodeId(id), label: label.into(), vnodes }
}

/// `nodes` members of `vnodes` tokens each, called `<name>0`, `<name>1` and so on.
fn cluster(name: &str, nodes: u32, vnodes: u16) -> Vec<Member> {
    (0..nodes).map(|id| member(id, &format!("{name}{id}"), vnodes)).collect()
}

fn replicas(nodes: &[u32]) -> Replicas {
    nodes.iter().copied().map(NodeId).collect()
}

/// Up to eight members of random weights, their numbers in any order, as joins and departures leave them.
fn members() -> impl Strategy<Value = Vec<Member>> {
    let labels: Vec<&str> = vec!["a", "b", "c", "d", "e", "A", "node-1", "node-10"];
    let drawn = subsequence(labels, 0..=8).prop_shuffle();
    (drawn, prop::collection::vec(1_u16..=24, 8)).prop_map(|(labels, vnodes)| {
        labels.iter().zip(vnodes).zip(0..).map(|((label, vnodes), id)| member(id, label, vnodes)).collect()
    })
}

/// Claims of four members to tokens crowded at both ends of the circle, so that claims collide, neighbours are
/// adjacent, and 0 and `u64::MAX` are often taken.
fn crowded() -> impl Strategy<Value = Vec<(Token, usize)>> {
    let token = prop_oneof![0..6_u64, (u64::MAX - 5)..=u64::MAX, Just(1 << 63)];
    prop::collection::vec((token.prop_map(Token), 0..4_usize), 0..20)
}

/// The tokens at which anything can change, and those beside them.
fn borders(rings: &[&Ring]) -> Vec<Token> {
    let tokens = rings.iter().flat_map(|ring| ring.tokens()).map(|(token, _)| token.0);
    let beside = tokens.flat_map(|token| [token.wrapping_sub(1), token, token.wrapping_add(1)]);
    beside.chain([0, u64::MAX]).map(Token).collect::<BTreeSet<_>>().into_iter().collect()
}

fn find(moves: &[RangeMove], token: Token) -> Option<&RangeMove> {
    moves.iter().find(|moved| moved.range.contains(token))
}

// RING-1

/// A change here is a change of the hash version: every key of every existing cluster would move.
#[test]
fn tokens_are_pinned() {
    let ring = Ring::new(&[member(1, "node1", 2), member(2, "A", 1)], 1);
    let tokens: Vec<_> = ring.tokens().map(|(token, node)| (token.0, node.0)).collect();
    assert_eq!(tokens, [(6103015087786304694, 2), (7812143974691317952, 1), (8557237087023303560, 1)]);
}

#[test]
fn a_heavier_member_keeps_the_tokens_it_had() {
    let light: BTreeSet<_> = Ring::new(&[member(1, "a", 10)], 1).tokens().collect();
    let heavy: BTreeSet<_> = Ring::new(&[member(1, "a", 20)], 1).tokens().collect();
    assert!(light.is_subset(&heavy));
    assert_eq!((light.len(), heavy.len()), (10, 20));
}

#[test]
fn a_token_that_two_claim_goes_to_the_smaller_label() {
    let (early, late) = (member(1, "b", 1), member(2, "a", 1));
    let claims = [(Token(7), &early), (Token(7), &late), (Token(9), &early)];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let ring = Ring::place(order.iter().map(|&at| claims[at]).collect(), 1);
        assert_eq!(ring.tokens().collect::<Vec<_>>(), [(Token(7), NodeId(2)), (Token(9), NodeId(1))]);
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn join_order_and_numbers_do_not_matter(
        (joined, rejoined) in members().prop_flat_map(|members| (Just(members.clone()), Just(members).prop_shuffle())),
        copies in 1_u8..=7,
    ) {
        // The same labels and weights, numbered anew in another order.
        let renumbered: Vec<_> =
            rejoined.iter().zip(100..).map(|(old, id)| member(id, &old.label, old.vnodes)).collect();
        let label_of = |node: NodeId, of: &[Member]| {
            of.iter().find(|member| member.id == node).expect("a member").label.clone()
        };
        let (one, two) = (Ring::new(&joined, copies), Ring::new(&renumbered, copies));
        let named = |ring: &Ring, of: &[Member]| -> Vec<_> {
            ring.tokens().map(|(token, node)| (token, label_of(node, of))).collect()
        };
        prop_assert_eq!(named(&one, &joined), named(&two, &renumbered));
        prop_assert_eq!(Ring::new(&rejoined, copies).fingerprint(), one.fingerprint());
        for token in borders(&[&one]) {
            let names = |ring: &Ring, of: &[Member]| -> Vec<_> {
                ring.owners(token).as_slice().iter().map(|node| label_of(*node, of)).collect()
            };
            prop_assert_eq!(names(&one, &joined), names(&two, &renumbered));
        }
    }

    #[test]
    fn tokens_are_sorted_unique_and_all_there(members in members(), copies in 1_u8..=7) {
        let ring = Ring::new(&members, copies);
        prop_assert!(ring.tokens().zip(ring.tokens().skip(1)).all(|((one, _), (two, _))| one < two));
        for member in &members {
            let held = ring.tokens().filter(|(_, node)| *node == member.id).count();
            prop_assert_eq!(held, usize::from(member.vnodes));
        }
    }
}

// RING-2 and RING-3

#[test]
fn a_ring_without_members_owns_nothing() {
    let ring = Ring::new(&[], 3);
    assert_eq!(ring.owners(Token(5)), &Replicas::NONE);
    assert_eq!(ring.ranges().collect::<Vec<_>>(), [(TokenRange::ALL, &Replicas::NONE)]);
    assert_eq!(ring.tokens().count(), 0);
}

#[test]
fn keys_belong_to_the_first_token_at_or_after_their_hash() {
    let (a, b, c) = (member(1, "a", 1), member(2, "b", 1), member(3, "c", 1));
    let ring = Ring::place(vec![(Token(10), &a), (Token(1 << 63), &b), (Token(u64::MAX - 1), &c)], 2);
    for (token, owners) in [
        (0, [1, 2]),
        (10, [1, 2]),
        (11, [2, 3]),
        (1 << 63, [2, 3]),
        ((1 << 63) + 1, [3, 1]),
        (u64::MAX - 1, [3, 1]),
        (u64::MAX, [1, 2]),
    ] {
        assert_eq!(ring.owners(Token(token)), &replicas(&owners), "token {token}");
    }
    let spans: Vec<_> = ring.ranges().map(|(range, _)| (range.first.0, range.last.0)).collect();
    assert_eq!(
        spans,
        [(0, 10), (11, 1 << 63), ((1 << 63) + 1, u64::MAX - 1), (u64::MAX, u64::MAX)],
        "what wraps is two ranges"
    );
}

#[test]
fn tokens_at_both_ends_of_the_circle() {
    let (a, b) = (member(1, "a", 1), member(2, "b", 1));
    let ring = Ring::place(vec![(Token(0), &a), (Token(u64::MAX), &b)], 1);
    for (token, owner) in [(0, 1), (1, 2), (u64::MAX - 1, 2), (u64::MAX, 2)] {
        assert_eq!(ring.owners(Token(token)), &replicas(&[owner]), "token {token}");
    }
    assert_eq!(ring.ranges().count(), 2, "nothing is left behind u64::MAX");
}

#[test]
fn one_member_owns_all() {
    let ring = Ring::new(&[member(4, "only", 1)], 3);
    for token in [0, 1 << 40, u64::MAX] {
        assert_eq!(ring.owners(Token(token)), &replicas(&[4]));
    }
}

#[test]
fn copies_stay_within_their_limits() {
    let members = cluster("n", 9, 4);
    assert_eq!(Ring::new(&members, 0).owners(Token(0)).len(), 1);
    assert_eq!(Ring::new(&members, u8::MAX).owners(Token(0)).len(), MAX_COPIES);
    assert_eq!(NaiveRing::new(&members, 0).owners(Token(0)).len(), 1);
    assert_eq!(NaiveRing::new(&members, u8::MAX).owners(Token(0)).len(), MAX_COPIES);
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn owners_equal_the_naive_ring(
        members in members(),
        copies in 1_u8..=7,
        anywhere in prop::collection::vec(any::<u64>(), 32),
    ) {
        let (ring, naive) = (Ring::new(&members, copies), NaiveRing::new(&members, copies));
        for token in borders(&[&ring]).into_iter().chain(anywhere.into_iter().map(Token)) {
            let owners = ring.owners(token);
            prop_assert_eq!(owners, &naive.owners(token));
            prop_assert_eq!(owners.len(), members.len().min(usize::from(copies)));
            let distinct: BTreeSet<_> = owners.as_slice().iter().collect();
            prop_assert_eq!(distinct.len(), owners.len());
        }
    }

    #[test]
    fn owners_equal_the_naive_ring_where_tokens_crowd(claims in crowded(), copies in 1_u8..=4) {
        let members = [member(8, "d", 1), member(9, "c", 1), member(2, "b", 1), member(5, "a", 1)];
        let naive: Vec<_> = claims.iter().map(|(token, at)| (token.0, &members[*at])).collect();
        let naive = NaiveRing::place(&naive, copies);
        let ring = Ring::place(claims.iter().map(|(token, at)| (*token, &members[*at])).collect(), copies);
        for token in borders(&[&ring]) {
            prop_assert_eq!(ring.owners(token), &naive.owners(token), "at {:?}", token);
        }
    }

    #[test]
    fn ranges_cover_every_token_once_with_its_owners(claims in crowded(), copies in 1_u8..=4) {
        let members = [member(8, "d", 1), member(9, "c", 1), member(2, "b", 1), member(5, "a", 1)];
        let ring = Ring::place(claims.iter().map(|(token, at)| (*token, &members[*at])).collect(), copies);
        let mut next = Some(0);
        for (range, owners) in ring.ranges() {
            prop_assert_eq!(Some(range.first.0), next);
            prop_assert!(range.first <= range.last);
            prop_assert_eq!(ring.owners(range.first), owners);
            prop_assert_eq!(ring.owners(range.last), owners);
            next = range.last.0.checked_add(1);
        }
        prop_assert_eq!(next, None);
    }
}

// RING-4

/// `diff` against probing: borders of both rings, and tokens anywhere.
fn check_diff(old: &[Member], new: &[Member], copies: u8, anywhere: &[u64]) -> Result<(), TestCaseError> {
    let (from, to) = (Ring::new(old, copies), Ring::new(new, copies));
    let (naive_from, naive_to) = (NaiveRing::new(old, copies), NaiveRing::new(new, copies));
    let moves = from.diff(&to);
    for token in borders(&[&from, &to]).into_iter().chain(anywhere.iter().copied().map(Token)) {
        let (before, after) = (naive_from.owners(token), naive_to.owners(token));
        let found = find(&moves, token).map(|moved| (moved.old, moved.new));
        prop_assert_eq!(found, (!before.same_set(&after)).then_some((before, after)), "at {:?}", token);
    }
    for pair in moves.windows(2) {
        let (one, two) = (&pair[0], &pair[1]);
        prop_assert!(one.range.last < two.range.first, "not ascending: {:?} {:?}", one, two);
        let touching = one.range.last.0 + 1 == two.range.first.0;
        prop_assert!(!touching || (one.old, one.new) != (two.old, two.new), "not joined: {:?} {:?}", one, two);
    }
    prop_assert!(moves.iter().all(|moved| moved.range.first <= moved.range.last));
    Ok(())
}

#[test]
fn from_and_to_a_ring_without_members_everything_moves() {
    let (nothing, one) = (Ring::new(&[], 3), Ring::new(&[member(1, "a", 8)], 3));
    let (range, a) = (TokenRange::ALL, replicas(&[1]));
    assert_eq!(nothing.diff(&one), [RangeMove { range, old: Replicas::NONE, new: a }]);
    assert_eq!(one.diff(&nothing), [RangeMove { range, old: a, new: Replicas::NONE }]);
    assert_eq!(nothing.diff(&nothing), []);
}

#[test]
fn a_change_of_order_is_no_move() {
    let (a, b) = (member(1, "a", 1), member(2, "b", 1));
    let one = Ring::place(vec![(Token(10), &a), (Token(20), &b)], 2);
    let two = Ring::place(vec![(Token(10), &b), (Token(20), &a)], 2);
    assert_ne!(one.owners(Token(5)), two.owners(Token(5)));
    assert_eq!(one.diff(&two), []);
}

#[test]
fn neighbours_that_move_alike_are_one_range() {
    let (a, b) = (member(1, "a", 1), member(2, "b", 1));
    let one = Ring::place(vec![(Token(10), &a), (Token(20), &a), (Token(30), &a)], 1);
    let two = Ring::place(vec![(Token(20), &b), (Token(40), &a)], 1);
    let range = TokenRange { first: Token(0), last: Token(20) };
    let tail = TokenRange { first: Token(41), last: Token(u64::MAX) };
    let (old, new) = (replicas(&[1]), replicas(&[2]));
    assert_eq!(one.diff(&two), [RangeMove { range, old, new }, RangeMove { range: tail, old, new }]);
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn a_join_moves_only_to_the_newcomer(
        members in members(),
        vnodes in 1_u16..=24,
        copies in 1_u8..=4,
        anywhere in prop::collection::vec(any::<u64>(), 16),
    ) {
        let newcomer = member(77, "newcomer", vnodes);
        let joined: Vec<_> = members.iter().cloned().chain([newcomer.clone()]).collect();
        for moved in Ring::new(&members, copies).diff(&Ring::new(&joined, copies)) {
            prop_assert_eq!(moved.new.without(&moved.old), replicas(&[77]));
            let replaced = moved.old.without(&moved.new).len();
            prop_assert_eq!(replaced, usize::from(members.len() >= usize::from(copies)));
        }
        check_diff(&members, &joined, copies, &anywhere)?;
    }

    #[test]
    fn a_departure_moves_only_from_the_leaver(
        members in members().prop_filter("someone must leave", |members| !members.is_empty()),
        copies in 1_u8..=4,
        anywhere in prop::collection::vec(any::<u64>(), 16),
    ) {
        let (leaver, rest) = (&members[0], &members[1..]);
        for moved in Ring::new(&members, copies).diff(&Ring::new(rest, copies)) {
            prop_assert_eq!(moved.old.without(&moved.new), replicas(&[leaver.id.0]));
            let gained = moved.new.without(&moved.old).len();
            prop_assert_eq!(gained, usize::from(members.len() > usize::from(copies)));
        }
        check_diff(&members, rest, copies, &anywhere)?;
    }

    #[test]
    fn any_change_moves_exactly_the_difference(
        (old, new) in (members(), members()),
        copies in 1_u8..=7,
        anywhere in prop::collection::vec(any::<u64>(), 16),
    ) {
        check_diff(&old, &new, copies, &anywhere)?;
    }

    #[test]
    fn crowded_rings_differ_exactly(one in crowded(), two in crowded(), copies in 1_u8..=4) {
        let members = [member(8, "d", 1), member(9, "c", 1), member(2, "b", 1), member(5, "a", 1)];
        let place = |claims: &[(Token, usize)]| {
            Ring::place(claims.iter().map(|(token, at)| (*token, &members[*at])).collect(), copies)
        };
        let (from, to) = (place(&one), place(&two));
        let moves = from.diff(&to);
        for token in borders(&[&from, &to]) {
            let (before, after) = (*from.owners(token), *to.owners(token));
            let found = find(&moves, token).map(|moved| (moved.old, moved.new));
            prop_assert_eq!(found, (!before.same_set(&after)).then_some((before, after)), "at {:?}", token);
        }
    }
}

// RING-5

/// The part of the circle each node owns first.
fn shares(members: &[Member]) -> Vec<f64> {
    let ring = Ring::new(members, 1);
    let width = |range: TokenRange| (range.last.0 - range.first.0) as f64 + 1.0;
    let owned = |id: NodeId| -> f64 {
        ring.ranges().filter(|(_, owners)| owners.contains(id)).map(|(range, _)| width(range)).sum()
    };
    members.iter().map(|member| owned(member.id) / 2_f64.powi(64)).collect()
}

/// A share of v among n*v uniform tokens is Beta(v, (n-1)v) distributed, so its coefficient of variation is
/// sqrt((n-1)/(n*v+1)). Measured over 40 clusters, a sample strays from that by a few percent.
#[test]
fn shares_vary_as_beta_theory_says() {
    for (nodes, vnodes, tolerance) in [(3, 128, 0.25), (10, 128, 0.12), (50, 16, 0.08), (50, 1, 0.12), (4, 1_024, 0.2)]
    {
        let clusters = 40;
        let mut squares = 0.0;
        for number in 0..clusters {
            let shares = shares(&cluster(&format!("cluster{number}-"), nodes, vnodes));
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let strays = shares.iter().map(|share| (share * f64::from(nodes) - 1.0).powi(2));
            squares += strays.sum::<f64>() / f64::from(nodes);
        }
        let measured = (squares / f64::from(clusters)).sqrt();
        let (n, v) = (f64::from(nodes), f64::from(vnodes));
        let expected = ((n - 1.0) / (n * v + 1.0)).sqrt();
        let off = measured / expected - 1.0;
        assert!(
            off.abs() < tolerance,
            "{nodes} nodes of {vnodes}: {measured:.4}, expected {expected:.4}, off {off:.3}"
        );
    }
}

#[test]
fn weighted_members_get_their_share() {
    let vnodes = [128_u16, 256, 512, 1_024];
    let total = f64::from(vnodes.iter().sum::<u16>());
    for number in 0..20 {
        let members: Vec<_> =
            vnodes.iter().zip(0..).map(|(v, id)| member(id, &format!("w{number}-{id}"), *v)).collect();
        for (share, vnodes) in shares(&members).into_iter().zip(vnodes) {
            let expected = f64::from(vnodes) / total;
            let deviation = (expected * (1.0 - expected) / (total + 1.0)).sqrt();
            assert!((share - expected).abs() < 4.5 * deviation, "cluster {number}: {share:.4} of {expected:.4}");
        }
    }
}

// RING-7, and size

#[test]
fn fingerprints_tell_rings_apart() {
    let members = cluster("n", 5, 16);
    let rings = [
        Ring::new(&members, 3),
        Ring::new(&members, 2),
        Ring::new(&members[1..], 3),
        Ring::new(&cluster("n", 5, 17), 3),
        Ring::new(&[], 3),
    ];
    let prints: BTreeSet<_> = rings.iter().map(Ring::fingerprint).collect();
    assert_eq!(prints.len(), rings.len());
    assert_eq!(rings[0].fingerprint(), Ring::new(&members, 3).fingerprint());
}

/// A quadratic build would not come back from this within the hour.
#[test]
fn a_thousand_nodes_are_built_and_probed() {
    let members = cluster("n", 1_000, 128);
    let (ring, naive) = (Ring::new(&members, 3), NaiveRing::new(&members, 3));
    assert_eq!(ring.tokens().count(), 128_000);
    for probe in 0..10_000_u64 {
        let token = Token(xxh3_64(&probe.to_le_bytes()));
        assert_eq!(ring.owners(token), &naive.owners(token));
    }
}

/// One light member among heavy ones: finding the last of three copies walks almost the whole circle in the naive
/// ring, and must not for every token in ours.
#[test]
fn a_light_member_among_heavy_ones() {
    let members = [member(1, "a", 4_096), member(2, "b", 4_096), member(3, "c", 1)];
    let (ring, naive) = (Ring::new(&members, 3), NaiveRing::new(&members, 3));
    for probe in 0..50_u64 {
        let token = Token(xxh3_64(&probe.to_le_bytes()));
        assert_eq!(ring.owners(token), &naive.owners(token));
    }
}
