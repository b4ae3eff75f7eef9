//! Two verdicts on one program, ours and a kernel's, side by side, and the table of many.
//!
//! The kernel is right by definition. Accepting what it rejects is the worst that can be found, saying that we cannot tell is the
//! mildest. Start at [`compare`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::KernelVerdict;
use super::protocol::Verdict;
use crate::verifier::{Verdict as Own, Verification};

/// What our verifier decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OurDecision {
    /// The program would load.
    Accept,
    /// The program would be rejected.
    Reject,
    /// The program needs something that is not modelled.
    Unsupported,
}

/// What our verifier says about one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurVerdict {
    /// The program's name.
    pub program: String,
    /// The decision.
    pub verdict: OurDecision,
    /// The line that the kernel's log would end with, or what is not supported; empty when accepted.
    pub reason: String,
    /// The error number, positive; 0 when accepted.
    pub errno: i32,
    /// How many instructions were processed, when the verifier counts them.
    pub insns_processed: Option<u64>,
}

impl From<&Verification> for OurVerdict {
    fn from(verification: &Verification) -> OurVerdict {
        let (verdict, reason, errno) = match &verification.verdict {
            Own::Accept => (OurDecision::Accept, String::new(), 0),
            Own::Reject(rejection) => {
                (OurDecision::Reject, rejection.rule.to_string(), rejection.rule.errno().number())
            }
            Own::Unsupported(what) => (OurDecision::Unsupported, what.clone(), 0),
        };
        OurVerdict {
            program: verification.program.clone(),
            verdict,
            reason,
            errno,
            insns_processed: Some(u64::from(verification.statistics.insns_processed)),
        }
    }
}

/// How two verdicts compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The same verdict, and for a rejection the same reason and error number.
    Agree,
    /// Both reject, with different reasons or error numbers.
    ReasonDiffers,
    /// We accept what the kernel rejects.
    WrongAccept,
    /// We reject what the kernel accepts.
    WrongReject,
    /// We say that we cannot tell.
    Unsupported,
    /// The kernel gave no verdict, so there is nothing to compare with.
    NoVerdict,
    /// We gave no verdict on a program that the kernel has one for.
    Missing,
}

impl Agreement {
    /// The words for it in the table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Agreement::Agree => "agree",
            Agreement::ReasonDiffers => "reason differs",
            Agreement::WrongAccept => "WRONG ACCEPT",
            Agreement::WrongReject => "WRONG REJECT",
            Agreement::Unsupported => "unsupported",
            Agreement::NoVerdict => "no verdict",
            Agreement::Missing => "MISSING",
        }
    }

    /// Whether it is a fault of ours.
    #[must_use]
    pub fn is_disagreement(self) -> bool {
        matches!(self, Agreement::ReasonDiffers | Agreement::WrongAccept | Agreement::WrongReject | Agreement::Missing)
    }
}

/// One program, judged twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How the two compare.
    pub agreement: Agreement,
    /// Whether both counted the same number of instructions; `None` when one did not count.
    pub insns_equal: Option<bool>,
    /// Ours; `None` when we gave none.
    pub ours: Option<OurVerdict>,
    /// The kernel's, with the exact build.
    pub kernel: KernelVerdict,
}

/// Compares our verdict on a program with a kernel's on the same one.
#[must_use]
pub fn compare(ours: Option<OurVerdict>, kernel: KernelVerdict) -> Comparison {
    let theirs = &kernel.program;
    let agreement = match (ours.as_ref(), theirs.verdict) {
        (_, Verdict::NotReached) => Agreement::NoVerdict,
        (None, _) => Agreement::Missing,
        (Some(ours), verdict) => match (ours.verdict, verdict) {
            (OurDecision::Unsupported, _) => Agreement::Unsupported,
            (OurDecision::Accept, Verdict::Reject) => Agreement::WrongAccept,
            (OurDecision::Reject, Verdict::Accept) => Agreement::WrongReject,
            (OurDecision::Reject, _) if ours.reason.trim() != theirs.reason.trim() || ours.errno != theirs.errno => {
                Agreement::ReasonDiffers
            }
            (OurDecision::Reject | OurDecision::Accept, _) => Agreement::Agree,
        },
    };
    let counted = ours.as_ref().and_then(|ours| ours.insns_processed);
    let insns_equal = counted.zip(theirs.stats.as_ref()).map(|(ours, theirs)| ours == theirs.insns_processed);
    Comparison { agreement, insns_equal, ours, kernel }
}

