//! What every disk does, what the one in memory loses, and how the faulty one fails.

use std::collections::BTreeMap;

use super::*;

fn append(disk: &dyn Disk, name: &str, bytes: &[u8]) {
    disk.open(name).unwrap().append(bytes).unwrap();
}

fn read(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The contract of [`Disk`], on any.
fn behaves(disk: &dyn Disk) {
    disk.create_dir("node1").unwrap();
    disk.create_dir("node1").unwrap();
    let file = disk.create("node1/a").unwrap();
    assert_eq!(disk.create("node1/a").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(disk.open("node1/b").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.create("node2/a").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.create_dir("node1/a").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(disk.list("node2").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.remove("node1/b").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.rename("node1/b", "node1/c").unwrap_err().kind(), io::ErrorKind::NotFound);

    file.append(b"hello ").unwrap();
    append(disk, "node1/a", b"world");
    assert_eq!(read(disk, "node1/a"), b"hello world");
    assert_eq!(file.size().unwrap(), 11);
    let mut middle = [0; 5];
    file.read_at(3, &mut middle).unwrap();
    assert_eq!(&middle, b"lo wo");
    assert_eq!(file.read_at(7, &mut middle).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(file.read_at(1 << 40, &mut middle).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    file.truncate(5).unwrap();
    file.append(b"!").unwrap();
    file.sync().unwrap();
    assert_eq!(read(disk, "node1/a"), b"hello!");

    disk.create("node1/b").unwrap().append(b"old").unwrap();
    disk.rename("node1/a", "node1/b").unwrap();
    file.append(b"!").unwrap();
    assert_eq!(read(disk, "node1/b"), b"hello!!", "renamed over another, the handle still good");
    disk.create_dir("node1/deep").unwrap();
    disk.create("top").unwrap();
    disk.sync_dir("node1").unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(disk.list("").unwrap(), ["node1/", "top"]);
    assert_eq!(disk.list("node1").unwrap(), ["b", "deep/"]);
    disk.remove("top").unwrap();
    disk.remove_dir_all("node1").unwrap();
    disk.remove_dir_all("node1").unwrap();
    assert_eq!(disk.list("").unwrap(), Vec::<String>::new());
}

#[test]
fn every_disk_behaves_alike() {
    let directory = tempfile::tempdir().unwrap();
    behaves(&RealDisk::new(directory.path()));
    behaves(&MemoryDisk::new());
    behaves(&FaultyDisk::new(Arc::new(MemoryDisk::new())));
}

#[test]
fn threads_read_a_real_file_while_it_grows() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(directory.path());
    let file = disk.create("a").unwrap();
    file.append(&[7; 100]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for offset in 0..90 {
                    let mut bytes = [0; 10];
                    file.read_at(offset, &mut bytes).unwrap();
                    assert_eq!(bytes, [7; 10]);
                }
            });
        }
        for _ in 0..50 {
            file.append(&[7; 10]).unwrap();
            file.sync().unwrap();
        }
    });
    assert_eq!(file.size().unwrap(), 600);
}

fn dump(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.as_bytes().to_vec())).collect()
}

#[test]
fn a_kill_keeps_what_was_written() {
    let disk = MemoryDisk::new();
    disk.create("a").unwrap().append(b"one").unwrap();
    let image = disk.after_kill();
    append(&disk, "a", b"two");
    disk.create("b").unwrap();
    assert_eq!(image.dump(), dump(&[("a", "one")]), "an image shares nothing");
    assert_eq!(image.after_power_loss().dump(), dump(&[]), "and is no more durable than before");
    disk.sync_dir("").unwrap();
    disk.open("b").unwrap().sync().unwrap();
    let (again, also) = (disk.after_kill(), disk.after_kill().after_kill());
    for disk in [&disk, &again, &also] {
        assert_eq!(disk.after_power_loss().dump(), dump(&[("a", ""), ("b", "")]));
    }
    append(&again, "a", b"!");
    again.open("a").unwrap().sync().unwrap();
    assert_eq!(again.after_power_loss().dump(), dump(&[("a", "onetwo!"), ("b", "")]), "what is synced stays one file");
}

#[test]
fn a_power_loss_keeps_synced_bytes_under_synced_names() {
    let disk = MemoryDisk::new();
    let file = disk.create("a").unwrap();
    file.append(b"one").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[]), "a synced file without a durable name is gone");
    disk.sync_dir("").unwrap();
    file.append(b"two").unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[("a", "one")]));
    disk.create("b").unwrap().append(b"unsynced").unwrap();
    assert_eq!(disk.after_power_loss_keeping_names().dump(), dump(&[("a", "one"), ("b", "")]));
    assert_eq!(disk.after_power_loss().dump(), dump(&[("a", "one")]));
    disk.sync_dir("").unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[("a", "one"), ("b", "")]), "a durable name without bytes");
}

