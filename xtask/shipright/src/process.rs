//! The only room that starts programs.
//!
//! Four ways: [`Tool::read`] for a short answer, [`Tool::bounded`] for one of a program that may be anybody's, [`Tool::stream`] for a long run whose lines people watch, and
//! [`Tool::daemon`] for what outlives this program. Children that do not outlive it are known here, so that an
//! interrupt ends them, and on Linux the kernel ends them should this program be killed outright.
//!
//! xshell puts the command lines together; its `Cmd` can run them to their end alone. Watching lines as they come, a bound
//! on silence, children that die with us and daemons that do not need the standard library's `Command`, which it becomes.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the room that starts programs"
)]

mod bounded;
mod running;

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use xshell::Shell;

use running::signal;
pub use running::{all, command_line, is_running, kill, network, parent, terminate};

use crate::{calls, model::shell::quoted};

/// Children that an interrupt has to end.
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A program with the surroundings that it is started in.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    /// What comes before all arguments.
    leading: Vec<&'static str>,
    /// What people would type in place of the program.
    stands_for: Option<String>,
    directory: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    removed: Vec<&'static str>,
}

/// How a watched program ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status. `None` when it was ended for its silence.
    pub status: Option<ExitStatus>,
    /// The last lines that it printed, both streams together.
    pub tail: Vec<String>,
}

impl Outcome {
    /// Whether it exited with 0.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, for people.
    pub fn describe(&self) -> String {
        match self.status {
            None => "was ended after a long silence".to_owned(),
            Some(status) => match status.code() {
                Some(code) => format!("exited with {code}"),
                None => format!("was ended: {status}"),
            },
        }
    }
}

impl Tool {
    /// A program, found on `PATH`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            leading: Vec::new(),
            stands_for: None,
            directory: None,
            env: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// A command of the program, or the plugin that the program would start for it.
    #[must_use]
    pub fn command_or_plugin(mut self, command: &'static str, plugin: Option<&Path>) -> Self {
        self.leading.push(command);
        if let Some(plugin) = plugin {
            self.stands_for = Some(self.shown(&[]));
            plugin.clone_into(&mut self.program);
            self.leading.clear();
        }
        self
    }

