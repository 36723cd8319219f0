//! Walks a plan: make all, push all, read all back, tag all, confirm all.
//!
//! Architecture Invariant: the stages are batches, and what one hands to the next is a type of its own. A build or proof that
//! fails leaves AWS untouched, a push or check that fails leaves every tag untouched, and moving tags are written after all
//! others.

mod attest;
mod finish;
mod indexes;
mod make;
mod publish;
mod regions;
mod scan;
mod stage;
mod tags;
mod together;

use std::path::Path;

use anyhow::{Context, Result};
use image_oci::Manifest;

use finish::finish;
use make::Made;
use publish::Destination;
pub use regions::OtherRegion;
use regions::index_replicas;
use stage::Job;
use tags::{Which, as_read};

use crate::{
    build_logs::BuildLogs,
    docker::{Docker, ExistingLogins, LoginSession},
    parallel::both,
    plan::Plan,
    proof::Prover,
    report::{
        result::{IndexReport, Report},
        terminal::Terminal,
    },
    repositories::Repositories,
    scan::GateKeeper,
    store::ContentStore,
};

/// What a plan is carried out with.
pub struct Executor<'a> {
    /// Docker.
    pub docker: &'a Docker,
    /// The registry's repositories, for plans that have a place there.
    pub repositories: Option<Repositories<'a>>,
    /// The other regions of the same environment.
    pub others: &'a [OtherRegion<'a>],
    /// Where people watch.
    pub terminal: &'a Terminal,
    /// Where builds of images end that leave this machine.
    pub store: Option<&'a ContentStore>,
    /// What proves images.
    pub prover: &'a Prover,
    /// What lets an image through to its moving tags, where the plan asks for that.
    pub gate: Option<&'a GateKeeper<'a>>,
    /// How many images are worked on at a time.
    pub jobs: usize,
    /// Where the logs of builds are kept.
    pub logs: Option<&'a BuildLogs>,
    /// The directory of deploy.toml.
    pub root: &'a Path,
    /// The width of the longest name among the images.
    pub width: usize,
}

/// Carries out a plan. What failed is in the report.
pub fn execute(plan: &Plan, executor: &Executor<'_>) -> Report {
    let mut jobs: Vec<Job<'_>> = plan.images.iter().map(Job::of).collect();
    together::take_seats(&plan.images, &mut jobs, executor.jobs);
    let mut indexes = Vec::new();
    if let Err(error) = executor.carry_out(plan, &mut jobs, &mut indexes) {
        let message = format!("{error:#}");
        if jobs.iter().any(|job| job.report.error.is_none()) {
            executor.terminal.error(&message);
        }
        for job in &mut jobs {
            job.report.error.get_or_insert_with(|| message.clone());
        }
    }
    let images = jobs.into_iter().map(|job| job.report).collect();
    Report {
        place: plan.place.clone(),
        images,
        image_indexes: indexes,
    }
}

impl Executor<'_> {
    fn carry_out<'p>(
        &self,
        plan: &Plan,
        jobs: &mut [Job<'p>],
        indexes: &mut Vec<IndexReport>,
    ) -> Result<()> {
        let published = plan.place.as_ref().zip(self.repositories);
        let session = match published.filter(|_| plan.needs_login_to_build()) {
            Some((place, repositories)) => Some(LoginSession::open(
                self.docker,
                &place.registry,
                repositories,
                ExistingLogins::Kept,
            )?),
            None => None,
        };
        let all = vec![(); jobs.len()];
        let make = |job: &mut Job<'p>, ()| self.make(job, session.as_ref());
        let Some((place, repositories)) = published else {
            // Local images have nothing to do with each other.
            self.each(jobs, all, make);
            jobs.iter_mut().for_each(finish);
            return Ok(());
        };
        if plan.changes_anything() {
            repositories.forget();
        }
        let (registry, made) = both(
            || repositories.registry(&place.registry),
            || self.stage(jobs, all, "nothing was pushed", make),
        );
        let (made, registry) = (made?, registry?);
        drop(session);
        for name in &plan.create_repositories {
            self.terminal
                .status("Creating", &format!("repository {name}"));
            let movable = plan.movable_tags.get(name).map_or(&[][..], Vec::as_slice);
            repositories.writer().create(name, movable)?;
        }
        let destination = Destination {
            plan,
            registry: &registry,
            repositories,
        };
        let all = made.iter().collect();
        self.stage(jobs, all, "no tag was moved", |job, made| {
            self.push(job, &destination, made)
        })?;
        self.publish(&destination, jobs, &made, indexes)
    }

    /// Tags what is in the registry, once all of it is what it should be.
    fn publish(
        &self,
        destination: &Destination<'_>,
        jobs: &mut [Job<'_>],
        made: &[Made<'_>],
        indexes: &mut Vec<IndexReport>,
    ) -> Result<()> {
        let (plan, repositories) = (destination.plan, destination.repositories);
        let all = made.iter().collect();
        let there = self.stage(jobs, all, "no tag was moved", |job, made| {
            self.read_back(job, destination, made)
        })?;
        let replicas = self.replicate(destination, jobs, &there)?;
        self.attach(destination, &replicas, jobs, &there)?;
        let all = there.iter().collect();
        self.stage(jobs, all, "no moving tag was written", |job, image| {
            self.tag(job, repositories, image, Which::Lasting)
        })?;
        self.tag_replicas(&replicas, jobs, &there, Which::Lasting)?;
        let about = |name: &str| format!("the index of {name} was not made");
        let manifest = |index| {
            self.index(index, destination, &there)
                .with_context(|| about(&index.name))
        };
        let manifests = plan
            .indexes
            .iter()
            .map(manifest)
            .collect::<Result<Vec<Manifest>>>()?;
        let mut changed = Vec::new();
        for (index, manifest) in plan.indexes.iter().zip(&manifests) {
            index_replicas(&replicas, index, manifest)?;
            let here = self.tag_index(index, manifest, repositories, Which::Lasting)?;
            let there = self.tag_index_replicas(&replicas, index, manifest, Which::Lasting)?;
            changed.push(here | there);
        }
        self.scan_before_moving_tags(destination, jobs, &there)?;
        let both: Vec<_> = plan.indexes.iter().zip(&manifests).collect();
        let signatures = self.sign(destination, &replicas, (jobs, &there), &both)?;
        // From here on every image is in the registry as it should be, and what becomes of one is no other's failure.
        self.each(jobs, there.iter().collect(), |job, image| {
            self.tag(job, repositories, image, Which::Moving)
        });
        for ((index, manifest), changed) in both.iter().zip(&mut changed) {
            *changed |= self.tag_index(index, manifest, repositories, Which::Moving)?;
            *changed |= self.tag_index_replicas(&replicas, index, manifest, Which::Moving)?;
        }
        self.tag_replicas(&replicas, jobs, &there, Which::Moving)?;
        self.each(jobs, there.iter().collect(), |job, image| {
            if job.report.error.is_none() {
                if plan.changes_anything() {
                    self.confirm(job, repositories, image)?;
                } else {
                    as_read(job, image);
                }
                self.confirm_replicas(&replicas, job, image)
            } else {
                Ok(())
            }
        });
        for (((index, manifest), changed), signature) in
            both.into_iter().zip(changed).zip(signatures)
        {
            indexes.push(IndexReport {
                changed,
                signature,
                ..self.confirm_index(index, manifest, repositories, jobs)?
            });
        }
        jobs.iter_mut().for_each(finish);
        Ok(())
    }
}
