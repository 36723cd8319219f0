//! Which steps lead from what an ECS service is to what it is to run.

use super::{super::Choice, EcsPlan, Facts, Named, Step};
use crate::{
    arch::Arch,
    model::{
        ecs::{Capacity, Controller, Rollout, Service},
        function::Code,
        nodes::Nodes,
        refusal::Refusal,
    },
};

/// Decides.
///
/// # Errors
/// A service that does not exist, that something else deploys, whose container is not told, or that has no instance of the CPU.
pub fn decide(choice: &Choice<'_>, named: Named<'_>, facts: &Facts) -> Result<EcsPlan, Refusal> {
    let Some(service) = &facts.service else {
        return created(choice, named).ok_or_else(|| missing(named, &facts.others));
    };
    deployable(named, service)?;
    let selected = choice.selected.image;
    let container = service.container(selected.container.as_deref(), named.repository)?;
    let to = &choice.code;
    instance_refusal(named, to.arch, service, &facts.instances)?;
    let is_wanted = container.image == to.image && service.arch() == Some(to.arch);
    let steps = match (is_wanted, service.primary().map(|one| one.rollout)) {
        (true, Some(Rollout::Completed)) => Vec::new(),
        (true, Some(Rollout::InProgress)) => vec![Step::Wait],
        _ if service.is_of_express_alone() => vec![Step::UpdateExpress, Step::Wait],
        (true, _) => update(Some(service.task_definition.arn.clone())),
        (false, _) => update(facts.prepared.clone()),
    };
    Ok(EcsPlan {
        image: choice.selected.name(),
        cluster: named.cluster.to_owned(),
        service: named.service.to_owned(),
        container: container.name.clone(),
        from: Some(container.image.clone()),
        pinned: None,
        no_way_back: None,
        from_arch: service.arch(),
        task_definition: Some(service.task_definition.arn.clone()),
        previous: previous(service, is_wanted),
        notes: notes(service, &container.name, to, &steps, &facts.instances),
        to: to.clone(),
        steps,
    })
}

fn created(choice: &Choice<'_>, named: Named<'_>) -> Option<EcsPlan> {
    named.may_create.then(|| EcsPlan {
        image: choice.selected.name(),
        cluster: named.cluster.to_owned(),
        service: named.service.to_owned(),
        container: choice.selected.service.name.clone(),
        from: None,
        pinned: None,
        no_way_back: None,
        from_arch: None,
        task_definition: None,
        previous: None,
        to: choice.code.clone(),
        steps: vec![Step::Create, Step::Wait],
        notes: Vec::new(),
    })
}

fn update(prepared: Option<String>) -> Vec<Step> {
    let register = prepared.is_none().then_some(Step::Register);
    let rest = [Step::Update { prepared }, Step::Wait];
    register.into_iter().chain(rest).collect()
}

/// What a failed deployment goes back to. Where an earlier run has already changed the service, that is what still runs beside it.
fn previous(service: &Service, is_wanted: bool) -> Option<String> {
    let now = &service.task_definition.arn;
    if !is_wanted {
        return Some(now.clone());
    }
    let others = service.deployments.iter();
    let mut others = others.filter(|one| !one.is_primary && one.task_definition != *now);
    others.next().map(|one| one.task_definition.clone())
}

fn missing(named: Named<'_>, others: &[String]) -> Refusal {
    let Named {
        service,
        cluster,
        region,
        ..
    } = named;
    let cure = if others.is_empty() {
        format!(
            "the cluster has no service: set `ecs-cluster` in the environment, or make one, with any image, by Terraform or: \
             aws ecs create-service --region {region} --cluster {cluster} --service-name {service} --task-definition FAMILY"
        )
    } else {
        format!(
            "set `ecs-service` on the image, or `ecs-cluster` in the environment: the cluster has {}",
            others.join(", ")
        )
    };
    Refusal::new(
        format!("the ECS cluster {cluster} has no service {service} in {region}"),
        cure,
    )
}

