//! `demo`: the whole story in the sandbox, told as it happens: an image with libraries for the wrong CPU, what finds it, the
//! same built right for both CPUs, and one tag that serves both.

use std::process::ExitCode;

use serde_json::json;
use shipright::{
    Context, NoArguments, Refused, Transient,
    anyhow::{Context as _, Result, bail},
    arch::Arch,
    cli::Global,
    docker::{Docker, Others, Session},
    facts::host,
    model::{config::Config, refusal::Refusal},
    plan::{self, Build, LocalRequest, MOVABLE_TAGS, Plan, Source, plan_local},
    proof::Kept,
    sandbox,
    tasks::Reached,
};

/// What help says.
pub const ABOUT: &str = "Tell the whole story in the sandbox: the wrong CPU, what finds it, the right one, and one tag for both";

/// The service that is shown.
const SERVICE: &str = "demo";

/// Prints the heading of the demo's page, without a port.
const ASK: &str = "import server, re\n\
                   page = server.app.test_client().get('/').get_data(as_text=True)\n\
                   print(re.search(r'<h1>(.*?)</h1>', page)[1] + ': ' + re.search(r'<strong>(.*?)</strong>', page)[1])";

/// Tells the story.
pub fn run(context: &Context, _: &NoArguments) -> Result<ExitCode> {
    let global = Global { sandbox: true, json: false, ..context.global.clone() };
    let inner = Context::new(global);
    let mut config = inner.config()?;
    if !config.services.contains_key(SERVICE) {
        let problem = format!("deploy.toml has no service `{SERVICE}`");
        return Err(Refused::from(Refusal::new(problem, "run this in the repository of this tool")).into());
    }
    if context.global.dry_run {
        let would = "it would build the demo wrong and right, run each, and push an image index of both to the sandbox";
        context.print(&json!({ "plan": would }));
        context.terminal.note(would);
        return Ok(ExitCode::SUCCESS);
    }
    let say = |text: &str| context.terminal.block(&format!("\n{text}\n"));
    let sandbox = sandbox::for_command(true, false, &mut config, &inner.terminal)?.context("there is no sandbox")?;
    let docker = Docker::new(&sandbox.docker_env());
    let native = docker.native_arch().context("the engine does not say its CPU")?;
    let foreign = if native == Arch::Amd64 { Arch::Arm64 } else { Arch::Amd64 };

    say(&format!(
        "1. This engine runs on {native}. The image is for {foreign}, and pip installs on this machine's CPU, as most people \
         write it first: the image's label will say {foreign}, and its libraries will not be."
    ));
    let wrong = format!("{}:{SERVICE}-wrong", config.project);
    build_wrong(&inner, &config, &docker, sandbox, foreign, &wrong)?;
    let proof = docker.prove(&wrong, Some(foreign), &[], &Kept::nothing())?;
    if proof.verdict.holds() {
        bail!("the image that was to be wrong is right: {}", proof.verdict.summary());
    }
    say("2. The proof reads the bytes. A push ends here, before a tag has moved:");
    for group in proof.verdict.groups().iter().take(2) {
        inner.terminal.error(group);
    }
    say("3. What would have been seen after the deployment, which is where it is hardest to find:");
    let seen = docker.ask(&wrong, foreign, &["python3", "-c", ASK])?;
    inner.terminal.error(&seen);
    docker.forget(&wrong);

    say("4. The same with the wheels of the CPU that the image is for. Nothing is emulated while it is built, for either CPU:");
    // `DOCKERFILE` in the environment is for other builds.
    let dockerfile = plan::one(&config, Some(SERVICE), None).map_err(Refused::from)?.image.dockerfile.display().to_string();
    let code = inner.call(&["docker-build", "--service", SERVICE, "--dockerfile", &dockerfile, "--arch", "all"])?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let mut answers = Vec::new();
    for arch in Arch::ALL {
        let name = format!("{}:{SERVICE}-{arch}-latest", config.project);
        docker.prove(&name, Some(arch), &[], &Kept::nothing())?.require()?;
        let answer = docker.ask(&name, arch, &["python3", "-c", ASK])?;
        inner.terminal.status("Works", &answer);
        answers.push(answer);
    }

    say("5. One tag for both CPUs: two images, each proven from the registry, and an index that is made of what was read there:");
    let listed = list(&inner, &config, &docker)?;
    // What an earlier run left under this name would be run instead.
    docker.forget(&listed);
    for arch in Arch::ALL {
        let answer = docker.ask(&listed, arch, &["python3", "-c", ASK])?;
        inner.terminal.status("Works", &format!("{listed}: {answer}"));
        answers.push(answer);
    }
    say("Look at it: cargo xtask run demo --sandbox. Stop everything: cargo xtask sandbox down.");
    context.print(&json!({ "wrong": seen, "findings": proof.verdict.findings.len(), "right": answers, "image-index": listed }));
    Ok(ExitCode::SUCCESS)
}

