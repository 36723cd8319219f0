//! What a container runs that names its image by a tag: the tag may name another image by now, most often the one that has just
//! been pushed. What was pulled tells.

use std::collections::BTreeSet;

/// What a failed deployment of such a container goes back to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// The image that runs, by its digest.
    pub pinned: Option<String>,
    /// Why there is no way back.
    pub no_way_back: Option<String>,
}

/// Decides. `image` is what `workload` names, `pulled` are the digests that its containers run, or why they are not known. Where none
/// runs, nothing is lost.
pub fn before(workload: &str, image: &str, pulled: Result<&BTreeSet<String>, &str>) -> Before {
    let pulled = match pulled {
        Ok(pulled) => pulled,
        Err(_) if is_told(image) => return Before::default(),
        Err(why) => {
            return Before {
                pinned: None,
                no_way_back: Some(format!(
                    "{workload} names its image {image}, by a tag, and what was pulled of that cannot be told: {why}"
                )),
            };
        }
    };
    let mut digests = pulled.iter();
    match (is_told(image), digests.next(), digests.next()) {
        (true, ..) | (_, None, _) => Before::default(),
        (_, Some(only), None) => Before {
            pinned: Some(format!("{}@{only}", name(image))),
            no_way_back: None,
        },
        (_, Some(one), Some(other)) => Before {
            pinned: None,
            no_way_back: Some(format!(
                "{workload} names its image {image}, by a tag, and runs different images of that name: {one}, {other}"
            )),
        },
    }
}

/// The same for people.
pub fn way_back(pinned: Option<&str>, no_way_back: Option<&str>) -> Option<String> {
    let back =
        pinned.map(|image| format!("if something fails: back to {image}, which is what it runs"));
    let none = || no_way_back.map(|why| format!("if something fails: no way back. {why}"));
    back.or_else(none)
}

/// Whether a reference tells which image it is.
pub fn is_told(image: &str) -> bool {
    image.contains('@')
}

/// A reference without its tag. A port is before the last slash.
fn name(image: &str) -> &str {
    let start = image.rfind('/').map_or(0, |slash| slash + 1);
    let tag = image[start..].find(':').map(|colon| start + colon);
    tag.map_or(image, |tag| &image[..tag])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_taken_back_as_what_was_pulled_of_it() {
        let of = |image: &str, pulled: &[&str]| {
            let pulled = pulled.iter().map(|one| (*one).to_owned()).collect();
            before("x", image, Ok(&pulled))
        };
        let pinned = |image| of(image, &["sha256:1"]).pinned;
        assert_eq!(
            pinned("r:5000/a/b:tag").as_deref(),
            Some("r:5000/a/b@sha256:1")
        );
        assert_eq!(pinned("r:5000/a/b").as_deref(), Some("r:5000/a/b@sha256:1"));
        assert_eq!(pinned("envoy:1").as_deref(), Some("envoy@sha256:1"));
        assert_eq!(of("r/a@sha256:1", &["sha256:1"]), Before::default());
        assert_eq!(of("r/a:tag", &[]), Before::default(), "nothing runs");
        let mixed = of("r/a:tag", &["sha256:1", "sha256:2"]);
        assert!(
            mixed.pinned.is_none()
                && mixed
                    .no_way_back
                    .is_some_and(|why| why.contains("sha256:2"))
        );
        let denied = before("x", "r/a:tag", Err("denied"));
        assert!(denied.no_way_back.is_some_and(|why| why.contains("denied")));
        assert_eq!(
            before("x", "r/a@sha256:1", Err("denied")),
            Before::default()
        );
    }
}
