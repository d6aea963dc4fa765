//! The APIs of a sweep: one, all that the server has (`auto`), or those of a list.

use crate::plan::{Given, Mix, Overrides, Plan, PlanError, Purpose, Read, Resolved, resolve_for};

/// Resolves the profile once for each API of `--api A,B`, and puts all their requests into one
/// plan.
pub(super) fn resolve(profile: &str, overrides: &Overrides, read: &mut Read<'_>) -> Result<Resolved, PlanError> {
    let Some(list) = overrides.one("api").filter(|given| given.value.contains(',')) else {
        return resolve_for(Purpose::Steps, profile, overrides, read);
    };
    let names: Vec<&str> = list.value.split(',').map(str::trim).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(list.bad(format!("each API once, but {name} is given twice")));
        }
        if *name == "auto" {
            return Err(list.bad("auto alone, which stands for every API that the server has, or a list of names"));
        }
    }
    let mut all: Option<Resolved> = None;
    for name in names {
        let one = Given { value: name.to_owned(), ..list.clone() };
        let mut resolved = resolve_for(Purpose::Steps, profile, &overrides.instead("api", one), read)?;
        let mut kinds = resolved.plan.mix.kinds.clone();
        for kind in &mut kinds {
            kind.name = format!("{}-{name}", kind.name);
        }
        all = Some(match all {
            None => {
                resolved.plan.mix = Mix { kinds }.into();
                resolved
            }
            Some(all) => Resolved { plan: joined(all.plan, Mix { kinds }, list)?, ..all },
        });
    }
    all.ok_or_else(|| list.bad("names of APIs"))
}

/// Returns the plan with the requests of one more API.
fn joined(plan: Plan, more: Mix, list: &Given) -> Result<Plan, PlanError> {
    let mut kinds = plan.mix.kinds.clone();
    let same = |path: &str| plan.mix.kinds.iter().find(|kind| kind.path == path);
    if let Some((one, other)) = more.kinds.iter().find_map(|kind| Some((same(&kind.path)?, kind))) {
        return Err(list.misplaced(format!(
            "names {} and {}, which share the path {}: name one of them",
            one.api.name(),
            other.api.name(),
            one.path
        )));
    }
    kinds.extend(more.kinds);
    Ok(Plan { mix: Mix { kinds }.into(), ..plan })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::overrides::overrides;
    use std::path::Path;

    fn kinds(overrides: &Overrides) -> Result<Vec<(String, String, bool)>, String> {
        let mut read = |_: &Path| Ok(super::super::PROFILE.to_owned());
        let resolved = resolve("throughput.toml", overrides, &mut read).map_err(|error| error.to_string())?;
        let kinds = resolved.plan.mix.kinds.iter();
        Ok(kinds.map(|kind| (kind.name.clone(), kind.api.name().to_owned(), kind.stream)).collect())
    }

    fn api(list: &str) -> Overrides {
        overrides! { api: Some(Given::flag("api", list)) }
    }

    #[test]
    fn each_api_of_a_list_has_both_kinds_of_answer() {
        let kind = |name: &str, api: &str, stream| (format!("{name}-{api}"), api.to_owned(), stream);
        let (chat, messages) = ("openai-chat", "anthropic-messages");
        let expected = vec![
            kind("plain", chat, false),
            kind("streamed", chat, true),
            kind("plain", messages, false),
            kind("streamed", messages, true),
        ];
        assert_eq!(kinds(&api("openai-chat, anthropic-messages")), Ok(expected));
        let one = kinds(&api("anthropic-messages")).expect("one");
        assert_eq!(one.iter().map(|kind| kind.1.as_str()).collect::<Vec<_>>(), [messages; 2]);
        // Every generation API that the simulator has.
        let all = kinds(&api("auto")).expect("all");
        assert!(all.len() > 4 && all.iter().any(|kind| kind.1 == "openresponses"), "{all:?}");
    }

    #[test]
    fn slips_are_refused() {
        for (list, expected) in [
            ("openai-chat,health", "invalid value 'health' for --api: expected a generation API"),
            ("openai-chat,", "invalid value '' for --api"),
            ("openai-chat,openai-chat", "openai-chat is given twice"),
            ("auto,openai-chat", "expected auto alone"),
        ] {
            let error = kinds(&api(list)).expect_err(list);
            assert!(error.contains(expected), "{list}: {error}");
        }
        let path = overrides! { path: Some(Given::flag("path", "/v1")); ..api("openai-chat,anthropic-messages") };
        let error = kinds(&path).expect_err("one path");
        assert!(error.contains("openai-chat and anthropic-messages, which share the path /v1: name one"), "{error}");
    }
}
