//! Why a file for another CPU is most likely there, what would have made it harmless, and how to say that it is meant.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use crate::{
    baggage::Porter,
    elf::Machine,
    layer::Content,
    path,
    platform::Name,
    start::Start,
    tree::{Found, Present, Tree},
    verdict::fits,
};

/// Explains findings.
pub(crate) struct Explainer<'t> {
    tree: &'t Tree<'t>,
    porter: &'t Porter<'t>,
    start: &'t Start,
    expected: Machine,
    /// The CPUs that the files of each package are for.
    machines: OnceCell<BTreeMap<Origin, BTreeSet<Machine>>>,
}

/// What a file came with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// A package of Python, or of the distribution, by its name.
    Listed(String),
    /// A package of npm, by its directory.
    Node(String),
    /// None that is known; the directory.
    Directory(String),
}

impl<'t> Explainer<'t> {
    /// For the findings of an image.
    pub(crate) fn new(
        tree: &'t Tree<'t>,
        porter: &'t Porter<'t>,
        start: &'t Start,
        expected: Machine,
    ) -> Self {
        Self {
            tree,
            porter,
            start,
            expected,
            machines: OnceCell::new(),
        }
    }

    fn origin(&self, path: &str, present: &Present) -> Origin {
        if let Some(package) = &present.file.package {
            return Origin::Listed(package.name.clone());
        }
        match self
            .porter
            .root(path)
            .filter(|root| node_name(root).is_some())
        {
            Some(root) => Origin::Node(root),
            None => Origin::Directory(path::split(path).0.to_owned()),
        }
    }

    /// The package that a file came with.
    pub(crate) fn package(&self, path: &str, present: &Present) -> Option<String> {
        match self.origin(path, present) {
            Origin::Listed(name) => Some(name),
            Origin::Node(root) => node_name(&root).map(|name| format!("npm package {name}")),
            Origin::Directory(_) => None,
        }
    }

    /// The CPUs that the files of a package are for.
    fn machines(&self, origin: &Origin) -> BTreeSet<Machine> {
        let all = self.machines.get_or_init(|| {
            let mut machines: BTreeMap<Origin, BTreeSet<Machine>> = BTreeMap::new();
            for (path, present) in &self.tree.files {
                if let Content::Elf(elf) = present.content()
                    && elf.is_loadable
                    && !elf.machine.is_no_cpu()
                {
                    machines
                        .entry(self.origin(path, present))
                        .or_default()
                        .insert(elf.machine);
                }
            }
            machines
        });
        all.get(origin).cloned().unwrap_or_default()
    }

    /// The file that was looked for, and what is there instead.
    pub(crate) fn looked_for(&self, path: &str, present: &Present) -> Option<String> {
        if self.start.reads(path) {
            return None;
        }
        if let Some(listed) = self.porter.listed(path, present) {
            let state = self.state(&listed)?;
            return Some(format!(
                "/{listed}: the package was installed with it, and it {state}"
            ));
        }
        let wanted = self.porter.counterpart_name(path)?;
        let state = self
            .state(&wanted)
            .unwrap_or("is there, but not as a file of the same package for the same C library");
        Some(format!("/{wanted}, or another spelling of it: it {state}"))
    }

