//! The processes of a started server: all descendants of one process, including wrappers and other
//! sessions (proc(5)).

use std::fs;

/// Returns every living process below `root`, parents before their children. `root` itself is left
/// out.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let all: Vec<(u32, u32)> = processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let parent = living_parent(&fs::read_to_string(process.path().join("stat")).ok()?)?;
            Some((pid, parent))
        })
        .collect();
    below(root, &all)
}

/// Returns the processes of `all`, each with its parent, that descend from `root`.
fn below(root: u32, all: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(pid, of)| *of == parent && *pid != root).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// Returns the parent of a living process from the text of its `stat`. The fields after the name,
/// which stands in parentheses, are state and parent.
fn living_parent(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    fields.next().filter(|_| !matches!(state, "Z" | "X"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_through_all_generations() {
        let all = [(2, 1), (3, 1), (4, 3), (5, 4), (6, 9), (7, 5)];
        assert_eq!(below(3, &all), [4, 5, 7]);
        assert_eq!(below(1, &all), [2, 3, 4, 5, 7]);
        assert_eq!(below(7, &all), [0; 0]);
    }

    #[test]
    fn the_parent_is_read_past_the_name_and_of_the_living_only() {
        assert_eq!(living_parent("7 (a ) b) S 41 42 42 0"), Some(41));
        assert_eq!(living_parent("7 (a) Z 41 42 42 0"), None);
        assert_eq!(living_parent("7 (a"), None);
    }
}
