//! Lambda: what functions run, and how that is changed.
//!
//! Architecture Invariant: image and architecture go in one call, by digest, guarded by the revision that was read. Two calls
//! would leave a function that starts programs of the other CPU in between.

use std::{collections::BTreeMap, error::Error, time::SystemTime};

use anyhow::{Context, Result, anyhow};
use aws_sdk_lambda::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_alias::GetAliasError, get_function::GetFunctionError},
    primitives::Blob,
    types::{
        AliasRoutingConfiguration, Architecture, FunctionCode, LastUpdateStatus, PackageType, State,
    },
};

use super::{
    Reader, Writer,
    error::{explain, if_there},
};
use crate::{
    model::function::{Alias, Code, Condition, Function, Version},
    parallel::side_by_side,
};

/// A change that AWS did not take now.
#[derive(Debug)]
pub enum Refusal {
    /// Another update is under way, or there were too many calls: the same one works later.
    Busy(anyhow::Error),
    /// Somebody else has changed it since it was read.
    Changed(anyhow::Error),
    /// It will not work later either.
    Lasting(anyhow::Error),
}

/// What came of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The kind of error that the function ended with.
    pub error: Option<String>,
    /// What it returned.
    pub payload: String,
}

/// How many versions are looked at: a rollback further than that is none.
const VERSIONS: usize = 20;

/// How many questions are asked at a time. Source: "Lambda quotas", 100 calls of `GetFunction` in a second.
const QUESTIONS: usize = 20;