    /// Starts it in this directory.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_path_buf());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets these environment variables.
    #[must_use]
    pub fn envs(mut self, variables: &[(String, String)]) -> Self {
        let variables = variables.iter().cloned();
        self.env
            .extend(variables.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without_env(mut self, name: &'static str) -> Self {
        self.removed.push(name);
        self
    }

    /// Runs it and returns what it printed, without the end of the last line.
    ///
    /// # Errors
    /// A program that is missing or fails; its words are in the message.
    pub fn read(&self, args: &[&str]) -> Result<String> {
        self.read_with_input(args, b"")
    }

    /// The same, with bytes on its standard input. They are in no message.
    pub fn read_with_input(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let shown = self.shown(args);
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.as_mut().map_err(|error| self.not_started(error))?;
        let registered = Registered::new(child);
        // A program that ends without reading its input closes the pipe: its own words say why.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
        let mut stdout = child.stdout.take().context("no standard output")?;
        let errors = std::thread::scope(|scope| {
            let mut stderr = child.stderr.take();
            let errors = scope.spawn(move || {
                let mut bytes = Vec::new();
                let _ = stderr.as_mut().map(|pipe| pipe.read_to_end(&mut bytes));
                String::from_utf8_lossy(&bytes).trim().to_owned()
            });
            let mut bytes = Vec::new();
            let read = stdout.read_to_end(&mut bytes);
            (
                read.map(|_| String::from_utf8_lossy(&bytes).trim_end().to_owned()),
                errors.join().unwrap_or_default(),
            )
        });
        let status = registered.wait(child, &shown)?;
        let (output, errors) = errors;
        if !status.success() {
            let code = status
                .code()
                .map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
            bail!(
                "`{shown}` failed ({code}){}{errors}",
                if errors.is_empty() { "" } else { ": " }
            );
        }
        output.with_context(|| format!("failed to read what `{shown}` printed"))
    }

    /// Runs it and hands every line of both its streams to `line`, as it comes. A program that says nothing for longer
    /// than `silence` is ended.
    ///
    /// # Errors
    /// A program that is missing. One that fails is an [`Outcome`].
    pub fn stream(
        &self,
        args: &[&str],
        silence: Duration,
        mut line: impl FnMut(&str),
    ) -> Result<Outcome> {
        const TAIL: usize = 40;
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.as_mut().map_err(|error| self.not_started(error))?;
        let registered = Registered::new(child);
        let (sender, lines) = mpsc::channel();
        let forward = |pipe: Box<dyn Read + Send>| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            });
        };
        if let Some(pipe) = child.stdout.take() {
            forward(Box::new(pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            forward(Box::new(pipe));
        }
        drop(sender);
        let mut tail = Vec::new();
        let silent = loop {
            match lines.recv_timeout(silence) {
                Ok(text) => {
                    line(&text);
                    if tail.len() == TAIL {
                        tail.remove(0);
                    }
                    tail.push(text);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break false,
                Err(mpsc::RecvTimeoutError::Timeout) => break true,
            }
        };
        if silent {
            let _ = child.kill();
        }
        let status = registered.wait(child, &self.shown(args))?;
        Ok(Outcome {
            status: (!silent).then_some(status),
            tail,
        })
    }

    /// Runs it and hands its standard output to `work` as a stream.
    ///
    /// # Errors
    /// A program that is missing or fails, and whatever `work` finds.
    pub fn pipe<T>(
        &self,
        args: &[&str],
        work: impl FnOnce(std::process::ChildStdout) -> Result<T>,
    ) -> Result<T> {
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.as_mut().map_err(|error| self.not_started(error))?;
        let registered = Registered::new(child);
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = child.stderr.take();
        let (outcome, said) = std::thread::scope(|scope| {
            let said = scope.spawn(move || {
                let mut bytes = Vec::new();
                let _ = stderr.as_mut().map(|pipe| pipe.read_to_end(&mut bytes));
                String::from_utf8_lossy(&bytes).trim().to_owned()
            });
            (work(stdout), said.join().unwrap_or_default())
        });
        let status = registered.wait(child, &self.shown(args))?;
        // Its own words say best why a stream broke off.
        if !status.success() && !said.is_empty() {
            bail!("`{}` failed: {said}", self.shown(args));
        }
        outcome
    }

    /// Runs it in the foreground with this program's own terminal. Where standard output is kept for a document of ours,
    /// what it prints there goes to standard error.
    ///
    /// # Errors
    /// A program that is missing.
    pub fn inherit(&self, args: &[&str], is_stdout_ours: bool) -> Result<Outcome> {
        let mut command = self.command(args);
        if is_stdout_ours {
            command.stdout(std::io::stderr());
        }
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let registered = Registered::new(&child);
        let status = registered.wait(&mut child, &self.shown(args))?;
        Ok(Outcome {
            status: Some(status),
            tail: Vec::new(),
        })
    }

    /// Starts it in a session of its own, to outlive this program, with its output in a file. Returns its process id.
    ///
    /// # Errors
    /// A program that is missing, or a file that cannot be made.
    pub fn daemon(&self, args: &[&str], log: &Path) -> Result<u32> {
        let log_file =
            File::create(log).with_context(|| format!("failed to create `{}`", log.display()))?;
        let errors = log_file
            .try_clone()
            .with_context(|| format!("failed to open `{}` twice", log.display()))?;
        let mut command = self.plain_command(args);
        command.stdin(Stdio::null()).stdout(log_file).stderr(errors);
        // The directory that this program was started in may be deleted while the daemon runs.
        if self.directory.is_none() {
            command.current_dir("/");
        }
        new_session(&mut command);
        Ok(command
            .spawn()
            .map_err(|error| self.not_started(&error))?
            .id())
    }

    /// The command line, quoted so that it can be pasted.
    pub fn shown(&self, args: &[&str]) -> String {
        let program = self.program.to_string_lossy();
        let own = std::iter::once(program.as_ref()).chain(self.leading.iter().copied());
        let own = self.stands_for.clone().unwrap_or_else(|| quoted(own));
        if args.is_empty() {
            return own;
        }
        format!("{own} {}", quoted(args.iter().copied()))
    }

    fn plain_command(&self, args: &[&str]) -> Command {
        // Every interpolated value is one argument: there is no shell that could take it apart.
        let shell = Shell::new();
        let mut command = shell.map_or_else(
            |_| {
                let mut command = Command::new(&self.program);
                command.args(&self.leading).args(args);
                command
            },
            |shell| Command::from(shell.cmd(&self.program).args(&self.leading).args(args)),
        );
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.plain_command(args);
        die_with_parent(&mut command);
        command
    }

    fn not_started(&self, error: &std::io::Error) -> anyhow::Error {
        let program = self.program.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                anyhow::anyhow!("`{program}` is not installed, or not on PATH")
            }
            _ => anyhow::anyhow!("failed to start `{program}`: {error}"),
        }
    }
}

/// Ends every child that is still running.
pub fn end_children() {
    let children = CHILDREN
        .lock()
        .map(|children| children.clone())
        .unwrap_or_default();
    for child in children {
        signal(child, libc::SIGTERM);
    }
}

/// A child that is on the list of those to end, for as long as this lives.
struct Registered {
    process: u32,
    began: Instant,
}

impl Registered {
    fn new(child: &Child) -> Self {
        if let Ok(mut children) = CHILDREN.lock() {
            children.push(child.id());
        }
        Self {
            process: child.id(),
            began: Instant::now(),
        }
    }

    /// Waits for its end, and tells of it. `shown` is the command line.
    fn wait(self, child: &mut Child, shown: &str) -> Result<ExitStatus> {
        let status = child
            .wait()
            .with_context(|| format!("failed to wait for `{shown}`"))?;
        self.tell(shown, Some(status));
        Ok(status)
    }

    /// Tells of its end. `None` is for one that was ended here.
    fn tell(self, shown: &str, status: Option<ExitStatus>) {
        let outcome = status.map_or_else(|| "was ended".to_owned(), |status| status.to_string());
        calls::ended(shown, self.began, outcome);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Ok(mut children) = CHILDREN.lock() {
            children.retain(|child| *child != self.process);
        }
    }
}

/// docker's command line goes on when its parent is killed, and publishes the image later; this makes it stop.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: `prctl` is a bare system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}

fn new_session(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: `setsid` is a bare system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
}
