//! What the black-box tests share: the real binary in a project of its own, a recording `docker`, and a strict AWS.

pub(crate) mod aws;
pub(crate) mod figures;
pub(crate) mod images;
pub(crate) mod killed;
pub(crate) mod picture;
pub(crate) mod project;
pub(crate) mod screen;
