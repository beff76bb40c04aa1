//! Answers in pages: `MaxResults` and `NextToken`.

use super::error::AwsError;

/// The tokens of this door: the number of the first result of the next page.
const TOKEN: &str = "fleet-page-";

/// One page of results and the token of the next. A token that is none of ours is refused with `bad_token`.
pub(super) fn page<T>(
    mut all: Vec<T>,
    token: Option<&str>,
    most: usize,
    bad_token: impl Fn() -> AwsError,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let from: usize = match token {
        None => 0,
        Some(token) => token.strip_prefix(TOKEN).and_then(|number| number.parse().ok()).ok_or_else(&bad_token)?,
    };
    if from > all.len() {
        return Err(bad_token());
    }
    let mut page = all.split_off(from);
    let next = (page.len() > most).then(|| format!("{TOKEN}{}", from + most));
    page.truncate(most);
    Ok((page, next))
}

/// A page's size: what was asked for, which must be in the range, else the default.
pub(super) fn size(
    asked: Option<i64>,
    range: std::ops::RangeInclusive<i64>,
    default: usize,
    bad_size: impl Fn(i64) -> AwsError,
) -> Result<usize, AwsError> {
    match asked {
        None => Ok(default),
        Some(asked) if range.contains(&asked) => Ok(usize::try_from(asked).unwrap_or(default)),
        Some(asked) => Err(bad_size(asked)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_comes_once() {
        let bad = || AwsError::new("InvalidNextToken", "");
        let (mut seen, mut token): (Vec<u32>, Option<String>) = (Vec::new(), None);
        loop {
            let (found, next) = page((0..23).collect(), token.as_deref(), 5, bad).unwrap();
            assert!(found.len() <= 5);
            seen.extend(found);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..23).collect::<Vec<u32>>());
        for token in ["x", "fleet-page-", "fleet-page-99", "fleet-page--1"] {
            assert!(page(vec![1], Some(token), 5, bad).is_err(), "{token}");
        }
    }
}
