//! Text and JSON of answers that were made by hand: every kind of answer, and what a cluster rarely gives.

use kvsim::cluster::{
    Absence, BeliefReport, ChangeUnderWay, CheckReport, DiskFault, EventReport, Fault, FaultReport, HealReport,
    LeaderBelief, LeaderReport, MembersReport, NodeReport, OperationCounts, PairReport, Placement, ReadReport,
    RepairReport, RestartReport, RingChangeReport, StatsReport, StatusReport, Vitality, VoterReport, WriteReport,
};
use kvsim::command::Response;
use kvsim::command::render::{Look, json, text};
use kvsim::command::response::{Keyed, Loaded, NodeFigures, Written};
use kvsim::error::Error;
use kvsim::protocol::ring_change::Compared;
use kvsim::sim::latency::Latency;
use kvsim::types::{Epoch, Level, NodeId, Stamp, Time};

const PIPE: Look = Look { terminal: false, color: false, width: 80 };
const TERMINAL: Look = Look { terminal: true, color: false, width: 80 };

fn labels(ids: &str) -> Vec<String> {
    ids.split_whitespace().map(str::to_owned).collect()
}

fn stamp() -> Stamp {
    Stamp { time: Time(1_234), coordinator: NodeId(2), counter: 7 }
}

fn write(key: &[u8]) -> WriteReport {
    WriteReport {
        key: key.to_vec(),
        replicas: labels("node2 node3 node1"),
        acks: labels("node3 node2"),
        needed: 2,
        version: stamp(),
        newer: None,
        hinted: Vec::new(),
        existed: true,
        took: Time(1_349),
        asked: None,
    }
}

fn read(key: &[u8], value: Option<&[u8]>) -> ReadReport {
    ReadReport {
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
        replicas: labels("node2 node3 node1"),
        acks: labels("node2 node3"),
        needed: 2,
        version: value.map(|_| stamp()),
        expires: None,
        repaired: Vec::new(),
        took: Time(980),
        asked: None,
    }
}

fn written(key: &[u8], value: &[u8]) -> Written {
    Written { value: value.to_vec(), report: write(key), ttl: None }
}

fn node(id: &str, state: &'static str, keys: u64, primaries: u64, share: f64) -> NodeReport {
    NodeReport {
        id: id.to_owned(),
        state,
        tokens: 128,
        keys,
        primaries,
        share,
        cache_hits: 12,
        cache_misses: 4,
        log_bytes: 1_234_567,
        faults: Vec::new(),
    }
}

fn stats() -> StatsReport {
    StatsReport {
        keys: 3_000,
        copies: 6_200,
        nodes: vec![
            node("node1", "up", 3_000, 1_012, 1_012.0 / 3_000.0),
            node("node2", "down", 0, 990, 0.33),
            node("a-much-longer-name", "up", 3_200, 998, 998.0 / 3_000.0),
        ],
        cv: 0.041_234,
        max_over_mean: 1.0512,
        operations: OperationCounts { issued: 3_100, ok: 3_090, failed: 4, indeterminate: 5, in_flight: 1 },
        notes: vec!["node2 is down: its copies are not counted".to_owned()],
    }
}

fn ring_change() -> RingChangeReport {
    let pair = |from: &str, keys, bytes| PairReport { from: from.to_owned(), to: "D".to_owned(), keys, bytes };
    RingChangeReport {
        nodes: vec!["D".to_owned()],
        tokens: 128,
        moved_keys: 2_154,
        copied: 2_154,
        minimum: 2_154,
        copies: 9_000,
        fair_share: 0.25,
        modulo_moved: 6_741,
        between_others: 0,
        pairs: vec![pair("node1", 718, 20_104), pair("node2", 1, 28), pair("node3", 1_435, 40_180)],
        epoch: Epoch(9),
        lost_keys: 0,
        lost: vec![],
        notes: vec!["2 copies a key, 3 wanted".to_owned()],
        took: Time(81_000),
    }
}

