//! Descriptions of distributions, read.

use super::{Latency, NotALatency, US};

pub(super) fn parse(text: &str) -> Result<Latency, NotALatency> {
    let whole = Text { text, start: 1 };
    match whole.after("mix:") {
        Some(parts) => mix(parts),
        None => shape(whole),
    }
}

pub(super) fn measured(name: &str, text: &str) -> Result<Latency, NotALatency> {
    let mut times = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let figure = line.split('#').next().unwrap_or_default().trim();
        if figure.is_empty() {
            continue;
        }
        let time = Text { text: figure, start: 1 }.number(MILLISECONDS, 0.0, MAX_MS);
        // The cast drops a fraction of a microsecond.
        times.push((time.map_err(|error| NotALatency { at: index + 1, ..error })? * US) as u64);
    }
    if times.is_empty() {
        return Err(NotALatency { at: 1, expected: "at least one line with a number of milliseconds" });
    }
    Ok(Latency::Measured { name: name.to_owned(), times: times.into() })
}

/// A part of the description, and where it begins.
#[derive(Clone, Copy)]
struct Text<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Text<'a> {
    fn after(self, prefix: &str) -> Option<Text<'a>> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Text { text, start: self.start + prefix.chars().count() })
    }

    /// The parts between separators.
    fn split(self, separator: char) -> impl Iterator<Item = Text<'a>> {
        let mut start = self.start;
        self.text.split(separator).map(move |text| {
            let part = Text { text, start };
            start += text.chars().count() + 1;
            part
        })
    }

    fn error(self, expected: &'static str) -> NotALatency {
        NotALatency { at: self.start, expected }
    }

    /// A decimal number without sign or exponent.
    fn number(self, expected: &'static str, least: f64, most: f64) -> Result<f64, NotALatency> {
        let is_plain = self.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = self.text.parse::<f64>().ok().filter(|number| is_plain && (least..=most).contains(number));
        number.ok_or_else(|| self.error(expected))
    }
}

fn shape(text: Text<'_>) -> Result<Latency, NotALatency> {
    let number = Text::number;
    if let Some(of) = text.after("const:") {
        return Ok(Latency::Constant { ms: number(of, MILLISECONDS, 0.0, MAX_MS)? });
    }
    if let Some(of) = text.after("uniform:") {
        let (first, second) = pair(of, "two numbers, FROM,TO")?;
        let from = number(first, MILLISECONDS, 0.0, MAX_MS)?;
        let to = number(second, "a number of milliseconds up to 3600000, not below the first", from, MAX_MS)?;
        return Ok(Latency::Uniform { from, to });
    }
    if let Some(of) = text.after("exp:") {
        return Ok(Latency::Exponential { rate: number(of, POSITIVE, LEAST, MAX_MS)? });
    }
    if let Some(of) = text.after("pareto:") {
        let (first, second) = pair(of, "two numbers, XM,ALPHA")?;
        let least = number(first, POSITIVE, LEAST, MAX_MS)?;
        return Ok(Latency::Pareto { least, alpha: number(second, POSITIVE, LEAST, MAX_MS)? });
    }
    Err(text.error(SHAPES))
}

fn pair<'a>(text: Text<'a>, expected: &'static str) -> Result<(Text<'a>, Text<'a>), NotALatency> {
    let mut numbers = text.split(',');
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(first), Some(second), None) => Ok((first, second)),
        _ => Err(text.error(expected)),
    }
}

fn mix(text: Text<'_>) -> Result<Latency, NotALatency> {
    let mut parts = Vec::new();
    for part in text.split('+') {
        let mut halves = part.split('%');
        let (Some(percent), Some(described), None) = (halves.next(), halves.next(), halves.next()) else {
            return Err(part.error("a percentage and a part, such as 90%const:1"));
        };
        let percent = percent.number("a percentage above 0, up to 100", LEAST, 100.0)?;
        if parts.len() == MAX_PARTS {
            return Err(part.error("no more than 16 parts"));
        }
        parts.push((percent, shape(described)?));
    }
    let all: f64 = parts.iter().map(|(percent, _)| percent).sum();
    if (all - 100.0).abs() > ROUNDED {
        return Err(text.error("percentages that add up to 100"));
    }
    Ok(Latency::Mix(parts))
}

/// The longest time that can be described, in milliseconds.
const MAX_MS: f64 = 3_600_000.0;
/// What is above zero is at least this: a smaller rate or exponent gives an hour nearly every time.
const LEAST: f64 = 0.000_001;
/// How far from 100 the percentages of a mixture may be, since they are rounded.
const ROUNDED: f64 = 0.1;
/// More describe nothing better, and would be searched for every message.
const MAX_PARTS: usize = 16;

const SHAPES: &str = "const:MS, uniform:FROM,TO, exp:RATE, pareto:XM,ALPHA, mix:P%PART+P%PART or file:PATH";
const MILLISECONDS: &str = "a number of milliseconds up to 3600000";
const POSITIVE: &str = "a number above 0, up to 3600000";
