use super::*;

fn lines_of(mut input: impl BufRead) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Arrival::Line(line) = read_line(&mut input) {
        all.push(line);
    }
    all
}

#[test]
fn lines_end_with_a_newline_or_the_input() {
    assert_eq!(lines_of(&b"a\n\nb"[..]), [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
    assert_eq!(lines_of(&b""[..]), Vec::<Vec<u8>>::new());
}

#[test]
fn a_line_beyond_the_limit_is_passed_over_without_keeping_it() {
    let long = io::repeat(b'a').take(100 << 20);
    let input = io::BufReader::new(long.chain(&b"\nget a\n"[..]));
    let all = lines_of(input);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].len(), MAX_LINE + 1);
    assert_eq!(all[1], b"get a");
}

#[test]
fn a_line_of_exactly_the_limit_is_kept() {
    let input = io::BufReader::new(io::repeat(b'a').take(MAX_LINE as u64).chain(&b"\nb"[..]));
    let sizes: Vec<usize> = lines_of(input).iter().map(Vec::len).collect();
    assert_eq!(sizes, [MAX_LINE, 1]);
}
