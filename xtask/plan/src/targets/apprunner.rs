//! What has to be done so that an App Runner service runs an image.

use serde::Serialize;

use super::Choice;
use crate::model::{function::Code, refusal::Refusal};

/// What was read of a service.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The image that it is configured with. `None` where it is built from source code.
    pub image: Option<String>,
    /// Whether it is `RUNNING`: not paused, and no operation is under way.
    pub is_running: bool,
    /// Whether the newest operation has succeeded. A deployment that fails is rolled back by AWS, and the service says `RUNNING`
    /// again, configured with what failed.
    pub newest_succeeded: bool,
    /// Whether it starts a deployment by itself when a tag moves.
    pub deploys_by_itself: bool,
    /// Its size and port.
    pub shape: Shape,
}

/// What the same container would need elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Of a CPU: `1024` is one.
    pub cpu: Option<String>,
    /// In MB.
    pub memory: Option<String>,
    /// Where it listens.
    pub port: Option<String>,
}

/// What is wanted of one service.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppRunnerPlan {
    /// What people call the image.
    pub image: String,
    /// The service.
    pub service: String,
    /// What it is configured with.
    pub from: Option<String>,
    /// What it is to run.
    pub to: Code,
    /// Whether it runs that already.
    pub is_done: bool,
    /// Whether App Runner would start a deployment by itself when a tag moves.
    pub deploys_by_itself: bool,
    /// The same in ECS Express Mode.
    pub express: String,
}

/// Decides. `service` is its name, `facts` are missing where it does not exist.
///
/// # Errors
/// A service that does not exist, or cannot be given an image.
pub fn decide(
    choice: &Choice<'_>,
    service: &str,
    region: &str,
    facts: Option<&Facts>,
) -> Result<AppRunnerPlan, Refusal> {
    let image = &choice.code.image;
    let Some(facts) = facts else {
        let express = express_mode(&Shape::default(), image, region);
        return Err(Refusal::new(
            format!("App Runner service {service} does not exist in {region}"),
            format!(
                "App Runner takes no new customers since 2026-04-30; ECS Express Mode would be:\n  {express}"
            ),
        ));
    };
    if facts.image.is_none() {
        return Err(Refusal::new(
            format!(
                "App Runner service {service} is built from source code, and cannot be given an image"
            ),
            "make a service from an image, or correct `apprunner-service`",
        ));
    }
    let is_configured = facts.image.as_ref() == Some(image);
    Ok(AppRunnerPlan {
        image: choice.selected.name(),
        service: service.to_owned(),
        from: facts.image.clone(),
        to: choice.code.clone(),
        is_done: is_configured && facts.is_running && facts.newest_succeeded,
        deploys_by_itself: facts.deploys_by_itself,
        express: express_mode(&facts.shape, image, region),
    })
}

impl AppRunnerPlan {
    /// The plan for people.
    pub fn lines(&self) -> Vec<String> {
        let now = self.from.as_deref().unwrap_or("nothing");
        let mut lines = vec![format!("App Runner service {} runs {now}", self.service)];
        lines.push(if self.is_done {
            "nothing to do".to_owned()
        } else {
            format!("deploy {}", self.to.image)
        });
        if self.deploys_by_itself {
            lines.push(
                "it deploys by itself when its tag moves: it will not, once it has a digest"
                    .to_owned(),
            );
        }
        lines.push(format!(
            "App Runner takes no new customers; ECS Express Mode would be: {}",
            self.express
        ));
        lines
    }

    /// What people should know once it is done.
    pub fn note(&self) -> String {
        let express = &self.express;
        format!(
            "App Runner takes no new customers since 2026-04-30; ECS Express Mode would be:\n  {express}"
        )
    }
}

/// What the service would need in ECS Express Mode: App Runner takes no new customers.
fn express_mode(shape: &Shape, image: &str, region: &str) -> String {
    let port = shape.port.as_deref().unwrap_or("8080");
    let size = match (&shape.cpu, &shape.memory) {
        (Some(cpu), Some(memory)) => format!(" --cpu {cpu} --memory {memory}"),
        _ => String::new(),
    };
    let container = format!("'{{\"image\":\"{image}\",\"containerPort\":{port}}}'");
    format!(
        "aws ecs create-express-gateway-service --region {region} --primary-container {container}{size} \
         --execution-role-arn ROLE --infrastructure-role-arn ROLE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arch::Arch,
        fixtures::{choice, image, service},
        model::target::Target,
    };

    #[test]
    fn a_service_is_done_when_it_runs_the_image_and_its_newest_operation_succeeded() {
        let service = service(image(Target::AppRunner));
        let decided = |image: Option<&str>, is_running, newest_succeeded| {
            let image = image.map(str::to_owned);
            let facts = Facts {
                image,
                is_running,
                newest_succeeded,
                ..Facts::default()
            };
            decide(
                &choice(&service, Arch::Amd64, &[Arch::Amd64]),
                "api",
                "eu-west-1",
                Some(&facts),
            )
        };
        let is_done =
            |image, running, succeeded| decided(Some(image), running, succeeded).unwrap().is_done;
        assert!(is_done("r/x@sha256:new", true, true));
        assert!(
            !is_done("r/x@sha256:new", true, false),
            "AWS rolled it back"
        );
        assert!(
            !is_done("r/x@sha256:new", false, true),
            "it is paused, or busy"
        );
        assert!(!is_done("r/x@sha256:old", true, true));
        assert!(
            decided(None, true, true)
                .unwrap_err()
                .problem
                .contains("built from source code")
        );
        let missing = decide(
            &choice(&service, Arch::Amd64, &[Arch::Amd64]),
            "api",
            "eu-west-1",
            None,
        )
        .unwrap_err();
        assert!(
            missing
                .cure
                .contains("create-express-gateway-service --region eu-west-1"),
            "{}",
            missing.cure
        );
    }

    #[test]
    fn the_plan_says_what_a_successor_would_need() {
        let service = service(image(Target::AppRunner));
        let shape = Shape {
            cpu: Some("1024".into()),
            memory: Some("2048".into()),
            port: Some("9090".into()),
        };
        let facts = Facts {
            image: Some("old".into()),
            deploys_by_itself: true,
            shape,
            ..Facts::default()
        };
        let plan = decide(
            &choice(&service, Arch::Amd64, &[Arch::Amd64]),
            "api",
            "eu-west-1",
            Some(&facts),
        )
        .unwrap();
        let lines = plan.lines().join("\n");
        for part in [
            "service api runs old",
            "deploy r/x@sha256:new",
            "when its tag moves",
            "--cpu 1024 --memory 2048",
            "9090",
        ] {
            assert!(lines.contains(part), "{part} is not in {lines}");
        }
        assert!(plan.note().contains("ECS Express Mode"));
    }
}
