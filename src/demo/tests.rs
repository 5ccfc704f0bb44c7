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

/// With the question below it: what scrolls away before the pause is not seen.
#[test]
fn each_chapter_fits_an_ordinary_window() {
    for seed in 1..=3 {
        for number in 1..=CHAPTERS {
            let text = shown(Settings { only: Some(number), seed, width: 80 });
            assert!(text.lines().count() < 24, "seed {seed}: {} lines\n{text}", text.lines().count());
        }
    }
}

/// What the words claim of the answers, whatever the seed.
#[test]
fn its_sentences_are_true() {
    for seed in 1..=3 {
        let all = whole(seed, 80);
        let chapters: Vec<&str> = all.split("--- ").filter(|part| part.contains(" of 13: ")).collect();
        assert_eq!(chapters.len(), CHAPTERS);
        // Wherever a line is broken.
        let one = |text: &str, what: &str| {
            assert_eq!(text.replace('\n', " ").matches(what).count(), 1, "seed {seed}: {what} in\n{text}");
        };
        for (chapter, what) in [
            (1, "2 + 2 > 3"),
            (4, "0 between the others"),
            (5, "0 between the others"),
            (5, "every invariant holds"),
            (6, "KV-E202"),
            (7, "a hint is kept for node2"),
            (7, "0 keys"),
            (7, "apple 1 key"),
            (8, "written back to node2"),
            (8, "repaired 1 version"),
            (9, "dropped an incomplete"),
            (9, "may have lost data, and has merged it from its replicas"),
            (9, "nothing to repair: the replicas are equal"),
            (10, "node1 leads term 1"),
            (10, " leads term 2"),
            (11, " ok, 0 failed, 0 indeterminate"),
            (12, " ok, 0 failed, 0 indeterminate"),
        ] {
            one(chapters[chapter], what);
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
    assert!(text.contains("--- 1 of 13") && !text.contains("--- 2 of 13"));
}
