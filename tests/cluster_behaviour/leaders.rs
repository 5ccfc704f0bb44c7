//! Leaders that go while they carry out a change of the ring: killed, paused, cut off, at every stage. Another is elected,
//! the change is completed or comes to nothing whole (MOVE-4), and no client fails but those whose coordinator the
//! leader was.

use kvsim::cluster::{Cluster, DoomedAt, HealScope};
use kvsim::error::Error;
use kvsim::protocol::election::ELECTION_BOUND;
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound, none};
use crate::{assert_filled, cluster_of, fill, small};

const KEYS: u64 = 30;

/// What happens to the leader.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Blow {
    Kill,
    Pause,
    CutOff,
    /// Nobody hears it; it hears all.
    Mute,
    /// It hears nobody; all hear it.
    Deaf,
}

/// What the leader was at.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Work {
    Add,
    Remove,
    RemoveLeader,
}

/// A cluster, two clients who ask something now and then, and the newest leader.
struct Scene {
    cluster: Cluster,
    clients: Workload,
    leader: String,
    term: u64,
    blown: Vec<String>,
}

impl Scene {
    fn new(nodes: u32, seed: u64) -> Scene {
        let mut cluster = cluster_of(nodes, small(seed));
        fill(&mut cluster, KEYS);
        let clients = Workload::new(seed, 2, 8, &[Level::Quorum], none);
        let mut scene = Scene { cluster, clients, leader: String::new(), term: 0, blown: Vec::new() };
        scene.look();
        assert_ne!(scene.term, 0, "there is a leader");
        scene
    }

    /// Takes note of an election.
    fn look(&mut self) {
        let Some(elected) = self.cluster.events(1, None, Some("elect")).unwrap().pop() else { return };
        let term = elected.detail.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok()).unwrap();
        if term > self.term {
            (self.leader, self.term) = (elected.node.unwrap(), term);
        }
    }

    /// Lets the clients ask every 20 ms, until `done`. False if that is not within `most`.
    fn run(&mut self, most: Time, mut done: impl FnMut(&mut Scene) -> bool) -> bool {
        let until = self.cluster.now().plus(most);
        while self.cluster.now() < until {
            if done(self) {
                return true;
            }
            self.clients.tend(&mut self.cluster);
            self.cluster.advance(Time(20_000));
            self.look();
        }
        done(self)
    }

    /// The change makes so many events; false if it has ended.
    fn step(&mut self, events: u64) -> bool {
        self.clients.tend(&mut self.cluster);
        (0..events).for_each(|_| {
            self.cluster.step();
        });
        self.look();
        self.cluster.ring_change().is_some()
    }

    fn start(&mut self, work: Work) -> String {
        let follower = self.cluster.members().into_iter().rfind(|node| *node != self.leader).unwrap();
        let subject = match work {
            Work::Add => "new".to_owned(),
            Work::Remove => follower,
            Work::RemoveLeader => self.leader.clone(),
        };
        if work == Work::Add {
            self.cluster.start_add_node(&subject, 1.0).unwrap();
        } else {
            self.cluster.start_remove_node(&subject, false).unwrap();
        }
        subject
    }

    fn strike(&mut self, blow: Blow) {
        let leader = self.leader.clone();
        let others: Vec<String> = self.cluster.members().into_iter().filter(|node| *node != leader).collect();
        let alone = vec![leader.clone()];
        match blow {
            Blow::Kill => self.cluster.kill(&leader).unwrap(),
            Blow::Pause => drop(self.cluster.pause(&leader).unwrap()),
            Blow::CutOff => drop(self.cluster.partition(&[alone, others], false).unwrap()),
            Blow::Mute => drop(self.cluster.partition(&[alone, others], true).unwrap()),
            Blow::Deaf => drop(self.cluster.partition(&[others, alone], true).unwrap()),
        }
        self.blown.push(leader);
    }

    /// All is as it should be again, but for nodes that have left meanwhile.
    fn mend(&mut self) {
        self.cluster.heal(HealScope::All);
        for node in std::mem::take(&mut self.blown) {
            match self.cluster.restart(&node) {
                Ok(_) => {}
                Err(error) => assert!(matches!(error.code(), "KV-E133" | "KV-E136"), "{error}"),
            }
        }
    }

    /// Another leader, and an end of the change.
    #[track_caller]
    fn assert_goes_on(&mut self, case: &str) -> Result<(), Error> {
        let (before, leader) = (self.term, self.leader.clone());
        let elected = self.run(ELECTION_BOUND, |scene| scene.term > before);
        assert!(elected, "{case}: no leader after {leader} of term {before}");
        assert_ne!(self.leader, leader, "{case}");
        let ended = self.run(Time(60_000_000), |scene| scene.cluster.ring_change().is_none());
        assert!(ended, "{case}: the change makes no end: {:?}", self.cluster.ring_change());
        self.cluster.take_ring_change().unwrap().map(drop)
    }

    /// The ring is the old one or the new one, whole; nobody failed but who had the leader for a coordinator.
    #[track_caller]
    fn assert_whole(&mut self, case: &str, work: Work, subject: &str, ended: &Result<(), Error>) {
        let stayed = self.cluster.members().iter().any(|node| node == subject);
        assert_eq!(stayed, (work == Work::Add) == ended.is_ok(), "{case}: {ended:?}");
        if let Err(error) = ended {
            assert!(matches!(error, Error::ChangeAborted { .. }), "{case}: {error}");
        }
        let struck = self.blown.clone();
        self.clients.finish(&mut self.cluster);
        self.mend();
        self.cluster.advance(Time(5_000_000));
        let of_the_struck = |told: &String| {
            let cut = struck.iter().any(|node| told.contains(&format!("partitioned from {node}")));
            cut || told.contains("while it coordinated this")
        };
        self.clients.surprises.retain(|told| !of_the_struck(told));
        self.clients.judge();
        assert_filled(&mut self.cluster, KEYS);
        assert_sound(&mut self.cluster);
        assert_eq!(self.cluster.check().notes, Vec::<String>::new(), "{case}: all have heard, and handed over");
    }
}

