//! Comparing everything in an image with the CPU that it is meant for.

use image_oci::Config;

use crate::{
    baggage::{Porter, Reason},
    cause::Explainer,
    elf::{Elf, Machine},
    layer::{Content, File, Layer},
    platform::Cpu,
    start::{Program, Start},
    tree::{Found, Present, Tree},
    verdict::{Allowed, Finding, Problem, Verdict, fits},
};

/// Compares everything in an image with the CPU that it is meant for.
pub fn prove(config: &Config, layers: &[Layer], expected: Machine, allowed: &[Allowed]) -> Verdict {
    let tree = Tree::new(layers);
    let start = Start::follow(&tree, config, Cpu::of(expected));
    let verdict = Verdict {
        expected: expected.to_string(),
        checked: 0,
        findings: Vec::new(),
        baggage: Vec::new(),
        notes: Vec::new(),
    };
    let mut judge = Judge {
        config,
        layers,
        tree: &tree,
        start: &start,
        expected,
        verdict,
    };
    judge.claims();
    judge.machine_code(allowed);
    judge.entry_point();
    judge.verdict
}

struct Judge<'i> {
    config: &'i Config,
    layers: &'i [Layer],
    tree: &'i Tree<'i>,
    start: &'i Start,
    expected: Machine,
    verdict: Verdict,
}

