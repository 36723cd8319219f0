//! Why an image stays, and why it need not, in words.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::status::short_digest;

/// Why an image stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Something runs it, or could run it again without asking the registry's tags.
    Runs(String),
    /// Something runs an image of the repository and does not tell which.
    Untold(String),
    /// What an image index has could not be read: anything may be in it.
    UnreadIndex(String),
    /// Its own manifest could not be read, or is of no kind that is known.
    Unread(String),
    /// A tag that moves names it.
    MovingTag(String),
    /// A tag of a release names it.
    Release(String),
    /// A tag names it that is none of deploy.toml.
    UnknownTag(String),
    /// It is one of the newest of an image in an environment.
    Newest(String),
    /// It is what an environment had right before what it runs.
    Before(String),
    /// It was pushed not long ago.
    Young,
    /// An image index that stays has it.
    Child(String),
    /// It belongs to an image that stays.
    Belongs(String),
    /// It is of a service that was not asked for, or may be.
    OtherService,
}

/// Why an image need not stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needless {
    /// Its tags say nothing more than when it went where, and of what commit it is.
    Old,
    /// No tag names it.
    Untagged,
    /// The image that it belongs to is deleted.
    Follows(String),
    /// The image that it belonged to is gone.
    Orphan(String),
}

impl Kept {
    /// The reason without its particulars, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Runs(_) => "run, or can be run again",
            Self::Untold(_) => "in a repository of which something runs an image that is not told",
            Self::UnreadIndex(_) => "beside an image index that cannot be read",
            Self::Unread(_) => "cannot be read",
            Self::MovingTag(_) => "named by a moving tag",
            Self::Release(_) => "a release",
            Self::UnknownTag(_) => "named by a tag that is none of deploy.toml",
            Self::Newest(_) => "the newest of an environment",
            Self::Before(_) => "what an environment can go back to",
            Self::Young => "pushed not long ago",
            Self::Child(_) => "in an image index that stays",
            Self::Belongs(_) => "signatures and the like of an image that stays",
            Self::OtherService => "not of the services that were named",
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(by) => write!(f, "{by} has it"),
            Self::Untold(by) => write!(
                f,
                "{by} runs an image of this repository, and does not tell which"
            ),
            Self::UnreadIndex(digest) => {
                let digest = short_digest(digest);
                write!(f, "image index {digest} cannot be read, and may have it")
            }
            Self::Unread(why) => f.write_str(why),
            Self::MovingTag(tag) => write!(f, "`{tag}` names it"),
            Self::Release(tag) => write!(f, "`{tag}` is a release"),
            Self::UnknownTag(tag) => write!(f, "`{tag}` is no tag of deploy.toml"),
            Self::Newest(group) => write!(f, "one of the newest of `{group}`"),
            Self::Before(group) => write!(f, "`{group}` had it right before what runs"),
            Self::Young => f.write_str("pushed not long ago"),
            Self::Child(digest) => write!(f, "image index {} has it", short_digest(digest)),
            Self::Belongs(digest) => write!(f, "it belongs to {}", short_digest(digest)),
            Self::OtherService => f.write_str("it is not of the services that were named"),
        }
    }
}

impl fmt::Display for Needless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Old => f.write_str("nothing needs it"),
            Self::Untagged => f.write_str("no tag names it"),
            Self::Follows(digest) => write!(f, "it belongs to {}", short_digest(digest)),
            Self::Orphan(digest) => {
                write!(f, "it belonged to {}, which is gone", short_digest(digest))
            }
        }
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Needless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
