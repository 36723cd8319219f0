//! An image's place in a registry, as docker writes it.

use std::str::FromStr;

use image_oci::is_digest;

use crate::model::name;

/// What Docker Hub's registry is called.
pub(super) const HUB_NAME: &str = "docker.io";

/// Where Docker Hub's registry is.
pub(super) const HUB: &str = "registry-1.docker.io";

/// An image's place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host, with a port where it has one.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The tag or digest.
    pub tag: String,
}

impl FromStr for Reference {
    type Err = String;

    /// Reads a reference as docker does: without a host it is Docker Hub's, without a tag it is `latest`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = text
            .split_once('@')
            .map_or((text, None), |(name, digest)| (name, Some(digest)));
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            _ => (HUB, name),
        };
        let (path, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
        let hub = host == HUB || host == HUB_NAME;
        let repository = if hub && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if !repository.split('/').all(name::is_repository_part) {
            return Err(format!("`{}` is no repository", repository.escape_debug()));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err("the digest is not `sha256:` and 64 hexadecimal digits".to_owned());
        }
        if tag.is_empty()
            || !name::is_tag_prefix(tag)
            || !host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b))
        {
            return Err("the host or tag is not legal".to_owned());
        }
        let host = if hub { HUB } else { host };
        Ok(Self {
            host: host.to_owned(),
            repository,
            tag: digest.unwrap_or(tag).to_owned(),
        })
    }
}

/// Whether a host, with or without a port, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The host and port of an address. `None` for what is no address.
pub fn authority(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    Some(rest.split('/').next().unwrap_or(rest))
}

/// Whether an address is one of this machine.
pub fn is_local(address: &str) -> bool {
    authority(address).is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            ("python", HUB, "library/python", "latest"),
            ("python:3.13-slim", HUB, "library/python", "3.13-slim"),
            ("docker.io/team/app", HUB, "team/app", "latest"),
            (
                "public.ecr.aws/lambda/python:3.13",
                "public.ecr.aws",
                "lambda/python",
                "3.13",
            ),
            ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
            (
                &format!("localhost/a:c@{digest}"),
                "localhost",
                "a",
                &digest,
            ),
        ];
        for (text, host, repository, tag) in cases {
            let expected = Reference {
                host: host.into(),
                repository: repository.into(),
                tag: tag.into(),
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "A",
            "a b",
            "-x",
            "a@sha256:12",
            "a:",
            "ex ample.com/a",
            "host.io//a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        for host in [
            "localhost",
            "localhost:4566",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:5000",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            "localhost.example.com",
            "10.0.0.1:80",
            "128.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
