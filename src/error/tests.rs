//! Every text as users see it. Each is also reached by a real situation in the tests of cluster, store and prompt.

use super::*;

fn label() -> String {
    "node1".to_owned()
}

#[test]
fn every_text_is_pinned() {
    let missing = || vec![("node2".to_owned(), "down".into()), ("node3".to_owned(), "KV-E120 disk full".into())];
    let acks = || vec!["node1".to_owned()];
    let all = [
        Error::UnknownNode { label: "nod1".to_owned(), known: vec![label(), "node2".to_owned()] },
        Error::UnknownNode { label: label(), known: Vec::new() },
        Error::NodeExists { label: label() },
        Error::NoNodes,
        Error::NodeDown { label: label() },
        Error::LeaverDown { label: label() },
        Error::LeaverUp { label: label() },
        Error::NodeUp { label: label() },
        Error::NodePaused { label: label() },
        Error::NotPaused { label: label() },
        Error::NoQuorum { needed: 2, reachable: 0, missing: missing() },
        Error::NoQuorum { needed: 1, reachable: 0, missing: Vec::new() },
        Error::WriteTimeout { needed: 2, acks: acks(), missing: missing() },
        Error::ReadTimeout { needed: 2, acks: acks(), missing: missing() },
        Error::LeaverSuspect { label: "node2".into() },
        Error::NotServing { why: "it is stopping" },
        Error::Busy { in_flight: 4_096 },
        Error::ClientsAtWork { clients: 50 },
        Error::ChangeInProgress { percent: 40 },
        Error::ChangeGoesOn { percent: 40 },
        Error::ChangeBlocked { label: label(), percent: 80 },
        Error::ChangePaused { label: label(), percent: 80 },
        Error::ChangeUnled {
            percent: 10,
            why: "of the voters (node1) node1 cannot vote".to_owned(),
            remedy: "x".to_owned(),
        },
        Error::NoLeader { why: "of the voters (node1) node1 cannot vote".to_owned(), remedy: "x".to_owned() },
        Error::LastCopy { label: label(), keys: 1 },
        Error::LastCopy { label: label(), keys: 2 },
        Error::ChangeAborted { label: label() },
        Error::HeirDown { label: "node2".to_owned(), leavers: vec![label(), "node2".to_owned()] },
        Error::Setting { setting: "copies", given: 9, least: 1, most: 7 },
        Error::TwoSides { label: label() },
        Error::Unanswered { asked: "node node1 does not answer".to_owned(), remedy: "start it".to_owned() },
        Error::WriteUnanswered { asked: "node node1 does not answer".to_owned() },
    ];
    for error in &all {
        assert!(error.to_string().starts_with(error.code()), "{error}");
    }
    insta::assert_snapshot!(all.map(|error| error.to_string()).join("\n"));
}
