//! Reads the verifier's log: what it decided, why, and its statistics.
//!
//! Pure text in, facts out. The log's format is that of `kernel/bpf/verifier.c` and `kernel/bpf/log.c` in Linux 6.12. This file
//! is compiled into both sides. Start at [`classify`].

use super::protocol::{Verdict, VerifierStats};

/// What one log and one error number mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The decision.
    pub verdict: Verdict,
    /// The verifier's reason; empty when it gave none.
    pub reason: String,
    /// The statistics, when the verifier got as far as printing them.
    pub stats: Option<VerifierStats>,
    /// The index of the last instruction in the log.
    pub last_insn: Option<u32>,
}

/// Decides what became of a program from the error number of loading it (0 or positive) and the verifier's log.
///
/// `bpf_check` prints its statistics whenever it was entered and could set up its log, so a failure whose log has them and a reason
/// was decided by the verifier; a failure without a log came before it (`bpf_prog_load`, libbpf); a failure with
/// statistics but no reason may have come after it (the JIT, `ENOMEM`) and is not called a rejection.
#[must_use]
pub fn classify(errno: i32, log: &str) -> Finding {
    let stats = parse_stats(log);
    let reason = last_reason(log).unwrap_or_default().to_owned();
    let verdict = match (errno, &stats, reason.is_empty()) {
        (0, _, _) => Verdict::Accept,
        (_, Some(_), false) => Verdict::Reject,
        _ => Verdict::NotReached,
    };
    Finding {
        verdict,
        reason: if verdict == Verdict::Accept { String::new() } else { reason },
        stats,
        last_insn: last_insn(log),
    }
}

/// The last line that gives a reason: not statistics, not a dump of states, not an instruction or its source line.
fn last_reason(log: &str) -> Option<&str> {
    log.lines()
        .rev()
        .map(|line| split_stats(line).0.trim_end())
        .find(|line| !line.is_empty() && !is_state_dump(line) && !is_trace(line))
}

/// A line's reason and what it has of the statistics, which follow in the same line where the kernel's message does not end it.
fn split_stats(line: &str) -> (&str, &str) {
    let time = line.find("verification time ").filter(|_| line.ends_with(" usec"));
    let depth = line.starts_with("stack depth ").then_some(0);
    let processed = line.find("processed ").filter(|&at| line[at..].contains(" insns (limit "));
    line.split_at(time.or(depth).or(processed).unwrap_or(line.len()))
}

/// `infinite loop detected` is followed by the two states that were found equal.
fn is_state_dump(line: &str) -> bool {
    line.starts_with("cur state:") || line.starts_with("old state:")
}

/// Instructions (`12: (bf) …`), states (`12: R1=…`, `from 3 to 5: …`), source lines (`; …`) and precision marking.
fn is_trace(line: &str) -> bool {
    if line.starts_with(';') || line.starts_with("mark_precise:") || line.starts_with("from ") {
        return true;
    }
    insn_prefix(line).is_some()
}

/// The index of a line `N: (op) …` or `N: R…=…`.
fn insn_prefix(line: &str) -> Option<u32> {
    let (index, rest) = line.split_once(':')?;
    let index = index.parse().ok()?;
    let rest = rest.trim_start();
    let traced = rest.starts_with('(') || rest.starts_with('R') && rest.contains('=') || rest.is_empty();
    traced.then_some(index)
}

fn last_insn(log: &str) -> Option<u32> {
    log.lines().rev().filter(|line| line.contains(": (")).find_map(insn_prefix)
}

