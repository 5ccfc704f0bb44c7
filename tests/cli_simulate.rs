//! `kvsim simulate`: what it says, in text and JSON, and what it refuses.

mod cli;

use cli::{kvsim, parsed, text};

fn simulate(flags: &str) -> (Option<i32>, String, String) {
    let folder = std::env::temp_dir();
    let output = kvsim(&folder).arg("simulate").args(flags.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("the program does not run: {error}"));
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_campaign_tells_what_it_did() {
    let (code, out, said) = simulate("--seeds 1..5 --ops 100");
    assert_eq!((code, said.as_str()), (Some(0), ""), "{out}");
    for line in
        ["4 seeds, 1 to 4, profile default\n", "400 operations: ", " faults: ", "campaign hash ", "no violation\n"]
    {
        assert!(out.contains(line), "{line} in {out}");
    }
    let (_, again, _) = simulate("--seeds 1..5 --ops 100 --threads 7");
    let hash = |out: &str| out.lines().find(|line| line.starts_with("campaign hash")).map(str::to_owned);
    assert_eq!(hash(&out), hash(&again));
}

#[test]
fn one_seed_can_be_played_alone() {
    let (code, out, said) = simulate("--seed 3 --ops 50 --nodes 4 --profile network --format json");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let summary = parsed(out.trim_end());
    let [command, profile, seed, seeds, ops] =
        ["command", "profile", "first_seed", "seeds", "ops"].map(|name| summary[name].clone());
    assert_eq!(command, "simulate");
    assert_eq!((profile, seed, seeds, ops), ("network".into(), 3.into(), 1.into(), 50.into()));
    assert_eq!((&summary["ok"], summary["violations"].as_array().map(Vec::len)), (&true.into(), Some(0)));
}

#[test]
fn what_makes_no_campaign_is_refused() {
    for (flags, why) in [
        ("--seeds 5..5", "A..B"),
        ("--seeds five", "A..B"),
        ("--seeds 1..3 --seed 2", "--seed plays one seed"),
        ("--gate ci --seed 2", "--seed plays one seed"),
        ("--gate ci --seeds 1..3", "cannot be used with"),
        ("--seeds 1..3 --minutes 1", "cannot be used with"),
        ("--nodes 0", "a campaign needs nodes"),
        ("--sync always", "simulate does not take --sync"),
        ("--profile nonsense", "possible values: default"),
        ("--format csv", "only benchmark has --format csv"),
    ] {
        let (code, out, said) = simulate(flags);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{flags}");
        assert!(said.starts_with("KV-E401 ") && said.contains(why), "{flags}: {said}");
    }
}
