//! Detects requests that share long beginnings although no profile asks for that. A server with a
//! prefix cache responds to them faster than to real requests.

use crate::metrics::hints::Hint;
use crate::mix::{Request, RequestWriter};
use crate::plan::{Kind, Mix, Plan, PromptSource};
use crate::units::plural;
use std::io;

/// Requests of each kind that are examined.
const LOOKED_AT: u32 = 32;
/// Bytes of each body that are kept.
const KEPT_BYTES: usize = 16 << 10;
/// Bytes in common beyond the frame that all requests of the kind share: about 60 tokens, several
/// blocks of any server's cache.
const LONG: usize = 256;
/// Share of the examined requests that must have such a beginning.
const SHARE: f64 = 0.25;

/// Returns a hint for each kind of request that is affected.
pub(super) fn hints(plan: &Plan) -> Vec<Hint> {
    plan.mix
        .kinds
        .iter()
        .filter(|kind| kind.api.generates() && !asks_for_prefixes(kind))
        .filter_map(|kind| hint(plan, kind))
        .collect()
}

/// Returns true if the prompts of this kind are meant to begin alike.
fn asks_for_prefixes(kind: &Kind) -> bool {
    let of_blocks = match &kind.prompt.source {
        PromptSource::Rows(rows) => (0..rows.len()).any(|row| matches!(rows.words(row), Some((_, [_, ..])))),
        _ => false,
    };
    kind.prompt.prefix.is_some() || of_blocks
}

fn hint(plan: &Plan, kind: &Kind) -> Option<Hint> {
    let mix = Mix { kinds: vec![Kind { weight: 1, ..kind.clone() }] };
    let writer = RequestWriter::new(&mix, &plan.envelopes(), plan.seed);
    let mut bodies: Vec<Vec<u8>> = (0..LOOKED_AT).map(|user| body(&writer, user).ok()).collect::<Option<_>>()?;
    bodies.sort_unstable();
    let (alike, bytes) = alike(&bodies)?;
    let text = format!(
        "{}: {alike} of {} that were examined begin with the same {} as another, although no `prefix` asks for that: \
         a server with a prefix cache has seen them before, so its ttft looks better than it is",
        kind.name,
        plural(LOOKED_AT, "request"),
        plural(bytes, "byte")
    );
    Some(Hint { name: "unasked_prefix".to_owned(), text })
}

/// Returns the beginning of a request's body.
fn body(writer: &RequestWriter, user: u32) -> io::Result<Vec<u8>> {
    let (mut request, mut held) = (Request::default(), Vec::new());
    writer.fetch(user, 0, &mut held)?;
    writer.write(0, user, 0, None, &held, &mut request);
    let at = memchr::memmem::find(&request.bytes, b"\r\n\r\n").map_or(0, |at| at + 4);
    Ok(request.bytes[at..].iter().take(KEPT_BYTES).copied().collect())
}

/// Takes sorted bodies. Returns how many of them share a long enough beginning with another, and
/// the length of the shortest such beginning in bytes. `None` if they are few.
fn alike(bodies: &[Vec<u8>]) -> Option<(usize, usize)> {
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // The frame around the prompts is found by its fields. The common beginning of all bodies would
    // be too long if all prompts begin alike.
    let frame = frame(bodies.first()?);
    let neighbours: Vec<usize> = bodies.windows(2).map(|pair| common(&pair[0], &pair[1])).collect();
    let with_next = |i: usize| neighbours.get(i).copied().unwrap_or_default();
    let longest = (0..bodies.len()).map(|i| with_next(i).max(i.checked_sub(1).map_or(0, with_next)));
    let long: Vec<usize> = longest.map(|n| n.saturating_sub(frame)).filter(|n| *n >= LONG).collect();
    let is_much = long.len() as f64 >= bodies.len() as f64 * SHARE;
    let least = long.iter().copied().min().filter(|_| is_much)?;
    Some((long.len(), least))
}

/// Returns the offset of the first message text. The model and the roles come before it.
fn frame(body: &[u8]) -> usize {
    let after = |key: &[u8]| memchr::memmem::find(body, key).map(|at| at + key.len());
    [&b"\"content\":\""[..], b"\"input\":\"", b"\"text\":\"", b"\"prompt\":\""]
        .into_iter()
        .filter_map(after)
        .min()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Overrides, Prompt, Tokens, resolve};

    fn plan(prompt: Prompt) -> Plan {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let mut plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        let kind = Kind { prompt, ..plan.mix.kinds[0].clone() };
        plan.mix = Mix { kinds: vec![kind] }.into();
        plan
    }

    #[test]
    fn only_long_beginnings_that_nobody_asked_for_are_told() {
        let system = "You are a helpful assistant. ".repeat(20);
        let texts: Vec<String> = (0..50).map(|i| format!("{system}{i}")).collect();
        let told = hints(&plan(Prompt::texts(texts.clone())));
        assert_eq!((told.len(), told[0].name.as_str()), (1, "unasked_prefix"));
        assert!(told[0].text.contains("32 of 32 requests") && told[0].text.contains("572 bytes"), "{}", told[0].text);
        // The same prompts, each with its own opening.
        assert_eq!(hints(&plan(Prompt { distinct: true, ..Prompt::texts(texts) })), []);
        assert_eq!(hints(&plan(Prompt::of(PromptSource::Words(Tokens::fixed(900))))), []);
        assert_eq!(hints(&plan(Prompt::texts(vec!["Hello".to_owned()]))), [], "short prompts fill no block of a cache");
        let prefix = crate::plan::Prefix { tokens: 500, groups: 1, zipf: 0.0 };
        let asked = Prompt { prefix: Some(prefix), ..Prompt::of(PromptSource::Words(Tokens::fixed(9))) };
        assert_eq!(hints(&plan(asked)), []);
    }

    #[test]
    fn built_in_profiles_share_nothing() {
        for (profile, _) in crate::plan::profile::BUILT_IN {
            let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
            let plan = resolve(profile, &Overrides::default(), &mut nothing).expect("built in").plan;
            assert_eq!(hints(&plan), [], "{profile}");
        }
    }
}
