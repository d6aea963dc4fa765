//! What a thread does so that others are not disturbed.

use super::machine::cores;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// How much lower the priority of a thread is that gives way: half of the whole range downwards.
const NICE: i32 = 10;

/// Lowers the priority of the calling thread, so that it gets what others leave of a core. On Linux
/// priorities are those of threads (setpriority(2), "C library/kernel differences").
pub fn give_way() {
    // A thread that cannot give way runs as the others do.
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
        // The same: where it cannot be had, the kernel decides.
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
