//! Which registries a target takes images from.

use crate::{
    Selected,
    model::{place::Place, refusal::Refusal, target::ImageSources},
};

/// What is in the way of running an image from the registry where a place keeps it.
pub fn registry_refusal(selected: Selected<'_>, place: &Place) -> Option<Refusal> {
    let target = selected.image.target;
    let (name, title, environment) = (selected.name(), target.title(), &place.environment);
    let problem = match (target.image_sources(), &place.ecr) {
        (ImageSources::Ecr | ImageSources::EcrOfItsRegion, None) => {
            let registry = &place.registry;
            format!(
                "{name} is for {title}, which takes images from ECR alone, and `{environment}` keeps them in {registry}"
            )
        }
        (ImageSources::EcrOfItsRegion, Some(ecr)) if ecr.region != place.region => {
            let (kept, region) = (&ecr.region, &place.region);
            format!(
                "{name} is for {title}, which takes images from ECR of its own region, {region}, and `{environment}` keeps them in \
                 {kept}"
            )
        }
        (ImageSources::Ecr | ImageSources::EcrOfItsRegion, Some(_)) | (ImageSources::Any, _) => {
            return None;
        }
    };
    let cure = format!(
        "remove `registry` from [environments.{environment}], or write one of ECR: \
         `444455556666.dkr.ecr.{{region}}.amazonaws.com`"
    );
    Some(Refusal::new(problem, cure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures,
        model::{registry::Ecr, target::Target},
    };

    fn place(ecr: Option<&str>) -> Place {
        Place {
            environment: "dev".into(),
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            registry: "r".into(),
            ecr: ecr.map(|region| Ecr {
                account: "444455556666".into(),
                region: region.into(),
                profile: None,
            }),
            profile: None,
            endpoint: None,
        }
    }

    #[test]
    fn lambda_and_app_runner_take_images_from_ecr_alone_and_lambda_from_its_region() {
        let refused = |target: Target, ecr: Option<&str>| {
            let service = fixtures::service(fixtures::image(target));
            let selected = Selected {
                service: &service,
                image: &service.images[0],
            };
            registry_refusal(selected, &place(ecr)).is_some()
        };
        for target in Target::ALL {
            assert!(!refused(target, Some("eu-west-1")), "{target:?}");
            let (is_function, is_apprunner) =
                (target == Target::Lambda, target == Target::AppRunner);
            assert_eq!(refused(target, Some("us-east-1")), is_function);
            assert_eq!(refused(target, None), is_function || is_apprunner);
        }
    }
}
