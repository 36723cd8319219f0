//! Who has built an image, and in which run, as a CI system tells its jobs.
//!
//! Source: "Default environment variables" of GitHub Actions; "Predefined CI/CD variables" of GitLab.

/// A builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderId {
    /// Who answers for what a statement says: the workflow at GitHub, the runner at GitLab, or a machine that nobody vouches for.
    pub id: String,
    /// The address of the run, where it has one.
    pub invocation: Option<String>,
}

/// A machine of somebody's own.
const LOCAL: &str = "urn:shipright:builder:local";

impl BuilderId {
    /// Finds out who builds here. `variable` is an environment variable that is set and not empty.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let said = |name: &str| {
            let value = variable(name)?;
            value
                .bytes()
                .all(|byte| byte.is_ascii_graphic())
                .then_some(value)
        };
        let is_on = |name: &str| variable(name).as_deref() == Some("true");
        let found = if is_on("GITHUB_ACTIONS") {
            github(said)
        } else if is_on("GITLAB_CI") {
            gitlab(said)
        } else {
            None
        };
        found.unwrap_or_else(|| Self {
            id: LOCAL.to_owned(),
            invocation: None,
        })
    }
}

fn github(said: impl Fn(&str) -> Option<String>) -> Option<BuilderId> {
    let (server, repository) = (said("GITHUB_SERVER_URL")?, said("GITHUB_REPOSITORY")?);
    let workflow = said("GITHUB_WORKFLOW_REF").unwrap_or_else(|| repository.clone());
    let run = said("GITHUB_RUN_ID").map(|run| {
        let attempt = said("GITHUB_RUN_ATTEMPT");
        let attempt = attempt.map_or_else(String::new, |attempt| format!("/attempts/{attempt}"));
        format!("{server}/{repository}/actions/runs/{run}{attempt}")
    });
    Some(BuilderId {
        id: format!("{server}/{workflow}"),
        invocation: run,
    })
}

fn gitlab(said: impl Fn(&str) -> Option<String>) -> Option<BuilderId> {
    let project = said("CI_PROJECT_URL")?;
    let runner = said("CI_RUNNER_ID").map(|runner| format!("/-/runners/{runner}"));
    Some(BuilderId {
        id: format!("{project}{}", runner.unwrap_or_default()),
        invocation: said("CI_JOB_URL"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &[(&str, &str)]) -> (String, Option<String>) {
        let variable = |name: &str| {
            let mut all = said.iter();
            let found = all.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let BuilderId { id, invocation } = BuilderId::of(variable);
        (id, invocation)
    }

    #[test]
    fn a_workflow_and_a_runner_have_an_address_and_another_machine_has_none() {
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "team/backend"),
            (
                "GITHUB_WORKFLOW_REF",
                "team/backend/.github/workflows/ship.yml@refs/heads/main",
            ),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_RUN_ATTEMPT", "2"),
        ];
        let run = "https://github.com/team/backend/actions/runs/7/attempts/2";
        let workflow = "https://github.com/team/backend/.github/workflows/ship.yml@refs/heads/main";
        assert_eq!(of(&github), (workflow.into(), Some(run.into())));
        let gitlab = [
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_URL", "https://gitlab.com/team/backend"),
            ("CI_RUNNER_ID", "12"),
            ("CI_JOB_URL", "https://gitlab.com/team/backend/-/jobs/3"),
        ];
        let (id, invocation) = of(&gitlab);
        assert_eq!(id, "https://gitlab.com/team/backend/-/runners/12");
        assert_eq!(
            invocation.as_deref(),
            Some("https://gitlab.com/team/backend/-/jobs/3")
        );
        for local in [
            &[][..],
            &[("GITHUB_ACTIONS", "true")],
            &[("CI_PROJECT_URL", "x")],
        ] {
            assert_eq!(of(local), (LOCAL.to_owned(), None));
        }
    }
}
