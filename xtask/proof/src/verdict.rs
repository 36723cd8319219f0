//! The verdict: what an image's bytes say about its CPU.

use std::{collections::HashMap, fmt};

use serde::Serialize;

/// A foreign binary that is there on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// A path from the image's root; `*` stands for any characters.
    pub path: String,
    /// Why it is there.
    pub reason: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// Machine code for another CPU.
    WrongMachine,
    /// The image's config says another CPU.
    WrongConfig,
    /// A layer is not the one that the config names.
    WrongLayer,
    /// The program that the image starts is not there.
    MissingEntrypoint,
    /// The program that the image starts is neither machine code nor a script.
    NotExecutable,
    /// The interpreter of the script that the image starts is not there.
    MissingInterpreter,
    /// The loader of the program that the image starts is not there.
    MissingLoader,
}

/// One thing that is wrong, with what helps to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The file, from the image's root. Empty when it is about no file.
    pub path: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// The digest of the layer that has it.
    pub layer: Option<String>,
    /// The instruction that made the layer.
    pub instruction: Option<String>,
    /// The package that the file came with.
    pub package: Option<String>,
    /// The file for the right CPU that would have made this one harmless, and what is there instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_for: Option<String>,
    /// The likely cause, and its cure.
    pub cause: String,
    /// What to write beside the image in deploy.toml if the file is there on purpose. The same for all findings of a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Group {
            first: self,
            others: 0,
        }
        .fmt(f)
    }
}

/// Findings with one cause: the files of a package in one layer.
#[derive(Debug, Clone, Copy)]
pub struct Group<'v> {
    /// The first of them.
    pub first: &'v Finding,
    /// How many more there are.
    pub others: usize,
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            path,
            found,
            expected,
            ..
        } = self.first;
        match (path.as_str(), self.others) {
            ("", _) => write!(f, "{found}, expected {expected}")?,
            (path, 0) => write!(f, "/{path}: {found}, expected {expected}")?,
            (path, 1) => write!(f, "/{path} and 1 file more: {found}, expected {expected}")?,
            (path, others) => write!(
                f,
                "/{path} and {others} files more: {found}, expected {expected}"
            )?,
        }
        for (name, value) in [
            ("package", &self.first.package),
            ("missing", &self.first.looked_for),
            ("layer", &self.first.layer),
            ("made by", &self.first.instruction),
        ] {
            if let Some(value) = value {
                write!(f, "\n    {name:<8} {value}")?;
            }
        }
        write!(f, "\n    likely   {}", self.first.cause)?;
        match &self.first.allow {
            Some(allow) => write!(f, "\n    meant?   {allow}"),
            None => Ok(()),
        }
    }
}

/// What an image's bytes say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// The CPU that the image was compared with.
    pub expected: String,
    /// Files with machine code that were looked at.
    pub checked: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Files for other platforms that nothing here starts or loads, because the right one stands beside each.
    pub baggage: Vec<String>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// The findings, those with one cause together, in the order of the first of each.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut places = HashMap::new();
        for (at, finding) in self.findings.iter().enumerate() {
            // What is about no file stands alone.
            let alone = finding.path.is_empty().then_some(at);
            let key = (
                finding.problem,
                &finding.package,
                &finding.layer,
                &finding.cause,
                &finding.allow,
                alone,
            );
            let place = *places.entry(key).or_insert_with(|| {
                groups.push(Group {
                    first: finding,
                    others: 0,
                });
                groups.len() - 1
            });
            groups[place].others += 1;
        }
        for group in &mut groups {
            group.others -= 1;
        }
        groups
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        match (self.findings.len(), self.checked) {
            (0, 0) => "nothing to prove: no native code".to_owned(),
            (0, files) if !self.baggage.is_empty() => format!(
                "{} of {files} files of machine code are for {}, the others are for other platforms and harmless",
                files.saturating_sub(self.baggage.len()),
                self.expected
            ),
            (0, 1) => format!("the one file of machine code is for {}", self.expected),
            (0, files) => format!(
                "all {files} files of machine code are for {}",
                self.expected
            ),
            (count, _) => format!(
                "not for {}: {count} {}",
                self.expected,
                if count == 1 { "finding" } else { "findings" }
            ),
        }
    }
}

/// Whether a path fits a pattern, in which `*` stands for any characters.
pub(crate) fn fits(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| path.strip_prefix(start)) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(end) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, path, expected) in [
            ("/opt/tool", "opt/tool", true),
            ("opt/*", "opt/a/b", true),
            ("*.so", "usr/lib/x.so", true),
            ("opt/*/bin/*", "opt/x/bin/y", true),
            ("opt/*/bin/*", "opt/x/y", false),
            ("opt/tool", "opt/tool2", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
