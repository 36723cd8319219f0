//! Gives a Kubernetes deployment another image, waits for its pods, and undoes it when they do not come.

use anyhow::{Context, Result, anyhow, bail};

use super::{
    super::{
        Deployer, Move, Outcome,
        wait::{self, Heed},
    },
    kubectl::Kubectl,
};
use crate::{
    interrupt,
    model::{kubernetes::Deployment, target::Target},
    plan::targets::eks::EksPlan,
};

/// How long a rollout may take, as `kubectl` takes it.
const TIMEOUT: &str = "--timeout=5m";

impl Deployer<'_> {
    /// Gives a deployment its image, and waits for its pods. When they do not come, the rollout is undone.
    pub fn migrate_eks(&self, kubectl: &Kubectl, plan: &EksPlan) -> Move {
        let done = Move::new(
            &plan.image,
            Target::Eks,
            &plan.deployment,
            plan.from.clone(),
            &plan.to,
        );
        if plan.is_done {
            return done;
        }
        let _deferral = interrupt::defer();
        let mut changed = false;
        match self.roll_out(kubectl, plan, &mut changed) {
            Ok(()) => Move {
                outcome: Outcome::Moved,
                ..done
            },
            Err(error) => {
                self.terminal.failed(&plan.image, &error);
                self.undone(kubectl, plan, changed, done, &error)
            }
        }
    }

    fn undone(
        &self,
        kubectl: &Kubectl,
        plan: &EksPlan,
        changed: bool,
        done: Move,
        error: &anyhow::Error,
    ) -> Move {
        match self.undo(kubectl, plan, changed) {
            Ok(true) => done.failed(Outcome::Restored, error),
            Ok(false) => done.failed(Outcome::Failed, error),
            Err(problem) => {
                let name = &plan.deployment;
                let text = format!("deployment {name} could NOT be restored: {problem:#}");
                self.terminal.error(&text);
                done.failed(Outcome::Failed, &anyhow!("{error:#}\n{text}"))
            }
        }
    }

    fn roll_out(&self, kubectl: &Kubectl, plan: &EksPlan, changed: &mut bool) -> Result<()> {
        wait::check(Heed::Interrupts)?;
        let name = format!("deployment/{}", plan.deployment);
        if plan.from.as_deref() != Some(plan.to.image.as_str()) {
            self.terminal.status(
                "Rolling out",
                &format!("{} to {}", plan.deployment, plan.shown()),
            );
            *changed = true;
            kubectl.set_image(plan, &plan.to.image)?;
        }
        let waited = kubectl.read(&["rollout", "status", &name, TIMEOUT]);
        wait::check(Heed::Interrupts)?;
        if let Err(error) = waited {
            let why = kubectl
                .deployment(&plan.deployment)
                .ok()
                .flatten()
                .and_then(|now| kubectl.trouble(&now));
            return Err(match why {
                Some(why) => error.context(why),
                None => error,
            });
        }
        let now = kubectl
            .deployment(&plan.deployment)?
            .context("the deployment is gone")?;
        let image = image_of(&now, plan)?;
        if image != plan.to.image {
            bail!(
                "deployment {} runs {image}, not {}: somebody else has changed it",
                plan.deployment,
                plan.to.image
            );
        }
        self.terminal.status(
            "Checked",
            &format!("{} runs {}", plan.deployment, plan.shown()),
        );
        Ok(())
    }

    /// Restores what ran before. `false` where there is nothing of ours to restore: a deployment that somebody else has
    /// changed meanwhile is theirs, and one whose pods are all of the image that is wanted has trouble of another kind.
    fn undo(&self, kubectl: &Kubectl, plan: &EksPlan, changed: bool) -> Result<bool> {
        let now = kubectl
            .deployment(&plan.deployment)?
            .context("the deployment is gone")?;
        let image = image_of(&now, plan)?;
        if image != plan.to.image || !changed && !now.is_on_its_way() {
            return Ok(false);
        }
        let name = format!("deployment/{}", plan.deployment);
        self.terminal.status("Restoring", &plan.deployment);
        kubectl.read(&["rollout", "undo", &name, "--request-timeout=1m"])?;
        // A tag may name by now what has just failed: then it is what was pulled of it.
        let before = plan.pinned.as_deref().or(plan.from.as_deref());
        if let Some(from) = before.filter(|from| changed && *from != plan.to.image) {
            // Somebody may have changed something else of the deployment since: then the revision before is ours too.
            let now = kubectl
                .deployment(&plan.deployment)?
                .context("the deployment is gone")?;
            if image_of(&now, plan)? != from {
                kubectl.set_image(plan, from)?;
            }
        }
        kubectl.read(&["rollout", "status", &name, TIMEOUT])?;
        self.terminal.status(
            "Restored",
            &format!("{} runs what it ran before", plan.deployment),
        );
        Ok(true)
    }
}

/// The image of the container that a plan is about.
fn image_of<'d>(deployment: &'d Deployment, plan: &EksPlan) -> Result<&'d str> {
    let found = deployment.container(Some(&plan.container));
    found
        .map(|(_, image)| image)
        .map_err(|refusal| anyhow!("{refusal}: {}", refusal.cure))
}
