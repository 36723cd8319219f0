//! The versions that files of packages say.

use std::{fs, path::Path};

use crate::model::{config::Config, refusal::Refusal, revision::Revision};

/// Reads the versions that tags of this project ask for.
///
/// # Errors
/// A file that is missing, is none of its kind, or says no version.
pub fn read(config: &Config, revision: &mut Revision) -> Result<(), Vec<Refusal>> {
    let mut refusals = Vec::new();
    for file in config.version_files() {
        match version(&config.root, file) {
            Ok(version) => {
                revision.versions.insert(file.to_owned(), version);
            }
            Err(problem) => refusals.push(Refusal::new(
                format!("`{file}`, where deploy.toml has a version read, {problem}"),
                "write the version there, name another file with `version`, or `version = \"git\"` for a git tag",
            )),
        }
    }
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(refusals)
    }
}

fn version(root: &Path, file: &str) -> Result<String, String> {
    let text =
        fs::read_to_string(root.join(file)).map_err(|error| format!("cannot be read: {error}"))?;
    let name = Path::new(file).file_name().unwrap_or_default();
    let found = match name.to_str() {
        Some("package.json") => json(&text)?,
        Some("Cargo.toml") => cargo(root, file, &text)?,
        _ => python(&text)?,
    };
    let found = found.filter(|version| !version.trim().is_empty());
    found.ok_or_else(|| "says no version".to_owned())
}

fn json(text: &str) -> Result<Option<String>, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    Ok(value
        .get("version")
        .and_then(|version| version.as_str())
        .map(str::to_owned))
}

fn toml(text: &str) -> Result<toml::Table, String> {
    text.parse()
        .map_err(|error: toml::de::Error| format!("is no TOML: {}", error.message()))
}

fn at<'t>(table: &'t toml::Table, path: &[&str]) -> Option<&'t toml::Value> {
    let (last, tables) = path.split_last()?;
    let inner = tables
        .iter()
        .try_fold(table, |table, key| table.get(*key)?.as_table());
    inner?.get(*last)
}

fn text_at(table: &toml::Table, path: &[&str]) -> Option<String> {
    at(table, path)?.as_str().map(str::to_owned)
}

/// A package may take the version of its workspace, which lies above it.
fn cargo(root: &Path, file: &str, text: &str) -> Result<Option<String>, String> {
    let table = toml(text)?;
    let own = text_at(&table, &["package", "version"]);
    if own.is_some() || at(&table, &["package", "version", "workspace"]).is_none() {
        return Ok(own.or_else(|| text_at(&table, &["workspace", "package", "version"])));
    }
    let above = Path::new(file)
        .parent()
        .into_iter()
        .flat_map(Path::ancestors);
    let mut tables = above.filter_map(|directory| {
        let text = fs::read_to_string(root.join(directory).join("Cargo.toml")).ok()?;
        toml(&text).ok()
    });
    Ok(tables.find_map(|table| text_at(&table, &["workspace", "package", "version"])))
}

fn python(text: &str) -> Result<Option<String>, String> {
    let table = toml(text)?;
    let said = text_at(&table, &["project", "version"]);
    let said = said.or_else(|| text_at(&table, &["tool", "poetry", "version"]));
    let dynamic = at(&table, &["project", "dynamic"]).and_then(|names| names.as_array());
    let is_dynamic =
        dynamic.is_some_and(|names| names.iter().any(|name| name.as_str() == Some("version")));
    if said.is_none() && is_dynamic {
        return Err("has its version made by a build (`dynamic`)".to_owned());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        version(directory.path(), files[0].0)
    }

    #[test]
    fn a_version_is_where_each_kind_of_package_has_it() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (
                &[("api/package.json", r#"{ "version": "1.4.0" }"#)],
                "1.4.0",
            ),
            (&[("Cargo.toml", "[package]\nversion = \"0.2.0\"")], "0.2.0"),
            (
                &[
                    ("api/Cargo.toml", "[package]\nversion.workspace = true"),
                    ("Cargo.toml", "[workspace.package]\nversion = \"3.0.0\""),
                ],
                "3.0.0",
            ),
            (&[("pyproject.toml", "[project]\nversion = \"2.1\"")], "2.1"),
            (&[("pyproject.toml", "[tool.poetry]\nversion = \"9\"")], "9"),
        ];
        for (files, version) in cases {
            assert_eq!(found(files).unwrap(), version, "{files:?}");
        }
    }

    #[test]
    fn what_says_no_version_says_why() {
        let problem = |name: &str, text: &str| found(&[(name, text)]).unwrap_err();
        assert!(problem("package.json", "{").contains("is no JSON"));
        assert!(problem("package.json", "{ \"version\": 1 }").contains("says no version"));
        assert!(problem("Cargo.toml", "[").contains("is no TOML"));
        let dynamic = problem("pyproject.toml", "[project]\ndynamic = [\"version\"]");
        assert!(dynamic.contains("dynamic"), "{dynamic}");
        let directory = tempfile::tempdir().unwrap();
        let missing = version(directory.path(), "package.json").unwrap_err();
        assert!(missing.contains("cannot be read"), "{missing}");
    }
}
