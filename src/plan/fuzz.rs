//! What the fuzz targets call (`fuzz/`): profiles and addresses as people write them.

use super::{Overrides, Target, resolve};

/// A profile is refused or becomes a plan, whose only part is the plan itself. No other file can be
/// read.
///
/// # Panics
///
/// When the contract is broken: that is what is looked for.
pub fn fuzz_profile(input: &[u8]) {
    const FILE: &str = "fuzz.toml";
    let Ok(text) = std::str::from_utf8(input) else { return };
    let resolved = resolve(FILE, &Overrides::default(), &mut |path: &std::path::Path| {
        if path.as_os_str() == FILE { Ok(text.to_owned()) } else { Err(std::io::ErrorKind::NotFound.into()) }
    });
    match resolved {
        Ok(resolved) => assert_eq!(resolved.plan.shard(0, 1), resolved.plan),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A target's URL is refused or has a host, which says nothing twice: what is parsed is parsed
/// again to the same.
///
/// # Panics
///
/// When the contract is broken: that is what is looked for.
pub fn fuzz_target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(target) = Target::parse(text) else { return };
    assert!(!target.host.is_empty() && !target.host.contains(['/', '?', '#', '@', '\r', '\n', ' ']), "{text:?}");
    assert!(!target.path_prefix.contains(['\r', '\n', ' ']), "{text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::profile;

    #[test]
    fn small_inputs_hold() {
        for (_, text) in profile::BUILT_IN {
            fuzz_profile(text.as_bytes());
            fuzz_profile(&text.as_bytes()[..text.len() / 2]);
        }
        for text in ["", "=", "[[requests]]\n", "duration = \"1s", "\u{0}"] {
            fuzz_profile(text.as_bytes());
        }
        for text in
            ["", "http://", "http://127.0.0.1:8080/v1", "https://[::1]:1/a?b#c", "http://a b", "://", "http://u:p@h"]
        {
            fuzz_target(text.as_bytes());
        }
    }
}
