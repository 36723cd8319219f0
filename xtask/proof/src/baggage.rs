//! Baggage: machine code for another platform that is in the image and that nothing here starts or loads, because the right
//! file stands beside it.
//!
//! Packages carry files for several platforms and choose at run time: `prebuilds/linux-x64/x.node` beside
//! `prebuilds/linux-arm64/x.node`. The wrong ones do no harm where the right one is there, and only there.
//!
//! Architecture Invariant: a name alone makes nothing baggage. What the start path reads is never baggage, and neither is a
//! file that claims to be for the wanted CPU and is not.

mod launcher;
mod libc;
mod names;

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
};

use libc::Libc;
use names::{Names, is_deep, is_library, is_python_directory, is_python_packages, platform_part};

use crate::{
    elf::{Elf, Machine, System},
    layer::Content,
    path,
    platform::{Cpu, Name, Words, is_addon, is_store, respell},
    start::Start,
    tree::{Found, Present, Tree},
};

/// Why a file for another platform does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The same file for the wanted CPU is there.
    Counterpart,
    /// It is for another operating system, which no kernel here could start.
    OtherSystem,
    /// Its package says itself that it is the same on every CPU, and never had one for the wanted CPU.
    AnyPlatform,
    /// It is one of several tools, one for each operating system, and nothing tells CPUs apart.
    Launcher,
    /// It lies under its digest in the store of a package manager, from which packages are put together.
    Stored,
}

/// Tells baggage from the files that matter.
pub(crate) struct Porter<'t> {
    tree: &'t Tree<'t>,
    start: &'t Start,
    expected: Machine,
    wanted: Cpu,
    libc: Option<Libc>,
    /// Files that can be run or loaded, by their paths without platform words.
    by_key: OnceCell<HashMap<String, Files<'t>>>,
    /// Whether a package's install script has compiled an addon for the wanted CPU, by the package's directory.
    compiled: RefCell<HashMap<String, bool>>,
    /// The files for the wanted CPU that Python packages list, by the directory about the package and the path's key.
    listed: RefCell<HashMap<String, Listed>>,
    /// The nearest directory with a `package.json`, by directory.
    roots: RefCell<HashMap<String, Option<String>>>,
}

/// Files whose paths differ in platform words alone. Real packages have a dozen of these at most: what goes beyond a limit
/// is not looked at, and takes no file's place.
#[derive(Default)]
struct Files<'t> {
    /// Those for the wanted CPU.
    right: Vec<(&'t str, Names)>,
    /// The words and the binary interface of those for others.
    foreign: Vec<(Words, Option<u16>)>,
}

impl Files<'_> {
    const MOST: usize = 100;
}

/// What a Python package says, and the files of its list that name the wanted CPU.
struct Listed {
    is_for_any: bool,
    by_key: HashMap<String, String>,
}

impl<'t> Porter<'t> {
    /// For the files of an image.
    pub(crate) fn new(tree: &'t Tree<'t>, start: &'t Start, expected: Machine) -> Self {
        Self {
            tree,
            start,
            expected,
            wanted: Cpu::of(expected),
            libc: libc::of(tree, start, expected),
            by_key: OnceCell::new(),
            compiled: RefCell::default(),
            listed: RefCell::default(),
            roots: RefCell::default(),
        }
    }

    /// Why a file for another CPU is baggage. `None` where it is not.
    pub(crate) fn reason(&self, path: &str, present: &Present, elf: &Elf) -> Option<Reason> {
        if is_deep(path) {
            return None;
        }
        let names = self.names(path);
        if self.matters(path, &names) {
            return None;
        }
        // One after the other: most files have the first or the second, and each costs more than the one before.
        if self.is_for_other_system(path, &names, elf) {
            Some(Reason::OtherSystem)
        } else if self.has_counterpart(path, &names) || self.is_compiled(path, &names) {
            Some(Reason::Counterpart)
        } else if self.is_in_package_for_any(path, &names, present) {
            Some(Reason::AnyPlatform)
        } else if self.is_launcher(path, &names, present, elf) {
            Some(Reason::Launcher)
        } else {
            (path.contains("/pnpm/store/v") && path.contains("/files/")).then_some(Reason::Stored)
        }
    }

