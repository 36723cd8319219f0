//! Functions as tests need them.

use super::Facts;
use crate::{
    arch::Arch,
    model::function::{Alias, Code, Function, Version},
};

/// What runs.
pub(crate) fn code(digest: &str, arch: Arch) -> Code {
    Code {
        image: format!("r/x@{digest}"),
        digest: digest.to_owned(),
        arch,
    }
}

/// A function that runs something, with versions and perhaps an alias.
pub(crate) fn facts(now: &Code, versions: &[(&str, &Code)], alias: Option<&str>) -> Facts {
    let version = |(number, code): &(&str, &Code)| Version {
        number: (*number).to_owned(),
        code: Some((*code).clone()),
    };
    let function = Function {
        exists: true,
        is_image: true,
        digest: Some(now.digest.clone()),
        image: Some(now.image.clone()),
        arch: Some(now.arch),
        ..Function::missing("f")
    };
    let alias = alias.map(|version| Alias {
        name: "live".into(),
        version: version.into(),
        weights: std::collections::BTreeMap::new(),
        revision: None,
    });
    Facts {
        function,
        versions: versions.iter().map(version).collect(),
        alias,
    }
}
