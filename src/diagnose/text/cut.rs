//! A search for words in a short line.

/// A line before and behind the first place where words stand. `str::split_once` prepares each search anew, which costs more than the
/// search itself where a line is short and mostly lacks the words; to ask whether they are there at all costs next to nothing.
#[must_use]
pub(super) fn cut<'a>(line: &'a str, words: &str) -> Option<(&'a str, &'a str)> {
    if line.contains(words) { line.split_once(words) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_words_first_stand() {
        for (line, words) in
            [("a: b: c", ": "), ("nothing here", ": "), ("", "x"), ("load average: 1", "load average:")]
        {
            assert_eq!(cut(line, words), line.split_once(words));
        }
    }
}
