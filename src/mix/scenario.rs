//! Scenarios that a simulator plays: how a request asks for one.

use super::Mix;

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

impl Mix {
    /// Whether llmsim shall play scenarios in it.
    pub fn plays_scenarios(&self) -> bool {
        self.kinds.iter().any(|kind| kind.scenario.is_some())
    }
}
