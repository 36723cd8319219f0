//! A local AWS, and where a machine has none a Docker Engine: the same commands with no account.
//!
//! Everything is under `target/sandbox`, everything listens on loopback, and `down` leaves nothing running.
//!
//! Architecture Invariant: no other room needs this one. Commands get an endpoint, a registry and environment variables for
//! docker, and do not ask where these come from.

mod apt;
mod bases;
mod emulation;
mod emulator;
mod engine;
mod home;
mod network;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;

pub use emulator::{ACCOUNT, REGION};

use crate::{
    aws::{Aws, Connection, DUMMY_KEY},
    docker::Docker,
    model::config::Config,
    plan::{Plan, Source},
    process,
    report::terminal::Terminal,
};

use engine::Engine;
use home::{Bases, Emulator, Home, State};
pub use network::Forwarded;
use network::Namespace;

/// A sandbox as commands use it.
pub struct Sandbox {
    home: Home,
    state: State,
}

/// The port that a plan names while no sandbox runs.
const NO_PORT: u16 = 0;

impl Sandbox {
    /// The sandbox of the project in this directory as it is, without starting anything.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn look(root: &Path) -> Result<Self> {
        let home = Home::of(root)?;
        let state = home.state();
        Ok(Self { home, state })
    }

    /// Starts what is missing. Two calls at once wait for each other.
    ///
    /// # Errors
    /// A machine that cannot have an engine or an emulator.
    pub fn up(root: &Path, terminal: &Terminal) -> Result<Self> {
        let mut session = Self::look(root)?;
        let _lock = session.home.lock()?;
        session.state = session.home.state();
        session.start_engine(terminal)?;
        session.start_emulator(terminal)?;
        Ok(session)
    }

    /// Stops everything. Returns whether anything ran.
    ///
    /// # Errors
    /// A setting of the host that cannot be restored.
    pub fn down(root: &Path) -> Result<bool> {
        let session = Self::look(root)?;
        let _lock = session.home.lock()?;
        let state = session.home.state();
        if let Some(emulator) = &state.emulator {
            emulator::stop(emulator);
        }
        if state.private_engine {
            Engine::of(&session.home).stop()?;
            Namespace::of(&session.home).down()?;
        }
        let ran = state != State::default();
        session.home.remember(&State::default())?;
        let _ = fs::remove_dir_all(session.home.path("tmp"));
        Ok(ran)
    }

    /// Whether the private engine answers. `None` where the user's own is used.
    pub fn engine_is_up(&self) -> Option<bool> {
        self.state
            .private_engine
            .then(|| Engine::of(&self.home).answers())
    }

    /// Whether the local AWS answers.
    pub fn is_up(&self) -> bool {
        self.state.emulator.as_ref().is_some_and(emulator::answers)
    }

    /// The local AWS's address.
    pub fn endpoint(&self) -> String {
        format!("http://localhost:{}", self.port())
    }

    /// The registry's host.
    pub fn registry(&self) -> String {
        format!("localhost:{}", self.port())
    }

    /// Environment variables with which docker reaches the sandbox's engine. None where the user's own is used.
    pub fn docker_env(&self) -> Vec<(String, String)> {
        if self.state.private_engine {
            Engine::of(&self.home).env()
        } else {
            Vec::new()
        }
    }

    /// The private engine's address.
    pub fn docker_host(&self) -> Option<String> {
        self.state
            .private_engine
            .then(|| Engine::of(&self.home).docker_host())
    }

    /// Environment variables with which other programs reach the sandbox.
    pub fn variables(&self) -> Vec<(String, String)> {
        let aws = [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", DUMMY_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", DUMMY_KEY.to_owned()),
        ];
        aws.map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .chain(self.docker_env())
            .collect()
    }

    /// Gives builds base images that this machine can have. `stand_ins` are build arguments that name base images, and the
    /// public image that each stands for.
    ///
    /// # Errors
    /// Base images that can neither be pulled nor made.
    pub fn provide_bases(
        &mut self,
        plan: &mut Plan,
        stand_ins: &BTreeMap<String, String>,
        dry_run: bool,
        terminal: &Terminal,
    ) -> Result<()> {
        if !plan.builds_anything() || stand_ins.is_empty() {
            return Ok(());
        }
        let made = if dry_run {
            self.promised_bases()
        } else {
            self.made_bases(plan, terminal)?
        };
        for image in &mut plan.images {
            if let Source::Build(build) = &mut image.source {
                let args = stand_ins.iter().filter_map(|(arg, public)| {
                    Some((arg.clone(), made.get(public.as_str())?.clone()))
                });
                build.args.extend(args);
            }
        }
        Ok(())
    }

    fn made_bases(
        &mut self,
        plan: &Plan,
        terminal: &Terminal,
    ) -> Result<BTreeMap<&'static str, String>> {
        let _lock = self.home.lock()?;
        self.state = self.home.state();
        let docker = Docker::new(&self.docker_env());
        if !self.state.private_engine {
            emulation::ensure(
                &docker,
                plan.images.iter().map(|image| image.arch),
                terminal,
            );
        }
        let bases = match self.state.bases {
            Some(bases) => bases,
            None => bases::find_out(&docker, terminal),
        };
        self.state.bases = Some(bases);
        self.home.remember(&self.state)?;
        match bases {
            Bases::Pulled => Ok(BTreeMap::new()),
            Bases::Made => {
                let aws = Aws::connect(&self.connection())?;
                bases::make(&self.home, &docker, &self.registry(), &aws, terminal)
            }
        }
    }

    fn promised_bases(&self) -> BTreeMap<&'static str, String> {
        match self.state.bases {
            Some(Bases::Made) => bases::references(&self.registry()),
            Some(Bases::Pulled) | None => BTreeMap::new(),
        }
    }

    /// How the SDK reaches the local AWS.
    pub fn connection(&self) -> Connection {
        Connection {
            ecr: None,
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            profile: None,
            endpoint: Some(self.endpoint()),
            dummy_credentials: true,
        }
    }

    /// Where a container publishes a port so that it can be reached from this machine and from nowhere else.
    pub fn publishing_address(&self) -> &'static str {
        self.network().map_or("127.0.0.1", |_| network::ADDRESS)
    }

    /// Lets a port of this machine lead to the same port at the engine's publishing address, where the engine has a network of its own.
    ///
    /// # Errors
    /// A port that somebody else has.
    pub fn forward(&self, port: u16) -> Result<Option<Forwarded>> {
        self.network()
            .map(|network| network.forward(port))
            .transpose()
    }

    /// The network of the private engine, where it has one of its own.
    fn network(&self) -> Option<Namespace> {
        let network = self.state.private_engine.then(|| Namespace::of(&self.home));
        network.filter(|network| network.file().is_some())
    }

    fn port(&self) -> u16 {
        self.state
            .emulator
            .as_ref()
            .map_or(NO_PORT, |emulator| emulator.port)
    }

    fn start_engine(&mut self, terminal: &Terminal) -> Result<()> {
        if !self.state.private_engine && Docker::new(&[]).check().is_ok() {
            return Ok(());
        }
        // Written down first: `down` must find the engine even if this run ends in the middle.
        self.state.private_engine = true;
        self.home.remember(&self.state)?;
        let engine = Engine::of(&self.home);
        engine.start(terminal).inspect_err(|_| {
            self.state.private_engine = false;
            let _ = engine.stop();
            let _ = Namespace::of(&self.home).down();
            let _ = self.home.remember(&self.state);
        })
    }

    fn start_emulator(&mut self, terminal: &Terminal) -> Result<()> {
        let network = self.network();
        let is_there = |emulator: &Emulator| {
            let is_inside = match &network {
                Some(network) => network.has(emulator.process),
                None => process::network(emulator.process) == process::network(std::process::id()),
            };
            is_inside && emulator::answers(emulator)
        };
        if self.state.emulator.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        if let Some(silent) = &self.state.emulator {
            emulator::stop(silent);
        }
        let network = network.and_then(|network| network.file());
        let docker_host = self.docker_host();
        let emulator = emulator::start(
            &self.home,
            docker_host.as_deref(),
            network.as_deref(),
            terminal,
        )?;
        terminal.status(
            "Started",
            &format!("a local AWS on http://localhost:{}", emulator.port),
        );
        self.state.emulator = Some(emulator);
        self.home.remember(&self.state)
    }
}

/// Moves every environment into the sandbox: its account and its one region, and repositories that a push may make.
pub fn move_in(config: &mut Config) {
    for environment in config.environments.values_mut() {
        emulator::ACCOUNT.clone_into(&mut environment.account);
        REGION.clone_into(&mut environment.region);
        environment.other_regions.clear();
        environment.registry = None;
        environment.create_repository = true;
    }
}