/// Reads the lines that `print_verification_stats` ends the log with.
fn parse_stats(log: &str) -> Option<VerifierStats> {
    let mut stats = VerifierStats::default();
    let mut complete = false;
    for line in log.lines().rev().take(4).map(|line| split_stats(line).1) {
        if let Some(rest) = line.strip_prefix("processed ") {
            let number_after = |name: &str| {
                let mut words = rest.split_whitespace();
                words.by_ref().find(|&word| word == name)?;
                words.next()?.parse::<u64>().ok()
            };
            stats.insns_processed = rest.split_whitespace().next()?.parse().ok()?;
            stats.max_states_per_insn = number_after("max_states_per_insn")?;
            stats.total_states = number_after("total_states")?;
            stats.peak_states = number_after("peak_states")?;
            stats.mark_read = number_after("mark_read").unwrap_or(0);
            complete = true;
        } else if let Some(rest) = line.strip_prefix("stack depth ") {
            stats.stack_depth = rest.trim().split('+').filter_map(|depth| depth.parse().ok()).collect();
        } else if let Some(rest) = line.strip_prefix("verification time ") {
            stats.verification_usec = rest.split_whitespace().next().and_then(|usec| usec.parse().ok()).unwrap_or(0);
        }
    }
    complete.then_some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "verification time 1734 usec\nstack depth 8+16\nprocessed 14 insns (limit 1000000) \
                         max_states_per_insn 0 total_states 2 peak_states 3 mark_read 1\n";

    #[test]
    fn an_accepted_program_has_statistics_and_no_reason() {
        let finding = classify(0, STATS);
        assert_eq!(finding.verdict, Verdict::Accept);
        assert_eq!(finding.reason, "");
        let stats = finding.stats.expect("statistics are there");
        assert_eq!(stats.insns_processed, 14);
        assert_eq!((stats.total_states, stats.peak_states, stats.mark_read), (2, 3, 1));
        assert_eq!(stats.stack_depth, [8, 16]);
        assert_eq!(stats.verification_usec, 1734);
    }

    #[test]
    fn the_last_message_before_the_statistics_is_the_reason() {
        let log = format!(
            "Unreleased reference id=2 alloc_insn=4\nBPF_EXIT instruction in main prog would lead to reference leak\n{STATS}"
        );
        let finding = classify(22, &log);
        assert_eq!(finding.verdict, Verdict::Reject);
        assert_eq!(finding.reason, "BPF_EXIT instruction in main prog would lead to reference leak");
    }

    #[test]
    fn instructions_and_states_of_a_longer_log_are_no_reasons() {
        let log = format!(
            "0: R1=ctx() R10=fp0\n; int x = 1; @ a.c:3\n0: (b7) r0 = 0   ; R0_w=0\n12: (79) r1 = *(u64 *)(r2 +0)\n\
             R2 invalid mem access 'scalar'\n{STATS}"
        );
        let finding = classify(13, &log);
        assert_eq!(finding.reason, "R2 invalid mem access 'scalar'");
        assert_eq!(finding.last_insn, Some(12));
    }

    #[test]
    fn the_states_after_an_infinite_loop_are_skipped() {
        let log =
            format!("infinite loop detected at insn 3\ncur state: R0=0 R10=fp0\nold state: R0=0 R10=fp0\n{STATS}");
        assert_eq!(classify(22, &log).reason, "infinite loop detected at insn 3");
    }

    #[test]
    fn statistics_may_follow_a_message_in_its_line() {
        const MESSAGE: &str = "invalid type id 1 in func info";
        let processed =
            "processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
        let with_time = classify(22, &format!("{MESSAGE}verification time 7 usec\nstack depth \n{processed}"));
        assert_eq!((with_time.verdict, &*with_time.reason), (Verdict::Reject, MESSAGE));
        assert_eq!(with_time.stats.map(|stats| stats.verification_usec), Some(7));
        let without = classify(22, &format!("{MESSAGE}{processed}"));
        assert_eq!((without.verdict, &*without.reason), (Verdict::Reject, MESSAGE));
        assert_eq!(without.stats.map(|stats| stats.insns_processed), Some(0));
    }

    #[test]
    fn a_failure_without_a_log_or_without_a_reason_is_no_verdict() {
        assert_eq!(classify(22, "").verdict, Verdict::NotReached);
        assert_eq!(classify(12, STATS).verdict, Verdict::NotReached);
    }
}
