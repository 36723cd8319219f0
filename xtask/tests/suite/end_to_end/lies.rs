//! Images that are not what they say.

use std::fs;

use super::clone::Clone;

/// The seeds' lesson, "Python is not Go", and its compiled twin: the config says arm64 and the bytes do not.
pub(super) fn an_image_that_lies_is_not_pushed(clone: &Clone) {
    println!("--- lies");
    let file = clone.directory.path().join("backend/Dockerfile.eks");
    let honest = fs::read_to_string(&file).unwrap();
    let wheels = "ARG PYTHON_BASE\nFROM --platform=$BUILDPLATFORM ${PYTHON_BASE} AS packages\n\
                  RUN --mount=type=secret,id=ca PIP_CERT=/run/secrets/ca pip install --quiet --root-user-action=ignore --target /packages orjson==3.13.0\n\
                  FROM ${PYTHON_BASE}\nCOPY --from=packages /packages /packages\nCMD [\"python3\"]\n";
    let copied = "ARG PYTHON_BASE\nFROM --platform=$BUILDPLATFORM ${PYTHON_BASE} AS build\nFROM ${PYTHON_BASE}\n\
                  COPY --from=build /usr/bin/uname /opt/tool\nCMD [\"python3\"]\n";
    // On an arm64 machine the same Dockerfiles are honest: then there is nothing to see here.
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    for (lie, path, words) in [
        (
            wheels,
            "packages/orjson/",
            [
                "Python package orjson 3.13.0",
                "COPY /packages /packages",
                "--python-platform",
            ],
        ),
        (
            copied,
            "opt/tool",
            ["opt/tool", "COPY /usr/bin/uname /opt/tool", "$TARGETARCH"],
        ),
    ] {
        fs::write(&file, lie).unwrap();
        clone.commit("lie");
        let before = clone.look();
        let run = clone
            .run("push-dev --sandbox --service api --dockerfile Dockerfile.eks --json")
            .expect(1);
        let error = run.json()["images"][0]["error"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            error.contains(path) && error.contains("machine code for amd64, expected arm64"),
            "{error}"
        );
        for word in words {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        assert_eq!(clone.look(), before, "nothing was pushed");
    }
    let commit = clone.git("rev-parse --short=7 HEAD");
    let allowed = fs::read_to_string(clone.directory.path().join("deploy.toml")).unwrap().replace(
        "dockerfile = \"Dockerfile.eks\"",
        "dockerfile = \"Dockerfile.eks\"\nforeign = [{ path = \"opt/tool\", reason = \"shows that it can be\" }]",
    );
    fs::write(clone.directory.path().join("allowed.toml"), allowed).unwrap();
    let config =
        "push-dev --sandbox --service api --dockerfile Dockerfile.eks --config allowed.toml";
    clone.run(config).expect(0);
    let registry = clone.status()["registry"].as_str().unwrap().to_owned();
    let verify = clone
        .run(&format!(
            "verify image {registry}/backend:api-eks-{commit}-dirty --sandbox --json"
        ))
        .expect(1);
    assert_eq!(verify.json()["verdict"]["findings"][0]["path"], "opt/tool");
    clone
        .run(&format!(
            "verify image {registry}/backend:api-lambda-dev-latest --sandbox --target lambda"
        ))
        .expect(0);
    clone
        .run(&format!(
            "verify image {registry}/backend:api-lambda-dev-latest --sandbox --target apprunner"
        ))
        .expect(1);
    let archive = clone.directory.path().join("saved.tar");
    clone.client(
        "docker",
        &[
            "save",
            "--output",
            archive.to_str().unwrap(),
            "backend:arm64-latest",
        ],
    );
    clone.run("verify image ./saved.tar --arch arm64").expect(0);
    clone.run("verify image ./saved.tar --arch amd64").expect(1);
    fs::remove_file(archive).unwrap();
    fs::remove_file(clone.directory.path().join("allowed.toml")).unwrap();
    fs::write(&file, honest).unwrap();
    clone.commit("honest");
}

/// A Dockerfile, the word that the finding has, or nothing where the image is fine.
type Case = (&'static str, Option<&'static str>);

/// `native` is a program for the image's CPU, `foreign` one for the other.
const CASES: [Case; 11] = [
    (
        "FROM scratch\nCOPY native /app\nENTRYPOINT [\"/app\"]\n",
        None,
    ),
    (
        "FROM scratch\nCOPY foreign /app\nENTRYPOINT [\"/app\"]\n",
        Some("/app: machine code for"),
    ),
    ("FROM scratch\nCOPY Dockerfile /text\n", None),
    (
        "FROM scratch\nCOPY native /app\nENTRYPOINT [\"/gone\"]\n",
        Some("/gone"),
    ),
    (
        "FROM scratch\nCOPY script /run\nENTRYPOINT [\"/run\"]\n",
        Some("/no/shell"),
    ),
    // A later layer takes the file away, or puts another in its place.
    (
        "FROM base\nCOPY foreign /opt/tool\nRUN rm /opt/tool\n",
        None,
    ),
    (
        "FROM base\nCOPY foreign /opt/tool\nCOPY native /opt/tool\n",
        None,
    ),
    (
        "FROM base\nCOPY foreign /opt/a/tool\nRUN rm -r /opt && mkdir -p /opt/a\n",
        None,
    ),
    (
        "FROM base\nCOPY native /opt/tool\nCOPY foreign /opt/tool\n",
        Some("/opt/tool: machine code for"),
    ),
    // Another name of the same bytes is left.
    (
        "FROM base\nRUN --mount=type=bind,source=foreign,target=/f mkdir -p /opt && cp /f /opt/a && ln /opt/a /opt/b && rm /opt/a\n",
        Some("/opt/b"),
    ),
    (
        "FROM base\nCOPY foreign /opt/LONG/tool\n",
        Some("LONG/tool: machine code for"),
    ),
];

pub(super) fn images_of_the_real_engine_are_judged_right(clone: &Clone) {
    println!("--- images that BuildKit makes, in each of its compressions");
    let directory = clone.directory.path().join("target/images");
    fs::create_dir_all(&directory).unwrap();
    let long = "long-name/".repeat(20);
    let place = directory.to_str().unwrap().to_owned();
    let base = "backend:arm64-latest";
    // Of two sizes: BuildKit takes a file of the same size and time for the same file.
    for (name, machine, size) in [("native", 0xb7_u8, 64), ("foreign", 0x3e, 65)] {
        // A static program's header; nothing here is executed.
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        elf.extend([machine, 0, 1, 0, 0, 0]);
        elf.resize(size, 0);
        fs::write(directory.join(name), elf).unwrap();
    }
    fs::write(directory.join("script"), "#!/no/shell\n").unwrap();
    let compressions = ["gzip", "zstd", "uncompressed"];
    for (number, (dockerfile, finding)) in CASES.iter().enumerate() {
        let text = dockerfile
            .replace("FROM base", &format!("FROM {base}"))
            .replace("LONG/", &long);
        fs::write(directory.join("Dockerfile"), &text).unwrap();
        let archive = directory.join("image.tar");
        let output = format!(
            "type=oci,dest={},compression={},force-compression=true",
            archive.display(),
            compressions[number % compressions.len()]
        );
        let words = [
            "buildx",
            "build",
            "--quiet",
            "--platform",
            "linux/arm64",
            "--output",
            &output,
            &place,
        ];
        clone.client("docker", &words);
        let run = clone.run(&format!("verify image {} --arch arm64", archive.display()));
        match finding {
            None => drop(run.expect(0)),
            Some(word) => {
                let word = word.replace("LONG/", &long);
                let run = run.expect(1);
                assert!(
                    run.stderr.contains(&word),
                    "{word} is missing in {}",
                    run.stderr
                );
            }
        }
    }
    fs::remove_dir_all(directory).unwrap();
}
