//! The page of made-up data: word for word for a small one, and without a way out for hostile ones.

use image_proof::{Finding, Problem, Verdict};

use super::*;
use crate::{
    facts::host,
    plan::{
        layers::{Kind, Made},
        status::Row,
    },
    proof::{Installed, Inventory, Manager, Proof},
    record::{History, Past},
};

const HOSTILE: &str = "\"'><script>alert(1)</script>&amp;\u{202e}\u{0}";

fn digest_of(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

fn row(place: &str, image: &str, tag: Option<&str>, runs: Option<&str>) -> Row {
    let mut row = Row::new(
        place,
        image.into(),
        Target::Lambda,
        format!("{image}-{place}-latest"),
    );
    row.tag_digest = tag.map(digest_of);
    row.runs = runs.map(digest_of);
    row.workload = runs.map(|_| format!("shop-{place}-{image}"));
    row.arch = runs.map(|_| Arch::Arm64);
    row.revision = tag.map(|letter| letter.repeat(7));
    row.age = tag.map(|_| "3 days".to_owned());
    row.judge(Arch::Arm64);
    row
}

fn layer(letter: &str, size: u64, kind: Kind, instruction: &str) -> Layer {
    let instruction = instruction.to_owned();
    Layer {
        digest: digest_of(letter),
        size,
        made: Made { kind, instruction },
    }
}

fn proven(findings: Vec<Finding>) -> Proven {
    let verdict = Verdict {
        expected: "arm64".into(),
        checked: 12,
        findings,
        baggage: Vec::new(),
        notes: vec!["2 files for the 32-bit mode of this CPU".into()],
    };
    let package = |manager, name: &str, architecture: Option<&str>| Installed {
        manager,
        name: name.into(),
        version: "1.0".into(),
        architecture: architecture.map(str::to_owned),
    };
    Proven::Here {
        proof: Box::new(Proof {
            digest: None,
            image_index: None,
            config_digest: digest_of("9"),
            platform: "linux/arm64".into(),
            verdict,
        }),
        inventory: Inventory {
            system: None,
            packages: vec![
                package(Manager::Debian, "libc6", Some("arm64")),
                package(Manager::Python, "flask", None),
            ],
            unread: vec!["var/lib/rpm/rpmdb.sqlite".into()],
            is_cut: true,
        },
    }
}

fn variant(letter: &str, proof: Proven) -> Variant {
    Variant {
        digest: digest_of(letter),
        platform: "linux/arm64".into(),
        revision: Some(letter.repeat(40)),
        created: Some("2026-01-10T12:00:00Z".into()),
        layers: vec![
            layer("7", 30_000_000, Kind::Base, "# debian.sh --arch 'arm64'"),
            layer("8", 10_000_000, Kind::Copy, "COPY . /app"),
        ],
        proof,
        cost: Some(Target::Lambda.cost(Arch::Arm64)),
    }
}

fn image(name: &str, letter: &str, variants: Vec<Variant>) -> Image {
    Image {
        name: name.into(),
        target: Target::Lambda,
        digest: digest_of(letter),
        references: vec![format!("registry.example/shop@{}", digest_of(letter))],
        used: vec![
            Use {
                place: "dev".into(),
                role: Role::Tag(format!("{name}-dev-latest")),
            },
            Use {
                place: "dev".into(),
                role: Role::Runs(format!("function shop-dev-{name}")),
            },
        ],
        is_index: variants.len() > 1,
        variants,
        unread: Vec::new(),
    }
}

fn past(action: &str, from: Option<&str>, outcome: &str) -> Past {
    Past {
        when: "2026-01-15T09:00:00Z".into(),
        who: "arn:aws:sts::111122223333:assumed-role/Deployer/anna".into(),
        action: action.into(),
        environment: "dev".into(),
        image: "api".into(),
        workload: "shop-dev-api".into(),
        from: from.map(str::to_owned),
        to: digest_of("a"),
        outcome: outcome.into(),
    }
}

/// Two environments, one of which cannot be read, and two images: one is right, one is not here.
fn small() -> Page {
    let place = |name: &str, reason: Option<&str>| Place {
        name: name.into(),
        unreached: reason.map(str::to_owned),
    };
    let service = |name: &str, row: Row, other: Cell| Service {
        name: name.into(),
        target: Target::Lambda,
        cells: vec![Cell::Found(Box::new(row)), other],
    };
    Page {
        project: "shop".into(),
        made: "2026-01-16T14:30:00Z".into(),
        is_sandbox: false,
        places: vec![
            place("dev", None),
            place("prod", Some("no credentials: aws sso login")),
        ],
        services: vec![
            service("api", row("dev", "api", Some("a"), Some("a")), Cell::Unread),
            service(
                "worker",
                row("dev", "worker", Some("b"), Some("c")),
                Cell::Absent,
            ),
            service("cron", row("dev", "cron", None, None), Cell::Absent),
        ],
        images: vec![
            image("api", "a", vec![variant("a", proven(Vec::new()))]),
            image(
                "worker",
                "b",
                vec![variant("b", Proven::Unknown { bytes: 40_000_000 })],
            ),
        ],
        history: History {
            lines: vec![
                past(
                    "rollback",
                    Some(&format!("version 7: {}", digest_of("d"))),
                    "moved",
                ),
                past("push", None, "restored"),
            ],
            older: 3,
            is_cut: false,
            unreadable: 1,
        },
        history_unread: None,
    }
}

/// After a wanted change: `UPDATE_SNAPSHOTS=1 cargo test --package shipright --lib page`, and read the difference.
#[test]
fn a_small_page_reads_as_it_did() {
    let made = html(&small());
    let (head, rest) = made.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    let (before, after) = head.split_once("sha256-").unwrap();
    let (_, after) = after.split_once('=').unwrap();
    let made = format!("{before}sha256-STYLE{after}{body}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page.html");
    if host::variable("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    assert!(known == made, "{file} is not what the page is now:\n{made}");
}

#[test]
fn the_policy_allows_the_style_sheet_by_its_digest_and_nothing_else() {
    let made = html(&small());
    let (_, rest) = made.split_once("<style>").unwrap();
    let sheet = rest.split_once("</style>").unwrap().0;
    let digest = BASE64_STANDARD.encode(Sha256::digest(sheet));
    let policy = format!(
        "content=\"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;\""
    );
    assert!(made.contains(&policy), "{made}");
    for part in ["url(", "@import", "<", "http", "expression"] {
        assert!(!sheet.contains(part), "the style sheet has {part}");
    }
}

/// The same page with hostile text wherever there is text.
fn hostile() -> Page {
    let text = || HOSTILE.to_owned();
    let finding = Finding {
        problem: Problem::WrongMachine,
        path: text(),
        found: text(),
        expected: text(),
        layer: Some(text()),
        instruction: Some(text()),
        package: Some(text()),
        looked_for: Some(text()),
        cause: text(),
        allow: Some(text()),
    };
    let mut proof = proven(vec![finding]);
    if let Proven::Here { proof, inventory } = &mut proof {
        proof.verdict.notes.push(text());
        proof.verdict.expected = text();
        inventory.unread.push(text());
        for package in &mut inventory.packages {
            (package.name, package.version, package.architecture) = (text(), text(), Some(text()));
        }
    }
    let mut page = small();
    page.project = text();
    page.made = text();
    page.history_unread = None;
    page.places = vec![
        Place {
            name: text(),
            unreached: Some(text()),
        };
        2
    ];
    for service in &mut page.services {
        service.name = text();
        if let Cell::Found(row) = &mut service.cells[0] {
            row.revision = Some(text());
            row.runs_revision = Some(text());
            row.age = Some(text());
            (row.tag_digest, row.runs) = (Some(text()), Some(format!("sha256:{HOSTILE}{HOSTILE}")));
            (row.drift, row.unknown) = (vec![text()], vec![text()]);
        }
    }
    let mut failed = variant("a", Proven::Failed(text()));
    failed.layers[0].made.instruction = text();
    failed.layers[0].digest = text();
    (failed.platform, failed.revision, failed.created) = (text(), Some(text()), Some(text()));
    let mut image = image(HOSTILE, HOSTILE, vec![variant("b", proof), failed]);
    image.unread.push(text());
    image.references.push(text());
    page.images.push(image);
    let all = text;
    page.history.lines.push(Past {
        when: all(),
        who: all(),
        action: all(),
        environment: all(),
        image: all(),
        workload: all(),
        from: Some(format!("{HOSTILE} sha256:{HOSTILE} x@sha256:{HOSTILE}")),
        to: all(),
        outcome: all(),
    });
    page
}

#[test]
fn hostile_text_stays_text_wherever_it_stands() {
    let made = html(&hostile());
    assert!(
        made.matches("&lt;script&gt;alert(1)&lt;/script&gt;")
            .count()
            > 50
    );
    assert!(!made.contains("<script") && !made.contains('\u{202e}') && !made.contains('\0'));
    assert!(!made.contains("&amp;\\u") && made.contains("&amp;amp;\\u{202e}\\u{0}"));
    // Each part that begins with `<` is a tag of ours, with attributes of ours, in pairs of quotes.
    let (_, body) = made.split_once("</style>").unwrap();
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("<{part}"));
        let name = tag.trim_start_matches('/').split(' ').next().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()), "<{tag}>");
        let quoted: Vec<_> = tag.split('"').collect();
        assert!(quoted.len() % 2 == 1, "<{tag}>");
        for outside in quoted.iter().step_by(2).skip(1) {
            let is_name = |c: char| c.is_ascii_alphabetic() || " =-".contains(c);
            assert!(outside.chars().all(is_name), "<{tag}>");
        }
        assert!(!text.contains(['>', '"', '\'']), "{text}");
    }
}