impl Reader<'_> {
    /// What a Lambda function runs.
    ///
    /// # Errors
    /// A call that fails, perhaps for want of permission.
    pub fn function(&self, name: &str) -> Result<Function> {
        Ok(self
            .qualified(name, None)?
            .unwrap_or_else(|| Function::missing(name)))
    }

    /// What a published version of a function runs.
    ///
    /// # Errors
    /// A call that fails.
    pub fn version(&self, name: &str, number: &str) -> Result<Option<Function>> {
        self.qualified(name, Some(number))
    }

    fn qualified(&self, name: &str, qualifier: Option<&str>) -> Result<Option<Function>> {
        let call = self
            .0
            .lambda
            .get_function()
            .function_name(name)
            .set_qualifier(qualifier.map(str::to_owned))
            .send();
        let Some(answer) = if_there(
            self.0.runtime.block_on(call),
            GetFunctionError::is_resource_not_found_exception,
            "lambda:GetFunction",
            &format!("function `{name}`"),
        )?
        else {
            return Ok(None);
        };
        let resolved = answer
            .code()
            .and_then(|code| code.resolved_image_uri())
            .map(str::to_owned);
        let digest = resolved
            .as_deref()
            .and_then(|uri| uri.split_once('@'))
            .map(|(_, digest)| digest.to_owned());
        let about = answer.configuration();
        let architecture = about.and_then(|about| about.architectures().first());
        let update = about.and_then(|about| about.last_update_status());
        let state = about.and_then(|about| about.state());
        let reason = |text: Option<&str>| {
            text.filter(|text| !text.is_empty())
                .unwrap_or("AWS gave no reason")
                .to_owned()
        };
        let condition = match (state, update) {
            (_, Some(LastUpdateStatus::InProgress)) | (Some(State::Pending), _) => Condition::Busy,
            (_, Some(LastUpdateStatus::Failed)) => Condition::Failed(reason(
                about.and_then(|about| about.last_update_status_reason()),
            )),
            (Some(State::Failed), _) => {
                Condition::Failed(reason(about.and_then(|about| about.state_reason())))
            }
            _ => Condition::Ready,
        };
        Ok(Some(Function {
            name: name.to_owned(),
            exists: true,
            arn: about
                .and_then(|about| about.function_arn())
                .map(str::to_owned),
            digest,
            image: resolved,
            arch: architecture.and_then(|architecture| architecture.as_str().parse().ok()),
            is_inactive: state == Some(&State::Inactive),
            is_image: about.and_then(|about| about.package_type()) != Some(&PackageType::Zip),
            condition,
            revision: about
                .and_then(|about| about.revision_id())
                .map(str::to_owned),
        }))
    }

    /// The newest published versions of a function, newest first.
    ///
    /// # Errors
    /// A call that fails.
    pub fn versions(&self, name: &str) -> Result<Vec<Version>> {
        let mut pages = self
            .0
            .lambda
            .list_versions_by_function()
            .function_name(name)
            .into_paginator()
            .items()
            .send();
        let mut listed = Vec::new();
        while let Some(version) = self.0.runtime.block_on(pages.next()) {
            let version = version.map_err(|e| {
                explain(
                    "lambda:ListVersionsByFunction",
                    &format!("function `{name}`"),
                    &e,
                )
            })?;
            listed.extend(
                version
                    .version()
                    .and_then(|number| number.parse::<u64>().ok()),
            );
        }
        listed.sort_by_key(|number| std::cmp::Reverse(*number));
        listed.truncate(VERSIONS);
        side_by_side(QUESTIONS, &listed, |number| {
            let number = number.to_string();
            let code = self
                .version(name, &number)?
                .and_then(|function| function.code());
            Ok(Version { number, code })
        })
    }

    /// An alias of a function, if it exists.
    ///
    /// # Errors
    /// A call that fails.
    pub fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>> {
        let call = self.0.lambda.get_alias();
        let call = call.function_name(function).name(alias).send();
        let Some(answer) = if_there(
            self.0.runtime.block_on(call),
            GetAliasError::is_resource_not_found_exception,
            "lambda:GetAlias",
            &format!("alias `{alias}` of `{function}`"),
        )?
        else {
            return Ok(None);
        };
        let weights = answer
            .routing_config()
            .and_then(|routing| routing.additional_version_weights());
        Ok(Some(Alias {
            name: alias.to_owned(),
            version: answer.function_version().unwrap_or_default().to_owned(),
            weights: weights
                .map(|weights| {
                    weights
                        .iter()
                        .map(|(name, part)| (name.clone(), *part))
                        .collect()
                })
                .unwrap_or_default(),
            revision: answer.revision_id().map(str::to_owned),
        }))
    }

    /// How many errors CloudWatch has counted for one version behind an alias since a moment. It counts with a delay of
    /// about a minute.
    ///
    /// Source: Lambda's developer guide, "Types of metrics for Lambda functions".
    ///
    /// # Errors
    /// A call that fails, most often for want of permission.
    pub fn errors_of(
        &self,
        function: &str,
        alias: &str,
        version: &str,
        since: SystemTime,
    ) -> Result<f64> {
        use aws_sdk_cloudwatch::{
            primitives::DateTime,
            types::{Dimension, Statistic},
        };
        const MINUTE: i32 = 60;
        let dimension =
            |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let call = self
            .0
            .cloudwatch
            .get_metric_statistics()
            .namespace("AWS/Lambda")
            .metric_name("Errors")
            .dimensions(dimension("FunctionName", function))
            .dimensions(dimension("Resource", &format!("{function}:{alias}")))
            .dimensions(dimension("ExecutedVersion", version))
            .start_time(DateTime::from(since))
            .end_time(DateTime::from(SystemTime::now()))
            .period(MINUTE)
            .statistics(Statistic::Sum);
        let answer = self.0.runtime.block_on(call.send());
        let answer = answer.map_err(|e| {
            explain(
                "cloudwatch:GetMetricStatistics",
                &format!("function `{function}`"),
                &e,
            )
        })?;
        Ok(answer
            .datapoints()
            .iter()
            .filter_map(|point| point.sum())
            .sum())
    }
}

