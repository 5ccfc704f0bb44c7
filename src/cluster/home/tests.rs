//! What FORMAT says of nodes, whatever happens to the files.

use super::*;
use crate::storage::disk::{CrashEffect, FaultyDisk};

fn config() -> ClusterConfig {
    ClusterConfig { copies: 2, vnodes: 4, ..ClusterConfig::default() }
}

fn open(disk: Arc<dyn Disk>) -> Result<Cluster, Error> {
    Cluster::open(config(), Backing::Disk(disk)).map(|(cluster, _)| cluster)
}

/// FORMAT says what there is.
fn assert_noted(cluster: &mut Cluster, when: &str) {
    assert_eq!(cluster.check().violations, Vec::<String>::new(), "{when}");
    let noted = cluster.home.directory.expect_none().is_err();
    assert_eq!(noted, !cluster.nodes.is_empty(), "{when}");
}

/// Nodes come to an empty cluster, and go until it is empty; `look` is shown it on the way.
fn live(disk: Arc<dyn Disk>, look: &dyn Fn(&mut Cluster, &str)) -> Result<(), Error> {
    let mut cluster = open(disk)?;
    for label in ["a", "b"] {
        cluster.add_node(label, 1.0)?;
        look(&mut cluster, label);
    }
    for label in ["a", "b"] {
        cluster.remove_node(label, false)?;
    }
    look(&mut cluster, "empty again");
    cluster.add_node("a", 1.0).map(|_| ())
}

#[test]
fn a_cluster_whose_logs_are_all_gone_is_not_taken_for_an_empty_one() {
    let disk = MemoryDisk::new();
    let founded = ClusterConfig { nodes: 3, ..config() };
    drop(Cluster::open(founded, Backing::Disk(Arc::new(disk.clone()))).unwrap());
    for label in ["node1", "node2", "node3"] {
        disk.remove_dir_all(label).unwrap();
    }
    let before = disk.dump();
    for recover_prefix in [false, true] {
        let config = ClusterConfig { recover_prefix, ..config() };
        let error = Cluster::open(config, Backing::Disk(Arc::new(disk.clone()))).unwrap_err();
        assert!(
            error.to_string().contains("KV-E102") && error.to_string().contains("of all of them are gone"),
            "{error}"
        );
        assert_eq!(disk.dump(), before, "nothing was changed");
    }
    // Nor is what is left of a single one.
    disk.create_dir("node1").unwrap();
    assert_eq!(open(Arc::new(disk)).unwrap_err().code(), "KV-E102");
}

#[test]
fn an_empty_cluster_opens() {
    let disk = MemoryDisk::new();
    assert_noted(&mut open(Arc::new(disk.clone())).unwrap(), "new");
    assert_noted(&mut open(Arc::new(disk)).unwrap(), "opened again");
}

/// Nodes come and go with a crash at every step of the disk, and at every step of the start that follows.
#[test]
fn every_crash_between_format_and_logs_opens() {
    let whole = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    live(Arc::clone(&whole) as Arc<dyn Disk>, &assert_noted).unwrap();
    for step in 0..whole.steps() {
        for effect in [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole] {
            let below = MemoryDisk::new();
            let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
            faulty.crash_at(step, effect);
            let _ = live(faulty, &|_, _| ());
            for left in [below.after_kill(), below.after_power_loss(), below.after_power_loss_keeping_names()] {
                open_with_crashes(&left, &format!("step {step}, {effect:?}"));
            }
        }
    }
}

fn open_with_crashes(left: &MemoryDisk, when: &str) {
    let counted = Arc::new(FaultyDisk::new(Arc::new(left.after_kill())));
    let opened = open(Arc::clone(&counted) as Arc<dyn Disk>);
    assert_noted(&mut opened.unwrap_or_else(|error| panic!("{when}: {error}")), when);
    for step in 0..counted.steps() {
        let below = left.after_kill();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
        faulty.crash_at(step, CrashEffect::Whole);
        let _ = open(faulty);
        let when = format!("{when}; then step {step}");
        let opened = open(Arc::new(below.after_power_loss()));
        assert_noted(&mut opened.unwrap_or_else(|error| panic!("{when}: {error}")), &when);
    }
}