fn deployable(named: Named<'_>, service: &Service) -> Result<(), Refusal> {
    let name = named.service;
    let who = match service.controller {
        Controller::Rolling | Controller::Staged | Controller::Express => {
            return linux(named, service);
        }
        Controller::CodeDeploy => "AWS CodeDeploy",
        Controller::External => "an external controller",
    };
    Err(Refusal::new(
        format!("{who} deploys the ECS service {name}, and nobody else may"),
        "let ECS deploy it (`deploymentController` of type `ECS`, which knows blue/green as well), or take `target = \"ecs\"` from \
         the image and let a pipeline give CodeDeploy the image by the digest of `cargo xtask export env`",
    ))
}

fn linux(named: Named<'_>, service: &Service) -> Result<(), Refusal> {
    if service.task_definition.is_linux {
        return Ok(());
    }
    let (name, family) = (named.service, &service.task_definition.family);
    Err(Refusal::new(
        format!(
            "the task definition {family} of ECS service {name} runs Windows, and the image is for Linux"
        ),
        "register a revision with `operatingSystemFamily` `LINUX`, or correct `ecs-service`",
    ))
}

/// Fargate before platform version 1.4.0 has no Graviton, and a cluster may have no instance of the CPU.
/// Source: "Amazon ECS task definitions for 64-bit ARM workloads" in ECS' developer guide.
fn instance_refusal(
    named: Named<'_>,
    arch: Arch,
    service: &Service,
    instances: &[Nodes],
) -> Result<(), Refusal> {
    let Named {
        service: name,
        cluster,
        region,
        ..
    } = named;
    if service.capacity == Capacity::Fargate {
        let old = service.platform_version.as_deref();
        let is_old = old.is_some_and(|version| version.starts_with("1.") && version < "1.4.0");
        return if is_old && arch == Arch::Arm64 {
            Err(Refusal::new(
                format!(
                    "ECS service {name} asks for Fargate {}, which has no Graviton",
                    old.unwrap_or_default()
                ),
                format!(
                    "aws ecs update-service --region {region} --cluster {cluster} --service {name} --platform-version LATEST"
                ),
            ))
        } else {
            Ok(())
        };
    }
    let known: Vec<_> = instances.iter().filter_map(|one| one.arch).collect();
    if known.is_empty() || known.contains(&arch) {
        return Ok(());
    }
    let all: Vec<_> = instances.iter().map(Nodes::shown).collect();
    Err(Refusal::new(
        format!(
            "the image is for {arch}, and no instance that ECS service {name} may use is: {}",
            all.join(", ")
        ),
        "add instances of that CPU to the capacity provider first, or set `ecs` under [targets] and push again",
    ))
}

