//! The known name that is nearest to a wrong one.

/// Edits that still count as a slip of the pen, of a name of `letters` letters.
fn slip(letters: usize) -> usize {
    (letters / 3).clamp(1, 4)
}

/// Whether a word is another with letters left out, but the first: `imgs` for `images`.
fn is_short_for(short: &str, long: &str) -> bool {
    let mut letters = long.chars();
    short.chars().next() == long.chars().next() && short.chars().all(|letter| letters.any(|other| other == letter))
}

/// Of the known names the one with the fewest edits from `name`, where these are few, or that it is short for.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let near = known.map(|known| {
        let other = known.to_lowercase();
        let short = lower.len() > 2 && (is_short_for(&lower, &other) || is_short_for(&other, &lower));
        (if short { 1 } else { edits(&lower, &other) }, known)
    });
    near.min().filter(|(edits, _)| *edits <= slip(name.chars().count())).map(|(_, known)| known)
}

/// Letters to put in, take out or change to get from one word to the other (Levenshtein 1965).
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut next = vec![at + 1];
        for (place, other) in right.iter().enumerate() {
            let (diagonal, above) = (row.get(place).copied().unwrap_or(0), row.get(place + 1).copied().unwrap_or(0));
            let beside = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(letter != *other)).min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("imgs", Some("images"))]
    #[case("image", Some("images"))]
    #[case("Env", Some("env"))]
    #[case("serviceAcount", Some("serviceAccount"))]
    #[case("colour", None)]
    fn given_a_wrong_name_when_looked_for_then_the_nearest_that_is_known(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(nearest(name, ["images", "env", "serviceAccount"].into_iter()), expected);
    }
}
