//! stub
use super::Ended;
/// stub
#[derive(Debug, clap::Args)]
pub struct Healthcheck {}
impl Healthcheck {
    /// x
    pub fn run(&self) -> Result<(), Ended> {
        Ok(())
    }
}
