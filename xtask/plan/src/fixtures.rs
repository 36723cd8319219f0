//! Configurations as tests need them.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    Selected,
    arch::Arch,
    model::{
        attest::Attest,
        config::{Config, Environment, Image, Service, TargetRule},
        function::Code,
        pattern::VersionSource,
        severity::Severity,
        target::Target,
        vulnerability::{Fix, Vulnerability},
    },
    targets::Choice,
};

/// An environment that nothing protects.
pub(crate) fn environment(name: &str) -> Environment {
    Environment {
        name: name.into(),
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        other_regions: Vec::new(),
        profile: None,
        registry: None,
        create_repository: false,
        protected: false,
        branch: "main".into(),
        cluster: None,
        kube_context: None,
        namespace: "shop".into(),
        ecs_cluster: "main".into(),
        function_tags: false,
        endpoint: None,
        cache: None,
        build_args: BTreeMap::new(),
        tags: Vec::new(),
        repository: "{project}".into(),
        scan: None,
        attest: Attest::default(),
    }
}

/// An image of `/project/src`.
pub(crate) fn image(target: Target) -> Image {
    Image {
        dockerfile: PathBuf::from("Dockerfile"),
        file: PathBuf::from("/project/src/Dockerfile"),
        context: PathBuf::from("/project/src"),
        contexts: BTreeMap::new(),
        stage: None,
        labels: BTreeMap::new(),
        secrets: Vec::new(),
        ssh: Vec::new(),
        network: None,
        cache: None,
        target,
        target_rule: TargetRule::Said,
        environments: vec!["dev".into()],
        function: "{service}".into(),
        alias: None,
        smoke_payload: None,
        apprunner_service: "{service}".into(),
        ecs_service: "{service}".into(),
        deployment: "{service}".into(),
        container: None,
        multi_arch: false,
        tag_prefix: "api-".into(),
        tags: Vec::new(),
        version: VersionSource::Git,
        build_args: BTreeMap::new(),
        foreign: Vec::new(),
    }
}

/// A service of one image.
pub(crate) fn service(image: Image) -> Service {
    Service {
        name: "api".into(),
        folder: "api".into(),
        context: image.context.clone(),
        images: vec![image],
    }
}

/// A project of one service in `/project`.
pub(crate) fn config(service: Service) -> Config {
    let environments = [environment("dev"), environment("prod")];
    Config {
        file: PathBuf::from("/project/deploy.toml"),
        root: PathBuf::from("/project"),
        project: "shop".into(),
        context: PathBuf::from("/project"),
        default_service: Some(service.name.clone()),
        revision_length: 7,
        source: None,
        labels: BTreeMap::new(),
        tags: Vec::new(),
        targets: BTreeMap::new(),
        builders: BTreeMap::new(),
        environments: environments.map(|one| (one.name.clone(), one)).into(),
        services: BTreeMap::from([(service.name.clone(), service)]),
        order: vec!["dev".into(), "prod".into()],
        stand_ins: BTreeMap::new(),
        scan_exceptions: Vec::new(),
    }
}

/// The one image of a service, in a registry: what is to run of it, and the CPUs that it can run on.
pub(crate) fn choice<'s>(service: &'s Service, arch: Arch, archs: &[Arch]) -> Choice<'s> {
    let code = Code {
        image: "r/x@sha256:new".into(),
        digest: "sha256:new".into(),
        arch,
    };
    let selected = Selected {
        service,
        image: &service.images[0],
    };
    Choice {
        selected,
        code,
        archs: archs.to_vec(),
        version: None,
    }
}

/// A vulnerability of a package of Debian's.
pub(crate) fn vulnerability(id: &str, severity: Severity, fixed: Fix) -> Vulnerability {
    Vulnerability {
        severity,
        id: id.into(),
        aliases: vec!["GHSA-aaaa-bbbb-cccc".into()],
        package: "openssl".into(),
        installed: "3.0.1".into(),
        fixed,
        title: String::new(),
        url: String::new(),
        place: "debian 12".into(),
    }
}
