//! The start path: everything that the kernel and the loader read when the image starts, as far as the image itself says it.
//!
//! A file on this path is never baggage, whatever its name is: the entry point, the interpreters of scripts, their loaders,
//! every program that the arguments name, and whatever lies in a directory that the loader searches.
//!
//! Source: execve(2), ld.so(8), ldconfig(8), env(1).

use std::collections::BTreeSet;

use image_oci::Config;

use crate::{
    layer::{Content, File},
    path,
    platform::{Cpu, Name},
    tree::{Found, Tree},
    verdict::Problem,
};

/// Machine code that the start comes to.
pub(crate) struct Program {
    /// Its real path.
    pub path: String,
    /// How many scripts lead to it.
    pub depth: usize,
}

/// Something that the start lacks.
pub(crate) struct Trouble {
    pub problem: Problem,
    pub found: String,
    pub expected: &'static str,
    pub cause: &'static str,
}

/// What the start comes to.
#[derive(Default)]
pub(crate) struct Start {
    /// Programs, in the order of the start.
    pub programs: Vec<Program>,
    /// What is missing on the way.
    pub troubles: Vec<Trouble>,
    /// Whether the image says what to start.
    pub is_said: bool,
    /// Every file on the way, by its real path.
    files: BTreeSet<String>,
    /// Directories in which the loader looks for libraries, besides its own.
    loader_directories: BTreeSet<String>,
    /// Directories that arguments and variables name, and that are named after another CPU: whatever is below them is meant.
    named_directories: BTreeSet<String>,
    /// Directories of `PATH`.
    program_path: BTreeSet<String>,
    /// Directories of programs, in which `$ORIGIN` of a program may look for libraries.
    program_directories: BTreeSet<String>,
}

impl Start {
    /// Whether the start reads a file, or may read it.
    pub(crate) fn reads(&self, path: &str) -> bool {
        let (directory, name) = path::split(path);
        self.files.contains(path)
            || self.loader_directories.contains(directory)
            || is_loaders_own(directory)
            // Lambda starts every program that is there.
            || directory == "opt/extensions"
            || name.contains(".so") && self.program_directories.contains(directory)
            || !self.named_directories.is_empty() && path::ancestors(path).any(|above| self.named_directories.contains(above))
    }

    /// Whether the start reads a file beside the programs that it comes to, each of which is judged by itself.
    pub(crate) fn loads(&self, path: &str) -> bool {
        self.reads(path) && !self.programs.iter().any(|program| program.path == path)
    }

    /// Whether a program of that path can be started by its name alone.
    pub(crate) fn is_on_path(&self, path: &str) -> bool {
        self.program_path.contains(path::split(path).0)
    }

    /// Follows the start of an image for a CPU.
    pub(crate) fn follow(tree: &Tree<'_>, config: &Config, wanted: Cpu) -> Self {
        let mut walk = Walk {
            tree,
            config,
            wanted,
            start: Self::default(),
        };
        walk.entry_point();
        // What else is read is asked of foreign files alone, and most images have none.
        let is_foreign = |content: &Content| matches!(content, Content::Elf(elf) if Cpu::of(elf.machine) != wanted);
        if tree
            .files
            .values()
            .any(|present| is_foreign(present.content()))
        {
            walk.words_of_all_kinds();
            walk.links();
            walk.interpreters_and_loaders();
            walk.directories();
        }
        walk.start
    }
}

/// Whether a directory is one of those that loaders search by themselves, of any CPU.
pub(crate) fn is_loaders_own(directory: &str) -> bool {
    let below = directory
        .strip_prefix("usr/local/")
        .or_else(|| directory.strip_prefix("usr/"))
        .unwrap_or(directory);
    let mut names = below.split('/');
    let is_library = matches!(names.next(), Some("lib" | "lib32" | "lib64" | "libx32"));
    let mut rest = names.skip_while(|name| name.contains("-linux-")).peekable();
    is_library && matches!(rest.peek(), None | Some(&("glibc-hwcaps" | "tls")))
}

struct Walk<'i> {
    tree: &'i Tree<'i>,
    config: &'i Config,
    wanted: Cpu,
    start: Start,
}

impl<'i> Walk<'i> {
    fn words(&self) -> impl Iterator<Item = &String> {
        let execution = &self.config.config;
        execution.entrypoint.iter().chain(&execution.cmd).flatten()
    }

