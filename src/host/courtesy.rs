//! Ways for a thread not to disturb others: a lower priority, and other cores.

use super::machine::cores;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// By how much a thread lowers its priority to give way: half of the whole range downwards.
const NICE: i32 = 10;

/// Lowers the priority of the calling thread, so that it uses only CPU time that other threads
/// leave. On Linux, priorities belong to threads (setpriority(2), "C library/kernel differences").
pub fn give_way() {
    // If this fails, the thread runs at normal priority.
    let _ = rustix::process::nice(NICE);
}

/// Keeps the calling thread off these cores, if there are others.
pub fn keep_off(busy: &[usize]) {
    let free: Vec<usize> = cores().into_iter().filter(|core| !busy.contains(core)).collect();
    if busy.is_empty() || free.is_empty() {
        return;
    }
    let mut set = CpuSet::new();
    let all_fit = free.iter().all(|core| set.set(*core).is_ok());
    if all_fit {
        // If this fails, too, the kernel chooses the core.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_courteous_thread_leaves_the_cores_of_others() {
        std::thread::spawn(|| {
            let all = cores();
            let Some((first, rest)) = all.split_first().filter(|(_, rest)| !rest.is_empty()) else { return };
            keep_off(&[]);
            assert_eq!(cores(), all);
            keep_off(&[*first]);
            assert_eq!(cores(), rest);
            give_way();
        })
        .join()
        .expect("it can be done");
    }
}
