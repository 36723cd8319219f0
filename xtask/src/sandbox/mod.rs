//! stub
use crate::{config::Config, policy::plan::Plan, tasks::Context};
use anyhow::Result;
pub struct Session;
impl Session {
    pub fn is_up(&self) -> bool {
        true
    }
    pub fn endpoint(&self) -> String {
        String::new()
    }
    pub fn docker_env(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    pub fn provide_bases(&self, _: &Context, _: &mut Plan) -> Result<()> {
        Ok(())
    }
}
pub fn for_command(_: &Context, _: &mut Config) -> Result<Option<Session>> {
    Ok(None)
}