fn check(violations: &[&str]) -> CheckReport {
    CheckReport {
        checked: vec![("RING", 1_152), ("WAL-3", 3_000), ("KV-1", 3_000)],
        violations: violations.iter().map(|text| (*text).to_owned()).collect(),
        notes: vec!["node2 is down: its copies were not checked".to_owned()],
    }
}

fn leader(leader: Option<&str>) -> LeaderReport {
    let voter = |id: &str, state| VoterReport { id: id.to_owned(), state };
    let belief =
        |leader: Option<&str>| LeaderBelief { node: "node4".to_owned(), leader: leader.map(str::to_owned), term: 6 };
    LeaderReport {
        leader: leader.map(str::to_owned),
        is_ready: leader.is_some(),
        term: 7,
        epoch: Epoch(12),
        voters: vec![voter("node1", "up"), voter("node2", "down"), voter("node3", "paused")],
        forgetful: labels("node5"),
        known_to: leader.map(|_| labels("node1 node5")).unwrap_or_default(),
        others: vec![belief(None), belief(Some("node3")), belief(Some("node4"))],
        absence: leader.is_none().then(|| Absence {
            why: "of the voters (node1, node2, node3) node2, node3 cannot vote".to_owned(),
            remedy: "bring them back until a majority is up (at the prompt: restart node2)".to_owned(),
        }),
    }
}

/// Two nodes that take each other for dead, and a third that knows better.
fn members(seen_by: Option<&str>) -> MembersReport {
    let belief = |id: &str, state, phi, as_seen_by: &str| BeliefReport {
        id: id.to_owned(),
        state,
        phi,
        incarnation: 3,
        epoch: Epoch(12),
        as_seen_by: as_seen_by.to_owned(),
    };
    let rows = [
        belief("node1", "up", 0.0, "node1"),
        belief("node1", "down", 12.345, "node2"),
        belief("node1", "up", 0.25, "node3"),
        belief("node2", "suspect", 8.1, "node1"),
        belief("node2", "up", 0.0, "node2"),
        belief("node2", "suspect", 8.4, "node3"),
        belief("node3", "up", 0.7, "node1"),
        belief("node3", "up", 0.1, "node2"),
        belief("node3", "up", 0.0, "node3"),
    ];
    let asked = |observer: &str| seen_by.is_none_or(|node| node == observer);
    let leads = |node: &str| LeaderBelief { node: node.to_owned(), leader: Some("node1".to_owned()), term: 7 };
    MembersReport {
        members: rows.into_iter().filter(|row| asked(&row.as_seen_by)).collect(),
        leaders: ["node1", "node2", "node3"].into_iter().filter(|node| asked(node)).map(leads).collect(),
        seen_by: seen_by.map(str::to_owned),
        notes: if seen_by.is_none() { vec!["node4 is down: it is not asked".to_owned()] } else { vec![] },
    }
}

fn joining() -> ChangeUnderWay {
    ChangeUnderWay { stage: "copying", percent: 43, what: "node4 joins".to_owned() }
}

fn status() -> Vec<StatusReport> {
    let node = |id: &str, vitality, phase, load_bytes| StatusReport {
        id: id.to_owned(),
        vitality,
        phase,
        load_bytes,
        tokens: 128,
        owns: 0.75,
        host_id: 0xabcd,
        is_recovering: id == "node2",
        faults: Vec::new(),
    };
    vec![
        node("node1", Vitality::Unknown, 'N', None),
        node("node2", Vitality::Up, 'L', Some(1_234)),
        node("node3", Vitality::Down, 'J', None),
    ]
}

fn event(at: u64, node: Option<&str>, kind: &'static str, detail: &str) -> EventReport {
    EventReport { at: Time(at), node: node.map(str::to_owned), kind, detail: detail.to_owned() }
}

fn partition(is_one_way: bool) -> Fault {
    Fault::Partition { sides: vec![labels("node1"), labels("node2 node3")], is_one_way }
}

fn fault(fault: Fault, is_on: bool) -> FaultReport {
    FaultReport { fault, is_on, bystanders: labels("node4"), waited: 12, notes: Vec::new(), now: Time(412_999) }
}

