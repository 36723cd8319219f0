//! `bench`: this tool against the flow that it replaces, in turn, on the same engine and the same sandbox, through a proxy that makes
//! the network as far away as is wanted. Ratios come first: the machine's own speed is in both.

mod flow;
mod project;
mod proxy;

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use flow::{Flow, Place, Programs, Run};
use project::{Change, Project};
use proxy::Passed;
use serde_json::{Value, json};
use shipright::{
    Context,
    anyhow::{Context as _, Result},
    arch::Arch,
    clap::Args,
    facts::{host, state},
    process::Tool,
    sandbox::Sandbox,
};

/// What help says.
pub(crate) const ABOUT: &str =
    "Measure pushes and deployments against the flow that this tool replaces";

/// What is measured.
#[derive(Debug, Clone, Args)]
#[command(about = ABOUT)]
pub(crate) struct Bench {
    /// How many services the project has
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4])]
    services: Vec<usize>,
    /// What has changed between two pushes
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Change::Nothing, Change::Commit, Change::Layer, Change::Everything])]
    changes: Vec<Change>,
    /// How long a round trip takes, in milliseconds
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20, 80])]
    round_trips: Vec<u64>,
    /// The size of the large layer, in megabytes
    #[arg(long, default_value_t = 30)]
    megabytes: usize,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only pushes, without the update of Lambda functions
    #[arg(long)]
    push_only: bool,
}

/// One line of the table: what was done, and its median run by each flow.
struct Cell {
    services: usize,
    change: Change,
    round_trip: u64,
    with_function: bool,
    medians: BTreeMap<Flow, Run>,
}

impl Cell {
    fn seconds(&self, flow: Flow) -> f64 {
        self.medians
            .get(&flow)
            .map_or(f64::NAN, |run| run.took.as_secs_f64())
    }

    /// The documented flow's time, in times of ours.
    fn faster(&self) -> f64 {
        self.seconds(Flow::Documented) / self.seconds(Flow::Ours)
    }

    fn json(&self) -> Value {
        let run = |run: &Run| json!({ "seconds": run.took.as_secs_f64(), "asked": run.asked, "phases": run.phases });
        let medians: serde_json::Map<_, _> = self
            .medians
            .iter()
            .map(|(flow, median)| (flow.name().to_owned(), run(median)))
            .collect();
        json!({
            "services": self.services, "changed": self.change.name(), "round-trip-ms": self.round_trip,
            "lambda": self.with_function, "faster": self.faster(), "medians": medians,
        })
    }

    fn line(&self) -> String {
        let asked = |flow: Flow, what: &str| {
            let run = self.medians.get(&flow);
            run.map_or_else(String::new, |run| run.asked[what].to_string())
        };
        let what = if self.with_function { "deploy" } else { "push" };
        let (ours, theirs) = (Flow::Ours, Flow::Documented);
        format!(
            "{:>5.1}x  {what:<6} {:>2} services, {:<10} {:>2} ms: {:>6.2} s against {:>6.2} s ({:>5.2} s the builds alone); processes {} \
             against {}, requests {} against {}",
            self.faster(),
            self.services,
            self.change.name(),
            self.round_trip,
            self.seconds(ours),
            self.seconds(theirs),
            self.seconds(Flow::Builds),
            asked(ours, "processes"),
            asked(theirs, "processes"),
            asked(ours, "requests"),
            asked(theirs, "requests"),
        )
    }
}

/// Measures, and prints a line for each thing that was measured.
pub(crate) fn run(context: &Context, arguments: &Bench) -> Result<ExitCode> {
    let root = context.config()?.root;
    if context.global.dry_run {
        let would = "it would make projects of services in a temporary directory, and push them to the sandbox by each flow in turn";
        context.print(&json!({ "plan": would }));
        context.terminal.note(would);
        return Ok(ExitCode::SUCCESS);
    }
    let sandbox = Sandbox::up(&root, &context.terminal)?;
    let directory = state::directory(&root)?.join("bench");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("failed to make `{}`", directory.display()))?;
    let aws = aws_cli(context, &directory)?;
    let variables = sandbox.variables();
    let is_path = |(name, value): &(String, String)| (name == "PATH").then(|| value.clone());
    let path = variables
        .iter()
        .find_map(is_path)
        .or_else(|| host::variable("PATH"));
    let path = path.context("PATH is not set")?;
    let shell = Tool::new("sh").env("PATH", &path);
    let docker = shell.read(&["-c", "command -v docker"])?;
    let programs = Programs::new(&directory, &docker, &aws, &path)?;
    let port = sandbox
        .endpoint()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    let (port, passed) = proxy::start(port.context("the sandbox has no port")?)?;
    let registry = format!("localhost:{port}");
    let setting = Setting {
        context,
        arguments,
        variables: &variables,
        programs: &programs,
        registry: &registry,
        passed: &passed,
    };
    let mut cells = Vec::new();
    for services in &arguments.services {
        cells.extend(setting.measure(*services)?);
    }
    context.print(&json!({ "cells": cells.iter().map(Cell::json).collect::<Vec<_>>() }));
    let lines: Vec<_> = cells.iter().map(Cell::line).collect();
    context.terminal.block(&lines.join("\n"));
    Ok(ExitCode::SUCCESS)
}

