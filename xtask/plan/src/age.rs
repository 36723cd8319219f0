//! How long ago something was, in words.

use chrono::{DateTime, Utc};

/// The time since a moment as it stands in image labels (RFC 3339), in its largest unit: `3 days`. `None` for another form.
pub fn of(moment: &str, now: DateTime<Utc>) -> Option<String> {
    let then = DateTime::parse_from_rfc3339(moment).ok()?;
    let past = now.signed_duration_since(then);
    let (count, unit) = [
        (past.num_days(), "day"),
        (past.num_hours(), "hour"),
        (past.num_minutes(), "minute"),
    ]
    .into_iter()
    .find(|(count, _)| *count > 0)
    .unwrap_or((past.num_seconds().max(0), "second"));
    Some(format!(
        "{count} {unit}{}",
        if count == 1 { "" } else { "s" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_their_largest_unit() {
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        for (moment, expected) in [
            ("2026-01-10T11:59:59Z", "1 second"),
            ("2026-01-10T11:00:01Z", "59 minutes"),
            ("2026-01-10T11:00:00Z", "1 hour"),
            ("2026-01-10T14:00:00+02:00", "0 seconds"),
            ("2026-01-07T11:00:00Z", "3 days"),
            ("2027-01-01T00:00:00Z", "0 seconds"),
        ] {
            assert_eq!(of(moment, now).as_deref(), Some(expected), "{moment}");
        }
        assert_eq!(of("yesterday", now), None);
    }
}
