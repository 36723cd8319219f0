//! The whole way with real parts: a real Docker Engine, a real registry, real images for both CPUs, and other people's
//! clients that look at what came of it.
//!
//! `cargo xtask ci` runs this; by hand: `cargo test --test suite end_to_end -- --ignored --nocapture`. The sandbox of these tests
//! is their own and is stopped at the end; what it has fetched stays for the next run.

mod adoption;
mod browser;
mod builds;
mod clone;
mod demo;
mod deploy;
mod lies;
mod network;
mod page;
mod push;
mod workflows;

use std::{fs, path::Path};

use self::clone::{Clone, without_token_in_any_command_line};

#[test]
#[ignore = "takes minutes and a machine of its own: `cargo xtask ci` runs it"]
fn the_whole_way_with_real_parts() {
    let clone = Clone::new();
    let docker_config = std::env::var("HOME")
        .ok()
        .map(|home| Path::new(&home).join(".docker/config.json"));
    let login_before = docker_config.as_ref().and_then(|file| fs::read(file).ok());

    push::two_starts_at_once_make_one_sandbox(&clone);
    let first = without_token_in_any_command_line(|| {
        clone.run("push-dev --sandbox --json").expect(0).json()
    });
    push::six_tags_each_for_the_right_cpu(&clone, &first);
    push::images_run_on_the_cpu_that_they_are_for(&clone);
    push::a_second_run_builds_nothing(&clone, &first);
    push::local_builds_stay_local(&clone);
    push::a_run_that_is_killed_anywhere_can_be_run_again(&clone);
    push::other_dockerfiles_build_too(&clone);
    lies::an_image_that_lies_is_not_pushed(&clone);
    lies::images_of_the_real_engine_are_judged_right(&clone);
    push::a_list_serves_both_cpus(&clone);
    demo::the_demo_works_on_both_cpus_and_explains_itself_on_the_wrong_one(&clone);
    // Its mistake is one on an amd64 machine alone.
    if cfg!(target_arch = "x86_64") {
        demo::the_story_is_told_to_its_end(&clone);
    }
    builds::a_cache_in_the_registry_serves_a_machine_without_one(&clone);
    builds::a_buildkit_elsewhere_builds_too(&clone);
    builds::a_package_without_wheels_is_named_and_compiled_where_that_is_asked_for(&clone);
    builds::an_engine_without_emulation_builds_the_demo_and_says_that_it_cannot_run_it(&clone);
    deploy::a_function_is_moved_to_the_other_cpu_and_back(&clone);
    deploy::an_ecs_service_is_made_and_restored_when_its_tasks_end(&clone);
    network::two_sandboxes_have_nothing_in_common(&clone);
    page::the_sandbox_has_a_page(&clone);
    push::protected_environments_are_refused_before_anything_is_built(&clone);
    adoption::a_repository_without_rust_adopts_it(&clone);
    adoption::a_workspace_of_rust_adopts_it();
    workflows::workflows_are_what_their_systems_take(&clone);

    assert_eq!(
        docker_config.and_then(|file| fs::read(file).ok()),
        login_before,
        "the user's docker configuration was touched"
    );
    down_leaves_nothing_running(&clone);
}

fn down_leaves_nothing_running(clone: &Clone) {
    println!("--- the end");
    clone.run("sandbox down").expect(0);
    assert_eq!(clone.status()["running"], false);
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("sandbox")
        .canonicalize()
        .unwrap();
    let home = home.to_str().unwrap();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&line).contains(home),
            "still running: {}",
            String::from_utf8_lossy(&line)
        );
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    assert!(!mounts.contains(home), "still mounted: {mounts}");
    clone.run("sandbox down").expect(0);
}
