//! Ours against the kernel's, program by program. Start at [`Exam`].

use std::sync::LazyLock;

use kptrsim::crosscheck::protocol::Verdict;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::SelftestObject;
use crate::ours::{Decision, OurObject, OurProgram};
use crate::record::{ProgramRecord, Records};

/// How one program compares, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// We accept what the kernel rejects.
    WrongAccept,
    /// We panicked, hung or died.
    Crashed,
    /// We reject what the kernel accepts.
    WrongReject,
    /// The verdict is the same, the reason is not, even when numbers are left out.
    Reason,
    /// The verdict and the reason are the same, the error number is not.
    Errno,
    /// The verdict and the reason are the same but for numbers in it.
    Numbers,
    /// Both accept, after different numbers of instructions.
    Count,
    /// We say that we cannot tell.
    Unsupported,
    /// All the same.
    Agree,
}

impl Agreement {
    /// Whether accept is accept and reject is reject.
    pub fn same_verdict(self) -> bool {
        use Agreement::{Agree, Count, Errno, Numbers, Reason};
        matches!(self, Reason | Errno | Numbers | Count | Agree)
    }
}

/// One program that reached the kernel's verifier.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The object's name.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// How it compares.
    pub agreement: Agreement,
    /// Whether the kernel accepts it.
    pub accepted: bool,
    /// The kernel's reason and error number, or its count.
    pub kernel: String,
    /// Ours.
    pub ours: String,
    /// Whether both kept as many states; `None` unless both accept.
    pub same_states: Option<bool>,
}

/// The whole exam.
#[derive(Debug)]
pub struct Exam {
    /// The kernel's build.
    pub kernel: String,
    /// Objects examined.
    pub objects: usize,
    /// Programs in them.
    pub programs: usize,
    /// One for each program that reached the kernel's verifier.
    pub comparisons: Vec<Comparison>,
    /// Why others did not, with how many.
    pub not_reached: Vec<String>,
}

impl Exam {
    /// Compares verdicts of objects that stand in the same order.
    pub fn new(kernel: &str, objects: &[SelftestObject], records: &Records, ours: Vec<OurObject>) -> Exam {
        let mut exam = Exam {
            kernel: kernel.to_owned(),
            objects: objects.len(),
            programs: 0,
            comparisons: Vec::new(),
            not_reached: Vec::new(),
        };
        for (object, ours) in objects.iter().zip(&ours) {
            let Some(record) = records.of(&object.name) else { continue };
            for failure in &record.failures {
                exam.not_reached.push(failure.clone());
            }
            for program in &record.programs {
                exam.programs += 1;
                match program.verdict {
                    Verdict::NotReached => exam.not_reached.push(program.reason.clone()),
                    _ => exam.comparisons.push(compare(&object.name, program, ours)),
                }
            }
        }
        exam
    }

    /// All comparisons, one JSON object a line.
    pub fn json_lines(&self) -> Result<String, serde_json::Error> {
        let lines: Result<Vec<String>, _> = self.comparisons.iter().map(serde_json::to_string).collect();
        Ok(lines?.join("\n") + "\n")
    }
}

fn compare(object: &str, kernel: &ProgramRecord, ours: &OurObject) -> Comparison {
    let accepted = kernel.verdict == Verdict::Accept;
    let (agreement, text, states) = match ours {
        OurObject::Crashed(how) => (Agreement::Crashed, how.clone(), None),
        OurObject::Refused(why) => (Agreement::Unsupported, why.clone(), None),
        OurObject::Judged(programs) => match programs.get(&kernel.program) {
            None => (Agreement::Unsupported, "the loader does not see this program".to_owned(), None),
            Some(ours) => (agreement(kernel, ours), describe_ours(ours), Some(ours.total_states)),
        },
    };
    Comparison {
        object: object.to_owned(),
        program: kernel.program.clone(),
        agreement,
        accepted,
        kernel: describe(accepted, &kernel.reason, kernel.errno, kernel.insns),
        ours: text,
        same_states: if agreement.same_verdict() && accepted {
            states.map(|ours| Some(ours) == kernel.states)
        } else {
            None
        },
    }
}

fn describe_ours(ours: &OurProgram) -> String {
    let reason = ours.reason.as_deref().unwrap_or("");
    match ours.verdict {
        Decision::Unsupported => reason.to_owned(),
        decision => describe(decision == Decision::Accept, reason, ours.errno.unwrap_or(0), Some(ours.insns_processed)),
    }
}

fn describe(accepted: bool, reason: &str, errno: i32, insns: Option<u64>) -> String {
    match (accepted, insns) {
        (true, Some(insns)) => format!("accepted, {insns} instructions"),
        (true, None) => "accepted".to_owned(),
        (false, _) => format!("{reason} (errno {errno})"),
    }
}

fn agreement(kernel: &ProgramRecord, ours: &OurProgram) -> Agreement {
    match (kernel.verdict == Verdict::Accept, ours.verdict) {
        (_, Decision::Unsupported) => Agreement::Unsupported,
        (false, Decision::Accept) => Agreement::WrongAccept,
        (true, Decision::Reject) => Agreement::WrongReject,
        (true, Decision::Accept) if kernel.insns != Some(ours.insns_processed) => Agreement::Count,
        (true, Decision::Accept) => Agreement::Agree,
        (false, Decision::Reject) => rejection(kernel, ours),
    }
}

fn rejection(kernel: &ProgramRecord, ours: &OurProgram) -> Agreement {
    let reason = ours.reason.as_deref().unwrap_or("");
    if without_numbers(reason) != without_numbers(&kernel.reason) {
        Agreement::Reason
    } else if ours.errno != Some(kernel.errno) {
        Agreement::Errno
    } else if reason.trim() != kernel.reason.trim() {
        Agreement::Numbers
    } else {
        Agreement::Agree
    }
}

/// A reason with every number, decimal or hexadecimal, made `N`.
pub fn without_numbers(reason: &str) -> String {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"-?\b(0x[0-9a-f]+|[0-9]+)\b").expect("a pattern"));
    NUMBER.replace_all(reason.trim(), "N").into_owned()
}