    fn state(&self, path: &str) -> Option<&'static str> {
        match self.tree.find(path) {
            Found::Missing => Some("is not in the image"),
            Found::File(_, file) => match &file.content {
                Content::Elf(elf) if elf.machine == self.expected => None,
                Content::Elf(_) => Some("is for another CPU as well"),
                _ => Some("is no machine code"),
            },
            Found::Other => Some("is no machine code"),
        }
    }

    pub(crate) fn cause(
        &self,
        path: &str,
        present: &Present,
        found: Machine,
        instruction: Option<&str>,
    ) -> String {
        let expected = self.expected;
        let mut names = Name::of_path(path).into_iter();
        if self.start.reads(path) && names.any(|name| name.words.names_any_cpu()) {
            return format!(
                "the image's start leads here: by its entry point, arguments, variables or links, or by where the loader looks; \
                 let it lead to the file for {expected}"
            );
        }
        let origin = self.origin(path, present);
        let kind = PackageKind::of(path, &origin);
        let of_package = kind.and_then(|_| self.cause_in_package(path, &origin, found));
        match (of_package, kind) {
            (Some(cause), _) => cause,
            (None, Some(PackageKind::Python)) => format!(
                "pip or uv installed the wheel for {found}, in a stage on `--platform=$BUILDPLATFORM`; install on the target's \
                 platform, or ask for its wheels: `uv pip install --python-platform … --only-binary :all:`"
            ),
            (None, Some(PackageKind::Node)) => {
                let cpu = if expected == Machine::AMD64 {
                    "x64"
                } else {
                    "arm64"
                };
                format!(
                    "the package was installed for {found} alone, in a stage on `--platform=$BUILDPLATFORM` or with a \
                     `node_modules` from another machine; install on the target's platform, or with \
                     `npm ci --os=linux --cpu={cpu}`"
                )
            }
            (None, None) => self.cause_of_instruction(&origin, found, instruction),
        }
    }

    /// What a package says of itself: a wrong name, or machine code for several CPUs.
    fn cause_in_package(&self, path: &str, origin: &Origin, found: Machine) -> Option<String> {
        let expected = self.expected;
        let machines = self.machines(origin);
        let carries: Vec<_> = machines.iter().map(Machine::to_string).collect();
        let carries = carries.join(", ");
        let named = self.porter.named_for_wanted(path);
        if named == Some(true) {
            return Some(format!(
                "its name says {expected} and its code is for {found}: the package was made wrongly, or files were exchanged; \
                 install another version"
            ));
        }
        if machines.contains(&expected) {
            return Some(format!(
                "the package carries machine code for several CPUs ({carries}), and for {expected} not this file: it was removed \
                 or never there; install a version that has it, remove this file, or say why it does no harm"
            ));
        }
        (machines.len() > 1 || named.is_some()).then(|| {
            format!(
                "the package carries machine code that it chooses at run time ({carries}), and none for {expected}: install a \
                 version that has it, let its install script compile it on the target's platform, or do without it there"
            )
        })
    }

    fn cause_of_instruction(
        &self,
        origin: &Origin,
        found: Machine,
        instruction: Option<&str>,
    ) -> String {
        let (expected, words) = (self.expected, instruction.unwrap_or_default());
        let is_debian = matches!(origin, Origin::Listed(name) if name.starts_with("Debian"));
        if is_debian || words.starts_with("ADD rootfs") || words.is_empty() {
            return format!(
                "the base image is for {found}: its tag has no {expected}, or `FROM --platform` pins it"
            );
        }
        if words.starts_with("COPY") || words.starts_with("ADD") {
            return format!(
                "a file that was built for {found} was copied in; build it for `$TARGETARCH`, or copy it from a stage that does"
            );
        }
        format!(
            "this step fetched or built something for {found}; use `$TARGETARCH` in its address or options"
        )
    }

    /// Whether a file may be there on purpose. What the start reads is not, nor is a file whose name says the wanted CPU.
    fn is_allowable(&self, path: &str) -> bool {
        !self.start.reads(path) && self.porter.named_for_wanted(path) != Some(true)
    }

    /// Files beside some others that are not to be allowed with them: what is right today must not be wrong tomorrow, nor what
    /// would stand in their place.
    fn others(&self, paths: &[&str]) -> Vec<String> {
        let own: HashSet<&str> = paths.iter().copied().collect();
        let (directory, _) = pattern(paths);
        let below = self
            .tree
            .files
            .range(directory.to_owned()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(directory));
        let wanted = paths
            .iter()
            .filter_map(|path| self.porter.counterpart_name(path));
        below
            .filter(|path| !own.contains(path.as_str()))
            .cloned()
            .chain(wanted)
            .collect()
    }

    /// For each finding, the line of deploy.toml that allows it together with the others of its package. None for what the
    /// start path reads: that is never there on purpose.
    pub(crate) fn allow(&self, findings: &[(&str, &Present)]) -> Vec<Option<String>> {
        let mut packages: BTreeMap<Origin, Vec<&str>> = BTreeMap::new();
        let origins: Vec<Origin> = findings
            .iter()
            .map(|(path, present)| self.origin(path, present))
            .collect();
        for (origin, (path, _)) in origins.iter().zip(findings) {
            if self.is_allowable(path) {
                packages.entry(origin.clone()).or_default().push(path);
            }
        }
        let lines: BTreeMap<&Origin, String> = packages
            .iter()
            .map(|(origin, paths)| (origin, allowing(&patterns(paths, &self.others(paths)))))
            .collect();
        let line = |((path, _), origin): (&(&str, &Present), &Origin)| {
            lines
                .get(origin)
                .filter(|_| self.is_allowable(path))
                .cloned()
        };
        findings.iter().zip(&origins).map(line).collect()
    }
}

