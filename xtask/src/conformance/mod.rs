//! `conformance`: what the tests' AWS is believed to do, asked of an AWS that somebody has: a scratch account, or the sandbox.
//!
//! It makes a repository and, with a role, a function, both under a name of its own; asks about each rule of
//! `xtask/tests/suite/support/aws/RULES.md` that can be asked about; pushes, moves and goes back with the commands that are tested; and
//! deletes what it made. The tests run it against their own AWS (`conformance.rs`), so that neither can say anything else.

mod ecr;
mod findings;
mod lambda;
mod program;

use std::{path::Path, process::ExitCode, time::Duration};

use findings::Findings;
use serde_json::{Value, json};
use shipright::{
    Context,
    anyhow::{Context as _, Result, bail, ensure},
    aws::{Aws, Connection},
    clap::Args,
    facts::host,
    process::Tool,
    sandbox::Sandbox,
};
use tokio::runtime::Runtime;

use crate::scratch::Scratch;

/// What help says.
pub(crate) const ABOUT: &str = "Ask an AWS of yours whether it does what the tests' own AWS does";

/// What help says at the end.
pub(crate) const HELP: &str = "It needs the permissions of `export iam-policy` for push and deploy, and beside them \
ecr:CreateRepository, ecr:DeleteRepository, ecr:PutImageTagMutability, ecr:BatchDeleteImage, ecr:PutLifecyclePolicy, \
ecr:SetRepositoryPolicy, lambda:CreateFunction, lambda:DeleteFunction and iam:PassRole for the role, and Docker.\n\nExamples:\n  \
cargo xtask conformance --sandbox\n  \
cargo xtask conformance --account 111122223333 --region eu-west-1 --lambda-role arn:aws:iam::111122223333:role/scratch";

/// Where AWS is asked.
#[derive(Debug, Clone, Args)]
#[command(about = ABOUT)]
pub(crate) struct Conformance {
    /// The scratch account, which has to be that of the credentials
    #[arg(long, value_name = "ID", required_unless_present = "sandbox")]
    account: Option<String>,
    /// The region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// A profile of the AWS configuration
    #[arg(long)]
    profile: Option<String>,
    /// The execution role of the function that is made; without one Lambda is left out
    #[arg(long, value_name = "ARN")]
    lambda_role: Option<String>,
}

/// The service of the project that is pushed, and its environment.
const SERVICE: &str = "app";
const ENVIRONMENT: &str = "scratch";

/// Asks, and says what differs.
pub(crate) fn run(context: &Context, arguments: &Conformance) -> Result<ExitCode> {
    if context.global.dry_run {
        let would = "it would make a repository and a function under a name of its own, ask AWS about them, push, deploy and roll back, \
                     and delete both";
        context.print(&json!({ "plan": would }));
        context.terminal.note(would);
        return Ok(ExitCode::SUCCESS);
    }
    let sandbox = if context.global.sandbox {
        Some(Sandbox::up(&context.config()?.root, &context.terminal)?)
    } else {
        None
    };
    let asked = Asked::new(arguments, sandbox.as_ref())?;
    let name = &asked.name;
    context.terminal.status(
        "Asking",
        &format!("AWS about `{name}`, a repository and a function that are deleted at the end"),
    );
    let place = asked.options();
    context.terminal.note(&format!(
        "should this be killed: aws ecr delete-repository --force --repository-name {name}{place}; aws lambda delete-function \
         --function-name {}{place}",
        asked.function()
    ));
    let mut findings = Findings::default();
    let outcome = asked.ask(context, &mut findings);
    let deleted = asked.delete();
    context.print(&json!({ "findings": findings.json() }));
    if let (Err(_), Err(left)) = (&outcome, &deleted) {
        context.terminal.error(format!("{left:#}"));
    }
    outcome?;
    deleted?;
    let (count, differences) = (findings.count(), findings.differences());
    if differences > 0 {
        context
            .terminal
            .block(&findings.shown(context.terminal.width()));
        bail!("{differences} of {count} answers are not those of the tests' AWS");
    }
    context.terminal.status(
        "Checked",
        &format!("{count} answers: all as the tests' AWS gives them"),
    );
    Ok(ExitCode::SUCCESS)
}

/// An AWS, and what is made there.
struct Asked {
    runtime: Runtime,
    connection: Connection,
    /// What programs are given to reach it.
    variables: Vec<(String, String)>,
    role: Option<String>,
    /// The name of all that is made.
    name: String,
    ecr: aws_sdk_ecr::Client,
    lambda: aws_sdk_lambda::Client,
}

impl Asked {
    fn new(arguments: &Conformance, sandbox: Option<&Sandbox>) -> Result<Self> {
        let connection = match sandbox {
            Some(sandbox) => sandbox.connection(),
            None => Connection {
                account: arguments.account.clone().unwrap_or_default(),
                region: arguments.region.clone(),
                profile: arguments.profile.clone(),
                ecr: None,
                endpoint: None,
                dummy_credentials: false,
            },
        };
        let identity = Aws::connect(&connection)?.reader().identity()?;
        ensure!(
            sandbox.is_some() || identity.account == connection.account,
            "`--account` is {}, and the credentials are of {} ({}): nothing was made",
            connection.account,
            identity.account,
            identity.arn
        );
        let of_sandbox = sandbox.map(|_| "arn:aws:iam::000000000000:role/sandbox".to_owned());
        let (runtime, shared) = connection.sdk()?;
        let now = host::now().format("%Y%m%d%H%M%S");
        Ok(Self {
            name: format!("conformance-{now}-{}", std::process::id()),
            ecr: aws_sdk_ecr::Client::new(&shared),
            lambda: aws_sdk_lambda::Client::new(&shared),
            runtime,
            variables: sandbox.map(Sandbox::variables).unwrap_or_default(),
            role: arguments.lambda_role.clone().or(of_sandbox),
            connection,
        })
    }