#[test]
fn an_index_shows_each_of_its_images_and_leads_to_them() {
    let mut page = small();
    let both = vec![
        variant("c", proven(Vec::new())),
        variant("d", proven(Vec::new())),
    ];
    page.images = vec![image("worker", "b", both)];
    assert_eq!(page.image("worker", &digest_of("d")), Some(0));
    assert_eq!(page.image("api", &digest_of("d")), None);
    assert_eq!(
        page.platforms("worker", &digest_of("b")).as_deref(),
        Some("linux/arm64, linux/arm64")
    );
    let made = html(&page);
    assert_eq!(made.matches("<h3>").count(), 2, "{made}");
    assert!(made.contains("● proven"));
}

#[test]
fn many_environments_are_cards_and_long_lists_have_an_end() {
    let mut page = small();
    for number in 0..5 {
        page.places.push(Place {
            name: format!("env{number}"),
            unreached: None,
        });
        for service in &mut page.services {
            service.cells.push(Cell::Absent);
        }
    }
    if let Proven::Here { inventory, .. } = &mut page.images[0].variants[0].proof {
        inventory.is_cut = false;
        inventory.packages = vec![inventory.packages[0].clone(); 5000];
    }
    let made = html(&page);
    assert!(made.contains("class=\"matrix cards\""));
    assert!(
        made.contains("5000 packages") && made.contains("There are more packages than are shown")
    );
    assert!(made.matches("libc6").count() <= 3000);
}

#[test]
fn the_data_has_a_form_that_programs_read() {
    let text = serde_json::to_value(small()).unwrap();
    assert_eq!(
        text["images"][0]["variants"][0]["layers"][1]["kind"],
        "copy"
    );
    assert_eq!(
        text["services"][0]["cells"][0]["found"]["tag"],
        "api-dev-latest"
    );
}
