//! Plans against the stage table and the naive ring, RING-6, and what `decode` refuses.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::*;
use crate::ring::naive::NaiveRing;
use crate::types::Time;

const STAGES: [Stage; 4] = [Stage::Fencing, Stage::Copying, Stage::ReadBoth, Stage::Retiring];

fn member(id: u32, label: &str, vnodes: u16) -> Member {
    Member { id: NodeId(id), label: label.into(), vnodes }
}

/// Members 1 to `nodes`, called `a`, `b` and so on.
fn members(nodes: u32) -> Vec<Member> {
    (1..=nodes).zip(["a", "b", "c", "d", "e"]).map(|(id, label)| member(id, label, 3)).collect()
}

fn record(copies: u8, members: Vec<Member>, change: Option<(Stage, Vec<Member>)>) -> TopologyRecord {
    let cleared_before = Stamp { time: Time(1 << 50), coordinator: NodeId(3), counter: 9 };
    TopologyRecord {
        epoch: Epoch(41),
        copies,
        vnodes: 3,
        next_node: NodeId(9),
        cleared_before,
        voters: Vec::new(),
        members,
        change,
        dead: Vec::new(),
    }
}

fn topology(copies: u8, members: Vec<Member>, change: Option<(Stage, Vec<Member>)>) -> Topology {
    Topology::new(record(copies, members, change))
}

fn replicas(nodes: &[u32]) -> Replicas {
    nodes.iter().copied().map(NodeId).collect()
}

/// Zero, the end, every token of the two rings and the places beside them.
fn probes(topology: &Topology) -> BTreeSet<Token> {
    let coming = topology.change.iter().flat_map(|change| change.ring.tokens());
    let tokens = topology.ring().tokens().chain(coming).map(|(token, _)| token.0);
    tokens.flat_map(|at| [at.wrapping_sub(1), at, at.wrapping_add(1)]).chain([0, u64::MAX]).map(Token).collect()
}

/// The sets that must take a write and answer a read, read off the table of design section 7.
fn by_the_table(stage: Option<Stage>, old: Replicas, new: Replicas) -> (Vec<Replicas>, Vec<Replicas>) {
    let moves = !old.same_set(&new);
    let (writes, reads) = match stage {
        None => (vec![old], vec![old]),
        Some(Stage::Retiring) => (vec![new], vec![new]),
        Some(_) if !moves => (vec![old], vec![old]),
        Some(_) if old.is_empty() => (vec![new], vec![new]),
        Some(_) if new.is_empty() => (vec![old], vec![old]),
        Some(Stage::Fencing | Stage::Copying) => (vec![old, new], vec![old]),
        Some(Stage::ReadBoth) => (vec![old, new], vec![old, new]),
    };
    (writes, reads)
}

/// What each level needs of 0 to 4 replicas; `None` where it cannot be had.
const NEEDS: [(Level, [Option<u8>; 5]); 5] = [
    (Level::One, [None, Some(1), Some(1), Some(1), Some(1)]),
    (Level::Two, [None, None, Some(2), Some(2), Some(2)]),
    (Level::Three, [None, None, None, Some(3), Some(3)]),
    (Level::Quorum, [None, Some(1), Some(2), Some(2), Some(3)]),
    (Level::All, [None, Some(1), Some(2), Some(3), Some(4)]),
];

/// The needs of `sets`, or what is said of the first that falls short.
fn needs(sets: &[Replicas], level: Level, table: &[Option<u8>; 5]) -> Result<Vec<Need>, NoPlan> {
    let need_of = |set: &Replicas| match (set.len(), table[set.len()]) {
        (0, _) => Err(NoPlan::NoNodes),
        (_, Some(need)) => Ok(Need { replicas: *set, need }),
        (_, None) => Err(NoPlan::TooFewReplicas { need: if level == Level::Two { 2 } else { 3 }, replicas: *set }),
    };
    sets.iter().map(need_of).collect()
}

