//! What made each layer of an image, and which come with its base image, from the history in its config.

use image_oci::{Config, Step};
use serde::Serialize;

/// What made a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The base image. See [`layers`] for how that is told.
    Base,
    /// A `COPY` of the image's own.
    Copy,
    /// An `ADD`.
    Add,
    /// A `RUN`.
    Run,
    /// Another instruction.
    Other,
    /// The history does not tell.
    Unknown,
}

impl Kind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base image",
            Self::Copy => "COPY",
            Self::Add => "ADD",
            Self::Run => "RUN",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// What made a layer, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// By what.
    pub kind: Kind,
    /// The instruction, shortened, without the values of build arguments. Empty where it is not known.
    pub instruction: String,
}

/// The most characters of an instruction that are shown.
const SHOWN: usize = 240;

/// What made each of so many layers, bottom first.
///
/// A config does not say where its base image ends. Base images end with the program that they start, so everything up to the last
/// `CMD` or `ENTRYPOINT` that has layers above it is taken for the base image: an image that sets its program in the middle of its own
/// layers is told wrongly. Source: Trivy does the same (`GuessBaseImageIndex`), with `CMD` alone; Lambda's base images end with an
/// `ENTRYPOINT`.
pub fn layers(config: &Config, count: usize) -> Vec<Made> {
    let steps = &config.history;
    let made: Vec<_> = steps.iter().filter(|step| !step.empty_layer).collect();
    if made.len() != count {
        let unknown = Made {
            kind: Kind::Unknown,
            instruction: String::new(),
        };
        return vec![unknown; count];
    }
    let base = base_layers(steps);
    let made = made.into_iter().enumerate();
    made.map(|(place, step)| layer(step, place < base))
        .collect()
}

fn layer(step: &Step, is_base: bool) -> Made {
    let instruction = instruction(&step.created_by);
    let kind = match instruction.split(' ').next() {
        _ if is_base => Kind::Base,
        Some("COPY") => Kind::Copy,
        Some("ADD") => Kind::Add,
        Some("RUN") => Kind::Run,
        Some("") | None => Kind::Unknown,
        Some(_) => Kind::Other,
    };
    Made {
        kind,
        instruction: shortened(&instruction),
    }
}

/// An instruction of a history as people may be shown it: shortened, and without the values of build arguments.
pub fn shown(created_by: &str) -> String {
    shortened(&instruction(created_by))
}

/// How many layers come with the base image.
fn base_layers(steps: &[Step]) -> usize {
    let mut base = 0;
    let mut layers = 0;
    let total = steps.iter().filter(|step| !step.empty_layer).count();
    for step in steps {
        if !step.empty_layer {
            layers += 1;
        } else if sets_program(&step.created_by) && layers < total {
            base = layers;
        }
    }
    base
}

fn sets_program(created_by: &str) -> bool {
    let word = created_by
        .trim_start_matches(NOTHING_RUN)
        .split_whitespace()
        .next();
    matches!(word, Some("CMD" | "ENTRYPOINT"))
}

/// How Docker's classic builder writes down an instruction that ran nothing.
const NOTHING_RUN: &str = "/bin/sh -c #(nop)";

/// The shell that runs an instruction when nothing else is said.
const SHELL: &str = "/bin/sh -c ";

