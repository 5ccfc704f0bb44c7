//! Many threads on one log.

use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

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
