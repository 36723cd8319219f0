//! Whether a build executes programs of the CPU that the image is for.
//!
//! Source: BuildKit builds the stages that the wanted one needs, and no others; each `RUN` is executed on the platform of its stage.

use std::collections::BTreeMap;

use crate::model::{Model, Platform, Stage, StepKind};

impl Model {
    /// Whether building a stage (or the last) for a platform such as `linux/arm64` executes programs of that platform, with these
    /// build arguments. Where a variable leaves open what is built, it may.
    pub fn executes_on_target(
        &self,
        stage: Option<&str>,
        given: &BTreeMap<String, String>,
        target: &str,
    ) -> bool {
        let last = match stage {
            Some(name) => self.place(name),
            None => self.stages.len().checked_sub(1),
        };
        let Some(last) = last else { return true };
        let (mut needed, mut waiting) = (vec![false; self.stages.len()], vec![last]);
        while let Some(place) = waiting.pop() {
            if !std::mem::replace(&mut needed[place], true) {
                waiting.extend(self.needs(place, given));
            }
        }
        let mut stages = self.stages.iter().zip(needed).filter(|(_, needed)| *needed);
        stages.any(|(stage, _)| stage.is_for(target) && stage.executes())
    }

    /// The stages that a stage needs itself.
    fn needs(&self, place: usize, given: &BTreeMap<String, String>) -> Vec<usize> {
        let stage = &self.stages[place];
        let is_open = stage.steps.iter().any(|step| {
            matches!(
                step.kind,
                StepKind::Copy {
                    is_chosen: true,
                    ..
                }
            )
        });
        let base = self.expand(&stage.image, given);
        if is_open || base.is_none() {
            return (0..place).collect();
        }
        let named = base.and_then(|base| self.place(&base));
        let reads = stage.steps.iter().flat_map(|step| &step.reads).copied();
        reads
            .chain(named.filter(|base| *base < place))
            .chain(stage.parent)
            .collect()
    }
}

impl Stage {
    fn is_for(&self, target: &str) -> bool {
        match &self.platform {
            Platform::Build => false,
            Platform::Constant(platform) => platform.starts_with(target),
            Platform::Unsaid | Platform::Target | Platform::Variable => true,
        }
    }

    fn executes(&self) -> bool {
        let mut kinds = self.steps.iter().map(|step| &step.kind);
        kinds.any(|kind| matches!(kind, StepKind::Run(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_built_for_the_target_counts() {
        let builder = "FROM --platform=$BUILDPLATFORM golang AS b\nRUN go build\n";
        let cases = [
            ("FROM alpine\nRUN true\n", None, true),
            ("FROM alpine\nCOPY a /a\n", None, false),
            (
                &*format!("{builder}FROM scratch\nCOPY --from=b /x /x\n"),
                None,
                false,
            ),
            (
                &*format!("{builder}FROM alpine AS c\nRUN true\nFROM b\nCOPY --from=c /x /x\n"),
                None,
                true,
            ),
            (
                &*format!(
                    "{builder}FROM alpine AS c\nRUN true\nFROM b\nRUN --mount=from=c,target=/c ls /c\n"
                ),
                None,
                true,
            ),
            // A stage that nothing needs is not built.
            (
                &*format!(
                    "FROM alpine AS test\nRUN true\n{builder}FROM scratch\nCOPY --from=b /x /x\n"
                ),
                None,
                false,
            ),
            (
                "FROM alpine AS one\nCOPY a /a\nFROM one AS two\nRUN true\n",
                Some("one"),
                false,
            ),
            (
                "FROM alpine AS one\nRUN true\nFROM one AS two\nCOPY a /a\n",
                Some("two"),
                true,
            ),
            (
                "FROM --platform=linux/amd64 alpine\nRUN true\n",
                None,
                false,
            ),
            (
                "FROM --platform=linux/arm64/v8 alpine\nRUN true\n",
                None,
                true,
            ),
            // Which stage it goes on from is said by a build argument, or not at all.
            (
                "ARG KIND\nFROM alpine AS base-a\nRUN true\nFROM alpine AS base-b\nFROM base-${KIND}\n",
                None,
                true,
            ),
            (
                "ARG KIND=b\nFROM alpine AS base-a\nRUN true\nFROM alpine AS base-b\nFROM base-${KIND}\n",
                None,
                false,
            ),
            (
                "ARG V\nFROM alpine AS a\nRUN true\nFROM alpine\nCOPY --from=${V} /x /x\n",
                None,
                true,
            ),
        ];
        for (text, stage, expected) in cases {
            let model = Model::parse(text).unwrap();
            let found = model.executes_on_target(stage, &BTreeMap::new(), "linux/arm64");
            assert_eq!(found, expected, "{text}");
        }
    }
}