/// Every answer there is, with the name of its command.
fn answers() -> Vec<(&'static str, Response)> {
    let no_nodes = || Err(Error::NoNodes);
    let hostile = b"\x1b[2J\xff\nx";
    vec![
        ("addnode", Response::NodeAdded(ring_change())),
        ("addnode", Response::NodeAdded(RingChangeReport { copies: 0, copied: 0, pairs: vec![], ..ring_change() })),
        ("removenode", Response::NodeRemoved(RingChangeReport { notes: vec![], ..ring_change() })),
        ("put", Response::Put(written(b"apple", b"1"))),
        ("put", Response::Put(written(b"two words", &[b'v'; 70]))),
        ("put", Response::Put(written(hostile, hostile))),
        (
            "put",
            Response::Put(Written {
                ttl: Some((Time(1_500_000), Time(412_000))),
                report: WriteReport { newer: Some(stamp()), ..write(b"apple") },
                value: b"1".to_vec(),
            }),
        ),
        ("get", Response::Get { read: read(b"apple", Some(b"1")), quiet: false }),
        ("get", Response::Get { read: read(b"apple", Some(b"1")), quiet: true }),
        ("get", Response::Get { read: read(b"pear", None), quiet: false }),
        ("get", Response::Get { read: read(hostile, Some(hostile)), quiet: true }),
        (
            "get",
            Response::Get { read: ReadReport { repaired: labels("node3"), ..read(b"a", Some(b"")) }, quiet: false },
        ),
        ("del", Response::Deleted(write(b"apple"))),
        ("del", Response::Deleted(WriteReport { existed: false, ..write(b"pear") })),
        ("exists", Response::Exists(read(b"apple", Some(b"1")))),
        ("exists", Response::Exists(read(b"pear", None))),
        (
            "mput",
            Response::PutMany(vec![
                Keyed { key: b"apple".to_vec(), result: Ok(written(b"apple", b"1")) },
                Keyed { key: b"pear".to_vec(), result: no_nodes() },
            ]),
        ),
        (
            "mget",
            Response::GetMany(vec![
                Keyed { key: b"apple".to_vec(), result: Ok(read(b"apple", Some(b"1"))) },
                Keyed { key: b"pear".to_vec(), result: Ok(read(b"pear", None)) },
                Keyed { key: hostile.to_vec(), result: Err(Error::NoNodes) },
            ]),
        ),
        (
            "load",
            Response::Loaded(Loaded { keys: 5_000, bytes: (204_800, 204_800), done: true, took: Time(6_512_345) }),
        ),
        (
            "where",
            Response::Where {
                key: b"apple".to_vec(),
                placement: Placement { hash: 0xab, token: u64::MAX, replicas: labels("node2 node3 node1") },
            },
        ),
        ("keys", Response::Keys(vec![b"apple".to_vec(), b"two words".to_vec(), hostile.to_vec()])),
        ("count", Response::Count(1)),
        ("clear", Response::ClearScreen),
        ("clear", Response::Cleared(3_000)),
        ("nodes", Response::Nodes { nodes: stats().nodes, change: Some(joining()) }),
        ("nodes", Response::Nodes { nodes: vec![], change: None }),
        ("show", Response::Show(stats())),
        ("stats", Response::Stats(stats())),
        ("leader", Response::Leader(leader(Some("node1")))),
        ("leader", Response::Leader(leader(None))),
        ("leader", Response::Leader(LeaderReport { is_ready: false, others: vec![], ..leader(Some("node1")) })),
        ("members", Response::Members(members(None))),
        ("members", Response::Members(members(Some("node2")))),
        (
            "members",
            Response::Members(MembersReport { members: vec![], leaders: vec![], seen_by: None, notes: vec![] }),
        ),
        ("status", Response::Status { nodes: status(), seen_by: Some("node2".to_owned()), change: None }),
        ("status", Response::Status { nodes: status(), seen_by: None, change: Some(joining()) }),
        ("kill", Response::Killed { node: "node2".to_owned(), now: Time(412_999) }),
        (
            "restart",
            Response::Restarted(RestartReport {
                node: "node2".to_owned(),
                records: 214,
                notes: vec!["note: node2: dropped an incomplete last record".to_owned()],
            }),
        ),
        ("partition", Response::Faulted(fault(partition(false), true))),
        ("partition", Response::Faulted(fault(partition(true), true))),
        ("drop", Response::Faulted(fault(Fault::Drop { percent: 0.5 }, true))),
        ("drop", Response::Faulted(fault(Fault::Drop { percent: 0.0 }, false))),
        ("duplicate", Response::Faulted(fault(Fault::Duplicate { percent: 1.0 }, true))),
        ("latency", Response::Faulted(fault(Fault::Latency(Latency::Uniform { from: 1.0, to: 3.0 }), true))),
        ("slow", Response::Faulted(fault(Fault::Slow { node: "node2".to_owned(), factor: 10.0 }, true))),
        ("skew", Response::Faulted(fault(Fault::Skew { node: "node2".to_owned(), us: -400_000 }, true))),
        ("pause", Response::Faulted(fault(Fault::Pause { node: "node2".to_owned() }, true))),
        ("resume", Response::Faulted(fault(Fault::Pause { node: "node2".to_owned() }, false))),
        (
            "disk",
            Response::Faulted(fault(Fault::Disk { node: "node2".to_owned(), fault: Some(DiskFault::Full) }, true)),
        ),
        (
            "heal",
            Response::Healed(HealReport {
                ended: vec![partition(true), Fault::Skew { node: "node2".to_owned(), us: 1_500 }],
                notes: vec!["node3 is down: restart node3 brings it back".to_owned()],
            }),
        ),
        ("advance", Response::Advanced { now: Time(5_412_999), change: None }),
        ("clock", Response::Clock { now: Time(5_412_999), event_hash: 0x1234_5678_9abc_def0 }),
        (
            "events",
            Response::Events(vec![
                event(12, None, "kill", "node2"),
                event(1_000_345, Some("node10"), "deliver", "put a\x1bb from node1"),
                event(1_000_346, Some("node1"), "a-long-kind", ""),
            ]),
        ),
        ("consistency", Response::Consistency { level: Level::Quorum, set: false }),
        ("consistency", Response::Consistency { level: Level::All, set: true }),
        ("check", Response::Checked(check(&[]))),
        ("check", Response::Checked(check(&["KV-1 apple was acknowledged at 0.412 s and is gone"]))),
        ("help", Response::Help(kvsim::command::grammar::find("put"))),
        ("exit", Response::Exit),
    ]
    .into_iter()
    .chain(live_answers())
    .collect()
}

