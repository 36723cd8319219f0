//! Messages that people meet on the way to a running image, each with its cause and the next command.
//!
//! Sources: the troubleshooting sections of the documents that this tool replaces (in English and Portuguese), AWS's error
//! codes, and Docker's and the kernel's words.

use serde::Serialize;

/// A message, what is behind it, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Signs: every word of one of these must stand in the text, in any case.
    #[serde(skip)]
    signs: &'static [&'static [&'static str]],
    /// What it is called.
    pub name: &'static str,
    /// What is behind it.
    pub cause: &'static str,
    /// The next command.
    pub next: &'static str,
}

/// The first that fits comes first: the more special stand before the more general.
pub const TROUBLES: [Trouble; 28] = [
    Trouble {
        name: "Lambda starts a program for the other CPU",
        signs: &[
            &["runtime.invalidentrypoint"],
            &["runtime exited", "exec format error"],
            &["lambda-entrypoint", "exec format error"],
            &["functionerror.invalidentrypoint"],
        ],
        cause: "the function's architecture is not the image's: Lambda does not compare them before it starts the image",
        next: "cargo xtask verify image REF --target lambda; then update image and architecture in one call: \
               aws lambda update-function-code --function-name NAME --image-uri REPOSITORY@DIGEST --architectures arm64",
    },
    Trouble {
        name: "a build executes programs of the other CPU without emulation",
        signs: &[
            &["exec /bin/sh: exec format error"],
            &["exec format error", "runc"],
            &["exec format error", "failed to solve"],
            &["exec format error", "did not complete successfully"],
            &[".buildkit_qemu_emulator"],
        ],
        cause: "a RUN step of an arm64 image executes arm64 programs, and the engine has no emulation",
        next: "docker run --privileged --rm tonistiigi/binfmt --install all (one-time setup); or cargo xtask docker-build-amd64 for \
               a local image",
    },
    Trouble {
        name: "a program for the other CPU",
        signs: &[
            &["exec format error"],
            &["cannot execute binary file"],
            &["formato de execução"],
            &["erro de formato exec"],
        ],
        cause: "the image, or one file in it, is for another CPU than the machine that runs it: amd64 on Graviton, or arm64 on \
                x86_64",
        next: "cargo xtask verify image REF: it names the file, the layer and the instruction",
    },
    Trouble {
        name: "a native library for the other CPU",
        signs: &[
            &["wrong elf class"],
            &["wrong architecture"],
            &["incompatible architecture"],
            &["invalid elf header"],
            &["cannot open shared object file", "ld-linux"],
            &["arquitetura", "incorreta"],
        ],
        cause: "a Python wheel, Node addon or JNI library was installed for the build machine's CPU",
        next: "cargo xtask verify image REF; then install in a stage of the target's platform, or ask for its wheels: \
               uv pip install --python-platform aarch64-manylinux_2_28 --only-binary :all:",
    },
    Trouble {
        name: "a loader that is missing",
        signs: &[
            &["no such file or directory", "ld-musl"],
            &["no such file or directory", "ld-linux"],
            &["qemu", "could not open", "/lib"],
        ],
        cause: "the program was built for another C library or CPU than the image has",
        next: "cargo xtask verify image REF: it says which loader the entry point needs",
    },
    Trouble {
        name: "Lambda refuses an image index",
        signs: &[
            &["image manifest", "media type", "not supported"],
            &["media type", "is not supported", "index"],
        ],
        cause: "the tag names an index: BuildKit adds an attestation to every image by default and makes one; Lambda takes a \
                single manifest",
        next: "cargo xtask push ENV builds with --provenance=false --sbom=false and checks what arrived",
    },
    Trouble {
        name: "an architecture option that does not exist",
        signs: &[
            &["unknown options", "--architectures"],
            &["unknown parameter", "architectures"],
        ],
        cause: "`update-function-configuration` takes no architecture; it goes with the image",
        next: "aws lambda update-function-code --function-name NAME --image-uri REPOSITORY@DIGEST --architectures arm64",
    },
    Trouble {
        name: "a Lambda function is being updated",
        signs: &[
            &["resourceconflictexception"],
            &["an update is in progress"],
            &["currently in the following state: pending"],
        ],
        cause: "another update has not ended: Lambda takes one at a time",
        next: "aws lambda wait function-updated-v2 --function-name NAME, then try again",
    },
    Trouble {
        name: "the image of a function is gone",
        signs: &[&["imagedeleted"], &["source image", "does not exist"]],
        cause: "the image was deleted from ECR, perhaps by a lifecycle rule that counts images of all services",
        next: "push the revision again: cargo xtask push ENV; and let lifecycle rules count per tag prefix",
    },
    Trouble {
        name: "Lambda may not read the image",
        signs: &[
            &["imageaccessdenied"],
            &["lambda does not have permission to access the ecr image"],
        ],
        cause: "the repository is in another account or region, or its policy does not let Lambda in",
        next: "aws ecr get-repository-policy --repository-name NAME",
    },
    Trouble {
        name: "pods that crash again and again",
        signs: &[&["crashloopbackoff"]],
        cause: "the container ends right after its start; with `exec format error` in its log, the nodes are of another CPU than \
                the image",
        next: "kubectl get nodes -o jsonpath='{.items[*].status.nodeInfo.architecture}'; kubectl logs POD --previous; Graviton nodes \
               are t4g, m7g, c7g, r8g …",
    },
    Trouble {
        name: "no image for the node's CPU",
        signs: &[
            &["no match for platform in manifest"],
            &["no matching manifest for"],
            &["does not match the specified platform"],
            &["does not match the detected host platform"],
            &["does not contain descriptor matching platform"],
        ],
        cause: "the tag has no image for the platform that was asked for, or a local image of the other CPU has its name",
        next: "docker buildx imagetools inspect REF shows what it has; say --platform, as cargo xtask docker-build does",
    },
    Trouble {
        name: "an ECS deployment that its circuit breaker ended",
        signs: &[
            &["deployment circuit breaker"],
            &["essential container in task exited", "ecs"],
            &["tasks failed to start"],
        ],
        cause: "the tasks of the new revision did not stay: a program for another CPU than `runtimePlatform` says, or one that ends",
        next: "cargo xtask verify ecs ENV compares image, CPU and policy; aws ecs describe-tasks says why each task ended; logs are in \
               CloudWatch",
    },
    Trouble {
        name: "an App Runner deployment that was taken back",
        signs: &[
            &["rollback_succeeded"],
            &["health check failed", "app runner"],
            &["failed to deploy your application image"],
        ],
        cause: "App Runner went back to the image before: the new one did not start, most often because it is for arm64",
        next: "cargo xtask verify image REF --target apprunner; App Runner runs amd64 alone",
    },
    Trouble {
        name: "a tag that cannot be written again",
        signs: &[
            &["imagetagalreadyexistsexception"],
            &["tag is immutable"],
            &["cannot be overwritten because the tag is immutable"],
        ],
        cause: "the repository is immutable, and the tag names another image",
        next: "aws ecr put-image-tag-mutability --repository-name NAME --image-tag-mutability IMMUTABLE_WITH_EXCLUSION \
               --image-tag-mutability-exclusion-filters filterType=WILDCARD,filter='*latest'",
    },
    Trouble {
        name: "a registry login that is missing or has run out",
        signs: &[
            &["no basic auth credentials"],
            &["authorization token has expired"],
            &["pull access denied"],
            &["unauthorized: authentication required"],
        ],
        cause: "docker has no login for this registry; ECR's tokens live for twelve hours",
        next: "cargo xtask push logs in by itself; for docker: aws ecr get-login-password | docker login --username AWS \
               --password-stdin REGISTRY",
    },
    Trouble {
        name: "a repository that does not exist",
        signs: &[
            &["repositorynotfoundexception"],
            &["name unknown", "repository"],
            &["repository does not exist"],
        ],
        cause: "ECR creates no repository on push by itself",
        next: "set create-repository = true in deploy.toml, or: aws ecr create-repository --repository-name NAME",
    },
    Trouble {
        name: "an AWS session that has run out",
        signs: &[
            &["expiredtoken"],
            &["security token included in the request is expired"],
            &["sso session", "expired"],
        ],
        cause: "the credentials were for a while, and that is over",
        next: "aws sso login --profile NAME",
    },
    Trouble {
        name: "no AWS credentials",
        signs: &[
            &["unable to locate credentials"],
            &["no providers in chain"],
            &["credentialsnotloaded"],
        ],
        cause: "neither the environment nor ~/.aws says who you are",
        next: "aws configure sso, or set AWS_PROFILE; --sandbox needs no account",
    },
    Trouble {
        name: "a permission that is missing",
        signs: &[&["accessdenied"], &["is not authorized to perform"]],
        cause: "the role lacks the permission that the message names",
        next: "ask for it by the operation's name; aws sts get-caller-identity says who you are",
    },
    Trouble {
        name: "too many calls",
        signs: &[
            &["throttlingexception"],
            &["toomanyrequests"],
            &["rate exceeded"],
        ],
        cause: "an account has a number of calls a second, shared by everyone in it",
        next: "try again in a moment; --jobs 1 asks more slowly",
    },
    Trouble {
        name: "Docker Hub's limit",
        signs: &[
            &["you have reached your pull rate limit"],
            &["you have reached your unauthenticated pull rate limit"],
        ],
        cause: "Docker Hub counts pulls for each address and user",
        next: "docker login, or take the base image from public.ecr.aws/docker/library",
    },
    Trouble {
        name: "no Docker Engine",
        signs: &[
            &["cannot connect to the docker daemon"],
            &["is the docker daemon running"],
        ],
        cause: "no engine answers at the address that docker uses",
        next: "start Docker, or docker context use NAME; --sandbox starts a private engine on Debian",
    },
    Trouble {
        name: "no buildx",
        signs: &[
            &["unknown command: docker buildx"],
            &["'buildx' is not a docker command"],
            &["buildx", "component is missing"],
        ],
        cause: "docker's command line lacks the buildx plugin",
        next: "apt-get install docker-buildx (Debian, Ubuntu) or docker-buildx-plugin (Docker's own packages)",
    },
    Trouble {
        name: "a builder that cannot give its cache away",
        signs: &[&["cache export", "not supported", "docker driver"]],
        cause: "an engine with the classic image store keeps its build cache to itself, and `cache` in deploy.toml asks for it",
        next: "switch the engine to the containerd image store: \"features\": { \"containerd-snapshotter\": true } in its daemon.json; \
               or docker buildx create --name ci --driver docker-container, and name it in [builders]",
    },
    Trouble {
        name: "a Python package without a wheel for the CPU",
        signs: &[
            &["has no wheels"],
            &["has no usable wheels"],
            &["no matching distribution found for"],
            &["wheels are required for"],
        ],
        cause: "nobody has published this package ready for that CPU, C library and Python, or not in this version",
        next: "take a version that has one (PyPI, Download files: manylinux, aarch64); or say build-args = { PACKAGES = \"sources\" } \
               beside the image in deploy.toml: its packages are then compiled on the target's CPU, under emulation if need be",
    },
    Trouble {
        name: "a full disk",
        signs: &[&["no space left on device"]],
        cause: "the engine's disk is full, most often of build cache, or the disk of the path that is named",
        next: "docker system df; docker builder prune; df -h",
    },
    Trouble {
        name: "slow builds",
        signs: &[
            &["qemu: uncaught target signal"],
            &["emulation", "slow"],
            &["emulação"],
        ],
        cause: "a build for the other CPU runs under emulation",
        next: "build on a machine of that CPU, cross-compile on $BUILDPLATFORM, or install the target's wheels there",
    },
];

