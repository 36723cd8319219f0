//! ECR: the lifecycle policy of a repository.

use anyhow::{Context, Result};
use aws_sdk_ecr::operation::get_lifecycle_policy::GetLifecyclePolicyError;
use serde_json::Value;

use super::{
    Reader, Writer,
    error::{explain, if_there},
};

impl Reader<'_> {
    /// The lifecycle policy of a repository, if it has one.
    ///
    /// # Errors
    /// A call that fails, or a policy that is no JSON.
    pub fn lifecycle_policy(&self, repository: &str) -> Result<Option<Value>> {
        let about = format!("repository `{repository}`");
        let call = self.0.ecr.get_lifecycle_policy();
        let call = call
            .registry_id(&self.0.account)
            .repository_name(repository);
        let answer = if_there(
            self.0.runtime.block_on(call.send()),
            GetLifecyclePolicyError::is_lifecycle_policy_not_found_exception,
            "ecr:GetLifecyclePolicy",
            &about,
        )?;
        let text = answer.and_then(|answer| answer.lifecycle_policy_text);
        let text = text.filter(|text| !text.trim().is_empty());
        text.map(|text| {
            serde_json::from_str(&text)
                .with_context(|| format!("the lifecycle policy of {about} is no JSON"))
        })
        .transpose()
    }
}

impl Writer<'_> {
    /// Gives a repository a lifecycle policy, in place of the one that it has.
    ///
    /// # Errors
    /// A call that fails.
    pub fn put_lifecycle_policy(&self, repository: &str, policy: &Value) -> Result<()> {
        let call = self.0.ecr.put_lifecycle_policy();
        let call = call
            .registry_id(&self.0.account)
            .repository_name(repository)
            .lifecycle_policy_text(policy.to_string());
        let about = format!("repository `{repository}`");
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|e| explain("ecr:PutLifecyclePolicy", &about, &e))
    }
}
