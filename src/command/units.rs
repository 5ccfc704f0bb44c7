//! Durations and sizes as people write them: `10ms 5s 2m`, `1MiB 64KiB 100`. Exact: no floating point, no wrap-around.

use crate::types::Time;

/// The longest duration that can be typed: a hundred years. Nothing overflows that adds a few of them.
pub const MAX_DURATION: Time = Time(100 * 365 * 86_400 * 1_000_000);

/// What [`duration`] takes, for messages.
pub const DURATION_FORM: &str = "a duration up to 100 years (10ms, 5s, 2m, 500us, 1.5h)";

/// What [`size`] takes, for messages.
pub const SIZE_FORM: &str = "a size (100, 64KiB, 1MiB)";

/// Reads `10ms`, `1.5s`: a decimal number and one of us, ms, s, m, h, d. None if it is not one, is finer than a
/// microsecond, or is longer than [`MAX_DURATION`].
pub fn duration(text: &str) -> Option<Time> {
    let (number, unit) = number_and_unit(text);
    let micros = match unit {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let total = decimal_times(number, micros)?;
    (total <= MAX_DURATION.0).then_some(Time(total))
}

/// Reads `100`, `64KiB`, `1MiB`, `1GiB` (powers of 1,024; any case). None if it is not one, or beyond `u64`.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text);
    let bytes = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    decimal_times(number, bytes)
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `number` times `factor`, if that is whole and fits. At most 19 digits before and after the point are looked at.
fn decimal_times(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !whole.is_empty() && !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let digits = |text: &str| (text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit())).then_some(());
    digits(fraction)?;
    let whole: u64 = whole.bytes().all(|b| b.is_ascii_digit()).then(|| whole.parse().ok())??;
    let places = u32::try_from(fraction.len()).ok()?;
    let scale = 10_u128.checked_pow(places)?;
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let product = fraction * u128::from(factor);
    let part = product.is_multiple_of(scale).then_some(product / scale)?;
    whole.checked_mul(factor)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests;
