//! What the learner reads on the terminal.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use crate::lessons::check::Passed;
use crate::lessons::{Failure, Lesson, Progress, Stage};
use crate::verifier::RuleEntry;

/// Cells of the progress bar.
const BAR: usize = 42;

/// Texts for a terminal, or for what is none.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// May there be colours?
    pub colour: bool,
    /// Letters in a line of prose.
    pub width: usize,
}

const BOLD: Style = Style::new().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

impl Words {
    fn paint(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn wrapped(self, text: &str) -> String {
        textwrap::fill(text, self.width)
    }

    /// How many are solved, as a bar.
    pub fn bar(self, solved: usize, all: usize) -> String {
        let done = (BAR * solved).checked_div(all).unwrap_or(BAR);
        let done_cells = self.paint(GREEN, &"#".repeat(done));
        format!("[{done_cells}{}] {solved} of {all} solved\n", "-".repeat(BAR - done))
    }

    /// The exercise, and where to find it.
    pub fn heading(self, lesson: &Lesson, path: &Path) -> String {
        let title = self.paint(BOLD, &format!("Exercise {}: {}", lesson.number(), lesson.title));
        format!("{title}   ({})\n{}\n", lesson.part, self.paint(CYAN, &path.display().to_string()))
    }

    /// What is wrong, with the way to it.
    pub fn failed(self, lesson: &Lesson, path: &Path, failure: &Failure) -> String {
        let mut text = self.heading(lesson, path).trim_end().to_owned() + ": its first lines say what is to be done\n";
        let before = match failure.stage {
            Stage::Compile | Stage::Verify => "",
            Stage::Run => "\nThe verifier accepts it. But a run on simulated CPUs is not as it should be:\n",
            Stage::Explore => {
                "\nThe verifier accepts it, and runs of one program after the other are right. But two CPUs can take turns \
                 in many ways, and not all of them end well:\n"
            }
        };
        text += &self.wrapped(before);
        text.push('\n');
        // The verifier's and the explorer's stories begin with what the message says.
        let told = matches!(failure.stage, Stage::Verify | Stage::Explore) && !failure.text.is_empty();
        if !told {
            let head = self.paint(RED, &format!("error[{}]", failure.kind));
            let _ = writeln!(text, "{head}: {}\n", failure.message);
        }
        text += failure.text.trim_end();
        let has_page = RuleEntry::find(&failure.kind).is_some();
        if failure.stage == Stage::Verify && has_page && !failure.text.contains("kptrsim explain") {
            let _ = write!(text, "\n\nMore about this rule: kptrsim explain {}", failure.kind);
        }
        text.trim_end().to_owned() + "\n"
    }

    /// What was passed, and what there was to learn.
    pub fn passed(self, lesson: &Lesson, passed: &Passed) -> String {
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let mut did = vec![format!("{} accepted", plural(passed.programs, "program"))];
        did.push(format!("{} right", plural(passed.runs, "run")));
        if let Some(schedules) = passed.schedules {
            did.push(format!("nothing wrong in any of the {schedules} ways in which the CPUs can take turns"));
        }
        let head = self.paint(GREEN, &format!("Exercise {} is solved", lesson.number()));
        self.wrapped(&format!("{head}: {}.\n{}\n", did.join(", "), lesson.takeaway))
    }

    /// One line about an exercise that was checked with all others.
    pub fn verdict(self, lesson: &Lesson, result: &Result<Passed, Failure>) -> String {
        match result {
            Ok(_) => format!("{}  {}\n", self.paint(GREEN, "solved  "), lesson.name),
            Err(failure) => {
                let word = if failure.undecided { "unclear " } else { "to mend " };
                format!("{}  {}: {} ({})\n", self.paint(RED, word), lesson.name, failure.message, failure.kind)
            }
        }
    }

    /// The first hints of an exercise.
    pub fn hints(self, lesson: &Lesson, shown: usize) -> String {
        let all = lesson.hints.len();
        let mut text = String::new();
        for (index, hint) in lesson.hints.iter().take(shown).enumerate() {
            let head = format!("Hint {} of {all} for exercise {}: ", index + 1, lesson.number());
            text += &self.wrapped(&format!("{head}{hint}\n"));
        }
        if shown == all {
            let number = lesson.number();
            let _ =
                writeln!(text, "That was the last one. `kptrsim learn solution {number} --show` shows our solution.");
        }
        text
    }

    /// All exercises, under the parts that they belong to.
    pub fn list(self, lessons: &[Lesson], progress: &Progress, current: Option<&str>) -> String {
        let mut text = String::new();
        let mut part = "";
        for lesson in lessons {
            if lesson.part != part {
                part = &lesson.part;
                let _ = writeln!(text, "{}", self.paint(BOLD, part));
            }
            let mark = match (progress.solved.contains(lesson.name), current == Some(lesson.name)) {
                (true, _) => self.paint(GREEN, "solved"),
                (false, true) => self.paint(CYAN, "  next"),
                (false, false) => "      ".to_owned(),
            };
            let _ = writeln!(text, "  {mark}  {:<18}  {}", lesson.name, lesson.title);
        }
        let solved = lessons.iter().filter(|lesson| progress.solved.contains(lesson.name)).count();
        text + "\n" + &self.bar(solved, lessons.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Words = Words { colour: false, width: 100 };

    #[test]
    fn the_bar_is_as_long_as_what_is_solved() {
        assert_eq!(PLAIN.bar(0, 21), format!("[{}] 0 of 21 solved\n", "-".repeat(BAR)));
        assert_eq!(PLAIN.bar(21, 21), format!("[{}] 21 of 21 solved\n", "#".repeat(BAR)));
        assert!(PLAIN.bar(1, 21).starts_with("[##-"));
        assert!(PLAIN.bar(0, 0).contains("0 of 0"));
    }

    #[test]
    fn hints_come_one_by_one() {
        let lessons = Lesson::all().expect("they can be read");
        let one = PLAIN.hints(&lessons[0], 1);
        assert!(one.contains("Hint 1 of 3") && !one.contains("Hint 2") && !one.contains("last one"), "{one}");
        let all = PLAIN.hints(&lessons[0], 3);
        assert!(all.contains("Hint 3 of 3") && all.contains("solution 1 --show"), "{all}");
    }
}
