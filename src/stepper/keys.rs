//! The keys, as one table: what a key does, what `?` says of it, and what the documentation has.

use ratatui::crossterm::event::KeyCode;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One instruction.
    Instruction,
    /// To the next source line, over functions.
    Line,
    /// To the next source line, into functions.
    LineInto,
    /// The chosen step of the schedule.
    Step,
    /// The plan's next step.
    Follow,
    /// Until something happens.
    Run,
    /// The chosen CPU until its program returns.
    RunSelected,
    /// Back by a move.
    Back,
    /// Back by a step of the schedule.
    BackStep,
    /// To the start.
    Start,
    /// To the plan's end.
    End,
    /// The row above.
    Up,
    /// The row below.
    Down,
    /// End a grace period.
    GracePeriod,
    /// Let an allocation fail.
    FailAllocation,
    /// The mark in the source a line down.
    MarkDown,
    /// The mark in the source a line up.
    MarkUp,
    /// Break at the marked line.
    Break,
    /// Watch something.
    Watch,
    /// A command in words.
    Words,
    /// Search in the source.
    Search,
    /// A pane, from 0.
    Pane(usize),
    /// The next pane.
    NextPane,
    /// The pane's text up.
    ScrollUp,
    /// The pane's text down.
    ScrollDown,
    /// Show and copy the token.
    Token,
    /// The verifier's path, or the machine.
    Path,
    /// The keys.
    Help,
    /// End.
    Quit,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys.
    pub keys: &'static [KeyCode],
    /// What they do.
    pub command: Command,
    /// What it means on the machine.
    pub machine: &'static str,
    /// What it means on the verifier's path; empty if it means nothing there.
    pub path: &'static str,
}

const fn binding(keys: &'static [KeyCode], command: Command, machine: &'static str, path: &'static str) -> Binding {
    Binding { keys, command, machine, path }
}

use KeyCode::Char;

/// All keys, in the order in which they are shown.
pub const BINDINGS: &[Binding] = &[
    binding(
        &[Char('s'), Char(' ')],
        Command::Instruction,
        "the chosen CPU executes one instruction",
        "one instruction forward",
    ),
    binding(&[Char('n')], Command::Line, "to its next source line, over functions", "to the next source line"),
    binding(&[Char('i')], Command::LineInto, "to its next source line, into functions", ""),
    binding(
        &[KeyCode::Enter],
        Command::Step,
        "the chosen step: to the next instruction that others can see",
        "to the next event: a branch, a reference, a lock",
    ),
    binding(&[Char('f')], Command::Follow, "the plan's next step: a token's, or what was gone back over", ""),
    binding(
        &[Char('c')],
        Command::Run,
        "run to a break, a change of what is watched, a finding, the end",
        "to the next break, or the path's end",
    ),
    binding(&[Char('r')], Command::RunSelected, "run the chosen CPU alone until its program returns", ""),
    binding(&[KeyCode::Left, KeyCode::Backspace], Command::Back, "back by one move", "one instruction back"),
    binding(&[Char('p')], Command::BackStep, "back by one step of the schedule", "back to the event before"),
    binding(
        &[KeyCode::Home, Char('g')],
        Command::Start,
        "to the start; the schedule so far stays as the plan",
        "to the start",
    ),
    binding(&[KeyCode::End, Char('G')], Command::End, "follow the plan to its end", "to the end"),
    binding(&[KeyCode::Up, KeyCode::BackTab], Command::Up, "choose the row above in `next`", "the path before"),
    binding(&[KeyCode::Down, KeyCode::Tab], Command::Down, "choose the row below in `next`", "the next path"),
    binding(&[Char('e')], Command::GracePeriod, "end a grace period, where one may end", ""),
    binding(&[Char('x')], Command::FailAllocation, "let the chosen CPU's allocation fail (--allocation-failures)", ""),
    binding(&[Char('j')], Command::MarkDown, "move the mark in the source down", "move the mark down"),
    binding(&[Char('k')], Command::MarkUp, "move the mark in the source up", "move the mark up"),
    binding(&[Char('b')], Command::Break, "break at the marked line, or no longer", "the same"),
    binding(&[Char('w')], Command::Watch, "watch a register, a global or a map's value", ""),
    binding(&[Char(':')], Command::Words, "a command in words; `:help` lists them", "the same"),
    binding(&[Char('/')], Command::Search, "search in the source; empty for the same again", "the same"),
    binding(&[Char('1')], Command::Pane(0), "pane: the chosen CPU, its registers and stack", "pane: the state"),
    binding(&[Char('2')], Command::Pane(1), "pane: objects and their life", "pane: references"),
    binding(&[Char('3')], Command::Pane(2), "pane: globals and maps", "pane: the verdict"),
    binding(&[Char('4')], Command::Pane(3), "pane: findings", ""),
    binding(&[Char('5')], Command::Pane(4), "pane: breaks, watched values, token", ""),
    binding(&[KeyCode::Right, Char(']')], Command::NextPane, "the next pane", "the next pane"),
    binding(&[KeyCode::PageDown], Command::ScrollDown, "the pane's text down", "the same"),
    binding(&[KeyCode::PageUp], Command::ScrollUp, "the pane's text up", "the same"),
    binding(&[Char('t')], Command::Token, "show the schedule's token and copy it", ""),
    binding(&[Char('v')], Command::Path, "the verifier's path of this program", "back to the machine"),
    binding(&[Char('?'), KeyCode::F(1)], Command::Help, "these keys", "these keys"),
    binding(
        &[Char('q'), KeyCode::Esc],
        Command::Quit,
        "close what is open; then end (Ctrl-C ends at once)",
        "the same",
    ),
];

