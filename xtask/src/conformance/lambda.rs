//! What Lambda does with a function of an image: updates, revisions, versions and aliases.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aws_sdk_lambda::{
    Client,
    operation::get_function::GetFunctionOutput,
    types::{
        AliasRoutingConfiguration, Architecture, FunctionCode, LastUpdateStatus, PackageType, State,
    },
};
use shipright::{
    anyhow::{Context as _, Result, bail},
    arch::Arch,
};
use tokio::runtime::Runtime;

use super::findings::{DONE, Findings, outcome};

/// How long a function may take to be made or updated.
const PATIENCE: Duration = Duration::from_mins(5);

/// A function that this run makes.
pub(super) struct Function<'f> {
    pub runtime: &'f Runtime,
    pub client: Client,
    pub name: &'f str,
    /// The execution role.
    pub role: &'f str,
    /// An image for arm64, by its digest: `REGISTRY/REPOSITORY@sha256:…`.
    pub image: &'f str,
    /// An index of that image, by its digest.
    pub index: &'f str,
}

impl Function<'_> {
    /// Makes the function.
    ///
    /// # Errors
    /// A function that does not come up.
    pub(super) fn make(&self, findings: &mut Findings) -> Result<()> {
        let call = self.client.create_function();
        let call = call
            .function_name(self.name)
            .package_type(PackageType::Image)
            .code(FunctionCode::builder().image_uri(self.image).build())
            .architectures(of(Arch::Arm64))
            .role(self.role);
        let answer = self.runtime.block_on(call.send());
        findings.hold("CreateFunction of an image", DONE, outcome(&answer));
        answer.with_context(|| format!("function {} cannot be made", self.name))?;
        self.settled().map(drop)
    }

    /// Asks everything.
    ///
    /// # Errors
    /// A function that does not settle.
    pub(super) fn ask(&self, findings: &mut Findings) -> Result<()> {
        let function = self.settled()?;
        let resolved = function.code().and_then(|code| code.resolved_image_uri());
        let digest = |uri: &str| uri.split_once('@').map(|(_, digest)| digest.to_owned());
        findings.hold(
            "GetFunction tells the image by its digest",
            &digest(self.image).unwrap_or_default(),
            resolved.and_then(digest).unwrap_or_default(),
        );
        self.ask_for_versions(findings)?;
        self.update(findings)
    }

    fn update(&self, findings: &mut Findings) -> Result<()> {
        let function = self.settled()?;
        let index = self.change(self.index, Arch::Arm64, None);
        findings.hold(
            "UpdateFunctionCode with an index",
            "InvalidParameterValueException",
            index,
        );
        let wrong = "00000000-0000-0000-0000-000000000000";
        findings.hold(
            "UpdateFunctionCode with a RevisionId that is not the function's",
            "PreconditionFailedException",
            self.change(self.image, Arch::Arm64, Some(wrong)),
        );
        let known = function.configuration();
        let known = known.and_then(|about| about.revision_id());
        findings.hold(
            "UpdateFunctionCode with the RevisionId, to the other CPU: the image's own is not compared",
            DONE,
            self.change(self.image, Arch::Amd64, known),
        );
        findings.hold(
            "UpdateFunctionCode while an update is in progress",
            "ResourceConflictException",
            self.change(self.image, Arch::Arm64, None),
        );
        let call = self.client.publish_version().function_name(self.name);
        findings.hold(
            "PublishVersion while an update is in progress",
            "ResourceConflictException",
            outcome(&self.runtime.block_on(call.send())),
        );
        let settled = self.settled()?;
        let arch = settled
            .configuration()
            .and_then(|about| about.architectures().first());
        findings.hold(
            "the CPU after the update",
            Arch::Amd64.lambda(),
            arch.map(Architecture::as_str).unwrap_or_default(),
        );
        findings.hold("and back", DONE, self.change(self.image, Arch::Arm64, None));
        self.settled().map(drop)
    }

    fn ask_for_versions(&self, findings: &mut Findings) -> Result<()> {
        let publish = || {
            let call = self.client.publish_version().function_name(self.name);
            let answer = self.runtime.block_on(call.send());
            (
                outcome(&answer),
                answer.ok().and_then(|answer| answer.version),
            )
        };
        let (found, first) = publish();
        findings.hold("PublishVersion", DONE, found);
        let first = first.context("no version was published")?;
        let (_, again) = publish();
        findings.hold(
            "PublishVersion where nothing has changed gives the same version",
            &first,
            again.unwrap_or_default(),
        );
        self.await_version(&first)?;
        let make = |alias: &str, version: &str, weights: Option<HashMap<String, f64>>| {
            let routing = AliasRoutingConfiguration::builder()
                .set_additional_version_weights(weights)
                .build();
            let call = self.client.create_alias();
            let call = call
                .function_name(self.name)
                .name(alias)
                .function_version(version)
                .routing_config(routing);
            outcome(&self.runtime.block_on(call.send()))
        };
        let half = HashMap::from([(first.clone(), 0.5)]);
        findings.hold(
            "CreateAlias with weights on $LATEST",
            "InvalidParameterValueException",
            make("weighted", "$LATEST", Some(half)),
        );
        findings.hold("CreateAlias", DONE, make("live", &first, None));
        findings.hold(
            "CreateAlias of one that exists",
            "ResourceConflictException",
            make("live", &first, None),
        );
        let call = self.client.get_alias().function_name(self.name);
        let answer = self.runtime.block_on(call.name("missing").send());
        findings.hold(
            "GetAlias of one that does not exist",
            "ResourceNotFoundException",
            outcome(&answer),
        );
        Ok(())
    }

    /// What comes of giving the function an image and a CPU.
    fn change(&self, image: &str, arch: Arch, revision: Option<&str>) -> String {
        let call = self.client.update_function_code();
        let call = call
            .function_name(self.name)
            .image_uri(image)
            .architectures(of(arch))
            .set_revision_id(revision.map(str::to_owned));
        outcome(&self.runtime.block_on(call.send()))
    }

    /// The function, once nothing is in progress.
    fn settled(&self) -> Result<GetFunctionOutput> {
        self.until(None)
    }

    fn await_version(&self, number: &str) -> Result<()> {
        self.until(Some(number)).map(drop)
    }

    fn until(&self, qualifier: Option<&str>) -> Result<GetFunctionOutput> {
        const PAUSE: Duration = Duration::from_millis(500);
        let begun = Instant::now();
        loop {
            let call = self.client.get_function().function_name(self.name);
            let call = call.set_qualifier(qualifier.map(str::to_owned));
            let found = self
                .runtime
                .block_on(call.send())
                .with_context(|| format!("function {} cannot be read", self.name))?;
            let about = found.configuration();
            let is_pending = about.and_then(|about| about.state()) == Some(&State::Pending);
            let update = about.and_then(|about| about.last_update_status());
            if !is_pending && update != Some(&LastUpdateStatus::InProgress) {
                return Ok(found);
            }
            if begun.elapsed() > PATIENCE {
                bail!("function {} does not settle", self.name);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn of(arch: Arch) -> Architecture {
    Architecture::from(arch.lambda())
}
