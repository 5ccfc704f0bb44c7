//! Data directories: new, opened again, in use, foreign, contradicted.

use std::collections::BTreeSet;

use super::super::disk::{FaultyDisk, MemoryDisk};
use super::super::log::testing::{crash_states, images};
use super::*;

const FRESH: Format = Format { clock: ClockKind::Virtual, copies: 3, vnodes: 128, cluster_uid: 0x00ab_cdef_0123_4567 };

/// An error's text without the names of this run.
fn shown(error: &StorageError, path: &Path) -> String {
    let pid = format!("pid {}", std::process::id());
    error.to_string().replace(&path.display().to_string(), "DIR").replace(&pid, "pid PID")
}

fn names(path: &Path) -> BTreeSet<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The directory at `path`, new and founded without nodes.
fn founded(path: &Path) -> Directory {
    let (directory, _) = Directory::open(path, &FRESH).unwrap();
    directory.found().unwrap();
    directory
}

#[test]
fn a_missing_or_empty_directory_is_new_and_then_it_is_not() {
    let root = tempfile::tempdir().unwrap();
    for path in [root.path().to_owned(), root.path().join("missing/deeper")] {
        let (directory, labels) = Directory::open(&path, &FRESH).unwrap();
        assert!(directory.is_new && labels.is_empty());
        directory.found().unwrap();
        drop(directory);
        let other = Format { copies: 5, vnodes: 7, cluster_uid: 9, ..FRESH };
        let (directory, _) = Directory::open(&path, &other).unwrap();
        assert!(!directory.is_new);
        assert_eq!(directory.format, FRESH, "what it was created with");
        assert_eq!(names(&path), BTreeSet::from(["FORMAT".to_owned(), "LOCK".to_owned()]));
        drop(directory);
        fs::remove_file(path.join("LOCK")).unwrap();
        fs::remove_file(path.join("FORMAT")).unwrap();
    }
}

#[test]
fn its_nodes_are_listed_in_order() {
    let root = tempfile::tempdir().unwrap();
    let directory = founded(root.path());
    for label in ["node2", "node10", "A.b_c-d"] {
        directory.disk.create_dir(label).unwrap();
    }
    drop(directory);
    let (_, labels) = Directory::open(root.path(), &FRESH).unwrap();
    assert_eq!(labels, ["A.b_c-d", "node10", "node2"]);
}

#[test]
fn the_format_file_is_pinned() {
    insta::assert_snapshot!(FRESH.to_text(Some(false)), @r"
    kvsim data directory
    format: 2
    clock: virtual
    copies: 3
    vnodes: 128
    cluster: 00abcdef01234567
    nodes: none
    check: 5aef58d725531d63
    ");
    for has_nodes in [None, Some(false), Some(true)] {
        assert_eq!(Format::from_text(&FRESH.to_text(has_nodes)), Some((FRESH, has_nodes)));
    }
    let wall = Format { clock: ClockKind::Wall, copies: 1, vnodes: 4_096, cluster_uid: u64::MAX };
    assert_eq!(Format::from_text(&wall.to_text(None)), Some((wall, None)));
}

#[test]
fn a_directory_in_use_names_who_has_it() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = Directory::open(root.path(), &FRESH).unwrap();
    let error = Directory::open(root.path(), &FRESH).unwrap_err();
    assert_eq!(error.code(), "KV-E110");
    #[cfg(unix)]
    insta::assert_snapshot!(shown(&error, root.path()), @"KV-E110 DIR is in use by another kvsim (pid PID): nothing was changed; end that one, or choose another --data-dir");
    drop(directory);
    Directory::open(root.path(), &FRESH).unwrap();
}

