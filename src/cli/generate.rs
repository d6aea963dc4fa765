//! Man pages and completions, from the definitions that the help is made of.

use clap::Command;
use clap_complete::Shell;

/// The name of the program.
const NAME: &str = "llmsim-blast";

/// The text for `what`: a shell's name for its completions, else the man page of `whole` or of its
/// command `of`. An error says what was expected.
pub(super) fn text(mut whole: Command, what: &str, of: Option<&str>) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    match (what.parse::<Shell>(), of) {
        (Err(_), of) => {
            // Names of commands begin with the program's, as their pages do.
            whole.build();
            // A Vec takes everything.
            let _ = clap_mangen::Man::new(page_of(whole, of)?).render(&mut text);
        }
        (Ok(shell), None) => clap_complete::generate(shell, &mut for_people(&whole), NAME, &mut text),
        (Ok(_), Some(_)) => return Err("completions are of all commands: expected no COMMAND".to_owned()),
    }
    Ok(text)
}

/// The command line without the commands that are not for people: shells would offer them, too.
fn for_people(whole: &Command) -> Command {
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned())
        .groups(whole.get_groups().cloned())
        .subcommands(whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

/// The command that a page is of.
fn page_of(whole: Command, name: Option<&str>) -> Result<Command, String> {
    let Some(name) = name else { return Ok(whole) };
    let known: Vec<&Command> = whole.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    known.iter().find(|command| command.get_name() == name).map(|command| (*command).clone()).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|command| command.get_name()).collect();
        format!("unknown command '{}': expected one of {}", name.escape_debug(), known.join(", "))
    })
}
