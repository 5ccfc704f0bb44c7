use super::plan::{Disturbance, Plan, Step};
use super::profile::Profile;
use super::*;
use crate::cluster::{Damage, Message, MessageEnd, Probe};
use crate::storage::log::SyncPolicy;
use crate::types::{Level, Time};

const PROFILES: [Profile; 6] =
    [Profile::Default, Profile::Network, Profile::Disk, Profile::Membership, Profile::Skew, Profile::BeyondBudget];

fn settings(seeds: (u64, u64), profile: Profile, ops: u32, threads: u16) -> Settings {
    let flags = Flags { seeds: Some(seeds), minutes: None, gate: None, profile, ops, threads: Some(threads) };
    Settings::new(&flags, None, None, true)
}

fn summary(settings: &Settings) -> (Ending, serde_json::Value, String) {
    let (mut results, mut asides) = (Vec::new(), Vec::new());
    let ending = run(settings, Look::default(), &AtomicBool::new(false), &mut results, &mut asides).unwrap();
    (ending, serde_json::from_slice(&results).unwrap(), String::from_utf8(asides).unwrap())
}

#[test]
fn a_seed_has_one_plan() {
    let draw = |seed| Plan::draw(seed, Profile::Default, None, 300);
    assert_eq!(format!("{:?}", draw(7)), format!("{:?}", draw(7)));
    assert_ne!(draw(7).steps, draw(8).steps);
    assert_eq!(draw(7).ops(), 300);
    assert_eq!(Plan::draw(7, Profile::Default, Some(9), 300).nodes, 9);
}

#[test]
fn a_profile_turns_on_its_own_faults_and_each_seed_a_part_of_them() {
    let names = |profile, seeds: std::ops::Range<u64>| {
        let plans = seeds.map(|seed| Plan::draw(seed, profile, None, 400));
        let steps = plans.flat_map(|plan| plan.steps);
        let of = |step| if let Step::Disturb(disturbance) = step { Some(disturbance.name()) } else { None };
        steps.filter_map(of).collect::<std::collections::BTreeSet<_>>()
    };
    let all = names(Profile::Default, 1..200);
    assert_eq!(all.len(), 24, "{all:?}");
    assert!(names(Profile::Default, 3..4).len() < all.len());
    assert!(!names(Profile::Network, 1..100).iter().any(|name| name.contains("kill") || name.contains("disk")));
    assert!(names(Profile::Skew, 1..50).contains("skew"));
}

/// The seeds of each profile, in full: the clusters are judged at every event, and are where it is dangerous.
#[test]
fn nothing_is_found_under_any_profile() {
    let mut met = std::collections::BTreeSet::new();
    for profile in PROFILES {
        let (ending, summary, story) = summary(&settings((1, 25), profile, 400, 2));
        assert_eq!((ending, &summary["ok"]), (Ending::Clean, &true.into()), "{} {story}", profile.name());
        assert_eq!((&summary["seeds"], &summary["ops"]), (&24.into(), &9_600.into()));
        let [faults, checks] = ["faults", "checks"].map(|name| summary[name].as_u64().unwrap());
        assert!(faults > 240 && checks > 100_000, "{summary}");
        assert!(summary["mended"]["heal"].as_u64() > Some(0) && summary["faults_by_kind"]["heal"].is_null());
        met.extend(summary["probes"].as_object().unwrap().keys().cloned());
    }
    // A stale leader takes more seeds than there is time for here.
    let wanted = Probe::ALL.into_iter().filter(|probe| *probe != Probe::StaleLeader).map(Probe::name);
    let unmet: Vec<_> = wanted.filter(|name| !met.contains(*name)).collect();
    assert_eq!(unmet, [""; 0]);
}

