//! The known name that somebody probably meant.

/// The known name that is most like this one, if it is like it at all: at most a third of it differs.
pub(crate) fn nearest<'a>(known: &[&'a str], given: &str) -> Option<&'a str> {
    let (far, near) = known.iter().map(|known| (distance(known, given), *known)).min_by_key(|(far, _)| *far)?;
    (far <= near.len() / 3).then_some(near)
}

/// Levenshtein's distance, row by row. Names are short; a long one is cut, so that nobody can make this slow.
pub(crate) fn distance(known: &str, given: &str) -> usize {
    let given: Vec<char> = given.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=given.len()).collect();
    for (i, a) in known.chars().enumerate() {
        let mut last = i + 1;
        let mut next = vec![last];
        for (b, pair) in given.iter().zip(row.windows(2)) {
            let [above_left, above] = pair else { continue };
            last = (last + 1).min(above + 1).min(above_left + usize::from(a != *b));
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["sessions", "mode", "approve-from"];
        assert_eq!(nearest(&known, "sesions"), Some("sessions"));
        assert_eq!(nearest(&known, "aprove_from"), Some("approve-from"));
        assert_eq!(nearest(&known, "colour"), None);
        assert_eq!(nearest(&[], "mode"), None);
    }

    #[test]
    fn a_distance_is_the_letters_to_be_added_taken_away_or_changed() {
        let distances = [("kitten", "sitting"), ("abc", ""), ("", "abc"), ("mode", "mode")];
        assert_eq!(distances.map(|(known, given)| distance(known, given)), [3, 3, 3, 0]);
    }
}