/// Strikes the leader every `stride` events of the change. Says how many changes were completed, and how many came to
/// nothing.
fn strike_at_every_stage(seed: u64, stride: usize, blow: Blow, work: Work) -> (u32, u32) {
    let (mut completed, mut aborted) = (0, 0);
    for events in (0..).step_by(stride) {
        let case = format!("seed {seed}, {blow:?} during {work:?} after {events} events");
        let mut scene = Scene::new(5, seed);
        let subject = scene.start(work);
        if !scene.step(events) {
            break;
        }
        scene.strike(blow);
        let ended = scene.assert_goes_on(&case);
        scene.assert_whole(&case, work, &subject, &ended);
        let count = if ended.is_ok() { &mut completed } else { &mut aborted };
        *count += 1;
        // The ring can be changed again.
        scene.cluster.add_node("last", 1.0).unwrap();
        assert_sound(&mut scene.cluster);
    }
    (completed, aborted)
}

#[track_caller]
fn strike_over_seeds(blow: Blow) {
    for work in [Work::Add, Work::Remove] {
        let (mut completed, mut aborted) = (0, 0);
        for seed in 0..2 {
            let (done, undone) = strike_at_every_stage(seed, 40, blow, work);
            (completed, aborted) = (completed + done, aborted + undone);
        }
        assert!(completed > 0, "{blow:?} during {work:?}: {completed} completed, {aborted} aborted");
    }
}

#[test]
fn a_leader_that_is_killed_leaves_a_whole_ring() {
    strike_over_seeds(Blow::Kill);
}

#[test]
fn a_leader_that_stands_still_leaves_a_whole_ring() {
    strike_over_seeds(Blow::Pause);
}

#[test]
fn a_leader_that_is_cut_off_leaves_a_whole_ring() {
    strike_over_seeds(Blow::CutOff);
}

#[test]
fn a_leader_that_nobody_hears_leaves_a_whole_ring() {
    strike_over_seeds(Blow::Mute);
}

#[test]
fn a_leader_that_hears_nobody_leaves_a_whole_ring() {
    strike_over_seeds(Blow::Deaf);
}

#[test]
fn a_leader_that_leaves_and_dies_on_the_way_leaves_a_whole_ring() {
    for blow in [Blow::Kill, Blow::CutOff] {
        strike_at_every_stage(1, 60, blow, Work::RemoveLeader);
    }
}

/// It is voted out by what it proposed, and has only to tell of it: the next leader does that instead.
#[test]
fn a_leader_that_has_left_and_is_cut_off_before_it_told_all_leaves_a_whole_ring() {
    strike_at_every_stage(10, 260, Blow::CutOff, Work::RemoveLeader);
}

