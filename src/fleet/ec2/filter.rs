//! EC2's filters: a name, and values with `*` and `?` in them.

use crate::fleet::error::AwsError;
use crate::fleet::input::{Form, shown};

/// One of `Filter.1`, `Filter.2`, …: any of the values is enough.
pub(super) struct Filter<'a> {
    pub(super) name: &'a str,
    values: Vec<&'a str>,
}

/// The filters of a request that was cut into forms.
pub(super) struct Filters(Vec<Form>);

/// Reads the filters of a request.
pub(super) fn read(form: &Form) -> Result<Filters, AwsError> {
    let filters = Filters(form.forms("Filter"));
    for filter in &filters.0 {
        filter.need_text("Name")?;
    }
    Ok(filters)
}

impl Filters {
    pub(super) fn all(&self) -> Vec<Filter<'_>> {
        let one = |form| -> Filter<'_> {
            let form: &Form = form;
            Filter { name: form.text("Name").unwrap_or_default(), values: form.list("Value") }
        };
        self.0.iter().map(one).collect()
    }
}

impl Filter<'_> {
    pub(super) fn matches(&self, given: &str) -> bool {
        self.values.iter().any(|pattern| fits(pattern.as_bytes(), given.as_bytes()))
    }

    /// The answer to a filter that nobody knows.
    pub(super) fn unknown(&self) -> AwsError {
        AwsError::new("InvalidParameterValue", format!("The filter '{}' is invalid", shown(self.name)))
    }
}

/// Whether a text fits a pattern. Walks back to the last `*` only, so the time is at most the product of the lengths.
pub(in crate::fleet) fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_are_wild() {
        for (pattern, text, expected) in [
            ("web-1", "web-1", true),
            ("web-*", "web-12", true),
            ("*", "", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*a*b", "xaxb", true),
            ("*a*b", "xaxbx", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