/// The demo's own Dockerfile, without the words that ask for the target's wheels.
fn build_wrong(
    inner: &Context,
    config: &Config,
    docker: &Docker,
    mut sandbox: sandbox::Session,
    arch: Arch,
    name: &str,
) -> Result<()> {
    let request = LocalRequest { services: vec![SERVICE.to_owned()], archs: vec![arch], arch_from: "the demo", dockerfile: None };
    let mut plan: Plan = plan_local(config, &request, None, host::ca_bundle().as_deref(), &[]).map_err(Refused)?;
    sandbox.provide_bases(&mut plan, false, &inner.terminal)?;
    let image = plan.images.into_iter().next().context("the plan has no image")?;
    let Source::Build(build) = image.source else { bail!("the plan has no build") };
    let honest = std::fs::read_to_string(&build.dockerfile).context("the demo's Dockerfile cannot be read")?;
    let lie = honest.replace(" --python-platform \"$platform\"", "");
    if lie == honest {
        bail!("`{}` is not the demo's own: it asks for no platform", config.shown(&build.dockerfile).display());
    }
    let folder = tempfile::Builder::new().prefix("xtask-demo-").tempdir().context("no temporary folder can be made")?;
    let folder = Transient::new(folder.keep());
    let dockerfile = folder.path().join("Dockerfile");
    std::fs::write(&dockerfile, lie).context("the wrong Dockerfile cannot be written")?;
    let build = Build { dockerfile, names: vec![name.to_owned()], ..*build };
    docker.build(&build, None, |line| inner.terminal.detail(line))?;
    Ok(())
}

/// Pushes both images to the sandbox's registry, and an image index of the two. Returns its reference.
fn list(inner: &Context, config: &Config, docker: &Docker) -> Result<String> {
    let environment = config.environments.keys().next().context("deploy.toml has no environment")?;
    let reached = Reached::open(inner, environment)?;
    let repository = format!("{}/{}", reached.place.registry, config.project);
    reached.aws.writer().create_repository(&config.project, &MOVABLE_TAGS)?;
    let session = Session::open(docker, &reached.place.registry, reached.aws.reader(), Others::LeftOut)?;
    let mut images = Vec::new();
    for arch in Arch::ALL {
        let name = format!("{repository}:{SERVICE}-{arch}-latest");
        docker.name(&format!("{}:{SERVICE}-{arch}-latest", config.project), &name)?;
        inner.terminal.status("Pushing", &name);
        docker.push(&session, &name, |line| inner.terminal.detail(line))?;
        docker.forget(&name);
        images.push(name);
    }
    let name = format!("{repository}:{SERVICE}-latest");
    let images = images.iter().map(String::as_str);
    for words in [["manifest", "create", &name].into_iter().chain(images).collect(), vec!["manifest", "push", &name]] {
        if inner.call(&words)? != ExitCode::SUCCESS {
            bail!("the index was not made");
        }
    }
    Ok(name)
}
