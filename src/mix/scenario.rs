//! Scenarios that a simulator plays: how a request asks for one.

/// A scenario of llmsim.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub name: String,
    /// What its pauses are multiplied by.
    pub speed: f64,
}

impl Scenario {
    /// What stands in the user's message and tells llmsim what to play.
    pub(super) fn marker(&self) -> String {
        format!(" [[llmsim:{} speed={}]]", self.name, self.speed)
    }
}