#[test]
fn a_stale_lock_file_is_no_lock() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("LOCK"), "4294967295 and more than a pid").unwrap();
    let (_directory, _) = Directory::open(root.path(), &FRESH).unwrap();
    #[cfg(unix)]
    assert_eq!(fs::read_to_string(root.path().join("LOCK")).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn the_other_kind_of_clock_is_refused() {
    let root = tempfile::tempdir().unwrap();
    drop(founded(root.path()));
    let error = Directory::open(root.path(), &Format { clock: ClockKind::Wall, ..FRESH }).unwrap_err();
    assert_eq!(error.code(), "KV-E106");
    insta::assert_snapshot!(shown(&error, root.path()), @"KV-E106 DIR holds data in virtual time, not in wall-clock time: nothing was changed; choose another --data-dir");
    Directory::open(root.path(), &FRESH).unwrap();
}

#[test]
fn flags_that_contradict_it_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = Directory::open(root.path(), &FRESH).unwrap();
    for (copies, vnodes) in [(None, None), (Some(3), None), (None, Some(128)), (Some(3), Some(128))] {
        assert_eq!(directory.check(copies, vnodes), Ok(()));
    }
    let copies = directory.check(Some(2), Some(128)).unwrap_err();
    let vnodes = directory.check(None, Some(64)).unwrap_err();
    assert_eq!([copies.code(), vnodes.code()], ["KV-E140"; 2]);
    insta::assert_snapshot!(shown(&copies, root.path()), @"KV-E140 --replicas 2 contradicts DIR, which was created with 3: nothing was changed; leave the flag out, or choose another --data-dir");
    insta::assert_snapshot!(shown(&vnodes, root.path()), @"KV-E140 --vnodes 64 contradicts DIR, which was created with 128: nothing was changed; leave the flag out, or choose another --data-dir");
}

/// A name may hold anything; the text stays one line.
#[cfg(unix)]
#[test]
fn a_strange_name_is_shown_escaped() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a\nb"), "mine").unwrap();
    let error = Directory::open(root.path(), &FRESH).unwrap_err();
    insta::assert_snapshot!(shown(&error, root.path()), @r"KV-E103 'DIR/a\nb' is not a file of a kvsim log: nothing was changed; move it elsewhere, or choose another --data-dir");
}

/// FILE-1, and nothing is touched.
#[test]
fn what_does_not_belong_there_is_refused() {
    for (name, is_dir, with_format) in [
        ("notes.txt", false, true),
        ("notes.txt", false, false),
        ("node1", false, true),
        ("lost+found", true, true),
        (".hidden", true, true),
        ("src", true, false),
    ] {
        let root = tempfile::tempdir().unwrap();
        if with_format {
            drop(founded(root.path()));
        }
        let path = root.path().join(name);
        if is_dir { fs::create_dir(&path) } else { fs::write(&path, "mine") }.unwrap();
        let before = names(root.path());
        let error = Directory::open(root.path(), &FRESH).unwrap_err();
        assert_eq!(error.code(), "KV-E103", "{name}: {error}");
        assert_eq!(names(root.path()), before, "{name}");
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "mine").unwrap();
    for path in [root.path().join("file"), root.path().join("file/below")] {
        assert_eq!(Directory::open(&path, &FRESH).unwrap_err().code(), "KV-E103");
    }
}

/// Users are not told to move their data away.
#[test]
fn nodes_without_a_format_are_named_as_such() {
    let root = tempfile::tempdir().unwrap();
    for label in ["a", "node1"] {
        fs::create_dir(root.path().join(label)).unwrap();
    }
    assert!(matches!(Directory::open(root.path(), &FRESH), Err(StorageError::Foreign { .. })));
    fs::write(root.path().join("node1/00000000000000000001.wal"), "").unwrap();
    let error = Directory::open(root.path(), &FRESH).unwrap_err();
    insta::assert_snapshot!(shown(&error, root.path()), @"KV-E103 DIR holds node directories but no FORMAT file: nothing was changed; restore FORMAT from a backup, or choose another --data-dir");
    assert_eq!(names(root.path()), BTreeSet::from(["a".to_owned(), "node1".to_owned()]));
}

