use super::*;
use crate::bench::tests::settings;

#[test]
fn a_value_is_that_of_its_key_and_round() {
    for value_bytes in [8, 9, 100, 5_000] {
        let data = Data::new(&Settings { value_bytes, keys: 60, ..settings() });
        let mut value = Vec::new();
        for (key, round) in [(0, 0), (1, 0), (49, 7), (3, u32::MAX)] {
            data.fill(key, round, &mut value);
            assert_eq!(value.len(), value_bytes);
            assert_eq!(data.round(key, Some(&value)), Ok(round));
            assert!(data.round(key ^ 2, Some(&value)).is_err(), "another key's");
        }
    }
}

#[test]
fn short_values_have_no_round() {
    for value_bytes in 0..8 {
        let data = Data::new(&Settings { value_bytes, ..settings() });
        let mut value = Vec::new();
        data.fill(2, 9, &mut value);
        assert_eq!((value.len(), data.round(2, Some(&value))), (value_bytes, Ok(0)));
        assert_eq!(data.round(3, Some(&value)).is_ok(), value_bytes == 0);
    }
}

#[test]
fn every_flipped_byte_every_length_and_no_value_is_found() {
    let data = Data::new(&settings());
    let mut value = Vec::new();
    data.fill(2, 9, &mut value);
    for at in 0..value.len() {
        value[at] ^= 1;
        assert_ne!(data.round(2, Some(&value)), Ok(9), "byte {at}");
        value[at] ^= 1;
        assert!(data.round(2, Some(&value[..at])).is_err(), "{at} bytes");
    }
    assert!(data.round(2, None).unwrap_err().contains("key:000000000002"));
}

#[test]
fn keys_and_their_order() {
    let data = Data::new(&Settings { keys: 200, ..settings() });
    assert_eq!((data.key(0), data.key(199)), (&b"key:000000000000"[..], &b"key:000000000199"[..]));
    let chosen = |thread| {
        let mut rng = data.order(thread);
        (0..1_000).map(|_| data.choose(&mut rng)).collect::<Vec<_>>()
    };
    assert_eq!(chosen(0), chosen(0));
    assert_ne!(chosen(0), chosen(1));
    assert!(chosen(0).into_iter().all(|key| key < 200));
}
