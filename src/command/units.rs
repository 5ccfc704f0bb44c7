//! Durations, sizes and other figures as people write them: `10ms 5s 2m`, `1MiB 64KiB 100`, `5%`, `10x`. Durations and
//! sizes are exact: no floating point, no wrap-around.

use crate::types::Time;

/// The longest duration that can be typed: a hundred years. Nothing overflows that adds a few of them.
pub const MAX_DURATION: Time = Time(100 * 365 * 86_400 * 1_000_000);

/// The farthest a clock can be set off: 1,000 days.
pub const MAX_OFFSET: Time = Time(1_000 * 86_400 * 1_000_000);

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

/// Reads `90/10` as the part that the first number is of both: 0.9. None if it is not one, or both are 0.
pub fn mix(text: &str) -> Option<f64> {
    let (first, second) = text.split_once('/')?;
    let part = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let (first, second) = (f64::from(part(first)?), f64::from(part(second)?));
    let both = first + second;
    (both > 0.0).then(|| first / both)
}

/// Reads `5%`, `0.1%`: from 0 to 100.
pub fn percent(text: &str) -> Option<f64> {
    decimal(text.strip_suffix('%')?).filter(|percent| *percent <= 100.0)
}

/// Reads `10x`, `1.5x`: from 1 to 10,000.
pub fn factor(text: &str) -> Option<f64> {
    let number = text.strip_suffix(['x', 'X'])?;
    decimal(number).filter(|factor| (1.0..=10_000.0).contains(factor))
}

/// Reads `+400ms`, `-2s`, `0s` in microseconds. None beyond [`MAX_OFFSET`].
pub fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let span = duration(rest).filter(|span| *span <= MAX_OFFSET)?;
    Some(sign * i64::try_from(span.0).ok()?)
}

/// Reads `a,b | c`, `a|b|c` as sides with at least one name each, and `a -> b` as two of which only the first does not
/// reach the second.
pub fn sides(text: &str) -> Option<(Vec<Vec<String>>, bool)> {
    let is_one_way = !text.contains('|');
    let sides = text.split(if is_one_way { "->" } else { "|" });
    let names = |side: &str| -> Vec<String> { side.split(',').map(|name| name.trim().to_owned()).collect() };
    let sides: Vec<Vec<String>> = sides.map(names).collect();
    let is_name = |name: &String| !name.is_empty() && !name.contains(char::is_whitespace);
    let is_whole = sides.iter().flatten().all(is_name) && sides.len() >= 2 && (sides.len() == 2 || !is_one_way);
    is_whole.then_some((sides, is_one_way))
}

/// A number without sign and exponent.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `number`, whole or with a decimal point, times `factor`: if that is whole and fits.
fn decimal_times(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = fraction.parse::<u128>().ok()? * u128::from(factor);
    let rest = if parts.is_multiple_of(scale) { u64::try_from(parts / scale).ok()? } else { return None };
    whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(rest)
}

/// Digits before the point, and behind it, that are looked at: more than fit in a `u64`, and their product with any
/// unit fits in a `u128`.
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests;
