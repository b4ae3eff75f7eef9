//! A disagreement written down: the program as assembly text, and a page with what each side says about it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::cause::Cause;
use super::journal::{JournalError, write_whole};
use crate::crosscheck::KernelVerdict;
use crate::crosscheck::compare::{OurVerdict, verdict_word};

/// Lines of a log's end that a page shows.
const LOG_LINES: usize = 40;

/// All that is known of a disagreement.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What disagrees.
    pub cause: Cause,
    /// The campaign's seed.
    pub seed: u64,
    /// The program in which it was found.
    pub index: u64,
    /// Does it show in an object with no other program?
    pub alone: bool,
    /// The seed of its runs.
    pub run_seed: u64,
    /// Runs of it.
    pub runs: u64,
    /// Instructions that one run may execute.
    pub max_insns: u64,
    /// The small program's text, which clang assembles.
    pub assembly: String,
    /// Our verdict.
    pub ours: Option<OurVerdict>,
    /// Our log of level 2.
    pub our_log: String,
    /// The kernel's verdict out of a machine that was booted for nothing else, with its log of level 2.
    pub kernel: Option<KernelVerdict>,
    /// What the machine's runs came to.
    pub machine: String,
    /// What became of the program when a kernel ran it.
    pub kernel_run: Option<String>,
}

impl Finding {
    /// Writes `NAME.s` and `NAME.md` into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), JournalError> {
        let failed = |source| JournalError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        write_whole(&folder.join(format!("{name}.s")), &self.assembly)?;
        write_whole(&folder.join(format!("{name}.md")), &self.page(name))
    }

    fn page(&self, name: &str) -> String {
        let mut page = format!("# {}\n\n", self.cause);
        let _ = writeln!(page, "Program {} of seed {}, made small: `{name}.s`.", self.index, self.seed);
        if !self.alone {
            page.push_str("It shows only in an object with other programs, and is not made small.\n");
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
        if let Some(run) = &self.kernel_run {
            let _ = writeln!(page, "Run there: {run}\n");
        }
        if !self.machine.is_empty() {
            let _ = writeln!(page, "## Machine\n\n```\n{}\n```\n", self.machine.trim_end());
        }
        page.push_str("## Again\n\n```\n");
        if self.kernel.is_some() {
            let _ = writeln!(page, "kptrsim crosscheck {name}.s");
        }
        let _ = writeln!(page, "kptrsim verify {name}.s");
        if !self.machine.is_empty() {
            let _ = writeln!(
                page,
                "kptrsim contain {name}.s --seed {} --runs {} --max-insns {}",
                self.run_seed, self.runs, self.max_insns
            );
        }
        page.push_str("```\n");
        page
    }

    fn our_words(&self) -> String {
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

    #[test]
    fn a_page_says_what_both_say_and_how_to_see_it_again() {
        let finding = Finding {
            cause: Cause { class: Class::WrongReject, ours: "null".into(), kernel: "accept".into() },
            seed: 4,
            index: 9,
            alone: true,
            run_seed: 13,
            runs: 4,
            max_insns: 20,
            assembly: "# text\n".into(),
            ours: Some(OurVerdict {
                program: "p0000".into(),
                verdict: OurDecision::Reject,
                reason: "R1 is NULL".into(),
                errno: 13,
                insns_processed: Some(2),
            }),
            our_log: (0..50).map(|line| format!("line {line}\n")).collect(),
            kernel: None,
            machine: "a fault".into(),
            kernel_run: None,
        };
        let folder = tempfile::tempdir().expect("a folder");
        finding.write(folder.path(), "x").expect("it is written");
        let page = fs::read_to_string(folder.path().join("x.md")).expect("it is there");
        assert!(page.contains("reject: `R1 is NULL` (errno 13), 2 instructions processed"));
        assert!(page.contains("(10 lines before these)\nline 10\n") && !page.contains("line 9\n"));
        assert!(page.contains("kptrsim contain x.s --seed 13 --runs 4 --max-insns 20"));
        assert_eq!(fs::read_to_string(folder.path().join("x.s")).expect("it is there"), "# text\n");
    }
}