impl Trouble {
    /// The first line of a text that tells of this, where one line says all of it.
    pub fn line<'t>(&self, text: &'t str) -> Option<&'t str> {
        let tells = |line: &&str| {
            let line = line.to_lowercase();
            self.signs
                .iter()
                .any(|signs| signs.iter().all(|sign| line.contains(sign)))
        };
        text.lines().find(tells)
    }
}

/// What a text tells of, each once, the most special first.
pub fn explain(text: &str) -> Vec<&'static Trouble> {
    let text = text.to_lowercase();
    let fits = |trouble: &&Trouble| {
        trouble
            .signs
            .iter()
            .any(|signs| signs.iter().all(|sign| text.contains(sign)))
    };
    let found: Vec<_> = TROUBLES.iter().filter(fits).collect();
    // "A program for the other CPU" says nothing more where Lambda or a build was recognised.
    let is_special = found.len() > 1;
    found
        .into_iter()
        .filter(|trouble| !(is_special && trouble.name == "a program for the other CPU"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn messages_of_the_seeds_and_of_aws_are_recognised() {
        let cases = [
            (
                "Error: fork/exec /lambda-entrypoint.sh: exec format error Runtime.InvalidEntrypoint",
                "Lambda starts a program",
            ),
            (
                "Runtime exited with error: exec format error",
                "Lambda starts a program",
            ),
            (
                "#8 0.2 exec /bin/sh: exec format error\nERROR: failed to solve: process did not complete successfully",
                "a build executes",
            ),
            (
                "standard_init_linux.go:228: exec user process caused: exec format error",
                "a program for the other CPU",
            ),
            (
                "bash: ./app: cannot execute binary file",
                "a program for the other CPU",
            ),
            (
                "ImportError: libfoo.so: wrong ELF class: ELFCLASS64 / wrong architecture",
                "a native library",
            ),
            (
                "The image manifest, config or layer media type for the source image x is not supported.",
                "Lambda refuses an image index",
            ),
            (
                "Unknown options: --architectures, arm64",
                "an architecture option",
            ),
            (
                "image with reference x was found but does not match the specified platform: wanted linux/arm64",
                "no image for",
            ),
            (
                "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/arm64'",
                "no image for",
            ),
            (
                "(service api) deployment failed: tasks failed to start. ECS deployment circuit breaker",
                "an ECS deployment",
            ),
            ("api-7d9 0/1 CrashLoopBackOff 5", "pods that crash"),
            (
                "ResourceConflictException: The operation cannot be performed at this time. An update is in progress",
                "is being updated",
            ),
            (
                "denied: Your authorization token has expired. Reauthenticate",
                "a registry login",
            ),
            (
                "tag invalid: The image tag 'x' already exists in the 'y' repository and cannot be overwritten because the tag is immutable.",
                "cannot be written again",
            ),
            (
                "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
                "no Docker Engine",
            ),
            ("docker: unknown command: docker buildx", "no buildx"),
            (
                "ERROR: Cache export is not supported for the docker driver.",
                "cannot give its cache away",
            ),
            (
                "Because pycairo==1.28.0 has no wheels with a matching platform tag",
                "without a wheel",
            ),
        ];
        for (text, name) in cases {
            let found = explain(text);
            assert!(
                found
                    .first()
                    .is_some_and(|trouble| trouble.name.contains(name)),
                "{text}: {found:?}"
            );
        }
        let text = "#9 1.2 Resolving\n#9 1.4   cause: Because docopt==0.6.2 has no usable wheels\n#9 ERROR: exit code: 1";
        assert_eq!(
            explain(text)[0].line(text),
            Some("#9 1.4   cause: Because docopt==0.6.2 has no usable wheels")
        );
        assert_eq!(explain("all is well"), Vec::<&Trouble>::new());
    }
}
