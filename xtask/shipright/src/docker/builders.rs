//! Where an image of a CPU is built, and whether that takes emulation: what buildx tells of a builder's nodes.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};

use super::Docker;
use crate::{
    arch::Arch,
    facts::paths,
    model::builder::Builder,
    parallel::{both, side_by_side},
    plan::{BuildMode, Export, Output, Plan, Source},
};

/// A builder, as `docker buildx inspect` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Described {
    driver: String,
    nodes: Vec<Node>,
}

/// A machine of a builder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    offers: Vec<Offer>,
    is_running: bool,
    /// Whether it writes OCI image layouts, where buildx tells.
    exports_oci: Option<bool>,
}

impl Node {
    fn is_for(&self, arch: Arch) -> bool {
        self.offers.iter().any(|offer| offer.is_for(arch))
    }

    fn is_pinned_for(&self, arch: Arch) -> bool {
        self.offers
            .iter()
            .any(|offer| offer.pinned && offer.is_for(arch))
    }

    /// Of what nobody has pinned, a node names its own platform first.
    fn is_of(&self, arch: Arch) -> bool {
        let mut own = self.offers.iter().filter(|offer| !offer.pinned);
        own.next().is_some_and(|own| own.is_for(arch))
    }
}

/// A platform that a node builds for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    platform: String,
    /// Somebody has said that the node is for this platform. It says nothing of the node's own CPU.
    pinned: bool,
}

