//! Builds in other places and by other ways: steps from a registry, a BuildKit elsewhere, packages without wheels, no emulation.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use super::clone::Clone;

/// A file beside deploy.toml with a change in it.
fn changed_deploy(clone: &Clone, name: &str, from: &str, to: &str) -> String {
    let deploy = fs::read_to_string(clone.directory.path().join("deploy.toml")).unwrap();
    assert!(deploy.contains(from), "deploy.toml has no `{from}`");
    fs::write(
        clone.directory.path().join(name),
        deploy.replacen(from, to, 1),
    )
    .unwrap();
    format!("--sandbox --config {name}")
}

fn change(clone: &Clone, text: &str) {
    fs::write(
        clone.directory.path().join("backend/worker/changed.py"),
        format!("# {text}\n"),
    )
    .unwrap();
}

/// The engine, where it is the sandbox's own: nobody else's cache or emulation is touched.
fn private_engine(clone: &Clone) -> Option<String> {
    let status = clone.status();
    let host = status["docker-host"]
        .as_str()
        .filter(|_| status["private-engine"] == true)?;
    Some(host.trim_start_matches("unix://").to_owned())
}

pub(super) fn a_cache_in_the_registry_serves_a_machine_without_one(clone: &Clone) {
    println!("--- a cache in the registry");
    if private_engine(clone).is_none() {
        return;
    }
    let create = "create-repository = true";
    let flags = changed_deploy(
        clone,
        "cached.toml",
        create,
        &format!("{create}\ncache = \"registry\""),
    );
    let push = |text: &str| {
        change(clone, text);
        clone
            .run(&format!("push dev --service worker --verbose {flags}"))
            .expect(0)
            .stderr
    };
    push("one");
    let tags = clone.look();
    assert_eq!(
        tags["worker-dev-cache-arm64-latest"]["media-type"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    clone.client("docker", &["builder", "prune", "--all", "--force"]);
    let said = push("two");
    let logs = said
        .lines()
        .find_map(|line| line.split("logs of the builds are in ").nth(1))
        .expect("-v names the logs");
    let log = clone.directory.path().join(logs).join("worker.log");
    let log = fs::read_to_string(log).unwrap();
    let wheels = log
        .lines()
        .find(|line| line.contains("[wheels 4/4] RUN"))
        .and_then(|line| line.split_whitespace().next());
    let cached = format!(
        "{} CACHED",
        wheels.expect("the wheels are no step of the build")
    );
    assert!(log.lines().any(|line| line.trim() == cached), "{log}");
    fs::remove_file(clone.directory.path().join("cached.toml")).unwrap();
}

/// Makes the engine's own BuildKit one that is reached by TCP, as one on another machine would be. Source: the engine's
/// endpoint `/grpc`, which it gives to buildx.
fn buildkit_by_tcp(engine: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let engine = engine.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = upgraded(&engine) else {
                return;
            };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut to): (UnixStream, TcpStream) = (server, client);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn upgraded(engine: &str) -> std::io::Result<UnixStream> {
    let mut server = UnixStream::connect(engine)?;
    server.write_all(
        b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        server.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(server)
}

pub(super) fn a_buildkit_elsewhere_builds_too(clone: &Clone) {
    println!("--- a BuildKit elsewhere");
    let Some(engine) = private_engine(clone) else {
        return;
    };
    let address = buildkit_by_tcp(&engine);
    let flags = changed_deploy(
        clone,
        "remote.toml",
        "[builders]",
        &format!("[builders]\narm64 = \"{address}\""),
    );
    let rows = clone
        .run(&format!("builders --json {flags}"))
        .expect(0)
        .json();
    let row = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["builder"]["address"] == address.as_str())
        .unwrap();
    let name = row["builder"]["name"].as_str().unwrap().to_owned();
    assert!(
        row["platforms"]
            .as_array()
            .unwrap()
            .iter()
            .any(|platform| platform == "linux/arm64"),
        "{row}"
    );
    change(clone, "remote");
    let push = clone
        .run(&format!("push dev --service worker --verbose {flags}"))
        .expect(0);
    assert!(
        push.stderr.contains(&format!("--builder {name} ")),
        "{}",
        push.stderr
    );
    clone.client("docker", &["buildx", "rm", &name]);
    fs::remove_file(clone.directory.path().join("remote.toml")).unwrap();
}

pub(super) fn a_package_without_wheels_is_named_and_compiled_where_that_is_asked_for(
    clone: &Clone,
) {
    println!("--- a package without wheels");
    let lock = clone.directory.path().join("backend/requirements.lock");
    let locked = fs::read_to_string(&lock).unwrap();
    let docopt = "docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491\n";
    fs::write(&lock, format!("{locked}{docopt}")).unwrap();
    let push = "push dev --service worker";
    let refused = clone.run(&format!("{push} --sandbox")).expect(1);
    for words in [
        "Because docopt==0.6.2 has no usable wheels",
        "likely   a Python package without a wheel",
        "PACKAGES = \"sources\"",
    ] {
        assert!(
            refused.stderr.contains(words),
            "{words} is not in {}",
            refused.stderr
        );
    }
    let prefix = "tag-prefix = \"worker-\"";
    let flags = changed_deploy(
        clone,
        "sources.toml",
        prefix,
        &format!("{prefix}\nbuild-args = {{ PACKAGES = \"sources\" }}"),
    );
    let report = clone
        .run(&format!("{push} --json {flags}"))
        .expect(0)
        .json();
    assert_eq!(
        (
            &report["images"][0]["platform"],
            &report["images"][0]["built"]
        ),
        (&"linux/arm64".into(), &true.into())
    );
    fs::write(&lock, locked).unwrap();
    fs::remove_file(clone.directory.path().join("sources.toml")).unwrap();
}

/// Switches the emulation of a private engine on or off, in its own view of the system.
fn emulate(engine: &str, on: bool) {
    let is_engine = |process: &Path| {
        let line = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        let mut words = line.split('\0');
        let is_dockerd = words
            .next()
            .is_some_and(|program| program.ends_with("/dockerd"));
        let config = words
            .skip_while(|word| *word != "--config-file")
            .nth(1)
            .and_then(|file| fs::read_to_string(file).ok());
        is_dockerd && config.is_some_and(|config| config.contains(engine))
    };
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let process = processes
        .into_iter()
        .find(|process| is_engine(process))
        .expect("the engine has no process");
    let namespace = format!("--mount={}", process.join("ns/mnt").display());
    let script = format!(
        "for file in /proc/sys/fs/binfmt_misc/qemu-*; do echo {} > \"$file\"; done",
        u8::from(on)
    );
    let done = Command::new("nsenter")
        .args([&namespace, "sh", "-c", &script])
        .status()
        .unwrap();
    assert!(done.success(), "emulation cannot be switched");
}

pub(super) fn an_engine_without_emulation_builds_the_demo_and_says_that_it_cannot_run_it(
    clone: &Clone,
) {
    println!("--- no emulation");
    let Some(engine) = private_engine(clone) else {
        return;
    };
    let other = if cfg!(target_arch = "x86_64") {
        "arm64"
    } else {
        "amd64"
    };
    clone.client("docker", &["builder", "prune", "--all", "--force"]);
    emulate(&engine, false);
    clone
        .run(&format!(
            "docker-build --sandbox --service demo --arch {other}"
        ))
        .expect(0);
    clone
        .run(&format!(
            "verify image backend:demo-{other}-latest --sandbox --arch {other}"
        ))
        .expect(0);
    let refused = clone
        .run(&format!("run demo --arch {other} --sandbox"))
        .expect(2);
    assert!(
        refused.stderr.contains(&format!("cannot execute {other}")),
        "{}",
        refused.stderr
    );
    let rows = clone.run("builders --sandbox --json").expect(0).json();
    let row = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["arch"] == other)
        .unwrap();
    assert_eq!(row["mode"], "cross");
    emulate(&engine, true);
    let rows = clone.run("builders --sandbox --json").expect(0).json();
    assert!(
        rows.as_array()
            .unwrap()
            .iter()
            .all(|row| row["mode"] != "cross"),
        "{rows}"
    );
}
