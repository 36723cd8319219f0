//! The distribution that an image is made of, as it says itself.
//!
//! Source: os-release(5), `ID` and `VERSION_ID`.

use serde::{Deserialize, Serialize};

/// The most bytes of a value. Real ones have fewer than twenty.
const LONGEST: usize = 64;

/// A distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Such as `debian`, `ubuntu`, `alpine`, `wolfi` or `amzn`: letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// Such as `12` or `3.20.1`, of the same characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl System {
    /// Reads what an `os-release` says. Nothing where it names no distribution.
    pub(super) fn read(text: &str) -> Option<Self> {
        Some(Self {
            id: value(text, "ID")?,
            version: value(text, "VERSION_ID"),
        })
    }
}

/// The value of a variable, where it is of the characters that it may have. The last assignment counts, as in a shell.
fn value(text: &str, name: &str) -> Option<String> {
    let assigned = |line: &'_ str| {
        let value = line.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    };
    let value = text.lines().filter_map(assigned).next_back()?;
    let is_legal =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_its = !value.is_empty() && value.len() <= LONGEST && value.bytes().all(is_legal);
    is_its.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_read_and_what_is_none_is_left_out() {
        let read = |text| System::read(text).map(|one| (one.id, one.version));
        let of = |id: &str, version: Option<&str>| Some((id.into(), version.map(str::to_owned)));
        let cases = [
            (
                "ID=debian\nVERSION_ID=\"12\"\nID_LIKE=x\n",
                of("debian", Some("12")),
            ),
            (
                "NAME='Wolfi'\nID='wolfi'\nVERSION_ID=20230201",
                of("wolfi", Some("20230201")),
            ),
            ("ID=debian\nVERSION_ID=\u{202e}12\n", of("debian", None)),
            ("ID=a\nID=b\n", of("b", None)),
            ("ID=a b\n", None),
            ("VERSION_ID=1\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