/// The answers that differ where the nodes are processes of their own.
fn live_answers() -> Vec<(&'static str, Response)> {
    let asked = || Some("8082".to_owned());
    let hostile = b"\x1b[2J\xff\nx";
    let put = |key: &[u8]| Written { report: WriteReport { asked: asked(), ..write(key) }, ..written(key, b"1") };
    let get = |key: &[u8], value| ReadReport { asked: asked(), ..read(key, value) };
    let repair = RepairReport {
        pairs: ring_change().pairs,
        left_out: labels("8083"),
        compared: Compared { groups: 0, digests: 12, tombstones: 1, dropped: 0 },
        took: Time(12_345),
    };
    let answers = vec![
        ("put", Response::Put(put(b"apple"))),
        ("get", Response::Get { read: get(b"apple", Some(b"1")), quiet: false }),
        ("get", Response::Get { read: get(b"apple", Some(b"1")), quiet: true }),
        ("get", Response::Get { read: get(hostile, Some(hostile)), quiet: false }),
        ("get", Response::Get { read: get(hostile, None), quiet: false }),
        ("del", Response::Deleted(put(b"apple").report)),
        ("mput", Response::PutMany(vec![Keyed { key: b"a".to_vec(), result: Ok(put(b"a")) }])),
        ("load", Response::Loaded(Loaded { keys: 5, bytes: (20, 20), done: true, took: Time(6_512) })),
        ("removenode", Response::Removed { nodes: labels("8083"), pairs: ring_change().pairs, took: Time(6_512) }),
        ("repair", Response::Repaired(repair)),
        ("stats", Response::Stats(stats())),
        ("metrics", Response::NodeFigures(vec![NodeFigures { id: "8082".to_owned(), hints: 3, ..Default::default() }])),
        ("help", Response::Help(kvsim::command::grammar::find("kill"))),
    ];
    answers.into_iter().map(|(name, answer)| (name, Response::Live(Box::new(answer)))).collect()
}

