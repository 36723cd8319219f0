//! Compose files. Source: "Compose Build Specification".

use std::collections::BTreeMap;

use serde_json::Value;

use super::{File, named_context, places, yaml};
use crate::plan::init::{BuildSource, FoundBuild, FoundSecret};

/// `variables` is the text of the `.env` beside it.
pub(super) fn read(
    file: &File<'_>,
    text: &str,
    variables: &str,
) -> Result<Vec<FoundBuild>, String> {
    let values = Values::of(variables);
    let mut builds = Vec::new();
    for document in yaml::documents(text)? {
        let services = document.get("services").and_then(Value::as_object);
        for (name, service) in services.into_iter().flatten() {
            if let Some(build) = service.get("build") {
                builds.push(service_build(
                    (file, &values),
                    name,
                    service,
                    build,
                    &document,
                ));
            }
        }
    }
    Ok(builds)
}

fn service_build(
    (file, values): (&File<'_>, &Values<'_>),
    name: &str,
    service: &Value,
    build: &Value,
    document: &Value,
) -> FoundBuild {
    let mut found = file.build(BuildSource::Compose, format!("service `{name}`"));
    found.name = Some(name.to_owned());
    let key = |key: &str| build.get(key).and_then(yaml::text);
    let context = yaml::text(build).or_else(|| key("context"));
    let context = context.unwrap_or_else(|| ".".to_owned());
    let written = key("dockerfile");
    let dockerfile = written.as_ref().map(|text| values.fill(text));
    match (values.fill(&context), dockerfile) {
        (None, _) => found.leave_out("context", &context),
        (_, Some(None)) => found.leave_out("dockerfile", &written.unwrap_or_default()),
        (Some(context), dockerfile) => {
            let dockerfile = dockerfile.flatten();
            found.places = places(&[file.directory], &context, dockerfile.as_deref(), true);
        }
    }
    found.stage = key("target").and_then(|text| values.fill(&text));
    for (name, value) in build.get("args").map(yaml::pairs).unwrap_or_default() {
        match values.fill(&value) {
            Some(value) => drop(found.args.insert(name, value)),
            None => found.leave_out_arg("args", &name, &value),
        }
    }
    let contexts = build.get("additional_contexts").map(yaml::pairs);
    for (name, path) in contexts.unwrap_or_default() {
        match named_context(file.directory, &path) {
            Some(path) => drop(found.contexts.insert(name, path)),
            None => found.leave_out(&format!("additional_contexts.{name}"), &path),
        }
    }
    found.platforms = build.get("platforms").map(yaml::list).unwrap_or_default();
    if found.platforms.is_empty() {
        found.platforms = service.get("platform").map(yaml::list).unwrap_or_default();
    }
    found.ssh = build.get("ssh").is_some();
    let secrets = build.get("secrets").and_then(Value::as_array);
    for one in secrets.into_iter().flatten() {
        let source = yaml::text(one).or_else(|| one.get("source").and_then(yaml::text));
        found
            .secrets
            .extend(source.and_then(|source| secret(document, &source)));
    }
    found
}

fn secret(document: &Value, id: &str) -> Option<FoundSecret> {
    let said = document.get("secrets")?.get(id)?;
    let text = |key: &str| said.get(key).and_then(yaml::text);
    Some(FoundSecret {
        id: id.to_owned(),
        file: text("file"),
        env: text("environment"),
    })
}

/// Values of variables, as the `.env` beside a Compose file has them. One that has others in it is not told.
struct Values<'t>(BTreeMap<&'t str, &'t str>);

impl<'t> Values<'t> {
    fn of(text: &'t str) -> Self {
        let pair = |line: &'t str| {
            let (name, value) = line.trim().split_once('=')?;
            let value = value.trim().trim_matches(['"', '\'']);
            let is_written = !name.starts_with('#') && !value.contains('$');
            is_written.then_some((name.trim(), value))
        };
        Self(text.lines().filter_map(pair).collect())
    }

    /// The text with the values of its variables, or their defaults. `None` where one has neither. Source: "Interpolation" in
    /// Compose's documentation.
    fn fill(&self, text: &str) -> Option<String> {
        let mut rest = text;
        let mut whole = String::new();
        while let Some((before, after)) = rest.split_once('$') {
            whole.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                whole.push('$');
                rest = after;
                continue;
            }
            let (inner, after) = after.strip_prefix('{')?.split_once('}')?;
            let name = inner.split([':', '-', '?', '+']).next().unwrap_or(inner);
            let default = inner.split_once(":-").or_else(|| inner.split_once('-'));
            let default = default.map(|(_, default)| default);
            let default = default.filter(|text| !text.contains('$'));
            whole.push_str(self.0.get(name).copied().or(default)?);
            rest = after;
        }
        Some(whole + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_their_values_or_defaults() {
        let values = Values::of("# X=1\nSET='v'\nNESTED=${SET}\n");
        let filled = |text: &str| values.fill(text);
        assert_eq!(filled("a/${TAG:-b}-${X-c}$$").as_deref(), Some("a/b-c$"));
        assert_eq!(filled("${SET}/${SET:-d}").as_deref(), Some("v/v"));
        for text in [
            "${TAG}",
            "$TAG",
            "${TAG:?missing}",
            "${A:-${B}}",
            "${A",
            "${NESTED}",
        ] {
            assert_eq!(filled(text), None, "{text}");
        }
    }
}
