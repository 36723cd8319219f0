//! Dockerfiles and what the rules say of them: every alarm has a twin that is fine.
#![allow(
    clippy::too_many_lines,
    reason = "a test tells a story, or has a table of cases"
)]

use std::collections::BTreeMap;

use super::*;

/// The names of the rules that fire.
fn rules(text: &str) -> Vec<String> {
    check(text)
        .into_iter()
        .map(|problem| problem.rule.unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn each_rule_fires_and_its_fine_twin_is_silent() {
    let cases: &[(&str, &str)] = &[
        (
            "last-stage-on-build-platform",
            "FROM --platform=$BUILDPLATFORM alpine\nRUN true\n",
        ),
        (
            "last-stage-on-build-platform",
            "FROM --platform=${BUILDPLATFORM} alpine AS a\nFROM a\n",
        ),
        (
            "",
            "FROM --platform=$BUILDPLATFORM golang AS b\nRUN true\nFROM --platform=$TARGETPLATFORM alpine\nCOPY --from=b /x /x\n",
        ),
        (
            "",
            "ARG TARGETPLATFORM\nFROM --platform=$TARGETPLATFORM python:3.13-slim\n",
        ),
        ("constant-platform", "FROM --platform=linux/amd64 alpine\n"),
        (
            "constant-platform",
            "FROM --platform=linux/arm64/v8 alpine AS b\nFROM b\n",
        ),
        (
            "",
            "FROM --platform=linux/amd64 tonistiigi/xx AS xx\nFROM alpine\nCOPY --from=xx / /\n",
        ),
        (
            "packages-for-build-platform",
            "FROM --platform=$BUILDPLATFORM python AS b\nRUN pip install --target /packages numpy\nFROM python\nCOPY --from=b /packages /packages\n",
        ),
        (
            "packages-for-build-platform",
            "FROM --platform=$BUILDPLATFORM python AS b\nWORKDIR /app\nRUN uv sync\nFROM python\nCOPY --from=b /app /app\n",
        ),
        (
            "packages-for-build-platform",
            "FROM --platform=$BUILDPLATFORM python AS b\nRUN python -m venv /venv && /venv/bin/pip install flask\nFROM python\nCOPY --from=b /venv /venv\n",
        ),
        (
            "packages-for-build-platform",
            "FROM --platform=$BUILDPLATFORM node AS b\nWORKDIR /app\nRUN npm ci\nFROM node\nCOPY --from=b /app/node_modules ./node_modules\n",
        ),
        (
            "packages-for-build-platform",
            "FROM --platform=$BUILDPLATFORM ruby AS b\nRUN bundle install\nFROM ruby\nCOPY --from=0 /usr/local/bundle /usr/local/bundle\n",
        ),
        (
            "",
            "FROM --platform=$BUILDPLATFORM python AS b\nARG TARGETARCH\nRUN uv pip install --python-platform aarch64-manylinux_2_28 --only-binary :all: --target /packages numpy\nFROM python\nCOPY --from=b /packages /packages\n",
        ),
        (
            "",
            "FROM --platform=$BUILDPLATFORM node AS web\nWORKDIR /app\nRUN npm ci && npm run build\nFROM nginx\nCOPY --from=web /app/dist /usr/share/nginx/html\n",
        ),
        (
            "",
            "FROM python AS b\nRUN pip install --target /packages numpy\nFROM python\nCOPY --from=b /packages /packages\n",
        ),
        (
            "",
            "FROM --platform=$BUILDPLATFORM golang AS b\nRUN apt-get install -y gcc-aarch64-linux-gnu\nFROM alpine\nCOPY --from=b /out/app /app\n",
        ),
        (
            "hard-coded-goarch",
            "FROM golang\nRUN CGO_ENABLED=0 GOARCH=amd64 go build -o /app\n",
        ),
        (
            "hard-coded-goarch",
            "FROM golang\nENV GOOS=linux GOARCH=arm64\n",
        ),
        (
            "",
            "FROM golang\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build -o /app\n",
        ),
        (
            "hard-coded-target",
            "FROM rust\nRUN cargo build --release --target x86_64-unknown-linux-musl\n",
        ),
        (
            "hard-coded-target",
            "FROM rust\nRUN cargo build --target=aarch64-unknown-linux-gnu \\\n    --release\n",
        ),
        (
            "",
            "FROM rust\nARG TARGETARCH\nRUN case \"$TARGETARCH\" in arm64) t=aarch64-unknown-linux-musl ;; *) t=x86_64-unknown-linux-musl ;; esac; cargo build --target $t\n",
        ),
        (
            "",
            "FROM rust\nRUN cargo build --target wasm32-unknown-unknown\n",
        ),
        (
            "arch-in-url",
            "FROM debian\nRUN curl -LO https://example.com/tool-linux-amd64.tar.gz\n",
        ),
        (
            "arch-in-url",
            "FROM debian\nADD https://example.com/x86_64/tool /tool\n",
        ),
        (
            "",
            "FROM debian\nARG TARGETARCH\nRUN curl -LO https://example.com/tool-linux-${TARGETARCH}.tar.gz\n",
        ),
        (
            "",
            "FROM debian\nRUN curl -LO https://example.com/tool-$(uname -m).tar.gz https://example.com/x86_64/sums\n",
        ),
        ("", "FROM debian\nRUN echo amd64 and arm64\n"),
        ("arch-in-base-tag", "FROM amd64/python:3.13\n"),
        ("arch-in-base-tag", "FROM example.com/base:1.2-arm64\n"),
        (
            "arch-in-base-tag",
            "ARG TARGETARCH\nFROM public.ecr.aws/lambda/python:3.13-${TARGETARCH}\n",
        ),
        (
            "",
            "FROM --platform=$BUILDPLATFORM messense/rust-musl-cross:x86_64-musl AS b\nFROM scratch\nCOPY --from=b /app /app\n",
        ),
        ("", "FROM example.com/charm64:1\n"),
        (
            "undeclared-platform-arg",
            "FROM debian\nRUN echo $TARGETARCH\n",
        ),
        (
            "undeclared-platform-arg",
            "ARG TARGETARCH\nFROM debian\nRUN echo ${TARGETARCH}\n",
        ),
        (
            "",
            "FROM debian AS a\nARG TARGETARCH\nFROM a\nRUN echo $TARGETARCH\n",
        ),
        (
            "",
            "FROM debian\nRUN TARGETARCH=$(uname -m); echo $TARGETARCH\n",
        ),
        ("", "FROM debian\nRUN echo $TARGETARCHIVE\n"),
        ("secret-in-arg", "FROM debian\nARG NPM_TOKEN\n"),
        ("secret-in-arg", "FROM debian\nENV DB_PASSWORD=hunter2\n"),
        (
            "",
            "FROM debian\nENV DB_PASSWORD_FILE=/run/secrets/x TOKEN_URL=https://example.com KEYBOARD=us\n",
        ),
        (
            "syntax-directive",
            "# syntax=docker/dockerfile:1\nFROM debian\n",
        ),
        (
            "",
            "FROM debian\nRUN <<EOF\nFROM nothing\ncurl https://example.com/$(uname -m)/amd64\nEOF\n",
        ),
        (
            "",
            "FROM debian\nRUN --mount=type=secret,id=x cat /run/secrets/x\n",
        ),
    ];
    for (expected, text) in cases {
        let expected: Vec<&str> = if expected.is_empty() {
            vec![]
        } else {
            vec![expected]
        };
        assert_eq!(rules(text), expected, "{text}");
    }
}

#[test]
fn a_rule_is_silenced_by_name_with_a_reason_and_for_one_instruction() {
    let allow = |comment: &str| format!("{comment}\nFROM --platform=linux/amd64 alpine\n");
    assert_eq!(
        rules(&allow(
            "# xtask: allow constant-platform the vendor has no other"
        )),
        [""; 0]
    );
    assert_eq!(
        rules(&allow("# xtask: allow constant-platform")).len(),
        2,
        "without a reason nothing is silenced"
    );
    assert!(
        check(&allow("# xtask: allow constant-platfrom typo"))
            .iter()
            .any(|problem| problem.cure.contains("constant-platform"))
    );
    let both = "# xtask: allow arch-in-base-tag first\nFROM a:1-amd64 AS a\nFROM b:1-amd64\n";
    assert_eq!(rules(both), ["arch-in-base-tag"]);
}

#[test]
fn system_packages_are_for_the_machine_that_installs_them() {
    let copied = |install: &str, source: &str| {
        rules(&format!(
            "FROM --platform=$BUILDPLATFORM debian AS b\nRUN {install}\nFROM debian\nCOPY --from=b {source} /x\n"
        ))
    };
    for (install, source) in [
        (
            "apt-get update && apt-get install -y ffmpeg",
            "/usr/bin/ffmpeg",
        ),
        ("apk add --no-cache curl", "/usr/lib"),
        ("dnf install -y libpq", "/usr/lib64/libpq.so.5"),
    ] {
        assert_eq!(
            copied(install, source),
            ["packages-for-build-platform"],
            "{install} {source}"
        );
    }
    for (install, source) in [
        (
            "apt-get install -y gcc-aarch64-linux-gnu && make",
            "/src/app",
        ),
        (
            "apt-get install -y tzdata ca-certificates",
            "/usr/share/zoneinfo",
        ),
        ("apt-get install -y ca-certificates", "/etc/ssl/certs"),
        (
            "apt-get install -y gcc && cc -o /usr/bin/app app.c",
            "/usr/bin/app",
        ),
        (
            "dpkg --add-architecture arm64 && apt-get install -y libc6:arm64",
            "/usr/lib",
        ),
    ] {
        assert_eq!(copied(install, source), [""; 0], "{install} {source}");
    }
}

/// Shapes that are in public repositories, told in our own words: each was a false alarm once.
#[test]
fn what_is_fine_in_the_wild_is_fine_here() {
    for text in [
        // Several names in one ARG.
        "FROM golang\nARG TARGETOS TARGETARCH=amd64\nRUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build\n",
        "FROM a\nENV GOOS=linux TARGETARCH=arm64\nRUN echo $TARGETARCH\n",
        "FROM a\nRUN set -e; \\\n    # $TARGETARCH is not needed \\\n    true\n",
        "FROM a\nRUN echo 'echo $TARGETARCH' > /x && echo \"\\$TARGETOS\" >> /x\n",
        "FROM a\nRUN for TARGETARCH in amd64 arm64; do GOARCH=$TARGETARCH go build; done\n",
        "FROM a\nRUN . /env.sh && echo $BUILDARCH\nRUN echo ${TARGETARCH-amd64}\n",
        "ARG BASE=dev\nFROM debian AS base-dev\nARG TARGETARCH\nFROM base-${BASE}\nRUN echo $TARGETARCH\n",
        // One stage for each CPU, of which the build takes one.
        "FROM --platform=linux/amd64 ubuntu AS base-amd64\nFROM --platform=linux/arm64 ubuntu AS base-arm64\nFROM base-$TARGETARCH\n",
        "FROM e.com/x:1-amd64 AS base-amd64\nADD https://e.com/t-amd64 /t\nENV GOARCH=amd64\nFROM e.com/x:1-arm64 AS base-arm64\nFROM base-$TARGETARCH\n",
        "FROM e.com/jet:5-arm64 AS jet\nFROM a AS arm64\nCOPY --from=jet /x /x\nFROM a AS amd64\nFROM ${TARGETARCH}\n",
        // A workshop on the build machine that makes the target's programs.
        "FROM --platform=$BUILDPLATFORM golang:alpine AS base\nRUN apk add git\nFROM base AS build\nARG TARGETARCH\n\
         RUN GOARCH=$TARGETARCH go build -o /usr/bin/app .\nFROM scratch\nCOPY --from=build /usr/bin/app /\n",
        "FROM --platform=$BUILDPLATFORM a AS b\nRUN apk add gcc\nRUN ./configure --prefix=/usr && make install\nFROM a\nCOPY --from=b /usr/bin/x /x\n",
        "FROM --platform=$BUILDPLATFORM a AS b\nARG TARGETPLATFORM\nRUN xx-apk add libpq\nFROM a\nCOPY --from=b /usr/lib /x\n",
        "FROM --platform=$BUILDPLATFORM a AS docs\nWORKDIR /app\nRUN pip install jinja2\nRUN python render.py\nFROM a\nCOPY --from=docs /app /html\n",
        "FROM --platform=$BUILDPLATFORM node AS web\nRUN npm ci --prefix /app/web && npm run build --prefix /app/web\nFROM a\nCOPY --from=web /app/web/dist /html\n",
        "FROM --platform=$BUILDPLATFORM node AS web\nWORKDIR /app\nRUN npm ci && npm run build && rm -rf node_modules\nFROM a\nCOPY --from=web /app /srv\n",
        "FROM --platform=$BUILDPLATFORM node AS web\nWORKDIR /app\nRUN npm ci\nWORKDIR /app/dist\nFROM a\nCOPY --from=web /app/dist /html\n",
        "FROM --platform=$BUILDPLATFORM node AS web\nARG TARGETARCH\nWORKDIR /a\nENV npm_config_cpu=$TARGETARCH\nRUN npm ci\nFROM a\nCOPY --from=web /a /a\n",
        // Scripts that choose, in words of their own.
        "FROM a\nRUN if [ \"$(go env GOARCH)\" = amd64 ]; then curl -LO https://e.com/t-amd64; fi\n",
        "FROM a\nARG BUILD_ARCH\nRUN if [ \"$BUILD_ARCH\" = x ]; then curl -LO https://e.com/t-amd64; fi\n",
        "FROM a\nRUN GOARCH=amd64 go build -o /out/amd64/app\nRUN GOARCH=arm64 go build -o /out/arm64/app\n",
        "FROM a\nRUN curl -O https://e.com/t-amd64 && curl -O https://e.com/t-arm64\n",
        "FROM a\nRUN echo docs: https://e.com/arm64/ > /README\nRUN curl -O https://github.com/x/arm64-tools/archive/v1.tar.gz\n",
        "FROM a\nRUN curl -O https://e.com/aarch64/keys.rsa.pub\n",
        "FROM multiarch/qemu-user-static:x86_64-aarch64 AS qemu\nFROM multiarch/qemu-user-static:x86_64-arm AS q\nFROM a\n",
        "FROM localhost:5000/arm64/tool\n",
        // Names that sound like secrets.
        "FROM a\nENV ALLOW_EMPTY_PASSWORD=yes SECRET_KEY_BASE_DUMMY=1 TOKEN_EXPIRATION=3600 SECRET_BACKEND=vault\n",
        "FROM a\nENV GOOGLE_APPLICATION_CREDENTIALS=/run/secrets/gcp.json\nENV API_KEY \"\"\n",
        // What BuildKit reads.
        "FROM alpine\nRUN cat <<EOF > /x\nhello $TARGETARCH\nEOF\nENTRYPOINT []\n",
        "FROM alpine\nRUN sh <<-'A' && cat <<B\n\techo\n\tA\nFROM here\nB\nRUN true\n",
        "FROM alpine\nRUN <<A <<B\nx\nA\ny\nB\nCMD []\n",
        "FROM alpine\nRUN echo $((1<<2)) && cat <<<word\n",
    ] {
        assert_eq!(rules(text), [""; 0], "{text}\n{:?}", check(text));
    }
}

#[test]
fn more_ways_to_the_wrong_cpu() {
    for (rule, text) in [
        (
            "undeclared-platform-arg",
            "FROM --platform=$BUILDPLATFORM golang AS b\nENV GOARCH=$TARGETARCH\nRUN go build -o /x\nFROM a\n",
        ),
        (
            "undeclared-platform-arg",
            "FROM a\nCOPY dist/$TARGETARCH/app /app\n",
        ),
        ("arch-in-base-tag", "FROM e.com/base:1.0-arm64@sha256:aa\n"),
        (
            "last-stage-on-build-platform",
            "FROM --platform=\"$BUILDPLATFORM\" alpine\n",
        ),
        ("secret-in-arg", "FROM a\nARG APP GITHUB_TOKEN SHA\n"),
        (
            "program-for-build-platform",
            "FROM --platform=$BUILDPLATFORM golang AS b\nRUN go build -o /out/app .\nFROM a\nCOPY --from=b /out/app /app\n",
        ),
    ] {
        assert_eq!(rules(text), [rule], "{text}");
    }
}

#[test]
fn files_for_windows_and_templates_get_one_note_and_no_rule() {
    // What the rules would find in each if it were a Dockerfile for Linux.
    let rest = "RUN curl -LO https://example.com/tool-amd64.tgz\n";
    for (head, expected) in [
        ("# escape=`\nFROM golang\n", "for Windows containers"),
        (
            "# syntax=docker/dockerfile:1\n#Escape = `\nFROM golang\n",
            "for Windows containers",
        ),
        (
            "FROM mcr.microsoft.com/windows/servercore:ltsc2022\n",
            "for Windows containers",
        ),
        (
            "FROM mcr.microsoft.com/powershell:nanoserver-1809 AS b\n",
            "for Windows containers",
        ),
        (
            "FROM --platform=windows/amd64 golang\n",
            "for Windows containers",
        ),
        ("FROM {{ base_image }}\n", "a template"),
        (
            "{% if gpu %}\nFROM nvidia/cuda\n{% endif %}\n",
            "a template",
        ),
        ("{{- $base := .Base }}\nFROM golang\n", "a template"),
        ("ARG VERSION={{ .Version }}\nFROM golang\n", "a template"),
    ] {
        let found = check(&format!("{head}{rest}"));
        let [only] = found.as_slice() else {
            panic!("{head}: {found:?}")
        };
        assert!(
            only.is_note && only.what.contains(expected),
            "{head}: {only:?}"
        );
    }
    for linux in [
        "FROM golang\n# escape=`\n",
        "FROM golang\nRUN docker inspect --format '{{.Id}}' x\n",
        "FROM golang\nRUN echo windows/amd64 servercore\n",
    ] {
        assert_eq!(rules(&format!("{linux}{rest}")), ["arch-in-url"], "{linux}");
    }
}

#[test]
fn problems_have_their_place() {
    let text = "FROM debian\n\nRUN true && \\\n    curl https://example.com/amd64\n";
    let problem = &check(text)[0];
    assert_eq!(&text[problem.span.clone()], "RUN");
}

#[test]
fn base_images_are_expanded_with_defaults_and_arguments() {
    let given = BTreeMap::from([("BASE".to_owned(), "mine:2".to_owned())]);
    let base = |text: &str| Model::parse(text).unwrap().base(None, &given);
    let cases = [
        ("ARG BASE=python:3\nFROM ${BASE}\n", Some("mine:2")),
        (
            "ARG VERSION=3.13\nFROM python:${VERSION}-slim AS a\nFROM a\n",
            Some("python:3.13-slim"),
        ),
        ("ARG X\nFROM ${X:-alpine}\n", Some("alpine")),
        ("ARG X\nFROM $X\n", None),
        ("ARG DEBUG\nFROM a${DEBUG:+-debug}\n", Some("a")),
        ("ARG DEBUG=1\nFROM a${DEBUG:+-debug}\n", Some("a-debug")),
        (
            "ARG V=2\nFROM alpine:3 AS base-2\nFROM base-$V\n",
            Some("alpine:3"),
        ),
        ("FROM scratch\n", None),
        ("FROM --platform=$BUILDPLATFORM a\n", None),
    ];
    for (text, expected) in cases {
        assert_eq!(base(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn no_text_makes_the_rules_panic() {
    for text in [
        "",
        "FROM",
        "\u{feff}FROM a",
        "RUN x",
        "FROM a\nRUN <<EOF\nx",
        "# escape=`\nFROM a\nRUN a `\n b",
        "FROM $",
        "FROM ${",
        "FROM a\nENV",
        "FROM a\nCOPY a",
        "FROM é\nRUN $é $TARGETARCH é",
    ] {
        assert!(
            check(text)
                .iter()
                .all(|finding| text.get(finding.span.clone()).is_some()),
            "{text}"
        );
    }
}

#[test]
fn thousands_of_damaged_dockerfiles_are_read_or_refused() {
    const SEED: &str = "# syntax=x\nARG A=1\nFROM --platform=$BUILDPLATFORM python:${A:-2} AS b\nENV X=\"y z\" GOARCH=amd64\n\
                        RUN <<EOF\npip install --target /p é\nEOF\n# xtask: allow secret-in-arg why\nARG TOKEN\nRUN curl \\\n  https://e/amd64 $TARGETARCH\n\
                        FROM b\nCOPY --from=b [\"/p\", \"/q\"]\n";
    let mut number: u64 = 7;
    let mut next = |end: usize| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(number >> 33).unwrap_or(0) % end.max(1)
    };
    for _ in 0..5000 {
        let mut characters: Vec<char> = SEED.chars().collect();
        for _ in 0..=next(6) {
            if characters.is_empty() {
                break;
            }
            let at = next(characters.len());
            match next(4) {
                0 => drop(characters.remove(at)),
                1 => characters.insert(
                    at,
                    ['$', '{', '}', '\n', '\\', '<', '"', '#', '\u{0}', '=', 'é'][next(11)],
                ),
                2 => characters.truncate(at.max(1)),
                _ => {
                    let other = next(characters.len());
                    characters.swap(at, other);
                }
            }
        }
        let text: String = characters.into_iter().collect();
        assert!(
            check(&text)
                .iter()
                .all(|finding| text.get(finding.span.clone()).is_some()),
            "{text}"
        );
    }
}

#[test]
fn what_npm_installs_is_a_note_since_the_packages_alone_decide() {
    let found = |install: &str, packages: &str| {
        let text = format!(
            "FROM --platform=$BUILDPLATFORM a AS b\nWORKDIR /app\nRUN {install}\nFROM a\nCOPY --from=b {packages} /p\n"
        );
        check(&text)
            .into_iter()
            .map(|finding| (finding.is_note, finding.what))
            .collect::<Vec<_>>()
    };
    let [(is_note, what)] = &found("npm ci", "/app/node_modules")[..] else {
        panic!()
    };
    assert!(
        *is_note && what.contains("those that carry all CPUs are fine"),
        "{what}"
    );
    let [(is_note, what)] = &found("pip install --target /packages numpy", "/packages")[..] else {
        panic!()
    };
    assert!(
        !is_note && what.contains("those in pure Python for any"),
        "{what}"
    );
}
