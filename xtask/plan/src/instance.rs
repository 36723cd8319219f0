//! EC2 instance types: which CPU a node has, from its type's name.
//!
//! Source: AWS's naming conventions: a family is letters (series), a number (generation), and letters (attributes), of
//! which the first names the processor: `a` AMD, `g` Graviton, `i` Intel. `a1` was the first Graviton, before there was one.

use crate::arch::Arch;

/// The CPU of an instance type such as `t4g.medium`. `None` for a name that is no instance type.
pub fn arch(instance_type: &str) -> Option<Arch> {
    let (family, size) = instance_type.split_once('.')?;
    let digit = family.find(|c: char| c.is_ascii_digit())?;
    let (series, rest) = family.split_at(digit);
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !is_name(series) || !is_name(family) || !is_name(size) {
        return None;
    }
    let attributes = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_graviton =
        attributes.starts_with('g') || family == "a1" || series == "mac" && rest.starts_with('2');
    // Grace CPUs beside GPUs, as in `p6e-gb200`.
    let is_grace = attributes.contains("-gb");
    Some(if is_graviton || is_grace {
        Arch::Arm64
    } else {
        Arch::Amd64
    })
}

/// The instance type of the same size with the other CPU, where there is a plain one.
pub fn counterpart(instance_type: &str, wanted: Arch) -> Option<String> {
    let (family, size) = instance_type.split_once('.')?;
    let series = family.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let family = match (wanted, series) {
        (Arch::Arm64, "t") => "t4g",
        (Arch::Arm64, "m") => "m7g",
        (Arch::Arm64, "c") => "c7g",
        (Arch::Arm64, "r") => "r7g",
        (Arch::Amd64, "t") => "t3",
        (Arch::Amd64, "m") => "m7i",
        (Arch::Amd64, "c") => "c7i",
        (Arch::Amd64, "r") => "r7i",
        _ => return None,
    };
    Some(format!("{family}.{size}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_names_the_cpu() {
        let arm = [
            "t4g.medium",
            "m6g.large",
            "m7gd.xlarge",
            "c7gn.16xlarge",
            "r8g.metal-24xl",
            "a1.large",
            "im4gn.large",
            "is4gen.large",
            "x2gd.large",
            "g5g.xlarge",
            "hpc7g.4xlarge",
            "p6e-gb200.36xlarge",
        ];
        let amd = [
            "t3.medium",
            "t3a.micro",
            "m5.large",
            "m7i-flex.large",
            "m8a.large",
            "c7a.large",
            "g4dn.xlarge",
            "g5.xlarge",
            "g6f.large",
            "inf2.xlarge",
            "trn1.2xlarge",
            "u-6tb1.56xlarge",
            "x2idn.16xlarge",
            "p5.48xlarge",
            "i4i.large",
            "z1d.large",
        ];
        for name in arm {
            assert_eq!(arch(name), Some(Arch::Arm64), "{name}");
        }
        for name in amd {
            assert_eq!(arch(name), Some(Arch::Amd64), "{name}");
        }
        for name in ["", "t4g", ".large", "T4G.large", "${var.type}", "t4g."] {
            assert_eq!(arch(name), None, "{name}");
        }
        assert_eq!(
            counterpart("t3.medium", Arch::Arm64).as_deref(),
            Some("t4g.medium")
        );
        assert_eq!(
            counterpart("m6g.large", Arch::Amd64).as_deref(),
            Some("m7i.large")
        );
        for other in [
            "p5.48xlarge",
            "trn1.2xlarge",
            "mac1.metal",
            "u-6tb1.56xlarge",
            "m5",
        ] {
            assert_eq!(counterpart(other, Arch::Arm64), None, "{other}");
        }
    }

    #[test]
    fn every_usual_series_has_a_counterpart_of_the_same_size() {
        let to = |name: &str, arch| counterpart(name, arch).unwrap_or_default();
        let arm =
            ["t3.small", "m5a.large", "c5.xlarge", "r6i.large"].map(|name| to(name, Arch::Arm64));
        assert_eq!(arm, ["t4g.small", "m7g.large", "c7g.xlarge", "r7g.large"]);
        let amd = ["t4g.small", "m7g.large", "c7gn.xlarge", "r8g.large"]
            .map(|name| to(name, Arch::Amd64));
        assert_eq!(amd, ["t3.small", "m7i.large", "c7i.xlarge", "r7i.large"]);
        assert_eq!(arch("m7$.large"), None);
        assert_eq!(arch("m7g.la rge"), None);
    }
}
