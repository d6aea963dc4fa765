//! Entry points of the fuzz targets (`fuzz/`): profiles and URLs as people write them.

use super::{Overrides, Target, resolve};

/// Resolves a profile. It must be refused with a message, or become a plan whose shard 0 of 1 is
/// the plan itself. Other files cannot be read.
///
/// # Panics
///
/// Panics if this contract is broken, which is what the fuzzer looks for.
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

/// Parses a target's URL. It must be refused, or have a host and a path that cannot break a
/// request.
///
/// # Panics
///
/// Panics if this contract is broken, which is what the fuzzer looks for.
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