/// What a key asks for.
#[must_use]
pub fn command(key: KeyCode) -> Option<Command> {
    BINDINGS.iter().find(|binding| binding.keys.contains(&key)).map(|binding| binding.command)
}

/// A key's name.
#[must_use]
pub fn key_name(key: KeyCode) -> String {
    match key {
        Char(' ') => "Space".to_owned(),
        Char(c) => c.to_string(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        KeyCode::F(number) => format!("F{number}"),
        other => format!("{other:?}"),
    }
}

impl Binding {
    /// The names of its keys.
    #[must_use]
    pub fn names(&self) -> String {
        self.keys.iter().copied().map(key_name).collect::<Vec<_>>().join(" ")
    }
}

/// A command in words, after `:`.
#[derive(Clone, Copy, Debug)]
pub struct WordCommand {
    /// Its name; any beginning of it that is no other's will do.
    pub name: &'static str,
    /// What stands behind it.
    pub argument: &'static str,
    /// What it does.
    pub says: &'static str,
}

/// All commands in words.
pub const WORDS: &[WordCommand] = &[
    WordCommand { name: "break", argument: "LINE|FILE:LINE|FUNCTION|@INSN", says: "stop there, or no longer" },
    WordCommand { name: "watch", argument: "rN|ACTOR:rN|NAME[KEY].FIELD", says: "stop when it changes, or no longer" },
    WordCommand { name: "delete", argument: "", says: "no breaks and nothing watched" },
    WordCommand { name: "goto", argument: "N", says: "to the schedule's step N, back or along the plan" },
    WordCommand { name: "random", argument: "SEED", says: "run to the end with steps chosen at random" },
    WordCommand { name: "token", argument: "", says: "show the token and copy it" },
    WordCommand { name: "values", argument: "", says: "globals and maps" },
    WordCommand { name: "help", argument: "", says: "the keys and these commands" },
    WordCommand { name: "quit", argument: "", says: "end" },
];

/// A command in words by its name or the beginning of it.
#[must_use]
pub fn word(name: &str) -> Option<&'static WordCommand> {
    let exact = WORDS.iter().find(|word| word.name == name);
    exact.or_else(|| WORDS.iter().find(|word| !name.is_empty() && word.name.starts_with(name)))
}

/// The tables as the documentation has them.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| key | on the machine | on the verifier's path |\n| --- | --- | --- |\n");
    for binding in BINDINGS {
        let names = binding.keys.iter().map(|&key| format!("`{}`", key_name(key))).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| {names} | {} | {} |\n", binding.machine, binding.path));
    }
    text.push_str("\n| command | what it does |\n| --- | --- |\n");
    for word in WORDS {
        let argument = if word.argument.is_empty() { String::new() } else { format!(" {}", word.argument) };
        text.push_str(&format!("| `:{}{}` | {} |\n", word.name, argument.replace('|', "\\|"), word.says));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let mut seen = std::collections::HashSet::new();
        for binding in BINDINGS {
            for &key in binding.keys {
                assert!(seen.insert(key), "{}", key_name(key));
                assert_eq!(command(key), Some(binding.command));
            }
        }
        assert_eq!(command(Char('Z')), None);
    }

    #[test]
    fn what_keys_mean_fits_beside_them() {
        for binding in BINDINGS {
            assert!(binding.names().len() < 15 && binding.machine.len().max(binding.path.len()) <= 63, "{binding:?}");
        }
    }

    #[test]
    fn words_may_be_shortened() {
        assert_eq!(word("b").map(|word| word.name), Some("break"));
        assert_eq!(word("quit").map(|word| word.name), Some("quit"));
        assert!(word("").is_none() && word("breakx").is_none());
    }

    #[test]
    fn the_documentation_has_these_tables() {
        let text = include_str!("../../docs/stepper.md");
        assert!(text.contains(&markdown()), "docs/stepper.md should have:\n{}", markdown());
    }
}
