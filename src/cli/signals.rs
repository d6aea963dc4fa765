//! Ctrl-C once: stop gracefully. Twice: stop at once.

use super::ExitClass;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// From now on a first signal raises the flag, and a second ends the process on the spot. Nothing outlives us then: a server that was
/// started here is killed by the kernel.
pub(super) fn watch() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the signal that raises the flag must not find it raised.
        flag::register_conditional_shutdown(signal, i32::from(ExitClass::Interrupted.code()), Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
