//! What happens to a cluster while clients are at work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use super::world::{self, Client, Node, World};

#[test]
fn a_fourth_joins_and_one_leaves_under_load_and_no_operation_fails() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    // There is something to hand over.
    assert_eq!(world.put_all(&nodes, "old", 3_000).len(), 3_000);
    let (is_over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (is_over, done, staying) = (&is_over, &done, &nodes[..2]);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || write_and_read(client, staying, is_over, done))).collect();
        // Also where something fails: the clients are waited for.
        let over = Over(is_over);
        await_more(&world, done, 100);
        let before = done.load(Relaxed);
        let fourth = world.join(nodes[0]);
        world.await_members(fourth, 4);
        let joined = done.load(Relaxed);
        world.remove(nodes[0], &nodes[2].port.to_string());
        world.await_members(fourth, 3);
        let left = done.load(Relaxed);
        world.await_exit(nodes[2]);
        drop(over);
        let failed: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        println!("operations while the fourth joined: {}; while one left: {}", joined - before, left - joined);
        assert!(joined > before && left > joined, "the clients stood still: {before}, {joined}, {left}");
    });
    let client = Client::new();
    for number in 0..3_000 {
        assert_eq!(client.get(nodes[number % 2], &format!("old{number}")).as_deref(), Some("v"), "old{number}");
    }
}

/// Puts and gets until it is over. Gives what was not as it should be.
fn write_and_read(client: usize, nodes: &[Node], is_over: &AtomicBool, done: &AtomicU64) -> Vec<String> {
    let (http, mut failed) = (Client::new(), Vec::new());
    for number in 0.. {
        if is_over.load(Relaxed) {
            break;
        }
        let (node, key) = (nodes[number % nodes.len()], format!("c{client}n{}", number % 50));
        let status = http.put(node, &key, &number.to_string());
        let read = http.get(node, &key);
        if status != 200 || read != Some(number.to_string()) {
            failed.push(format!("{key} {number}: {status}, then {read:?}"));
        }
        done.fetch_add(2, Relaxed);
    }
    failed
}

#[test]
fn a_node_is_killed_amid_writes_and_mended_while_they_go_on() {
    killed_amid(3_000);
}

/// The one that was killed misses more writes than the two others keep hints for: anti-entropy has to bring the rest.
/// `KVSIM_WRITES` is another number of writes.
#[test]
#[ignore = "takes a minute and more"]
fn a_node_is_killed_amid_a_hundred_thousand_writes() {
    let count = std::env::var("KVSIM_WRITES").map_or(100_000, |count| count.parse().unwrap());
    killed_amid(count);
}

/// At least `count` keys are put through three nodes. One is killed when a third of them are in, and started again after two
/// thirds. Nothing that was acknowledged is lost, the two others refuse nothing, and the one that was killed has all in the end.
fn killed_amid(count: u64) {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let victim = nodes[1];
    let (is_over, is_out, done) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let written = thread::scope(|scope| {
        let (is_over, nodes, done) = (&is_over, &nodes[..], &done);
        let is_excused = |node: Node| node == victim && is_out.load(Relaxed);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || write(client, nodes, &is_excused, is_over, done))).collect();
        let over = Over(is_over);
        await_more(&world, done, count / 3);
        is_out.store(true, Relaxed);
        world.kill(victim);
        await_more(&world, done, count / 3);
        world.restart(victim);
        is_out.store(false, Relaxed);
        await_more(&world, done, count / 3 + 1);
        drop(over);
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<Written>>()
    });
    let failed: Vec<&String> = written.iter().flat_map(|written| &written.failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let keys: Vec<&String> = written.iter().flat_map(|written| &written.acknowledged).collect();
    assert!(keys.len() as u64 >= count);
    let again: usize = written.iter().map(|written| written.again).sum();
    println!("{} keys, {again} of them put again through another node", keys.len());
    // Not read before: reads mend.
    world.until("it has got every copy", || {
        (world::page(victim, "status")?["keys"].as_u64()? == keys.len() as u64).then_some(())
    });
    let lost = read_all(&nodes, &keys);
    assert!(lost.is_empty(), "{lost:?}");
}

/// What a client wrote.
#[derive(Default)]
struct Written {
    acknowledged: BTreeSet<String>,
    /// How many of them a node did not answer that was excused.
    again: usize,
    /// What was not answered, and had to be.
    failed: Vec<String>,
}

/// Puts keys of its own, each with its name as value, until it is over. What a node that `is_excused` does not take is
/// put again through the next.
fn write(
    client: usize,
    nodes: &[Node],
    is_excused: &impl Fn(Node) -> bool,
    is_over: &AtomicBool,
    done: &AtomicU64,
) -> Written {
    let (http, mut written) = (Client::new(), Written::default());
    for number in 0.. {
        if is_over.load(Relaxed) {
            break;
        }
        let (node, key) = (nodes[number % nodes.len()], format!("c{client}n{number}"));
        let was_excused = is_excused(node);
        let mut status = http.put(node, &key, &key);
        if status != 200 && (was_excused || is_excused(node)) {
            written.again += 1;
            status = http.put(nodes[(number + 1) % nodes.len()], &key, &key);
        }
        match status {
            200 => _ = written.acknowledged.insert(key),
            _ => written.failed.push(format!("{key} through {}: {status}", node.port)),
        }
        done.fetch_add(1, Relaxed);
    }
    written
}

/// Reads all keys at quorum and at ALL, each through another node than the one before. Gives those whose value is not their name.
fn read_all<'a>(nodes: &[Node], keys: &[&'a String]) -> Vec<&'a String> {
    let lost = |keys: &[&'a String]| {
        let client = Client::new();
        let nodes = nodes.iter().cycle();
        let is_there = |node, key: &String| {
            let read = client.get(node, key);
            let read_of_all = client.get(node, &format!("{key}?consistency=all"));
            read.as_ref() == Some(key) && read_of_all.as_ref() == Some(key)
        };
        keys.iter().zip(nodes).filter(|(key, node)| !is_there(**node, key)).map(|(key, _)| *key).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let parts = keys.chunks(keys.len().div_ceil(CLIENTS));
        let readers: Vec<_> = parts.map(|part| scope.spawn(|| lost(part))).collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    })
}

/// Waits until so many more are done; as long as it takes, if only it goes on.
fn await_more(world: &World, done: &AtomicU64, count: u64) {
    let mut seen = done.load(Relaxed);
    let goal = seen + count;
    while seen < goal {
        seen = world.until("the clients go on", || Some(done.load(Relaxed)).filter(|now| *now > seen));
    }
}

/// Its end tells the clients to end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Clients at once.
const CLIENTS: usize = 4;