    /// Whether a file matters whatever stands beside it.
    fn matters(&self, path: &str, names: &Names) -> bool {
        self.start.reads(path) || is_python_packages(path) && self.is_extension(path, names)
    }

    /// Whether Python may import a file: a shared library below its packages that is not named after another platform.
    fn is_extension(&self, path: &str, names: &Names) -> bool {
        let file = path::split(path).1;
        let is_tagged = [".cpython-", ".abi3.", ".pypy"]
            .iter()
            .any(|tag| file.contains(tag));
        let is_library = is_library(file);
        let words = if is_tagged {
            Name::read(file).words
        } else {
            names.words()
        };
        let is_elsewhere =
            words.names_any_cpu() && !words.names(self.wanted) || words.says_other_system();
        is_library && !is_elsewhere
    }

    /// By what the file says itself; a name says it in a package alone.
    fn is_for_other_system(&self, path: &str, names: &Names, elf: &Elf) -> bool {
        match elf.system {
            Some(System::Other) => true,
            Some(System::Linux) => false,
            None => {
                names.says_other_system() && (self.root(path).is_some() || is_python_packages(path))
            }
        }
    }

    fn has_counterpart(&self, path: &str, names: &Names) -> bool {
        let by_key = self.by_key.get_or_init(|| self.files());
        let Some(files) = by_key.get(&Names::key(&names.names)) else {
            return self.is_right_behind_a_link(path, names);
        };
        let right = files
            .right
            .iter()
            .filter(|(candidate, ours)| self.is_counterpart(path, names, candidate, ours));
        let abis: Vec<Option<u16>> = right.map(|(_, ours)| ours.abi()).collect();
        let Some(abi) = names.abi() else {
            return !abis.is_empty() || self.is_right_behind_a_link(path, names);
        };
        // A package may have addons for fewer versions of Node.js on one CPU than on another. Where it has them for most, and
        // for older ones, the one that is missing was taken out.
        let has = |abi: Option<u16>| abis.contains(&abi) || abis.contains(&None);
        let foreign = || {
            files
                .foreign
                .iter()
                .filter(|(words, _)| *words == names.words())
        };
        let matched = foreign().filter(|(_, abi)| has(*abi)).count();
        let is_gap =
            matched * 2 >= foreign().count() && abis.iter().flatten().any(|lower| *lower < abi);
        !abis.is_empty() && (has(Some(abi)) || !is_gap)
    }

    /// Whether the file's own name for the wanted CPU is a link to a file for it.
    fn is_right_behind_a_link(&self, path: &str, names: &Names) -> bool {
        let Some(wanted) = self
            .respelled(path, names)
            .filter(|_| !names.words().names(self.wanted))
        else {
            return false;
        };
        let Found::File(real, file) = self.tree.find(&wanted) else {
            return false;
        };
        let is_plain = !Name::of_path(&real)
            .iter()
            .any(|name| name.words.names_other_than(self.wanted));
        is_plain && matches!(&file.content, Content::Elf(elf) if self.is_right(elf))
    }

    /// The path of a file with the CPU's name in the package's part of it replaced by the wanted one's.
    fn respelled(&self, path: &str, names: &Names) -> Option<String> {
        let parts: Vec<&str> = path.split('/').collect();
        let (above, inside) = parts.split_at(names.from.min(parts.len()));
        let inside = respell(&inside.join("/"), self.wanted)?;
        Some(if above.is_empty() {
            inside
        } else {
            format!("{}/{inside}", above.join("/"))
        })
    }

    /// What a file for the wanted CPU would be called in its place.
    pub(crate) fn counterpart_name(&self, path: &str) -> Option<String> {
        if is_deep(path) {
            return None;
        }
        self.respelled(path, &self.names(path))
    }