/// DET-1, also for a campaign: how many threads play it, and in which order they end, changes nothing.
#[test]
fn the_hash_of_a_campaign_is_that_of_its_seeds() {
    let hash = |seeds, threads| {
        let (_, summary, _) = summary(&settings(seeds, Profile::Default, 60, threads));
        summary["campaign_hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash((1, 13), 1), hash((1, 13), 5));
    assert_ne!(hash((1, 13), 1), hash((2, 14), 1));
}

/// DET-1 over machines and versions: a change of the engine that changes a run shows here, and changes these figures.
#[test]
fn ten_seeds_have_the_hashes_they_ever_had() {
    let hashes: Vec<String> = (1..=10)
        .map(|seed| {
            let profile = PROFILES[seed as usize % PROFILES.len()];
            format!("{:016x}", episode::play(&Plan::draw(seed, profile, None, 200)).hash)
        })
        .collect();
    assert_eq!(hashes, PINNED);
}

const PINNED: [&str; 10] = [
    "80cfb4fbe6bcc5c3",
    "9f0ffc98e655829f",
    "7965c548f5887c2d",
    "e7c16d5278c303e2",
    "7a920e706b6c5e91",
    "efc95d49b26e381a",
    "464dacbc5ac64448",
    "7b599ee101d1af2d",
    "d296fac04db4b339",
    "db38cdd3b5e858ae",
];

#[test]
fn a_campaign_below_its_floor_has_failed() {
    let flags =
        Flags { seeds: None, gate: Some(Gate::Ci), ops: 1, minutes: None, profile: Profile::Network, threads: None };
    let (ending, summary, _) = summary(&Settings::new(&flags, None, Some(1), true));
    assert_eq!((ending, &summary["ok"], &summary["seeds"]), (Ending::BelowFloor, &false.into(), &2_000.into()));
    assert_eq!(summary["below_floor"].as_array().unwrap().len(), 3, "{summary}");
}

#[test]
fn a_campaign_that_is_stopped_says_how_far_it_came() {
    let (mut results, mut asides) = (Vec::new(), Vec::new());
    let settings = settings((1, 1_000_000), Profile::Default, 60, 2);
    let ending = run(&settings, Look::default(), &AtomicBool::new(true), &mut results, &mut asides).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&results).unwrap();
    assert_eq!((ending, &summary["seeds"], &summary["ok"]), (Ending::Stopped, &0.into(), &false.into()));
    assert_eq!(summary["stopped"], true);
    let (mut told, settings) = (Vec::new(), Settings { json: false, ..settings });
    run(&settings, Look::default(), &AtomicBool::new(true), &mut told, &mut asides).unwrap();
    assert!(String::from_utf8(told).unwrap().contains("stopped: no violation so far"));
}

/// Nothing comes after the last number there is.
#[test]
fn the_last_seed_is_played_like_any_other() {
    for threads in [1, 3] {
        let (ending, summary, _) = summary(&settings((u64::MAX - 1, u64::MAX), Profile::Network, 10, threads));
        assert_eq!((ending, &summary["seeds"]), (Ending::Clean, &1.into()));
        let flags = Flags { seeds: None, minutes: None, gate: None, profile: Profile::Network, ops: 10, threads: None };
        let last = Settings { threads: threads.into(), ..Settings::new(&flags, Some(u64::MAX), None, true) };
        let (mut results, mut asides) = (Vec::new(), Vec::new());
        run(&last, Look::default(), &AtomicBool::new(false), &mut results, &mut asides).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&results).unwrap()["seeds"], 1);
    }
}

#[test]
fn a_cluster_that_cannot_be_is_a_violation() {
    let plan = Plan { copies: 0, ..Plan::draw(1, Profile::Network, None, 10) };
    let outcome = episode::play(&plan);
    assert!(outcome.violation.is_some(), "{outcome:?}");
}

