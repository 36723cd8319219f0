//! Which names are legal where: image references, tags, AWS accounts, regions, repositories and functions.

/// The most characters that a tag may have. Source: the OCI distribution specification.
pub const TAG_LENGTH: usize = 128;

/// A part of a repository name between slashes: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
/// Source: the grammar of the distribution project's `reference` package.
pub fn is_repository_part(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators: Vec<&str> = name
        .split(alphanumeric)
        .filter(|separator| !separator.is_empty())
        .collect();
    name.starts_with(alphanumeric)
        && name.ends_with(alphanumeric)
        && separators
            .iter()
            .all(|s| matches!(*s, "." | "_" | "__") || s.chars().all(|c| c == '-'))
}

/// The host of a registry, with a port where it has one, as docker tells one from a user's name: with a dot or a port, or
/// `localhost`. Source: the grammar of the distribution project's `reference` package.
pub fn is_registry_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_label = |label: &str| {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(is_legal)
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    name.split('.').all(is_label)
        && port.is_none_or(is_port)
        && (name.contains('.') || port.is_some() || name == "localhost")
}

/// An ECR repository: 2 to 256 characters, parts between slashes, starting with a letter.
/// Source: the pattern of `repositoryName` in ECR's API model.
pub fn is_repository(name: &str) -> bool {
    (2..=256).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('/').all(is_repository_part)
}

/// A name that goes into tags and local image names: stricter than a tag, so that it can stand anywhere in one.
pub fn is_tag_part(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= TAG_LENGTH
        && name.starts_with(alphanumeric)
        && name.ends_with(alphanumeric)
        && name.chars().all(|c| alphanumeric(c) || ".-_".contains(c))
}

/// A tag. Source: the OCI distribution specification's `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn is_tag(name: &str) -> bool {
    !name.is_empty() && is_tag_prefix(name)
}

/// The beginning of a tag, or nothing.
pub fn is_tag_prefix(prefix: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    prefix.is_empty()
        || prefix.starts_with(word)
            && prefix.chars().all(|c| word(c) || ".-".contains(c))
            && prefix.len() <= TAG_LENGTH
}

/// Twelve digits.
pub fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

/// A region's code: `eu-west-1`, `us-gov-east-1`, `cn-north-1`.
pub fn is_region(region: &str) -> bool {
    let parts: Vec<_> = region.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [words @ .., number] => {
            (2..=4).contains(&words.len())
                && words.iter().all(word)
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        [] => false,
    }
}

/// A Lambda function's name: 1 to 64 letters, digits, `-` and `_`.
pub fn is_function(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A Lambda alias: letters, digits, `-` and `_`, not a number. Source: the pattern of `Name` in Lambda's `CreateAlias`.
pub fn is_alias(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

/// An App Runner service's name. Source: the pattern of `ServiceName` in App Runner's API reference.
pub fn is_apprunner_service(name: &str) -> bool {
    (4..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A cluster, service or container of ECS: letters, digits, `-` and `_`. Source: `CreateCluster`, `CreateService` and
/// `ContainerDefinition` in ECS' API reference.
pub fn is_ecs(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A Kubernetes namespace, deployment or container. Source: RFC 1123 labels, as Kubernetes' "Object Names and IDs" has them.
pub fn is_kubernetes(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.starts_with(alphanumeric)
        && name.ends_with(alphanumeric)
        && name.chars().all(|c| alphanumeric(c) || c == '-')
}

/// A stage of a Dockerfile, a secret or a key of an ssh agent.
pub fn is_stage(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A named context: a stage's name, or an image's reference.
pub fn is_context(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

/// A build argument, or an environment variable.
pub fn is_build_arg(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What a user who wrote an illegal name most likely wants: `My Service` becomes `my-service`.
pub fn legal_form(name: &str) -> Option<String> {
    let words = name.to_lowercase();
    let words: Vec<_> = words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_their_places() {
        type Case = (
            fn(&str) -> bool,
            &'static [&'static str],
            &'static [&'static str],
        );
        let cases: [Case; 7] = [
            (
                is_repository_part,
                &["a", "a-b", "a--b", "a__b", "a.b", "1a"],
                &["", "A", "-a", "a-", "a..b", "a___b", "a/b", "a b", "ä"],
            ),
            (
                is_repository,
                &["ab", "team/api", "a1/b_c"],
                &["a", "1a", "a/", "/a", "a//b", "A/b", "team/-x"],
            ),
            (
                is_tag_part,
                &["api", "a.b_c-d", "1"],
                &["", ".a", "a-", "API", "a b", "--output", "a\n"],
            ),
            (
                is_tag_prefix,
                &["", "api-", "_x.", "API-"],
                &["-a", ".a", "a/", "a b"],
            ),
            (
                is_account,
                &["123456789012"],
                &["", "12345678901", "1234567890123", "12345678901x"],
            ),
            (
                is_region,
                &["eu-west-1", "us-gov-east-1", "cn-north-1"],
                &["", "eu-west", "EU-west-1", "eu--1", "eu-west-1a", "-1", "1"],
            ),
            (is_function, &["a", "a-b_C1"], &["", "a b", "a/b", "a.b"]),
        ];
        for (is_legal, good, bad) in cases {
            for name in good {
                assert!(is_legal(name), "{name:?} is legal");
            }
            for name in bad {
                assert!(!is_legal(name), "{name:?} is not legal");
            }
        }
        assert_eq!(legal_form("My Service!").as_deref(), Some("my-service"));
        assert_eq!(legal_form("ä"), None);
    }
}