    /// Whether the package's install script has compiled its addon: node-gyp-build, which chooses among prebuilt addons,
    /// takes that one first.
    fn is_compiled(&self, path: &str, names: &Names) -> bool {
        let Some(root) = self.root(path) else {
            return false;
        };
        let words = names.words();
        let is_prebuilt = path
            .strip_prefix(&root)
            .is_some_and(|rest| rest.starts_with("/prebuilds/"));
        if !is_prebuilt || !is_addon(path) || !words.names_any_cpu() || words.names(self.wanted) {
            return false;
        }
        if let Some(known) = self.compiled.borrow().get(&root) {
            return *known;
        }
        let directory = format!("{root}/build/Release/");
        let files = self
            .tree
            .files
            .range(directory.clone()..)
            .take_while(|(file, _)| file.starts_with(&directory));
        let mut addons =
            files.filter(|(file, _)| is_addon(file) && !file[directory.len()..].contains('/'));
        let is_compiled = addons.any(
            |(_, present)| matches!(present.content(), Content::Elf(elf) if self.is_right(elf)),
        );
        self.compiled.borrow_mut().insert(root, is_compiled);
        is_compiled
    }

    /// Whether a file is one of several that the package names after their CPUs, and whether its name is that of the wanted
    /// one. `None` where only the package's own name says a CPU, or nothing does.
    pub(crate) fn named_for_wanted(&self, path: &str) -> Option<bool> {
        if is_deep(path) {
            return None;
        }
        let names = self.names(path);
        let root = self.root(path).map_or(0, |root| root.split('/').count());
        let is_package_named = root > names.from;
        let is_tagged = path::split(path).1.contains(".cpython-");
        let words = names.words();
        (words.names_any_cpu() && !is_package_named && !is_tagged).then(|| words.names(self.wanted))
    }

    fn is_right(&self, elf: &Elf) -> bool {
        elf.machine == self.expected && elf.is_loadable && elf.system != Some(System::Other)
    }

    fn is_counterpart(
        &self,
        path: &str,
        foreign: &Names,
        candidate: &str,
        candidate_names: &Names,
    ) -> bool {
        let (mut theirs, mut ours) = (Words::default(), Words::default());
        let parts: Vec<(&str, &str)> = path.split('/').zip(candidate.split('/')).collect();
        for (at, (their, our)) in foreign.names.iter().zip(&candidate_names.names).enumerate() {
            if parts[at].0 == parts[at].1 {
                continue;
            }
            // Between two packages for two platforms, pnpm's directory names differ as well.
            let is_store = at > 0 && is_store(parts[at - 1].1);
            // Without a package's directory, the CPU may stand in several names: `linux-x64/native/x-x64.so`.
            let is_twice = self.root(path).is_none()
                && their.words.names_any_cpu()
                && our.words.names(self.wanted);
            if at < foreign.from.min(candidate_names.from) && !is_store && !is_twice {
                return false;
            }
            theirs |= their.words;
            ours |= our.words;
        }
        let whole = candidate_names.words();
        let is_elsewhere =
            candidate_names.says_other_system() || ours.says_other_system() && !ours.says_linux();
        let is_named_apart =
            theirs.names_any_cpu() || ours.names_any_cpu() && theirs.says_distribution();
        let is_other_libc = self.is_for_other_libc(foreign.words());
        let is_for_another =
            !theirs.names(self.wanted) && is_named_apart || is_other_libc && ours != theirs;
        is_for_another
            && !ours.names_other_than(self.wanted)
            && !is_elsewhere
            && self.takes_libc(foreign.words(), whole)
    }

    /// Whether what is named after a C library cannot be loaded with the image's.
    fn is_for_other_libc(&self, words: Words) -> bool {
        match self.libc {
            Some(Libc::Glibc) => words.says_musl() && !words.says_glibc(),
            Some(Libc::Musl) => words.says_glibc() && !words.says_musl(),
            None => false,
        }
    }

    /// Whether a file's C library is one that can take the foreign file's place. Where the package has nothing for the
    /// image's C library at all, it has nothing for it on the other CPU either, and that is no matter of CPUs.
    fn takes_libc(&self, foreign: Words, ours: Words) -> bool {
        let only_musl = |words: Words| words.says_musl() && !words.says_glibc();
        let only_glibc = |words: Words| words.says_glibc() && !words.says_musl();
        match self.libc {
            Some(Libc::Musl) => only_glibc(foreign) || !only_glibc(ours),
            Some(Libc::Glibc) | None => only_musl(foreign) || !only_musl(ours),
        }
    }

