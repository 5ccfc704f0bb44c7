//! Data directories: new, opened again, in use, foreign, contradicted.

use std::collections::BTreeSet;

use super::super::disk::{FaultyDisk, MemoryDisk};
use super::super::log::testing::{crash_everywhere, images};
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

#[test]
fn a_missing_or_empty_directory_is_new_and_then_it_is_not() {
    let root = tempfile::tempdir().unwrap();
    for path in [root.path().to_owned(), root.path().join("missing/deeper")] {
        let (directory, labels) = Directory::open(&path, &FRESH).unwrap();
        assert!(directory.is_new && labels.is_empty());
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
    let (directory, _) = Directory::open(root.path(), &FRESH).unwrap();
    for label in ["node2", "node10", "A.b_c-d"] {
        directory.disk.create_dir(label).unwrap();
    }
    drop(directory);
    let (_, labels) = Directory::open(root.path(), &FRESH).unwrap();
    assert_eq!(labels, ["A.b_c-d", "node10", "node2"]);
}

#[test]
fn the_format_file_is_pinned() {
    insta::assert_snapshot!(FRESH.to_text(), @r"
    kvsim data directory
    format: 1
    clock: virtual
    copies: 3
    vnodes: 128
    cluster: 00abcdef01234567
    check: 42ba9e51dc77649a
    ");
    assert_eq!(Format::from_text(&FRESH.to_text()), Some(FRESH));
    let wall = Format { clock: ClockKind::Wall, copies: 1, vnodes: 4_096, cluster_uid: u64::MAX };
    assert_eq!(Format::from_text(&wall.to_text()), Some(wall));
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
    drop(Directory::open(root.path(), &FRESH).unwrap());
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
            drop(Directory::open(root.path(), &FRESH).unwrap());
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

#[test]
fn a_format_file_is_believed_only_whole() {
    let root = tempfile::tempdir().unwrap();
    drop(Directory::open(root.path(), &FRESH).unwrap());
    let good = fs::read(root.path().join("FORMAT")).unwrap();
    for (changed, code) in [
        (FRESH.to_text().replace("copies: 3", "copies: 2"), "KV-E101"),
        (FRESH.to_text().replace("vnodes: 128", "vnodes: many"), "KV-E101"),
        (FRESH.to_text() + "more\n", "KV-E101"),
        (FRESH.to_text().replace("format: 1", "format: 2"), "KV-E104"),
        (FRESH.to_text().replace("format: 1", "format: x"), "KV-E101"),
        (FRESH.to_text().replace("kvsim", "other"), "KV-E103"),
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
        let error = read_format(&disk).unwrap_err();
        assert!(matches!(error.code(), "KV-E101" | "KV-E103" | "KV-E104"), "bit {bit}: {error}");
    }
    fs::write(root.path().join("FORMAT"), FRESH.to_text().replace("copies: 3", "copies: 2")).unwrap();
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

#[test]
fn a_crash_while_creating_it_leaves_it_new_or_whole() {
    let create = |disk: Arc<FaultyDisk>| {
        let listing = Listing::read(&*disk, Path::new("data"))?;
        if listing.has_temporary {
            disk.remove(FORMAT_TMP).map_err(|error| StorageError::writing(FORMAT_TMP, &error))?;
        }
        write_format(&*disk, Path::new("."), &FRESH)
    };
    let created = MemoryDisk::new();
    create(Arc::new(FaultyDisk::new(Arc::new(created.clone())))).unwrap();
    assert_eq!(read_format(&created.after_power_loss()), Ok(FRESH));
    crash_everywhere(&MemoryDisk::new(), create, |context, _, below, _| {
        for (name, image) in images(below) {
            let disk = Arc::new(FaultyDisk::new(Arc::new(image)));
            let listing = Listing::read(&*disk, Path::new("data")).unwrap();
            if !listing.has_format {
                create(Arc::clone(&disk)).unwrap();
            }
            assert_eq!(read_format(&*disk), Ok(FRESH), "{context}, {name}");
        }
    });
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
