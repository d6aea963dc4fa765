//! Finds out who listens on a port: the child that we started, or another program that was faster.
//!
//! A port is chosen before the child binds it, and another program may take it in between. If that
//! program is llmsim too, it also responds to `GET /health`, and the whole test would measure the
//! wrong server. So a response counts only if the port is owned by a process that descends from the
//! child. A wrapper may run above the server; CPU and memory are those of the process that owns the
//! port. (proc(5): `/proc/net/tcp` names the socket by its inode, `/proc/PID/fd` lists its
//! holders.)

use super::family;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Returns the processes at or below `root` that listen on the port of `addr`. There are several if
/// a server forks after it listens. `None` if the kernel does not tell.
pub(super) fn owners(root: u32, addr: SocketAddr) -> Option<Vec<u32>> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 lacks the second table.
        inodes.extend(fs::read_to_string(table).iter().flat_map(|text| listeners(text, addr.port())));
    }
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut could_look = false;
    let mut owners = Vec::new();
    for pid in std::iter::once(root).chain(family::descendants(root)) {
        let Ok(files) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else { continue };
        could_look = true;
        let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if targets.any(|target| links.iter().any(|link| target.as_os_str() == link.as_str())) {
            owners.push(pid);
        }
    }
    could_look.then_some(owners)
}

/// Returns the inodes of sockets that listen on `port`, from the text of `/proc/net/tcp`: the
/// second column ends in the port, the fourth is the state (`0A` is LISTEN), the tenth the inode.
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

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_socket_is_ours_and_nobody_elses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let ours = std::process::id();
        assert_eq!(owners(ours, addr), Some(vec![ours]));
        // A process without our sockets. Its files may be unreadable.
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(owners(other.id(), addr).unwrap_or_default(), [0; 0]);
        other.kill().unwrap();
        other.wait().unwrap();
        drop(listener);
        assert_eq!(owners(ours, addr).unwrap_or_default(), [0; 0]);
    }
}
