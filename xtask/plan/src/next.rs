//! What people do next.

use std::collections::BTreeSet;

use crate::{Plan, model::target::Target};

/// The command that comes after the images of a plan are made: what moves there, or runs here. `services` are those that were named.
pub fn after(plan: &Plan, services: &[String]) -> Option<String> {
    let Some(place) = &plan.place else {
        let first = plan.images.first()?;
        let arch =
            Some(first.arch).filter(|arch| Some(*arch) != first.target.map(Target::default_arch));
        let arch = arch.map_or_else(String::new, |arch| format!(" --arch {arch}"));
        return Some(format!("run {}{arch}", first.service));
    };
    let targets: BTreeSet<_> = plan
        .images
        .iter()
        .filter_map(|image| image.target)
        .collect();
    let targets: Vec<_> = targets.into_iter().collect();
    let verb = match targets.as_slice() {
        [] => return None,
        [target] => format!("migrate-{target}"),
        [..] => "deploy".to_owned(),
    };
    let services = services
        .iter()
        .map(|service| format!(" --service {service}"));
    let services: String = services.collect();
    Some(format!("{verb} {}{services}", place.environment))
}