/// Outside the contract, and told: who is to vote after a ring change forgets what it promised while it becomes a voter. At
/// any other moment of the change another votes in its place, or it does when it is started alone.
#[test]
fn a_ring_change_that_waits_for_ever_is_no_violation() {
    let stranded = |nodes| {
        let played = (0..40).map(|moment| {
            let steps = vec![
                Step::Pass(Time::SECOND),
                Step::Disturb(Disturbance::Leave { node: "node1".to_owned(), force: false }),
                Step::Pass(Time(moment * 1_000)),
                Step::Disturb(Disturbance::Damage { node: "node2".to_owned(), damage: Damage::Wiped }),
            ];
            let drawn = Plan::draw(7, Profile::Default, Some(nodes), 1);
            episode::play(&Plan { vnodes: 8, copies: 3, recover_prefix: true, steps, ..drawn })
        });
        let outcomes: Vec<episode::Outcome> = played.collect();
        let found: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.violation.as_ref()).collect();
        assert!(found.is_empty(), "{found:?}");
        outcomes.iter().filter(|outcome| outcome.is_stranded).count()
    };
    for nodes in [2, 3] {
        let count = stranded(nodes);
        assert!((1..20).contains(&count), "{nodes} nodes: {count}");
    }
}

#[test]
fn a_failing_seed_is_told_as_a_story() {
    let plan = Plan::draw(5, Profile::Network, Some(3), 30);
    let ask = |wish| Step::Ask(plan::Ask { key: "quorum1".to_owned(), level: Level::Quorum, wish });
    let steps = vec![
        ask(plan::Wish::Put(7)),
        Step::Pass(Time(1_500)),
        Step::Disturb(plan::Disturbance::Kill { node: "node2".to_owned(), power_loss: true }),
        ask(plan::Wish::Get),
    ];
    let small = Plan { vnodes: 8, recover_prefix: false, sync: SyncPolicy::Never, copies: 3, steps, ..plan.clone() };
    let mut outcome = episode::play(&small);
    assert_eq!(outcome.violation, None);
    let what = "KV-1 quorum1: acknowledged version 5.1.0 is gone".to_owned();
    outcome.violation = Some(episode::Violation { what, at: Time(2_000), steps: 4, is_healed: true });
    let message = Message {
        sent: Time(10),
        end: MessageEnd::Arrived(Time(900)),
        from: "node1".to_owned(),
        to: "node3".to_owned(),
        what: "put",
        version: None,
    };
    outcome.messages_about = Some(("quorum1".to_owned(), vec![message]));
    let mut page = Page::new(Look::default());
    let settings = settings((1, 9), Profile::Network, 30, 1);
    story::tell(&mut page, Look::default(), &settings, &plan, &small, &outcome);
    insta::assert_snapshot!(String::from_utf8(page.into_bytes()).unwrap(), @"
    KV-1 quorum1: acknowledged version 5.1.0 is gone
    shrunk from 30 operations and 7 faults to 2 operations and 1 fault: 3 nodes, 3 copies, 8 tokens a node, --sync never

            0 us  put quorum1 7 --consistency quorum
          1.5 ms  kill node2 --power-loss
          1.5 ms  get quorum1 --consistency quorum
    then every fault is ended, who is down is started again, and the cluster has to become whole
          2.0 ms  KV-1 quorum1: acknowledged version 5.1.0 is gone

    the last messages about quorum1:

                node1   node3
       900 us      ├──────►│     put (sent 10 us)

    again: kvsim simulate --seed 5 --profile network --ops 30
    ");
}

#[test]
fn a_violation_names_its_key() {
    let keys = ["one1", "one11", "quorum1"].map(str::to_owned);
    let key = |what: &str| {
        let violation = episode::Violation { what: what.to_owned(), at: Time(0), steps: 0, is_healed: false };
        story::key_of(&violation, &keys)
    };
    assert_eq!(key("KV-1 one11: acknowledged version 5.1.0 is gone"), Some("one11".to_owned()));
    assert_eq!(key("KV-5 \"quorum1\": read 3, which nobody wrote"), Some("quorum1".to_owned()));
    assert_eq!(key("MOVE-4 no node can join"), None);
}
