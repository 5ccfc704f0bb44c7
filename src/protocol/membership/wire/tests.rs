use proptest::prelude::*;

use super::super::record::{Record, Standing};
use super::*;
use crate::types::Epoch;

fn rumour(node: u32) -> Rumour {
    let record =
        Record { incarnation: 3, heartbeat: 70_000, standing: Standing::Suspect, epoch: Epoch(9), ..Record::UNHEARD };
    Rumour { node: NodeId(node), record, first_hand: true }
}

fn message() -> Gossip<'static> {
    let head = Head { kind: Kind::Answer, sender: rumour(5), first: NodeId(0), last: NodeId(u32::MAX) };
    Gossip { head, labels: vec![(NodeId(2), "n2"), (NodeId(9), "rack-1.a")], wants: vec![NodeId(7)] }
}

fn decode(bytes: &[u8]) -> Result<(Gossip<'_>, Vec<Rumour>), Malformed> {
    let mut rumours = vec![rumour(99)];
    Gossip::decode(NodeId(5), bytes, &mut rumours).map(|gossip| (gossip, rumours))
}

/// `body` with the right version and checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [&[VERSION][..], &xxh3_64(body).to_le_bytes(), body].concat()
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let rumours: Vec<Rumour> = [1, 2, 9].map(rumour).into();
    assert_eq!(decode(&message().encode(&rumours)), Ok((message(), rumours)));
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let bytes = message().encode(&[1, 2, 9].map(rumour));
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_message_of_another_sender_or_out_of_order_is_refused() {
    let bytes = message().encode(&[]);
    let other = Gossip::decode(NodeId(6), &bytes, &mut Vec::new());
    assert_eq!(other, Err(Malformed::Content));
    for nodes in [&[2, 1][..], &[1, 1], &[5]] {
        let rumours: Vec<Rumour> = nodes.iter().copied().map(rumour).collect();
        assert_eq!(decode(&message().encode(&rumours)), Err(Malformed::Content), "{nodes:?}");
    }
    let mut narrow = message();
    narrow.head.last = NodeId(8);
    assert_eq!(decode(&narrow.encode(&[rumour(9)])), Err(Malformed::Content));
    let mut unprintable = message();
    unprintable.labels = vec![(NodeId(1), "\u{1b}[31m")];
    assert_eq!(decode(&unprintable.encode(&[])), Err(Malformed::Content));
}

#[test]
fn a_count_is_believed_only_up_to_its_limit() {
    let mut body = postcard::to_stdvec(&message().head).unwrap();
    body.extend(postcard::to_stdvec(&(MAX_RUMOURS + 1)).unwrap());
    assert_eq!(decode(&sealed(&body)), Err(Malformed::Content));
    assert_eq!(decode(&vec![VERSION; MAX_MESSAGE_BYTES + 1]), Err(Malformed::TooLong));
    assert_eq!(decode(&[VERSION + 1]), Err(Malformed::Version));
}

#[test]
fn the_longest_message_is_within_the_limit() {
    let most = |node: u32| {
        let record = Record { incarnation: u64::MAX, heartbeat: u64::MAX, epoch: Epoch(u64::MAX), ..rumour(0).record };
        Rumour { node: NodeId(node), record, first_hand: true }
    };
    let rumours: Vec<Rumour> = (0..1_024).map(|n| most(u32::MAX - 2_000 + n)).collect();
    let label: &'static str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk";
    let mut message = message();
    message.head.sender = most(5);
    message.labels = vec![(NodeId(u32::MAX), label); MAX_LABELS];
    message.wants = vec![NodeId(u32::MAX); MAX_LABELS];
    let bytes = message.encode(&rumours);
    assert!(bytes.len() <= MAX_MESSAGE_BYTES, "{}", bytes.len());
    assert!(decode(&bytes).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Also where the checksum fits, anything may come: it is refused or read, never a panic.
    #[test]
    fn any_bytes_are_refused_or_read(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _either = decode(&body);
        let _either = decode(&sealed(&body));
    }
}