/// What all comparisons together amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overall {
    /// Wherever the kernel gave a verdict, ours is the same.
    AllAgree,
    /// At least one verdict is wrong or gives another reason.
    Disagree,
    /// None is wrong, but some programs are not supported.
    UnsupportedOnly,
}

/// Sums up comparisons.
#[must_use]
pub fn overall(comparisons: &[Comparison]) -> Overall {
    if comparisons.iter().any(|one| one.agreement.is_disagreement()) {
        Overall::Disagree
    } else if comparisons.iter().any(|one| one.agreement == Agreement::Unsupported) {
        Overall::UnsupportedOnly
    } else {
        Overall::AllAgree
    }
}

/// Characters of a reason that both sides give, in the table; the whole of it is in the JSON.
const SHOWN_REASON: usize = 70;

/// Renders comparisons as a table, with a summary in its last lines. The kernel's column has the exact build as its title.
///
/// Where the two do not agree, both reasons stand below the line in full.
#[must_use]
pub fn table(comparisons: &[Comparison]) -> String {
    let builds = builds(comparisons);
    let title = ["object", "program", "ours", &builds, "compared", "reason"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(title).chain(comparisons.iter().map(row)).collect();
    let lines = layout(&rows);
    let mut lines = lines.lines();
    let mut text = String::new();
    let mut push = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    push(lines.next().unwrap_or(""));
    for (line, one) in lines.zip(comparisons) {
        push(line);
        both_reasons(one).iter().for_each(|below| push(below));
    }
    text.push_str(&summary(comparisons));
    text
}

/// The kernels that were asked: one, unless results of several are put together.
fn builds(comparisons: &[Comparison]) -> String {
    let builds: BTreeSet<&str> = comparisons.iter().map(|one| one.kernel.kernel.as_str()).collect();
    if builds.is_empty() { "kernel's".to_owned() } else { builds.into_iter().collect::<Vec<_>>().join(", ") }
}

fn row(one: &Comparison) -> [String; 6] {
    let theirs = &one.kernel.program;
    let ours = one.ours.as_ref().map_or("-", |ours| match ours.verdict {
        OurDecision::Accept => "accept",
        OurDecision::Reject => "reject",
        OurDecision::Unsupported => "unsupported",
    });
    let same = matches!(one.agreement, Agreement::Agree | Agreement::NoVerdict);
    [
        one.kernel.object.clone(),
        theirs.program.clone(),
        ours.to_owned(),
        verdict_word(theirs.verdict).to_owned(),
        one.agreement.words().to_owned(),
        if same { shortened(&theirs.reason) } else { String::new() },
    ]
}

fn shortened(reason: &str) -> String {
    let reason = reason.lines().next().unwrap_or("");
    match reason.char_indices().nth(SHOWN_REASON) {
        Some((end, _)) => format!("{}…", reason[..end].trim_end()),
        None => reason.to_owned(),
    }
}

/// What each side says, in lines of its own, where the two do not agree.
fn both_reasons(one: &Comparison) -> Vec<String> {
    if matches!(one.agreement, Agreement::Agree | Agreement::NoVerdict) {
        return Vec::new();
    }
    let line = |who: &str, reason: &str, errno: i32| {
        let errno = if errno == 0 { String::new() } else { format!(" (errno {errno})") };
        (!reason.is_empty()).then(|| format!("    {who}: {reason}{errno}"))
    };
    let theirs = &one.kernel.program;
    let ours = one.ours.as_ref().and_then(|ours| line("ours", &ours.reason, ours.errno));
    ours.into_iter().chain(line("kernel's", &theirs.reason, theirs.errno)).collect()
}

/// The word for a kernel's verdict.
#[must_use]
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Reject => "reject",
        Verdict::NotReached => "not reached",
    }
}

