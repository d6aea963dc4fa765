//! Who listens on a port: the child that we started, or somebody who was faster?
//!
//! A port is chosen before the child binds it, and something else may take it in between. If that something is a llmsim too, it answers
//! `GET /health` just as well, and the whole test would measure a server that nobody asked for. So an answer counts only from a
//! process of the child's group. (proc(5): `/proc/net/tcp` names the socket by its inode, `/proc/PID/fd` says who holds it.)

use std::fs;
use std::net::SocketAddr;

/// Whether a process of that group listens on the port of `addr`; none where the kernel does not tell.
pub(super) fn listens(group: u32, addr: SocketAddr) -> Option<bool> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no second table.
        inodes.extend(fs::read_to_string(table).iter().flat_map(|text| listeners(text, addr.port())));
    }
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut could_look = false;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let is_ours = fs::read_to_string(process.path().join("stat")).is_ok_and(|stat| group_of(&stat) == Some(group));
        let Some(files) = is_ours.then(|| fs::read_dir(process.path().join("fd")).ok()).flatten() else { continue };
        could_look = true;
        let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if targets.any(|target| links.iter().any(|link| target.as_os_str() == link.as_str())) {
            return Some(true);
        }
    }
    could_look.then_some(false)
}

/// The inodes of sockets that listen on `port`, in the text of `/proc/net/tcp`: the second column ends in the port, the fourth is the
/// state (`0A` is LISTEN), the tenth the inode.
fn listeners(text: &str, port: u16) -> Vec<u64> {
    let ending = format!(":{port:04X}");
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let listens = fields.get(3) == Some(&"0A") && fields.get(1)?.ends_with(&ending);
            listens.then(|| fields.get(9)?.parse().ok()).flatten()
        })
        .collect()
}

/// The process group in the text of `/proc/PID/stat`: the third field after the name, which stands in parentheses.
fn group_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn listeners_are_found_by_port_and_state() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
             1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n\
             2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";
        assert_eq!(listeners(table, 8080), [4711]);
        assert_eq!(listeners(table, 80), [4713]);
        assert_eq!(listeners("nonsense\n", 80), [0; 0]);
    }

    #[test]
    fn the_group_is_read_past_the_name() {
        assert_eq!(group_of("7 (a ) b) S 1 42 42 0"), Some(42));
        assert_eq!(group_of("7 (a"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_socket_is_ours_and_nobody_elses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let ours = nix::unistd::getpgrp().as_raw().unsigned_abs();
        assert_eq!(listens(ours, addr), Some(true));
        // The first process is of a group of its own, and no socket of ours is in it; it may not let us look.
        assert_ne!(listens(1, addr), Some(true));
        drop(listener);
        assert_ne!(listens(ours, addr), Some(true));
    }
}
