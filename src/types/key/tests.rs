use std::mem::size_of;

use proptest::prelude::*;

use super::*;

#[test]
fn a_short_key_takes_no_more_than_a_pointer_to_a_long_one() {
    assert_eq!(size_of::<KeyBytes>(), 24);
    assert_eq!(size_of::<Option<Key>>(), size_of::<Key>());
}

#[test]
fn the_forms_meet_at_the_longest_short_key() {
    for length in [1, SHORT_LEN - 1, SHORT_LEN, SHORT_LEN + 1, Key::MAX_LEN] {
        let bytes = vec![0; length];
        let key = Key::new(&bytes).unwrap();
        assert_eq!(key.bytes(), bytes);
        assert_eq!(matches!(key.bytes, KeyBytes::Short { .. }), length <= SHORT_LEN);
    }
    assert_eq!(Key::new([]), Err(LimitError::Key { len: 0 }));
    assert_eq!(Key::new([0; 1_025]), Err(LimitError::Key { len: 1_025 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Zeros at the end are part of a key, though a short one has more of them behind its end.
    #[test]
    fn keys_compare_as_their_token_and_bytes(
        one in prop::collection::vec(0..2u8, 1..30),
        other in prop::collection::vec(0..2u8, 1..30),
    ) {
        let (a, b) = (Key::new(&one).unwrap(), Key::new(&other).unwrap());
        prop_assert_eq!(a == b, one == other);
        prop_assert_eq!(a.bytes.cmp(&b.bytes), one.cmp(&other));
        prop_assert_eq!(a.cmp(&b), (xxh3_64(&one), &one).cmp(&(xxh3_64(&other), &other)));
        prop_assert_eq!(format!("{:?}", a.bytes), format!("{one:?}"));
    }
}
