use super::*;

#[test]
fn numbers_are_grouped() {
    let all = [0, 7, 999, 1_000, 12_345, 1_234_567, u64::MAX].map(grouped);
    assert_eq!(all, ["0", "7", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
    assert_eq!(counted(1, "copy"), "1 copy");
    assert_eq!(counted(0, "copy"), "0 copies");
    assert_eq!(counted(2_154, "key"), "2,154 keys");
}

#[test]
fn sizes_and_times() {
    let sizes = [0, 1, 999, 1_000, 1_250, 20_400, 999_499, 999_500, 1_200_000, 3_000_000_000].map(bytes);
    assert_eq!(
        sizes,
        ["0 bytes", "1 byte", "999 bytes", "1.0 KB", "1.3 KB", "20 KB", "999 KB", "1.0 MB", "1.2 MB", "3.0 GB"]
    );
    let times = [0, 500, 1_000, 1_349, 412_000, 999_949, 999_999, 2_500_000].map(|us| lasted(Time(us)));
    assert_eq!(times, ["0 us", "500 us", "1.0 ms", "1.3 ms", "412.0 ms", "999.9 ms", "0.999 s", "2.500 s"]);
    assert_eq!(clock(Time(412_999)), "0.412 s", "a clock does not run ahead");
}

#[test]
fn shares_add_up() {
    assert_eq!(shares(&[1.0 / 3.0; 3]), ["33.4 %", "33.3 %", "33.3 %"]);
    assert_eq!(shares(&[0.2855, 0.2855, 0.429]), ["28.6 %", "28.5 %", "42.9 %"]);
    assert_eq!(shares(&[0.0, 0.0]), ["0.0 %", "0.0 %"]);
    assert_eq!(shares(&[]), Vec::<String>::new());
    for nodes in 1..60 {
        let whole: f64 = (1..=nodes).map(f64::from).sum();
        let ratios: Vec<f64> = (1..=nodes).map(|node| f64::from(node) / whole).collect();
        let tenths: u32 = shares(&ratios).iter().map(|s| s.replace([' ', '%', '.'], "").parse::<u32>().unwrap()).sum();
        assert_eq!(tenths, 1_000, "{nodes} nodes");
    }
}

#[test]
fn ratios_of_nothing() {
    assert_eq!(percent(ratio(0, 0)), "0.0 %");
    assert_eq!(percent(ratio(2_154, 9_000)), "23.9 %");
    assert_eq!(percent(f64::NAN), "0.0 %");
}
