//! Playing a test in many schedules of its threads: the same ones each time, because their seed is fixed.
//!
//! Half of them choose by chance, at every point, which thread goes on. The others let one go on until it waits, but
//! for a few points chosen by chance (PCT; Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees
//! of Finding Bugs", 2010): most races need no more.
//!
//! A schedule that fails is left in a file, whose name is printed. With that name in `KVSIM_SCHEDULE` the test plays this
//! one schedule: `KVSIM_SCHEDULE=.. .ci/shuttle NAME-OF-THE-TEST`.

use std::env;
use std::path::PathBuf;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, Runner};

/// Plays `test` in `schedules` schedules of each kind.
pub(crate) fn play(schedules: usize, test: fn()) {
    if let Some(file) = env::var_os("KVSIM_SCHEDULE") {
        return run(ReplayScheduler::new_from_file(file).unwrap(), test);
    }
    run(RandomScheduler::new_from_seed(SEED, schedules), test);
    run(PctScheduler::new_from_seed(SEED, PREEMPTIONS, schedules), test);
}

/// Plays each of `schedules` schedules twice, and fails where the second time differs: then none could be replayed.
pub(crate) fn play_twice(schedules: usize, test: fn()) {
    let random = RandomScheduler::new_from_seed(SEED, schedules);
    run(UncontrolledNondeterminismCheckScheduler::new(random), test);
}

fn run(scheduler: impl Scheduler + 'static, test: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.failure_persistence = FailurePersistence::File(Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))));
    // That too weak an ordering is not found is said in src/sync.rs.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(test);
}

const SEED: u64 = 1;
/// Times that a thread of a PCT schedule is stopped although it could go on.
const PREEMPTIONS: usize = 4;
const STACK_BYTES: usize = 1 << 20;