/// Compares every plan of `topology` with the table.
fn check(topology: &Topology) {
    let TopologyRecord { copies, members, change, .. } = topology.record();
    let coming = change.as_ref().map_or(members, |(_, coming)| coming);
    let (old, new) = (NaiveRing::new(members, *copies), NaiveRing::new(coming, *copies));
    for token in probes(topology) {
        let (writes, reads) = by_the_table(topology.stage(), old.owners(token), new.owners(token));
        assert_eq!(topology.replicas(token), &reads[0], "{token:?} in {:?}", topology.record());
        for node in (0..=9).map(NodeId) {
            let may_hold = writes.iter().any(|set| set.contains(node));
            assert_eq!(topology.is_replica(node, token), may_hold, "{node:?} {token:?} in {:?}", topology.record());
        }
        for (level, table) in NEEDS {
            let wanted = needs(&writes, level, &table);
            let plan = topology.write_plan(token, level);
            assert!(plan.is_err() || plan.is_ok_and(|plan| plan.epoch == topology.epoch()));
            let planned = plan.map(|plan| [plan.current].into_iter().chain(plan.next).collect());
            assert_eq!(planned, wanted, "write at {level:?} of {token:?} in {:?}", topology.record());

            let wanted = needs(&reads, level, &table);
            let plan = topology.read_plan(token, level);
            let majority = |need: &Need| 2 * usize::from(need.need) > need.replicas.len();
            if let (Ok(plan), Ok(wanted)) = (&plan, &wanted) {
                assert_eq!(plan.blocking_repair, wanted.iter().all(majority), "{level:?} in {:?}", topology.record());
                assert_eq!(plan.epoch, topology.epoch());
            }
            let planned = plan.map(|plan| [plan.current].into_iter().chain(plan.next).collect());
            assert_eq!(planned, wanted, "read at {level:?} of {token:?} in {:?}", topology.record());
            let apart = topology
                .read_plan(token, level)
                .and_then(|read| Ok((read, topology.write_plan(token, Level::Quorum)?)));
            assert_eq!(topology.read_and_repair_plans(token, level), apart);
        }
    }
}

#[test]
fn plans_follow_the_table_when_nothing_changes() {
    for (nodes, copies) in (0..=4).flat_map(|nodes| (1..=4).map(move |copies| (nodes, copies))) {
        check(&topology(copies, members(nodes), None));
    }
}

/// Every join, departure and change of weight among up to four members, at every stage and level.
#[test]
fn plans_follow_the_table_while_a_ring_changes() {
    for nodes in 0..=4_u32 {
        let before = members(nodes);
        let mut afters = vec![[before.clone(), vec![member(7, "x", 4)]].concat()];
        for at in 0..before.len() {
            let mut left = before.clone();
            let mut heavier = before.clone();
            left.remove(at);
            heavier[at].vnodes = 6;
            afters.extend([left, heavier]);
        }
        for (after, copies) in afters.iter().flat_map(|after| (1..=4).map(move |copies| (after, copies))) {
            for stage in STAGES {
                check(&topology(copies, before.clone(), Some((stage, after.clone()))));
            }
        }
    }
}

#[test]
fn the_first_node_serves_from_the_first_stage() {
    for stage in STAGES {
        let joining = topology(3, vec![], Some((stage, members(1))));
        let plan = joining.write_plan(Token(1), Level::Quorum).expect("a plan");
        assert_eq!((plan.current, plan.next), (Need { replicas: replicas(&[1]), need: 1 }, None), "{stage:?}");
        assert!(joining.read_plan(Token(1), Level::All).is_ok());
        assert!(joining.is_replica(NodeId(1), Token(1)));
    }
}

#[test]
fn from_one_node_to_two_a_quorum_is_one_of_the_old_and_two_of_the_new() {
    let growing = topology(3, members(1), Some((Stage::Copying, members(2))));
    let plan = growing.write_plan(Token(1), Level::Quorum).expect("a plan");
    assert_eq!(plan.current, Need { replicas: replicas(&[1]), need: 1 });
    let next = plan.next.expect("every token moves");
    assert!(next.replicas.same_set(&replicas(&[1, 2])));
    assert_eq!(next.need, 2);
}

#[test]
fn without_members_there_is_no_plan() {
    let empty = Topology::empty(3, 128);
    assert_eq!(empty.write_plan(Token(1), Level::One), Err(NoPlan::NoNodes));
    assert_eq!(empty.read_plan(Token(1), Level::One), Err(NoPlan::NoNodes));
    assert_eq!((empty.epoch(), empty.stage(), empty.moves()), (Epoch(0), None, &[][..]));
    assert!(empty.nodes().is_empty());
    assert!(empty.record().next_node > Stamp::ZERO.coordinator, "a stamp could equal zero");
}

