//! The bytes of a ballot.

use proptest::prelude::*;

use super::*;

fn accepted(term: u64, former: Vec<NodeId>) -> Accepted {
    let record = TopologyRecord { epoch: Epoch(4), ..Topology::empty(3, 8).record().clone() };
    Accepted { term, topology: Arc::new(Topology::new(record)), former }
}

type Fields = (u64, Option<NodeId>, Option<(Position, TopologyRecord, Vec<NodeId>)>);

fn fields(ballot: &Ballot) -> Fields {
    let accepted = ballot
        .accepted
        .as_ref()
        .map(|accepted| (accepted.position(), accepted.topology.record().clone(), accepted.former.clone()));
    (ballot.term, ballot.vote, accepted)
}

#[test]
fn a_ballot_comes_back_from_its_bytes_and_from_no_others() {
    for accepted in [None, Some(accepted(6, vec![])), Some(accepted(3, vec![NodeId(1), NodeId(9)]))] {
        for vote in [None, Some(NodeId(5))] {
            let ballot = Ballot { term: 6, vote, accepted: accepted.clone() };
            let bytes = ballot.encode();
            assert_eq!(fields(&Ballot::decode(&bytes).unwrap()), fields(&ballot));
            for cut in 0..bytes.len() {
                assert!(Ballot::decode(&bytes[..cut]).is_none(), "cut at {cut}");
            }
            assert!(Ballot::decode(&[&bytes[..], &[0]].concat()).is_none());
        }
    }
}

#[test]
fn a_ballot_that_nobody_can_have_cast_is_refused() {
    let of = |accepted| Ballot { term: 6, vote: None, accepted: Some(accepted) }.encode();
    assert!(Ballot::decode(&of(accepted(7, vec![]))).is_none(), "accepted in a term to come");
    assert!(Ballot::decode(&of(accepted(6, (1..=6).map(NodeId).collect()))).is_none(), "too many voters");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_refused_or_are_a_ballot(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(ballot) = Ballot::decode(&bytes) {
            prop_assert_eq!(ballot.encode(), bytes);
        }
    }
}