#[test]
#[ignore = "minutes: every 20 events of a change, over ten seeds"]
fn leaders_go_at_every_moment() {
    for blow in [Blow::Kill, Blow::Pause, Blow::CutOff, Blow::Mute, Blow::Deaf] {
        for work in [Work::Add, Work::Remove, Work::RemoveLeader] {
            for seed in 10..20 {
                strike_at_every_stage(seed, 20, blow, work);
            }
        }
    }
}

#[test]
fn the_leader_leaves_and_another_is_elected() {
    for seed in 0..5 {
        let mut scene = Scene::new(5, seed);
        let (leader, before) = (scene.start(Work::RemoveLeader), scene.term);
        assert!(scene.run(Time(60_000_000), |scene| scene.cluster.ring_change().is_none()));
        scene.cluster.take_ring_change().unwrap().unwrap();
        assert!(scene.run(ELECTION_BOUND, |scene| scene.term > before && scene.leader != leader), "seed {seed}");
        scene.assert_whole(&format!("seed {seed}"), Work::RemoveLeader, &leader, &Ok(()));
        assert!(scene.clients.answers.keys().all(|answer| *answer == "ok"), "{:?}", scene.clients.answers);
        scene.cluster.add_node("last", 1.0).unwrap();
    }
}

#[test]
fn two_leaders_die_one_after_the_other() {
    for seed in 0..4 {
        for events in [0, 40, 120, 250] {
            let case = format!("seed {seed}, {events} events");
            // Of seven nodes five vote: two of them may go. Few keys have both among their replicas.
            let mut scene = Scene::new(7, seed);
            let subject = scene.start(Work::Add);
            if !scene.step(events) {
                continue;
            }
            scene.strike(Blow::Kill);
            let before = scene.term;
            assert!(scene.run(ELECTION_BOUND, |scene| scene.term > before), "{case}");
            let is_under_way = scene.step(events / 2);
            scene.strike(Blow::Kill);
            let before = scene.term;
            assert!(scene.run(ELECTION_BOUND, |scene| scene.term > before), "{case}: a third leader");
            assert!(!scene.blown.contains(&scene.leader), "{case}");
            // With two of three replicas down a change may need one of them back.
            if is_under_way {
                scene.run(Time(10_000_000), |scene| scene.cluster.ring_change().is_none());
            }
            scene.mend();
            let ended = scene.run(Time(60_000_000), |scene| scene.cluster.ring_change().is_none());
            assert!(ended, "{case}: {:?}", scene.cluster.ring_change());
            let ended = scene.cluster.take_ring_change().unwrap().map(drop);
            // Whose replicas were two of them failed, and may.
            scene.clients.finish(&mut scene.cluster);
            let both = |told: &String| !told.starts_with("KV-E202") && !told.starts_with("KV-E201");
            scene.clients.surprises.retain(both);
            scene.assert_whole(&case, Work::Add, &subject, &ended);
        }
    }
}

/// The operator's last resort: most of those who vote are gone for good.
#[test]
fn a_majority_of_the_voters_is_removed_by_force() {
    for seed in 0..5 {
        let mut scene = Scene::new(6, seed);
        let mut dead = vec![scene.leader.clone()];
        // The first five vote.
        dead.extend((1..=5).map(|n| format!("node{n}")).filter(|node| *node != scene.leader).take(2));
        dead.iter().for_each(|node| scene.cluster.kill(node).unwrap());
        assert!(
            !scene.run(Time(2 * ELECTION_BOUND.0), |scene| !dead.contains(&scene.leader)),
            "a minority elects nobody"
        );
        assert_eq!(scene.cluster.add_node("new", 1.0).unwrap_err().code(), "KV-E204");
        scene.clients.surprises.clear();
        scene.cluster.remove_nodes(&dead, true).unwrap();
        scene.look();
        assert!(!dead.contains(&scene.leader), "seed {seed}");
        scene.cluster.add_node("new", 1.0).unwrap();
        scene.cluster.put(b"k", b"v", &crate::at(Level::All)).unwrap();
        assert_sound(&mut scene.cluster);
    }
}

