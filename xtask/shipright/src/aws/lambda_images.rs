//! Lambda: the images of all functions of the account in the region, also of those that deploy.toml does not know.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};
use aws_sdk_lambda::types::{FunctionConfiguration, FunctionVersion, PackageType};

use super::{Reader, error::explain};
use crate::{
    model::inventory::{ImageUse, UsedImage},
    parallel::side_by_side,
};

/// How many versions of functions are looked at: each is a call. With more, nothing can be said in a time that anybody waits.
const MOST: usize = 20_000;

/// How many questions are asked at a time. Source: "Lambda quotas", 100 calls of `GetFunction` in a second.
const QUESTIONS: usize = 20;

/// What a function runs that is called without a version.
const LATEST: &str = "$LATEST";

/// What versions of functions run, as it was read before: a version with the same revision id has not changed since.
#[derive(Default)]
pub struct KnownVersions(Mutex<BTreeMap<(String, String), ImageUse>>);

/// A version of a function, or `$LATEST`, as it is listed.
struct Listed {
    function: String,
    version: String,
    /// Its ARN and revision id, where AWS tells both.
    key: Option<(String, String)>,
}

impl Reader<'_> {
    /// What every function runs that has an image: `$LATEST` and all published versions. An alias names nothing else. A stand-in for
    /// AWS may list functions without their versions; then each function is asked for them.
    ///
    /// # Errors
    /// A call that fails, or more versions than can be looked at.
    pub fn function_images(&self, known: &KnownVersions, stands_in: bool) -> Result<Vec<ImageUse>> {
        let mut listed = self.image_versions()?;
        if stands_in && listed.iter().all(|one| one.version == LATEST) {
            let asked = side_by_side(QUESTIONS, &listed, |one| self.versions_of(&one.function))?;
            listed.extend(asked.into_iter().flatten());
        }
        if listed.len() > MOST {
            bail!(
                "there are {} versions of functions with images, and no more than {MOST} are looked at\n\
                 delete those that nobody needs: aws lambda delete-function --function-name NAME --qualifier VERSION",
                listed.len()
            );
        }
        let uses = side_by_side(QUESTIONS, &listed, |one| self.version_image(one, known))?;
        Ok(uses.into_iter().flatten().collect())
    }

    fn image_versions(&self) -> Result<Vec<Listed>> {
        let call = self.0.lambda.list_functions();
        let call = call.function_version(FunctionVersion::All);
        let mut pages = call.into_paginator().items().send();
        let mut listed = Vec::new();
        while let Some(one) = self.0.runtime.block_on(pages.next()) {
            let one = one.map_err(|e| explain("lambda:ListFunctions", "all functions", &e))?;
            if one.package_type() != Some(&PackageType::Zip) {
                listed.extend(named(&one));
            }
        }
        Ok(listed)
    }

    fn versions_of(&self, function: &str) -> Result<Vec<Listed>> {
        let call = self.0.lambda.list_versions_by_function();
        let call = call.function_name(function);
        let mut pages = call.into_paginator().items().send();
        let mut listed = Vec::new();
        while let Some(one) = self.0.runtime.block_on(pages.next()) {
            let about = format!("function `{function}`");
            let one = one.map_err(|e| explain("lambda:ListVersionsByFunction", &about, &e))?;
            let version = one.version().filter(|version| *version != LATEST);
            listed.extend(version.map(|version| Listed {
                function: function.to_owned(),
                version: version.to_owned(),
                key: None,
            }));
        }
        Ok(listed)
    }

    /// What a version runs. Nothing of one that is gone since it was listed.
    fn version_image(&self, one: &Listed, known: &KnownVersions) -> Result<Option<ImageUse>> {
        let lock = || known.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = one.key.as_ref().and_then(|key| lock().get(key).cloned()) {
            return Ok(Some(found));
        }
        let (name, by) = (&one.function, shown(one));
        let found = if one.version == LATEST {
            Some(self.function(name)?).filter(|function| function.exists)
        } else {
            self.version(name, &one.version)?
        };
        let Some(function) = found.filter(|function| function.is_image) else {
            return Ok(None);
        };
        let by_name = function.image.as_deref();
        let named = by_name.and_then(|image| ImageUse::of_reference(by.clone(), image));
        let found = named.map_or_else(
            || ImageUse {
                by,
                image: UsedImage::Untold { repository: None },
            },
            ImageUse::not_following,
        );
        if let Some(key) = &one.key {
            lock().insert(key.clone(), found.clone());
        }
        Ok(Some(found))
    }
}

fn named(one: &FunctionConfiguration) -> Option<Listed> {
    let arn = one.function_arn().map(str::to_owned);
    let version = one.version().unwrap_or(LATEST).to_owned();
    let key = arn.zip(one.revision_id().map(str::to_owned));
    Some(Listed {
        function: one.function_name()?.to_owned(),
        key: key.map(|(arn, revision)| (format!("{arn} {version}"), revision)),
        version,
    })
}

fn shown(one: &Listed) -> String {
    let name = &one.function;
    if one.version == LATEST {
        format!("Lambda function {name}")
    } else {
        format!("Lambda function {name}, version {}", one.version)
    }
}
