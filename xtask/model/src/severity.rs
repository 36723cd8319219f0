//! How bad a vulnerability is, in one order for all scanners.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// How bad a vulnerability is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nobody has said yet.
    Unknown,
    /// Known, and no danger: Grype's `negligible`, ECR's `INFORMATIONAL`.
    Negligible,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// A word that is no severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSeverity(String);

impl fmt::Display for UnknownSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Severity::ALL.map(Severity::name).join(", ");
        write!(
            f,
            "`{}` is no severity: write one of {names}",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for UnknownSeverity {}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 6] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::Negligible,
        Self::Unknown,
    ];

    /// Its name, as in deploy.toml and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// What a scanner calls it, in any case. A word that no scanner is known to use says nothing, and so does Amazon Inspector's
    /// `UNTRIAGED`.
    ///
    /// Sources: Trivy's and Grype's JSON reports; `FindingSeverity` of ECR's API and `Severity` of Amazon Inspector's.
    pub fn of_scanner(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "high" => Self::High,
            "medium" => Self::Medium,
            "low" => Self::Low,
            "negligible" | "informational" => Self::Negligible,
            _ => Self::Unknown,
        }
    }
}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name() == word)
            .ok_or_else(|| UnknownSeverity(word.to_owned()))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_the_worst_is_the_greatest() {
        for pair in Severity::ALL.windows(2) {
            assert!(pair[0] > pair[1], "{pair:?}");
        }
        for one in Severity::ALL {
            assert_eq!(one.name().parse(), Ok(one));
        }
        let error = "High".parse::<Severity>().unwrap_err().to_string();
        assert!(error.contains("critical, high, medium"), "{error}");
    }

    #[test]
    fn each_scanner_s_words_are_known() {
        let cases = [
            ("CRITICAL", Severity::Critical),
            ("High", Severity::High),
            ("MEDIUM", Severity::Medium),
            ("Low", Severity::Low),
            ("Negligible", Severity::Negligible),
            ("INFORMATIONAL", Severity::Negligible),
            ("UNDEFINED", Severity::Unknown),
            ("UNTRIAGED", Severity::Unknown),
            ("UNKNOWN", Severity::Unknown),
            ("", Severity::Unknown),
        ];
        for (word, severity) in cases {
            assert_eq!(Severity::of_scanner(word), severity, "{word}");
        }
    }
}
