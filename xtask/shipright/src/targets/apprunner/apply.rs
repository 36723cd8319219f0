//! Gives an App Runner service another image, and follows the operation to its end.
//!
//! A deployment that fails is rolled back by AWS, and the service says `RUNNING` again: the operation tells what came of it,
//! and the service does not.

use anyhow::{Context, Result, bail};

use super::{
    super::{
        Deployer, Move, Outcome,
        wait::{self, Heed, LONG},
    },
    newest_succeeded,
};
use crate::{
    aws::Service, interrupt, model::target::Target, plan::targets::apprunner::AppRunnerPlan,
};

impl Deployer<'_> {
    /// Gives a service its image, and follows the operation to its end.
    pub fn migrate_apprunner(&self, plan: &AppRunnerPlan) -> Move {
        let done = Move::new(
            &plan.image,
            Target::AppRunner,
            &plan.service,
            plan.from.clone(),
            &plan.to,
        );
        if plan.is_done {
            return done;
        }
        let _deferral = interrupt::defer();
        match self.deploy(plan) {
            Ok(()) => Move {
                outcome: Outcome::Moved,
                ..done
            },
            Err((outcome, error)) => {
                self.terminal.failed(&plan.image, &error);
                done.failed(outcome, &error)
            }
        }
    }

    fn deploy(&self, plan: &AppRunnerPlan) -> Result<(), (Outcome, anyhow::Error)> {
        let failed = |error| (Outcome::Failed, error);
        wait::check(Heed::Interrupts).map_err(failed)?;
        let service = self.idle(&plan.service).map_err(failed)?;
        let operation = if service.image.as_deref() == Some(plan.to.image.as_str()) {
            if newest_succeeded(self.aws.reader(), &service.arn).map_err(failed)? {
                return Ok(());
            }
            self.terminal
                .status("Deploying", &format!("{} once more", plan.service));
            self.aws
                .writer()
                .start_apprunner(&service)
                .map_err(failed)?
        } else {
            self.terminal
                .status("Deploying", &format!("{} to {}", plan.service, plan.to));
            self.aws
                .writer()
                .update_apprunner(&service, &plan.to.image)
                .map_err(failed)?
        };
        let status = self.follow(&plan.service, &service.arn, &operation).map_err(|error| {
            let text = format!(
                "the deployment of {} goes on at AWS; look at it there, and run the same command when it has ended",
                plan.service
            );
            (Outcome::Failed, error.context(text))
        })?;
        match status.as_str() {
            "SUCCEEDED" => {}
            "ROLLBACK_SUCCEEDED" => {
                let text = format!(
                    "App Runner could not start {} on {} and went back to what it ran before: its logs are in CloudWatch, \
                     /aws/apprunner/{}",
                    plan.to.image, plan.to.arch, plan.service
                );
                return Err((Outcome::Restored, anyhow::Error::msg(text)));
            }
            other => {
                let text = format!(
                    "the deployment of {} ended as {other}: look at the service in the console",
                    plan.service
                );
                return Err((Outcome::Failed, anyhow::Error::msg(text)));
            }
        }
        let now = self.read(&plan.service).map_err(failed)?;
        if now.image.as_deref() != Some(plan.to.image.as_str()) {
            let text = format!(
                "{} is configured with {:?} after the deployment",
                plan.service, now.image
            );
            return Err(failed(anyhow::Error::msg(text)));
        }
        self.terminal
            .status("Checked", &format!("{} runs {}", plan.service, plan.to));
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Service> {
        self.aws
            .reader()
            .apprunner_service(name)?
            .with_context(|| format!("App Runner service {name} is gone"))
    }

    /// Waits until no operation is under way: another one would be refused.
    fn idle(&self, name: &str) -> Result<Service> {
        let mut is_told = false;
        wait::until(
            &format!("an operation of App Runner service {name}"),
            LONG,
            Heed::Interrupts,
            || {
                let service = self.read(name)?;
                match service.status.as_str() {
                    "RUNNING" => Ok(Some(service)),
                    "OPERATION_IN_PROGRESS" => {
                        if !is_told {
                            self.terminal.note(&format!(
                                "{name} is busy with another operation: waiting for its end"
                            ));
                            is_told = true;
                        }
                        Ok(None)
                    }
                    "PAUSED" => {
                        bail!(
                            "App Runner service {name} is paused: aws apprunner resume-service --service-arn {}",
                            service.arn
                        )
                    }
                    other => bail!("App Runner service {name} is {other}: it takes no deployment"),
                }
            },
        )
    }

    fn follow(&self, name: &str, arn: &str, id: &str) -> Result<String> {
        wait::until(
            &format!("the deployment of App Runner service {name}"),
            LONG,
            Heed::Interrupts,
            || {
                let operations = self.aws.reader().apprunner_operations(arn)?;
                let found = operations.into_iter().find(|operation| operation.id == id);
                Ok(found
                    .filter(|operation| !operation.is_running)
                    .map(|operation| operation.status))
            },
        )
    }
}
