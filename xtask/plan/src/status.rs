//! Where what runs is not what the tag names, or not on the CPU of the policy.

use serde::Serialize;

use crate::{arch::Arch, model::target::Target};

/// One image in one environment, as it was read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The environment.
    pub environment: String,
    /// The region, where the environment has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What people call the image.
    pub image: String,
    /// What runs it.
    pub target: Target,
    /// The tag that names what the environment has.
    pub tag: String,
    /// What the tag names.
    pub tag_digest: Option<String>,
    /// The images of the index that the tag names, where it names one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<String>,
    /// What the tag's image was made of.
    pub revision: Option<String>,
    /// How old the tag's image is.
    pub age: Option<String>,
    /// The function, service or deployment.
    pub workload: Option<String>,
    /// The digest that runs.
    pub runs: Option<String>,
    /// What was made of which revision.
    pub runs_revision: Option<String>,
    /// The architecture that it runs on, where it says one.
    pub arch: Option<Arch>,
    /// Where the two differ, in words.
    pub drift: Vec<String>,
    /// What could not be read, and why.
    pub unknown: Vec<String>,
    /// Whether what runs could not be read.
    pub is_unread: bool,
}

impl Row {
    /// A row of which nothing was read yet.
    pub fn new(environment: &str, image: String, target: Target, tag: String) -> Self {
        Self {
            environment: environment.to_owned(),
            region: None,
            image,
            target,
            tag,
            tag_digest: None,
            listed: Vec::new(),
            revision: None,
            age: None,
            workload: None,
            runs: None,
            runs_revision: None,
            arch: None,
            drift: Vec::new(),
            unknown: Vec::new(),
            is_unread: false,
        }
    }

    /// The environment for people, with its region where it has several.
    pub fn place(&self) -> String {
        match &self.region {
            Some(region) => format!("{} {region}", self.environment),
            None => self.environment.clone(),
        }
    }

    /// Says where what was read differs. `policy` is the architecture that the target runs by deploy.toml.
    pub fn judge(&mut self, policy: Arch) {
        let differs = [self.other_image(), self.no_tag(), self.other_arch(policy)];
        self.drift = differs.into_iter().flatten().collect();
    }

    fn other_image(&self) -> Option<String> {
        let (runs, tagged) = (self.runs.as_ref()?, self.tag_digest.as_ref()?);
        if runs == tagged || self.listed.contains(runs) {
            return None;
        }
        let name = |revision: &Option<String>, digest: &str| match revision {
            Some(revision) if self.runs_revision != self.revision => revision.clone(),
            // Two builds of one revision, or none that is known.
            _ => short_digest(digest).to_owned(),
        };
        let (of_runs, of_tag) = (
            name(&self.runs_revision, runs),
            name(&self.revision, tagged),
        );
        Some(format!("runs {of_runs}, {} is {of_tag}", self.tag))
    }

    fn no_tag(&self) -> Option<String> {
        let is_untagged = self.runs.is_some() && self.tag_digest.is_none();
        is_untagged.then(|| format!("runs an image, and there is no tag {}", self.tag))
    }

    fn other_arch(&self, policy: Arch) -> Option<String> {
        // An index has an image for every node.
        let runs_index = !self.listed.is_empty() && self.runs == self.tag_digest;
        let arch = self.arch.filter(|arch| *arch != policy && !runs_index)?;
        Some(format!(
            "{} is {}, policy is {policy}",
            self.target.workload(),
            arch.uname()
        ))
    }
}

/// The beginning of a digest, enough to tell images apart.
pub fn short_digest(digest: &str) -> &str {
    const SHOWN: usize = "sha256:".len() + 12;
    digest.get(..SHOWN).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tag: Option<&str>, runs: Option<&str>, arch: Option<Arch>) -> Row {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let new = Row::new("dev", "api".into(), Target::Lambda, "api-dev-latest".into());
        Row {
            tag_digest: own(tag),
            runs: own(runs),
            arch,
            ..new
        }
    }

    fn drift(mut row: Row) -> Vec<String> {
        row.judge(Arch::Arm64);
        row.drift
    }

    #[test]
    fn what_runs_is_compared_with_the_tag_and_with_the_policy() {
        let none: [&str; 0] = [];
        assert_eq!(
            drift(row(Some("sha256:a"), Some("sha256:a"), Some(Arch::Arm64))),
            none
        );
        assert_eq!(
            drift(row(Some("sha256:a"), None, None)),
            none,
            "what cannot be read is no drift"
        );
        assert_eq!(
            drift(row(None, Some("sha256:a"), None)),
            ["runs an image, and there is no tag api-dev-latest"]
        );
        let both = drift(row(Some("sha256:a"), Some("sha256:b"), Some(Arch::Amd64)));
        let expected = [
            "runs sha256:b, api-dev-latest is sha256:a",
            "function is x86_64, policy is arm64",
        ];
        assert_eq!(both, expected);
    }

    #[test]
    fn revisions_name_the_images_where_they_differ() {
        let revisions = |runs: &str, tag: &str| Row {
            runs_revision: Some(runs.into()),
            revision: Some(tag.into()),
            ..row(Some("sha256:a"), Some("sha256:b"), None)
        };
        assert_eq!(
            drift(revisions("abc1234", "def5678")),
            ["runs abc1234, api-dev-latest is def5678"]
        );
        assert_eq!(
            drift(revisions("abc1234", "abc1234")),
            ["runs sha256:b, api-dev-latest is sha256:a"]
        );
    }

    #[test]
    fn an_image_of_the_tag_s_index_is_what_the_tag_names() {
        let listed = vec!["sha256:b".to_owned()];
        let child = Row {
            listed: listed.clone(),
            ..row(Some("sha256:i"), Some("sha256:b"), Some(Arch::Amd64))
        };
        assert_eq!(drift(child), ["function is x86_64, policy is arm64"]);
        let whole = Row {
            listed,
            ..row(Some("sha256:i"), Some("sha256:i"), Some(Arch::Amd64))
        };
        assert_eq!(drift(whole), [""; 0]);
    }
}