    /// Whether the file's package was made for any platform, says so, and lists no such file for the wanted CPU.
    fn is_in_package_for_any(&self, path: &str, names: &Names, present: &Present) -> bool {
        let words = names.words();
        let about = present
            .file
            .package
            .as_ref()
            .and_then(|package| package.about.as_deref());
        let Some(about) = about else { return false };
        let is_for_any = self.with_list(about, |listed| listed.is_for_any);
        is_for_any
            && words.names_any_cpu()
            && !words.names(self.wanted)
            && self.listed_for(about, path, names).is_none()
    }

    /// The file for the wanted CPU that a package was installed with, by its own list.
    fn listed_for(&self, about: &str, path: &str, names: &Names) -> Option<String> {
        let found = self.with_list(about, |listed| {
            listed.by_key.get(&Names::key(&names.names)).cloned()
        });
        found.filter(|found| found != path)
    }

    fn with_list<T>(&self, about: &str, look: impl FnOnce(&Listed) -> T) -> T {
        if let Some(known) = self.listed.borrow().get(about) {
            return look(known);
        }
        let wheel = self.tree.wheel(about).unwrap_or_default();
        let is_for_here =
            |names: &Names| names.words().names(self.wanted) && !names.words().says_other_system();
        let named = wheel
            .files
            .into_iter()
            .map(|file| (self.names(&file), file))
            .filter(|(names, _)| is_for_here(names));
        let by_key = named
            .map(|(names, file)| (Names::key(&names.names), file))
            .collect();
        let listed = Listed {
            is_for_any: wheel.is_for_any,
            by_key,
        };
        let result = look(&listed);
        self.listed.borrow_mut().insert(about.to_owned(), listed);
        result
    }

    /// The file for the wanted CPU that the package of a file was installed with, by its own list.
    pub(crate) fn listed(&self, path: &str, present: &Present) -> Option<String> {
        self.listed_for(
            present.file.package.as_ref()?.about.as_deref()?,
            path,
            &self.names(path),
        )
    }

    fn files(&self) -> HashMap<String, Files<'t>> {
        let mut by_key: HashMap<String, Files<'t>> = HashMap::new();
        for (path, present) in &self.tree.files {
            let Content::Elf(elf) = present.content() else {
                continue;
            };
            if !elf.is_loadable || elf.system == Some(System::Other) || is_deep(path) {
                continue;
            }
            let key = Names::key(&Name::of_path(path));
            let files = by_key.entry(key).or_default();
            if self.is_right(elf) && files.right.len() < Files::MOST {
                files.right.push((path, self.names(path)));
            } else if !self.is_right(elf) && files.foreign.len() < Files::MOST {
                let names = self.names(path);
                files.foreign.push((names.words(), names.abi()));
            }
        }
        by_key
    }

    fn names(&self, path: &str) -> Names {
        let names = Name::of_path(path);
        let parts: Vec<&str> = path.split('/').collect();
        let root = self
            .root(path)
            .map(|root| root.split('/').filter(|part| !part.is_empty()).count());
        let python = parts
            .iter()
            .rposition(|part| is_python_directory(part))
            .map(|at| at + 1);
        let from = match root.max(python) {
            // A package that is named after a platform has its counterpart in another package.
            Some(inside)
                if Some(inside) == root
                    && inside > 0
                    && names[inside - 1].words.names_any_cpu() =>
            {
                inside - 1
            }
            Some(inside) => inside,
            None => platform_part(&names),
        };
        Names {
            from: from.min(names.len() - 1),
            names,
        }
    }

    /// The directory of the npm package that a file belongs to: the nearest one with a `package.json`.
    pub(crate) fn root(&self, path: &str) -> Option<String> {
        let directory = path::split(path).0;
        let mut passed = Vec::new();
        let mut root = None;
        if is_deep(directory) {
            return root;
        }
        for directory in std::iter::once(directory).chain(path::ancestors(directory)) {
            if let Some(known) = self.roots.borrow().get(directory) {
                root.clone_from(known);
                break;
            }
            passed.push(directory);
            if self.tree.has(&format!("{directory}/package.json")) {
                root = Some(directory.to_owned());
                break;
            }
        }
        self.roots.borrow_mut().extend(
            passed
                .into_iter()
                .map(|directory| (directory.to_owned(), root.clone())),
        );
        root
    }
}
