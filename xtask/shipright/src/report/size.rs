//! Bytes and times, for people.

use std::time::Duration;

/// Bytes in decimal units, as registries and disks have them: `604 kB`, `35.2 MB`.
pub fn shown(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size);
    let Some((size, name)) = unit else {
        return format!("{bytes} B");
    };
    let tenths = u128::from(bytes) * 10 / u128::from(*size);
    if tenths >= 1000 || *name == "kB" {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// `3.4 s`, and minutes from 100 seconds on.
pub fn seconds(time: Duration) -> String {
    const LONG: u64 = 100;
    let whole = time.as_secs();
    if whole >= LONG {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// With milliseconds where it is short: `12 ms`, `3.4 s`.
pub fn precise(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        seconds(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_reads_best() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (604_123, "604 kB"),
            (35_290_000, "35.2 MB"),
            (999_999_999, "999 MB"),
            (1_250_000_000, "1.2 GB"),
            (u64::MAX, "18446744073 GB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }

    #[test]
    fn long_times_have_minutes() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (3_449, "3.4 s"),
            (99_000, "99.0 s"),
            (125_900, "2 min 5 s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), text);
        }
    }
}
