//! Redis's patterns: `*`, `?`, `[a-c]`, `[^a]`, and `\` before what stands for itself. They are matched in bytes.

/// Whether all of `text` matches. O(length of the one times the length of the other).
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last star, and where its part of the text begins: that one alone has to be tried again.
    let mut star = None;
    loop {
        (pattern, text) = match (pattern, text) {
            ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                star = Some((rest, text));
                (rest, text)
            }
            _ => match (text.split_first().and_then(|(byte, after)| Some((one(pattern, *byte)?, after))), star) {
                (Some(gone_on), _) => gone_on,
                (None, Some((rest, [_, after @ ..]))) => {
                    star = Some((rest, after));
                    (rest, after)
                }
                (None, _) => return false,
            },
        };
    }
}

/// What follows in the pattern if its first element, which is no star, matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', class @ ..] => in_class(class, byte),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
    }
}

/// As [`one`], of a class whose bracket was read. One that is not closed ends with the pattern.
fn in_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (is_negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut is_in = false;
    loop {
        let (matched, rest) = match class {
            [] | [b']', ..] => break,
            [b'\\', literal, rest @ ..] => (*literal == byte, rest),
            [one, b'-', other, rest @ ..] => ((*one.min(other)..=*one.max(other)).contains(&byte), rest),
            [literal, rest @ ..] => (*literal == byte, rest),
        };
        is_in |= matched;
        class = rest;
    }
    (is_in != is_negated).then(|| class.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every part of the text is tried for every star.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            ([], _) => text.is_empty(),
            (_, []) => false,
            (_, [byte, after @ ..]) => one(pattern, *byte).is_some_and(|rest| naive(rest, after)),
        }
    }

    #[test]
    fn patterns_match_as_in_redis() {
        let cases = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("h[a-b]llo", "hcllo", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[\\]]", "]", true),
            ("[]", "]", false),
            ("[^]", "]", true),
            ("[a", "a", true),
            ("[a-", "-", true),
            ("a\\", "a\\", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
        ];
        for (pattern, text, is_match) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), is_match, "{pattern} on {text}");
        }
    }

    /// A matcher that tries every part for every star would not come back.
    #[test]
    fn many_stars_take_no_longer_than_the_lengths_multiplied() {
        let pattern = b"a*".repeat(500);
        let text = [vec![b'a'; 1_000], vec![b'b']].concat();
        assert!(matches(&pattern, &text));
        assert!(!matches(&[pattern, b"c".to_vec()].concat(), &text));
    }

    proptest! {
        #[test]
        fn it_matches_what_a_naive_one_does(pattern in r"[ab*?\[\]^\\-]{0,10}", text in r"[ab\]\[-]{0,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
