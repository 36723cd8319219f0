//! `demo`: the whole story in the sandbox, told as it happens: an image with libraries for the wrong CPU, what finds it, the
//! same built right for both CPUs, and one tag that serves both.

use std::process::ExitCode;

use serde_json::json;
use shipright::{
    Context, NoArguments, Refused, Transient,
    anyhow::{Context as _, Result, bail},
    arch::Arch,
    cli::Global,
    docker::{BuildStep, Docker},
    facts::paths,
    model::refusal::Refusal,
    plan::{
        self, Build, LocalFacts, LocalRequest, MOVABLE_TAGS, Output, Source, Wanted, plan_local,
    },
    proof::{Proof, Prover},
    sandbox::Sandbox,
    session::Session,
    store::ContentStore,
    workspace::Workspace,
};

/// What help says.
pub(crate) const ABOUT: &str = "Tell the whole story in the sandbox: the wrong CPU, what finds it, the right one, and one tag for both";

/// The service that is shown.
const SERVICE: &str = "demo";

/// Prints the heading of the demo's page, without a port.
const ASK: &str = "import server, re\n\
                   page = server.app.test_client().get('/').get_data(as_text=True)\n\
                   print(re.search(r'<h1>(.*?)</h1>', page)[1] + ': ' + re.search(r'<strong>(.*?)</strong>', page)[1])";

/// Tells the story.
pub(crate) fn run(context: &Context, _: &NoArguments) -> Result<ExitCode> {
    let inner = Context::new(Global {
        sandbox: true,
        json: false,
        ..context.global.clone()
    });
    let workspace = Workspace::of(&inner)?;
    if !workspace.config.services.contains_key(SERVICE) {
        let problem = format!("deploy.toml has no service `{SERVICE}`");
        return Err(Refused::from(Refusal::new(
            problem,
            "run this in the repository of this tool",
        ))
        .into());
    }
    if context.global.dry_run {
        let would = "it would build the demo wrong and right, run each, and push an image index of both to the sandbox";
        context.print(&json!({ "plan": would }));
        context.terminal.note(would);
        return Ok(ExitCode::SUCCESS);
    }
    let mut sandbox = workspace.sandbox()?.context("there is no sandbox")?;
    let docker = Workspace::docker(Some(&sandbox));
    let story = Story {
        inner: &inner,
        workspace: &workspace,
        docker: &docker,
    };
    let (proof, seen) = story.wrong(&mut sandbox)?;
    story.say(
        "4. The same with the wheels of the CPU that the image is for. Nothing is emulated while it is built, for either CPU:",
    );
    let mut answers = story.right()?;
    story.say(
        "5. One tag for both CPUs: two images, each proven from the registry, and an index that is made of what was read there:",
    );
    let index = story.index()?;
    // What an earlier run left under this name would be run instead.
    docker.untag(&index);
    for arch in Arch::ALL {
        let answer = docker.run(&index, arch, &["python3", "-c", ASK])?;
        inner
            .terminal
            .status("Works", &format!("{index}: {answer}"));
        answers.push(answer);
    }
    story.say(
        "Look at it: cargo xtask run demo --sandbox. Stop everything: cargo xtask sandbox down.",
    );
    let findings = proof.verdict.findings.len();
    context.print(
        &json!({ "wrong": seen, "findings": findings, "right": answers, "image-index": index }),
    );
    Ok(ExitCode::SUCCESS)
}

/// What the story is told with.
struct Story<'s> {
    inner: &'s Context,
    workspace: &'s Workspace<'s>,
    docker: &'s Docker,
}