impl Offer {
    fn is_for(&self, arch: Arch) -> bool {
        let rest = self.platform.strip_prefix(&arch.platform());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Described {
    fn read(said: &str) -> Self {
        let fields = said.lines().filter_map(|line| line.trim().split_once(':'));
        let mut described = Self::default();
        for (key, value) in fields {
            let is_told = |node: &Node| !node.offers.is_empty();
            let begins = match key {
                "Endpoint" => true,
                "Platforms" => described.nodes.last().is_none_or(is_told),
                _ => false,
            };
            if begins {
                described.nodes.push(Node::default());
            }
            match (key, described.nodes.last_mut()) {
                ("Driver", _) => value.trim().clone_into(&mut described.driver),
                ("Platforms", Some(node)) => {
                    node.offers = value.split(',').filter_map(Self::offer).collect();
                }
                ("Status", Some(node)) => node.is_running = value.trim() == "running",
                ("OCI exporter", Some(node)) => node.exports_oci = value.trim().parse().ok(),
                _ => {}
            }
        }
        described
    }

    fn platforms(&self) -> Vec<String> {
        self.nodes
            .iter()
            .flat_map(|node| &node.offers)
            .map(|offer| offer.platform.clone())
            .collect()
    }

    fn offer(word: &str) -> Option<Offer> {
        let word = word.trim();
        let platform = word.trim_end_matches('*');
        (!platform.is_empty()).then(|| Offer {
            platform: platform.to_owned(),
            pinned: platform != word,
        })
    }

    /// The node that builds for a CPU: buildx takes one that is pinned to the platform, and then the first that has it.
    fn node(&self, arch: Arch) -> Option<&Node> {
        let pinned = self.nodes.iter().find(|node| node.is_pinned_for(arch));
        pinned.or_else(|| self.nodes.iter().find(|node| node.is_for(arch)))
    }

    /// How an image is built. `None` where no node says what it builds.
    fn mode(&self, arch: Arch, engine: Option<Arch>) -> Option<BuildMode> {
        self.nodes.iter().find(|node| !node.offers.is_empty())?;
        let node = self.node(arch);
        if self.driver == "docker" {
            return Some(match engine {
                Some(own) if own == arch => BuildMode::Native,
                _ if node.is_none() => BuildMode::Cross,
                _ => BuildMode::Emulated,
            });
        }
        Some(match node {
            None => BuildMode::Cross,
            Some(node) if node.is_pinned_for(arch) => BuildMode::Pinned,
            Some(node) if node.is_of(arch) => BuildMode::Native,
            Some(_) => BuildMode::Emulated,
        })
    }

    /// How an image leaves the node that builds it. `None` where buildx does not tell.
    fn export(&self, arch: Arch) -> Option<Export> {
        let only = match &self.nodes[..] {
            [only] => Some(only),
            _ => None,
        };
        let node = self.node(arch).or(only)?;
        if node.exports_oci? {
            return Some(Export::OciLayout);
        }
        // Of an engine that it cannot ask, buildx says the same.
        node.is_running.then_some(Export::DockerSave)
    }
}

impl Docker {
    /// The platforms that the current builder can build for, as `linux/arm64`.
    ///
    /// # Errors
    /// A builder that does not answer.
    pub fn platforms(&self) -> Result<Vec<String>> {
        Ok(self.builder(None, true)?.platforms())
    }

    /// The platforms that a builder says it builds, and how it builds for a CPU; docker's current one where none is named. With
    /// `start` it is made where it is not there yet, and started.
    ///
    /// # Errors
    /// A builder that does not exist or does not answer.
    pub fn builder_for(
        &self,
        builder: Option<&Builder>,
        arch: Arch,
        start: bool,
    ) -> Result<(Vec<String>, Option<BuildMode>)> {
        let described = self.builder(builder, start)?;
        Ok((
            described.platforms(),
            described.mode(arch, self.engine_of(builder)),
        ))
    }

    /// Says of each build of a plan how it is done, as far as that can be told without starting anything. Every builder is
    /// asked once, and the engine beside them.
    pub fn resolve_build_modes(&self, plan: &mut Plan) {
        let builds = plan.images.iter().filter_map(|image| image.build());
        let described = self.described(builds.map(|build| build.builder.as_ref()));
        for image in &mut plan.images {
            let Source::Build(build) = &mut image.source else {
                continue;
            };
            let name = build.builder.as_ref().map(|builder| builder.name.clone());
            let its = described.get(&name).and_then(Option::as_ref);
            if matches!(build.output, Output::ContentStore { .. }) {
                build.export = its.and_then(|one| one.export(build.arch));
            }
            build.mode =
                its.and_then(|one| one.mode(build.arch, self.engine_of(build.builder.as_ref())));
            let is_foreign = matches!(build.mode, Some(BuildMode::Emulated | BuildMode::Cross));
            if is_foreign && !paths::executes_on_target(build) {
                build.mode = Some(BuildMode::Assembled);
            }
        }
    }

    /// Asks what a push most often wants to know: what docker's current builder and its engine are. Somebody who asks later has the
    /// answer at once. What cannot be told is told then.
    pub fn ask_early(&self) {
        self.described(std::iter::once(None));
    }

    /// What builders are, and the engine beside them.
    fn described<'b>(
        &self,
        builders: impl Iterator<Item = Option<&'b Builder>>,
    ) -> BTreeMap<Option<String>, Option<Described>> {
        let builders: BTreeMap<_, _> = builders
            .map(|builder| (builder.map(|one| one.name.clone()), builder))
            .collect();
        if builders.is_empty() {
            return BTreeMap::new();
        }
        let builders: Vec<_> = builders.into_iter().collect();
        let ask = |(name, builder): &(Option<String>, Option<&Builder>)| {
            Ok((name.clone(), self.builder(*builder, false).ok()))
        };
        let (_, described) = both(
            || self.native_arch(),
            || side_by_side(builders.len(), &builders, ask),
        );
        described.unwrap_or_default().into_iter().collect()
    }

    /// Makes a builder where it is not there yet, and starts it.
    ///
    /// # Errors
    /// A builder that does not answer, by its place in deploy.toml.
    pub(super) fn bootstrap(&self, builder: &Builder, arch: Arch) -> Result<()> {
        let asked = self.builder(Some(builder), true);
        let about = || {
            format!(
                "[builders] {arch} of deploy.toml cannot be used, {}",
                Builder::shown(Some(builder))
            )
        };
        asked.with_context(about).map(drop)
    }

    fn builder(&self, builder: Option<&Builder>, start: bool) -> Result<Described> {
        if let (Some(builder), true) = (builder, start) {
            self.provide(builder)?;
        }
        let name = builder.map(|builder| builder.name.clone());
        if let (Some(known), false) = (self.known_builders().get(&name), start) {
            return Ok(known.clone());
        }
        let mut words = vec!["inspect"];
        words.extend(start.then_some("--bootstrap"));
        words.extend(builder.map(|builder| builder.name.as_str()));
        // With it buildx tells of what a node can export; and errors are Go's stacks of calls, which nobody wants to read.
        let telling = self.buildx.clone().env("DEBUG", "1");
        let said = telling
            .read(&words)
            .or_else(|_| self.buildx.read(&words))
            .or_else(|error| self.check_buildx().and(Err(error)))?;
        let described = Described::read(&said);
        self.known_builders().insert(name, described.clone());
        Ok(described)
    }

    pub(super) fn known_builders(&self) -> MutexGuard<'_, BTreeMap<Option<String>, Described>> {
        self.builders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The CPU of the engine whose own builder this is. Such a builder has the name of a docker context.
    fn engine_of(&self, builder: Option<&Builder>) -> Option<Arch> {
        match builder.map(|builder| builder.name.as_str()) {
            None | Some("default") => self.native_arch(),
            Some(name) => self
                .tool
                .read(&["--context", name, "version", "--format", "{{.Server.Arch}}"])
                .ok()?
                .parse()
                .ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(driver: &str, nodes: &[&str]) -> Vec<Option<BuildMode>> {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| {
                format!("Name: n\nEndpoint: e\nPlatforms:        {node}\nLabels:\n a.b: c\n")
            })
            .collect();
        let described = Described::read(&format!(
            "Name: x\nDriver:        {driver}\n\nNodes:\n{}",
            nodes.concat()
        ));
        Arch::ALL
            .map(|arch| described.mode(arch, Some(Arch::Amd64)))
            .into()
    }

    #[test]
    fn a_builder_s_nodes_tell_how_it_builds() {
        // Of arm64, and of amd64.
        let order = Arch::ALL.map(Arch::oci);
        let expected = |arm64: BuildMode, amd64: BuildMode| -> Vec<_> {
            order
                .iter()
                .map(|name| {
                    Some(if *name == Arch::Arm64.oci() {
                        arm64
                    } else {
                        amd64
                    })
                })
                .collect()
        };
        let plain = "linux/amd64, linux/amd64/v2, linux/arm64, linux/arm/v7";
        let cases = [
            (
                "docker",
                vec![plain],
                expected(BuildMode::Emulated, BuildMode::Native),
            ),
            (
                "docker",
                vec!["linux/amd64, linux/386"],
                expected(BuildMode::Cross, BuildMode::Native),
            ),
            (
                "docker-container",
                vec![plain],
                expected(BuildMode::Emulated, BuildMode::Native),
            ),
            (
                "docker-container",
                vec!["linux/amd64"],
                expected(BuildMode::Cross, BuildMode::Native),
            ),
            // Each node its own CPU: buildx takes the first that has the platform.
            (
                "remote",
                vec!["linux/amd64", "linux/arm64"],
                expected(BuildMode::Native, BuildMode::Native),
            ),
            (
                "docker-container",
                vec![plain, "linux/arm64, linux/arm/v7"],
                expected(BuildMode::Emulated, BuildMode::Native),
            ),
            (
                "docker-container",
                vec!["linux/arm64*, linux/amd64"],
                expected(BuildMode::Pinned, BuildMode::Native),
            ),
            (
                "kubernetes",
                vec!["linux/amd64*", "linux/arm64*"],
                expected(BuildMode::Pinned, BuildMode::Pinned),
            ),
        ];
        for (driver, nodes, expected) in cases {
            assert_eq!(mode(driver, &nodes), expected, "{driver} {nodes:?}");
        }
        assert_eq!(
            mode("docker-container", &[]),
            [None, None],
            "it is not started"
        );
        assert_eq!(mode("docker-container", &[""]), [None, None]);
    }
}
