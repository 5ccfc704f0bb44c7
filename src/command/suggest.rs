//! Did you mean: the nearest word by Damerau-Levenshtein distance.
//!
//! The distance is the restricted one ("optimal string alignment": insert, delete, replace, swap neighbours), divided
//! by the longer length. Two words are near when at least 0.6 of the longer one stands: `pt` finds `put`, which
//! Jaro-Winkler misses.

/// The longest word that is compared; a longer one is near nothing. Bounds the work, which is quadratic.
const MAX_COMPARED: usize = 32;

/// The candidate nearest to `typed` in any case, the first one among equals; none when nothing is near.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.chars().take(MAX_COMPARED + 1).flat_map(char::to_lowercase).collect();
    if typed.len() > MAX_COMPARED {
        return None;
    }
    let mut best: Option<(&str, usize, usize)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.chars().collect();
        let longer = letters.len().max(typed.len());
        let distance = distance(&typed, &letters);
        let near = 10 * (longer - distance.min(longer)) >= 6 * longer;
        let nearer = best.is_none_or(|(_, least, length)| distance * length < least * longer);
        if near && nearer {
            best = Some((candidate, distance, longer));
        }
    }
    best.map(|(candidate, ..)| candidate)
}

/// Edits from `a` to `b`. O(|a| * |b|) time, three rows of memory.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let replaced = at(&last, j) + usize::from(letter != other);
            let mut least = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(other) && b.get(j - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

fn at(row: &[usize], column: usize) -> usize {
    row.get(column).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests;
