//! A disagreement written down: the program as assembly text, and a page with what each side says about it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::cause::Cause;
use super::journal::{JournalError, write_whole};
use super::plan::Plan;
use super::replay::{Ended, Replay};
use crate::crosscheck::KernelVerdict;
use crate::crosscheck::compare::{OurVerdict, verdict_word};
use crate::soundness::containment::KernelGap;

/// Lines of a log's end that a page shows.
const LOG_LINES: usize = 100;

/// A program as it is written down.
#[derive(Clone, Debug)]
pub enum Written {
    /// A generated one: the text, which clang assembles.
    Assembly(String),
    /// One of an object in which something is changed.
    Object {
        /// The changed object.
        bytes: Vec<u8>,
        /// The object's file.
        original: PathBuf,
        /// The program's name.
        program: String,
        /// What was changed, a line for each.
        changes: String,
    },
}

impl Written {
    /// What its file's name ends with.
    fn file_ending(&self) -> &'static str {
        match self {
            Written::Assembly(_) => ".s",
            Written::Object { .. } => ".bpf.o",
        }
    }

    /// The program's name in its object.
    fn program(&self) -> &str {
        match self {
            Written::Assembly(_) => "p0000",
            Written::Object { program, .. } => program,
        }
    }
}

/// All that is known of a disagreement.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What disagrees.
    pub cause: Cause,
    /// What the campaign is about.
    pub plan: Plan,
    /// The program in which it was found.
    pub index: u64,
    /// Does it show in an object with no other program?
    pub alone: bool,
    /// The seed of its runs.
    pub run_seed: u64,
    /// The small program.
    pub subject: Written,
    /// Our verdict.
    pub ours: Option<OurVerdict>,
    /// Why our loader does not take it.
    pub refused: Option<String>,
    /// Our log of level 2.
    pub our_log: String,
    /// The kernel's verdict out of a machine that was booted for nothing else, with its log of level 2.
    pub kernel: Option<KernelVerdict>,
    /// Why there is no verdict.
    pub kernel_failure: Option<String>,
    /// What the machine's runs came to.
    pub machine: String,
    /// The kernel's known gap that it is, or that it comes of.
    pub gap: Option<&'static KernelGap>,
    /// What became of the machine's runs on a kernel.
    pub replays: Vec<Replay>,
}

impl Finding {
    /// The program's file, by the name that it is written under.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        format!("{name}{}", self.subject.file_ending())
    }

    /// Writes `NAME.s` or `NAME.bpf.o`, and `NAME.md`, into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), JournalError> {
        let failed = |source| JournalError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let file = folder.join(self.file(name));
        match &self.subject {
            Written::Assembly(text) => write_whole(&file, text.as_bytes())?,
            Written::Object { bytes, .. } => write_whole(&file, bytes)?,
        }
        write_whole(&folder.join(format!("{name}.md")), self.page(name).as_bytes())
    }

    fn page(&self, name: &str) -> String {
        let mut page = format!("# {}\n\n", self.cause);
        let file = self.file(name);
        let _ = writeln!(page, "Program {} of seed {}, made small: `{file}`.", self.index, self.plan.seed);
        if let Written::Object { original, program, changes, .. } = &self.subject {
            let original = original.file_name().unwrap_or_default().display();
            let changes = if changes.is_empty() { "nothing: the object shows it as it is" } else { changes.trim_end() };
            let _ = writeln!(page, "\nIt is `{program}` of `{original}`, with this changed:\n\n```\n{changes}\n```");
        }
        if !self.alone {
            page.push_str("It shows only in an object with other programs, and is not made small.\n");
        }
        if let Some(why) = &self.kernel_failure {
            let _ = writeln!(page, "\nThe kernel gives no verdict:\n\n```\n{}\n```", why.trim_end());
        }
        if let Some(gap) = self.gap {
            let _ = writeln!(page, "\nA known gap of the kernel, `{}`: {}.", gap.kind, gap.reason);
        }
        page.push('\n');
        let _ = writeln!(page, "## Ours\n\n{}\n", self.our_words());
        log_section(&mut page, &self.our_log);
        if let Some(kernel) = &self.kernel {
            let program = &kernel.program;
            let count = program
                .stats
                .as_ref()
                .map_or(String::new(), |stats| format!(", {} instructions processed", stats.insns_processed));
            let word = verdict_word(program.verdict);
            let _ = writeln!(
                page,
                "## Kernel {}\n\n{word}{}{count}\n",
                kernel.kernel,
                reason(&program.reason, program.errno)
            );
            log_section(&mut page, program.log.as_deref().unwrap_or(""));
        }
        if !self.machine.is_empty() {
            let _ = writeln!(page, "## Machine\n\n```\n{}\n```\n", self.machine.trim_end());
        }
        for replay in &self.replays {
            replay_section(&mut page, replay);
        }
        page.push_str("## Again\n\n```\n");
        self.commands(&mut page, &file);
        page.push_str("```\n");
        page
    }

    fn commands(&self, page: &mut String, file: &str) {
        let named = match &self.subject {
            Written::Assembly(_) => String::new(),
            Written::Object { program, .. } => format!("--prog {program} "),
        };
        if self.kernel.is_some() || self.kernel_failure.is_some() {
            let _ = writeln!(page, "kptrsim crosscheck {named}{file}");
        }
        for replay in self.replays.iter().filter(|replay| replay.cpus == 1) {
            let runs = format!("--prog {} ", self.subject.program()).repeat(replay.in_a_row as usize);
            let _ = writeln!(page, "kptrsim crosscheck --run {runs}--cpus 1 {file}");
        }
        let _ = writeln!(page, "kptrsim verify {named}{file}");
        if !self.machine.is_empty() {
            let plan = &self.plan;
            let known = if plan.known { " --known" } else { "" };
            let _ = writeln!(
                page,
                "kptrsim contain {named}{file} --seed {} --runs {} --cpus {} --max-insns {}{known}",
                self.run_seed, plan.runs, plan.cpus, plan.max_insns
            );
        }
    }

    fn our_words(&self) -> String {
        if let Some(why) = &self.refused {
            return format!("not loaded: {why}");
        }
        let Some(ours) = &self.ours else { return "no verdict".to_owned() };
        let word = serde_json::to_value(ours.verdict).ok();
        let word = word.as_ref().and_then(|word| word.as_str()).unwrap_or_default();
        let count = ours.insns_processed.map_or(String::new(), |count| format!(", {count} instructions processed"));
        format!("{word}{}{count}", reason(&ours.reason, ours.errno))
    }
}

