//! The seeds' demo, as its users see it, and the story that `demo` tells.

use std::fs;

use serde_json::json;

use super::{browser::Browser, clone::Clone};

/// The seeds' demo: a page with a library of machine code, for both CPUs, and one that says why it cannot be loaded.
pub(super) fn the_demo_works_on_both_cpus_and_explains_itself_on_the_wrong_one(clone: &Clone) {
    println!("--- the demo");
    let browser = Browser::find();
    if browser.is_none() {
        println!("no browser is here: nobody looks at the pages");
    }
    let pictures = json!([[560, 360], [560, 360]]);
    clone
        .run("docker-build --sandbox --service demo --arch all")
        .expect(0);
    for (arch, machine) in [("arm64", "aarch64"), ("amd64", "x86_64")] {
        clone
            .run(&format!(
                "verify image backend:demo-{arch}-latest --sandbox --arch {arch}"
            ))
            .expect(0);
        let page = demo_page(clone, &format!("backend:demo-{arch}-latest"), arch);
        assert!(
            page.contains(&format!("This container runs on {machine}"))
                && page.contains("data:image/png"),
            "{arch}"
        );
        if let Some(browser) = &browser {
            let (heading, state, seen) = browser.look(arch, &page);
            assert_eq!(heading, format!("This container runs on {machine}"));
            assert!(
                state.starts_with("OpenCV") && state.ends_with("works."),
                "{state}"
            );
            assert_eq!(seen, pictures);
        }
    }
    // On an arm64 machine the same mistake would make an image that works.
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    // The wheels of whatever machine builds: what people write first.
    let file = clone.directory.path().join("backend/Dockerfile.demo");
    let honest = fs::read_to_string(&file).unwrap();
    let wrong = honest
        .replace("case \"$TARGETARCH\" in", "case \"$(uname -m)\" in")
        .replace("arm64) platform", "aarch64) platform")
        .replace("amd64) platform", "x86_64) platform");
    fs::write(&file, wrong).unwrap();
    clone
        .run("docker-build --sandbox --service demo --arch arm64")
        .expect(0);
    let verified = clone
        .run("verify image backend:demo-arm64-latest --sandbox --arch arm64")
        .expect(1);
    assert!(
        verified
            .stderr
            .contains("Python package opencv_python_headless"),
        "{}",
        verified.stderr
    );
    let page = demo_page(clone, "backend:demo-arm64-latest", "arm64");
    assert!(
        page.contains("OpenCV cannot be loaded on this CPU")
            && page.contains("cv2.abi3.so</code> is for <strong>x86_64"),
        "{page}"
    );
    if let Some(browser) = &browser {
        let (heading, state, seen) = browser.look("wrong", &page);
        assert_eq!(heading, "This container runs on aarch64");
        assert_eq!(
            (state.as_str(), seen),
            ("OpenCV cannot be loaded on this CPU.", json!([]))
        );
    }
    fs::write(&file, honest).unwrap();
}

/// The story that `demo` tells, and the compiled service: what their Dockerfiles make is proven, and answers.
pub(super) fn the_story_is_told_to_its_end(clone: &Clone) {
    println!("--- the story, and the compiled service");
    let story = clone.run("demo --json").expect(0).json();
    assert!(
        story["wrong"]
            .as_str()
            .unwrap()
            .ends_with("OpenCV cannot be loaded on this CPU."),
        "{story}"
    );
    assert_eq!(
        story["right"].as_array().unwrap().len(),
        4,
        "each image for itself, and each by the index's tag"
    );
    clone
        .run("docker-build --sandbox --service native --arch all")
        .expect(0);
    for arch in ["arm64", "amd64"] {
        let proven = clone
            .run(&format!(
                "verify image backend:native-{arch}-latest --sandbox --arch {arch}"
            ))
            .expect(0);
        assert!(
            proven.stderr.contains("the one file of machine code"),
            "{}",
            proven.stderr
        );
    }
}

/// The page, asked for inside the container: no port of this machine is needed.
fn demo_page(clone: &Clone, image: &str, arch: &str) -> String {
    let program = "import server; print(server.app.test_client().get('/').get_data(as_text=True))";
    let platform = format!("linux/{arch}");
    let said = clone.client(
        "docker",
        &[
            "run",
            "--rm",
            "--platform",
            &platform,
            "--entrypoint",
            "python3",
            image,
            "-c",
            program,
        ],
    );
    // What OpenCV prints when it cannot be loaded is no part of the page.
    said[said.find("<!doctype html>").unwrap()..].to_owned()
}