fn shown(render: impl Fn(&'static str, &Response) -> Vec<u8>) -> String {
    let parts = answers().into_iter().map(|(command, response)| {
        let bytes = render(command, &response);
        format!("--- {command}\n{}", lossless(&bytes))
    });
    parts.collect()
}

/// Bytes as text, such as are no text in brackets.
fn lossless(bytes: &[u8]) -> String {
    bytes
        .utf8_chunks()
        .map(|chunk| {
            let hex: String = chunk.invalid().iter().map(|byte| format!("<{byte:02x}>")).collect();
            chunk.valid().replace('\x1b', "<esc>") + &hex
        })
        .collect()
}

#[test]
fn text_in_a_pipe() {
    insta::assert_snapshot!(shown(|_, response| text::render(response, PIPE)));
}

#[test]
fn text_on_a_terminal() {
    insta::assert_snapshot!(shown(|_, response| text::render(response, TERMINAL)));
}

#[test]
fn json_lines() {
    insta::assert_snapshot!(shown(json::render));
}

#[test]
fn colour_is_added_around_lines_only() {
    let colour = Look { color: true, ..TERMINAL };
    let put = text::render(&Response::Put(written(b"apple", b"1")), colour);
    insta::assert_snapshot!(lossless(&put));
    for (command, response) in answers() {
        let coloured = anstream::adapter::strip_bytes(&text::render(&response, colour)).into_vec();
        // Clearing the screen is the one answer that is an escape sequence.
        if !matches!(response, Response::ClearScreen) {
            assert_eq!(coloured, text::render(&response, TERMINAL), "{command}");
        }
    }
}

#[test]
fn nothing_unsafe_reaches_a_terminal() {
    for (command, response) in answers() {
        if matches!(response, Response::ClearScreen) {
            continue;
        }
        for bytes in [text::render(&response, TERMINAL), json::render(command, &response)] {
            let text = String::from_utf8(bytes).expect("text");
            let unsafe_char = text.chars().find(|c| *c != '\n' && kvsim::command::escape::is_unsafe(*c));
            assert_eq!(unsafe_char, None, "{command}");
        }
    }
}

#[test]
fn narrow_windows_shorten_the_bars() {
    let narrow = Look { width: 40, ..TERMINAL };
    let show = |look| String::from_utf8(text::render(&Response::Show(stats()), look)).expect("text");
    assert!(show(narrow).matches('█').count() < show(TERMINAL).matches('█').count());
}

/// What is longer than a window is broken between words, or leaves out what it has no room for.
#[test]
fn nothing_runs_over_the_edge_of_a_narrow_window() {
    let look = Look { width: 50, ..TERMINAL };
    let wide = |name: &str| matches!(name, "put" | "get" | "keys" | "events" | "history");
    for (name, response) in answers().into_iter().filter(|(name, _)| !wide(name)) {
        let text = String::from_utf8(text::render(&response, look)).expect("text");
        for line in text.lines() {
            assert!(line.chars().count() <= 50, "{name}: {line}");
        }
    }
    for spec in kvsim::command::grammar::SPECS {
        let text = text::render(&Response::Help(Some(spec)), look);
        assert!(text.split(|byte| *byte == b'\n').all(|line| line.len() <= 50), "{}", spec.name);
    }
}

#[test]
fn json_is_one_object_a_line_with_command_and_ok_first() {
    for (command, response) in answers() {
        let line = String::from_utf8(json::render(command, &response)).expect("text");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.starts_with(&format!("{{\"command\":\"{command}\",\"ok\":{}", response.ok())), "{line}");
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
    }
}