#[test]
fn a_format_file_is_believed_only_whole() {
    let root = tempfile::tempdir().unwrap();
    drop(founded(root.path()));
    let good = fs::read(root.path().join("FORMAT")).unwrap();
    for (changed, code) in [
        (FRESH.to_text(Some(false)).replace("copies: 3", "copies: 2"), "KV-E101"),
        (FRESH.to_text(Some(false)).replace("vnodes: 128", "vnodes: many"), "KV-E101"),
        (FRESH.to_text(Some(false)) + "more\n", "KV-E101"),
        (FRESH.to_text(Some(false)).replace("format: 2", "format: 3"), "KV-E104"),
        (FRESH.to_text(Some(false)).replace("format: 2", "format: x"), "KV-E101"),
        (FRESH.to_text(Some(false)).replace("kvsim", "other"), "KV-E103"),
        (String::new(), "KV-E103"),
        ("x".repeat(100_000), "KV-E103"),
    ] {
        fs::write(root.path().join("FORMAT"), &changed).unwrap();
        let error = Directory::open(root.path(), &FRESH).unwrap_err();
        assert_eq!(error.code(), code, "{changed}: {error}");
        assert_eq!(fs::read_to_string(root.path().join("FORMAT")).unwrap(), changed);
    }
    let disk = MemoryDisk::new();
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.plant(FORMAT, &flipped);
        let error = read_format(&disk, FORMAT).unwrap_err();
        assert!(matches!(error.code(), "KV-E101" | "KV-E103" | "KV-E104"), "bit {bit}: {error}");
    }
    fs::write(root.path().join("FORMAT"), FRESH.to_text(Some(false)).replace("copies: 3", "copies: 2")).unwrap();
    insta::assert_snapshot!(Directory::open(root.path(), &FRESH).unwrap_err(), @"KV-E101 FORMAT is damaged: nothing was changed; restore it from a backup, or choose another --data-dir");
}

/// Not even the superuser may create files there, so the test means the same to everyone.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_without_permission_is_refused() {
    let path = Path::new("/sys/kvsim-data");
    let error = Directory::open(path, &FRESH).unwrap_err();
    assert_eq!(error.code(), "KV-E122", "{error}");
    let error = Directory::open(Path::new("/sys/kernel"), &FRESH).unwrap_err();
    assert_eq!(error.code(), "KV-E103", "{error}");
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).unwrap();
    let is_superuser = fs::write(path.join("LOCK"), "").is_ok();
    let opened = Directory::open(&path, &FRESH).map(|_| ());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    if !is_superuser {
        assert_eq!(opened.unwrap_err().code(), "KV-E122");
        assert_eq!(names(&path), BTreeSet::new());
    }
}

/// Opens the directory on `disk`; a new one gets two nodes, whose logs are synced, and is founded. The nodes it has.
fn start(disk: Arc<FaultyDisk>) -> Result<Vec<String>, StorageError> {
    let (directory, labels) = Directory::on_disk(disk, &FRESH)?;
    if !directory.is_new {
        return Ok(labels);
    }
    let make = |label: &str| {
        directory.disk.create_dir(label)?;
        directory.disk.sync_dir("")?;
        let log = directory.disk.create(&format!("{label}/log"))?;
        log.append(b"the first topology")?;
        log.sync()?;
        directory.disk.sync_dir(label)
    };
    for label in ["node1", "node2"] {
        make(label).map_err(|error| StorageError::writing(label, &error))?;
    }
    directory.found()?;
    Ok(vec!["node1".to_owned(), "node2".to_owned()])
}

#[test]
fn a_start_that_is_cut_off_twice_begins_anew_or_is_whole() {
    let states = crash_states(&MemoryDisk::new(), start, start, 2);
    assert!(states.len() > 20, "{} states", states.len());
    let (mut new, mut whole) = (0, 0);
    for (context, image) in states {
        let names = image.list("").unwrap();
        if names.contains(&FORMAT.to_owned()) {
            whole += 1;
        } else {
            new += 1;
        }
        let labels = start(Arc::new(FaultyDisk::new(Arc::new(image.clone())))).unwrap();
        assert_eq!(labels, ["node1", "node2"], "{context}");
        // What was served is there however the next loss of power goes.
        for (name, image) in images(&image) {
            let (directory, labels) = Directory::on_disk(Arc::new(image.clone()), &FRESH).unwrap();
            assert!(!directory.is_new, "{context}; then {name}");
            assert_eq!(labels, ["node1", "node2"], "{context}; then {name}");
            for label in labels {
                assert_eq!(image.dump()[&format!("{label}/log")], b"the first topology", "{context}; then {name}");
            }
        }
    }
    assert!(new > 0 && whole > 0, "{new} new, {whole} whole");
}

