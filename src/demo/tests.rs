use super::*;

fn shown(settings: Settings) -> String {
    let mut out = Vec::new();
    let ending = run(settings, &Arc::default(), &mut || true, &mut out).unwrap();
    assert_eq!(ending, Ending::Shown);
    String::from_utf8(out).unwrap()
}

fn whole(seed: u64, width: usize) -> String {
    shown(Settings { only: None, seed, width })
}

#[test]
fn it_is_the_same_every_time_and_each_chapter_alone() {
    let all = whole(1, 80);
    assert_eq!(all, whole(1, 200), "wider windows change nothing");
    for number in 1..=CHAPTERS {
        let alone = shown(Settings { only: Some(number), seed: 1, width: 80 });
        assert!(all.contains(&alone), "chapter {number}");
    }
}

#[test]
fn it_fits_the_window() {
    for width in [40, 80] {
        for line in whole(1, width).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

/// What the words claim of the answers, whatever the seed.
#[test]
fn its_sentences_are_true() {
    for seed in 1..=3 {
        let all = whole(seed, 80);
        let chapters: Vec<&str> = all.split("--- ").filter(|part| part.contains(" of 10: ")).collect();
        assert_eq!(chapters.len(), CHAPTERS);
        let one = |text: &str, what: &str| assert_eq!(text.matches(what).count(), 1, "seed {seed}: {what} in\n{text}");
        assert_eq!(chapters[3].matches("0 between the others").count(), 2, "planned, and done");
        one(chapters[4], "0 between the others");
        one(chapters[5], "KV-E202");
        one(chapters[7], "had lost data and merged it from its replicas");
        one(chapters[6], "nothing to repair");
        for chapter in [4, 7] {
            one(chapters[chapter], "every invariant holds");
        }
        for chapter in [8, 9] {
            one(chapters[chapter], " ok, 0 failed, 0 indeterminate");
        }
        assert_eq!(all.matches("KV-E").count(), 1, "seed {seed}: one error, and it is meant\n{all}");
    }
}

#[test]
fn it_stops_at_once() {
    let stop = Arc::new(AtomicBool::new(true));
    let mut out = Vec::new();
    let settings = Settings { only: None, seed: 1, width: 80 };
    assert_eq!(run(settings, &stop, &mut || true, &mut out).unwrap(), Ending::Stopped);
    assert!(out.len() < 100);
}

#[test]
fn who_has_seen_enough_leaves_between_chapters() {
    let mut out = Vec::new();
    let settings = Settings { only: None, seed: 1, width: 80 };
    assert_eq!(run(settings, &Arc::default(), &mut || false, &mut out).unwrap(), Ending::Shown);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("--- 1 of 10") && !text.contains("--- 2 of 10"));
}