#[test]
fn nodes_are_those_of_both_rings() {
    let swapping = topology(2, members(3), Some((Stage::Copying, vec![member(7, "X", 5), member(2, "b", 6)])));
    let ids: Vec<_> = swapping.nodes().iter().map(|node| (node.id.0, node.vnodes)).collect();
    assert_eq!(ids, [(1, 3), (2, 3), (3, 3), (7, 5)]);
    assert_eq!(swapping.find("x"), Some(&member(7, "X", 5)), "labels are found in any case");
    assert_eq!(swapping.find("A"), Some(&member(1, "a", 3)));
    assert_eq!(swapping.find("y"), None);
    assert_eq!(swapping.label(NodeId(7)).map(|label| &**label), Some("X"));
    assert_eq!(swapping.label(NodeId(3)).map(|label| &**label), Some("c"));
    assert_eq!(swapping.label(NodeId(4)), None);
}

#[test]
fn moves_are_the_difference_of_the_rings() {
    let (before, after) = (members(4), members(5));
    let moving = topology(3, before.clone(), Some((Stage::Fencing, after.clone())));
    assert_eq!(moving.moves(), Ring::new(&before, 3).diff(&Ring::new(&after, 3)));
    assert!(!moving.moves().is_empty());
    assert_eq!(moving.stage(), Some(Stage::Fencing));
    assert_eq!(topology(3, before, None).moves(), []);
}

#[test]
fn topologies_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Arc<Topology>>();
}

// encode and decode

/// Any sound record: members out of six, a change to others out of six, all numbers within the limits.
fn sound() -> impl Strategy<Value = TopologyRecord> {
    let drawn = || prop::collection::vec(prop::option::of(1..=MAX_VNODES), 6);
    let change = prop::option::of((prop::sample::select(&STAGES[..]), drawn()));
    let stamp = (any::<u64>(), any::<u32>(), any::<u32>());
    let voters = prop::collection::btree_set(0_u32..16, 0..=MAX_VOTERS);
    (drawn(), change, 1_u8..=7, 1..=MAX_VNODES, any::<u64>(), 16..=u32::MAX, stamp, voters).prop_map(
        |(members, change, copies, vnodes, epoch, next_node, (time, coordinator, counter), voters)| {
            let labels = ["node-1", "A", "b.2", "C_c", "0", "x1234567890"];
            let named = |drawn: Vec<Option<u16>>| -> Vec<Member> {
                let numbered = drawn.into_iter().zip(labels).zip([0, 1, 2, 5, 9, 15]);
                numbered.filter_map(|((vnodes, label), id)| Some(member(id, label, vnodes?))).collect()
            };
            let (members, change) = (named(members), change.map(|(stage, members)| (stage, named(members))));
            let leavers = members.iter().filter(|member| {
                change.as_ref().is_some_and(|(_, next): &(Stage, Vec<Member>)| next.iter().all(|n| n.id != member.id))
            });
            let dead: Vec<NodeId> = leavers.map(|member| member.id).filter(|_| epoch % 2 == 0).collect();
            TopologyRecord {
                epoch: Epoch(epoch),
                copies,
                vnodes,
                next_node: NodeId(next_node),
                cleared_before: Stamp { time: Time(time), coordinator: NodeId(coordinator), counter },
                voters: voters.into_iter().map(NodeId).collect(),
                members,
                change,
                dead,
            }
        },
    )
}

