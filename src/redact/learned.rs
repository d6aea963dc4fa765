//! Secrets that become known after a redactor was made.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// Secrets that become known after a redactor was made. All clones learn together, and so do all
/// redactors that were made with one.
#[derive(Clone, Default)]
pub struct Learned(Arc<RwLock<Vec<Vec<u8>>>>);

impl std::fmt::Debug for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(super::HIDDEN)
    }
}

impl Learned {
    /// Hides these texts from now on, and each of their words.
    pub fn add(&self, secrets: impl IntoIterator<Item = String>) {
        let more = super::needles(secrets);
        // A panic elsewhere does not damage the list.
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(more);
    }

    /// Returns the needles of a redactor together with the learned ones.
    pub(super) fn beside<'a>(&self, needles: &'a [Vec<u8>]) -> Cow<'a, [Vec<u8>]> {
        let learned = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if learned.is_empty() {
            return Cow::Borrowed(needles);
        }
        Cow::Owned(super::sorted([needles, &learned].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;

    #[test]
    fn redactors_that_were_made_before_learn_and_so_do_those_made_of_them() {
        let learned = Learned::default();
        let redactor = Redactor::new(["first-key".to_owned()]).learning(&learned);
        let more = redactor.and(["beside-it".to_owned()]);
        assert_eq!(redactor.own("first-key second-key"), "[hidden] second-key");
        learned.clone().add(["second-key".to_owned()]);
        assert_eq!(redactor.own("first-key second-key"), "[hidden] [hidden]");
        assert_eq!(more.own("beside-it second-key"), "[hidden] [hidden]");
        assert_eq!(redactor.own("c2Vjb25kLWtleQ=="), "[hidden]Q==", "in base64, too");
        assert_eq!(format!("{learned:?}"), "[hidden]");
    }
}
