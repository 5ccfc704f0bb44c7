use super::*;

#[test]
fn a_figure_is_not_parted_from_its_percent_sign() {
    assert_eq!(fold("would move 39.9 %)", 16, 0), ["would move", "39.9 %)"]);
    assert_eq!(fold("would move 39.9 %)", 17, 2), ["would move", "  39.9 %)"]);
    assert_eq!(fold("39.9 %)", 5, 0), ["39.9 %)"], "too narrow for both");
    assert_eq!(fold("a b", 2, 0), ["a", "b"]);
}
