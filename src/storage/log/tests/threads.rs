//! Many threads on one log.

use std::io;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;
use crate::storage::disk::DiskFile;

#[test]
fn threads_share_commits_and_lose_nothing() {
    const THREADS: u64 = 8;
    const EACH: u64 = 500;
    for policy in POLICIES {
        let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
        let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(policy, 10_000)).unwrap();
        let start = Barrier::new(THREADS as usize + 1);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (log, start) = (&log, &start);
                    scope.spawn(move || {
                        start.wait();
                        for number in 0..EACH {
                            let written = Body::Clock { time: Time(thread << 32 | number) };
                            let at = log.append(Epoch(thread), &written).unwrap();
                            log.commit(at.into()).unwrap();
                            assert!(!log.is_staged(at));
                            if number.is_multiple_of(16) {
                                assert_eq!(log.read(at).unwrap().body, written);
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                start.wait();
                let mut time = Time::SECOND;
                while !done.load(Ordering::Acquire) {
                    log.maintain(time).unwrap();
                    time = time.plus(Time::SECOND);
                    thread::yield_now();
                }
            });
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            done.store(true, Ordering::Release);
        });
        drop(log);
        let (_, _, replayed) = open_on(faulty, options(policy, 10_000)).unwrap();
        assert_eq!(replayed.len() as u64, THREADS * EACH);
        for thread in 0..THREADS {
            let of_thread = replayed.iter().filter(|(_, record)| record.epoch == Epoch(thread));
            let expected = (0..EACH).map(|number| Body::Clock { time: Time(thread << 32 | number) });
            assert!(of_thread.map(|(_, record)| record.body.clone()).eq(expected), "in each thread's order");
        }
    }
}

/// Of two syncs at once only one hears of a failure; the other would acknowledge.
#[test]
fn a_file_is_never_synced_by_two_threads_at_once() {
    let disk = Arc::new(OneSync(MemoryDisk::new()));
    let (log, ..) = open_on(disk, options(SyncPolicy::Interval, 2_000)).unwrap();
    let start = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for number in 0..300 {
                let at = log.append(Epoch(1), &body(number)).unwrap();
                log.commit(at.into()).unwrap();
            }
        });
        scope.spawn(|| {
            start.wait();
            for second in 0..300 {
                log.maintain(Time(second * Time::SECOND.0)).unwrap();
            }
        });
        scope.spawn(|| {
            start.wait();
            for _ in 0..300 {
                log.sync().unwrap();
            }
        });
    });
}

/// A disk in memory whose files insist on one sync at a time.
#[derive(Debug)]
struct OneSync(MemoryDisk);

#[derive(Debug)]
struct OneSyncFile(Arc<dyn DiskFile>, AtomicBool);

impl Disk for OneSync {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OneSyncFile(self.0.create(name)?, AtomicBool::new(false))))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.0.create_dir(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        self.0.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
}

impl DiskFile for OneSyncFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
    fn sync(&self) -> io::Result<()> {
        assert!(!self.1.swap(true, Ordering::AcqRel), "two syncs at once");
        (0..20).for_each(|_| thread::yield_now());
        self.1.store(false, Ordering::Release);
        self.0.sync()
    }
    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.truncate(size)
    }
}