#[test]
fn a_power_loss_undoes_renames_and_removals_that_were_not_synced() {
    let disk = MemoryDisk::new();
    for (name, bytes) in [("a", b"one"), ("b", b"two"), ("c", b"six")] {
        let file = disk.create(name).unwrap();
        file.append(bytes).unwrap();
        file.sync().unwrap();
    }
    disk.sync_dir("").unwrap();
    let before = disk.dump();
    disk.rename("a", "b").unwrap();
    disk.remove("c").unwrap();
    assert_eq!(disk.after_power_loss().dump(), before);
    assert_eq!(disk.after_power_loss_keeping_names().dump(), dump(&[("b", "one")]));
    disk.sync_dir("").unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[("b", "one")]));
}

#[test]
fn a_power_loss_may_keep_some_changes_of_names_and_lose_others() {
    let disk = MemoryDisk::new();
    disk.plant("a", b"one");
    disk.create("b").unwrap();
    disk.rename("b", "c").unwrap();
    disk.remove("a").unwrap();
    let kept = |kept: [bool; 3]| {
        let mut kept = kept.into_iter();
        disk.after_power_loss_choosing(&mut || kept.next().unwrap()).dump()
    };
    assert_eq!(kept([true, false, false]), dump(&[("a", "one"), ("b", "")]));
    assert_eq!(kept([false, true, false]), dump(&[("a", "one")]), "no file to rename");
    assert_eq!(kept([true, false, true]), dump(&[("b", "")]));
    assert_eq!(kept([true, true, true]), dump(&[("c", "")]));
    disk.sync_dir("").unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[("c", "")]));
}

#[test]
fn a_power_loss_brings_back_what_was_cut_until_the_cut_is_synced() {
    let disk = MemoryDisk::new();
    disk.plant("a", b"abcdef");
    let file = disk.open("a").unwrap();
    file.truncate(4).unwrap();
    file.append(b"XY").unwrap();
    file.truncate(2).unwrap();
    file.append(b"Z").unwrap();
    assert_eq!(disk.dump(), dump(&[("a", "abZ")]));
    assert_eq!(disk.after_power_loss().dump(), dump(&[("a", "abcdef")]));
    file.sync().unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[("a", "abZ")]));
}

#[test]
fn a_power_loss_takes_what_is_below_a_lost_directory() {
    let disk = MemoryDisk::new();
    disk.create_dir("node1").unwrap();
    let file = disk.create("node1/a").unwrap();
    file.append(b"one").unwrap();
    file.sync().unwrap();
    disk.sync_dir("node1").unwrap();
    assert_eq!(disk.after_power_loss().list("").unwrap(), Vec::<String>::new());
    disk.sync_dir("").unwrap();
    assert_eq!(disk.after_power_loss().dump(), dump(&[("node1/a", "one")]));
}

