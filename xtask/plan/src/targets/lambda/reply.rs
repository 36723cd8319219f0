//! What a function says of itself when it is invoked.

use crate::arch::Arch;

/// The architecture that a reply of a function names, in any of the usual words and places.
pub fn named_arch(reply: &str) -> Option<Arch> {
    let value: serde_json::Value = serde_json::from_str(reply).ok()?;
    let inner = value
        .get("body")
        .and_then(|body| body.as_str())
        .and_then(|body| serde_json::from_str(body).ok());
    [Some(value), inner]
        .into_iter()
        .flatten()
        .find_map(|value: serde_json::Value| {
            ["architecture", "arch", "machine"]
                .iter()
                .find_map(|key| value.get(key)?.as_str()?.parse().ok())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_name_their_cpu_in_several_ways() {
        assert_eq!(
            named_arch(r#"{"architecture":"aarch64"}"#),
            Some(Arch::Arm64)
        );
        assert_eq!(
            named_arch(r#"{"statusCode":200,"body":"{\"machine\":\"x86_64\"}"}"#),
            Some(Arch::Amd64)
        );
        assert_eq!(named_arch(r#"{"body":"hello"}"#), None);
        assert_eq!(named_arch("hello"), None);
    }
}
