//! GitHub Actions.

use std::fmt::Write as _;

use super::{MARK, Stage, Workflow, login, role_variable};
use crate::arch::Arch;

// Actions by commit: a tag can be moved to other code. Each with the release that it is.
const CHECKOUT: &str = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";
const CREDENTIALS: &str =
    "aws-actions/configure-aws-credentials@e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3";
const BUILDX: &str = "docker/setup-buildx-action@37fe631027851001ddb9b187196cc803df7f5f0e # v4.3.0";
const RUNTIME: &str =
    "crazy-max/ghaction-github-runtime@04d248b84655b509d8c44dc1d6f990c879747487 # v4.0.0";
const RUST_CACHE: &str = "Swatinem/rust-cache@6323deb102c322ba6fcbdcafc7e3dddab59af2b6 # v2.9.2";

/// A machine of a CPU. Source: "GitHub-hosted runners reference".
fn runner(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "ubuntu-24.04",
        Arch::Arm64 => "ubuntu-24.04-arm",
    }
}

/// The workflow.
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
    let branches: Vec<_> = workflow.branches.iter().map(|name| quoted(name)).collect();
    let branch = branches.join(", ");
    let mut text = format!(
        "{MARK}{program} ci-workflow github` from deploy.toml: change that, and make this again (`--check` compares).\n\
         #\n# Each service is built on a machine of its CPU. A pull request builds what it changes, and nothing leaves the machine.\n\
         # Roles are assumed by OpenID Connect; there is no key to keep.\n"
    );
    for stage in &workflow.stages {
        let (name, role) = (&stage.environment.name, role_variable(stage.environment));
        let _ = writeln!(text, "# Variable {role}: the ARN of the role for `{name}`.");
    }
    let _ = write!(
        text,
        "name: ship\n\non:\n  pull_request:\n  push:\n    branches: [{branch}]\n  workflow_dispatch:\n\npermissions: {{}}\n\n\
         concurrency:\n  # A pull request's runs take turns; a push never waits for another's approval.\n  group: ship-${{{{ github.event_name == 'pull_request' && github.ref || github.run_id }}}}\n  cancel-in-progress: true\n"
    );
    if workflow.directory != "." {
        let directory = quoted(workflow.directory);
        let _ = write!(
            text,
            "\ndefaults:\n  run:\n    working-directory: {directory}\n"
        );
    }
    text.push_str("\njobs:\n");
    text
}

fn check(text: &mut String, workflow: &Workflow<'_>) {
    text.push_str(
        "  check:\n    name: check ${{ matrix.service }}, ${{ matrix.dockerfile }}, ${{ matrix.arch }}\n    if: github.event_name == 'pull_request'\n    \
         strategy:\n      fail-fast: false\n      matrix:\n        include:\n",
    );
    for one in &workflow.checks {
        let stage = one
            .stage
            .as_ref()
            .map_or_else(String::new, |stage| format!(", stage: {}", quoted(stage)));
        let _ = writeln!(
            text,
            "          - {{ service: {}, dockerfile: {}{stage}, arch: {}, runner: {} }}",
            quoted(&one.service),
            quoted(&one.dockerfile),
            one.arch,
            runner(one.arch)
        );
    }
    let has_stages = workflow.checks.iter().any(|one| one.stage.is_some());
    let stage = if has_stages {
        " ${{ matrix.stage && format('--stage={0}', matrix.stage) }}"
    } else {
        ""
    };
    text.push_str("    runs-on: ${{ matrix.runner }}\n    timeout-minutes: 60\n    permissions:\n      contents: read\n");
    text.push_str("    steps:\n");
    prepare(text, workflow, None);
    let (program, secrets) = (workflow.program, secrets(workflow));
    let _ = write!(
        text,
        "      - name: Build and prove\n        env:\n          SERVICE: ${{{{ matrix.service }}}}\n          \
         DOCKERFILE: ${{{{ matrix.dockerfile }}}}\n          BASE: origin/${{{{ github.base_ref }}}}\n          \
         ARCH: ${{{{ matrix.arch }}}}\n{secrets}        \
         run: {program} docker-build --service \"$SERVICE\" --dockerfile \"$DOCKERFILE\" --arch \"$ARCH\" --since \"$BASE\"{stage}\n"
    );
}

/// The secrets that builds read from variables, as lines of `env`.
fn secrets(workflow: &Workflow<'_>) -> String {
    let line = |name: &&str| format!("          {name}: ${{{{ secrets.{name} }}}}\n");
    workflow.secrets.iter().map(line).collect()
}

/// Checkout, credentials of an environment, a builder, and the tool itself.
fn prepare(text: &mut String, workflow: &Workflow<'_>, stage: Option<&Stage<'_>>) {
    let _ = write!(
        text,
        "      - uses: {CHECKOUT}\n        with:\n          fetch-depth: 0 # git describe and --since need the history\n          \
         persist-credentials: false\n"
    );
    if let Some(stage) = stage {
        let (role, region) = (role_variable(stage.environment), &stage.environment.region);
        let _ = write!(
            text,
            "      - uses: {CREDENTIALS}\n        with:\n          role-to-assume: ${{{{ vars.{role} }}}}\n          \
             aws-region: {region}\n"
        );
    }
    text.push_str(&stage.map(login::steps).unwrap_or_default());
    let _ = writeln!(text, "      - uses: {BUILDX}");
    if workflow.uses_github_cache {
        let _ = writeln!(
            text,
            "      - uses: {RUNTIME} # lets buildx use GitHub's cache"
        );
    }
    if workflow.is_cargo() {
        let _ = writeln!(text, "      - uses: {RUST_CACHE}");
        if workflow.directory != "." {
            let directory = quoted(workflow.directory);
            let _ = write!(text, "        with:\n          workspaces: {directory}\n");
        }
        return;
    }
    let program = workflow.program;
    let _ = write!(
        text,
        "      - name: Install {program}\n        env:\n          SOURCE: ${{{{ vars.SHIPRIGHT_SOURCE }}}} # the address of its git repository\n        \
         run: cargo install --locked --git \"$SOURCE\" {program}\n"
    );
}