/// Lines up columns, two spaces apart, without trailing spaces.
pub(crate) fn layout<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn summary(comparisons: &[Comparison]) -> String {
    const ORDER: [Agreement; 7] = [
        Agreement::Agree,
        Agreement::ReasonDiffers,
        Agreement::WrongAccept,
        Agreement::WrongReject,
        Agreement::Missing,
        Agreement::Unsupported,
        Agreement::NoVerdict,
    ];
    let count = |holds: &dyn Fn(&Comparison) -> bool| comparisons.iter().filter(|one| holds(one)).count();
    let agree = |verdict| count(&|one| one.agreement == Agreement::Agree && one.kernel.program.verdict == verdict);
    let parts: Vec<String> = ORDER
        .iter()
        .map(|&kind| (kind, count(&|one| one.agreement == kind)))
        .filter(|&(kind, count)| count > 0 || kind == Agreement::Agree)
        .map(|(kind, count)| format!("{count} {}", kind.words().to_lowercase()))
        .collect();
    format!(
        "{} programs on {}: {}\nagreed: {} accepted, {} rejected for the same reason with the same error number; \
         as many instructions processed in {} of {} counted\n",
        comparisons.len(),
        builds(comparisons),
        parts.join(", "),
        agree(Verdict::Accept),
        agree(Verdict::Reject),
        count(&|one| one.insns_equal == Some(true)),
        count(&|one| one.insns_equal.is_some()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crosscheck::protocol::{ProgramVerdict, VerifierStats};

    fn kernel(verdict: Verdict, reason: &str, errno: i32) -> KernelVerdict {
        KernelVerdict {
            object: "a.bpf.o".into(),
            kernel: "6.12.117+deb12-cloud-amd64".into(),
            program: ProgramVerdict {
                program: "prog".into(),
                section: "fentry/x".into(),
                verdict,
                errno,
                reason: reason.into(),
                stats: Some(VerifierStats { insns_processed: 7, ..VerifierStats::default() }),
                last_insn: None,
                log: None,
                insns: None,
                adjusted: Vec::new(),
            },
        }
    }

    fn ours(verdict: OurDecision, reason: &str, errno: i32) -> Option<OurVerdict> {
        Some(OurVerdict { program: "prog".into(), verdict, reason: reason.into(), errno, insns_processed: Some(7) })
    }

    fn agreement(ours: Option<OurVerdict>, kernel: KernelVerdict) -> Agreement {
        compare(ours, kernel).agreement
    }

    #[test]
    fn each_pair_of_verdicts_has_its_name() {
        use OurDecision::{Accept, Reject, Unsupported};
        let accept = || kernel(Verdict::Accept, "", 0);
        let reject = || kernel(Verdict::Reject, "R1 bad", 22);
        assert_eq!(agreement(ours(Accept, "", 0), accept()), Agreement::Agree);
        assert_eq!(agreement(ours(Reject, "R1 bad", 22), reject()), Agreement::Agree);
        assert_eq!(agreement(ours(Reject, "R2 bad", 22), reject()), Agreement::ReasonDiffers);
        assert_eq!(agreement(ours(Reject, "R1 bad", 13), reject()), Agreement::ReasonDiffers);
        assert_eq!(agreement(ours(Accept, "", 0), reject()), Agreement::WrongAccept);
        assert_eq!(agreement(ours(Reject, "R1 bad", 22), accept()), Agreement::WrongReject);
        assert_eq!(agreement(ours(Unsupported, "arena", 0), accept()), Agreement::Unsupported);
        assert_eq!(agreement(None, reject()), Agreement::Missing);
        assert_eq!(agreement(None, kernel(Verdict::NotReached, "no module", 2)), Agreement::NoVerdict);
    }

    #[test]
    fn one_wrong_verdict_outweighs_what_is_unsupported() {
        let agree = compare(ours(OurDecision::Accept, "", 0), kernel(Verdict::Accept, "", 0));
        let unsupported = compare(ours(OurDecision::Unsupported, "x", 0), kernel(Verdict::Accept, "", 0));
        let wrong = compare(ours(OurDecision::Accept, "", 0), kernel(Verdict::Reject, "R1 bad", 22));
        assert_eq!(overall(std::slice::from_ref(&agree)), Overall::AllAgree);
        assert_eq!(overall(&[agree.clone(), unsupported.clone()]), Overall::UnsupportedOnly);
        assert_eq!(overall(&[agree, unsupported, wrong]), Overall::Disagree);
    }

    #[test]
    fn the_table_names_the_build_and_shows_both_reasons() {
        let rows = [
            compare(ours(OurDecision::Accept, "", 0), kernel(Verdict::Accept, "", 0)),
            compare(ours(OurDecision::Reject, "R2 bad", 22), kernel(Verdict::Reject, "R1 bad", 13)),
        ];
        insta::assert_snapshot!(table(&rows), @r"
        object   program  ours    6.12.117+deb12-cloud-amd64  compared        reason
        a.bpf.o  prog     accept  accept                      agree
        a.bpf.o  prog     reject  reject                      reason differs
            ours: R2 bad (errno 22)
            kernel's: R1 bad (errno 13)
        2 programs on 6.12.117+deb12-cloud-amd64: 1 agree, 1 reason differs
        agreed: 1 accepted, 0 rejected for the same reason with the same error number; as many instructions processed in 2 of 2 counted
        ");
    }
}