/// The line of deploy.toml that allows some patterns.
fn allowing(patterns: &[String]) -> String {
    let one = |pattern: &String| format!("{{ path = {}, reason = \"…\" }}", toml_text(pattern));
    format!(
        "foreign = [{}]",
        patterns.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

/// The name of an npm package, from its directory: what follows the last `node_modules/`.
fn node_name(root: &str) -> Option<&str> {
    let (_, name) = root.rsplit_once("node_modules/")?;
    Some(name)
}

/// The fewest and shortest patterns that cover some paths, and none of the others.
fn patterns(paths: &[&str], others: &[String]) -> Vec<String> {
    let (directory, pattern) = pattern(paths);
    let is_too_high = matches!(
        path::split(directory).1,
        "" | "site-packages" | "dist-packages" | "node_modules"
    );
    if paths.len() < 2 || !is_too_high && !others.iter().any(|other| fits(&pattern, other)) {
        return vec![pattern];
    }
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        let below = path
            .get(directory.len()..)
            .unwrap_or_default()
            .trim_start_matches('/');
        parts
            .entry(below.split('/').next().unwrap_or_default())
            .or_default()
            .push(path);
    }
    if parts.len() < 2 {
        return paths.iter().map(|path| (*path).to_owned()).collect();
    }
    parts
        .values()
        .flat_map(|paths| patterns(paths, others))
        .collect()
}

/// What some paths have in common at the beginning, up to the end of a word, and a star; and the directory that it is in.
fn pattern<'p>(paths: &[&'p str]) -> (&'p str, String) {
    let [first, rest @ ..] = paths else {
        return ("", String::new());
    };
    if rest.is_empty() {
        return (path::split(first).0, (*first).to_owned());
    }
    let common = |path: &&str| {
        first
            .bytes()
            .zip(path.bytes())
            .take_while(|(a, b)| a == b)
            .count()
    };
    let length = rest.iter().map(common).min().unwrap_or(0);
    let start = &first.as_bytes()[..length];
    let word = start
        .iter()
        .rposition(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
        .map_or(0, |at| at + 1);
    let directory = start.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    (
        first.get(..directory).unwrap_or_default(),
        format!("{}*", first.get(..word).unwrap_or_default()),
    )
}

/// A text as TOML writes it.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// What installs a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PackageKind {
    Python,
    Node,
}

impl PackageKind {
    fn of(path: &str, origin: &Origin) -> Option<Self> {
        let is_in = |name: &str| path.split('/').any(|part| part == name);
        let is_python = is_in("site-packages")
            || is_in("dist-packages")
            || matches!(origin, Origin::Listed(name) if name.starts_with("Python"));
        let is_node = matches!(origin, Origin::Node(_)) || is_in("node_modules");
        match (is_python, is_node) {
            (true, _) => Some(Self::Python),
            (false, true) => Some(Self::Node),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_the_files_of_a_package_and_reaches_no_higher() {
        for (paths, expected) in [
            (
                &["a/prebuilds/linux-x64/b.node"][..],
                "a/prebuilds/linux-x64/b.node",
            ),
            (
                &[
                    "a/prebuilds/linux-x64/b.node",
                    "a/prebuilds/linux-x64/c.node",
                ],
                "a/prebuilds/linux-x64/*",
            ),
            (
                &[
                    "a/prebuilds/linux-x64/b.node",
                    "a/prebuilds/linux-ia32/b.node",
                ],
                "a/prebuilds/linux-*",
            ),
            (
                &["site-packages/a/b.so", "site-packages/a.libs/c.so"],
                "site-packages/a/b.so site-packages/a.libs/c.so",
            ),
            (&["a/one.so", "b/two.so", "b/other.so"], "a/one.so b/*"),
            (&["n/pkg/x/one", "n/pkg/y/two"], "n/pkg/x/one n/pkg/y/two"),
        ] {
            assert_eq!(
                patterns(paths, &["n/pkg/z/other".to_owned()]).join(" "),
                expected
            );
        }
        assert_eq!(toml_text("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }
}
