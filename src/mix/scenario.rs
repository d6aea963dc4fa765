//! Scenarios that a simulator plays, and the marker that asks for one.

use super::Mix;

/// A scenario of llmsim.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub name: String,
    /// Factor of its pauses.
    pub speed: f64,
}

impl Scenario {
    /// Returns the marker in the user's message that tells llmsim which scenario to play.
    pub(super) fn marker(&self) -> String {
        format!(" [[llmsim:{} speed={}]]", self.name, self.speed)
    }
}

impl Mix {
    /// Returns true if any kind asks llmsim to play a scenario.
    pub fn plays_scenarios(&self) -> bool {
        self.kinds.iter().any(|kind| kind.scenario.is_some())
    }
}
