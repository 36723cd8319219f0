//! `migrate-lambda`, `migrate-apprunner`, `migrate-eks`: what runs is moved to the image that the environment's tag names.
//!
//! Everything is read, and every image is proven, before anything is changed; one refusal stops all.

use std::process::ExitCode;

use anyhow::Result;

use super::{
    Context, Refused,
    candidate::Finder,
    reach::{self, Reached},
    verify::look_at_nodes,
    workload::{self, Workload},
};
use crate::{
    arch::Arch,
    aws::Identity,
    cli::{Migrate, MigrateLambda},
    deploy::{self, AppRunnerPlan, EksPlan, Hands, Kubectl, Move},
    facts::host,
    interrupt,
    model::{
        function::{Code, Condition, Version},
        refusal::Refusal,
        shell::quoted,
        target::Target,
    },
    plan::{
        self, Selected,
        deployment::{self, Canary, Facts, Wanted},
    },
};

/// What is asked for, beside the images.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A part of the calls that gets the new version first.
    pub canary: Option<Canary>,
}

/// An image for a workload: what a deployment or a rollback has chosen.
pub struct Choice<'c> {
    /// Which image.
    pub selected: Selected<'c>,
    /// What is to run.
    pub code: Code,
    /// The CPUs that it can run on: several, for an image index.
    pub archs: Vec<Arch>,
    /// The published version of a Lambda function that has it.
    pub version: Option<String>,
}

/// Migrates the Lambda functions of an environment.
pub fn lambda(context: &Context, arguments: &MigrateLambda) -> Result<ExitCode> {
    let migration = Migration::open(context, &arguments.migrate.environment, "migrate")?;
    if let Some(to) = arguments.to {
        let policy = migration.reached.config.arch(Target::Lambda);
        if to != policy {
            let problem = format!("`[targets]` says that Lambda runs {policy} here, not {to}");
            let cure = format!("set `lambda = \"{to}\"` under [targets] in deploy.toml, push, and migrate then");
            return Err(Refused::from(Refusal::new(problem, cure)).into());
        }
    }
    let options = Options { canary: arguments.canary.map(|part| Canary { part, time: arguments.time }) };
    migration.newest(&arguments.migrate.service, &[Target::Lambda], options)
}

/// Migrates the App Runner services of an environment.
pub fn apprunner(context: &Context, arguments: &Migrate) -> Result<ExitCode> {
    let migration = Migration::open(context, &arguments.environment, "migrate")?;
    migration.newest(&arguments.service, &[Target::AppRunner], Options::default())
}

/// Migrates the Kubernetes deployments of an environment.
pub fn eks(context: &Context, arguments: &Migrate) -> Result<ExitCode> {
    let migration = Migration::open(context, &arguments.environment, "migrate")?;
    migration.newest(&arguments.service, &[Target::Eks], Options::default())
}

/// An environment whose workloads are to be moved.
pub struct Migration<'c> {
    context: &'c Context,
    /// The environment.
    pub reached: Reached,
    identity: Identity,
    action: &'static str,
}

impl<'c> Migration<'c> {
    /// Reaches an environment, and asks whether this may be changed.
    ///
    /// # Errors
    /// A refusal, or an environment that cannot be reached.
    pub fn open(context: &'c Context, environment: &str, action: &'static str) -> Result<Self> {
        let reached = Reached::open(context, environment)?;
        let identity = reached.guard()?;
        Ok(Self { context, reached, identity, action })
    }

    /// Moves the workloads of these services and targets to what the environment's tags name.
    ///
    /// # Errors
    /// Refusals, before anything was done.
    pub fn newest(&self, services: &[String], targets: &[Target], options: Options) -> Result<ExitCode> {
        let selected = self.selected(services, targets)?;
        let finder = Finder::open(self.context, &self.reached)?;
        let mut choices = Vec::new();
        for selected in selected {
            let arch = self.reached.config.arch(selected.image.target);
            let (code, archs) = finder.choose(selected, &self.reached.tag(selected), arch)?;
            choices.push(Choice { selected, code, archs, version: None });
        }
        self.carry_out(&choices, options)
    }