impl Judge<'_> {
    /// What the config says of the image.
    fn claims(&mut self) {
        let claimed = format!("{}/{}", self.config.os, self.config.architecture);
        let expected = format!("linux/{}", self.expected);
        let is_right = Machine::from_oci(&self.config.architecture) == Some(self.expected)
            && self.config.os == "linux";
        if !is_right {
            self.find(
                Problem::WrongConfig,
                format!("the config says `{claimed}`"),
                expected,
                "build with `--platform`, and no other platform in the last `FROM`",
            );
        }
        let named = &self.config.rootfs.diff_ids;
        if named.len() != self.layers.len() {
            let found = format!("the image has {} layers", self.layers.len());
            self.find(
                Problem::WrongLayer,
                found,
                format!("{} by its config", named.len()),
                "the image is damaged: build it again",
            );
        }
        let wrong: Vec<_> = named
            .iter()
            .zip(self.layers)
            .filter(|(named, layer)| **named != layer.diff_id)
            .collect();
        for (named, layer) in wrong {
            let found = format!("layer {} holds {}", layer.digest, layer.diff_id);
            self.find(
                Problem::WrongLayer,
                found,
                format!("{named} by the config"),
                "the image is damaged, or was put together by hand: build it again",
            );
        }
    }

    fn machine_code(&mut self, allowed: &[Allowed]) {
        let mut used = vec![false; allowed.len()];
        let (mut narrow, mut objects, mut damaged, mut test_data) = (0, 0, 0, 0);
        let mut baggage = Vec::new();
        let mut wrong = Vec::new();
        let porter = Porter::new(self.tree, self.start, self.expected);
        for (path, present) in &self.tree.files {
            let elf = match present.content() {
                Content::Elf(elf) => elf,
                Content::Damaged(_) => {
                    damaged += 1;
                    continue;
                }
                Content::Script(_) => continue,
            };
            if !elf.machine.is_no_cpu() {
                self.verdict.checked += 1;
            }
            if elf.machine == self.expected || elf.machine.is_no_cpu() {
                continue;
            }
            if let Some(place) = allowed.iter().position(|allowed| fits(&allowed.path, path)) {
                used[place] = true;
            } else if self.expected.runs_in_32_bit_mode(elf.machine) {
                narrow += 1;
            } else if !elf.is_loadable {
                objects += 1;
            } else if path.split('/').any(|part| part == "testdata") && !self.start.loads(path) {
                test_data += 1;
            } else if let Some(reason) = porter.reason(path, present, elf) {
                baggage.push((reason, path));
            } else {
                wrong.push((path.as_str(), present, elf));
            }
        }
        let explainer = Explainer::new(self.tree, &porter, self.start, self.expected);
        self.verdict
            .findings
            .extend(self.wrong_machines(&wrong, &explainer));
        let counted = [
            (narrow, "for the 32-bit mode of this CPU"),
            (
                objects,
                "for another CPU, but object files: nothing runs or loads them",
            ),
            (
                damaged,
                "beginning like machine code and damaged after that: nothing runs or loads them",
            ),
            (test_data, "for another CPU in directories named `testdata`"),
        ];
        let notes = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} files {what}"));
        self.verdict.notes.extend(notes);
        self.verdict.notes.extend(carried(&baggage, self.expected));
        self.verdict.baggage = baggage.into_iter().map(|(_, path)| path.clone()).collect();
        for (allowed, used) in allowed.iter().zip(used) {
            let how = if used {
                "allowed"
            } else {
                "allowed, but not there"
            };
            self.verdict
                .notes
                .push(format!("`{}` is {how}: {}", allowed.path, allowed.reason));
        }
    }

    fn wrong_machines(
        &self,
        wrong: &[(&str, &Present, &Elf)],
        explainer: &Explainer<'_>,
    ) -> Vec<Finding> {
        let finding = |(path, present, elf): &(&str, &Present, &Elf)| {
            let instruction = self.config.instruction(present.layer);
            Finding {
                problem: Problem::WrongMachine,
                path: (*path).to_owned(),
                found: format!("machine code for {}", elf.machine),
                expected: self.expected.to_string(),
                layer: self
                    .layers
                    .get(present.layer)
                    .map(|layer| layer.digest.clone()),
                package: explainer.package(path, present),
                looked_for: explainer.looked_for(path, present),
                cause: explainer.cause(path, present, elf.machine, instruction.as_deref()),
                instruction,
                allow: None,
            }
        };
        let mut findings: Vec<Finding> = wrong.iter().map(finding).collect();
        let places: Vec<(&str, &Present)> = wrong
            .iter()
            .map(|(path, present, _)| (*path, *present))
            .collect();
        for (finding, allow) in findings.iter_mut().zip(explainer.allow(&places)) {
            finding.allow = allow;
        }
        findings
    }

    /// The program that the image starts, and what that needs to start.
    fn entry_point(&mut self) {
        if !self.start.is_said {
            self.verdict
                .notes
                .push("the image says no program to start".to_owned());
        }
        let start = self.start;
        for trouble in &start.troubles {
            self.find(
                trouble.problem,
                trouble.found.clone(),
                trouble.expected,
                trouble.cause,
            );
        }
        for program in &start.programs {
            if let Some(Present {
                file:
                    File {
                        content: Content::Elf(elf),
                        ..
                    },
                ..
            }) = self.tree.files.get(&program.path)
            {
                self.starts(program, elf);
            }
        }
    }

    fn starts(&mut self, program: &Program, elf: &Elf) {
        let path = &program.path;
        // What is only a note elsewhere is not one here. Amd64 machines of AWS run i386 programs; arm64 ones need not run arm.
        let runs = elf.machine == self.expected
            || self.expected == Machine::AMD64 && elf.machine == Machine::I386;
        let is_found = self
            .verdict
            .findings
            .iter()
            .any(|finding| finding.path == *path);
        if !elf.is_loadable || !runs && !is_found {
            let what = if elf.is_loadable {
                format!("machine code for {}", elf.machine)
            } else {
                "an object file".to_owned()
            };
            let found = format!("`/{path}`, which the image starts, is {what}");
            self.find(
                Problem::NotExecutable,
                found,
                format!("a program for {}", self.expected),
                "build a program for the target's CPU, and start that",
            );
            return;
        }
        let Some(loader) = elf.loader.as_ref().filter(|_| program.depth == 0 || runs) else {
            return;
        };
        match self.tree.find(loader) {
            Found::File(
                _,
                File {
                    content: Content::Elf(elf),
                    ..
                },
            ) if elf.is_loadable => {}
            Found::Missing => {
                let found = format!(
                    "the loader `{loader}` of `/{path}`, which the image starts, is not in the image"
                );
                let cause = "use a base image with the C library that the program was built for, or link it statically";
                self.find(Problem::MissingLoader, found, "a loader", cause);
            }
            Found::File(..) | Found::Other => {
                let found = format!(
                    "the loader `{loader}` of `/{path}`, which the image starts, is no loader"
                );
                self.find(
                    Problem::MissingLoader,
                    found,
                    "a loader",
                    "repair the base image: this file belongs to its C library",
                );
            }
        }
    }

    fn find(&mut self, problem: Problem, found: String, expected: impl Into<String>, cause: &str) {
        self.verdict.findings.push(Finding {
            problem,
            path: String::new(),
            found,
            expected: expected.into(),
            layer: None,
            instruction: None,
            package: None,
            looked_for: None,
            cause: cause.to_owned(),
            allow: None,
        });
    }
}

/// One line about the baggage of an image.
fn carried(baggage: &[(Reason, &String)], expected: Machine) -> Option<String> {
    let (_, example) = baggage.first()?;
    let reasons = [
        (
            Reason::Counterpart,
            format!("beside the same file for {expected}"),
        ),
        (
            Reason::OtherSystem,
            "for another operating system".to_owned(),
        ),
        (
            Reason::AnyPlatform,
            format!("of packages for any platform that never had one for {expected}"),
        ),
        (
            Reason::Launcher,
            "one tool of several for several systems".to_owned(),
        ),
        (Reason::Stored, "in a package manager's store".to_owned()),
    ];
    let count = |wanted: Reason| {
        baggage
            .iter()
            .filter(|(reason, _)| *reason == wanted)
            .count()
    };
    let counted = reasons
        .iter()
        .map(|(reason, what)| (count(*reason), what))
        .filter(|(count, _)| *count > 0);
    let counted: Vec<_> = counted
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let files = if baggage.len() == 1 {
        "1 file"
    } else {
        &format!("{} files", baggage.len())
    };
    Some(format!(
        "{files} for another platform, harmless here: {} (such as /{example})",
        counted.join(", ")
    ))
}