/// An instruction as it stood in the Dockerfile: builders write down the shell as well.
fn instruction(created_by: &str) -> String {
    let text = created_by.trim();
    let text = text.strip_suffix("# buildkit").unwrap_or(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(rest) = text.strip_prefix(NOTHING_RUN) {
        return rest.trim().to_owned();
    }
    let (run, is_classic) = match text.strip_prefix("RUN ") {
        Some(run) => (run, false),
        None => (
            text.as_str(),
            text.starts_with(SHELL) || text.starts_with('|'),
        ),
    };
    if run.len() == text.len() && !is_classic {
        return text;
    }
    format!("RUN {}", command(run))
}

/// The command of a `RUN`. The values of build arguments stand before it, `|2 A=1 B=2 /bin/sh -c …`: they may be what nobody should see
/// on a page. They end where the shell begins; a value may have the shell's
/// name in it, so what stands before its last one is left out.
fn command(run: &str) -> String {
    if !run.starts_with('|') {
        return run.strip_prefix(SHELL).unwrap_or(run).to_owned();
    }
    let count = run[1..].split(' ').next().unwrap_or_default();
    let rest = run.rsplit_once(SHELL).or_else(|| run.rsplit_once(" -c "));
    match rest {
        Some((_, command)) => command.to_owned(),
        None => format!("… (with {count} build arguments)"),
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(steps: &[(&str, bool)]) -> Config {
        let history = steps.iter().map(|(created_by, empty_layer)| Step {
            created_by: (*created_by).to_owned(),
            empty_layer: *empty_layer,
        });
        Config {
            history: history.collect(),
            ..Config::default()
        }
    }

    fn kinds(steps: &[(&str, bool)]) -> Vec<&'static str> {
        let count = steps.iter().filter(|(_, empty)| !empty).count();
        let made = layers(&config(steps), count).into_iter();
        made.map(|made| made.kind.name()).collect()
    }

    #[test]
    fn the_base_image_ends_with_the_program_that_it_starts() {
        let python = [
            ("# debian.sh --arch 'arm64' out/ 'trixie'", false),
            ("CMD [\"bash\"]", true),
            ("RUN /bin/sh -c set -eux; apt-get update # buildkit", false),
            ("CMD [\"python3\"]", true),
            ("WORKDIR /app", false),
            ("COPY . . # buildkit", false),
            ("RUN /bin/sh -c pip install . # buildkit", false),
            ("ADD x.tar / # buildkit", false),
            ("CMD [\"app\"]", true),
        ];
        assert_eq!(
            kinds(&python),
            ["base image", "base image", "other", "COPY", "RUN", "ADD"]
        );
        let lambda = [
            ("ADD file:abc in / ", false),
            ("ENTRYPOINT [ \"/lambda-entrypoint.sh\" ]", true),
            ("COPY x y", false),
        ];
        assert_eq!(kinds(&lambda), ["base image", "COPY"]);
        let scratch = [
            ("COPY /app /app # buildkit", false),
            ("ENTRYPOINT [\"/app\"]", true),
        ];
        assert_eq!(kinds(&scratch), ["COPY"]);
        let classic = [
            ("/bin/sh -c #(nop) ADD file:a in / ", false),
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", true),
            ("/bin/sh -c apk add x", false),
            ("/bin/sh -c #(nop) COPY dir:b in / ", false),
        ];
        assert_eq!(kinds(&classic), ["base image", "RUN", "COPY"]);
    }

    #[test]
    fn a_history_that_does_not_fit_the_layers_tells_nothing() {
        let one = config(&[("COPY a b", false)]);
        let made = layers(&one, 2);
        assert!(made.len() == 2 && made.iter().all(|made| made.kind == Kind::Unknown));
        assert_eq!(layers(&config(&[("", false)]), 1)[0].kind, Kind::Unknown);
        assert!(layers(&Config::default(), 0).is_empty());
    }

    #[test]
    fn instructions_are_shown_as_they_stood_in_the_dockerfile_without_the_values_of_build_arguments()
     {
        for (created_by, expected) in [
            (
                "RUN /bin/sh -c pip   install\t. # buildkit",
                "RUN pip install .",
            ),
            (
                "RUN |2 TOKEN=hunter2 B=b c /bin/sh -c make # buildkit",
                "RUN make",
            ),
            (
                "RUN |1 TOKEN=hunter2 /bin/bash -o pipefail -c make",
                "RUN make",
            ),
            ("RUN |1 A=/bin/sh -c hunter2 /bin/sh -c make", "RUN make"),
            (
                "RUN |1 TOKEN=hunter2 powershell make",
                "RUN … (with 1 build arguments)",
            ),
            ("|1 TOKEN=hunter2 /bin/sh -c make", "RUN make"),
            ("RUN [\"/bin/tool\"]", "RUN [\"/bin/tool\"]"),
            ("/bin/sh -c #(nop) COPY file:a in /b ", "COPY file:a in /b"),
            ("COPY <b> /c # buildkit", "COPY <b> /c"),
            ("bazel build ...", "bazel build ..."),
            ("|", "RUN … (with  build arguments)"),
        ] {
            assert_eq!(instruction(created_by), expected, "{created_by}");
        }
        let long = format!("COPY {}", "é".repeat(1000));
        let shown = &layers(&config(&[(&long, false)]), 1)[0].instruction;
        assert_eq!(shown.chars().count(), SHOWN + 1);
    }
}