fn config(cases: u32) -> ProptestConfig {
    let regressions = Box::new(FileFailurePersistence::Direct("tests/regressions/topology.txt"));
    ProptestConfig { cases, failure_persistence: Some(regressions), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_is_encoded_is_decoded(record in sound()) {
        let bytes = record.encode();
        prop_assert_eq!(TopologyRecord::decode(&bytes), Some(record));
    }

    #[test]
    fn a_cut_or_lengthened_record_is_refused(record in sound(), more in any::<u8>()) {
        let bytes = record.encode();
        for len in 0..bytes.len() {
            prop_assert_eq!(TopologyRecord::decode(&bytes[..len]), None);
        }
        prop_assert_eq!(TopologyRecord::decode(&[&bytes[..], &[more]].concat()), None);
    }

    /// Damage is refused or gives another sound record; never a panic.
    #[test]
    fn a_damaged_record_is_refused_or_sound(
        record in sound(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = record.encode();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(decoded) = TopologyRecord::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_sound(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(decoded) = TopologyRecord::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }
}

#[test]
fn a_topology_comes_back_from_its_bytes() {
    let before = topology(3, members(3), Some((Stage::ReadBoth, members(4))));
    let after = Topology::decode(&before.encode()).expect("its own bytes");
    assert_eq!(after.record(), before.record());
    assert_eq!(after.moves(), before.moves());
    assert_eq!(after.ring().fingerprint(), before.ring().fingerprint());
}

/// The logs of a large cluster would otherwise bring a ring each.
#[test]
fn equal_bytes_are_decoded_once() {
    let (one, other) = (topology(3, members(3), None).encode(), topology(2, members(3), None).encode());
    let mut decoded = Decoded::default();
    let first = decoded.decode(&one).expect("its own bytes");
    assert_eq!(decoded.decode(&other).expect("its own bytes").record().copies, 2);
    assert!(Arc::ptr_eq(&first, &decoded.decode(&one).expect("its own bytes")));
    assert!(decoded.decode(b"none").is_none());
}

#[test]
fn members_are_sorted_by_number() {
    let shuffled = topology(
        2,
        vec![member(5, "e", 1), member(1, "a", 1)],
        Some((Stage::Copying, {
            let mut coming = members(3);
            coming.reverse();
            coming
        })),
    );
    assert!(Topology::decode(&shuffled.encode()).is_some());
    assert_eq!(shuffled.record().members[0].id, NodeId(1));
}

/// Each limit by itself, just inside and just outside.
#[test]
fn decode_holds_every_limit() {
    let many = |count: usize| -> Vec<Member> { (1..).take(count).map(|id| member(id, &format!("n{id}"), 1)).collect() };
    let base = || TopologyRecord { next_node: NodeId(2_000), ..record(3, members(2), None) };
    let during = |old: Vec<Member>, new: Vec<Member>| TopologyRecord {
        members: old,
        change: Some((Stage::Copying, new)),
        ..base()
    };
    let of = |old: Vec<Member>| TopologyRecord { members: old, ..base() };
    let sound = [
        ("the base", base()),
        ("as many nodes as there may be", of(many(MAX_NODES))),
        ("as many vnodes", of(vec![member(1, "a", MAX_VNODES)])),
        ("as many voters", TopologyRecord { voters: (1..=5).map(NodeId).collect(), ..base() }),
        ("a change of weight", during(members(1), vec![member(1, "a", 4)])),
    ];
    for (what, record) in sound {
        assert!(TopologyRecord::decode(&record.encode()).is_some(), "refused {what}");
    }
    let broken = [
        ("no copies", TopologyRecord { copies: 0, ..base() }),
        ("too many copies", TopologyRecord { copies: MAX_COPIES as u8 + 1, ..base() }),
        ("no vnodes", TopologyRecord { vnodes: 0, ..base() }),
        ("too many vnodes", TopologyRecord { vnodes: MAX_VNODES + 1, ..base() }),
        ("too many nodes", of(many(MAX_NODES + 1))),
        ("too many nodes to come", during(vec![], many(MAX_NODES + 1))),
        ("a member without vnodes", of(vec![member(1, "a", 0)])),
        ("a member with too many", of(vec![member(1, "a", MAX_VNODES + 1)])),
        ("a number not given yet", of(vec![member(2_000, "a", 1)])),
        ("a number twice", of(vec![member(1, "a", 1), member(1, "b", 1)])),
        ("numbers out of order", of(vec![member(2, "a", 1), member(1, "b", 1)])),
        ("a label twice", of(vec![member(1, "a", 1), member(2, "a", 1)])),
        ("a case twin", of(vec![member(1, "a", 1), member(2, "A", 1)])),
        ("too many voters", TopologyRecord { voters: (1..=6).map(NodeId).collect(), ..base() }),
        ("a voter twice", TopologyRecord { voters: vec![NodeId(1), NodeId(1)], ..base() }),
        ("voters out of order", TopologyRecord { voters: vec![NodeId(2), NodeId(1)], ..base() }),
        ("a voter of a number not given yet", TopologyRecord { voters: vec![NodeId(2_000)], ..base() }),
        ("a path", of(vec![member(1, "../x", 1)])),
        ("a bad member to come", during(vec![], vec![member(1, "", 1)])),
        ("a label of two numbers", during(members(1), vec![member(5, "a", 3)])),
        ("a number of two labels", during(members(1), vec![member(1, "A", 3)])),
    ];
    for (what, record) in broken {
        assert_eq!(TopologyRecord::decode(&record.encode()), None, "took {what}");
    }
}

/// Lengths are claims: a few bytes that announce 2^60 members allocate nothing near it.
#[test]
fn an_absurd_length_is_refused() {
    let bytes = record(3, vec![], None).encode();
    let members_at = bytes.len() - 2;
    let absurd = [&bytes[..members_at], &[0xff; 8], &[0x0f]].concat();
    assert_eq!(TopologyRecord::decode(&absurd), None);
}