fn notes(
    service: &Service,
    container: &str,
    to: &Code,
    steps: &[Step],
    instances: &[Nodes],
) -> Vec<String> {
    let mut notes = Vec::new();
    if steps.is_empty() {
        return notes;
    }
    let arch = to.arch;
    let moves = service.arch().is_some_and(|now| now != arch);
    let others = service.task_definition.containers.iter();
    let others: Vec<_> = others.filter(|one| one.name != container).collect();
    for other in others.iter().filter(|_| moves) {
        notes.push(format!(
            "its container {} goes to {arch} as well: cargo xtask verify image {} --arch {arch}",
            other.name, other.image
        ));
    }
    if instances
        .iter()
        .any(|one| one.arch.is_some_and(|now| now != arch))
    {
        notes.push(format!(
            "the cluster has instances of both CPUs: tasks need the placement constraint `attribute:ecs.cpu-architecture == {}`",
            arch.lambda()
        ));
    }
    if !service.has_circuit_breaker && service.controller == Controller::Rolling {
        notes.push(
            "the service has no deployment circuit breaker: three tasks that fail end the deployment here, and nowhere else"
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{choice, image, service as shop},
        model::{
            ecs::{Container, Deployment, TaskDefinition},
            target::Target,
        },
    };

    const NAMED: Named<'static> = Named {
        service: "api",
        cluster: "main",
        region: "eu-west-1",
        repository: "x",
        may_create: false,
    };

    fn deployment(is_primary: bool, definition: &str, rollout: Rollout) -> Deployment {
        Deployment {
            id: format!("ecs-svc/{definition}"),
            is_primary,
            task_definition: definition.into(),
            rollout,
            reason: None,
            failed: 0,
            running: 1,
        }
    }

    fn found(image: &str, arch: Option<Arch>, rollout: Rollout) -> Service {
        let containers = [("web", image), ("proxy", "envoy:1")].map(|(name, image)| Container {
            name: name.into(),
            image: image.into(),
        });
        Service {
            arn: "arn:service/main/api".into(),
            controller: Controller::Rolling,
            capacity: Capacity::Fargate,
            platform_version: None,
            has_circuit_breaker: true,
            task_definition: TaskDefinition {
                arn: "arn:task-definition/api:2".into(),
                family: "api".into(),
                arch,
                containers: containers.into(),
                is_linux: true,
            },
            deployments: vec![
                deployment(true, "arn:task-definition/api:2", rollout),
                deployment(false, "arn:task-definition/api:1", Rollout::Completed),
            ],
        }
    }

    fn decided(service: Service, more: Facts) -> Result<EcsPlan, Refusal> {
        let shop = shop(image(Target::Ecs));
        let facts = Facts {
            service: Some(service),
            ..more
        };
        decide(&choice(&shop, Arch::Arm64, &[Arch::Arm64]), NAMED, &facts)
    }

    const NEW: &str = "r/x@sha256:new";
    const ARM: Option<Arch> = Some(Arch::Arm64);

    #[test]
    fn a_service_is_done_when_image_and_cpu_are_right_and_its_deployment_has_ended() {
        let steps = |image, arch, rollout| {
            decided(found(image, arch, rollout), Facts::default())
                .unwrap()
                .steps
        };
        let all = update(None);
        assert_eq!(all[0], Step::Register);
        assert_eq!(steps(NEW, ARM, Rollout::Completed), []);
        assert_eq!(steps(NEW, ARM, Rollout::InProgress), [Step::Wait]);
        assert_eq!(
            steps(NEW, ARM, Rollout::Failed),
            update(Some("arn:task-definition/api:2".into())),
            "the same revision once more"
        );
        assert_eq!(steps("r/x:old", ARM, Rollout::Completed), all);
        assert_eq!(
            steps(NEW, None, Rollout::Completed),
            all,
            "Fargate runs x86_64 where nothing is said"
        );
        assert_eq!(steps(NEW, Some(Arch::Amd64), Rollout::Completed), all);
    }

    #[test]
    fn a_revision_that_an_earlier_run_registered_is_taken() {
        let prepared = Some("arn:task-definition/api:3".to_owned());
        let facts = Facts {
            prepared: prepared.clone(),
            ..Facts::default()
        };
        let plan = decided(found("r/x:old", ARM, Rollout::Completed), facts).unwrap();
        assert_eq!(plan.steps, [Step::Update { prepared }, Step::Wait]);
        assert!(plan.lines()[1].contains("api:3"), "{:?}", plan.lines());
    }

    #[test]
    fn a_failed_deployment_goes_back_to_what_ran_before_it() {
        let previous = |image| {
            let plan = decided(found(image, ARM, Rollout::InProgress), Facts::default());
            plan.unwrap().previous
        };
        assert_eq!(
            previous("r/x:old").as_deref(),
            Some("arn:task-definition/api:2")
        );
        assert_eq!(
            previous(NEW).as_deref(),
            Some("arn:task-definition/api:1"),
            "an earlier run has changed the service"
        );
        let mut alone = found(NEW, ARM, Rollout::InProgress);
        alone.deployments.pop();
        assert_eq!(decided(alone, Facts::default()).unwrap().previous, None);
    }

    #[test]
    fn what_cannot_be_deployed_is_refused_with_what_to_do() {
        let refused = |change: fn(&mut Service)| {
            let mut service = found("r/x:old", None, Rollout::Completed);
            change(&mut service);
            decided(service, Facts::default()).unwrap_err()
        };
        let code_deploy = refused(|one| one.controller = Controller::CodeDeploy);
        assert!(code_deploy.problem.contains("AWS CodeDeploy deploys"));
        let external = refused(|one| one.controller = Controller::External);
        assert!(external.problem.contains("an external controller"));
        let windows = refused(|one| one.task_definition.is_linux = false);
        assert!(windows.problem.contains("Windows"));
        let old = refused(|one| one.platform_version = Some("1.3.0".into()));
        assert!(old.cure.contains("--platform-version LATEST"), "{old}");
        let container = refused(|one| one.task_definition.containers[0].image = "r/y:1".into());
        assert!(container.cure.contains("container"), "{container}");

        let shop = shop(image(Target::Ecs));
        let choice = choice(&shop, Arch::Arm64, &[Arch::Arm64]);
        let missing = |others: &[&str]| {
            let others = others.iter().map(|one| (*one).to_owned()).collect();
            let facts = Facts {
                others,
                ..Facts::default()
            };
            decide(&choice, NAMED, &facts).unwrap_err()
        };
        assert!(missing(&["web", "worker"]).cure.contains("web, worker"));
        assert!(missing(&[]).cure.contains("--service-name api"));
        let sandbox = Named {
            may_create: true,
            ..NAMED
        };
        let plan = decide(&choice, sandbox, &Facts::default()).unwrap();
        assert_eq!(plan.steps, [Step::Create, Step::Wait]);
        assert!(plan.lines()[0].contains("does not exist"));
    }

    #[test]
    fn an_express_service_is_given_its_image_in_one_call() {
        let mut service = found("r/x:old", None, Rollout::Completed);
        service.controller = Controller::Express;
        service.task_definition.containers[0].name = "Main".into();
        let plan = decided(service.clone(), Facts::default()).unwrap();
        assert_eq!(
            plan.steps[0],
            Step::Register,
            "it has a container of somebody's own"
        );
        service.task_definition.containers.pop();
        let plan = decided(service, Facts::default()).unwrap();
        assert_eq!(plan.steps, [Step::UpdateExpress, Step::Wait]);
        assert_eq!(plan.container, "Main");
        assert!(plan.lines()[1].contains("on ARM64"), "{:?}", plan.lines());
    }

    #[test]
    fn tasks_need_an_instance_of_their_cpu_and_sidecars_move_along() {
        let instances = |archs: &[Arch]| {
            let instance = |arch: &Arch| Nodes {
                source: "ECS".into(),
                name: "i-1".into(),
                arch: Some(*arch),
                evidence: "x".into(),
            };
            let mut service = found("r/x:old", Some(Arch::Amd64), Rollout::Completed);
            service.capacity = Capacity::Instances { providers: vec![] };
            service.has_circuit_breaker = false;
            let facts = Facts {
                instances: archs.iter().map(instance).collect(),
                ..Facts::default()
            };
            decided(service, facts)
        };
        let refused = instances(&[Arch::Amd64]).unwrap_err();
        assert!(refused.problem.contains("ECS i-1 is amd64"), "{refused}");
        let notes = instances(&[]).unwrap().notes;
        assert!(
            notes[0].contains("container proxy goes to arm64"),
            "{notes:?}"
        );
        assert!(
            notes[1].contains("no deployment circuit breaker"),
            "{notes:?}"
        );
        let both = instances(&[Arch::Amd64, Arch::Arm64]).unwrap().notes;
        assert!(
            both[1].contains("ecs.cpu-architecture == arm64"),
            "{both:?}"
        );
        let same = decided(found("r/x:old", ARM, Rollout::Completed), Facts::default());
        assert_eq!(same.unwrap().notes, [""; 0]);
    }
}
