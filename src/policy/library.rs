//! Documents that were read lately, so that a text is read once and not once a pass.

use std::collections::VecDeque;
use std::sync::Arc;

use super::document::Document;
use super::tree::Finding;
use super::yaml;

/// Texts that are kept: the document of now, the last good one, and those that were there before.
const KEPT_MAX: usize = 8;

/// What texts say, as [`yaml::read`] answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Library {
    /// The oldest first.
    read: VecDeque<(Arc<str>, Said)>,
}

/// What a text says, or what is wrong with it.
type Said = Result<Document, Vec<Finding>>;

impl Library {
    /// What a text says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&mut self, text: &Arc<str>) -> Result<&Document, &[Finding]> {
        // Mostly it is the very same text, which its address tells.
        let known = self.read.iter().position(|(known, _)| Arc::ptr_eq(known, text) || known == text);
        let index = known.unwrap_or_else(|| {
            if self.read.len() >= KEPT_MAX {
                self.read.pop_front();
            }
            self.read.push_back((Arc::clone(text), yaml::read(text.as_bytes())));
            self.read.len() - 1
        });
        match self.read.get(index) {
            Some((_, Ok(document))) => Ok(document),
            Some((_, Err(findings))) => Err(findings),
            None => Err(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_last_eight_texts_each_of_them_once() {
        let mut library = Library::default();
        let text = |n: usize| Arc::<str>::from(format!("cooldown-secs: {}\n", 60 + n));
        for n in 0..2 * KEPT_MAX {
            for _ in 0..2 {
                assert!(library.read(&text(n)).is_ok(), "an equal text at another address");
            }
            assert_eq!(library.read.len(), KEPT_MAX.min(n + 1));
        }
        let kept: Vec<&str> = library.read.iter().map(|(text, _)| &**text).collect();
        let last = (KEPT_MAX..2 * KEPT_MAX).map(text).collect::<Vec<_>>();
        assert_eq!(kept, last.iter().map(|text| &**text).collect::<Vec<_>>());
    }

    #[test]
    fn a_library_says_what_the_reader_says_also_after_it_forgot() {
        let texts = ["mode: off\n", "mode: cyclee\n", "{}\n", "mode: {\n", "cooldown-secs: 90\n"].map(Arc::<str>::from);
        let more = (1..2 * KEPT_MAX).map(|n| format!("cooldown-secs: {}\n", 60 + n).into());
        let all: Vec<Arc<str>> = texts.into_iter().chain(more).collect();
        let mut library = Library::default();
        // Each twice in a row, all of them twice, and equal texts at other addresses.
        for text in all.iter().chain(&all).flat_map(|text| [Arc::clone(text), Arc::from(&**text)]) {
            let plain = yaml::read(text.as_bytes());
            assert_eq!(library.read(&text), plain.as_ref().map_err(Vec::as_slice), "{text}");
            assert!(library.read.len() <= KEPT_MAX);
        }
    }
}