impl Writer<'_> {
    /// Gives a function another image, and with it the CPU.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn update_code(
        &self,
        function: &str,
        code: &Code,
        revision: Option<&str>,
    ) -> Result<(), Refusal> {
        let call = self
            .0
            .lambda
            .update_function_code()
            .function_name(function)
            .image_uri(&code.image)
            .architectures(Architecture::from(code.arch.lambda()))
            .set_revision_id(revision.map(str::to_owned));
        let about = format!("function `{function}`");
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|error| refusal("lambda:UpdateFunctionCode", &about, &error))
    }

    /// Makes a version of what a function runs now. Where nothing has changed since the last one, that one is the answer.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn publish(&self, function: &str, description: &str) -> Result<String, Refusal> {
        let call = self
            .0
            .lambda
            .publish_version()
            .function_name(function)
            .description(description);
        let about = format!("function `{function}`");
        let answer = self
            .0
            .runtime
            .block_on(call.send())
            .map_err(|e| refusal("lambda:PublishVersion", &about, &e))?;
        let number = answer.version().map(str::to_owned);
        number
            .with_context(|| format!("AWS named no version of {about}"))
            .map_err(Refusal::Lasting)
    }

    /// Makes an alias name a version, and give a part of the calls to another.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn move_alias(&self, function: &str, alias: &Alias) -> Result<(), Refusal> {
        let routing = AliasRoutingConfiguration::builder()
            .set_additional_version_weights(Some(alias.weights.clone().into_iter().collect()));
        let call = self
            .0
            .lambda
            .update_alias()
            .function_name(function)
            .name(&alias.name)
            .function_version(&alias.version)
            .routing_config(routing.build())
            .set_revision_id(alias.revision.clone());
        let about = format!("alias `{}` of `{function}`", alias.name);
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|error| refusal("lambda:UpdateAlias", &about, &error))
    }

    /// Makes an alias.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn create_alias(&self, function: &str, name: &str, version: &str) -> Result<(), Refusal> {
        let call = self
            .0
            .lambda
            .create_alias()
            .function_name(function)
            .name(name)
            .function_version(version);
        let about = format!("alias `{name}` of `{function}`");
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|error| refusal("lambda:CreateAlias", &about, &error))
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn delete_alias(&self, function: &str, name: &str) -> Result<(), Refusal> {
        let call = self
            .0
            .lambda
            .delete_alias()
            .function_name(function)
            .name(name);
        let about = format!("alias `{name}` of `{function}`");
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|error| refusal("lambda:DeleteAlias", &about, &error))
    }

    /// Invokes a function and waits for its answer. A function that ends with an error is an answer.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn invoke(&self, function: &str, version: &str, payload: &str) -> Result<Reply, Refusal> {
        let call = self
            .0
            .lambda
            .invoke()
            .function_name(function)
            .qualifier(version)
            .payload(Blob::new(payload));
        let about = format!("function `{function}`");
        // A first start may take long: the image is fetched and unpacked.
        let patient = aws_sdk_lambda::config::Config::builder().timeout_config(super::patient());
        let sent = self
            .0
            .runtime
            .block_on(call.customize().config_override(patient).send());
        let answer = sent.map_err(|error| refusal("lambda:InvokeFunction", &about, &error))?;
        let payload = answer
            .payload()
            .map(|blob| String::from_utf8_lossy(blob.as_ref()).into_owned())
            .unwrap_or_default();
        Ok(Reply {
            error: answer.function_error().map(str::to_owned),
            payload,
        })
    }

    /// Makes a function. Only a sandbox does: a real one needs a role and settings that are not ours to guess.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn create_function(&self, name: &str, code: &Code, role: &str) -> Result<(), Refusal> {
        let call = self
            .0
            .lambda
            .create_function()
            .function_name(name)
            .package_type(PackageType::Image)
            // Emulated, a start takes its time.
            .timeout(120)
            .code(FunctionCode::builder().image_uri(&code.image).build())
            .architectures(Architecture::from(code.arch.lambda()))
            .role(role);
        let about = format!("function `{name}`");
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|error| refusal("lambda:CreateFunction", &about, &error))
    }

    /// Writes tags of a function.
    ///
    /// # Errors
    /// A [`Refusal`] that says whether the same call works later.
    pub fn tag_function(&self, arn: &str, tags: BTreeMap<String, String>) -> Result<(), Refusal> {
        let call = self
            .0
            .lambda
            .tag_resource()
            .resource(arn)
            .set_tags(Some(tags.into_iter().collect()));
        self.0
            .runtime
            .block_on(call.send())
            .map(drop)
            .map_err(|error| refusal("lambda:TagResource", arn, &error))
    }
}

/// What kind of refusal an error is. The SDK retries throttling by its codes, but neither a conflict nor a bare HTTP 429.
fn refusal<E>(operation: &str, about: &str, error: &SdkError<E, HttpResponse>) -> Refusal
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let told = explain(operation, about, error);
    let is_lost = match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        _ => false,
    };
    if is_lost {
        return Refusal::Busy(told);
    }
    match (code, status) {
        ("ResourceConflictException" | "TooManyRequestsException", _)
        | (_, Some(409 | 429 | 500..=599)) => Refusal::Busy(told),
        ("PreconditionFailedException", _) | (_, Some(412)) => Refusal::Changed(told),
        _ => Refusal::Lasting(told),
    }
}

impl From<Refusal> for anyhow::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy(error) | Refusal::Lasting(error) => error,
            Refusal::Changed(error) => anyhow!(
                "{error:#}\nsomebody else has changed it meanwhile: run the same command again"
            ),
        }
    }
}
