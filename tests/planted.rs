//! The bugs of `src/planted.rs`, each planted and caught: by the check that is named for it, which is silent on the same
//! seeds where the bug is not there. Started by `.ci/planted`, which makes the build that has them.
//!
//! A bug of the cluster is looked for by the campaign, seed by seed from several starts, until its check speaks; where too
//! much would have to come together for it, in a [scene](scenes). One that no cluster can meet (its segments never roll,
//! its files are never damaged) is looked for by the test of the library that tries all cases of it; that test runs in a
//! process of its own.
//!
//! Caveat: a seed that another check ends first is counted apart, and the search goes on behind it.

#![cfg(kvsim_bugs)]

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kvsim::campaign::episode::{Outcome, play};
use kvsim::campaign::plan::Plan;
use kvsim::campaign::profile::Profile;
use kvsim::planted::{Bug, choose};

#[path = "planted/scenes.rs"]
mod scenes;

/// How a bug is looked for.
#[derive(Clone, Copy)]
enum Search {
    /// Runs, each of a seed.
    Runs(Runs),
    /// A test of the library.
    Test(&'static str),
}

/// Runs of one kind.
#[derive(Clone, Copy)]
struct Runs {
    /// What the table calls them.
    name: &'static str,
    kind: Kind,
    /// Seeds from each start after which the search is given up.
    most: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    /// So many operations of a campaign.
    Campaign(Profile, u64),
    /// The same twice, which has to come to one hash.
    Twice(Profile, u64),
    /// A run in which all that it takes comes together.
    Scene(fn(u64) -> Vec<String>),
}

/// What `.ci/planted core` looks for.
const CORE: [Bug; 12] = [
    Bug::B01,
    Bug::B02,
    Bug::B05,
    Bug::B09,
    Bug::B10,
    Bug::B15,
    Bug::B18,
    Bug::B21,
    Bug::B22,
    Bug::B27,
    Bug::B28,
    Bug::B33,
];

fn search(bug: Bug) -> Search {
    let runs = |profile: Profile, ops, most| {
        Search::Runs(Runs { name: profile.name(), kind: Kind::Campaign(profile, ops), most })
    };
    let scene = |scene| Search::Runs(Runs { name: "scene", kind: Kind::Scene(scene), most: 20 });
    match bug {
        Bug::B01 => runs(Profile::Membership, 300, 2_000),
        Bug::B02 => runs(Profile::Membership, 300, 200),
        Bug::B03 => {
            Search::Test("protocol::election::tests::a_proposal_is_committed_everywhere_and_the_next_waits_for_it")
        }
        Bug::B05 => runs(Profile::Membership, 300, 200),
        Bug::B06 => runs(Profile::Membership, 300, 1_000),
        Bug::B08 => runs(Profile::Network, 100, 20),
        Bug::B09 => runs(Profile::Network, 200, 50),
        Bug::B10 => {
            Search::Test("storage::store::tests::merging::a_tombstone_outlives_a_merge_without_the_oldest_segment")
        }
        Bug::B12 => runs(Profile::Skew, 300, 400),
        Bug::B14 => scene(scenes::long_dead),
        Bug::B15 => scene(scenes::late_hint),
        Bug::B17 => runs(Profile::Network, 200, 50),
        Bug::B18 => {
            Search::Test("storage::store::tests::contract::merging_versions_is_commutative_associative_and_idempotent")
        }
        Bug::B19 => runs(Profile::Skew, 300, 200),
        Bug::B21 => runs(Profile::Disk, 300, 600),
        Bug::B22 => runs(Profile::Network, 200, 50),
        Bug::B23 => scene(scenes::lost_tail),
        Bug::B25 => runs(Profile::Disk, 300, 200),
        Bug::B27 => {
            Search::Test("storage::log::tests::after_a_failed_sync_nothing_is_acknowledged_and_nothing_retried")
        }
        Bug::B28 => Search::Test("storage::recovery::tests::a_closed_segment_cut_at_any_byte_is_refused"),
        Bug::B29 => {
            Search::Test("storage::log::tests::crash::a_crash_at_any_step_leaves_a_prefix_that_holds_what_was_promised")
        }
        Bug::B30 => Search::Test("storage::recovery::tests::recovery_can_die_at_any_step"),
        Bug::B33 => runs(Profile::Network, 200, 50),
        Bug::B34 => scene(scenes::noise),
        Bug::B35 => Search::Test("protocol::membership::tests::a_slow_observer_accuses_nobody"),
        Bug::B36 => runs(Profile::Disk, 300, 200),
        Bug::L01 => runs(Profile::Network, 200, 50),
        Bug::L02 | Bug::L03 => runs(Profile::Network, 100, 20),
        Bug::L04 => runs(Profile::Network, 200, 50),
        Bug::L05 => {
            Search::Test("storage::recovery::tests::a_flipped_bit_is_refused_or_cut_as_the_records_behind_it_say")
        }
        Bug::L06 => Search::Test("storage::record::tests::a_length_is_checked_before_it_is_believed"),
        Bug::L07 => runs(Profile::Network, 100, 20),
        Bug::L08 => Search::Runs(Runs { name: "network twice", kind: Kind::Twice(Profile::Network, 100), most: 20 }),
        Bug::L09 => runs(Profile::Network, 200, 50),
        Bug::L10 => runs(Profile::Disk, 300, 400),
    }
}

/// What came of the search for one bug.
#[derive(Default)]
struct Found {
    /// Seeds played from each start, up to the one in which the check spoke.
    seeds: Vec<u64>,
    /// Seeds that another check ended, by its name.
    by_others: BTreeMap<String, u64>,
    /// Seeds played without the bug.
    green: usize,
    /// Why it does not count.
    wrong: Vec<String>,
}

#[test]
fn each_bug_is_caught_by_its_check() {
    let wanted = env::var("KVSIM_PLANTED").unwrap_or_else(|_| "all".to_owned());
    let is_wanted = |bug: &Bug| match wanted.as_str() {
        "all" => true,
        "core" => CORE.contains(bug),
        names => names.split(',').any(|name| name == bug.name()),
    };
    println!("{:4} {:8} {:16} {:>6} {:>5}  {}", "bug", "check", "found by", "seeds", "green", "what it does");
    let mut green = Green::default();
    let mut wrong = Vec::new();
    for bug in Bug::ALL.iter().copied().filter(is_wanted) {
        let (by, found) = match search(bug) {
            Search::Runs(runs) => (runs.name, in_runs(bug, runs, &mut green)),
            Search::Test(name) => ("test", in_test(bug, name)),
        };
        let seeds = median(&found.seeds).map_or_else(|| "-".to_owned(), |median| median.to_string());
        let others: Vec<String> = found.by_others.iter().map(|(name, seeds)| format!("{name} {seeds}")).collect();
        let others = if others.is_empty() { String::new() } else { format!("; others first: {}", others.join(", ")) };
        println!(
            "{:4} {:8} {:16} {:>6} {:>5}  {}{others}",
            bug.name(),
            bug.check(),
            by,
            seeds,
            found.green,
            bug.what()
        );
        wrong.extend(found.wrong.into_iter().map(|why| format!("{}: {why}", bug.name())));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The middle one.
fn median(seeds: &[u64]) -> Option<u64> {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn in_runs(bug: Bug, runs: Runs, green: &mut Green) -> Found {
    choose(Some(bug));
    let searched = at_once(STARTS, |start| from_start(bug, runs, start));
    choose(None);
    let mut found = Found::default();
    let mut played = Vec::new();
    for (start, searched) in searched.into_iter().enumerate() {
        played.extend(seeds_of(start).take(searched.seeds as usize));
        if searched.is_caught {
            found.seeds.push(searched.seeds);
        } else {
            found.wrong.push(format!("{} is silent in {} seeds from start {start}", bug.check(), searched.seeds));
        }
        searched.by_others.into_iter().for_each(|name| *found.by_others.entry(name).or_default() += 1);
    }
    found.green = played.len();
    found.wrong.extend(green.play(bug, runs, &played));
    found
}

/// What came of one start.
struct Searched {
    seeds: u64,
    is_caught: bool,
    by_others: Vec<String>,
}

fn from_start(bug: Bug, runs: Runs, start: usize) -> Searched {
    let mut searched = Searched { seeds: 0, is_caught: false, by_others: Vec::new() };
    for seed in seeds_of(start).take(runs.most as usize) {
        searched.seeds += 1;
        let violations = runs.play(seed);
        let mut invariants = violations.iter().filter_map(|violation| violation.split_whitespace().next());
        if invariants.clone().any(|invariant| invariant == bug.check()) {
            searched.is_caught = true;
            break;
        }
        searched.by_others.extend(invariants.next().map(str::to_owned));
    }
    searched
}

impl Runs {
    /// The violations of a seed, sentences that begin with the invariant. A campaign ends a seed at the first.
    fn play(&self, seed: u64) -> Vec<String> {
        let run = |profile, ops| play(&Plan::draw(seed, profile, None, ops));
        let what = |outcome: Outcome| outcome.violation.into_iter().map(|violation| violation.what).collect();
        match self.kind {
            Kind::Campaign(profile, ops) => what(run(profile, ops)),
            Kind::Twice(profile, ops) => {
                let (one, other) = (run(profile, ops), run(profile, ops));
                match one.hash == other.hash {
                    true => what(one),
                    false => vec!["DET-1 played twice, it had two hashes".to_owned()],
                }
            }
            Kind::Scene(scene) => scene(seed),
        }
    }

    /// Runs of this kind, played for that bug, may be another's too.
    fn place(&self, bug: Bug) -> (&'static str, u64) {
        match self.kind {
            Kind::Campaign(_, ops) | Kind::Twice(_, ops) => (self.name, ops),
            Kind::Scene(_) => (bug.name(), 0),
        }
    }
}

/// Seeds that were played without any bug, with what was wrong with them.
#[derive(Default)]
struct Green(BTreeMap<((&'static str, u64), u64), Vec<String>>);

impl Green {
    /// What is wrong with these seeds where no bug is planted: nothing.
    fn play(&mut self, bug: Bug, runs: Runs, seeds: &[u64]) -> Vec<String> {
        let place = |seed: u64| (runs.place(bug), seed);
        let new: Vec<u64> = seeds.iter().copied().filter(|seed| !self.0.contains_key(&place(*seed))).collect();
        let violations = at_once(new.len(), |index| runs.play(new[index]));
        self.0.extend(new.iter().map(|seed| place(*seed)).zip(violations));
        let wrong = seeds.iter().filter_map(|seed| {
            let what = self.0.get(&place(*seed))?.first()?;
            Some(format!("seed {seed} of {} without the bug: {what}", runs.name))
        });
        wrong.collect()
    }
}

/// Runs the test with the bug, which fails, and without it, which passes.
fn in_test(bug: Bug, name: &str) -> Found {
    let program = env::var("KVSIM_UNIT_TESTS").expect("the program of the library's tests, as .ci/planted gives it");
    let run = |planted: Option<Bug>| {
        let mut command = Command::new(&program);
        command.args(["--exact", name]).env_remove("KVSIM_BUG").env("PROPTEST_FAILURE_PERSISTENCE", "off");
        if let Some(bug) = planted {
            command.env("KVSIM_BUG", bug.name());
        }
        let output = command.output().expect("the program of the library's tests starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut found = Found::default();
    let with = run(Some(bug));
    if !with.contains("0 passed; 1 failed") {
        found.wrong.push(format!("{name} does not fail: {with}"));
    }
    let without = run(None);
    if without.contains("1 passed; 0 failed") {
        found.green = 1;
    } else {
        found.wrong.push(format!("{name} fails without the bug: {without}"));
    }
    found
}

/// Does `count` things on all cores.
fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = act(index);
                    done.lock().expect("no thread has panicked").insert(index, result);
                }
            });
        }
    });
    done.into_inner().expect("no thread has panicked").into_values().collect()
}

/// Searches for each bug, far from each other, so that its median says something.
const STARTS: usize = 5;

fn seeds_of(start: usize) -> impl Iterator<Item = u64> {
    1 + 1_000_000 * start as u64..
}
