//! What a registry has under a name: manifests that may not be there, and lists of tags.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use image_oci::{IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest, Platform, is_digest};
use serde::Deserialize;
use ureq::{Body, http::Response};

use super::{CONFIG_LIMIT, Failure, Registry};
use crate::parallel::side_by_side;

/// The most pages that a list of tags may have. Registries give 100 to 1,000 tags a page.
const MOST_PAGES: usize = 1000;

/// The most bytes of one page of tags.
const PAGE_LIMIT: u64 = 1024 * 1024;

impl Registry {
    /// The manifest or index that a tag or digest names, if it is there.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, more bytes than a manifest may have, or bytes that are not text or do not
    /// have the digest that was asked for.
    pub fn find(&self, repository: &str, reference: &str) -> Result<Option<Manifest>> {
        if let Some(known) = self.memory.manifest(repository, reference) {
            return Ok(Some(known));
        }
        let about = format!("read manifest `{reference}` of `{repository}`");
        let found = self.retried(&about, repository, || {
            let path = format!("{repository}/manifests/{reference}");
            let Some(answer) = self.looked_up(&path, &manifest_types())? else {
                return Ok(None);
            };
            let media_type = header(&answer, "content-type").unwrap_or_default();
            let told = header(&answer, "docker-content-digest");
            let bytes = super::limited(answer.into_body(), CONFIG_LIMIT)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::lasting(anyhow!("the manifest is not text")))?;
            Ok(Some((Manifest::new(text, &media_type), told)))
        })?;
        let Some((found, told)) = found else {
            return Ok(None);
        };
        if is_digest(reference) && found.digest != reference {
            let digest = &found.digest;
            anyhow::bail!(
                "repository `{repository}` answers for {reference} with bytes of digest {digest}"
            );
        }
        // Where the registry has made it anew of something else, it has nothing under the digest of these bytes.
        if told.is_none_or(|told| told == found.digest) {
            self.memory.keep_manifest(repository, &found);
        }
        Ok(Some(found))
    }

    /// The manifest that each of these tags names, some asked for at a time. Tags that are not there are left out.
    ///
    /// # Errors
    /// As for [`Registry::find`].
    pub fn find_all(
        &self,
        repository: &str,
        tags: &[String],
    ) -> Result<BTreeMap<String, Manifest>> {
        const AT_ONCE: usize = 8;
        let found = side_by_side(AT_ONCE, tags, |tag| self.find(repository, tag))?;
        let named = tags.iter().zip(found);
        Ok(named
            .filter_map(|(tag, found)| Some((tag.clone(), found?)))
            .collect())
    }

    /// The platforms of an image, or of those that an index lists.
    ///
    /// # Errors
    /// As for [`Registry::find`], an image that is not there, and a config that says no platform.
    pub fn platforms(&self, repository: &str, reference: &str) -> Result<Vec<Platform>> {
        let found = self.find(repository, reference)?;
        let manifest = found.with_context(|| format!("there is no `{repository}:{reference}`"))?;
        if !manifest.is_image_index() {
            let config = self.config(repository, &manifest)?;
            return Ok(vec![Platform::of_config(&config)?]);
        }
        let listed = manifest.children()?.iter();
        let platforms = listed.filter_map(|child| child.platform.clone());
        Ok(platforms.filter(|one| !one.is_unknown()).collect())
    }

    /// Every tag of a repository. One that does not exist has none.
    ///
    /// Source: the OCI distribution specification, "Listing Tags".
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, or a list that does not end.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let about = format!("list the tags of `{repository}`");
        let mut next = Some(format!("{repository}/tags/list"));
        let mut tags = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(path) = next.take() else {
                return Ok(tags);
            };
            let page = self.retried(&about, repository, || {
                let Some(answer) = self.looked_up(&path, "application/json")? else {
                    return Ok(None);
                };
                let link = header(&answer, "link");
                let bytes = super::limited(answer.into_body(), PAGE_LIMIT)?;
                Ok(Some((bytes, link)))
            })?;
            let Some((bytes, link)) = page else {
                return Ok(tags);
            };
            let page: Page = serde_json::from_slice(&bytes)
                .with_context(|| format!("failed to {about}: the answer is no list of tags"))?;
            tags.extend(page.tags.unwrap_or_default());
            let list = format!("{repository}/tags/list");
            next = link.and_then(|link| following(&link, &list));
        }
        anyhow::bail!("the list of tags of `{repository}` does not end")
    }

    fn looked_up(&self, path: &str, accept: &str) -> Result<Option<Response<Body>>, Failure> {
        let answer = self.call(path, accept)?;
        match answer.status().as_u16() {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            _ => Err(Failure::refused(&self.host, answer)),
        }
    }
}

pub(super) fn header(answer: &Response<Body>, name: &str) -> Option<String> {
    let value = answer.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// What a registry is told that it may answer with.
pub(super) fn manifest_types() -> String {
    let types = IMAGE_MANIFEST_TYPES.into_iter().chain(IMAGE_INDEX_TYPES);
    types.collect::<Vec<_>>().join(", ")
}

/// Where a list goes on: `</v2/NAME/tags/list?…>; rel="next"`. Only the query is taken, so that the list stays with this registry
/// and this repository.
pub(super) fn following(link: &str, list: &str) -> Option<String> {
    let (address, rest) = link.strip_prefix('<')?.split_once('>')?;
    let (_, query) = address
        .split_once('?')
        .filter(|_| rest.contains("rel=\"next\""))?;
    let is_legal = query.bytes().all(|byte| byte.is_ascii_graphic());
    is_legal.then(|| format!("{list}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_goes_on_in_the_same_repository() {
        let next = |link| following(link, "a/b/tags/list");
        assert_eq!(
            next("</v2/a/b/tags/list?n=2&last=x>; rel=\"next\"").as_deref(),
            Some("a/b/tags/list?n=2&last=x")
        );
        assert_eq!(
            next("<https://elsewhere.example/v2/c/tags/list?last=x>; rel=\"next\"").as_deref(),
            Some("a/b/tags/list?last=x")
        );
        for link in [
            "",
            "</v2/a/b/tags/list>; rel=\"next\"",
            "<?x y>; rel=\"next\"",
            "<?x>",
        ] {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
