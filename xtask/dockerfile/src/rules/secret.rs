//! What everybody who pulls an image can read.

use super::Report;
use crate::model::{Model, StepKind};

pub(super) fn secret_in_arg(model: &Model, report: Report<'_>) {
    for step in model.stages.iter().flat_map(|stage| &stage.steps) {
        let names: Vec<&str> = match &step.kind {
            StepKind::Arg(names) => names.iter().map(String::as_str).collect(),
            StepKind::Env(pairs) => pairs
                .iter()
                .filter(|(_, value)| hides(value))
                .map(|(name, _)| name.as_str())
                .collect(),
            _ => continue,
        };
        if let Some(name) = names.into_iter().find(|name| is_secret(name)) {
            report(
                &step.span,
                format!(
                    "`{name}` stays in the image's history, where everybody who pulls it can read it"
                ),
                "give it as a secret: `RUN --mount=type=secret,id=…`, and `docker build --secret`",
            );
        }
    }
}

/// Whether a value can be a secret: not where it is empty, a switch, a number or a path.
fn hides(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    let is_switch =
        ["yes", "no", "true", "false", "on", "off"].contains(&value.to_lowercase().as_str());
    !value.is_empty()
        && !is_switch
        && !value.starts_with('/')
        && !value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_secret(name: &str) -> bool {
    const HARMLESS: [&str; 24] = [
        "FILE",
        "PATH",
        "DIR",
        "NAME",
        "URL",
        "ID",
        "ARN",
        "TTL",
        "LENGTH",
        "EXPIRY",
        "EXPIRATION",
        "PUBLIC",
        "HEADER",
        "TYPE",
        "ALGORITHM",
        "LIMIT",
        "BACKEND",
        "DUMMY",
        "MIN",
        "MAX",
        "COUNT",
        "DISABLE",
        "ENABLE",
        "PROVIDER",
    ];
    let name = name.to_uppercase();
    let parts: Vec<_> = name.split('_').collect();
    let secret = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "TOKEN",
        "APIKEY",
        "CREDENTIALS",
    ];
    let pairs = ["API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "SECRET_KEY"];
    let is_secret = parts.iter().any(|part| secret.contains(part))
        || pairs.iter().any(|pair| name.contains(pair));
    is_secret && !parts.iter().any(|part| HARMLESS.contains(part))
}