fn faulty() -> (MemoryDisk, FaultyDisk, Arc<dyn DiskFile>) {
    let below = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(below.clone()));
    let file = disk.create("a").unwrap();
    file.append(b"one ").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    (below, disk, file)
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (below, disk, file) = faulty();
    disk.set_room(Some(5));
    file.append(b"two").unwrap();
    assert_eq!(file.append(b"three").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.append(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(below.dump(), dump(&[("a", "one twoth")]));
    assert_eq!(read(&disk, "a"), b"one twoth", "it reads");
    disk.set_room(None);
    file.append(b"!").unwrap();
}

#[test]
fn a_sync_that_failed_lies_from_then_on() {
    let (below, disk, file) = faulty();
    disk.fail_syncs(SyncFault::OnceThenLie);
    file.append(b"two").unwrap();
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(below.after_power_loss().dump(), dump(&[("a", "one ")]));
    let other = disk.create("b").unwrap();
    other.append(b"honest").unwrap();
    other.sync().unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(below.after_power_loss().dump(), dump(&[("a", "one "), ("b", "honest")]));
    disk.fail_syncs(SyncFault::Always);
    for _ in 0..3 {
        other.sync().unwrap_err();
        disk.sync_dir("").unwrap_err();
    }
}

#[test]
fn reads_fail_as_told() {
    let (_, disk, file) = faulty();
    let mut bytes = [0; 4];
    disk.fail_reads(ReadFault::Error);
    assert_eq!(file.read_at(0, &mut bytes).unwrap_err().kind(), io::ErrorKind::Other);
    disk.fail_reads(ReadFault::Short);
    assert_eq!(file.read_at(0, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(&bytes, b"on\0\0");
    disk.fail_reads(ReadFault::None);
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"one ");
}

/// One step of each kind, on files that are there: what it leaves when the machine dies in it.
#[test]
fn the_machine_dies_at_the_step_it_should() {
    type Step = fn(&dyn Disk) -> io::Result<()>;
    let steps: [Step; 9] = [
        |disk| disk.create("new").map(|_| ()),
        |disk| disk.open("a")?.append(b"1234"),
        |disk| disk.open("a")?.sync(),
        |disk| disk.open("a")?.truncate(2),
        |disk| disk.rename("a", "z"),
        |disk| disk.remove("a"),
        |disk| disk.create_dir("dir"),
        |disk| disk.remove_dir_all("node1"),
        |disk| disk.sync_dir(""),
    ];
    for (number, step) in steps.iter().enumerate() {
        let run = |effect: Option<CrashEffect>| {
            let below = MemoryDisk::new();
            below.plant("a", b"abcd");
            below.plant("node1/b", b"b");
            append(&below, "a", b"unsynced");
            below.create("fresh").unwrap();
            let disk = FaultyDisk::new(Arc::new(below.clone()));
            if let Some(effect) = effect {
                disk.crash_at(0, effect);
            }
            let outcome = step(&disk);
            assert_eq!((disk.steps(), disk.crashed()), (1, effect.is_some()));
            if effect.is_some() {
                outcome.unwrap_err();
                disk.list("").unwrap_err();
                disk.open("a").unwrap_err();
                disk.create("later").unwrap_err();
                assert_eq!(disk.steps(), 1);
            } else {
                outcome.unwrap();
            }
            (below.dump(), below.list("").unwrap(), below.after_power_loss().dump())
        };
        let untouched = {
            let below = MemoryDisk::new();
            below.plant("a", b"abcd");
            below.plant("node1/b", b"b");
            append(&below, "a", b"unsynced");
            below.create("fresh").unwrap();
            (below.dump(), below.list("").unwrap(), below.after_power_loss().dump())
        };
        let whole = run(None);
        assert_ne!(whole, untouched, "step {number} does something");
        assert_eq!(run(Some(CrashEffect::Nothing)), untouched, "step {number}");
        assert_eq!(run(Some(CrashEffect::Whole)), whole, "step {number}");
        let half = run(Some(CrashEffect::Half));
        if number == 1 {
            assert_eq!(half.0["a"], b"abcdunsynced12");
        } else {
            assert_eq!(half, untouched, "step {number}");
        }
    }
}

#[test]
fn a_power_loss_cuts_real_files_to_what_was_synced() {
    let directory = tempfile::tempdir().unwrap();
    let real: Arc<dyn Disk> = Arc::new(RealDisk::new(directory.path()));
    real.create("before").unwrap().append(b"there").unwrap();
    let disk = FaultyDisk::new(Arc::clone(&real));
    append(&disk, "before", b" and more");
    let file = disk.create("a").unwrap();
    file.append(b"one ").unwrap();
    file.sync().unwrap();
    file.append(b"two").unwrap();
    disk.rename("a", "b").unwrap();
    disk.create("gone").unwrap();
    disk.remove("gone").unwrap();
    let cut = disk.create("cut").unwrap();
    cut.append(b"abcd").unwrap();
    cut.sync().unwrap();
    cut.truncate(2).unwrap();
    disk.crash_at(disk.steps(), CrashEffect::Nothing);
    file.append(b"three").unwrap_err();
    disk.power_loss().unwrap();
    assert_eq!(read(&disk, "before"), b"there");
    assert_eq!(read(&disk, "b"), b"one ");
    assert_eq!(read(&*real, "cut"), b"ab");
}

#[test]
fn a_torn_power_loss_leaves_some_of_the_rest() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 1..200_u64 {
        let (below, disk, file) = faulty();
        file.append(b"two").unwrap();
        let mut state = seed;
        disk.power_loss_torn(&mut || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        })
        .unwrap();
        let bytes = below.dump()["a"].clone();
        assert!(bytes.starts_with(b"one ") && bytes.len() <= 7);
        outcomes.insert((bytes.len(), b"one two".starts_with(&bytes)));
    }
    let all = [(4, true), (5, false), (5, true), (6, false), (6, true), (7, false), (7, true)];
    assert!(outcomes.into_iter().eq(all), "cut short, torn, and garbage");
}