impl Story<'_> {
    fn say(&self, text: &str) {
        self.inner.terminal.block(&format!("\n{text}\n"));
    }

    /// The demo's image with libraries for this machine's CPU, under the label of the other: its proof, and what its page says.
    fn wrong(&self, sandbox: &mut Sandbox) -> Result<(Proof, String)> {
        let native = self
            .docker
            .native_arch()
            .context("the engine does not say its CPU")?;
        let foreign = if native == Arch::Amd64 {
            Arch::Arm64
        } else {
            Arch::Amd64
        };
        self.say(&format!(
            "1. This engine runs on {native}. The image is for {foreign}, and pip installs on this machine's CPU, as most \
             people write it first: the image's label will say {foreign}, and its libraries will not be."
        ));
        let name = format!("{}:{SERVICE}-wrong", self.workspace.config.project);
        self.build_wrong(sandbox, foreign, &name)?;
        let proof = Prover::without_memory().in_engine(self.docker, &name, Some(foreign), &[])?;
        if proof.verdict.holds() {
            bail!(
                "the image that was to be wrong is right: {}",
                proof.verdict.summary()
            );
        }
        self.say("2. The proof reads the bytes. A push ends here, before a tag has moved:");
        for group in proof.verdict.groups().iter().take(2) {
            self.inner.terminal.error(group);
        }
        self.say("3. What would have been seen after the deployment, which is where it is hardest to find:");
        let seen = self.docker.run(&name, foreign, &["python3", "-c", ASK])?;
        self.inner.terminal.error(&seen);
        self.docker.untag(&name);
        Ok((proof, seen))
    }

    /// Builds the demo's own Dockerfile, without the words that ask for the target's wheels.
    fn build_wrong(&self, sandbox: &mut Sandbox, arch: Arch, name: &str) -> Result<()> {
        let config = &self.workspace.config;
        let request = LocalRequest {
            services: vec![SERVICE.to_owned()],
            archs: vec![arch],
            arch_from: "the demo",
            dockerfile: None,
            stage: None,
        };
        let build = paths::build_facts(config, None);
        let facts = LocalFacts {
            build,
            ..LocalFacts::default()
        };
        let mut plan = plan_local(config, &request, facts).map_err(Refused)?;
        sandbox.provide_bases(&mut plan, &config.stand_ins, false, &self.inner.terminal)?;
        let image = plan
            .images
            .into_iter()
            .next()
            .context("the plan has no image")?;
        let Source::Build(build) = image.source else {
            bail!("the plan has no build")
        };
        let honest = std::fs::read_to_string(&build.dockerfile)
            .context("the demo's Dockerfile cannot be read")?;
        let lie = honest.replace(" --python-platform \"$platform\"", "");
        if lie == honest {
            bail!(
                "`{}` is not the demo's own: it asks for no platform",
                config.shown(&build.dockerfile).display()
            );
        }
        let made = tempfile::Builder::new().prefix("xtask-demo-").tempdir();
        let directory = Transient::new(made.context("no temporary directory can be made")?.keep());
        let dockerfile = directory.path().join("Dockerfile");
        std::fs::write(&dockerfile, lie).context("the wrong Dockerfile cannot be written")?;
        let build = Build {
            dockerfile,
            output: Output::Engine {
                names: vec![name.to_owned()],
            },
            ..*build
        };
        let activity = self.inner.terminal.activity(name, "", 0);
        self.docker.build(&build, None, None, |step| {
            let BuildStep { done, total, name } = step;
            activity.phase(&format!("build {done}/{total}"), &name);
        })?;
        Ok(())
    }

    /// Builds the demo for both CPUs. Returns what the pages of both say.
    fn right(&self) -> Result<Vec<String>> {
        let config = &self.workspace.config;
        // `DOCKERFILE` in the environment is for other builds.
        let selected =
            plan::one(config, Some(SERVICE), Wanted::default()).map_err(Refused::from)?;
        let dockerfile = selected.image.dockerfile.display().to_string();
        let words = [
            "docker-build",
            "--service",
            SERVICE,
            "--dockerfile",
            &dockerfile,
            "--arch",
            "all",
        ];
        if self.inner.call(&words)? != ExitCode::SUCCESS {
            bail!("the demo was not built");
        }
        let mut answers = Vec::new();
        for arch in Arch::ALL {
            let name = format!("{}:{SERVICE}-{arch}-latest", config.project);
            Prover::without_memory()
                .in_engine(self.docker, &name, Some(arch), &[])?
                .require()?;
            let answer = self.docker.run(&name, arch, &["python3", "-c", ASK])?;
            self.inner.terminal.status("Works", &answer);
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Pushes both images to the sandbox's registry, and an image index of the two. Returns its reference.
    fn index(&self) -> Result<String> {
        let (config, docker, terminal) =
            (&self.workspace.config, self.docker, &self.inner.terminal);
        let environment = config
            .environments
            .keys()
            .next()
            .context("deploy.toml has no environment")?;
        let session = Session::open(self.workspace, environment)?;
        let registry = &session.place.registry;
        let repository = format!("{registry}/{}", config.project);
        session
            .aws
            .writer()
            .create_repository(&config.project, &MOVABLE_TAGS.map(str::to_owned))?;
        let store = ContentStore::open(&config.root)?;
        let connection = session.registry()?;
        let mut images = Vec::new();
        for arch in Arch::ALL {
            let local = format!("{}:{SERVICE}-{arch}-latest", config.project);
            let manifest = docker.save(&local, |stream| store.import(stream))?;
            terminal.status("Pushing", &format!("{registry}/{local}"));
            connection.put_image(&config.project, &manifest, &store, None)?;
            session.repositories().writer().tag(
                &config.project,
                &manifest,
                &format!("{SERVICE}-{arch}-latest"),
            )?;
            images.push(format!("{registry}/{local}"));
        }
        let name = format!("{repository}:{SERVICE}-latest");
        let create = ["manifest", "create", &name]
            .into_iter()
            .chain(images.iter().map(String::as_str))
            .collect();
        for words in [create, vec!["manifest", "push", &name]] {
            if self.inner.call(&words)? != ExitCode::SUCCESS {
                bail!("the index was not made");
            }
        }
        Ok(name)
    }
}
