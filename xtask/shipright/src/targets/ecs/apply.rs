//! Gives an ECS service a revision of its task definition with another image and its CPU, and restores the one before when its tasks
//! do not stay.

use std::fmt::Display;

use anyhow::{Context, Result, anyhow, bail};

use super::{
    super::{
        Deployer, Move, Outcome,
        wait::{self, Heed},
    },
    watch::runs,
};
use crate::{
    arch::Arch,
    interrupt,
    model::{
        ecs::{Controller, Service, name_of},
        target::Target,
    },
    plan::targets::ecs::{EcsPlan, Step},
};

/// What a run has done so far.
#[derive(Debug, Default)]
struct Done {
    /// The revision that it gives the service, by its ARN.
    revision: Option<String>,
    /// Whether it has asked for another task definition of the service.
    asked: bool,
    /// Whether it has been told that this was done.
    deployed: bool,
}

impl Deployer<'_> {
    /// Gives a service its image, and follows the deployment to its end. When it fails, or somebody interrupts, the task
    /// definition before is restored.
    pub fn migrate_ecs(&self, plan: &EcsPlan) -> Move {
        let moved = Move::new(
            &plan.image,
            Target::Ecs,
            &plan.service,
            plan.from.clone(),
            &plan.to,
        );
        if plan.is_done() {
            return moved;
        }
        for note in &plan.notes {
            self.terminal.note(&format!("{}: {note}", plan.service));
        }
        let _deferral = interrupt::defer();
        let mut done = Done::default();
        match self.roll_out_ecs(plan, &mut done) {
            Ok(()) => Move {
                outcome: Outcome::Moved,
                ..moved
            },
            Err(error) => {
                self.terminal.failed(&plan.image, &error);
                self.give_up_ecs(plan, &done, moved, &error)
            }
        }
    }

    fn give_up_ecs(&self, plan: &EcsPlan, done: &Done, moved: Move, error: &anyhow::Error) -> Move {
        match self.restore_ecs(plan, done) {
            Ok(true) => moved.failed(Outcome::Restored, error),
            Ok(false) => moved.failed(Outcome::Failed, error),
            Err(problem) => {
                let text = format!(
                    "ECS service {} could NOT be restored: {problem:#}",
                    plan.service
                );
                self.terminal.error(&text);
                moved.failed(Outcome::Failed, &anyhow!("{error:#}\n{text}"))
            }
        }
    }

    fn roll_out_ecs(&self, plan: &EcsPlan, done: &mut Done) -> Result<()> {
        wait::check(Heed::Interrupts)?;
        if plan.steps.contains(&Step::Create) {
            self.create_ecs(plan)?;
        }
        let service = self.ecs_service(plan)?;
        let now = &service.task_definition.arn;
        if plan
            .task_definition
            .as_ref()
            .is_some_and(|then| then != now)
        {
            bail!(
                "somebody else has changed ECS service {} since it was read: run the same command again",
                plan.service
            );
        }
        for step in &plan.steps {
            wait::check(Heed::Interrupts)?;
            match step {
                Step::Create => {}
                Step::Register => {
                    let to = &plan.to;
                    let image = (to.image.as_str(), Some(to.arch));
                    done.revision = Some(self.register(plan, now, image, to)?);
                }
                Step::Update { prepared } => {
                    done.revision = prepared.clone().or(done.revision.take());
                    let revision = done.revision.as_deref();
                    let revision = revision.context("no revision was registered")?;
                    done.asked = true;
                    self.give(plan, &service, revision)?;
                    done.deployed = true;
                }
                Step::UpdateExpress => {
                    let text = format!("{} to {}", plan.service, plan.to);
                    self.terminal.status("Deploying", &text);
                    done.asked = true;
                    let (writer, to) = (self.aws.writer(), &plan.to);
                    writer.update_express(&service.arn, &to.image, to.arch)?;
                    done.deployed = true;
                }
                Step::Wait => self.watch(
                    plan,
                    done.revision.as_deref(),
                    service.controller,
                    Heed::Interrupts,
                )?,
            }
        }
        self.confirm_ecs(plan)
    }

    /// Makes a service in a sandbox, which has none.
    fn create_ecs(&self, plan: &EcsPlan) -> Result<()> {
        let text = format!("ECS service {} in the sandbox", plan.service);
        self.terminal.status("Creating", &text);
        let (place, to) = ((plan.cluster.as_str(), plan.service.as_str()), &plan.to);
        let writer = self.aws.writer();
        writer.create_ecs(place, &plan.container, &to.image, to.arch)
    }

    /// Registers a revision of a task definition with another image and its CPU. `shown` says what that is.
    fn register(
        &self,
        plan: &EcsPlan,
        base: &str,
        (image, arch): (&str, Option<Arch>),
        shown: impl Display,
    ) -> Result<String> {
        let found = self.aws.reader().task_definition(base)?;
        let found = found.with_context(|| format!("the task definition {base} is gone"))?;
        let writer = self.aws.writer();
        let arn = writer.register_task_definition(&found, &plan.container, image, arch)?;
        let text = format!("{} with {shown}", name_of(&arn));
        self.terminal.status("Registered", &text);
        Ok(arn)
    }

    fn give(&self, plan: &EcsPlan, service: &Service, definition: &str) -> Result<()> {
        let text = format!("{} to {}", plan.service, name_of(definition));
        self.terminal.status("Deploying", &text);
        let writer = self.aws.writer();
        match service.controller {
            Controller::Express => writer.update_express_definition(&service.arn, definition),
            _ => writer.update_ecs(&plan.cluster, &plan.service, definition),
        }
    }

    /// Reads everything once more: what was asked for is not evidence.
    fn confirm_ecs(&self, plan: &EcsPlan) -> Result<()> {
        let now = self.ecs_service(plan)?;
        if !runs(plan, &now) {
            bail!(
                "ECS service {} has {}, which is not what was deployed: somebody else has changed it",
                plan.service,
                now.task_definition.name()
            );
        }
        self.terminal
            .status("Checked", &format!("{} runs {}", plan.service, plan.to));
        Ok(())
    }

    /// Restores what ran before. `false` where there is nothing of ours to restore.
    fn restore_ecs(&self, plan: &EcsPlan, done: &Done) -> Result<bool> {
        let is_ours = done.asked || plan.steps == [Step::Wait];
        let restored = is_ours && self.go_back(plan, done)?;
        // What names the family without a revision would start what has just failed.
        if let Some(arn) = done.revision.as_deref().filter(|_| restored || !is_ours)
            && let Err(error) = self.aws.writer().deregister_task_definition(arn)
        {
            self.terminal.warning(&format!("{error:#}"));
        }
        Ok(restored)
    }

    /// Goes back to the task definition before. `false` for a service that somebody else has changed meanwhile, and for one that
    /// still is as it was.
    fn go_back(&self, plan: &EcsPlan, done: &Done) -> Result<bool> {
        let service = self.ecs_service(plan)?;
        let now = Some(&service.task_definition.arn);
        let is_back = plan.previous.as_ref() == now;
        if is_back && !done.deployed || !is_back && !runs(plan, &service) {
            return Ok(false);
        }
        let previous = plan.previous.as_deref().context(
            "ECS does not tell any more what ran before: cargo xtask rollback looks for it in ECR",
        )?;
        let text = format!("{} to {}", plan.service, name_of(previous));
        self.terminal.status("Restoring", &text);
        self.give_back(plan, &service, previous, is_back)?;
        let text = format!("{} runs what it ran before", plan.service);
        self.terminal.status("Restored", &text);
        Ok(true)
    }

    /// Gives a service what it had, unless ECS does so itself, and waits for it. Where Express Mode makes the task definitions, the
    /// image and CPU before tell it.
    fn give_back(
        &self,
        plan: &EcsPlan,
        service: &Service,
        previous: &str,
        is_back: bool,
    ) -> Result<()> {
        let controller = service.controller;
        if !service.is_of_express_alone() {
            let pinned = plan.pinned.as_deref().filter(|_| !is_back);
            let previous = match pinned {
                // The tag in the one before may name what has just failed.
                Some(image) => {
                    let shown = format!("{image}, which is what ran");
                    &self.register(plan, previous, (image, plan.from_arch), shown)?
                }
                None => previous,
            };
            if !is_back {
                self.give(plan, service, previous)?;
            }
            return self.watch(plan, Some(previous), controller, Heed::Nothing);
        }
        let mut back = plan.clone();
        let image = plan.pinned.clone().or_else(|| plan.from.clone());
        back.to.image = image.unwrap_or_default();
        back.to.arch = plan.from_arch.unwrap_or(Arch::Amd64);
        if !is_back {
            let (writer, to) = (self.aws.writer(), &back.to);
            writer.update_express(&service.arn, &to.image, to.arch)?;
        }
        self.watch(&back, None, controller, Heed::Nothing)
    }
}
