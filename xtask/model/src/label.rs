//! Labels that every pushed image carries. Source: the OCI image specification's pre-defined annotation keys.

/// The whole commit.
pub const REVISION: &str = "org.opencontainers.image.revision";
/// The commit's time: a rebuild of the same commit is the same image.
pub const CREATED: &str = "org.opencontainers.image.created";
/// Where the source code lives.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// The nearest git tag, or the short commit.
pub const VERSION: &str = "org.opencontainers.image.version";
