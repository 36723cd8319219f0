//! GitLab CI/CD.

use std::fmt::Write as _;

use super::{MARK, Stage, Workflow, github::quoted, login, role_variable};
use crate::arch::Arch;

/// A machine of a CPU. Source: "Hosted runners on Linux" in GitLab's documentation.
fn runner(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "saas-linux-small-amd64",
        Arch::Arm64 => "saas-linux-small-arm64",
    }
}

/// The pipeline.
pub(super) fn text(workflow: &Workflow<'_>) -> String {
    let mut text = head(workflow);
    check(&mut text, workflow);
    for stage in &workflow.stages {
        write_stage(&mut text, workflow, stage);
    }
    text
}

fn head(workflow: &Workflow<'_>) -> String {
    let program = workflow.program;
    let mut text = format!(
        "{MARK}{program} ci-workflow gitlab` from deploy.toml: change that, and make this again (`--check` compares).\n\
         #\n# Each service is built on a machine of its CPU. A merge request builds what it changes, and nothing leaves the machine.\n\
         # Roles are assumed by OpenID Connect; there is no key to keep.\n"
    );
    for stage in &workflow.stages {
        let (name, role) = (&stage.environment.name, role_variable(stage.environment));
        let _ = writeln!(text, "# Variable {role}: the ARN of the role for `{name}`.");
    }
    text.push_str("stages:\n  - check\n");
    for stage in &workflow.stages {
        let name = &stage.environment.name;
        if stage.from.is_none() {
            let _ = writeln!(text, "  - {}", quoted(&format!("push {name}")));
        }
        let _ = writeln!(text, "  - {}", quoted(name));
    }
    let install = if workflow.is_cargo() {
        String::new()
    } else {
        format!("    - cargo install --locked --git \"$SHIPRIGHT_SOURCE\" {program}\n")
    };
    let directory = if workflow.directory == "." {
        String::new()
    } else {
        format!("    - cd {}\n", quoted(workflow.directory))
    };
    let target = if workflow.directory == "." {
        "target".to_owned()
    } else {
        quoted(&format!("{}/target", workflow.directory))
    };
    let _ = write!(
        text,
        "\n.tool:\n  image: rust:1-trixie\n  services:\n    - docker:29-dind\n  variables:\n    DOCKER_HOST: tcp://docker:2376\n    \
         DOCKER_TLS_CERTDIR: /certs\n    DOCKER_TLS_VERIFY: \"1\"\n    DOCKER_CERT_PATH: /certs/client\n    GIT_DEPTH: \"0\"\n  \
         before_script:\n    - apt-get update -qq && apt-get install -y -qq docker-cli docker-buildx\n    \
         - docker context create builder && docker buildx create --use builder\n{install}{directory}  cache:\n    key: $CI_JOB_NAME_SLUG\n    paths: [{target}]\n  timeout: 1h\n\n\
         .role:\n  extends: .tool\n  id_tokens:\n    AWS_TOKEN:\n      aud: sts.amazonaws.com\n  variables:\n    \
         AWS_WEB_IDENTITY_TOKEN_FILE: /tmp/aws-token\n  before_script:\n    - !reference [.tool, before_script]\n    \
         - git checkout --quiet -B \"$CI_COMMIT_BRANCH\" \"$CI_COMMIT_SHA\"\n    - printf '%s' \"$AWS_TOKEN\" > \"$AWS_WEB_IDENTITY_TOKEN_FILE\"\n  rules:\n"
    );
    for branch in &workflow.branches {
        let branch = serde_json::Value::from(*branch);
        let _ = writeln!(text, "    - if: $CI_COMMIT_BRANCH == {branch}");
    }
    text
}

fn check(text: &mut String, workflow: &Workflow<'_>) {
    let program = workflow.program;
    text.push_str(
        "\ncheck:\n  extends: .tool\n  stage: check\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n  \
         tags: [\"$RUNNER\"]\n  parallel:\n    matrix:\n",
    );
    for one in &workflow.checks {
        let stage = one
            .stage
            .as_ref()
            .map_or_else(String::new, |stage| format!("--stage={stage}"));
        let _ = writeln!(
            text,
            "      - {{ SERVICE: {}, DOCKERFILE: {}, STAGE: {}, ARCH: {}, RUNNER: {} }}",
            quoted(&one.service),
            quoted(&one.dockerfile),
            serde_json::Value::from(stage),
            one.arch,
            runner(one.arch)
        );
    }
    let _ = write!(
        text,
        "  script:\n    - {program} docker-build --service \"$SERVICE\" --dockerfile \"$DOCKERFILE\" --arch \"$ARCH\" $STAGE \
         --since \"$CI_MERGE_REQUEST_DIFF_BASE_SHA\"\n"
    );
}

fn write_stage(text: &mut String, workflow: &Workflow<'_>, stage: &Stage<'_>) {
    let (name, program) = (&stage.environment.name, workflow.program);
    let role = role_variable(stage.environment);
    let place = format!(
        "  variables:\n    AWS_ROLE_ARN: ${role}\n    AWS_REGION: {}\n",
        stage.environment.region
    );
    if stage.from.is_none() {
        let _ = write!(
            text,
            "\n{}:\n  extends: .role\n  stage: {}\n{place}  tags: [\"$RUNNER\"]\n  parallel:\n    matrix:\n",
            quoted(&format!("push {name}")),
            quoted(&format!("push {name}"))
        );
        for (service, arch) in &stage.pushes {
            let _ = writeln!(
                text,
                "      - {{ SERVICE: {}, ARCH: {arch}, RUNNER: {} }}",
                quoted(service),
                runner(*arch)
            );
        }
        let _ = write!(
            text,
            "  script:\n{}    - {program} push {name} --service \"$SERVICE\" --platform \"linux/$ARCH\" --yes\n",
            login::lines(stage)
        );
    }
    let _ = write!(
        text,
        "\n{}:\n  extends: .role\n  stage: {}\n{place}  environment:\n    name: {}\n  resource_group: {}\n",
        quoted(&format!("deploy {name}")),
        quoted(name),
        quoted(name),
        quoted(name)
    );
    if stage.environment.protected {
        let _ = write!(
            text,
            "  rules:\n    - if: $CI_COMMIT_BRANCH == {}\n      when: manual\n",
            serde_json::Value::from(stage.environment.branch.as_str())
        );
    }
    text.push_str("  script:\n");
    text.push_str(&login::lines(stage));
    if let Some(line) = stage.kubeconfig() {
        text.push_str("    - apt-get install -y -qq awscli kubernetes-client\n");
        let _ = writeln!(text, "    - {line}");
    }
    for command in commands(stage) {
        let _ = writeln!(text, "    - {program} {command}");
    }
}

fn commands(stage: &Stage<'_>) -> Vec<String> {
    let name = &stage.environment.name;
    let promote = stage
        .from
        .map(|from| format!("promote {from} {name} --yes"));
    let index = (stage.from.is_none() && !stage.indexes.is_empty()).then(|| {
        let services: Vec<_> = stage
            .indexes
            .iter()
            .map(|one| format!("--service {one}"))
            .collect();
        format!("push {name} {} --yes", services.join(" "))
    });
    let deploy = stage.deploys().then(|| format!("deploy {name} --yes"));
    let all = promote.into_iter().chain(index).chain(deploy);
    all.chain(stage.verifications()).collect()
}
