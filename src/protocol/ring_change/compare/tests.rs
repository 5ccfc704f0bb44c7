use super::*;

fn range(first: u64, last: u64) -> TokenRange {
    TokenRange { first: Token(first), last: Token(last) }
}

#[test]
fn a_range_is_cut_into_parts_that_cover_it() {
    for (first, last, parts) in [(0, u64::MAX, 16), (7, 7, 1), (5, 8, 4), (0, 16, 9), (u64::MAX - 40, u64::MAX, 14)] {
        let cuts = cut(&[range(first, last)]);
        assert_eq!(cuts.len(), parts, "{first} {last}");
        let flat: Vec<TokenRange> = cuts.iter().flat_map(|part| part.iter().copied()).collect();
        assert_eq!((flat[0].first, flat[flat.len() - 1].last), (Token(first), Token(last)));
        assert!(flat.windows(2).all(|pair| pair[0].last.0 + 1 == pair[1].first.0));
    }
}

#[test]
fn a_list_of_ranges_is_cut_between_them() {
    let ranges: Vec<TokenRange> = (0..33).map(|index| range(index * 10, index * 10 + 4)).collect();
    let cuts = cut(&ranges);
    assert!(cuts.len() <= CUTS && cuts.iter().all(|part| part.len() <= 3));
    assert_eq!(cuts.concat(), ranges);
}