    fn entry_point(&mut self) {
        let Some(program) = self.words().next().cloned() else {
            return;
        };
        self.start.is_said = true;
        match self.look_up(&program) {
            Found::File(path, file) => {
                let file = file.clone();
                self.needs(&path, &file, 0);
            }
            Found::Other => self.trouble(
                Problem::NotExecutable,
                format!("the entry point `{program}` is neither machine code nor a script with a `#!` line"),
                "a program",
                "the kernel says `exec format error` to such a file: give it a first line such as `#!/bin/sh`",
            ),
            Found::Missing => self.trouble(
                Problem::MissingEntrypoint,
                format!("the entry point `{program}` is not in the image"),
                "a program",
                "copy it into the last stage, or correct ENTRYPOINT, CMD, WORKDIR or PATH",
            ),
        }
    }

    /// Programs and directories that arguments and variables name, as in `/bin/sh -c "exec /opt/tool serve"`,
    /// `-agentpath:/opt/x/agent.so=start` and `JAVA_HOME=/opt/jdk-linux-x64`.
    fn words_of_all_kinds(&mut self) {
        let separators = |c: char| c.is_whitespace() || "\"';&|()=`:,<>".contains(c);
        let variables = self.config.config.env.iter().flatten();
        let check = self.config.config.healthcheck.test.iter().flatten();
        let words = self.words().chain(variables).chain(check);
        let words: Vec<String> = words
            .flat_map(|word| word.split(separators))
            .map(str::to_owned)
            .collect();
        for word in words.iter().filter(|word| !word.is_empty()) {
            if let Found::File(path, _) = self.look_up(word) {
                self.start.files.insert(path);
            } else if let Some(directory) = self
                .tree
                .resolve(&self.absolute(word))
                .filter(|_| word.contains('/'))
                && self.names_other_cpu(&directory)
            {
                self.start.named_directories.insert(directory);
            }
        }
    }

    fn names_other_cpu(&self, path: &str) -> bool {
        Name::of_path(path)
            .iter()
            .any(|name| name.words.names_other_than(self.wanted))
    }

    /// What a link leads to whose own path says no other CPU: `/usr/local/bin/tool` is started, wherever it leads.
    fn links(&mut self) {
        let plain = self.tree.links().filter(|link| !self.names_other_cpu(link));
        let real = plain
            .filter_map(|link| self.tree.resolve(link))
            .filter(|real| self.names_other_cpu(real));
        let real: Vec<String> = real.collect();
        self.start.named_directories.extend(real.iter().cloned());
        self.start.files.extend(real);
    }

    /// The interpreters of all scripts and the loaders of all programs whose own paths say no other CPU.
    fn interpreters_and_loaders(&mut self) {
        let mut places: BTreeSet<&str> = BTreeSet::new();
        for (path, present) in &self.tree.files {
            let place = match present.content() {
                Content::Script(words) => words.first(),
                Content::Elf(elf) if Cpu::of(elf.machine) == self.wanted => elf.loader.as_ref(),
                Content::Elf(_) | Content::Damaged(_) => None,
            };
            if let Some(place) =
                place.filter(|place| place.starts_with('/') && !places.contains(place.as_str()))
                && !self.names_other_cpu(path)
            {
                places.insert(place);
            }
        }
        for place in places {
            if let Found::File(real, _) = self.tree.find(place) {
                self.start.files.insert(real);
            }
        }
    }

