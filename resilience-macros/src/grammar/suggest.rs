//! "Did you mean".

/// The candidate that a typing mistake may have been meant to be, in whatever case; `delay` is meant to be `delay_ms`.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(with_unit) =
        candidates.iter().find(|candidate| candidate.strip_suffix("_ms") == Some(word.as_str()))
    {
        return Some(with_unit);
    }
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours that lead from one word to the other (optimal string
/// alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = substitution.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distance_counts_swaps_as_one() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("retry", "rtery", 1),
            ("circiut", "circuit", 1),
            ("retries", "retry", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["circuit", "retry", "retry_if", "bulkhead"];
        assert_eq!(nearest("circut", keys), Some("circuit"));
        assert_eq!(nearest("bulkhaed", keys), Some("bulkhead"));
        assert_eq!(nearest("retryif", keys), Some("retry_if"));
        assert_eq!(nearest("delay", ["relay", "delay_ms"]), Some("delay_ms"));
        assert_eq!((nearest("RETRY", keys), nearest("Retry_If", keys)), (Some("retry"), Some("retry_if")));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", keys), None);
        assert_eq!((nearest("crcuti", keys), nearest("crcut", keys)), (Some("circuit"), None));
    }
}
