use std::fs;
use std::sync::atomic::Ordering;

use super::*;
use crate::command::{Parsed, parse, split};

/// A cluster, its journal, and the hash of its events after each command that was kept.
struct World {
    cluster: Cluster,
    journal: Journal,
    hashes: Vec<u64>,
}

impl World {
    fn new() -> World {
        let config = ClusterConfig { nodes: 4, vnodes: 16, ..ClusterConfig::default() };
        let (cluster, _) = Cluster::open(config.clone(), Backing::Memory).unwrap();
        let hashes = vec![cluster.event_hash()];
        World { cluster, journal: Journal::new(config), hashes }
    }

    fn run(&mut self, line: &str) -> Result<Response, CommandError> {
        let statement = split::statements(line.as_bytes()).unwrap().next().unwrap().unwrap();
        let Parsed { command, .. } = parse(statement).unwrap();
        let kept = self.journal.done.len();
        let answer = self.journal.execute(&mut self.cluster, (line.to_owned(), command), &mut |_| Ok(()));
        drop(self.cluster.take_clients());
        if self.journal.done.len() > kept {
            self.hashes.push(self.cluster.event_hash());
        }
        answer
    }

    fn run_all(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| drop(self.run(line)));
    }

    fn travel(&mut self, travelled: Result<Travelled, CommandError>) -> Vec<String> {
        let Travelled { undone, cluster } = travelled.map_err(|error| error.to_string()).unwrap();
        self.cluster = cluster;
        undone
    }

    fn back(&mut self, count: usize) -> Vec<String> {
        let travelled = self.journal.back(count, &Interrupt::default());
        self.travel(travelled)
    }

    fn go_to(&mut self, time: u64) -> Vec<String> {
        let travelled = self.journal.go_to(Time(time), &Interrupt::default());
        self.travel(travelled)
    }
}

/// All that a session can do to a cluster, refusals too.
const LINES: [&str; 22] = [
    "put apple 1",
    "put apple 2 --consistency all",
    "mput a 1 b 2 c 3 d 4",
    "get apple",
    "clients 20 --for 300ms",
    "advance 100ms",
    "addnode node5",
    "kill node2",
    "removenode nobody",
    "advance 2s",
    "put banana 3 --ttl 1s",
    "partition node1 | node3,node4",
    "consistency one",
    "put cherry 4",
    "step 5",
    "heal",
    "restart node2",
    "kill node3 --power-loss",
    "restart node3",
    "repair",
    "removenode node5",
    "clear --data --yes",
];

#[test]
fn each_prefix_done_again_is_what_it_was() {
    let mut world = World::new();
    world.run_all(&LINES);
    let kept: Vec<&str> = world.journal.done.iter().map(|done| &*done.text).collect();
    assert_eq!(kept, LINES.into_iter().filter(|line| !line.contains("nobody")).collect::<Vec<_>>());
    for (count, hash) in world.hashes.iter().enumerate() {
        let again = world.journal.again(count, &Interrupt::default()).unwrap();
        assert_eq!(
            again.event_hash(),
            *hash,
            "after {:?}",
            count.checked_sub(1).map(|last| &world.journal.done[last].text)
        );
    }
}

#[test]
fn what_is_taken_back_can_be_done_otherwise() {
    let mut world = World::new();
    world.run_all(&["put apple 1", "removenode node4"]);
    let before = world.hashes[1];
    world.run_all(&["get apple", "show", "check"]);
    assert_eq!(
        world.back(1),
        ["removenode node4", "get apple"],
        "reads are not counted, and what changed nothing not kept"
    );
    assert_eq!(world.cluster.event_hash(), before);
    assert_eq!(world.cluster.members().len(), 4);
    world.run("removenode node1").unwrap();
    assert_eq!(world.cluster.members(), ["node2", "node3", "node4"]);
    assert_eq!(world.back(2), ["put apple 1", "removenode node1"]);
    assert_eq!(world.cluster.event_hash(), world.hashes[0]);
    let error = world.journal.back(1, &Interrupt::default()).err().unwrap();
    assert!(error.to_string().starts_with("KV-E401 back: of 1 to be taken back there are 0"), "{error}");
}

#[test]
fn a_moment_in_the_past_is_what_it_was_then() {
    let mut world = World::new();
    world.run_all(&["put apple 1", "kill node2", "clients 5 --for 1s", "advance 10s"]);
    let mut other = World::new();
    other.run_all(&["put apple 1", "kill node2", "clients 5 --for 1s"]);
    let start = other.cluster.now();
    other.cluster.advance(Time(3_000_000).since(start));
    assert_eq!(world.go_to(3_000_000), Vec::<String>::new(), "the command under way was stopped there");
    assert_eq!(world.cluster.now(), Time(3_000_000));
    assert_eq!(world.cluster.members(), other.cluster.members());
    // From there on it goes as it did.
    let rest = Time(13_000_000).since(world.cluster.now());
    world.cluster.advance(rest);
    other.cluster.advance(Time(13_000_000).since(other.cluster.now()));
    assert_eq!(world.cluster.event_hash(), other.cluster.event_hash());
    assert_eq!(world.go_to(0), ["put apple 1", "kill node2", "clients 5 --for 1s", "advance 10s"]);
    assert_eq!(world.cluster.event_hash(), world.hashes[0]);
}

/// A person stops what takes long: again it is stopped at the same place.
#[test]
fn what_was_stopped_is_stopped_again() {
    let mut world = World::new();
    let interrupt = Interrupt::default();
    world.cluster.set_interrupt(interrupt.flag());
    world.run_all(&["mput a 1 b 2 c 3", "advance 1s"]);
    interrupt.flag().store(true, Ordering::Relaxed);
    let error = world.run("addnode node5").unwrap_err();
    assert!(matches!(error, CommandError::Stopped { .. }), "{error}");
    interrupt.clear();
    world.run("advance 3s").unwrap();
    assert_eq!(world.cluster.members().len(), 5);
    let hash = world.cluster.event_hash();
    let again = world.journal.again(world.journal.done.len(), &Interrupt::default()).unwrap();
    assert_eq!(again.event_hash(), hash);
}

#[test]
fn files_are_read_again_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (loaded, dumped) = (folder.path().join("in.tsv"), folder.path().join("out.tsv"));
    fs::write(&loaded, "a\t1\nb\t2\n").unwrap();
    let mut world = World::new();
    world.run(&format!("load \"{}\"", loaded.display())).unwrap();
    world.run(&format!("dump \"{}\"", dumped.display())).unwrap();
    world.run("put c 3").unwrap();
    fs::remove_file(&dumped).unwrap();
    assert_eq!(world.back(1), ["put c 3"]);
    assert_eq!((world.cluster.event_hash(), dumped.exists()), (world.hashes[2], false));
    fs::write(&loaded, "a\t1\nb\t3\n").unwrap();
    world.run("put c 4").unwrap();
    let error = world.journal.back(1, &Interrupt::default()).err().unwrap().to_string();
    assert!(error.contains("is not what it was when it was loaded: nothing was changed"), "{error}");
}