/// What all measurements have in common.
struct Setting<'s> {
    context: &'s Context,
    arguments: &'s Bench,
    variables: &'s [(String, String)],
    programs: &'s Programs,
    registry: &'s str,
    passed: &'s Passed,
}

impl Setting<'_> {
    fn measure(&self, services: usize) -> Result<Vec<Cell>> {
        let root = tempfile::tempdir().context("no temporary directory can be made")?;
        let mut project = Project::new(root.path(), services, self.arguments.megabytes)?;
        let names = project.services();
        let place = Place {
            root: root.path(),
            registry: self.registry,
            variables: self.variables,
            programs: self.programs,
            passed: self.passed,
            services: &names,
        };
        self.passed.delay(Duration::ZERO);
        // It fails where there is one.
        let _ = self.aws().read(&[
            "ecr",
            "create-repository",
            "--repository-name",
            project::DOCUMENTED,
        ]);
        // Both know the project before anything is measured.
        for flow in [Flow::Ours, Flow::Documented, Flow::Builds] {
            place.run(flow, false)?;
        }
        self.make_functions(&names)?;
        let mut cells = Vec::new();
        for round_trip in &self.arguments.round_trips {
            for with_function in [false, true] {
                if with_function && self.arguments.push_only {
                    continue;
                }
                for change in &self.arguments.changes {
                    self.passed.delay(Duration::from_millis(*round_trip));
                    let medians = self.in_turn(&place, &mut project, *change, with_function)?;
                    let cell = Cell {
                        services,
                        change: *change,
                        round_trip: *round_trip,
                        with_function,
                        medians,
                    };
                    self.context.terminal.status("Measured", &cell.line());
                    cells.push(cell);
                }
            }
        }
        Ok(cells)
    }

    fn in_turn(
        &self,
        place: &Place<'_>,
        project: &mut Project,
        change: Change,
        with_function: bool,
    ) -> Result<BTreeMap<Flow, Run>> {
        let mut runs: BTreeMap<Flow, Vec<Run>> = BTreeMap::new();
        if change == Change::Nothing {
            // The newest commit was made for another flow.
            for flow in [Flow::Ours, Flow::Documented, Flow::Builds] {
                place.run(flow, with_function)?;
            }
        }
        for _ in 0..self.arguments.runs.max(1) {
            for flow in [Flow::Ours, Flow::Documented, Flow::Builds] {
                project.change(change)?;
                runs.entry(flow)
                    .or_default()
                    .push(place.run(flow, with_function)?);
            }
        }
        let median = |mut runs: Vec<Run>| {
            runs.sort_by_key(|run| run.took);
            let middle = runs.len() / 2;
            runs.swap_remove(middle)
        };
        Ok(runs
            .into_iter()
            .map(|(flow, runs)| (flow, median(runs)))
            .collect())
    }

    /// The AWS CLI, in the sandbox.
    fn aws(&self) -> Tool {
        let endpoint = format!("http://{}", self.registry);
        Tool::new("aws")
            .envs(self.variables)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("PATH", self.programs.path())
    }

    /// A function of each service for each flow, which updates it: the documented one names images by tags.
    fn make_functions(&self, services: &[String]) -> Result<()> {
        if self.arguments.push_only {
            return Ok(());
        }
        for service in services {
            let tag = format!("{service}-dev-latest");
            let digest = self.digest(&tag)?;
            let ours = format!("{}@{digest}", project::NAME);
            let theirs = format!("{}:{tag}", project::DOCUMENTED);
            self.make_function(&format!("{}-dev-{service}", project::NAME), &ours)?;
            self.make_function(&format!("{}-dev-{service}", project::DOCUMENTED), &theirs)?;
        }
        Ok(())
    }

    /// The digest of an image that our flow has pushed.
    fn digest(&self, tag: &str) -> Result<String> {
        let image = format!("imageTag={tag}");
        self.aws().read(&[
            "ecr",
            "describe-images",
            "--repository-name",
            project::NAME,
            "--image-ids",
            &image,
            "--query",
            "imageDetails[0].imageDigest",
            "--output",
            "text",
        ])
    }

    fn make_function(&self, name: &str, image: &str) -> Result<()> {
        let aws = self.aws();
        let image = format!("ImageUri={}/{image}", self.registry);
        // One of an earlier run may name anything.
        let _ = aws.read(&["lambda", "delete-function", "--function-name", name]);
        let made = [
            "lambda",
            "create-function",
            "--function-name",
            name,
            "--package-type",
            "Image",
            "--code",
            &image,
            "--role",
            "arn:aws:iam::000000000000:role/bench",
            "--architectures",
            Arch::Arm64.oci(),
        ];
        aws.read(&made).map(drop)
    }
}

/// The AWS CLI of the documented flow, in an environment of its own: one that a version manager starts would be slower.
fn aws_cli(context: &Context, directory: &Path) -> Result<String> {
    let place = directory.join("awscli");
    let aws = place.join("bin/aws");
    if !aws.is_file() {
        context
            .terminal
            .status("Installing", "the AWS CLI, for the documented flow");
        let place = place.to_string_lossy();
        Tool::new("python3").read(&["-m", "venv", &place])?;
        Tool::new(format!("{place}/bin/pip")).read(&["install", "--quiet", "awscli"])?;
    }
    Ok(aws.to_string_lossy().into_owned())
}