fn reason(reason: &str, errno: i32) -> String {
    let errno = if errno == 0 { String::new() } else { format!(" (errno {errno})") };
    if reason.is_empty() { errno } else { format!(": `{reason}`{errno}") }
}

fn replay_section(page: &mut String, replay: &Replay) {
    let cpus = if replay.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", replay.cpus) };
    let _ = writeln!(page, "## Run {} on that kernel\n", replay.number);
    let times = if replay.in_a_row == 1 { String::new() } else { format!(", {} times in a row", replay.in_a_row) };
    let _ =
        writeln!(page, "Booted for nothing else, with {cpus}; the program with the machine's input on each{times}.\n");
    match &replay.ended {
        Ended::Died { console } => {
            let _ = writeln!(page, "The kernel died:\n\n```\n{}\n```\n", console.trim_end());
        }
        Ended::Returned { times, outcomes } => {
            let _ = writeln!(page, "It came back each of {times} times: {}\n", outcomes.join("; "));
        }
        Ended::Unknown(why) => {
            let _ = writeln!(page, "It was not seen to end:\n\n```\n{}\n```\n", why.trim_end());
        }
    }
}

/// The end of a log.
fn log_section(page: &mut String, log: &str) {
    if log.is_empty() {
        return;
    }
    let lines: Vec<&str> = log.lines().collect();
    page.push_str("```\n");
    if lines.len() > LOG_LINES {
        let _ = writeln!(page, "({} lines before these)", lines.len() - LOG_LINES);
    }
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        let _ = writeln!(page, "{line}");
    }
    page.push_str("```\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crosscheck::compare::OurDecision;
    use crate::fuzz::cause::Class;
    use crate::soundness::containment::KERNEL_GAPS;

    #[test]
    fn a_page_says_what_both_say_and_how_to_see_it_again() {
        let finding = Finding {
            cause: Cause { class: Class::WrongReject, ours: "null".into(), kernel: "accept".into() },
            plan: Plan { seed: 4, known: true, ..Plan::default() },
            index: 9,
            alone: true,
            run_seed: 13,
            subject: Written::Assembly("# text\n".into()),
            refused: None,
            kernel_failure: None,
            ours: Some(OurVerdict {
                program: "p0000".into(),
                verdict: OurDecision::Reject,
                reason: "R1 is NULL".into(),
                errno: 13,
                insns_processed: Some(2),
            }),
            our_log: (0..110).map(|line| format!("line {line}\n")).collect(),
            kernel: None,
            machine: "a fault".into(),
            gap: KERNEL_GAPS.first(),
            replays: vec![Replay {
                number: 2,
                cpus: 1,
                in_a_row: 2,
                ended: Ended::Died { console: "BUG: a NULL".into() },
            }],
        };
        let folder = tempfile::tempdir().expect("a folder");
        finding.write(folder.path(), "x").expect("it is written");
        let page = fs::read_to_string(folder.path().join("x.md")).expect("it is there");
        assert!(page.contains("reject: `R1 is NULL` (errno 13), 2 instructions processed"));
        assert!(page.contains("(10 lines before these)\nline 10\n") && !page.contains("line 9\n"));
        assert!(page.contains("kptrsim contain x.s --seed 13 --runs 4 --cpus 2 --max-insns 20000 --known"));
        assert!(page.contains("`null-copy-of-cpu`"));
        assert!(page.contains("with 1 CPU; the program with the machine's input on each, 2 times in a row.\n\nThe kernel died:\n\n```\nBUG: a NULL\n```\n"));
        assert!(page.contains("--run --prog p0000 --prog p0000 --cpus 1 x.s\n"));
        assert_eq!(fs::read_to_string(folder.path().join("x.s")).expect("it is there"), "# text\n");
    }
}
