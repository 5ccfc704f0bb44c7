//! Figures as people read them. The same figure gives the same text on any machine.

use crate::types::Time;

/// `2154` as `2,154`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 key`, `2,154 keys`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = match noun {
        "copy" => "copies",
        "primary" => "primaries",
        _ if number == 1 => noun,
        _ => return format!("{} {noun}s", grouped(number)),
    };
    format!("{} {}", grouped(number), if number == 1 { noun } else { plural })
}

/// A ratio as `23.9 %`; of nothing, `0.0 %`.
pub fn percent(ratio: f64) -> String {
    format!("{:.1} %", if ratio.is_finite() { ratio * 100.0 } else { 0.0 })
}

/// `part` of `whole` as a ratio; 0 of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
    let ratio = part as f64 / whole as f64;
    ratio
}

/// Tenths of a percent of each ratio, so that what is printed adds up to exactly what the ratios add up to: the
/// largest remainders are rounded up (Hamilton's method).
pub(super) fn shares(ratios: &[f64]) -> Vec<String> {
    let exact: Vec<f64> = ratios.iter().map(|ratio| ratio * 1000.0).collect();
    let mut tenths: Vec<i64> = exact.iter().map(|tenth| whole(tenth.floor())).collect();
    let missing = whole(exact.iter().sum::<f64>().round()) - tenths.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..exact.len()).collect();
    let remainder = |index: &usize| exact.get(*index).map_or(0.0, |tenth| tenth.fract());
    order.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    for index in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        if let Some(tenth) = tenths.get_mut(index) {
            *tenth += 1;
        }
    }
    tenths.into_iter().map(|tenth| format!("{}.{} %", tenth / 10, tenth % 10)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a share in tenths of a percent is at most 1,000")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// Bytes in powers of 1,000: `718 bytes`, `20 KB`, `1.2 MB`. Limits are where rounding reaches the next unit.
pub fn bytes(number: u64) -> String {
    match number {
        0..1_000 => counted(number, "byte"),
        1_000..10_000 => tenths(number, 1_000, "KB"),
        10_000..999_500 => format!("{} KB", (number + 500) / 1_000),
        999_500..999_950_000 => tenths(number, 1_000_000, "MB"),
        _ => tenths(number, 1_000_000_000, "GB"),
    }
}

/// How long something took: `500 us`, `1.3 ms`, `2.500 s`.
pub fn lasted(time: Time) -> String {
    match time.0 {
        0..1_000 => format!("{} us", time.0),
        1_000..999_950 => tenths(time.0, 1_000, "ms"),
        _ => clock(time),
    }
}

/// A point in virtual time: `0.412 s`.
pub fn clock(time: Time) -> String {
    format!("{}.{:03} s", grouped(time.0 / 1_000_000), time.0 % 1_000_000 / 1_000)
}

fn tenths(number: u64, unit: u64, name: &str) -> String {
    let tenths = (u128::from(number) * 10 + u128::from(unit) / 2) / u128::from(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