    /// The targets that can be moved here: a sandbox has neither App Runner nor a cluster.
    pub fn targets(&self) -> Vec<Target> {
        let is_there = |target: &Target| self.reached.sandbox.is_none() || target.is_in_sandbox();
        Target::ALL.into_iter().filter(is_there).collect()
    }

    /// The images of these services that are for these targets.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub fn selected(&self, services: &[String], targets: &[Target]) -> Result<Vec<Selected<'_>>, Refused> {
        let all = self.reached.selected(services)?;
        let chosen: Vec<_> = all.iter().filter(|one| targets.contains(&one.image.target)).copied().collect();
        if chosen.is_empty() {
            if let Some(other) = all.first().filter(|_| self.reached.sandbox.is_some()) {
                let target = other.image.target.title();
                let problem = format!("{} is for {target}, and the sandbox has neither App Runner nor a cluster", other.name());
                return Err(Refusal::new(problem, "name a service with a Lambda image, or leave `--sandbox` out").into());
            }
            let names: Vec<_> = targets.iter().map(|target| target.title()).collect();
            let problem = format!("no image of `{}` is for {}", self.reached.environment.name, names.join(" or "));
            return Err(Refusal::new(problem, "add an image with this target in deploy.toml, or name another service").into());
        }
        Ok(chosen)
    }

    /// Plans and, unless this is a dry run, moves each workload to its choice.
    ///
    /// # Errors
    /// Refusals, before anything was done.
    pub fn carry_out(&self, choices: &[Choice<'_>], options: Options) -> Result<ExitCode> {
        let (workloads, mut refusals) = Refused::part(choices.iter().map(|choice| self.plan(choice, options)))?;
        if choices.iter().any(|choice| choice.selected.image.target.runs_on_nodes()) {
            refusals.extend(self.nodes(choices, &workloads));
        }
        if !refusals.is_empty() {
            return Err(Refused(refusals).into());
        }
        if self.context.global.dry_run {
            workload::show(self.context, &self.reached, &workloads);
            return Ok(ExitCode::SUCCESS);
        }
        if workloads.iter().any(|workload| !workload.is_done()) {
            reach::confirm_protected(self.context, &self.reached.environment)?;
        }
        let hands = self.hands();
        let mut moves = Vec::new();
        for workload in &workloads {
            if interrupt::requested() {
                break;
            }
            let done = match workload {
                Workload::Lambda(plan) => {
                    let done = hands.migrate_lambda(plan);
                    self.tag_function(plan, &done);
                    done
                }
                Workload::AppRunner { plan, .. } => hands.migrate_apprunner(plan),
                Workload::Eks { plan, kubectl } => hands.migrate_eks(kubectl, plan),
            };
            let goes_on = done.succeeded();
            moves.push(done);
            if !goes_on {
                break;
            }
        }
        Ok(workload::report(self.context, &self.reached, &self.identity, self.action, &workloads, &moves))
    }

    fn hands(&self) -> Hands<'_> {
        Hands { aws: &self.reached.aws, terminal: &self.context.terminal }
    }

    fn plan(&self, choice: &Choice<'_>, options: Options) -> Result<Workload> {
        match choice.selected.image.target {
            Target::Lambda => self.plan_lambda(choice, options),
            Target::AppRunner => self.plan_apprunner(choice),
            Target::Eks => self.plan_eks(choice),
        }
    }

    /// What is known of a function, once it can be changed.
    ///
    /// # Errors
    /// A function that cannot be read.
    pub fn function_facts(&self, selected: Selected<'_>) -> Result<Facts> {
        let (config, environment) = (&self.reached.config, &self.reached.environment);
        let name = plan::function_name(config, environment, selected).unwrap_or_default();
        let reader = self.reached.aws.reader();
        let mut function = reader.function(&name)?;
        if function.condition == Condition::Busy && !self.context.global.dry_run {
            self.context.terminal.note(&format!("function {name} is being updated: waiting for its end"));
            function = self.hands().settled(&name)?;
        }
        if !function.exists {
            return Ok(Facts { function, versions: Vec::new(), alias: None });
        }
        let alias = selected.image.alias.as_deref().map(|alias| reader.alias(&name, alias)).transpose()?.flatten();
        Ok(Facts { versions: reader.versions(&name)?, function, alias })
    }

    /// A version of a function, also one that is older than those that are listed.
    ///
    /// # Errors
    /// A function that cannot be read.
    pub fn version(&self, facts: &Facts, number: &str) -> Result<Option<Version>> {
        if let Some(known) = facts.versions.iter().find(|version| version.number == number) {
            return Ok(Some(known.clone()));
        }
        let found = self.reached.aws.reader().version(&facts.function.name, number)?;
        Ok(found.map(|found| Version { number: number.to_owned(), code: found.code() }))
    }

    fn plan_lambda(&self, choice: &Choice<'_>, options: Options) -> Result<Workload> {
        let selected = choice.selected;
        let facts = self.function_facts(selected)?;
        let may_create = self.reached.sandbox.is_some();
        if !facts.function.exists && !may_create {
            return Err(self.no_function(&facts.function.name, &choice.code).into());
        }
        let wanted = Wanted {
            code: choice.code.clone(),
            version: choice.version.clone(),
            alias: selected.image.alias.clone(),
            smoke_payload: selected.image.smoke_payload.clone(),
            canary: options.canary,
            may_create,
        };
        Ok(Workload::Lambda(Box::new(deployment::decide(&selected.name(), facts, wanted).map_err(Refused::from)?)))
    }

    fn no_function(&self, name: &str, code: &Code) -> Refused {
        let image = format!("ImageUri={}", code.image);
        let words = ["--function-name", name, "--package-type", "Image", "--code", &image, "--architectures", code.arch.lambda()];
        let line = format!("aws lambda create-function {} {} --role ROLE-ARN", self.reached.place.flags(), quoted(words));
        Refusal::new(format!("function {name} does not exist"), format!("make it, with a role of yours:\n  {line}")).into()
    }

    fn plan_apprunner(&self, choice: &Choice<'_>) -> Result<Workload> {
        let selected = choice.selected;
        let (config, environment) = (&self.reached.config, &self.reached.environment);
        let name = selected.image.apprunner_service(&config.project, &environment.name, &selected.service.name);
        let reader = self.reached.aws.reader();
        let Some(service) = reader.apprunner_service(&name)? else {
            return Err(Refused::from(Refusal::new(
                format!("App Runner service {name} does not exist in {}", environment.region),
                format!(
                    "App Runner takes no new customers since 2026-04-30; ECS Express Mode would be:\n  {}",
                    deploy::express_mode(None, &choice.code.image, &environment.region)
                ),
            ))
            .into());
        };
        if service.image.is_none() {
            let problem = format!("App Runner service {name} is built from source code, and cannot be given an image");
            return Err(
                Refused::from(Refusal::new(problem, "make a service from an image, or correct `apprunner-service`")).into()
            );
        }
        let configured = service.image.as_deref() == Some(choice.code.image.as_str());
        let is_done = configured
            && service.status == "RUNNING"
            && reader.apprunner_operations(&service.arn)?.first().is_none_or(|operation| operation.succeeded);
        let express = deploy::express_mode(Some(&service), &choice.code.image, &environment.region);
        let plan = AppRunnerPlan {
            image: selected.name(),
            service: name,
            from: service.image.clone(),
            to: choice.code.clone(),
            is_done,
            deploys_by_itself: service.deploys_by_itself,
        };
        Ok(Workload::AppRunner { plan: Box::new(plan), express })
    }

    fn plan_eks(&self, choice: &Choice<'_>) -> Result<Workload> {
        let selected = choice.selected;
        let (config, environment) = (&self.reached.config, &self.reached.environment);
        let name = selected.image.deployment(&config.project, &environment.name, &selected.service.name);
        let kubectl = Kubectl::new(environment.kube_context.as_deref(), environment.cluster.as_deref(), &environment.namespace);
        if environment.protected && environment.kube_context.is_none() {
            let problem = format!("`{}` is protected, and nothing says which cluster kubectl is to change", environment.name);
            let cure = format!("set `kube-context` in [environments.{}]", environment.name);
            return Err(Refused::from(Refusal::new(problem, cure)).into());
        }
        let Some(deployment) = kubectl.deployment(&name)? else {
            let problem = format!("there is no deployment {name} in the namespace {}", environment.namespace);
            let line = quoted(["create", "deployment", &name, &format!("--image={}", choice.code.image)]);
            let cure = format!("make it: kubectl --namespace={} {line}", environment.namespace);
            return Err(Refused::from(Refusal::new(problem, cure)).into());
        };
        if deployment.is_paused() {
            let problem = format!("somebody has paused the rollouts of deployment {name}");
            let cure = format!("kubectl --namespace={} rollout resume deployment/{name}", environment.namespace);
            return Err(Refused::from(Refusal::new(problem, cure)).into());
        }
        let (container, image) = deployment.container(selected.image.container.as_deref())?;
        let plan = EksPlan {
            image: selected.name(),
            container: container.to_owned(),
            from: Some(image.to_owned()),
            is_done: image == choice.code.image && deployment.is_rolled_out(),
            to: choice.code.clone(),
            archs: choice.archs.clone(),
            selects: deployment.selects(),
            deployment: name,
        };
        Ok(Workload::Eks { plan: Box::new(plan), kubectl })
    }

    /// Whether pods land on nodes of their CPU.
    fn nodes(&self, choices: &[Choice<'_>], workloads: &[Workload]) -> Vec<Refusal> {
        let all = choices.iter().filter(|one| one.selected.image.target.runs_on_nodes());
        let (lists, images): (Vec<_>, Vec<_>) = all.partition(|one| one.archs.len() > 1);
        let names = |all: Vec<&Choice<'_>>| all.into_iter().map(|one| one.selected.name()).collect();
        let found = look_at_nodes(&self.reached, names(images), names(lists));
        for note in &found.notes {
            self.context.terminal.note(note);
        }
        let mut refusals: Vec<_> = found
            .mismatches
            .iter()
            .map(|mismatch| Refusal::new(mismatch.clone(), "add nodes of that CPU first: cargo xtask verify eks shows them all"))
            .collect();
        let known: Vec<Arch> = found.nodes.iter().filter_map(|nodes| nodes.arch).collect();
        for workload in workloads {
            let Workload::Eks { plan, .. } = workload else { continue };
            let wanted = plan.to.arch;
            let patch = format!(
                "kubectl --namespace={} patch deployment {} --patch '{{\"spec\":{{\"template\":{{\"spec\":{{\"nodeSelector\":{{\"kubernetes.io/arch\":\"{wanted}\"}}}}}}}}}}'",
                self.reached.environment.namespace, plan.deployment
            );
            match plan.selects {
                Some(arch) if !plan.archs.contains(&arch) => refusals.push(Refusal::new(
                    format!("deployment {} keeps its pods on {arch} nodes, and its image is for {wanted}", plan.deployment),
                    patch,
                )),
                None if known.iter().any(|arch| !plan.archs.contains(arch)) && known.contains(&wanted) => {
                    refusals.push(Refusal::new(
                        format!(
                            "the cluster has nodes of both CPUs, and deployment {} does not say which its pods need",
                            plan.deployment
                        ),
                        patch,
                    ));
                }
                _ => {}
            }
        }
        refusals
    }

    /// Where deploy.toml asks for it, other machines can read what was done from the function itself.
    fn tag_function(&self, plan: &deployment::LambdaPlan, done: &Move) {
        if !self.reached.environment.function_tags || done.outcome != deploy::Outcome::Moved {
            return;
        }
        let when = host::timestamp();
        if let Err(error) = deploy::record_in_tags(self.hands(), &plan.function, done, &self.identity.arn, &when) {
            self.context.terminal.warning(&format!("the deployment is not in the function's tags: {error:#}"));
        }
    }
}