    /// The AWS CLI's options for where all of it is.
    fn options(&self) -> String {
        let (region, profile) = (&self.connection.region, self.connection.profile.as_ref());
        let profile = profile.map_or_else(String::new, |profile| format!(" --profile {profile}"));
        format!(" --region {region}{profile}")
    }

    fn function(&self) -> String {
        format!("{}-{ENVIRONMENT}-{SERVICE}", self.name)
    }

    fn ask(&self, context: &Context, findings: &mut Findings) -> Result<()> {
        let root = tempfile::tempdir().context("no temporary directory can be made")?;
        let scratch = self.project(root.path())?;
        let push = self.commanded(context, scratch.root(), "push", findings)?;
        let image = &push["images"][0];
        let digest = image["digest"]
            .as_str()
            .context("the push named no digest")?;
        let tag = format!("{SERVICE}-{ENVIRONMENT}-latest");
        let repository = ecr::Repository {
            runtime: &self.runtime,
            client: self.ecr.clone(),
            name: &self.name,
        };
        context.terminal.status("Asking", "ECR");
        repository.ask(&tag, findings)?;
        let Some(role) = &self.role else {
            context
                .terminal
                .note("Lambda is left out: name a role with `--lambda-role`");
            return Ok(());
        };
        let index = repository.make_index(&tag)?;
        let place = push["place"]["registry"].as_str().unwrap_or_default();
        let named = |digest: &str| format!("{place}/{}@{digest}", self.name);
        let (function, image, index) = (self.function(), named(digest), named(&index));
        let function = lambda::Function {
            runtime: &self.runtime,
            client: self.lambda.clone(),
            name: &function,
            role,
            image: &image,
            index: &index,
        };
        context.terminal.status("Asking", "Lambda");
        function.make(findings)?;
        function.ask(findings)?;
        scratch.write("app/version", b"2")?;
        scratch.commit()?;
        for command in ["deploy", "status", "rollback"] {
            self.commanded(context, scratch.root(), command, findings)?;
        }
        Ok(())
    }

    /// A project with one image for Lambda, of one file.
    fn project(&self, root: &Path) -> Result<Scratch> {
        let scratch = Scratch::new(root)?;
        let (account, region, name) = (
            &self.connection.account,
            &self.connection.region,
            &self.name,
        );
        let profile = self.connection.profile.as_ref();
        let profile = profile.map_or_else(String::new, |profile| {
            format!("profile = {}\n", json!(profile))
        });
        let deploy = format!(
            "[project]\nname = \"{name}\"\n\n[environments.{ENVIRONMENT}]\naccount = \"{account}\"\nregion = \"{region}\"\n\
             {profile}create-repository = true\n\n[services.{SERVICE}]\ncontext = \"app\"\nimages = [{{ dockerfile = \"Dockerfile\", \
             target = \"lambda\" }}]\n"
        );
        scratch.write("deploy.toml", deploy.as_bytes())?;
        scratch.write(".gitignore", b"/target\n")?;
        scratch.write("app/version", b"1")?;
        let dockerfile = b"FROM scratch\nCOPY version program /\nENTRYPOINT [\"/program\"]\n";
        scratch.write("app/Dockerfile", dockerfile)?;
        scratch.write("app/program", &program::arm64())?;
        scratch.commit()?;
        Ok(scratch)
    }

    /// Runs a command of this program in the project, and returns its document.
    fn commanded(
        &self,
        context: &Context,
        root: &Path,
        command: &str,
        findings: &mut Findings,
    ) -> Result<Value> {
        context
            .terminal
            .status("Running", &format!("{command} {ENVIRONMENT}"));
        let program = std::env::current_exe().context("this program has no place")?;
        let mut words = vec![command, ENVIRONMENT, "--json", "--yes"];
        words.extend((command == "status").then_some("--check"));
        // What commands keep beside the project is not to be mixed with the user's own.
        let tool = Tool::new(program)
            .directory(root)
            .env("CARGO_TARGET_DIR", root.join("target"))
            .envs(&self.variables);
        let printed = tool.read(&words);
        let found = if printed.is_ok() {
            findings::DONE
        } else {
            "failed"
        };
        findings.hold(
            &format!("`{command}` of this program"),
            findings::DONE,
            found,
        );
        serde_json::from_str(&printed?).with_context(|| format!("`{command}` printed no document"))
    }

    /// Deletes what was made.
    fn delete(&self) -> Result<()> {
        let function = if self.role.is_some() {
            self.deleted_function()
        } else {
            findings::DONE.to_owned()
        };
        let call = self.ecr.delete_repository();
        let call = call.repository_name(&self.name).force(true);
        let repository = findings::outcome(&self.runtime.block_on(call.send()));
        let is_gone =
            |outcome: &str| outcome == findings::DONE || outcome.ends_with("NotFoundException");
        ensure!(
            is_gone(&function) && is_gone(&repository),
            "not all was deleted: function {}: {function}; repository {}: {repository}",
            self.function(),
            self.name
        );
        Ok(())
    }

    /// What comes of deleting the function, which AWS does not do while an update is in progress.
    fn deleted_function(&self) -> String {
        const TRIES: usize = 60;
        const PAUSE: Duration = Duration::from_secs(3);
        let mut outcome = String::new();
        for _ in 0..TRIES {
            let call = self.lambda.delete_function();
            let call = call.function_name(self.function());
            outcome = findings::outcome(&self.runtime.block_on(call.send()));
            if outcome != "ResourceConflictException" {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        outcome
    }
}