fn write_stage(text: &mut String, workflow: &Workflow<'_>, stage: &Stage<'_>) {
    let name = &stage.environment.name;
    let mut needs = match stage.from {
        Some(from) => vec![last_job(workflow, from)],
        None => push(text, workflow, stage),
    };
    if stage.from.is_none() && !stage.indexes.is_empty() {
        needs = vec![index(text, workflow, stage, &needs)];
    }
    let job = job(stage);
    let needs = needs.join(", ");
    let condition = condition(stage);
    let _ = write!(
        text,
        "\n  {job}:\n    needs: [{needs}]\n    if: {condition}\n    runs-on: ubuntu-24.04\n    \
         timeout-minutes: 60\n    environment: {}\n    concurrency: {job}\n    permissions:\n      contents: read\n      id-token: write\n{}    steps:\n",
        quoted(name),
        login::permission(stage)
    );
    prepare(text, workflow, Some(stage));
    if let Some(line) = stage.kubeconfig() {
        let _ = write!(
            text,
            "      - name: Reach the cluster\n        run: {line}\n"
        );
    }
    for (title, command) in commands(stage) {
        let program = workflow.program;
        let _ = write!(
            text,
            "      - name: {title}\n        run: {program} {command}\n"
        );
    }
}

/// When a stage is reached: a protected environment takes its own branch alone.
fn condition(stage: &Stage<'_>) -> String {
    let is_push = "github.event_name != 'pull_request'";
    if !stage.environment.protected {
        return is_push.to_owned();
    }
    let branch = stage.environment.branch.replace('\'', "''");
    format!("{is_push} && github.ref == 'refs/heads/{branch}'")
}

/// What a stage does once its images are built, or those of the environment before it are there.
fn commands(stage: &Stage<'_>) -> Vec<(&'static str, String)> {
    let name = &stage.environment.name;
    let promote = stage
        .from
        .map(|from| ("Promote", format!("promote {from} {name} --yes")));
    let deploy = stage
        .deploys()
        .then(|| ("Deploy", format!("deploy {name} --yes")));
    let verify = stage
        .verifications()
        .into_iter()
        .map(|words| ("Verify", words));
    promote.into_iter().chain(deploy).chain(verify).collect()
}

fn push(text: &mut String, workflow: &Workflow<'_>, stage: &Stage<'_>) -> Vec<String> {
    let (name, program) = (&stage.environment.name, workflow.program);
    let job = format!("push-{}", job_part(name));
    let _ = write!(
        text,
        "\n  {job}:\n    name: push ${{{{ matrix.service }}}} to {name}, ${{{{ matrix.arch }}}}\n    if: github.event_name != 'pull_request'\n    \
         strategy:\n      fail-fast: false\n      matrix:\n        include:\n"
    );
    for (service, arch) in &stage.pushes {
        let _ = writeln!(
            text,
            "          - {{ service: {}, arch: {arch}, runner: {} }}",
            quoted(service),
            runner(*arch)
        );
    }
    let _ = write!(
        text,
        "    runs-on: ${{{{ matrix.runner }}}}\n    timeout-minutes: 60\n    permissions:\n      contents: read\n      id-token: write\n{}    steps:\n",
        login::permission(stage)
    );
    prepare(text, workflow, Some(stage));
    let secrets = secrets(workflow);
    let _ = write!(
        text,
        "      - name: Build, prove and push\n        env:\n          SERVICE: ${{{{ matrix.service }}}}\n          \
         ARCH: ${{{{ matrix.arch }}}}\n{secrets}        \
         run: {program} push {name} --service \"$SERVICE\" --platform \"linux/$ARCH\" --yes\n"
    );
    vec![job]
}

/// Makes the indexes of images that are there for both CPUs, by their digests.
fn index(
    text: &mut String,
    workflow: &Workflow<'_>,
    stage: &Stage<'_>,
    needs: &[String],
) -> String {
    let (name, program) = (&stage.environment.name, workflow.program);
    let job = format!("index-{}", job_part(name));
    let needs = needs.join(", ");
    let _ = write!(
        text,
        "\n  {job}:\n    needs: [{needs}]\n    runs-on: ubuntu-24.04\n    timeout-minutes: 60\n    permissions:\n      contents: read\n      \
         id-token: write\n{}    steps:\n",
        login::permission(stage)
    );
    prepare(text, workflow, Some(stage));
    let services: Vec<_> = stage
        .indexes
        .iter()
        .map(|one| format!("--service {one}"))
        .collect();
    let services = services.join(" ");
    let _ = write!(
        text,
        "      - name: Make the indexes of what was pushed\n        run: {program} push {name} {services} --yes\n"
    );
    job
}

/// The job that moves what runs in an environment, or only promotes to it.
fn job(stage: &Stage<'_>) -> String {
    let what = if stage.deploys() { "deploy" } else { "promote" };
    format!("{what}-{}", job_part(&stage.environment.name))
}

fn last_job(workflow: &Workflow<'_>, name: &str) -> String {
    let mut stages = workflow.stages.iter();
    let stage = stages.find(|stage| stage.environment.name == name);
    stage.map_or_else(|| "check".to_owned(), job)
}

/// An environment's name as a job's may have it. Source: "Workflow syntax": letters, digits, `-` and `_`.
fn job_part(name: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    name.chars().map(fits).collect()
}

/// A YAML string. JSON's are YAML's.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !matches!(
            text,
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