#[test]
fn only_a_whole_format_says_that_nodes_are_the_remains_of_a_start() {
    let text = FRESH.to_text(Some(false));
    for (temporary, is_ours) in [
        (Some(text.clone()), true),
        (Some(text[..text.len() - 1].to_owned()), false),
        (Some(text.replace("copies: 3", "copies: 2")), false),
        (Some(text.replace("format: 2", "format: 3")), false),
        (Some(String::new()), false),
        (None, false),
    ] {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("node1")).unwrap();
        fs::write(root.path().join("node1/00000000000000000001.wal"), "mine").unwrap();
        if let Some(temporary) = &temporary {
            fs::write(root.path().join(FORMAT_TMP), temporary).unwrap();
        }
        let before = names(root.path());
        match Directory::open(root.path(), &Format { copies: 2, ..FRESH }) {
            Ok((directory, labels)) => {
                assert!(is_ours && directory.is_new && labels.is_empty(), "{temporary:?}");
                assert_eq!(directory.format.copies, 2, "the new start says how");
                assert!(!root.path().join("node1").exists());
            }
            Err(error) => {
                assert!(!is_ours, "{temporary:?}");
                assert_eq!(error.code(), "KV-E103", "{temporary:?}");
                assert_eq!(names(root.path()), before, "{temporary:?}");
            }
        }
    }
}

/// A directory of format 1 opens, and becomes one of the newest once there is something to say of nodes.
#[test]
fn a_format_that_says_nothing_of_nodes_is_brought_up_to_date() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let file = disk.create(FORMAT).unwrap();
    file.append(FRESH.to_text(None).as_bytes()).unwrap();
    let (directory, _) = Directory::on_disk(Arc::clone(&disk), &FRESH).unwrap();
    directory.expect_none().unwrap();
    directory.note_nodes(true).unwrap();
    assert_eq!(read_format(&*disk, FORMAT).unwrap(), (FRESH, Some(true)));
    assert_eq!(directory.expect_none().unwrap_err().code(), "KV-E102");
    directory.verify().unwrap();
}

/// Whatever step it dies at, FORMAT is whole and says the one or the other.
#[test]
fn a_format_is_replaced_in_one_step() {
    let start = MemoryDisk::new();
    let (directory, _) = Directory::on_disk(Arc::new(start.clone()), &FRESH).unwrap();
    directory.found().unwrap();
    let note = |disk: Arc<FaultyDisk>| {
        let (directory, _) = Directory::on_disk(disk, &FRESH)?;
        directory.note_nodes(true)?;
        directory.note_nodes(false)?;
        directory.note_nodes(true)
    };
    let mut said = BTreeSet::new();
    for (context, image) in crash_states(&start, note, note, 2) {
        said.insert(read_format(&image, FORMAT).unwrap_or_else(|error| panic!("{context}: {error}")).1);
        Directory::on_disk(Arc::new(image.clone()), &FRESH).unwrap();
        note(Arc::new(FaultyDisk::new(Arc::new(image)))).unwrap();
    }
    assert_eq!(said, BTreeSet::from([Some(false), Some(true)]));
}

/// After a failure nobody knows which FORMAT is there: the next time it is written again.
#[test]
fn a_format_that_could_not_be_written_is_tried_again() {
    let disk = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let (directory, _) = Directory::on_disk(Arc::clone(&disk) as Arc<dyn Disk>, &FRESH).unwrap();
    directory.found().unwrap();
    disk.set_room(Some(10));
    assert_eq!(directory.note_nodes(true).unwrap_err().code(), "KV-E120");
    disk.set_room(None);
    for has_nodes in [true, false] {
        directory.note_nodes(has_nodes).unwrap();
        assert_eq!(read_format(&*disk, FORMAT).unwrap().1, Some(has_nodes));
    }
}

#[test]
fn a_torn_format_without_nodes_is_removed() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(FORMAT_TMP), "kvsim da").unwrap();
    drop(founded(root.path()));
    assert_eq!(names(root.path()), BTreeSet::from(["FORMAT".to_owned(), "LOCK".to_owned()]));
    fs::write(root.path().join(FORMAT_TMP), "kvsim da").unwrap();
    assert!(!Directory::open(root.path(), &FRESH).unwrap().0.is_new);
    assert!(!root.path().join(FORMAT_TMP).exists());
}

#[test]
fn node_uids_differ_by_cluster_label_and_number() {
    let uids = [
        node_uid(1, "node1", NodeId(0)),
        node_uid(2, "node1", NodeId(0)),
        node_uid(1, "node2", NodeId(0)),
        node_uid(1, "node1", NodeId(1)),
    ];
    assert_eq!(BTreeSet::from(uids).len(), 4);
    insta::assert_snapshot!(format!("{:016x}", uids[0]), @"dd95327aa7166a33");
}