/// Whoever leads a change waits for nothing but answers: when nobody is left to answer, time does not run away.
#[test]
fn when_all_die_in_the_middle_of_a_change_nothing_is_left_to_happen() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, KEYS);
    cluster.start_add_node("node4", 1.0).unwrap();
    for _ in 0..40 {
        assert!(cluster.step());
    }
    for node in cluster.members() {
        cluster.kill(&node).unwrap();
    }
    while cluster.step() {}
    assert!(cluster.now() < Time(60_000_000), "{:?}", cluster.now());
    for node in ["node1", "node2", "node3"] {
        cluster.restart(node).unwrap();
    }
    cluster.advance(Time(12_000_000));
    assert_sound(&mut cluster);
}

/// A leader that takes itself out of the ring cannot seat the voters that the ring then wants: the next one does.
#[test]
fn the_voters_are_an_odd_number_again_when_the_leader_has_left() {
    let mut cluster = cluster_of(5, small(1));
    cluster.advance(Time::SECOND);
    let leader = cluster.leader().leader.unwrap();
    cluster.remove_node(&leader, false).unwrap();
    cluster.advance(ELECTION_BOUND);
    assert_eq!(cluster.leader().voters.len(), 3);
    assert_sound(&mut cluster);
}

/// What a new leader has to see to comes before what its operator wants of it, and neither is forgotten.
#[test]
fn leaders_leave_one_after_the_other() {
    let mut cluster = cluster_of(6, small(1));
    fill(&mut cluster, KEYS);
    for left in [5, 4, 3, 2, 1] {
        let leader = cluster.leader().leader;
        cluster.remove_node(&leader.unwrap_or_else(|| cluster.members()[0].clone()), false).unwrap();
        assert_eq!(cluster.members().len(), left);
    }
    cluster.advance(ELECTION_BOUND);
    assert_eq!(cluster.leader().voters.len(), 1);
    assert_filled(&mut cluster, KEYS);
    assert_sound(&mut cluster);
}

/// What a node could not hand over because one receiver was out of its reach is handed over when it is not, though the
/// leader heard of both all the while.
#[test]
fn what_is_owed_is_handed_over_after_the_healing() {
    let mut cluster = cluster_of(5, small(1));
    fill(&mut cluster, KEYS);
    for node in ["node1", "node2", "node3", "node4"] {
        cluster.partition(&[vec!["node5".into()], vec![node.into()]], false).unwrap();
        cluster.start_add_node(&format!("beside_{node}"), 1.0).unwrap();
        cluster.advance(Time(8_000_000));
        cluster.heal(HealScope::All);
        cluster.advance(Time(20_000_000));
        let notes = cluster.check().notes;
        assert_eq!(notes, Vec::<String>::new(), "apart from {node}");
    }
    assert_sound(&mut cluster);
}

/// A change that has lost its leader is neither refused nor done.
#[test]
fn a_change_without_a_leader_says_so() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, KEYS);
    cluster.kill_at("node1", DoomedAt::Copying, false).unwrap();
    cluster.kill_at("node2", DoomedAt::Copying, true).unwrap();
    let error = cluster.add_node("node4", 1.0).unwrap_err();
    assert_eq!(error.code(), "KV-E301", "{error}");
    assert!(error.to_string().contains("restart node1"), "{error}");
    cluster.restart("node1").unwrap();
    cluster.advance(ELECTION_BOUND);
    cluster.restart("node2").unwrap();
    cluster.advance(ELECTION_BOUND);
    assert_eq!(cluster.members().len(), 4);
    assert_filled(&mut cluster, KEYS);
    assert_sound(&mut cluster);
}

#[test]
fn a_doomed_node_dies_once_and_lives_on_after_a_healing() {
    let mut cluster = cluster_of(3, small(1));
    assert_eq!(cluster.kill_at("nobody", DoomedAt::Settled, false).unwrap_err().code(), "KV-E133");
    cluster.kill_at("node2", DoomedAt::Settled, false).unwrap();
    cluster.heal(HealScope::All);
    cluster.add_node("node4", 1.0).unwrap();
    assert!(cluster.nodes().iter().all(|node| node.state == "up"));
    cluster.kill_at("node2", DoomedAt::Reading, false).unwrap();
    cluster.add_node("node5", 1.0).unwrap();
    assert_eq!(cluster.kill_at("node2", DoomedAt::Reading, false).unwrap_err().code(), "KV-E136");
    cluster.restart("node2").unwrap();
    cluster.remove_node("node5", false).unwrap();
    assert!(cluster.nodes().iter().all(|node| node.state == "up"), "once");
    assert_sound(&mut cluster);
}
