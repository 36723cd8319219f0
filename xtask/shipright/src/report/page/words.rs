//! Sizes, times and digests as people read them.

use chrono::{DateTime, Utc};

/// Bytes, in the units that registries count in: powers of a thousand.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    let value = bytes as f64 / unit;
    if value < 10.0 {
        format!("{value:.1} {name}")
    } else {
        format!("{value:.0} {name}")
    }
}

/// The beginning of a digest, without the name of the algorithm that all have. Another text as it is.
pub(super) fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:");
    hex.and_then(|hex| hex.get(..12)).unwrap_or(digest)
}

/// A moment to the minute in UTC, where it has the form of one.
pub(super) fn moment(text: &str) -> Option<String> {
    let moment: DateTime<Utc> = DateTime::parse_from_rfc3339(text).ok()?.into();
    Some(moment.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// `1 image`, `2 images`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (42_400, "42 kB"),
            (9_940_000, "9.9 MB"),
            (312_000_000, "312 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18446744074 GB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn what_is_no_digest_and_no_moment_is_left_as_it_is() {
        assert_eq!(
            short(&format!("sha256:{}", "ab".repeat(32))),
            "abababababab"
        );
        assert_eq!(short("sha256:é"), "sha256:é");
        assert_eq!(short("sha256:éééééééééééé"), "éééééé");
        assert_eq!(short("v7"), "v7");
        let utc = moment("2026-01-16T15:30:59+01:00");
        assert_eq!(utc.as_deref(), Some("2026-01-16 14:30 UTC"));
        assert_eq!(moment("yesterday"), None);
    }
}