    fn directories(&mut self) {
        let tree = self.tree;
        let said = |name: &'static str| {
            let variables = self.config.config.env.iter().flatten();
            let values = variables
                .filter_map(move |variable| variable.strip_prefix(name)?.strip_prefix('='));
            values.flat_map(|value| value.split([':', ';', ' ']))
        };
        let said_directories =
            said("LD_LIBRARY_PATH").filter_map(|directory| tree.resolve(&self.absolute(directory)));
        let loader_directories = said_directories
            .chain(
                tree.loader_directories()
                    .filter_map(|directory| tree.resolve(directory)),
            )
            .collect();
        let preloaded: Vec<_> = said("LD_PRELOAD")
            .filter_map(|file| tree.resolve(&self.absolute(file)))
            .collect();
        self.start.loader_directories = loader_directories;
        self.start.files.extend(preloaded);
        self.start
            .files
            .extend(tree.preloaded().filter_map(|file| tree.resolve(file)));
        self.start.program_path = said("PATH")
            .filter_map(|directory| tree.resolve(&self.absolute(directory)))
            .collect();
        for program in &self.start.programs {
            let directory = path::split(&program.path).0;
            let near = ["", "/../lib", "/../lib64"]
                .into_iter()
                .filter_map(|near| tree.resolve(&format!("{directory}{near}")));
            self.start.program_directories.extend(near);
        }
    }

    /// A path as the program sees it; an empty one is the working directory.
    fn absolute(&self, name: &str) -> String {
        if name.starts_with('/') {
            name.to_owned()
        } else {
            format!("{}/{name}", self.working_directory())
        }
    }

    fn working_directory(&self) -> &str {
        self.config.config.working_dir.as_deref().unwrap_or("/")
    }

    /// What a program needs to start, and what that needs in turn. The kernel follows four interpreters and no more.
    fn needs(&mut self, path: &str, file: &File, depth: usize) {
        const DEEPEST: usize = 4;
        self.start.files.insert(path.to_owned());
        match &file.content {
            Content::Elf(elf) => {
                if let Some(Found::File(loader, _)) =
                    elf.loader.as_ref().map(|loader| self.tree.find(loader))
                {
                    self.start.files.insert(loader);
                }
                self.start.programs.push(Program {
                    path: path.to_owned(),
                    depth,
                });
            }
            Content::Damaged(reason) => self.trouble(
                Problem::NotExecutable,
                format!(
                    "`/{path}`, which the image starts, begins like machine code, but {reason}"
                ),
                "a program",
                "the file was cut or damaged on its way: build it again",
            ),
            Content::Script(_) if depth > DEEPEST => self.trouble(
                Problem::NotExecutable,
                format!("`/{path}` is the fifth script in a row that interprets another"),
                "a program",
                "let the first line name a program that is no script",
            ),
            Content::Script(words) => self.interpreters(path, words, depth),
        }
    }

    /// The interpreter of a script, and the program that `env` looks for.
    fn interpreters(&mut self, path: &str, words: &[String], depth: usize) {
        let Some(interpreter) = words.first() else {
            return;
        };
        // The kernel searches no PATH.
        let found = self.tree.find(&self.absolute(interpreter));
        if !self.interprets(path, interpreter, found, depth) || path::split(interpreter).1 != "env"
        {
            return;
        }
        if let Some(program) = words.get(1).and_then(|argument| env_program(argument)) {
            let found = self.look_up(&program);
            self.interprets(path, &program, found, depth);
        }
    }

    /// Says what is wrong with an interpreter. Returns whether it is there.
    fn interprets(&mut self, path: &str, name: &str, found: Found<'_>, depth: usize) -> bool {
        let (what, cause) = match found {
            Found::File(real, file) => {
                let file = file.clone();
                self.needs(&real, &file, depth + 1);
                return true;
            }
            Found::Missing if name.contains('\r') => (
                "is not in the image",
                "the script has Windows line ends: save it with `\\n` alone",
            ),
            Found::Missing => (
                "is not in the image",
                "install it in the last stage, or correct the script's first line",
            ),
            Found::Other => (
                "is no program",
                "let the script's first line name a program",
            ),
        };
        let found = format!(
            "the interpreter `{}` of the entry point `/{path}` {what}",
            name.escape_debug()
        );
        self.trouble(Problem::MissingInterpreter, found, "an interpreter", cause);
        false
    }

    /// A program as execvp(3) would find it.
    fn look_up(&self, program: &str) -> Found<'i> {
        const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        if program.contains('/') {
            return self.tree.find(&self.absolute(program));
        }
        let variables = self.config.config.env.iter().flatten();
        let directories = variables
            .filter_map(|variable| variable.strip_prefix("PATH="))
            .next_back()
            .unwrap_or(USUAL);
        let places = directories
            .split(':')
            .map(|directory| self.tree.find(&format!("{directory}/{program}")));
        places
            .into_iter()
            .find(|found| !matches!(found, Found::Missing))
            .unwrap_or(Found::Missing)
    }

    fn trouble(
        &mut self,
        problem: Problem,
        found: String,
        expected: &'static str,
        cause: &'static str,
    ) {
        self.start.troubles.push(Trouble {
            problem,
            found,
            expected,
            cause,
        });
    }
}

/// The program that `env` starts. Without `-S` its one argument is the program's name, spaces and all. `None` where an option
/// makes it uncertain.
fn env_program(argument: &str) -> Option<String> {
    let split = argument
        .strip_prefix("-S")
        .or_else(|| argument.strip_prefix("--split-string="));
    let Some(rest) = split else {
        return (!argument.starts_with('-') && !argument.contains('='))
            .then(|| argument.to_owned());
    };
    let mut words = rest.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-u" | "--unset" | "-C" | "--chdir" => drop(words.next()),
            word if word.starts_with('-') || word.contains('=') => {}
            program => return Some(program.to_owned()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_own_directories_are_known() {
        for (directory, expected) in [
            ("lib", true),
            ("usr/lib64", true),
            ("usr/local/lib", true),
            ("usr/lib/aarch64-linux-gnu", true),
            ("lib/x86_64-linux-gnu", true),
            ("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3", true),
            ("usr/lib/jvm/java-17-openjdk-arm64/lib", false),
            ("usr/libexec", false),
            ("opt/lib", false),
            ("usr/lib/python3.13/site-packages", false),
        ] {
            assert_eq!(is_loaders_own(directory), expected, "{directory}");
        }
    }
}
